#include "relay/command.h"

uint64_t command_content_size(const struct client_mail *m)
{
    return m->content.n > 0 ? m->content.n : m->size;
}

/* " NAME=value" at out[n]; the new n. Every value is bounded, and COMMAND_MAX is the sum of all. */
static size_t add_param(char out[COMMAND_MAX], size_t n, const char *name, struct span value)
{
    int added = snprintf(out + n, COMMAND_MAX - n, " %s=%.*s", name, (int)value.n, value.p);
    return n + (added > 0 ? (size_t)added : 0);
}

static size_t add_word(char out[COMMAND_MAX], size_t n, const char *word)
{
    int added = snprintf(out + n, COMMAND_MAX - n, "%s", word);
    return n + (added > 0 ? (size_t)added : 0);
}

static size_t add_path(char out[COMMAND_MAX], const char *verb, struct span path)
{
    int n = snprintf(out, COMMAND_MAX, "%s:<%.*s>", verb, (int)path.n, path.p);
    return n > 0 ? (size_t)n : 0;
}

static size_t format_mail(char out[COMMAND_MAX], const struct client_mail *m, const struct offer *o)
{
    size_t n = add_path(out, "MAIL FROM", m->sender);
    char size[24];
    snprintf(size, sizeof size, "%llu", (unsigned long long)command_content_size(m));
    if (o->has_size && !m->is_callout)
        n = add_param(out, n, "SIZE", span_of(size));
    if (o->has_8bitmime && (m->flags & CONTENT_8BIT) != 0)
        n = add_param(out, n, "BODY", SPAN("8BITMIME"));
    if (o->has_utf8 && m->is_utf8)
        n = add_word(out, n, " SMTPUTF8");
    if (o->has_requiretls && m->requires_tls)
        n = add_word(out, n, " REQUIRETLS");
    if (o->is_logged_in) /* RFC 4954 5: who wrote it is not vouched for by our login */
        n = add_param(out, n, "AUTH", SPAN("<>"));
    if (o->has_dsn && m->ret != RET_DEFAULT)
        n = add_param(out, n, "RET", m->ret == RET_FULL ? SPAN("FULL") : SPAN("HDRS"));
    if (o->has_dsn && m->envid.n > 0)
        n = add_param(out, n, "ENVID", m->envid);
    return n;
}

static size_t format_rcpt(char out[COMMAND_MAX], const struct client_rcpt *r, const struct offer *o)
{
    size_t n = add_path(out, "RCPT TO", r->address);
    char notify[NOTIFY_TEXT];
    notify_format(notify, r->notify);
    if (o->has_dsn && notify[0] != '\0')
        n = add_param(out, n, "NOTIFY", span_of(notify));
    if (o->has_dsn && r->orcpt.n > 0)
        n = add_param(out, n, "ORCPT", r->orcpt);
    return n;
}

void command_format(char out[COMMAND_MAX], const struct client_mail *m, const struct offer *o,
                    size_t command)
{
    size_t n = 0;
    if (command == 0)
        n = format_mail(out, m, o);
    else if (command <= m->n_rcpts)
        n = format_rcpt(out, &m->rcpts[command - 1], o);
    else
        n = (size_t)snprintf(out, COMMAND_MAX, "DATA");
    snprintf(out + n, COMMAND_MAX - n, "\r\n");
}

const char *command_name(const struct client_mail *m, size_t command)
{
    if (command == 0)
        return "MAIL FROM";
    return command <= m->n_rcpts ? "RCPT TO" : "DATA";
}
