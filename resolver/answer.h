/* Reads DNS answers (RFC 1035 4.1): pure functions over the octets of a packet, which are attacker
 * input. Every length is checked before it is used, names are followed only backwards, and what
 * goes on to other processes has passed the host-name filter.
 *
 * All of them start at the packet's question and follow its CNAMEs. They return
 *   OK         the name exists; the list may be empty
 *   NEVER      the name does not exist (NXDOMAIN)
 *   TRY_LATER  any other response code, or a packet that is damaged. */
#ifndef BARID_RESOLVER_ANSWER_H
#define BARID_RESOLVER_ANSWER_H

#include "common/pack.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/verdict.h"

#define ANSWER_MX_MAX   50 /* the most preferred ones are kept */
#define ANSWER_ADDR_MAX 32

enum {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_TLSA = 52,
};

struct mx_list {
    size_t n; /* ordered by preference */
    struct mx {
        uint16_t preference;
        char host[DOMAIN_MAX + 1]; /* lower case, no final dot; "" for null MX (RFC 7505) */
    } list[ANSWER_MX_MAX];
};

struct addr_list {
    char canonical[DOMAIN_MAX + 1]; /* what CNAMEs led to; "": there were none */
    size_t n;
    struct {
        uint8_t n; /* 4 or 16 */
        char octets[16];
    } list[ANSWER_ADDR_MAX];
};

/* Records with an unusable host name are left out; if that leaves none, the verdict is TRY_LATER,
 * since the domain does have MX records. A null MX beside others is ignored. */
enum verdict answer_mx(struct span packet, struct mx_list *out);
/* type: DNS_TYPE_A or DNS_TYPE_AAAA. Adds to *out. */
enum verdict answer_addr(struct span packet, unsigned type, struct addr_list *out);

/* Packs the records as DNS_TLSA_RE has them; those that do not fit make it TRY_LATER. */
enum verdict answer_tlsa(struct span packet, struct packer *out);
/* Packs the texts as DNS_TXT_RE has them; those that do not fit make it TRY_LATER. */
enum verdict answer_txt(struct span packet, struct packer *out);
/* Is the name an alias? */
enum verdict answer_cname(struct span packet, bool *is_alias);

/* A name that may be asked for and handed on: labels of letters, digits, hyphens and underscores,
 * each at most 63, together at most 253, no final dot. */
bool answer_is_host(struct span name);

#endif
