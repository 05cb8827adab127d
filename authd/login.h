/* A login under way: what login.c (passwords) and exchange.c (SCRAM) share. */
#ifndef BARID_AUTHD_LOGIN_H
#define BARID_AUTHD_LOGIN_H

#include "authd/authd.h"

struct login {
    struct login *next, **prev;
    struct authd *authd;
    struct ipc *ch; /* NULL: nobody waits any more */
    int64_t began_us;
    uint64_t tag, session;
    enum login_service service;
    struct netaddr client;
    char client_text[IP_MAX + 1];
    char address[ADDRESS_MAX]; /* of the user; "" if there is none */
    uint64_t account;          /* accounts_key, once the name is known */
    bool has_account;
    uint64_t generation;
    struct cache_key key;
    struct credential credential;
    struct scram *scram; /* an exchange of which the first message came, or NULL */
    bool is_first;       /* that message is not answered yet */
    bool is_judged;      /* the second message came */
    char proof[SCRAM_PROOF_TEXT];
    char *password; /* of a user whom PAM checks: kept until it was asked; or NULL */
    size_t n_password;
    uint64_t pam_tag;   /* PAM is being asked, 0: it is not */
    bool is_pam;        /* it was asked */
    struct timer timer; /* failure_delay, or the client's time for its second message */
};

struct outcome {
    enum verdict verdict;
    enum login_reason reason;
};
extern const struct outcome login_throttled, login_busy;
void login_refuse_after_delay(void *login); /* the timer's, after login_fail */

/* Who wants to log in, from either kind of message. */
struct claim {
    uint64_t tag, session;
    uint8_t service;
    struct span client;
};
/* NULL: too many, no memory, or not a service of that process; could not. */
struct login *login_new(struct authd *a, struct ipc *from, const struct claim *claim);
void login_free(struct login *l);
/* The user of that name (one without a domain is of the default domain), or NULL; `address` is the
 * name as the directory would keep it, "" if it cannot be one. */
struct user *login_find_user(const struct directory *d, struct span given,
                             char address[ADDRESS_MAX]);
/* Of salts made now ([auth] scram_iterations). */
uint32_t login_iterations(const struct authd *a);
/* The name is known: `address` as login_find_user made it, or what was given. */
void login_set_account(struct login *l, struct span given, const char *address);
bool login_is_over(const struct login *l); /* too many failures from there, or of that account */
/* The login's user, if nothing about him has changed since, or NULL. */
struct user *login_user(const struct login *l);

/* A wrong password: counted and logged, neither answered nor freed. */
void login_count_failure(struct login *l, const char *why);
/* Each of these answers, and frees it now or later. */
void login_refuse(struct login *l, struct outcome o, const char *why);
void login_fail(struct login *l,
                const char *why); /* wrong: counted, and answered after the delay */
void login_succeed(struct login *l, struct user *user);

/* login_pam.c */
/* 0, or -1 without memory. */
int login_keep_password(struct login *l, struct span password);
void login_drop_password(struct login *l);
/* The kept password is none of his app passwords: answers when PAM did. */
void login_ask_pam(struct login *l, const struct user *user);
/* In how many milliseconds from now a failure is answered. */
int64_t login_failure_ms(const struct login *l);

#endif
