#include "common/id.h"

#include "common/clock.h"

#include <sodium.h>

#define LOW_BITS     21 /* below the milliseconds */
#define COUNT_BITS   11 /* of them, if the maker is known; the others are its number */
#define AHEAD_MAX_MS 1000
#define COUNT_MASK   ((UINT64_C(1) << COUNT_BITS) - 1)

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static uint64_t maker = UINT64_MAX; /* not known */
static uint64_t last;

void id_set_maker(unsigned number)
{
    maker = (uint64_t)number << COUNT_BITS & ((UINT64_C(1) << LOW_BITS) - 1);
    last = 0;
}

uint64_t id_new(void)
{
    uint64_t ms = (uint64_t)clock_wall_ms(), last_ms = last >> LOW_BITS;
    /* Within a millisecond they count up: random numbers alone would meet at some thousand a
     * second. Who needs more of them than it has takes those of the next one, and the clock may be
     * that far behind. The maker's number keeps those of other processes apart; what is random,
     * those made before the clock was put back by more. */
    if (last_ms >= ms && last_ms - ms < AHEAD_MAX_MS) {
        if ((last & COUNT_MASK) != COUNT_MASK)
            return ++last;
        ms = last_ms + 1;
    }
    uint64_t low = randombytes_uniform(1U << LOW_BITS);
    if (maker != UINT64_MAX)
        low = maker | (low & COUNT_MASK >> 1);
    last = (ms << LOW_BITS | low) & INT64_MAX;
    return last;
}

void id_format(char out[ID_TEXT], uint64_t id)
{
    for (int i = ID_TEXT - 2; i >= 0; i--) {
        out[i] = digits[id & 31];
        id >>= 5;
    }
    out[ID_TEXT - 1] = '\0';
}

int id_parse(struct span text, uint64_t *id)
{
    if (text.n != ID_TEXT - 1)
        return -1;
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] ? strchr(digits, ascii_lower(text.p[i])) : NULL;
        if (at == NULL)
            return -1;
        v = v << 5 | (uint64_t)(at - digits);
    }
    if (v > INT64_MAX || v == 0 || strchr("01234567", text.p[0]) == NULL)
        return -1;
    *id = v;
    return 0;
}

int64_t id_wall_ms(uint64_t id)
{
    return (int64_t)(id >> LOW_BITS);
}
