#include "common/hold.h"

#include <criterion/criterion.h>

#define MOMENT 1795338000 /* 2026-11-22T09:00:00Z */

Test(hold, values)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } fors[] = {{"1", 1},   {"3600", 3600}, {"999999999", 999999999}, {"0", -1},  {"01", -1},
                {"", -1},   {"-1", -1},     {"1000000000", -1},       {"1h", -1}, {" 1", -1},
                {"1.5", -1}},
      untils[] = {{"2026-11-22T09:00:00Z", MOMENT},
                  {"2026-11-22t09:00:00z", MOMENT},
                  {"2026-11-22T09:00:00.0Z", MOMENT},
                  {"2026-11-22T09:00:00.000001Z", MOMENT + 1},
                  {"2026-11-22T09:00:00.Z", -1},
                  {"2026-11-22T09:00:00.5", -1},
                  {"2026-11-22T09:00:00.5Zx", -1},
                  {"2026-11-22T09:00:00.x5Z", -1},
                  {"2026-02-30T09:00:00.5Z", -1},
                  {"2026-11-22T09:00:00,5Z", -1},
                  {"2026-11-22", -1},
                  {"", -1}};
    for (size_t i = 0; i < sizeof fors / sizeof fors[0]; i++) {
        int64_t n = -1;
        cr_expect_eq(hold_read_for(span_of(fors[i].text), &n) == 0, fors[i].seconds >= 0, "%s",
                     fors[i].text);
        cr_expect(fors[i].seconds < 0 || n == fors[i].seconds, "%s", fors[i].text);
    }
    for (size_t i = 0; i < sizeof untils / sizeof untils[0]; i++) {
        int64_t n = -1;
        cr_expect_eq(hold_read_until(span_of(untils[i].text), &n) == 0, untils[i].seconds >= 0,
                     "%s", untils[i].text);
        cr_expect(untils[i].seconds < 0 || n == untils[i].seconds, "%s", untils[i].text);
    }
}

Test(hold, requests)
{
    static const struct {
        const char *text;
        bool is_good;
    } rows[] = {{"for;60", true},
                {"until;2026-11-22T09:00:00Z", true},
                {"until;2026-11-22T09:00:00.25Z", true},
                {"", false},
                {"for", false},
                {"for;", false},
                {"for;60 ", false},
                {"for;2026-11-22T09:00:00Z", false},
                {"until;60", false},
                {"until;2026-11-22T09:00:00.00000000000000000000Z", false}, /* too long */
                {"For;60", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(hold_is_request(span_of(rows[i].text)), rows[i].is_good, "%s", rows[i].text);
}
