#include "queue/lifetime.h"

#include "common/hold.h"
#include "common/id.h"
#include "common/route.h"
#include "queue/parties.h"

int64_t lifetime_held_until(struct store *s, uint64_t message)
{
    char request[HOLD_REQUEST_MAX + 1];
    bool is_asked = store_message_hold(s, message, request) == FOUND_YES;
    return is_asked ? hold_ends_s(span_of(request), id_wall_ms(message) / 1000) : 0;
}

struct lifetime lifetime_of(const struct config *c, struct store *s, const struct message *m,
                            const struct recipient *r)
{
    struct route route;
    route_for(c, r->domain, parties_sender(m->sender, r->sender), &route);
    int64_t held_until = lifetime_held_until(s, m->id);
    int64_t began = held_until > m->arrived ? held_until : m->arrived;
    struct lifetime l = {.expires = m->expires, .late = INT64_MAX};
    /* A report about TLS is of no use after its day (RFC 8460 5.4), whatever the route says. It is
     * made here; others that say they need no TLS came from somebody. */
    bool is_report = (m->flags & CONTENT_TLS_OPTIONAL) != 0 && m->sender.n == 0 && m->client.n == 0;
    bool is_own = route.name != NULL && route.delivery->has_expire && !is_report;
    if (is_own)
        l.expires = began + route.delivery->expire_ms / 1000;
    if (route.delivery->delay_warning_ms > 0)
        l.late = began + route.delivery->delay_warning_ms / 1000;
    return l;
}
