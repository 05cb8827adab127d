/* The state of the process, and what its files have in common. authd answers four questions: who
 * is this address (resolve.c), is this the password (login.c), may this login send as that sender
 * (sender.c), and what the administrator asks (command*.c). It asks one: that queue forgets the box
 * of a removed user (forget.c), and tells it of devices (devices.c). */
#ifndef BARID_AUTHD_AUTHD_H
#define BARID_AUTHD_AUTHD_H

#include "authd/accounts.h"
#include "authd/cache.h"
#include "authd/directory.h"
#include "authd/throttle.h"
#include "authd/ticket.h"
#include "authd/users.h"
#include "authd/verify.h"
#include "common/admin.h"
#include "common/proc.h"
#include "common/seal.h"

struct login;
struct hashing;
struct sql_copy;

struct authd {
    struct proc *proc;
    int lock_fd; /* users.lock, held as long as we live */
    struct users *users;
    struct directory *directory;
    struct verifiers *verifiers;
    struct throttle *throttle;
    struct accounts *accounts;
    struct cache *cache;
    struct tickets *tickets;
    unsigned char seal_key[SEAL_KEY_OCTETS]; /* made at the start, sent to queue */
    struct login *logins;                    /* under way */
    unsigned n_logins;
    struct app_use uses[64]; /* of app passwords, not yet saved */
    size_t n_uses;
    unsigned char users_secret[USERS_SECRET_OCTETS];
    struct hashing *hashings; /* `user add` and `user passwd` under way */
    struct timer copy_on;
    struct sql_copy *copy; /* of users.db, for a backup; NULL: none is under way */
    struct ipc *copy_for;
    uint64_t copy_tag;
    struct timer save_logins, tidy;
    struct timer forget_again;
    uint64_t forgetting;   /* the box queue was asked to forget, 0: none */
    uint64_t forgot_up_to; /* boxes up to this one were asked about in this round */
    struct timer tell_again;
    struct device_news telling; /* what queue is being told; box 0: nothing */
    uint64_t told_up_to;        /* as forgot_up_to */
    bool is_draining;           /* ends when the last of the hashings is done */
    bool is_ending;
};

extern const struct proc_spec authd_spec;

/* login.c */
void login_handle(void *owner, struct ipc *from, const union msg *m, int fd);
void login_channel_gone(struct authd *a, struct ipc *ch);
void login_session_gone(struct authd *a, const struct ipc *ch, uint64_t session);
void login_save(struct authd *a); /* last_login of those who logged in since the last time */

/* exchange.c */
void exchange_handle_first(void *owner, struct ipc *from, const union msg *m, int fd);
void exchange_handle_final(void *owner, struct ipc *from, const union msg *m, int fd);

/* backup.c: a copy of users.db for `barid backup`, made in steps */
void backup_handle(void *owner, struct ipc *from, const union msg *m, int fd);
void backup_go_on(void *authd); /* the timer's */
void backup_end(struct authd *a);
void backup_clear(void); /* at the start: the copy that a crash left */

/* sender.c */
/* May this user use that sender address? */
bool sender_is_his(const struct authd *a, const struct user *user, struct span sender);
void sender_handle_ticket(void *owner, struct ipc *from, const union msg *m, int fd);
void sender_handle_logout(void *owner, struct ipc *from, const union msg *m, int fd);

/* expand.c */
void expand_handle(void *owner, struct ipc *from, const union msg *m, int fd);

/* forward.c */
void forward_handle(void *owner, struct ipc *from, const union msg *m, int fd);
void forward_configure(struct authd *a); /* after the secret was read, and after a reload */

/* forget.c */
void forget_next(struct authd *a); /* does nothing while queue is away or was asked already */
void forget_again(void *authd);    /* the timer's */

/* box_domain.c */
void box_domain_handle(void *owner, struct ipc *from, const union msg *m, int fd);

/* devices.c */
void devices_tell_next(struct authd *a); /* does nothing while queue is away or is being told */
void devices_tell(void *authd);          /* the timer's, and after a change */

/* commands.c */
void commands_handle(void *owner, struct ipc *from, const union msg *m, int fd);
/* command_user.c: a CLI hung up */
void hashing_channel_gone(struct authd *a, struct ipc *ch);

/* authd.c */
/* Ends if that was asked for and nothing is under way. */
void authd_drain_on(struct authd *a);
/* Memory and disk may differ: end, and let the parent start us anew. */
void authd_end(struct authd *a, const char *why);
/* A change failed; ends if only that helps (after an I/O error it may be on disk or not). Says what
 * to tell people. */
const char *authd_store_failed(struct authd *a);
/* Overwrites a secret in a received message, which is ours until its handler returns. */
void authd_wipe(struct span secret);

#endif
