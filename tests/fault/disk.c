#include "tests/fault/disk.h"

#include "tests/fault/play.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define FILES  4096
#define FDS    8192
#define SECTOR 4096
#define NONE   (-1)

struct image {
    char *octets;
    size_t n, cap;
};

struct file {
    struct image now, durable;
    size_t dirty_from, dirty_to; /* of `now`, since the last sync */
    bool is_dir;
};

/* A name, and the file that it has now and that it has for certain. */
struct name {
    char path[96];
    int now, durable;
};

struct disk {
    char root[PATH_MAX];
    struct file files[FILES];
    struct name names[FILES];
    int fds[FDS];
    int n_files, n_names;
};

static uint64_t chance_state = 1;

void chance_begin(uint64_t seed)
{
    chance_state = seed * 2 + 1;
}

uint64_t chance(uint64_t below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (chance_state >> 11) % below;
}

/* --- images --- */

static void resize(struct image *i, size_t n)
{
    if (n > i->cap) {
        i->cap = n * 2;
        i->octets = realloc(i->octets, i->cap);
        if (i->octets == NULL)
            play_give_up("memory");
    }
    if (n > i->n)
        memset(i->octets + i->n, 0, n - i->n);
    i->n = n;
}

static void touch(struct file *f, size_t from, size_t to)
{
    f->dirty_from = from < f->dirty_from ? from : f->dirty_from;
    f->dirty_to = to > f->dirty_to ? to : f->dirty_to;
}

static void sync_octets(struct file *f)
{
    size_t to = f->dirty_to < f->now.n ? f->dirty_to : f->now.n;
    resize(&f->durable, f->now.n);
    if (f->dirty_from < to)
        memcpy(f->durable.octets + f->dirty_from, f->now.octets + f->dirty_from,
               to - f->dirty_from);
    f->dirty_from = SIZE_MAX;
    f->dirty_to = 0;
}

/* --- names --- */

static int new_file(struct disk *d, bool is_dir)
{
    if (d->n_files == FILES)
        play_give_up("too many files in the trace");
    d->files[d->n_files] = (struct file){.is_dir = is_dir, .dirty_from = SIZE_MAX};
    return d->n_files++;
}

static struct name *find_name(struct disk *d, const char *path, bool is_made)
{
    for (int i = 0; i < d->n_names; i++)
        if (strcmp(d->names[i].path, path) == 0)
            return &d->names[i];
    if (!is_made)
        return NULL;
    if (d->n_names == FILES || strlen(path) >= sizeof d->names[0].path)
        play_give_up("too many names in the trace");
    struct name *n = &d->names[d->n_names++];
    n->now = n->durable = NONE;
    memcpy(n->path, path, strlen(path) + 1);
    return n;
}

static const char *path_of_fd(const struct disk *d, int fd)
{
    int file = fd >= 0 && fd < FDS ? d->fds[fd] : NONE;
    for (int i = 0; file != NONE && i < d->n_names; i++)
        if (d->names[i].now == file)
            return d->names[i].path;
    return "";
}

/* The path within the root: "" for the root itself. */
static void resolve(const struct disk *d, const struct trace_record *r, const char *octets,
                    char out[PATH_MAX])
{
    char given[PATH_MAX];
    size_t n = r->n < sizeof given ? r->n : sizeof given - 1, skip = 0, root = strlen(d->root);
    memcpy(given, octets, n);
    given[n] = '\0';
    const char *base = r->dirfd == AT_FDCWD ? "" : path_of_fd(d, r->dirfd);
    if (strncmp(given, d->root, root) == 0 && (given[root] == '/' || given[root] == '\0'))
        skip = root;
    while (given[skip] == '/' || (given[skip] == '.' && strchr("/", given[skip + 1]) != NULL))
        skip++;
    snprintf(out, PATH_MAX, "%s%s%s", base, *base != '\0' && given[skip] != '\0' ? "/" : "",
             given + skip);
}

static bool is_in(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (n == 0)
        return *path != '\0' && strchr(path, '/') == NULL;
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* --- the trace --- */

struct disk *disk_new(const char *root)
{
    struct disk *d = calloc(1, sizeof *d);
    if (d == NULL)
        play_give_up("memory");
    snprintf(d->root, sizeof d->root, "%s", root);
    disk_new_process(d);
    struct name *top = find_name(d, "", true);
    top->now = top->durable = new_file(d, true);
    return d;
}

void disk_free(struct disk *d)
{
    for (int i = 0; i < d->n_files; i++) {
        free(d->files[i].now.octets);
        free(d->files[i].durable.octets);
    }
    free(d);
}

void disk_new_process(struct disk *d)
{
    for (int i = 0; i < FDS; i++)
        d->fds[i] = NONE;
}

static void opened(struct disk *d, const struct trace_record *r, const char *octets)
{
    char path[PATH_MAX];
    resolve(d, r, octets, path);
    bool makes = (r->offset & O_CREAT) != 0;
    struct name *n = find_name(d, path, makes);
    if (n == NULL)
        return; /* a library's, or outside of the root */
    if (n->now == NONE && makes)
        n->now = new_file(d, false);
    d->fds[r->fd] = n->now;
    if (n->now != NONE && (r->offset & O_TRUNC) != 0)
        resize(&d->files[n->now].now, 0);
}

static void synced(struct disk *d, struct file *f, int fd)
{
    if (!f->is_dir) {
        sync_octets(f);
        return;
    }
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path_of_fd(d, fd));
    for (int i = 0; i < d->n_names; i++)
        if (is_in(d->names[i].path, dir))
            d->names[i].durable = d->names[i].now;
}

static void change_name(struct disk *d, const struct trace_record *r, const char *octets)
{
    char path[PATH_MAX];
    resolve(d, r, octets, path);
    struct name *n = find_name(d, path, true);
    n->now = r->kind == TRACE_MKDIR ? new_file(d, true) : NONE;
}

static void change_file(struct disk *d, const struct trace_record *r, const char *octets)
{
    struct file *f = &d->files[d->fds[r->fd]];
    size_t end = (size_t)r->offset + r->n;
    if (r->kind == TRACE_WRITE) {
        if (end > f->now.n)
            resize(&f->now, end);
        memcpy(f->now.octets + r->offset, octets, r->n);
        touch(f, (size_t)r->offset, end);
    } else if (r->kind == TRACE_TRUNCATE) {
        touch(f, f->now.n < r->offset ? f->now.n : (size_t)r->offset, (size_t)r->offset);
        resize(&f->now, (size_t)r->offset);
    } else if (r->kind == TRACE_SYNC) {
        synced(d, f, r->fd);
    } else if (r->kind == TRACE_CLOSE) {
        d->fds[r->fd] = NONE;
    }
}

void disk_apply(struct disk *d, const struct trace_record *r, const char *octets)
{
    if (r->kind == TRACE_OPEN)
        opened(d, r, octets);
    else if (r->kind == TRACE_UNLINK || r->kind == TRACE_MKDIR)
        change_name(d, r, octets);
    else if (r->fd >= 0 && r->fd < FDS && d->fds[r->fd] != NONE)
        change_file(d, r, octets);
}

/* --- the crash --- */

static bool survives(enum survival s)
{
    return s == SURVIVES_ALL || (s == SURVIVES_CHANCE && chance(2) == 0);
}

static void write_all(int fd, const char *octets, size_t n, size_t at)
{
    if (n > 0 && pwrite(fd, octets, n, (off_t)at) != (ssize_t)n)
        play_give_up("pwrite");
}

static void write_file(const struct file *f, const char *path, enum survival s)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        play_give_up(path);
    write_all(fd, f->durable.octets, f->durable.n, 0);
    size_t size = survives(s) ? f->now.n : f->durable.n;
    size_t to = f->dirty_to < f->now.n ? f->dirty_to : f->now.n;
    to = to < size ? to : size;
    for (size_t at = f->dirty_from / SECTOR * SECTOR; at < to; at += SECTOR)
        if (survives(s))
            write_all(fd, f->now.octets + at, to - at < SECTOR ? to - at : SECTOR, at);
    if (ftruncate(fd, (off_t)size) < 0)
        play_give_up("ftruncate");
    close(fd);
}

/* Directories come before what is in them, as they were made first. */
void disk_crash(const struct disk *d, const char *dir, enum survival s)
{
    for (int i = 0; i < d->n_names; i++) {
        const struct name *n = &d->names[i];
        char path[PATH_MAX + 128];
        int file = n->now == n->durable || survives(s) ? n->now : n->durable;
        if (file == NONE || *n->path == '\0')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, n->path);
        if (d->files[file].is_dir) {
            if (mkdir(path, 0750) < 0)
                play_give_up(path);
        } else {
            char *slash = strrchr(path, '/');
            *slash = '\0';
            bool has_dir = access(path, X_OK) == 0;
            *slash = '/';
            if (!has_dir)
                continue; /* its directory did not survive */
            write_file(&d->files[file], path, s);
        }
        play_give(path, ROLE_QUEUE);
    }
}
