/* BDAT (RFC 3030): content in chunks whose octets are counted, so that nothing in them ends it. The
 * octets of a chunk are read whatever becomes of the command, or else they would be taken for
 * commands. Lines still end with CRLF: BINARYMIME is not offered. */
#include "common/clock.h"
#include "smtpd/verbs.h"

/* Why this chunk is not taken; R_DONE: it is. */
static enum reply refusal(const struct session *s)
{
    if (session_lacks_tls(s))
        return R_TLS_FIRST;
    switch (s->state) {
    case STATE_START:
        return s->rules.is_lmtp ? R_LHLO_FIRST : R_HELO_FIRST;
    case STATE_READY:
        return R_MAIL_FIRST;
    case STATE_MAIL:
        return s->rules.is_lmtp ? R_RCPT_FIRST : R_NO_RCPTS;
    default:
        return R_DONE;
    }
}

/* "123" or "123 LAST". */
static int parse(struct span argument, struct chunk *c)
{
    struct span number = span_cut(&argument, ' ');
    struct span word = span_trim(argument);
    c->is_last = span_ieq(word, SPAN("LAST"));
    return span_u64(number, &c->left) == 0 && (word.n == 0 || c->is_last) ? 0 : -1;
}

static void end_content(struct session *s)
{
    struct txn *t = s->txn;
    size_t n_out;
    char *room = txn_room(t, body_room(&t->body, 0));
    if (room == NULL) {
        session_reply(s, R_NO_MEMORY);
        return;
    }
    body_end(&t->body, room, &n_out);
    t->n_content += n_out;
    data_is_over(s);
}

/* All of its octets were read. */
static void chunk_over(struct session *s)
{
    s->state = s->chunk.then;
    if (s->chunk.refusal != R_DONE)
        session_reply(s, s->chunk.refusal);
    else if (s->txn->body.problem != BODY_FINE)
        data_refuse(s);
    else if (s->txn->is_decided)
        data_conclude(s);
    else if (s->chunk.is_last)
        end_content(s);
    else
        session_reply(s, R_CHUNK_DONE);
}

/* The client is not blamed for the time between chunks. */
static void go_on(struct session *s)
{
    struct txn *t = s->txn;
    int64_t now = clock_mono_ms();
    t->data_began_ms += now - t->data_last_ms;
    t->data_last_ms = now;
}

void cmd_bdat(struct session *s, struct span argument)
{
    struct chunk c = {.then = s->state, .refusal = refusal(s)};
    if (parse(argument, &c) < 0) {
        session_reply(s, R_BAD_CHUNK);
        return;
    }
    if (c.left > s->rules.message_size_max + DATA_OVERSIZE_MAX) {
        session_reply(s, R_ENDLESS);
        return;
    }
    if (s->state == STATE_RCPT && data_begin(s) < 0)
        c.refusal = s->rules.is_lmtp ? R_NO_MEMORY : R_TRY_LATER; /* LMTP would owe many replies */
    if (s->txn != NULL && c.refusal != R_DONE) {
        /* Or else what comes after a lost chunk could be taken for the whole. */
        txn_reset(s);
        c.then = STATE_READY;
    } else if (c.refusal == R_DONE) {
        s->txn->body.is_chunked = true;
        c.then = STATE_CHUNKS;
        go_on(s);
    }
    s->chunk = c;
    s->state = STATE_CHUNK;
    if (c.left == 0)
        chunk_over(s);
}

size_t chunk_input(struct session *s, struct span in)
{
    struct chunk *c = &s->chunk;
    size_t used = in.n < c->left ? in.n : (size_t)c->left;
    if (c->refusal == R_DONE && used > 0) {
        used = data_take(s, (struct span){in.p, used});
        if (s->state == STATE_OVER)
            return used;
    }
    c->left -= used;
    if (c->refusal == R_DONE && used > 0 && !(c->left == 0 && c->is_last))
        data_pass_on(s);
    if (s->state == STATE_CHUNK && c->left == 0 && s->wait == WAIT_NOTHING)
        chunk_over(s);
    return used;
}
