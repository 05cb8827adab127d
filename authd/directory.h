/* Who is here: what users.db says about domains, users and aliases, in memory, so that "who is this
 * address" needs no SQL. Filled at the start; afterwards every change is committed to users.db
 * first and made here second.
 *
 * Names are in one form everywhere: domains in lower case; addresses as addr.h's canonical text in
 * lower case ("bob@example.org", "\"a b\"@example.org"); the catch-all of a domain is the alias
 * "@example.org". An alias of a user's own address says where his mail is sent on (`barid user
 * forward`); with itself among its targets, a copy stays. All texts kept here end with a NUL behind
 * their span. */
#ifndef BARID_AUTHD_DIRECTORY_H
#define BARID_AUTHD_DIRECTORY_H

#include "authd/srs.h"
#include "authd/table.h"
#include "common/proto.h"

struct domain {
    struct node node; /* its name */
    uint64_t number;
    struct span postmaster; /* where mail for the postmaster goes; empty: not said */
};

struct user {
    struct node node; /* the address */
    uint64_t box;
    uint64_t quota; /* octets, 0: none */
    bool is_disabled;
    bool is_receive_only; /* may fetch mail, not send it */
    bool is_pam;          /* PAM checks the password, under a login that users.db knows */
    uint64_t generation;  /* another one after each change of the password */
    int64_t last_login;   /* wall seconds, 0: never */
    bool is_login_unsaved;
};

struct alias {
    struct node node; /* the address */
    enum post_rule post;
    struct span *targets;
    size_t n_targets, cap_targets;
};

/* What becomes of mail for senders that srs.h made. */
struct srs_rules {
    bool has_key;
    bool is_on; /* what looks like one and is none is nobody, not the catch-all's */
    unsigned char key[SRS_KEY_OCTETS];
    int64_t days_max;
};

struct directory {
    struct table domains, users, aliases;
    struct srs_rules srs;
    char hostname[DOMAIN_MAX + 1]; /* lower case */
    uint64_t generations;          /* given out so far */
};

struct directory *directory_new(void); /* NULL without memory */
void directory_free(struct directory *d);
void directory_set_hostname(struct directory *d, struct span hostname);

struct domain *directory_domain(const struct directory *d, struct span name);
struct user *directory_user(const struct directory *d, struct span address);
struct alias *directory_alias(const struct directory *d, struct span address);
/* The domain of names without one: hostname, else the first part of it cut off and so on, else the
 * domain that was added first. NULL if there is none. */
struct domain *directory_default_domain(const struct directory *d);

/* These copy their spans. NULL or -1 without memory, and then nothing has changed. */
struct domain *directory_add_domain(struct directory *d, struct span name, uint64_t number);
int directory_set_postmaster(struct domain *domain, struct span postmaster);
struct user *directory_add_user(struct directory *d, struct span address, uint64_t box);
int directory_add_target(struct directory *d, struct span address, struct span target);

void directory_remove_domain(struct directory *d, struct domain *domain);
void directory_remove_user(struct directory *d, struct user *user);
/* The last target takes the alias with it. */
void directory_remove_target(struct directory *d, struct alias *alias, struct span target);
void directory_remove_alias(struct directory *d, struct alias *alias);
void directory_renew(struct directory *d, struct user *user); /* the password was changed */
bool directory_alias_has(const struct alias *alias, struct span target);

#endif
