/* A session between a client's socket and fakes of authd and mailbox, all over real connections and
 * channels. */
#ifndef BARID_TESTS_POP3D_STAGE_H
#define BARID_TESTS_POP3D_STAGE_H

#include "pop3d/session.h"

/* user "alice", password "se cret"; users "busy", "throttled", "disabled", "silent" get that answer
 */
#define LOGIN "USER alice\r\nPASS se cret\r\n"

struct letter {
    struct span content;
    uint64_t header;
    uint8_t flags;
    int fd; /* -1: content */
};

struct stage {
    struct loop *loop;
    struct session_host host;
    struct session_settings set;
    struct session *session; /* NULL: it is gone */
    struct ipc *authd_here, *authd, *box;
    int client;
    char got[1 << 23];
    size_t n_got;
    bool is_slow; /* the client reads little at a time */

    /* what mailbox says */
    int opened; /* verdict of BOX_OPENED; 97: TOO_SOON, 98: IN_USE, 99: says nothing */
    uint64_t expire_days;
    const struct letter *letters;
    size_t n_letters;
    bool is_unsealed;   /* its listing could be changed */
    bool reads_nothing; /* BOX_READ gets no answer */
    unsigned update_verdict;
    unsigned grants;

    /* what it was told */
    uint64_t removed[100];
    size_t n_removed;
    unsigned n_updates; /* last parts */
    uint64_t retrieved[RETRIEVED_MAX], more_retrieved;
    size_t n_retrieved;
    unsigned n_told, updates_before_retrieved;
};

extern const struct letter stage_letters[2];

struct stage *stage_begin(void);
void stage_end(struct stage *st);
/* Begins the session; to be called once, after the settings. */
void stage_connect(struct stage *st);
void stage_send(struct stage *st, struct span in);
/* Turns of the loop, and what comes is read, until nothing happens. */
void stage_run(struct stage *st);
void stage_turns(struct stage *st, int n);
/* What the client got since the last time, as a C string. */
const char *stage_got(struct stage *st);

#endif
