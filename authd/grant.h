/* A login to a mailbox is a capability: a new channel with one end at mailbox, which is told whose
 * box it is, and the other end at whoever logged in. */
#ifndef BARID_AUTHD_GRANT_H
#define BARID_AUTHD_GRANT_H

#include "authd/directory.h"
#include "common/ipc.h"

struct grant {
    const struct user *user;
    uint64_t domain;          /* its number */
    uint64_t device, session; /* as in BOX_GRANT */
    struct span client;
};
/* The end for pop3d, or -1: mailbox is away (NULL) or out of descriptors; could not. */
int grant_box(struct ipc *mailbox, const struct grant *g);

#endif
