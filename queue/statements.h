/* The statements of mail.db, prepared once. For store*.c only. */
#ifndef BARID_QUEUE_STATEMENTS_H
#define BARID_QUEUE_STATEMENTS_H

#include "common/sql.h"
#include "queue/store.h"

#define RCPT_COLUMNS                                                                               \
    "message, number, address, domain, state, attempts, next_attempt, status, remote, last_reply," \
    " last_attempt, outcome, notify, orcpt, sender, dialogue, contained"

#define BOX_COLUMNS "id, messages, octets, deleted, deleted_octets, retention, domain"

/* What an entry of a message must have, see maildb_prefix_octets; ?2: what stands around the sender
 * in a prefix, ?3: the flag of a message without one. */
#define ENTRY_OCTETS(table)                                                                        \
    "(SELECT size + CASE WHEN flags & ?3 THEN 0 ELSE ?2 + length(CAST(sender AS BLOB)) END"        \
    " FROM message WHERE id = " table ".message)"
#define IS_NO_UIDL "(uidl GLOB '*[^!-~]*' OR length(CAST(uidl AS BLOB)) NOT BETWEEN 1 AND 70)"

/* S(NAME, sql). No RETURNING, and no DELETE with a subquery, where it is done for each mail: SQLite
 * makes a temporary B-tree for them, which costs more than two plain statements. */
#define STATEMENTS(S)                                                                              \
    S(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    S(COMMIT, "COMMIT")                                                                            \
    S(ROLLBACK, "ROLLBACK")                                                                        \
    S(MARK, "SAVEPOINT request")                                                                   \
    S(KEEP, "RELEASE request")                                                                     \
    S(UNDO, "ROLLBACK TO request")                                                                 \
    S(MESSAGE_ADD, "INSERT INTO message (id, arrived, expires, sender, client, helo, login, size," \
                   " header, flags, warned, spooled, hash, content, ret, envid)"                   \
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"    \
                   " ?16)")                                                                        \
    S(HOLD_ADD,                                                                                    \
      "INSERT INTO hold (message, request, who, until, octets) VALUES (?1, ?2, ?3, ?4, ?5)")       \
    S(HOLD_OVER, "UPDATE hold SET until = 0 WHERE message = ?1 AND until > 0")                     \
    S(HOLD_COUNT, "SELECT count(*), coalesce(sum(octets), 0) FROM (SELECT octets FROM hold"        \
                  " INDEXED BY hold_who WHERE who = ?1 AND until > ?2 AND until > 0 LIMIT ?3)")    \
    S(HOLD_GET, "SELECT request FROM hold WHERE message = ?1")                                     \
    S(MESSAGE_GET,                                                                                 \
      "SELECT id, arrived, expires, sender, client, helo, login, size, header, flags,"             \
      " warned, spooled, hash, ret, envid FROM message WHERE id = ?1")                             \
    S(MESSAGE_CONTENT, "SELECT content FROM message WHERE id = ?1")                                \
    S(MESSAGE_IS_SPOOLED, "SELECT 1 FROM message WHERE id = ?1")                                   \
    S(SPOOLED_NEXT, "SELECT id FROM message INDEXED BY message_spooled"                            \
                    " WHERE spooled = 1 AND id > ?1 ORDER BY id LIMIT 1")                          \
    S(MESSAGE_WARNED, "UPDATE message SET warned = 1 WHERE id = ?1")                               \
    S(MESSAGE_UNUSED, "SELECT spooled, id, arrived, sender, client, login, size,"                  \
                      " substr(content, 1, min(header, 16384)) FROM message WHERE id = ?1"         \
                      " AND NOT EXISTS (SELECT 1 FROM entry WHERE message = ?1)"                   \
                      " AND NOT EXISTS (SELECT 1 FROM trash WHERE message = ?1)")                  \
    S(MESSAGE_REMOVE, "DELETE FROM message WHERE id = ?1")                                         \
    S(RCPTS_STATES, "SELECT number, state FROM recipient WHERE message = ?1")                      \
    S(RCPTS_REMOVE, "DELETE FROM recipient WHERE message = ?1")                                    \
    S(BOX_LOOK, "SELECT next_seq, octets, forgotten, first_id, taken_id FROM box WHERE id = ?1")   \
    S(BOX_FIRST, "INSERT INTO box (id, messages, octets, next_seq, forgotten, first_id)"           \
                 " VALUES (?1, 1, ?2, 2, 0, ?3) ON CONFLICT (id) DO UPDATE"                        \
                 " SET messages = messages + 1, octets = octets + ?2, next_seq = 2,"               \
                 " first_id = ?3")                                                                 \
    S(BOX_ADD, "UPDATE box SET messages = messages + 1, octets = octets + ?2,"                     \
               " next_seq = next_seq + 1, first_id = min(first_id, ?3) WHERE id = ?1")             \
    S(BOX_TAKEN, "UPDATE box SET taken_id = max(taken_id, ?2) WHERE id = ?1")                      \
    S(BOX_SUBTRACT,                                                                                \
      "UPDATE box SET messages = max(0, messages - ?2), octets = max(0, octets - ?3),"             \
      " deleted = deleted + ?4, deleted_octets = deleted_octets + ?5, epoch = epoch + 1"           \
      " WHERE id = ?1")                                                                            \
    S(BOX_FORGET, "INSERT INTO box (id, messages, octets, next_seq, forgotten)"                    \
                  " VALUES (?1, 0, 0, 1, 1) ON CONFLICT (id) DO UPDATE SET forgotten = 1")         \
    S(BOX_UNSWEPT, "SELECT id FROM box WHERE forgotten = 1"                                        \
                   " AND (messages > 0 OR deleted > 0"                                             \
                   " OR EXISTS (SELECT 1 FROM imported WHERE box = box.id)"                        \
                   " OR EXISTS (SELECT 1 FROM uidl WHERE box = box.id)) LIMIT 1")                  \
    S(BOX_EMPTIED, "UPDATE box SET messages = 0, octets = 0, deleted = 0, deleted_octets = 0,"     \
                   " epoch = epoch + 1 WHERE id = ?1")                                             \
    S(BOX_GET, "SELECT " BOX_COLUMNS " FROM box WHERE id = ?1 AND forgotten = 0")                  \
    S(BOX_NEXT, "SELECT " BOX_COLUMNS " FROM box WHERE id > ?1 AND forgotten = 0"                  \
                " ORDER BY id LIMIT 1")                                                            \
    S(BOX_AGING, "SELECT " BOX_COLUMNS " FROM box WHERE id > ?1 AND forgotten = 0"                 \
                 " AND messages > 0 AND (?2 OR retention > 0) ORDER BY id LIMIT 1")                \
    S(BOX_RETENTION, "INSERT INTO box (id, messages, octets, next_seq, forgotten, retention)"      \
                     " VALUES (?1, 0, 0, 1, 0, ?2) ON CONFLICT (id) DO UPDATE"                     \
                     " SET retention = ?2")                                                        \
    S(BOX_DOMAIN, "UPDATE box SET domain = ?2 WHERE id = ?1")                                      \
    S(KEEP_GET, "SELECT seconds FROM keep WHERE domain = ?1")                                      \
    S(KEEP_ANY, "SELECT 1 FROM keep LIMIT 1")                                                      \
    S(KEEP_SET, "INSERT OR REPLACE INTO keep (domain, seconds) VALUES (?1, ?2)")                   \
    S(KEEP_REMOVE, "DELETE FROM keep WHERE domain = ?1")                                           \
    S(BOX_CHANGED, "UPDATE box SET epoch = epoch + 1 WHERE id = ?1")                               \
    S(BOX_OLDEST,                                                                                  \
      "SELECT message.arrived, entry.seq FROM entry JOIN message ON message.id = entry.message"    \
      " WHERE entry.box = ?1 ORDER BY entry.seq LIMIT 1")                                          \
    S(ENTRY_ADD, "INSERT INTO entry (box, seq, message, octets, uidl)"                             \
                 " VALUES (?1, ?2, ?3, ?4, ?5)")                                                   \
    S(UIDL_LOOK, "SELECT 1 FROM uidl WHERE box = ?1 AND uidl = ?2")                                \
    S(UIDL_ADD, "INSERT INTO uidl (box, uidl) VALUES (?1, ?2)")                                    \
    S(UIDLS_FORGET, "DELETE FROM uidl WHERE box = ?1 AND uidl IN"                                  \
                    " (SELECT uidl FROM uidl WHERE box = ?1 LIMIT 2000)")                          \
    S(IMPORTED_LOOK, "SELECT 1 FROM imported WHERE box = ?1 AND source = ?2")                      \
    S(IMPORTED_ADD, "INSERT INTO imported (box, source) VALUES (?1, ?2)")                          \
    S(IMPORTED_FORGET, "DELETE FROM imported WHERE box = ?1 AND source IN"                         \
                       " (SELECT source FROM imported WHERE box = ?1 LIMIT 2000)")                 \
    S(ENTRY_REMOVE, "DELETE FROM entry WHERE box = ?1 AND seq = ?2 RETURNING message, octets")     \
    S(ENTRY_FIRST, "SELECT seq FROM entry WHERE box = ?1 ORDER BY seq LIMIT 1")                    \
    S(TRASH_ADD, "INSERT INTO trash (box, seq, message, octets, uidl, at)"                         \
                 " SELECT box, seq, message, octets, uidl, ?3 FROM entry"                          \
                 " WHERE box = ?1 AND seq = ?2")                                                   \
    S(TRASH_REMOVE, "DELETE FROM trash WHERE box = ?1 AND seq = ?2 RETURNING message, octets")     \
    S(TRASH_OLDEST, "SELECT box, seq FROM trash INDEXED BY trash_at WHERE at <= ?1"                \
                    " ORDER BY at LIMIT 1")                                                        \
    S(TRASH_NEXT, "SELECT seq FROM trash WHERE box = ?1 AND seq > ?2 AND at >= ?3"                 \
                  " ORDER BY seq LIMIT 1")                                                         \
    S(TRASH_BACK, "INSERT INTO entry (box, seq, message, octets, uidl) SELECT box, seq, message,"  \
                  " octets, CASE WHEN EXISTS (SELECT 1 FROM entry AS e WHERE e.box = ?1"           \
                  " AND e.uidl = trash.uidl) THEN NULL ELSE uidl END"                              \
                  " FROM trash WHERE box = ?1 AND seq = ?2")                                       \
    S(TRASH_HASTEN, "UPDATE trash SET at = 0 WHERE box = ?1 AND seq IN (SELECT seq FROM trash"     \
                    " WHERE box = ?1 AND at > 0 ORDER BY seq LIMIT 20)")                           \
    S(BOX_TRASH, "SELECT deleted_octets FROM box WHERE id = ?1")                                   \
    S(BOX_TRASH_SUBTRACT, "UPDATE box SET deleted = max(0, deleted - 1),"                          \
                          " deleted_octets = max(0, deleted_octets - ?2) WHERE id = ?1")           \
    S(BOX_UNTRASH, "UPDATE box SET deleted = max(0, deleted - ?2),"                                \
                   " deleted_octets = max(0, deleted_octets - ?3), messages = messages + ?2,"      \
                   " octets = octets + ?3, epoch = epoch + 1 WHERE id = ?1")                       \
    S(REMOVAL_ADD, "INSERT INTO removal (box, at, sequences, device) VALUES (?1, ?2, ?3, ?4)")     \
    S(REMOVAL_NEXT, "SELECT id, box, at, sequences, device FROM removal ORDER BY id LIMIT 1")      \
    S(REMOVAL_DONE, "DELETE FROM removal WHERE id = ?1")                                           \
    S(DEVICE_LOOK, "SELECT 1 FROM device WHERE id = ?1 AND box = ?2")                              \
    S(DEVICE_NEXT, "SELECT id, name FROM device WHERE box = ?1 AND id > ?2 ORDER BY id LIMIT 1")   \
    S(DEVICE_ADD, "INSERT INTO device (id, box, name) VALUES (?1, ?2, ?3)")                        \
    S(DEVICE_REMOVE, "DELETE FROM device WHERE id = ?1 AND box = ?2")                              \
    S(DEVICES_FORGET, "DELETE FROM device WHERE box = ?1")                                         \
    S(DEVICE_CHANGED, "UPDATE device SET epoch = epoch + 1 WHERE id = ?1")                         \
    S(DEVICE_DROPPED, "SELECT count(*) FROM dropped WHERE box = ?1 AND device = ?2")               \
    S(BOX_MAKE, "INSERT INTO box (id, messages, octets, next_seq, forgotten)"                      \
                " VALUES (?1, 0, 0, 1, 0) ON CONFLICT (id) DO NOTHING")                            \
    S(BOX_REVIEW, "UPDATE box SET review = ?2 WHERE id = ?1")                                      \
    S(REVIEW_NEXT, "SELECT id FROM box INDEXED BY box_review WHERE review = 1 LIMIT 1")            \
    S(DROP, "INSERT OR IGNORE INTO dropped (box, seq, device) SELECT box, seq, ?3 FROM entry"      \
            " WHERE box = ?1 AND seq = ?2")                                                        \
    S(DROPPED_NEXT, "SELECT seq FROM dropped WHERE box = ?1 AND seq > ?2 ORDER BY seq LIMIT 1")    \
    S(DROPPED_CLEAN, "DELETE FROM dropped WHERE box = ?1 AND seq = ?2"                             \
                     " AND device NOT IN (SELECT id FROM device WHERE box = ?1)")                  \
    S(HOLDER, "SELECT id FROM device WHERE box = ?1 AND NOT EXISTS (SELECT 1 FROM dropped"         \
              " WHERE box = ?1 AND seq = ?2 AND device = device.id) LIMIT 1")                      \
    S(RCPT_ADD,                                                                                    \
      "INSERT INTO recipient (" RCPT_COLUMNS ")"                                                   \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)")      \
    S(RCPT_GET, "SELECT " RCPT_COLUMNS " FROM recipient WHERE message = ?1 AND number = ?2")       \
    S(RCPT_SET, "UPDATE recipient SET state = ?3, attempts = ?4, next_attempt = ?5, status = ?6,"  \
                " remote = ?7, last_reply = ?8, last_attempt = ?9, outcome = ?10, dialogue = "     \
                "?11, contained = ?12"                                                             \
                " WHERE message = ?1 AND number = ?2")                                             \
    S(RCPT_SET_STATE, "UPDATE recipient SET state = ?3, next_attempt = ?4, contained = 0"          \
                      " WHERE message = ?1 AND number = ?2")                                       \
    S(RCPT_REMOVE, "DELETE FROM recipient WHERE message = ?1 AND number = ?2")                     \
    S(RCPTS_OF, "SELECT " RCPT_COLUMNS " FROM recipient WHERE message = ?1 ORDER BY number")       \
    S(QUEUED_NEXT, "SELECT message FROM recipient WHERE message > ?1 ORDER BY message LIMIT 1")    \
    S(QUEUED_NEXT_OF, "SELECT message FROM recipient INDEXED BY recipient_domain"                  \
                      " WHERE domain = ?2 AND message > ?1 ORDER BY message LIMIT 1")              \
    S(UNTOLD_NEXT, "SELECT message FROM recipient INDEXED BY recipient_due"                        \
                   " WHERE state = ?2 AND next_attempt = 0 AND message > ?1"                       \
                   " ORDER BY message LIMIT 1")                                                    \
    S(RCPT_LOOK, "SELECT max(address = ?2), max(number) + 1 FROM recipient WHERE message = ?1")    \
    S(ENTRY_LOOK, "SELECT 1 FROM entry WHERE message = ?1 AND box = ?2 UNION ALL"                  \
                  " SELECT 1 FROM trash INDEXED BY trash_message"                                  \
                  " WHERE message = ?1 AND box = ?2 LIMIT 1")                                      \
    S(DUE, "SELECT r.next_attempt, r.message, r.number, r.domain, m.sender, m.client, m.login,"    \
           " r.outcome, r.sender, m.flags"                                                         \
           " FROM recipient r INDEXED BY recipient_due LEFT JOIN message m ON m.id = r.message"    \
           " WHERE r.state = 0 AND (r.next_attempt, r.message, r.number) > (?1, ?2, ?3)"           \
           " AND r.next_attempt < ?4 ORDER BY r.next_attempt, r.message, r.number LIMIT ?5")       \
    S(DUE_PULL_IN, "UPDATE recipient SET next_attempt = ?1 WHERE (message, number) IN"             \
                   " (SELECT message, number FROM recipient INDEXED BY recipient_due"              \
                   " WHERE state = 0 AND next_attempt > ?1 AND last_attempt > ?1"                  \
                   " ORDER BY next_attempt DESC LIMIT ?2)")                                        \
    S(HELD_TOO_LONG, "SELECT message, number FROM recipient INDEXED BY recipient_due"              \
                     " WHERE state = 1 AND next_attempt BETWEEN 1 AND ?1 LIMIT 1")                 \
    S(DUE_WHEN, "SELECT next_attempt FROM recipient INDEXED BY recipient_due"                      \
                " WHERE state = 0 AND next_attempt >= ?1 ORDER BY next_attempt LIMIT 1")           \
    S(CONTAINED_ADD, "INSERT INTO contained (who, since, why, told, swept)"                        \
                     " VALUES (?1, ?2, ?3, 0, 0) ON CONFLICT (who) DO NOTHING")                    \
    S(CONTAINED_GET, "SELECT who, since, why FROM contained WHERE who = ?1")                       \
    S(CONTAINED_UNTOLD, "SELECT who, since, why FROM contained WHERE told = ?1 LIMIT 1")           \
    S(CONTAINED_TELL, "UPDATE contained SET told = ?2 WHERE who = ?1")                             \
    S(CONTAINED_REMOVE, "DELETE FROM contained WHERE who = ?1 RETURNING since")                    \
    S(CONTAINED_UNSWEPT, "SELECT who, swept FROM contained"                                        \
                         " WHERE swept < 9223372036854775807 LIMIT 1")                             \
    S(CONTAINED_SWEPT, "UPDATE contained SET swept = ?2 WHERE who = ?1")                           \
    S(COUNTED_GET, "SELECT n, until FROM counted WHERE who = ?1 AND what = ?2")                    \
    S(COUNTED_MORE, "UPDATE counted SET n = ?3 WHERE who = ?1 AND what = ?2 AND until = ?4")       \
    S(COUNTED_SET, "INSERT OR REPLACE INTO counted (who, what, n, until)"                          \
                   " VALUES (?1, ?2, ?3, ?4)")                                                     \
    S(COUNTED_FORGET, "DELETE FROM counted WHERE who = ?1")                                        \
    S(COUNTED_SWEEP, "DELETE FROM counted WHERE (who, what) IN (SELECT who, what FROM counted"     \
                     " INDEXED BY counted_until WHERE until < ?1 ORDER BY until LIMIT 500)")       \
    S(ADDRESSEE_GET, "SELECT at FROM addressee WHERE user = ?1 AND address = ?2")                  \
    S(ADDRESSEE_SET, "INSERT OR REPLACE INTO addressee (user, address, at) VALUES (?1, ?2, ?3)")   \
    S(ADDRESSEES_FORGET, "DELETE FROM addressee WHERE user = ?1")                                  \
    S(ADDRESSEES_SWEEP, "DELETE FROM addressee WHERE (user, address) IN (SELECT user, address"     \
                        " FROM addressee INDEXED BY addressee_at WHERE at < ?1"                    \
                        " ORDER BY at LIMIT 500)")                                                 \
    S(ADDRESSEES_TRIM, "DELETE FROM addressee WHERE (user, address) IN (SELECT user, address"      \
                       " FROM addressee INDEXED BY addressee_at ORDER BY at"                       \
                       " LIMIT min(500, max(0, (SELECT count(*) FROM addressee) - ?1)))")          \
    S(CONTAINED_LIST, "SELECT c.who, c.since, c.why, coalesce(h.n, 0) FROM contained AS c"         \
                      " LEFT JOIN (SELECT CASE WHEN m.login <> '' THEN m.login ELSE m.client END"  \
                      " AS who, count(DISTINCT m.id) AS n FROM (SELECT message FROM recipient"     \
                      " INDEXED BY recipient_contained WHERE contained = 1 LIMIT 200000)"          \
                      " AS r JOIN message AS m ON m.id = r.message GROUP BY 1) AS h"               \
                      " ON h.who = c.who ORDER BY c.who LIMIT ?2 OFFSET ?1")                       \
    S(HELD_OF, "SELECT count(DISTINCT m.id) FROM (SELECT message FROM recipient"                   \
               " INDEXED BY recipient_contained WHERE contained = 1 LIMIT 200000) AS r"            \
               " JOIN message AS m ON m.id = r.message"                                            \
               " WHERE m.login = ?1 OR (m.login = '' AND m.client = ?1)")                          \
    S(DIALOGUE_ADD, "INSERT INTO dialogue (message, began, at, remote, tls, text, upto)"           \
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                        \
    S(DIALOGUE_UPTO, "SELECT upto FROM dialogue ORDER BY id DESC LIMIT 1")                         \
    S(DIALOGUE_GET, "SELECT id, began, at, remote, tls, text FROM dialogue"                        \
                    " WHERE id = ?1 AND message = ?2")                                             \
    S(DIALOGUES_OF, "SELECT id, began, at, remote, tls, text"                                      \
                    " FROM dialogue INDEXED BY dialogue_message"                                   \
                    " WHERE message = ?1 ORDER BY id LIMIT 200")                                   \
    S(DIALOGUES_TRIM, "DELETE FROM dialogue WHERE id IN (SELECT id FROM dialogue"                  \
                      " INDEXED BY dialogue_message WHERE message = ?1"                            \
                      " ORDER BY id DESC LIMIT 100 OFFSET ?2)")                                    \
    S(DIALOGUES_SWEEP, "DELETE FROM dialogue WHERE id IN (SELECT id FROM (SELECT id, at, upto"     \
                       " FROM dialogue ORDER BY id LIMIT 500) WHERE at < ?1 OR upto <="            \
                       " (SELECT upto FROM dialogue ORDER BY id DESC LIMIT 1) - ?2)")              \
    S(EVENT_ADD, "INSERT INTO event (message, at, what, address, remote, reply, tls, dialogue)"    \
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                       \
    S(EVENT_AT, "INSERT INTO event (message, at, what, address, remote, reply, tls)"               \
                " SELECT entry.message, ?1, ?2, ?3, ?4, ?5, '' FROM entry"                         \
                " WHERE entry.box = ?6 AND entry.seq = ?7 AND (?8 = 0 OR NOT EXISTS ("             \
                "SELECT 1 FROM (SELECT what, address, reply FROM event INDEXED BY event_message"   \
                " WHERE message = entry.message ORDER BY id DESC LIMIT 100)"                       \
                " WHERE what = ?2 AND address = ?3 AND reply = ?5))")                              \
    S(EVENT_AFTER, "INSERT INTO event (message, at, what, address, remote, reply, tls)"            \
                   " SELECT ?1, ?2, ?3, ?4, ?5, ?6, '' WHERE EXISTS ("                             \
                   "SELECT 1 FROM (SELECT what FROM event INDEXED BY event_message"                \
                   " WHERE message = ?1 ORDER BY id DESC LIMIT 100) WHERE what = 'deleted')")      \
    S(EVENTS_OF, "SELECT at, what, address, remote, reply, tls, dialogue"                          \
                 " FROM event INDEXED BY event_message"                                            \
                 " WHERE message = ?1 ORDER BY id LIMIT 500")                                      \
    S(EVENTS_SWEEP, "DELETE FROM event WHERE id IN (SELECT id FROM (SELECT id, at FROM event"      \
                    " ORDER BY id LIMIT 500) WHERE at < ?1)")                                      \
    S(SECURED_GET, "SELECT level, seen, told FROM secured WHERE domain = ?1")                      \
    S(SECURED_SET, "INSERT INTO secured (domain, level, seen, told) VALUES (?1, ?2, ?3, ?4)"       \
                   " ON CONFLICT (domain) DO UPDATE SET level = ?2, seen = ?3, told = ?4")         \
    S(SECURED_SWEEP, "DELETE FROM secured WHERE domain IN (SELECT domain FROM secured"             \
                     " INDEXED BY secured_seen WHERE seen < ?1 ORDER BY seen LIMIT 500)")          \
    S(SECURED_TRIM, "DELETE FROM secured WHERE domain IN (SELECT domain FROM secured"              \
                    " INDEXED BY secured_seen ORDER BY seen"                                       \
                    " LIMIT min(500, max(0, (SELECT count(*) FROM secured) - ?1)))")               \
    S(CALLOUT_GET, "SELECT verdict, learned, expires, host FROM callout WHERE address = ?1")       \
    S(CALLOUT_SET, "INSERT INTO callout (address, verdict, learned, expires, host)"                \
                   " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (address)"                            \
                   " DO UPDATE SET verdict = ?2, learned = ?3, expires = ?4, host = ?5")           \
    S(CALLOUT_FORGET, "DELETE FROM callout WHERE address = ?1")                                    \
    S(CALLOUT_FORGET_OF, "DELETE FROM callout"                                                     \
                         " WHERE substr(address, -length(?1)) = ?1")                               \
    S(CALLOUT_LIST,                                                                                \
      "SELECT id, address, verdict, learned, expires, host FROM callout WHERE id > ?1"             \
      " AND (?2 = '' OR substr(address, -length(?2)) = ?2) ORDER BY id")                           \
    S(CALLOUT_SWEEP, "DELETE FROM callout WHERE id IN (SELECT id FROM callout"                     \
                     " INDEXED BY callout_expires WHERE expires <= ?1"                             \
                     " ORDER BY expires LIMIT 500)")                                               \
    S(CALLOUT_TRIM_NOBODY,                                                                         \
      "DELETE FROM callout WHERE id IN (SELECT id FROM callout"                                    \
      " INDEXED BY callout_nobody WHERE verdict = 2 ORDER BY expires LIMIT ?1)")                   \
    S(CALLOUT_TRIM_HOST, "DELETE FROM callout WHERE id IN (SELECT id FROM callout"                 \
                         " INDEXED BY callout_host WHERE host = (SELECT host FROM callout"         \
                         " INDEXED BY callout_host GROUP BY host ORDER BY count(*) DESC LIMIT 1)"  \
                         " ORDER BY expires LIMIT ?1)")                                            \
    S(CALLOUT_COUNT, "SELECT count(*) FROM callout")                                               \
    S(PAST_ADD, "INSERT OR IGNORE INTO past"                                                       \
                " (id, arrived, gone, sender, client, login, size, message_id)"                    \
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                        \
    S(PAST_GET, "SELECT id, arrived, gone, sender, client, login, size FROM past WHERE id = ?1")   \
    S(PAST_OF_MESSAGE_ID, "SELECT id FROM past INDEXED BY past_message_id"                         \
                          " WHERE message_id = ?1 AND message_id <> '' ORDER BY id DESC LIMIT 1")  \
    S(PAST_SWEEP, "DELETE FROM past WHERE id IN (SELECT id FROM past INDEXED BY past_gone"         \
                  " WHERE gone < ?1 LIMIT 500)")                                                   \
    S(HEADER_BEFORE, "SELECT id, substr(content, 1, min(header, 16384)) FROM message"              \
                     " WHERE id < ?1 ORDER BY id DESC LIMIT 1")                                    \
    S(TRAIL_SENT, "SELECT id FROM message INDEXED BY message_sender WHERE sender <> ''"            \
                  " AND sender = ?1 COLLATE NOCASE AND id < ?2 ORDER BY id DESC LIMIT ?3")         \
    S(TRAIL_PAST, "SELECT id FROM past INDEXED BY past_sender WHERE sender <> ''"                  \
                  " AND sender = ?1 COLLATE NOCASE AND id < ?2 ORDER BY id DESC LIMIT ?3")         \
    S(TRAIL_EVENTS, "SELECT DISTINCT message FROM event INDEXED BY event_address"                  \
                    " WHERE address <> '' AND address = ?1 COLLATE NOCASE AND message < ?2"        \
                    " ORDER BY message DESC LIMIT ?3")                                             \
    S(TRAIL_QUEUED, "SELECT message FROM (SELECT message, address FROM recipient"                  \
                    " INDEXED BY recipient_domain WHERE domain = ?4 AND message < ?2"              \
                    " ORDER BY message DESC LIMIT 10000)"                                          \
                    " WHERE address = ?1 COLLATE NOCASE LIMIT ?3")                                 \
    S(TRAIL_BOX, "SELECT message FROM (SELECT message FROM entry WHERE box = ?1"                   \
                 " ORDER BY seq DESC LIMIT 100000)"                                                \
                 " WHERE message < ?2 ORDER BY message DESC LIMIT ?3")                             \
    S(TRAIL_TRASH, "SELECT message FROM (SELECT message FROM trash WHERE box = ?1"                 \
                   " ORDER BY seq DESC LIMIT 100000)"                                              \
                   " WHERE message < ?2 ORDER BY message DESC LIMIT ?3")                           \
    S(BOXES_OF, "SELECT box, 0 FROM entry WHERE message = ?1 UNION ALL"                            \
                " SELECT box, at FROM trash INDEXED BY trash_message WHERE message = ?1")          \
    S(FIX_FACTS, "UPDATE message SET header = ?2, flags = (flags & ?3) | ?4 WHERE id = ?1")        \
    S(FIX_MESSAGE, "DELETE FROM message WHERE id = ?1")                                            \
    S(FIX_PLACE, "SELECT box, seq, 0 FROM entry WHERE message = ?1 UNION ALL"                      \
                 " SELECT box, seq, 1 FROM trash INDEXED BY trash_message WHERE message = ?1"      \
                 " LIMIT 1")                                                                       \
    S(FIX_IN_BOX, "SELECT message, seq, 0 FROM entry WHERE box = ?1 UNION ALL"                     \
                  " SELECT message, seq, 1 FROM trash WHERE box = ?1 LIMIT 1")                     \
    S(FIX_LOST, "SELECT message, seq, 0 FROM entry WHERE box = ?1 AND NOT EXISTS"                  \
                " (SELECT 1 FROM message WHERE id = entry.message) UNION ALL"                      \
                " SELECT message, seq, 1 FROM trash WHERE box = ?1 AND NOT EXISTS"                 \
                " (SELECT 1 FROM message WHERE id = trash.message) LIMIT 1")                       \
    S(FIX_RCPTS, "DELETE FROM recipient WHERE message = ?1 AND NOT EXISTS"                         \
                 " (SELECT 1 FROM message WHERE id = ?1)")                                         \
    S(FIX_ENTRY_OCTETS,                                                                            \
      "UPDATE entry SET octets = " ENTRY_OCTETS("entry") " WHERE box = ?1"                         \
                                                         " AND octets <> " ENTRY_OCTETS("entry"))  \
    S(FIX_TRASH_OCTETS,                                                                            \
      "UPDATE trash SET octets = " ENTRY_OCTETS("trash") " WHERE box = ?1"                         \
                                                         " AND octets <> " ENTRY_OCTETS("trash"))  \
    S(FIX_ENTRY_UIDL, "UPDATE entry SET uidl = NULL WHERE box = ?1 AND " IS_NO_UIDL)               \
    S(FIX_TRASH_UIDL, "UPDATE trash SET uidl = NULL WHERE box = ?1 AND " IS_NO_UIDL)               \
    S(FIX_UIDLS, "INSERT OR IGNORE INTO uidl SELECT box, uidl FROM entry WHERE box = ?1"           \
                 " AND uidl IS NOT NULL UNION ALL SELECT box, uidl FROM trash WHERE box = ?1"      \
                 " AND uidl IS NOT NULL")                                                          \
    S(FIX_DROPPED, "DELETE FROM dropped WHERE box = ?1 AND NOT EXISTS (SELECT 1 FROM entry AS e"   \
                   " WHERE e.box = ?1 AND e.seq = dropped.seq)")                                   \
    S(FIX_COUNTS, "UPDATE box SET epoch = max(0, epoch) + 1, retention = max(0, retention),"       \
                  " review = review <> 0, forgotten = forgotten = 1, domain = max(0, domain),"     \
                  " taken_id = 9223372036854775807, first_id = min(max(0, first_id), coalesce("    \
                  "(SELECT min(message) FROM entry WHERE box = ?1), 9223372036854775807)),"        \
                  " messages = (SELECT count(*) FROM entry WHERE box = ?1),"                       \
                  " octets = (SELECT coalesce(sum(octets), 0) FROM entry WHERE box = ?1),"         \
                  " deleted = (SELECT count(*) FROM trash WHERE box = ?1),"                        \
                  " deleted_octets = (SELECT coalesce(sum(octets), 0) FROM trash WHERE box = ?1)," \
                  " next_seq = max(next_seq,"                                                      \
                  " 1 + coalesce((SELECT max(seq) FROM entry WHERE box = ?1), 0),"                 \
                  " 1 + coalesce((SELECT max(seq) FROM trash WHERE box = ?1), 0)) WHERE id = ?1")  \
    S(FIX_REMOVALS, "DELETE FROM removal WHERE length(sequences) % 8 <> 0"                         \
                    " OR length(sequences) NOT BETWEEN 8 AND ?1"                                   \
                    " OR box NOT IN (SELECT id FROM box)")                                         \
    S(FIX_HOLDS, "DELETE FROM hold WHERE NOT EXISTS"                                               \
                 " (SELECT 1 FROM message AS m WHERE m.id = hold.message)")                        \
    S(FIX_TLSAS, "DELETE FROM tlsrpt_tlsa WHERE NOT EXISTS (SELECT 1 FROM tlsrpt AS r"             \
                 " WHERE r.day = tlsrpt_tlsa.day AND r.domain = tlsrpt_tlsa.domain)")              \
    S(STS_SET, "INSERT OR REPLACE INTO sts (domain, id, mode, fetched, max_age, mx)"               \
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                 \
    S(STS_NEXT, "SELECT domain, id, mode, fetched, max_age, mx FROM sts WHERE domain > ?1"         \
                " ORDER BY domain LIMIT 1")                                                        \
    S(STS_SWEEP, "DELETE FROM sts WHERE fetched + max_age < ?1")                                   \
    S(STS_BOUND, "DELETE FROM sts WHERE (SELECT count(*) FROM sts) > ?1 AND domain ="              \
                 " (SELECT domain FROM sts WHERE domain <> ?2 ORDER BY fetched, domain LIMIT 1)")  \
    S(STS_GET, "SELECT mode, max_age, mx FROM sts"                                                 \
               " WHERE domain = ?1 AND fetched + max_age >= ?2")                                   \
    S(TLSRPT_MORE, "UPDATE tlsrpt SET n = n + 1 WHERE day = ?1 AND domain = ?2 AND policy = ?3"    \
                   " AND result = ?4 AND host = ?5 AND address = ?6 AND tlsa = ?7 AND helo = ?8"   \
                   " AND source = ?9 AND because = ?10")                                           \
    S(TLSRPT_ROOM, "SELECT (SELECT count(*) FROM tlsrpt WHERE day = ?1 AND domain = ?2) < ?3"      \
                   " AND (SELECT count(*) FROM tlsrpt) < ?4")                                      \
    S(TLSRPT_ADD, "INSERT INTO tlsrpt (day, domain, policy, result, host, address, tlsa, helo,"    \
                  " source, because, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)")      \
    S(TLSRPT_TLSA_ADD, "INSERT OR IGNORE INTO tlsrpt_tlsa (day, domain, id, base, records)"        \
                       " SELECT ?1, ?2, ?3, ?4, ?5 WHERE"                                          \
                       " (SELECT count(*) FROM tlsrpt_tlsa WHERE day = ?1 AND domain = ?2) < ?6")  \
    S(TLSRPT_TLSA_GET, "SELECT base, records FROM tlsrpt_tlsa"                                     \
                       " WHERE day = ?1 AND domain = ?2 AND id = ?3")                              \
    S(TLSRPT_TLSA_REMOVE, "DELETE FROM tlsrpt_tlsa WHERE day = ?1 AND domain = ?2")                \
    S(TLSRPT_TLSA_SWEEP, "DELETE FROM tlsrpt_tlsa WHERE day < ?1")                                 \
    S(TLSRPT_NEXT, "SELECT day, domain FROM tlsrpt WHERE (day, domain) > (?1, ?2) AND day < ?3"    \
                   " ORDER BY day, domain LIMIT 1")                                                \
    S(TLSRPT_ROWS, "SELECT policy, result, host, address, n, tlsa, helo, source, because"          \
                   " FROM tlsrpt WHERE day = ?1 AND domain = ?2"                                   \
                   " ORDER BY policy, tlsa, result, host, address, helo, source, because")         \
    S(TLSRPT_REMOVE, "DELETE FROM tlsrpt WHERE day = ?1 AND domain = ?2")                          \
    S(TLSRPT_SWEEP, "DELETE FROM tlsrpt WHERE day < ?1")                                           \
    S(TLSRPT_POST_ADD,                                                                             \
      "INSERT INTO tlsrpt_post (report, domain, url, began, attempts, next, octets)"               \
      " SELECT ?1, ?2, ?3, ?4, 0, ?4, ?5"                                                          \
      " WHERE (SELECT count(*) FROM tlsrpt_post) < ?6")                                            \
    S(TLSRPT_POST_NEXT, "SELECT id, report, domain, url, began, attempts, octets FROM tlsrpt_post" \
                        " WHERE next <= ?1 AND (id <= 0 OR id NOT IN (?2, ?3, ?4, ?5))"            \
                        " ORDER BY next, id LIMIT 1")                                              \
    S(TLSRPT_POST_LATER, "UPDATE tlsrpt_post SET attempts = ?2, next = ?3 WHERE id = ?1")          \
    S(TLSRPT_POST_REMOVE, "DELETE FROM tlsrpt_post WHERE id = ?1")                                 \
    S(TLSRPT_POST_OLD, "SELECT count(*) FROM tlsrpt_post WHERE began <= ?1 OR began > ?2")         \
    S(TLSRPT_POST_SWEEP, "DELETE FROM tlsrpt_post WHERE began <= ?1 OR began > ?2")                \
    S(COUNT_DUE, "SELECT count(*) FROM recipient INDEXED BY recipient_due"                         \
                 " WHERE state = 0 AND next_attempt <= ?1")                                        \
    S(COUNT_DEFERRED, "SELECT count(*) FROM recipient INDEXED BY recipient_due"                    \
                      " WHERE state = 0 AND next_attempt > ?1")                                    \
    S(COUNT_HELD, "SELECT count(*) FROM recipient INDEXED BY recipient_due WHERE state = 1")

enum statement {
#define STATEMENT_ENUM(NAME, text) S_##NAME,
    STATEMENTS(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        N_STATEMENTS
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *s[N_STATEMENTS];
    enum store_fault fault;
    bool is_tracing; /* events and past are kept */
    bool knows_upto; /* dialogue_upto is that of the last dialogue, if there is one */
    uint64_t dialogue_upto;
    char rcpt_text[ADDRESS_MAX + DOMAIN_MAX + STATUS_MAX + REMOTE_MAX + REPLY_MAX + ORCPT_MAX +
                   ADDRESS_MAX];
};

/* Like sql_step and sql_run, but they note why it failed while that can still be known. */
int statement_step(struct store *s, enum statement which);
int statement_run(struct store *s, enum statement which);
/* The row that MESSAGE_UNUSED gave becomes one of past. */
int statement_past(struct store *s);
/* For statements that give at most one row of one number: FOUND_YES and *out. */
enum found statement_number(struct store *s, enum statement which, uint64_t *out);

#endif
