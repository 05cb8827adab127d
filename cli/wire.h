/* A blocking connection to a server, perhaps in TLS: what `barid fetch` talks through. Nothing
 * waits longer than WIRE_TIMEOUT_S for an octet. */
#ifndef BARID_WIRE_H
#define BARID_WIRE_H

#include "common/error.h"
#include "common/tls.h"

#define WIRE_TIMEOUT_S 120

enum wire_tls {
    WIRE_CLEAR,    /* no TLS, and only to this machine */
    WIRE_CLEAR_OK, /* no TLS, wherever it goes: the user said so twice */
    WIRE_AUTO,     /* to this machine no TLS, else it is asked for in the session (STLS) */
    WIRE_UPGRADE,  /* asked for in the session */
    WIRE_IMPLICIT, /* from the first octet */
};

/* How the server is known. Checked against the authorities, in time, and by its name; or, with a
 * pin, by the SHA-256 of its certificate alone. */
struct wire_trust {
    const char *ca_file;  /* PEM; NULL: the system's */
    char pin[CERT_PRINT]; /* lower-case hex; "": none */
};

struct wire {
    int fd;       /* -1: no connection */
    bool is_here; /* it goes to this machine */
    struct tls_client *client;
    struct tls *tls;
};

/* All that fail return -1 and e; *is_temporary: trying again later can help. */
int wire_connect(struct wire *w, const char *host, const char *port, enum wire_tls how,
                 bool *is_temporary, struct error *e);
/* The handshake, and who it was with. */
int wire_secure(struct wire *w, const char *host, const struct wire_trust *trust,
                bool *is_temporary, struct error *e);
/* > 0: octets; 0: the server closed; -1 and e. */
ssize_t wire_read(struct wire *w, char *out, size_t cap, struct error *e);
int wire_write(struct wire *w, struct span s, struct error *e);
void wire_close(struct wire *w);
/* A fingerprint as people write it, with colons or without. 0, or -1: it is none. */
int wire_read_pin(struct wire_trust *t, struct span text);

#endif
