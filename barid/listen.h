/* The network sockets of the suite: bound by the parent, served by the workers. */
#ifndef BARID_LISTEN_H
#define BARID_LISTEN_H

#include "common/config.h"
#include "common/unixsock.h"

struct bound {
    enum listen_kind kind;
    struct netaddr address;        /* as configured */
    struct netaddr actual;         /* the same with the port that the kernel chose for port 0 */
    char *path;                    /* of a Unix socket; NULL: it has an address */
    struct unixsock_rights rights; /* of one of a [listen] section: its file goes with it */
    uint16_t section;              /* index in config->listens */
    int fd;
};

struct bound_list {
    struct bound *list;
    size_t n, cap;
};

/* "192.0.2.1:25", or the path; valid until out changes or `b` goes. */
struct span bound_name(const struct bound *b, char out[NETADDR_TEXT]);

/* Binds every address of the configuration, and the submit socket; sockets of `old` that are
 * configured again are taken over (their fd in `old` becomes -1). patience_ms: how long an address
 * in use is tried again (the children of a killed parent need a moment to go). 0; or -1 and e:
 * `out` is empty, `old` as it was. */
int listen_bind(const struct config *c, struct bound_list *old, int64_t patience_ms,
                struct bound_list *out, struct error *e);
void listen_close(struct bound_list *l);

#endif
