#include "authd/grant.h"

#include "common/unixsock.h"

int grant_box(struct ipc *mailbox, const struct grant *g)
{
    int ends[2];
    if (mailbox == NULL || unixsock_pair(ends) < 0)
        return -1;
    struct msg_box_grant m = {.box = g->user->box,
                              .session = g->session,
                              .device = g->device,
                              .domain = g->domain,
                              .address = g->user->node.name,
                              .client = g->client};
    int rc = ipc_send_box_grant(mailbox, &m, ends[0]);
    close(ends[0]);
    if (rc == 0)
        return ends[1];
    close(ends[1]);
    return -1;
}
