/* In which domain is the user of a mailbox? Queue asks when retention was set for a domain; the
 * answer never changes, as users are not renamed. */
#include "authd/authd.h"

#include "common/verdict.h"

void box_domain_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct authd *a = proc_state(owner);
    struct msg_box_domain_re re = {.tag = m->box_domain.tag, .verdict = VERDICT_TRY_LATER};
    uint64_t box = m->box_domain.box;
    int rc = a->users == NULL  ? -1
             : box > INT64_MAX ? 0
                               : users_domain_of(a->users, box, &re.domain);
    if (rc >= 0)
        re.verdict = rc == 1 ? VERDICT_OK : VERDICT_NEVER;
    ipc_send_box_domain_re(from, &re, -1);
}
