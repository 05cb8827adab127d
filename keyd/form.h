/* What keyd signs: the two places of a TLS handshake where a server proves that it has its key. The
 * whole of what is to be signed is looked at, never a hash, so that nothing else (a certificate, a
 * message, a client's proof) can be passed off as one. No I/O. */
#ifndef BARID_KEYD_FORM_H
#define BARID_KEYD_FORM_H

#include "common/proto.h"

enum form {
    FORM_NONE,  /* not part of a handshake of ours: not signed */
    FORM_TLS12, /* ServerKeyExchange with ECDHE (RFC 8422 5.4) */
    FORM_TLS13, /* CertificateVerify of a server (RFC 8446 4.4.3) */
};

enum form form_of(struct span input);
/* May this scheme sign this form? (RFC 8446 4.2.3: no PKCS1 in TLS 1.3.) */
bool form_allows(enum form form, enum key_scheme scheme);

#endif
