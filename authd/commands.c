#include "authd/commands.h"

#include "authd/resolve.h"
#include "common/log.h"

static const struct admin_command commands[] = {
    {"domain add", domain_add},
    {"domain remove", domain_remove},
    {"domain list", domain_list},
    {"domain show", domain_show},
    {"user add", user_add},
    {"user list", user_list},
    {"user show", user_show},
    {"user passwd", user_passwd},
    {"user disable", user_disable},
    {"user enable", user_enable},
    {"user quota", user_quota},
    {"user receive-only", user_receive_only},
    {"user forward", user_forward},
    {"user app-password add", app_add},
    {"user app-password list", app_list},
    {"user app-password remove", app_remove},
    {"user pam", user_pam},
    {"user remove", user_remove},
    {"alias add", alias_add},
    {"alias post", alias_post},
    {"alias remove", alias_remove},
    {"alias list", alias_list},
    {"check", check},
    {"explain", explain_address},
    {"fsck users", fsck_users},
    {"fsck forgotten", fsck_forgotten},
    {"fsck indexes", fsck_indexes},
};

void commands_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    admin_dispatch(commands, sizeof commands / sizeof commands[0], proc_state(owner), from,
                   &m->admin);
    authd_wipe(m->admin.secret);
}

void argument_text(char out[ARGUMENT_TEXT], struct span argument)
{
    size_t n = 0;
    for (size_t i = 0; i < argument.n && n + 1 < ARGUMENT_TEXT; i++) {
        unsigned char c = (unsigned char)argument.p[i];
        out[n++] = c >= 32 && c < 127 ? (char)c : '?';
    }
    out[n] = '\0';
}

int argument_address(struct admin_call *call, struct span argument, bool is_catch_all,
                     char out[ADDRESS_MAX])
{
    if (resolve_canonical(argument, is_catch_all, out) == 0)
        return 0;
    char text[ARGUMENT_TEXT];
    argument_text(text, argument);
    admin_fail(call, VERDICT_NEVER, "'%s' is not an address: write it as name@example.org", text);
    return -1;
}

static uint64_t unit_of(char c)
{
    static const char units[] = "KMGT";
    const char *at = c != '\0' ? strchr(units, c & ~0x20) : NULL;
    return at != NULL ? UINT64_C(1) << 10 * (at - units + 1) : 0;
}

int argument_quota(struct admin_call *call, struct span argument, uint64_t *quota)
{
    if (span_eq(argument, SPAN("none"))) {
        *quota = 0;
        return 0;
    }
    struct span digits = argument;
    uint64_t unit = digits.n > 0 ? unit_of(digits.p[digits.n - 1]) : 0, n;
    if (unit != 0)
        digits.n--;
    else
        unit = 1;
    if (span_u64(digits, &n) == 0 && n > 0 && n <= (uint64_t)INT64_MAX / unit) {
        *quota = n * unit;
        return 0;
    }
    char text[ARGUMENT_TEXT];
    argument_text(text, argument);
    admin_fail(call, VERDICT_NEVER, "'%s' is not a size: write it as 500M or 1G, or 'none'", text);
    return -1;
}

int argument_line(struct admin_call *call, const char *what, struct span text)
{
    bool is_good = text.n <= ARGUMENT_LINE;
    for (size_t i = 0; i < text.n && is_good; i++)
        is_good = (unsigned char)text.p[i] >= ' ' && text.p[i] != 127;
    if (is_good)
        return 0;
    admin_fail(call, VERDICT_NEVER, "%s is at most %d octets of printable text", what,
               ARGUMENT_LINE);
    return -1;
}

struct user *argument_user(struct authd *a, struct admin_call *call)
{
    char address[ADDRESS_MAX];
    struct span given = call->n_args > 0 ? call->args[0] : SPAN("");
    if (argument_address(call, given, false, address) < 0)
        return NULL;
    struct user *user = directory_user(a->directory, span_of(address));
    if (user == NULL)
        admin_fail(call, VERDICT_NEVER, "there is no user %.300s", address);
    return user;
}

struct domain *address_domain(struct authd *a, struct admin_call *call, const char *address)
{
    struct span name = resolve_domain_of(span_of(address));
    struct domain *domain = directory_domain(a->directory, name);
    if (domain == NULL && name.n > 0 && name.p[0] == '[')
        admin_fail(call, VERDICT_NEVER, "%s is not a local domain", name.p);
    else if (domain == NULL)
        admin_fail(call, VERDICT_NEVER,
                   "%s is not a local domain: add it with: barid domain add %.150s", name.p,
                   name.p);
    return domain;
}

int address_free(struct authd *a, struct admin_call *call, const char *address)
{
    const char *what = NULL;
    if (directory_user(a->directory, span_of(address)) != NULL)
        what = "a user";
    else if (directory_alias(a->directory, span_of(address)) != NULL)
        what = "an alias";
    if (what == NULL)
        return 0;
    admin_fail(call, VERDICT_NEVER, "%.300s exists already: it is %s", address, what);
    return -1;
}

void store_failed(struct authd *a, struct admin_call *call)
{
    admin_fail(call, VERDICT_TRY_LATER, "nothing was changed: %s", authd_store_failed(a));
}

void memory_failed(struct authd *a, struct admin_call *call)
{
    admin_done(call, 0);
    authd_end(a, "out of memory");
}
