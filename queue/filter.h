/* Which messages and recipients a queue command is about: ids, or any of from= to= domain= state=
 * login= older= larger= contained. What the options say is bounded text; comparisons are without
 * regard to case. */
#ifndef BARID_QUEUE_FILTER_H
#define BARID_QUEUE_FILTER_H

#include "common/admin.h"
#include "queue/queue.h"

/* How a recipient, or a message as a whole, is shown. In the order in which the state of a message
 * is decided: it is what the first of these is that any of its recipients is. */
enum shown_state {
    SHOWN_ACTIVE, /* being tried at this moment; in memory only */
    SHOWN_DUE,
    SHOWN_DEFERRED,
    SHOWN_HELD,
    SHOWN_BOUNCED, /* failed for good; its sender was or will be told */
    SHOWN_DONE,
    SHOWN_STATES
};
const char *shown_state_name(enum shown_state s);
enum shown_state shown_state_of(const struct queue *q, const struct recipient *r, int64_t now_s);

struct filter {
    uint64_t ids[ADMIN_ARGS_MAX]; /* in order; none: any message */
    size_t n_ids;
    struct span from, to, domain; /* NULL pointer: any */
    struct span login;            /* the same; or "uid:1000" of the submit socket */
    bool is_contained;            /* only what is held as its sender is contained */
    bool has_state;
    enum shown_state state;
    uint64_t larger;   /* more octets than that */
    bool is_dry_run;   /* only say what is meant */
    bool is_none_fine; /* that nothing matches is no failure */
    int64_t older_s;   /* arrived at least so long ago; 0: any */
    uint64_t limit;    /* messages */
    uint64_t rcpts;    /* so many of each message are listed */
    int64_t now_s;
    bool is_empty; /* it says nothing */
};

/* From the arguments of a call; spans point into them. 0, or -1 and e. */
int filter_read(struct filter *f, const struct admin_call *call, struct error *e);
/* No message after `id` and up to this one is meant: where a search after `id` can begin. */
uint64_t filter_skip(const struct filter *f, uint64_t id);
bool filter_has_message(const struct filter *f, const struct message *m);
bool filter_has_rcpt(const struct filter *f, const struct queue *q, const struct recipient *r);

/* Its domain in lower case, as domains are stored. */
struct span filter_domain(const struct filter *f, char room[DOMAIN_MAX]);

#endif
