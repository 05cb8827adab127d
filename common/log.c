#include "common/log.h"

#include "common/id.h"

#include <errno.h>

#define LINE_MAX_OCTETS 2048
#define VALUE_MAX       512
#define WORD_MAX        64
#define KEY_MAX         40
#define NUMBER_MAX      20 /* digits of INT64_MIN, with its sign */
#define FIELD_ROOM      96 /* for a key, and a number or the start of a text */

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

/* snprintf would take longer than all the rest of a line. */
static size_t put_text(char *out, const char *text, size_t max)
{
    size_t n = strnlen(text, max);
    memcpy(out, text, n);
    return n;
}

static size_t put_number(char *out, int64_t number)
{
    char digits[NUMBER_MAX];
    size_t n = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        digits[--n] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        digits[--n] = '-';
    memcpy(out, digits + n, sizeof digits - n);
    return sizeof digits - n;
}

static size_t put_field(char *out, size_t cap, const struct log_field *f)
{
    size_t n = 0;
    out[n++] = ' ';
    n += put_text(out + n, f->key, KEY_MAX);
    out[n++] = '=';
    if (!f->is_text)
        return n + put_number(out + n, f->number);
    return n + log_escape(out + n, cap - n < VALUE_MAX ? cap - n : VALUE_MAX, f->text);
}

void log_write(uint64_t id, const char *event, const struct log_field *fields, size_t n_fields)
{
    if (sizeof pending - n_pending < LINE_MAX_OCTETS)
        log_flush();
    char *line = pending + n_pending;
    char id_text[ID_TEXT] = "-";
    if (id != 0)
        id_format(id_text, id);
    size_t n = put_text(line, line_prefix, WORD_MAX);
    n += put_text(line + n, id_text, sizeof id_text);
    line[n++] = ' ';
    n += put_text(line + n, event, WORD_MAX);
    for (size_t i = 0; i < n_fields && LINE_MAX_OCTETS - n >= FIELD_ROOM; i++)
        n += put_field(line + n, LINE_MAX_OCTETS - 1 - n, &fields[i]);
    line[n++] = '\n';
    n_pending += n;
}
