#include "common/layout.h"

#include "common/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

void layout_owner(enum role role, uid_t *uid, gid_t *gid)
{
    bool is_named;
    if (geteuid() == 0) {
        jail_account(role, uid, gid, &is_named);
        return;
    }
    *uid = geteuid();
    *gid = getegid();
}

/* Opens dir/name as a directory, made if it is missing. The fd, or -1. */
static int open_dir(int dirfd, const char *name, mode_t mode)
{
    if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
        return -1;
    return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int own_dir(int dirfd, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    int fd = open_dir(dirfd, name, 0700);
    if (fd < 0)
        return -1;
    struct stat st;
    int result = fstat(fd, &st);
    if (result == 0 && (st.st_uid != uid || st.st_gid != gid))
        result = fchown(fd, uid, gid);
    if (result == 0 && (st.st_mode & 07777) != mode)
        result = fchmod(fd, mode);
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

static int link_to(int dirfd, const char *name, const char *target)
{
    char there[64];
    ssize_t n = readlinkat(dirfd, name, there, sizeof there);
    if (n >= 0 && span_eq((struct span){there, (size_t)n}, span_of(target)))
        return 0;
    if (n >= 0 || errno == EINVAL) {
        errno = EEXIST;
        return -1;
    }
    return symlinkat(target, dirfd, name);
}

static int base_dir(const char *path, const char *setting, struct error *e)
{
    int fd = -1;
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, "cannot use %s %s: %s; make its parent directory or change the setting",
                         setting, path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0) ||
        (st.st_mode & 022) != 0) {
        close(fd);
        return error_set(e,
                         "%s %s must belong to the user who starts barid and be writable by nobody "
                         "else: chown and chmod 755 it",
                         setting, path);
    }
    return fd;
}

int layout_state(const struct config *c, struct error *e)
{
    uid_t authd, queue;
    gid_t authd_group, queue_group, mailbox_group;
    layout_owner(ROLE_MAILBOX, &queue, &mailbox_group);
    layout_owner(ROLE_QUEUE, &queue, &queue_group);
    layout_owner(ROLE_AUTHD, &authd, &authd_group);
    int fd = base_dir(c->state_dir, "state_dir", e);
    if (fd < 0)
        return -1;
    if (faccessat(fd, LAYOUT_RESTORING, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        close(fd);
        return error_set(e,
                         "%s: a restore was cut short and left a part of a backup: run barid "
                         "restore again, with --force",
                         c->state_dir);
    }
    const char *at = "authd";
    int result = own_dir(fd, at, authd, authd_group, 0700);
    if (result == 0)
        result = own_dir(fd, at = "queue", queue, mailbox_group, 02750);
    if (result == 0)
        result = own_dir(fd, at = "empty", geteuid(), getegid(), 0555);
    if (result == 0)
        result = link_to(fd, at = "users.db", "authd/users.db");
    if (result == 0)
        result = link_to(fd, at = "mail.db", "queue/mail.db");
    if (result == 0)
        result = link_to(fd, at = "spool", "queue/spool");
    if (result < 0 && errno == EEXIST)
        error_set(e, "%s/%s is in the way: barid keeps a symbolic link of this name there; move it",
                  c->state_dir, at);
    else if (result < 0)
        error_set(e, "cannot make %s/%s: %s", c->state_dir, at, strerror(errno));
    close(fd);
    return result;
}

int layout_run(const struct config *c, struct error *e)
{
    int fd = base_dir(c->run_dir, "run_dir", e);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}
