/* A job of the queue: one message for recipients that share a next hop. It waits for a turn (pool),
 * finds out where to connect (plan, resolver), hands the message over (client), and answers with
 * what became of each recipient. Every job is answered once, at the latest when its own deadline
 * passes; only a job whose queue is gone is forgotten. */
#ifndef BARID_RELAY_JOB_H
#define BARID_RELAY_JOB_H

#include "common/proc.h"
#include "relay/memo.h"
#include "relay/pool.h"
#include "relay/secret.h"
#include "relay/sessions.h"

#define JOBS_MAX 1024
#define OWN_MAX  64 /* addresses of this machine */

struct job;
struct inquiry;

struct relay {
    struct proc *proc;
    struct pool pool;
    struct tls_client *tls; /* NULL: no memory for it */
    struct memo no_tls;
    struct sessions sessions;
    struct secrets secrets;
    struct job *jobs;
    size_t n_jobs;
    struct ipc *paused;        /* the queue's channel while there are JOBS_MAX jobs */
    struct inquiry *inquiries; /* explain.c */
    struct netaddr own[OWN_MAX];
    size_t n_own;
};

/* Takes over fd (or -1). */
void job_start(struct relay *r, struct ipc *from, const struct msg_relay_job *m, int fd);
/* Forgets all jobs of a channel that is gone. */
void job_forget(struct relay *r, const struct ipc *from);
/* Forgets the jobs that have no turn yet: the queue gives them again after our restart. */
void job_forget_waiting(struct relay *r);

#endif
