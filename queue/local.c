#include "queue/local.h"

#include "common/clock.h"
#include "common/unixsock.h"

#include <sys/socket.h>

#define USERS_MAX 1024 /* counted at a time; one more takes the place of the one longest ago */

struct user {
    uint32_t uid;
    uint32_t count;
    int64_t until_ms; /* end of the period; 0: free */
};

struct locals {
    struct user users[USERS_MAX];
};

struct locals *locals_new(void)
{
    return calloc(1, sizeof(struct locals));
}

void locals_free(struct locals *l)
{
    free(l);
}

static bool has_option(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t n = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &n) == 0 && value == wanted;
}

/* A listening socket has a "peer", too: who made it, which is the parent, and smtpd has that one.
 */
bool local_is_user(int fd, uint32_t uid)
{
    uid_t peer;
    return fd >= 0 && has_option(fd, SO_DOMAIN, AF_UNIX) && has_option(fd, SO_TYPE, SOCK_STREAM) &&
           has_option(fd, SO_ACCEPTCONN, 0) && unixsock_peer(fd, &peer) == 0 && peer == uid;
}

static struct user *find(struct locals *l, uint32_t uid)
{
    struct user *oldest = &l->users[0];
    for (size_t i = 0; i < USERS_MAX; i++) {
        struct user *u = &l->users[i];
        if (u->until_ms != 0 && u->uid == uid)
            return u;
        if (u->until_ms < oldest->until_ms)
            oldest = u;
    }
    *oldest = (struct user){.uid = uid};
    return oldest;
}

bool local_is_too_fast(struct locals *l, uint32_t uid, const struct rate *rate)
{
    if (rate->is_off || uid == 0)
        return false;
    struct user *u = find(l, uid);
    int64_t now = clock_mono_ms();
    if (u->until_ms <= now) {
        u->until_ms = now + rate->period_ms;
        u->count = 0;
    }
    if (u->count >= rate->count)
        return true;
    u->count++;
    return false;
}
