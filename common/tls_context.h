/* Between the sessions of TLS (tls.c) and the contexts they are made from (tls_context.c). */
#ifndef BARID_TLS_CONTEXT_H
#define BARID_TLS_CONTEXT_H

#include "common/tls.h"

#include <openssl/ssl.h>

#define TLS_LENIENT_CIPHERS "DEFAULT:!aNULL:!eNULL"
#define TLS_NOT_SIGNED      "keyd did not sign"

/* What a session starts with; the name it wants may lead it to another one. */
SSL_CTX *tls_server_first(struct tls_server *s);
SSL_CTX *tls_client_context(struct tls_client *c);
/* A client's session asks for this name. */
void tls_wanted(struct tls *t, const char *name);
/* A server of TLS 1.3 gave a ticket. */
void tls_given(struct tls *t, SSL_SESSION *s);

#endif
