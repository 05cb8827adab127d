/* users.db: every SQL statement about people, behind functions named for what they do. What is read
 * back is checked like input; a row that does not pass is left out and logged.
 *
 * Functions that change something return 0 when the change is on disk, or -1 and nothing was
 * changed (users_fault says why). Texts are in the form of directory.h. */
#ifndef BARID_AUTHD_USERS_H
#define BARID_AUTHD_USERS_H

#include "authd/directory.h"
#include "authd/scram.h"
#include "common/pam.h"
#include "common/sql.h"

#include <sodium.h>

struct sql_copy;

#define USERS_HASH_MAX       crypto_pwhash_STRBYTES /* with its NUL */
#define USERS_SECRET_OCTETS  32
#define SCRAM_ITERATIONS_MAX 10000000 /* more in a row is damage */

/* What is stored of a password. */
struct users_secrets {
    char hash[USERS_HASH_MAX]; /* argon2id; "": no password fits */
    struct scram_salt salt;    /* of all credentials of the user */
    struct scram_keys keys;
    bool has_keys;               /* not if the password was set before there were any */
    bool is_pam;                 /* then there is no hash; passwords of programs may be there */
    char pam[PAM_LOGIN_MAX + 1]; /* "": the row is damaged */
};

/* The password of a program, or of a device with its own view of the mailbox. */
struct app_password {
    uint64_t credential; /* given by users_add_app, never twice */
    struct span name;
    bool is_device;
    struct scram_keys keys; /* with the user's salt */
    int64_t created, last_used;
};

struct app_use {
    uint64_t credential;
    int64_t at; /* wall seconds */
};

struct users;

struct users *users_open(const char *path, struct error *e); /* NULL and e */
void users_close(struct users *u);                           /* NULL is allowed */
enum sql_fault users_fault(struct users *u);
/* See sql_copy.h. */
struct sql_copy *users_copy(struct users *u, const char *path,
                            struct error *e); /* of the last -1 */

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
    const struct users_secrets *secrets;
    uint64_t quota;
    bool is_receive_only;
    struct span pam; /* the login that PAM checks; empty: none */
};
int users_add(struct users *u, const struct users_new *new, uint64_t *box);
int users_set_secrets(struct users *u, uint64_t box, const struct users_secrets *new);
/* From now on PAM checks him; the password that was set here is gone. users_set_secrets ends that.
 */
int users_set_pam(struct users *u, uint64_t box, struct span login);
int users_set_salt(struct users *u, uint64_t box, const struct scram_salt *salt);
int users_set_disabled(struct users *u, uint64_t box, bool is_disabled, struct span reason);
int users_set_receive_only(struct users *u, uint64_t box, bool is_receive_only);
int users_set_quota(struct users *u, uint64_t box, uint64_t quota);
/* The user is gone and the box is on the list of those to be forgotten, in one transaction. */
int users_remove(struct users *u, uint64_t box);
/* Of all passwords of users only their hashes stay; passwords of programs keep their keys. */
int users_forget_keys(struct users *u);
/* 1; 0: no such box; -1. */
int users_secrets(struct users *u, uint64_t box, struct users_secrets *out);
/* Random octets that stay the same as long as the store: 0, or -1. */
int users_secret(struct users *u, unsigned char out[USERS_SECRET_OCTETS]);
/* Saves last_login of all users of d with is_login_unsaved, and when app passwords were used, in
 * one transaction. */
int users_save_logins(struct users *u, struct directory *d, const struct app_use *uses,
                      size_t n_uses);

/* Passwords of programs. The name must be new for this user. */
int users_add_app(struct users *u, uint64_t box, const struct app_password *new);
/* 1; 0: there is none of that name; -1. */
int users_remove_app(struct users *u, uint64_t box, struct span name);
/* All of a user; their number, or -1. */
typedef void users_app_fn(void *arg, const struct app_password *app);
int users_apps(struct users *u, uint64_t box, users_app_fn *fn, void *arg);

/* A box whose devices are not as queue was told. Adding and removing one notes that in the same
 * transaction. */
struct device_news {
    uint64_t box, version;
};
/* The first over `after`: 1; 0: none; -1. */
int users_next_news(struct users *u, uint64_t after, struct device_news *out);
/* Unless there are newer ones. */
int users_news_told(struct users *u, const struct device_news *n);

int users_add_targets(struct users *u, struct span address, uint64_t domain,
                      const struct span *targets, size_t n);
/* In the place of all that it has; n 0: none. */
int users_set_targets(struct users *u, struct span address, uint64_t domain,
                      const struct span *targets, size_t n);
int users_set_post(struct users *u, struct span address, enum post_rule rule);
/* n 0: the whole alias. */
int users_remove_targets(struct users *u, struct span address, const struct span *targets,
                         size_t n);

/* --- for fsck (users_check.c) --- */

/* Calls fn for each thing that is wrong with the database as such. 0, or -1: it cannot be read. */
int users_check(struct users *u, span_fn *fn, void *arg);
int users_reindex(struct users *u); /* makes all indexes anew */
/* Now and then: a part of what is free goes back to the disk; statistics. 0, or -1. */
int users_tidy(struct users *u);

/* The first forgotten box over `after`: 1, *box, and whose it was (may be empty); 0: none; -1. */
int users_next_forgotten(struct users *u, uint64_t after, uint64_t *box,
                         char address[ADDRESS_MAX + 1]);
int users_forgotten_done(struct users *u, uint64_t box);

/* Pages for lists, in the order in which they were added: at most `max` after number `after`. */
struct users_row {
    uint64_t number; /* of the domain, the user (box) or the alias */
    struct span name;
    struct span postmaster; /* domains */
    uint64_t quota;         /* users */
    bool is_disabled;       /* users */
    int64_t created;        /* users; wall seconds */
    struct span reason;     /* users: why disabled */
    bool is_receive_only;   /* users */
    uint64_t n_apps;        /* users */
    struct span pam;        /* users */
};
typedef void users_row_fn(void *arg, const struct users_row *row);
/* The number of rows, or -1. */
int users_list(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg);
int users_list_domains(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg);
int users_list_aliases(struct users *u, uint64_t after, unsigned max, users_row_fn *fn, void *arg);
/* The number of its domain: 1, 0 (no such box), -1. */
int users_domain_of(struct users *u, uint64_t box, uint64_t *domain);
/* One user: 1, 0 (no such box), -1. */
int users_show(struct users *u, uint64_t box, users_row_fn *fn, void *arg);

#endif
