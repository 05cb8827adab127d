/* `barid restore`: everything is copied and compared with the manifest first; only then does the
 * store change. */
#include "cli/backup.h"

#include "cli/mailbox.h"
#include "cli/progress.h"
#include "cli/restore_stage.h"
#include "common/layout.h"
#include "common/maildb.h"
#include "common/sql_peek.h"
#include "common/userdb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define MANIFEST_MAX (1ULL << 32)

struct job {
    struct cli *cli;
    int dirfd; /* of the backup */
    struct stage stage;
    struct progress progress;
    uint64_t n_files, octets;
    bool has_users, has_mail, has_other_config;
    struct error error;
};

static int wrong(struct job *j, const char *name, const char *why)
{
    return error_set(&j->error, "%s/%s: %s", j->cli->args[0].p, name, why);
}

static int open_here(struct job *j, const char *name)
{
    struct stat st;
    int fd = openat(j->dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return wrong(j, name, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return wrong(j, name, "is not a file");
}

/* The whole of a file, to be freed; or NULL. */
static char *read_whole(struct job *j, int fd, size_t *n)
{
    struct stat st;
    *n = 0;
    if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size > MANIFEST_MAX)
        return NULL;
    char *text = malloc((size_t)st.st_size + 1);
    while (text != NULL && *n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + *n, (size_t)st.st_size - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        *n += (size_t)got;
    }
    if (text == NULL)
        error_set(&j->error, "no memory");
    return text;
}

/* --- one file --- */

/* The configuration of this machine stays; one that is not there is made. */
static int place_config(struct job *j, int in, struct backup_copied *out)
{
    int rc = backup_copy(in, j->stage.queue, "barid.conf", out);
    unlinkat(j->stage.queue, "barid.conf", 0);
    return rc;
}

static int place(struct job *j, int in, const char *name, struct backup_copied *out)
{
    const struct span spool = SPAN(BACKUP_SPOOL "/");
    if (span_starts(span_of(name), spool))
        return backup_copy(in, j->stage.spool, name + spool.n, out);
    if (strcmp(name, "barid.conf") == 0)
        return place_config(j, in, out);
    bool is_users = strcmp(name, "users.db") == 0;
    j->has_users |= is_users;
    j->has_mail |= !is_users;
    return backup_copy(in, is_users ? j->stage.authd : j->stage.queue, name, out);
}

static int take(struct job *j, const char *name, const char *hash)
{
    struct backup_copied copied = {.octets = 0};
    int in = open_here(j, name);
    if (in < 0)
        return -1;
    int rc = place(j, in, name, &copied);
    if (rc < 0)
        wrong(j, name, errno == EEXIST ? "the manifest names it twice" : strerror(errno));
    else if (strcmp(copied.hash, hash) != 0)
        rc = wrong(j, name, "is not what was backed up: use another backup");
    close(in);
    j->n_files++;
    j->octets += copied.octets;
    progress_at(&j->progress, j->n_files, j->octets);
    return rc;
}

static int take_all(struct job *j, struct span manifest)
{
    char hash[BACKUP_HEX_MAX], name[BACKUP_NAME_MAX];
    uint64_t n_files;
    int rc = backup_manifest_begin(&manifest, &n_files);
    if (rc < 0)
        return wrong(j, BACKUP_MANIFEST, "is not that of a backup");
    progress_begin(&j->progress, j->cli, "files", n_files);
    while ((rc = backup_manifest_next(&manifest, hash, name)) == 1)
        if (take(j, name, hash) < 0)
            return -1;
    if (rc < 0)
        return wrong(j, BACKUP_MANIFEST, "is damaged: use another backup");
    if (j->n_files != n_files || !j->has_users || !j->has_mail)
        return wrong(j, BACKUP_MANIFEST, "is not complete: use another backup");
    return 0;
}

/* An older one is taken to ours at the next start. */
static int check_version(struct job *j, const char *name, int application_id, const int versions[2])
{
    char path[PATH_MAX];
    int id, found;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", j->cli->args[0].p, name) >= sizeof path)
        return wrong(j, name, "its name is too long");
    if (sql_peek(path, &id, &found, &j->error) < 0)
        return -1;
    if (id != application_id)
        return wrong(j, name, "is not a database of barid");
    if (found < versions[0] || found > versions[1])
        return wrong(j, name, "was made by another version of barid: install that one");
    return 0;
}

static int stage_backup(struct job *j)
{
    static const int users[2] = {USERDB_OLDEST, USERDB_VERSION};
    static const int mail[2] = {MAILDB_OLDEST, MAILDB_VERSION};
    size_t n;
    int fd = open_here(j, BACKUP_MANIFEST);
    char *text = fd >= 0 ? read_whole(j, fd, &n) : NULL;
    int rc = text != NULL ? take_all(j, (struct span){text, n}) : -1;
    free(text);
    if (fd >= 0)
        close(fd);
    if (rc == 0)
        rc = check_version(j, "users.db", USERDB_APPLICATION_ID, users);
    return rc == 0 ? check_version(j, "mail.db", MAILDB_APPLICATION_ID, mail) : rc;
}

/* --- the configuration --- */

/* Is there a configuration on this machine? If not, the backup's is put there. 0, or -1. */
static int settle_config(struct job *j)
{
    struct backup_copied ignored;
    const char *path = config_path(j->cli->config_given);
    if (access(path, F_OK) == 0)
        return 0;
    int in = open_here(j, "barid.conf");
    if (in < 0)
        return -1;
    int rc = backup_copy(in, AT_FDCWD, path, &ignored);
    if (rc < 0)
        error_set(&j->error, "%.200s: %s: make its directory", path, strerror(errno));
    close(in);
    return rc;
}

static void compare_config(struct job *j)
{
    size_t n = 0;
    int fd = open_here(j, "barid.conf");
    char *text = fd >= 0 ? read_whole(j, fd, &n) : NULL;
    j->has_other_config = text == NULL || !span_eq((struct span){text, n},
                                                   (struct span){j->cli->text, j->cli->text_n});
    free(text);
    if (fd >= 0)
        close(fd);
}

/* --- all of it --- */

/* The lock of a running barid, so that none starts meanwhile. The fd, or -1. */
static int keep_out_others(struct job *j)
{
    bool is_busy = false;
    if (layout_run(j->cli->config, &j->error) < 0)
        return -1;
    int lock = offline_lock(j->cli->config, &is_busy, &j->error);
    if (is_busy)
        error_set(&j->error, "barid is running with this run_dir: stop it first");
    return lock;
}

static int put_back(struct job *j)
{
    bool is_forced = cli_option(j->cli, "force").p != NULL;
    if (stage_open(&j->stage, j->cli->config, &j->error) < 0)
        return -1;
    if (!is_forced && stage_has_store(&j->stage))
        return error_set(&j->error,
                         "%.200s holds users and mail already: with --force they are moved aside",
                         j->cli->config->state_dir);
    if (stage_backup(j) < 0 || stage_commit(&j->stage, &j->error) < 0)
        return -1;
    compare_config(j);
    return layout_state(j->cli->config, &j->error);
}

static int restore(struct job *j)
{
    j->dirfd = open(j->cli->args[0].p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dirfd < 0)
        return error_set(&j->error, "%.200s: %s", j->cli->args[0].p, strerror(errno));
    if (settle_config(j) < 0 || cli_load(j->cli, &j->error) < 0)
        return -1;
    int lock = keep_out_others(j);
    if (lock < 0)
        return -1;
    int rc = put_back(j);
    stage_close(&j->stage);
    close(lock);
    return rc;
}

static int report(struct job *j)
{
    static struct admin_row r;
    struct rows rows = {.n = 0};
    row_begin(&r);
    row_number(&r, "files", (int64_t)j->n_files);
    row_size(&r, "octets", j->octets);
    row_text(&r, "moved_aside", span_of(j->stage.aside));
    row_bool(&r, "other_config", j->has_other_config);
    int status = rows_add(&rows, 0, SPAN(""), packer_span(&r.w)) < 0
                     ? cli_fail(j->cli, "no memory")
                     : mailbox_print(j->cli, &rows, SHAPE_OBJECT);
    rows_free(&rows);
    return status;
}

int restore_main(struct cli *cli)
{
    struct job j = {
        .cli = cli, .dirfd = -1, .stage = {.state = -1, .authd = -1, .queue = -1, .spool = -1}};
    int rc = restore(&j);
    progress_end(&j.progress);
    int status = rc == 0 ? report(&j) : cli_fail(cli, "nothing was restored: %s", j.error.text);
    if (j.dirfd >= 0)
        close(j.dirfd);
    return status;
}
