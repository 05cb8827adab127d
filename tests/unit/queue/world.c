#include "world.h"

#include "common/admin.h"
#include "common/unixsock.h"
#include "queue/boxes.h"
#include "queue/chronicle.h"
#include "queue/control.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/stat.h>

unsigned char world_key[SEAL_KEY_OCTETS] = "0123456789abcdef0123456789abcdef";

/* --- the queue's ends --- */

#define FORWARD(name, call)                                                                        \
    static void name(void *owner, struct ipc *from, const union msg *m, int fd)                    \
    {                                                                                              \
        struct world *w = owner;                                                                   \
        (void)from;                                                                                \
        call;                                                                                      \
        if (fd >= 0)                                                                               \
            close(fd);                                                                             \
    }
FORWARD(q_open, intake_open(w->q, from, &m->queue_open, fd))
FORWARD(q_more, intake_more(w->q, from, &m->queue_more))
FORWARD(q_abort, intake_abort(w->q, from, &m->queue_abort))
FORWARD(q_room, intake_room(w->q, from, &m->queue_room))
FORWARD(q_delete, boxes_delete(w->q, from, &m->box_delete))
FORWARD(q_collected, chronicle_collected(w->q, &m->box_collected))
FORWARD(q_forget, boxes_forget(w->q, from, &m->box_forget))
FORWARD(q_devices, devices_set(w->q, from, &m->box_devices))
FORWARD(q_import, intake_import(w->q, from, &m->import_open))
FORWARD(q_admin, control_run(w->q, from, &m->admin))

static const struct ipc_handler q_handlers[] = {
    {MSG_QUEUE_OPEN, q_open},         {MSG_QUEUE_MORE, q_more},     {MSG_QUEUE_ABORT, q_abort},
    {MSG_BOX_DELETE, q_delete},       {MSG_BOX_FORGET, q_forget},   {MSG_ADMIN, q_admin},
    {MSG_QUEUE_ROOM, q_room},         {MSG_BOX_DEVICES, q_devices}, {MSG_IMPORT_OPEN, q_import},
    {MSG_BOX_COLLECTED, q_collected},
};

static void q_closed(void *owner, struct ipc *ch)
{
    struct world *w = owner;
    queue_peer_down(w->q, ipc_peer(ch), ch);
    ipc_close(ch);
}

static const struct ipc_ops q_ops = {
    .handlers = q_handlers,
    .n_handlers = sizeof q_handlers / sizeof q_handlers[0],
    .on_close = q_closed,
};

/* --- the stand-ins --- */

static void note_answer(struct world *w, const struct msg_queue_open_re *m)
{
    cr_assert_leq(m->each.n, sizeof w->each);
    w->each_n = m->each.n;
    if (m->each.n > 0)
        memcpy(w->each, m->each.p, m->each.n);
    w->answers[w->n_answers++] = *m;
}

static void got_answer(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct world *w = owner;
    note_answer(w, &m->queue_open_re);
}

static void got_job(void *owner, struct ipc *from, const union msg *m, int fd)
{
    struct world *w = owner;
    struct world_job *j = &w->jobs[w->n_jobs++];
    *j = (struct world_job){.ch = from,
                            .tag = m->relay_job.tag,
                            .id = m->relay_job.id,
                            .size = m->relay_job.size,
                            .ret = m->relay_job.ret,
                            .expects_tls = m->relay_job.expects_tls,
                            .is_callout = m->relay_job.is_callout,
                            .had_fd = fd >= 0};
    span_copy(j->envid, sizeof j->envid, m->relay_job.envid);
    span_copy(j->sender, sizeof j->sender, m->relay_job.sender);
    span_copy(j->domain, sizeof j->domain, m->relay_job.domain);
    struct unpacker in = unpacker_on(m->relay_job.rcpts);
    while (in.left.n > 0 && j->n < RELAY_RCPTS_MAX) {
        j->numbers[j->n] = (uint32_t)unpack_uint(&in, 4);
        span_copy(j->rcpts[j->n], ADDRESS_MAX + 1, unpack_text(&in, ADDRESS_MAX));
        j->notify[j->n] = (uint8_t)unpack_uint(&in, 1);
        span_copy(j->orcpt[j->n++], ORCPT_MAX + 1, unpack_text(&in, ORCPT_MAX));
    }
    cr_assert(!in.failed);
    j->content = malloc(j->size + 1);
    j->content_n = m->relay_job.content.n;
    if (fd < 0) {
        memcpy(j->content, m->relay_job.content.p, j->content_n);
    } else {
        j->content_n = (size_t)pread(fd, j->content, j->size, 0);
        cr_assert_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        close(fd);
    }
    j->content[j->content_n] = '\0';
}

static void got_resolve(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct world *w = owner;
    w->asked_tags[w->n_asked] = m->resolve.tag;
    span_copy(w->asked[w->n_asked++], ADDRESS_MAX + 1, m->resolve.address);
}

static void got_ticket(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct world *w = owner;
    cr_assert(span_eq(m->ticket.ticket, SPAN("0123456789abcdef")));
    w->ticket = m->ticket;
}

static void got_forward(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct world *w = owner;
    struct msg_forward_re re = {.tag = m->forward.tag,
                                .verdict = (uint8_t)w->forward_verdict,
                                .sender = w->forward_as != NULL ? span_of(w->forward_as)
                                                                : m->forward.sender};
    w->n_forwards++;
    span_copy(w->forward_rcpt, sizeof w->forward_rcpt, m->forward.rcpt);
    ipc_send_forward_re(from, &re, -1);
}

static void got_box_domain(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct world *w = owner;
    uint64_t domain = m->box_domain.box < 16 ? w->domains[m->box_domain.box] : 0;
    struct msg_box_domain_re re = {.tag = m->box_domain.tag,
                                   .verdict = w->is_authd_lost ? VERDICT_TRY_LATER
                                              : domain != 0    ? VERDICT_OK
                                                               : VERDICT_NEVER,
                                   .domain = domain};
    w->n_domains_asked++;
    ipc_send_box_domain_re(from, &re, -1);
}

static void __attribute__((format(printf, 2, 3))) print(struct world *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(w->rows + w->rows_n, sizeof w->rows - w->rows_n, fmt, ap);
    va_end(ap);
    cr_assert(n >= 0 && w->rows_n + (size_t)n < sizeof w->rows);
    w->rows_n += (size_t)n;
}

static void got_row(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct world *w = owner;
    struct unpacker in = unpacker_on(m->admin_row.fields);
    struct column c;
    print(w, "%u", m->admin_row.depth);
    while (column_next(&in, &c)) {
        print(w, " %.*s=", (int)c.name.n, c.name.p);
        if (c.type == COLUMN_TEXT)
            print(w, "%.*s", (int)c.text.n, c.text.p);
        else
            print(w, "%lld", (long long)c.number);
    }
    cr_assert(!in.failed);
    print(w, "\n");
}

static void got_admin_re(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct world *w = owner;
    w->admin_re = m->admin_re;
    span_copy(w->admin_error, sizeof w->admin_error, m->admin_re.error);
    w->has_admin_re = true;
}

static const struct ipc_handler our_handlers[] = {
    {MSG_RELAY_JOB, got_job},   {MSG_RESOLVE, got_resolve}, {MSG_TICKET, got_ticket},
    {MSG_FORWARD, got_forward}, {MSG_ADMIN_ROW, got_row},   {MSG_BOX_DOMAIN, got_box_domain},
};

static void our_closed(void *owner, struct ipc *ch)
{
    (void)owner;
    ipc_close(ch);
}

static const struct ipc_ops our_ops = {
    .handlers = our_handlers,
    .n_handlers = sizeof our_handlers / sizeof our_handlers[0],
    .on_close = our_closed,
};

static void join(struct world *w, enum role role, const struct ipc_ops *ops, struct ipc **ours,
                 struct ipc **queues)
{
    int fds[2];
    cr_assert_eq(unixsock_pair(fds), 0);
    *queues = ipc_open(w->loop, fds[0], ROLE_QUEUE, role, &q_ops, w);
    *ours = ipc_open(w->loop, fds[1], role, ROLE_QUEUE, ops, w);
    cr_assert(*ours != NULL && *queues != NULL);
    queue_peer_up(w->q, role, *queues);
}

static void open_queue(struct world *w)
{
    struct error e;
    w->q = queue_open(w->loop, w->config, &e);
    cr_assert(w->q != NULL, "%s", e.text);
    queue_set_key(w->q, &(struct msg_seal_key){{(const char *)world_key, sizeof world_key}});
    join(w, ROLE_SMTPD, &our_ops, &w->smtpd, &w->q_smtpd);
    join(w, ROLE_RELAY, &our_ops, &w->relay, &w->q_relay);
    join(w, ROLE_AUTHD, &our_ops, &w->authd, &w->q_authd);
    join(w, ROLE_MAILBOX, &our_ops, &w->mailbox, &w->q_mailbox);
    join(w, ROLE_CLI, &our_ops, &w->cli, &w->q_cli);
    world_pump(w);
}

static void close_queue(struct world *w)
{
    struct ipc *all[] = {w->smtpd,   w->relay,   w->authd,   w->mailbox,   w->cli,
                         w->q_smtpd, w->q_relay, w->q_authd, w->q_mailbox, w->q_cli};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ipc_close(all[i]);
    if (w->policy != NULL) {
        ipc_close(w->policy);
        ipc_close(w->q_policy);
        w->policy = NULL;
    }
    w->q->relay = w->q->authd = w->q->policy = NULL;
    queue_close(w->q);
}

void world_begin(struct world *w, const char *config_text)
{
    struct config_problems problems = {0};
    char text[2000];
    memset(w, 0, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/queue-test-XXXXXX");
    cr_assert(mkdtemp(w->dir) != NULL);
    cr_assert_eq(chdir(w->dir), 0);
    w->now_s = WORLD_START_S;
    clock_fake(1000000, w->now_s * 1000);
    id_set_maker(1); /* then 1000 of a moment are different, and the clock stands still */
    snprintf(text, sizeof text,
             "hostname = mx.example.org\nstate_dir = %s\nrun_dir = %s\n[listen smtp]\n"
             "address = 127.0.0.1:2525\n[relay]\nallow_from = 127.0.0.0/8\n%s",
             w->dir, w->dir, config_text);
    w->config = config_parse(span_of(text), "test", &problems);
    cr_assert(w->config != NULL, "%s", problems.n > 0 ? problems.list[0].text : "");
    config_problems_free(&problems);
    w->loop = loop_new();
    open_queue(w);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void world_end(struct world *w)
{
    close_queue(w);
    for (size_t i = 0; i < w->n_jobs; i++)
        free(w->jobs[i].content);
    loop_free(w->loop);
    config_free(w->config);
    cr_assert_eq(chdir("/"), 0);
    nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void world_restart(struct world *w)
{
    close_queue(w);
    open_queue(w);
}

void world_restart_older(struct world *w, const char *sql)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open("mail.db", &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    world_restart(w);
    cr_expect_eq(world_count(w, "PRAGMA user_version"), MAILDB_VERSION);
}

void world_join_policy(struct world *w, const struct ipc_handler *handlers, size_t n)
{
    static struct ipc_ops ops;
    ops = (struct ipc_ops){.handlers = handlers, .n_handlers = n, .on_close = our_closed};
    join(w, ROLE_POLICY, &ops, &w->policy, &w->q_policy);
}

void world_leave_policy(struct world *w)
{
    ipc_close(w->policy);
    w->policy = NULL;
    world_pump(w); /* q_closed */
}

void world_relay_dies(struct world *w)
{
    ipc_close(w->relay);
    w->relay = NULL;
    world_pump(w);
    w->q_relay = NULL;
    cr_assert(w->q->relay == NULL);
}

void world_relay_comes(struct world *w)
{
    join(w, ROLE_RELAY, &our_ops, &w->relay, &w->q_relay);
}

void world_pump(struct world *w)
{
    for (int i = 0; i < 12; i++) {
        loop_turn(w->loop, 0);
        queue_turn(w->q);
    }
}

void world_pass(struct world *w, int64_t seconds)
{
    w->now_s += seconds;
    clock_fake(1000000, w->now_s * 1000);
    schedule_look(w->q);
    trash_look(w->q);
    world_pump(w);
}

void world_rcpt(struct packer *p, const char *address, const uint64_t *boxes, uint64_t quota)
{
    static struct sealer s;
    struct rcpt r = {.address = span_of(address), .sealed = SPAN("")};
    if (boxes != NULL) {
        seal_begin(&s, r.address, clock_wall_s());
        for (; *boxes != 0; boxes++)
            seal_target(&s,
                        &(struct target){
                            .is_local = true, .box = *boxes, .quota = quota, .address = r.address});
        r.sealed = seal_end(&s, world_key);
    }
    rcpt_pack(p, &r);
}

/* "owner-list@example.org:x@far.example", or without an owner. */
static void seal_elsewhere(struct sealer *s, const char *text)
{
    struct span rest = span_of(text), first = span_cut(&rest, ':');
    struct target t = {.address = rest.p != NULL ? rest : first,
                       .owner = rest.p != NULL ? first : SPAN("")};
    seal_target(s, &t);
}

void world_rcpt_asking(struct packer *p, const struct rcpt *asks, const uint64_t *boxes,
                       const char *const *elsewhere)
{
    static struct sealer s;
    struct rcpt r = *asks;
    seal_begin(&s, r.address, clock_wall_s());
    for (; *boxes != 0; boxes++)
        seal_target(&s, &(struct target){
                            .is_local = true, .box = *boxes, .quota = 0, .address = r.address});
    for (; *elsewhere != NULL; elsewhere++)
        seal_elsewhere(&s, *elsewhere);
    r.sealed = seal_end(&s, world_key);
    rcpt_pack(p, &r);
}

static void answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct world *w = arg;
    if (m != NULL)
        got_answer(w, NULL, m, -1);
}

uint64_t world_send(struct world *w, const char *from, struct span rcpts, const char *content)
{
    struct msg_queue_open m = {.id = id_new(),
                               .session = id_new(),
                               .sender = span_of(from),
                               .client = SPAN("127.0.0.1"),
                               .helo = SPAN("client.example"),
                               .rcpts = rcpts,
                               .content = span_of(content),
                               .ret = w->ret,
                               .envid = w->envid != NULL ? span_of(w->envid) : SPAN(""),
                               .hold_until = (uint64_t)w->hold_until,
                               .hold_request = span_of(w->hold_until != 0 ? "for;3600" : ""),
                               .is_each = w->is_each,
                               .ticket = w->hold_until != 0 ? SPAN("0123456789abcdef") : SPAN(""),
                               .is_last = 1};
    cr_assert_neq(ipc_ask_queue_open(w->smtpd, &m, -1, 60000, answered, w), 0);
    return m.id;
}

uint64_t world_send_local(struct world *w, const char *from, uint64_t box, const char *content)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, "user@example.org", (uint64_t[]){box, 0}, 0);
    return world_send(w, from, packer_span(&p), content);
}

uint64_t world_send_remote(struct world *w, const char *from, const char *to, const char *content)
{
    char room[2000];
    struct packer p = packer_on(room, sizeof room);
    world_rcpt(&p, to, NULL, 0);
    return world_send(w, from, packer_span(&p), content);
}

void world_reach(struct world *w, size_t job, enum verdict v, const char *reply, enum reach reach)
{
    char room[8000];
    struct packer p = packer_on(room, sizeof room);
    struct world_job *j = &w->jobs[job];
    for (size_t i = 0; i < j->n; i++) {
        pack_uint(&p, j->numbers[i], 4);
        pack_uint(&p, v, 1);
        pack_bytes(&p, span_of(reply));
    }
    struct msg_relay_job_re re = {.tag = j->tag,
                                  .reach = (uint8_t)reach,
                                  .remote = SPAN("mx.example.net[192.0.2.1]:25"),
                                  .told = w->told,
                                  .secured = w->secured,
                                  .began_ms = (uint64_t)w->now_s * 1000 - 500,
                                  .dialogue = w->dialogue != NULL ? span_of(w->dialogue) : SPAN(""),
                                  .results = packer_span(&p)};
    cr_assert_eq(ipc_send_relay_job_re(w->relay, &re, -1), 0);
    world_pump(w);
}

void world_ticket(struct world *w, enum verdict v, enum ticket_reason reason)
{
    struct msg_ticket_re re = {.tag = w->ticket.tag,
                               .verdict = (uint8_t)v,
                               .reason = (uint8_t)reason,
                               .login = v == VERDICT_OK ? SPAN("alice@example.org") : SPAN("")};
    cr_assert_neq(re.tag, 0);
    w->ticket.tag = 0;
    cr_assert_eq(ipc_send_ticket_re(w->authd, &re, -1), 0);
    world_pump(w);
}

void world_relay(struct world *w, size_t job, enum verdict v, const char *reply)
{
    world_reach(w, job, v, reply, v == VERDICT_OK ? REACH_OK : REACH_UNKNOWN);
}

void world_resolve_list(struct world *w, size_t at, const char *const *elsewhere)
{
    static struct sealer s;
    struct msg_resolve_re re = {
        .tag = w->asked_tags[at], .verdict = VERDICT_OK, .kind = ADDRESS_LOCAL};
    seal_begin(&s, span_of(w->asked[at]), clock_wall_s());
    for (; *elsewhere != NULL; elsewhere++)
        seal_elsewhere(&s, *elsewhere);
    re.sealed = seal_end(&s, world_key);
    cr_assert_eq(ipc_send_resolve_re(w->authd, &re, -1), 0);
    world_pump(w);
}

void world_resolve(struct world *w, size_t at, enum address_kind kind, uint64_t box)
{
    static struct sealer s;
    struct msg_resolve_re re = {.tag = w->asked_tags[at],
                                .verdict = kind == ADDRESS_UNKNOWN ? VERDICT_NEVER : VERDICT_OK,
                                .kind = (uint8_t)kind,
                                .sealed = SPAN("")};
    if (kind == ADDRESS_LOCAL) {
        seal_begin(&s, span_of(w->asked[at]), clock_wall_s());
        seal_target(
            &s, &(struct target){
                    .is_local = true, .box = box, .quota = 0, .address = span_of(w->asked[at])});
        re.sealed = seal_end(&s, world_key);
    }
    cr_assert_eq(ipc_send_resolve_re(w->authd, &re, -1), 0);
    world_pump(w);
}

static void admin_answered(void *arg, const union msg *m, int fd)
{
    cr_assert(m != NULL);
    got_admin_re(arg, NULL, m, fd);
}

void world_admin(struct world *w, const char *command, const char *const *args)
{
    static char room[LIST_MAX];
    uint64_t cursor = 0;
    w->rows_n = 0;
    w->rows[0] = '\0';
    do {
        struct packer p = packer_on(room, sizeof room);
        for (size_t i = 0; args != NULL && args[i] != NULL; i++)
            pack_bytes(&p, span_of(args[i]));
        struct msg_admin m = {.command = span_of(command),
                              .args = packer_span(&p),
                              .secret = SPAN(""),
                              .cursor = cursor};
        w->has_admin_re = false;
        cr_assert_neq(ipc_ask_admin(w->cli, &m, -1, 60000, admin_answered, w), 0);
        for (int i = 0; i < 100 && !w->has_admin_re; i++)
            world_pump(w);
        cr_assert(w->has_admin_re);
        cursor = w->admin_re.cursor;
    } while (cursor != 0 && w->admin_re.verdict == VERDICT_OK);
}

static sqlite3_stmt *query(sqlite3 **db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_open_v2("mail.db", db, SQLITE_OPEN_READONLY, NULL);
    cr_assert_eq(code, SQLITE_OK, "%s", sqlite3_errstr(code));
    cr_assert_eq(sqlite3_prepare_v2(*db, sql, -1, &s, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(*db));
    return s;
}

int64_t world_count(struct world *w, const char *sql)
{
    (void)w;
    sqlite3 *db;
    sqlite3_stmt *s = query(&db, sql);
    int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

char *world_text(struct world *w, const char *sql)
{
    (void)w;
    sqlite3 *db;
    sqlite3_stmt *s = query(&db, sql);
    char *out = NULL;
    if (sqlite3_step(s) == SQLITE_ROW) {
        int n = sqlite3_column_bytes(s, 0);
        out = calloc(1, (size_t)n + 1);
        memcpy(out, sqlite3_column_blob(s, 0), (size_t)n);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return out;
}

static void delete_answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct world *w = arg;
    if (m != NULL)
        w->deletes[w->n_deletes++] = m->box_delete_re;
}

static void forget_answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct world *w = arg;
    if (m != NULL)
        w->forgets[w->n_forgets++] = m->box_forget_re;
}

static struct span pack_sequences(const uint64_t *sequences, char room[800])
{
    struct packer p = packer_on(room, 800);
    for (; *sequences != 0; sequences++)
        pack_uint(&p, *sequences, 8);
    return packer_span(&p);
}

uint64_t world_delete(struct world *w, uint64_t box, const uint64_t *sequences, bool is_last)
{
    return world_drop(w, box, 0, sequences, is_last);
}

uint64_t world_drop(struct world *w, uint64_t box, uint64_t device, const uint64_t *sequences,
                    bool is_last)
{
    char room[800];
    struct msg_box_delete m = {.box = box,
                               .device = device,
                               .address = SPAN("alice@example.org"),
                               .client = SPAN("192.0.2.9"),
                               .sequences = pack_sequences(sequences, room),
                               .is_last = is_last};
    uint64_t tag = ipc_ask_box_delete(w->mailbox, &m, -1, 60000, delete_answered, w);
    cr_assert_neq(tag, 0);
    world_pump(w);
    return tag;
}

static void send_more(struct world *w, struct msg_box_delete *m, const uint64_t *sequences)
{
    char room[800];
    m->sequences = pack_sequences(sequences, room);
    cr_assert_eq(ipc_send_box_delete(w->mailbox, m, -1), 0);
    world_pump(w);
}

void world_delete_more(struct world *w, uint64_t tag, uint64_t box, const uint64_t *sequences,
                       bool is_last)
{
    send_more(w, &(struct msg_box_delete){.tag = tag, .box = box, .is_last = is_last}, sequences);
}

void world_drop_more(struct world *w, const struct msg_box_delete *part, const uint64_t *sequences)
{
    struct msg_box_delete m = *part;
    send_more(w, &m, sequences);
}

void world_collected(struct world *w, uint64_t box, uint64_t device, const uint64_t *sequences)
{
    char room[800];
    struct msg_box_collected m = {.box = box,
                                  .device = device,
                                  .address = SPAN("alice@example.org"),
                                  .client = SPAN("192.0.2.9"),
                                  .sequences = pack_sequences(sequences, room)};
    cr_assert_eq(ipc_send_box_collected(w->mailbox, &m, -1), 0);
    world_pump(w);
}

static void devices_answered(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct world *w = arg;
    w->devices_verdict = m != NULL ? m->box_devices_re.verdict : 99;
}

void world_devices(struct world *w, uint64_t box, const uint64_t *devices)
{
    char room[800];
    struct packer p = packer_on(room, sizeof room);
    struct msg_box_devices m = {.box = box};
    for (; *devices != 0; devices++) {
        pack_uint(&p, *devices, 8);
        pack_bytes(&p, SPAN("name"));
    }
    m.devices = packer_span(&p);
    w->devices_verdict = 98;
    cr_assert_neq(ipc_ask_box_devices(w->authd, &m, -1, 60000, devices_answered, w), 0);
    world_pump(w);
}

void world_forget(struct world *w, uint64_t box)
{
    struct msg_box_forget m = {.box = box};
    cr_assert_neq(ipc_ask_box_forget(w->authd, &m, -1, 60000, forget_answered, w), 0);
    world_pump(w);
}
