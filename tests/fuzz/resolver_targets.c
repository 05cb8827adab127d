#include "resolver/answer.h"
#include "tests/fuzz/fuzz.h"

void fuzz_dns(struct span in)
{
    static struct mx_list mx;
    static struct addr_list addresses;
    memset(&mx, 0, sizeof mx);
    memset(&addresses, 0, sizeof addresses);
    if (answer_mx(in, &mx) == VERDICT_OK)
        for (size_t i = 0; i < mx.n; i++)
            fuzz_check(mx.list[i].host[0] == '\0' || answer_is_host(span_of(mx.list[i].host)),
                       "dns: not a host name");
    answer_addr(in, DNS_TYPE_A, &addresses);
    answer_addr(in, DNS_TYPE_AAAA, &addresses);
    static char room[LIST_MAX];
    struct packer w = packer_on(room, sizeof room);
    bool is_alias;
    if (answer_tlsa(in, &w) == VERDICT_OK) {
        struct unpacker u = unpacker_on(packer_span(&w));
        size_t n = 0;
        for (; u.left.n > 0 && !u.failed; n++) {
            unpack_uint(&u, 1), unpack_uint(&u, 1), unpack_uint(&u, 1);
            unpack_bytes(&u, TLSA_DATA_MAX);
        }
        fuzz_check(!u.failed && n <= TLSA_RECORDS, "dns: TLSA records that do not unpack");
    }
    answer_cname(in, &is_alias);
    fuzz_check(addresses.canonical[0] == '\0' || answer_is_host(span_of(addresses.canonical)),
               "dns: an alias of what is no host name");
    fuzz_check(mx.n <= ANSWER_MX_MAX && addresses.n <= ANSWER_ADDR_MAX, "dns: unbounded");
}
