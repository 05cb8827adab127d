/* THE table of all messages between processes: name, who may send it, who may receive it, the
 * answer it asks for, whether a descriptor may come with it, its fields, its meaning. Everything
 * else is made from it: enum, structs, bounded pack and unpack, the permission check, doc/IPC.md,
 * the fuzz target.
 *
 * A request is a row with an answer; its first field and its answer's first field are the tag that
 * pairs them (see ipc_ask). A process can send only what this table lets it send; anything else, or
 * anything that does not unpack exactly, closes the channel it came on.
 *
 * Field types: U8 U16 U32 U64 numbers; TEXT a span without NUL, CR, LF; BYTES any octets. The
 * number beside TEXT and BYTES is the longest allowed. Unpacked spans point into the receive
 * buffer: they are gone when the handler returns. */
#ifndef BARID_PROTO_H
#define BARID_PROTO_H

#include "common/content.h"
#include "common/hold.h"
#include "common/pam.h"
#include "common/proto_values.h"
#include "common/str.h"

enum role {
    ROLE_PARENT,
    ROLE_SMTPD,
    ROLE_AUTHD,
    ROLE_QUEUE,
    ROLE_RELAY,
    ROLE_MAILBOX,
    ROLE_POP3D,
    ROLE_RESOLVER,
    ROLE_KEYD,
    ROLE_POLICY,
    ROLE_PAMD,
    ROLE_CLI,
    ROLES
};
const char *role_name(enum role r);
/* 0, or -1 if there is no such role. */
int role_parse(struct span name, enum role *out);

#define P_PARENT   (1U << ROLE_PARENT)
#define P_SMTPD    (1U << ROLE_SMTPD)
#define P_AUTHD    (1U << ROLE_AUTHD)
#define P_QUEUE    (1U << ROLE_QUEUE)
#define P_RELAY    (1U << ROLE_RELAY)
#define P_MAILBOX  (1U << ROLE_MAILBOX)
#define P_POP3D    (1U << ROLE_POP3D)
#define P_RESOLVER (1U << ROLE_RESOLVER)
#define P_KEYD     (1U << ROLE_KEYD)
#define P_POLICY   (1U << ROLE_POLICY)
#define P_PAMD     (1U << ROLE_PAMD)
#define P_CLI      (1U << ROLE_CLI)
#define P_CHILDREN                                                                                 \
    (P_SMTPD | P_AUTHD | P_QUEUE | P_RELAY | P_MAILBOX | P_POP3D | P_RESOLVER | P_KEYD |           \
     P_POLICY | P_PAMD)
#define P_ANY (P_CHILDREN | P_PARENT | P_CLI)

/* Bounds of fields, in octets. */
#define ADDRESS_MAX 512   /* RFC 5321 4.5.3.1: path 256; room for what users of UTF-8 write */
#define HELO_MAX    512   /* a name or literal as the peer gave it */
#define IP_MAX      64    /* "[2001:db8::1]:25" */
#define SOCKET_MAX  1024  /* address:port, or the path of a Unix socket */
#define DOMAIN_MAX  255   /* RFC 1035 */
#define LOGIN_MAX   512   /* user name as given */
#define REPLY_MAX   512   /* one SMTP reply line kept for people */
#define ENVELOPE_ID 100   /* RFC 3461 4.4 */
#define LIST_MAX    24576 /* packed records in one message */
#define CHUNK_MAX   65536 /* content in one message */
#define UIDL_MAX    70    /* RFC 1939 7 */
#define SOURCE_KEY  16    /* names a message in what is imported */
#define SEALED_MAX  8192  /* what seal.h makes */
#define IPC_MAX     98304 /* a whole message; every row of the table fits */
#define KEY_ID      32    /* SHA-256 of the public half (SubjectPublicKeyInfo) */

#define TICKET_OCTETS 16

/* M(NAME, name, from, to, answer, has_fd, meaning) */
#define PROTO_MESSAGES(M)                                                                          \
    M(HELLO, hello, P_ANY, P_ANY, NONE, 0, "first on every channel: hash of this table")           \
    M(CHILD_CONFIG, child_config, P_PARENT, P_CHILDREN, NONE, 0,                                   \
      "the effective configuration as text, in parts")                                             \
    M(CHILD_LISTEN, child_listen, P_PARENT, P_CHILDREN, NONE, 1, "a listening socket to serve")    \
    M(CHILD_PEER, child_peer, P_PARENT, P_CHILDREN, NONE, 1, "a channel to another process")       \
    M(CHILD_MEMORY, child_memory, P_PARENT, P_CHILDREN, NONE, 1,                                   \
      "memory that the workers of a service share: who is connected, see common/peers.h")          \
    M(CHILD_FILE, child_file, P_PARENT, P_CHILDREN, NONE, 1,                                       \
      "a file that the configuration names, read-only; or why it could not be opened")             \
    M(CHILD_START, child_start, P_PARENT, P_CHILDREN, NONE, 0,                                     \
      "everything was sent: begin, or (after a reload) apply; sockets not sent again are closed")  \
    M(CHILD_STOP, child_stop, P_PARENT, P_CHILDREN, NONE, 0, "drain and exit")                     \
    M(CHILD_STATS, child_stats, P_PARENT, P_CHILDREN, CHILD_STATS_RE, 0, "what have you counted?") \
    M(CHILD_STATS_RE, child_stats_re, P_CHILDREN, P_PARENT, NONE, 0, "")                           \
    M(CHILD_READY, child_ready, P_CHILDREN, P_PARENT, NONE, 0, "stores open, serving")             \
    M(CHILD_FAILED, child_failed, P_CHILDREN, P_PARENT, NONE, 0, "cannot start, and why")          \
    M(CHILD_LOST, child_lost, P_CHILDREN, P_PARENT, NONE, 0,                                       \
      "a channel to another process is gone and was not made again: if that process lives, do")    \
    M(RESOLVE, resolve, P_SMTPD | P_QUEUE, P_AUTHD, RESOLVE_RE, 0,                                 \
      "what is this address, and where does mail for it go")                                       \
    M(RESOLVE_RE, resolve_re, P_AUTHD, P_SMTPD | P_QUEUE, NONE, 0, "")                             \
    M(EXPAND, expand, P_SMTPD, P_AUTHD, EXPAND_RE, 0, "whom does this alias stand for (EXPN)?")    \
    M(EXPAND_RE, expand_re, P_AUTHD, P_SMTPD, NONE, 0, "")                                         \
    M(FORWARD, forward, P_QUEUE, P_AUTHD, FORWARD_RE, 0,                                           \
      "mail from this sender goes on to another host, by this address of ours: with which "        \
      "sender?")                                                                                   \
    M(FORWARD_RE, forward_re, P_AUTHD, P_QUEUE, NONE, 0, "")                                       \
    M(LOGIN, login, P_SMTPD | P_POP3D, P_AUTHD, LOGIN_RE, 0, "check a user name and password")     \
    M(LOGIN_RE, login_re, P_AUTHD, P_SMTPD | P_POP3D, NONE, 1,                                     \
      "verdict; to pop3d with the channel to that one mailbox")                                    \
    M(SCRAM_FIRST, scram_first, P_SMTPD | P_POP3D, P_AUTHD, SCRAM_FIRST_RE, 0,                     \
      "the first message of SCRAM-SHA-256; a session has one exchange at a time")                  \
    M(SCRAM_FIRST_RE, scram_first_re, P_AUTHD, P_SMTPD | P_POP3D, NONE, 0, "what to say to it")    \
    M(SCRAM_FINAL, scram_final, P_SMTPD | P_POP3D, P_AUTHD, LOGIN_RE, 0, "the second message")     \
    M(LOGOUT, logout, P_SMTPD | P_POP3D, P_AUTHD, NONE, 0,                                         \
      "this session has ended: nobody waits for an answer, its ticket is void")                    \
    M(TICKET, ticket, P_SMTPD | P_QUEUE, P_AUTHD, TICKET_RE, 0,                                    \
      "whose login is this, and may he send from that address?")                                   \
    M(TICKET_RE, ticket_re, P_AUTHD, P_SMTPD | P_QUEUE, NONE, 0, "")                               \
    M(SEAL_KEY, seal_key, P_AUTHD, P_QUEUE, NONE, 0, "key of the sealed addresses authd makes")    \
    M(BOX_GRANT, box_grant, P_AUTHD, P_MAILBOX, NONE, 1,                                           \
      "whoever holds the other end of this channel may use this mailbox")                          \
    M(BOX_FORGET, box_forget, P_AUTHD, P_QUEUE, BOX_FORGET_RE, 0,                                  \
      "a user was removed: remove the mailbox and its mail")                                       \
    M(BOX_FORGET_RE, box_forget_re, P_QUEUE, P_AUTHD, NONE, 0, "")                                 \
    M(BOX_DEVICES, box_devices, P_AUTHD, P_QUEUE, BOX_DEVICES_RE, 0,                               \
      "the devices of a mailbox, all of them: what none of them holds any more may go")            \
    M(BOX_DEVICES_RE, box_devices_re, P_QUEUE, P_AUTHD, NONE, 0, "")                               \
    M(BOX_DOMAIN, box_domain, P_QUEUE, P_AUTHD, BOX_DOMAIN_RE, 0,                                  \
      "in which domain is the user of this mailbox?")                                              \
    M(BOX_DOMAIN_RE, box_domain_re, P_AUTHD, P_QUEUE, NONE, 0, "")                                 \
    M(QUEUE_OPEN, queue_open, P_SMTPD, P_QUEUE, QUEUE_OPEN_RE, 1,                                  \
      "take responsibility for a message: envelope, and content if all of it fits; from the "      \
      "submit socket with the user's connection, which proves who he is")                          \
    M(QUEUE_MORE, queue_more, P_SMTPD, P_QUEUE, NONE, 0,                                           \
      "more recipients or content for the QUEUE_OPEN with this tag")                               \
    M(QUEUE_ABORT, queue_abort, P_SMTPD, P_QUEUE, NONE, 0,                                         \
      "forget the QUEUE_OPEN with this tag; there will be no answer")                              \
    M(QUEUE_OPEN_RE, queue_open_re, P_QUEUE, P_SMTPD, NONE, 0,                                     \
      "VERDICT_OK: committed to disk, the message is ours. May come before the last part")         \
    M(QUEUE_ROOM, queue_room, P_SMTPD, P_QUEUE, QUEUE_ROOM_RE, 0,                                  \
      "would the mailboxes of this recipient take a message of this size; does one elsewhere "     \
      "exist that is taken for its own host (backup_mx)? Keeps nothing")                           \
    M(QUEUE_ROOM_RE, queue_room_re, P_QUEUE, P_SMTPD, NONE, 0,                                     \
      "VERDICT_OK is no promise: QUEUE_OPEN decides")                                              \
    M(KEY_HELD, key_held, P_KEYD, P_SMTPD | P_POP3D, NONE, 0,                                      \
      "the private keys that are in the files, each time they were read")                          \
    M(KEY_SIGN, key_sign, P_SMTPD | P_POP3D, P_KEYD, KEY_SIGN_RE, 0,                               \
      "sign this part of a TLS handshake; nothing else is signed")                                 \
    M(KEY_SIGN_RE, key_sign_re, P_KEYD, P_SMTPD | P_POP3D, NONE, 0, "")                            \
    M(PAM_CHECK, pam_check, P_AUTHD, P_PAMD, PAM_CHECK_RE, 0,                                      \
      "is this the password of that login of the system, and may it be used?")                     \
    M(PAM_CHECK_RE, pam_check_re, P_PAMD, P_AUTHD, NONE, 0, "")                                    \
    M(RELAY_JOB, relay_job, P_QUEUE, P_RELAY, RELAY_JOB_RE, 1,                                     \
      "deliver one message to recipients that share a next hop; large content as descriptor")      \
    M(RELAY_JOB_RE, relay_job_re, P_RELAY, P_QUEUE, NONE, 0, "what became of each recipient")      \
    M(TLS_RESULT, tls_result, P_RELAY, P_QUEUE, NONE, 0,                                           \
      "what came of TLS with a mail exchanger, for a report to its domain (RFC 8460)")             \
    M(RUA, rua, P_QUEUE, P_POLICY, RUA_RE, 0, "where does a domain want its reports about TLS")    \
    M(RUA_RE, rua_re, P_POLICY, P_QUEUE, NONE, 0, "")                                              \
    M(TLS_POST, tls_post, P_QUEUE, P_POLICY, TLS_POST_RE, 0, "give a report to a web server")      \
    M(TLS_POST_RE, tls_post_re, P_POLICY, P_QUEUE, NONE, 0, "")                                    \
    M(DNS_MX, dns_mx, P_RELAY | P_SMTPD, P_RESOLVER, DNS_MX_RE, 0, "mail exchangers of a domain")  \
    M(DNS_MX_RE, dns_mx_re, P_RESOLVER, P_RELAY | P_SMTPD, NONE, 0, "")                            \
    M(DNS_ADDR, dns_addr, P_RELAY | P_SMTPD | P_POLICY, P_RESOLVER, DNS_ADDR_RE, 0,                \
      "addresses of a host")                                                                       \
    M(DNS_ADDR_RE, dns_addr_re, P_RESOLVER, P_RELAY | P_SMTPD | P_POLICY, NONE, 0, "")             \
    M(DNS_TLSA, dns_tlsa, P_RELAY, P_RESOLVER, DNS_TLSA_RE, 0,                                     \
      "what DNSSEC says of the certificate at a port of a host (DANE)")                            \
    M(DNS_TLSA_RE, dns_tlsa_re, P_RESOLVER, P_RELAY, NONE, 0, "")                                  \
    M(DNS_TXT, dns_txt, P_POLICY, P_RESOLVER, DNS_TXT_RE, 0, "texts of a name")                    \
    M(DNS_TXT_RE, dns_txt_re, P_RESOLVER, P_POLICY, NONE, 0, "")                                   \
    M(STS, sts, P_RELAY, P_POLICY, STS_RE, 0, "the MTA-STS policy of a domain (RFC 8461)")         \
    M(STS_RE, sts_re, P_POLICY, P_RELAY, NONE, 0, "")                                              \
    M(STS_KEEP, sts_keep, P_POLICY, P_QUEUE, NONE, 0, "a policy that was fetched, to be kept")     \
    M(STS_NEXT, sts_next, P_POLICY, P_QUEUE, STS_NEXT_RE, 0, "what was kept, one after another")   \
    M(STS_NEXT_RE, sts_next_re, P_QUEUE, P_POLICY, NONE, 0, "")                                    \
    M(BOX_OPENED, box_opened, P_MAILBOX, P_POP3D, NONE, 0,                                         \
      "first on a granted channel: the mailbox is locked for you, or why not")                     \
    M(BOX_LIST, box_list, P_POP3D, P_MAILBOX, BOX_LIST_RE, 0, "its messages, once")                \
    M(BOX_LIST_RE, box_list_re, P_MAILBOX, P_POP3D, NONE, 1,                                       \
      "as a sealed memory file, see common/listing.h; none if there are no messages")              \
    M(BOX_READ, box_read, P_POP3D, P_MAILBOX, BOX_READ_RE, 0, "content of one message")            \
    M(BOX_READ_RE, box_read_re, P_MAILBOX, P_POP3D, NONE, 1,                                       \
      "prefix, then content: in the message, or as a read-only descriptor if larger")              \
    M(BOX_UPDATE, box_update, P_POP3D, P_MAILBOX, BOX_UPDATE_RE, 0,                                \
      "remove these messages, all or none; answered once, after the last part")                    \
    M(BOX_UPDATE_RE, box_update_re, P_MAILBOX, P_POP3D, NONE, 0, "")                               \
    M(BOX_RETRIEVED, box_retrieved, P_POP3D, P_MAILBOX, NONE, 0,                                   \
      "the client was given these messages; once, at its end")                                     \
    M(BOX_DELETE, box_delete, P_MAILBOX, P_QUEUE, BOX_DELETE_RE, 0,                                \
      "remove these messages of a granted mailbox in one transaction, after the last part")        \
    M(BOX_DELETE_RE, box_delete_re, P_QUEUE, P_MAILBOX, NONE, 0, "")                               \
    M(BOX_COLLECTED, box_collected, P_MAILBOX, P_QUEUE, NONE, 0,                                   \
      "these messages of a granted mailbox were given to a client: for `barid trace`")             \
    M(IMPORT_OPEN, import_open, P_CLI, P_QUEUE, IMPORT_OPEN_RE, 0,                                 \
      "take this message into one mailbox, unless it was taken before; content if all of it fits") \
    M(IMPORT_MORE, import_more, P_CLI, P_QUEUE, NONE, 0,                                           \
      "more content for the IMPORT_OPEN with this tag")                                            \
    M(IMPORT_OPEN_RE, import_open_re, P_QUEUE, P_CLI, NONE, 0, "VERDICT_OK: committed to disk")    \
    M(EXPORT_NEXT, export_next, P_CLI, P_MAILBOX, EXPORT_NEXT_RE, 0,                               \
      "the next message of a mailbox")                                                             \
    M(EXPORT_NEXT_RE, export_next_re, P_MAILBOX, P_CLI, NONE, 1,                                   \
      "content in the message, or as a read-only descriptor if larger, not compared with its "     \
      "hash")                                                                                      \
    M(BACKUP_NEXT, backup_next, P_CLI, P_AUTHD | P_QUEUE, BACKUP_NEXT_RE, 0,                       \
      "the next file of a backup; it is over when this channel closes")                            \
    M(BACKUP_NEXT_RE, backup_next_re, P_AUTHD | P_QUEUE, P_CLI, NONE, 1,                           \
      "a read-only descriptor: of a copy of the store that nobody else has, or of content")        \
    M(ADMIN, admin, P_CLI, P_PARENT | P_AUTHD | P_QUEUE | P_MAILBOX | P_RELAY, ADMIN_RE, 0,        \
      "a command of the administrator: see common/admin.h")                                        \
    M(ADMIN_ROW, admin_row, P_PARENT | P_AUTHD | P_QUEUE | P_MAILBOX | P_RELAY, P_CLI, NONE, 0,    \
      "one row of what it prints")                                                                 \
    M(ADMIN_RE, admin_re, P_PARENT | P_AUTHD | P_QUEUE | P_MAILBOX | P_RELAY, P_CLI, NONE, 0,      \
      "how it ended, after its rows")

/* clang-format off */
/* PROTO_FIELDS_<name>(F, X): F(X, TYPE, field, max), X being what the expansion needs.
 * An answer and the parts of a request repeat its tag. */
#define PROTO_FIELDS_hello(F, X) F(X, U64, table_hash, 0) F(X, U8, role, 0)
#define PROTO_FIELDS_child_config(F, X) F(X, BYTES, text, CHUNK_MAX) F(X, U8, is_last, 0)
#define PROTO_FIELDS_child_listen(F, X)                                                            \
    F(X, U8, kind, 0) F(X, TEXT, address, SOCKET_MAX) F(X, U16, section, 0)
#define PROTO_FIELDS_child_peer(F, X) F(X, U8, role, 0) F(X, U16, instance, 0)
#define PROTO_FIELDS_child_memory(F, X)
/* kind: enum file_kind; section: index in the sorted list of [tls] sections. why: without a
 * descriptor. */
#define PROTO_FIELDS_child_file(F, X)                                                              \
    F(X, U8, kind, 0) F(X, U16, section, 0) F(X, TEXT, why, 256)
/* generation: counts the configurations that were put in force. */
#define PROTO_FIELDS_child_start(F, X) F(X, U32, generation, 0)
#define PROTO_FIELDS_child_stop(F, X) F(X, U32, grace_ms, 0)
/* stats: see common/stats.h. */
#define STATS_MAX 20000
#define PROTO_FIELDS_child_stats(F, X) F(X, U64, tag, 0)
#define PROTO_FIELDS_child_stats_re(F, X) F(X, U64, tag, 0) F(X, BYTES, stats, STATS_MAX)
#define PROTO_FIELDS_child_ready(F, X)
#define PROTO_FIELDS_child_failed(F, X) F(X, TEXT, why, 512)
#define PROTO_FIELDS_child_lost(F, X) F(X, U8, role, 0) F(X, U16, instance, 0)
/* sender: of the mail for it; empty: null, or not of interest. */
#define PROTO_FIELDS_resolve(F, X)                                                                 \
    F(X, U64, tag, 0) F(X, TEXT, address, ADDRESS_MAX) F(X, TEXT, sender, ADDRESS_MAX)
/* has_quota: mail for it counts against a quota, so QUEUE_ROOM is worth asking. is_return: a sender
 * that we gave to forwarded mail; it takes mail with a null sender only. post: enum post_rule, of
 * which is_member says whether the sender is one. */
#define PROTO_FIELDS_resolve_re(F, X)                                                              \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, kind, 0) F(X, U8, has_quota, 0)                \
    F(X, U8, is_return, 0) F(X, U8, post, 0) F(X, U8, is_member, 0)                                \
    F(X, BYTES, sealed, SEALED_MAX)
#define PROTO_FIELDS_expand(F, X) F(X, U64, tag, 0) F(X, TEXT, address, ADDRESS_MAX)
/* verdict NEVER: there is no such alias. targets: records {bytes address}; OK without any: they cannot
 * be told here, as the domain is another's or as they are too many. */
#define PROTO_FIELDS_expand_re(F, X)                                                               \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, BYTES, targets, LIST_MAX)
#define PROTO_FIELDS_forward(F, X)                                                                 \
    F(X, U64, tag, 0) F(X, TEXT, sender, ADDRESS_MAX) F(X, TEXT, rcpt, ADDRESS_MAX)
/* sender: the same, if it is one of ours or would become too long. */
#define PROTO_FIELDS_forward_re(F, X)                                                              \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, TEXT, sender, ADDRESS_MAX)
#define PROTO_FIELDS_login(F, X)                                                                   \
    F(X, U64, tag, 0) F(X, U8, service, 0) F(X, U64, session, 0) F(X, TEXT, client, IP_MAX)        \
    F(X, TEXT, user, LOGIN_MAX) F(X, BYTES, password, 1024)
/* proof: ours, for SCRAM. ticket: of SERVICE_SUBMISSION; holds on the channel that asked, for that
 * session, until LOGOUT. */
#define PROTO_FIELDS_login_re(F, X)                                                                \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0) F(X, TEXT, address, ADDRESS_MAX)    \
    F(X, BYTES, ticket, TICKET_OCTETS) F(X, TEXT, proof, 64)
/* exporter, end_point: what the channel of the client can be bound to (RFC 9266, RFC 5929 4); empty:
 * it cannot. is_plus: the mechanism is SCRAM-SHA-256-PLUS. */
#define PROTO_FIELDS_scram_first(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, service, 0) F(X, U64, session, 0) F(X, TEXT, client, IP_MAX)        \
    F(X, U8, is_plus, 0) F(X, BYTES, exporter, 64) F(X, BYTES, end_point, 64)                      \
    F(X, BYTES, text, 2048)
#define PROTO_FIELDS_scram_first_re(F, X)                                                          \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0) F(X, TEXT, text, 2048)
#define PROTO_FIELDS_scram_final(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U64, session, 0) F(X, BYTES, text, 2048)
#define PROTO_FIELDS_logout(F, X) F(X, U64, session, 0)
/* instance: which smtpd it came from, as queue knows it; smtpd itself is known. reason: enum
 * ticket_reason. */
#define PROTO_FIELDS_ticket(F, X)                                                                  \
    F(X, U64, tag, 0) F(X, BYTES, ticket, TICKET_OCTETS) F(X, U16, instance, 0)                    \
    F(X, U64, session, 0) F(X, TEXT, sender, ADDRESS_MAX)
#define PROTO_FIELDS_ticket_re(F, X)                                                               \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0) F(X, TEXT, login, ADDRESS_MAX)
#define PROTO_FIELDS_seal_key(F, X) F(X, BYTES, key, 32)
/* device: the credential of a device that sees the mailbox in its own way; 0: the user himself.
 * domain: authd's number for the user's. */
#define PROTO_FIELDS_box_grant(F, X)                                                               \
    F(X, U64, box, 0) F(X, U64, session, 0) F(X, U64, device, 0) F(X, U64, domain, 0)              \
    F(X, TEXT, address, ADDRESS_MAX) F(X, TEXT, client, IP_MAX)
/* address: the user's; what is known of him as a sender goes too. */
#define PROTO_FIELDS_box_forget(F, X)                                                              \
    F(X, U64, tag, 0) F(X, U64, box, 0) F(X, TEXT, address, ADDRESS_MAX)
#define PROTO_FIELDS_box_forget_re(F, X) F(X, U64, tag, 0) F(X, U8, verdict, 0)
/* devices: records {u64 credential, bytes name}, at most DEVICES_MAX. */
#define DEVICES_MAX     64
#define DEVICE_NAME_MAX 64
#define PROTO_FIELDS_box_devices(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U64, box, 0) F(X, BYTES, devices, LIST_MAX)
#define PROTO_FIELDS_box_devices_re(F, X) F(X, U64, tag, 0) F(X, U8, verdict, 0)
#define PROTO_FIELDS_box_domain(F, X) F(X, U64, tag, 0) F(X, U64, box, 0)
/* domain: a number that is never given twice. verdict NEVER: it has no user. */
#define PROTO_FIELDS_box_domain_re(F, X)                                                           \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U64, domain, 0)
/* rcpts: records of seal.h's rcpt_pack. size: what MAIL declared, 0 if nothing. ticket: empty
 * unless the session logged in. ret, envid: what MAIL said (notify.h).
 * is_utf8: SMTPUTF8. requires_tls: REQUIRETLS. hold_until: seconds since 1970, 0: it is
 * not held; hold_request: what was asked for, as in hold.h, or empty (RFC 4865). is_each: who cannot have it is refused alone (LMTP, PRDR), of at most
 * EACH_RCPTS_MAX, so that all replies fit into one flight; else nobody gets it then. */
#define EACH_RCPTS_MAX 2000
#define PROTO_FIELDS_queue_open(F, X)                                                              \
    F(X, U64, tag, 0) F(X, U64, id, 0) F(X, U64, session, 0) F(X, TEXT, sender, ADDRESS_MAX)       \
    F(X, TEXT, client, IP_MAX) F(X, TEXT, helo, HELO_MAX)                                          \
    F(X, BYTES, ticket, TICKET_OCTETS) F(X, U8, body_8bit, 0) F(X, U64, size, 0)                   \
    F(X, U8, ret, 0) F(X, TEXT, envid, ENVELOPE_ID) F(X, U8, is_utf8, 0)                           \
    F(X, U8, requires_tls, 0) F(X, U64, hold_until, 0)                         \
    F(X, TEXT, hold_request, HOLD_REQUEST_MAX) F(X, U8, is_each, 0)                                \
    F(X, BYTES, rcpts, LIST_MAX) F(X, BYTES, content, CHUNK_MAX) F(X, U8, is_last, 0)
#define PROTO_FIELDS_queue_more(F, X)                                                              \
    F(X, U64, tag, 0) F(X, BYTES, rcpts, LIST_MAX) F(X, BYTES, content, CHUNK_MAX)                 \
    F(X, U8, is_last, 0)
#define PROTO_FIELDS_queue_abort(F, X) F(X, U64, tag, 0)
/* each: records {u8 verdict, u8 reason}, one for each recipient in the order of QUEUE_OPEN; empty: all
 * are like the whole. With them, VERDICT_OK means that somebody got it. */
#define PROTO_FIELDS_queue_open_re(F, X)                                                           \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0) F(X, BYTES, each, 2 * EACH_RCPTS_MAX)
/* sealed: as authd made it; empty: a recipient elsewhere. size: what MAIL declared; 0: nothing, then
 * a mailbox that is not full yet has room. reason: enum intake_reason. */
#define PROTO_FIELDS_queue_room(F, X)                                                              \
    F(X, U64, tag, 0) F(X, TEXT, address, ADDRESS_MAX) F(X, BYTES, sealed, SEALED_MAX)             \
    F(X, U64, size, 0)
#define PROTO_FIELDS_queue_room_re(F, X) F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0)
/* generation: of the configuration that the keys are of. keys: octets, KEY_ID of them each. */
#define PROTO_FIELDS_key_held(F, X) F(X, U32, generation, 0) F(X, BYTES, keys, LIST_MAX)
/* login: as pam.h allows it. reason: enum pam_reason; OK, WRONG and EXPIRED were decided. */
#define PROTO_FIELDS_pam_check(F, X)                                                               \
    F(X, U64, tag, 0) F(X, U64, session, 0) F(X, TEXT, client, IP_MAX)                             \
    F(X, TEXT, login, PAM_LOGIN_MAX) F(X, BYTES, password, 1024)
#define PROTO_FIELDS_pam_check_re(F, X) F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0)
/* key: KEY_ID octets. scheme: enum key_scheme. input: what is to be signed, whole, not its hash. */
#define PROTO_FIELDS_key_sign(F, X)                                                                \
    F(X, U64, tag, 0) F(X, BYTES, key, KEY_ID) F(X, U16, scheme, 0) F(X, BYTES, input, 512)
#define PROTO_FIELDS_key_sign_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, BYTES, signature, 1024)
/* rcpts: records {u32 number, bytes address, u8 notify, bytes orcpt}, ret, envid: as in notify.h.
 * requires_tls: only over TLS, to a server that is verified and offers REQUIRETLS (RFC 8689).
 * expects_tls: it was seen there before, and is not to be done without.
 * flags: enum content_flag. domain: of the recipients.
 * is_callout: there is no content; does the server know these recipients (RFC 5321 3.5.3)? NEVER only
 * if it refused one of them for good.
 * content: all of it, or empty and the descriptor holds it; hash: what it must have. At most
 * RELAY_RCPTS_MAX recipients, so that their records fit with all that RFC 3461 lets them have. */
#define RELAY_RCPTS_MAX  30
#define RCPT_ADDRESS_MAX 256 /* of a recipient elsewhere: a path (RFC 5321 4.5.3.1.3) */
#define DIALOGUE_MAX 8192 /* octets of what was said in one attempt: relay/dialogue.h */
#define PROTECTION_MAX 200 /* octets of how a connection was protected, in words */
/* The relay answers a job within this time, whatever the other servers do: half an hour, and longer
 * for what takes longer at 1000 octets/s. The queue waits a minute more, so that a job is never with
 * the relay twice. */
static inline int64_t relay_job_ms(uint64_t size)
{
    return 30 * 60 * 1000 + (int64_t)(size < UINT32_MAX ? size : UINT32_MAX);
}
#define PROTO_FIELDS_relay_job(F, X)                                                               \
    F(X, U64, tag, 0) F(X, U64, id, 0) F(X, TEXT, sender, ADDRESS_MAX)                             \
    F(X, TEXT, domain, DOMAIN_MAX) F(X, U8, flags, 0) F(X, U64, size, 0)                           \
    F(X, BYTES, hash, CONTENT_HASH) F(X, U8, requires_tls, 0) F(X, U8, expects_tls, 0)             \
    F(X, U8, is_callout, 0) F(X, U8, ret, 0) F(X, TEXT, envid, ENVELOPE_ID)                                                \
    F(X, BYTES, rcpts, LIST_MAX) F(X, BYTES, content, CHUNK_MAX)
/* results: records {u32 number, u8 verdict, bytes reply (text, REPLY_MAX)}; a recipient without one
 * counts as TRY_LATER. remote: "mx.example.org[192.0.2.1]:25" or empty. told: who took the mail was
 * told what its sender asks to be told, and tells him (RFC 3461 5.2). reach: enum reach. tls: how the
 * connection was protected, or why not: "1.3 TLS_AES_256_GCM_SHA384 policy=dane verified=yes".
 * secured: enum secured. began_ms: since 1970, of the dialogue. */
#define PROTO_FIELDS_relay_job_re(F, X)                                                            \
    F(X, U64, tag, 0) F(X, U8, reach, 0) F(X, TEXT, remote, 400) F(X, U8, told, 0)                 \
    F(X, TEXT, tls, PROTECTION_MAX) F(X, U8, secured, 0) F(X, BYTES, results, LIST_MAX)            \
    F(X, U64, began_ms, 0) F(X, BYTES, dialogue, DIALOGUE_MAX)
/* policy, result: enum tlsrpt_policy, enum tlsrpt_result. base, tlsa: of a policy of DANE: the name
 * that its records are of, and the records as in DNS_TLSA_RE, as many as fit. Of a failure: host and
 * address of the server, what it calls itself (helo), from which address of ours (source), because. */
#define TLSRPT_TLSA_MAX    2048
#define TLSRPT_BECAUSE_MAX 100
#define PROTO_FIELDS_tls_result(F, X)                                                              \
    F(X, TEXT, domain, DOMAIN_MAX) F(X, U8, policy, 0) F(X, U8, result, 0)                         \
    F(X, TEXT, base, DOMAIN_MAX) F(X, BYTES, tlsa, TLSRPT_TLSA_MAX)                                \
    F(X, TEXT, host, DOMAIN_MAX) F(X, TEXT, address, IP_MAX) F(X, TEXT, helo, DOMAIN_MAX)          \
    F(X, TEXT, source, IP_MAX) F(X, TEXT, because, TLSRPT_BECAUSE_MAX)
#define PROTO_FIELDS_rua(F, X) F(X, U64, tag, 0) F(X, TEXT, domain, DOMAIN_MAX)
/* to: records {bytes}: addresses, and URLs of https; none: it wants no reports. */
#define RUA_MAX     4
#define RUA_URL_MAX ADDRESS_MAX
#define RUA_OCTETS  (RUA_MAX * (4 + ADDRESS_MAX))
#define PROTO_FIELDS_rua_re(F, X)                                                                  \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, BYTES, to, RUA_OCTETS)
#define PROTO_FIELDS_tls_post(F, X)                                                                \
    F(X, U64, tag, 0) F(X, TEXT, url, RUA_URL_MAX) F(X, BYTES, report, CHUNK_MAX)
#define PROTO_FIELDS_tls_post_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, TEXT, because, 200)
#define PROTO_FIELDS_dns_mx(F, X) F(X, U64, tag, 0) F(X, TEXT, domain, DOMAIN_MAX)
/* verdict NEVER: the domain does not exist. OK with an empty list: it exists without MX records.
 * hosts: records {u16 preference, bytes host}; null MX (RFC 7505) is one record with an empty host.
 * is_bogus: TRY_LATER because DNSSEC says that an answer is false. */
#define PROTO_FIELDS_dns_mx_re(F, X)                                                               \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, is_secure, 0) F(X, U8, is_bogus, 0)            \
    F(X, BYTES, hosts, LIST_MAX)
#define PROTO_FIELDS_dns_addr(F, X) F(X, U64, tag, 0) F(X, TEXT, host, DOMAIN_MAX)
/* verdict NEVER: no such name; OK with an empty list: no addresses. addresses: records {bytes of 4
 * or 16 octets}, IPv6 and IPv4 as the answers came. is_secure: DNSSEC protects all that was
 * answered. is_bogus: as in DNS_MX_RE. canonical: what the host is an alias of in the end (CNAME), or
 * empty. */
#define PROTO_FIELDS_dns_addr_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, is_secure, 0) F(X, U8, is_bogus, 0)            \
    F(X, TEXT, canonical, DOMAIN_MAX) F(X, BYTES, addresses, LIST_MAX)
/* is_alias: the host is one (CNAME), and its addresses are not protected: only if the alias itself is
 * is there anything to ask for. */
#define PROTO_FIELDS_dns_tlsa(F, X)                                                                \
    F(X, U64, tag, 0) F(X, TEXT, host, DOMAIN_MAX) F(X, U16, port, 0) F(X, U8, is_alias, 0)
/* verdict NEVER: no such name. is_secure: DNSSEC protects the answer; else it means nothing. is_bogus:
 * as in DNS_MX_RE. records: {u8 usage, u8 selector, u8 matching type, bytes data} as in RFC 6698 2.1, at most TLSA_RECORDS. */
#define TLSA_RECORDS  32
#define TLSA_DATA_MAX 8192
#define PROTO_FIELDS_dns_tlsa_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, is_secure, 0) F(X, U8, is_bogus, 0)            \
    F(X, BYTES, records, LIST_MAX)
#define PROTO_FIELDS_dns_txt(F, X) F(X, U64, tag, 0) F(X, TEXT, name, DOMAIN_MAX)
/* verdict NEVER: no such name. texts: records {bytes}, each the strings of one TXT record. */
#define PROTO_FIELDS_dns_txt_re(F, X)                                                              \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, BYTES, texts, LIST_MAX)
#define PROTO_FIELDS_sts(F, X) F(X, U64, tag, 0) F(X, TEXT, domain, DOMAIN_MAX)
/* mode: enum sts_mode (common/sts.h); NONE: it has no policy, or none that counts. fault: enum
 * tlsrpt_result, why the one that it announces does not count; else 0. mx: records {bytes pattern}. */
#define STS_MX_MAX    64
#define STS_MX_OCTETS (STS_MX_MAX * (4 + DOMAIN_MAX + 2))
#define STS_ID_MAX    32
#define PROTO_FIELDS_sts_re(F, X)                                                                  \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, mode, 0) F(X, U8, fault, 0)                    \
    F(X, BYTES, mx, STS_MX_OCTETS)
/* id: of its TXT record. fetched: seconds since 1970. max_age: seconds from then. */
#define PROTO_FIELDS_sts_keep(F, X)                                                                \
    F(X, TEXT, domain, DOMAIN_MAX) F(X, TEXT, id, STS_ID_MAX) F(X, U8, mode, 0)                    \
    F(X, U64, fetched, 0) F(X, U32, max_age, 0) F(X, BYTES, mx, STS_MX_OCTETS)
/* after: the domain of the last answer, from "". verdict NEVER: there are no more. */
#define PROTO_FIELDS_sts_next(F, X) F(X, U64, tag, 0) F(X, TEXT, after, DOMAIN_MAX)
#define PROTO_FIELDS_sts_next_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, TEXT, domain, DOMAIN_MAX)                          \
    F(X, TEXT, id, STS_ID_MAX) F(X, U8, mode, 0) F(X, U64, fetched, 0) F(X, U32, max_age, 0)       \
    F(X, BYTES, mx, STS_MX_OCTETS)
/* reason: enum box_reason. expire_days: how long mail stays in it, 0: for ever. */
#define PROTO_FIELDS_box_opened(F, X)                                                              \
    F(X, U8, verdict, 0) F(X, U8, reason, 0) F(X, U64, expire_days, 0)
#define PROTO_FIELDS_box_list(F, X) F(X, U64, tag, 0)
/* n: messages. text: octets of UIDLs behind their entries. */
#define PROTO_FIELDS_box_list_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U64, n, 0) F(X, U64, text, 0)
#define PROTO_FIELDS_box_read(F, X) F(X, U64, tag, 0) F(X, U64, sequence, 0)
/* header: octets of the content's header section with its empty line. flags: enum content_flag. */
#define PROTO_FIELDS_box_read_re(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U64, octets, 0) F(X, U64, header, 0)               \
    F(X, U8, flags, 0) F(X, BYTES, prefix, 1024) F(X, BYTES, content, CHUNK_MAX)
#define PROTO_FIELDS_box_update(F, X)                                                              \
    F(X, U64, tag, 0) F(X, BYTES, sequences, LIST_MAX) F(X, U8, is_last, 0)
#define PROTO_FIELDS_box_update_re(F, X) F(X, U64, tag, 0) F(X, U8, verdict, 0)
/* more: how many others, that are not named. */
#define RETRIEVED_MAX 256
#define PROTO_FIELDS_box_retrieved(F, X)                                                           \
    F(X, BYTES, sequences, 8 * RETRIEVED_MAX) F(X, U64, more, 0)
/* device: it drops these messages, others may still want them; 0: for all. address, client: as they
 * were granted. */
#define PROTO_FIELDS_box_delete(F, X)                                                              \
    F(X, U64, tag, 0) F(X, U64, box, 0) F(X, U64, session, 0) F(X, U64, device, 0)                 \
    F(X, TEXT, address, ADDRESS_MAX) F(X, TEXT, client, IP_MAX)                                    \
    F(X, BYTES, sequences, LIST_MAX) F(X, U8, is_last, 0)
#define PROTO_FIELDS_box_delete_re(F, X) F(X, U64, tag, 0) F(X, U8, verdict, 0)
#define PROTO_FIELDS_box_collected(F, X)                                                           \
    F(X, U64, box, 0) F(X, U64, session, 0) F(X, U64, device, 0)                                   \
    F(X, TEXT, address, ADDRESS_MAX) F(X, TEXT, client, IP_MAX)                                    \
    F(X, BYTES, sequences, 8 * RETRIEVED_MAX) F(X, U64, more, 0)
/* arrived: seconds since 1970. flags: CONTENT_BARE or 0. uidl: empty: a new one. quota: octets, 0:
 * none. source: what was taken under this key before is not taken again. */
#define PROTO_FIELDS_import_open(F, X)                                                             \
    F(X, U64, tag, 0) F(X, U64, box, 0) F(X, U64, quota, 0) F(X, U64, arrived, 0)                  \
    F(X, TEXT, sender, ADDRESS_MAX) F(X, TEXT, uidl, UIDL_MAX) F(X, BYTES, source, SOURCE_KEY)     \
    F(X, U8, flags, 0) F(X, BYTES, content, CHUNK_MAX) F(X, U8, is_last, 0)
#define PROTO_FIELDS_import_more(F, X)                                                             \
    F(X, U64, tag, 0) F(X, BYTES, content, CHUNK_MAX) F(X, U8, is_last, 0)
/* reason: enum intake_reason. is_known: it was taken before. has_new_uidl: another message of this
 * mailbox has, had or may get the wanted one. */
#define PROTO_FIELDS_import_open_re(F, X)                                                          \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U8, reason, 0) F(X, U8, is_known, 0)               \
    F(X, U8, has_new_uidl, 0)
#define PROTO_FIELDS_export_next(F, X) F(X, U64, tag, 0) F(X, U64, box, 0) F(X, U64, after, 0)
/* verdict NEVER: there is none; TRY_LATER with a sequence: that one is damaged. arrived: seconds
 * since 1970. octets: of the content. uidl: as POP3 gives it. */
#define PROTO_FIELDS_export_next_re(F, X)                                                          \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U64, sequence, 0) F(X, U64, id, 0)                 \
    F(X, U64, arrived, 0) F(X, U64, octets, 0) F(X, BYTES, hash, CONTENT_HASH)                     \
    F(X, TEXT, sender, ADDRESS_MAX) F(X, TEXT, uidl, UIDL_MAX) F(X, BYTES, prefix, 1024)           \
    F(X, BYTES, content, CHUNK_MAX)
/* phase: enum backup_phase. after: what the last answer of this phase said, from 0. */
#define PROTO_FIELDS_backup_next(F, X) F(X, U64, tag, 0) F(X, U8, phase, 0) F(X, U64, after, 0)
/* verdict NEVER: there are no more in this phase; TRY_LATER: error says why, and `next`, if it is not
 * 0, where to go on. id: of the message whose content it is. */
#define PROTO_FIELDS_backup_next_re(F, X)                                                          \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, U64, next, 0) F(X, U64, id, 0)                     \
    F(X, TEXT, error, 400)
#define PROTO_FIELDS_admin(F, X)                                                                   \
    F(X, U64, tag, 0) F(X, TEXT, command, 64) F(X, BYTES, args, LIST_MAX)                          \
    F(X, BYTES, secret, 1024) F(X, U64, cursor, 0)
#define PROTO_FIELDS_admin_row(F, X)                                                               \
    F(X, U64, tag, 0) F(X, U8, depth, 0) F(X, TEXT, group, 64) F(X, BYTES, fields, LIST_MAX)
#define PROTO_FIELDS_admin_re(F, X)                                                                \
    F(X, U64, tag, 0) F(X, U8, verdict, 0) F(X, TEXT, error, 400) F(X, U64, cursor, 0)
/* clang-format on */

/* The fields of every message in their field types. */
typedef uint8_t proto_U8;
typedef uint16_t proto_U16;
typedef uint32_t proto_U32;
typedef uint64_t proto_U64;
typedef struct span proto_TEXT;
typedef struct span proto_BYTES;

enum msg_type {
    MSG_NONE = 0,
#define PROTO_ENUM(NAME, name, from, to, answer, fd, meaning) MSG_##NAME,
    PROTO_MESSAGES(PROTO_ENUM)
#undef PROTO_ENUM
        MSG_TYPES
};

#define PROTO_FIELD(X, type, field, max) proto_##type field;
#define PROTO_STRUCT(NAME, name, from, to, answer, fd, meaning)                                    \
    struct msg_##name {                                                                            \
        PROTO_FIELDS_##name(PROTO_FIELD, 0)                                                        \
    };
PROTO_MESSAGES(PROTO_STRUCT)
#undef PROTO_STRUCT
#undef PROTO_FIELD

/* One unpacked message of any type. */
union msg {
    uint64_t tag; /* of those that have one */
#define PROTO_MEMBER(NAME, name, from, to, answer, fd, meaning) struct msg_##name name;
    PROTO_MESSAGES(PROTO_MEMBER)
#undef PROTO_MEMBER
};

enum field_type { FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_TEXT, FIELD_BYTES };

struct field_desc {
    const char *name;
    enum field_type type;
    size_t offset; /* in its struct */
    size_t max;
};

struct msg_desc {
    const char *name;
    const char *meaning;
    unsigned from, to; /* P_* bits */
    enum msg_type answer;
    bool has_fd;
    const struct field_desc *fields;
    size_t n_fields;
};

/* NULL if there is no such type. */
const struct msg_desc *proto_desc(unsigned type);
uint64_t proto_hash(void);
/* Octets written to out (cap at least IPC_MAX), or 0 if a field is over its bound. */
size_t proto_pack(char *out, size_t cap, enum msg_type type, const void *fields);
/* 0 and *type and *m, or -1: unknown type, a bound passed, octets missing or left over. */
int proto_unpack(struct span in, enum msg_type *type, union msg *m);

#endif
