#include "common/clock.h"

#include <criterion/criterion.h>

Test(clock, rfc3339_there_and_back)
{
    static const int64_t times[] = {0, 951827696, 1795311269, 4102444800};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[CLOCK_TEXT_MAX];
        int64_t read = -1;
        clock_rfc3339(text, times[i]);
        cr_expect_eq(clock_read_rfc3339(span_of(text), &read), 0, "%s", text);
        cr_expect_eq(read, times[i], "%s", text);
    }
}

Test(clock, rfc3339_that_is_none)
{
    static const char *const rows[] = {
        "",
        "2026-11-22",
        "2026-11-22T09:00:00",
        "2026-11-22T09:00:00+00:00",
        "2026-11-22T09:00:00.5Z",
        "2026-11-22 09:00:00Z",
        "2026-02-30T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T09:60:00Z",
        "+026-11-22T09:00:00Z",
        " 026-11-22T09:00:00Z",
        "1969-11-22T09:00:00Z",
        "2026-11-22T09:00:00ZZ",
    };
    int64_t at = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(clock_read_rfc3339(span_of(rows[i]), &at), -1, "%s", rows[i]);
    cr_expect_eq(clock_read_rfc3339(SPAN("2026-11-22t09:00:00z"), &at), 0);
    cr_expect_eq(at, 1795338000);
}
