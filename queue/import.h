/* What an imported message has that one from smtpd has not: a key that lets it come once, a date
 * and a UIDL from before. The rest of its way is intake's. */
#ifndef BARID_QUEUE_IMPORT_H
#define BARID_QUEUE_IMPORT_H

#include "common/ipc.h"
#include "queue/warning.h"

struct import {
    bool is_known; /* it was taken before: nothing is written */
    bool has_new_uidl;
    int64_t arrived;
    uint64_t box;
    char uidl[UIDL_MAX + 1];
    unsigned char source[SOURCE_KEY];
};

/* NULL: it cannot be what the command sends, or no memory. */
struct import *import_new(const struct msg_import_open *m);
/* As deliver; nothing is written if it was taken before. */
enum intake_reason import_deliver(struct queue *q, struct import *im, struct delivery *d);
/* ch, im may be NULL. */
void import_answer(struct ipc *ch, uint64_t tag, const struct import *im,
                   enum intake_reason reason);

#endif
