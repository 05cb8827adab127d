/* Tickets: what proves a login to queue. A good login on a submission session gets a random one; it
 * holds for that channel and that session only, until the session ends (LOGOUT), its smtpd is gone,
 * the user's credentials change, or TICKET_TTL_MS has passed. So a smtpd that was taken over can
 * send as those who logged in through it, and as nobody else. */
#ifndef BARID_AUTHD_TICKET_H
#define BARID_AUTHD_TICKET_H

#include "authd/directory.h"
#include "common/ipc.h"

#define TICKET_TTL_MS      (24 * 3600 * INT64_C(1000))
#define TICKETS_PER_WORKER 16384

struct tickets;

struct ticket {
    struct ticket *next; /* in its bucket */
    unsigned char octets[TICKET_OCTETS];
    const struct ipc *ch;
    uint64_t instance, session;
    uint64_t generation; /* of the user when he logged in */
    int64_t until_ms;
    char address[]; /* of the user */
};

struct tickets *tickets_new(void); /* NULL without memory */
/* NULL: this channel has too many, or no memory; could not. */
const struct ticket *ticket_issue(struct tickets *t, const struct ipc *ch, uint64_t session,
                                  const struct user *user);
/* The ticket of these octets if it is of this smtpd and session and still holds, or NULL. */
const struct ticket *ticket_find(const struct tickets *t, struct span octets, uint64_t instance,
                                 uint64_t session);
void tickets_session_gone(struct tickets *t, const struct ipc *ch, uint64_t session);
void tickets_channel_gone(struct tickets *t, const struct ipc *ch);
size_t tickets_count(const struct tickets *t);

#endif
