/* What can be known to be wrong with the certificates and keys of a configuration, by who may read
 * them: before the start, and for `barid check`. */
#ifndef BARID_CLI_CHECK_TLS_H
#define BARID_CLI_CHECK_TLS_H

#include "common/cert.h"
#include "common/config.h"

/* The certificate and the key of a section. 0 and *out (to be freed), or -1 and e: one of them
 * cannot be read, is none, or they do not belong together. */
int check_tls_pair(const struct tls_config *t, struct cert *out, struct error *e);
/* Sections without a usable pair: each an error. */
void check_tls_usable(const struct config *c, struct config_problems *problems);
/* These and the rest: dates, names, permissions, listeners that would be better off with TLS. */
void check_tls(const struct config *c, struct config_problems *problems);
/* Days until then, rounded down; negative: since then. */
int64_t check_tls_days(int64_t until_s);

#endif
