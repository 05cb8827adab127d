/* users.db: every SQL statement about people, behind functions named for what they do. What is read
 * back is checked like input; a row that does not pass is left out and logged.
 *
 * Functions that change something return 0 when the change is on disk, or -1 and nothing was
 * changed (users_fault says why). Texts are in the form of directory.h. */
#ifndef BARID_AUTHD_USERS_H
#define BARID_AUTHD_USERS_H

#include "authd/directory.h"
#include "common/sql.h"

#include <sodium.h>

#define USERS_HASH_MAX crypto_pwhash_STRBYTES /* with its NUL */

struct users;

struct users *users_open(const char *path, struct error *e); /* NULL and e */
void users_close(struct users *u);                           /* NULL is allowed */
enum sql_fault users_fault(struct users *u);                 /* of the last -1 */

/* Fills an empty directory. 0; -1 and e. */
int users_load(struct users *u, struct directory *d, struct error *e);

int users_add_domain(struct users *u, struct span name, struct span postmaster, uint64_t *number);
int users_set_postmaster(struct users *u, uint64_t domain, struct span postmaster);
int users_remove_domain(struct users *u, uint64_t domain);
/* How many live in it. 0, or -1. */
int users_count(struct users *u, uint64_t domain, uint64_t *n_users, uint64_t *n_aliases);

struct users_new {
    struct span address;
    uint64_t domain;
    struct span hash;
    uint64_t quota;
};
int users_add(struct users *u, const struct users_new *new, uint64_t *box);
int users_set_hash(struct users *u, uint64_t box, struct span hash);
int users_set_disabled(struct users *u, uint64_t box, bool is_disabled);
int users_set_quota(struct users *u, uint64_t box, uint64_t quota);
/* The user is gone and the box is on the list of those to be forgotten, in one transaction. */
int users_remove(struct users *u, uint64_t box);
/* 1; 0: no such box; -1. */
int users_hash(struct users *u, uint64_t box, char out[USERS_HASH_MAX]);
/* Saves last_login of all users of d with is_login_unsaved, in one transaction. */
int users_save_logins(struct users *u, struct directory *d);

int users_add_targets(struct users *u, struct span address, uint64_t domain,
                      const struct span *targets, size_t n);
/* n 0: the whole alias. */
int users_remove_targets(struct users *u, struct span address, const struct span *targets,
                         size_t n);

/* The first forgotten box over `after`: 1 and *box; 0: none; -1. */
int users_next_forgotten(struct users *u, uint64_t after, uint64_t *box);
int users_forgotten_done(struct users *u, uint64_t box);

/* Pages for lists, in the order in which they were added: at most `max` after number `after`. */
struct users_row {
    uint64_t number; /* of the domain, the user (box) or the alias */
    struct span name;
    struct span postmaster; /* domains */
    uint64_t quota;         /* users */
    bool is_disabled;       /* users */
    int64_t created;        /* users; wall seconds */
};
typedef void users_row_fn(void *arg, const struct users_row *row);
/* The number of rows, or -1. */
int users_list(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg);
int users_list_domains(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg);
int users_list_aliases(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg);
/* One user: 1, 0 (no such box), -1. */
int users_show(struct users *u, uint64_t box, users_row_fn *fn, void *arg);

#endif
