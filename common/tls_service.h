/* TLS of a server process: reads the certificates that the parent hands over, asks keyd for
 * signatures, and changes to new certificates on a reload. For smtpd and pop3d.
 *
 * A section of [tls] whose new pair cannot be used keeps its old one, and the log says why; one
 * that never had a usable pair is left out. Without any there is no TLS: `tls_service_server` is
 * NULL. */
#ifndef BARID_TLS_SERVICE_H
#define BARID_TLS_SERVICE_H

#include "common/conn.h"
#include "common/proc.h"

struct tls_service;

/* In `open`, once in a process: reads what is configured. NULL and e. */
struct tls_service *tls_service_new(struct proc *p, struct error *e);
/* In `reloaded`. */
void tls_service_reload(struct tls_service *s);
/* KEY_HELD came. */
void tls_service_held(struct tls_service *s, const struct msg_key_held *m);
/* What new sessions get; valid until the end of the turn. */
struct tls_server *tls_service_server(const struct tls_service *s);
/* "version", "cipher", "name" and the client's certificate of a session, for the log. */
void tls_service_log(uint64_t id, const struct tls_info *info);
/* A handshake failed; one line a second at most is written about such, with how many others. */
void tls_service_log_failure(struct tls_service *s, uint64_t id, const char *client,
                             const char *why);

#endif
