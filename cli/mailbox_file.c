#include "cli/mailbox_file.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>

#define NAME_OCTETS 64
#define LIST_NAME   "dovecot-uidlist"
#define LIST_PART   "dovecot-uidlist.barid-part"
#define LIST_MARK   "G6261726964" /* a list that we wrote: "barid" in its GUID */

struct mailbox_file {
    bool is_mbox;
    int dir, tmp, new;
    FILE *out;  /* the message, or the mbox */
    FILE *list; /* of UIDLs; NULL: none is written */
    uint64_t last_sequence;
    char name[NAME_OCTETS];
    int64_t arrived;
    off_t begun_at;      /* of the message in the mbox */
    size_t quotes, from; /* mbox: of ">>From " at the start of a line, seen and held back */
    bool in_line;
    char path[PATH_MAX], part[PATH_MAX];
};

static int failed(struct error *e, const char *what)
{
    return error_set(e, "cannot write %.200s: %s", what, strerror(errno));
}

static struct mailbox_file *new_file(bool is_mbox, const char *path, struct error *e)
{
    struct mailbox_file *f = calloc(1, sizeof *f);
    if (f == NULL) {
        error_set(e, "no memory");
        return NULL;
    }
    *f = (struct mailbox_file){.is_mbox = is_mbox, .dir = -1, .tmp = -1, .new = -1};
    if (span_copy(f->path, sizeof f->path, span_of(path)) == 0 && strlen(path) + 6 < sizeof f->part)
        return f;
    error_set(e, "the name is too long");
    mailbox_file_close(f);
    return NULL;
}

void mailbox_file_close(struct mailbox_file *f)
{
    if (f == NULL)
        return;
    if (f->out != NULL)
        fclose(f->out);
    if (f->list != NULL)
        fclose(f->list);
    int fds[] = {f->dir, f->tmp, f->new};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(f);
}

static int open_dir(int at, const char *name)
{
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (at == AT_FDCWD ? 0 : O_NOFOLLOW));
}

/* --- the list of UIDLs --- */

/* One that somebody else keeps there is not ours to replace. */
static bool may_write_list(const struct mailbox_file *f)
{
    char head[256] = "";
    int fd = openat(f->dir, LIST_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    ssize_t n = read(fd, head, sizeof head - 1);
    close(fd);
    return n > 0 && strstr(head, LIST_MARK) != NULL;
}

/* A fixed width, as the next number is known at the end. */
static int write_header(struct mailbox_file *f)
{
    return fprintf(f->list, "3 V%010lld N%010llu " LIST_MARK "0000000000000000000000\n",
                   (long long)clock_wall_s(), (unsigned long long)f->last_sequence + 1) < 0
               ? -1
               : 0;
}

static FILE *create(int at, const char *name)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST && unlinkat(at, name, 0) == 0) /* of a run that was cut short */
        fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (fd >= 0 && out == NULL)
        close(fd);
    return out;
}

struct mailbox_file *mailbox_file_maildir(const char *path, struct error *e)
{
    struct mailbox_file *f = new_file(false, path, e);
    if (f == NULL)
        return NULL;
    f->dir = open_dir(AT_FDCWD, path);
    int cur = f->dir < 0 ? -1 : open_dir(f->dir, "cur");
    if (cur >= 0) {
        close(cur);
        f->tmp = open_dir(f->dir, "tmp");
        f->new = open_dir(f->dir, "new");
    }
    bool is_ready = cur >= 0 && f->tmp >= 0 && f->new >= 0;
    if (is_ready && may_write_list(f)) {
        f->list = create(f->dir, LIST_PART);
        is_ready = f->list != NULL && write_header(f) == 0;
    }
    if (is_ready)
        return f;
    failed(e, path);
    mailbox_file_close(f);
    return NULL;
}

struct mailbox_file *mailbox_file_mbox(const char *path, struct error *e)
{
    struct stat st;
    struct mailbox_file *f = new_file(true, path, e);
    if (f == NULL)
        return NULL;
    snprintf(f->part, sizeof f->part, "%.*s.part", (int)sizeof f->part - 6, path);
    if (lstat(path, &st) == 0)
        error_set(e, "%.200s is there already: name another file, or move it away", path);
    else if ((f->out = create(AT_FDCWD, f->part)) == NULL)
        failed(e, f->part);
    else
        return f;
    mailbox_file_close(f);
    return NULL;
}

/* --- messages --- */

static int begin_mbox(struct mailbox_file *f, const struct mailbox_file_message *m)
{
    char date[40];
    struct tm tm;
    time_t t = (time_t)m->arrived;
    struct span sender = m->sender.n > 0 && memchr(m->sender.p, ' ', m->sender.n) == NULL
                             ? m->sender
                             : SPAN("MAILER-DAEMON");
    f->begun_at = ftello(f->out);
    if (f->begun_at < 0 || gmtime_r(&t, &tm) == NULL ||
        strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm) == 0)
        return -1;
    return fprintf(f->out, "From %.*s %s\n", (int)sender.n, sender.p, date) < 0 ? -1 : 0;
}

int mailbox_file_begin(struct mailbox_file *f, const struct mailbox_file_message *m,
                       struct error *e)
{
    f->quotes = f->from = 0;
    f->in_line = false;
    f->arrived = m->arrived;
    f->last_sequence = m->sequence;
    if (f->is_mbox)
        return begin_mbox(f, m) < 0 ? failed(e, f->path) : 1;
    snprintf(f->name, sizeof f->name, "%lld.%.*s.barid", (long long)m->arrived, (int)m->id.n,
             m->id.p);
    if (f->list != NULL && fprintf(f->list, "%llu P%.*s :%s\n", (unsigned long long)m->sequence,
                                   (int)m->uidl.n, m->uidl.p, f->name) < 0)
        return failed(e, LIST_NAME);
    if (faccessat(f->new, f->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    f->out = create(f->tmp, f->name);
    return f->out == NULL ? failed(e, f->name) : 1;
}

static void flush_held(struct mailbox_file *f, bool is_from)
{
    for (size_t i = 0; i < f->quotes + (is_from ? 1 : 0); i++)
        putc('>', f->out);
    fwrite("From ", 1, f->from, f->out);
    f->quotes = f->from = 0;
    f->in_line = true;
}

/* At the start of a line: ">>From " gets one '>' more (mboxrd). */
static void put_quoted(struct mailbox_file *f, char c)
{
    static const char from[] = "From ";
    if (f->from == 0 && c == '>') {
        f->quotes++;
        return;
    }
    if (c == from[f->from]) {
        if (++f->from == sizeof from - 1)
            flush_held(f, true);
        return;
    }
    flush_held(f, false);
    putc(c, f->out);
    f->in_line = c != '\n';
}

int mailbox_file_add(struct mailbox_file *f, struct span s, struct error *e)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r') /* content has them before LF only */
            continue;
        if (f->is_mbox && !f->in_line) {
            put_quoted(f, s.p[i]);
            continue;
        }
        putc(s.p[i], f->out);
        f->in_line = s.p[i] != '\n';
    }
    return ferror(f->out) ? failed(e, f->path) : 0;
}

static int end_mbox(struct mailbox_file *f, bool is_right)
{
    if (is_right)
        return putc('\n', f->out) == EOF ? -1 : 0;
    return fflush(f->out) == 0 && ftruncate(fileno(f->out), f->begun_at) == 0 &&
                   fseeko(f->out, f->begun_at, SEEK_SET) == 0
               ? 0
               : -1;
}

static int end_maildir(struct mailbox_file *f, bool is_right)
{
    struct timespec times[2] = {{.tv_sec = (time_t)f->arrived}, {.tv_sec = (time_t)f->arrived}};
    FILE *out = f->out;
    f->out = NULL;
    bool is_written = !is_right || (fflush(out) == 0 && futimens(fileno(out), times) == 0 &&
                                    fsync(fileno(out)) == 0);
    if (fclose(out) != 0 || !is_written)
        return -1;
    return is_right ? renameat(f->tmp, f->name, f->new, f->name) : unlinkat(f->tmp, f->name, 0);
}

int mailbox_file_end(struct mailbox_file *f, bool is_right, struct error *e)
{
    int rc = f->is_mbox ? end_mbox(f, is_right) : end_maildir(f, is_right);
    return rc < 0 ? failed(e, f->path) : 0;
}

/* --- the end --- */

static int sync_parent(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(dir, n > 0 ? path : ".", n > 0 ? n : 1);
    dir[n > 0 ? n : 1] = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int close_synced(FILE **at)
{
    FILE *out = *at;
    *at = NULL;
    bool is_synced = fflush(out) == 0 && fsync(fileno(out)) == 0;
    return fclose(out) == 0 && is_synced ? 0 : -1;
}

static int finish_list(struct mailbox_file *f)
{
    if (f->list == NULL)
        return 0;
    if (fflush(f->list) != 0 || fseeko(f->list, 0, SEEK_SET) != 0 || write_header(f) < 0 ||
        close_synced(&f->list) < 0)
        return -1;
    return renameat(f->dir, LIST_PART, f->dir, LIST_NAME);
}

int mailbox_file_finish(struct mailbox_file *f, struct error *e)
{
    if (f->is_mbox) {
        if (close_synced(&f->out) < 0 || rename(f->part, f->path) < 0 || sync_parent(f->path) < 0)
            return failed(e, f->path);
        return 0;
    }
    if (fsync(f->new) < 0 || finish_list(f) < 0 || fsync(f->dir) < 0)
        return failed(e, f->path);
    return 0;
}
