#include "world.h"

#include "common/seal.h"

#include <criterion/criterion.h>

#define CONTENT_MAX (1U << 20)

static int fake_write(void *client, struct span s)
{
    struct world *w = client;
    cr_assert_lt(w->n_out + s.n, sizeof w->out);
    memcpy(w->out + w->n_out, s.p, s.n);
    w->n_out += s.n;
    w->out[w->n_out] = '\0';
    w->writes++;
    return 0;
}

static void fake_finish(void *client)
{
    struct world *w = client;
    cr_assert_not(w->is_finished);
    w->is_finished = true;
}

static void take(struct world *w)
{
    size_t used = 1;
    while (used > 0 && buf_span(&w->in).n > 0 && !w->is_finished) {
        used = session_input(w->s, buf_span(&w->in));
        buf_consume(&w->in, used);
    }
}

static void fake_resume(void *client)
{
    take(client);
}

static uint64_t note(struct world *w, struct asked *a, ipc_answer_fn *fn, void *arg)
{
    cr_assert_eq(a->tag, 0, "one question at a time");
    a->tag = ++w->last_tag;
    a->fn = fn;
    a->arg = arg;
    return a->tag;
}

static uint64_t fake_resolve(void *client, struct msg_resolve *m, ipc_answer_fn *fn, void *arg)
{
    struct world *w = client;
    if (w->authd_is_down)
        return 0;
    cr_assert_eq(span_copy(w->authd.address, sizeof w->authd.address, m->address), 0);
    return note(w, &w->authd, fn, arg);
}

static uint64_t fake_expand(void *client, struct msg_expand *m, ipc_answer_fn *fn, void *arg)
{
    struct world *w = client;
    if (w->authd_is_down)
        return 0;
    cr_assert_eq(span_copy(w->expand.address, sizeof w->expand.address, m->address), 0);
    return note(w, &w->expand, fn, arg);
}

static uint64_t fake_room(void *client, struct msg_queue_room *m, ipc_answer_fn *fn, void *arg)
{
    struct world *w = client;
    if (w->queue_is_down)
        return 0;
    cr_assert(span_eq(m->sealed, SPAN("sealed")));
    cr_assert_eq(span_copy(w->room.address, sizeof w->room.address, m->address), 0);
    w->room_size = m->size;
    return note(w, &w->room, fn, arg);
}

static void fake_forget(void *client, enum role of, uint64_t tag)
{
    struct world *w = client;
    struct asked *all[] = {&w->authd, &w->room, &w->login, &w->ticket, &w->expand}, *a = NULL;
    for (size_t i = 0; i < 5 && a == NULL; i++)
        if (all[i]->tag == tag && (of == ROLE_QUEUE) == (all[i] == &w->room))
            a = all[i];
    cr_assert_not_null(a);
    a->tag = 0;
    w->forgets++;
}

static uint64_t fake_login(void *client, struct msg_login *m, ipc_answer_fn *fn, void *arg)
{
    struct world *w = client;
    if (w->authd_is_down)
        return 0;
    cr_assert(m->service == SERVICE_SUBMISSION && m->session == w->s->id);
    cr_assert(span_eq(m->client, SPAN("192.0.2.1")));
    snprintf(w->login.address, sizeof w->login.address, "%.*s/%.*s", (int)m->user.n, m->user.p,
             (int)m->password.n, m->password.p);
    return note(w, &w->login, fn, arg);
}

static uint64_t fake_scram_first(void *client, struct msg_scram_first *m, ipc_answer_fn *fn,
                                 void *arg)
{
    struct world *w = client;
    if (w->authd_is_down)
        return 0;
    cr_assert(m->service == SERVICE_SUBMISSION && m->session == w->s->id);
    cr_assert_eq(m->exporter.n > 0, w->can_bind);
    cr_assert(!m->is_plus || w->can_bind);
    snprintf(w->login.address, sizeof w->login.address, "first %.*s", (int)m->text.n, m->text.p);
    return note(w, &w->login, fn, arg);
}

static uint64_t fake_scram_final(void *client, struct msg_scram_final *m, ipc_answer_fn *fn,
                                 void *arg)
{
    struct world *w = client;
    if (w->authd_is_down)
        return 0;
    cr_assert_eq(m->session, w->s->id);
    snprintf(w->login.address, sizeof w->login.address, "final %.*s", (int)m->text.n, m->text.p);
    return note(w, &w->login, fn, arg);
}

static struct span fake_binding(void *client, enum session_binding which,
                                unsigned char out[SESSION_BINDING_MAX])
{
    struct world *w = client;
    memcpy(out, "octets", 6);
    return (struct span){(char *)out, w->can_bind && which == BINDING_EXPORTER ? 6 : 0};
}

static uint64_t fake_ticket(void *client, struct msg_ticket *m, ipc_answer_fn *fn, void *arg)
{
    struct world *w = client;
    if (w->authd_is_down)
        return 0;
    cr_assert(span_eq(m->ticket, SPAN("0123456789abcdef")) && m->session == w->s->id);
    cr_assert_eq(span_copy(w->ticket.address, sizeof w->ticket.address, m->sender), 0);
    return note(w, &w->ticket, fn, arg);
}

static void fake_logout(void *client, uint64_t session)
{
    struct world *w = client;
    cr_assert_eq(session, w->s->id);
    w->logouts++;
}

static void got(struct world *w, struct span rcpts, struct span content, bool is_last)
{
    struct unpacker records = unpacker_on(rcpts);
    struct rcpt r;
    cr_assert_not(w->had_last);
    cr_assert_leq(rcpts.n, LIST_MAX);
    cr_assert_leq(content.n, CHUNK_MAX);
    while (rcpt_next(&records, &r)) {
        int n = snprintf(w->rcpts + w->n_rcpts, sizeof w->rcpts - w->n_rcpts, "%.*s%s ",
                         (int)r.address.n, r.address.p, r.sealed.n > 0 ? "*" : "");
        w->notify = r.notify;
        span_copy(w->orcpt, sizeof w->orcpt, r.orcpt);
        w->n_rcpts += (size_t)n < sizeof w->rcpts - w->n_rcpts ? (size_t)n : 0;
    }
    cr_assert(unpack_done(&records), "recipients are cut between records");
    cr_assert_leq(w->n_content + content.n, CONTENT_MAX);
    if (content.n > 0)
        memcpy(w->content + w->n_content, content.p, content.n);
    w->n_content += content.n;
    w->had_last = is_last;
}

static uint64_t fake_open(void *client, struct msg_queue_open *m, ipc_answer_fn *fn, void *arg)
{
    struct world *w = client;
    if (w->queue_is_down)
        return 0;
    w->opens++;
    w->n_rcpts = w->n_content = 0;
    w->had_last = false;
    cr_assert_eq(span_copy(w->sender, sizeof w->sender, m->sender), 0);
    cr_assert_eq(span_copy(w->envid, sizeof w->envid, m->envid), 0);
    cr_assert_eq(span_copy(w->hold_request, sizeof w->hold_request, m->hold_request), 0);
    w->hold_until = (int64_t)m->hold_until;
    w->ret = m->ret;
    w->is_each = m->is_each != 0;
    w->had_ticket = m->ticket.n > 0;
    cr_assert(!w->had_ticket || span_eq(m->ticket, SPAN("0123456789abcdef")));
    got(w, m->rcpts, m->content, m->is_last != 0);
    return note(w, &w->queue, fn, arg);
}

static int fake_more(void *client, const struct msg_queue_more *m)
{
    struct world *w = client;
    if (w->queue_is_down)
        return -1;
    cr_assert_eq(m->tag, w->queue.tag);
    w->mores++;
    got(w, m->rcpts, m->content, m->is_last != 0);
    return 0;
}

static void fake_abort(void *client, uint64_t tag)
{
    struct world *w = client;
    cr_assert_neq(tag, 0);
    cr_assert(w->queue.tag == 0 || w->queue.tag == tag);
    w->queue.tag = 0;
    w->aborts++;
}

static bool fake_is_full(void *client)
{
    struct world *w = client;
    return w->queue_is_full;
}

static bool fake_offers_tls(void *client)
{
    struct world *w = client;
    return w->has_tls;
}

static const struct session_ops ops = {
    .write = fake_write,
    .finish = fake_finish,
    .resume = fake_resume,
    .resolve = fake_resolve,
    .expand = fake_expand,
    .queue_room = fake_room,
    .login = fake_login,
    .scram_first = fake_scram_first,
    .scram_final = fake_scram_final,
    .binding = fake_binding,
    .ticket = fake_ticket,
    .logout = fake_logout,
    .forget = fake_forget,
    .queue_open = fake_open,
    .queue_more = fake_more,
    .queue_abort = fake_abort,
    .queue_is_full = fake_is_full,
    .offers_tls = fake_offers_tls,
};

static void begin(struct world *w, bool is_submission)
{
    *w = (struct world){0};
    w->content = malloc(CONTENT_MAX);
    cr_assert_not_null(w->content);
    buf_init(&w->in, 4U << 20);
    w->rules = (struct session_rules){
        .dsn = OFFERED_YES,
        .hold_max_s = is_submission ? 3600 : 0,
        .ops = &ops,
        .client = w,
        .peer = {.octets = {192, 0, 2, 1}, .n = 4, .port = 4711},
        .limits = {.recipients = 1000,
                   .errors = 10,
                   .junk_commands = 100,
                   .hops = 100,
                   .command_timeout_ms = 300000,
                   .session_timeout_ms = 3600000,
                   .minimum_rate = 500},
        .message_size_max = 500000,
        .has_auth = is_submission,
        .has_scram = true,
        .may_log_in_plain = true,
        .login_failures_max = 3,
    };
    w->s = session_new(&w->rules, SPAN("mx.test"));
    session_greet(w->s, false);
}

void world_begin(struct world *w)
{
    begin(w, false);
}

void world_begin_submission(struct world *w)
{
    begin(w, true);
}

void world_end(struct world *w)
{
    session_free(w->s);
    cr_assert_eq(w->authd.tag, 0, "a question to authd is left open");
    cr_assert_eq(w->queue.tag, 0, "a question to queue is left open");
    cr_assert_eq(w->login.tag, 0, "a question about a login is left open");
    cr_assert_eq(w->ticket.tag, 0, "a question about a sender is left open");
    cr_assert_eq(w->room.tag, 0, "a question about room is left open");
    buf_free(&w->in);
    free(w->content);
}

/* What authd knows: ann and bob are local, quota too and has one, return is for
 * null senders, later and fault cannot be
 * decided, foreign.test is not ours, nobody else is. */
static void answer_authd(struct world *w)
{
    struct asked a = w->authd;
    struct span address = span_of(a.address);
    union msg m = {.resolve_re = {.tag = a.tag, .kind = ADDRESS_UNKNOWN, .sealed = SPAN("")}};
    w->authd.tag = 0;
    if (span_istarts(address, SPAN("later@")))
        m.resolve_re.verdict = VERDICT_TRY_LATER;
    else if (span_istarts(address, SPAN("odd@")))
        m.resolve_re.kind = 77;
    else if (memmem(address.p, address.n, "@foreign.test", 13) != NULL)
        m.resolve_re.kind = ADDRESS_FOREIGN;
    else if (span_istarts(address, SPAN("ann")) || span_istarts(address, SPAN("bob")) ||
             span_istarts(address, SPAN("quota")) || span_istarts(address, SPAN("return@")) ||
             span_eq(address, SPAN("postmaster"))) {
        m.resolve_re.kind = ADDRESS_LOCAL;
        m.resolve_re.has_quota = span_istarts(address, SPAN("quota"));
        m.resolve_re.is_return = span_istarts(address, SPAN("return@"));
        m.resolve_re.sealed = SPAN("sealed");
    }
    a.fn(a.arg, span_istarts(address, SPAN("fault@")) ? NULL : &m, -1);
}

/* list@… leads to two, wide@… to one that is not ASCII, big@… to 400, odd@… to nonsense. */
static void answer_expand(struct world *w)
{
    static char room[LIST_MAX];
    struct asked a = w->expand;
    struct span address = span_of(a.address);
    struct packer p = packer_on(room, sizeof room);
    union msg m = {.expand_re = {.tag = a.tag, .verdict = VERDICT_OK}};
    bool is_list = span_istarts(address, SPAN("list@")),
         is_big = span_istarts(address, SPAN("big@"));
    w->expand.tag = 0;
    for (int i = 0; i < (is_list ? 2 : is_big ? 400 : 0); i++)
        pack_bytes(&p, i == 0 ? SPAN("ann@b.test") : SPAN("\"a b\"@a-rather-long-foreign.test"));
    if (span_istarts(address, SPAN("wide@")))
        pack_bytes(&p, SPAN("j\303\266rg@b.test"));
    if (span_istarts(address, SPAN("odd@")))
        pack_bytes(&p, SPAN("x@b.test\r\nNOOP"));
    if (span_istarts(address, SPAN("ann@")))
        m.expand_re.verdict = VERDICT_NEVER;
    if (span_istarts(address, SPAN("later@")))
        m.expand_re.verdict = VERDICT_TRY_LATER;
    m.expand_re.targets = packer_span(&p);
    a.fn(a.arg, span_istarts(address, SPAN("fault@")) ? NULL : &m, -1);
}

static void answer_login(struct world *w)
{
    static const struct {
        const char *user;
        enum verdict verdict;
        enum login_reason reason;
    } rows[] = {
        {"ann/secret", VERDICT_OK, LOGIN_OK},      {"final good", VERDICT_OK, LOGIN_OK},
        {"busy/x", VERDICT_TRY_LATER, LOGIN_BUSY}, {"slow/x", VERDICT_TRY_LATER, LOGIN_THROTTLED},
        {"off/x", VERDICT_NEVER, LOGIN_DISABLED},  {"mute/x", VERDICT_NEVER, LOGIN_RECEIVE_ONLY}};
    struct asked a = w->login;
    if (span_starts(span_of(a.address), SPAN("first "))) {
        bool is_ann = strcmp(a.address, "first n,,n=ann,r=x") == 0;
        union msg first = {.scram_first_re = {.tag = a.tag,
                                              .verdict = is_ann ? VERDICT_OK : VERDICT_NEVER,
                                              .reason = is_ann ? LOGIN_OK : LOGIN_WRONG,
                                              .text = SPAN("r=xy,s=AA==,i=1")}};
        w->login.tag = 0;
        a.fn(a.arg, &first, -1);
        return;
    }
    union msg m = {.login_re = {.tag = a.tag, .verdict = VERDICT_NEVER, .reason = LOGIN_WRONG}};
    w->login.tag = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].user, a.address) == 0) {
            m.login_re.verdict = (uint8_t)rows[i].verdict;
            m.login_re.reason = (uint8_t)rows[i].reason;
        }
    m.login_re.address = SPAN("ann@b.test");
    if (m.login_re.verdict == VERDICT_OK)
        m.login_re.ticket = SPAN("0123456789abcdef");
    if (strcmp(a.address, "final good") == 0)
        m.login_re.proof = SPAN("v=proof");
    a.fn(a.arg, strcmp(a.address, "fault/x") == 0 ? NULL : &m, -1);
}

static void answer_ticket(struct world *w)
{
    struct asked a = w->ticket;
    union msg m = {.ticket_re = {.tag = a.tag, .login = SPAN("ann@b.test")}};
    struct span sender = span_of(a.address);
    w->ticket.tag = 0;
    if (span_istarts(sender, SPAN("gone@"))) {
        m.ticket_re.verdict = VERDICT_TRY_LATER;
        m.ticket_re.reason = TICKET_GONE;
    } else if (sender.n > 0 && !span_istarts(sender, SPAN("ann"))) {
        m.ticket_re.verdict = VERDICT_NEVER;
        m.ticket_re.reason = TICKET_SENDER;
    }
    a.fn(a.arg, span_istarts(sender, SPAN("fault@")) ? NULL : &m, -1);
}

/* What queue knows by the tag of the address: full, or what it cannot tell. */
static void answer_room(struct world *w)
{
    struct asked a = w->room;
    struct span address = span_of(a.address);
    union msg m = {.queue_room_re = {a.tag, VERDICT_OK, INTAKE_OK}};
    w->room.tag = 0;
    if (span_istarts(address, SPAN("quota+full@")))
        m.queue_room_re = (struct msg_queue_room_re){a.tag, VERDICT_TRY_LATER, INTAKE_QUOTA};
    else if (span_istarts(address, SPAN("quota+stale@")))
        m.queue_room_re = (struct msg_queue_room_re){a.tag, VERDICT_TRY_LATER, INTAKE_STALE};
    else if (span_istarts(address, SPAN("quota+odd@")))
        m.queue_room_re = (struct msg_queue_room_re){a.tag, VERDICT_NEVER, INTAKE_RELAYING};
    a.fn(a.arg, span_istarts(address, SPAN("quota+fault@")) ? NULL : &m, -1);
}

void world_answer_queue(struct world *w, bool can, enum verdict verdict, enum intake_reason reason)
{
    struct asked a = w->queue;
    union msg m = {
        .queue_open_re = {
            .tag = a.tag, .verdict = (uint8_t)verdict, .reason = (uint8_t)reason, .each = w->each}};
    cr_assert_neq(a.tag, 0);
    w->queue.tag = 0;
    a.fn(a.arg, can ? &m : NULL, -1);
}

static void answer(struct world *w)
{
    for (;;) {
        if (w->authd.tag != 0 && !w->holds_authd)
            answer_authd(w);
        else if (w->expand.tag != 0 && !w->holds_authd)
            answer_expand(w);
        else if (w->login.tag != 0 && !w->holds_authd)
            answer_login(w);
        else if (w->ticket.tag != 0 && !w->holds_authd)
            answer_ticket(w);
        else if (w->room.tag != 0 && !w->holds_queue)
            answer_room(w);
        else if (w->queue.tag != 0 && w->had_last && !w->holds_queue)
            world_answer_queue(w, true, w->verdict, w->reason);
        else
            return;
    }
}

void world_say(struct world *w, struct span in, size_t step)
{
    while (in.n > 0) {
        struct span piece = {in.p, in.n < step ? in.n : step};
        cr_assert_eq(buf_add_span(&w->in, piece), 0);
        take(w);
        answer(w);
        in = span_from(in, piece.n);
    }
}

const char *world_codes(struct world *w)
{
    static char codes[8192];
    size_t n = 0;
    struct span rest = {w->out, w->n_out};
    codes[0] = '\0';
    while (rest.n > 0) {
        struct span line = span_cut(&rest, '\n');
        cr_assert(line.n > 4 && line.p[line.n - 1] == '\r', "%.*s", (int)line.n, line.p);
        if (line.p[3] == '-')
            continue;
        bool has_enhanced = line.n > 9 && line.p[5] == '.' && line.p[7] == '.';
        struct span text = span_from(line, 4);
        int n_enhanced = has_enhanced ? (int)span_cut(&text, ' ').n : 0;
        n += (size_t)snprintf(codes + n, sizeof codes - n, "%.3s%s%.*s ", line.p,
                              has_enhanced ? "/" : "", n_enhanced, line.p + 4);
        cr_assert_lt(n, sizeof codes);
    }
    w->n_out = 0;
    return codes;
}
