/* Preloaded into one process under test: it writes down what the process does to its files and
 * says to others (trace.h), and can make one call fail. Production code knows nothing of it.
 *
 * BARID_FAULT=CALL:N:WHAT makes the Nth call of a kind fail, and no other:
 *   CALL  alloc read write sync open truncate unlink; send receive: messages to and from other
 *         processes; accept socket connect talk hear: connections; step: a statement of SQLite,
 *         which is not run then
 *   WHAT  EIO ENOSPC EMFILE ENOMEM, short (half of it is written), kill (as kill -9, before the
 *         call); of a step: FULL IOERR BUSY NOMEM CORRUPT
 *
 * BARID_FAULT=clock:1:SECONDS sets the wall clock forward or back by so much.
 *
 * SQLite's automatic checkpoints come after a 400th of the pages that the process asks for.
 *
 * It runs inside the jail, so it makes only system calls that the process may make, and it asks for
 * no memory. One thread. */
#include "tests/fault/trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <libaio.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define FDS 8192

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static int trace_fd = -1;
static struct {
    int (*autocheckpoint)(sqlite3 *db, int pages);
    int (*step)(sqlite3_stmt *s);
    int (*exec)(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *arg,
                char **why);
    int (*errcode)(sqlite3 *db);
} real; /* none is called by who has no SQLite */
static long long clock_shift_s;
static bool is_file[FDS]; /* opened by a name, so its writes are of interest */

/* --- failing --- */

#define SITE_FRAMES 6
#define SITES_MAX   16384

static pid_t first_pid; /* the processes that it forks count for themselves */

static struct {
    char call[12];
    uint64_t at, seen;
    int error; /* 0: nothing; else errno */
    bool is_short, is_kill;
} plan;

static const struct {
    const char *name;
    int number;
} errors[] = {{"EIO", EIO},          {"ENOSPC", ENOSPC},      {"EMFILE", EMFILE},
              {"ENOMEM", ENOMEM},    {"FULL", SQLITE_FULL},   {"IOERR", SQLITE_IOERR_WRITE},
              {"BUSY", SQLITE_BUSY}, {"NOMEM", SQLITE_NOMEM}, {"CORRUPT", SQLITE_CORRUPT}};

static void read_plan(const char *text)
{
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    if (colon == NULL || (size_t)(colon - text) >= sizeof plan.call)
        return;
    memcpy(plan.call, text, (size_t)(colon - text));
    char *end;
    plan.at = strtoull(colon + 1, &end, 10);
    const char *what = *end == ':' ? end + 1 : "";
    plan.is_short = strcmp(what, "short") == 0;
    plan.is_kill = strcmp(what, "kill") == 0;
    if (strcmp(plan.call, "clock") == 0)
        clock_shift_s = strtoll(what, NULL, 10);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(what, errors[i].name) == 0)
            plan.error = errors[i].number;
}

/* --- writing down --- */

static void note(const struct trace_record *r, const void *octets)
{
    if (trace_fd < 0 || (plan.at != 0 && r->kind < TRACE_FAILED))
        return;
    int saved = errno;
    struct iovec v[] = {{(void *)(uintptr_t)r, sizeof *r}, {(void *)(uintptr_t)octets, r->n}};
    if (syscall(SYS_writev, trace_fd, v, r->n > 0 ? 2 : 1) < 0)
        trace_fd = -1; /* the harness misses the rest and says so */
    errno = saved;
}

static void note_path(enum trace_kind kind, int dirfd, const char *path, int fd, int flags)
{
    note(&(struct trace_record){kind, fd, dirfd, (uint32_t)strlen(path), (uint64_t)(unsigned)flags},
         path);
}

static bool is_new(uint64_t hash)
{
    static uint64_t seen[2 * SITES_MAX];
    static size_t n;
    size_t at = hash % (2 * SITES_MAX);
    while (seen[at] != 0 && seen[at] != hash)
        at = (at + 1) % (2 * SITES_MAX);
    if (seen[at] == hash || n == SITES_MAX)
        return false;
    seen[at] = hash;
    n++;
    return true;
}

/* Who called whom, as far as some frames up. The first call from each place is of interest. Where
 * the libraries lie is the same in one process. */
static void note_site(void)
{
    static bool is_inside; /* what asks for memory may itself be in the library that looks */
    void *frames[SITE_FRAMES + 2];
    uint64_t hash = 14695981039346656037U;
    if (is_inside)
        return;
    is_inside = true;
    int n = backtrace(frames, SITE_FRAMES + 2);
    for (int i = 2; i < n; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 1099511628211U;
    if (is_new(hash | 1))
        note(&(struct trace_record){.kind = TRACE_SITE, .offset = plan.seen}, NULL);
    is_inside = false;
}

/* Is it this call's turn? Then errno is set, or there is no return. */
static bool fails(const char *call)
{
    if (plan.at == 0 || strcmp(plan.call, call) != 0)
        return false;
    plan.seen++;
    if (plan.at == UINT64_MAX)
        note_site();
    if (plan.seen != plan.at)
        return false;
    note(&(struct trace_record){.kind = TRACE_FAILED}, NULL);
    if (plan.is_kill)
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGKILL);
    errno = plan.error;
    return true;
}

/* Whose code was it? Then it dies of it. */
static void crashed(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    void *frames[3] = {NULL}; /* this function, the return from a signal, and where it happened */
    Dl_info of;
    if (backtrace(frames, 3) == 3 && dladdr(frames[2], &of) != 0 && of.dli_fname != NULL &&
        strstr(of.dli_fname, "libunbound") != NULL)
        note(&(struct trace_record){.kind = TRACE_FOREIGN}, NULL);
}

__attribute__((constructor)) static void begin(void)
{
    const char *fd = getenv(TRACE_FD_ENV);
    if (fd != NULL)
        trace_fd = (int)strtol(fd, NULL, 10);
    void *unused[2];
    backtrace(unused, 2); /* the first time it loads a library */
    struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
    sigaction(SIGSEGV, &action, NULL);
    first_pid = getpid();
    read_plan(getenv(TRACE_FAIL_ENV));
    *(void **)&real.autocheckpoint = dlsym(RTLD_NEXT, "sqlite3_wal_autocheckpoint");
    *(void **)&real.step = dlsym(RTLD_NEXT, "sqlite3_step");
    *(void **)&real.exec = dlsym(RTLD_NEXT, "sqlite3_exec");
    *(void **)&real.errcode = dlsym(RTLD_NEXT, "sqlite3_extended_errcode");
}

__attribute__((destructor)) static void end(void)
{
    if (getpid() == first_pid)
        note(&(struct trace_record){.kind = TRACE_COUNT, .offset = plan.seen}, NULL);
}

static bool is_of_interest(int fd)
{
    return fd >= 0 && fd < FDS && is_file[fd];
}

/* --- memory --- */

void *malloc(size_t n)
{
    return fails("alloc") ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails("alloc") ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails("alloc") ? NULL : __libc_realloc(p, n);
}

/* --- files --- */

static int open_file(int dirfd, const char *path, int flags, mode_t mode)
{
    if (fails("open"))
        return -1;
    int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        is_file[fd] = true;
        note_path(TRACE_OPEN, dirfd, path, fd, flags);
    }
    return fd;
}

#include "tests/fault/opened.h"

int close(int fd)
{
    if (is_of_interest(fd)) {
        note(&(struct trace_record){.kind = TRACE_CLOSE, .fd = fd}, NULL);
        is_file[fd] = false;
    }
    return (int)syscall(SYS_close, fd);
}

/* How much of n is written, or -1. */
static ssize_t allowed(const char *call, size_t n)
{
    if (!fails(call))
        return (ssize_t)n;
    return plan.is_short ? (ssize_t)(n / 2) : -1;
}

static ssize_t write_at(int fd, const void *octets, size_t n, off_t at)
{
    bool is_wanted = is_of_interest(fd);
    off_t offset = at >= 0 || !is_wanted ? at : (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t want = is_wanted ? allowed("write", n) : (ssize_t)n;
    if (want < 0)
        return -1;
    ssize_t done = at >= 0 ? syscall(SYS_pwrite64, fd, octets, (size_t)want, at)
                           : syscall(SYS_write, fd, octets, (size_t)want);
    if (done > 0 && is_wanted)
        note(&(struct trace_record){TRACE_WRITE, fd, -1, (uint32_t)done, (uint64_t)offset}, octets);
    return done;
}

ssize_t write(int fd, const void *octets, size_t n)
{
    return write_at(fd, octets, n, -1);
}

ssize_t pwrite64(int fd, const void *octets, size_t n, off_t at)
{
    return write_at(fd, octets, n, at);
}

ssize_t read(int fd, void *octets, size_t n)
{
    return fails("read") ? -1 : syscall(SYS_read, fd, octets, n);
}

ssize_t pread64(int fd, void *octets, size_t n, off_t at)
{
    return fails("read") ? -1 : syscall(SYS_pread64, fd, octets, n, at);
}

int ftruncate64(int fd, off_t size)
{
    if (fails("truncate") || syscall(SYS_ftruncate, fd, size) < 0)
        return -1;
    note(&(struct trace_record){.kind = TRACE_TRUNCATE, .fd = fd, .offset = (uint64_t)size}, NULL);
    return 0;
}

/* Not handed on: the disk under the tests is of no interest, only what the process asked for. */
static int synced(int fd)
{
    if (fails("sync"))
        return -1;
    note(&(struct trace_record){.kind = TRACE_SYNC, .fd = fd}, NULL);
    return 0;
}

int fsync(int fd)
{
    return synced(fd);
}

int fdatasync(int fd)
{
    return synced(fd);
}

/* Several at once (libaio). Each counts as one, in their order, and all are over when they are
 * asked for. */
static struct io_event synced_events[64 + 1];
static int n_synced_events;

int io_submit(io_context_t ctx, long n, struct iocb *each[])
{
    (void)ctx;
    for (long i = 0; i < n; i++)
        synced_events[n_synced_events++] = (struct io_event){
            .obj = each[i],
            .res = (unsigned long)(synced(each[i]->aio_fildes) < 0 ? -(long)errno : 0)};
    return (int)n;
}

int io_getevents(io_context_t ctx, long least, long most, struct io_event *out,
                 struct timespec *limit)
{
    (void)ctx, (void)least, (void)limit;
    int n = n_synced_events < most ? n_synced_events : (int)most;
    memcpy(out, synced_events, (size_t)n * sizeof *out);
    n_synced_events = 0;
    return n;
}

int unlinkat(int dirfd, const char *path, int flags)
{
    if (fails("unlink") || syscall(SYS_unlinkat, dirfd, path, flags) < 0)
        return -1;
    note_path(TRACE_UNLINK, dirfd, path, -1, flags);
    return 0;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
    if (syscall(SYS_mkdirat, AT_FDCWD, path, mode) < 0)
        return -1;
    note_path(TRACE_MKDIR, AT_FDCWD, path, -1, 0);
    return 0;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, which, now);
    if (which == CLOCK_REALTIME)
        now->tv_sec += clock_shift_s;
    return rc;
}

/* --- SQLite --- */

int sqlite3_wal_autocheckpoint(sqlite3 *db, int pages)
{
    return real.autocheckpoint(db, pages / 400);
}

static int step_error; /* what the last step that was made to fail says; 0: the last one was real */

static bool
    is_in_exec; /* it asks a statement that has stepped for its error, and would find none */

static bool fails_step(void)
{
    if (is_in_exec)
        return false;
    step_error = fails("step") ? plan.error : 0;
    return step_error != 0;
}

int sqlite3_step(sqlite3_stmt *s)
{
    return fails_step() ? step_error : real.step(s);
}

int sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *arg,
                 char **why)
{
    if (fails_step())
        return step_error;
    bool was_in_exec = is_in_exec;
    is_in_exec = true;
    int rc = real.exec(db, sql, row, arg, why);
    is_in_exec = was_in_exec;
    return rc;
}

int sqlite3_extended_errcode(sqlite3 *db)
{
    return step_error != 0 ? step_error : real.errcode(db);
}

/* --- connections --- */

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    return fails("accept") ? -1 : (int)syscall(SYS_accept4, fd, from, n, flags);
}

int socket(int family, int type, int protocol)
{
    return fails("socket") ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    return fails("connect") ? -1 : (int)syscall(SYS_connect, fd, to, n);
}

ssize_t send(int fd, const void *octets, size_t n, int flags)
{
    ssize_t want = allowed("talk", n);
    return want < 0 ? -1 : syscall(SYS_sendto, fd, octets, (size_t)want, flags, NULL, 0);
}

ssize_t recv(int fd, void *octets, size_t n, int flags)
{
    return fails("hear") ? -1 : syscall(SYS_recvfrom, fd, octets, n, flags, NULL, NULL);
}

ssize_t __recv_chk(int fd, void *octets, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *octets, size_t n, size_t room, int flags)
{
    (void)room;
    return recv(fd, octets, n, flags);
}

/* --- messages --- */

static void note_message(enum trace_kind kind, const struct msghdr *m, ssize_t done)
{
    if (done > 0)
        note(&(struct trace_record){.kind = kind,
                                    .fd = -1,
                                    .n = done < TRACE_MESSAGE ? (uint32_t)done : TRACE_MESSAGE},
             m->msg_iov[0].iov_base);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    if (fails("send"))
        return -1;
    ssize_t done = syscall(SYS_sendmsg, fd, m, flags);
    note_message(TRACE_SEND, m, done);
    return done;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    if (fails("receive"))
        return -1;
    ssize_t done = syscall(SYS_recvmsg, fd, m, flags);
    note_message(TRACE_RECEIVE, m, done);
    return done;
}
