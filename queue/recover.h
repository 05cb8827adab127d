/* What a start does about the last stop, whatever it was. The database recovers itself when it is
 * opened; nothing in it was half done. What can be left over is outside: a spool file that was
 * written but whose row was not committed, or whose row was removed. */
#ifndef BARID_QUEUE_RECOVER_H
#define BARID_QUEUE_RECOVER_H

#include "queue/queue.h"

/* Removes spool files without a row and reports rows without a file. 0, or -1 and e. */
int recover_spool(struct queue *q, struct error *e);

#endif
