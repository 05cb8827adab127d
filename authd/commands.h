/* What the commands of the administrator have in common. Each is a row in commands.c and a function
 * in the file of its noun. Helpers that can fail have answered the call when they return NULL or
 * -1. */
#ifndef BARID_AUTHD_COMMANDS_H
#define BARID_AUTHD_COMMANDS_H

#include "authd/authd.h"

typedef void command_fn(void *authd, struct admin_call *call);
command_fn domain_add, domain_remove, domain_show, domain_list;
command_fn user_add, user_list, user_show, user_passwd, user_disable, user_enable, user_quota,
    user_receive_only, user_forward, user_pam, user_remove, app_add, app_list, app_remove;
command_fn alias_add, alias_post, alias_remove, alias_list;
command_fn check, explain_address, fsck_users, fsck_forgotten, fsck_indexes;

struct user_wish {
    const char *address;
    uint64_t quota;
    bool is_receive_only;
    struct span pam; /* the login that PAM checks; empty: he has a password of his own */
};
/* Adds the user and answers. */
void command_add_user(struct authd *a, struct admin_call *call, const struct user_wish *wish,
                      const struct users_secrets *secrets);
struct scram_salt command_new_salt(const struct authd *a);
/* With the option --pam. */
void user_add_pam(struct authd *a, struct admin_call *call, const struct user_wish *wish);

#define ARGUMENT_TEXT 200 /* an argument in an error message, cut off there */

void argument_text(char out[ARGUMENT_TEXT], struct span argument);
/* The argument as an address in the form of the directory. 0, or -1. */
int argument_address(struct admin_call *call, struct span argument, bool is_catch_all,
                     char out[ADDRESS_MAX]);
/* "1G", "500M", "none". 0, or -1. */
int argument_quota(struct admin_call *call, struct span argument, uint64_t *quota);
/* Text for people, kept in a store: printable, at most ARGUMENT_LINE octets; may be empty. 0, or
 * -1. `what` begins the sentence that says so. */
#define ARGUMENT_LINE 200
int argument_line(struct admin_call *call, const char *what, struct span text);
/* args[0] must name a user. */
struct user *argument_user(struct authd *a, struct admin_call *call);
/* The domain of an address, which must be ours. */
struct domain *address_domain(struct authd *a, struct admin_call *call, const char *address);
/* Refuses if the address is taken. */
int address_free(struct authd *a, struct admin_call *call, const char *address);

#define TARGETS_MAX ADMIN_ARGS_MAX

struct targets {
    char texts[TARGETS_MAX][ADDRESS_MAX];
    struct span spans[TARGETS_MAX];
    bool is_new[TARGETS_MAX];
    size_t n;
};

/* The arguments after the address, as addresses. 0, or -1. */
int argument_targets(struct admin_call *call, struct targets *t);
/* NULL: mail for *address, and for every alias seen to lead to it, still has a way. Else what is
 * wrong, and *address is the alias that has it. */
const char *targets_fault(struct authd *a, struct span *address);

void store_failed(struct authd *a, struct admin_call *call);
/* The change is on disk, but memory for it was missing: done, and authd starts anew. */
void memory_failed(struct authd *a, struct admin_call *call);

#endif
