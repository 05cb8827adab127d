/* pop3d: the POP3 server. It sees the network, opens no files, and holds what its sessions were
 * granted. */
#include "pop3d/server.h"

static const struct ipc_handler handlers[] = {{MSG_KEY_HELD, server_key_held}};

static const struct proc_spec spec = {
    .role = ROLE_POP3D,
    .handlers = handlers,
    .n_handlers = sizeof handlers / sizeof handlers[0],
    .open = server_open,
    .accepted = server_accepted,
    .reloaded = server_reloaded,
    .drain = server_drain,
    .files_max = 131072, /* a session has its mailbox and, at times, a file */
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
