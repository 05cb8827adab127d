/* Where to try to deliver mail of one domain, and in which order (RFC 5321 5.1, RFC 7505): [route]
 * or smarthost, else MX and their addresses, else the addresses of the domain itself. Pure
 * decisions: the owner asks, connects, and tells how it went.
 *
 * It also finds out how well a server must be protected (policy.h), and for that asks what DNSSEC
 * says of its certificate (DANE, RFC 7672 2.2): only if the way to its name is protected, and its
 * addresses.
 *
 *   plan_begin, then: while plan_next says ASK_MX, ASK_STS, ASK_ADDR, ASK_TLSA or CONNECT, do it
 * and tell; at OVER `verdict` and `text` say why nothing was reached. */
#ifndef BARID_RELAY_PLAN_H
#define BARID_RELAY_PLAN_H

#include "common/config.h"
#include "common/proto.h"
#include "common/tlsrpt.h"
#include "common/verdict.h"
#include "relay/login.h"
#include "relay/policy.h"

#define PLAN_HOSTS_MAX     16 /* MX hosts looked at in one attempt */
#define PLAN_TRIES_MAX     5  /* addresses connected to in one attempt */
#define PLAN_ADDRESSES_MAX 32

/* What the decisions depend on besides the DNS; not kept. */
struct plan_scope {
    const struct config *config;
    const struct netaddr *own; /* addresses of this machine */
    size_t n_own;
};

enum plan_step {
    PLAN_ASK_MX,   /* of `domain`; tell plan_take_mx */
    PLAN_ASK_STS,  /* of `domain`; tell plan_take_sts */
    PLAN_ASK_ADDR, /* of `host`; tell plan_take_addr */
    PLAN_ASK_TLSA, /* of `tlsa_host` at `port`, see `is_alias`; tell plan_take_tlsa */
    PLAN_CONNECT,  /* to `to`, whose name is `host`; if it fails tell plan_refused or plan_unfit */
    PLAN_OVER,
};

struct plan_host {
    uint16_t preference;
    uint16_t port;
    bool is_configured; /* a next hop of a route: it may lead anywhere */
    bool is_lmtp;
    bool is_implicit;              /* TLS from the first octet */
    char name[DOMAIN_MAX + 1];     /* or an address */
    char user[LOGIN_USER_MAX + 1]; /* to log in as; "" */
};

struct plan {
    enum plan_step step;
    char domain[DOMAIN_MAX + 1];
    char host[DOMAIN_MAX + 1]; /* "" for an address literal */
    struct netaddr to;
    bool is_lmtp;         /* of `to`, */
    bool is_implicit;     /* and with TLS from the first octet */
    struct policy policy; /* how its connection must be protected */
    /* POLICY_BY_DANE: whose the TLSA records are that were told last (the "TLSA base domain");
     * is_bogus: of what the answer was, "" for the MX */
    char tlsa_host[DOMAIN_MAX + 1];
    bool is_alias; /* as in DNS_TLSA */
    uint16_t port;
    char user[LOGIN_USER_MAX + 1]; /* who logs in there; "" */
    size_t section;                /* whose secret is his (struct route) */
    enum verdict verdict;
    char text[REPLY_MAX];
    /* private */
    enum { PLAN_BY_ROUTE, PLAN_BY_MX, PLAN_BY_DOMAIN } by;
    struct policy_facts facts;              /* of the host */
    bool is_configured;                     /* as the host */
    bool is_waived;                         /* a report about TLS goes however it fails */
    bool is_backup;                         /* we keep its mail for another host */
    bool has_fallback;                      /* it was taken into `hosts` */
    struct plan_host hosts[PLAN_HOSTS_MAX]; /* in the order of trying */
    size_t n_hosts, next_host;
    uint16_t preference; /* of `host` */
    struct netaddr addresses[PLAN_ADDRESSES_MAX];
    size_t n_addresses, next_address;
    unsigned n_tried;
    bool is_mx_secure;
    enum sts_mode sts;            /* of `domain` */
    enum tlsrpt_result sts_fault; /* why the policy that it announces does not count; NOTHING */
    struct span sts_mx;
    enum plan_step after_sts;
    bool has_filtered, has_own, has_absent, has_other_ip; /* met on the way */
    /* The answer that was told last is false, says DNSSEC, and DANE would have gone by it. */
    bool is_bogus;
    bool is_undecided; /* something failed for now, so that "never" is out of the question */
};

/* domain: lower case, or an address literal in brackets. requires_tls: the message does. */
void plan_begin(struct plan *p, const struct plan_scope *scope, struct span domain,
                struct span sender, bool requires_tls);
/* TLS was seen at the mail exchangers of this domain before, and is not to be done without. */
void plan_expect_tls(struct plan *p);
/* It is a report about TLS (RFC 8460 3): no policy of its domain may keep it back. */
void plan_waive_policies(struct plan *p);
enum plan_step plan_next(struct plan *p, const struct plan_scope *scope);
/* The resolver's answers; NULL: none came. */
void plan_take_mx(struct plan *p, const struct plan_scope *scope, const struct msg_dns_mx_re *re);
void plan_take_addr(struct plan *p, const struct plan_scope *scope,
                    const struct msg_dns_addr_re *re);
/* The patterns are kept by reference: they must stay as long as the plan is used. */
void plan_take_sts(struct plan *p, const struct msg_sts_re *re);
void plan_take_tlsa(struct plan *p, const struct msg_dns_tlsa_re *re);
/* `to` could not be used. NEVER: it said so with a 5xx greeting. */
void plan_refused(struct plan *p, enum verdict v, struct span text);
/* `host` can never have this message, at none of its addresses: it requires TLS (RFC 8689). */
void plan_unfit(struct plan *p, struct span text);

#endif
