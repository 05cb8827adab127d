/* Tickets are redeemed here: by smtpd at MAIL, and by queue before a message counts as sent by who
 * logged in. A user may send as himself: his address, with or without a tag, and every address of
 * ours whose mail is for him (an alias, also one that leads to others too, a catch-all), wherever
 * he has it sent on. The null
 * sender is everybody's: a mail client sends its disposition notifications with it (RFC 8098 3). */
#include "authd/authd.h"
#include "authd/resolve.h"
#include "common/log.h"

bool sender_is_his(const struct authd *a, const struct user *user, struct span sender)
{
    static struct resolved found;
    if (sender.n == 0)
        return true;
    resolve_owners(a->directory, sender, &found);
    for (size_t i = 0; found.kind == ADDRESS_LOCAL && i < found.n_targets; i++)
        if (found.targets[i].is_local && found.targets[i].box == user->box)
            return true;
    return false;
}

/* Who logged in, if that still counts: not after a change of his password, nor when he was
 * disabled, or may only receive. */
static const struct user *user_of(const struct authd *a, const struct ticket *k)
{
    const struct user *user = k != NULL ? directory_user(a->directory, span_of(k->address)) : NULL;
    bool counts = user != NULL && user->generation == k->generation && !user->is_disabled &&
                  !user->is_receive_only;
    return counts ? user : NULL;
}

void sender_handle_ticket(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    const struct authd *a = proc_state(owner);
    const struct msg_ticket *asked = &m->ticket;
    uint64_t instance = ipc_peer(from) == ROLE_SMTPD ? ipc_mark(from) : asked->instance;
    struct msg_ticket_re re = {.tag = asked->tag, .login = SPAN("")};
    const struct user *user =
        user_of(a, ticket_find(a->tickets, asked->ticket, instance, asked->session));
    if (user == NULL) {
        re.verdict = VERDICT_TRY_LATER;
        re.reason = TICKET_GONE;
    } else if (!sender_is_his(a, user, asked->sender)) {
        re.verdict = VERDICT_NEVER;
        re.reason = TICKET_SENDER;
    } else {
        re.login = user->node.name;
    }
    if (re.reason != TICKET_GOOD)
        LOG(asked->session, "ticket-refused", LZ("by", role_name(ipc_peer(from))),
            LS("user", user != NULL ? user->node.name : SPAN("")), LS("sender", asked->sender),
            LZ("because", re.reason == TICKET_GONE ? "unknown or ended" : "not his address"));
    ipc_send_ticket_re(from, &re, -1);
}

void sender_handle_logout(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    login_session_gone(proc_state(owner), from, m->logout.session);
}
