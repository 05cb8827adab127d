#include "queue/secured.h"

#include "common/clock.h"
#include "common/log.h"

#define RENEW_S (24 * 3600) /* no row is written for each mail */

static int note(struct queue *q, struct span domain, enum secured what, const struct memory *was)
{
    int64_t now_s = clock_wall_s();
    bool is_fresh = was != NULL && was->level == what && !was->is_told && was->seen <= now_s &&
                    now_s - was->seen < RENEW_S;
    struct memory m = {.level = what, .seen = now_s};
    return is_fresh ? 0 : store_secured_set(q->store, domain, &m);
}

static int tell(struct queue *q, uint64_t message, struct span domain, struct memory *was)
{
    int64_t ago_s = clock_wall_s() - was->seen;
    if (was->is_told || ago_s > SECURED_KEEP_S)
        return 0;
    LOG(message, "tls-gone", LS("domain", domain), LN("seen_s_ago", ago_s),
        LZ("verified", was->level == SECURED_VERIFIED ? "yes" : "no"));
    was->is_told = true;
    return store_secured_set(q->store, domain, was);
}

int secured_learn(struct queue *q, uint64_t message, struct span domain, enum secured what)
{
    struct memory was;
    if (what == SECURED_UNKNOWN || domain.n == 0 || domain.n > DOMAIN_MAX)
        return 0;
    enum found f = store_secured_get(q->store, domain, &was);
    if (f == FOUND_FAULT)
        return -1;
    if (what != SECURED_NOT)
        return note(q, domain, what, f == FOUND_YES ? &was : NULL);
    return f == FOUND_YES ? tell(q, message, domain, &was) : 0;
}

/* What cannot be read is no reason to hold mail up. */
bool secured_expects(struct queue *q, struct span domain)
{
    struct memory was;
    return q->config->relay.tls_seen == SEEN_REQUIRE &&
           store_secured_get(q->store, domain, &was) == FOUND_YES &&
           clock_wall_s() - was.seen <= SECURED_KEEP_S;
}

int secured_sweep(struct queue *q, int64_t now_s)
{
    return store_secured_sweep(q->store, now_s - SECURED_KEEP_S, SECURED_MAX);
}
