/* Asking a daemon over its control socket: ADMIN, its rows, page after page, its end. */
#include "cli/cli.h"

#include "common/admin.h"
#include "common/unixsock.h"

#include <errno.h>

#define ANSWER_MS     60000 /* without a row or an end the daemon counts as stuck */
#define BUSY_TRIES    1000
#define UNHEARD_TRIES 100
#define BUSY_MS       20 /* between tries, while another barid works offline or the daemons start */

struct asking {
    struct loop *loop;
    struct ipc *ch;
    const struct question *question;
    struct rows *rows;
    uint64_t tag;
    uint64_t cursor;
    size_t rows_of_page;
    uint64_t n_roots; /* rows of depth 0 so far */
    enum verdict verdict;
    bool is_answered, is_closed, is_damaged;
    bool is_unheard; /* closed before the daemon took us on: it did nothing */
    struct error error;
};

static int64_t patience_ms(const struct question *q)
{
    return q->answer_ms > 0 ? q->answer_ms : ANSWER_MS;
}

static void on_row(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct asking *a = owner;
    const struct msg_admin_row *row = &m->admin_row;
    if (row->tag != a->tag)
        return;
    a->rows_of_page++;
    a->n_roots += row->depth == 0;
    ipc_extend(from, a->tag, patience_ms(a->question));
    int rc = a->question->on_row != NULL ? a->question->on_row(a->question->on_row_arg, row->fields)
                                         : rows_add(a->rows, row->depth, row->group, row->fields);
    if (rc < 0)
        a->is_damaged = true;
}

static void on_close(void *owner, struct ipc *ch)
{
    struct asking *a = owner;
    a->is_closed = true;
    a->is_unheard = !ipc_is_greeted(ch);
}

static void on_end(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct asking *a = arg;
    a->is_answered = true;
    if (m == NULL) {
        a->verdict = VERDICT_TRY_LATER;
        error_set(&a->error, a->is_closed ? "" : "it does not answer: see the log");
        return;
    }
    a->verdict = (enum verdict)m->admin_re.verdict;
    a->cursor = m->admin_re.cursor;
    error_set(&a->error, "%.*s", (int)m->admin_re.error.n, m->admin_re.error.p);
}

static const struct ipc_handler handlers[] = {{MSG_ADMIN_ROW, on_row}};
static const struct ipc_ops ops = {.handlers = handlers, .n_handlers = 1, .on_close = on_close};

static int pack_args(struct packer *w, const struct question *q)
{
    for (size_t i = 0; i < q->n_args; i++)
        pack_bytes(w, q->args[i]);
    return w->failed || q->n_args > ADMIN_ARGS_MAX ? -1 : 0;
}

static int ask_page(struct asking *a, const struct question *q, struct error *e)
{
    static char octets[LIST_MAX];
    struct packer w = packer_on(octets, sizeof octets);
    if (pack_args(&w, q) < 0)
        return error_set(e, "too many or too long arguments: give them in several commands");
    struct msg_admin m = {.command = span_of(q->admin),
                          .args = packer_span(&w),
                          .secret = q->secret,
                          .cursor = a->cursor};
    a->is_answered = false;
    a->cursor = 0;
    a->rows_of_page = 0;
    a->question = q;
    a->tag = ipc_ask_admin(a->ch, &m, -1, patience_ms(q), on_end, a);
    while (a->tag != 0 && !a->is_answered && !a->is_closed)
        loop_turn(a->loop, -1);
    if (a->tag == 0) /* it closed even before we could ask */
        a->is_unheard = !ipc_is_greeted(a->ch);
    if (a->is_closed || (a->tag == 0 && !a->is_answered))
        return error_set(e,
                         "%s ended the connection: it stopped, or is of another version of barid; "
                         "restart the daemons and see the log",
                         role_name(q->process));
    if (a->verdict != VERDICT_OK)
        return error_set(e, "%s", a->error.text[0] ? a->error.text : "refused without a reason");
    return a->is_damaged ? error_set(e, "the answer of %s is damaged", role_name(q->process)) : 0;
}

static int ask_all(struct asking *a, const struct question *q, struct error *e)
{
    uint64_t before;
    do {
        before = a->cursor;
        if (ask_page(a, q, e) < 0)
            return -1;
        if (a->cursor != 0 && a->cursor == before && a->rows_of_page == 0)
            return error_set(e, "%s sends the same page for ever", role_name(q->process));
    } while (a->cursor != 0 && (q->limit == 0 || a->n_roots < q->limit));
    return 0;
}

enum start { START_NOT, START_IF_ABSENT, START_BESIDE };

struct target {
    enum role role;
    enum start start;
};

static struct offline *begin_offline(struct cli *cli, struct loop *loop, const struct target *t,
                                     bool *is_busy, struct error *e)
{
    struct offline_wish wish = {t->role, t->start == START_BESIDE};
    return offline_start(cli, loop, wish, is_busy, e);
}

/* The channel to whom we ask; *offline is what must be stopped after it. -1 and e. */
static int reach(struct cli *cli, struct loop *loop, const struct target *t,
                 struct offline **offline, bool *is_absent, struct error *e)
{
    char name[32];
    snprintf(name, sizeof name, "%s.sock", role_name(t->role));
    for (int tries = 0;; tries++) {
        bool is_busy;
        int fd = -1;
        *is_absent = t->start == START_BESIDE;
        if (!*is_absent)
            fd = unixsock_connect(cli->config->run_dir, name, is_absent, e);
        if (fd >= 0)
            return fd;
        if (!*is_absent) {
            struct error why = *e;
            return error_set(e, "%.300s: run this as root or as the user who started barid",
                             why.text);
        }
        if (t->start == START_NOT)
            return error_set(e,
                             "barid is not running (no answer on %s/%s): start it with: barid run",
                             cli->config->run_dir, name);
        *offline = begin_offline(cli, loop, t, &is_busy, e);
        if (*offline != NULL)
            return offline_fd(*offline);
        if (!is_busy || tries == BUSY_TRIES)
            return -1;
        loop_turn(loop, BUSY_MS);
    }
}

static int ask_once(struct cli *cli, const struct question *q, struct asking *a, bool *is_absent,
                    struct error *e)
{
    struct offline *offline = NULL;
    struct target to = {
        q->process, q->process == ROLE_AUTHD && !q->only_if_running ? START_IF_ABSENT : START_NOT};
    int rc = -1;
    int fd = reach(cli, a->loop, &to, &offline, is_absent, e);
    if (fd >= 0) {
        a->ch = ipc_open(a->loop, fd, ROLE_CLI, q->process, &ops, a);
        rc = a->ch != NULL ? ask_all(a, q, e) : error_set(e, "no memory");
        ipc_close(a->ch);
    }
    offline_stop(offline);
    return rc;
}

/* Daemons that stop while we wait in front of their door: what comes after them is asked. */
int cli_ask(struct cli *cli, const struct question *q, struct rows *out, bool *is_absent,
            struct error *e)
{
    struct loop *loop = loop_new();
    bool absent = false;
    int rc = -1;
    cli->was_refused = false;
    if (loop == NULL)
        return error_set(e, "no memory");
    for (int tries = 0; tries < UNHEARD_TRIES; tries++) {
        struct asking a = {.rows = out, .loop = loop};
        rc = ask_once(cli, q, &a, is_absent != NULL ? is_absent : &absent, e);
        cli->was_refused = rc < 0 && a.is_answered && a.verdict == VERDICT_NEVER;
        if (rc == 0 || !a.is_unheard)
            break;
        loop_turn(loop, BUSY_MS);
    }
    loop_free(loop);
    return rc;
}

/* --- several questions to one --- */

struct asker {
    enum role role;
    struct offline *offline;
    struct asking asking;
};

struct asker *asker_open(struct cli *cli, enum role role, enum asker_way way, struct error *e)
{
    struct asker *a = alloc_array(1, sizeof *a);
    struct target to = {role, way == ASK_PROCESS_OF_OUR_OWN ? START_BESIDE : START_IF_ABSENT};
    bool is_absent;
    int fd = -1;
    error_set(e, "no memory");
    if (a == NULL)
        return NULL;
    *a = (struct asker){.role = role, .asking.loop = loop_new()};
    if (a->asking.loop != NULL)
        fd = reach(cli, a->asking.loop, &to, &a->offline, &is_absent, e);
    if (fd >= 0)
        a->asking.ch = ipc_open(a->asking.loop, fd, ROLE_CLI, role, &ops, &a->asking);
    if (a->asking.ch != NULL)
        return a;
    asker_close(a);
    return NULL;
}

int asker_ask(struct asker *a, struct question *q, struct rows *out, struct error *e)
{
    q->process = a->role;
    a->asking.rows = out;
    a->asking.cursor = 0;
    a->asking.n_roots = 0;
    a->asking.is_damaged = false;
    return ask_all(&a->asking, q, e);
}

void asker_close(struct asker *a)
{
    if (a == NULL)
        return;
    ipc_close(a->asking.ch);
    offline_stop(a->offline);
    if (a->asking.loop != NULL)
        loop_free(a->asking.loop);
    free(a);
}

bool asker_is_absent(struct cli *cli, enum role role)
{
    char name[32];
    bool is_absent = false;
    struct error e;
    snprintf(name, sizeof name, "%s.sock", role_name(role));
    int fd = unixsock_connect(cli->config->run_dir, name, &is_absent, &e);
    if (fd >= 0)
        close(fd);
    return is_absent;
}
