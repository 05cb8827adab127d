/* A maildrop (RFC 1939 3): the messages of one session, numbered from 1, and which of them are
 * marked as deleted. Memory only: 24 octets per message. */
#ifndef BARID_POP3D_DROP_H
#define BARID_POP3D_DROP_H

#include "common/str.h"

/* A larger mailbox shows its first million; the others come after some of these are deleted. */
#define DROP_MESSAGES_MAX 1000000

struct drop_entry {
    uint64_t sequence;    /* its name in the mailbox */
    uint64_t id;          /* its name everywhere else, and its UIDL */
    uint64_t octets : 63; /* as RETR sends them, before dots are doubled */
    uint64_t is_deleted : 1;
};

struct drop {
    struct drop_entry *list;
    size_t n, cap;
    size_t n_deleted;
    uint64_t octets; /* of those that are not deleted */
};

void drop_free(struct drop *d); /* empties it; it may be used again */
/* 0, or -1: out of order, an impossible size, too many, or no memory. */
int drop_add(struct drop *d, uint64_t sequence, uint64_t id, uint64_t octets);
uint64_t drop_last_sequence(const struct drop *d); /* 0: empty */
/* Message `number`, or NULL: no such message, or it is deleted. */
struct drop_entry *drop_find(const struct drop *d, uint64_t number);
bool drop_has_deleted(const struct drop *d, uint64_t number);
void drop_delete(struct drop *d, struct drop_entry *e);
void drop_reset(struct drop *d); /* nothing is deleted any more */

#endif
