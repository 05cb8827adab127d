/* The inside of client.h, for the files that are one SMTP client: client.c (connection, the owner's
 * calls), client_hello.c (from the greeting to readiness), client_mail.c (one mail). */
#ifndef BARID_RELAY_CLIENT_STATE_H
#define BARID_RELAY_CLIENT_STATE_H

#include "common/conn.h"
#include "relay/client.h"
#include "relay/command.h"
#include "relay/login.h"
#include "relay/offer.h"
#include "relay/reply.h"
#include "relay/source.h"

enum state {
    CONNECTING,
    HANDSHAKE, /* of TLS */
    GREETING,  /* from here to RESETTING a reply is awaited, */
    EHLO,
    HELO,
    STARTTLS,
    LOGIN,
    ENVELOPE, /* (one or more: commands up to n_sent are sent, up to n_answered are answered) */
    FINAL,    /* the one that decides: all content and the final dot are sent */
    EMPTY,    /* DATA without recipients was taken: the reply to its dot means nothing */
    RESETTING,
    CONTENT, /* no reply is awaited */
    READY,
    DECIDED, /* the mail need not be sent to know what becomes of it */
    QUITTING,
    ENDED,
};

struct client {
    const struct client_times *times;
    const struct client_ops *ops;
    void *owner;
    struct conn *conn;
    struct timer soon; /* to call back from the loop */
    enum state state;
    struct reply reply;
    char remote[CLIENT_REMOTE];
    char hostname[DOMAIN_MAX + 1];
    unsigned n_mails;
    uint64_t made_for;
    bool is_lmtp;
    /* TLS */
    enum relay_tls level;
    const char *policy;
    bool is_implicit, requires_tls, is_report, only_dns_id;
    struct tls_client *tls;
    char tls_host[DOMAIN_MAX + 1]; /* a name, or an address */
    struct span tlsa, tls_names[2];
    bool is_securing; /* from STARTTLS until it answers through TLS: what fails is TLS */
    struct sessions *sessions;
    uint32_t sessions_epoch; /* when the connection began */
    unsigned char session_key[SESSION_KEY];
    int64_t session_until_ms; /* of the one that is offered, and of those that come of it */
    int64_t tls_began_ms;
    bool is_trying_session; /* an earlier one goes on, or is to, and no reply came since */
    char protection[PROTECTION_MAX + 1];
    enum tlsrpt_result tls_result;
    struct client_seen seen;
    struct offer offer;
    bool needs_login, is_loopback;
    struct login *login; /* until it is done */
    /* the mail being sent */
    const struct client_mail *mail;
    size_t n_sent, n_answered; /* commands: MAIL, each RCPT, DATA */
    bool is_mail_ok;
    bool is_accepted[RELAY_RCPTS_MAX];
    size_t n_accepted;
    bool is_slow; /* it said "later" to more than one recipient */
    struct source source;
    bool in_call;            /* of the owner: what ends the connection now is told from the loop */
    char failure[REPLY_MAX]; /* and kept here until then */
    char parting[REPLY_MAX]; /* why QUIT was said, if nobody asked for it */
};

/* --- client.c --- */

/* A remark for the dialogue. */
void client_remark(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Tells the owner that the connection is of no more use; c may be gone after it, as after all that
 * ends it. */
void client_end_now(struct client *c, enum verdict v, const char *text);
void client_end_by_reply(struct client *c, enum verdict v);
void client_end_by_us(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void client_out_of_step(struct client *c);
/* The server speaks SMTP but is not what is asked for: says QUIT, and then tells the owner why. */
void client_part(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The server's own words and what they were an answer to. */
struct span client_reply_with_step(const struct client *c, size_t command, char room[REPLY_MAX]);
/* What the reply that is awaited (or came last) is about. */
const char *client_step_name(const struct client *c, size_t command);
/* False: the connection was ended. */
bool client_send_line(struct client *c, const char *line, int64_t deadline_ms);
bool client_say(struct client *c, enum state next, const char *line);
/* Why TLS is not what it should be: a constant. */
void client_tls_because(struct client *c, const char *why);
void client_await_greeting(struct client *c);
/* A mail can be sent. c may be gone after it. */
void client_is_ready(struct client *c);

/* --- client_hello.c: replies, and TLS --- */
void client_start_tls(struct client *c);
void client_on_secured(struct client *c);
void client_on_starttls(struct client *c);
void client_on_greeting(struct client *c);
void client_on_hello(struct client *c);

/* --- client_login.c --- */
/* EHLO is answered. c may be gone after it. */
void client_log_in(struct client *c);
void client_on_login(struct client *c);

/* --- client_mail.c --- */
bool client_send_envelope(struct client *c);
void client_send_content(struct client *c);
void client_too_large(struct client *c);
bool client_on_envelope(struct client *c);
void client_on_final(struct client *c);
/* The next of several final replies. True: more are due. */
bool client_on_lmtp_final(struct client *c);
void client_on_early(struct client *c);
void client_on_reset(struct client *c);
void client_reset(struct client *c);

#endif
