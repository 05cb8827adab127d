/* The policies that are known, and what is being found out. A domain's TXT record is looked at when
 * somebody asks and the last look is some minutes ago; if it names another policy than the known
 * one, or that is a day old, it is fetched. A policy counts until its max_age is over, whatever
 * happens to the record or the server (RFC 8461 3.3, 5.1); that it is renewed before needs nobody
 * to ask. What was fetched goes to queue, which keeps it over restarts. */
#ifndef BARID_POLICY_CACHE_H
#define BARID_POLICY_CACHE_H

#include "common/proc.h"
#include "common/tls.h"

struct cache;

struct cache *cache_new(struct proc *p); /* NULL without memory */
void cache_set_tls(struct cache *c,
                   struct tls_client *tls); /* a use of it; given up for the next */
/* The policy of a domain, answered to `from` now or later. */
void cache_ask(struct cache *c, struct ipc *from, const struct msg_sts *m);
/* Nobody waits there any more. */
void cache_forget(struct cache *c, const struct ipc *from);
/* To be called every minute: what nobody needs goes, what would run out is renewed. */
void cache_sweep(struct cache *c);
/* Queue is there: reads what it kept. */
void cache_load(struct cache *c);

#endif
