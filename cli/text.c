#include "cli/text.h"

/* Octets of the UTF-8 character at the start of s, and its number; 0: it is none (RFC 3629: no
 * overlong forms, no surrogates, nothing over U+10FFFF). */
static size_t character(struct span s, uint32_t *number)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > s.n)
        return 0;
    uint32_t v = n == 1 ? c : c & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (unsigned char)(s.p[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *number = v;
    return n;
}

static int json_character(struct buf *out, struct span c, uint32_t number)
{
    if (number == '"' || number == '\\')
        return buf_addf(out, "\\%c", (char)number);
    if (number == '\n')
        return buf_add(out, "\\n", 2);
    if (number < 32 || number == 127)
        return buf_addf(out, "\\u%04x", (unsigned)number);
    return buf_add_span(out, c);
}

int text_json(struct buf *out, struct span s)
{
    int rc = buf_add(out, "\"", 1);
    while (s.n > 0 && rc == 0) {
        uint32_t number;
        size_t n = character(s, &number);
        if (n == 0)
            rc = buf_add(out, "\xef\xbf\xbd", 3);
        else
            rc = json_character(out, (struct span){s.p, n}, number);
        s = span_from(s, n == 0 ? 1 : n);
    }
    return rc < 0 ? -1 : buf_add(out, "\"", 1);
}

static bool is_harmless(uint32_t c)
{
    return c >= 32 && !(c >= 127 && c < 160) && !(c >= 0x200e && c <= 0x200f) &&
           !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

int text_terminal(struct buf *out, struct span s)
{
    while (s.n > 0) {
        uint32_t number;
        size_t n = character(s, &number);
        if (n > 0 && is_harmless(number)) {
            if (buf_add(out, s.p, n) < 0)
                return -1;
            s = span_from(s, n);
            continue;
        }
        for (size_t i = 0; i < (n == 0 ? 1 : n); i++)
            if (buf_addf(out, "\\x%02x", (unsigned)(unsigned char)s.p[i]) < 0)
                return -1;
        s = span_from(s, n == 0 ? 1 : n);
    }
    return 0;
}

size_t text_width(struct span escaped)
{
    size_t n = 0;
    for (size_t i = 0; i < escaped.n; i++)
        n += (escaped.p[i] & 0xc0) != 0x80;
    return n;
}

void text_size(char out[32], uint64_t octets)
{
    static const char units[] = "KMGTPE";
    if (octets < 1024) {
        snprintf(out, 32, "%u", (unsigned)octets);
        return;
    }
    size_t unit = 0;
    while (octets >= 1024 * 1024 && unit + 2 < sizeof units) {
        octets /= 1024;
        unit++;
    }
    unsigned long long tenths = octets * 10 / 1024;
    snprintf(out, 32, "%llu.%llu%c", tenths / 10, tenths % 10, units[unit]);
}
