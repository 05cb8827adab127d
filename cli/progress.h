/* A line on the terminal that says how far a long command is: on stderr, only if that is one. */
#ifndef BARID_PROGRESS_H
#define BARID_PROGRESS_H

#include "cli/cli.h"

struct progress {
    bool is_shown, is_drawn;
    const char *unit;
    uint64_t total; /* 0: not known */
    int64_t begun_ms, drawn_ms;
};

void progress_begin(struct progress *p, const struct cli *cli, const char *unit, uint64_t total);
void progress_at(struct progress *p, uint64_t done, uint64_t octets);
void progress_end(struct progress *p); /* the line is gone */

#endif
