#include "common/near.h"

#define WORD_MAX 40

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be added, left out, changed or swapped with their neighbour to make b of a.
 * Words over WORD_MAX octets are near to nothing. */
static size_t distance(struct span a, struct span b)
{
    size_t table[WORD_MAX + 1][WORD_MAX + 1];
    if (a.n > WORD_MAX || b.n > WORD_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i <= a.n; i++)
        for (size_t j = 0; j <= b.n; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = i + j;
                continue;
            }
            size_t change = ascii_lower(a.p[i - 1]) != ascii_lower(b.p[j - 1]);
            size_t d =
                least(table[i - 1][j - 1] + change, least(table[i - 1][j], table[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                d = least(d, table[i - 2][j - 2] + 1);
            table[i][j] = d;
        }
    return table[a.n][b.n];
}

void near_begin(struct near *n, struct span to)
{
    size_t allowed = to.n / 3 < 1 ? 1 : to.n / 3;
    *n = (struct near){.to = to, .distance = least(allowed, 4) + 1};
}

void near_offer(struct near *n, const char *word)
{
    size_t d = distance(n->to, span_of(word));
    if (d < n->distance && d < span_of(word).n) {
        n->distance = d;
        n->best = word;
    }
}
