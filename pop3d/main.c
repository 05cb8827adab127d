/* pop3d: the POP3 server. It sees the network, opens no files, and holds what its sessions were
 * granted. */
#include "pop3d/server.h"

static const struct proc_spec spec = {
    .role = ROLE_POP3D,
    .open = server_open,
    .accepted = server_accepted,
    .drain = server_drain,
    .files_max = 131072, /* a session has its mailbox and, at times, a file */
};

int main(int argc, char **argv)
{
    return proc_main(argc, argv, &spec);
}
