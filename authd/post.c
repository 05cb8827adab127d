/* Who may send to a list: an alias with a rule. Asked for what stands in RCPT only: what an alias
 * leads to, be it a list, is reached by who may send to that alias. */
#include "authd/post.h"

#include "authd/resolve.h"

const char *post_word(enum post_rule rule)
{
    static const char *const words[POST_RULES] = {
        [POST_ANYONE] = "anyone", [POST_MEMBERS] = "members", [POST_USERS] = "users"};
    return words[rule];
}

int post_read(struct span word, enum post_rule *rule)
{
    for (unsigned i = 0; i < POST_RULES; i++)
        if (span_eq(word, span_of(post_word((enum post_rule)i)))) {
            *rule = (enum post_rule)i;
            return 0;
        }
    return -1;
}

static bool shares_target(const struct resolved *members, const struct resolved *who)
{
    for (size_t i = 0; i < who->n_targets; i++)
        for (size_t k = 0; k < members->n_targets; k++)
            if (who->targets[i].is_local == members->targets[k].is_local &&
                span_eq(who->targets[i].address, members->targets[k].address))
                return true;
    return false;
}

static bool names_target(const struct resolved *members, struct span sender)
{
    for (size_t k = 0; k < members->n_targets; k++)
        if (!members->targets[k].is_local && span_eq(members->targets[k].address, sender))
            return true;
    return false;
}

/* A member by any of his addresses here, or by the address elsewhere that the list leads to. */
static bool is_member(const struct directory *d, const struct alias *list, struct span sender)
{
    static struct resolved members, who;
    char text[ADDRESS_MAX];
    if (sender.n == 0)
        return false;
    resolve_owners(d, list->node.name, &members);
    resolve_owners(d, sender, &who);
    if (who.kind == ADDRESS_LOCAL)
        return shares_target(&members, &who);
    return resolve_canonical(sender, false, text) == 0 && names_target(&members, span_of(text));
}

struct post post_of(const struct directory *d, struct span address, struct span sender)
{
    bool is_ours;
    const struct alias *list = resolve_list(d, address, &is_ours);
    struct post p = {.rule = list != NULL ? list->post : POST_ANYONE};
    p.is_member = p.rule == POST_MEMBERS && is_member(d, list, sender);
    return p;
}
