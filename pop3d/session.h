/* One POP3 session (RFC 1939): lines in, replies out, one command after the other. It knows its
 * connection, asks authd to log in, and holds the channel to the one mailbox it was granted; it can
 * name nothing else.
 *
 * Bounds: a line of LINE_OCTETS, output of OUT_MAX, from the first DELE on a bit per message, the
 * numbers of RETRIEVED_MAX messages that were retrieved.
 * While an answer is awaited or output waits for the client, no command is taken and nothing is
 * read, so pipelining of any depth costs no memory.
 *
 * No handler frees the session. It is freed at the end of a callback only, in session_go_on. */
#ifndef BARID_POP3D_SESSION_H
#define BARID_POP3D_SESSION_H

#include "common/conn.h"
#include "common/ipc.h"
#include "common/sasl.h"
#include "pop3d/collected.h"
#include "pop3d/drop.h"
#include "pop3d/multiline.h"
#include "pop3d/reply.h"

#define LINE_OCTETS 255   /* RFC 2449 4: a command with its CRLF */
#define IN_MAX      16384 /* a line of SASL */
#define SKIP_MAX    65536 /* thrown away of one line that is too long */
#define OUT_MAX     (256U << 10)
#define OUT_BUSY    (16U << 10)  /* more than this unsent: wait for the client */
#define PIECE       (64U << 10)  /* of a large message read at a time */
#define BURST       (256U << 10) /* of it sent at a time by the kernel */
#define TAIL        1024         /* the kernel does not send */
_Static_assert(OUT_BUSY + 2 * PIECE + 4096 <= OUT_MAX, "a piece of dots only must fit");

#define LINE_MS   60000  /* before login: a command must come within */
#define LOGIN_MS  300000 /* all that is before login */
#define IDLE_MS   600000 /* RFC 1939 3: at least 10 minutes */
#define ANSWER_MS 30000  /* of mailbox */
#define CHECK_MS  60000  /* of authd, which makes wrong passwords wait */
#define UPDATE_MS 60000

enum session_state {
    STATE_AUTHORIZATION = 1,
    STATE_TRANSACTION = 2,
    STATE_UPDATE = 4,
};
#define STATE_ANY (STATE_AUTHORIZATION | STATE_TRANSACTION)

/* What a session needs from its process; tests have their own. */
struct session;
struct session_host {
    struct loop *loop;
    struct ipc *(*authd)(void *owner);      /* NULL while it is down */
    struct tls_server *(*tls)(void *owner); /* NULL: there is no certificate */
    void (*tls_failed)(void *owner, const struct session *s, const char *why);
    void (*closed)(void *owner, struct session *s); /* s is freed after this call */
    void *owner;
};

struct session_settings {
    bool may_log_in;  /* without TLS, from this client */
    bool has_scram;   /* [auth] scram */
    bool is_implicit; /* TLS from the first octet; the greeting comes after the handshake */
    int64_t tls_timeout_ms;
    uint64_t failures_max;
    uint64_t errors_max;    /* lines that are no commands */
    uint64_t login_delay_s; /* announced; 0: none */
    uint64_t expire_days;   /* the shortest of any user; 0: never */
    bool expire_varies;     /* some users may have another one */
    bool tells_name;
};

enum job_kind { JOB_NONE, JOB_LIST, JOB_UIDL, JOB_FILE };

/* A response that is made while it is sent. */
struct job {
    enum job_kind kind;
    int fd;             /* JOB_FILE, or -1 */
    uint64_t next, end; /* message number, or octet of the file */
    struct multiline lines;
    bool
        is_past; /* octets went past the connection's buffer: until it is drained nothing follows */
};

struct session_totals {
    uint64_t messages, octets; /* in the maildrop as it was opened */
    uint64_t retrieved, retrieved_octets, topped, removed, removed_octets;
};

struct session {
    struct session *next, *previous; /* for who owns the sessions */
    const struct session_host *host;
    struct session_settings set;
    struct conn *conn;
    uint64_t id;
    struct netaddr client;
    int64_t started_ms;
    int64_t active_ms; /* of the last command */
    enum session_state state;
    uint64_t failures, errors;
    char *user; /* as given; after login the address authd told; or NULL */
    struct ipc *box;
    struct drop drop;
    struct job job;
    struct timer opening; /* until BOX_OPENED comes */
    struct sasl *sasl;    /* an AUTH exchange under way, or NULL */
    int granted_fd;       /* of SCRAM, until the client has seen our proof; -1 */
    uint64_t login_tag;   /* LOGIN under way */
    size_t skipped;       /* octets of a line that was too long */
    uint64_t reading;     /* number of the message asked for */
    uint64_t top_lines;
    uint64_t expire_days; /* of this mailbox, once it is open; 0: never */
    struct session_totals totals;
    struct collected collected; /* what mailbox was not told yet */
    const char *ended;          /* why, for the log */
    bool is_top;
    bool wants_tls;  /* STLS was said, or the listener begins with TLS */
    bool is_waiting; /* for an answer: no command is taken */
    bool wants_input;
    bool is_opening;  /* the maildrop was granted and is not complete */
    bool is_skipping; /* the rest of a line that was too long */
    bool is_draining;
    bool is_finishing; /* the last reply is said */
    bool is_dead;      /* to be freed at once */
};

/* Takes over fd. NULL without memory (fd is closed); then host->closed is not called. */
struct session *session_new(const struct session_host *host, const struct session_settings *set,
                            int fd, const struct netaddr *client);
void session_free(struct session *s);
/* Ends it as soon as no command is under way. May free it. */
void session_drain(struct session *s);
/* Nobody knows yet who it is, and it is the client's turn to say so. */
bool session_is_nobody(const struct session *s);
/* Ends it at once, as too many want to be served. Frees it. */
void session_shed(struct session *s);

/* --- for the handlers of commands --- */

/* A reply line; its CRLF is added. */
void session_say(struct session *s, const char *reply);
void session_sayf(struct session *s, const char *reply, ...) __attribute__((format(printf, 2, 3)));
/* Octets of a multi-line response. */
void session_send(struct session *s, struct span octets);
/* The last reply; then the connection is closed. `why` is for the log. */
void session_finish(struct session *s, const char *reply, const char *why);
/* A line that is no command: after some of them the session ends. */
void session_error(struct session *s, const char *reply);
/* A message number: decimal, no sign, no leading zeros (LIST 01 is a mistake of somebody). Spaces
 * around it are forgiven. 0, or -1. */
int session_number(struct span arg, uint64_t *number);
bool session_offers_tls(const struct session *s);
/* The answer came: takes commands again. */
void session_resume(struct session *s);
/* Whatever can be done now; every callback ends with it. May free the session. */
void session_go_on(struct session *s);
/* The maildrop's channel, and with it the lock, is given back. */
void session_close_box(struct session *s);

#endif
