/* TLS sessions of servers that were delivered to, to go on with at the next connection instead of a
 * full handshake (RFC 8446 2.2; C.4: each is used once). In memory only, and bounded: in number, in
 * octets, in sessions of one key, in time: what is over goes within a minute. The oldest go first.
 *
 * The key stands for all that was decided about the server when the session began (resume.h): a
 * session is never given to anybody with another key. Octets are secrets and wiped when they go.
 * Without memory nothing is kept, and nothing else happens. */
#ifndef BARID_RELAY_SESSIONS_H
#define BARID_RELAY_SESSIONS_H

#include "common/loop.h"
#include "common/str.h"

#define SESSION_KEY         32
#define SESSIONS_OCTETS_MAX (8U << 20)
#define SESSIONS_OF_ONE_MAX 8
/* From the full handshake, however often it was gone on with: until then the server need not prove
 * who it is again. Also how long a server that failed over one is not offered another. */
#define SESSIONS_MS       (60 * 60 * INT64_C(1000))
#define SESSIONS_SWEEP_MS (60 * INT64_C(1000))
#define SESSIONS_BARS_MAX 256

struct kept_session;

/* Zeroed: empty, and nothing is kept. */
struct sessions {
    uint32_t epoch; /* counts sessions_begin */
    size_t n, n_octets, n_max;
    struct kept_session *oldest, *newest;
    struct kept_session *buckets[256];
    struct timer sweep; /* set while there are any */
    struct {
        unsigned char key[SESSION_KEY];
        int64_t until_ms;      /* clock_mono_ms */
    } bars[SESSIONS_BARS_MAX]; /* a ring: sessions of others, however many, do not end a bar */
    size_t next_bar;
};

struct session_taken {
    struct span octets; /* of the heap; sessions_wipe frees them. Empty: there was none */
    int64_t until_ms;   /* clock_mono_ms; also of sessions that come of it */
};

/* Forgets all; from now on so many are kept (0: none). The same loop each time. */
void sessions_begin(struct sessions *s, struct loop *l, uint64_t n_max);
/* epoch: when the connection began. One of another epoch has a key that nobody asks for any more,
 * and is not kept. */
void sessions_keep(struct sessions *s, uint32_t epoch, const unsigned char key[SESSION_KEY],
                   struct span octets, int64_t until_ms);
/* The newest one with this key; it is here no more. */
struct session_taken sessions_take(struct sessions *s, const unsigned char key[SESSION_KEY]);
void sessions_wipe(struct session_taken *t);
/* Going on did not work: forgets those with this key, and keeps none for SESSIONS_MS. */
void sessions_bar(struct sessions *s, const unsigned char key[SESSION_KEY]);

#endif
