/* The messages that a client was given with RETR, for `barid trace`: mailbox is told once, when the
 * session ends or asks for its removals. Of more than RETRIEVED_MAX only the number is kept. */
#ifndef BARID_POP3D_COLLECTED_H
#define BARID_POP3D_COLLECTED_H

#include "common/ipc.h"

struct collected {
    uint64_t *list; /* sequences; NULL: none */
    size_t n, cap;
    uint64_t more; /* that are not in the list */
};

void collected_add(struct collected *c, uint64_t sequence);
/* Tells mailbox, if there is anything to tell, and forgets it. box may be NULL: nobody is told. */
void collected_tell(struct collected *c, struct ipc *box);

#endif
