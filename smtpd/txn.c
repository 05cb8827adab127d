#include "smtpd/txn.h"

#include "common/id.h"
#include "common/proto.h"
#include "smtpd/session.h"

int txn_begin(struct session *s, struct span sender)
{
    struct txn *t = calloc(1, sizeof *t);
    if (t == NULL)
        return -1;
    t->id = id_new();
    t->verdict = VERDICT_TRY_LATER; /* until the queue says otherwise */
    buf_init(&t->asked_seal, SEALED_MAX);
    buf_init(&t->rcpts, TXN_RCPTS_OCTETS);
    if (span_copy(t->sender, sizeof t->sender, sender) < 0) {
        free(t);
        return -1;
    }
    s->txn = t;
    return 0;
}

void txn_reset(struct session *s)
{
    struct txn *t = s->txn;
    if (s->rcpt_tag != 0)
        s->rules.ops->forget(s->rules.client, s->rcpt_of, s->rcpt_tag);
    s->rcpt_tag = 0;
    s->wait = WAIT_NOTHING;
    if (t == NULL)
        return;
    if (t->tag != 0)
        s->rules.ops->queue_abort(s->rules.client, t->tag);
    buf_free(&t->asked_seal);
    buf_free(&t->rcpts);
    free(t->hashes);
    free(t->content);
    free(t->agreed);
    free(t->each);
    free(t);
    s->txn = NULL;
}

/* FNV-1a: decides only how many addresses are compared in full. */
static uint32_t hash_of(struct span s)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619U;
    return h;
}

bool txn_is_each(const struct session *s)
{
    return s->rules.is_lmtp || s->txn->is_prdr;
}

uint64_t txn_rcpts_max(const struct session *s)
{
    uint64_t max = s->rules.limits.recipients;
    bool is_each = s->txn != NULL ? txn_is_each(s) : s->rules.is_lmtp;
    return is_each && max > EACH_RCPTS_MAX ? EACH_RCPTS_MAX : max;
}

size_t txn_find_rcpt(const struct txn *t, struct span address)
{
    uint32_t h = hash_of(address);
    struct unpacker records = unpacker_on(buf_span(&t->rcpts));
    struct rcpt r;
    size_t i = 0;
    while (i < t->n_rcpts && t->hashes[i] != h)
        i++;
    if (i == t->n_rcpts)
        return i;
    for (i = 0; rcpt_next(&records, &r) && !span_eq(r.address, address); i++)
        ;
    return i < t->n_rcpts ? i : t->n_rcpts;
}

int txn_agree(struct session *s, size_t rcpt)
{
    struct txn *t = s->txn;
    if (txn_is_each(s)) {
        void *agreed = t->agreed;
        if (array_reserve(&agreed, &t->agreed_cap, t->n_agreed + 1, sizeof *t->agreed) < 0)
            return -1;
        t->agreed = agreed;
        t->agreed[t->n_agreed] = (uint16_t)rcpt;
    }
    t->n_agreed++;
    return 0;
}

int txn_add_rcpt(struct txn *t, const struct rcpt *r)
{
    size_t n = r->address.n + r->sealed.n + r->orcpt.n + 13; /* three lengths and an octet */
    char *room = buf_room(&t->rcpts, n);
    if (room == NULL ||
        array_reserve((void **)&t->hashes, &t->hashes_cap, t->n_rcpts + 1, sizeof *t->hashes) < 0)
        return -1;
    struct packer w = packer_on(room, n);
    rcpt_pack(&w, r);
    if (w.failed)
        return -1;
    buf_grew(&t->rcpts, w.n);
    if (t->n_rcpts == 0 && span_copy(t->only_rcpt, sizeof t->only_rcpt, r->address) < 0)
        t->only_rcpt[0] = '\0';
    t->hashes[t->n_rcpts++] = hash_of(r->address);
    return 0;
}

char *txn_room(struct txn *t, size_t n)
{
    if (array_reserve((void **)&t->content, &t->content_cap, t->n_content + n, 1) < 0)
        return NULL;
    return t->content + t->n_content;
}
