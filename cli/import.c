#include "cli/import.h"

#include "cli/uidlist.h"
#include "common/addr.h"
#include "common/ipc.h"
#include "common/maildb.h"
#include "common/unixsock.h"
#include "common/verdict.h"

#include <sodium.h>

#define ANSWER_MS   (10 * 60 * 1000)
#define OPEN_MAX    128        /* messages on the way */
#define BACKLOG_MAX (4U << 20) /* octets on the way that the socket did not take yet */

struct import {
    struct loop *loop;
    struct ipc *ch;
    struct mailbox to;
    struct import_totals totals;
    struct error error;
    bool has_failed, is_closed;
    size_t n_open;
    /* the message under way */
    struct import_source source;
    char key[1024], uidl[UIDL_MAX + 1];
    char chunk[CHUNK_MAX];
    size_t n;
    uint64_t tag; /* 0: nothing of it was sent yet */
    bool is_mended, has_cr, in_line, has_any;
};

static int fail(struct import *im, const char *why)
{
    if (!im->has_failed)
        error_set(&im->error, "%s", why);
    im->has_failed = true;
    return -1;
}

static void on_close(void *owner, struct ipc *ch)
{
    (void)ch;
    struct import *im = owner;
    im->is_closed = true;
    fail(im, "queue ended the connection: see the log, then run the import again: it goes on where "
             "it was");
}

static const struct ipc_ops ops = {.on_close = on_close};

struct import *import_open(struct cli *cli, const struct mailbox *to, struct error *e)
{
    bool is_absent;
    struct import *im = calloc(1, sizeof *im);
    if (im == NULL || (im->loop = loop_new()) == NULL) {
        free(im);
        error_set(e, "no memory");
        return NULL;
    }
    im->to = *to;
    int fd = unixsock_connect(cli->config->run_dir, "queue.sock", &is_absent, e);
    if (fd < 0 && is_absent)
        error_set(e, "barid is not running (no answer on %s/queue.sock): start it with: barid run",
                  cli->config->run_dir);
    if (fd >= 0 && (im->ch = ipc_open(im->loop, fd, ROLE_CLI, ROLE_QUEUE, &ops, im)) == NULL)
        error_set(e, "no memory");
    if (im->ch != NULL)
        return im;
    import_close(im);
    return NULL;
}

void import_close(struct import *im)
{
    if (im == NULL)
        return;
    ipc_close(im->ch);
    loop_free(im->loop);
    free(im);
}

/* --- answers --- */

static const char *why_refused(unsigned reason)
{
    switch (reason) {
    case INTAKE_DISK:
        return "there is no room on the disk: make some, then run the import again: it goes on "
               "where it was";
    case INTAKE_QUOTA:
        return "the mailbox is full: give it more with barid user quota, then run the import "
               "again: it goes on where it was";
    case INTAKE_STALE:
        return "the user was removed";
    default:
        return "queue could not take a message: see the log, then run the import again: it goes on "
               "where it was";
    }
}

static void answered(void *arg, const union msg *m, int fd)
{
    struct import *im = arg;
    (void)fd;
    im->n_open--;
    if (m == NULL) {
        if (!im->is_closed)
            fail(im, why_refused(INTAKE_FAULT));
        return;
    }
    const struct msg_import_open_re *r = &m->import_open_re;
    if (r->verdict != VERDICT_OK) {
        fail(im, why_refused(r->reason));
        return;
    }
    im->totals.known += r->is_known != 0;
    im->totals.imported += r->is_known == 0;
    im->totals.renamed += r->has_new_uidl != 0;
}

static int wait_for_room(struct import *im)
{
    while (!im->has_failed && (im->n_open >= OPEN_MAX || ipc_backlog(im->ch) > BACKLOG_MAX))
        loop_turn(im->loop, -1);
    return im->has_failed ? -1 : 0;
}

int import_finish(struct import *im)
{
    while (!im->has_failed && im->n_open > 0)
        loop_turn(im->loop, -1);
    return im->has_failed ? -1 : 0;
}

const char *import_error(const struct import *im)
{
    return im->error.text;
}

struct import_totals import_totals(const struct import *im)
{
    return im->totals;
}

/* --- sending --- */

/* "Return-Path: <address>" as we write it ourselves, at the start: the octets it takes, or 0. */
static size_t own_return_path(struct span s, struct span *sender)
{
    struct addr a;
    size_t used;
    struct span begin = SPAN(MAILDB_PREFIX_BEGIN), end = SPAN(MAILDB_PREFIX_END);
    if (!span_starts(s, begin))
        return 0;
    struct span rest = span_from(s, begin.n);
    const char *at = memmem(rest.p, rest.n < ADDRESS_MAX ? rest.n : ADDRESS_MAX, end.p, end.n);
    if (at == NULL)
        return 0;
    *sender = (struct span){rest.p, (size_t)(at - rest.p)};
    if (sender->n > 0 && addr_parse(*sender, ADDR_MAILBOX, &a, &used) < 0)
        return 0;
    size_t n = begin.n + sender->n + end.n;
    return n < s.n ? n : 0; /* what is left must be something */
}

static struct span x_uidl(struct span s)
{
    static const struct span name = {"X-UIDL:", 7};
    while (s.n > 0) {
        struct span line = span_cut(&s, '\n');
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            break;
        struct span value = span_trim(span_from(line, name.n));
        if (span_istarts(line, name) && uidlist_is_uidl(value))
            return value;
    }
    return SPAN("");
}

/* The key of the message and its first octets: two that are called alike are not taken for one. */
static void make_source(const struct import *im, unsigned char out[SOURCE_KEY])
{
    char aligned[sizeof(crypto_generichash_state) + 64];
    crypto_generichash_state *h = (void *)(aligned + 64 - (uintptr_t)aligned % 64);
    crypto_generichash_init(h, NULL, 0, SOURCE_KEY);
    crypto_generichash_update(h, (const unsigned char *)im->source.key.p, im->source.key.n + 1);
    crypto_generichash_update(h, (const unsigned char *)im->chunk, im->n);
    crypto_generichash_final(h, out, SOURCE_KEY);
}

static int send_first(struct import *im, bool is_last)
{
    unsigned char source[SOURCE_KEY];
    struct span content = {im->chunk, im->n};
    int64_t arrived = im->source.arrived;
    struct msg_import_open m = {.box = im->to.box,
                                .quota = im->to.quota,
                                .arrived = arrived < 0            ? 0
                                           : arrived > UINT32_MAX ? UINT32_MAX
                                                                  : (uint64_t)arrived,
                                .uidl = im->source.uidl,
                                .is_last = is_last};
    if (wait_for_room(im) < 0)
        return -1;
    make_source(im, source);
    size_t skip = own_return_path(content, &m.sender);
    m.flags = skip == 0 ? CONTENT_BARE : 0;
    if (skip == 0)
        m.sender = SPAN("");
    m.content = span_from(content, skip);
    if (im->source.wants_x_uidl && m.uidl.n == 0)
        m.uidl = x_uidl(content);
    m.source = (struct span){(const char *)source, sizeof source};
    im->tag = ipc_ask_import_open(im->ch, &m, -1, ANSWER_MS, answered, im);
    if (im->tag == 0)
        return fail(im, why_refused(INTAKE_FAULT));
    im->n_open++;
    return 0;
}

static int send_chunk(struct import *im, bool is_last)
{
    struct msg_import_more m = {.tag = im->tag, .content = {im->chunk, im->n}, .is_last = is_last};
    int rc = im->tag == 0 ? send_first(im, is_last) : wait_for_room(im);
    if (rc == 0 && m.tag != 0 && ipc_send_import_more(im->ch, &m, -1) < 0)
        rc = fail(im, why_refused(INTAKE_FAULT));
    im->totals.octets += im->n;
    im->n = 0;
    return rc;
}

int import_begin(struct import *im, const struct import_source *s)
{
    im->source = *s;
    if (span_copy(im->key, sizeof im->key, s->key) < 0 ||
        span_copy(im->uidl, sizeof im->uidl, s->uidl) < 0)
        return fail(im, "a name of a message is too long");
    im->source.key = span_of(im->key);
    im->source.uidl = span_of(im->uidl);
    im->n = 0;
    im->tag = 0;
    im->is_mended = im->has_cr = im->in_line = im->has_any = false;
    return im->has_failed ? -1 : 0;
}

static int put(struct import *im, const char *p, size_t n)
{
    while (n > 0) {
        if (im->n == sizeof im->chunk && send_chunk(im, false) < 0)
            return -1;
        size_t room = sizeof im->chunk - im->n;
        size_t take = n < room ? n : room;
        memcpy(im->chunk + im->n, p, take);
        im->n += take;
        p += take;
        n -= take;
    }
    return 0;
}

/* A CR that was held back, as it may end a line. */
static int settle_cr(struct import *im, char next)
{
    if (!im->has_cr)
        return 0;
    im->has_cr = false;
    if (next == '\n')
        return 0;
    im->is_mended = true;
    return next == '\r' ? 0 : put(im, " ", 1);
}

/* The octets before the first that is special. */
static size_t plain(struct span s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r' && s.p[n] != '\0')
        n++;
    return n;
}

int import_add(struct import *im, struct span s)
{
    while (s.n > 0) {
        size_t n = plain(s);
        if (settle_cr(im, n > 0 ? 'x' : s.p[0]) < 0 || put(im, s.p, n) < 0)
            return -1;
        im->in_line |= n > 0;
        im->has_any |= n > 0;
        s = span_from(s, n);
        if (s.n == 0)
            break;
        if (s.p[0] == '\r')
            im->has_cr = true;
        else if (s.p[0] == '\0')
            im->is_mended = true;
        else if (put(im, "\r\n", 2) < 0)
            return -1;
        else
            im->in_line = false, im->has_any = true;
        s = span_from(s, 1);
    }
    return 0;
}

int import_end(struct import *im)
{
    if (!im->has_any) {
        im->totals.empty++;
        return 0;
    }
    if (im->has_cr || im->in_line) {
        im->has_cr = false;
        if (put(im, "\r\n", 2) < 0)
            return -1;
    }
    im->totals.mended += im->is_mended;
    return send_chunk(im, true);
}
