/* A process for one question. It has the password of that question and no other, no descriptor but
 * its answer's and the log's, and an end: the kernel kills it when its time is over, whatever a
 * module of PAM waits for, and when its parent dies. */
#ifndef BARID_PAMD_WORKER_H
#define BARID_PAMD_WORKER_H

#include "pamd/check.h"

#include <sys/types.h>

struct worker {
    pid_t pid; /* 0: none */
    int fd;    /* its answer, non-blocking */
};

struct worker_answer {
    enum pam_reason reason;
    char why[CHECK_TEXT_MAX];
};

/* `forget` is called in the new process: wipes what is not its business. 0, or -1: no process or
 * descriptor left. */
int worker_start(struct worker *w, check_fn *check, const struct check_ask *ask, int64_t limit_ms,
                 void (*forget)(void *arg, const struct check_ask *but), void *arg);
/* Has it ended? Then *out, and the worker is none any more. One that died is BUSY. */
bool worker_ended(struct worker *w, struct worker_answer *out);

#endif
