/* Targets of an alias or of a user whose mail is sent on: as arguments, and whether they can be. */
#include "authd/commands.h"

#include "authd/resolve.h"

#define LOOKS_MAX 256

int argument_targets(struct admin_call *call, struct targets *t)
{
    t->n = 0;
    for (size_t i = 1; i < call->n_args; i++, t->n++) {
        if (argument_address(call, call->args[i], false, t->texts[t->n]) < 0)
            return -1;
        t->spans[t->n] = span_of(t->texts[t->n]);
    }
    return 0;
}

/* --- would it still fit? --- */

/* The longest recipient there can be stands in the seal. NULL, or what is wrong. */
static const char *wrong_with(struct authd *a, struct span address)
{
    static struct resolved found;
    static struct sealer sealer;
    char longest[254];
    struct span sealed;
    memset(longest, 'x', sizeof longest);
    resolve(a->directory, address, &found);
    if (found.has_loop)
        return "leads back to itself";
    struct span rcpt = {longest, sizeof longest};
    if (resolve_seal(&found, rcpt, a->seal_key, &sealer, &sealed) < 0)
        return "has too many targets";
    return NULL;
}

/* Also of the aliases that lead to it, up to a number of looks: what is not seen here is undecided
 * (and said by `check`) when mail comes. On a fault *address is the alias that has it. */
static const char *wrong_above(struct authd *a, struct span *address, unsigned *looks)
{
    struct span changed = *address;
    const char *why = wrong_with(a, changed);
    const struct table *t = &a->directory->aliases;
    for (struct node *n = table_next(t, NULL); n != NULL && why == NULL; n = table_next(t, n)) {
        if (!directory_alias_has((struct alias *)n, changed) || *looks == 0 ||
            span_eq(n->name, changed))
            continue;
        --*looks;
        *address = n->name;
        why = wrong_above(a, address, looks);
    }
    return why;
}

/* An owner stands in what is sealed for his list. */
const char *targets_fault(struct authd *a, struct span *address)
{
    static const struct span owner = {"owner-", 6};
    unsigned looks = LOOKS_MAX;
    const char *why = wrong_above(a, address, &looks);
    struct span list = span_from(*address, span_starts(*address, owner) ? owner.n : address->n);
    const struct alias *alias = why == NULL ? directory_alias(a->directory, list) : NULL;
    if (alias == NULL)
        return why;
    *address = alias->node.name;
    return wrong_above(a, address, &looks);
}
