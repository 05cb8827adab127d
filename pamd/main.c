#include "pamd/pamd.h"

#include "common/log.h"

#include <unistd.h>

#define WORKER_MEMORY (512U << 20) /* address space: modules bring libraries */

static int open_pool(struct proc *p, struct error *e)
{
    if (geteuid() != 0 && access(CHECK_SHADOW, R_OK) < 0)
        LOG(0, "no-shadow",
            LZ("because", CHECK_SHADOW " cannot be read: pam_unix will find no password right"));
    return pamd_open(p, check_by_pam, e);
}

static const struct ipc_handler handlers[] = {{MSG_PAM_CHECK, pamd_handle_check}};

static const struct proc_spec spec = {
    .role = ROLE_PAMD,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .open = open_pool,
    .peer_down = pamd_peer_down,
    .reloaded = pamd_configure,
    .memory_max = WORKER_MEMORY,
    .processes_max = PAM_PROCESSES,
    .root = "/",
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
