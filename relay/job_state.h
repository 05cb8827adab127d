/* The inside of job.h, for the files that are one job: job.c (taking it, answering, what the client
 * says), seek.c (finding somebody to talk to). */
#ifndef BARID_RELAY_JOB_STATE_H
#define BARID_RELAY_JOB_STATE_H

#include "common/pack.h"
#include "relay/dialogue.h"
#include "relay/job.h"
#include "relay/plan.h"

#define STS_MS 90000 /* a policy is fetched within a minute, after its record was found */
#define DNS_MS 35000 /* a little more than the resolver's own deadline */

#define RESULT_OCTETS (4 + 1 + 4 + REPLY_MAX) /* a record of RELAY_JOB_RE */

struct job {
    struct job *next, *prev;
    struct relay *relay;
    struct ipc *from;
    uint64_t tag, id;
    int fd;
    struct pool_turn turn;
    struct timer deadline;
    struct plan plan;
    uint32_t generation; /* of the configuration the plan was made by */
    uint64_t dns_tag;    /* question to the resolver, or 0 */
    uint64_t sts_tag;    /* the same to policy */
    char *sts_mx;        /* of its answer; the plan reads it */
    char *tlsa;          /* records of DNS_TLSA_RE, what was told last; or NULL */
    size_t tlsa_n;
    struct client *client;
    unsigned char destination[SESSION_KEY]; /* of the pool, hashed */
    unsigned char session_key[SESSION_KEY]; /* of the client */
    bool is_kept;                           /* the client was used before us */
    bool is_sent;                           /* the mail was given to the client */
    bool is_blind;    /* the resolver did not answer: that says nothing about the destination */
    bool is_hopeless; /* TLS failed with this server a short while ago */
    bool is_barred;   /* it insists on TLS: the connection is of no use */
    bool is_told;     /* who gave the last result offers DSN */
    bool expects_tls; /* it was seen there before */
    enum secured secured;
    enum reach reach;
    struct client_mail mail;
    struct client_rcpt rcpts[RELAY_RCPTS_MAX];
    uint32_t numbers[RELAY_RCPTS_MAX];
    bool has_result[RELAY_RCPTS_MAX];
    char remote[CLIENT_REMOTE];          /* who gave the last result; "" */
    char protection[PROTECTION_MAX + 1]; /* of the connection to it; "" */
    char domain[DOMAIN_MAX + 1];
    struct dialogue dialogue;
    struct packer results;
    char arena[]; /* what the spans point to, then room for the results */
};

/* --- job.c --- */

/* Answers for all recipients that have no result yet; j is gone. */
void job_finish_all(struct job *j, enum verdict v, struct span text);
extern const struct client_ops job_client_ops;

/* --- seek.c --- */

/* Plans anew, and goes on. */
void seek_begin(struct job *j);
/* Goes on with the plan until there is something to wait for; j may be gone after it. */
void seek_next(struct job *j);
/* Connects to where the plan is. False: it cannot; the plan knows. */
bool seek_connect(struct job *j);

#endif
