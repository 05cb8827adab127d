/* "Send later": what --hold-for and --hold-until of sendmail mean, and how it is said to the server
 * (RFC 4865 4.1). */
#ifndef BARID_CLI_HOLD_H
#define BARID_CLI_HOLD_H

#include "cli/sendmail.h"

#define HOLD_PARAM_MAX 64

/* Reads s->hold_for and s->hold_until into s->hold. 0; or -1 and e: it is no time to hold a message
 * for. */
int hold_from_args(struct sendmail *s, int64_t now_s, struct error *e);
static inline bool hold_is_wanted(const struct hold *h)
{
    return h->for_s > 0 || h->until_s > 0;
}
/* For MAIL, with a space in front, or "". 0; or -1 and e: it is longer than the server offers,
 * whose EHLO said that it is at most max_s seconds. */
int hold_param(const struct hold *h, int64_t max_s, int64_t now_s, char out[HOLD_PARAM_MAX],
               struct error *e);

#endif
