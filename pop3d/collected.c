#include "pop3d/collected.h"

#include "common/pack.h"

static bool is_known(const struct collected *c, uint64_t sequence)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i] == sequence)
            return true;
    return false;
}

void collected_add(struct collected *c, uint64_t sequence)
{
    if (is_known(c, sequence))
        return;
    if (c->n >= RETRIEVED_MAX ||
        array_reserve((void **)&c->list, &c->cap, c->n + 1, sizeof *c->list) < 0)
        c->more++;
    else
        c->list[c->n++] = sequence;
}

void collected_tell(struct collected *c, struct ipc *box)
{
    char room[8 * RETRIEVED_MAX];
    struct packer w = packer_on(room, sizeof room);
    for (size_t i = 0; i < c->n; i++)
        pack_uint(&w, c->list[i], 8);
    struct msg_box_retrieved m = {.sequences = packer_span(&w), .more = c->more};
    if (c->n > 0 || c->more > 0)
        ipc_send_box_retrieved(box, &m, -1);
    free(c->list);
    *c = (struct collected){0};
}
