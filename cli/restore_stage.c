#include "cli/restore_stage.h"

#include "common/clock.h"
#include "common/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define STAGE "restore.new"

static int failed(const struct stage *s, const char *what, struct error *e)
{
    return error_set(e, "%s/%s: %s: run this as the user who starts barid", s->config->state_dir,
                     what, strerror(errno));
}

static int open_dir(int dirfd, const char *name)
{
    return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What a stage has: two levels of directories, and files. */
static int empty_dir(int parent, const char *name, int depth)
{
    int fd = open_dir(parent, name);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return errno == ENOENT ? 0 : -1;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (depth > 0 && empty_dir(dirfd(d), e->d_name, depth - 1) == 0)
            continue;
        unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
    return unlinkat(parent, name, AT_REMOVEDIR);
}

static int make_dir(int parent, const char *name)
{
    return mkdirat(parent, name, 0700) < 0 ? -1 : open_dir(parent, name);
}

int stage_open(struct stage *s, const struct config *c, struct error *e)
{
    *s = (struct stage){.config = c, .state = -1, .authd = -1, .queue = -1, .spool = -1};
    if (mkdir(c->state_dir, 0755) < 0 && errno != EEXIST)
        return failed(s, "", e);
    s->state = open(c->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->state < 0)
        return failed(s, "", e);
    empty_dir(s->state, STAGE, 2);
    int top = make_dir(s->state, STAGE);
    if (top >= 0 && (s->authd = make_dir(top, "authd")) >= 0 &&
        (s->queue = make_dir(top, "queue")) >= 0)
        s->spool = make_dir(s->queue, "spool");
    int rc = s->spool >= 0 ? 0 : failed(s, STAGE, e);
    if (top >= 0)
        close(top);
    return rc;
}

bool stage_has_store(const struct stage *s)
{
    struct stat st;
    return fstatat(s->state, "authd/users.db", &st, 0) == 0 ||
           fstatat(s->state, "queue/mail.db", &st, 0) == 0;
}

/* --- whose it is --- */

static int own_file(int dirfd, const char *name, uid_t uid, gid_t gid)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fchown(fd, uid, gid) == 0 && fchmod(fd, 0640) == 0 ? 0 : -1, why = errno;
    close(fd);
    errno = why;
    return rc;
}

static int own_files(int dirfd, uid_t uid, gid_t gid)
{
    int rc = 0, fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    for (struct dirent *e = readdir(d); e != NULL && rc == 0; e = readdir(d))
        if (e->d_name[0] != '.' && e->d_type != DT_DIR)
            rc = own_file(dirfd, e->d_name, uid, gid);
    int why = errno;
    closedir(d);
    errno = why;
    return rc;
}

/* As common/layout.c and the owners would have made them. */
static int hand_over(struct stage *s)
{
    uid_t authd, queue, nobody;
    gid_t authd_group, queue_group, mailbox_group;
    layout_owner(ROLE_AUTHD, &authd, &authd_group);
    layout_owner(ROLE_QUEUE, &queue, &queue_group);
    layout_owner(ROLE_MAILBOX, &nobody, &mailbox_group);
    if (own_files(s->authd, authd, authd_group) < 0 ||
        own_files(s->queue, queue, mailbox_group) < 0 ||
        own_files(s->spool, queue, mailbox_group) < 0)
        return -1;
    if (fchown(s->spool, queue, mailbox_group) < 0 || fchmod(s->spool, 02750) < 0 ||
        fchown(s->queue, queue, mailbox_group) < 0 || fchmod(s->queue, 02750) < 0 ||
        fchown(s->authd, authd, authd_group) < 0 || fchmod(s->authd, 0700) < 0)
        return -1;
    return syncfs(s->state);
}

/* --- changing places --- */

static int mark(const struct stage *s)
{
    int fd = openat(s->state, LAYOUT_RESTORING, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    close(fd);
    return fsync(s->state);
}

static int move_aside(struct stage *s)
{
    char when[CLOCK_TEXT_MAX];
    clock_rfc3339(when, clock_wall_s());
    snprintf(s->aside, sizeof s->aside, "before-restore-%s", when);
    int to = make_dir(s->state, s->aside);
    if (to < 0)
        return -1;
    static const char *const names[] = {"authd", "queue"};
    int rc = 0;
    for (size_t i = 0; i < 2 && rc == 0; i++)
        if (renameat(s->state, names[i], to, names[i]) < 0 && errno != ENOENT)
            rc = -1;
    int why = errno;
    close(to);
    errno = why;
    return rc;
}

static int put_in_place(struct stage *s)
{
    if (renameat(s->state, STAGE "/queue", s->state, "queue") < 0 ||
        renameat(s->state, STAGE "/authd", s->state, "authd") < 0 || fsync(s->state) < 0)
        return -1;
    return unlinkat(s->state, LAYOUT_RESTORING, 0) < 0 ? -1 : fsync(s->state);
}

/* From the mark on nobody starts with half of it; a restore that is cut short here is run again. */
int stage_commit(struct stage *s, struct error *e)
{
    if (hand_over(s) < 0)
        return failed(s, STAGE, e);
    if (mark(s) < 0)
        return failed(s, LAYOUT_RESTORING, e);
    if (stage_has_store(s) && move_aside(s) < 0)
        return failed(s, s->aside, e);
    return put_in_place(s) < 0 ? failed(s, STAGE, e) : 0;
}

void stage_close(struct stage *s)
{
    const int fds[] = {s->authd, s->queue, s->spool};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (s->state < 0)
        return;
    empty_dir(s->state, STAGE, 2);
    close(s->state);
}
