/* `barid stats`: what the processes counted, together with what `barid status` tells; for people,
 * as JSON, or in the text format of Prometheus. */
#include "cli/stats.h"

#include "cli/output.h"
#include "common/clock.h"

#include <inttypes.h>

static void add_worker(struct stats *s, const struct row *row)
{
    struct column c;
    enum role role;
    if (!row_find(row, "role", &c) || role_parse(c.text, &role) < 0)
        return;
    if (row_find(row, "stats", &c) && stats_merge(&s->sum, c.text) == 0)
        s->answered |= 1U << role;
}

/* The queue may be just starting again: that hides nothing of the rest. */
static int collect(struct cli *cli, struct stats *s, struct error *e)
{
    struct question about_all = {.process = ROLE_PARENT, .admin = "status"};
    struct question about_work = {.process = ROLE_PARENT, .admin = "stats"};
    struct question about_queue = {.process = ROLE_QUEUE, .admin = "queue depth"};
    struct rows work = {.n = 0};
    if (cli_load(cli, e) < 0 || cli_ask(cli, &about_all, &s->parent, NULL, e) < 0)
        return -1;
    if (s->parent.n == 0 || s->parent.list[0].depth != 0)
        return error_set(e, "the parent's answer is not complete: install all of barid together");
    if (cli_ask(cli, &about_work, &work, NULL, e) < 0)
        return -1;
    for (size_t i = 0; i < work.n; i++)
        add_worker(s, &work.list[i]);
    rows_free(&work);
    if (cli_ask(cli, &about_queue, &s->queue, NULL, e) < 0)
        rows_free(&s->queue);
    for (size_t i = 0; i < s->parent.n; i++)
        if (strcmp(s->parent.list[i].group, "processes") == 0 && s->since == 0)
            s->since = row_find_number(&s->parent.list[i], "since");
    return 0;
}

double stats_per_second(const struct stats *s, uint64_t minute)
{
    int64_t age = clock_wall_s() - s->since;
    return (double)minute / (double)(age < 1 ? 1 : age < 60 ? age : 60);
}

double stats_messages_per_commit(const struct stats *s)
{
    uint64_t commits = s->sum.totals[STAT_COMMITS_OF_MAIL];
    return commits > 0 ? (double)s->sum.totals[STAT_ACCEPTED] / (double)commits : 0;
}

bool stats_is_told(const struct stats *s, unsigned owner)
{
    return (s->answered & owner) != 0;
}

static double ms_of(uint64_t us)
{
    return (double)us / 1000;
}

/* --- JSON --- */

static int json_counters(struct buf *out, const struct stats *s, enum stats_kind kind)
{
    const char *comma = "";
    int rc = 0;
    for (unsigned i = 0; i < STATS_N; i++) {
        const struct stats_desc *d = stats_desc((enum stats_id)i);
        if (d->kind != kind || !stats_is_told(s, d->owner))
            continue;
        rc |= buf_addf(out, "%s\"%s\": ", comma, d->name);
        if (kind == STATS_GAUGE)
            rc |= buf_addf(out, "%" PRId64, (int64_t)s->sum.totals[i]);
        else
            rc |= buf_addf(
                out, "{\"total\": %" PRIu64 ", \"last_minute\": %" PRIu64 ", \"per_second\": %.3f}",
                s->sum.totals[i], s->sum.minute[i], stats_per_second(s, s->sum.minute[i]));
        comma = ",\n  ";
    }
    return rc;
}

/* A bucket's end may lie behind the longest that was seen. */
static double quantile_ms(const struct stats_hist *h, const uint64_t buckets[STATS_BUCKETS],
                          unsigned permille)
{
    uint64_t us = stats_quantile_us(buckets, permille);
    return ms_of(us < h->max_us ? us : h->max_us);
}

static int json_quantiles(struct buf *out, const struct stats_hist *h,
                          const uint64_t buckets[STATS_BUCKETS])
{
    return buf_addf(out, "\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f",
                    quantile_ms(h, buckets, 500), quantile_ms(h, buckets, 900),
                    quantile_ms(h, buckets, 990));
}

static int json_times(struct buf *out, const struct stats *s)
{
    const char *comma = "";
    int rc = 0;
    for (unsigned i = 0; i < STATS_TIMES_N; i++) {
        const struct stats_hist *h = &s->sum.times[i];
        const struct stats_desc *d = stats_time_desc((enum stats_time_id)i);
        if (!stats_is_told(s, d->owner))
            continue;
        rc |= buf_addf(out, "%s\"%s\": {\"count\": %" PRIu64 ", \"mean_ms\": %.3f, ", comma,
                       d->name, h->count, h->count > 0 ? ms_of(h->sum_us) / (double)h->count : 0.0);
        rc |= json_quantiles(out, h, h->buckets);
        rc |= buf_addf(out, ", \"max_ms\": %.3f, \"recent\": {", ms_of(h->max_us));
        rc |= json_quantiles(out, h, h->recent);
        rc |= buf_addf(out, "}}");
        comma = ",\n  ";
    }
    return rc;
}

static int json_group(struct buf *out, const struct stats *s, const char *name)
{
    return buf_addf(out, ",\n \"%s\": ", name) | json_array(out, &s->parent, 1, s->parent.n, name);
}

static int print_json(struct buf *out, const struct stats *s)
{
    char since[CLOCK_TEXT_MAX];
    const struct stats_hist *commit = &s->sum.times[STAT_TIME_COMMIT];
    clock_rfc3339(since, s->since);
    int rc = buf_addf(out, "{");
    rc |= json_fields(out, &s->parent.list[0]);
    rc |= buf_addf(out, ", \"since\": \"%s\"", since);
    rc |= json_group(out, s, "processes");
    rc |= json_group(out, s, "listeners");
    rc |= json_group(out, s, "sockets");
    rc |= buf_addf(out, ",\n \"queue\": ");
    if (s->queue.n > 0)
        rc |= buf_addf(out, "{") | json_fields(out, &s->queue.list[0]) | buf_addf(out, "}");
    else
        rc |= buf_addf(out, "null");
    rc |= buf_addf(out, ",\n \"commit\": {\"per_second\": %.3f, \"messages_per_commit\": %.2f, ",
                   stats_per_second(s, s->sum.minute[STAT_COMMITS]), stats_messages_per_commit(s));
    rc |= json_quantiles(out, commit, commit->buckets);
    rc |= buf_addf(out, "},\n \"counters\": {");
    rc |= json_counters(out, s, STATS_COUNTER);
    rc |= buf_addf(out, "},\n \"gauges\": {");
    rc |= json_counters(out, s, STATS_GAUGE);
    rc |= buf_addf(out, "},\n \"latencies\": {");
    rc |= json_times(out, s);
    return rc | buf_addf(out, "}}\n");
}

/* --- for people --- */

static int table_counters(struct buf *out, const struct stats *s)
{
    int rc = buf_addf(out, "%14s %12s %10s  %s\n", "SINCE START", "LAST MINUTE", "PER SECOND", "");
    for (unsigned i = 0; i < STATS_N; i++) {
        const struct stats_desc *d = stats_desc((enum stats_id)i);
        if (!stats_is_told(s, d->owner))
            continue;
        if (d->kind == STATS_GAUGE)
            rc |= buf_addf(out, "%14" PRId64 " %12s %10s  %s: %s\n", (int64_t)s->sum.totals[i], "",
                           "", d->name, d->meaning);
        else
            rc |= buf_addf(out, "%14" PRIu64 " %12" PRIu64 " %10.2f  %s: %s\n", s->sum.totals[i],
                           s->sum.minute[i], stats_per_second(s, s->sum.minute[i]), d->name,
                           d->meaning);
    }
    return rc;
}

static int table_times(struct buf *out, const struct stats *s)
{
    int rc = buf_addf(out, "\n%10s %10s %10s %10s %10s  %s\n", "COUNT", "P50 MS", "P90 MS",
                      "P99 MS", "MAX MS", "");
    for (unsigned i = 0; i < STATS_TIMES_N; i++) {
        const struct stats_hist *h = &s->sum.times[i];
        const struct stats_desc *d = stats_time_desc((enum stats_time_id)i);
        if (!stats_is_told(s, d->owner))
            continue;
        rc |= buf_addf(out, "%10" PRIu64 " %10.2f %10.2f %10.2f %10.2f  %s: %s\n", h->count,
                       quantile_ms(h, h->buckets, 500), quantile_ms(h, h->buckets, 900),
                       quantile_ms(h, h->buckets, 990), ms_of(h->max_us), d->name, d->meaning);
    }
    return rc;
}

static int print_table(struct buf *out, const struct stats *s)
{
    int rc = output_table(out, &s->parent, SHAPE_OBJECT);
    rc |= buf_addf(out, "\nqueue:\n");
    if (s->queue.n > 0)
        rc |= table_lines(out, &s->queue, 0, s->queue.n, "");
    else
        rc |= buf_addf(out, "it does not answer, see the log\n");
    rc |= buf_addf(out, "\ncommits: %.2f a second, %.2f messages in each that takes mail\n\n",
                   stats_per_second(s, s->sum.minute[STAT_COMMITS]), stats_messages_per_commit(s));
    rc |= table_counters(out, s);
    return rc | table_times(out, s);
}

/* --- the command --- */

int stats_main(struct cli *cli)
{
    static struct stats s;
    struct buf out;
    struct error e;
    bool is_prometheus = cli_option(cli, "prometheus").p != NULL;
    int status = EXIT_REFUSED, rc;
    s = (struct stats){.since = 0};
    buf_init(&out, SIZE_MAX / 4);
    if (is_prometheus && cli->is_json)
        return cli_wrong_usage(cli, "--json and --prometheus are two formats: choose one");
    if (collect(cli, &s, &e) < 0) {
        cli_fail(cli, "%s", e.text);
    } else {
        if (is_prometheus)
            rc = stats_prometheus(&out, &s);
        else
            rc = cli->is_json ? print_json(&out, &s) : print_table(&out, &s);
        status = output_print(cli, &out, rc);
    }
    rows_free(&s.parent);
    rows_free(&s.queue);
    return status;
}
