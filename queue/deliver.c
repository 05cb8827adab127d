#include "queue/deliver.h"

#include "common/addr.h"
#include "common/clock.h"
#include "common/maildb.h"
#include "queue/contain.h"
#include "queue/lifetime.h"
#include "queue/parties.h"
#include "queue/uidl.h"

static void free_remote(struct remote_target *r)
{
    free(r->address);
    free(r->orcpt);
    free(r->owner);
}

static void free_deed(struct deed *d)
{
    free(d->address);
    free(d->orcpt);
}

void targets_free(struct targets *t)
{
    for (size_t i = 0; i < t->n_remotes; i++)
        free_remote(&t->remotes[i]);
    for (size_t i = 0; i < t->n_deeds; i++)
        free_deed(&t->deeds[i]);
    free(t->remotes);
    free(t->deeds);
    free(t->boxes);
    free(t->forwards);
    free(t->forward_sender);
    *t = (struct targets){0};
}

static bool is_full(const struct targets *t)
{
    return t->n_boxes + t->n_remotes + t->n_deeds >= TARGETS_MAX;
}

int targets_add_box(struct targets *t, uint64_t box, uint64_t quota)
{
    if (box == 0 || box > INT64_MAX)
        return -1;
    void *boxes = t->boxes;
    if (is_full(t) || array_reserve(&boxes, &t->cap_boxes, t->n_boxes + 1, sizeof *t->boxes) < 0)
        return -1;
    t->boxes = boxes;
    t->boxes[t->n_boxes++] = (struct box_target){.box = box, .quota = quota};
    return 0;
}

/* domain_at: where the domain begins in the address. */
static int add_row(struct targets *t, const struct rcpt *r, struct span address, size_t domain_at)
{
    void *remotes = t->remotes;
    if (is_full(t) ||
        array_reserve(&remotes, &t->cap_remotes, t->n_remotes + 1, sizeof *t->remotes) < 0)
        return -1;
    t->remotes = remotes;
    struct remote_target new = {
        .address = span_dup(address), .orcpt = span_dup(r->orcpt), .notify = r->notify};
    if (new.address == NULL || new.orcpt == NULL) {
        free_remote(&new);
        return -1;
    }
    new.domain = new.address + domain_at;
    t->remotes[t->n_remotes++] = new;
    return 0;
}

int targets_add_remote(struct targets *t, const struct rcpt *r)
{
    struct addr a;
    size_t used;
    if (addr_parse(r->address, ADDR_MAILBOX, &a, &used) < 0 || a.domain[0] == '\0' ||
        strlen(a.domain) > DOMAIN_MAX)
        return -1;
    struct span text = span_of(a.text);
    return add_row(t, r, text, text.n - strlen(a.domain));
}

int targets_add_held(struct targets *t, const struct rcpt *r)
{
    size_t at = 0; /* <postmaster> has no domain */
    for (size_t i = 0; i < r->address.n; i++)
        at = r->address.p[i] == '@' ? i + 1 : at;
    if (r->address.n == at || r->address.n - at > DOMAIN_MAX || add_row(t, r, r->address, at) < 0)
        return -1;
    t->remotes[t->n_remotes - 1].is_local = true;
    return 0;
}

static int add_deed(struct targets *t, enum rcpt_deed what, const struct rcpt *r)
{
    void *deeds = t->deeds;
    if (is_full(t) || array_reserve(&deeds, &t->cap_deeds, t->n_deeds + 1, sizeof *t->deeds) < 0)
        return -1;
    t->deeds = deeds;
    struct deed new = {.what = what, .address = span_dup(r->address), .orcpt = span_dup(r->orcpt)};
    if (new.address == NULL || new.orcpt == NULL) {
        free_deed(&new);
        return -1;
    }
    t->deeds[t->n_deeds++] = new;
    return 0;
}

static struct behind count(struct unpacker sealed)
{
    struct behind all = {0};
    struct target target = {0};
    while (seal_next(&sealed, &target)) {
        *(target.is_local ? &all.boxes : &all.remotes) += 1;
        all.owned += !target.is_local && target.owner.n > 0;
    }
    return all;
}

/* The target that was added last came from a list or an alias of ours. */
static int note_origin(struct targets *t, const struct rcpt *r, struct span owner)
{
    struct remote_target *last = &t->remotes[t->n_remotes - 1];
    last->is_forwarded = true;
    if (owner.n > 0)
        return (last->owner = span_dup(owner)) != NULL ? 0 : -1;
    return t->forwards != NULL || (t->forwards = span_dup(r->address)) != NULL ? 0 : -1;
}

int targets_add_sealed(struct targets *t, const struct rcpt *r,
                       const unsigned char key[SEAL_KEY_OCTETS], int64_t now_s)
{
    struct unpacker sealed;
    struct target target = {0};
    char orcpt[ORCPT_MAX + 1];
    if (seal_open(r->sealed, r->address, key, now_s, &sealed) < 0)
        return -1;
    struct behind all = count(sealed);
    enum rcpt_deed deed = parties_deed(r, &all);
    while (seal_next(&sealed, &target)) {
        struct rcpt to = parties_behind(r, &all, &target, orcpt);
        int rc = target.is_local ? targets_add_box(t, target.box, target.quota)
                                 : targets_add_remote(t, &to);
        if (rc < 0 || (!target.is_local && note_origin(t, r, target.owner) < 0))
            return -1;
    }
    bool is_whole = all.boxes + all.remotes > 0 && unpack_done(&sealed);
    if (!is_whole || deed == DONE_NOT)
        return is_whole ? 0 : -1;
    return add_deed(t, deed, r);
}

size_t targets_elsewhere(const struct targets *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_remotes; i++)
        n += !t->remotes[i].is_local;
    return n;
}

struct span targets_path(const struct targets *t, const struct message *m,
                         const struct remote_target *r)
{
    if (m->sender.n == 0)
        return SPAN("");
    if (r->owner != NULL)
        return span_of(r->owner);
    return r->is_forwarded && t->forward_sender != NULL ? span_of(t->forward_sender) : SPAN("");
}

const char *targets_new_owner(const struct targets *t, size_t i)
{
    const char *owner = t->remotes[i].owner;
    for (size_t k = 0; owner != NULL && k < i; k++)
        if (t->remotes[k].owner != NULL && strcmp(t->remotes[k].owner, owner) == 0)
            owner = NULL;
    return owner;
}

static int compare_boxes(const void *a, const void *b)
{
    uint64_t x = ((const struct box_target *)a)->box, y = ((const struct box_target *)b)->box;
    return x < y ? -1 : x > y;
}

/* Who is named and also gets it from an alias is first as who is named. */
static int compare_remotes(const void *a, const void *b)
{
    const struct remote_target *x = a, *y = b;
    int rc = strcmp(x->address, y->address);
    if (rc == 0)
        rc = x->is_forwarded - y->is_forwarded;
    return rc != 0 ? rc
                   : strcmp(x->owner != NULL ? x->owner : "", y->owner != NULL ? y->owner : "");
}

static void drop_refused_deeds(struct targets *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_deeds; i++)
        if (!t->deeds[i].is_refused)
            t->deeds[n++] = t->deeds[i];
        else
            free_deed(&t->deeds[i]);
    t->n_deeds = n;
}

/* Before those that are the same become one. */
static void drop_refused(struct targets *t)
{
    bool is_forwarded = false;
    size_t n = 0;
    for (size_t i = 0; i < t->n_boxes; i++)
        if (!t->boxes[i].is_refused)
            t->boxes[n++] = t->boxes[i];
    t->n_boxes = n;
    n = 0;
    for (size_t i = 0; i < t->n_remotes; i++) {
        if (t->remotes[i].is_refused) {
            free_remote(&t->remotes[i]);
            continue;
        }
        is_forwarded |= t->remotes[i].is_forwarded && t->remotes[i].owner == NULL;
        t->remotes[n++] = t->remotes[i];
    }
    t->n_remotes = n;
    drop_refused_deeds(t);
    if (!is_forwarded) { /* the alias that did was refused */
        free(t->forward_sender);
        t->forward_sender = NULL;
    }
}

void targets_tidy(struct targets *t)
{
    size_t n = 0;
    drop_refused(t);
    if (t->n_boxes > 1)
        qsort(t->boxes, t->n_boxes, sizeof *t->boxes, compare_boxes);
    for (size_t i = 0; i < t->n_boxes; i++)
        if (n == 0 || t->boxes[n - 1].box != t->boxes[i].box)
            t->boxes[n++] = t->boxes[i];
    t->n_boxes = n;
    n = 0;
    if (t->n_remotes > 1)
        qsort(t->remotes, t->n_remotes, sizeof *t->remotes, compare_remotes);
    for (size_t i = 0; i < t->n_remotes; i++)
        if (n == 0 || strcmp(t->remotes[n - 1].address, t->remotes[i].address) != 0)
            t->remotes[n++] = t->remotes[i];
        else
            free_remote(&t->remotes[i]);
    t->n_remotes = n;
}

/* Its entry counts the Return-Path field in front. */
static uint64_t entry_octets(const struct message *m)
{
    return m->size + maildb_prefix_octets(m->sender, m->flags);
}

static enum intake_reason look_at_box(struct store *s, struct box_target *b)
{
    switch (store_box_look(s, b->box, &b->before)) {
    case FOUND_YES:
        return INTAKE_OK;
    case FOUND_NONE:
        return INTAKE_STALE;
    default:
        return INTAKE_FAULT;
    }
}

enum intake_reason deliver_look(struct store *s, const struct delivery *d, struct box_target *b)
{
    enum intake_reason reason = look_at_box(s, b);
    bool is_too_much = reason == INTAKE_OK && b->quota != 0 && !d->passes_quota &&
                       b->before.octets + entry_octets(d->message) > b->quota;
    return is_too_much ? INTAKE_QUOTA : reason;
}

/* May it be delivered to all of them? Writes nothing. */
static enum intake_reason look_at_boxes(struct store *s, const struct delivery *d)
{
    enum intake_reason reason = INTAKE_OK;
    for (size_t i = 0; i < d->targets->n_boxes && reason == INTAKE_OK; i++)
        reason = deliver_look(s, d, &d->targets->boxes[i]);
    return reason;
}

enum intake_reason deliver_room(struct store *s, const struct targets *t, uint64_t size)
{
    enum intake_reason reason = INTAKE_OK;
    for (size_t i = 0; i < t->n_boxes && reason == INTAKE_OK; i++) {
        struct box_target *b = &t->boxes[i];
        if (b->quota == 0)
            continue;
        reason = look_at_box(s, b);
        uint64_t octets = b->before.octets;
        if (reason == INTAKE_OK && (octets >= b->quota || size > b->quota - octets))
            reason = INTAKE_QUOTA;
    }
    return reason;
}

/* What was deleted lives in what mail leaves free of the quota. */
static int make_room(struct store *s, const struct box_target *b, uint64_t octets)
{
    uint64_t trash;
    if (store_box_trash(s, b->box, &trash) == FOUND_FAULT)
        return -1;
    bool fits = trash == 0 || b->before.octets + octets + trash <= b->quota;
    return fits ? 0 : store_trash_hasten(s, b->box);
}

static int add_entry(struct store *s, const struct delivery *d, const struct box_target *b)
{
    char uidl[ID_TEXT];
    struct entry e = {.box = b->box,
                      .seq = b->before.seq,
                      .message = d->message->id,
                      .octets = entry_octets(d->message),
                      .uidl = d->uidl};
    if (e.uidl.n == 0 && uidl_for(s, b, d->message->id, uidl) < 0)
        return -1;
    if (e.uidl.n == 0)
        e.uidl = span_of(uidl);
    if (store_box_add(s, &e) < 0 || store_entry_add(s, &e) < 0 || uidl_note(s, b->box, d->uidl) < 0)
        return -1;
    return b->quota != 0 ? make_room(s, b, e.octets) : 0;
}

/* Until when, and why, it is not tried at once. */
static int add_rcpt(struct store *s, const struct delivery *d, size_t number,
                    const struct remote_target *t)
{
    const struct message *m = d->message;
    bool is_held = d->is_held && !t->is_local;
    char why[CLOCK_TEXT_MAX + 40] = "";
    if (d->hold_until > 0) {
        char until[CLOCK_TEXT_MAX];
        clock_rfc3339(until, d->hold_until);
        snprintf(why, sizeof why, "held until %s, as its sender asked", until);
    }
    struct recipient r = {.message = m->id,
                          .number = (uint32_t)number,
                          .address = span_of(t->address),
                          .domain = span_of(t->domain),
                          .state = is_held ? RCPT_HELD : RCPT_WAITING,
                          .next_attempt = is_held             ? m->expires
                                          : d->hold_until > 0 ? d->hold_until
                                                              : m->arrived,
                          .last_reply = is_held ? SPAN(CONTAIN_REPLY) : span_of(why),
                          .is_contained = is_held,
                          .outcome = t->is_local ? DONE_DELIVERED : DONE_NOT,
                          .notify = t->notify,
                          .orcpt = span_of(t->orcpt),
                          .sender = targets_path(d->targets, m, t)};
    if (is_held && d->config != NULL)
        r.next_attempt = lifetime_of(d->config, s, m, &r).expires;
    return store_rcpt_add(s, &r);
}

/* For `barid trace`. */
static int note_sender(struct store *s, const struct delivery *d, const char *sender)
{
    struct incident e = {.message = d->message->id,
                         .at = d->message->arrived,
                         .what = "sender-rewritten",
                         .address = span_of(sender)};
    return store_event_add(s, &e);
}

static int note_senders(struct store *s, const struct delivery *d)
{
    const struct targets *t = d->targets;
    int rc = t->forward_sender != NULL ? note_sender(s, d, t->forward_sender) : 0;
    for (size_t i = 0; rc == 0 && d->message->sender.n > 0 && i < t->n_remotes; i++) {
        const char *owner = targets_new_owner(t, i);
        rc = owner != NULL ? note_sender(s, d, owner) : 0;
    }
    return rc;
}

/* It waits for its report only. */
static int add_done(struct store *s, const struct message *m, size_t number, const struct deed *d)
{
    const char *at = strrchr(d->address, '@'); /* <postmaster> has no domain */
    struct span address = span_of(d->address);
    struct recipient r = {.message = m->id,
                          .number = (uint32_t)number,
                          .address = address,
                          .domain = at != NULL ? span_of(at + 1) : address,
                          .state = RCPT_OWED,
                          .status = SPAN("2.0.0"),
                          .last_attempt = m->arrived,
                          .outcome = d->what,
                          .notify = NOTIFY_SUCCESS,
                          .orcpt = span_of(d->orcpt)};
    return store_rcpt_add(s, &r);
}

/* Of mail with a null sender nobody is told (RFC 3461 5.2.1). */
static int add_deeds(struct store *s, const struct delivery *d)
{
    const struct targets *t = d->targets;
    struct parties p = parties_of(d->message, SPAN(""));
    for (size_t i = 0; parties_tell(&p, NOTIFY_SUCCESS, NOTIFY_SUCCESS) && i < t->n_deeds; i++)
        if (add_done(s, d->message, t->n_remotes + i, &t->deeds[i]) < 0)
            return -1;
    return 0;
}

enum intake_reason deliver(struct store *s, const struct delivery *d)
{
    const struct targets *t = d->targets;
    enum intake_reason reason = look_at_boxes(s, d);
    if (reason != INTAKE_OK)
        return reason;
    if (store_message_add(s, d->message, d->content) < 0)
        return INTAKE_FAULT;
    for (size_t i = 0; i < t->n_boxes; i++)
        if (add_entry(s, d, &t->boxes[i]) < 0)
            return INTAKE_FAULT;
    for (size_t i = 0; i < t->n_remotes; i++)
        if (add_rcpt(s, d, i, &t->remotes[i]) < 0)
            return INTAKE_FAULT;
    if (note_senders(s, d) < 0)
        return INTAKE_FAULT;
    return add_deeds(s, d) == 0 ? INTAKE_OK : INTAKE_FAULT;
}

/* --- to a message that was held --- */

/* Leaves out the mailboxes that have it already, or had: what was deleted is not wanted again. */
static int drop_known_boxes(struct store *s, uint64_t message, struct targets *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_boxes; i++) {
        enum found f = store_entry_look(s, message, t->boxes[i].box);
        if (f == FOUND_FAULT)
            return -1;
        if (f == FOUND_NONE)
            t->boxes[n++] = t->boxes[i];
    }
    t->n_boxes = n;
    return 0;
}

static int add_new_rcpts(struct store *s, const struct delivery *d)
{
    const struct targets *t = d->targets;
    uint64_t number = 0;
    for (size_t i = 0; i < t->n_remotes; i++) {
        struct span address = span_of(t->remotes[i].address);
        enum found f = store_rcpt_look(s, d->message->id, address, &number);
        if (f == FOUND_FAULT)
            return -1;
        if (f == FOUND_NONE && (number > UINT32_MAX || add_rcpt(s, d, number, &t->remotes[i]) < 0))
            return -1;
    }
    return 0;
}

enum intake_reason deliver_late(struct store *s, const struct delivery *d, size_t *n_new)
{
    struct targets fresh = *d->targets; /* the boxes are shared, and may be moved */
    struct delivery late = *d;
    late.targets = &fresh;
    if (drop_known_boxes(s, d->message->id, &fresh) < 0)
        return INTAKE_FAULT;
    enum intake_reason reason = look_at_boxes(s, &late);
    if (reason != INTAKE_OK)
        return reason;
    for (size_t i = 0; i < fresh.n_boxes; i++)
        if (add_entry(s, &late, &fresh.boxes[i]) < 0)
            return INTAKE_FAULT;
    *n_new = fresh.n_boxes;
    return add_new_rcpts(s, &late) == 0 ? INTAKE_OK : INTAKE_FAULT;
}
