#include "cli/when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    char unit;
    int64_t seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};

void when_write(char out[WHEN_TEXT], int64_t seconds)
{
    size_t i = sizeof units / sizeof *units - 1;
    while (i > 0 && seconds % units[i].seconds != 0)
        i--;
    snprintf(out, WHEN_TEXT, "%lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
}

int when_span(struct span text, int64_t *seconds)
{
    uint64_t n;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (text.n < 2 || text.p[text.n - 1] != units[i].unit)
            continue;
        if (span_u64((struct span){text.p, text.n - 1}, &n) < 0 || n > INT32_MAX)
            return -1;
        *seconds = (int64_t)n * units[i].seconds;
        return 0;
    }
    return -1;
}

/* Is what stands here the date that the fields came to? 31 February is none. */
static bool is_date(const struct tm *given, const struct tm *made)
{
    return given->tm_year == made->tm_year && given->tm_mon == made->tm_mon &&
           given->tm_mday == made->tm_mday && given->tm_hour == made->tm_hour &&
           given->tm_min == made->tm_min;
}

/* clock: what stands behind the day. */
static int read_date(const char *text, const char *clock, int64_t *at_s)
{
    struct tm t = {0};
    const char *end = strptime(text, "%Y-%m-%d", &t);
    if (end != NULL && *end != '\0')
        end = strptime(end, clock, &t);
    if (end == NULL || *end != '\0')
        return -1;
    struct tm made = t;
    int64_t east_s = t.tm_gmtoff; /* which timegm sets to 0 */
    time_t at = timegm(&made);
    if (at < east_s || at < 0 || !is_date(&t, &made))
        return -1;
    *at_s = at - east_s;
    return 0;
}

int when_time(struct span text, int64_t now_s, int64_t *at_s)
{
    char copy[32];
    int64_t ago;
    if (when_span(text, &ago) == 0) {
        *at_s = ago < now_s ? now_s - ago : 0;
        return 0;
    }
    return span_copy(copy, sizeof copy, text) == 0 ? read_date(copy, "T%H:%M:%SZ", at_s) : -1;
}

int when_moment(struct span text, int64_t *at_s)
{
    char copy[32];
    bool is_whole = span_copy(copy, sizeof copy, text) == 0;
    return is_whole ? read_date(copy, "T%H:%M:%S%z", at_s) : -1;
}
