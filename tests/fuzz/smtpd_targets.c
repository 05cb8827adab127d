#include "smtpd/body.h"
#include "smtpd/session.h"
#include "tests/fuzz/fuzz.h"

#define OCTETS_MAX (1U << 20)

struct result {
    char *out;
    size_t n, taken;
    bool is_over;
    enum body_problem problem;
};

static struct result read_body(struct span in, size_t piece)
{
    struct body b;
    struct result r = {.out = malloc(2 * in.n + 16)};
    body_begin(&b, OCTETS_MAX, 100, false);
    while (in.n > r.taken && !body_is_over(&b)) {
        struct span left = span_from(in, r.taken);
        left.n = left.n < piece ? left.n : piece;
        size_t n_out = 0;
        char *room = malloc(body_room(&b, left.n) + 1); /* exact, for the address sanitizer */
        r.taken += body_take(&b, left, room, &n_out);
        memcpy(r.out + r.n, room, n_out);
        r.n += n_out;
        free(room);
    }
    r.is_over = body_is_over(&b);
    r.problem = b.problem;
    return r;
}

/* RFC 5321 4.1.1.4 and 4.5.2 in the plainest form: where it ends, and what it holds. */
static size_t reference(struct span in, char *out, size_t *n_out, bool *is_over, bool *is_bad)
{
    size_t end = in.n;
    *is_over = in.n >= 3 && memcmp(in.p, ".\r\n", 3) == 0;
    if (*is_over)
        end = 0;
    for (size_t i = 0; i + 5 <= in.n && !*is_over; i++)
        if (memcmp(in.p + i, "\r\n.\r\n", 5) == 0) {
            end = i + 2;
            *is_over = true;
        }
    *n_out = 0;
    *is_bad = false;
    for (size_t i = 0; i < end; i++) {
        bool at_start = i == 0 || (i >= 2 && in.p[i - 2] == '\r' && in.p[i - 1] == '\n');
        bool is_cr = in.p[i] == '\r', is_lf = in.p[i] == '\n';
        if ((is_cr && i + 1 < in.n && in.p[i + 1] != '\n') || in.p[i] == '\0' ||
            (is_lf && (i == 0 || in.p[i - 1] != '\r')))
            *is_bad = true;
        if (!(at_start && in.p[i] == '.'))
            out[(*n_out)++] = in.p[i];
    }
    return *is_over ? end + 3 : in.n;
}

void fuzz_body(struct span in)
{
    bool is_over, is_bad;
    size_t n;
    char *expected = malloc(in.n + 1);
    size_t taken = reference(in, expected, &n, &is_over, &is_bad);
    for (size_t piece = 1; piece <= in.n + 1; piece = piece < 4 ? piece + 1 : piece * 5) {
        struct result r = read_body(in, piece);
        fuzz_check(r.is_over == is_over, "body: the end is elsewhere");
        fuzz_check(!is_over || r.taken == taken, "body: took another number of octets");
        fuzz_check(!is_over || !is_bad || r.problem != BODY_FINE, "body: took damaged content");
        if (is_over && r.problem == BODY_FINE)
            fuzz_check(r.n == n && memcmp(r.out, expected, n) == 0, "body: other content");
        free(r.out);
    }
    free(expected);
}

#define ADDED_DATE "Date: x\r\n"
#define ADDED_ID   "Message-ID: x\r\n"
#define ADDED      ADDED_DATE ADDED_ID "\r\n"
enum { NORMALISED = 1, COMPLETED = 2, MODES = 4 };

/* Content from BDAT, cut into pieces of `piece` octets. */
static struct result read_chunks(struct span in, size_t piece, unsigned mode)
{
    struct body b;
    size_t n_out;
    struct result r = {.out = malloc(2 * in.n + 16 + sizeof ADDED)};
    body_begin(&b, OCTETS_MAX, 100, (mode & NORMALISED) != 0);
    b.is_chunked = true;
    if ((mode & COMPLETED) != 0)
        body_complete(&b, SPAN(ADDED_DATE), SPAN(ADDED_ID));
    while (r.taken < in.n) {
        struct span left = span_from(in, r.taken);
        left.n = left.n < piece ? left.n : piece;
        r.taken += body_take(&b, left, r.out + r.n, &n_out);
        r.n += n_out;
    }
    body_end(&b, r.out + r.n, &n_out);
    r.n += n_out;
    r.problem = b.problem;
    return r;
}

/* `more` is `plain` with something put into it in one place. */
static bool is_insertion(const struct result *plain, const struct result *more)
{
    size_t front = 0, back = 0;
    if (more->n < plain->n || more->n - plain->n >= sizeof ADDED)
        return false;
    while (front < plain->n && plain->out[front] == more->out[front])
        front++;
    while (back < plain->n && plain->out[plain->n - 1 - back] == more->out[more->n - 1 - back])
        back++;
    return front + back >= plain->n;
}

/* However it is cut, the content is the same, and it is what came, with its last line ended, and
 * with the fields that are added in one place. */
void fuzz_bdat(struct span in)
{
    struct result plain[2] = {read_chunks(in, in.n + 1, 0), read_chunks(in, in.n + 1, NORMALISED)};
    for (unsigned mode = 0; mode < MODES; mode++) {
        struct result whole = read_chunks(in, in.n + 1, mode);
        bool is_fine = whole.problem == BODY_FINE;
        for (size_t piece = 1; piece <= in.n; piece = piece < 4 ? piece + 1 : piece * 5) {
            struct result r = read_chunks(in, piece, mode);
            fuzz_check((r.problem == BODY_FINE) == is_fine, "bdat: cut otherwise it is no problem");
            fuzz_check(!is_fine || (r.n == whole.n && memcmp(r.out, whole.out, r.n) == 0),
                       "bdat: cut otherwise it is other content");
            free(r.out);
        }
        fuzz_check(is_fine == (plain[mode & NORMALISED].problem == BODY_FINE),
                   "bdat: added fields make a problem");
        fuzz_check(!is_fine || is_insertion(&plain[mode & NORMALISED], &whole),
                   "bdat: more than an insertion");
        if (is_fine && mode == 0)
            fuzz_check(memcmp(whole.out, in.p, in.n) == 0 && whole.n - in.n <= 2 &&
                           (whole.n == 0 || whole.out[whole.n - 1] == '\n'),
                       "bdat: other content");
        free(whole.out);
    }
    free(plain[0].out);
    free(plain[1].out);
}

/* --- a whole session, with a world that answers by the octets themselves --- */

struct world {
    struct session *session;
    ipc_answer_fn *fn;
    void *arg;
    enum msg_type asked; /* the last question */
    bool is_over;
    uint64_t tags;
    unsigned moods; /* which answers come, one bit each */
};

static int world_write(void *client, struct span s)
{
    (void)client;
    fuzz_check(s.n >= 2 && memcmp(s.p + s.n - 2, "\r\n", 2) == 0, "session: half a reply");
    return 0;
}

static void world_finish(void *client)
{
    ((struct world *)client)->is_over = true;
}

static void world_resume(void *client)
{
    (void)client;
}

static uint64_t ask(struct world *w, ipc_answer_fn *fn, void *arg, enum msg_type asked)
{
    fuzz_check(w->fn == NULL, "session: two questions at once");
    w->fn = fn;
    w->arg = arg;
    w->asked = asked;
    return ++w->tags;
}

static uint64_t world_resolve(void *client, struct msg_resolve *m, ipc_answer_fn *fn, void *arg)
{
    (void)m;
    return ask(client, fn, arg, MSG_RESOLVE);
}

static uint64_t world_queue_room(void *client, struct msg_queue_room *m, ipc_answer_fn *fn,
                                 void *arg)
{
    fuzz_check(m->sealed.n > 0, "session: room asked for without a seal");
    return ask(client, fn, arg, MSG_QUEUE_ROOM);
}

static uint64_t world_login(void *client, struct msg_login *m, ipc_answer_fn *fn, void *arg)
{
    fuzz_check(m->user.n > 0 && m->password.n > 0, "session: an empty login");
    return ask(client, fn, arg, MSG_LOGIN);
}

static uint64_t world_scram_first(void *client, struct msg_scram_first *m, ipc_answer_fn *fn,
                                  void *arg)
{
    fuzz_check(m->text.n > 0 && m->text.n <= SASL_TEXT_MAX, "session: SCRAM without a text");
    return ask(client, fn, arg, MSG_SCRAM_FIRST);
}

static uint64_t world_scram_final(void *client, struct msg_scram_final *m, ipc_answer_fn *fn,
                                  void *arg)
{
    fuzz_check(m->text.n > 0 && m->text.n <= SASL_TEXT_MAX, "session: SCRAM without a text");
    return ask(client, fn, arg, MSG_LOGIN);
}

static uint64_t world_ticket(void *client, struct msg_ticket *m, ipc_answer_fn *fn, void *arg)
{
    fuzz_check(m->ticket.n == TICKET_OCTETS, "session: half a ticket");
    return ask(client, fn, arg, MSG_TICKET);
}

static void world_logout(void *client, uint64_t session)
{
    (void)client, (void)session;
}

static bool is_for_authd(enum msg_type asked)
{
    return asked == MSG_RESOLVE || asked == MSG_LOGIN || asked == MSG_TICKET ||
           asked == MSG_SCRAM_FIRST;
}

static void world_forget(void *client, enum role of, uint64_t tag)
{
    (void)tag;
    struct world *w = client;
    fuzz_check(of == (is_for_authd(w->asked) ? ROLE_AUTHD : ROLE_QUEUE),
               "session: forgets what it asked another");
    w->fn = NULL;
}

static uint64_t world_queue_open(void *client, struct msg_queue_open *m, ipc_answer_fn *fn,
                                 void *arg)
{
    fuzz_check(m->rcpts.n > 0, "session: a message without recipients");
    return ask(client, fn, arg, MSG_QUEUE_OPEN);
}

static int world_queue_more(void *client, const struct msg_queue_more *m)
{
    (void)client, (void)m;
    return 0;
}

static void world_queue_abort(void *client, uint64_t tag)
{
    world_forget(client, ROLE_QUEUE, tag);
}

static bool world_queue_is_full(void *client)
{
    (void)client;
    return false;
}

static bool world_offers_tls(void *client)
{
    (void)client;
    return true;
}

static const struct session_ops world_ops = {
    .write = world_write,
    .finish = world_finish,
    .resume = world_resume,
    .resolve = world_resolve,
    .queue_room = world_queue_room,
    .login = world_login,
    .scram_first = world_scram_first,
    .scram_final = world_scram_final,
    .ticket = world_ticket,
    .logout = world_logout,
    .forget = world_forget,
    .queue_open = world_queue_open,
    .queue_more = world_queue_more,
    .queue_abort = world_queue_abort,
    .queue_is_full = world_queue_is_full,
    .offers_tls = world_offers_tls,
};

static void answer(struct world *w)
{
    ipc_answer_fn *fn = w->fn;
    unsigned mood = w->moods & 3;
    w->moods = w->moods >> 2 | mood << 30;
    w->fn = NULL;
    union msg m = {0};
    if (w->asked == MSG_QUEUE_OPEN)
        m.queue_open_re =
            (struct msg_queue_open_re){.verdict = (uint8_t)mood,
                                       .reason = (uint8_t)mood,
                                       .each = {"\0\0\1\3\2\6\7\xff", 2 * (w->moods & 4)}};
    else if (w->asked == MSG_QUEUE_ROOM)
        m.queue_room_re =
            (struct msg_queue_room_re){.verdict = (uint8_t)mood, .reason = (uint8_t)mood};
    else if (w->asked == MSG_LOGIN)
        m.login_re = (struct msg_login_re){.verdict = (uint8_t)mood,
                                           .address = SPAN("a@b"),
                                           .ticket = {"0123456789abcdef", mood == 0 ? 16 : 3}};
    else if (w->asked == MSG_SCRAM_FIRST)
        m.scram_first_re =
            (struct msg_scram_first_re){.verdict = (uint8_t)mood, .text = SPAN("r=x,s=y,i=1")};
    else if (w->asked == MSG_TICKET)
        m.ticket_re = (struct msg_ticket_re){.verdict = (uint8_t)mood, .login = SPAN("a@b")};
    else
        m.resolve_re = (struct msg_resolve_re){
            .kind = (uint8_t)mood, .has_quota = w->moods & 1, .sealed = SPAN("s")};
    fn(w->arg, mood == 3 ? NULL : &m, -1);
}

void fuzz_session(struct span in)
{
    struct world w = {.moods = in.n > 0 ? (unsigned)(unsigned char)in.p[0] * 0x01010101U : 0};
    struct session_rules rules = {
        .ops = &world_ops,
        .client = &w,
        .peer = {.octets = {192, 0, 2, 1}, .n = 4},
        .limits = {.recipients = 5,
                   .errors = 10,
                   .junk_commands = 5,
                   .hops = 10,
                   .command_timeout_ms = 1000,
                   .session_timeout_ms = 10000,
                   .minimum_rate = 1},
        .message_size_max = 65536,
        .may_relay = (w.moods & 4) != 0,
        .dsn = OFFERED_TRUSTED,
        .has_auth = (w.moods & 8) != 0,
        .has_scram = true,
        .may_log_in_plain = true,
        .login_failures_max = 3,
    };
    w.session = session_new(&rules, SPAN("mx.example.org"));
    if (w.session == NULL)
        return;
    session_greet(w.session, false);
    in = span_from(in, 1);
    for (int idle = 0; idle < 2 && !w.is_over;) {
        size_t n = session_input(w.session, in);
        fuzz_check(n <= in.n, "session: took more than there is");
        in = span_from(in, n);
        idle = n == 0 && w.fn == NULL ? idle + 1 : 0;
        if (w.fn != NULL)
            answer(&w);
    }
    session_free(w.session);
    fuzz_check(w.fn == NULL || w.asked == MSG_QUEUE_OPEN, "session: a question was left behind");
}
