#include "common/log.h"

#include "common/id.h"

#include <errno.h>

#define LINE_MAX_OCTETS 2048
#define VALUE_MAX       512

static char pending[16384];
static size_t n_pending;
static const char *line_prefix = "";
static void (*line_sink)(struct span lines);

void log_set_prefix(const char *prefix)
{
    line_prefix = prefix;
}

void log_set_sink(void (*sink)(struct span lines))
{
    line_sink = sink;
}

void log_flush(void)
{
    size_t at = 0;
    if (line_sink != NULL && n_pending > 0) {
        line_sink((struct span){pending, n_pending});
        n_pending = 0;
    }
    while (at < n_pending) {
        ssize_t n = write(STDERR_FILENO, pending + at, n_pending - at);
        if (n < 0 && errno != EINTR)
            break; /* nobody is left to read it */
        at += n > 0 ? (size_t)n : 0;
    }
    n_pending = 0;
}

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

static size_t escape_octet(char *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c >= ' ' && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

size_t log_escape(char *out, size_t cap, struct span text)
{
    bool plain = text.n > 0 && text.n <= cap;
    for (size_t i = 0; i < text.n && plain; i++)
        plain = is_plain((unsigned char)text.p[i]);
    if (plain) {
        memcpy(out, text.p, text.n);
        return text.n;
    }
    if (cap < 9)
        return 0;
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < text.n; i++) {
        if (n + 4 + 4 > cap) { /* an escape, and the mark and closing quote after it */
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        n += escape_octet(out + n, (unsigned char)text.p[i]);
    }
    out[n++] = '"';
    return n;
}

void log_write(uint64_t id, const char *event, const struct log_field *fields, size_t n_fields)
{
    if (sizeof pending - n_pending < LINE_MAX_OCTETS)
        log_flush();
    char *line = pending + n_pending;
    char id_text[ID_TEXT] = "-";
    if (id != 0)
        id_format(id_text, id);
    size_t n = (size_t)snprintf(line, 128, "%s%s %.64s", line_prefix, id_text, event);
    for (size_t i = 0; i < n_fields; i++) {
        const struct log_field *f = &fields[i];
        size_t left = LINE_MAX_OCTETS - n;
        if (left < 96)
            break;
        n += (size_t)snprintf(line + n, 48, " %.40s=", f->key);
        left = LINE_MAX_OCTETS - 2 - n;
        if (f->is_text)
            n += log_escape(line + n, left < VALUE_MAX ? left : VALUE_MAX, f->text);
        else
            n += (size_t)snprintf(line + n, left, "%lld", (long long)f->number);
    }
    line[n++] = '\n';
    n_pending += n;
}
