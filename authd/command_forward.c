/* `barid user forward`: where the mail of a user is sent on. It is kept as an alias of his own
 * address; one of its targets may be that address itself, which is his mailbox. */
#include "authd/commands.h"

#include "common/log.h"

/* What he has now, to be put back. */
static void remember(const struct directory *d, struct span address, struct targets *t)
{
    const struct alias *alias = directory_alias(d, address);
    t->n = 0;
    for (size_t i = 0; alias != NULL && i < alias->n_targets && t->n < TARGETS_MAX; i++)
        if (span_copy(t->texts[t->n], ADDRESS_MAX, alias->targets[i]) == 0) {
            t->spans[t->n] = span_of(t->texts[t->n]);
            t->n++;
        }
}

static int set_in_memory(struct directory *d, struct span address, const struct targets *t)
{
    struct alias *alias = directory_alias(d, address);
    if (alias != NULL)
        directory_remove_alias(d, alias);
    for (size_t i = 0; i < t->n; i++)
        if (directory_add_target(d, address, t->spans[i]) < 0)
            return -1;
    return 0;
}

/* In memory first to see where it leads, then on disk; nobody is asked in between. */
static void set(struct authd *a, struct admin_call *call, struct span address,
                const struct targets *t)
{
    static struct targets before;
    const struct domain *domain = address_domain(a, call, address.p);
    struct span at = address;
    const char *why;
    if (domain == NULL)
        return;
    remember(a->directory, address, &before);
    if (set_in_memory(a->directory, address, t) < 0)
        admin_fail(call, VERDICT_TRY_LATER, "nothing was changed: out of memory");
    else if ((why = targets_fault(a, &at)) != NULL)
        admin_fail(call, VERDICT_NEVER, "nothing was changed: with this, %s %s", at.p, why);
    else if (users_set_targets(a->users, address, domain->number, t->spans, t->n) < 0)
        store_failed(a, call);
    else {
        LOG(0, "user-forward", LS("user", address), LN("targets", (int64_t)t->n));
        admin_done(call, 0);
        return;
    }
    if (set_in_memory(a->directory, address, &before) < 0)
        authd_end(a, "out of memory");
}

/* --keep, which is no target; "keep=yes" is no address. */
static bool take_keep(struct admin_call *call)
{
    size_t n = 0;
    for (size_t i = 0; i < call->n_args; i++)
        if (!span_eq(call->args[i], SPAN("keep=yes")))
            call->args[n++] = call->args[i];
    bool keeps = n < call->n_args;
    call->n_args = n;
    return keeps;
}

/* The targets, his own address among them if a copy stays; none of them: it ends. 0, or -1. */
static int read_targets(struct admin_call *call, struct span own, struct targets *t)
{
    bool keeps = take_keep(call);
    bool is_end = call->n_args == 2 && span_eq(call->args[1], SPAN("none"));
    t->n = 0;
    if (is_end && !keeps)
        return 0;
    if (call->n_args < 2 || is_end) {
        admin_fail(call, VERDICT_NEVER, "say where the mail goes, or 'none'");
        return -1;
    }
    if (argument_targets(call, t) < 0)
        return -1;
    if (keeps && t->n < TARGETS_MAX)
        t->spans[t->n++] = own;
    if (t->n == 1 && span_eq(t->spans[0], own))
        t->n = 0; /* which is where it goes anyway */
    return 0;
}

void user_forward(void *authd, struct admin_call *call)
{
    static struct targets t;
    struct authd *a = authd;
    const struct user *user = argument_user(a, call);
    if (user != NULL && read_targets(call, user->node.name, &t) == 0)
        set(a, call, user->node.name, &t);
}
