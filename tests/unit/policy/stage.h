/* A policy process for tests: its cache and fetches as they are, channels to a resolver, a queue
 * and a relay that the test plays, and a web server on loopback. The clocks stand still. */
#ifndef BARID_TEST_POLICY_STAGE_H
#define BARID_TEST_POLICY_STAGE_H

#include "common/sts.h"
#include "common/tlsrpt.h"
#include "common/verdict.h"
#include "policy/cache.h"
#include "policy/post.h"

#define STAGE_START_S 1700000000
#define STAGE_HOSTS   "DNS:mta-sts.remote.example"

/* One message of STS_KEEP or STS_NEXT_RE; spans are copied. */
struct kept {
    char domain[DOMAIN_MAX + 1], id[STS_ID_MAX + 1];
    uint8_t mode;
    uint64_t fetched;
    uint32_t max_age;
    char mx[200]; /* names with a space behind each */
};

struct answer {
    bool is_there;
    enum verdict verdict;
    enum sts_mode mode;
    unsigned fault;
    char mx[200];
};

struct stage {
    struct loop *loop;
    struct cache *cache;
    struct posts posts;
    struct ipc *relay, *queue, *resolver; /* the peers' ends; NULL: not there */
    /* what they say */
    const char *txt;         /* of each domain; NULL: there is none */
    bool is_dns_down;        /* "could not" */
    const char *address;     /* of each web server, */
    size_t n_more_addresses; /* and so often more */
    const struct kept *old;  /* what queue kept */
    size_t n_old;
    bool is_store_down;
    /* what they heard */
    size_t n_txt, n_addr, n_keeps;
    struct kept kept; /* the last one */
    char log[20000];
    /* the web server */
    const char *response;
    bool goes_octet_by_octet, is_cut, is_silent; /* is_cut: no close_notify at its end */
    bool breaks_off;                             /* instead of an answer */
    size_t n_gets;
    char request[600];
};

/* Certificate for these names (as in STAGE_HOSTS), from an authority that is trusted. */
void stage_begin(struct stage *s, const char *names);
void stage_end(struct stage *s);
/* Channels to all three; cache_load is called. */
void stage_connect(struct stage *s);
/* Turns of the loop until *is_there; false after very many. */
bool stage_wait(struct stage *s, const bool *is_there);
void stage_turns(struct stage *s, int n);
/* relay asks; the answer comes later. */
void stage_begin_ask(struct stage *s, const char *domain, struct answer *a);
/* queue has a report for this URL. */
#define STAGE_REPORT SPAN("\x1f\x8b\0gzip")
struct stage_answer {
    bool is_there;
    enum verdict verdict;
    char because[201];
};
struct stage_answer stage_post(struct stage *s, const char *url);
void stage_allow_all(void); /* never_connect_to = none */
struct answer stage_ask(struct stage *s, const char *domain);
void stage_disconnect_relay(struct stage *s);
/* Time goes on, on both clocks. */
void stage_pass(struct stage *s, int64_t seconds);
bool stage_has_logged(struct stage *s, const char *words);
/* From now on no array of exactly this size can be had; 0: all can. */
void stage_refuse_memory(size_t size);
struct proc *stage_proc(void);
struct tls_client *stage_tls(void); /* a use of it */

/* web.c */
void web_begin(struct stage *s, const char *names);
void web_end(void);
uint16_t web_port(void);
struct span web_trust(void);

#endif
