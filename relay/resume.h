/* Which TLS session of before a connection may go on with: one that was begun when all that the
 * judgement of the server depends on was the same. That is hashed into a key, and sessions of
 * another key are not found (sessions.h), and refused if they were (common/tls.h).
 *
 * A session that goes on is as good as its full handshake was: the server has the keys of whoever
 * proved itself then, under the same demands. Its certificate is not shown again, so a new one (or
 * a wrong one) is seen an hour after that handshake at the latest. New TLSA records, another policy
 * of the domain, another address or a reload are another key. */
#ifndef BARID_RELAY_RESUME_H
#define BARID_RELAY_RESUME_H

#include "relay/client.h"

struct job;

/* The last to be set in params. */
void resume_with(struct job *j, struct client_params *params);

/* What a key is made of. */
struct resume_facts {
    uint32_t generation;              /* of the configuration, authorities included */
    const unsigned char *destination; /* SESSION_KEY octets: who shares connections */
    struct span domain;               /* whose server it is by the DNS; else empty */
    const struct policy *policy;      /* what the server must be, */
    const struct policy_facts *facts; /* and why */
    struct span sts_mx;               /* the policy of its domain */
    const struct client_params *params;
};
void resume_key(const struct resume_facts *f, unsigned char key[SESSION_KEY]);

#endif
