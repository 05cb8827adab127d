#include "common/qp.h"

#define LINE_MAX_OCTETS 76

static bool is_line_end(struct span s, size_t at)
{
    return at + 1 < s.n && s.p[at] == '\r' && s.p[at + 1] == '\n';
}

/* May it stand for itself? White space at the end of a line may be lost on the way. */
static bool is_plain(struct span s, size_t at)
{
    char c = s.p[at];
    if (c == ' ' || c == '\t')
        return at + 1 < s.n && !is_line_end(s, at + 1);
    return c > ' ' && c <= '~' && c != '=';
}

struct piece {
    char octets[8];
    size_t n;
};

static void put(struct piece *p, const char *octets, size_t n)
{
    memcpy(p->octets + p->n, octets, n);
    p->n += n;
}

/* What stands for the octet at `at`, with a soft line break before it where one is needed; how many
 * octets of s that takes. */
static size_t encode_one(struct span s, size_t at, size_t *column, struct piece *p)
{
    static const char hex[] = "0123456789ABCDEF";
    p->n = 0;
    if (is_line_end(s, at)) {
        put(p, "\r\n", 2);
        *column = 0;
        return 2;
    }
    unsigned char c = (unsigned char)s.p[at];
    const char code[3] = {'=', hex[c >> 4], hex[c & 15]};
    size_t n = is_plain(s, at) ? 1 : sizeof code;
    if (*column + n > LINE_MAX_OCTETS - 1) { /* one for the "=" of a soft break */
        put(p, "=\r\n", 3);
        *column = 0;
    }
    put(p, n == 1 ? s.p + at : code, n);
    *column += n;
    return 1;
}

int qp_encode(struct buf *out, struct span text)
{
    struct piece p;
    size_t column = 0;
    for (size_t at = 0; at < text.n;) {
        at += encode_one(text, at, &column, &p);
        if (buf_add(out, p.octets, p.n) < 0)
            return -1;
    }
    return 0;
}

size_t qp_size(struct span text)
{
    struct piece p;
    size_t column = 0, n = 0;
    for (size_t at = 0; at < text.n;) {
        at += encode_one(text, at, &column, &p);
        n += p.n;
    }
    return n;
}
