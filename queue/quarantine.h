/* Where `barid fsck --repair` puts what is damaged: files in the directory quarantine beside
 * mail.db, for a person to look at. For a message ID.eml is what is left of its content, ID.txt
 * says what it was, whose, and why it is here. Nothing here is ever read again by barid, or
 * removed.
 *
 * All return 0, or -1 and e; what they wrote is then on disk, with its name. */
#ifndef BARID_QUEUE_QUARANTINE_H
#define BARID_QUEUE_QUARANTINE_H

#include "queue/queue.h"

#define QUARANTINE_DIR "quarantine"

/* Writes down a message: its row (may be damaged), content, mailboxes and recipients. It stays
 * where it is. */
int quarantine_message(struct queue *q, uint64_t id, const char *why, struct error *e);
/* Adds a line to the text of a message. */
int quarantine_note(uint64_t id, struct span line, struct error *e);
/* Moves a file of this name from the spool directory. */
int quarantine_file(struct queue *q, struct span name, struct error *e);

#endif
