/* The children's log lines on their way to stderr: the parent puts the process name in front, so
 * that no child can speak as another. A reader of our stderr that stands still never stops the
 * suite: lines are then dropped and counted. */
#ifndef BARID_LOGPIPE_H
#define BARID_LOGPIPE_H

#include "common/buf.h"
#include "common/loop.h"
#include "common/proto.h"

struct logpipe {
    enum role role;
    int fd; /* reading end; -1: closed */
    struct watch watch;
    struct timer pause; /* until it is looked at again */
    bool is_ended;      /* nobody writes any more */
    struct buf line;    /* the start of a line whose end has not come */
};

/* Makes the pipe; returns the writing end for the child, or -1 (errno). */
int logpipe_open(struct logpipe *lp, struct loop *l, enum role role);
/* Reads what is left and closes. */
void logpipe_close(struct logpipe *lp);

/* The parent's own whole lines, by the same way. */
void logpipe_say(struct span lines);
__attribute__((format(printf, 1, 2))) void logpipe_sayf(const char *fmt, ...);
/* "barid: ..." and a new line: why nothing is started. As {"error": "..."} if that was asked for.
 */
void logpipe_fail_in_json(void);
__attribute__((format(printf, 1, 2))) void logpipe_fail(const char *fmt, ...);

#endif
