#include "authd/directory.h"

#include <stdlib.h>
#include <string.h>

struct directory *directory_new(void)
{
    struct directory *d = calloc(1, sizeof *d);
    if (d != NULL && table_init(&d->domains) == 0 && table_init(&d->users) == 0 &&
        table_init(&d->aliases) == 0)
        return d;
    directory_free(d);
    return NULL;
}

static char *text_of(struct span s)
{
    return (char *)(uintptr_t)s.p; /* all spans kept here are copies of ours */
}

static void free_domain(struct domain *domain)
{
    free(text_of(domain->node.name));
    free(text_of(domain->postmaster));
    free(domain);
}

static void free_user(struct user *user)
{
    free(text_of(user->node.name));
    free(user);
}

static void free_alias(struct alias *alias)
{
    for (size_t i = 0; i < alias->n_targets; i++)
        free(text_of(alias->targets[i]));
    free(alias->targets);
    free(text_of(alias->node.name));
    free(alias);
}

void directory_free(struct directory *d)
{
    if (d == NULL)
        return;
    struct node *n;
    while (d->domains.n > 0 && (n = table_next(&d->domains, NULL)) != NULL)
        directory_remove_domain(d, (struct domain *)n);
    while (d->users.n > 0 && (n = table_next(&d->users, NULL)) != NULL)
        directory_remove_user(d, (struct user *)n);
    while (d->aliases.n > 0 && (n = table_next(&d->aliases, NULL)) != NULL)
        directory_remove_alias(d, (struct alias *)n);
    table_free(&d->domains);
    table_free(&d->users);
    table_free(&d->aliases);
    free(d);
}

void directory_set_hostname(struct directory *d, struct span hostname)
{
    if (span_copy(d->hostname, sizeof d->hostname, hostname) < 0)
        d->hostname[0] = '\0';
    for (char *p = d->hostname; *p != '\0'; p++)
        *p = ascii_lower(*p);
}

/* --- finding --- */

/* The node is the first member of each of them. */
struct domain *directory_domain(const struct directory *d, struct span name)
{
    return (struct domain *)table_find(&d->domains, name);
}

struct user *directory_user(const struct directory *d, struct span address)
{
    return (struct user *)table_find(&d->users, address);
}

struct alias *directory_alias(const struct directory *d, struct span address)
{
    return (struct alias *)table_find(&d->aliases, address);
}

struct domain *directory_default_domain(const struct directory *d)
{
    struct span name = span_of(d->hostname);
    while (name.n > 0) {
        struct domain *found = directory_domain(d, name);
        if (found != NULL)
            return found;
        span_cut(&name, '.');
    }
    struct domain *first = NULL;
    for (struct node *n = table_next(&d->domains, NULL); n != NULL;
         n = table_next(&d->domains, n)) {
        struct domain *domain = (struct domain *)n;
        if (first == NULL || domain->number < first->number)
            first = domain;
    }
    return first;
}

bool directory_alias_has(const struct alias *alias, struct span target)
{
    for (size_t i = 0; i < alias->n_targets; i++)
        if (span_eq(alias->targets[i], target))
            return true;
    return false;
}

/* --- changing --- */

/* A zeroed struct of `size` octets, whose first member is a node, put into t. */
static void *add(struct table *t, struct span name, size_t size)
{
    char *copy = span_dup(name);
    struct node *n = calloc(1, size);
    if (copy == NULL || n == NULL) {
        free(copy);
        free(n);
        return NULL;
    }
    table_add(t, n, (struct span){copy, name.n});
    return n;
}

struct domain *directory_add_domain(struct directory *d, struct span name, uint64_t number)
{
    struct domain *domain = add(&d->domains, name, sizeof *domain);
    if (domain != NULL)
        domain->number = number;
    return domain;
}

int directory_set_postmaster(struct domain *domain, struct span postmaster)
{
    char *copy = span_dup(postmaster);
    if (copy == NULL)
        return -1;
    free(text_of(domain->postmaster));
    domain->postmaster = (struct span){copy, postmaster.n};
    return 0;
}

struct user *directory_add_user(struct directory *d, struct span address, uint64_t box)
{
    struct user *user = add(&d->users, address, sizeof *user);
    if (user == NULL)
        return NULL;
    user->box = box;
    directory_renew(d, user);
    return user;
}

void directory_renew(struct directory *d, struct user *user)
{
    user->generation = ++d->generations;
}

int directory_add_target(struct directory *d, struct span address, struct span target)
{
    struct alias *alias = directory_alias(d, address);
    if (alias == NULL && (alias = add(&d->aliases, address, sizeof *alias)) == NULL)
        return -1;
    if (directory_alias_has(alias, target))
        return 0;
    char *copy = span_dup(target);
    if (copy != NULL && array_reserve((void **)&alias->targets, &alias->cap_targets,
                                      alias->n_targets + 1, sizeof *alias->targets) == 0) {
        alias->targets[alias->n_targets++] = (struct span){copy, target.n};
        return 0;
    }
    free(copy);
    if (alias->n_targets == 0)
        directory_remove_alias(d, alias);
    return -1;
}

void directory_remove_domain(struct directory *d, struct domain *domain)
{
    table_remove(&d->domains, &domain->node);
    free_domain(domain);
}

void directory_remove_user(struct directory *d, struct user *user)
{
    table_remove(&d->users, &user->node);
    free_user(user);
}

void directory_remove_target(struct directory *d, struct alias *alias, struct span target)
{
    for (size_t i = 0; i < alias->n_targets; i++)
        if (span_eq(alias->targets[i], target)) {
            free(text_of(alias->targets[i]));
            alias->n_targets--;
            memmove(&alias->targets[i], &alias->targets[i + 1],
                    (alias->n_targets - i) * sizeof *alias->targets);
            break;
        }
    if (alias->n_targets == 0)
        directory_remove_alias(d, alias);
}

void directory_remove_alias(struct directory *d, struct alias *alias)
{
    table_remove(&d->aliases, &alias->node);
    free_alias(alias);
}
