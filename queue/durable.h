/* Several files made durable at once. Each fsync(2) is handed to the kernel before any is waited
 * for (libaio), so the disk writes them side by side and empties its cache once for all, not once
 * for each. Where the kernel does not do that, or is out of contexts (fs.aio-max-nr), they are
 * synced one after the other. */
#ifndef BARID_QUEUE_DURABLE_H
#define BARID_QUEUE_DURABLE_H

#include <libaio.h>
#include <stdbool.h>
#include <stddef.h>

enum { DURABLE_MAX = 65 };

struct durable {
    io_context_t kernel;
    bool has_kernel;
};

void durable_open(struct durable *d);
void durable_close(struct durable *d);
/* At most DURABLE_MAX. 0: what was written to them is on the disk; or -1 (errno): of none is it
 * known. They stay open. */
int durable_sync(struct durable *d, const int *fds, size_t n);

#endif
