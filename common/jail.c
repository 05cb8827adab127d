#include "common/jail.h"

#include "common/landlock.h"
#include "common/log.h"
#include "common/seccomp.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* In the range that systemd gives to dynamic users (61184..65519), which no package may own. */
#define UID_BASE 62600U

void jail_account(enum role role, uid_t *uid, gid_t *gid, bool *is_named)
{
    char name[32];
    snprintf(name, sizeof name, "barid-%s", role_name(role));
    const struct passwd *pw = getpwnam(name);
    *is_named = pw != NULL;
    *uid = pw != NULL ? pw->pw_uid : UID_BASE + role;
    *gid = pw != NULL ? pw->pw_gid : UID_BASE + role;
}

static int limit(int what, uint64_t max, const char *name, struct error *e)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) < 0)
        return error_set(e, "cannot read the limit on %s: %s", name, strerror(errno));
    /* Over the hard limit only root can go, and root of a container often cannot either. */
    rlim_t allowed = max < now.rlim_max ? max : now.rlim_max;
    rlim_t want = geteuid() == 0 ? max : allowed;
    struct rlimit first = {want, want}, second = {allowed, allowed};
    if (setrlimit((__rlimit_resource_t)what, &first) < 0 &&
        setrlimit((__rlimit_resource_t)what, &second) < 0)
        return error_set(e, "cannot set the limit on %s to %llu: %s", name,
                         (unsigned long long)want, strerror(errno));
    return 0;
}

static int set_limits(const struct jail *j, struct error *e)
{
    if (limit(RLIMIT_CORE, 0, "core files", e) < 0 ||
        limit(RLIMIT_NOFILE, j->files_max, "descriptors", e) < 0)
        return -1;
#ifndef BARID_SANITIZERS
    if (j->memory_max > 0 && limit(RLIMIT_AS, j->memory_max, "memory", e) < 0)
        return -1;
#endif
    return limit(RLIMIT_FSIZE, j->file_size_max, "file size", e);
}

/* What a role needs of the file system and the network, beyond descriptors it is given; and of
 * groups: PAM's modules read /etc/shadow, which is that group's on Debian. */
static const struct {
    enum landlock_files files;
    bool may_connect;
    const char *group; /* one of the system's, if it has it */
} needs[ROLES] = {
    [ROLE_AUTHD] = {LANDLOCK_WRITES, false, NULL},
    [ROLE_QUEUE] = {LANDLOCK_WRITES, false, NULL},
    [ROLE_MAILBOX] = {LANDLOCK_READS, false, NULL},
    [ROLE_RELAY] = {LANDLOCK_NO_FILES, true, NULL},
    [ROLE_RESOLVER] = {LANDLOCK_NO_FILES, true, NULL},
    [ROLE_POLICY] = {LANDLOCK_NO_FILES, true, NULL},
    [ROLE_PAMD] = {LANDLOCK_SYSTEM, false, "shadow"},
};

/* The processes of one uid are counted together, so for an ordinary user, whose other processes
 * count too, the limit would hit the wrong ones. */
static int drop_root(const struct jail *j, struct error *e)
{
    uid_t uid;
    gid_t gid;
    bool is_named;
    jail_account(j->role, &uid, &gid, &is_named);
    const char *name = needs[j->role].group;
    const struct group *other = name != NULL ? getgrnam(name) : NULL;
    gid_t group = other != NULL && other->gr_gid != 0 ? other->gr_gid : gid;
    if (uid == 0 || gid == 0)
        return error_set(e, "the account of %s is root's: give it one of its own",
                         role_name(j->role));
    if (chroot(j->root) < 0 || chdir("/") < 0)
        return error_set(e, "cannot chroot to %s: %s", j->root, strerror(errno));
    if (setgroups(other != NULL, &group) < 0 || setresgid(gid, gid, gid) < 0)
        return error_set(e, "cannot become group %u: %s", (unsigned)gid, strerror(errno));
    if (limit(RLIMIT_NPROC, j->processes, "processes", e) < 0)
        return -1;
    if (setresuid(uid, uid, uid) < 0)
        return error_set(e, "cannot become user %u: %s", (unsigned)uid, strerror(errno));
    uid_t r, f, s;
    if (getresuid(&r, &f, &s) < 0 || r != uid || f != uid || s != uid || setuid(0) == 0 ||
        setgid(0) == 0)
        return error_set(e, "root's rights could not be given up");
    return 0;
}

static int enter_landlock(const struct jail *j, struct error *e)
{
    struct landlock_rules rules = {
        .root = ".", .files = needs[j->role].files, .may_connect = needs[j->role].may_connect};
    int result = landlock_enter(&rules, e);
    if (result == 0 && j->role == ROLE_AUTHD) /* once is enough */
        LOG(0, "no-landlock", LZ("because", "this kernel has none; the other walls stand"));
    return result < 0 ? -1 : 0;
}

int jail_enter(const struct jail *j, struct error *e)
{
    pid_t parent = getppid();
    if (set_limits(j, e) < 0)
        return -1;
    if (geteuid() == 0) {
        if (drop_root(j, e) < 0)
            return -1;
    } else if (chdir(j->root) < 0) {
        return error_set(e, "cannot enter %s: %s", j->root, strerror(errno));
    }
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(e, "prctl: %s", strerror(errno));
    if (getppid() != parent)
        return error_set(e, "the parent died");
    if (j->has_landlock && enter_landlock(j, e) < 0)
        return -1;
#ifndef BARID_SANITIZERS
    if (j->has_seccomp && seccomp_enter(j->role, e) < 0)
        return -1;
#endif
    return 0;
}
