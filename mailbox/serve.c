#include "mailbox/serve.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/maildb.h"
#include "common/pack.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "mailbox/delay.h"
#include "mailbox/prefix.h"
#include "mailbox/shelf.h"
#include "mailbox/spool.h"
#include "mailbox/verify.h"

#define DAY_S       (24 * 60 * 60)
#define BACKLOG_MAX (1U << 20) /* for queue, with which it is told nothing that can be left */

/* Messages to be removed, collected until the last part came. */
struct update {
    uint64_t tag;
    uint64_t *list;
    size_t n, cap;
    uint64_t asked; /* the question to queue */
    bool is_begun;
    bool is_running; /* it is open */
};

/* A large message on its way out. */
struct reading {
    struct verify *verify; /* NULL: none */
    int fd;
    uint64_t tag;
    struct store_message m;
    char sender[ADDRESS_MAX + 1];
};

/* One granted channel. */
struct access {
    struct access *next;
    struct serve *serve;
    struct ipc *ch; /* NULL: closed, but its removal is under way */
    uint64_t box, session;
    uint64_t device; /* whose view of it; 0: the user's, which is all of it */
    uint64_t domain; /* of the user */
    char address[ADDRESS_MAX + 1], client[IP_MAX + 1];
    struct store_box look; /* what was in it when it was opened */
    struct store_hidden hidden;
    struct shelf_work work; /* while is_listing */
    struct timer step;      /* of it */
    uint64_t list_tag;
    bool has_listed, is_listing;
    uint64_t listed_to; /* the last sequence number given out */
    uint64_t n_listed;
    bool holds_lock;
    bool has_told; /* what was retrieved */
    struct timer wait;
    struct update update;
    struct reading reading;
};

struct serve {
    struct loop *loop;
    struct store *store;
    struct ipc *(*queue)(void *owner);
    void *owner;
    struct serve_settings set;
    struct delay *delay;
    struct shelf *shelf;
    struct access *first; /* in the order in which they came */
};

/* --- lock --- */

static bool is_locked_for(const struct access *who)
{
    for (const struct access *a = who->serve->first; a != NULL; a = a->next)
        if (a->box == who->box && a->holds_lock &&
            (a->device == who->device || a->device == 0 || who->device == 0))
            return true;
    return false;
}

static void unlink_access(struct access *a)
{
    struct access **at = &a->serve->first;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
}

static void reading_end(struct reading *r);

static void end_work(struct access *a)
{
    timer_stop(&a->step);
    if (a->is_listing)
        shelf_work_end(&a->work);
    a->is_listing = false;
}

static void access_free(struct access *a)
{
    unlink_access(a);
    timer_stop(&a->wait);
    reading_end(&a->reading);
    ipc_close(a->ch);
    end_work(a);
    store_hidden_free(&a->hidden);
    free(a->update.list);
    free(a);
}

static uint64_t expire_days(const struct access *a)
{
    struct maildb_retention r = {.own = a->look.retention_s,
                                 .domain = a->look.keep_s,
                                 .all_ms = a->serve->set.retention_ms,
                                 .least_ms = a->serve->set.retention_least_ms};
    return maildb_retention_s(&r) / DAY_S;
}

static void say_opened(struct access *a, enum verdict verdict, enum box_reason reason)
{
    struct msg_box_opened m = {.verdict = (uint8_t)verdict, .reason = (uint8_t)reason};
    if (verdict == VERDICT_OK)
        m.expire_days = expire_days(a);
    ipc_send_box_opened(a->ch, &m, -1);
}

static enum box_reason open_box(struct access *a)
{
    struct serve *v = a->serve;
    struct store_view view = {a->box, a->device, a->domain};
    uint64_t who = (a->device << 32) + a->box; /* a device does not delay others */
    int64_t now = clock_mono_ms(), delay = v->set.login_delay_ms;
    if (delay != DURATION_NONE && !delay_is_over(v->delay, who, now, delay))
        return BOX_TOO_SOON;
    if (store_look(v->store, &view, &a->look) < 0 || store_hidden(v->store, &view, &a->hidden) < 0)
        return BOX_FAULT;
    delay_opened(v->delay, who, now);
    return BOX_OK;
}

/* false: it could not be opened; that was said, and `a` is gone. */
static bool take_lock(struct access *a)
{
    timer_stop(&a->wait);
    enum box_reason reason = open_box(a);
    if (reason != BOX_OK) {
        say_opened(a, VERDICT_TRY_LATER, reason);
        access_free(a);
        return false;
    }
    a->holds_lock = true;
    stats_count(STAT_BOXES_OPENED);
    say_opened(a, VERDICT_OK, BOX_OK);
    return true;
}

/* Ends a channel; who waited longest for its mailbox gets it, and others that it leaves room for.
 * While a removal is under way the lock stays, so that nobody is shown what is about to go;
 * `deleted` comes here again. */
static void drop(struct access *a)
{
    struct serve *v = a->serve;
    uint64_t box = a->box;
    bool is_free = a->holds_lock;
    if (a->update.is_running) {
        ipc_close(a->ch);
        a->ch = NULL;
        return;
    }
    access_free(a);
    for (struct access *w = is_free ? v->first : NULL, *next; w != NULL; w = next) {
        next = w->next;
        if (w->box == box && !w->holds_lock && !is_locked_for(w))
            take_lock(w);
    }
}

static void waited_long_enough(void *arg)
{
    struct access *a = arg;
    say_opened(a, VERDICT_TRY_LATER, BOX_IN_USE);
    access_free(a);
}

static void misbehaved(struct access *a, const char *what)
{
    LOG(a->session, "channel-closed", LZ("because", what), LN("box", (int64_t)a->box));
    drop(a);
}

/* Who does not take its answers is not listened to: each may hold a page or a descriptor. */
static void keep_pace(struct ipc *ch)
{
    ipc_pause(ch, ipc_backlog(ch) > 0);
}

/* --- list --- */

static void send_listing(struct access *a, const struct shelf_item *item)
{
    struct msg_box_list_re re = {
        .tag = a->list_tag, .verdict = VERDICT_OK, .n = item->n, .text = item->text_n};
    a->listed_to = item->last;
    a->n_listed = item->n;
    ipc_send_box_list_re(a->ch, &re, item->fd);
    keep_pace(a->ch);
}

static void step_listing(void *arg)
{
    struct access *a = arg;
    int rc = shelf_work_step(&a->work, a->serve->store);
    if (rc > 0) {
        timer_set(&a->step, 0);
        return;
    }
    if (rc == 0) {
        shelf_keep(a->serve->shelf, &a->work.item);
        send_listing(a, &a->work.item);
    } else {
        struct msg_box_list_re re = {.tag = a->list_tag, .verdict = VERDICT_TRY_LATER};
        ipc_send_box_list_re(a->ch, &re, -1);
    }
    end_work(a);
}

static void on_list(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct access *a = owner;
    (void)from, (void)fd;
    if (!a->holds_lock || a->has_listed) {
        misbehaved(a, "list out of order");
        return;
    }
    a->has_listed = true;
    a->list_tag = m->box_list.tag;
    const struct shelf_item *known = shelf_find(a->serve->shelf, a->box, &a->look);
    if (known != NULL && known->look.limit == a->look.limit) {
        send_listing(a, known);
        return;
    }
    a->is_listing = true;
    a->work.failed = shelf_work_begin(&a->work, a->box, &a->look, &a->hidden, known) < 0;
    step_listing(a);
}

/* --- read --- */

static void send_content(struct ipc *to, uint64_t tag, const struct store_message *m, int fd)
{
    char prefix[PREFIX_MAX];
    struct msg_box_read_re re = {.tag = tag,
                                 .verdict = VERDICT_OK,
                                 .octets = m->octets,
                                 .header = m->header,
                                 .flags = m->flags,
                                 .prefix = prefix_make(prefix, m),
                                 .content = m->content};
    ipc_send_box_read_re(to, &re, fd);
}

static void send_failure(struct ipc *to, uint64_t tag, enum verdict v)
{
    struct msg_box_read_re re = {.tag = tag, .verdict = (uint8_t)v};
    ipc_send_box_read_re(to, &re, -1);
}

static void reading_end(struct reading *r)
{
    verify_cancel(r->verify);
    if (r->fd >= 0)
        close(r->fd);
    *r = (struct reading){.fd = -1};
}

static void was_verified(void *arg, bool is_right)
{
    struct access *a = arg;
    struct reading *r = &a->reading;
    r->verify = NULL;
    if (is_right) {
        r->m.sender = span_of(r->sender);
        send_content(a->ch, r->tag, &r->m, r->fd);
    } else {
        LOG(r->m.id, "damaged", LZ("content", "is not what was accepted"),
            LN("box", (int64_t)a->box));
        send_failure(a->ch, r->tag, VERDICT_TRY_LATER);
    }
    reading_end(r);
    keep_pace(a->ch);
}

/* A file is compared with its hash first; until then nothing else on this channel is answered. */
static int begin_reading(struct access *a, uint64_t tag, const struct store_message *m)
{
    struct reading *r = &a->reading;
    *r = (struct reading){.fd = spool_open(m->id, m->octets), .tag = tag, .m = *m};
    if (r->fd < 0 || span_copy(r->sender, sizeof r->sender, m->sender) < 0)
        return -1;
    struct verify_file f = {.fd = r->fd, .octets = m->octets};
    memcpy(f.hash, m->hash, sizeof f.hash);
    r->verify = verify_begin(a->serve->loop, &f, was_verified, a);
    return r->verify != NULL ? 0 : -1;
}

static void on_read(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct access *a = owner;
    struct store *st = a->serve->store;
    struct store_message found;
    uint64_t tag = m->box_read.tag, sequence = m->box_read.sequence;
    (void)fd;
    if (!a->holds_lock || sequence == 0 || sequence > a->listed_to) {
        misbehaved(a, "read of what was not listed");
        return;
    }
    enum store_found rc = store_read(st, a->box, sequence, &found);
    if (rc != STORE_FOUND) {
        send_failure(from, tag, rc == STORE_ABSENT ? VERDICT_NEVER : VERDICT_TRY_LATER);
    } else if (!found.is_spooled) {
        send_content(from, tag, &found, -1);
    } else if (begin_reading(a, tag, &found) < 0) {
        reading_end(&a->reading);
        send_failure(from, tag, VERDICT_TRY_LATER);
    }
    if (rc == STORE_FOUND)
        store_done(st);
    if (a->reading.verify != NULL)
        ipc_pause(from, true);
    else
        keep_pace(from);
}

/* --- remove --- */

static void answer_update(struct access *a, enum verdict verdict)
{
    struct msg_box_update_re re = {.tag = a->update.tag, .verdict = (uint8_t)verdict};
    free(a->update.list);
    a->update = (struct update){0};
    if (a->ch == NULL)
        drop(a);
    else
        ipc_send_box_update_re(a->ch, &re, -1);
}

static void deleted(void *arg, const union msg *answer, int fd)
{
    struct access *a = arg;
    (void)fd;
    unsigned v = answer != NULL ? answer->box_delete_re.verdict : VERDICT_TRY_LATER;
    answer_update(a, v == VERDICT_OK ? VERDICT_OK : VERDICT_TRY_LATER);
}

/* One part; the first one is the question. 0, or -1. */
static int send_part(struct access *a, struct ipc *queue, struct msg_box_delete *m)
{
    if (m->tag != 0)
        return ipc_send_box_delete(queue, m, -1);
    a->update.asked = ipc_ask_box_delete(queue, m, -1, DELETE_MS, deleted, a);
    return a->update.asked != 0 ? 0 : -1;
}

/* Without its last part queue removes nothing, so a failure on the way is safe. */
static int send_delete(struct access *a)
{
    char octets[LIST_MAX];
    struct ipc *queue = a->serve->queue(a->serve->owner);
    struct msg_box_delete m = {.box = a->box,
                               .session = a->session,
                               .device = a->device,
                               .address = span_of(a->address),
                               .client = span_of(a->client)};
    for (size_t i = 0; i < a->update.n;) {
        struct packer w = packer_on(octets, sizeof octets);
        while (i < a->update.n && w.n + 8 <= w.cap)
            pack_uint(&w, a->update.list[i++], 8);
        m.sequences = packer_span(&w);
        m.is_last = i == a->update.n;
        if (send_part(a, queue, &m) < 0) {
            ipc_cancel(queue, m.tag);
            return -1;
        }
    }
    return 0;
}

static void finish_update(struct access *a)
{
    if (a->update.n == 0) {
        answer_update(a, VERDICT_OK);
    } else if (send_delete(a) < 0) {
        answer_update(a, VERDICT_TRY_LATER);
    } else {
        a->update.is_running = true;
        free(a->update.list);
        a->update.list = NULL;
    }
}

/* Ascending, so that none comes twice, and not more than were listed. NULL, or what is wrong. */
static const char *collect(struct access *a, struct span sequences)
{
    struct update *u = &a->update;
    struct unpacker r = unpacker_on(sequences);
    while (r.left.n > 0) {
        uint64_t sequence = unpack_uint(&r, 8);
        uint64_t last = u->n > 0 ? u->list[u->n - 1] : 0;
        if (r.failed || sequence <= last || sequence > a->listed_to || u->n >= a->n_listed)
            return "removal of what was not listed";
        if (array_reserve((void **)&u->list, &u->cap, u->n + 1, sizeof *u->list) < 0)
            return "no memory";
        u->list[u->n++] = sequence;
    }
    return NULL;
}

static void on_update(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct access *a = owner;
    struct update *u = &a->update;
    (void)from, (void)fd;
    if (!a->holds_lock || u->is_running || (u->is_begun && u->tag != m->box_update.tag)) {
        misbehaved(a, "removal out of order");
        return;
    }
    u->is_begun = true;
    u->tag = m->box_update.tag;
    const char *wrong = collect(a, m->box_update.sequences);
    if (wrong != NULL)
        misbehaved(a, wrong);
    else if (m->box_update.is_last)
        finish_update(a);
}

/* --- what was retrieved --- */

static bool were_listed(const struct access *a, struct span sequences)
{
    struct unpacker r = unpacker_on(sequences);
    while (r.left.n > 0) {
        uint64_t sequence = unpack_uint(&r, 8);
        if (r.failed || sequence == 0 || sequence > a->listed_to)
            return false;
    }
    return true;
}

/* Nobody waits for it: if queue is down or far behind, it is not remembered. */
static void on_retrieved(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct access *a = owner;
    struct ipc *queue = a->serve->queue(a->serve->owner);
    const struct msg_box_retrieved *r = &m->box_retrieved;
    (void)from, (void)fd;
    if (!a->holds_lock || a->has_told || !were_listed(a, r->sequences)) {
        misbehaved(a, "retrieved what was not listed");
        return;
    }
    a->has_told = true;
    struct msg_box_collected told = {.box = a->box,
                                     .session = a->session,
                                     .device = a->device,
                                     .address = span_of(a->address),
                                     .client = span_of(a->client),
                                     .sequences = r->sequences,
                                     .more = r->more};
    if (queue != NULL && ipc_backlog(queue) < BACKLOG_MAX)
        ipc_send_box_collected(queue, &told, -1);
}

/* --- the channel --- */

static void on_close(void *owner, struct ipc *ch)
{
    (void)ch;
    drop(owner);
}

static void on_drain(void *owner, struct ipc *ch)
{
    struct access *a = owner;
    ipc_pause(ch, a->reading.verify != NULL);
}

static const struct ipc_handler handlers[] = {
    {MSG_BOX_LIST, on_list},
    {MSG_BOX_READ, on_read},
    {MSG_BOX_UPDATE, on_update},
    {MSG_BOX_RETRIEVED, on_retrieved},
};
static const struct ipc_ops ops = {
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .on_close = on_close,
    .on_drain = on_drain,
};

void serve_grant(struct serve *v, const struct msg_box_grant *m, int fd)
{
    struct access *a = calloc(1, sizeof *a);
    if (a == NULL) {
        close(fd);
        return;
    }
    *a = (struct access){.serve = v,
                         .box = m->box,
                         .session = m->session,
                         .device = m->device,
                         .domain = m->domain <= INT64_MAX ? m->domain : 0,
                         .reading = {.fd = -1}};
    span_copy(a->address, sizeof a->address, m->address);
    span_copy(a->client, sizeof a->client, m->client);
    timer_init(&a->wait, v->loop, waited_long_enough, a);
    timer_init(&a->step, v->loop, step_listing, a);
    a->ch = ipc_open(v->loop, fd, ROLE_MAILBOX, ROLE_POP3D, &ops, a);
    if (a->ch == NULL) {
        free(a);
        return;
    }
    struct access **at = &v->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = a;
    if (is_locked_for(a))
        timer_set(&a->wait, LOCK_WAIT_MS);
    else
        take_lock(a);
}

bool serve_is_busy(const struct serve *v)
{
    for (const struct access *a = v->first; a != NULL; a = a->next)
        if (a->update.is_running)
            return true;
    return false;
}

struct serve *serve_new(struct loop *loop, struct store *store, struct ipc *(*queue)(void *owner),
                        void *owner)
{
    struct serve *v = calloc(1, sizeof *v);
    struct delay *delay = delay_new();
    struct shelf *shelf = shelf_new();
    if (v == NULL || delay == NULL || shelf == NULL) {
        free(v);
        delay_free(delay);
        shelf_free(shelf);
        return NULL;
    }
    *v = (struct serve){
        .loop = loop,
        .store = store,
        .queue = queue,
        .owner = owner,
        .set = {.retention_ms = DURATION_NONE,
                .retention_least_ms = DURATION_NONE,
                .login_delay_ms = DURATION_NONE},
        .delay = delay,
        .shelf = shelf,
    };
    return v;
}

void serve_set(struct serve *v, const struct serve_settings *set)
{
    v->set = *set;
}

struct store *serve_store(const struct serve *v)
{
    return v->store;
}

void serve_free(struct serve *v)
{
    if (v == NULL)
        return;
    while (v->first != NULL) {
        if (v->first->update.is_running)
            ipc_cancel(v->queue(v->owner), v->first->update.asked);
        access_free(v->first);
    }
    delay_free(v->delay);
    shelf_free(v->shelf);
    free(v);
}
