#include "common/trouble.h"

#include "common/clock.h"
#include "common/log.h"

#include <criterion/criterion.h>
#include <string.h>

static char said[1000];

static void hear(struct span lines)
{
    snprintf(said + strlen(said), sizeof said - strlen(said), "%.*s", (int)lines.n, lines.p);
}

/* At these times it is met (a positive number of ms) or it works (a negative one). */
struct row {
    int64_t at[8];
    unsigned news;
    const char *said;
};

Test(trouble, is_said_once_and_when_it_is_over)
{
    static const struct row rows[] = {
        {{1}, 1, ""},
        {{1, 2, 3, 600000}, 1, ""},
        {{1, 2, 600001, 600002}, 2, ""},                                 /* again after so long */
        {{1, 2, 3, -4}, 1, ""},                                          /* it works now and then */
        {{1000, 2000, 4000, -9000}, 1, "- over failures=3 seconds=3\n"}, /* it works */
        {{1000, -6000, -7000}, 1, "- over failures=1 seconds=0\n"},      /* and is not said again */
        {{1000, -6000, 7000}, 2, "- over failures=1 seconds=0\n"},
        {{-1, -2}, 0, ""},
    };
    log_set_sink(hear);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct trouble t = {0};
        unsigned news = 0;
        said[0] = '\0';
        for (size_t k = 0; k < 8 && rows[i].at[k] != 0; k++) {
            int64_t at = rows[i].at[k];
            clock_fake(100000 + (at < 0 ? -at : at), 0);
            if (at > 0)
                news += trouble_is_news(&t);
            else
                trouble_worked(&t, "over");
        }
        log_flush();
        cr_expect_eq(news, rows[i].news, "row %zu: said %u times", i, news);
        cr_expect_str_eq(said, rows[i].said, "row %zu", i);
    }
    clock_fake(-1, -1);
    log_set_sink(NULL);
}
