#include "mailbox/verify.h"

#include "common/proto.h"

#include <errno.h>

#define PIECES 8 /* of CHUNK_MAX in one turn: half a millisecond */

struct verify {
    struct verify_file file;
    struct content_hash hash;
    uint64_t at; /* octets looked at */
    struct timer turn;
    verify_fn *done;
    void *arg;
};

static void finish(struct verify *v, bool is_right)
{
    verify_fn *done = v->done;
    void *arg = v->arg;
    verify_cancel(v);
    done(arg, is_right);
}

/* false: it cannot be read to its end. */
static bool read_piece(struct verify *v)
{
    static char room[CHUNK_MAX];
    ssize_t n;
    do
        n = pread(v->file.fd, room, sizeof room, (off_t)v->at);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    content_hash_add(&v->hash, (struct span){room, (size_t)n});
    v->at += (uint64_t)n;
    return true;
}

static void go_on(void *arg)
{
    struct verify *v = arg;
    for (int i = 0; i < PIECES && v->at < v->file.octets; i++)
        if (!read_piece(v)) {
            finish(v, false);
            return;
        }
    if (v->at < v->file.octets) {
        timer_set(&v->turn, 0);
        return;
    }
    finish(v, content_hash_is(&v->hash, v->file.hash));
}

struct verify *verify_begin(struct loop *loop, const struct verify_file *f, verify_fn *done,
                            void *arg)
{
    struct verify *v = calloc(1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->file = *f;
    v->done = done;
    v->arg = arg;
    content_hash_begin(&v->hash);
    timer_init(&v->turn, loop, go_on, v);
    timer_set(&v->turn, 0);
    return v;
}

void verify_cancel(struct verify *v)
{
    if (v == NULL)
        return;
    timer_stop(&v->turn);
    free(v);
}
