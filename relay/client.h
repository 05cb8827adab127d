/* The SMTP client: one connection to one address, any number of mails over it, one after the other.
 * Parameters in, callbacks out; it knows nothing of jobs, queues or DNS.
 *
 *   client_connect -> ready -> client_send -> result … result -> ready -> client_send … ->
 * client_quit
 *
 * `ended` can come at any time instead and is the last callback. Callbacks run from the event loop
 * only, never from inside a call of the owner.
 *
 * RFC 5321 with STARTTLS (3207), PIPELINING (2920), SIZE (1870), 8BITMIME (6152), DSN (3461),
 * SMTPUTF8 (6531), REQUIRETLS (8689). A mail with 8-bit octets is sent as it is to a server that
 * does not offer 8BITMIME: RFC 6152 3 would have it converted or bounced, but every server in use
 * takes it, and a bounce would lose mail that arrives. */
#ifndef BARID_RELAY_CLIENT_H
#define BARID_RELAY_CLIENT_H

#include "common/config.h"
#include "common/loop.h"
#include "common/net.h"
#include "common/notify.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/tlsrpt.h"
#include "common/verdict.h"
#include "relay/sessions.h"

struct client;

/* RFC 5321 4.5.3.2; each is for one reply, in total, however slowly it comes. */
struct client_times {
    int64_t connect_ms, handshake_ms, greeting_ms, command_ms, data_ms, chunk_ms, final_ms, quit_ms;
};
extern const struct client_times client_times_default;

struct client_params {
    struct loop *loop;
    const struct netaddr *to;
    struct span host;     /* its name, for people; empty: known by address only */
    struct span hostname; /* ours, for EHLO */
    bool is_lmtp;         /* RFC 2033: one reply for each recipient at the end */
    enum relay_tls level;
    /* DANE: as in struct tls_wish; they stay until `ready` or `ended`. Else empty, and `host`
     * counts. */
    struct span tls_host, tlsa, tls_names[2];
    bool only_dns_id;                 /* as in struct tls_wish */
    const char *policy;               /* who asks for it, in a word, for people; a constant */
    bool requires_tls;                /* for mail that may only go to who offers REQUIRETLS */
    bool is_report;                   /* but is not lost if he does not (RFC 8689 5) */
    bool is_implicit;                 /* TLS from the first octet; else by STARTTLS (RFC 3207) */
    struct span plain_because;        /* RELAY_TLS_NONE: why, for people; outlives the client */
    struct tls_client *tls;           /* NULL: none can be had; counted */
    struct sessions *sessions;        /* to go on with; outlive the client; NULL: none */
    const unsigned char *session_key; /* which of them, and for which the new ones are; copied */
    struct span user, secret;         /* to log in with, if a user is named; see client_login.c */
    const struct client_times *times; /* outlives the client */
    uint64_t made_for;                /* the message that it is first made for, for people */
};

struct client_rcpt {
    struct span address;
    struct span orcpt; /* as in ORCPT=, or empty */
    uint8_t notify;    /* enum notify */
};

/* One mail. It and all it points to must stay until the last result. */
struct client_mail {
    struct span sender; /* "": the null reverse-path */
    struct span envid;  /* as in ENVID=, or empty */
    uint8_t ret;        /* enum ret */
    bool is_utf8;       /* an address or the header is not ASCII: SMTPUTF8 if it is offered */
    const struct client_rcpt *rcpts;
    size_t n_rcpts;      /* 1 to RELAY_RCPTS_MAX */
    bool requires_tls;   /* REQUIRETLS (RFC 8689) */
    bool is_callout;     /* no content: are the recipients known? NEVER only if one is refused */
    uint8_t flags;       /* enum content_flag; only CONTENT_8BIT is believed */
    uint64_t size;       /* octets of content */
    struct span content; /* all of it; or empty, and fd holds it from its start */
    int fd;
    unsigned char hash[CONTENT_HASH]; /* of the content */
};

/* What the reports about TLS tell of a connection (RFC 8460 4.4). */
struct client_seen {
    char source[NETADDR_TEXT];            /* the address of ours that it is from; "" */
    char helo[DOMAIN_MAX + 1];            /* what the server calls itself, if that is a name; "" */
    char because[TLSRPT_BECAUSE_MAX + 1]; /* why TLS failed, or does not prove who it is; "" */
};

struct client_end {
    enum verdict verdict; /* NEVER only if greeting or EHLO was answered 5xx; else TRY_LATER */
    struct span text;     /* at most REPLY_MAX octets of printable ASCII; gone after the callback,
                             not with the client */
    bool is_untouched;    /* a mail was being sent, but no reply to any part of it came */
    bool is_tls;          /* TLS failed, which says nothing about a connection without it */
    enum tlsrpt_result tls_result; /* as client_tls_result */
    bool is_unfit;                 /* it can be talked to, but not have mail that requires TLS */
    bool is_for_session; /* it began with an earlier session: without one it may well work */
};

/* Who spoke, in `said`. */
#define SAID_BY_US   '>'
#define SAID_TO_US   '<'
#define SAID_OF_THIS '=' /* a remark: connected, TLS, content */

struct client_ops {
    /* A mail can be sent now: greeted, or the mail before is done. */
    void (*ready)(void *owner);
    /* Once for each recipient. The owner must not call the client from it. */
    void (*result)(void *owner, size_t rcpt, enum verdict v, struct span text);
    /* The connection is of no more use. Recipients without a result get none. The owner frees the
     * client, here or later. */
    void (*ended)(void *owner, const struct client_end *end);
    /* A line of the dialogue; may be NULL. Neither content nor what logs in is among the words, but
     * whatever octets the server sends. Called from anywhere; the owner only writes it down. */
    void (*said)(void *owner, char who, struct span words);
};

/* NULL without memory, or if `hostname` is no C string of at most DOMAIN_MAX octets. */
struct client *client_connect(const struct client_params *params, const struct client_ops *ops,
                              void *owner);
void client_own(struct client *c, const struct client_ops *ops, void *owner);
/* Only when ready. */
void client_send(struct client *c, const struct client_mail *mail);
/* Only when ready. `ended` follows soon, whatever the server says. */
void client_quit(struct client *c);
void client_free(struct client *c); /* closes at once; NULL is allowed */
/* "mx.example.org[192.0.2.1]:25". */
const char *client_remote(const struct client *c);
/* How the connection is protected, or why not: at most PROTECTION_MAX octets of ASCII. "" before
 * that is known. */
struct span client_protection(const struct client *c);
enum secured client_secured(const struct client *c);
/* What came of TLS with it, whoever asked for it, and whatever for. */
enum tlsrpt_result client_tls_result(const struct client *c);
/* Until the client is freed. */
const struct client_seen *client_seen(const struct client *c);
/* Was the server told what the sender asks to be told (RFC 3461)? */
bool client_tells(const struct client *c);
/* Was the last mail refused for now as a whole, by MAIL, DATA or at its end? */
bool client_is_slow(const struct client *c);
/* Does the server offer SMTPUTF8 (RFC 6531)? */
bool client_takes_utf8(const struct client *c);
/* Mails sent over it, the current one included. */
unsigned client_mails(const struct client *c);
/* As in the parameters. */
uint64_t client_made_for(const struct client *c);

/* As client_remote has it. out: at least CLIENT_REMOTE octets. */
#define CLIENT_REMOTE 400
void client_format_remote(char out[CLIENT_REMOTE], struct span host, const struct netaddr *to);

#endif
