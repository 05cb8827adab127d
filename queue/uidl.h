/* UIDLs are never given twice in a mailbox (RFC 1939 7), not even when their message is gone.
 *
 * A message is called by its id, which nothing else in the system ever has; that costs nothing. An
 * import brings names that others gave. Each of them is noted (table uidl), and is not taken if it
 * was noted before. One that looks like an id of ours, as from another barid, is taken only if it
 * is older than all that was ever delivered to the mailbox: then it is neither the name of a
 * message that is or was in it, nor of one that comes. What comes late all the same (it was held
 * long, the clock was put back) gets a new name if its own was taken by an import. */
#ifndef BARID_QUEUE_UIDL_H
#define BARID_QUEUE_UIDL_H

#include "queue/deliver.h"

/* May an import give this name to a message with this id? Reads only. */
enum found uidl_is_free(struct store *s, uint64_t box, uint64_t message, struct span wanted);
/* It did: in the same transaction, after the entry. 0, or -1: see store_fault. */
int uidl_note(struct store *s, uint64_t box, struct span taken);
/* For a message without a name of its own, in a mailbox that was looked at: "", its id is good, or
 * another one. 0, or -1: see store_fault. */
int uidl_for(struct store *s, const struct box_target *b, uint64_t message, char out[ID_TEXT]);

#endif
