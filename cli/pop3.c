#include "cli/pop3.h"

#include <stdarg.h>

#define PIECE     16384
#define LINES_MAX (2 * POP3_MESSAGES_MAX)

static int lost(struct pop3 *p, struct error *e, const char *why)
{
    wire_close(&p->wire);
    p->is_temporary = true;
    return error_set(e, "%s", why);
}

int pop3_lost(struct pop3 *p, struct error *e, const char *why)
{
    return lost(p, e, why);
}

/* RFC 2449 8, RFC 3206: what a later try can change. */
static bool says_later(const char *text)
{
    struct span t = span_of(text);
    return span_istarts(t, SPAN("[IN-USE]")) || span_istarts(t, SPAN("[SYS/TEMP]")) ||
           span_istarts(t, SPAN("[LOGIN-DELAY]"));
}

static int refused(struct pop3 *p, struct error *e, bool is_temporary, const char *what)
{
    p->is_temporary = is_temporary;
    return error_set(e, "%s: the server says: %.300s", what, p->text[0] ? p->text : "-ERR");
}

int pop3_refused(struct pop3 *p, struct error *e, const char *what)
{
    return refused(p, e, says_later(p->text), what);
}

/* --- octets --- */

static int fill(struct pop3 *p, struct error *e)
{
    char *room = buf_room(&p->in, PIECE);
    struct error why;
    if (room == NULL)
        return lost(p, e, "no memory");
    ssize_t n = wire_read(&p->wire, room, PIECE, &why);
    if (n <= 0)
        return lost(p, e, n == 0 ? "the server closed the connection" : why.text);
    buf_grew(&p->in, (size_t)n);
    return 0;
}

int pop3_send(struct pop3 *p, struct span out, struct error *e)
{
    struct error why;
    return wire_write(&p->wire, out, &why) < 0 ? lost(p, e, why.text) : 0;
}

int pop3_say(struct pop3 *p, struct error *e, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 2, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line - 2)
        return error_set(e, "a command would be too long");
    memcpy(line + n, "\r\n", 2);
    return pop3_send(p, (struct span){line, (size_t)n + 2}, e);
}

typedef enum pop3in_result read_fn(struct span in, struct span *text, size_t *used);

/* What `read` finds in the next line; the text of it in p->text. */
static int next_line(struct pop3 *p, read_fn *read, enum pop3in_result *r, struct error *e)
{
    struct span text;
    size_t used;
    while ((*r = read(buf_span(&p->in), &text, &used)) == POP3IN_MORE)
        if (fill(p, e) < 0)
            return -1;
    if (*r == POP3IN_BAD)
        return lost(p, e, "what answers there does not speak POP3");
    size_t n = text.n < sizeof p->text - 1 ? text.n : sizeof p->text - 1;
    memcpy(p->text, text.n > 0 ? text.p : "", n);
    p->text[n] = '\0';
    buf_consume(&p->in, used);
    return 0;
}

int pop3_status(struct pop3 *p, bool *is_ok, struct error *e)
{
    enum pop3in_result r;
    if (next_line(p, pop3in_status, &r, e) < 0)
        return -1;
    *is_ok = r == POP3IN_OK;
    return 0;
}

int pop3_auth_line(struct pop3 *p, enum pop3in_result *r, struct span *text, struct error *e)
{
    if (next_line(p, pop3in_challenge, r, e) < 0)
        return -1;
    *text = span_of(p->text);
    return 0;
}

int pop3_lines(struct pop3 *p, pop3_line_fn *line, void *arg, struct error *e)
{
    for (size_t i = 0; i < LINES_MAX; i++) {
        struct span text;
        size_t used;
        enum pop3in_result r;
        while ((r = pop3in_line(buf_span(&p->in), &text, &used)) == POP3IN_MORE)
            if (fill(p, e) < 0)
                return -1;
        if (r == POP3IN_BAD || (r == POP3IN_LINE && line(arg, text) < 0))
            return lost(p, e, "the server sends a listing that is none");
        buf_consume(&p->in, used);
        if (r == POP3IN_END)
            return 0;
    }
    return lost(p, e, "the server sends a listing without an end");
}

int pop3_content(struct pop3 *p, uint64_t max, pop3_write_fn *write, void *arg, struct error *e)
{
    struct pop3in_content c = {.state = CONTENT_START};
    uint64_t octets = 0;
    while (c.state != CONTENT_OVER) {
        char out[2 * PIECE + 2];
        size_t n_out;
        struct span in = buf_span(&p->in);
        if (in.n == 0) {
            if (fill(p, e) < 0)
                return -1;
            continue;
        }
        in.n = in.n < PIECE ? in.n : PIECE;
        buf_consume(&p->in, pop3in_content(&c, in, out, &n_out));
        octets += n_out;
        if (octets > max)
            return lost(p, e, "the server sends more than it announced, and than --size-max");
        if (write(arg, (struct span){out, n_out}, e) < 0) {
            struct error why = *e;
            return lost(p, e, why.text);
        }
    }
    return 0;
}

/* --- the connection --- */

static void learn_sasl(struct pop3 *p, struct span line)
{
    while (line.n > 0) {
        struct span word = span_cut(&line, ' ');
        p->has_scram_plus = p->has_scram_plus || span_ieq(word, SPAN("SCRAM-SHA-256-PLUS"));
        p->has_scram = p->has_scram || span_ieq(word, SPAN("SCRAM-SHA-256"));
        p->has_plain = p->has_plain || span_ieq(word, SPAN("PLAIN"));
    }
}

static int learn(void *arg, struct span line)
{
    struct pop3 *p = arg;
    struct span word = span_cut(&line, ' ');
    p->has_uidl = p->has_uidl || span_ieq(word, SPAN("UIDL"));
    p->has_pipelining = p->has_pipelining || span_ieq(word, SPAN("PIPELINING"));
    p->has_stls = p->has_stls || span_ieq(word, SPAN("STLS"));
    p->has_user = p->has_user || span_ieq(word, SPAN("USER"));
    p->has_top = p->has_top || span_ieq(word, SPAN("TOP"));
    if (span_ieq(word, SPAN("SASL")))
        learn_sasl(p, line);
    return 0;
}

int pop3_ask_capa(struct pop3 *p, struct error *e)
{
    p->has_uidl = p->has_pipelining = p->has_stls = p->has_user = p->has_top = false;
    p->has_scram = p->has_scram_plus = p->has_plain = false;
    if (pop3_say(p, e, "CAPA") < 0 || pop3_status(p, &p->has_capa, e) < 0)
        return -1;
    return p->has_capa ? pop3_lines(p, learn, p, e) : 0;
}

static int secure(struct pop3 *p, const struct pop3_server *to, struct error *e)
{
    struct error why;
    bool is_temporary;
    if (wire_secure(&p->wire, to->host, &to->trust, &is_temporary, &why) == 0)
        return 0;
    lost(p, e, why.text);
    p->is_temporary = is_temporary;
    return -1;
}

/* RFC 2595 4: asked for even if CAPA does not show it, since that came in the clear; and nothing
 * that came before counts afterwards. */
static int upgrade(struct pop3 *p, const struct pop3_server *to, struct error *e)
{
    bool is_ok;
    if (pop3_say(p, e, "STLS") < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    if (!is_ok) {
        lost(p, e,
             "the server has no TLS here (STLS is refused), and without it no password is sent: "
             "try --tls, which is port 995");
        p->is_temporary = false;
        return -1;
    }
    if (buf_span(&p->in).n > 0)
        return lost(p, e, "somebody put words behind the server's answer to STLS");
    return secure(p, to, e) < 0 ? -1 : pop3_ask_capa(p, e);
}

int pop3_open(struct pop3 *p, const struct pop3_server *to, struct error *e)
{
    bool is_ok;
    *p = (struct pop3){.wire.fd = -1};
    buf_init(&p->in, 4 * PIECE);
    if (wire_connect(&p->wire, to->host, to->port, to->tls, &p->is_temporary, e) < 0)
        return -1;
    if (to->tls == WIRE_IMPLICIT && secure(p, to, e) < 0)
        return -1;
    if (pop3_status(p, &is_ok, e) < 0)
        return -1;
    if (!is_ok)
        return refused(p, e, true, "no service now");
    bool needs_tls = to->tls == WIRE_UPGRADE || (to->tls == WIRE_AUTO && !p->wire.is_here);
    return needs_tls ? upgrade(p, to, e) : pop3_ask_capa(p, e);
}

void pop3_close(struct pop3 *p)
{
    wire_close(&p->wire);
    buf_free(&p->in);
}

/* --- the session --- */

struct listing {
    struct pop3_list *out;
    size_t at; /* lines so far */
};

/* "number rest". 0 and both, or -1. */
static int split_line(struct span line, uint32_t *number, struct span *rest)
{
    uint64_t v;
    *rest = span_trim(line);
    if (span_u64(span_cut(rest, ' '), &v) < 0 || v == 0 || v > UINT32_MAX)
        return -1;
    *number = (uint32_t)v;
    *rest = span_trim(*rest);
    return 0;
}

static int take_size(void *arg, struct span line)
{
    struct listing *g = arg;
    struct pop3_list *l = g->out;
    struct pop3_message m = {.number = 0};
    struct span rest;
    if (split_line(line, &m.number, &rest) < 0 || span_u64(span_cut(&rest, ' '), &m.size) < 0 ||
        (l->n > 0 && m.number <= l->list[l->n - 1].number) || l->n == POP3_MESSAGES_MAX ||
        array_reserve((void **)&l->list, &l->cap, l->n + 1, sizeof m) < 0)
        return -1;
    l->list[l->n++] = m;
    return 0;
}

/* The lines come in the order of LIST; a number that LIST did not have is passed over. */
static int take_uidl(void *arg, struct span line)
{
    struct listing *g = arg;
    struct pop3_list *l = g->out;
    uint32_t number;
    struct span uidl;
    if (split_line(line, &number, &uidl) < 0 || uidl.n == 0 || uidl.n > POP3_UIDL_MAX)
        return -1;
    while (g->at < l->n && l->list[g->at].number < number)
        g->at++;
    if (g->at == l->n || l->list[g->at].number != number)
        return 0;
    return span_copy(l->list[g->at].uidl, sizeof l->list[g->at].uidl, uidl);
}

static int list_with(struct pop3 *p, const char *command, pop3_line_fn *fn, struct pop3_list *out,
                     struct error *e)
{
    bool is_ok;
    struct listing g = {.out = out};
    if (pop3_say(p, e, "%s", command) < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    return is_ok ? pop3_lines(p, fn, &g, e) : refused(p, e, false, command);
}

int pop3_list(struct pop3 *p, struct pop3_list *out, struct error *e)
{
    *out = (struct pop3_list){.n = 0};
    if (list_with(p, "LIST", take_size, out, e) < 0)
        return -1;
    return list_with(p, "UIDL", take_uidl, out, e);
}

void pop3_list_free(struct pop3_list *l)
{
    free(l->list);
    *l = (struct pop3_list){.n = 0};
}

int pop3_quit(struct pop3 *p, struct error *e)
{
    bool is_ok;
    if (pop3_say(p, e, "QUIT") < 0 || pop3_status(p, &is_ok, e) < 0)
        return -1;
    return is_ok ? 0 : refused(p, e, true, "not all messages were deleted");
}
