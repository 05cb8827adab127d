#include "cli/stats.h"

#include <inttypes.h>

/* Names of roles and states are ours, so nothing in a label has to be escaped. */

static int head(struct buf *out, const char *name, const char *meaning, const char *type)
{
    return buf_addf(out, "# HELP barid_%s %s\n# TYPE barid_%s %s\n", name, meaning, name, type);
}

static int counters(struct buf *out, const struct stats *s)
{
    int rc = 0;
    for (unsigned i = 0; i < STATS_N; i++) {
        char name[80];
        const struct stats_desc *d = stats_desc((enum stats_id)i);
        bool is_gauge = d->kind == STATS_GAUGE;
        if (!stats_is_told(s, d->owner))
            continue;
        snprintf(name, sizeof name, "%s%s", d->name, is_gauge ? "" : "_total");
        rc |= head(out, name, d->meaning, is_gauge ? "gauge" : "counter");
        rc |= is_gauge ? buf_addf(out, "barid_%s %" PRId64 "\n", name, (int64_t)s->sum.totals[i])
                       : buf_addf(out, "barid_%s %" PRIu64 "\n", name, s->sum.totals[i]);
    }
    return rc;
}

/* Bounds that our buckets share: powers of two, in µs. */
static int histogram(struct buf *out, const char *name, const struct stats_hist *h)
{
    int rc = 0;
    for (unsigned power = 7; power <= 33; power++)
        rc |= buf_addf(out, "barid_%s_bucket{le=\"%.6f\"} %" PRIu64 "\n", name,
                       (double)(UINT64_C(1) << power) / 1e6,
                       stats_count_within(h->buckets, (UINT64_C(1) << power) - 1));
    rc |= buf_addf(out, "barid_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, h->count);
    return rc | buf_addf(out, "barid_%s_sum %.6f\nbarid_%s_count %" PRIu64 "\n", name,
                         (double)h->sum_us / 1e6, name, h->count);
}

static int histograms(struct buf *out, const struct stats *s)
{
    int rc = 0;
    for (unsigned i = 0; i < STATS_TIMES_N; i++) {
        char name[80];
        const struct stats_desc *d = stats_time_desc((enum stats_time_id)i);
        if (!stats_is_told(s, d->owner))
            continue;
        snprintf(name, sizeof name, "%s_seconds", d->name);
        rc |= head(out, name, d->meaning, "histogram");
        rc |= histogram(out, name, &s->sum.times[i]);
    }
    return rc;
}

static int depth(struct buf *out, const struct stats *s)
{
    static const char *const states[] = {"due", "deferred", "held"};
    int rc = head(out, "queue_recipients", "recipients elsewhere that wait, by state", "gauge");
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        rc |= buf_addf(out, "barid_queue_recipients{state=\"%s\"} %" PRId64 "\n", states[i],
                       row_find_number(&s->queue.list[0], states[i]));
    return rc;
}

/* Workers of a service together, as Prometheus wants each set of labels once. */
static int processes(struct buf *out, const struct stats *s)
{
    int rc =
        head(out, "process_restarts_total", "how often a process was started again", "counter");
    for (unsigned role = 0; role < ROLES; role++) {
        int64_t restarts = 0;
        size_t n = 0;
        for (size_t i = 0; i < s->parent.n; i++) {
            struct column c;
            const struct row *row = &s->parent.list[i];
            if (strcmp(row->group, "processes") != 0 || !row_find(row, "role", &c) ||
                !span_eq(c.text, span_of(role_name((enum role)role))))
                continue;
            restarts += row_find_number(row, "restarts");
            n++;
        }
        if (n > 0)
            rc |= buf_addf(out, "barid_process_restarts_total{role=\"%s\"} %" PRId64 "\n",
                           role_name((enum role)role), restarts);
    }
    return rc;
}

int stats_prometheus(struct buf *out, const struct stats *s)
{
    int rc = head(out, "start_time_seconds", "when barid was started", "gauge");
    rc |= buf_addf(out, "barid_start_time_seconds %" PRId64 "\n", s->since);
    rc |= processes(out, s);
    if (s->queue.n > 0)
        rc |= depth(out, s);
    return rc | counters(out, s) | histograms(out, s);
}
