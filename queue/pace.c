#include "queue/pace.h"

#define PAUSE_MS     1000
#define PAUSE_MAX_MS (60 * INT64_C(1000))
#define FORGET_MS    (60 * 60 * INT64_C(1000)) /* what was learned is worth nothing any more */
#define DOWN_MS      (60 * INT64_C(1000))      /* without a list of waits */

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t pace_jobs(const struct pace *p, const struct pace_rules *r)
{
    return at_most(p->limit > 0 ? p->limit : PACE_START, r->jobs_max);
}

/* Until `until`, which was set to be at most `longest` ahead. */
static int64_t left_ms(int64_t until, int64_t now_ms, int64_t longest)
{
    return until > now_ms && until - now_ms <= longest ? until - now_ms : 0;
}

/* `count` at once, then one in each count-th part of the period. */
static int64_t rate_wait_ms(const struct pace *p, const struct pace_rules *r, int64_t now_ms)
{
    if (r->rate.is_off || r->rate.count == 0)
        return 0;
    int64_t step = r->rate.period_ms / r->rate.count;
    int64_t ahead = left_ms(p->rate_ms, now_ms, 2 * r->rate.period_ms);
    int64_t allowed = r->rate.period_ms - (step > 0 ? step : 1);
    return ahead > allowed ? ahead - allowed : 0;
}

int64_t pace_wait_ms(const struct pace *p, const struct pace_rules *r, int64_t now_ms)
{
    int64_t pause = left_ms(p->paused_ms, now_ms, PAUSE_MAX_MS);
    int64_t rate = rate_wait_ms(p, r, now_ms);
    return pause > rate ? pause : rate;
}

int64_t pace_down_until_ms(const struct pace *p, int64_t now_ms)
{
    return left_ms(p->down_ms, now_ms, PACE_DOWN_MAX_MS) > 0 ? p->down_ms : 0;
}

void pace_started(struct pace *p, const struct pace_rules *r, int64_t now_ms)
{
    p->touched_ms = now_ms;
    if (r->rate.is_off || r->rate.count == 0)
        return;
    bool is_ahead = left_ms(p->rate_ms, now_ms, 2 * r->rate.period_ms) > 0;
    p->rate_ms = (is_ahead ? p->rate_ms : now_ms) + r->rate.period_ms / r->rate.count;
}

static void went_well(struct pace *p, const struct pace_rules *r, int64_t now_ms)
{
    p->ok_ms = now_ms;
    p->n_slow = p->n_down = 0;
    p->paused_ms = p->down_ms = 0;
    p->limit = at_most(pace_jobs(p, r) + 1, r->jobs_max);
}

static void slow_down(struct pace *p, const struct pace_rules *r, enum reach o, int64_t now_ms)
{
    uint64_t half = pace_jobs(p, r) / 2;
    p->limit = half > 0 ? half : 1;
    p->slowed_ms = now_ms;
    if (o != REACH_LOST)
        return;
    int64_t pause = p->n_slow > 6 ? PAUSE_MAX_MS : p->n_slow > 0 ? PAUSE_MS << (p->n_slow - 1) : 0;
    p->paused_ms = pause > 0 ? now_ms + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS) : 0;
    p->n_slow++;
}

static void shut(struct pace *p, const struct pace_rules *r, int64_t now_ms, uint32_t dice)
{
    size_t at = at_most(p->n_down, r->n_retry > 0 ? r->n_retry - 1 : 0);
    int64_t wait = r->n_retry > 0 ? r->retry_ms[at] : DOWN_MS;
    wait = wait < PACE_DOWN_MAX_MS / 11 * 10 ? wait : PACE_DOWN_MAX_MS / 11 * 10;
    wait += wait / 10 * (int64_t)(dice % 1001) / 1000;
    p->n_down++;
    p->limit = 1;
    p->slowed_ms = now_ms;
    p->down_ms = now_ms + (wait > 0 ? wait : 1);
}

void pace_ended(struct pace *p, const struct pace_rules *r, enum reach o, int64_t started_ms,
                int64_t now_ms, uint32_t dice)
{
    p->touched_ms = now_ms;
    if (o == REACH_DOWN && p->ok_ms > 0 && p->ok_ms >= started_ms)
        o = REACH_LOST; /* others got through meanwhile */
    /* Jobs that began before the limit was lowered tell the same once more. */
    bool is_old = p->slowed_ms > 0 && started_ms <= p->slowed_ms && p->slowed_ms <= now_ms &&
                  started_ms < now_ms;
    if (o == REACH_OK)
        went_well(p, r, now_ms);
    else if ((o == REACH_SLOW || o == REACH_LOST) && !is_old)
        slow_down(p, r, o, now_ms);
    else if (o == REACH_DOWN && pace_down_until_ms(p, now_ms) == 0)
        shut(p, r, now_ms, dice);
}

void pace_wake(struct pace *p)
{
    p->down_ms = p->paused_ms = 0;
    p->n_slow = 0;
    p->n_down = p->n_down > 0 ? 1 : 0;
}

bool pace_is_plain(const struct pace *p, int64_t now_ms)
{
    bool is_old = now_ms - p->touched_ms > FORGET_MS || now_ms < p->touched_ms;
    return is_old || (p->limit == 0 && p->rate_ms <= now_ms);
}
