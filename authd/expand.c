/* Whom does an alias stand for (EXPN, RFC 5321 3.5)? Its targets as they were given, not those of
 * further aliases: who wants these asks again. */
#include "authd/authd.h"
#include "authd/resolve.h"
#include "common/pack.h"

/* 0 and the records, or -1: too many to be told. */
static int pack_targets(const struct alias *alias, char room[LIST_MAX], struct span *out)
{
    struct packer w = packer_on(room, LIST_MAX);
    for (size_t i = 0; i < alias->n_targets; i++)
        pack_bytes(&w, alias->targets[i]);
    *out = packer_span(&w);
    return out->n > 0 ? 0 : -1;
}

void expand_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    static char room[LIST_MAX];
    struct authd *a = proc_state(owner);
    struct msg_expand_re re = {.tag = m->expand.tag, .verdict = VERDICT_OK};
    bool is_ours;
    const struct alias *alias = resolve_list(a->directory, m->expand.address, &is_ours);
    (void)fd; /* the table allows none */
    if (alias == NULL && is_ours)
        re.verdict = VERDICT_NEVER;
    else if (alias != NULL && pack_targets(alias, room, &re.targets) < 0)
        re.targets = SPAN("");
    ipc_send_expand_re(from, &re, -1);
}
