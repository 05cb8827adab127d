#include "mailbox/serve.h"

#include "common/clock.h"
#include "common/listing.h"
#include "common/pack.h"
#include "common/unixsock.h"
#include "common/verdict.h"
#include "fixture.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* serve between real channels: a pop3d that asks, and a queue that keeps what it was told. */
struct stage {
    sqlite3 *db;
    struct loop *loop;
    struct store *store;
    struct serve *serve;
    struct ipc *to_queue, *queue;
    unsigned verdict; /* what queue answers; 99: nothing */
    unsigned parts;
    uint64_t removed[8000], n_removed, removed_box, removed_device, last_tag;
    bool got_last;
    char collected[200]; /* what queue was told last */
    unsigned n_collected;
};

/* One pop3d session. */
struct client {
    struct stage *st;
    struct ipc *ch;
    int opened, reason; /* -1: not yet */
    uint64_t expire_days;
    struct listing listing;
    bool is_closed, is_answered;
    union msg answer;
    char octets[IPC_MAX];
    size_t n_octets;
    char prefix[1024];
    size_t n_prefix;
    int fd;
};

static void on_delete(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct stage *st = owner;
    struct unpacker r = unpacker_on(m->box_delete.sequences);
    while (r.left.n > 0 && !r.failed)
        st->removed[st->n_removed++] = unpack_uint(&r, 8);
    st->parts++;
    st->removed_box = m->box_delete.box;
    st->removed_device = m->box_delete.device;
    st->last_tag = m->box_delete.tag;
    st->got_last = m->box_delete.is_last;
    struct msg_box_delete_re re = {.tag = st->last_tag, .verdict = (uint8_t)st->verdict};
    if (st->got_last && st->verdict != 99)
        ipc_send_box_delete_re(from, &re, -1);
}

static void queue_closed(void *owner, struct ipc *ch)
{
    struct stage *st = owner;
    ipc_close(ch);
    if (ch == st->queue)
        st->queue = NULL;
    else
        st->to_queue = NULL;
}

static void on_collected(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct stage *st = owner;
    const struct msg_box_collected *c = &m->box_collected;
    struct unpacker r = unpacker_on(c->sequences);
    snprintf(st->collected, sizeof st->collected,
             "%llu %llu %.*s %.*s:", (unsigned long long)c->box, (unsigned long long)c->device,
             (int)c->address.n, c->address.p, (int)c->client.n, c->client.p);
    while (r.left.n > 0 && !r.failed) {
        size_t n = strlen(st->collected);
        snprintf(st->collected + n, sizeof st->collected - n, " %llu",
                 (unsigned long long)unpack_uint(&r, 8));
    }
    st->n_collected++;
}

static const struct ipc_handler queue_handlers[] = {{MSG_BOX_DELETE, on_delete},
                                                    {MSG_BOX_COLLECTED, on_collected}};
static const struct ipc_ops queue_ops = {
    .handlers = queue_handlers, .n_handlers = 2, .on_close = queue_closed};

static struct ipc *give_queue(void *owner)
{
    struct stage *st = owner;
    return st->to_queue;
}

static void turns(struct stage *st, int n)
{
    for (int i = 0; i < n; i++)
        loop_turn(st->loop, 2);
}

static struct stage *begin(bool with_db)
{
    struct stage *st = calloc(1, sizeof *st);
    int fds[2];
    st->db = fixture_begin(with_db);
    if (with_db)
        fixture_run(st->db, "INSERT INTO box (id, messages, octets, next_seq, forgotten) VALUES "
                            "(17, 0, 0, 10, 0), (18, 0, 0, 5000, 0)");
    st->loop = loop_new();
    st->store = store_new(MAILDB_PATH);
    st->serve = serve_new(st->loop, st->store, give_queue, st);
    cr_assert_eq(unixsock_pair(fds), 0);
    st->to_queue = ipc_open(st->loop, fds[0], ROLE_MAILBOX, ROLE_QUEUE, &queue_ops, st);
    st->queue = ipc_open(st->loop, fds[1], ROLE_QUEUE, ROLE_MAILBOX, &queue_ops, st);
    return st;
}

static void end(struct stage *st)
{
    serve_free(st->serve);
    store_free(st->store);
    ipc_close(st->to_queue);
    ipc_close(st->queue);
    loop_free(st->loop);
    fixture_end(st->db);
    free(st);
}

static void on_opened(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct client *c = owner;
    c->opened = m->box_opened.verdict;
    c->reason = m->box_opened.reason;
    c->expire_days = m->box_opened.expire_days;
}

static void client_closed(void *owner, struct ipc *ch)
{
    struct client *c = owner;
    ipc_close(ch);
    c->ch = NULL;
    c->is_closed = true;
}

static const struct ipc_handler client_handlers[] = {{MSG_BOX_OPENED, on_opened}};
static const struct ipc_ops client_ops = {
    .handlers = client_handlers, .n_handlers = 1, .on_close = client_closed};

static void grant_device(struct client *c, struct stage *st, uint64_t box, uint64_t device)
{
    int fds[2];
    *c = (struct client){.st = st, .opened = -1, .reason = -1, .fd = -1};
    cr_assert_eq(unixsock_pair(fds), 0);
    c->ch = ipc_open(st->loop, fds[1], ROLE_POP3D, ROLE_MAILBOX, &client_ops, c);
    struct msg_box_grant m = {.box = box,
                              .session = 5,
                              .device = device,
                              .domain = 6,
                              .address = SPAN("a@b"),
                              .client = SPAN("c")};
    serve_grant(st->serve, &m, fds[0]);
    turns(st, 4);
}

static void grant(struct client *c, struct stage *st, uint64_t box)
{
    grant_device(c, st, box, 0);
}

static void keep(struct client *c, struct span octets)
{
    memcpy(c->octets, octets.p, octets.n);
    c->n_octets = octets.n;
}

static void on_answer(void *arg, const union msg *answer, int fd)
{
    struct client *c = arg;
    c->is_answered = answer != NULL;
    c->fd = fd;
    if (answer != NULL)
        c->answer = *answer;
}

static void on_list_answer(void *arg, const union msg *answer, int fd)
{
    struct client *c = arg;
    on_answer(arg, answer, -1);
    listing_unmap(&c->listing);
    if (answer != NULL && answer->box_list_re.verdict == VERDICT_OK)
        cr_assert_eq(listing_map(&c->listing, fd, answer->box_list_re.n, answer->box_list_re.text),
                     0);
    if (fd >= 0)
        close(fd);
}

static void on_read_answer(void *arg, const union msg *answer, int fd)
{
    struct client *c = arg;
    on_answer(arg, answer, fd);
    if (answer == NULL)
        return;
    keep(c, answer->box_read_re.content);
    c->n_prefix = answer->box_read_re.prefix.n;
    memcpy(c->prefix, answer->box_read_re.prefix.p, c->n_prefix);
}

static size_t list(struct client *c)
{
    struct msg_box_list m = {0};
    c->is_answered = false;
    ipc_ask_box_list(c->ch, &m, -1, 1000, on_list_answer, c);
    turns(c->st, 6);
    return c->is_answered ? c->listing.n : SIZE_MAX;
}

static void read_message(struct client *c, uint64_t sequence)
{
    struct msg_box_read m = {.sequence = sequence};
    c->is_answered = false;
    ipc_ask_box_read(c->ch, &m, -1, 1000, on_read_answer, c);
    turns(c->st, 12);
}

/* Parts of `per_part` sequences each, from `from` up to `to`. */
static void update(struct client *c, uint64_t from, uint64_t to, size_t per_part)
{
    static char octets[LIST_MAX];
    struct msg_box_update m = {0};
    c->is_answered = false;
    while (from <= to) {
        struct packer w = packer_on(octets, sizeof octets);
        for (size_t i = 0; i < per_part && from <= to; i++)
            pack_uint(&w, from++, 8);
        m.sequences = packer_span(&w);
        m.is_last = from > to;
        if (m.tag == 0)
            ipc_ask_box_update(c->ch, &m, -1, 60000, on_answer, c);
        else
            ipc_send_box_update(c->ch, &m, -1);
    }
    turns(c->st, 8);
}

Test(serve, lists_and_reads)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_add(st->db, 17, 2, 102, SPAN("A: b\r\n\r\ntext\r\n"));
    fixture_add(st->db, 17, 5, 105, SPAN("A: b\r\n"));
    grant(&c, st, 17);
    cr_assert_eq(c.opened, VERDICT_OK);
    cr_assert_eq(list(&c), 2);
    cr_expect_eq(c.listing.list[1].id, 105);
    read_message(&c, 2);
    cr_assert(c.is_answered);
    cr_expect_eq(c.answer.box_read_re.verdict, VERDICT_OK);
    cr_expect_eq(c.answer.box_read_re.octets, 14);
    cr_expect_eq(c.answer.box_read_re.header, 8);
    cr_expect_eq(c.n_octets, 14);
    cr_expect_arr_eq(c.octets, "A: b\r\n\r\ntext\r\n", 14);
    cr_expect_eq(c.n_prefix, 28);
    cr_expect_arr_eq(c.prefix, "Return-Path: <a@b.example>\r\n", 28);
    read_message(&c, 3);
    cr_expect_eq(c.answer.box_read_re.verdict, VERDICT_NEVER, "it is not there");
    ipc_close(c.ch);
    end(st);
}

/* What comes while the session is open stays out of it. */
Test(serve, snapshot)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_run(st->db, "BEGIN");
    for (uint64_t i = 1; i <= 2048; i++)
        fixture_add(st->db, 18, i, 1000 + i, SPAN("A: b\r\n"));
    fixture_run(st->db, "COMMIT; UPDATE box SET next_seq = 2049 WHERE id = 18");
    grant(&c, st, 18);
    fixture_add(st->db, 18, 2049, 9000, SPAN("A: b\r\n"));
    cr_expect_eq(list(&c), 2048);
    read_message(&c, 2049);
    cr_expect(c.is_closed, "what was not listed cannot be read");
    end(st);
}

static size_t list_anew_as(struct client *c, struct stage *st, uint64_t device)
{
    grant_device(c, st, 18, device);
    size_t n = list(c);
    ipc_close(c->ch);
    turns(st, 4);
    return n;
}

static size_t list_anew(struct client *c, struct stage *st)
{
    grant(c, st, 18);
    size_t n = list(c);
    ipc_close(c->ch);
    turns(st, 2);
    return n;
}

/* A listing is kept: what was added is read, and all of it when something was taken out. */
Test(serve, kept_listings)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_run(st->db, "BEGIN");
    for (uint64_t i = 1; i <= 300; i++)
        fixture_add(st->db, 18, i, 1000 + i, SPAN("A: b\r\n"));
    fixture_run(st->db, "COMMIT; UPDATE entry SET uidl = 'first' WHERE seq = 1;"
                        "UPDATE box SET next_seq = 301 WHERE id = 18");
    cr_expect_eq(list_anew(&c, st), 300);
    cr_expect_eq(list_anew(&c, st), 300);
    fixture_add(st->db, 18, 301, 9000, SPAN("A: b\r\n"));
    fixture_run(st->db, "UPDATE entry SET uidl = 'last' WHERE seq = 301;"
                        "UPDATE box SET next_seq = 302 WHERE id = 18");
    cr_assert_eq(list_anew(&c, st), 301);
    char room[ID_TEXT];
    cr_expect_eq(c.listing.list[300].id, 9000);
    cr_expect(span_eq(listing_uidl(&c.listing, &c.listing.list[300], room), SPAN("last")));
    cr_expect(span_eq(listing_uidl(&c.listing, &c.listing.list[0], room), SPAN("first")));
    fixture_run(st->db, "DELETE FROM entry WHERE box = 18 AND seq = 7;"
                        "UPDATE box SET epoch = epoch + 1 WHERE id = 18");
    cr_assert_eq(list_anew(&c, st), 300);
    cr_expect_eq(c.listing.list[6].sequence, 8);
    fixture_run(st->db,
                "INSERT INTO removal (box, at, sequences) VALUES (18, 5, x'0a00000000000000');"
                "UPDATE box SET epoch = epoch + 1 WHERE id = 18");
    cr_assert_eq(list_anew(&c, st), 299);
    cr_expect_eq(c.listing.list[8].sequence, 11);
    listing_unmap(&c.listing);
    end(st);
}

/* Larger than a step: others have their turn in between. */
Test(serve, a_long_listing)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_run(st->db, "BEGIN");
    for (uint64_t i = 1; i <= 40000; i++)
        fixture_add(st->db, 18, i, 1000 + i, SPAN("A: b\r\n"));
    fixture_run(st->db, "COMMIT; UPDATE box SET next_seq = 40001 WHERE id = 18");
    grant(&c, st, 18);
    struct msg_box_list m = {0};
    ipc_ask_box_list(c.ch, &m, -1, 60000, on_list_answer, &c);
    for (int i = 0; i < 1000 && !c.is_answered; i++)
        turns(st, 1);
    cr_expect_eq(c.listing.n, 40000);
    ipc_close(c.ch);
    grant(&c, st, 18); /* the shelf has it now; a client that goes away while one is made */
    fixture_run(st->db, "UPDATE box SET epoch = 1 WHERE id = 18");
    ipc_close(c.ch);
    turns(st, 2);
    grant(&c, st, 18);
    ipc_ask_box_list(c.ch, &m, -1, 60000, on_list_answer, &c);
    loop_turn(st->loop, 0);
    ipc_close(c.ch);
    turns(st, 6);
    end(st);
}

Test(serve, one_listing_per_session)
{
    struct stage *st = begin(true);
    struct client c;
    grant(&c, st, 17);
    cr_expect_eq(list(&c), 0);
    list(&c);
    cr_expect(c.is_closed);
    end(st);
}

Test(serve, one_session_per_mailbox)
{
    struct stage *st = begin(true);
    struct client first, second, other, third;
    grant(&first, st, 17);
    grant(&other, st, 18);
    cr_expect_eq(first.opened, VERDICT_OK);
    cr_expect_eq(other.opened, VERDICT_OK, "another mailbox is not locked");
    grant(&second, st, 17);
    cr_expect_eq(second.opened, -1, "it waits a moment");
    for (int i = 0; i < 500 && !second.is_closed; i++)
        turns(st, 1);
    cr_expect_eq(second.opened, VERDICT_TRY_LATER);
    cr_expect_eq(second.reason, BOX_IN_USE);
    cr_expect(second.is_closed);
    grant(&third, st, 17);
    ipc_close(first.ch);
    turns(st, 4);
    cr_expect_eq(third.opened, VERDICT_OK, "the first went while the third waited");
    ipc_close(third.ch);
    ipc_close(other.ch);
    end(st);
}

/* What a device dropped is kept from its own eyes only, also in listings that are kept. */
Test(serve, devices_see_what_they_did_not_drop)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_run(st->db, "BEGIN");
    for (uint64_t i = 1; i <= 100; i++)
        fixture_add(st->db, 18, i, 1000 + i, SPAN("A: b\r\n"));
    fixture_run(st->db,
                "COMMIT; UPDATE box SET next_seq = 101 WHERE id = 18;"
                "INSERT INTO device (id, box, name) VALUES (1, 18, 'phone'), (2, 18, 'pc')");
    cr_expect_eq(list_anew_as(&c, st, 1), 100);
    cr_expect_eq(list_anew_as(&c, st, 2), 100);
    fixture_run(st->db, "INSERT INTO dropped SELECT 18, seq, 1 FROM entry WHERE seq <= 10;"
                        "UPDATE device SET epoch = 1 WHERE id = 1");
    for (int i = 0; i < 2; i++) { /* made, kept */
        cr_expect_eq(list_anew_as(&c, st, 1), 90);
        cr_expect_eq(c.listing.list[0].sequence, 11);
        cr_expect_eq(list_anew_as(&c, st, 2), 100);
        cr_expect_eq(list_anew_as(&c, st, 0), 100);
    }
    fixture_run(st->db, "INSERT INTO removal (box, at, device, sequences)"
                        " VALUES (18, 5, 2, x'0b00000000000000');"
                        "UPDATE device SET epoch = 1 WHERE id = 2");
    cr_expect_eq(list_anew_as(&c, st, 1), 90);
    cr_expect_eq(list_anew_as(&c, st, 2), 99);
    cr_expect_eq(list_anew_as(&c, st, 0), 100);
    listing_unmap(&c.listing);
    end(st);
}

Test(serve, devices_lock_their_own_view)
{
    struct stage *st = begin(true);
    struct client phone, pc, again, user;
    grant_device(&phone, st, 17, 1);
    grant_device(&pc, st, 17, 2);
    cr_expect_eq(phone.opened, VERDICT_OK);
    cr_expect_eq(pc.opened, VERDICT_OK);
    grant_device(&again, st, 17, 1);
    cr_expect_eq(again.opened, -1, "the same device");
    grant(&user, st, 17);
    cr_expect_eq(user.opened, -1, "he deletes for all");
    ipc_close(pc.ch);
    turns(st, 4);
    cr_expect(again.opened == -1 && user.opened == -1);
    ipc_close(phone.ch);
    turns(st, 4);
    cr_expect_eq(again.opened, VERDICT_OK, "it waited longest");
    cr_expect_eq(user.opened, -1);
    ipc_close(again.ch);
    turns(st, 4);
    cr_expect_eq(user.opened, VERDICT_OK);
    ipc_close(user.ch);
    end(st);
}

Test(serve, queue_hears_which_device_drops)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_add(st->db, 18, 1, 1001, SPAN("A: b\r\n"));
    grant_device(&c, st, 18, 5);
    cr_assert_eq(list(&c), 1);
    update(&c, 1, 1, 10);
    cr_expect_eq(st->removed_device, 5);
    listing_unmap(&c.listing);
    ipc_close(c.ch);
    end(st);
}

/* The end of a session costs a look at each of the others, not a look at all others for each: here
 * that would be ten thousand million steps. */
Test(serve, many_sessions_end, .timeout = 20)
{
    enum { MANY = 2200 };
    static int ends[MANY];
    struct rlimit files = {2 * MANY + 200, 2 * MANY + 200};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        cr_skip_test("not so many descriptors here");
    struct stage *st = begin(true);
    for (uint64_t i = 0; i < MANY; i++) {
        int fds[2];
        struct msg_box_grant m = {
            .box = 1000 + i, .session = 5, .address = SPAN("a@b"), .client = SPAN("c")};
        cr_assert_eq(unixsock_pair(fds), 0);
        serve_grant(st->serve, &m, fds[0]);
        ends[i] = fds[1];
    }
    for (int i = 0; i < MANY; i++)
        close(ends[i]);
    turns(st, MANY / 4);
    struct client c;
    grant(&c, st, 1000);
    cr_expect_eq(c.opened, VERDICT_OK);
    ipc_close(c.ch);
    end(st);
}

Test(serve, removes_through_queue)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_run(st->db, "BEGIN");
    for (uint64_t i = 1; i <= 4000; i++)
        fixture_add(st->db, 18, i, 1000 + i, SPAN("A: b\r\n"));
    fixture_run(st->db, "COMMIT");
    grant(&c, st, 18);
    cr_assert_eq(list(&c), 4000);
    update(&c, 1, 3990, 700);
    cr_expect(c.is_answered);
    cr_expect_eq(c.answer.box_update_re.verdict, VERDICT_OK);
    cr_expect_eq(st->removed_box, 18);
    cr_expect_eq(st->n_removed, 3990);
    cr_expect_eq(st->removed[3989], 3990);
    cr_expect_gt(st->parts, 1);
    cr_expect(st->got_last);
    st->verdict = VERDICT_TRY_LATER;
    update(&c, 3991, 3992, 700);
    cr_expect_eq(c.answer.box_update_re.verdict, VERDICT_TRY_LATER);
    ipc_close(st->to_queue);
    st->to_queue = NULL;
    update(&c, 3991, 3992, 700);
    cr_expect_eq(c.answer.box_update_re.verdict, VERDICT_TRY_LATER, "queue is down");
    ipc_close(c.ch);
    end(st);
}

/* queue dies with the question open; the lock stays until then, even if the session is gone. */
Test(serve, queue_dies)
{
    struct stage *st = begin(true);
    struct client c, next;
    fixture_add(st->db, 17, 1, 101, SPAN("A: b\r\n"));
    grant(&c, st, 17);
    list(&c);
    st->verdict = 99;
    update(&c, 1, 1, 10);
    cr_expect(!c.is_answered);
    cr_expect(serve_is_busy(st->serve));
    ipc_close(c.ch);
    turns(st, 4);
    grant(&next, st, 17);
    cr_expect_eq(next.opened, -1);
    ipc_close(st->queue);
    st->queue = NULL;
    turns(st, 4);
    cr_expect(!serve_is_busy(st->serve));
    cr_expect_eq(next.opened, VERDICT_OK);
    ipc_close(next.ch);
    end(st);
}

/* A pop3d that was taken over: each costs it its channel, and nothing reaches queue. */
static const struct {
    uint64_t first[3];
    size_t n;
    bool is_listed;
} forbidden[] = {
    {{2, 1}, 2, true},    {{1, 1}, 2, true}, {{0}, 1, true},          {{4}, 1, true},
    {{1, 2, 3}, 3, true}, {{1}, 1, false},   {{UINT64_MAX}, 1, true},
};

Test(serve, forbidden_removals)
{
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        struct stage *st = begin(true);
        struct client c;
        char octets[24];
        fixture_add(st->db, 17, 1, 101, SPAN("A: b\r\n"));
        fixture_add(st->db, 17, 3, 103, SPAN("A: b\r\n"));
        grant(&c, st, 17);
        if (forbidden[i].is_listed)
            list(&c);
        struct packer w = packer_on(octets, sizeof octets);
        for (size_t k = 0; k < forbidden[i].n; k++)
            pack_uint(&w, forbidden[i].first[k], 8);
        struct msg_box_update m = {.sequences = packer_span(&w), .is_last = 1};
        ipc_ask_box_update(c.ch, &m, -1, 1000, on_answer, &c);
        turns(st, 6);
        cr_expect(c.is_closed, "row %zu", i);
        cr_expect_eq(st->parts, 0, "row %zu", i);
        end(st);
    }
}

static void tell_retrieved(struct client *c, const uint64_t *sequences, size_t n)
{
    char octets[8 * RETRIEVED_MAX];
    struct packer w = packer_on(octets, sizeof octets);
    for (size_t i = 0; i < n; i++)
        pack_uint(&w, sequences[i], 8);
    struct msg_box_retrieved m = {.sequences = packer_span(&w)};
    ipc_send_box_retrieved(c->ch, &m, -1);
    turns(c->st, 6);
}

/* queue hears it with what was granted, also when the session is gone at once. */
Test(serve, tells_queue_what_was_retrieved)
{
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        struct stage *st = begin(true);
        struct client c;
        fixture_add(st->db, 17, 1, 101, SPAN("A: b\r\n"));
        fixture_add(st->db, 17, 3, 103, SPAN("A: b\r\n"));
        grant_device(&c, st, 17, is_gone ? 0 : 4);
        list(&c);
        if (is_gone) {
            struct msg_box_retrieved m = {.more = 7};
            ipc_send_box_retrieved(c.ch, &m, -1);
        } else {
            tell_retrieved(&c, (uint64_t[]){3, 1}, 2);
        }
        ipc_close(c.ch);
        turns(st, 6);
        cr_expect_str_eq(st->collected, is_gone ? "17 0 a@b c:" : "17 4 a@b c: 3 1");
        cr_expect_eq(st->n_collected, 1);
        end(st);
    }
}

Test(serve, queue_is_down_when_something_was_retrieved)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_add(st->db, 17, 1, 101, SPAN("A: b\r\n"));
    grant(&c, st, 17);
    list(&c);
    ipc_close(st->to_queue);
    st->to_queue = NULL;
    tell_retrieved(&c, (uint64_t[]){1}, 1);
    cr_expect(!c.is_closed);
    ipc_close(c.ch);
    end(st);
}

/* A pop3d that was taken over. */
static const struct {
    uint64_t sequences[2];
    size_t n;
    bool is_listed, is_twice;
} invented[] = {
    {{0}, 1, true, false},  {{4}, 1, true, false},
    {{1}, 1, false, false}, {{1, UINT64_MAX}, 2, true, false},
    {{1}, 1, true, true},
};

Test(serve, forbidden_reports)
{
    for (size_t i = 0; i < sizeof invented / sizeof *invented; i++) {
        struct stage *st = begin(true);
        struct client c;
        fixture_add(st->db, 17, 3, 103, SPAN("A: b\r\n"));
        grant(&c, st, 17);
        if (invented[i].is_listed)
            list(&c);
        tell_retrieved(&c, invented[i].sequences, invented[i].n);
        if (invented[i].is_twice)
            tell_retrieved(&c, invented[i].sequences, invented[i].n);
        cr_expect(c.is_closed, "row %zu", i);
        cr_expect_eq(st->n_collected, invented[i].is_twice, "row %zu", i);
        end(st);
    }
}

/* Misbehaving while a removal is under way must not leave queue's answer without its receiver. */
Test(serve, misbehaves_while_removing)
{
    struct stage *st = begin(true);
    struct client c;
    fixture_add(st->db, 17, 1, 101, SPAN("A: b\r\n"));
    grant(&c, st, 17);
    list(&c);
    st->verdict = 99;
    update(&c, 1, 1, 10);
    struct msg_box_update again = {.is_last = 1};
    ipc_ask_box_update(c.ch, &again, -1, 1000, on_answer, &c);
    turns(st, 4);
    cr_expect(c.is_closed);
    cr_expect(serve_is_busy(st->serve));
    struct msg_box_delete_re re = {.tag = st->last_tag};
    ipc_send_box_delete_re(st->queue, &re, -1);
    turns(st, 4);
    cr_expect(!serve_is_busy(st->serve));
    end(st);
}

/* --- content in files --- */

static void add_spooled(struct stage *st, uint64_t octets_in_file)
{
    char name[MAILDB_SPOOL_NAME], piece[1000];
    /* The hash is that of 200000 times 'x'. */
    fixture_run(st->db, "INSERT INTO message (id, arrived, expires, sender, client, helo, login,"
                        " size, header, flags, warned, spooled, hash, content)"
                        " VALUES (104, 1, 2, 'a@b.example', '', '', '',"
                        " 200000, 8, 0, 0, 1, x'770e023f83780f8ed806722511dd2177', NULL);"
                        "INSERT INTO entry VALUES (17, 4, 104, 200028, NULL)");
    maildb_spool_name(name, 104);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    memset(piece, 'x', sizeof piece);
    for (uint64_t at = 0; at < octets_in_file; at += sizeof piece)
        cr_assert_eq(write(fd, piece, sizeof piece), (ssize_t)sizeof piece);
    close(fd);
}

Test(serve, large_content_is_a_descriptor)
{
    struct stage *st = begin(true);
    struct client c;
    char octet;
    add_spooled(st, 200000);
    grant(&c, st, 17);
    list(&c);
    read_message(&c, 4);
    cr_expect_eq(c.answer.box_read_re.verdict, VERDICT_OK);
    cr_expect_eq(c.answer.box_read_re.octets, 200000);
    cr_expect_eq(c.n_octets, 0);
    cr_assert(c.fd >= 0);
    cr_expect_eq(pread(c.fd, &octet, 1, 199999), 1);
    cr_expect_eq(fcntl(c.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(c.fd);
    ipc_close(c.ch);
    end(st);
}

static size_t n_descriptors(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 20000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Answers that nobody takes hold no descriptors but those that are in the socket. */
Test(serve, answers_that_are_not_taken)
{
    struct stage *st = begin(true);
    struct client c;
    add_spooled(st, 200000);
    grant(&c, st, 17);
    list(&c);
    size_t before = n_descriptors();
    ipc_pause(c.ch, true);
    for (int i = 0; i < 3000; i++) {
        struct msg_box_read m = {.sequence = 4};
        ipc_ask_box_read(c.ch, &m, -1, 1000, on_read_answer, &c);
    }
    turns(st, 100);
    cr_expect_leq(n_descriptors(), before + 2, "%zu descriptors", n_descriptors() - before);
    ipc_close(c.ch);
    turns(st, 4);
    end(st);
}

/* A file of the right size, in which the disk turned one bit. */
static void one_octet_elsewhere(const char *name)
{
    cr_assert_eq(rename("elsewhere", name), 0);
    int fd = open(name, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "y", 1, 123456), 1);
    close(fd);
}

Test(serve, damaged_files_are_could_not)
{
    char name[MAILDB_SPOOL_NAME];
    maildb_spool_name(name, 104);
    for (int damage = 0; damage < 5; damage++) {
        struct stage *st = begin(true);
        struct client c;
        add_spooled(st, damage == 0 ? 199000 : 200000);
        if (damage >= 1)
            cr_assert_eq(rename(name, "elsewhere"), 0);
        if (damage == 4)
            one_octet_elsewhere(name);
        if (damage == 2)
            cr_assert_eq(symlink("../elsewhere", name), 0);
        if (damage == 3)
            cr_assert_eq(mkfifo(name, 0600), 0);
        grant(&c, st, 17);
        list(&c);
        read_message(&c, 4);
        cr_assert(c.is_answered);
        cr_expect_eq(c.answer.box_read_re.verdict, VERDICT_TRY_LATER, "damage %d", damage);
        cr_expect_eq(c.fd, -1);
        ipc_close(c.ch);
        end(st);
    }
}

Test(serve, no_store_yet)
{
    struct stage *st = begin(false);
    struct client c;
    grant(&c, st, 17);
    cr_expect_eq(c.opened, VERDICT_TRY_LATER);
    cr_expect_eq(c.reason, BOX_FAULT);
    cr_expect(c.is_closed);
    st->db = fixture_open_writer();
    grant(&c, st, 17);
    cr_expect_eq(c.opened, VERDICT_OK);
    cr_expect_eq(list(&c), 0);
    ipc_close(c.ch);
    end(st);
}

Test(serve, login_delay)
{
    struct stage *st = begin(true);
    struct client a, b;
    const struct serve_settings set = {.retention_ms = DURATION_NONE, .login_delay_ms = 10000};
    clock_fake(1000000, 0);
    serve_set(st->serve, &set);
    grant(&a, st, 17);
    cr_expect_eq(a.opened, VERDICT_OK);
    ipc_close(a.ch);
    turns(st, 2);
    clock_fake(1009999, 0);
    grant(&a, st, 17);
    cr_expect_eq(a.opened, VERDICT_TRY_LATER);
    cr_expect_eq(a.reason, BOX_TOO_SOON);
    ipc_close(a.ch);
    grant(&b, st, 18); /* another mailbox */
    cr_expect_eq(b.opened, VERDICT_OK);
    ipc_close(b.ch);
    clock_fake(1010000, 0); /* a refused login does not count */
    grant(&a, st, 17);
    cr_expect_eq(a.opened, VERDICT_OK);
    cr_expect_eq(a.expire_days, 0);
    ipc_close(a.ch);
    end(st);
}

Test(serve, expire_is_that_of_the_user_or_his_domain)
{
    struct stage *st = begin(true);
    const struct serve_settings set = {.retention_ms = 30 * INT64_C(86400000),
                                       .retention_least_ms = 7 * INT64_C(86400000),
                                       .login_delay_ms = DURATION_NONE};
    static const struct {
        const char *sql;
        uint64_t days;
    } rows[] = {{"DELETE FROM keep", 30},
                {"INSERT INTO keep VALUES (5, 864000)", 30}, /* another domain */
                {"INSERT INTO keep VALUES (6, 864000)", 10},
                {"UPDATE box SET retention = 691200", 8},
                {"UPDATE box SET retention = 4294967295", 0}};
    serve_set(st->serve, &set);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client c;
        fixture_run(st->db, rows[i].sql);
        grant(&c, st, 17);
        cr_expect_eq(c.opened, VERDICT_OK);
        cr_expect_eq(c.expire_days, rows[i].days, "%s: %d", rows[i].sql, (int)c.expire_days);
        ipc_close(c.ch);
        turns(st, 2);
    }
    end(st);
}
