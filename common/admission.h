/* What a server of ours says to a client, its sender and its recipients: pure functions of what is
 * known. smtpd asks them for every command; `barid explain` asks the same ones about a command that
 * nobody sent, so the two cannot differ.
 *
 * Answers of authd and queue come as messages; NULL is one that did not come. Only what they really
 * decided is a "no" (ADMISSION_TRY_LATER otherwise). */
#ifndef BARID_ADMISSION_H
#define BARID_ADMISSION_H

#include "common/config.h"
#include "common/proto.h"

/* D(NAME, code, enhanced, flags, text): rows of the table in smtpd/reply.h, which has all the
 * others and says what flags are. */
#define ADMISSION_REPLIES(D)                                                                       \
    D(SENDER_DONE, "250", "2.1.0", 0, "Ok")                                                        \
    D(RCPT_OK, "250", "2.1.5", 0, "Ok")                                                            \
    D(LOGIN_LOST, "421", "4.7.0", REPLY_CLOSES, "Your login has ended, log in again")              \
    D(UNVERIFIED, "450", "4.1.1", 0,                                                               \
      "It cannot be found out now whether this mailbox exists, try again later")                   \
    D(TRY_LATER, "451", "4.3.0", 0, "Temporary failure, try again later")                          \
    D(MAILBOX_FULL, "452", "4.2.2", 0, "Mailbox is full, try again later")                         \
    D(LOGIN_LATER, "454", "4.7.0", 0, "Cannot check the login now, try again later")               \
    D(LOGIN_THROTTLED, "454", "4.7.0", REPLY_FAULT,                                                \
      "Too many failed logins from your address, try again later")                                 \
    D(BAD_HELO, "501", "5.5.4", REPLY_FAULT, "A host name is required")                            \
    D(BAD_SENDER, "501", "5.1.7", REPLY_FAULT, "Syntax: MAIL FROM:<address>")                      \
    D(BAD_RCPT, "501", "5.1.3", REPLY_FAULT, "Syntax: RCPT TO:<address>")                          \
    D(LOGIN_FIRST, "530", "5.7.0", REPLY_FAULT, "Authentication required")                         \
    D(LOGIN_WRONG, "535", "5.7.8", REPLY_FAULT, "Wrong user name or password")                     \
    D(LOGIN_DISABLED, "535", "5.7.13", REPLY_FAULT, "This account is disabled")                    \
    D(LOGIN_EXPIRED, "535", "5.7.8", REPLY_FAULT, "The account, or its password, has expired")     \
    D(LOGIN_RECEIVE_ONLY, "535", "5.7.8", REPLY_FAULT, "This account may not send mail")           \
    D(NO_SUCH_USER, "550", "5.1.1", REPLY_FAULT, "No such mailbox here")                           \
    D(NO_RELAYING, "550", "5.7.1", REPLY_FAULT,                                                    \
      "Relaying denied: not a local domain, and your address may not relay")                       \
    D(ONLY_REPORTS, "550", "5.7.1", REPLY_FAULT,                                                   \
      "This address takes reports about mail only, with a null sender")                            \
    D(ONLY_MEMBERS, "550", "5.7.1", REPLY_FAULT, "Only its members may send to this list")         \
    D(ONLY_USERS, "550", "5.7.1", REPLY_FAULT, "Only users of this host may send to this list")    \
    D(TOO_BIG, "552", "5.3.4", REPLY_FAULT, "Message too big")                                     \
    D(NOT_YOURS, "553", "5.7.1", REPLY_FAULT, "Not an address of the user who logged in")          \
    D(LMTP_STRANGER, "554", "5.7.1", REPLY_FAULT | REPLY_CLOSES,                                   \
      "LMTP is for servers of ours, and yours is none")

enum admission {
#define ADMISSION_ENUM(NAME, code, enhanced, flags, text) ADMISSION_##NAME,
    ADMISSION_REPLIES(ADMISSION_ENUM)
#undef ADMISSION_ENUM
        ADMISSION_WELCOME, /* no reply: go on */
    ADMISSION_ASK_ROOM,    /* no reply yet: ask queue, then admission_room */
};

/* "550 5.1.1 No such mailbox here"; "" for what is no reply. */
const char *admission_text(enum admission p);
static inline bool admission_is_refusal(enum admission p)
{
    return p < ADMISSION_WELCOME && admission_text(p)[0] >= '4';
}

/* Exempt from the limits that are about strangers: root, loopback, [relay] allow_from. */
bool admission_trusts(const struct config *c, const struct netaddr *peer);
/* May it send to other servers without AUTH? */
bool admission_may_relay(const struct config *c, enum listen_kind kind, const struct netaddr *peer);
/* Does mail over this listener need a login? */
bool admission_needs_login(enum listen_kind kind);

/* At the door; WELCOME: nothing about who it is forbids it. */
enum admission admission_connect(const struct config *c, enum listen_kind kind,
                                 const struct netaddr *peer);
/* A name that HELO and EHLO take: anything that can be shown in a line. */
bool admission_is_helo(struct span name);
enum admission admission_login_refused(const struct msg_login_re *answer);
/* SIZE=, against message_size_max; WELCOME: it may come. */
enum admission admission_size(uint64_t declared, uint64_t max);
/* MAIL of who logged in. */
enum admission admission_sender(const struct msg_ticket_re *answer);
struct admission_facts {
    bool may_relay, has_login;
    bool has_sender; /* MAIL named one, not <> */
    bool is_backup;  /* mail for the recipient's domain is taken for another host (route_backup) */
    bool is_user;    /* logged in, or may relay as himself: not what LMTP brings */
};
enum admission admission_rcpt(const struct admission_facts *f, const struct msg_resolve_re *answer);
enum admission admission_room(const struct msg_queue_room_re *answer);

#endif
