/* The fields that are put to messages: Received before every one (RFC 5321 4.4), Date and
 * Message-ID where a client left them out (RFC 6409 8). */
#ifndef BARID_SMTPD_TRACE_H
#define BARID_SMTPD_TRACE_H

#include "common/clock.h"
#include "common/id.h"
#include "common/net.h"
#include "common/str.h"
#include "common/tls.h"

#define TRACE_MAX      2048
#define HOSTNAME_SHOWN 255 /* octets of our name, which is not longer */

struct trace {
    struct span helo;           /* as the client gave it, at most 255 octets */
    struct netaddr client;      /* or a user of this machine, behind the submit socket */
    bool is_hidden;             /* neither of them is said */
    struct span hostname;       /* ours */
    struct span protocol;       /* "ESMTP", "SMTP", "local" */
    const struct tls_info *tls; /* NULL: none */
    uint64_t id;
    struct span rcpt; /* empty: more than one, no FOR clause */
    int64_t wall_s;
};

/* Octets written to out (TRACE_MAX), with the final CRLF. */
size_t trace_received(char *out, const struct trace *t);

/* Whole fields with the final CRLF; octets written. */
#define TRACE_DATE_MAX       (CLOCK_TEXT_MAX + 9)
#define TRACE_MESSAGE_ID_MAX (ID_TEXT + HOSTNAME_SHOWN + 18)
size_t trace_date(char out[TRACE_DATE_MAX], int64_t wall_s);
size_t trace_message_id(char out[TRACE_MESSAGE_ID_MAX], uint64_t id, struct span hostname);

#endif
