/* What the writer of mail.db (queue) and its reader (mailbox) must agree on. The schema and what
 * its columns mean is in maildb.c; only queue runs it. Both run with state_dir/queue as working
 * directory, so names are relative to it. */
#ifndef BARID_MAILDB_H
#define BARID_MAILDB_H

#include "common/id.h"
#include "common/proto.h"

#include <stdio.h>

#define MAILDB_PATH           "mail.db"
#define MAILDB_APPLICATION_ID 0x6272646d /* "brdm" */
#define MAILDB_VERSION        10
#define MAILDB_OLDEST         5                             /* that is taken to ours step by step */
extern const char *const maildb_migrations[MAILDB_VERSION]; /* for struct sql_spec */

#define MAILDB_RETENTION_NONE UINT32_MAX /* of box.retention, keep: mail stays for ever */

/* How long mail stays in a mailbox, in seconds; 0: for ever. `own` is the user's, else that of the
 * domain counts, else the setting `all_ms`. What was set is never shorter than the setting
 * `least_ms` of now, since that is what clients are told before anybody logs in; without that
 * setting (DURATION_NONE) nobody has a time of his own. */
struct maildb_retention {
    uint64_t own, domain; /* seconds, MAILDB_RETENTION_NONE; 0: not set */
    int64_t all_ms, least_ms;
};

static inline uint64_t maildb_retention_s(const struct maildb_retention *r)
{
    uint64_t set = r->own != 0 ? r->own : r->domain;
    uint64_t least = r->least_ms > 0 ? (uint64_t)r->least_ms / 1000 : 0;
    if (set >= MAILDB_RETENTION_NONE)
        return 0;
    if (set > 0 && least > 0)
        return set > least ? set : least;
    return r->all_ms > 0 ? (uint64_t)r->all_ms / 1000 : 0;
}

#define MAILDB_REMOVAL_MAX    256 /* sequence numbers in a row of removal */
#define MAILDB_REMOVAL_OCTETS (8 * MAILDB_REMOVAL_MAX)

/* A spool file holds the content of one message that is too large for its row. Its name comes from
 * the message id and from nothing else. */
#define MAILDB_SPOOL_DIR  "spool"
#define MAILDB_SPOOL_NAME (sizeof MAILDB_SPOOL_DIR + ID_TEXT)

static inline void maildb_spool_name(char out[MAILDB_SPOOL_NAME], uint64_t id)
{
    char text[ID_TEXT];
    id_format(text, id);
    snprintf(out, MAILDB_SPOOL_NAME, MAILDB_SPOOL_DIR "/%s", text);
}

/* A mailbox hands out each message with a Return-Path field before its content (RFC 5321 4.4), but
 * not what was imported without one. It is made when the message is read; entry.octets counts it.
 */
#define MAILDB_PREFIX_BEGIN "Return-Path: <"
#define MAILDB_PREFIX_END   ">\r\n"

static inline uint64_t maildb_prefix_octets(struct span sender, uint8_t flags)
{
    if ((flags & CONTENT_BARE) != 0)
        return 0;
    return sizeof MAILDB_PREFIX_BEGIN - 1 + sender.n + sizeof MAILDB_PREFIX_END - 1;
}

#endif
