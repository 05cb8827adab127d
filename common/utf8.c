#include "common/utf8.h"

/* By first octet: how long the character is, and what its second octet may be (RFC 3629 4). */
static const struct lead {
    unsigned char from, to, octets, low, high;
} leads[] = {
    {0x00, 0x7f, 1, 0, 0},       {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct lead *lead_of(unsigned char octet)
{
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
        if (octet >= leads[i].from && octet <= leads[i].to)
            return &leads[i];
    return NULL;
}

static bool is_character(const unsigned char *p, const struct lead *l)
{
    if (l->octets > 1 && (p[1] < l->low || p[1] > l->high))
        return false;
    for (size_t i = 2; i < l->octets; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return false;
    return true;
}

bool utf8_is_valid(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t at = 0; at < s.n;) {
        const struct lead *l = lead_of(p[at]);
        if (l == NULL || l->octets > s.n - at || !is_character(p + at, l))
            return false;
        at += l->octets;
    }
    return true;
}

size_t utf8_character(struct span s, uint32_t *number)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *p = (const unsigned char *)s.p;
    const struct lead *l = lead_of(p[0]);
    if (l == NULL || l->octets > s.n || !is_character(p, l))
        return 0;
    *number = p[0] & mask[l->octets];
    for (size_t i = 1; i < l->octets; i++)
        *number = *number << 6 | (p[i] & 0x3fU);
    return l->octets;
}
