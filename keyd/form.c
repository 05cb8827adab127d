#include "keyd/form.h"

#define PAD_OCTETS    64
#define RANDOM_OCTETS 32
#define NAMED_CURVE   3 /* RFC 8422 5.4: the only curve type there is */
#define UNCOMPRESSED  4

static bool is_tls13(struct span in)
{
    static const struct span context = SPAN("TLS 1.3, server CertificateVerify\0");
    for (size_t i = 0; i < PAD_OCTETS; i++)
        if (i >= in.n || in.p[i] != ' ')
            return false;
    struct span rest = span_from(in, PAD_OCTETS);
    if (!span_starts(rest, context))
        return false;
    size_t hash = rest.n - context.n; /* SHA-256 or SHA-384, by the cipher suite */
    return hash == 32 || hash == 48;
}

/* Octets of a point of a group (RFC 8422 5.1.1), or 0: none that is offered. */
static size_t point_octets(unsigned group)
{
    static const struct {
        unsigned group;
        size_t octets;
    } rows[] = {{23, 65}, {24, 97}, {25, 133}, {29, 32}, {30, 56}}; /* P-256 …, X25519, X448 */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].group == group)
            return rows[i].octets;
    return 0;
}

/* client_random, server_random, curve_type, named_curve, point<1..255>. */
static bool is_tls12(struct span in)
{
    struct span params = span_from(in, (size_t)2 * RANDOM_OCTETS);
    const unsigned char *p = (const unsigned char *)params.p;
    if (params.n < 5 || p[0] != NAMED_CURVE)
        return false;
    unsigned group = (unsigned)p[1] << 8 | p[2];
    size_t octets = point_octets(group);
    return octets > 0 && p[3] == octets && params.n == 4 + octets &&
           (group >= 29 || p[4] == UNCOMPRESSED);
}

enum form form_of(struct span input)
{
    return is_tls13(input) ? FORM_TLS13 : is_tls12(input) ? FORM_TLS12 : FORM_NONE;
}

bool form_allows(enum form form, enum key_scheme scheme)
{
    switch (scheme) {
    case KEY_RSA_PKCS1_SHA256:
    case KEY_RSA_PKCS1_SHA384:
    case KEY_RSA_PKCS1_SHA512:
        return form == FORM_TLS12;
    case KEY_ECDSA_SHA256:
    case KEY_ECDSA_SHA384:
    case KEY_ECDSA_SHA512:
    case KEY_RSA_PSS_SHA256:
    case KEY_RSA_PSS_SHA384:
    case KEY_RSA_PSS_SHA512:
    case KEY_ED25519:
        return form != FORM_NONE;
    }
    return false;
}
