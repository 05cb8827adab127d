#include "common/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>

/* Later than the headers of the oldest system we build on; by the kernel's ABI documentation. */
#define ABI_TRUNCATE 3
#define ABI_TCP      4
#define ABI_IOCTL    5
#define ABI_SCOPES   6
#define FS_TRUNCATE  (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define NET_BIND     (1ULL << 0)
#define NET_CONNECT  (1ULL << 1)
#define SCOPE_ALL    3ULL /* abstract sockets and signals to processes outside */

#define FS_READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITES                                                                                  \
    (FS_READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |                      \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                                \
     LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_TRUNCATE)
#define FS_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

struct ruleset {
    uint64_t fs, net, scoped;
};

static struct ruleset everything(int abi, const struct landlock_rules *rules)
{
    struct ruleset r = {.fs = FS_ABI_1};
    if (abi >= 2)
        r.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= ABI_TRUNCATE)
        r.fs |= FS_TRUNCATE;
    if (abi >= ABI_TCP)
        r.net = NET_BIND | (rules->may_connect ? 0 : NET_CONNECT);
    if (abi >= ABI_IOCTL)
        r.fs |= FS_IOCTL_DEV;
    if (abi >= ABI_SCOPES)
        r.scoped = SCOPE_ALL;
    return r;
}

static size_t ruleset_octets(int abi)
{
    return abi >= ABI_SCOPES ? 3 * sizeof(uint64_t)
           : abi >= ABI_TCP  ? 2 * sizeof(uint64_t)
                             : sizeof(uint64_t);
}

static int allow(int ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr at = {
        .allowed_access = access,
        .parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC),
    };
    if (at.parent_fd < 0)
        return -1;
    long result = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &at, 0);
    int saved = errno;
    close(at.parent_fd);
    errno = saved;
    return (int)result;
}

/* Those of them that this system has. */
static int allow_system(int ruleset, uint64_t handled)
{
    static const char *const paths[] = {"/etc", "/lib", "/lib64", "/usr", "/run", "/var/lib/sss"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (allow(ruleset, paths[i], FS_READS & handled) < 0 && errno != ENOENT)
            return -1;
    return 0;
}

static int allow_files(int ruleset, const struct landlock_rules *rules, uint64_t handled)
{
    if (rules->files == LANDLOCK_NO_FILES)
        return 0;
    if (rules->files == LANDLOCK_SYSTEM)
        return allow_system(ruleset, handled);
    uint64_t access = rules->files == LANDLOCK_WRITES ? FS_WRITES : FS_READS;
    return allow(ruleset, rules->root, access & handled);
}

int landlock_enter(const struct landlock_rules *rules, struct error *e)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return 0;
    struct ruleset all = everything((int)abi, rules);
    long fd = syscall(SYS_landlock_create_ruleset, &all, ruleset_octets((int)abi), 0U);
    if (fd < 0)
        return error_set(e, "landlock: cannot make a rule set: %s", strerror(errno));
    int result = allow_files((int)fd, rules, all.fs);
    if (result == 0)
        result = (int)syscall(SYS_landlock_restrict_self, (int)fd, 0U);
    if (result < 0)
        error_set(e, "landlock: %s", strerror(errno));
    close((int)fd);
    return result < 0 ? -1 : 1;
}
