/* For `barid explain`: what RESOLVE and TICKET would answer, and why. Changes nothing. */
#include "authd/commands.h"

#include "authd/login.h"
#include "authd/post.h"
#include "authd/resolve.h"

#define ROWS_MAX 1000

/* What of the order in resolve.h decided. */
static const char *way_of(const struct directory *d, const struct resolved *found,
                          struct span address)
{
    struct span first = {NULL, 0};
    if (found->kind != ADDRESS_LOCAL)
        return "";
    if (found->is_return)
        return "the sender of mail that was sent on (srs), for reports only";
    if (found->n_opened > 0)
        first = found->opened[0].alias->node.name;
    else if (found->n_targets > 0)
        first = found->targets[0].address;
    bool is_user = directory_user(d, first) != NULL;
    if (span_ieq(first, address))
        return is_user ? found->n_opened > 0 ? "user, whose mail is sent on" : "user" : "alias";
    if (found->is_borrowed)
        return "postmaster of another domain";
    if (span_istarts(address, SPAN("postmaster")) && !span_starts(first, SPAN("@")))
        return "postmaster of the domain";
    if (span_starts(first, SPAN("@")))
        return "catch-all";
    return is_user ? "user of the address without its tag" : "alias of the address without its tag";
}

static const char *kind_of(const struct resolved *found)
{
    static const char *const words[] = {
        [ADDRESS_LOCAL] = "local", [ADDRESS_FOREIGN] = "foreign", [ADDRESS_UNKNOWN] = "unknown"};
    return found->is_too_large ? "undecided" : words[found->kind];
}

/* What a right password of his would get him; "": nobody was named. */
static const char *say_login(const struct authd *a, struct admin_call *call, struct admin_row *r)
{
    char address[ADDRESS_MAX];
    struct span login = admin_option(call, "login");
    if (login.p == NULL)
        return "";
    const struct user *user = login_find_user(a->directory, login, address);
    if (user == NULL)
        return "unknown";
    row_text(r, "user", user->node.name);
    row_bool(r, "may_send", sender_is_his(a, user, admin_option(call, "from")));
    if (user->is_disabled)
        return "disabled";
    return user->is_receive_only ? "receive-only" : "good";
}

static void send_aliases(struct admin_call *call, const struct resolved *found)
{
    static struct admin_row r;
    size_t n = 0;
    for (size_t i = 0; i < found->n_opened; i++)
        for (size_t k = 0; k < found->opened[i].alias->n_targets && n++ < ROWS_MAX; k++) {
            row_begin(&r);
            row_text(&r, "alias", found->opened[i].alias->node.name);
            row_text(&r, "leads_to", found->opened[i].alias->targets[k]);
            row_send(&r, call, 1, "aliases");
        }
}

static void send_targets(struct admin_call *call, const struct resolved *found)
{
    static struct admin_row r;
    for (size_t i = 0; i < found->n_targets; i++) {
        const struct target *t = &found->targets[i];
        row_begin(&r);
        row_text(&r, "address", t->address);
        if (t->is_local) {
            row_number(&r, "box", (int64_t)t->box);
            row_size(&r, "quota", t->quota);
        } else if (t->owner.n > 0) {
            row_text(&r, "owner", t->owner);
        }
        row_send(&r, call, 1, t->is_local ? "mailboxes" : "remote");
    }
}

/* ADDRESS [login=USER] [from=SENDER]. */
void explain_address(void *authd, struct admin_call *call)
{
    static struct resolved found;
    static struct admin_row r;
    struct authd *a = authd;
    struct span address = call->n_args > 0 ? call->args[0] : SPAN("");
    resolve(a->directory, address, &found);
    row_begin(&r);
    row_text(&r, "kind", span_of(kind_of(&found)));
    row_text(&r, "by", span_of(way_of(a->directory, &found, address)));
    row_bool(&r, "has_quota", found.has_quota);
    row_bool(&r, "is_return", found.is_return);
    struct post post = post_of(a->directory, address, admin_option(call, "from"));
    row_text(&r, "post", span_of(post_word(post.rule)));
    row_bool(&r, "is_member", post.is_member);
    row_text(&r, "login", span_of(say_login(a, call, &r)));
    row_send(&r, call, 0, NULL);
    send_aliases(call, &found);
    send_targets(call, &found);
    if (found.kind == ADDRESS_FOREIGN) {
        row_begin(&r);
        row_text(&r, "address", address);
        row_send(&r, call, 1, "remote");
    }
    admin_done(call, 0);
}
