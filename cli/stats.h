/* What `barid stats` knows, for its formats: stats.c (JSON, tables), stats_prometheus.c. */
#ifndef BARID_CLI_STATS_H
#define BARID_CLI_STATS_H

#include "cli/cli.h"
#include "common/buf.h"
#include "common/stats.h"

struct stats {
    struct rows parent; /* as `barid status` has it */
    struct rows queue;  /* empty: it does not answer */
    struct stats_sum sum;
    unsigned answered; /* P_* bits of who told what he counted */
    int64_t since;     /* wall seconds of the start */
};

bool stats_is_told(const struct stats *s, unsigned owner);
/* What was counted in the last minute, or since the start if that is shorter ago. */
double stats_per_second(const struct stats *s, uint64_t minute);
double stats_messages_per_commit(const struct stats *s);

/* The text exposition format of Prometheus, version 0.0.4. 0, or -1 without memory. */
int stats_prometheus(struct buf *out, const struct stats *s);

int stats_main(struct cli *cli);

#endif
