/* The server's side of SASL, without I/O: what a client says line by line, and what is to be done
 * next. smtpd and pop3d carry the lines; authd alone decides (a password: LOGIN; SCRAM:
 * SCRAM_FIRST, SCRAM_FINAL), so nothing here compares a secret.
 *
 *   PLAIN                          RFC 4616; an authorization identity must be the name itself
 *   LOGIN                          draft-murchison-sasl-login, for old clients
 *   SCRAM-SHA-256, -PLUS           RFC 5802, RFC 7677: here only the order of its messages
 *
 * Lines are base64 without CRLF (RFC 4648 4, exact: padding, no octet over). What was decoded is
 * wiped before the next line and at the end; the line itself is the caller's to wipe. */
#ifndef BARID_SASL_H
#define BARID_SASL_H

#include "common/str.h"

/* RFC 4954 4: a line of the exchange with its CRLF. */
#define SASL_LINE_MAX 12288
#define SASL_TEXT_MAX 2048 /* a message of SCRAM, decoded */
/* What a challenge takes as base64, with a NUL. */
#define SASL_CHALLENGE_MAX ((SASL_TEXT_MAX + 2) / 3 * 4 + 1)
#define SASL_LIST_MAX      64

enum sasl_mechanism { SASL_SCRAM_PLUS, SASL_SCRAM, SASL_PLAIN, SASL_LOGIN, SASL_MECHANISMS };

/* Sets of mechanisms, a bit each: what can be offered with and without a channel to bind to. */
#define SASL_BIT(mechanism) (1U << (mechanism))
#define SASL_UNBOUND        (SASL_BIT(SASL_SCRAM) | SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_LOGIN))
#define SASL_BOUND          (SASL_UNBOUND | SASL_BIT(SASL_SCRAM_PLUS))

/* The mechanism of that name among those offered, or SASL_MECHANISMS. Case does not matter. */
enum sasl_mechanism sasl_find(struct span name, unsigned offered);
struct span sasl_name(enum sasl_mechanism m);
/* "SCRAM-SHA-256 PLAIN LOGIN". */
void sasl_list(char out[SASL_LIST_MAX], unsigned offered);

enum sasl_step {
    SASL_CHALLENGE,   /* send `challenge`, then take a line */
    SASL_PASSWORD,    /* ask authd about user and password */
    SASL_SCRAM_FIRST, /* ask authd about `message`; its answer is for sasl_answered */
    SASL_SCRAM_FINAL, /* the same; authd's answer decides */
    SASL_DONE,        /* the client has seen the proof that came with that answer */
    SASL_CANCELLED,   /* by the client */
    SASL_NOT_BASE64,
    SASL_MALFORMED, /* not what the mechanism says */
    SASL_REFUSED,   /* for another user than the one who logs in */
    SASL_NO_MEMORY,
};

struct sasl {
    enum sasl_mechanism mechanism;
    struct span user, password, message; /* as the step says; gone with the next call */
    char challenge[SASL_CHALLENGE_MAX];
    /* private */
    int state;
    char *given; /* decoded */
    size_t n_given;
    char *name; /* LOGIN: it came first */
};

/* NULL without memory. */
struct sasl *sasl_begin(enum sasl_mechanism m);
void sasl_end(struct sasl *x); /* wipes it; NULL is allowed */
/* The initial response, or a span without a pointer if there was none. "=" is an empty one. */
enum sasl_step sasl_initial(struct sasl *x, struct span response);
enum sasl_step sasl_line(struct sasl *x, struct span line);
/* authd's text (SCRAM): SASL_CHALLENGE, or SASL_MALFORMED if it is too long. */
enum sasl_step sasl_answered(struct sasl *x, struct span text);

/* Overwrites a secret in a buffer that others still hold. */
void sasl_wipe(struct span secret);

#endif
