/* `barid backup`: queue and authd hand over copies of their stores and the files, here they are
 * written down. */
#include "cli/backup.h"

#include "cli/mailbox.h"
#include "cli/progress.h"
#include "common/buf.h"
#include "common/ipc.h"
#include "common/unixsock.h"
#include "common/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define ANSWER_MS                                                                                  \
    (24LL * 3600 * 1000) /* a large store takes its time; a daemon that dies is seen */

struct job {
    struct cli *cli;
    int dirfd;
    struct loop *loop;
    struct ipc *queue, *authd;
    struct progress progress;
    struct buf manifest; /* without its first line */
    uint64_t n_files, n_missing, octets;
    /* of the question under way */
    bool is_answered, is_lost;
    struct ipc *ch;
    enum backup_phase phase;
    enum verdict verdict;
    uint64_t next, id;
    int fd;
    struct error error;
};

static void on_close(void *owner, struct ipc *ch)
{
    struct job *j = owner;
    (void)ch; /* without either of them there is no backup */
    j->is_lost = true;
}

static const struct ipc_ops ops = {.on_close = on_close};

static void answered(void *arg, const union msg *m, int fd)
{
    struct job *j = arg;
    j->is_answered = true;
    j->fd = fd;
    if (m == NULL) {
        j->is_lost = true;
        return;
    }
    j->verdict = (enum verdict)m->backup_next_re.verdict;
    j->next = m->backup_next_re.next;
    j->id = m->backup_next_re.id;
    error_set(&j->error, "%s: %.*s", role_name(ipc_peer(j->ch)), (int)m->backup_next_re.error.n,
              m->backup_next_re.error.p);
}

/* 0, and what was answered is in j; -1 and j->error. */
static int ask(struct job *j, enum backup_phase phase, uint64_t after)
{
    struct msg_backup_next m = {.phase = (uint8_t)phase, .after = after};
    j->is_answered = false;
    j->phase = phase;
    j->fd = -1;
    if (ipc_ask_backup_next(j->ch, &m, -1, ANSWER_MS, answered, j) == 0)
        j->is_lost = true;
    while (!j->is_answered && !j->is_lost)
        loop_turn(j->loop, -1);
    return j->is_lost ? error_set(&j->error, "%s ended the connection: see its log",
                                  role_name(ipc_peer(j->ch)))
                      : 0;
}

static struct ipc *reach(struct job *j, enum role role)
{
    char name[32];
    bool is_absent = false;
    snprintf(name, sizeof name, "%s.sock", role_name(role));
    int fd = unixsock_connect(j->cli->config->run_dir, name, &is_absent, &j->error);
    if (fd < 0 && is_absent)
        error_set(&j->error, "barid is not running: start it with: barid run");
    if (fd < 0)
        return NULL;
    struct ipc *ch = ipc_open(j->loop, fd, ROLE_CLI, role, &ops, j);
    if (ch == NULL)
        error_set(&j->error, "no memory");
    return ch;
}

/* --- writing --- */

static int write_failed(struct job *j, const char *name)
{
    return error_set(&j->error, "%s/%s: %s", j->cli->args[0].p, name, strerror(errno));
}

static int take(struct job *j, int in, const char *name)
{
    struct backup_copied copied;
    if (backup_copy(in, j->dirfd, name, &copied) < 0) {
        /* A message that was removed while we were at it is given twice. */
        return errno == EEXIST && j->phase == BACKUP_REMOVED ? 0 : write_failed(j, name);
    }
    j->n_files++;
    j->octets += copied.octets;
    progress_at(&j->progress, j->n_files, j->octets);
    return buf_addf(&j->manifest, "%s  %s\n", copied.hash, name) < 0
               ? error_set(&j->error, "no memory")
               : 0;
}

/* Takes what was answered; closes the descriptor. */
static int take_answer(struct job *j, const char *name)
{
    int rc = j->verdict == VERDICT_OK && j->fd >= 0 ? take(j, j->fd, name) : -1;
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    return rc;
}

static int take_store(struct job *j, struct ipc *from, const char *name)
{
    j->ch = from;
    return ask(j, BACKUP_STORE, 0) < 0 ? -1 : take_answer(j, name);
}

static void missing(struct job *j, const char *id)
{
    j->n_missing++;
    progress_end(&j->progress);
    cli_fail(j->cli,
             "left out: the content of message %s is missing or damaged; restore it from an older "
             "backup",
             id);
}

static int take_files(struct job *j, enum backup_phase phase)
{
    char name[BACKUP_NAME_MAX], id[ID_TEXT];
    for (uint64_t after = 0;; after = j->next) {
        if (ask(j, phase, after) < 0)
            return -1;
        if (j->verdict == VERDICT_NEVER)
            return 0;
        if (j->next <= after || j->id == 0 || j->id > INT64_MAX) {
            if (j->fd >= 0)
                close(j->fd);
            return -1;
        }
        id_format(id, j->id);
        snprintf(name, sizeof name, BACKUP_SPOOL "/%s", id);
        if (j->verdict != VERDICT_OK)
            missing(j, id);
        else if (take_answer(j, name) < 0)
            return -1;
    }
}

static int take_config(struct job *j)
{
    int fd = open(j->cli->config_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(&j->error, "%.200s: %s", j->cli->config_file, strerror(errno));
    int rc = take(j, fd, "barid.conf");
    close(fd);
    return rc;
}

/* All of it is on disk before there is a manifest, and the manifest before there is its name. */
static int finish(struct job *j)
{
    char head[64];
    struct span lines = buf_span(&j->manifest);
    int n = snprintf(head, sizeof head, "# barid backup 1, files: %llu\n",
                     (unsigned long long)j->n_files);
    int fd = syncfs(j->dirfd) < 0 ? -1
                                  : openat(j->dirfd, BACKUP_MANIFEST ".new",
                                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        if (fd >= 0)
            close(fd);
        return write_failed(j, BACKUP_MANIFEST);
    }
    bool is_good = fwrite(head, 1, (size_t)n, f) == (size_t)n &&
                   fwrite(lines.p, 1, lines.n, f) == lines.n && fflush(f) == 0 && fsync(fd) == 0;
    is_good = fclose(f) == 0 && is_good;
    if (!is_good || renameat(j->dirfd, BACKUP_MANIFEST ".new", j->dirfd, BACKUP_MANIFEST) < 0 ||
        fsync(j->dirfd) < 0)
        return write_failed(j, BACKUP_MANIFEST);
    return 0;
}

/* A directory of its own; one that is there must be empty. */
static int make_dir(struct job *j)
{
    const char *dir = j->cli->args[0].p;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return error_set(&j->error, "cannot make %.200s: %s", dir, strerror(errno));
    j->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dirfd < 0)
        return error_set(&j->error, "%.200s: %s", dir, strerror(errno));
    if (mkdirat(j->dirfd, BACKUP_SPOOL, 0700) < 0)
        return error_set(&j->error,
                         errno == EEXIST ? "%.200s holds a backup already, or a part of one: name "
                                           "another directory"
                                         : "%.200s cannot be written",
                         dir);
    return 0;
}

/* Mail before people: a user who is made meanwhile has an empty mailbox after a restore. The other
 * way round there could be a mailbox without its user, whose number the next user would get. */
static int back_up(struct job *j)
{
    if (cli_load(j->cli, &j->error) < 0)
        return -1;
    j->loop = loop_new();
    if (j->loop == NULL)
        return error_set(&j->error, "no memory");
    if ((j->queue = reach(j, ROLE_QUEUE)) == NULL || (j->authd = reach(j, ROLE_AUTHD)) == NULL)
        return -1;
    if (make_dir(j) < 0 || take_config(j) < 0 || take_store(j, j->queue, "mail.db") < 0 ||
        take_store(j, j->authd, "users.db") < 0)
        return -1;
    j->ch = j->queue;
    if (take_files(j, BACKUP_FILES) < 0 || take_files(j, BACKUP_REMOVED) < 0)
        return -1;
    return finish(j);
}

static int report(struct job *j)
{
    static struct admin_row r;
    struct rows rows = {.n = 0};
    row_begin(&r);
    row_text(&r, "directory", j->cli->args[0]);
    row_number(&r, "files", (int64_t)j->n_files);
    row_size(&r, "octets", j->octets);
    row_number(&r, "missing", (int64_t)j->n_missing);
    int status = rows_add(&rows, 0, SPAN(""), packer_span(&r.w)) < 0
                     ? cli_fail(j->cli, "no memory")
                     : mailbox_print(j->cli, &rows, SHAPE_OBJECT);
    rows_free(&rows);
    return j->n_missing > 0 ? EXIT_REFUSED : status;
}

int backup_main(struct cli *cli)
{
    struct job j = {.cli = cli, .dirfd = -1, .fd = -1};
    buf_init(&j.manifest, SIZE_MAX / 4);
    progress_begin(&j.progress, cli, "files", 0);
    error_set(&j.error, "the answer is not complete: install all of barid together");
    int rc = back_up(&j);
    progress_end(&j.progress);
    int status = rc == 0 ? report(&j) : cli_fail(cli, "no backup was made: %s", j.error.text);
    ipc_close(j.queue);
    ipc_close(j.authd);
    if (j.loop != NULL)
        loop_free(j.loop);
    if (j.dirfd >= 0)
        close(j.dirfd);
    buf_free(&j.manifest);
    return status;
}
