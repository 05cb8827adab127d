#include "queue/import.h"

#include "common/addr.h"
#include "queue/intake.h"
#include "queue/uidl.h"

static bool is_plausible(const struct msg_import_open *m)
{
    struct addr a;
    size_t used;
    for (size_t i = 0; i < m->uidl.n; i++)
        if (m->uidl.p[i] < '!' || m->uidl.p[i] > '~')
            return false;
    return m->source.n == SOURCE_KEY && m->box > 0 && m->box <= INT64_MAX &&
           m->arrived <= UINT32_MAX && (m->flags & ~CONTENT_BARE) == 0 &&
           (m->sender.n == 0 || addr_parse(m->sender, ADDR_MAILBOX, &a, &used) == 0);
}

struct import *import_new(const struct msg_import_open *m)
{
    struct import *im = is_plausible(m) ? calloc(1, sizeof *im) : NULL;
    if (im == NULL)
        return NULL;
    im->arrived = (int64_t)m->arrived;
    im->box = m->box;
    memcpy(im->source, m->source.p, SOURCE_KEY);
    span_copy(im->uidl, sizeof im->uidl, m->uidl);
    return im;
}

/* Whether it is there already is known only now, as what was taken just before is not on disk yet.
 */
enum intake_reason import_deliver(struct queue *q, struct import *im, struct delivery *d)
{
    struct store *s = q->store;
    struct span source = {(const char *)im->source, sizeof im->source};
    enum found known = store_imported_look(s, im->box, source);
    if (known != FOUND_NONE) {
        im->is_known = known == FOUND_YES;
        return im->is_known ? INTAKE_OK : INTAKE_FAULT;
    }
    d->uidl = span_of(im->uidl);
    if (d->uidl.n > 0) {
        enum found is_free = uidl_is_free(s, im->box, d->message->id, d->uidl);
        if (is_free == FOUND_FAULT)
            return INTAKE_FAULT;
        im->has_new_uidl = is_free == FOUND_NONE;
        if (im->has_new_uidl)
            d->uidl = SPAN("");
    }
    enum intake_reason reason = warning_deliver(q, d);
    if (reason == INTAKE_OK && store_imported_add(s, im->box, source) < 0)
        reason = INTAKE_FAULT;
    return reason;
}

void import_answer(struct ipc *ch, uint64_t tag, const struct import *im, enum intake_reason reason)
{
    struct msg_import_open_re re = {.tag = tag,
                                    .verdict = (uint8_t)intake_verdict(reason),
                                    .reason = (uint8_t)reason,
                                    .is_known = im != NULL && im->is_known,
                                    .has_new_uidl = im != NULL && im->has_new_uidl};
    if (ch != NULL)
        ipc_send_import_open_re(ch, &re, -1);
}
