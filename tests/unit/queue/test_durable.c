#include "queue/durable.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct durable d;
static int fds[DURABLE_MAX];

static void begin(void)
{
    durable_open(&d);
    for (size_t i = 0; i < DURABLE_MAX; i++) {
        char name[] = "/tmp/barid-durable-XXXXXX";
        cr_assert((fds[i] = mkstemp(name)) >= 0);
        unlink(name);
        cr_assert(write(fds[i], "mail", 4) == 4);
    }
}

static void finish(void)
{
    for (size_t i = 0; i < DURABLE_MAX; i++)
        close(fds[i]);
    durable_close(&d);
}

TestSuite(durable, .init = begin, .fini = finish);

Test(durable, any_number)
{
    static const size_t numbers[] = {0, 1, 2, 20, DURABLE_MAX, DURABLE_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        cr_expect(durable_sync(&d, fds, numbers[i]) == 0, "%zu files: %d", numbers[i], errno);
}

Test(durable, without_help_of_the_kernel)
{
    durable_close(&d);
    cr_expect(durable_sync(&d, fds, DURABLE_MAX) == 0);
    close(fds[7]);
    cr_expect(durable_sync(&d, fds, DURABLE_MAX) < 0 && errno == EBADF);
}

Test(durable, one_that_fails_is_told_wherever_it_stands)
{
    static const size_t places[] = {0, 1, 19};
    int ends[2];
    cr_assert(pipe(ends) == 0);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int file = fds[places[i]];
        fds[places[i]] = ends[0]; /* which no disk can hold */
        cr_expect(durable_sync(&d, fds, 20) < 0 && errno == EINVAL, "at %zu", places[i]);
        fds[places[i]] = file;
        cr_expect(durable_sync(&d, fds, 20) == 0, "after one at %zu", places[i]);
    }
    close(ends[0]);
    close(ends[1]);
}
