#include "mailbox/shelf.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define WORTH 64    /* a shorter one is made as fast as it is found */
#define STEP  16384 /* entries read before others have their turn */
#define PIECE 65536

struct shelf {
    struct shelf_item places[SHELF_PLACES];
    uint64_t octets;
    size_t hand; /* the place that is emptied next */
};

static uint64_t octets_of(const struct shelf_item *i)
{
    return i->n * sizeof(struct listing_entry) + i->text_n;
}

static void clear(struct shelf *s, struct shelf_item *place)
{
    if (place->box == 0)
        return;
    s->octets -= octets_of(place);
    close(place->fd);
    *place = (struct shelf_item){.fd = -1};
}

struct shelf *shelf_new(void)
{
    return calloc(1, sizeof(struct shelf));
}

void shelf_free(struct shelf *s)
{
    for (size_t i = 0; s != NULL && i < SHELF_PLACES; i++)
        clear(s, &s->places[i]);
    free(s);
}

static size_t place_of(uint64_t box, uint64_t device)
{
    return (box + device * 31) % SHELF_PLACES;
}

const struct shelf_item *shelf_find(const struct shelf *s, uint64_t box,
                                    const struct store_box *look)
{
    const struct shelf_item *i = &s->places[place_of(box, look->device)];
    bool holds = i->box == box && i->look.device == look->device && i->look.epoch == look->epoch &&
                 i->look.device_epoch == look->device_epoch && i->look.limit <= look->limit;
    return holds ? i : NULL;
}

void shelf_keep(struct shelf *s, const struct shelf_item *item)
{
    struct shelf_item *place = &s->places[place_of(item->box, item->look.device)];
    /* One that is cut short does not reach to its limit. */
    if (item->n < WORTH || item->n >= LISTING_MAX || octets_of(item) > SHELF_OCTETS / 2)
        return;
    clear(s, place);
    while (s->octets + octets_of(item) > SHELF_OCTETS)
        clear(s, &s->places[s->hand++ % SHELF_PLACES]);
    int fd = fcntl(item->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return;
    *place = *item;
    place->fd = fd;
    s->octets += octets_of(item);
}

/* --- making one --- */

static int flush(struct shelf_work *w)
{
    int rc = fd_write_all(w->item.fd, buf_span(&w->entries));
    buf_consume(&w->entries, buf_span(&w->entries).n);
    return rc;
}

/* The same octets of another listing: its entries into our file, or its text into memory. */
static int copy(struct shelf_work *w, const struct shelf_item *from, uint64_t at, uint64_t n)
{
    static char piece[PIECE];
    bool is_text = at > 0;
    while (n > 0) {
        ssize_t got = pread(from->fd, piece, n < PIECE ? (size_t)n : PIECE, (off_t)at);
        if (got <= 0)
            return -1;
        struct span s = {piece, (size_t)got};
        if ((is_text ? buf_add_span(&w->text, s) : fd_write_all(w->item.fd, s)) < 0)
            return -1;
        at += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return 0;
}

int shelf_work_begin(struct shelf_work *w, uint64_t box, const struct store_box *look,
                     const struct store_hidden *hidden, const struct shelf_item *known)
{
    *w = (struct shelf_work){.item = {.box = box, .look = *look}, .hidden = hidden};
    buf_init(&w->entries, 2 * PIECE);
    buf_init(&w->text, (size_t)LISTING_MAX * LISTING_UIDL_MAX);
    if ((w->item.fd = listing_create()) < 0)
        return -1;
    if (known == NULL)
        return 0;
    uint64_t entries = known->n * sizeof(struct listing_entry);
    w->item.n = known->n;
    w->item.last = known->last;
    return copy(w, known, 0, entries) < 0 || copy(w, known, entries, known->text_n) < 0 ? -1 : 0;
}

static int add(void *arg, const struct store_entry *from)
{
    struct shelf_work *w = arg;
    w->item.last = from->sequence;
    if (store_is_hidden(w->hidden, from->sequence))
        return 0;
    struct listing_entry e = {.sequence = from->sequence,
                              .id = from->id,
                              .octets = from->octets,
                              .uidl_at = (uint32_t)buf_span(&w->text).n,
                              .uidl_n = (uint32_t)from->uidl.n};
    w->failed |= buf_add_span(&w->text, from->uidl) < 0;
    w->failed |= buf_add(&w->entries, &e, sizeof e) < 0;
    if (buf_span(&w->entries).n >= PIECE)
        w->failed |= flush(w) < 0;
    w->item.n++;
    return w->failed ? -1 : 0;
}

/* The text follows the entries; nothing can be changed from now on. */
static int complete(struct shelf_work *w)
{
    struct span text = buf_span(&w->text);
    w->item.text_n = text.n;
    if (flush(w) < 0 || fd_write_all(w->item.fd, text) < 0)
        return -1;
    if (w->item.n > 0)
        return listing_seal(w->item.fd);
    close(w->item.fd);
    w->item.fd = -1;
    return 0;
}

int shelf_work_step(struct shelf_work *w, struct store *st)
{
    struct store_range r = {.after = w->item.last,
                            .limit = w->item.look.limit,
                            .most = STEP,
                            .device = w->item.look.device};
    if (r.most > LISTING_MAX - w->item.n)
        r.most = LISTING_MAX - w->item.n;
    long n = store_list(st, w->item.box, &r, add, w);
    if (n < 0 || w->failed)
        return -1;
    if ((size_t)n == r.most && r.most > 0)
        return 1;
    return complete(w);
}

void shelf_work_end(struct shelf_work *w)
{
    if (w->item.fd >= 0)
        close(w->item.fd);
    w->item.fd = -1;
    buf_free(&w->entries);
    buf_free(&w->text);
}
