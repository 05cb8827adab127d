/* Content that is a file of its own. Its name is made from the message id alone; the file is handed
 * on as a read-only descriptor. */
#ifndef BARID_MAILBOX_SPOOL_H
#define BARID_MAILBOX_SPOOL_H

#include <stdint.h>

/* The descriptor of a plain file of exactly so many octets, or -1, and that was logged. */
int spool_open(uint64_t id, uint64_t octets);

#endif
