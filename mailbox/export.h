/* Reading whole mailboxes for the administrator's command. Takes no lock: a session goes on beside
 * it, and what is deleted meanwhile may be in the export or not. */
#ifndef BARID_MAILBOX_EXPORT_H
#define BARID_MAILBOX_EXPORT_H

#include "common/ipc.h"
#include "mailbox/store.h"

void export_next(struct store *st, struct ipc *to, const struct msg_export_next *m);

#endif
