#include "common/hold.h"

#include "common/clock.h"

#define SECONDS_CHARS 19 /* "2026-11-22T05:06:07" */

int hold_read_for(struct span value, int64_t *seconds)
{
    uint64_t n;
    if (value.n == 0 || value.n > 9 || value.p[0] == '0' || span_u64(value, &n) < 0)
        return -1;
    *seconds = (int64_t)n;
    return 0;
}

/* ".25Z": is it one, and is there anything behind the full second? */
static bool is_fraction(struct span text, bool *has_some)
{
    if (text.n < 3 || text.p[0] != '.' || (text.p[text.n - 1] != 'Z' && text.p[text.n - 1] != 'z'))
        return false;
    for (size_t i = 1; i < text.n - 1; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        *has_some = *has_some || text.p[i] != '0';
    }
    return true;
}

int hold_read_until(struct span value, int64_t *at_s)
{
    char whole[SECONDS_CHARS + 2];
    bool has_some = false;
    if (value.n <= SECONDS_CHARS + 1 || !is_fraction(span_from(value, SECONDS_CHARS), &has_some))
        return clock_read_rfc3339(value, at_s);
    memcpy(whole, value.p, SECONDS_CHARS);
    memcpy(whole + SECONDS_CHARS, "Z", 2);
    if (clock_read_rfc3339(span_of(whole), at_s) < 0)
        return -1;
    *at_s += has_some;
    return 0;
}

int64_t hold_ends_s(struct span request, int64_t came_s)
{
    int64_t given;
    if (span_starts(request, SPAN("for;")) && hold_read_for(span_from(request, 4), &given) == 0)
        return came_s + given;
    bool is_until =
        span_starts(request, SPAN("until;")) && hold_read_until(span_from(request, 6), &given) == 0;
    return is_until ? given : 0;
}

bool hold_is_request(struct span text)
{
    int64_t ignored;
    if (text.n > HOLD_REQUEST_MAX)
        return false;
    if (span_starts(text, SPAN("for;")))
        return hold_read_for(span_from(text, 4), &ignored) == 0;
    return span_starts(text, SPAN("until;")) && hold_read_until(span_from(text, 6), &ignored) == 0;
}
