#include "policy/public.h"

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

bool public_has(const struct netaddr *a)
{
    struct netaddr meant = netaddr_meaning(a);
    return !networks_have(not_public, sizeof not_public / sizeof not_public[0], &meant);
}
