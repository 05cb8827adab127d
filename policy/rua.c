#include "policy/rua.h"

#include "common/log.h"
#include "common/tlsrpt.h"
#include "common/verdict.h"

#define DNS_MS 30000

static void answer(struct ipc *to, uint64_t tag, enum verdict v, struct span destinations)
{
    struct msg_rua_re re = {.tag = tag, .verdict = (uint8_t)v, .to = destinations};
    ipc_send_rua_re(to, &re, -1);
}

static void on_txt(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct rua *r = arg;
    char room[RUA_OCTETS];
    struct packer out = packer_on(room, sizeof room);
    struct ipc *to = r->from;
    size_t n_others = 0;
    r->from = NULL;
    r->dns_tag = 0;
    if (m == NULL ||
        (m->dns_txt_re.verdict != VERDICT_OK && m->dns_txt_re.verdict != VERDICT_NEVER)) {
        answer(to, r->tag, VERDICT_TRY_LATER, SPAN(""));
        return;
    }
    if (m->dns_txt_re.verdict == VERDICT_OK)
        tlsrpt_read_records(m->dns_txt_re.texts, &out, &n_others);
    if (n_others > 0)
        LOG(0, "tls-report-address-skipped", LZ("domain", r->domain), LN("uris", (int64_t)n_others),
            LZ("because", "neither mailto: nor https:, or too many"));
    answer(to, r->tag, VERDICT_OK, packer_span(&out));
}

void rua_ask(struct rua *r, struct ipc *from, const struct msg_rua *m)
{
    char name[DOMAIN_MAX + 16];
    struct msg_dns_txt ask = {.name = SPAN("")};
    if (r->from == NULL && span_copy(r->domain, sizeof r->domain, m->domain) == 0) {
        snprintf(name, sizeof name, "_smtp._tls.%s", r->domain);
        ask.name = span_of(name);
        if (ask.name.n <= DOMAIN_MAX)
            r->dns_tag =
                ipc_ask_dns_txt(proc_peer(r->proc, ROLE_RESOLVER), &ask, -1, DNS_MS, on_txt, r);
        r->from = r->dns_tag != 0 ? from : NULL;
        r->tag = m->tag;
    }
    if (r->from != from || r->tag != m->tag)
        answer(from, m->tag, ask.name.n > DOMAIN_MAX ? VERDICT_OK : VERDICT_TRY_LATER, SPAN(""));
}

void rua_forget(struct rua *r, const struct ipc *from)
{
    if (r->from != from || from == NULL)
        return;
    ipc_cancel(proc_peer(r->proc, ROLE_RESOLVER), r->dns_tag);
    r->from = NULL;
    r->dns_tag = 0;
}
