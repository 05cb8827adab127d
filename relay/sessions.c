#include "relay/sessions.h"

#include "common/clock.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct kept_session {
    struct kept_session *next; /* in its bucket, newest first */
    struct kept_session *older, *newer;
    unsigned char key[SESSION_KEY];
    int64_t until_ms;
    size_t n;
    char octets[];
};

/* A key is a hash, so any octet of it will do. */
static struct kept_session **bucket_of(struct sessions *s, const unsigned char *key)
{
    return &s->buckets[key[0]];
}

static void drop(struct sessions *s, struct kept_session *k)
{
    struct kept_session **at = bucket_of(s, k->key);
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    *(k->older != NULL ? &k->older->newer : &s->oldest) = k->newer;
    *(k->newer != NULL ? &k->newer->older : &s->newest) = k->older;
    s->n--;
    s->n_octets -= k->n;
    sodium_memzero(k, sizeof *k + k->n);
    free(k);
}

/* Nobody may ask for it again, and its keys are secrets. */
static void sweep(void *arg)
{
    struct sessions *s = arg;
    int64_t now_ms = clock_mono_ms();
    for (struct kept_session *k = s->oldest, *newer; k != NULL; k = newer) {
        newer = k->newer;
        if (k->until_ms <= now_ms)
            drop(s, k);
    }
    if (s->n > 0)
        timer_set(&s->sweep, SESSIONS_SWEEP_MS);
}

void sessions_begin(struct sessions *s, struct loop *l, uint64_t n_max)
{
    while (s->oldest != NULL)
        drop(s, s->oldest);
    timer_stop(&s->sweep);
    *s = (struct sessions){.epoch = s->epoch + 1, .n_max = (size_t)n_max};
    timer_init(&s->sweep, l, sweep, s);
}

/* Those with this key that are not over, newest first: the one behind `after`, or the first. */
static struct kept_session *find(struct sessions *s, const unsigned char *key,
                                 const struct kept_session *after)
{
    int64_t now_ms = clock_mono_ms();
    struct kept_session *next = after != NULL ? after->next : *bucket_of(s, key);
    for (struct kept_session *k = next; k != NULL; k = next) {
        next = k->next;
        if (k->until_ms <= now_ms)
            drop(s, k);
        else if (memcmp(k->key, key, SESSION_KEY) == 0)
            return k;
    }
    return NULL;
}

static void add(struct sessions *s, const unsigned char *key, struct span octets, int64_t until_ms)
{
    struct kept_session *k = calloc(1, sizeof *k + octets.n);
    if (k == NULL)
        return;
    memcpy(k->key, key, SESSION_KEY);
    k->until_ms = until_ms;
    k->n = octets.n;
    memcpy(k->octets, octets.p, octets.n);
    k->next = *bucket_of(s, key);
    *bucket_of(s, key) = k;
    k->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = k;
    s->newest = k;
    s->n++;
    s->n_octets += k->n;
    while (s->n > s->n_max || s->n_octets > SESSIONS_OCTETS_MAX)
        drop(s, s->oldest);
    if (!s->sweep.is_set)
        timer_set(&s->sweep, SESSIONS_SWEEP_MS);
}

/* One destination does not push out all others. */
static void make_room(struct sessions *s, const unsigned char *key)
{
    struct kept_session *last = NULL;
    size_t n = 0;
    for (struct kept_session *k = find(s, key, NULL); k != NULL; k = find(s, key, k)) {
        last = k;
        n++;
    }
    if (n >= SESSIONS_OF_ONE_MAX)
        drop(s, last);
}

static bool is_barred(const struct sessions *s, const unsigned char *key)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < SESSIONS_BARS_MAX; i++)
        if (s->bars[i].until_ms > now_ms && memcmp(s->bars[i].key, key, SESSION_KEY) == 0)
            return true;
    return false;
}

void sessions_keep(struct sessions *s, uint32_t epoch, const unsigned char key[SESSION_KEY],
                   struct span octets, int64_t until_ms)
{
    if (s->n_max == 0 || epoch != s->epoch || octets.n == 0 || octets.n > SESSIONS_OCTETS_MAX ||
        is_barred(s, key))
        return;
    make_room(s, key);
    add(s, key, octets, until_ms);
}

struct session_taken sessions_take(struct sessions *s, const unsigned char key[SESSION_KEY])
{
    struct session_taken t = {.until_ms = 0};
    struct kept_session *k = find(s, key, NULL);
    char *octets = k != NULL ? malloc(k->n) : NULL;
    if (octets == NULL)
        return t;
    memcpy(octets, k->octets, k->n);
    t = (struct session_taken){.octets = {octets, k->n}, .until_ms = k->until_ms};
    drop(s, k);
    return t;
}

void sessions_wipe(struct session_taken *t)
{
    char *octets = (char *)(uintptr_t)t->octets.p;
    if (octets != NULL)
        sodium_memzero(octets, t->octets.n);
    free(octets);
    t->octets = (struct span){NULL, 0};
}

void sessions_bar(struct sessions *s, const unsigned char key[SESSION_KEY])
{
    for (struct kept_session *k = find(s, key, NULL); k != NULL; k = find(s, key, NULL))
        drop(s, k);
    if (is_barred(s, key))
        return;
    memcpy(s->bars[s->next_bar].key, key, SESSION_KEY);
    s->bars[s->next_bar].until_ms = clock_mono_ms() + SESSIONS_MS;
    s->next_bar = (s->next_bar + 1) % SESSIONS_BARS_MAX;
}
