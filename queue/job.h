/* One RELAY_JOB: what dispatch.c started and the relay answered, until the commit of what became of
 * its recipients. For dispatch.c and job.c alone.
 *
 * Nothing is forgotten before it is saved: a job whose rows cannot be written is kept and saved
 * again, as otherwise its mail would be sent twice. */
#ifndef BARID_QUEUE_JOB_H
#define BARID_QUEUE_JOB_H

#include "common/verdict.h"
#include "queue/agenda.h"
#include "queue/batch.h"
#include "queue/losses.h"
#include "queue/queue.h"

struct result {
    enum verdict verdict;
    bool is_held;      /* by its route */
    bool is_expired;   /* TRY_LATER for the last time */
    struct span reply; /* in the job's `text` */
};

/* One RELAY_JOB, from its start until the commit of what became of it. */
struct job {
    struct waiter waiter;   /* first: the commit gives it back */
    struct job *next, **at; /* among all */
    struct job *next_unsaved;
    struct queue *q;
    struct agenda_job what;
    uint64_t tag;
    struct span rcpts; /* records {u32 number, bytes address, …}, as they were sent */
    bool is_answered;
    bool is_lost;      /* relay died with it, as it did not for long */
    uint64_t n_losses; /* without an answer: how often its message was lost by now */
    bool is_told;      /* the next server tells the sender what he asks to be told */
    enum reach reach;
    enum secured secured;
    char domain[DOMAIN_MAX + 1];
    struct span remote, tls;
    struct span dialogue; /* what was said, in `text` too; began_ms: when, since 1970 */
    int64_t began_ms;
    uint64_t dialogue_id; /* of its row; 0: it is not kept */
    struct result results[RELAY_RCPTS_MAX];
    int64_t again_s;  /* when the first of them is to be tried again; 0: none */
    bool is_late;     /* its sender should hear that it is delayed */
    bool is_repeated; /* its message may have many dialogues */
    char *text;       /* of the answer */
    char *who;        /* its sender, if he could be contained; or NULL */
    bool is_counted;  /* what came of it, for him */
    char octets[];    /* of `rcpts` */
};

struct dispatch {
    struct agenda *agenda;
    struct job *jobs;
    struct job *unsaved; /* the disk was full */
    struct timer resave;
    struct timer wake; /* a destination's pause is over */
    size_t n_jobs;
    int64_t lost_ms, lost_since_ms; /* when relay died last, and first without a quiet time after */
    bool was_lost;
    struct losses losses;
};

/* Of one that is over, or at the end of the process. */
void job_free(struct job *j);
/* Writes what became of it into the batch of this turn; the commit ends the job. */
void job_save(struct job *j);
/* Those that could not be saved, again. arg: the struct queue. */
void job_resave(void *arg);

#endif
