/* One SMTP session (RFC 5321): octets of the client in, replies out, questions to authd and queue
 * in between. It knows no sockets; server.c gives it the world, tests give it another one.
 *
 * Input is offered with session_input, which takes what it can. While the session waits for an
 * answer it takes nothing; `resume` tells when it would again. All replies to one flight of
 * commands are written in one call (RFC 2920). Nothing a client sends can do more than end its
 * session. */
#ifndef BARID_SMTPD_SESSION_H
#define BARID_SMTPD_SESSION_H

#include "common/buf.h"
#include "common/config.h"
#include "common/ipc.h"
#include "common/sasl.h"
#include "common/tls.h"
#include "common/verdict.h"
#include "smtpd/reply.h"
#include "smtpd/txn.h"

enum session_binding { BINDING_EXPORTER, BINDING_END_POINT };
#define SESSION_BINDING_MAX 64

/* What a session needs of the world. `client` is what session_new was given. The functions that ask
 * return the tag of the question, or 0 if it could not be sent; an answer never comes from inside
 * the call that asks. */
struct session_ops {
    int (*write)(void *client, struct span s); /* -1: it takes no more, the session ends */
    void (*finish)(void *client);              /* send what was written, then close */
    void (*resume)(void *client);              /* session_input takes input again */
    uint64_t (*resolve)(void *client, struct msg_resolve *m, ipc_answer_fn *fn, void *arg);
    uint64_t (*expand)(void *client, struct msg_expand *m, ipc_answer_fn *fn, void *arg);
    uint64_t (*queue_room)(void *client, struct msg_queue_room *m, ipc_answer_fn *fn, void *arg);
    uint64_t (*login)(void *client, struct msg_login *m, ipc_answer_fn *fn, void *arg);
    uint64_t (*scram_first)(void *client, struct msg_scram_first *m, ipc_answer_fn *fn, void *arg);
    uint64_t (*scram_final)(void *client, struct msg_scram_final *m, ipc_answer_fn *fn, void *arg);
    uint64_t (*ticket)(void *client, struct msg_ticket *m, ipc_answer_fn *fn, void *arg);
    void (*logout)(void *client, uint64_t session);
    /* What SCRAM can be bound to (RFC 9266, RFC 5929 4): its octets in `out`, or an empty span.
     * NULL: there is never anything. */
    struct span (*binding)(void *client, enum session_binding which,
                           unsigned char out[SESSION_BINDING_MAX]);
    /* nobody waits for that answer of authd or queue */
    void (*forget)(void *client, enum role of, uint64_t tag);
    uint64_t (*queue_open)(void *client, struct msg_queue_open *m, ipc_answer_fn *fn, void *arg);
    int (*queue_more)(void *client, const struct msg_queue_more *m);
    void (*queue_abort)(void *client, uint64_t tag);
    bool (*queue_is_full)(void *client); /* send it no more before session_go_on */
    bool (*offers_tls)(void *client);
    /* Is mail for this address taken for another host (route_backup)? NULL: none is. */
    bool (*is_backup)(void *client, struct span address);
};

/* What holds for a session from its start to its end, whatever a reload changes meanwhile. */
struct session_rules {
    const struct session_ops *ops;
    void *client;
    struct netaddr peer;
    struct limits_config limits; /* error_delay_ms: 0 for those who are exempt */
    uint64_t message_size_max;
    bool normalises_newlines;
    bool may_relay;
    bool is_lmtp; /* RFC 2033: LHLO, and a reply for each recipient */
    enum offered dsn, vrfy, expn;
    int64_t hold_max_s;       /* RFC 4865; 0: it is not offered */
    bool requires_tls;        /* STARTTLS comes first */
    bool hides_client;        /* of who logged in */
    enum completes completes; /* Date and Message-ID are put to messages that lack them */
    bool has_auth;            /* a submission listener: AUTH is offered, and mail needs a login */
    bool has_scram;           /* [auth] scram */
    bool may_log_in_plain;    /* without TLS, from this client */
    uint64_t login_failures_max;
};

enum session_state {
    STATE_START,  /* no HELO yet */
    STATE_READY,  /* no transaction */
    STATE_MAIL,   /* a sender is known */
    STATE_RCPT,   /* and a recipient */
    STATE_DATA,   /* content comes */
    STATE_CHUNKS, /* some of it came by BDAT */
    STATE_CHUNK,  /* octets of a chunk come */
    STATE_AUTH,   /* lines of a SASL exchange come */
    STATE_OVER,   /* nothing more is read */
};

/* What the session waits for before it takes more input. */
enum session_wait {
    WAIT_NOTHING,
    WAIT_RCPT,  /* for what authd says about a sender, or authd, then queue, about a recipient */
    WAIT_LOGIN, /* for what authd says about a login */
    WAIT_QUEUE, /* for the answer that decides about a message */
    WAIT_ROOM,  /* for the queue to take more content */
    WAIT_DELAY, /* limits.error_delay, with the replies of this flight */
    WAIT_TLS,   /* for the handshake, which the server begins when the replies are written */
};

/* One BDAT. */
struct chunk {
    uint64_t left; /* octets to be read */
    bool is_last;
    enum reply refusal; /* its octets are thrown away, then this is said; R_DONE: they are taken */
    enum session_state then; /* when it is over */
};

struct verb;

/* Open to the files of smtpd/ only. */
struct session {
    struct session_rules rules;
    struct span hostname; /* ours; set anew by the server after a reload */
    uint64_t id;
    enum session_state state;
    enum session_wait wait;
    const struct tls_info *tls; /* NULL: in the clear */
    bool is_esmtp;
    bool is_draining;
    bool owes_delay;      /* a mistake of the client's was answered in this flight */
    bool has_more_input;  /* behind the command that is being handled */
    bool may_expand_utf8; /* in the reply to the EXPN that is being handled (RFC 6531 3.7.4.2) */
    char *helo;           /* NULL: none yet */
    struct txn *txn;      /* NULL: none */
    struct sasl *sasl;    /* an AUTH exchange under way, or NULL */
    uint64_t login_tag;   /* of the question that WAIT_LOGIN is about */
    uint64_t failed_logins;
    char *login; /* who logged in; NULL: nobody */
    unsigned char ticket[TICKET_OCTETS];
    struct chunk chunk;      /* in STATE_CHUNK */
    uint64_t rcpt_tag;       /* of the question that WAIT_RCPT is about */
    enum role rcpt_of;       /* who was asked it */
    char *verified;          /* the address that VRFY or EXPN asks about, or NULL */
    struct buf out;          /* replies of this flight */
    const struct verb *verb; /* being handled, for the log */
    uint64_t errors, junk;   /* since the last accepted message */
    uint64_t commands, accepted, refused;
    int64_t began_ms;
    int64_t due_ms; /* when the client must have sent its line (or content) */
};

/* NULL without memory. */
struct session *session_new(const struct session_rules *rules, struct span hostname);
/* Cancels what is asked, aborts a message that the queue was not given as a whole. NULL is allowed.
 */
void session_free(struct session *s);
/* The banner; or a refusal if the client did not wait for it. */
void session_greet(struct session *s, bool talked_early);
/* The TLS handshake is done: the session begins anew, and of what was said in the clear nothing is
 * left (RFC 3207 4.2). */
void session_secured(struct session *s, const struct tls_info *tls);
/* Octets taken of what the client sent. */
size_t session_input(struct session *s, struct span in);
/* The queue takes more again. */
void session_go_on(struct session *s);
/* Monotonic time at which session_expire is to be called; INT64_MAX: not now. */
int64_t session_due_ms(const struct session *s);
void session_expire(struct session *s);
/* The service stops: the session ends now, or when the message being received is answered. */
void session_drain(struct session *s);
/* "disconnect" with the counts of the session. Once, before session_free. */
void session_log_end(const struct session *s, const char *why);

/* --- for the commands --- */

/* Does this client get what is offered so? Trusted: it logged in, or its network may relay. */
static inline bool session_offers(const struct session *s, enum offered to)
{
    return to == OFFERED_YES || (to == OFFERED_TRUSTED && (s->rules.may_relay || s->login != NULL));
}

/* RFC 3207 4: it must say STARTTLS before anything else. */
static inline bool session_lacks_tls(const struct session *s)
{
    return s->rules.requires_tls && s->tls == NULL;
}

void session_reply(struct session *s, enum reply r);
void session_reply_with(struct session *s, enum reply r, struct span argument);
/* A refusal that is about an address: it goes into the log. */
void session_refuse(struct session *s, enum reply r, struct span about);
/* An answer came: replies are written, and more input is taken. */
void session_answered(struct session *s);
/* The id that log lines bear: the message's, else the session's. */
uint64_t session_log_id(const struct session *s);

#endif
