/* The boxes of removed users. Each stays on the list in users.db until queue has said that its mail
 * is gone, over restarts of both; one at a time, since removing a large mailbox is work. */
#include "authd/authd.h"

#include "common/log.h"

#define ANSWER_MS 120000
#define AGAIN_MS  60000

static void answered(void *authd, const union msg *m, int fd)
{
    struct authd *a = authd;
    if (fd >= 0)
        close(fd);
    uint64_t box = a->forgetting;
    a->forgetting = 0;
    a->forgot_up_to = box;
    bool is_done = m != NULL && m->box_forget_re.verdict == VERDICT_OK;
    if (is_done && a->users != NULL && users_forgotten_done(a->users, box) == 0) {
        LOG(0, "box-forgotten", LN("box", (int64_t)box));
        forget_next(a);
        return;
    }
    if (m != NULL)
        forget_next(a); /* one that is refused does not stop those behind it */
    else
        timer_set(&a->forget_again, AGAIN_MS); /* or sooner, when queue comes back */
}

/* What was refused, or came while others were asked about, is for the next round. */
static void end_round(struct authd *a)
{
    uint64_t box;
    char address[ADDRESS_MAX + 1];
    a->forgot_up_to = 0;
    if (users_next_forgotten(a->users, 0, &box, address) == 1)
        timer_set(&a->forget_again, AGAIN_MS);
}

void forget_next(struct authd *a)
{
    uint64_t box;
    char address[ADDRESS_MAX + 1];
    struct ipc *queue = proc_peer(a->proc, ROLE_QUEUE);
    if (queue == NULL || a->forgetting != 0 || a->users == NULL)
        return;
    if (users_next_forgotten(a->users, a->forgot_up_to, &box, address) != 1) {
        end_round(a);
        return;
    }
    struct msg_box_forget ask = {.box = box, .address = span_of(address)};
    a->forgetting = box;
    if (ipc_ask_box_forget(queue, &ask, -1, ANSWER_MS, answered, a) == 0)
        a->forgetting = 0;
}

void forget_again(void *authd)
{
    struct authd *a = authd;
    a->forgot_up_to = 0;
    forget_next(a);
}
