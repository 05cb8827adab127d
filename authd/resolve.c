#include "authd/resolve.h"

#include "common/addr.h"
#include "common/clock.h"
#include "common/idn.h"

#include <string.h>

struct span resolve_domain_of(struct span address)
{
    for (size_t i = address.n; i > 0; i--)
        if (address.p[i - 1] == '@')
            return span_from(address, i);
    return (struct span){address.p + address.n, 0};
}

int resolve_domain(struct span text, char *out)
{
    char labels[DOMAIN_MAX + 1];
    if (idn_domain(text, labels) < 0 || !addr_is_domain(span_of(labels)))
        return -1;
    return span_copy(out, DOMAIN_MAX + 1, span_of(labels));
}

int resolve_canonical(struct span text, bool is_catch_all, char *out)
{
    struct addr a;
    size_t used;
    if (is_catch_all && text.n > 1 && text.p[0] == '@') {
        out[0] = '@';
        return resolve_domain(span_from(text, 1), out + 1);
    }
    if (addr_parse(text, ADDR_MAILBOX, &a, &used) < 0)
        return -1;
    return idn_fold(span_of(a.text), out, ADDRESS_MAX);
}

/* What the table is asked for. SMTP servers send canonical text, so the parser is for the rest. */
static int key_of(struct span address, char *out)
{
    if (address.n > 0 && address.p[0] == '"')
        return resolve_canonical(address, false, out);
    return idn_fold(address, out, ADDRESS_MAX);
}

static void add_target(struct resolved *r, const struct target *t)
{
    for (size_t i = 0; i < r->n_targets; i++)
        if (span_eq(r->targets[i].address, t->address))
            return;
    if (r->n_targets == RESOLVE_TARGETS_MAX)
        r->is_too_large = true;
    else
        r->targets[r->n_targets++] = *t;
    r->has_quota = r->has_quota || t->quota != 0;
}

/* Who hears what becomes of mail to this list; empty: who sent it. */
static struct span owner_of(const struct directory *d, struct span list)
{
    static const struct span prefix = {"owner-", 6};
    char text[ADDRESS_MAX];
    if (list.n + prefix.n >= sizeof text || list.p[0] == '@' || list.p[0] == '"' ||
        span_istarts(list, prefix))
        return SPAN("");
    memcpy(text, prefix.p, prefix.n);
    memcpy(text + prefix.n, list.p, list.n);
    struct span name = {text, prefix.n + list.n};
    const struct user *user = directory_user(d, name);
    const struct alias *alias = user == NULL ? directory_alias(d, name) : NULL;
    if (user != NULL)
        return user->node.name;
    return alias != NULL ? alias->node.name : SPAN("");
}

/* Both say whether it leads anywhere. */
static bool resolve_name(const struct directory *d, struct span address, unsigned depth,
                         struct resolved *r);

static bool resolve_alias(const struct directory *d, const struct alias *alias, unsigned depth,
                          struct resolved *r)
{
    for (size_t i = 0; i < r->n_opened; i++)
        if (r->opened[i].alias == alias) {
            r->has_loop = r->has_loop || r->opened[i].is_open;
            return r->opened[i].leads_somewhere;
        }
    if (r->n_opened == RESOLVE_ALIASES_MAX || depth == RESOLVE_DEPTH_MAX) {
        r->is_too_large = true;
        return true;
    }
    size_t self = r->n_opened++;
    r->opened[self].alias = alias;
    r->opened[self].leads_somewhere = r->opened[self].is_cut = false;
    r->opened[self].is_open = true;
    bool leads_somewhere = false;
    struct span outer = r->owner;
    bool is_list = directory_user(d, alias->node.name) == NULL;
    struct span own = is_list ? owner_of(d, alias->node.name) : SPAN("");
    if (own.n > 0)
        r->owner = own;
    for (size_t i = 0; i < alias->n_targets; i++) {
        bool was_loop = r->has_loop;
        bool leads = resolve_name(d, alias->targets[i], depth + 1, r);
        leads_somewhere = leads_somewhere || leads;
        r->has_dead_end = r->has_dead_end || (!leads && was_loop == r->has_loop);
    }
    r->owner = outer;
    r->opened[self].is_open = false;
    r->opened[self].leads_somewhere = leads_somewhere;
    return leads_somewhere;
}

/* His mailbox gets it as well when he is named once more and those his mail is sent on to have sent
 * it back to somebody on the way to him: among them it would only go round. */
static bool is_back(struct resolved *r, const struct alias *way)
{
    size_t i = 0;
    while (i < r->n_opened && r->opened[i].alias != way)
        i++;
    if (i == r->n_opened || !r->opened[i].is_open)
        return i < r->n_opened && r->opened[i].is_cut;
    for (size_t k = i + 1; k < r->n_opened; k++)
        r->opened[k].is_cut = r->opened[k].is_cut || r->opened[k].is_open;
    return true;
}

/* False: his mailbox gets it. */
static bool is_sent_on(const struct directory *d, const struct user *user, unsigned depth,
                       struct resolved *r)
{
    const struct alias *way = r->wants_owners ? NULL : directory_alias(d, user->node.name);
    return way != NULL && !is_back(r, way) && resolve_alias(d, way, depth, r);
}

static bool resolve_exact(const struct directory *d, struct span address, unsigned depth,
                          struct resolved *r, bool *leads_somewhere)
{
    const struct user *user = directory_user(d, address);
    const struct alias *alias = user == NULL ? directory_alias(d, address) : NULL;
    if (user != NULL && !is_sent_on(d, user, depth, r))
        add_target(r, &(struct target){.is_local = true,
                                       .box = user->box,
                                       .quota = user->quota,
                                       .address = user->node.name});
    *leads_somewhere = user != NULL || (alias != NULL && resolve_alias(d, alias, depth, r));
    return user != NULL || alias != NULL;
}

/* Writes "user@domain" for "user+tag@domain". False: no tag. */
static bool cut_tag(struct span address, struct span domain, char out[ADDRESS_MAX])
{
    struct span local = {address.p, address.n - domain.n - 1};
    struct span user = addr_without_tag(local);
    if (local.n == 0 || local.p[0] == '"' || user.n == local.n || address.n >= ADDRESS_MAX)
        return false;
    memcpy(out, user.p, user.n);
    out[user.n] = '@';
    memcpy(out + user.n + 1, domain.p, domain.n);
    out[user.n + 1 + domain.n] = '\0';
    return true;
}

static bool resolve_catch_all(const struct directory *d, struct span domain, unsigned depth,
                              struct resolved *r)
{
    struct span address = {domain.p - 1, domain.n + 1}; /* with its '@' */
    const struct alias *alias = directory_alias(d, address);
    return alias != NULL && resolve_alias(d, alias, depth, r);
}

/* A local address; the numbers are those of the order in resolve.h. */
static bool resolve_local(const struct directory *d, struct span address, unsigned depth,
                          struct resolved *r)
{
    char untagged[ADDRESS_MAX];
    bool leads_somewhere = false;
    struct span name = resolve_domain_of(address);
    const struct domain *domain = directory_domain(d, name);
    if (resolve_exact(d, address, depth, r, &leads_somewhere)) /* 1, 2 */
        return leads_somewhere;
    if (cut_tag(address, name, untagged)) {
        address = span_of(untagged);
        name = resolve_domain_of(address);
        if (resolve_exact(d, address, depth, r, &leads_somewhere)) /* 3 */
            return leads_somewhere;
    }
    struct span local = {address.p, address.n - name.n - 1};
    if (span_eq(local, SPAN("postmaster")) && domain->postmaster.n > 0 && /* 5 */
        !span_eq(domain->postmaster, address) && depth < RESOLVE_DEPTH_MAX &&
        resolve_name(d, domain->postmaster, depth + 1, r))
        return true;
    return resolve_catch_all(d, name, depth, r); /* 6 */
}

static bool resolve_name(const struct directory *d, struct span address, unsigned depth,
                         struct resolved *r)
{
    if (directory_domain(d, resolve_domain_of(address)) == NULL) {
        add_target(r, &(struct target){.address = address, .owner = r->owner});
        return true;
    }
    return resolve_local(d, address, depth, r);
}

/* "user" becomes "user@domain". 0, or -1: too long. */
static int complete(char text[ADDRESS_MAX], struct span domain)
{
    size_t n = strlen(text);
    if (n + 1 + domain.n >= ADDRESS_MAX || memchr(text, '@', n) != NULL)
        return -1;
    text[n] = '@';
    memcpy(text + n + 1, domain.p, domain.n);
    text[n + 1 + domain.n] = '\0';
    return 0;
}

static void begin(struct resolved *r)
{
    r->kind = ADDRESS_UNKNOWN;
    r->is_too_large = r->has_loop = r->has_dead_end = r->has_quota = r->is_borrowed = r->is_return =
        false;
    r->n_targets = r->n_opened = 0;
    r->owner = SPAN("");
}

static bool resolve_postmaster_of(const struct directory *d, const struct domain *domain,
                                  struct resolved *r)
{
    char text[ADDRESS_MAX];
    begin(r);
    snprintf(text, sizeof text, "postmaster@%s", domain->node.name.p);
    return resolve_local(d, span_of(text), 0, r);
}

/* RFC 5321 4.5.1: mail for the postmaster of any of our domains has to get somewhere. */
static bool borrow_postmaster(const struct directory *d, struct resolved *r)
{
    const struct domain *first = directory_default_domain(d);
    if (first == NULL || resolve_postmaster_of(d, first, r))
        return first != NULL;
    first = NULL;
    for (struct node *n = table_next(&d->domains, NULL); n != NULL;
         n = table_next(&d->domains, n)) {
        const struct domain *domain = (struct domain *)n;
        if ((first == NULL || domain->number < first->number) &&
            resolve_postmaster_of(d, domain, r))
            first = domain;
    }
    return first != NULL && resolve_postmaster_of(d, first, r);
}

/* Reports come from MAILER-DAEMON at hostname, and an answer to one has to reach a person (RFC 3464
 * 2), as mail for the postmaster has, in whatever domain this host is. */
static bool is_postmaster(const struct directory *d, struct span text, bool is_ours)
{
    bool is_role =
        span_istarts(text, SPAN("postmaster@")) || span_istarts(text, SPAN("mailer-daemon@"));
    return is_role && (is_ours || span_ieq(resolve_domain_of(text), span_of(d->hostname)));
}

/* Who stands in a sender that we made may have become ours. */
static bool resolve_returned(const struct directory *d, struct resolved *r)
{
    char text[ADDRESS_MAX];
    struct span who = span_of(r->returned);
    if (directory_domain(d, resolve_domain_of(who)) != NULL)
        return key_of(who, text) == 0 && resolve_local(d, span_of(text), 0, r);
    add_target(r, &(struct target){.address = who});
    return true;
}

/* Sets *is_found if it began like a sender of srs.h, and so is decided. `given` as it was written,
 * as the local part of another host may care about case; `text` is folded. */
static bool resolve_srs(const struct directory *d, struct span given, struct span text,
                        struct resolved *r, bool *is_found)
{
    bool leads_somewhere = false;
    enum srs_kind kind = SRS_OTHER;
    if (d->srs.has_key)
        kind = srs_reverse(d->srs.key, given, clock_wall_s(), d->srs.days_max, r->returned);
    *is_found = kind == SRS_GOOD || (kind != SRS_OTHER && d->srs.is_on);
    r->is_return = kind == SRS_GOOD;
    if (kind == SRS_GOOD)
        return resolve_returned(d, r);
    if (*is_found)
        resolve_exact(d, text, 0, r, &leads_somewhere);
    return leads_somewhere;
}

static bool resolve_ours(const struct directory *d, struct span given, struct span text,
                         struct resolved *r)
{
    bool is_found;
    bool leads_somewhere = resolve_srs(d, given, text, r, &is_found);
    return is_found ? leads_somewhere : resolve_local(d, text, 0, r);
}

static void resolve_any(const struct directory *d, struct span address, struct resolved *out)
{
    char text[ADDRESS_MAX];
    begin(out);
    if (key_of(address, text) < 0)
        return;
    struct span domain = resolve_domain_of(span_of(text));
    if (domain.n == 0 && text[0] != '\0') { /* <postmaster>, and what users of this machine write */
        const struct domain *ours = directory_default_domain(d);
        if (ours == NULL || complete(text, ours->node.name) < 0)
            return;
        domain = ours->node.name;
    }
    bool is_ours = directory_domain(d, domain) != NULL;
    if (is_ours && resolve_ours(d, address, span_of(text), out)) {
        out->kind = ADDRESS_LOCAL;
    } else if (is_postmaster(d, span_of(text), is_ours) && borrow_postmaster(d, out)) { /* 7 */
        out->kind = ADDRESS_LOCAL;
        out->is_borrowed = true;
    } else if (!is_ours) {
        out->kind = domain.n > 0 ? ADDRESS_FOREIGN : ADDRESS_UNKNOWN;
    }
}

void resolve(const struct directory *d, struct span address, struct resolved *out)
{
    out->wants_owners = false;
    resolve_any(d, address, out);
}

void resolve_owners(const struct directory *d, struct span address, struct resolved *out)
{
    out->wants_owners = true;
    resolve_any(d, address, out);
}

/* Of exactly this address. */
static const struct alias *list_of(const struct directory *d, struct span address, bool *is_taken)
{
    bool is_user = directory_user(d, address) != NULL;
    const struct alias *alias = is_user ? NULL : directory_alias(d, address);
    *is_taken = is_user || alias != NULL;
    return alias;
}

const struct alias *resolve_list(const struct directory *d, struct span address, bool *is_ours)
{
    char text[ADDRESS_MAX], untagged[ADDRESS_MAX];
    const struct domain *ours = directory_default_domain(d);
    bool is_good = key_of(address, text) == 0;
    if (is_good && resolve_domain_of(span_of(text)).n == 0) /* as resolve does */
        is_good = ours != NULL && complete(text, ours->node.name) == 0;
    *is_ours = is_good && directory_domain(d, resolve_domain_of(span_of(text))) != NULL;
    if (!*is_ours)
        return NULL;
    struct span name = span_of(text);
    bool is_taken;
    const struct alias *alias = list_of(d, name, &is_taken);
    if (is_taken || !cut_tag(name, resolve_domain_of(name), untagged))
        return alias;
    return list_of(d, span_of(untagged), &is_taken);
}

int resolve_seal(const struct resolved *r, struct span rcpt,
                 const unsigned char key[SEAL_KEY_OCTETS], struct sealer *s, struct span *sealed)
{
    *sealed = (struct span){s->out, 0};
    if (r->is_too_large)
        return -1;
    if (r->kind != ADDRESS_LOCAL)
        return 0;
    seal_begin(s, rcpt, clock_wall_s());
    for (size_t i = 0; i < r->n_targets; i++)
        seal_target(s, &r->targets[i]);
    *sealed = seal_end(s, key);
    return sealed->n > 0 ? 0 : -1;
}
