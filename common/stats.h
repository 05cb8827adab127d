/* What a process counts about its work, since its start and over the last minute, for `barid
 * stats`. The tables below list all of it; who counts something new adds a row and a call. Counting
 * costs some tens of nanoseconds and fixed memory. One table per process: no locks, no threads.
 *
 * The parent asks for it (CHILD_STATS) and hands the octets on unread; the command unpacks and adds
 * up what the workers of a service say. */
#ifndef BARID_STATS_H
#define BARID_STATS_H

#include "common/proto.h"

enum stats_kind { STATS_COUNTER, STATS_GAUGE };

/* S(NAME, name, owner, kind, meaning) */
#define STATS(S)                                                                                   \
    S(SMTP_CONNECTIONS, smtp_connections, P_SMTPD, STATS_COUNTER, "connections of SMTP clients")   \
    S(SMTP_SESSIONS, smtp_sessions, P_SMTPD, STATS_GAUGE, "SMTP sessions at this moment")          \
    S(SMTP_TURNED_AWAY, smtp_turned_away, P_SMTPD, STATS_COUNTER,                                  \
      "SMTP clients refused at the door")                                                          \
    S(SMTP_TLS, smtp_tls, P_SMTPD, STATS_COUNTER, "SMTP sessions that began TLS")                  \
    S(SMTP_REFUSED, smtp_refused, P_SMTPD, STATS_COUNTER,                                          \
      "commands and messages of SMTP clients refused with 4xx or 5xx")                             \
    S(SMTP_ACCEPTED, smtp_accepted, P_SMTPD, STATS_COUNTER, "messages answered with 250")          \
    S(POP3_CONNECTIONS, pop3_connections, P_POP3D, STATS_COUNTER, "connections of POP3 clients")   \
    S(POP3_SESSIONS, pop3_sessions, P_POP3D, STATS_GAUGE, "POP3 sessions at this moment")          \
    S(POP3_TURNED_AWAY, pop3_turned_away, P_POP3D, STATS_COUNTER,                                  \
      "POP3 clients refused at the door")                                                          \
    S(POP3_RETRIEVED, pop3_retrieved, P_POP3D, STATS_COUNTER, "messages collected by RETR")        \
    S(POP3_RETRIEVED_OCTETS, pop3_retrieved_octets, P_POP3D, STATS_COUNTER, "octets of them")      \
    S(LOGINS, logins, P_AUTHD, STATS_COUNTER, "logins, by POP3 and SMTP")                          \
    S(LOGINS_FAILED, logins_failed, P_AUTHD, STATS_COUNTER,                                        \
      "logins with a wrong name or password")                                                      \
    S(LOGINS_REFUSED, logins_refused, P_AUTHD, STATS_COUNTER,                                      \
      "logins refused unseen: throttled, disabled, or could not decide")                           \
    S(ADDRESSES_RESOLVED, addresses_resolved, P_AUTHD, STATS_COUNTER, "questions about addresses") \
    S(ACCEPTED, accepted, P_QUEUE, STATS_COUNTER, "messages taken: they are on disk")              \
    S(ACCEPTED_OCTETS, accepted_octets, P_QUEUE, STATS_COUNTER, "octets of them")                  \
    S(REFUSED, refused, P_QUEUE, STATS_COUNTER, "messages not taken: quota, disk, no right to")    \
    S(DELIVERED_LOCAL, delivered_local, P_QUEUE, STATS_COUNTER, "messages put into mailboxes")     \
    S(DELIVERED, delivered, P_QUEUE, STATS_COUNTER, "recipients delivered to other servers")       \
    S(DEFERRED, deferred, P_QUEUE, STATS_COUNTER, "attempts after which a recipient waits")        \
    S(BOUNCED, bounced, P_QUEUE, STATS_COUNTER, "recipients that failed for good")                 \
    S(REPORTS, reports, P_QUEUE, STATS_COUNTER, "reports (DSN) written to senders")                \
    S(CALLOUTS, callouts, P_QUEUE, STATS_COUNTER,                                                  \
      "questions to other hosts whether a recipient exists")                                       \
    S(CALLOUTS_KEPT, callouts_kept, P_QUEUE, STATS_GAUGE, "answers to these that are kept")        \
    S(JOBS, relay_jobs, P_QUEUE, STATS_GAUGE, "deliveries under way at this moment")               \
    S(COMMITS, commits, P_QUEUE, STATS_COUNTER, "transactions committed to disk")                  \
    S(COMMIT_REQUESTS, commit_requests, P_QUEUE, STATS_COUNTER, "requests that they answered")     \
    S(COMMITS_OF_MAIL, commits_of_mail, P_QUEUE, STATS_COUNTER,                                    \
      "those of them that took messages")                                                          \
    S(RELAY_CONNECTIONS, relay_connections, P_RELAY, STATS_COUNTER,                                \
      "connections begun to other servers")                                                        \
    S(RELAY_TLS, relay_tls, P_RELAY, STATS_COUNTER, "TLS handshakes with them")                    \
    S(RELAY_TLS_RESUMED, relay_tls_resumed, P_RELAY, STATS_COUNTER,                                \
      "those of them that went on with an earlier session")                                        \
    S(BOXES_OPENED, mailboxes_opened, P_MAILBOX, STATS_COUNTER, "mailboxes opened for sessions")   \
    S(DNS_QUESTIONS, dns_questions, P_RESOLVER, STATS_COUNTER, "questions to the DNS")             \
    S(DNS_FAILED, dns_failed, P_RESOLVER, STATS_COUNTER, "questions that the DNS did not answer")  \
    S(SIGNATURES, tls_signatures, P_KEYD, STATS_COUNTER, "TLS handshakes signed")

/* T(NAME, name, owner, meaning): how long something takes. */
#define STATS_TIMES(T)                                                                             \
    T(COMMIT, commit, P_QUEUE, "a commit to disk")                                                 \
    T(DELIVERY, delivery, P_QUEUE, "from the arrival of a message to its delivery by relay")       \
    T(ACCEPT, accept, P_SMTPD, "from the last octet of a message to its reply")                    \
    T(LOGIN, login, P_AUTHD, "the check of a right password")                                      \
    T(DNS, dns, P_RESOLVER, "an answer to a question to the DNS")

enum stats_id {
#define STATS_ENUM(NAME, name, owner, kind, meaning) STAT_##NAME,
    STATS(STATS_ENUM)
#undef STATS_ENUM
        STATS_N
};
enum stats_time_id {
#define STATS_ENUM(NAME, name, owner, meaning) STAT_TIME_##NAME,
    STATS_TIMES(STATS_ENUM)
#undef STATS_ENUM
        STATS_TIMES_N
};

struct stats_desc {
    const char *name, *meaning;
    unsigned owner; /* P_* */
    enum stats_kind kind;
};
const struct stats_desc *stats_desc(enum stats_id s);
const struct stats_desc *stats_time_desc(enum stats_time_id t);

/* --- counting --- */

void stats_add(enum stats_id s, uint64_t n);
static inline void stats_count(enum stats_id s)
{
    stats_add(s, 1);
}
void stats_gauge(enum stats_id s, int64_t change);
void stats_time_us(enum stats_time_id t, int64_t us);
/* What a process of this role has counted. 0: it does not fit. */
size_t stats_pack(enum role role, char *out, size_t cap);

/* --- reading --- */

#define STATS_BUCKETS 256 /* eight for each doubling of the time, in µs */

struct stats_hist {
    uint64_t count, sum_us, max_us;
    uint64_t buckets[STATS_BUCKETS];
    uint64_t recent[STATS_BUCKETS]; /* of the last 30 to 60 seconds */
};

struct stats_sum {
    uint64_t totals[STATS_N]; /* of a gauge: what it shows */
    uint64_t minute[STATS_N]; /* in the last minute */
    struct stats_hist times[STATS_TIMES_N];
};

/* Adds what a process packed. 0, or -1: damaged; then nothing was added. */
int stats_merge(struct stats_sum *sum, struct span packed);
/* The time in µs that so many of a thousand did not exceed, within an eighth; 0: nothing was timed.
 */
uint64_t stats_quantile_us(const uint64_t buckets[STATS_BUCKETS], unsigned permille);
/* How many took at most so long; exact for powers of two, else within an eighth. */
uint64_t stats_count_within(const uint64_t buckets[STATS_BUCKETS], uint64_t us);

#endif
