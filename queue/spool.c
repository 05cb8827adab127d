#include "queue/spool.h"

#include "common/fd.h"
#include "common/log.h"
#include "common/maildb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* So much at a time is handed to the disk while more arrives, so that the sync at the end is short.
 */
#define STEP (1U << 20)

int spool_open(struct spool *s, struct error *e)
{
    *s = (struct spool){.dirfd = -1};
    if (mkdir(MAILDB_SPOOL_DIR, 0750) < 0 && errno != EEXIST)
        return error_set(e, "%s: %s", MAILDB_SPOOL_DIR, strerror(errno));
    s->dirfd = open(MAILDB_SPOOL_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->dirfd < 0)
        return error_set(e, "%s: %s", MAILDB_SPOOL_DIR, strerror(errno));
    s->is_changed = true; /* whatever was left there */
    durable_open(&s->durable);
    return 0;
}

/* 0, or -1 (errno). Closed in any case. */
static int sync_and_close(int fd)
{
    int rc = fsync(fd), why = errno;
    if (close(fd) < 0 && rc == 0) {
        rc = -1;
        why = errno;
    }
    errno = why;
    return rc;
}

static void close_unsynced(struct spool *s)
{
    while (s->n_unsynced > 0)
        close(s->unsynced[--s->n_unsynced]);
}

void spool_close(struct spool *s)
{
    close_unsynced(s);
    durable_close(&s->durable);
    if (s->dirfd >= 0)
        close(s->dirfd);
    s->dirfd = -1;
}

int spool_sync(struct spool *s)
{
    int fds[DURABLE_MAX];
    size_t n = s->n_unsynced;
    memcpy(fds, s->unsynced, n * sizeof fds[0]);
    if (s->is_changed)
        fds[n++] = s->dirfd;
    int rc = durable_sync(&s->durable, fds, n), why = errno;
    s->is_changed = s->is_changed && rc < 0;
    close_unsynced(s);
    errno = why;
    return rc;
}

void spool_failed(struct spool *s, const char *what)
{
    int why = errno;
    s->has_worked = false;
    if (trouble_is_news(&s->trouble))
        LOG(0, "spool-failed", LZ("call", what), LZ("because", strerror(why)));
    errno = why;
}

void spool_worked(struct spool *s)
{
    if (s->has_worked)
        trouble_worked(&s->trouble, "spool-recovered");
}

int spool_create(struct spool *s, uint64_t id, struct spool_file *f)
{
    char name[ID_TEXT];
    id_format(name, id);
    *f = (struct spool_file){
        .fd = openat(s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640)};
    if (f->fd < 0)
        return -1;
    fchmod(f->fd, 0640); /* whatever the umask: mailbox reads it by its group */
    return 0;
}

int spool_append(struct spool_file *f, struct span octets)
{
    if (fd_write_all(f->fd, octets) < 0)
        return -1;
    f->octets += octets.n;
    if (f->octets - f->started >= STEP) {
        sync_file_range(f->fd, (off_t)f->started, (off_t)(f->octets - f->started),
                        SYNC_FILE_RANGE_WRITE);
        f->started = f->octets;
    }
    return 0;
}

int spool_finish(struct spool *s, struct spool_file *f)
{
    s->is_changed = s->has_worked = true;
    int fd = f->fd;
    f->fd = -1;
    if (s->n_unsynced == SPOOL_UNSYNCED)
        return sync_and_close(fd);
    sync_file_range(fd, (off_t)f->started, 0, SYNC_FILE_RANGE_WRITE); /* 0: to its end */
    s->unsynced[s->n_unsynced++] = fd;
    return 0;
}

void spool_abandon(struct spool_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

void spool_remove(struct spool *s, uint64_t id)
{
    char name[ID_TEXT];
    id_format(name, id);
    spool_remove_name(s, span_of(name));
}

void spool_remove_name(struct spool *s, struct span name)
{
    char path[NAME_MAX + 1];
    if (span_copy(path, sizeof path, name) < 0)
        return;
    if (unlinkat(s->dirfd, path, 0) < 0 && errno != ENOENT)
        LOG(0, "spool-not-removed", LS("file", name), LZ("because", strerror(errno)));
}

static int open_file(const struct spool *s, uint64_t id, uint64_t *octets)
{
    char name[ID_TEXT];
    struct stat st;
    id_format(name, id);
    int fd = openat(s->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0) {
        *octets = (uint64_t)st.st_size;
        return fd;
    }
    close(fd);
    errno = EIO;
    return -1;
}

int spool_open_any(const struct spool *s, uint64_t id)
{
    uint64_t octets;
    return open_file(s, id, &octets);
}

int spool_read(const struct spool *s, uint64_t id, uint64_t octets)
{
    uint64_t there;
    int fd = open_file(s, id, &there);
    if (fd < 0 || there == octets)
        return fd;
    close(fd);
    errno = EIO;
    return -1;
}

int spool_each(const struct spool *s, void (*fn)(void *arg, struct span name), void *arg)
{
    int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    errno = 0;
    for (struct dirent *e = readdir(d); e != NULL; errno = 0, e = readdir(d))
        if (e->d_name[0] != '.')
            fn(arg, span_of(e->d_name));
    int why = errno;
    closedir(d);
    errno = why;
    return why == 0 ? 0 : -1;
}
