/* Comparing a file of content with its hash before it is handed on: a piece in each turn of the
 * loop, so that a large message does not stop the sessions of others. What was read is in the cache
 * then, for whoever sends it. */
#ifndef BARID_MAILBOX_VERIFY_H
#define BARID_MAILBOX_VERIFY_H

#include "common/content.h"
#include "common/loop.h"

struct verify;

/* fd stays the caller's and must hold `octets` octets. `done` is called once, later; the verify is
 * gone then. NULL without memory. */
typedef void verify_fn(void *arg, bool is_right);
struct verify_file {
    int fd;
    uint64_t octets;
    unsigned char hash[CONTENT_HASH];
};
struct verify *verify_begin(struct loop *loop, const struct verify_file *f, verify_fn *done,
                            void *arg);
void verify_cancel(struct verify *v); /* NULL is allowed */

#endif
