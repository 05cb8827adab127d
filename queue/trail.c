#include "queue/trail.h"

#include "common/clock.h"
#include "common/id.h"
#include "queue/filter.h"

#include <stdlib.h>

struct step {
    uint64_t id;
    bool is_sent, is_got;
};

struct trail_list {
    struct trail_wish wish;
    struct step steps[TRAILS * TRAIL_LIMIT_MAX];
    size_t n;
    int limit;
};

/* --- finding --- */

static int newest_first(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    return (x->id < y->id) - (x->id > y->id);
}

/* A message is met once for each thing that tells of it. */
static void merge(struct trail_list *l)
{
    size_t n = 0;
    qsort(l->steps, l->n, sizeof l->steps[0], newest_first);
    for (size_t i = 0; i < l->n; i++) {
        if (n == 0 || l->steps[n - 1].id != l->steps[i].id) {
            l->steps[n++] = l->steps[i];
            continue;
        }
        l->steps[n - 1].is_sent |= l->steps[i].is_sent;
        l->steps[n - 1].is_got |= l->steps[i].is_got;
    }
    l->n = n < (size_t)l->limit ? n : (size_t)l->limit;
}

static int collect(struct store *s, struct trail_list *l)
{
    uint64_t ids[TRAIL_LIMIT_MAX];
    l->n = 0;
    for (int t = 0; t < TRAILS; t++) {
        bool is_box = t == TRAIL_BOX || t == TRAIL_TRASH;
        bool is_sent = t == TRAIL_SENT || t == TRAIL_PAST;
        int n =
            is_box && l->wish.box == 0 ? 0 : store_trail(s, (enum trail)t, &l->wish, ids, l->limit);
        if (n < 0)
            return -1;
        for (int i = 0; i < n; i++)
            l->steps[l->n++] = (struct step){.id = ids[i], .is_sent = is_sent, .is_got = !is_sent};
    }
    merge(l);
    return 0;
}

/* --- telling --- */

static enum found head_of(struct queue *q, uint64_t id, struct admin_row *row)
{
    struct message m;
    struct past p = {0};
    const char *state = "here";
    enum found f = store_message_get(q->store, id, &m);
    if (f == FOUND_YES)
        p = (struct past){.size = m.size, .arrived = m.arrived, .sender = m.sender};
    else if (f == FOUND_NONE && (f = store_past_get(q->store, id, &p)) == FOUND_YES)
        state = "gone";
    if (f == FOUND_YES) {
        row_time(row, "arrived", p.arrived);
        row_text(row, "state", span_of(state));
        row_text(row, "from", p.sender);
        row_size(row, "size", p.size);
    }
    store_message_end(q->store);
    store_past_end(q->store);
    return f;
}

/* The first recipient that is known, and what happened last. */
static void tell_end(struct queue *q, uint64_t id, struct span to, struct admin_row *row)
{
    char first[RCPT_ADDRESS_MAX + 1] = "", last[32] = "";
    struct recipient r;
    struct incident e;
    store_rcpts_begin(q->store, id);
    if (store_rcpts_next(q->store, &r) == FOUND_YES) {
        span_copy(first, sizeof first, r.address);
        span_copy(last, sizeof last,
                  span_of(shown_state_name(shown_state_of(q, &r, clock_wall_s()))));
    }
    store_rcpts_end(q->store);
    store_events_begin(q->store, id);
    while (store_events_next(q->store, &e) == FOUND_YES) {
        if (first[0] == '\0')
            span_copy(first, sizeof first, e.address);
        span_copy(last, sizeof last, e.word);
    }
    row_text(row, "to", to.n > 0 ? to : span_of(first));
    row_text(row, "last", span_of(last));
}

static int tell(struct queue *q, struct admin_call *call, const struct trail_list *l)
{
    static struct admin_row row;
    char text[ID_TEXT];
    for (size_t i = 0; i < l->n; i++) {
        const struct step *s = &l->steps[i];
        id_format(text, s->id);
        row_begin(&row);
        row_text(&row, "id", span_of(text));
        enum found f = head_of(q, s->id, &row);
        if (f == FOUND_FAULT)
            return -1;
        if (f != FOUND_YES)
            continue; /* only what happened to it is left, or it is damaged */
        row_text(&row, "way",
                 s->is_sent && s->is_got ? SPAN("both")
                 : s->is_sent            ? SPAN("sent")
                                         : SPAN("received"));
        tell_end(q, s->id, s->is_got ? l->wish.address : SPAN(""), &row);
        row_send(&row, call, 0, "");
    }
    return 0;
}

/* --- what is wanted --- */

static bool read_number(const struct admin_call *call, const char *name, uint64_t max,
                        uint64_t *out)
{
    struct span text = admin_option(call, name);
    return text.p == NULL || (span_u64(text, out) == 0 && *out >= 1 && *out <= max);
}

/* NULL, or what is wrong. */
static const char *read_wish(const struct admin_call *call, struct trail_list *l,
                             char domain[DOMAIN_MAX])
{
    uint64_t limit = TRAIL_LIMIT;
    struct span before = admin_option(call, "before"), rest;
    l->wish = (struct trail_wish){.address = call->n_args > 0 ? call->args[0] : SPAN(""),
                                  .before = INT64_MAX};
    rest = l->wish.address;
    for (struct span part = rest; part.p != NULL; span_cut(&part, '@'))
        rest = part; /* what follows the last one */
    bool is_address = l->wish.address.n > rest.n && rest.n > 0 && rest.n <= DOMAIN_MAX &&
                      l->wish.address.n <= ADDRESS_MAX;
    if (!is_address)
        return "whose messages? Name an address";
    for (size_t i = 0; i < rest.n; i++)
        domain[i] = ascii_lower(rest.p[i]);
    l->wish.domain = (struct span){domain, rest.n};
    if (!read_number(call, "limit", TRAIL_LIMIT_MAX, &limit))
        return "the limit is a number from 1 to 200";
    if (!read_number(call, "box", INT64_MAX, &l->wish.box))
        return "no mailbox has this number";
    if (before.p != NULL && id_parse(before, &l->wish.before) < 0)
        return "before is the id of a message";
    l->limit = (int)limit;
    return NULL;
}

void trail_show(void *owner, struct admin_call *call)
{
    static struct trail_list list;
    struct queue *q = owner;
    char domain[DOMAIN_MAX];
    const char *wrong = read_wish(call, &list, domain);
    if (wrong != NULL)
        admin_fail(call, VERDICT_NEVER, "%s", wrong);
    else if (collect(q->store, &list) < 0 || tell(q, call, &list) < 0)
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be read: see the log");
    else
        admin_done(call, 0);
}
