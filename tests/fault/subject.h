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
    void (*evening)(bool is_clean); /* it ended without a complaint; or NULL */
    /* Started again, without a fault; then stopped. */
    void (*again)(struct play *p);
    unsigned (*stopped)(const char *state); /* or NULL */
    void (*put_away)(void);                 /* what lay_out started; or NULL */
};

/* For who connects to others: to this machine and no other, whatever a resolver says. */
#define SUBJECT_NEVER                                                                              \
    "never_connect_to = 0.0.0.0/2, 64.0.0.0/3, 96.0.0.0/4, 112.0.0.0/5, 120.0.0.0/6, "             \
    "124.0.0.0/7, 126.0.0.0/8, 128.0.0.0/1, ::/0\n"

extern const struct subject subject_queue, subject_authd, subject_mailbox, subject_smtpd,
    subject_pop3d, subject_relay, subject_keyd, subject_policy, subject_resolver, subject_pamd;

/* Day and again say so what is wrong with an answer: a line, and one more of subject_take_wrong. */
void subject_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void subject_complain_of(const char *what, unsigned answer);
/* How many complaints there were since the last call. */
unsigned subject_take_wrong(void);

/* Asks and waits for that answer (which is valid until the next call; fd: -1 if none came with it);
 * what else comes is passed over. 1; -1: the channel is closed; or WORK_SILENCE. */
int subject_ask(int channel, enum msg_type type, const void *fields, enum msg_type answer,
                union msg *m, int *fd);
/* A file in memory with that content; the caller closes it. */
int subject_file(const void *octets, size_t n);
/* Gives the process such a file, as the parent gives it what it opened for it: from its start. */
void subject_offer(struct play *p, enum file_kind kind, int file);
/* Ends a server that a subject started for itself; none: 0. */
void subject_end(pid_t server);
/* PRAGMA integrity_check: the number of complaints, which are printed. */
unsigned subject_check_store(const char *path);

#endif
