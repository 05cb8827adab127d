#include "cli/mailbox.h"

#include "cli/when.h"
#include "common/clock.h"

#define DAY_S     86400
#define DAY_CHARS 10 /* "2026-11-22" */

static int take(struct cli *cli, const char *option, int64_t *out, int64_t day_adds)
{
    struct span given = cli_option(cli, option);
    if (given.p == NULL)
        return EXIT_DONE;
    if (when_time(given, clock_wall_s(), out) < 0)
        return cli_wrong_usage(cli,
                               "--%s: '%.60s' is no time: give it as 2026-11-22, "
                               "2026-11-22T01:34:00Z (UTC) or 5d (ago)",
                               option, given.p);
    bool is_day = given.n == DAY_CHARS && memchr(given.p, '-', given.n) != NULL;
    *out += is_day ? day_adds : 0;
    return EXIT_DONE;
}

int period_read(struct cli *cli, struct period *p)
{
    *p = (struct period){.since = INT64_MIN, .until = INT64_MAX};
    int status = take(cli, "since", &p->since, 0);
    return status == EXIT_DONE ? take(cli, "until", &p->until, DAY_S) : status;
}

bool period_has(const struct period *p, int64_t t)
{
    return t >= p->since && t < p->until;
}
