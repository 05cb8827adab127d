#include "queue/trace.h"

#include "common/clock.h"
#include "common/id.h"
#include "queue/filter.h"

#define STEP 2000 /* messages looked at for one page, as long as a Message-ID is looked for */

static struct span between_brackets(struct span s)
{
    const char *open = s.n > 0 ? memchr(s.p, '<', s.n) : NULL;
    if (open == NULL)
        return SPAN("");
    struct span rest = span_from(s, (size_t)(open - s.p) + 1);
    struct span id = span_cut(&rest, '>');
    bool is_good = rest.p != NULL && id.n > 0 && id.n <= MESSAGE_ID_MAX;
    for (size_t i = 0; i < id.n; i++)
        is_good &= (unsigned char)id.p[i] > ' ' && (unsigned char)id.p[i] < 0x7f;
    return is_good ? id : SPAN("");
}

/* A field may go on in lines that begin with white space. */
struct span trace_header_id(struct span header)
{
    bool is_it = false;
    while (header.n > 0) {
        struct span rest = header;
        struct span line = span_cut(&rest, '\n');
        if (line.n > 0 && line.p[0] != ' ' && line.p[0] != '\t')
            is_it = span_istarts(line, SPAN("Message-ID:"));
        struct span id = is_it ? between_brackets(line) : SPAN("");
        if (id.n > 0)
            return id;
        if (rest.p == NULL)
            break;
        header = rest;
    }
    return SPAN("");
}

/* --- finding it --- */

/* Newest first: what is asked for is mostly young. *cursor: where to go on, 0: it was not found. */
static enum found find_here(struct store *s, struct span wanted, uint64_t *cursor, uint64_t *id)
{
    uint64_t at = *cursor != 0 ? *cursor : INT64_MAX;
    *cursor = 0;
    for (int i = 0; i < STEP; i++) {
        struct span header;
        enum found f = store_header_before(s, &at, &header);
        bool is_it = f == FOUND_YES && span_eq(trace_header_id(header), wanted);
        *id = at;
        if (f != FOUND_YES || is_it) {
            store_header_end(s);
            return f;
        }
    }
    store_header_end(s);
    *cursor = at;
    return FOUND_NONE;
}

/* --- telling it --- */

static void tell_head(struct admin_call *call, uint64_t id, const struct past *p, const char *state)
{
    static struct admin_row row;
    char text[ID_TEXT];
    id_format(text, id);
    row_begin(&row);
    row_text(&row, "id", span_of(text));
    row_text(&row, "state", span_of(state));
    row_text(&row, "from", p->sender);
    row_size(&row, "size", p->size);
    row_time(&row, "arrived", p->arrived);
    row_time(&row, "gone", p->gone);
    row_text(&row, "login", p->login);
    row_text(&row, "client", p->client);
    row_send(&row, call, 0, "");
}

static void tell_rcpts(struct queue *q, struct admin_call *call, uint64_t id)
{
    static struct admin_row row;
    struct recipient r;
    enum found f;
    store_rcpts_begin(q->store, id);
    while ((f = store_rcpts_next(q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED) {
        if (f == FOUND_DAMAGED)
            continue;
        row_begin(&row);
        row_text(&row, "address", r.address);
        row_text(&row, "state", span_of(shown_state_name(shown_state_of(q, &r, clock_wall_s()))));
        row_number(&row, "attempts", (int64_t)r.attempts);
        row_time(&row, "next_attempt", r.state == RCPT_WAITING ? r.next_attempt : 0);
        row_text(&row, "last_reply", r.last_reply);
        row_send(&row, call, 1, "recipients");
    }
}

static void tell_events(struct queue *q, struct admin_call *call, uint64_t id)
{
    static struct admin_row row;
    struct incident e;
    store_events_begin(q->store, id);
    while (store_events_next(q->store, &e) == FOUND_YES) {
        row_begin(&row);
        row_time(&row, "time", e.at);
        row_text(&row, "event", e.word);
        row_text(&row, "address", e.address);
        row_text(&row, "remote", e.remote);
        row_text(&row, "tls", e.tls);
        row_text(&row, "reply", e.reply);
        if (e.dialogue > 0)
            row_number(&row, "attempt", (int64_t)e.dialogue);
        else
            row_null(&row, "attempt");
        row_send(&row, call, 1, "events");
    }
}

/* "12 < 250 ok": after 12 ms the server said it. */
static void tell_line(struct admin_call *call, const struct dialogue *d, struct span line)
{
    static struct admin_row row;
    uint64_t ms = 0;
    struct span time = span_cut(&line, ' '), who = span_cut(&line, ' ');
    if (span_u64(time, &ms) < 0 || ms > INT64_MAX || who.n != 1)
        return; /* a damaged row */
    row_begin(&row);
    row_number(&row, "attempt", (int64_t)d->id);
    row_number(&row, "ms", (int64_t)ms);
    row_text(&row, "who", who);
    row_text(&row, "said", line.p != NULL ? line : SPAN(""));
    row_send(&row, call, 1, "dialogue");
}

static void tell_attempts(struct queue *q, struct admin_call *call, uint64_t id)
{
    static struct admin_row row;
    struct dialogue d;
    store_dialogues_begin(q->store, id);
    while (store_dialogues_next(q->store, &d) == FOUND_YES) {
        row_begin(&row);
        row_number(&row, "attempt", (int64_t)d.id);
        row_time(&row, "began", d.began_ms / 1000);
        row_time(&row, "over", d.at);
        row_text(&row, "remote", d.remote);
        row_text(&row, "tls", d.tls);
        row_send(&row, call, 1, "attempts");
        for (struct span text = d.text; text.n > 0;)
            tell_line(call, &d, span_cut(&text, '\n'));
    }
}

static void tell_boxes(struct queue *q, struct admin_call *call, uint64_t id)
{
    static struct admin_row row;
    uint64_t box;
    int64_t deleted_at;
    store_boxes_of_begin(q->store, id);
    while (store_boxes_of_next(q->store, &box, &deleted_at) == FOUND_YES) {
        row_begin(&row);
        row_number(&row, "mailbox", (int64_t)box);
        row_time(&row, "deleted", deleted_at);
        row_send(&row, call, 1, "mailboxes");
    }
}

/* The head of a message that is here, or that went. */
static enum found tell_message(struct queue *q, struct admin_call *call, uint64_t id)
{
    struct message m;
    struct past p;
    enum found f = store_message_get(q->store, id, &m);
    if (f == FOUND_YES) {
        p = (struct past){.size = m.size,
                          .arrived = m.arrived,
                          .sender = m.sender,
                          .client = m.client,
                          .login = m.login};
        tell_head(call, id, &p, "here");
    }
    store_message_end(q->store);
    if (f != FOUND_NONE)
        return f;
    f = store_past_get(q->store, id, &p);
    if (f == FOUND_YES)
        tell_head(call, id, &p, "gone");
    store_past_end(q->store);
    return f;
}

static void tell(struct queue *q, struct admin_call *call, uint64_t id)
{
    enum found f = tell_message(q, call, id);
    if (f == FOUND_NONE) {
        admin_fail(call, VERDICT_NEVER,
                   "nothing is known of this message: it never was here, or went longer ago than "
                   "[queue] trace");
        return;
    }
    if (f != FOUND_YES) {
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be read: see the log");
        return;
    }
    tell_rcpts(q, call, id);
    tell_events(q, call, id);
    tell_attempts(q, call, id);
    tell_boxes(q, call, id);
    admin_done(call, 0);
}

void trace_show(void *owner, struct admin_call *call)
{
    struct queue *q = owner;
    struct span wanted = call->n_args > 0 ? call->args[0] : SPAN("");
    uint64_t id = 0, cursor = call->cursor;
    if (id_parse(wanted, &id) == 0) {
        tell(q, call, id);
        return;
    }
    struct span inner = between_brackets(wanted);
    wanted = inner.n > 0 ? inner : wanted;
    if (wanted.n == 0 || wanted.n > MESSAGE_ID_MAX) {
        admin_fail(call, VERDICT_NEVER, "which message? Name its id, its Message-ID or an address");
        return;
    }
    enum found f = find_here(q->store, wanted, &cursor, &id);
    if (f == FOUND_NONE && cursor == 0)
        f = store_past_find(q->store, wanted, &id);
    if (f == FOUND_YES)
        tell(q, call, id);
    else if (f == FOUND_FAULT)
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be read: see the log");
    else if (cursor != 0)
        admin_done(call, cursor);
    else
        admin_fail(call, VERDICT_NEVER, "there is no message with this id, Message-ID or address");
}
