/* Where a domain wants its reports about TLS: the TXT record of _smtp._tls (RFC 8460 3), for queue.
 * One question at a time; another one is told to come later. */
#ifndef BARID_POLICY_RUA_H
#define BARID_POLICY_RUA_H

#include "common/proc.h"

struct rua {
    struct proc *proc;
    struct ipc *from; /* who asked; NULL: nobody */
    uint64_t tag, dns_tag;
    char domain[DOMAIN_MAX + 1];
};

void rua_ask(struct rua *r, struct ipc *from, const struct msg_rua *m);
void rua_forget(struct rua *r, const struct ipc *from); /* who asked is gone */

#endif
