/* A mail.db of its own in an empty directory, made with the writer's schema. */
#ifndef BARID_TESTS_MAILBOX_FIXTURE_H
#define BARID_TESTS_MAILBOX_FIXTURE_H

#include "common/maildb.h"
#include "common/sql.h"

/* Goes into a new directory. NULL: without mail.db. */
sqlite3 *fixture_begin(bool with_db);
sqlite3 *fixture_open_writer(void);
/* Runs constant statements of a test. */
void fixture_run(sqlite3 *db, const char *sql);
/* Message `id` from "a@b.example" with this content, and its entry in a mailbox that exists. */
void fixture_add(sqlite3 *db, uint64_t box, uint64_t sequence, uint64_t id, struct span content);
void fixture_end(sqlite3 *db);

#endif
