/* Reading whole mailboxes for the administrator's command. Takes no lock: a session goes on beside
 * it, and what is deleted meanwhile may be in the export or not. */
#ifndef BARID_MAILBOX_EXPORT_H
#define BARID_MAILBOX_EXPORT_H

#include "common/ipc.h"
#include "mailbox/store.h"

/* As store_next, without what is named in a deletion that was decided and is being carried out. */
enum store_found export_find(struct store *st, uint64_t box, uint64_t after,
                             struct store_message *out);
void export_next(struct store *st, struct ipc *to, const struct msg_export_next *m);

#endif
