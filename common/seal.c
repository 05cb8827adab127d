#include "common/seal.h"

#include "common/notify.h"

#include <sodium.h>

#define MAC_OCTETS 16

enum kind { KIND_REMOTE, KIND_LOCAL, KIND_OWNER }; /* KIND_OWNER: of the remote ones behind it */

void seal_begin(struct sealer *s, struct span rcpt, int64_t now_s)
{
    s->w = packer_on(s->out + MAC_OCTETS, sizeof s->out - MAC_OCTETS);
    pack_uint(&s->w, (uint64_t)now_s, 8);
    pack_bytes(&s->w, rcpt);
    s->owner = SPAN("");
}

void seal_target(struct sealer *s, const struct target *t)
{
    if (!t->is_local && !span_eq(t->owner, s->owner)) {
        pack_uint(&s->w, KIND_OWNER, 1);
        pack_bytes(&s->w, t->owner);
        s->owner = t->owner;
    }
    pack_uint(&s->w, t->is_local ? KIND_LOCAL : KIND_REMOTE, 1);
    pack_uint(&s->w, t->box, 8);
    pack_uint(&s->w, t->quota, 8);
    pack_bytes(&s->w, t->address);
}

static void mac(unsigned char out[MAC_OCTETS], struct span s,
                const unsigned char key[SEAL_KEY_OCTETS])
{
    crypto_generichash(out, MAC_OCTETS, (const unsigned char *)s.p, s.n, key, SEAL_KEY_OCTETS);
}

struct span seal_end(struct sealer *s, const unsigned char key[SEAL_KEY_OCTETS])
{
    if (s->w.failed)
        return (struct span){s->out, 0};
    mac((unsigned char *)s->out, packer_span(&s->w), key);
    return (struct span){s->out, s->w.n + MAC_OCTETS};
}

int seal_open(struct span sealed, struct span rcpt, const unsigned char key[SEAL_KEY_OCTETS],
              int64_t now_s, struct unpacker *targets)
{
    if (sealed.n < MAC_OCTETS)
        return -1;
    struct span body = span_from(sealed, MAC_OCTETS);
    unsigned char expected[MAC_OCTETS];
    mac(expected, body, key);
    if (sodium_memcmp(expected, sealed.p, MAC_OCTETS) != 0)
        return -1;
    *targets = unpacker_on(body);
    int64_t made_s = (int64_t)unpack_uint(targets, 8);
    struct span made_for = unpack_text(targets, ADDRESS_MAX);
    bool is_fresh = now_s >= made_s - SEAL_LIFETIME_S && now_s - made_s <= SEAL_LIFETIME_S;
    return !targets->failed && is_fresh && span_eq(made_for, rcpt) ? 0 : -1;
}

bool seal_next(struct unpacker *targets, struct target *t)
{
    if (targets->failed || targets->left.n == 0)
        return false;
    uint64_t kind = unpack_uint(targets, 1);
    while (kind == KIND_OWNER && !targets->failed) {
        t->owner = unpack_text(targets, ADDRESS_MAX);
        kind = unpack_uint(targets, 1);
    }
    t->is_local = kind == KIND_LOCAL;
    t->box = unpack_uint(targets, 8);
    t->quota = unpack_uint(targets, 8);
    t->address = unpack_text(targets, ADDRESS_MAX);
    return !targets->failed;
}

void rcpt_pack(struct packer *w, const struct rcpt *r)
{
    pack_bytes(w, r->address);
    pack_bytes(w, r->sealed);
    pack_uint(w, r->notify, 1);
    pack_bytes(w, r->orcpt);
}

bool rcpt_next(struct unpacker *records, struct rcpt *r)
{
    if (records->failed || records->left.n == 0)
        return false;
    r->address = unpack_text(records, ADDRESS_MAX);
    r->sealed = unpack_bytes(records, SEALED_MAX);
    r->notify = (uint8_t)unpack_uint(records, 1);
    r->orcpt = unpack_text(records, ORCPT_MAX);
    return !records->failed;
}
