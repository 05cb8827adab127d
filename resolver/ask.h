/* The questions under way: each DNS_MX, DNS_ADDR, DNS_TLSA or DNS_TXT of a sibling becomes one or
 * two questions to the upstream and gets exactly one answer, at the latest when its deadline
 * passes. */
#ifndef BARID_RESOLVER_ASK_H
#define BARID_RESOLVER_ASK_H

#include "common/ipc.h"
#include "resolver/upstream.h"

struct ask;

struct asks {
    struct loop *loop;
    struct upstream *upstream; /* what new questions are put to */
    struct ask *first;
    size_t n;
};

void ask_mx(struct asks *a, struct ipc *from, const struct msg_dns_mx *m);
void ask_addr(struct asks *a, struct ipc *from, const struct msg_dns_addr *m);
void ask_tlsa(struct asks *a, struct ipc *from, const struct msg_dns_tlsa *m);
void ask_txt(struct asks *a, struct ipc *from, const struct msg_dns_txt *m);
/* The channel is gone: its questions need no answer any more. */
void ask_forget(struct asks *a, const struct ipc *from);

#endif
