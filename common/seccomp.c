#include "common/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define ALL     P_CHILDREN
#define SERVERS (P_SMTPD | P_POP3D)
#define CLIENTS (P_RELAY | P_POLICY)            /* of other servers */
#define STORES  (P_AUTHD | P_QUEUE | P_MAILBOX) /* SQLite */
#define WRITERS (P_AUTHD | P_QUEUE)
#define MODULES (P_PAMD) /* loads code of the system and lets it run, each time in a process */

/* From runs with everything logged, and from what the C library, libevent and SQLite fall back to.
 */
static const struct {
    const char *name;
    unsigned roles;
} allowed[] = {
    /* memory, time, signals, end */
    {"brk", ALL},
    {"munmap", ALL},
    {"mremap", ALL},
    {"madvise", ALL},
    {"clock_gettime", ALL},
    {"clock_nanosleep", ALL},
    {"nanosleep", ALL},
    {"gettimeofday", ALL},
    {"time", ALL},
    {"getrandom", ALL},
    {"rt_sigaction", ALL},
    {"rt_sigprocmask", ALL},
    {"rt_sigreturn", ALL},
    {"restart_syscall", ALL},
    {"futex", ALL},
    {"exit", ALL},
    {"exit_group", ALL},
    {"getpid", ALL},
    {"gettid", ALL},
    {"getppid", ALL},
    {"getuid", ALL},
    {"geteuid", ALL},
    {"tgkill", ALL}, /* abort() */
    /* the event loop and channels */
    {"epoll_wait", ALL},
    {"epoll_pwait", ALL},
    {"epoll_pwait2", ALL},
    {"epoll_ctl", ALL},
    {"poll", ALL},
    {"ppoll", MODULES},
    {"recvmsg", ALL},
    {"sendmsg", ALL},
    {"recvfrom", ALL},
    {"sendto", ALL},
    {"read", ALL},
    {"write", ALL},
    {"readv", ALL},
    {"writev", ALL},
    {"close", ALL},
    {"fcntl", ALL},
    {"fstat", ALL},
    {"newfstatat", ALL},
    {"lseek", ALL},
    {"accept4", SERVERS | WRITERS | P_MAILBOX | P_RELAY}, /* clients; the CLI */
    {"shutdown", SERVERS | CLIENTS},
    {"setsockopt", SERVERS | CLIENTS | P_RESOLVER | P_AUTHD},
    {"getsockopt",
     SERVERS | CLIENTS | P_RESOLVER | WRITERS | P_MAILBOX | MODULES}, /* sssd: who is it? */
    {"getsockname", SERVERS | CLIENTS | P_RESOLVER},
    {"getpeername", SERVERS | CLIENTS | P_RESOLVER | MODULES},
    {"connect", CLIENTS | P_RESOLVER | MODULES},
    {"bind", P_RESOLVER},
    {"socketpair", P_AUTHD}, /* channels to one mailbox */
    {"wait4", P_AUTHD | MODULES},
    {"pread64", STORES | CLIENTS | SERVERS | P_KEYD | MODULES},
    {"sendfile", P_POP3D | P_RELAY},
    {"memfd_create", P_MAILBOX}, /* listings, which it seals */
    /* stores */
    {"openat", STORES},
    {"access", STORES | MODULES},
    {"faccessat2", STORES | MODULES},
    {"stat", STORES | MODULES},
    {"lstat", STORES | MODULES},
    {"readlink", STORES | MODULES},
    {"getcwd", STORES | MODULES},
    {"fstatfs", STORES | MODULES},
    {"statfs", STORES | MODULES},
    {"getdents64", STORES | MODULES},
    {"pwrite64", WRITERS},
    {"ftruncate", WRITERS},
    {"fallocate", WRITERS},
    {"fsync", WRITERS},
    {"fdatasync", WRITERS},
    {"sync_file_range", WRITERS},
    {"io_setup", P_QUEUE}, /* several fsync at once */
    {"io_submit", P_QUEUE},
    {"io_getevents", P_QUEUE},
    {"io_destroy", P_QUEUE},
    {"flock", WRITERS},
    {"fchmod", WRITERS},
    {"fchown", WRITERS},
    {"umask", WRITERS},
    {"mkdir", WRITERS},
    {"mkdirat", WRITERS},
    {"unlink", WRITERS},
    {"unlinkat", WRITERS},
    {"rmdir", WRITERS},
    {"utimensat", WRITERS},
    /* workers, and what modules of PAM ask of the system */
    {"pipe2", MODULES},
    {"dup3", MODULES},
    {"close_range", MODULES},
    {"timer_create", MODULES},
    {"timer_settime", MODULES},
    {"set_robust_list", MODULES},
    {"uname", MODULES},
    {"sysinfo", MODULES},
    {"getgid", MODULES},
    {"getegid", MODULES},
    {"getresuid", MODULES},
    {"getgroups", MODULES},
    {"prlimit64", MODULES},
    {"select", MODULES},
    {"pselect6", MODULES},
};

/* Nobody here ever has a reason, but for who is named above. */
static const char *const fatal[] = {
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "bpf",
    "mount",
    "umount2",
    "unshare",
    "setns",
    "keyctl",
    "add_key",
    "request_key",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "open_by_handle_at",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "pivot_root",
    "chroot",
    "setuid",
    "setgid",
    "setresuid",
    "setresgid",
    "setreuid",
    "setregid",
    "setgroups",
    "fork",
    "vfork",
    "memfd_create",
    "modify_ldt",
    "personality",
    "reboot",
    "swapon",
    "pidfd_getfd",
    "pidfd_open",
    "move_pages",
    "migrate_pages",
    "quotactl",
    "acct",
    "settimeofday",
    "clock_settime",
    "sethostname",
    "iopl",
    "ioperm",
    "syslog",
};

static int rule(scmp_filter_ctx ctx, uint32_t action, const char *name, struct error *e)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return 0; /* this architecture, or this libseccomp, does not have it */
    int result = seccomp_rule_add(ctx, action, number, 0);
    if (result < 0 && result != -EDOM && result != -EACCES)
        return error_set(e, "seccomp: %s: %s", name, strerror(-result));
    return 0;
}

/* Memory may be made, but never executable. */
static int memory_rules(scmp_filter_ctx ctx)
{
    struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &no_exec) < 0 ||
                   seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &no_exec) < 0
               ? -1
               : 0;
}

/* What is mapped from a file may be executed there: modules. It is never writable, and nothing that
 * was written becomes executable. Files are opened for reading only, also without Landlock. */
static int module_rules(scmp_filter_ctx ctx)
{
    const scmp_datum_t writes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    const scmp_datum_t apart = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                               CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PTRACE;
    struct scmp_arg_cmp code[] = {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                                  SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0)};
    struct scmp_arg_cmp reading = SCMP_A2(SCMP_CMP_MASKED_EQ, writes, 0);
    struct scmp_arg_cmp plain = SCMP_A0(SCMP_CMP_MASKED_EQ, apart, 0);
    struct scmp_arg_cmp dying = SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0);
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, code) < 0 ||
                   seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, &reading) < 0 ||
                   seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &plain) < 0 ||
                   seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &dying) < 0
               ? -1
               : 0;
}

static int allow_family(scmp_filter_ctx ctx, int family)
{
    struct scmp_arg_cmp is_family = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0);
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &is_family);
}

/* Modules talk to services of this machine (sssd, nscd, the system's log). For the rest they hear
 * that there is no such thing, as they would on a machine without it: libpam gives up when it may
 * not speak of a login to the kernel's audit, unless the kernel has none. */
static int module_socket_rules(scmp_filter_ctx ctx)
{
    struct scmp_arg_cmp is_other = SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0);
    return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                  &is_other) < 0
               ? -1
               : allow_family(ctx, AF_UNIX);
}

static int socket_rules(scmp_filter_ctx ctx, enum role role)
{
    if ((MODULES & 1U << role) != 0)
        return module_socket_rules(ctx);
    if (((CLIENTS | P_RESOLVER) & 1U << role) != 0)
        return allow_family(ctx, AF_INET) < 0 || allow_family(ctx, AF_INET6) < 0 ? -1 : 0;
    return seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 0);
}

static bool is_allowed(const char *name, enum role role)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if ((allowed[i].roles & 1U << role) != 0 && strcmp(allowed[i].name, name) == 0)
            return true;
    return false;
}

static int all_rules(scmp_filter_ctx ctx, enum role role, struct error *e)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if ((allowed[i].roles & 1U << role) != 0 &&
            rule(ctx, SCMP_ACT_ALLOW, allowed[i].name, e) < 0)
            return -1;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        if (!is_allowed(fatal[i], role) && rule(ctx, SCMP_ACT_KILL_PROCESS, fatal[i], e) < 0)
            return -1;
    if (memory_rules(ctx) < 0 || socket_rules(ctx, role) < 0 ||
        ((MODULES & 1U << role) != 0 && module_rules(ctx) < 0))
        return error_set(e, "seccomp: the rules on memory and sockets were refused");
    return 0;
}

int seccomp_enter(enum role role, struct error *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (ctx == NULL)
        return error_set(e, "seccomp: out of memory");
    int result = all_rules(ctx, role, e);
    if (result == 0) {
        seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: few steps per call */
        int code = seccomp_load(ctx);
        if (code < 0)
            result = error_set(e, "seccomp: the kernel refused the filter: %s", strerror(-code));
    }
    seccomp_release(ctx);
    return result;
}
