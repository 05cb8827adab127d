/* The network side of a process under test, with its siblings answering meanwhile: one connection,
 * lines on it, and a callback for each message that the process sends to a sibling. */
#ifndef BARID_TESTS_FAULT_TALK_H
#define BARID_TESTS_FAULT_TALK_H

#include "tests/fault/play.h"

struct talk {
    struct play *play;
    /* What a sibling says to it. fd: -1, or the callback's. */
    void (*answer)(struct talk *t, enum role sibling, enum msg_type type, const union msg *m,
                   int fd);
    int fd;  /* the connection, or -1 */
    int box; /* another channel that counts (of pop3d to a mailbox), or -1 */
    char line[4096];
    size_t n;
};

/* On 127.0.0.1, at a port of the kernel's choice. */
int talk_listen(uint16_t *port);
void talk_begin(struct talk *t, struct play *p,
                void (*answer)(struct talk *, enum role, enum msg_type, const union msg *, int));
int talk_connect(struct talk *t, uint16_t port);
void talk_end(struct talk *t);

/* Each: 1; -1: the connection or a channel is gone; WORK_SILENCE. */
int talk_say(struct talk *t, const char *octets, size_t n);
/* The next line of the process, without its end, as a C string in t->line; siblings are answered.
 */
int talk_line(struct talk *t);
/* A whole SMTP reply; *code is of its last line. */
int talk_reply(struct talk *t, unsigned *code);
/* Waits until *is_done, answering siblings and reading nothing. */
int talk_until(struct talk *t, const bool *is_done);

/* A day of two sessions, while the process lives: what a connection lost, the next one gets. 0; -1:
 * a channel was closed; or WORK_SILENCE. */
int talk_day(struct talk *t, int (*one_session)(void));

#endif
