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
    fuzz_check(mx.n <= ANSWER_MX_MAX && addresses.n <= ANSWER_ADDR_MAX, "dns: unbounded");
}
