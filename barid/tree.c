#include "barid/tree.h"

#define SERVES_SMTP                                                                                \
    (1U << LISTEN_SMTP | 1U << LISTEN_SUBMISSION | 1U << LISTEN_SUBMISSIONS | 1U << LISTEN_LMTP |  \
     1U << LISTEN_SUBMIT)
#define SERVES_POP3 (1U << LISTEN_POP3 | 1U << LISTEN_POP3S)

static bool wants_pam(const struct config *c)
{
    return c->pam.service != NULL;
}

const struct tree_process tree_processes[] = {
    {ROLE_AUTHD, false, 0, "authd.sock", 3, NULL},
    {ROLE_QUEUE, false, 0, "queue.sock", 2, NULL},
    {ROLE_RESOLVER, false, 0, NULL, 3, NULL},
    {ROLE_RELAY, false, 0, "relay.sock", 1, NULL},
    {ROLE_MAILBOX, false, 0, "mailbox.sock", 1, NULL},
    {ROLE_POP3D, true, SERVES_POP3, NULL, 0, NULL},
    {ROLE_SMTPD, true, SERVES_SMTP, NULL, 0, NULL},
    {ROLE_KEYD, false, 0, NULL, 3, NULL},
    {ROLE_POLICY, false, 0, NULL, 2, NULL},
    {ROLE_PAMD, false, 0, NULL, 3, wants_pam},
};
const size_t tree_n_processes = sizeof tree_processes / sizeof tree_processes[0];

const struct tree_channel tree_channels[] = {
    {ROLE_SMTPD, ROLE_AUTHD},  /* who is this recipient */
    {ROLE_SMTPD, ROLE_QUEUE},  /* take this message */
    {ROLE_QUEUE, ROLE_AUTHD},  /* sealed recipients; where does this bounce go */
    {ROLE_QUEUE, ROLE_RELAY},  /* deliver this elsewhere */
    {ROLE_RELAY, ROLE_POLICY}, /* how does this domain want to be spoken to */
    {ROLE_POLICY, ROLE_RESOLVER}, {ROLE_POLICY, ROLE_QUEUE}, /* keep this policy */
    {ROLE_RELAY, ROLE_RESOLVER},  {ROLE_POP3D, ROLE_AUTHD},  /* log this user in */
    {ROLE_AUTHD, ROLE_MAILBOX},                              /* this channel may use that mailbox */
    {ROLE_SMTPD, ROLE_KEYD},      {ROLE_POP3D, ROLE_KEYD},   /* sign this handshake */
    {ROLE_AUTHD, ROLE_PAMD},    /* is this the password of a login of the system */
    {ROLE_MAILBOX, ROLE_QUEUE}, /* remove these messages */
};
const size_t tree_n_channels = sizeof tree_channels / sizeof tree_channels[0];
