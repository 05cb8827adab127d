/* The SMTP server: takes mail from the network and gives it to the queue. It opens no file and
 * knows no user; see smtpd/session.h for the protocol and smtpd/server.h for the connections. */
#include "smtpd/server.h"

int main(int argc, char **argv)
{
    static const struct ipc_handler handlers[] = {{MSG_KEY_HELD, server_key_held}};
    static const struct proc_spec spec = {
        .role = ROLE_SMTPD,
        .handlers = handlers,
        .n_handlers = sizeof handlers / sizeof handlers[0],
        .open = server_open,
        .accepted = server_accept,
        .peer_down = server_peer_down,
        .drained = server_drained,
        .reloaded = server_reloaded,
        .turn = server_turn,
        .drain = server_drain,
        .files_max = 131072, /* over the largest limits.connections */
    };
    return proc_main(argc, argv, &spec);
}
