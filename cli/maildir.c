#include "cli/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static int open_dir(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int maildir_open(struct maildir *m, const char *path, struct error *e)
{
    *m = (struct maildir){.fd = -1, .new_fd = -1, .cur_fd = -1};
    buf_init(&m->names, SIZE_MAX / 4);
    m->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->fd < 0)
        return error_set(e, "%.200s: %s", path, strerror(errno));
    m->new_fd = open_dir(m->fd, "new");
    m->cur_fd = open_dir(m->fd, "cur");
    if (m->new_fd >= 0 && m->cur_fd >= 0)
        return 0;
    error_set(e, "%.200s is no Maildir: %s in it: %s", path, m->new_fd < 0 ? "new" : "cur",
              strerror(errno));
    maildir_close(m);
    return -1;
}

void maildir_close(struct maildir *m)
{
    int fds[] = {m->fd, m->new_fd, m->cur_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(m->list);
    buf_free(&m->names);
    *m = (struct maildir){.fd = -1, .new_fd = -1, .cur_fd = -1};
}

const char *maildir_name(const struct maildir *m, const struct maildir_file *f)
{
    return buf_span(&m->names).p + f->name;
}

static int add(struct maildir *m, const char *name, bool is_new, struct uidlist *list)
{
    const struct uidlist_entry *known = list != NULL ? uidlist_find(list, span_of(name)) : NULL;
    struct maildir_file f = {.order = known != NULL ? known->order : UINT32_MAX,
                             .is_new = is_new,
                             .name = buf_span(&m->names).n};
    if (buf_add(&m->names, name, strlen(name) + 1) < 0 ||
        array_reserve((void **)&m->list, &m->cap, m->n + 1, sizeof *m->list) < 0)
        return -1;
    m->list[m->n++] = f;
    return 0;
}

static int scan(struct maildir *m, bool is_new, struct uidlist *list, struct error *e)
{
    int fd = openat(is_new ? m->new_fd : m->cur_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int rc = 0;
    if (d == NULL)
        return error_set(e, "cannot read the Maildir: %s", strerror(errno));
    errno = 0;
    for (struct dirent *f; rc == 0 && (f = readdir(d)) != NULL; errno = 0)
        if (f->d_name[0] != '.' && add(m, f->d_name, is_new, list) < 0)
            rc = error_set(e, "no memory for the names of %zu messages", m->n);
    if (rc == 0 && errno != 0)
        rc = error_set(e, "cannot read the Maildir: %s", strerror(errno));
    closedir(d);
    return rc;
}

static int compare(const void *a, const void *b, void *maildir)
{
    const struct maildir_file *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    const char *p = maildir_name(maildir, x), *q = maildir_name(maildir, y);
    unsigned long long s = strtoull(p, NULL, 10), t = strtoull(q, NULL, 10);
    if (s != t)
        return s < t ? -1 : 1;
    return strcmp(p, q);
}

int maildir_scan(struct maildir *m, struct uidlist *list, struct error *e)
{
    if (scan(m, true, list, e) < 0 || scan(m, false, list, e) < 0)
        return -1;
    if (m->n > 1)
        qsort_r(m->list, m->n, sizeof *m->list, compare, m);
    return 0;
}

static int open_plain(int at, const char *name, int64_t *mtime_s)
{
    struct stat st;
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *mtime_s = (int64_t)st.st_mtime;
        return fd;
    }
    close(fd);
    errno = EINVAL;
    return -1;
}

int maildir_open_file(const struct maildir *m, const struct maildir_file *f, int64_t *mtime_s)
{
    return open_plain(f->is_new ? m->new_fd : m->cur_fd, maildir_name(m, f), mtime_s);
}

int maildir_open_list(const struct maildir *m, const char *name)
{
    int64_t unused;
    return open_plain(m->fd, name, &unused);
}
