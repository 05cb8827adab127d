#include "common/stats.h"

#include "common/clock.h"
#include "common/pack.h"

#include <string.h>

#define SLOT_MS   5000
#define SLOTS     12 /* a minute */
#define WINDOW_MS 30000
#define SUB       8 /* buckets of one doubling */

static struct {
    uint64_t totals[STATS_N];
    uint32_t slots[SLOTS][STATS_N];
    int64_t slot; /* number of the present one, since the clock began */
    struct timing {
        uint64_t count, sum_us, max_us;
        uint64_t buckets[STATS_BUCKETS];
        uint32_t windows[2][STATS_BUCKETS];
        int64_t window;
    } times[STATS_TIMES_N];
} stats;

static const struct stats_desc descs[STATS_N] = {
#define ROW(NAME, name_, owner_, kind_, meaning_)                                                  \
    [STAT_##NAME] = {.name = #name_, .meaning = meaning_, .owner = (owner_), .kind = kind_},
    STATS(ROW)
#undef ROW
};

static const struct stats_desc time_descs[STATS_TIMES_N] = {
#define ROW(NAME, name_, owner_, meaning_)                                                         \
    [STAT_TIME_##NAME] = {.name = #name_, .meaning = meaning_, .owner = (owner_)},
    STATS_TIMES(ROW)
#undef ROW
};

const struct stats_desc *stats_desc(enum stats_id s)
{
    return &descs[s];
}

const struct stats_desc *stats_time_desc(enum stats_time_id t)
{
    return &time_descs[t];
}

/* --- counting --- */

/* Empties the slots of the time in which nothing was counted. */
static uint32_t *present_slot(void)
{
    int64_t slot = clock_mono_ms() / SLOT_MS;
    if (slot - stats.slot > SLOTS || slot < stats.slot)
        stats.slot = slot - SLOTS;
    while (stats.slot < slot)
        memset(stats.slots[++stats.slot % SLOTS], 0, sizeof stats.slots[0]);
    return stats.slots[slot % SLOTS];
}

void stats_add(enum stats_id s, uint64_t n)
{
    stats.totals[s] += n;
    uint32_t *slot = &present_slot()[s];
    *slot = n > UINT32_MAX - *slot ? UINT32_MAX : *slot + (uint32_t)n;
}

void stats_gauge(enum stats_id s, int64_t change)
{
    stats.totals[s] += (uint64_t)change;
}

/* Under SUB µs each has its own; then eight for each doubling. */
static size_t bucket_of(uint64_t us)
{
    if (us < SUB)
        return (size_t)us;
    unsigned octave = 63U - (unsigned)__builtin_clzll(us);
    size_t bucket = (octave - 2) * SUB + ((us >> (octave - 3)) & (SUB - 1));
    return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

/* The first µs of the next bucket. */
static uint64_t end_of(size_t bucket)
{
    if (bucket < SUB)
        return bucket + 1;
    unsigned octave = (unsigned)(bucket / SUB) + 2;
    return (UINT64_C(1) << octave) + ((uint64_t)(bucket % SUB) + 1) * (UINT64_C(1) << (octave - 3));
}

static void present_window(struct timing *t)
{
    int64_t window = clock_mono_ms() / WINDOW_MS;
    if (window == t->window)
        return;
    if (window != t->window + 1)
        memset(t->windows, 0, sizeof t->windows);
    memset(t->windows[window % 2], 0, sizeof t->windows[0]);
    t->window = window;
}

void stats_time_us(enum stats_time_id which, int64_t us)
{
    struct timing *t = &stats.times[which];
    uint64_t took = us > 0 ? (uint64_t)us : 0;
    size_t bucket = bucket_of(took);
    present_window(t);
    t->count++;
    t->sum_us += took;
    t->max_us = took > t->max_us ? took : t->max_us;
    t->buckets[bucket]++;
    t->windows[t->window % 2][bucket]++;
}

/* --- packing: records {u8 kind, …}, kind: a row of STATS, or of STATS_TIMES behind them --- */

static void pack_time(struct packer *w, enum stats_time_id which)
{
    struct timing *t = &stats.times[which];
    uint16_t n = 0;
    present_window(t);
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        n = (uint16_t)(n + (t->buckets[i] > 0));
    pack_uint(w, STATS_N + which, 1);
    pack_uint(w, t->count, 8);
    pack_uint(w, t->sum_us, 8);
    pack_uint(w, t->max_us, 8);
    pack_uint(w, n, 2);
    for (size_t i = 0; i < STATS_BUCKETS; i++) {
        if (t->buckets[i] == 0)
            continue;
        pack_uint(w, i, 2);
        pack_uint(w, t->buckets[i], 8);
        pack_uint(w, (uint64_t)t->windows[0][i] + t->windows[1][i], 8);
    }
}

size_t stats_pack(enum role role, char *out, size_t cap)
{
    struct packer w = packer_on(out, cap);
    present_slot();
    for (unsigned s = 0; s < STATS_N; s++) {
        uint64_t minute = 0;
        if ((descs[s].owner & 1U << role) == 0)
            continue;
        for (size_t i = 0; i < SLOTS; i++)
            minute += stats.slots[i][s];
        pack_uint(&w, s, 1);
        pack_uint(&w, stats.totals[s], 8);
        pack_uint(&w, minute, 8);
    }
    for (unsigned t = 0; t < STATS_TIMES_N; t++)
        if ((time_descs[t].owner & 1U << role) != 0)
            pack_time(&w, (enum stats_time_id)t);
    return w.failed ? 0 : packer_span(&w).n;
}

/* --- reading --- */

static void merge_time(struct stats_hist *h, struct unpacker *u)
{
    h->count += unpack_uint(u, 8);
    h->sum_us += unpack_uint(u, 8);
    uint64_t max_us = unpack_uint(u, 8);
    h->max_us = max_us > h->max_us ? max_us : h->max_us;
    for (uint64_t n = unpack_uint(u, 2); n > 0 && !u->failed; n--) {
        uint64_t bucket = unpack_uint(u, 2), total = unpack_uint(u, 8), recent = unpack_uint(u, 8);
        if (bucket >= STATS_BUCKETS) {
            u->failed = true;
            return;
        }
        h->buckets[bucket] += total;
        h->recent[bucket] += recent;
    }
}

int stats_merge(struct stats_sum *sum, struct span packed)
{
    static struct stats_sum fresh;
    struct unpacker u = unpacker_on(packed);
    fresh = *sum;
    while (u.left.n > 0 && !u.failed) {
        uint64_t kind = unpack_uint(&u, 1);
        if (kind < STATS_N) {
            fresh.totals[kind] += unpack_uint(&u, 8);
            fresh.minute[kind] += unpack_uint(&u, 8);
        } else if (kind - STATS_N < STATS_TIMES_N) {
            merge_time(&fresh.times[kind - STATS_N], &u);
        } else {
            u.failed = true;
        }
    }
    if (!unpack_done(&u))
        return -1;
    *sum = fresh;
    return 0;
}

uint64_t stats_quantile_us(const uint64_t buckets[STATS_BUCKETS], unsigned permille)
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        all += buckets[i];
    uint64_t rank = all / 1000 * permille + (all % 1000 * permille + 999) / 1000;
    for (size_t i = 0; i < STATS_BUCKETS && all > 0; i++) {
        seen += buckets[i];
        if (seen >= rank && seen > 0)
            return end_of(i) - 1;
    }
    return 0;
}

uint64_t stats_count_within(const uint64_t buckets[STATS_BUCKETS], uint64_t us)
{
    uint64_t n = 0;
    for (size_t i = 0; i < STATS_BUCKETS && end_of(i) - 1 <= us; i++)
        n += buckets[i];
    return n;
}
