#include "tests/fault/liar.h"

#include "tests/fault/disk.h"

#include <fcntl.h>
#include <sys/socket.h>

#define HEAD 10 /* octets of a type and a tag */

static struct {
    const struct play *owner;
    enum role sibling;
    const struct lie *instead;
} liar;

bool liar_may(enum role from, enum msg_type type, enum role to)
{
    const struct msg_desc *d = proto_desc(type);
    return type != MSG_HELLO && (d->from & 1U << from) != 0 && (d->to & 1U << to) != 0;
}

size_t liar_pack(enum msg_type type, char *out)
{
    static char octets[64];
    const struct msg_desc *d = proto_desc(type);
    union msg m = {0};
    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (char)chance(256);
    for (size_t i = 0; i < d->n_fields; i++) {
        const struct field_desc *f = &d->fields[i];
        char *at = (char *)&m + f->offset;
        uint64_t number = chance(3) == 0 ? chance(UINT64_MAX) : chance(3);
        struct span text = {f->type == FIELD_TEXT ? "eve@example.net" : octets, chance(15)};
        text.n = text.n < f->max ? text.n : f->max;
        if (f->type == FIELD_TEXT || f->type == FIELD_BYTES)
            memcpy(at, &text, sizeof text);
        else
            memcpy(at, &number, (size_t)1 << (f->type - FIELD_U8));
    }
    return proto_pack(out, IPC_MAX, type, &m);
}

void liar_change(char *octets, size_t n, size_t keep)
{
    for (uint64_t k = 0; n > keep && k < 1 + chance(3); k++)
        octets[keep + chance(n - keep)] ^= (char)(1 << chance(8));
}

/* --- descriptors --- */

static int half_a_pipe(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        play_give_up("pipe");
    close(ends[1]); /* so nobody who reads it waits */
    return ends[0];
}

static int half_a_pair(int kind)
{
    int pair[2];
    if (socketpair(AF_UNIX, kind | SOCK_CLOEXEC, 0, pair) < 0)
        play_give_up("socketpair");
    close(pair[1]);
    return pair[0];
}

int liar_fd(void)
{
    static int fds[LIAR_FDS];
    if (fds[0] == 0) {
        fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        fds[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fds[2] = half_a_pipe();
        fds[3] = half_a_pair(SOCK_STREAM);
        fds[4] = half_a_pair(SOCK_SEQPACKET);
    }
    return fds[chance(LIAR_FDS)];
}

/* --- what costs the channel --- */

static bool cut(struct lie *l, size_t n)
{
    l->what = "a cut";
    bool is_other = n > 0 && n < l->n;
    l->n = n;
    return is_other;
}

bool liar_forbidden(size_t k, enum role from, enum role to, struct lie *l)
{
    *l = (struct lie){.type = (enum msg_type)(k / LIES_PER_TYPE), .fd = -1};
    if (l->type == MSG_NONE)
        return false;
    l->n = liar_pack(l->type, l->octets);
    switch (k % LIES_PER_TYPE) {
    case 0:
        l->what = "a forbidden";
        return !liar_may(from, l->type, to);
    case 1:
        return cut(l, 1);
    case 2:
        return cut(l, l->n / 2);
    case 3:
        return cut(l, l->n - 1);
    case 4:
        l->what = "more than";
        l->n = chance(2) == 0 ? l->n + 1 : sizeof l->octets;
        return true;
    default:
        l->what = "a descriptor with";
        l->fd = liar_fd();
        return !proto_desc(l->type)->has_fd;
    }
}

/* --- answers --- */

void liar_begin(const struct play *owner, enum role sibling)
{
    liar.owner = owner;
    liar.sibling = sibling;
    liar.instead = NULL;
}

void liar_say_instead(const struct lie *l)
{
    liar.instead = l;
}

bool liar_has_said(void)
{
    return liar.instead == NULL;
}

/* A mailbox is on none of pop3d's channels from the parent. */
static bool is_his(int channel)
{
    if (liar.owner->role != ROLE_POP3D || liar.sibling != ROLE_MAILBOX)
        return channel == liar.owner->channels[liar.sibling];
    for (unsigned r = 0; r < ROLES; r++)
        if (liar.owner->channels[r] == channel)
            return false;
    return channel != liar.owner->control;
}

static enum msg_type type_of(const char *octets)
{
    return (enum msg_type)((unsigned char)octets[0] | (unsigned char)octets[1] << 8);
}

void liar_interpose(int channel, char *octets, size_t *n, int *fd)
{
    if (liar.instead == NULL || !is_his(channel) || type_of(octets) == MSG_HELLO)
        return;
    memcpy(octets, liar.instead->octets, liar.instead->n);
    *n = liar.instead->n;
    *fd = liar.instead->fd;
    liar.instead = NULL;
}

void liar_spoil(int channel, char *octets, size_t *n, int *fd)
{
    static char other[IPC_MAX];
    enum msg_type type = type_of(octets);
    if (!is_his(channel) || type == MSG_HELLO)
        return;
    switch (chance(8)) {
    case 0:
    case 1:
        liar_change(octets, *n, HEAD);
        break;
    case 2:
        *n = liar_pack(type, other);
        memcpy(octets + HEAD, other + HEAD, *n > HEAD ? *n - HEAD : 0);
        break;
    case 3:
        if (proto_desc(type)->has_fd)
            *fd = liar_fd();
        break;
    default:
        break;
    }
}
