#include "queue/intake_log.h"

#include "common/id.h"
#include "common/log.h"
#include "common/stats.h"
#include "queue/intake.h"

void intake_log_refused(uint64_t id, struct span sender, enum intake_reason reason)
{
    stats_count(STAT_REFUSED);
    LOG(id, "refused", LS("from", sender), LZ("because", intake_reason_name(reason)));
}

void intake_log_accepted(const struct message *m, const struct targets *t, uint64_t session,
                         bool is_held)
{
    char text[ID_TEXT];
    id_format(text, session);
    LOG(m->id, "accepted", LS("from", m->sender), LS("client", m->client),
        LN("size", (int64_t)m->size), LN("mailboxes", (int64_t)t->n_boxes),
        LN("elsewhere", (int64_t)t->n_remotes), LZ("session", text), LS("login", m->login));
    if (is_held)
        LOG(m->id, "held", LN("recipients", (int64_t)t->n_remotes),
            LZ("because", "its sender is contained"));
    if (t->forward_sender != NULL)
        LOG(m->id, "sender-rewritten", LZ("by", t->forwards), LZ("to", t->forward_sender));
    for (size_t i = 0; m->sender.n > 0 && i < t->n_remotes; i++)
        if (targets_new_owner(t, i) != NULL)
            LOG(m->id, "sender-rewritten", LZ("by", "a list"), LZ("to", t->remotes[i].owner));
}
