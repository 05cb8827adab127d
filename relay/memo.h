/* Servers with which TLS did not work a short while ago: mail that may go in the clear goes there
 * in the clear at once, instead of trying and failing for each message. A bounded memory: the
 * oldest is forgotten first. */
#ifndef BARID_RELAY_MEMO_H
#define BARID_RELAY_MEMO_H

#include "common/net.h"

#define MEMO_MAX 256
#define MEMO_MS  (10 * 60 * 1000)

/* Zeroed: empty. */
struct memo {
    struct {
        struct netaddr server;
        int64_t until_ms; /* clock_mono_ms */
    } rows[MEMO_MAX];
    size_t next;
};

void memo_add(struct memo *m, const struct netaddr *server, int64_t now_ms);
void memo_drop(struct memo *m, const struct netaddr *server);
bool memo_has(const struct memo *m, const struct netaddr *server, int64_t now_ms);

#endif
