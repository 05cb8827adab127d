/* A queue in a directory of its own, with a stand-in for each process that talks to it, over real
 * channels. The clocks stand still until a test moves them. Each Criterion test is a process, so
 * one world per test. */
#ifndef BARID_TESTS_QUEUE_WORLD_H
#define BARID_TESTS_QUEUE_WORLD_H

#include "common/clock.h"
#include "common/id.h"
#include "common/seal.h"
#include "common/verdict.h"
#include "queue/bounce.h"
#include "queue/deliver.h"
#include "queue/devices.h"
#include "queue/dispatch.h"
#include "queue/intake.h"
#include "queue/queue.h"
#include "queue/schedule.h"
#include "queue/trash.h"

#define WORLD_START_S 1795000000

/* What makes a mail.db of today one of version 9, 8, 7 and 6. */
#define WORLD_UNDO_10                                                                              \
    "DROP TABLE callout; DROP INDEX recipient_contained;"                                          \
    "ALTER TABLE recipient DROP COLUMN contained;"                                                 \
    "DROP TABLE tlsrpt_tlsa; DROP TABLE tlsrpt;"                                                   \
    "CREATE TABLE tlsrpt (day INTEGER NOT NULL, domain TEXT NOT NULL, policy INTEGER NOT NULL,"    \
    " result INTEGER NOT NULL CHECK (result BETWEEN 1 AND 31), host TEXT NOT NULL,"                \
    " address TEXT NOT NULL, n INTEGER NOT NULL,"                                                  \
    " PRIMARY KEY (day, domain, policy, result, host, address)) STRICT, WITHOUT ROWID;"
#define WORLD_UNDO_9                                                                               \
    WORLD_UNDO_10                                                                                  \
    "DROP INDEX hold_who; ALTER TABLE hold DROP COLUMN who;"                                       \
    "ALTER TABLE hold DROP COLUMN until; ALTER TABLE hold DROP COLUMN octets;"                     \
    "DROP TABLE tlsrpt_post; DROP TABLE tlsrpt;"                                                   \
    "CREATE TABLE tlsrpt (day INTEGER NOT NULL, domain TEXT NOT NULL, policy INTEGER NOT NULL,"    \
    " result INTEGER NOT NULL CHECK (result BETWEEN 1 AND 6), host TEXT NOT NULL,"                 \
    " address TEXT NOT NULL, n INTEGER NOT NULL,"                                                  \
    " PRIMARY KEY (day, domain, policy, result, host, address)) STRICT, WITHOUT ROWID;"
#define WORLD_UNDO_8                                                                               \
    WORLD_UNDO_9                                                                                   \
    "DROP TABLE counted; DROP TABLE hold; DROP INDEX message_sender; DROP INDEX past_sender;"      \
    "DROP INDEX event_address; DROP TABLE addressee;"
#define WORLD_UNDO_7                                                                               \
    WORLD_UNDO_8                                                                                   \
    "DROP TABLE uidl; DROP TABLE keep; DROP TABLE tlsrpt;"                                         \
    "ALTER TABLE box DROP COLUMN first_id;"                                                        \
    "ALTER TABLE box DROP COLUMN taken_id; ALTER TABLE box DROP COLUMN domain;"                    \
    "DROP TABLE dialogue; ALTER TABLE event DROP COLUMN dialogue;"                                 \
    "ALTER TABLE recipient DROP COLUMN dialogue;"

struct world_job {
    struct ipc *ch;
    uint64_t tag, id, size;
    char sender[ADDRESS_MAX + 1], domain[DOMAIN_MAX + 1];
    char rcpts[RELAY_RCPTS_MAX][ADDRESS_MAX + 1];
    uint32_t numbers[RELAY_RCPTS_MAX];
    uint8_t notify[RELAY_RCPTS_MAX], ret, expects_tls, is_callout;
    char orcpt[RELAY_RCPTS_MAX][ORCPT_MAX + 1], envid[ENVID_MAX + 1];
    size_t n;
    char *content;
    size_t content_n;
    bool had_fd;
};

struct world {
    char dir[64];
    struct loop *loop;
    struct config *config;
    struct queue *q;
    int64_t now_s;
    struct ipc *smtpd, *relay, *authd, *mailbox, *cli;           /* our ends */
    struct ipc *q_smtpd, *q_relay, *q_authd, *q_mailbox, *q_cli; /* the queue's */
    struct ipc *policy, *q_policy;                               /* of world_join_policy */
    /* What came back. */
    struct msg_queue_open_re answers[64];
    size_t n_answers;
    char each[64]; /* of the last answer: verdicts and reasons, in turn */
    size_t each_n;
    struct world_job jobs[64];
    size_t n_jobs;
    struct msg_box_delete_re deletes[8];
    size_t n_deletes;
    struct msg_box_forget_re forgets[8];
    size_t n_forgets;
    unsigned devices_verdict;
    char asked[8][ADDRESS_MAX + 1]; /* RESOLVE */
    uint64_t asked_tags[8];
    size_t n_asked;
    /* what the next message asks, and what the next answer of relay says */
    uint8_t ret, told, secured, is_each;
    const char *dialogue; /* of that answer; NULL: none */
    const char *envid;
    int64_t hold_until;     /* then the next message has a ticket, too */
    const char *forward_as; /* what FORWARD is answered; NULL: the same sender */
    enum verdict forward_verdict;
    size_t n_forwards;
    uint64_t domains[16]; /* what BOX_DOMAIN is answered, by box; 0: there is no such user */
    bool is_authd_lost;   /* then "try later" */
    size_t n_domains_asked;
    char forward_rcpt[ADDRESS_MAX + 1];
    struct msg_ticket ticket; /* the last one that authd was asked about, without its spans */
    char rows[65536];         /* of ADMIN: "depth group name=value …\n" */
    size_t rows_n;
    struct msg_admin_re admin_re;
    char admin_error[401];
    bool has_admin_re;
};
extern unsigned char world_key[SEAL_KEY_OCTETS];

void world_begin(struct world *w, const char *config_text);
void world_end(struct world *w);
/* Closes the queue as a crash would (nothing is finished) and opens it anew. */
void world_restart(struct world *w);
/* The same after mail.db was made an older one (WORLD_UNDO_N and PRAGMA user_version): it has to be
 * one of today then. */
void world_restart_older(struct world *w, const char *sql);
/* A stand-in for policy joins (world_restart ends that too) and goes. */
void world_join_policy(struct world *w, const struct ipc_handler *handlers, size_t n);
void world_leave_policy(struct world *w);
/* Relay dies, with the jobs that it has; and a new one comes. */
void world_relay_dies(struct world *w);
void world_relay_comes(struct world *w);
void world_pump(struct world *w);
void world_pass(struct world *w, int64_t seconds); /* then pumps */

/* One recipient record: to `boxes` (ended by 0) or, with NULL, foreign. */
void world_rcpt(struct packer *p, const char *address, const uint64_t *boxes, uint64_t quota);
/* The same for an alias of boxes and addresses elsewhere (ended by NULL), with NOTIFY and ORCPT. Of
 * a list with an owner: "owner-list@example.org:x@far.example". */
void world_rcpt_asking(struct packer *p, const struct rcpt *asks, const uint64_t *boxes,
                       const char *const *elsewhere);
/* Sends a message in one part; its id. The answer is in w->answers after world_pump. */
uint64_t world_send(struct world *w, const char *from, struct span rcpts, const char *content);
uint64_t world_send_local(struct world *w, const char *from, uint64_t box, const char *content);
uint64_t world_send_remote(struct world *w, const char *from, const char *to, const char *content);
/* Answers a job: the same verdict and reply for all of its recipients. */
void world_relay(struct world *w, size_t job, enum verdict v, const char *reply);
/* Answers the last TICKET: alice@example.org, or a refusal. */
void world_ticket(struct world *w, enum verdict v, enum ticket_reason reason);
/* The same, and what it says about the destination. */
void world_reach(struct world *w, size_t job, enum verdict v, const char *reply, enum reach reach);
/* An alias of ours, that leads to addresses as in world_rcpt_asking. */
void world_resolve_list(struct world *w, size_t at, const char *const *elsewhere);
void world_resolve(struct world *w, size_t at, enum address_kind kind, uint64_t box);
/* Deletes sequences (ended by 0); the tag, for more parts. */
uint64_t world_delete(struct world *w, uint64_t box, const uint64_t *sequences, bool is_last);
/* The same for a device, 0: for all. */
uint64_t world_drop(struct world *w, uint64_t box, uint64_t device, const uint64_t *sequences,
                    bool is_last);
/* A further part: tag, box, device, is_last. */
void world_drop_more(struct world *w, const struct msg_box_delete *part, const uint64_t *sequences);
/* The devices of a mailbox, ended by 0. */
void world_devices(struct world *w, uint64_t box, const uint64_t *devices);
void world_delete_more(struct world *w, uint64_t tag, uint64_t box, const uint64_t *sequences,
                       bool is_last);
/* Sequences (ended by 0) that were retrieved. */
void world_collected(struct world *w, uint64_t box, uint64_t device, const uint64_t *sequences);
void world_forget(struct world *w, uint64_t box);
/* Runs an admin command with arguments ended by NULL; all pages. */
void world_admin(struct world *w, const char *command, const char *const *args);
/* One number from a query on the database beside the queue's. */
int64_t world_count(struct world *w, const char *sql);
/* One text, to be freed. */
char *world_text(struct world *w, const char *sql);

#endif
