#include "cli/text.h"

#include "common/utf8.h"

static bool is_harmless(uint32_t c)
{
    return c >= 32 && !(c >= 127 && c < 160) && !(c >= 0x200e && c <= 0x200f) &&
           !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

int text_terminal(struct buf *out, struct span s)
{
    while (s.n > 0) {
        uint32_t number;
        size_t n = utf8_character(s, &number);
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
