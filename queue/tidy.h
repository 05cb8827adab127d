/* mail.db when nobody waits for it: what deleted mail took is given back to the disk in small
 * transactions, some tens of them a second at most, none while a backup runs or others write; and
 * once a day SQLite looks at its statistics. */
#ifndef BARID_QUEUE_TIDY_H
#define BARID_QUEUE_TIDY_H

#include "queue/queue.h"

struct tidy;

struct tidy *tidy_new(struct queue *q);
void tidy_free(struct queue *q);
/* The next step, if it is time for one and this turn has nothing else to write. */
void tidy_run(struct queue *q);
/* Looks anew; done every ten seconds, too. */
void tidy_look(struct queue *q);

#endif
