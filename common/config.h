/* The configuration: one text file, parsed by one typed table (config_table.c) that also drives
 * checking, defaults, `barid config show` and the manual page. To add a setting: a member here, a
 * row there.
 *
 * The parent (and the CLI) read the file; children get the same text from the parent as
 * CHILD_CONFIG and parse it with the same function, so there is one reading of it. */
#ifndef BARID_CONFIG_H
#define BARID_CONFIG_H

#include "common/error.h"
#include "common/net.h"
#include "common/str.h"

enum listen_kind {
    LISTEN_SMTP,
    LISTEN_SUBMISSION,
    LISTEN_SUBMISSIONS,
    LISTEN_POP3,
    LISTEN_POP3S,
    LISTEN_LMTP,    /* RFC 2033: from other servers of ours, for our mailboxes */
    LISTEN_SUBMIT,  /* not as a section: run_dir/submit, see struct submit_config */
    LISTEN_CONTROL, /* not in the file: run_dir's control sockets */
    LISTEN_KINDS
};
const char *listen_kind_name(enum listen_kind k);

enum plaintext { PLAINTEXT_NO, PLAINTEXT_LOOPBACK, PLAINTEXT_YES };
enum client_certificates { CLIENT_CERTIFICATES_NO, CLIENT_CERTIFICATES_ASK };
enum tls_minimum { TLS_MINIMUM_1_2, TLS_MINIMUM_1_3 };
enum jail_layer { JAIL_ON, JAIL_OFF };
enum switch_word { SWITCH_ON, SWITCH_OFF };
/* Whom an extension or command is offered to. */
enum offered { OFFERED_NO, OFFERED_TRUSTED, OFFERED_YES };
enum completes { COMPLETES_NO, COMPLETES_SUBMISSION, COMPLETES_TRUSTED, COMPLETES_YES };
enum bare_newline { BARE_NEWLINE_REFUSE, BARE_NEWLINE_NORMALISE };

/* "10/10m": at most count in period; is_off: 'none'. */
struct rate {
    bool is_off;
    uint32_t count;
    int64_t period_ms;
};

/* 'none' switches a limit off: then it is UINT64_MAX. Zero never means unlimited. */
struct auth_config {
    enum plaintext plaintext_without_tls;
    uint64_t failures_per_connection;
    struct rate failures_per_address;
    struct rate failures_per_account; /* from where its user is not known */
    int64_t failure_delay_ms;
    enum switch_word scram;    /* offered, and its keys kept */
    uint64_t scram_iterations; /* of new keys */
};

struct limits_config {
    uint64_t connections;
    uint64_t connections_per_address;
    struct rate connection_rate; /* new ones per address */
    uint64_t recipients;         /* per transaction */
    uint64_t errors;             /* replies 4xx/5xx without an accepted message */
    int64_t error_delay_ms;      /* such a reply waits so long */
    uint64_t junk_commands; /* NOOP RSET EHLO VRFY HELP per message, then each counts as an error */
    uint64_t hops;          /* Received fields */
    int64_t command_timeout_ms; /* per line, in total */
    int64_t session_timeout_ms; /* whole session */
    int64_t tls_timeout_ms;     /* a TLS handshake */
    uint64_t minimum_rate;      /* octets/s of content, after a minute */
};

/* The socket run_dir/submit, where the users of this machine hand over mail. */
struct submit_config {
    enum switch_word socket;
    uint64_t connections_per_user;
    struct rate message_rate; /* of one user */
    uint64_t recipients;      /* of one message */
};

/* When a user's mail for elsewhere is held (queue/contain.h). */
struct containment_config {
    struct rate messages_per_user, recipients_per_user, new_recipients_per_user; /* elsewhere */
    uint64_t bounce_ratio; /* percent of his recipients refused */
};

/* Where a listener listens. */
struct endpoint {
    struct netaddr address;
    char *path; /* of a Unix socket; NULL: it has an address */
};

enum socket_mode { SOCKET_MODE_0600, SOCKET_MODE_0660, SOCKET_MODE_0666 };

struct listen_config {
    enum listen_kind kind;
    struct endpoint *addresses;
    size_t n_addresses;
    enum socket_mode socket_mode; /* of those with a path */
    char *socket_group;           /* NULL: the group of who starts us */
    struct network *proxy_from;   /* who must say by the PROXY protocol whose connection it is */
    size_t n_proxy_from;
    enum switch_word require_tls; /* no mail in the clear (RFC 3207 4) */
    enum switch_word hide_client; /* whose mail it is, not where he is, stands in Received */
    struct auth_config auth;      /* [auth] with this section's own settings over it */
    struct limits_config limits;  /* the same for [limits] */
    size_t line;
};

#define TLS_SECTIONS_MAX 100

struct tls_config {
    char *name; /* "" for [tls] */
    char *certificate, *key;
    enum client_certificates client_certificates;
    char *client_ca; /* NULL: none */
    enum tls_minimum minimum;
    size_t line;
};

/* "smtp://[user@]host[:port]", "smtps://…", "lmtp://…"; host is a name or an address. Or a word
 * instead of a server: "hold", "discard", "mx"; then the rest is empty. */
enum hop_kind { HOP_SMTP, HOP_LMTP, HOP_HOLD, HOP_DISCARD, HOP_MX };
#define URL_USER_MAX 255 /* octets */

struct url {
    enum hop_kind kind;
    bool is_tls;
    char *user; /* NULL: none */
    char *host; /* name, or address without brackets */
    uint16_t port;
};

/* How well connections to other servers must be protected. */
enum relay_tls {
    RELAY_TLS_OPPORTUNISTIC, /* TLS if it can be had, whatever the certificate; else the clear */
    RELAY_TLS_REQUIRED,      /* whatever the certificate */
    RELAY_TLS_VERIFIED,      /* with the certificate of that server */
    RELAY_TLS_NONE,
};
const char *relay_tls_name(enum relay_tls level); /* as in the file */

/* How fast, how safe, and when again: of [relay], and of a [route] with its own settings over it.
 */
struct delivery_config {
    enum relay_tls tls;
    int64_t *retry_ms; /* the last one repeats */
    size_t n_retry;
    int64_t expire_ms, delay_warning_ms; /* DURATION_NONE: nobody is warned */
    bool has_expire;                     /* the section says it itself */
    struct rate rate;                    /* messages */
    uint64_t connections_per_destination;
};

struct route_config {
    char *domain;   /* lower case; or ".domain", "sender:address", "sender:@domain" */
    struct url *to; /* in order of preference */
    size_t n_to;
    char *smarthost_secret; /* file of the password of the users in `to`, or NULL */
    struct delivery_config delivery;
    /* Mail for the domain is taken from anybody, for another host that has its mailboxes. */
    enum switch_word backup_mx;
    char *recipients;         /* file of those who exist there, or NULL */
    enum switch_word callout; /* that host is asked */
    int64_t callout_positive_ms, callout_negative_ms;
    size_t line;
};

struct relay_config {
    struct network *allow_from;
    size_t n_allow_from;
    struct url *smarthost; /* in order of preference */
    size_t n_smarthost;
    char *smarthost_secret; /* file of its users' password, or NULL */
    struct url *fallback;   /* after all MX of a domain were tried in vain */
    size_t n_fallback;
    struct delivery_config delivery;
    uint16_t port;
    enum ip_word { IP_BOTH, IP_4, IP_6, IP_PREFER_4, IP_PREFER_6 } ip;
    enum switch_word dane;
    enum seen_word { SEEN_WARN, SEEN_REQUIRE } tls_seen;
    struct network *never_connect_to;
    size_t n_never_connect_to;
    uint64_t connections;         /* to all destinations together */
    char *ca_file;                /* who signs the certificates of other servers */
    uint64_t tls_sessions;        /* of other servers that are gone on with; UINT64_MAX: none */
    enum switch_word mta_sts;     /* policies of other domains are heeded (RFC 8461) */
    uint16_t mta_sts_port;        /* where they are fetched */
    enum switch_word tls_reports; /* to domains that ask for them (RFC 8460) */
    enum switch_word srs;         /* mail that aliases send on gets a sender of ours */
    char *srs_domain;             /* of that sender; NULL: of the alias */
};

#define DURATION_NONE (-1) /* 'none' of a duration */

/* How full a mailbox is: the words of [mailbox] quota_warning, and what they mean in percent. */
enum full_part {
    FULL_NONE,
    FULL_50,
    FULL_60,
    FULL_70,
    FULL_75,
    FULL_80,
    FULL_85,
    FULL_90,
    FULL_95
};
static inline unsigned full_percent(enum full_part part)
{
    static const unsigned char percents[] = {0, 50, 60, 70, 75, 80, 85, 90, 95};
    return percents[part];
}

struct mailbox_config {
    int64_t undelete_for_ms;                  /* DURATION_NONE: what is deleted is gone */
    int64_t retention_ms, retention_least_ms; /* or DURATION_NONE */
    enum full_part quota_warning;
};

struct pop3_config {
    int64_t login_delay_ms; /* or DURATION_NONE */
    enum switch_word implementation;
};

struct dns_config {
    struct netaddr *servers; /* with ports; none: the system's resolvers */
    size_t n_servers;
    char *trust_anchor;
};

/* [pam] */
#define PAM_CHECKS    64
#define PAM_PROCESSES (2 * PAM_CHECKS) /* with those that modules start */
struct pam_config {
    char *service;   /* NULL: none */
    uint64_t checks; /* at once */
    int64_t timeout_ms;
};

struct config {
    char *file; /* where it came from, for messages */
    char *hostname, *state_dir, *run_dir;
    uint64_t message_size_max;
    int64_t trace_ms;         /* [queue]: how long it is told what became of a message; 0: not */
    int64_t dialogues_ms;     /* [queue]: how long what was said in attempts is kept; 0: not */
    uint64_t dialogues_max;   /* [queue]: octets of it in all */
    uint64_t row_content_max; /* [queue]: content up to this lives in the row (≤ CHUNK_MAX) */
    uint64_t workers;         /* processes of each network server */
    enum bare_newline bare_newline;
    enum offered dsn, vrfy, expn;      /* [smtp] */
    int64_t future_release_ms;         /* [smtp]; or DURATION_NONE */
    uint64_t held_messages, held_size; /* [smtp]: of one user; messages may be UINT64_MAX */
    enum completes complete_header;    /* [smtp] */
    enum jail_layer seccomp, landlock; /* [jail] */
    struct auth_config auth;
    struct limits_config limits;
    struct listen_config *listens;
    size_t n_listens;
    struct submit_config submit;
    struct listen_config submit_listen; /* made of [submit] and [limits] */
    struct tls_config *tls;
    size_t n_tls;
    struct relay_config relay;
    struct route_config *routes;
    size_t n_routes;
    struct dns_config dns;
    struct mailbox_config mailbox;
    struct pop3_config pop3;
    struct containment_config containment;
    struct pam_config pam;
    size_t *lines; /* private: where each setting was set, in the order of the table's walk */
};

#define CONFIG_NO_PAM "this barid was built without PAM: build it with ./configure --with-pam"
#define CONFIG_MAKE_A_PAIR                                                                         \
    "add a [tls] section with certificate and key; 'barid tls self-signed' makes a pair to begin " \
    "with"

struct config_problem {
    size_t line; /* the first, if it is about the file as a whole */
    bool is_warning;
    char text[300]; /* what, why, what to do; with the nearest known key for an unknown one */
};

struct config_problems {
    struct config_problem *list; /* in the order of lines */
    size_t n, cap;
    size_t n_errors; /* those that are no warnings */
};

/* All problems at once. The result is NULL only if there were errors (or memory is out: said in
 * problems). Free both in any case. `file` is a name for messages. */
struct config *config_parse(struct span text, const char *file, struct config_problems *problems);
void config_free(struct config *c); /* NULL is allowed */
void config_problems_free(struct config_problems *p);
/* line 0: of the file as a whole. */
void config_problem_add(struct config_problems *p, size_t line, bool is_warning, const char *fmt,
                        ...) __attribute__((format(printf, 4, 5)));

/* The file to use: `given` (--config) if not NULL; else SYSCONFDIR/barid/barid.conf if it is there;
 * else $BARID_CONFIG; else the first again, so that messages name it. */
const char *config_path(const char *given);
/* Its text (to be freed), of a longer one than 1 MiB only so much that config_parse sees it; NULL
 * and e. */
char *config_read(const char *path, size_t *n, struct error *e);

/* The text for children (to be freed): the same, with what only the parent can find out (the name
 * of the machine, its cores) written in front, so that a child can read it inside its jail. NULL
 * without memory. */
char *config_child_text(const struct config *c, struct span text, size_t *n);

/* For each setting in effect, in the order of the table: section ("", "auth", "listen smtp"), key,
 * value as it would stand in the file, and where it was set (line; 0: default). */
typedef void config_show_fn(void *arg, const char *section, const char *key, const char *value,
                            size_t line);
void config_show(const struct config *c, config_show_fn *fn, void *arg);
/* The manual's rows: section, key, type and range in words, default, meaning. */
typedef void config_doc_fn(void *arg, const char *section, const char *key, const char *type,
                           const char *fallback, const char *meaning);
void config_doc(config_doc_fn *fn, void *arg);

/* The listener section `section` (index in c->listens, or the submit socket's). */
#define SECTION_OF_SUBMIT UINT16_MAX
const struct listen_config *config_listen(const struct config *c, size_t section);
/* May a peer at this address send a password without TLS ([auth] plaintext_without_tls)? */
bool config_may_log_in_plain(const struct auth_config *auth, const struct netaddr *peer);
/* May a peer at this address relay without AUTH ([relay] allow_from)? */
bool config_may_relay(const struct config *c, const struct netaddr *peer);

#endif
