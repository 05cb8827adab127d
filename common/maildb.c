#include "common/maildb.h"

/* Content stands last in its row, so that reading the rest does not touch it, and rows with content
 * are written once: what changes (counts, states) lives in small rows elsewhere. Times are seconds
 * since 1970.
 *
 * message: One for each accepted message that is still in a mailbox or on its way. spooled: content
 * is NULL and in a file (maildb_spool_name). hash: of the content, wherever it is (content.h).
 *
 * box: One for each mailbox that ever got mail. next_seq only grows: a sequence number is never
 * given twice. forgotten: its user was removed; nothing may be added any more. messages and octets
 * count entries, deleted and deleted_octets what is in trash. epoch grows with every change but an
 * addition: who knows the entries up to next_seq of this epoch need not read them again. retention:
 * seconds that mail stays; 0: as its domain, or as configured. domain: the number that authd has
 * for the domain of its user, which never changes; 0: queue has not asked yet. first_id: the lowest
 * id of a message that was ever delivered to it; 0: not known. taken_id: an id up to this one may
 * be in uidl, brought by an import.
 *
 * entry: One for each message in a mailbox. octets counts the Return-Path field in front. A message
 * is in a mailbox at most once. uidl: what POP3 calls it, once in its box; NULL: its id as text.
 *
 * keep: How long mail of a domain stays, by authd's number for it, which is never given twice.
 *
 * uidl: UIDLs of its own that an entry of a mailbox has, or had: none of them is given again, even
 * when its message is gone (queue/uidl.h).
 *
 * trash: Entries that were deleted and can be undeleted for a while; at: when that was, 0: the next
 * to go. They are as they were in entry, and go back there.
 *
 * removal: A large deletion (of a device, or 0: for all) that was decided and is carried out step
 * by step. sequences: up to some hundred of them, eight octets each; whatever is named here is no
 * longer in its mailbox for anybody who reads it.
 *
 * device: The devices of a mailbox, as authd named them: app passwords with a view of their own.
 * Its view is what is in entry without what it dropped. epoch grows with every change of that but
 * an addition. box.review: a device was removed, so dropped has to be looked through.
 *
 * dropped: Entries that a device deleted for itself. Those that every device dropped go to trash.
 * Rows of a device that is no more mean nothing.
 *
 * imported: What imports brought into a mailbox, by a key of its source: each comes once, however
 * often an import runs.
 *
 * recipient: One for each address elsewhere, and for each of ours that is held for its sender (RFC
 * 4865): waiting, with outcome 1, until it is put into mailboxes. state: 0 waiting for
 * next_attempt, 1 held, 2 failed for good and its sender not yet told, 3 delivered, 4 failed and
 * its sender was told, 5 delivered or handed on (outcome: 1 delivered, 2 relayed, 3 expanded) and
 * its sender, who asked for it (notify), not yet told; so such a row may stand for a mailbox here.
 * status is the enhanced code (RFC 3463). The rows of a message go when all are 3 or 4. sender: the
 * reverse-path it goes with, if not that of its message (an alias sent it on). contained: it is
 * held because its sender is (queue/contain.h), and not by an administrator.
 *
 * hold: What the sender of a message asked for (hold.h), for reports about it, while there is the
 * message. who, until, octets: on whose account it waits (as in contained), till when, and how
 * large it is; until is 0 when it does not wait any more, or for nobody whose mail is counted.
 *
 * secured: Domains whose servers we spoke to through TLS: level 2 with any certificate, 3 with a
 * good one; the last time (seen); told: that it is gone was logged.
 *
 * contained: Users whose mail for elsewhere is held (queue/contain.h): a login, or "uid:1000".
 * told: 0 nobody, 1 the log, 2 the postmaster too. swept: messages up to this one were looked
 * through for what of theirs waits.
 *
 * counted: What a user sent lately, until that time (queue/counts.h has the values of what).
 *
 * addressee: That a user, by a hash of what counted.who would be, wrote to an address elsewhere, by
 * its hash (queue/addressees.h); at: when that was, within a month.
 *
 * callout: What hosts said about recipients that we are a backup for (queue/callout.h). verdict: 1
 * it exists, 2 it does not; learned: when it was said; expires: then the row goes; host: a hash of
 * its route and where that leads, as it was then.
 *
 * tlsrpt: What came of TLS with the exchangers of other domains, for a report to each (RFC 8460);
 * tlsa: the policy of DANE it went by, a row of tlsrpt_tlsa (id: a hash of base and records), or 0.
 * tlsrpt_post: Reports that are to be posted to a URL (octets: gzip); report: the number in their
 * report-id; next: when it is tried.
 *
 * sts: The MTA-STS policies of other domains (RFC 8461), as the policy process fetched them; they
 * count until fetched + max_age.
 *
 * dialogue: What was said in one attempt for a message (relay/dialogue.h), for [queue] dialogues.
 * began: milliseconds since 1970; at: when it was over. upto: octets of all there ever were up to
 * this one, so that the last less the first is what there is, at most. recipient.dialogue and
 * event.dialogue name the one of their attempt, 0: none; it may be gone, and its number be that of
 * another message's.
 *
 * event: What became of a recipient at one attempt, or without one, or of the message in a mailbox
 * (queue/chronicle.h); in the order of time. past: A message that nobody needs any more, for `barid
 * trace`. Both are kept for [queue] trace.
 */
static const char version_5[] = "CREATE TABLE message ("
                                " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                " arrived INTEGER NOT NULL CHECK (arrived >= 0),"
                                " expires INTEGER NOT NULL CHECK (expires >= arrived),"
                                " sender TEXT NOT NULL CHECK (length(sender) <= 512),"
                                " client TEXT NOT NULL CHECK (length(client) <= 64),"
                                " helo TEXT NOT NULL CHECK (length(helo) <= 512),"
                                " login TEXT NOT NULL CHECK (length(login) <= 512),"
                                " size INTEGER NOT NULL CHECK (size > 0),"
                                " header INTEGER NOT NULL CHECK (header BETWEEN 0 AND size),"
                                " flags INTEGER NOT NULL CHECK (flags BETWEEN 0 AND 255),"
                                " warned INTEGER NOT NULL CHECK (warned IN (0, 1)),"
                                " spooled INTEGER NOT NULL CHECK (spooled IN (0, 1)),"
                                " ret INTEGER NOT NULL DEFAULT 0 CHECK (ret BETWEEN 0 AND 2),"
                                " envid TEXT NOT NULL DEFAULT '' CHECK (length(envid) <= 100),"
                                " hash BLOB NOT NULL CHECK (length(hash) = 16),"
                                " content BLOB CHECK (CASE spooled WHEN 1 THEN content IS NULL"
                                "  ELSE content IS NOT NULL AND length(content) = size END)"
                                ") STRICT;"
                                "CREATE INDEX message_spooled ON message (id) WHERE spooled = 1;"

                                "CREATE TABLE box ("
                                " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                " messages INTEGER NOT NULL CHECK (messages >= 0),"
                                " octets INTEGER NOT NULL CHECK (octets >= 0),"
                                " next_seq INTEGER NOT NULL CHECK (next_seq > 0),"
                                " forgotten INTEGER NOT NULL CHECK (forgotten IN (0, 1)),"
                                " deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted >= 0),"
                                " deleted_octets INTEGER NOT NULL DEFAULT 0"
                                "  CHECK (deleted_octets >= 0),"
                                " epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),"
                                " retention INTEGER NOT NULL DEFAULT 0 CHECK (retention >= 0),"
                                " review INTEGER NOT NULL DEFAULT 0 CHECK (review IN (0, 1))"
                                ") STRICT;"
                                "CREATE INDEX box_review ON box (id) WHERE review = 1;"

                                "CREATE TABLE entry ("
                                " box INTEGER NOT NULL REFERENCES box (id),"
                                " seq INTEGER NOT NULL CHECK (seq > 0),"
                                " message INTEGER NOT NULL REFERENCES message (id),"
                                " octets INTEGER NOT NULL CHECK (octets > 0),"
                                " uidl TEXT CHECK (length(uidl) BETWEEN 1 AND 70),"
                                " PRIMARY KEY (box, seq),"
                                " UNIQUE (message, box)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE UNIQUE INDEX entry_uidl ON entry (box, uidl)"
                                " WHERE uidl IS NOT NULL;"

                                "CREATE TABLE device ("
                                " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                " box INTEGER NOT NULL REFERENCES box (id),"
                                " name TEXT NOT NULL CHECK (length(name) <= 64),"
                                " epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0)"
                                ") STRICT;"
                                "CREATE INDEX device_box ON device (box);"

                                "CREATE TABLE dropped ("
                                " box INTEGER NOT NULL,"
                                " seq INTEGER NOT NULL,"
                                " device INTEGER NOT NULL CHECK (device > 0),"
                                " PRIMARY KEY (box, seq, device),"
                                " FOREIGN KEY (box, seq) REFERENCES entry (box, seq)"
                                "  ON DELETE CASCADE"
                                ") STRICT, WITHOUT ROWID;"

                                "CREATE TABLE trash ("
                                " box INTEGER NOT NULL REFERENCES box (id),"
                                " seq INTEGER NOT NULL CHECK (seq > 0),"
                                " message INTEGER NOT NULL REFERENCES message (id),"
                                " octets INTEGER NOT NULL CHECK (octets > 0),"
                                " uidl TEXT CHECK (length(uidl) BETWEEN 1 AND 70),"
                                " at INTEGER NOT NULL CHECK (at >= 0),"
                                " PRIMARY KEY (box, seq)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX trash_message ON trash (message);"
                                "CREATE INDEX trash_at ON trash (at);"

                                "CREATE TABLE removal ("
                                " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                " box INTEGER NOT NULL REFERENCES box (id),"
                                " at INTEGER NOT NULL CHECK (at >= 0),"
                                " device INTEGER NOT NULL DEFAULT 0 CHECK (device >= 0),"
                                " sequences BLOB NOT NULL CHECK (length(sequences) > 0"
                                "  AND length(sequences) % 8 = 0)"
                                ") STRICT;"
                                "CREATE INDEX removal_box ON removal (box);"

                                "CREATE TABLE imported ("
                                " box INTEGER NOT NULL REFERENCES box (id),"
                                " source BLOB NOT NULL CHECK (length(source) = 16),"
                                " PRIMARY KEY (box, source)"
                                ") STRICT, WITHOUT ROWID;"

                                "CREATE TABLE recipient ("
                                " message INTEGER NOT NULL REFERENCES message (id),"
                                " number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 4294967295),"
                                " address TEXT NOT NULL CHECK (length(address) BETWEEN 1 AND 512),"
                                " domain TEXT NOT NULL CHECK (length(domain) BETWEEN 1 AND 512),"
                                " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),"
                                " attempts INTEGER NOT NULL CHECK (attempts >= 0),"
                                " next_attempt INTEGER NOT NULL CHECK (next_attempt >= 0),"
                                " status TEXT NOT NULL CHECK (length(status) <= 16),"
                                " remote TEXT NOT NULL CHECK (length(remote) <= 400),"
                                " last_reply TEXT NOT NULL CHECK (length(last_reply) <= 512),"
                                " last_attempt INTEGER NOT NULL DEFAULT 0"
                                " CHECK (last_attempt >= 0),"
                                " outcome INTEGER NOT NULL DEFAULT 0"
                                " CHECK (outcome BETWEEN 0 AND 3),"
                                " notify INTEGER NOT NULL DEFAULT 0"
                                " CHECK (notify BETWEEN 0 AND 8),"
                                " orcpt TEXT NOT NULL DEFAULT '' CHECK (length(orcpt) <= 500),"
                                " PRIMARY KEY (message, number)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX recipient_due ON recipient (state, next_attempt);"
                                "CREATE INDEX recipient_domain ON recipient (domain);"

                                "CREATE TABLE event ("
                                " id INTEGER PRIMARY KEY,"
                                " message INTEGER NOT NULL,"
                                " at INTEGER NOT NULL,"
                                " what TEXT NOT NULL CHECK (length(what) <= 16),"
                                " address TEXT NOT NULL CHECK (length(address) <= 512),"
                                " remote TEXT NOT NULL CHECK (length(remote) <= 400),"
                                " tls TEXT NOT NULL CHECK (length(tls) <= 200),"
                                " reply TEXT NOT NULL CHECK (length(reply) <= 512)"
                                ") STRICT;"
                                "CREATE INDEX event_message ON event (message);"

                                "CREATE TABLE past ("
                                " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                " arrived INTEGER NOT NULL,"
                                " gone INTEGER NOT NULL,"
                                " sender TEXT NOT NULL CHECK (length(sender) <= 512),"
                                " client TEXT NOT NULL CHECK (length(client) <= 64),"
                                " login TEXT NOT NULL CHECK (length(login) <= 512),"
                                " size INTEGER NOT NULL CHECK (size > 0),"
                                " message_id TEXT NOT NULL CHECK (length(message_id) <= 250)"
                                ") STRICT;"
                                "CREATE INDEX past_gone ON past (gone);"
                                "CREATE INDEX past_message_id ON past (message_id)"
                                " WHERE message_id <> '';";

static const char version_6[] = "CREATE TABLE secured ("
                                " domain TEXT PRIMARY KEY NOT NULL"
                                "  CHECK (length(domain) BETWEEN 1 AND 255),"
                                " level INTEGER NOT NULL CHECK (level IN (2, 3)),"
                                " seen INTEGER NOT NULL CHECK (seen >= 0),"
                                " told INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX secured_seen ON secured (seen);"

                                "CREATE TABLE contained ("
                                " who TEXT PRIMARY KEY NOT NULL"
                                "  CHECK (length(who) BETWEEN 1 AND 512),"
                                " since INTEGER NOT NULL CHECK (since >= 0),"
                                " why TEXT NOT NULL CHECK (length(why) <= 200),"
                                " told INTEGER NOT NULL CHECK (told BETWEEN 0 AND 2),"
                                " swept INTEGER NOT NULL CHECK (swept >= 0)"
                                ") STRICT, WITHOUT ROWID;"

                                "ALTER TABLE recipient ADD COLUMN sender TEXT NOT NULL DEFAULT ''"
                                " CHECK (length(sender) <= 512);"

                                "CREATE TABLE sts ("
                                " domain TEXT PRIMARY KEY NOT NULL"
                                "  CHECK (length(domain) BETWEEN 1 AND 255),"
                                " id TEXT NOT NULL CHECK (length(id) <= 32),"
                                " mode INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 2),"
                                " fetched INTEGER NOT NULL CHECK (fetched >= 0),"
                                " max_age INTEGER NOT NULL CHECK (max_age >= 0),"
                                " mx BLOB NOT NULL CHECK (length(mx) <= 20000)"
                                ") STRICT, WITHOUT ROWID;";

/* What was there before may have been an id. */
static const char version_7[] = "ALTER TABLE box ADD COLUMN first_id INTEGER NOT NULL DEFAULT 0"
                                " CHECK (first_id >= 0);"
                                "ALTER TABLE box ADD COLUMN taken_id INTEGER NOT NULL DEFAULT 0"
                                " CHECK (taken_id >= 0);"
                                "CREATE TABLE uidl ("
                                " box INTEGER NOT NULL REFERENCES box (id),"
                                " uidl TEXT NOT NULL CHECK (length(uidl) BETWEEN 1 AND 70),"
                                " PRIMARY KEY (box, uidl)"
                                ") STRICT, WITHOUT ROWID;"
                                "INSERT OR IGNORE INTO uidl SELECT box, uidl FROM entry"
                                " WHERE uidl IS NOT NULL;"
                                "INSERT OR IGNORE INTO uidl SELECT box, uidl FROM trash"
                                " WHERE uidl IS NOT NULL;"
                                "UPDATE box SET taken_id = 9223372036854775807"
                                " WHERE id IN (SELECT box FROM uidl);"

                                "ALTER TABLE box ADD COLUMN domain INTEGER NOT NULL DEFAULT 0"
                                " CHECK (domain >= 0);"
                                "CREATE TABLE keep ("
                                " domain INTEGER PRIMARY KEY CHECK (domain > 0),"
                                " seconds INTEGER NOT NULL CHECK (seconds > 0)"
                                ") STRICT;"

                                "CREATE TABLE dialogue ("
                                " id INTEGER PRIMARY KEY,"
                                " message INTEGER NOT NULL,"
                                " began INTEGER NOT NULL CHECK (began >= 0),"
                                " at INTEGER NOT NULL CHECK (at >= 0),"
                                " remote TEXT NOT NULL CHECK (length(remote) <= 400),"
                                " tls TEXT NOT NULL CHECK (length(tls) <= 200),"
                                " upto INTEGER NOT NULL CHECK (upto >= 0),"
                                " text TEXT NOT NULL CHECK (length(text) <= 8192)"
                                ") STRICT;"
                                "CREATE INDEX dialogue_message ON dialogue (message);"

                                "ALTER TABLE recipient ADD COLUMN dialogue INTEGER NOT NULL"
                                " DEFAULT 0 CHECK (dialogue >= 0);"
                                "ALTER TABLE event ADD COLUMN dialogue INTEGER NOT NULL"
                                " DEFAULT 0 CHECK (dialogue >= 0);"

                                "CREATE TABLE tlsrpt ("
                                " day INTEGER NOT NULL CHECK (day >= 0),"
                                " domain TEXT NOT NULL"
                                "  CHECK (length(domain) BETWEEN 1 AND 255),"
                                " policy INTEGER NOT NULL CHECK (policy BETWEEN 0 AND 2),"
                                " result INTEGER NOT NULL CHECK (result BETWEEN 1 AND 6),"
                                " host TEXT NOT NULL CHECK (length(host) <= 255),"
                                " address TEXT NOT NULL CHECK (length(address) <= 64),"
                                " n INTEGER NOT NULL CHECK (n > 0),"
                                " PRIMARY KEY (day, domain, policy, result, host, address)"
                                ") STRICT, WITHOUT ROWID;";

static const char version_8[] = "CREATE TABLE counted ("
                                " who TEXT NOT NULL CHECK (length(who) BETWEEN 1 AND 512),"
                                " what INTEGER NOT NULL CHECK (what BETWEEN 0 AND 15),"
                                " n INTEGER NOT NULL CHECK (n >= 0),"
                                " until INTEGER NOT NULL CHECK (until >= 0),"
                                " PRIMARY KEY (who, what)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX counted_until ON counted (until);"

                                "CREATE TABLE hold ("
                                " message INTEGER PRIMARY KEY REFERENCES message (id)"
                                "  ON DELETE CASCADE,"
                                " request TEXT NOT NULL CHECK (length(request) BETWEEN 1 AND 40)"
                                ") STRICT;"

                                "CREATE INDEX message_sender ON message (sender COLLATE NOCASE)"
                                " WHERE sender <> '';"
                                "CREATE INDEX past_sender ON past (sender COLLATE NOCASE)"
                                " WHERE sender <> '';"
                                "CREATE INDEX event_address"
                                " ON event (address COLLATE NOCASE, message)"
                                " WHERE address <> '';"

                                "CREATE TABLE addressee ("
                                " user INTEGER NOT NULL,"
                                " address INTEGER NOT NULL,"
                                " at INTEGER NOT NULL CHECK (at >= 0),"
                                " PRIMARY KEY (user, address)"
                                ") STRICT, WITHOUT ROWID;"
                                "CREATE INDEX addressee_at ON addressee (at);";

static const char version_9[] = "CREATE TABLE tlsrpt_post ("
                                " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                " report INTEGER NOT NULL,"
                                " domain TEXT NOT NULL CHECK (length(domain) BETWEEN 1 AND 255),"
                                " url TEXT NOT NULL CHECK (length(url) BETWEEN 1 AND 512),"
                                " began INTEGER NOT NULL CHECK (began >= 0),"
                                " attempts INTEGER NOT NULL CHECK (attempts >= 0),"
                                " next INTEGER NOT NULL CHECK (next >= 0),"
                                " octets BLOB NOT NULL CHECK (length(octets) BETWEEN 1 AND 65536)"
                                ") STRICT;"
                                "CREATE INDEX tlsrpt_post_next ON tlsrpt_post (next);"

                                "ALTER TABLE hold ADD COLUMN who TEXT NOT NULL DEFAULT ''"
                                " CHECK (length(who) <= 512);"
                                "ALTER TABLE hold ADD COLUMN until INTEGER NOT NULL DEFAULT 0"
                                " CHECK (until >= 0);"
                                "ALTER TABLE hold ADD COLUMN octets INTEGER NOT NULL DEFAULT 0"
                                " CHECK (octets >= 0);"
                                "CREATE INDEX hold_who ON hold (who, until, octets)"
                                " WHERE until > 0;"

                                "ALTER TABLE tlsrpt RENAME TO tlsrpt_of_8;"
                                "CREATE TABLE tlsrpt ("
                                " day INTEGER NOT NULL CHECK (day >= 0),"
                                " domain TEXT NOT NULL"
                                "  CHECK (length(domain) BETWEEN 1 AND 255),"
                                " policy INTEGER NOT NULL CHECK (policy BETWEEN 0 AND 2),"
                                " result INTEGER NOT NULL CHECK (result BETWEEN 1 AND 31),"
                                " host TEXT NOT NULL CHECK (length(host) <= 255),"
                                " address TEXT NOT NULL CHECK (length(address) <= 64),"
                                " n INTEGER NOT NULL CHECK (n > 0),"
                                " PRIMARY KEY (day, domain, policy, result, host, address)"
                                ") STRICT, WITHOUT ROWID;"
                                "INSERT INTO tlsrpt SELECT * FROM tlsrpt_of_8;"
                                "DROP TABLE tlsrpt_of_8;";

static const char version_10[] = "CREATE TABLE callout ("
                                 " id INTEGER PRIMARY KEY CHECK (id > 0),"
                                 " address TEXT NOT NULL UNIQUE"
                                 "  CHECK (length(address) BETWEEN 1 AND 512),"
                                 " verdict INTEGER NOT NULL CHECK (verdict IN (1, 2)),"
                                 " learned INTEGER NOT NULL CHECK (learned >= 0),"
                                 " expires INTEGER NOT NULL CHECK (expires >= learned),"
                                 " host INTEGER NOT NULL CHECK (host > 0)"
                                 ") STRICT;"
                                 "CREATE INDEX callout_expires ON callout (expires);"
                                 "CREATE INDEX callout_nobody ON callout (expires)"
                                 " WHERE verdict = 2;"
                                 "CREATE INDEX callout_host ON callout (host, expires);"

                                 "ALTER TABLE recipient ADD COLUMN contained INTEGER NOT NULL"
                                 " DEFAULT 0 CHECK (contained IN (0, 1));"
                                 "UPDATE recipient SET contained = 1 WHERE state = 1 AND"
                                 " last_reply ="
                                 " 'held, as its sender is contained: see barid user show';"
                                 "CREATE INDEX recipient_contained ON recipient (message)"
                                 " WHERE contained = 1;"

                                 "ALTER TABLE tlsrpt RENAME TO tlsrpt_of_9;"
                                 "CREATE TABLE tlsrpt ("
                                 " day INTEGER NOT NULL CHECK (day >= 0),"
                                 " domain TEXT NOT NULL"
                                 "  CHECK (length(domain) BETWEEN 1 AND 255),"
                                 " policy INTEGER NOT NULL CHECK (policy BETWEEN 0 AND 2),"
                                 " tlsa INTEGER NOT NULL CHECK (tlsa >= 0),"
                                 " result INTEGER NOT NULL CHECK (result BETWEEN 1 AND 31),"
                                 " host TEXT NOT NULL CHECK (length(host) <= 255),"
                                 " address TEXT NOT NULL CHECK (length(address) <= 64),"
                                 " helo TEXT NOT NULL CHECK (length(helo) <= 255),"
                                 " source TEXT NOT NULL CHECK (length(source) <= 64),"
                                 " because TEXT NOT NULL CHECK (length(because) <= 100),"
                                 " n INTEGER NOT NULL CHECK (n > 0),"
                                 " PRIMARY KEY (day, domain, policy, tlsa, result, host, address,"
                                 "  helo, source, because)"
                                 ") STRICT, WITHOUT ROWID;"
                                 "INSERT INTO tlsrpt SELECT day, domain, policy, 0, result, host,"
                                 " address, '', '', '', n FROM tlsrpt_of_9"
                                 /* a damaged row of statistics stops nothing */
                                 " WHERE typeof(day) = 'integer' AND typeof(domain) = 'text'"
                                 " AND typeof(policy) = 'integer' AND typeof(result) = 'integer'"
                                 " AND typeof(host) = 'text' AND typeof(address) = 'text'"
                                 " AND typeof(n) = 'integer';"
                                 "DROP TABLE tlsrpt_of_9;"
                                 "CREATE TABLE tlsrpt_tlsa ("
                                 " day INTEGER NOT NULL CHECK (day >= 0),"
                                 " domain TEXT NOT NULL"
                                 "  CHECK (length(domain) BETWEEN 1 AND 255),"
                                 " id INTEGER NOT NULL CHECK (id > 0),"
                                 " base TEXT NOT NULL CHECK (length(base) <= 255),"
                                 " records BLOB NOT NULL CHECK (length(records) <= 2048),"
                                 " PRIMARY KEY (day, domain, id)"
                                 ") STRICT, WITHOUT ROWID;";

const char *const maildb_migrations[MAILDB_VERSION] = {
    NULL, NULL, NULL, NULL, version_5, version_6, version_7, version_8, version_9, version_10};
