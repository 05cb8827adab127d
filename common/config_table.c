#include "common/config_table.h"

#include "common/proto.h"

#include <sys/types.h>

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

const struct section_desc config_sections[SECTION_KINDS] = {
    [SECTION_GLOBAL] = {"", NAME_NONE, NULL},
    [SECTION_SMTP] = {"smtp", NAME_NONE, NULL},
    [SECTION_SUBMIT] = {"submit", NAME_NONE, NULL},
    [SECTION_AUTH] = {"auth", NAME_NONE, NULL},
    [SECTION_LIMITS] = {"limits", NAME_NONE, NULL},
    [SECTION_QUEUE] = {"queue", NAME_NONE, NULL},
    [SECTION_MAILBOX] = {"mailbox", NAME_NONE, NULL},
    [SECTION_POP3] = {"pop3", NAME_NONE, NULL},
    [SECTION_RELAY] = {"relay", NAME_NONE, NULL},
    [SECTION_DNS] = {"dns", NAME_NONE, NULL},
    [SECTION_CONTAINMENT] = {"containment", NAME_NONE, NULL},
    [SECTION_PAM] = {"pam", NAME_NONE, NULL},
    [SECTION_JAIL] = {"jail", NAME_NONE, NULL},
    [SECTION_LISTEN] = {"listen", NAME_REQUIRED,
                        "smtp, submission, submissions, pop3, pop3s or lmtp"},
    [SECTION_TLS] = {"tls", NAME_OPTIONAL, "a name for this certificate"},
    [SECTION_ROUTE] = {"route", NAME_REQUIRED,
                       "a domain, .domain for all below it, sender:address or sender:@domain"},
};

/* --- the table: to add a setting, a member in config.h and a row here --- */

static const char *const plaintext_words[] = {"no", "loopback", "yes", NULL};
static const char *const client_certificates_words[] = {"no", "ask", NULL};
static const char *const tls_minimum_words[] = {"1.2", "1.3", NULL};
static const char *const relay_tls_words[] = {"opportunistic", "required", "verified", "none",
                                              NULL};
static const char *const ip_words[] = {"both", "4", "6", "prefer-4", "prefer-6", NULL};
static const char *const seen_words[] = {"warn", "require", NULL};
static const char *const jail_words[] = {"on", "off", NULL};
static const char *const socket_mode_words[] = {"0600", "0660", "0666", NULL};
static const char *const switch_words[] = {"on", "off", NULL};
static const char *const percent_words[] = {"none", "50%", "60%", "70%", "75%",
                                            "80%",  "85%", "90%", "95%", NULL};
static const char *const yes_words[] = {"yes", "no", NULL};
static const char *const offered_words[] = {"no", "trusted", "yes", NULL};
static const char *const complete_words[] = {"no", "submission", "trusted", "yes", NULL};
static const char *const bare_newline_words[] = {"refuse", "normalise", NULL};

#define AT(type, member)   .offset = offsetof(struct type, member)
#define LIST(type, member) AT(type, member), .offset_n = offsetof(struct type, n_##member)

const struct setting config_settings[] = {
    {SECTION_GLOBAL, "hostname", VALUE_HOST, AT(config, hostname),
     .find_fallback = config_find_hostname, .fallback_words = "the machine's full name",
     .meaning = "The name this host goes by in greetings, trace fields and bounces. Other servers "
                "expect it to be a name with a domain that leads back to this host."},
    {SECTION_GLOBAL, "state_dir", VALUE_PATH, AT(config, state_dir),
     .fallback = LOCALSTATEDIR "/lib/barid",
     .meaning = "The directory of users.db, mail.db and spool/."},
    {SECTION_GLOBAL, "run_dir", VALUE_PATH, AT(config, run_dir), .fallback = RUNSTATEDIR "/barid",
     .meaning = "The directory of the control sockets."},
    {SECTION_GLOBAL, "message_size_max", VALUE_SIZE, AT(config, message_size_max), .min = 1 << 10,
     .max = UINT64_C(4) << 30, .fallback = "50M",
     .meaning = "The largest message that is accepted, announced by SIZE."},
    {SECTION_GLOBAL, "workers", VALUE_COUNT, AT(config, workers), .min = 1, .max = 64,
     .find_fallback = config_find_workers, .fallback_words = "the number of processor cores",
     .meaning = "How many processes serve each network protocol."},

    {SECTION_SMTP, "bare_newline", VALUE_CHOICE, AT(config, bare_newline),
     .words = bare_newline_words, .fallback = "refuse",
     .meaning =
         "What becomes of content with a CR or LF that stands alone: refuse it, or normalise "
         "it to CRLF for old devices. It never ends a message."},
    {SECTION_SMTP, "dsn", VALUE_CHOICE, AT(config, dsn), .words = offered_words,
     .fallback = "trusted",
     .meaning = "Who may ask to be told of deliveries (the DSN extension): nobody, trusted clients "
                "(a login, or a network of allow_from), or everybody."},
    {SECTION_SMTP, "vrfy", VALUE_CHOICE, AT(config, vrfy), .words = offered_words, .fallback = "no",
     .meaning = "Who is told by VRFY whether an address exists here: nobody, trusted clients, or "
                "everybody. The others hear 252."},
    {SECTION_SMTP, "expn", VALUE_CHOICE, AT(config, expn), .words = offered_words, .fallback = "no",
     .meaning =
         "Who is told by EXPN to whom an alias leads: nobody, trusted clients, or everybody. "
         "The others hear 252, and EHLO does not show it to them."},

    {SECTION_SMTP, "future_release", VALUE_DURATION, .or_none = true, AT(config, future_release_ms),
     .min = MINUTE, .max = 3650 * DAY, .fallback = "7d",
     .meaning = "How long who logs in, or is a user of this machine, may have the server hold a "
                "message before it is delivered (the FUTURERELEASE extension, sendmail "
                "--hold-for), at most."},
    {SECTION_SMTP, "future_release_messages", VALUE_COUNT, .or_none = true,
     AT(config, held_messages), .min = 1, .max = 1000000, .fallback = "1000",
     .meaning = "Messages of one user that may be on hold at a time, then more are put off; root "
                "is exempt."},
    {SECTION_SMTP, "future_release_size", VALUE_SIZE, AT(config, held_size), .min = 1 << 10,
     .max = UINT64_C(1) << 40, .fallback = "1G", .meaning = "Their octets in all."},

    {SECTION_SMTP, "complete_header", VALUE_CHOICE, AT(config, complete_header),
     .words = complete_words, .fallback = "submission",
     .meaning = "Whose messages get a Date and a Message-ID field if they have none: nobody's, "
                "those that are submitted (by a login, or by a user of this machine), also those "
                "of trusted clients (a network of allow_from), or everybody's."},

    {SECTION_SUBMIT, "socket", VALUE_CHOICE, AT(submit_config, socket), .words = switch_words,
     .fallback = "on",
     .meaning = "Whether the users of this machine may hand over mail at the socket 'submit' in "
                "run_dir, as sendmail(1) does. They may send anywhere and name any sender."},
    {SECTION_SUBMIT, "connections_per_user", VALUE_COUNT, .or_none = true,
     AT(submit_config, connections_per_user), .min = 1, .max = 100000, .fallback = "50",
     .meaning = "Connections of one user at a time; root is exempt."},
    {SECTION_SUBMIT, "message_rate", VALUE_RATE, .or_none = true, AT(submit_config, message_rate),
     .min = 1, .max = 1000000, .fallback = "600/1m",
     .meaning = "Messages of one user in that time, then more are put off; root is exempt."},
    {SECTION_SUBMIT, "recipients", VALUE_COUNT, AT(submit_config, recipients), .min = 1,
     .max = 100000, .fallback = "10000", .meaning = "Recipients of one message."},

    {SECTION_AUTH, "plaintext_without_tls", VALUE_CHOICE, AT(auth_config, plaintext_without_tls),
     .words = plaintext_words, .fallback = "no",
     .meaning = "Whether a password may come over a connection without TLS: no, from loopback "
                "(127.0.0.0/8 and ::1) only, or yes (for tests only)."},
    {SECTION_AUTH, "failures_per_connection", VALUE_COUNT, .or_none = true,
     AT(auth_config, failures_per_connection), .min = 1, .max = 1000, .fallback = "5",
     .meaning = "After so many failed logins the connection is closed."},
    {SECTION_AUTH, "failures_per_address", VALUE_RATE, .or_none = true,
     AT(auth_config, failures_per_address), .min = 1, .max = 1000000, .fallback = "10/10m",
     .meaning = "After so many failed logins in that time, logins from the address (IPv6: its /64) "
                "are refused unseen."},
    {SECTION_AUTH, "failures_per_account", VALUE_RATE, .or_none = true,
     AT(auth_config, failures_per_account), .min = 1, .max = 1000000, .fallback = "100/1h",
     .meaning = "After so many failed logins to one account in that time, from wherever, logins to "
                "it are refused unseen, but not from addresses (IPv6: a /64) where its user has "
                "logged in within two weeks: nobody can lock him out there."},
    {SECTION_AUTH, "failure_delay", VALUE_DURATION, AT(auth_config, failure_delay_ms), .min = 0,
     .max = MINUTE, .fallback = "1s", .meaning = "How long the answer to a failed login waits."},
    {SECTION_AUTH, "scram", VALUE_CHOICE, AT(auth_config, scram), .words = yes_words,
     .fallback = "yes",
     .meaning = "Whether SCRAM-SHA-256 is offered. With 'no' in [auth] only argon2id is kept of "
                "passwords, which is harder to guess from a stolen users.db; 'yes' again counts "
                "for passwords that are set from then on."},
    {SECTION_AUTH, "scram_iterations", VALUE_COUNT, AT(auth_config, scram_iterations), .min = 4096,
     .max = 10000000, .fallback = "65536",
     .meaning = "How much work it is to guess a password from its keys for SCRAM. What counts is "
                "the value in [auth] when the password is set; clients do that work at each login. "
                "Cyrus SASL (Postfix as a client) refuses more than 65536."},

    {SECTION_LIMITS, "connections", VALUE_COUNT, AT(limits_config, connections), .min = 1,
     .max = 100000, .fallback = "500",
     .meaning = "Connections at a time, for each service. When all are taken, the stranger who has "
                "said nothing for longest makes room."},
    {SECTION_LIMITS, "connections_per_address", VALUE_COUNT, .or_none = true,
     AT(limits_config, connections_per_address), .min = 1, .max = 100000, .fallback = "20",
     .meaning =
         "Connections at a time from one IPv4 address or IPv6 /64. Loopback and the networks "
         "of allow_from are exempt."},
    {SECTION_LIMITS, "connection_rate", VALUE_RATE, .or_none = true,
     AT(limits_config, connection_rate), .min = 1, .max = 1000000, .fallback = "120/1m",
     .meaning = "New connections from one IPv4 address or IPv6 /64, with the same exemptions."},
    {SECTION_LIMITS, "recipients", VALUE_COUNT, AT(limits_config, recipients), .min = 1,
     .max = 100000, .fallback = "1000", .meaning = "Recipients of one message."},
    {SECTION_LIMITS, "errors", VALUE_COUNT, .or_none = true, AT(limits_config, errors), .min = 1,
     .max = 100000, .fallback = "10",
     .meaning = "Mistakes of a client without an accepted message, then its connection is closed."},
    {SECTION_LIMITS, "error_delay", VALUE_DURATION, AT(limits_config, error_delay_ms), .min = 0,
     .max = MINUTE, .fallback = "1s",
     .meaning = "How long the reply to such a mistake waits, and with it all that the client sends "
                "after it (SMTP). Loopback and the networks of allow_from are exempt."},
    {SECTION_LIMITS, "junk_commands", VALUE_COUNT, .or_none = true,
     AT(limits_config, junk_commands), .min = 1, .max = 100000, .fallback = "100",
     .meaning = "Commands that do nothing (NOOP, RSET, EHLO, VRFY, HELP) for each message, then "
                "each counts as a mistake."},
    {SECTION_LIMITS, "hops", VALUE_COUNT, AT(limits_config, hops), .min = 1, .max = 1000,
     .fallback = "100",
     .meaning = "Received fields in a message; one with more runs in a circle and is refused."},
    {SECTION_LIMITS, "command_timeout", VALUE_DURATION, AT(limits_config, command_timeout_ms),
     .min = SECOND, .max = HOUR, .fallback = "5m", .meaning = "The time for a whole command line."},
    {SECTION_LIMITS, "session_timeout", VALUE_DURATION, AT(limits_config, session_timeout_ms),
     .min = SECOND, .max = 7 * DAY, .fallback = "6h", .meaning = "The time for a whole session."},
    {SECTION_LIMITS, "tls_timeout", VALUE_DURATION, AT(limits_config, tls_timeout_ms),
     .min = SECOND, .max = HOUR, .fallback = "30s", .meaning = "The time for a TLS handshake."},
    {SECTION_LIMITS, "minimum_rate", VALUE_COUNT, .or_none = true, AT(limits_config, minimum_rate),
     .min = 1, .max = 1000000000, .fallback = "500",
     .meaning = "Octets in a second, on average, at which content must come after a minute."},

    {SECTION_QUEUE, "row_content_max", VALUE_SIZE, AT(config, row_content_max), .min = 1 << 10,
     .max = CHUNK_MAX, .fallback = "64K",
     .meaning = "Content up to this size is stored in the database, larger content in a file."},
    {SECTION_QUEUE, "trace", VALUE_DURATION, AT(config, trace_ms), .max = 365 * DAY,
     .fallback = "7d",
     .meaning = "How long 'barid trace' can tell what became of a message; 0s: nothing is kept."},
    {SECTION_QUEUE, "dialogues", VALUE_DURATION, AT(config, dialogues_ms), .max = 365 * DAY,
     .fallback = "3d", .meaning = "How long what was said at attempts is kept; 0s: it is not."},
    {SECTION_QUEUE, "dialogues_max", VALUE_SIZE, AT(config, dialogues_max), .min = 1 << 20,
     .max = 1ULL << 40, .fallback = "256M", .meaning = "Octets of that; the oldest goes first."},

    {SECTION_MAILBOX, "undelete_for", VALUE_DURATION, .or_none = true,
     AT(mailbox_config, undelete_for_ms), .min = MINUTE, .max = 3650 * DAY, .fallback = "7d",
     .meaning = "How long what a user deleted can be brought back by 'barid mailbox undelete'. It "
                "does not count against the quota: it goes earlier when the mailbox, or the disk, "
                "has no room for it. none: what is deleted is gone at once."},
    {SECTION_MAILBOX, "retention", VALUE_DURATION, .or_none = true,
     AT(mailbox_config, retention_ms), .min = DAY, .max = 36500 * DAY, .fallback = "none",
     .meaning =
         "How long mail stays in a mailbox; what is older is deleted. POP3 clients are told "
         "(EXPIRE). 'barid user retention' and 'barid domain retention' set it for one user or "
         "one domain."},
    {SECTION_MAILBOX, "retention_least", VALUE_DURATION, .or_none = true,
     AT(mailbox_config, retention_least_ms), .min = DAY, .max = 36500 * DAY, .fallback = "none",
     .meaning = "The shortest time that 'barid user retention' and 'barid domain retention' may "
                "set; what was set shorter before counts as this. It must be known, since clients "
                "are told it before anybody logs in; none: no user and no domain has a time of "
                "its own."},

    {SECTION_MAILBOX, "quota_warning", VALUE_CHOICE, AT(mailbox_config, quota_warning),
     .words = percent_words, .fallback = "none",
     .meaning =
         "When mail fills a mailbox with a quota to this part of it, its user gets a message "
         "that says so; again only after there was more room. none: nobody is warned."},

    {SECTION_POP3, "login_delay", VALUE_DURATION, .or_none = true, AT(pop3_config, login_delay_ms),
     .min = SECOND, .max = HOUR, .fallback = "none",
     .meaning = "How long after one login the next to the same mailbox is refused "
                "(LOGIN-DELAY), for clients that ask every few seconds."},
    {SECTION_POP3, "implementation", VALUE_CHOICE, AT(pop3_config, implementation),
     .words = switch_words, .fallback = "off",
     .meaning = "Whether clients are told the name of this software (IMPLEMENTATION)."},

    {SECTION_RELAY, "allow_from", VALUE_NETWORKS, .or_none = true, LIST(relay_config, allow_from),
     .fallback = "none",
     .meaning = "Networks that may send mail to foreign domains through 'listen smtp' without a "
                "login."},
    {SECTION_RELAY, "smarthost", VALUE_URLS, .or_none = true, LIST(relay_config, smarthost),
     .fallback = "none",
     .meaning =
         "The server that takes all outgoing mail, as smtp://host:port, or several, each tried "
         "when those before it cannot be reached. Without one, mail goes to the mail exchangers "
         "of its domain."},
    {SECTION_RELAY, "smarthost_secret", VALUE_PATH, .or_none = true,
     AT(relay_config, smarthost_secret), .fallback = "none",
     .meaning =
         "File whose first line is the password for the user in smarthost, as in "
         "smtp://user@host:587 (an @ in the name is written %40). It is read at the start "
         "and at each reload, and sent only to this machine or through TLS: to a server whose "
         "certificate is valid for its name, or with 'tls = required' to any."},
    {SECTION_RELAY, "fallback", VALUE_URLS, .or_none = true, LIST(relay_config, fallback),
     .fallback = "none",
     .meaning = "Servers for mail whose own mail exchangers cannot be reached, as "
                "smtp://host:port."},
    {SECTION_RELAY, "retry", VALUE_DURATIONS, .is_delivery = true, AT(delivery_config, retry_ms),
     .offset_n = offsetof(struct delivery_config, n_retry), .min = 10, .max = 30 * DAY,
     .fallback = "5m, 15m, 30m, 1h, 2h, 4h",
     .meaning =
         "How long to wait after each failed attempt, at least; up to a tenth is added by "
         "chance. The last one repeats. A destination that cannot be reached at all is asked "
         "again after the same times, one hour at the most, and all that waits for it waits "
         "with it. May stand in a [route] too."},
    {SECTION_RELAY, "expire", VALUE_DURATION, .is_delivery = true, AT(delivery_config, expire_ms),
     .min = SECOND, .max = 100 * DAY, .fallback = "5d",
     .meaning = "How long to try, then the message is returned to its sender. May stand in a "
                "[route] too; it then counts for all that takes this route, also for what waits "
                "already."},
    {SECTION_RELAY, "delay_warning", VALUE_DURATION, .or_none = true, .is_delivery = true,
     AT(delivery_config, delay_warning_ms), .min = SECOND, .max = 100 * DAY, .fallback = "4h",
     .meaning = "After how long the sender is told that a message still waits, which is done once "
                "for a message. none: he is not told. May stand in a [route] too."},
    {SECTION_RELAY, "port", VALUE_PORT, AT(relay_config, port), .min = 1, .max = UINT16_MAX,
     .fallback = "25", .meaning = "The port of mail exchangers. Tests set another."},
    {SECTION_RELAY, "ip", VALUE_CHOICE, AT(relay_config, ip), .words = ip_words, .fallback = "both",
     .meaning = "Which addresses of a server are connected to: both kinds in turn, one of them by "
                "chance first, or the preferred one; or only IPv4 or only IPv6, as on a host "
                "without the other. An address that a route itself names is always used."},
    {SECTION_RELAY, "never_connect_to", VALUE_NETWORKS, .or_none = true,
     LIST(relay_config, never_connect_to),
     .fallback = "0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3, ::/128, ::1/128, fe80::/10, "
                 "ff00::/8",
     .meaning =
         "Networks that the DNS may not lead mail to. An IPv6 address that stands for an IPv4 "
         "address (::ffff:0:0/96, ::/96, NAT64 64:ff9b::/96, 6to4 2002::/16) counts as that, "
         "too. A route or the smarthost may lead anywhere."},
    {SECTION_RELAY, "connections", VALUE_COUNT, AT(relay_config, connections), .min = 1, .max = 500,
     .fallback = "300",
     .meaning = "Connections at a time to all destinations together. Destinations that could not "
                "be reached the last time get a quarter of them at most."},
    {SECTION_RELAY, "connections_per_destination", VALUE_COUNT, .is_delivery = true,
     AT(delivery_config, connections_per_destination), .min = 1, .max = 500, .fallback = "20",
     .meaning = "Connections at a time to one destination. It begins with 5; each message that is "
                "taken adds one, and a destination that says 421 or 4xx or falls silent halves "
                "them. May stand in a [route] too."},
    {SECTION_RELAY, "rate", VALUE_RATE, .or_none = true, .is_delivery = true,
     AT(delivery_config, rate), .min = 1, .max = 1000000, .fallback = "none",
     .meaning = "Messages in a time to one destination, like 100/1m: so many at once, then evenly. "
                "May stand in a [route] too."},

    {SECTION_RELAY, "tls", VALUE_CHOICE, .is_delivery = true, AT(delivery_config, tls),
     .words = relay_tls_words, .fallback = "opportunistic",
     .meaning = "How connections to other servers are protected. opportunistic: by TLS where it "
                "works, whatever the certificate, else not at all; required: mail waits rather "
                "than go in the clear; verified: the certificate must be valid for the name that "
                "the route, or the MX record, gives the server; none: no TLS. A server given as "
                "smtps:// has TLS from the first octet and is verified, unless required is set; so "
                "is one with a user in its URL that is not on this machine, unless required or "
                "none is set. "
                "May stand in a [route] too."},
    {SECTION_RELAY, "dane", VALUE_CHOICE, AT(relay_config, dane), .words = yes_words,
     .fallback = "yes",
     .meaning =
         "Whether servers are asked for what the DNS says of their certificates (DANE, TLSA "
         "records), where tls is opportunistic. If DNSSEC protects all of it, mail goes only "
         "to a server with such a certificate, and waits otherwise; where nothing is said, or "
         "nothing protected, nothing changes. It needs a trust_anchor in [dns]."},
    {SECTION_RELAY, "tls_seen", VALUE_CHOICE, AT(relay_config, tls_seen), .words = seen_words,
     .fallback = "warn",
     .meaning =
         "What to do about mail exchangers of a domain that had TLS within the last month and "
         "have none now, where tls is opportunistic. warn: the log says so once (tls-gone); "
         "require: mail waits rather than go in the clear."},
    {SECTION_RELAY, "ca_file", VALUE_PATH, AT(relay_config, ca_file),
     .fallback = "/etc/ssl/certs/ca-certificates.crt",
     .meaning = "File of the authorities (PEM) that sign the certificates of other servers."},
    {SECTION_RELAY, "tls_sessions", VALUE_COUNT, .or_none = true, AT(relay_config, tls_sessions),
     .min = 1, .max = 10000, .fallback = "1000",
     .meaning =
         "TLS sessions of other servers that are kept in memory, to go on with at the next "
         "connection without a full handshake (the log says resumed=yes). A session serves only "
         "the destination, server and address that it was made with, protected alike and by the "
         "same TLSA records or policy, for an hour at most from when the server showed its "
         "certificate, which it does not do again meanwhile. A reload forgets all. none: each "
         "connection has a full handshake."},
    {SECTION_RELAY, "mta_sts", VALUE_CHOICE, AT(relay_config, mta_sts), .words = yes_words,
     .fallback = "yes",
     .meaning = "Whether the policy that a domain publishes by MTA-STS (RFC 8461) is heeded: with "
                "'enforce' its mail goes only to the exchangers it names, over TLS with a valid "
                "certificate; else it waits. TLSA records (dane) come before it, and where tls is "
                "none it is not asked for. It is not used for smarthosts and routes."},
    {SECTION_RELAY, "mta_sts_port", VALUE_PORT, AT(relay_config, mta_sts_port), .min = 1,
     .max = UINT16_MAX, .fallback = "443",
     .meaning =
         "The port of the servers that such policies are fetched from, and reports about TLS "
         "posted to where none is named. Tests set another."},
    {SECTION_RELAY, "tls_reports", VALUE_CHOICE, AT(relay_config, tls_reports), .words = yes_words,
     .fallback = "no",
     .meaning =
         "Whether domains that ask for it (TLSRPT, RFC 8460) are told once a day how TLS with "
         "their mail exchangers went, by a mail from MAILER-DAEMON at hostname, or over HTTPS "
         "to a server of theirs with a valid certificate (never at a private address, unless "
         "never_connect_to is none). It tells them that mail came from here, so it is to be "
         "switched on; hostname should lead here."},
    {SECTION_RELAY, "srs", VALUE_CHOICE, AT(relay_config, srs), .words = yes_words,
     .fallback = "yes",
     .meaning = "Whether mail that an alias sends on to another domain gets a sender of ours, with "
                "the real one in it (Sender Rewriting Scheme): without, many hosts refuse it, as "
                "SPF does not let us send for the real sender's domain. Reports to such a sender "
                "go on to the real one. Senders of our own domains stay as they are; content is "
                "never touched."},
    {SECTION_RELAY, "srs_domain", VALUE_HOST, .or_none = true, AT(relay_config, srs_domain),
     .fallback = "none",
     .meaning = "The domain of such senders, which must be a local domain; none: that of the "
                "alias."},

    {SECTION_DNS, "server", VALUE_SERVERS, .or_none = true, LIST(dns_config, servers),
     .fallback = "none",
     .meaning = "DNS servers to ask, as ADDRESS or ADDRESS@PORT; none: the system's resolvers."},
    {SECTION_DNS, "trust_anchor", VALUE_PATH, AT(dns_config, trust_anchor),
     .fallback = "/usr/share/dns/root.key",
     .meaning = "The key that DNSSEC answers are checked against. If it is set here, an answer "
                "that should be signed and is not is no answer; the default file is used if it is "
                "there and the DNS servers pass signatures on."},

    {SECTION_CONTAINMENT, "messages_per_user", VALUE_RATE, .or_none = true,
     AT(containment_config, messages_per_user), .min = 1, .max = 10000000, .fallback = "500/1h",
     .meaning =
         "Messages with recipients elsewhere that one user may send in that time: who logged "
         "in, or a user of the submit socket (root is exempt). With one more he is "
         "contained: his mail for elsewhere is accepted and held, the postmaster gets a "
         "message, and 'barid user release' ends it."},
    {SECTION_CONTAINMENT, "recipients_per_user", VALUE_RATE, .or_none = true,
     AT(containment_config, recipients_per_user), .min = 1, .max = 10000000, .fallback = "2000/1h",
     .meaning = "The same for the recipients elsewhere of these messages."},
    {SECTION_CONTAINMENT, "new_recipients_per_user", VALUE_RATE, .or_none = true,
     AT(containment_config, new_recipients_per_user), .min = 1, .max = 10000000,
     .fallback = "2000/1d",
     .meaning = "The same for those of them to whom the user never sent mail before, as far as is "
                "known: it is kept for 400 days, so at first everybody is new. What an alias adds "
                "does not count. What 'barid user release' or 'barid queue release' lets go is "
                "known from then on. For who writes to many strangers (a shop, a list of "
                "thousands) set it higher, or none."},
    {SECTION_CONTAINMENT, "bounce_ratio", VALUE_COUNT, .or_none = true,
     AT(containment_config, bounce_ratio), .min = 1, .max = 100, .fallback = "50",
     .meaning = "The same for who in an hour had more than so many percent of his recipients "
                "elsewhere refused for good by their servers, and 20 of them at least."},

    {SECTION_PAM, "service", VALUE_NAME, .or_none = true, AT(pam_config, service),
     .fallback = "none",
     .meaning =
         "The service of PAM, a file in /etc/pam.d, by which the passwords of users made with "
         "'barid user add --pam' are checked. Its modules for auth and account are asked. None: "
         "such users cannot log in. From none to another, and back, it counts from the next "
         "start."},
    {SECTION_PAM, "checks_at_once", VALUE_COUNT, AT(pam_config, checks), .min = 1,
     .max = PAM_CHECKS, .fallback = "8",
     .meaning =
         "How many passwords PAM is asked about at the same time, each by a process of its own. "
         "Others wait."},
    {SECTION_PAM, "timeout", VALUE_DURATION, AT(pam_config, timeout_ms), .min = 1000,
     .max = 30 * SECOND, .fallback = "15s",
     .meaning = "What PAM has not answered after this time, with the time to wait for its turn, is "
                "answered as a fault for now."},

    {SECTION_JAIL, "seccomp", VALUE_CHOICE, AT(config, seccomp), .words = jail_words,
     .fallback = "on",
     .meaning = "Limits each process to the system calls it needs. A process that cannot set its "
                "filter does not start; off is for kernels without seccomp."},
    {SECTION_JAIL, "landlock", VALUE_CHOICE, AT(config, landlock), .words = jail_words,
     .fallback = "on",
     .meaning = "Limits each process to its own files and connections, as far as the kernel knows "
                "Landlock."},

    {SECTION_LISTEN, "address", VALUE_LISTEN, LIST(listen_config, addresses),
     .find_fallback = config_find_addresses,
     .fallback_words = "0.0.0.0 and [::], port 25 (smtp), 587 (submission), 465 (submissions), 110 "
                       "(pop3) or 995 (pop3s); 127.0.0.1:24 (lmtp)",
     .meaning =
         "Where to listen, as ADDRESS:PORT. Port 0 is one that the kernel chooses; "
         "'barid status' shows it. In [listen lmtp] also a Unix socket, as unix:/PATH; who may "
         "connect to it counts as a client at 127.0.0.1."},
    {SECTION_LISTEN, "socket_mode", VALUE_CHOICE, AT(listen_config, socket_mode),
     .words = socket_mode_words, .fallback = "0666",
     .meaning =
         "Who of this machine may connect to a Unix socket: its owner (who starts barid), its "
         "owner and socket_group, or everybody, who could as well connect to 127.0.0.1:24."},
    {SECTION_LISTEN, "socket_group", VALUE_NAME, .or_none = true, AT(listen_config, socket_group),
     .fallback = "none",
     .meaning =
         "The group of a Unix socket: with socket_mode = 0660, for example that of Postfix. "
         "Like socket_mode, it is given when the socket is made: at the start, or when its path is "
         "new at a reload."},
    {SECTION_LISTEN, "proxy_from", VALUE_NETWORKS, .or_none = true, LIST(listen_config, proxy_from),
     .fallback = "none",
     .meaning =
         "Networks of load balancers that begin each connection with a PROXY header (version "
         "1 or 2), which says who the client is; without it they are refused. Nobody else "
         "may send one."},
    {SECTION_LISTEN, "require_tls", VALUE_CHOICE, AT(listen_config, require_tls),
     .words = yes_words, .fallback = "no",
     .meaning = "Whether a client must say STARTTLS before anything else. Not for a server that "
                "the MX records of a domain name: others may send without TLS."},
    {SECTION_LISTEN, "hide_client", VALUE_CHOICE, AT(listen_config, hide_client),
     .words = yes_words, .fallback = "no",
     .meaning = "Whether the Received field leaves out the address and the name of a client that "
                "logged in, so that recipients do not learn where a user is. The log and 'barid "
                "trace' tell them all the same."},
    {SECTION_TLS, "certificate", VALUE_PATH, AT(tls_config, certificate),
     .meaning = "File of the certificate and its chain (PEM)."},
    {SECTION_TLS, "key", VALUE_PATH, AT(tls_config, key),
     .meaning = "File of the private key (PEM, without a password)."},
    {SECTION_TLS, "client_certificates", VALUE_CHOICE, AT(tls_config, client_certificates),
     .words = client_certificates_words, .fallback = "no",
     .meaning = "Whether clients are asked for a certificate. One is never required; who shows one "
                "is named by it in the log."},
    {SECTION_TLS, "client_ca", VALUE_PATH, .or_none = true, AT(tls_config, client_ca),
     .fallback = "none",
     .meaning = "File of the authorities (PEM) that sign client certificates. Without it their "
                "certificates are only known by their fingerprints."},
    {SECTION_TLS, "minimum_protocol", VALUE_CHOICE, AT(tls_config, minimum),
     .words = tls_minimum_words, .fallback = "1.2",
     .meaning = "The oldest version of TLS that is spoken. That of [tls] without a name counts, "
                "for it is decided before the client has said which name it wants."},
    {SECTION_ROUTE, "to", VALUE_URLS, .or_word = true, LIST(route_config, to),
     .meaning = "The server that takes this mail, as smtp://host:port or lmtp://host:port, or "
                "several, each tried when those before it cannot be reached; or hold: it waits "
                "until the administrator releases it after the route is changed; or discard: it "
                "is thrown away and counts as delivered; or mx: the mail exchangers of its domain, "
                "for a route that is there for its other settings."},
    {SECTION_ROUTE, "backup_mx", VALUE_CHOICE, AT(route_config, backup_mx), .words = yes_words,
     .fallback = "no",
     .meaning =
         "Whether mail for this domain is taken from anybody, to be kept until the host that has "
         "its mailboxes takes it. With 'to = mx' only exchangers are used that are better (in the "
         "DNS) than this host. It must be known who exists there, or reports about mail for "
         "nobody would go to strangers: set recipients, or callout, or both."},
    {SECTION_ROUTE, "recipients", VALUE_PATH, .or_none = true, AT(route_config, recipients),
     .fallback = "none",
     .meaning =
         "File of the addresses that backup_mx takes mail for, one in a line, # begins a comment; "
         "all others but postmaster are refused. With callout they are taken without asking while "
         "that host cannot be reached, and refused only by what it says. The file is read at the "
         "start and at each reload."},
    {SECTION_ROUTE, "callout", VALUE_CHOICE, AT(route_config, callout), .words = yes_words,
     .fallback = "no",
     .meaning =
         "Whether the host that has the mailboxes is asked who exists (by RCPT, with a null "
         "sender). Its answers are kept, those of another 'to' do not count; who cannot be "
         "asked about is put off. If other hosts have the mailboxes and 'to' stays as it was "
         "(mx), barid callout forget removes what the last ones said."},
    {SECTION_ROUTE, "callout_positive", VALUE_DURATION, AT(route_config, callout_positive_ms),
     .min = MINUTE, .max = 30 * DAY, .fallback = "7d",
     .meaning = "How long it is kept that an address exists; four times as long if it cannot be "
                "asked again. It is asked again when half of that is over and mail comes. "
                "barid callout list shows what is kept."},
    {SECTION_ROUTE, "callout_negative", VALUE_DURATION, AT(route_config, callout_negative_ms),
     .min = SECOND, .max = 30 * DAY, .fallback = "1h",
     .meaning = "How long it is kept that an address does not exist."},
    {SECTION_ROUTE, "smarthost_secret", VALUE_PATH, .or_none = true,
     AT(route_config, smarthost_secret), .fallback = "none",
     .meaning =
         "File whose first line is the password for the user in 'to', as in "
         "smtp://user@host:587; see smarthost_secret in [relay], which does not count here."},
};
const size_t config_n_settings = sizeof config_settings / sizeof *config_settings;

/* --- looking things up --- */

bool config_setting_fits(const struct setting *s, enum section_kind section)
{
    if (section == SECTION_ROUTE && s->is_delivery)
        return true;
    return s->section == section || (section == SECTION_LISTEN &&
                                     (s->section == SECTION_AUTH || s->section == SECTION_LIMITS));
}

const struct setting *config_setting(enum section_kind section, struct span key)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (config_setting_fits(&config_settings[i], section) &&
            span_eq(span_of(config_settings[i].key), key))
            return &config_settings[i];
    return NULL;
}

const char *relay_tls_name(enum relay_tls level)
{
    size_t n = sizeof relay_tls_words / sizeof relay_tls_words[0] - 1;
    return (size_t)level < n ? relay_tls_words[level] : "?";
}
