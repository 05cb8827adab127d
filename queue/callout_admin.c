/* What is kept of call-outs, for the administrator. Declared in callout.h. */
#include "common/addr.h"
#include "common/idn.h"
#include "common/log.h"
#include "queue/callout_state.h"

/* "Bob@Example.ORG" or "@Example.ORG" as it is kept. 0, or -1: it is neither. */
static int fold(struct span in, char out[ADDRESS_MAX])
{
    char whole[ADDRESS_MAX + DOMAIN_MAX + 1], domain[DOMAIN_MAX + 1];
    size_t at = in.n;
    while (at > 0 && in.p[at - 1] != '@')
        at--;
    if (at == 0 || at > ADDRESS_MAX || idn_domain(span_from(in, at), domain) < 0)
        return -1;
    memcpy(whole, in.p, at);
    memcpy(whole + at, domain, strlen(domain) + 1);
    return idn_fold(span_of(whole), out, ADDRESS_MAX);
}

/* The option domain= as "@example.org"; empty: any. */
static int wanted_domain(const struct admin_call *call, char out[ADDRESS_MAX])
{
    char given[DOMAIN_MAX + 2] = "@";
    struct span wanted = admin_option(call, "domain");
    out[0] = '\0';
    if (wanted.p == NULL)
        return 0;
    return span_copy(given + 1, sizeof given - 1, wanted) < 0 ? -1 : fold(span_of(given), out);
}

static void send_row(struct admin_call *call, const struct callout_row *c)
{
    static struct admin_row row;
    row_begin(&row);
    row_text(&row, "address", c->address);
    row_bool(&row, "exists", c->exists);
    row_time(&row, "learned", c->learned);
    row_time(&row, "expires", c->expires);
    row_send(&row, call, 0, "");
}

void callout_list(void *owner, struct admin_call *call)
{
    struct queue *q = owner;
    char domain[ADDRESS_MAX];
    struct callout_row c = {.id = call->cursor};
    enum found f = FOUND_NONE;
    size_t n = 0;
    if (wanted_domain(call, domain) < 0 || call->cursor > INT64_MAX) {
        admin_fail(call, VERDICT_NEVER, "that is no domain");
        return;
    }
    callouts_flush(q);
    store_callouts_begin(q->store, call->cursor, span_of(domain));
    while (n < ADMIN_PAGE &&
           ((f = store_callouts_next(q->store, &c)) == FOUND_YES || f == FOUND_DAMAGED)) {
        if (f == FOUND_YES && c.host == callout_host(q, c.address))
            send_row(call, &c);
        n++;
    }
    store_callouts_end(q->store);
    if (f == FOUND_FAULT)
        admin_fail(call, VERDICT_TRY_LATER, "the queue cannot be read: see the log");
    else
        admin_done(call, n == ADMIN_PAGE ? c.id : 0);
}

/* Of the table, for good. How many, or -1. */
static int64_t forget(struct queue *q, struct span what)
{
    struct batch *b = &q->batch;
    if (batch_begin(b) < 0)
        return -1;
    int64_t n = store_callout_forget(q->store, what);
    if (n < 0) {
        batch_undo(b);
        return -1;
    }
    return batch_finish(b) == OUTCOME_SAVED ? n : -1;
}

void callout_forget(void *owner, struct admin_call *call)
{
    static struct admin_row row;
    struct queue *q = owner;
    char what[ADDRESS_MAX];
    if (call->n_args < 1 || fold(call->args[0], what) < 0) {
        admin_fail(call, VERDICT_NEVER, "which? Name an address, or @DOMAIN for all of a domain");
        return;
    }
    int64_t n = callouts_flush(q); /* so that it is counted once */
    if (n == 0) {
        callouts_forget(q, span_of(what)); /* first, so that no commit writes it again */
        n = forget(q, span_of(what));
    }
    if (n < 0) {
        admin_fail(call, VERDICT_TRY_LATER, "the store cannot be written: see the log");
        return;
    }
    if (n == 0) {
        admin_fail(call, VERDICT_NEVER, "nothing is kept of %s", what);
        return;
    }
    LOG(0, "callout-forgotten", LN("addresses", n), LZ("by", "administrator"));
    row_begin(&row);
    row_number(&row, "forgotten", n);
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}
