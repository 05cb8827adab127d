#include "queue/durable.h"

#include <errno.h>
#include <unistd.h>

void durable_open(struct durable *d)
{
    *d = (struct durable){.kernel = NULL};
    d->has_kernel = io_setup(DURABLE_MAX, &d->kernel) == 0;
}

void durable_close(struct durable *d)
{
    if (d->has_kernel)
        io_destroy(d->kernel); /* waits for what was begun */
    d->has_kernel = false;
}

/* Of two reasons the one that is more than a full disk. 0: none. */
static int worse(int a, int b)
{
    bool is_room = a == 0 || a == ENOSPC || a == EDQUOT;
    return is_room && b != 0 ? b : a;
}

/* How many of them the kernel took, the first ones. */
static size_t begin(const struct durable *d, const int *fds, size_t n)
{
    struct iocb asked[DURABLE_MAX], *each[DURABLE_MAX];
    if (!d->has_kernel || n < 2)
        return 0;
    for (size_t i = 0; i < n; i++) {
        io_prep_fsync(&asked[i], fds[i]);
        each[i] = &asked[i];
    }
    int taken = io_submit(d->kernel, (long)n, each);
    return taken > 0 ? (size_t)taken : 0;
}

/* 0, or the errno of one that failed. */
static int end(struct durable *d, size_t n)
{
    struct io_event done[DURABLE_MAX];
    int why = 0;
    while (n > 0) {
        int got = io_getevents(d->kernel, (long)n, (long)n, done, NULL);
        if (got < 0 && got != -EINTR) {
            durable_close(d); /* or its late answers would be taken for those of others */
            return -got;
        }
        for (int i = 0; i < got; i++)
            if ((long)done[i].res < 0)
                why = worse(why, (int)-(long)done[i].res);
        n -= got > 0 ? (size_t)got : 0;
    }
    return why;
}

int durable_sync(struct durable *d, const int *fds, size_t n)
{
    size_t begun = begin(d, fds, n);
    int why = 0;
    for (size_t i = begun; i < n; i++)
        if (fsync(fds[i]) < 0)
            why = worse(why, errno);
    errno = worse(why, end(d, begun));
    return errno == 0 ? 0 : -1;
}
