/* TLS (RFC 8446, RFC 5246) over a connected socket, by OpenSSL, without an event loop: conn.c
 * drives it. TLS 1.2 and 1.3, ephemeral keys, no renegotiation, no early data. Servers give no
 * tickets; a client goes on with an earlier session only if its owner keeps them. Servers sign
 * through common/tls_key.h, so no private key is in the process.
 *
 * What a peer sends can make a session fail, never the process. */
#ifndef BARID_TLS_H
#define BARID_TLS_H

#include "common/cert.h"

/* Once in a process, before anything else of OpenSSL: no configuration file is read. 0, or -1. */
int tls_init(void);

/* --- serving --- */

#define TLS_OFFERS_MAX 100

struct tls_offer {
    const struct cert *cert;
    struct span client_ca; /* PEM; empty: none */
    bool asks_client;      /* for a certificate */
};

/* All certificates of a server; counted, because sessions outlive a reload. */
struct tls_server;

/* Which certificate a client gets: one that has the name it wants (SNI, RFC 6066 3) literally, else
 * by a wildcard, else `fallback`. Beside it, one of another kind of key that covers all its names,
 * so that ECDSA and RSA can stand side by side. The certificates are not needed afterwards. NULL
 * and e. */
struct tls_server *tls_server_new(const struct tls_offer *offers, size_t n, size_t fallback,
                                  bool only_1_3, struct error *e);
struct tls_server *tls_server_use(struct tls_server *s);
void tls_server_release(struct tls_server *s); /* NULL is allowed */
/* Which of n certificates a name leads to (the rule above). */
size_t tls_choose(const struct cert *const *certs, size_t n, size_t fallback, struct span name);

/* --- connecting --- */

struct tls_client;

/* trust: authorities in PEM; empty: nobody is verified. NULL and e. */
struct tls_client *tls_client_new(struct span trust, struct error *e);
/* Counted: a reload makes another one while connections are under way. */
struct tls_client *tls_client_use(struct tls_client *c); /* NULL is allowed */
/* Gives up one use; its sessions go on. NULL is allowed. */
void tls_client_free(struct tls_client *c);

/* --- a session --- */

struct tls;

struct tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
    int bits;
    const char *name; /* SNI, as the client gave it, at most 255 octets; NULL: none */
    /* The peer's certificate; NULL and "" if it showed none. */
    char *subject;                /* at most 255 octets, one line */
    char fingerprint[CERT_PRINT]; /* SHA-256 */
    bool is_verified; /* signed by who is trusted, in time, and (servers) for the name */
    const char *unverified_because; /* a constant; NULL if it is */
    /* If it is not: for the name, the time, the TLSA records, or whatever else there is that makes
     * a certificate one not to trust. */
    enum tls_fault { TLS_FAULT_TRUST, TLS_FAULT_NAME, TLS_FAULT_TIME, TLS_FAULT_TLSA } fault;
    bool is_unverifiable; /* TLSA records were given, and none of them can be used */
    bool is_resumed;      /* all of this was found out by an earlier session that goes on */
};

/* --- going on with an earlier session (RFC 8446 2.2, RFC 5246 7.3, RFC 5077) --- */

#define TLS_CONTEXT     32
#define TLS_SESSION_MAX 16384 /* octets; larger ones are not kept */

/* What a client needs to go on with its sessions. A session is octets here: it holds its keys (so
 * it is a secret), the server's certificate and what became of its verification, which is not
 * repeated. */
struct tls_resumption {
    /* Stands for all that it depends on how the server was judged, a hash. A session of another
     * context fails instead of going on. */
    unsigned char context[TLS_CONTEXT];
    struct span session; /* to go on with, as it was given to `keep`; empty: none */
    /* The server would go on with this one for so many seconds (more than none), and no longer than
     * the certificates of its proof are valid. To be used once. Called while the session is shaken
     * hands or read from; it may not touch the session. */
    void (*keep)(void *owner, const struct tls_info *info, struct span session, int64_t seconds);
    void *owner;
};

/* What the server must be that is connected to. */
struct tls_wish {
    struct span host; /* a name, sent as SNI and verified, or an address, only verified; at most
                         255 octets */
    bool is_lenient;  /* also old ciphers, for whom the alternative is none */
    bool only_dns_id; /* a CN does not count, though there is no other name (RFC 8461 4.2) */
    /* DANE (RFC 7672 3.1): TLSA records as in DNS_TLSA_RE; if one of them can be used they verify
     * the server, and authorities do not. Empty: none. */
    struct span tlsa;
    struct span
        names[2]; /* with TLSA: names that are as good as `host` in a certificate, or empty */
    const struct tls_resumption
        *resumption; /* read at once; NULL: nothing is kept or gone on with */
};

/* NULL without memory. fd stays the caller's. */
struct tls *tls_accept(struct tls_server *s, int fd);
struct tls *tls_connect(struct tls_client *c, int fd, const struct tls_wish *wish);
void tls_free(struct tls *t); /* NULL is allowed */

enum tls_result {
    TLS_DONE,
    TLS_WANTS_READ,
    TLS_WANTS_WRITE,
    TLS_ENDED,  /* the peer ended it, or closed the connection */
    TLS_FAILED, /* tls_why says it */
};
enum tls_result tls_handshake(struct tls *t);
enum tls_result tls_read(struct tls *t, char *out, size_t cap, size_t *n);
enum tls_result tls_write(struct tls *t, struct span s, size_t *n);
/* Octets were received that tls_read would give without touching the socket. */
bool tls_has_pending(const struct tls *t);
/* Says that nothing more comes (close_notify), if the socket takes it. */
void tls_close(struct tls *t);
/* The peer said the same: what came is all of it. */
bool tls_is_closed(const struct tls *t);
const char *tls_why(const struct tls *t); /* a constant */
/* After the handshake; lives as long as the session. */
const struct tls_info *tls_info(const struct tls *t);

enum tls_binding {
    TLS_BINDING_EXPORTER,  /* tls-exporter, RFC 9266 */
    TLS_BINDING_END_POINT, /* tls-server-end-point, RFC 5929 4 */
    TLS_BINDING_UNIQUE,    /* tls-unique, RFC 5929 3: not in TLS 1.3 */
};
#define TLS_BINDING_MAX 64
/* What binds an exchange to this session. 0, or -1: it has none of this kind. */
int tls_binding(const struct tls *t, enum tls_binding kind, unsigned char out[TLS_BINDING_MAX],
                size_t *n);

#endif
