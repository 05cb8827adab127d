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
#define MAILDB_VERSION        7
extern const char *const maildb_migrations[MAILDB_VERSION]; /* for struct sql_spec */

#define MAILDB_RETENTION_NONE UINT32_MAX /* of box.retention: mail stays for ever */

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
