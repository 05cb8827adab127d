#include "common/idn.h"

#include <idn2.h>
#include <unicase.h>
#include <uninorm.h>

bool idn_is_ascii(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7f)
            return false;
    return true;
}

static int lower(struct span in, char *out, size_t cap)
{
    if (span_copy(out, cap, in) < 0)
        return -1;
    for (; *out != '\0'; out++)
        *out = ascii_lower(*out);
    return 0;
}

int idn_domain(struct span in, char out[DOMAIN_MAX + 1])
{
    char text[4 * DOMAIN_MAX];
    uint8_t *found = NULL;
    if (idn_is_ascii(in))
        return lower(in, out, DOMAIN_MAX + 1);
    if (span_copy(text, sizeof text, in) < 0 ||
        idn2_lookup_u8((const uint8_t *)text, &found, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
            IDN2_OK)
        return -1;
    int rc = lower(span_of((const char *)found), out, DOMAIN_MAX + 1);
    idn2_free(found);
    return rc;
}

int idn_fold(struct span in, char *out, size_t cap)
{
    size_t n = 0;
    if (idn_is_ascii(in))
        return lower(in, out, cap);
    uint8_t *folded = u8_tolower((const uint8_t *)in.p, in.n, NULL, UNINORM_NFC, NULL, &n);
    if (folded == NULL)
        return -1;
    int rc = span_copy(out, cap, (struct span){(const char *)folded, n});
    free(folded);
    return rc;
}
