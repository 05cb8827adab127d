#include "pop3d/multiline.h"
#include "tests/fuzz/fuzz.h"

static size_t stuff(struct span in, size_t piece, char *out)
{
    struct multiline m;
    size_t n = 0;
    multiline_begin(&m, true);
    while (in.n > 0) {
        struct span part = {in.p, in.n < piece ? in.n : piece};
        in = span_from(in, part.n);
        while (part.n > 0) {
            struct span next = multiline_next(&m, &part);
            memcpy(out + n, next.p, next.n);
            n += next.n;
        }
    }
    struct span end = multiline_end(&m);
    memcpy(out + n, end.p, end.n);
    return n + end.n;
}

/* Whatever the content and its pieces, the response ends at its first CRLF.CRLF and nowhere else.
 */
void fuzz_multiline(struct span in)
{
    size_t cap = 2 * in.n + 16;
    char *out = malloc(cap), *other = malloc(cap);
    size_t n = stuff(in, SIZE_MAX, out);
    for (size_t piece = 1; piece <= 3; piece++)
        fuzz_check(stuff(in, piece, other) == n && memcmp(out, other, n) == 0,
                   "multiline: splitting matters");
    const char *end = memmem(out, n, "\r\n.\r\n", 5);
    if (n == 3)
        end = out - 2;
    fuzz_check(end != NULL && (size_t)(end - out) + 5 == n, "multiline: ends elsewhere");
    free(out);
    free(other);
}
