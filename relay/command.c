#include "relay/command.h"

uint64_t command_content_size(const struct client_mail *m)
{
    return m->content.n > 0 ? m->content.n : m->size;
}

static void format_mail(char out[COMMAND_MAX], const struct client_mail *m, const struct offer *o)
{
    char size[32] = "";
    bool is_8bit = o->has_8bitmime && (m->flags & CONTENT_8BIT) != 0;
    if (o->has_size)
        snprintf(size, sizeof size, " SIZE=%llu", (unsigned long long)command_content_size(m));
    snprintf(out, COMMAND_MAX, "MAIL FROM:<%.*s>%s%s\r\n", (int)m->sender.n, m->sender.p, size,
             is_8bit ? " BODY=8BITMIME" : "");
}

void command_format(char out[COMMAND_MAX], const struct client_mail *m, const struct offer *o,
                    size_t command)
{
    if (command == 0) {
        format_mail(out, m, o);
    } else if (command <= m->n_rcpts) {
        struct span to = m->rcpts[command - 1];
        snprintf(out, COMMAND_MAX, "RCPT TO:<%.*s>\r\n", (int)to.n, to.p);
    } else {
        snprintf(out, COMMAND_MAX, "DATA\r\n");
    }
}

const char *command_name(const struct client_mail *m, size_t command)
{
    if (command == 0)
        return "MAIL FROM";
    return command <= m->n_rcpts ? "RCPT TO" : "DATA";
}
