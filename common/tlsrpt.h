/* Reports about TLS with the servers of other domains (RFC 8460): what is counted, and where a
 * domain wants them. Relay counts, queue keeps and writes, policy looks the record up. Pure. */
#ifndef BARID_TLSRPT_H
#define BARID_TLSRPT_H

#include "common/pack.h"
#include "common/proto.h"

/* By what the server had to prove itself (RFC 8460 4.4, policy-type). */
enum tlsrpt_policy { TLSRPT_NO_POLICY, TLSRPT_TLSA, TLSRPT_STS, TLSRPT_POLICIES };
const char *tlsrpt_policy_name(enum tlsrpt_policy p); /* for any value */

/* What came of a session (4.3, result-type). */
enum tlsrpt_result {
    TLSRPT_NOTHING, /* nothing to tell: it did not come so far */
    TLSRPT_SUCCESS,
    TLSRPT_NO_STARTTLS,
    TLSRPT_HOST_MISMATCH,
    TLSRPT_EXPIRED,
    TLSRPT_NOT_TRUSTED,
    TLSRPT_VALIDATION, /* anything else */
    /* Why a domain that announces a policy (MTA-STS) has none that counts. */
    TLSRPT_STS_FETCH,      /* its server gave none */
    TLSRPT_STS_INVALID,    /* what it gave is no policy */
    TLSRPT_STS_WEBPKI,     /* the server did not prove its name */
    TLSRPT_DNSSEC_INVALID, /* what DANE would go by is false */
    TLSRPT_TLSA_INVALID,   /* none of the TLSA records can be used, or is the certificate's */
    TLSRPT_RESULTS
};
const char *tlsrpt_result_name(enum tlsrpt_result r); /* of the failures, for any value */

/* One of those that say why there is no policy? For any value. */
bool tlsrpt_is_policy_fault(unsigned result);

/* TLSA records as in DNS_TLSA_RE, of sane form? None are. */
bool tlsrpt_is_tlsa(struct span records);

/* The TXT records of _smtp._tls (records {bytes}): packs what its rua URIs name as records {bytes},
 * the address of a mailto:, all of an https:; RUA_MAX at most. How many; *n_others: other URIs. 0
 * also if there is no record, or several (3). */
size_t tlsrpt_read_records(struct span records, struct packer *out, size_t *n_others);

struct tlsrpt_url {
    struct span host; /* a name, never an address */
    uint16_t port;    /* 0: none is given */
    struct span path; /* with the query; may be empty, or begin with "?" */
};

/* "https://host[:port][/path][?query]", of printable ASCII that can stand in a request as it is.
 * Nobody's name or password; a port below 1024 only if it is 443, since other servers than those of
 * the web listen there. 0 with spans into `text`, or -1. */
int tlsrpt_read_url(struct span text, struct tlsrpt_url *out);
bool tlsrpt_is_url(struct span text); /* and no address */

#endif
