/* Gives a report about TLS to the web server that its domain named (RFC 8460 5.4), for queue. A few
 * at a time; more are told to come later. The URL was a stranger's: the server proves its name, it
 * is at no private address (public.h), and what it says is its status only. It is posted to one
 * address at most each time. */
#ifndef BARID_POLICY_POST_H
#define BARID_POLICY_POST_H

#include "common/proc.h"
#include "common/tls.h"

struct posts {
    struct proc *proc;
    struct tls_client *tls; /* NULL: no authorities */
    struct post *first;
    size_t n;
};

void posts_set_tls(struct posts *p, struct tls_client *tls); /* a use of it */
void post_begin(struct posts *p, struct ipc *from, const struct msg_tls_post *m);
void posts_forget(struct posts *p, const struct ipc *from); /* who asked is gone */

#endif
