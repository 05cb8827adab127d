/* A process whose calls are made to fail (calls.c): what it does on a day, and what must hold
 * afterwards. */
#ifndef BARID_TESTS_FAULT_SUBJECT_H
#define BARID_TESTS_FAULT_SUBJECT_H

#include "tests/fault/play.h"

struct subject {
    enum role role;
    unsigned peers;
    const char *config;
    unsigned sample;                      /* of each kind of call, without --all */
    bool is_kept;                         /* the same state serves each time: it changes nothing */
    void (*before_start)(struct play *p); /* what it gets besides its channels; or NULL */
    /* Makes what it finds at its start. `template`: a directory to keep what is needed each time,
     * empty at first. */
    void (*lay_out)(const char *state, const char *template);
    /* 0; -1: a channel was closed; or WORK_SILENCE. */
    int (*day)(struct play *p);
    /* Wrong answers of that day. `is_clean`: it ended without a complaint. */
    unsigned (*evening)(bool is_clean);
    /* Started again, without a fault; then stopped. The number of things that are wrong. */
    unsigned (*again)(struct play *p);
    unsigned (*stopped)(const char *state); /* or NULL */
    void (*put_away)(void);                 /* what lay_out started; or NULL */
};

/* For who connects to others: to this machine and no other, whatever a resolver says. */
#define SUBJECT_NEVER                                                                              \
    "never_connect_to = 0.0.0.0/2, 64.0.0.0/3, 96.0.0.0/4, 112.0.0.0/5, 120.0.0.0/6, "             \
    "124.0.0.0/7, 126.0.0.0/8, 128.0.0.0/1, ::/0\n"

extern const struct subject subject_queue, subject_authd, subject_mailbox, subject_smtpd,
    subject_pop3d, subject_relay, subject_keyd, subject_policy, subject_resolver;

/* Asks and waits for that answer (which is valid until the next call; fd: -1 if none came with it);
 * what else comes is passed over. 1; -1: the channel is closed; or WORK_SILENCE. */
int subject_ask(int channel, enum msg_type type, const void *fields, enum msg_type answer,
                union msg *m, int *fd);
/* PRAGMA integrity_check: the number of complaints, which are printed. */
unsigned subject_check_store(const char *path);

#endif
