/* When mailboxes were last opened, for LOGIN-DELAY (RFC 2449 6.5). Memory of a fixed size: of two
 * mailboxes that share a place the older is forgotten, and may be opened a little early. */
#ifndef BARID_MAILBOX_DELAY_H
#define BARID_MAILBOX_DELAY_H

#include <stdbool.h>
#include <stdint.h>

struct delay;

struct delay *delay_new(void); /* NULL without memory */
void delay_free(struct delay *d);
/* May this mailbox be opened now? Times are those of the monotonic clock. */
bool delay_is_over(const struct delay *d, uint64_t box, int64_t now_ms, int64_t delay_ms);
void delay_opened(struct delay *d, uint64_t box, int64_t now_ms);

#endif
