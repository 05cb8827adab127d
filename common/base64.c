#include "common/base64.h"

#include <sodium.h>

int base64_decode(struct span text, void *out, size_t cap, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] > 127)
            return -1;
    if (text.n == 0)
        return 0;
    return sodium_base642bin(out, cap, text.p, text.n, NULL, n, NULL,
                             sodium_base64_VARIANT_ORIGINAL);
}
