#include "common/admission.h"

#include "common/verdict.h"

#define HELO_NAME_MAX 255

const char *admission_text(enum admission p)
{
    static const char *const texts[] = {
#define ADMISSION_TEXT(NAME, code, enhanced, flags, text)                                          \
    [ADMISSION_##NAME] = code " " enhanced " " text,
        ADMISSION_REPLIES(ADMISSION_TEXT)
#undef ADMISSION_TEXT
    };
    return (size_t)p < sizeof texts / sizeof texts[0] ? texts[p] : "";
}

bool admission_trusts(const struct config *c, const struct netaddr *peer)
{
    bool is_root = peer->n == NETADDR_LOCAL && netaddr_uid(peer) == 0;
    return is_root || netaddr_is_loopback(peer) || config_may_relay(c, peer);
}

/* LMTP is for mailboxes here only. */
bool admission_may_relay(const struct config *c, enum listen_kind kind, const struct netaddr *peer)
{
    return kind != LISTEN_LMTP && (kind == LISTEN_SUBMIT || config_may_relay(c, peer));
}

bool admission_needs_login(enum listen_kind kind)
{
    return kind == LISTEN_SUBMISSION || kind == LISTEN_SUBMISSIONS;
}

/* LMTP asks nobody for a password, so it is for those who may relay here. */
enum admission admission_connect(const struct config *c, enum listen_kind kind,
                                 const struct netaddr *peer)
{
    return kind == LISTEN_LMTP && !admission_trusts(c, peer) ? ADMISSION_LMTP_STRANGER
                                                             : ADMISSION_WELCOME;
}

/* Names that real hosts give are often no domains. */
bool admission_is_helo(struct span name)
{
    if (name.n == 0 || name.n > HELO_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 127)
            return false;
    return true;
}

enum admission admission_login_refused(const struct msg_login_re *answer)
{
    if (answer != NULL && answer->reason == LOGIN_THROTTLED)
        return ADMISSION_LOGIN_THROTTLED;
    if (answer == NULL || answer->verdict != VERDICT_NEVER)
        return ADMISSION_LOGIN_LATER;
    if (answer->reason == LOGIN_DISABLED)
        return ADMISSION_LOGIN_DISABLED;
    if (answer->reason == LOGIN_EXPIRED)
        return ADMISSION_LOGIN_EXPIRED;
    return answer->reason == LOGIN_RECEIVE_ONLY ? ADMISSION_LOGIN_RECEIVE_ONLY
                                                : ADMISSION_LOGIN_WRONG;
}

enum admission admission_size(uint64_t declared, uint64_t max)
{
    return declared > max ? ADMISSION_TOO_BIG : ADMISSION_WELCOME;
}

enum admission admission_sender(const struct msg_ticket_re *answer)
{
    if (answer == NULL)
        return ADMISSION_TRY_LATER;
    if (answer->verdict == VERDICT_OK)
        return ADMISSION_SENDER_DONE;
    return answer->verdict == VERDICT_NEVER ? ADMISSION_NOT_YOURS : ADMISSION_LOGIN_LOST;
}

enum admission admission_rcpt(const struct admission_facts *f, const struct msg_resolve_re *answer)
{
    if (answer == NULL || answer->verdict != VERDICT_OK)
        return ADMISSION_TRY_LATER;
    switch (answer->kind) {
    case ADDRESS_LOCAL:
        if (answer->is_return != 0 && f->has_sender)
            return ADMISSION_ONLY_REPORTS;
        if (answer->post == POST_MEMBERS && answer->is_member == 0)
            return ADMISSION_ONLY_MEMBERS;
        if (answer->post >= POST_USERS && !f->is_user)
            return ADMISSION_ONLY_USERS;
        return answer->has_quota ? ADMISSION_ASK_ROOM : ADMISSION_RCPT_OK;
    case ADDRESS_UNKNOWN:
        return ADMISSION_NO_SUCH_USER;
    case ADDRESS_FOREIGN:
        if (f->may_relay || f->has_login)
            return ADMISSION_RCPT_OK;
        return f->is_backup ? ADMISSION_ASK_ROOM : ADMISSION_NO_RELAYING;
    default:
        return ADMISSION_TRY_LATER;
    }
}

enum admission admission_room(const struct msg_queue_room_re *answer)
{
    if (answer != NULL && answer->verdict == VERDICT_OK)
        return ADMISSION_RCPT_OK;
    switch (answer != NULL ? answer->reason : INTAKE_FAULT) {
    case INTAKE_QUOTA:
        return ADMISSION_MAILBOX_FULL;
    case INTAKE_NOBODY:
        return ADMISSION_NO_SUCH_USER;
    case INTAKE_UNVERIFIED:
        return ADMISSION_UNVERIFIED;
    default:
        return ADMISSION_TRY_LATER;
    }
}
