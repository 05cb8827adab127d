#include "policy/public.h"

static const struct network translated[] = {
    {.base = {.n = 16}, .bits = 96}, /* ::a.b.c.d; of :: and ::1 comes 0.0.0.0 and 0.0.0.1 */
    {.base = {.n = 16, .octets = {[10] = 0xff, 0xff}}, .bits = 96},
    {.base = {.n = 16, .octets = {0, 0x64, 0xff, 0x9b}}, .bits = 96},
};
static const struct network six_to_four = {.base = {.n = 16, .octets = {0x20, 0x02}}, .bits = 16};

static const struct network not_public[] = {
    {.base = {.n = 4, .octets = {0}}, .bits = 8}, /* this host, and its network */
    {.base = {.n = 4, .octets = {10}}, .bits = 8},
    {.base = {.n = 4, .octets = {100, 64}}, .bits = 10}, /* RFC 6598 */
    {.base = {.n = 4, .octets = {127}}, .bits = 8},
    {.base = {.n = 4, .octets = {169, 254}}, .bits = 16},
    {.base = {.n = 4, .octets = {172, 16}}, .bits = 12},
    {.base = {.n = 4, .octets = {192, 0, 0}}, .bits = 24},
    {.base = {.n = 4, .octets = {192, 168}}, .bits = 16},
    {.base = {.n = 4, .octets = {198, 18}}, .bits = 15}, /* benchmarks */
    {.base = {.n = 4, .octets = {224}}, .bits = 3},      /* multicast, reserved, broadcast */
    /* translated by a network for itself (RFC 8215) */
    {.base = {.n = 16, .octets = {0, 0x64, 0xff, 0x9b, 0, 1}}, .bits = 48},
    {.base = {.n = 16, .octets = {0xfc}}, .bits = 7},       /* RFC 4193 */
    {.base = {.n = 16, .octets = {0xfe, 0x80}}, .bits = 9}, /* fe80::/10 and fec0::/10 */
    {.base = {.n = 16, .octets = {0xff}}, .bits = 8},       /* multicast */
};

static struct netaddr of_four(const struct netaddr *a, size_t at)
{
    struct netaddr inner = {.n = 4, .port = a->port};
    memcpy(inner.octets, a->octets + at, 4);
    return inner;
}

struct netaddr public_meaning(const struct netaddr *a)
{
    if (networks_have(translated, sizeof translated / sizeof translated[0], a))
        return of_four(a, 12);
    return network_has(&six_to_four, a) ? of_four(a, 2) : *a;
}

bool public_has(const struct netaddr *a)
{
    struct netaddr meant = public_meaning(a);
    return !networks_have(not_public, sizeof not_public / sizeof not_public[0], &meant);
}
