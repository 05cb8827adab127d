#include "cli/hold.h"

#include "cli/when.h"
#include "common/clock.h"

#include <inttypes.h>

#define LONGEST_S 999999999 /* RFC 4865 3 */

static int read_for(struct hold *h, const char *text, struct error *e)
{
    if (when_span(span_of(text), &h->for_s) < 0 || h->for_s < 1 || h->for_s > LONGEST_S)
        return error_set(e, "--hold-for: '%.60s' is no time: give it as 30s, 15m, 4h or 5d", text);
    return 0;
}

static int read_until(struct hold *h, const char *text, int64_t now_s, struct error *e)
{
    if (when_moment(span_of(text), &h->until_s) < 0)
        return error_set(e,
                         "--hold-until: '%.60s' is no time: give it as 2026-11-22, "
                         "2026-11-22T01:34:00Z (UTC) or 2026-11-22T01:34:00+01:00",
                         text);
    if (h->until_s <= now_s)
        return error_set(e, "--hold-until: %.60s is over", text);
    return 0;
}

int hold_from_args(struct sendmail *s, int64_t now_s, struct error *e)
{
    struct hold *h = &s->hold;
    if (s->hold_for == NULL && s->hold_until == NULL)
        return 0;
    if (s->hold_for != NULL && s->hold_until != NULL)
        return error_set(e, "--hold-for and --hold-until do not go together");
    if (s->mode != SENDMAIL_MESSAGE)
        return error_set(e, "--hold-for and --hold-until are for a message on stdin");
    return s->hold_for != NULL ? read_for(h, s->hold_for, e)
                               : read_until(h, s->hold_until, now_s, e);
}

int hold_param(const struct hold *h, int64_t max_s, int64_t now_s, char out[HOLD_PARAM_MAX],
               struct error *e)
{
    char until[CLOCK_TEXT_MAX], most[WHEN_TEXT];
    out[0] = '\0';
    if (!hold_is_wanted(h))
        return 0;
    if ((h->for_s > 0 ? h->for_s : h->until_s - now_s) > max_s) {
        when_write(most, max_s);
        return error_set(e, "a message is held for %s at most", most);
    }
    clock_rfc3339(until, h->until_s);
    if (h->for_s > 0)
        snprintf(out, HOLD_PARAM_MAX, " HOLDFOR=%" PRId64, h->for_s);
    else
        snprintf(out, HOLD_PARAM_MAX, " HOLDUNTIL=%s", until);
    return 0;
}
