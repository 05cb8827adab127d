#include "resolver/answer.h"

#define HEADER_OCTETS 12
#define NAME_OCTETS   255 /* RFC 1035 2.3.4, in wire form */
#define LABEL_OCTETS  63
#define CNAMES_MAX    12
#define FLAG_TC       0x0200U

#define RCODE_NOERROR  0
#define RCODE_NXDOMAIN 3
#define CLASS_IN       1

/* A name in wire form, lower case, not compressed. */
struct name {
    size_t n;
    char octets[NAME_OCTETS];
};

struct packet {
    struct span all;
    size_t at;
    bool is_damaged;
};

struct record {
    struct name owner;
    unsigned type, class;
    size_t rdata, n; /* place and length in the packet */
};

/* What is done with each record that answers the question. Returns false if the record is damaged.
 */
typedef bool take_fn(struct packet *p, const struct record *r, void *arg);

static unsigned octet(struct packet *p)
{
    if (p->at >= p->all.n) {
        p->is_damaged = true;
        return 0;
    }
    return (unsigned char)p->all.p[p->at++];
}

static unsigned number(struct packet *p)
{
    unsigned high = octet(p);
    return high << 8 | octet(p);
}

static bool add_label(struct packet *p, struct name *out, size_t n)
{
    if (n > LABEL_OCTETS || n > p->all.n - p->at || out->n + 1 + n >= NAME_OCTETS)
        return false;
    out->octets[out->n++] = (char)n;
    for (size_t i = 0; i < n; i++)
        out->octets[out->n++] = ascii_lower(p->all.p[p->at++]);
    return true;
}

/* Reads the name at the cursor. A pointer (RFC 1035 4.1.4) must lead to before the place where the
 * part of the name that holds it began, so following them ends. */
static void read_name(struct packet *p, struct name *out)
{
    size_t after = 0, part = p->at;
    out->n = 0;
    for (;;) {
        unsigned n = octet(p);
        if (n >= 0xc0) {
            size_t target = (n & 0x3f) << 8 | octet(p);
            after = after == 0 ? p->at : after;
            if (p->is_damaged || target >= part)
                break;
            p->at = part = target;
        } else if (n == 0 && !p->is_damaged) {
            out->octets[out->n++] = 0;
            p->at = after == 0 ? p->at : after;
            return;
        } else if (p->is_damaged || !add_label(p, out, n)) {
            break;
        }
    }
    p->is_damaged = true;
}

static bool name_eq(const struct name *a, const struct name *b)
{
    return a->n == b->n && memcmp(a->octets, b->octets, a->n) == 0;
}

static bool is_host_octet(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool answer_is_host(struct span name)
{
    if (name.n == 0 || name.n > NAME_OCTETS - 2)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] != '.' && !is_host_octet(name.p[i]))
            return false;
        if (name.p[i] == '.' && label == 0)
            return false;
        label = name.p[i] == '.' ? 0 : label + 1;
        if (label > LABEL_OCTETS)
            return false;
    }
    return label > 0;
}

/* Text form; false if it is no host name. The root is "". */
static bool host_text(const struct name *name, char out[DOMAIN_MAX + 1])
{
    size_t n = 0;
    for (size_t at = 0; name->octets[at] != 0;) {
        size_t label = (unsigned char)name->octets[at++];
        if (n > 0)
            out[n++] = '.';
        for (size_t i = 0; i < label; i++, at++) {
            if (!is_host_octet(name->octets[at]))
                return false;
            out[n++] = name->octets[at];
        }
    }
    out[n] = '\0';
    return true;
}

static bool read_record(struct packet *p, struct record *r)
{
    read_name(p, &r->owner);
    r->type = number(p);
    r->class = number(p);
    number(p); /* time to live: libunbound's cache heeds it */
    number(p);
    r->n = number(p);
    r->rdata = p->at;
    if (p->is_damaged || r->n > p->all.n - p->at)
        return false;
    p->at += r->n;
    return true;
}

/* Reads a name inside resource data, which it must fill exactly from octet `skip` on. */
static bool rdata_name(struct packet *p, const struct record *r, size_t skip, struct name *out)
{
    struct packet inside = *p;
    inside.at = r->rdata + skip;
    if (r->n <= skip)
        return false;
    read_name(&inside, out);
    return !inside.is_damaged && inside.at == r->rdata + r->n;
}

struct walk {
    unsigned type;
    take_fn *take;
    void *arg;
    size_t n_taken;
    bool has_cname;
    struct name cname;
    struct name last; /* where the CNAMEs led to */
    bool is_alias;
};

/* One pass over the answer section for the records of one name. */
static bool walk_records(struct packet p, unsigned count, const struct name *owner, struct walk *w)
{
    w->has_cname = false;
    for (unsigned i = 0; i < count; i++) {
        struct record r;
        if (!read_record(&p, &r))
            return false;
        if (r.class != CLASS_IN || !name_eq(&r.owner, owner))
            continue;
        if (r.type == w->type) {
            if (!w->take(&p, &r, w->arg))
                return false;
            w->n_taken++;
        } else if (r.type == DNS_TYPE_CNAME) {
            if (!rdata_name(&p, &r, 0, &w->cname))
                return false;
            w->has_cname = true;
        }
    }
    return true;
}

static enum verdict walk_answer(struct span octets, struct walk *w)
{
    struct packet p = {.all = octets};
    struct name owner;
    number(&p);
    unsigned flags = number(&p), rcode = flags & 0xf;
    unsigned questions = number(&p), answers = number(&p);
    p.at = HEADER_OCTETS;
    read_name(&p, &owner);
    number(&p);
    number(&p);
    if (p.is_damaged || questions != 1 || (flags & FLAG_TC) != 0)
        return VERDICT_TRY_LATER; /* libunbound leaves out records that do not fit into a packet */
    if (rcode != RCODE_NOERROR)
        return rcode == RCODE_NXDOMAIN ? VERDICT_NEVER : VERDICT_TRY_LATER;
    for (int hop = 0; hop < CNAMES_MAX; hop++) {
        if (!walk_records(p, answers, &owner, w))
            return VERDICT_TRY_LATER;
        if (w->n_taken > 0 || !w->has_cname)
            return VERDICT_OK;
        owner = w->last = w->cname;
        w->is_alias = true;
    }
    return VERDICT_TRY_LATER; /* a loop of CNAMEs */
}

static void keep_mx(struct mx_list *l, const struct mx *m)
{
    size_t at = l->n;
    while (at > 0 && l->list[at - 1].preference > m->preference)
        at--;
    if (at == ANSWER_MX_MAX)
        return;
    size_t behind = (l->n < ANSWER_MX_MAX ? l->n : ANSWER_MX_MAX - 1) - at;
    memmove(&l->list[at + 1], &l->list[at], behind * sizeof l->list[0]);
    l->list[at] = *m;
    l->n += l->n < ANSWER_MX_MAX;
}

struct mx_taker {
    struct mx_list *out;
    bool has_null;
};

static bool take_mx(struct packet *p, const struct record *r, void *arg)
{
    struct mx_taker *t = arg;
    struct packet inside = *p;
    struct mx m;
    struct name host;
    inside.at = r->rdata;
    m.preference = (uint16_t)number(&inside);
    if (!rdata_name(p, r, 2, &host))
        return false;
    if (host.n == 1)
        t->has_null = true;
    else if (host_text(&host, m.host))
        keep_mx(t->out, &m);
    return true;
}

enum verdict answer_mx(struct span packet, struct mx_list *out)
{
    struct mx_taker t = {.out = out};
    struct walk w = {.type = DNS_TYPE_MX, .take = take_mx, .arg = &t};
    out->n = 0;
    enum verdict v = walk_answer(packet, &w);
    if (v != VERDICT_OK || out->n > 0 || w.n_taken == 0)
        return v;
    if (!t.has_null)
        return VERDICT_TRY_LATER;
    out->list[out->n++] = (struct mx){0};
    return VERDICT_OK;
}

static bool take_addr(struct packet *p, const struct record *r, void *arg)
{
    struct addr_list *out = arg;
    if (r->n != (r->type == DNS_TYPE_A ? 4U : 16U))
        return false;
    if (out->n == ANSWER_ADDR_MAX)
        return true;
    out->list[out->n].n = (uint8_t)r->n;
    memcpy(out->list[out->n].octets, p->all.p + r->rdata, r->n);
    out->n++;
    return true;
}

enum verdict answer_addr(struct span packet, unsigned type, struct addr_list *out)
{
    struct walk w = {.type = type, .take = take_addr, .arg = out};
    size_t before = out->n;
    enum verdict v = walk_answer(packet, &w);
    if (v != VERDICT_OK)
        out->n = before;
    if (out->n > before && (!w.is_alias || !host_text(&w.last, out->canonical)))
        out->canonical[0] = '\0';
    return v;
}

static bool take_tlsa(struct packet *p, const struct record *r, void *arg)
{
    struct packer *out = arg;
    struct packet inside = *p;
    inside.at = r->rdata;
    if (r->n < 3)
        return false;
    pack_uint(out, octet(&inside), 1);
    pack_uint(out, octet(&inside), 1);
    pack_uint(out, octet(&inside), 1);
    pack_bytes(out, (struct span){p->all.p + inside.at, r->n - 3});
    return !out->failed && r->n - 3 <= TLSA_DATA_MAX;
}

enum verdict answer_tlsa(struct span packet, struct packer *out)
{
    struct walk w = {.type = DNS_TYPE_TLSA, .take = take_tlsa, .arg = out};
    enum verdict v = walk_answer(packet, &w);
    return w.n_taken > TLSA_RECORDS ? VERDICT_TRY_LATER : v;
}

#define TXT_MAX 4096 /* octets of one record */

/* The strings of a record belong together without anything between them (RFC 8461 3.1). */
static bool take_txt(struct packet *p, const struct record *r, void *arg)
{
    struct packer *out = arg;
    struct packet inside = *p;
    char text[TXT_MAX];
    size_t n = 0, end = r->rdata + r->n;
    inside.at = r->rdata;
    while (inside.at < end) {
        size_t part = octet(&inside);
        if (part > end - inside.at || part > sizeof text - n)
            return false;
        memcpy(text + n, p->all.p + inside.at, part);
        n += part;
        inside.at += part;
    }
    pack_bytes(out, (struct span){text, n});
    return !out->failed;
}

enum verdict answer_txt(struct span packet, struct packer *out)
{
    struct walk w = {.type = DNS_TYPE_TXT, .take = take_txt, .arg = out};
    return walk_answer(packet, &w);
}

static bool take_nothing(struct packet *p, const struct record *r, void *arg)
{
    (void)p, (void)r, (void)arg;
    return true;
}

enum verdict answer_cname(struct span packet, bool *is_alias)
{
    struct walk w = {.type = DNS_TYPE_CNAME, .take = take_nothing};
    enum verdict v = walk_answer(packet, &w);
    *is_alias = v == VERDICT_OK && w.n_taken > 0;
    return v;
}
