/* The relay and the servers of the others, in the simulated week: what comes as a RELAY_JOB is
 * answered when its time has come, by what its destination is like. authd too, for the reports. */
#ifndef BARID_TESTS_WEEK_OTHERS_H
#define BARID_TESTS_WEEK_OTHERS_H

#include "common/ipc.h"
#include "tests/week/ledger.h"

/* What a destination is like: by its number, so that every kind has its twentieth part. */
enum kind {
    KIND_DEAD,     /* cannot be reached, ever */
    KIND_FLAPPING, /* cannot be reached every third hour */
    KIND_SLOW,     /* takes minutes for a message */
    KIND_SHEDS,    /* says 421 to every third */
    KIND_GREY,     /* 451 to everybody for five minutes */
    KIND_REFUSES,  /* 550 to every second recipient */
    KIND_FULL,     /* 452 for ever */
    KIND_SILENT,   /* half an hour of silence, until the middle of the week */
    KIND_GOOD,
    KINDS
};
#define KIND_PERIOD 20 /* destination % KIND_PERIOD is its kind; from KIND_GOOD on: good */
#define ACTIVE_MAX  512
#define RATED       (KIND_GOOD + KIND_PERIOD) /* a good one with [route] rate */

struct active {
    int64_t finish_ms;
    uint64_t tag;
    uint32_t destination;
    size_t n;
    uint32_t numbers[RELAY_RCPTS_MAX], places[RELAY_RCPTS_MAX];
};

struct others {
    struct ledger *ledger;
    uint32_t n_destinations;
    int64_t start_ms, middle_ms;
    struct ipc *relay; /* our end */
    struct active *active;
    size_t n_active;
    uint32_t *n_of; /* jobs at each destination at this moment */
    uint64_t random;
    /* what was seen */
    uint64_t n_jobs, activity;
    size_t most_active, most_of_one;
    bool is_over_limit;  /* more than connections_per_destination */
    int64_t rated_ms[8]; /* when the last jobs of RATED began */
    size_t n_rated;
    bool is_over_rate;
};

#define OTHERS_RATE            4 /* "4/1m" */
#define OTHERS_PER_DESTINATION 20

enum kind others_kind(uint32_t destination);
/* A number under n, always in the same order. */
uint32_t others_random(struct others *o, uint32_t n);
void others_take_job(struct others *o, const struct msg_relay_job *m);
/* Answers what is ready. */
void others_answer(struct others *o);
/* When the next is; INT64_MAX: none is under way. */
int64_t others_next_ms(const struct others *o);
/* The channel is gone, and with it what was under way: nobody got it. */
void others_forget(struct others *o);

#endif
