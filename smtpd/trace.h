/* The Received field that is put before every message (RFC 5321 4.4). */
#ifndef BARID_SMTPD_TRACE_H
#define BARID_SMTPD_TRACE_H

#include "common/net.h"
#include "common/str.h"
#include "common/tls.h"

#define TRACE_MAX 2048

struct trace {
    struct span helo;           /* as the client gave it, at most 255 octets */
    struct netaddr client;      /* or a user of this machine, behind the submit socket */
    struct span hostname;       /* ours */
    struct span protocol;       /* "ESMTP", "SMTP", "local" */
    const struct tls_info *tls; /* NULL: none */
    uint64_t id;
    struct span rcpt; /* empty: more than one, no FOR clause */
    int64_t wall_s;
};

/* Octets written to out (TRACE_MAX), with the final CRLF. */
size_t trace_received(char *out, const struct trace *t);

#endif
