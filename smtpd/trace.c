#include "smtpd/trace.h"

#include "common/addr.h"

#define HELO_SHOWN 255
#define TLS_SHOWN  100
#define LEN(s)     (int)(s).n, (s).p

/* What a client says of itself may be no domain, but still has to be shown: as a comment, with
 * nothing in it that means anything there. */
static size_t comment_of(char out[HELO_SHOWN + 1], struct span helo)
{
    size_t n = helo.n < HELO_SHOWN ? helo.n : HELO_SHOWN;
    for (size_t i = 0; i < n; i++) {
        char c = helo.p[i];
        bool is_plain = c >= ' ' && c <= '~' && c != '(' && c != ')' && c != '\\';
        out[i] = is_plain ? c : '?';
    }
    return n;
}

static size_t add_from(char *out, size_t cap, const struct trace *t)
{
    char literal[NETADDR_TEXT], odd[HELO_SHOWN + 1];
    netaddr_format_literal(literal, &t->client);
    int n;
    if (t->is_hidden)
        n = snprintf(out, cap, "Received: by %.*s (barid)", LEN(t->hostname));
    else if (t->client.n == NETADDR_LOCAL) /* in the words that people know from Postfix */
        n = snprintf(out, cap, "Received: by %.*s (barid, from userid %u)", LEN(t->hostname),
                     (unsigned)netaddr_uid(&t->client));
    else if (addr_is_domain(t->helo) || addr_is_literal(t->helo))
        n = snprintf(out, cap, "Received: from %.*s (%s)", LEN(t->helo), literal);
    else
        n = snprintf(out, cap, "Received: from %s (%s) (HELO %.*s)", literal, literal,
                     (int)comment_of(odd, t->helo), odd);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

static size_t add_by(char *out, size_t cap, const struct trace *t)
{
    char id[ID_TEXT], date[CLOCK_TEXT_MAX], tls[TLS_SHOWN] = "";
    id_format(id, t->id);
    clock_rfc5322(date, t->wall_s);
    /* RFC 5321 wants a mailbox with a domain; <postmaster> has none. */
    bool has_for = t->rcpt.n > 0 && memchr(t->rcpt.p, '@', t->rcpt.n) != NULL;
    if (t->tls != NULL)
        snprintf(tls, sizeof tls, " (%s %s)", t->tls->version, t->tls->cipher);
    bool has_by = t->client.n != NETADDR_LOCAL && !t->is_hidden; /* else add_from said it */
    int n =
        snprintf(out, cap, "\r\n\t%s%.*s%swith %.*s%s id %s%s%.*s%s;\r\n\t%s\r\n",
                 has_by ? "by " : "", has_by ? (int)t->hostname.n : 0, t->hostname.p,
                 has_by ? " " : "", LEN(t->protocol), tls, id, has_for ? "\r\n\tfor <" : "",
                 has_for ? (int)t->rcpt.n : 0, has_for ? t->rcpt.p : "", has_for ? ">" : "", date);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

size_t trace_received(char *out, const struct trace *t)
{
    size_t n = add_from(out, TRACE_MAX, t);
    return n + add_by(out + n, TRACE_MAX - n, t);
}

size_t trace_date(char out[TRACE_DATE_MAX], int64_t wall_s)
{
    char date[CLOCK_TEXT_MAX];
    clock_rfc5322(date, wall_s);
    int n = snprintf(out, TRACE_DATE_MAX, "Date: %s\r\n", date);
    return n > 0 && (size_t)n < TRACE_DATE_MAX ? (size_t)n : 0;
}

size_t trace_message_id(char out[TRACE_MESSAGE_ID_MAX], uint64_t id, struct span hostname)
{
    char text[ID_TEXT];
    id_format(text, id);
    hostname.n = hostname.n < HOSTNAME_SHOWN ? hostname.n : HOSTNAME_SHOWN;
    int n = snprintf(out, TRACE_MESSAGE_ID_MAX, "Message-ID: <%s@%.*s>\r\n", text, LEN(hostname));
    return n > 0 && (size_t)n < TRACE_MESSAGE_ID_MAX ? (size_t)n : 0;
}
