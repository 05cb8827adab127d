#include "mailbox/export.h"

#include "common/id.h"
#include "common/verdict.h"
#include "mailbox/prefix.h"
#include "mailbox/spool.h"

static void send_message(struct ipc *to, uint64_t tag, const struct store_message *m)
{
    char prefix[PREFIX_MAX], id[ID_TEXT];
    int fd = m->is_spooled ? spool_open(m->id, m->octets) : -1;
    struct msg_export_next_re re = {
        .tag = tag, .verdict = VERDICT_TRY_LATER, .sequence = m->sequence, .id = m->id};
    id_format(id, m->id);
    if (fd >= 0 || !m->is_spooled) {
        re.verdict = VERDICT_OK;
        re.arrived = m->arrived;
        re.octets = m->octets;
        re.hash = (struct span){(const char *)m->hash, sizeof m->hash};
        re.sender = m->sender;
        re.uidl = m->uidl.n > 0 ? m->uidl : span_of(id);
        re.prefix = prefix_make(prefix, m);
        re.content = m->content;
    }
    ipc_send_export_next_re(to, &re, fd);
    if (fd >= 0)
        close(fd);
}

enum store_found export_find(struct store *st, uint64_t box, uint64_t after,
                             struct store_message *out)
{
    struct store_hidden hidden;
    enum store_found f;
    *out = (struct store_message){.sequence = 0};
    if (store_hidden(st, &(struct store_view){.box = box}, &hidden) < 0)
        return STORE_FAILED;
    while ((f = store_next(st, box, after, out)) != STORE_ABSENT && out->sequence > after &&
           store_is_hidden(&hidden, out->sequence)) {
        after = out->sequence;
        store_done(st);
    }
    store_hidden_free(&hidden);
    return f;
}

void export_next(struct store *st, struct ipc *to, const struct msg_export_next *m)
{
    struct store_message found;
    bool is_sane = m->box > 0 && m->box <= INT64_MAX && m->after <= INT64_MAX;
    enum store_found f = is_sane ? export_find(st, m->box, m->after, &found) : STORE_ABSENT;
    if (f == STORE_FOUND) {
        send_message(to, m->tag, &found);
        store_done(st);
        return;
    }
    struct msg_export_next_re re = {
        .tag = m->tag, .verdict = f == STORE_ABSENT ? VERDICT_NEVER : VERDICT_TRY_LATER};
    if (f == STORE_FAILED) {
        re.sequence = found.sequence;
        re.id = found.id;
    }
    ipc_send_export_next_re(to, &re, -1);
}
