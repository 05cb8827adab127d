#include "common/clock.h"

static int64_t fake_mono = -1;
static int64_t fake_wall = -1;

static int64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
    return fake_mono >= 0 ? fake_mono : read_ms(CLOCK_MONOTONIC);
}

int64_t clock_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return fake_mono >= 0 ? fake_mono * 1000 : (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return fake_wall >= 0 ? fake_wall : read_ms(CLOCK_REALTIME);
}

int64_t clock_wall_s(void)
{
    return clock_wall_ms() / 1000;
}

void clock_fake(int64_t mono_ms, int64_t wall_ms)
{
    fake_mono = mono_ms;
    fake_wall = wall_ms;
}

/* Years outside 0..9999 cannot come from our clocks, but may come from a damaged row. */
static struct tm split(int64_t wall_s)
{
    struct tm tm = {0};
    time_t t = (time_t)(wall_s < 0 ? 0 : wall_s > 253402300799 ? 253402300799 : wall_s);
    gmtime_r(&t, &tm);
    return tm;
}

void clock_rfc5322(char out[CLOCK_TEXT_MAX], int64_t wall_s)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = split(wall_s);
    snprintf(out, CLOCK_TEXT_MAX, "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday % 7],
             tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
}

void clock_rfc3339(char out[CLOCK_TEXT_MAX], int64_t wall_s)
{
    struct tm tm = split(wall_s);
    strftime(out, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Is what stands here the time that the fields came to? 31 February is none. */
static bool is_same(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
           a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

int clock_read_rfc3339(struct span text, int64_t *wall_s)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    char copy[sizeof form];
    struct tm t = {0};
    if (text.n != sizeof form - 1 || span_copy(copy, sizeof copy, text) < 0)
        return -1;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool is_digit = copy[i] >= '0' && copy[i] <= '9';
        if (form[i] == '0' ? !is_digit : ascii_lower(copy[i]) != ascii_lower(form[i]))
            return -1;
    }
    copy[10] = 'T';
    copy[19] = 'Z';
    if (strptime(copy, "%Y-%m-%dT%H:%M:%SZ", &t) == NULL)
        return -1;
    struct tm made = t;
    time_t at = timegm(&made);
    if (at < 0 || !is_same(&t, &made))
        return -1;
    *wall_s = at;
    return 0;
}
