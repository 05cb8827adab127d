/* The state of the queue process, and what happens once per turn of its event loop. All of it is a
 * cache but the store: what must outlive the process is in mail.db and nowhere else. */
#ifndef BARID_QUEUE_QUEUE_H
#define BARID_QUEUE_QUEUE_H

#include "common/config.h"
#include "common/ipc.h"
#include "common/seal.h"
#include "queue/batch.h"

struct queue {
    struct loop *loop;
    const struct config *config; /* replaced on reload; never kept over a turn */
    struct store *store;
    struct spool spool;
    struct batch batch;
    struct ipc *authd, *relay, *policy; /* NULL while they are down */
    unsigned char key[SEAL_KEY_OCTETS]; /* of authd's sealed addresses */
    bool has_key;
    bool is_draining;
    struct timer wake; /* there is more to do in the next turn */
    /* Each belongs to the file of its name. */
    struct intakes *intakes;
    struct backup *backup; /* NULL: none is under way */
    struct locals *locals;
    struct boxes *boxes;
    struct devices *devices;
    struct trash *trash;
    struct retention *retention;
    struct tidy *tidy;
    struct schedule *schedule;
    struct dispatch *dispatch;
    struct contains *contains;
    struct counts *counts;
    struct notices *notices;
    struct releases *releases;
    struct callouts *callouts;
    struct tlsrpts *tlsrpts;
    struct bounces *bounces;
};

/* In the working directory (state_dir/queue): opens the store, recovers, plans the first work. NULL
 * and e. `config` must outlive it or be replaced. */
struct queue *queue_open(struct loop *loop, const struct config *config, struct error *e);
void queue_close(struct queue *q); /* NULL is allowed */
/* Commits what this turn's requests wrote, then starts what can be started. */
void queue_turn(struct queue *q);
/* Nothing is under way that a stop would interrupt. */
bool queue_is_idle(const struct queue *q);
void queue_peer_up(struct queue *q, enum role role, struct ipc *ch);
void queue_peer_down(struct queue *q, enum role role, struct ipc *ch);
void queue_set_key(struct queue *q, const struct msg_seal_key *m);

#endif
