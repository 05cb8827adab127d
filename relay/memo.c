#include "relay/memo.h"

void memo_add(struct memo *m, const struct netaddr *server, int64_t now_ms)
{
    m->rows[m->next].server = *server;
    m->rows[m->next].until_ms = now_ms + MEMO_MS;
    m->next = (m->next + 1) % MEMO_MAX;
}

void memo_drop(struct memo *m, const struct netaddr *server)
{
    for (size_t i = 0; i < MEMO_MAX; i++)
        if (netaddr_eq(&m->rows[i].server, server))
            m->rows[i].until_ms = 0;
}

bool memo_has(const struct memo *m, const struct netaddr *server, int64_t now_ms)
{
    for (size_t i = 0; i < MEMO_MAX; i++)
        if (m->rows[i].until_ms > now_ms && netaddr_eq(&m->rows[i].server, server))
            return true;
    return false;
}
