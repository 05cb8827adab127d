#include "resolver/ask.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/pack.h"
#include "common/stats.h"
#include "common/verdict.h"
#include "resolver/answer.h"

#define ASKS_MAX    2048
#define DEADLINE_MS 30000
#define BOGUS       1 /* of libunbound's callback: DNSSEC was broken on the way, */
#define SECURE      2 /* or holds */

enum ask_kind { ASK_MX, ASK_ADDR, ASK_TLSA, ASK_TXT };

/* A question put to the upstream. */
struct part {
    struct ask *ask;
    unsigned type;
};

struct ask {
    struct ask *next, *prev;
    struct asks *all;
    struct upstream *upstream; /* what it was put to */
    struct ipc *from;          /* NULL: nobody waits any more */
    uint64_t tag;
    int64_t began_us;
    struct timer deadline;
    struct part parts[2];
    unsigned n_open; /* parts without an answer, and one while they are being put */
    enum ask_kind kind;
    bool is_answered;
    bool is_secure;         /* all that was answered */
    bool is_bogus;          /* a part */
    unsigned verdicts;      /* bit v: a part had verdict v */
    struct addr_list addrs; /* of the parts so far */
    char name[DOMAIN_MAX + 1];
};

static void free_ask(struct ask *q)
{
    timer_stop(&q->deadline);
    *(q->prev != NULL ? &q->prev->next : &q->all->first) = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    q->all->n--;
    free(q);
}

static bool is_secure(const struct ask *q, enum verdict v)
{
    return q->is_secure && v != VERDICT_TRY_LATER;
}

static bool is_bogus(const struct ask *q, enum verdict v)
{
    return q->is_bogus && v == VERDICT_TRY_LATER;
}

static void send_mx(struct ask *q, enum verdict v, const struct mx_list *l)
{
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    for (size_t i = 0; v == VERDICT_OK && i < l->n; i++) {
        pack_uint(&w, l->list[i].preference, 2);
        pack_bytes(&w, span_of(l->list[i].host));
    }
    struct msg_dns_mx_re m = {q->tag, (uint8_t)v, is_secure(q, v), is_bogus(q, v), packer_span(&w)};
    if (q->from != NULL && !q->is_answered)
        ipc_send_dns_mx_re(q->from, &m, -1);
    q->is_answered = true;
}

/* Both parts answered, or time is up. Addresses that were found count even if the other part
 * failed; that there are none must have been said by both. */
static enum verdict merged(const struct ask *q)
{
    if (q->addrs.n > 0)
        return VERDICT_OK;
    if (q->n_open > 0 || (q->verdicts & 1U << VERDICT_TRY_LATER) != 0)
        return VERDICT_TRY_LATER;
    return (q->verdicts & 1U << VERDICT_OK) != 0 ? VERDICT_OK : VERDICT_NEVER;
}

static void send_addr(struct ask *q)
{
    char room[ANSWER_ADDR_MAX * (4 + 16)];
    struct packer w = packer_on(room, sizeof room);
    for (size_t i = 0; i < q->addrs.n; i++)
        pack_bytes(&w, (struct span){q->addrs.list[i].octets, q->addrs.list[i].n});
    enum verdict v = merged(q);
    struct msg_dns_addr_re m = {
        q->tag,         (uint8_t)v, is_secure(q, v), is_bogus(q, v), span_of(q->addrs.canonical),
        packer_span(&w)};
    if (q->from != NULL && !q->is_answered)
        ipc_send_dns_addr_re(q->from, &m, -1);
    q->is_answered = true;
}

static void send_tlsa(struct ask *q, enum verdict v, struct span records)
{
    struct msg_dns_tlsa_re m = {q->tag, (uint8_t)v, is_secure(q, v), is_bogus(q, v), records};
    if (q->from != NULL && !q->is_answered)
        ipc_send_dns_tlsa_re(q->from, &m, -1);
    q->is_answered = true;
}

static void send_txt(struct ask *q, enum verdict v, struct span texts)
{
    struct msg_dns_txt_re m = {q->tag, (uint8_t)v, texts};
    if (q->from != NULL && !q->is_answered)
        ipc_send_dns_txt_re(q->from, &m, -1);
    q->is_answered = true;
}

static void answer(struct ask *q)
{
    if (q->is_answered)
        return;
    if (q->kind == ASK_MX)
        send_mx(q, VERDICT_TRY_LATER, NULL);
    else if (q->kind == ASK_TLSA)
        send_tlsa(q, VERDICT_TRY_LATER, SPAN(""));
    else if (q->kind == ASK_TXT)
        send_txt(q, VERDICT_TRY_LATER, SPAN(""));
    else
        send_addr(q);
}

/* libunbound may still answer; until it does, the question counts and its memory stays. */
static void expired(void *arg)
{
    struct ask *q = arg;
    LOG(0, "dns-timeout", LN("ms", DEADLINE_MS));
    answer(q);
}

static void part_done(struct ask *q)
{
    if (--q->n_open > 0)
        return;
    stats_add(STAT_DNS_FAILED, (q->verdicts & 1U << VERDICT_TRY_LATER) != 0);
    stats_time_us(STAT_TIME_DNS, clock_mono_us() - q->began_us);
    answer(q);
    free_ask(q);
}

static void put(struct ask *q, struct part *part, const char *name, unsigned type);

static enum verdict take_mx_answer(struct ask *q, struct span packet)
{
    struct mx_list mx;
    enum verdict v = answer_mx(packet, &mx);
    send_mx(q, v, &mx);
    return v;
}

static enum verdict take_tlsa_answer(struct ask *q, struct span packet)
{
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    enum verdict v = answer_tlsa(packet, &w);
    send_tlsa(q, v, v == VERDICT_OK ? packer_span(&w) : SPAN(""));
    return v;
}

static enum verdict take_txt_answer(struct ask *q, struct span packet)
{
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    enum verdict v = answer_txt(packet, &w);
    send_txt(q, v, v == VERDICT_OK ? packer_span(&w) : SPAN(""));
    return v;
}

/* An alias that DNSSEC does not protect leads where anybody wants: what the target says is void,
 * and many servers of unsigned zones answer a question for TLSA wrongly or never (RFC 7672 2.2.2).
 */
static enum verdict take_alias_answer(struct ask *q, struct span packet)
{
    bool is_alias;
    enum verdict v = answer_cname(packet, &is_alias);
    if (v == VERDICT_TRY_LATER)
        return v;
    if (is_alias && q->is_secure)
        put(q, &q->parts[1], q->name, DNS_TYPE_TLSA);
    else
        send_tlsa(q, VERDICT_OK, SPAN(""));
    return v;
}

/* A part that failed says nothing: who can suppress one answer must not be able to make the other
 * look unsigned. */
static void take_answer(struct part *part, struct span packet, bool is_secure_part)
{
    struct ask *q = part->ask;
    enum verdict v;
    bool was_secure = q->is_secure;
    q->is_secure = was_secure && is_secure_part;
    if (part->type == DNS_TYPE_MX)
        v = take_mx_answer(q, packet);
    else if (part->type == DNS_TYPE_TLSA)
        v = take_tlsa_answer(q, packet);
    else if (part->type == DNS_TYPE_TXT)
        v = take_txt_answer(q, packet);
    else if (part->type == DNS_TYPE_CNAME)
        v = take_alias_answer(q, packet);
    else
        v = answer_addr(packet, part->type, &q->addrs);
    if (v == VERDICT_TRY_LATER)
        q->is_secure = was_secure;
    q->verdicts |= 1U << v;
}

/* rcode 0 only means that there is a packet: its own code counts. A bogus answer comes with its
 * packet, too; it is as good as none. */
/* NOLINTNEXTLINE(readability-function-size): libunbound gives so many */
static void answered(void *arg, int rcode, void *packet, int n, int security, char *why_bogus,
                     int was_limited)
{
    (void)was_limited;
    struct part *part = arg;
    struct ask *q = part->ask;
    if (security == BOGUS)
        LOG(0, "dns-bogus", LZ("because", why_bogus));
    q->is_bogus |= security == BOGUS;
    upstream_answered(q->upstream);
    bool is_usable = (rcode == 0 || rcode == 3) && security != BOGUS && packet != NULL && n > 0;
    if (!q->is_answered && is_usable)
        take_answer(part, (struct span){packet, (size_t)n}, security == SECURE);
    else
        q->verdicts |= 1U << VERDICT_TRY_LATER;
    part_done(q);
}

static void put(struct ask *q, struct part *part, const char *name, unsigned type)
{
    *part = (struct part){q, type};
    q->n_open++;
    if (upstream_ask(q->upstream, name, (int)type, answered, part) == 0)
        return;
    q->verdicts |= 1U << VERDICT_TRY_LATER;
    q->n_open--;
}

static struct ask *new_ask(struct asks *a, struct ipc *from, uint64_t tag, enum ask_kind kind)
{
    struct ask *q = a->n < ASKS_MAX ? malloc(sizeof *q) : NULL;
    if (q == NULL)
        return NULL;
    *q = (struct ask){.all = a,
                      .upstream = a->upstream,
                      .from = from,
                      .tag = tag,
                      .began_us = clock_mono_us(),
                      .n_open = 1,
                      .kind = kind,
                      .is_secure = true,
                      .next = a->first};
    if (a->first != NULL)
        a->first->prev = q;
    stats_count(STAT_DNS_QUESTIONS);
    a->first = q;
    a->n++;
    timer_init(&q->deadline, a->loop, expired, q);
    timer_set(&q->deadline, DEADLINE_MS);
    return q;
}

/* A name that cannot stand in the DNS does not exist. */
static bool name_copy(char out[DOMAIN_MAX + 1], struct span name)
{
    return answer_is_host(name) && span_copy(out, DOMAIN_MAX + 1, name) == 0;
}

void ask_mx(struct asks *a, struct ipc *from, const struct msg_dns_mx *m)
{
    char name[DOMAIN_MAX + 1];
    bool is_name = name_copy(name, m->domain);
    struct ask *q = is_name ? new_ask(a, from, m->tag, ASK_MX) : NULL;
    if (q == NULL) {
        struct msg_dns_mx_re re = {.tag = m->tag,
                                   .verdict = is_name ? VERDICT_TRY_LATER : VERDICT_NEVER};
        ipc_send_dns_mx_re(from, &re, -1);
        return;
    }
    put(q, &q->parts[0], name, DNS_TYPE_MX);
    part_done(q);
}

void ask_addr(struct asks *a, struct ipc *from, const struct msg_dns_addr *m)
{
    char name[DOMAIN_MAX + 1];
    bool is_name = name_copy(name, m->host);
    struct ask *q = is_name ? new_ask(a, from, m->tag, ASK_ADDR) : NULL;
    if (q == NULL) {
        struct msg_dns_addr_re re = {.tag = m->tag,
                                     .verdict = is_name ? VERDICT_TRY_LATER : VERDICT_NEVER};
        ipc_send_dns_addr_re(from, &re, -1);
        return;
    }
    put(q, &q->parts[0], name, DNS_TYPE_AAAA);
    put(q, &q->parts[1], name, DNS_TYPE_A);
    part_done(q);
}

/* RFC 6698 3. A name that is too long with its prefix has no such record. */
void ask_tlsa(struct asks *a, struct ipc *from, const struct msg_dns_tlsa *m)
{
    char host[DOMAIN_MAX + 1], name[DOMAIN_MAX + 32];
    bool is_name = name_copy(host, m->host);
    snprintf(name, sizeof name, "_%u._tcp.%s", m->port, is_name ? host : "");
    is_name = is_name && answer_is_host(span_of(name));
    struct ask *q = is_name ? new_ask(a, from, m->tag, ASK_TLSA) : NULL;
    if (q == NULL) {
        struct msg_dns_tlsa_re re = {.tag = m->tag,
                                     .verdict = is_name ? VERDICT_TRY_LATER : VERDICT_NEVER};
        ipc_send_dns_tlsa_re(from, &re, -1);
        return;
    }
    memcpy(q->name, name, sizeof q->name);
    if (m->is_alias != 0)
        put(q, &q->parts[0], host, DNS_TYPE_CNAME);
    else
        put(q, &q->parts[0], name, DNS_TYPE_TLSA);
    part_done(q);
}

void ask_txt(struct asks *a, struct ipc *from, const struct msg_dns_txt *m)
{
    char name[DOMAIN_MAX + 1];
    bool is_name = name_copy(name, m->name);
    struct ask *q = is_name ? new_ask(a, from, m->tag, ASK_TXT) : NULL;
    if (q == NULL) {
        struct msg_dns_txt_re re = {.tag = m->tag,
                                    .verdict = is_name ? VERDICT_TRY_LATER : VERDICT_NEVER};
        ipc_send_dns_txt_re(from, &re, -1);
        return;
    }
    put(q, &q->parts[0], name, DNS_TYPE_TXT);
    part_done(q);
}

void ask_forget(struct asks *a, const struct ipc *from)
{
    for (struct ask *q = a->first; q != NULL; q = q->next)
        if (q->from == from)
            q->from = NULL;
}
