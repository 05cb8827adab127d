"""barid sql: what may be asked, with the daemons and without them, and what may not."""

import os
import re
import signal

from harness import message, wait_until
from relaying import RelayTest, wait_for_state

FROM = "alice@example.org"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
PROMISE = {
    "queue": "id, sender, size, arrived, expires, login, client, helo, recipients, waiting, attempts, next_attempt",
    "recipients": "message, number, address, domain, state, attempts, next_attempt, last_attempt, status, remote, "
                  "last_reply, attempt, contained",
    "attempts": "message, time, event, address, remote, tls, reply, attempt",
    "dialogues": "message, attempt, began, over, remote, tls, text",
    "finished": "id, sender, size, arrived, gone, login, client, message_id",
    "mailboxes": "address, box, messages, octets, deleted, deleted_octets",
    "callouts": "address, verdict, learned, expires",
}
COUNTING = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT "
REFUSED = [
    "INSERT INTO queue VALUES (1)", "DELETE FROM recipients", "UPDATE message SET sender = 'x'", "DROP VIEW queue",
    "DROP TABLE message", "CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)", "CREATE TEMP VIEW x AS SELECT content FROM message",
    "PRAGMA query_only = OFF", "PRAGMA table_info(message)", "SELECT * FROM pragma_table_info('message')",
    "ATTACH DATABASE 'mail.db' AS other", "ATTACH '../authd/users.db' AS u", "VACUUM INTO '/tmp/copy.db'", "VACUUM",
    "SELECT load_extension('x')", "SELECT content FROM message", "SELECT * FROM main.message",
    "SELECT * FROM sqlite_schema", "SELECT * FROM sqlite_temp_master", "SELECT * FROM sqlite_dbpage", "SELECT * FROM imported",
    "WITH queue AS (SELECT content FROM message) SELECT * FROM queue",
    "WITH queue AS (SELECT hash FROM message) SELECT * FROM queue",
    "WITH queue AS (SELECT * FROM contained) SELECT * FROM queue",
    "SELECT * FROM (SELECT content FROM message) AS queue", "BEGIN", "SAVEPOINT x", "REINDEX", "ANALYZE",
    "SELECT 1; SELECT 2", "SELECT 1; DELETE FROM queue", " ", ";", "/* nothing */", "SELEC 1", "SELECT * FROM nowhere",
    "EXPLAIN DELETE FROM message",
]


class Sql(RelayTest):
    def ask(self, suite, query, *options):
        return suite.cli("sql", query, *options, json=True)

    def filled(self):
        """One message that waits, one that is done, one in a mailbox."""
        suite, remote = self.routed({"replies": {}})
        suite.send(FROM, ["dave@remote.example"], message("the first one"))
        remote.wait(1)
        wait_until(lambda: self.ask(suite, "SELECT * FROM finished"), 30, "the first to be finished")
        remote.script["replies"]["RCPT"] = "451 4.7.1 not now"
        suite.send(FROM, ["carol@remote.example"], message("the text"))
        wait_for_state(suite, "carol@remote.example", "deferred")
        suite.send(FROM, ["bob@example.org"], message("local"))
        return suite

    def check_all(self, suite):
        (waiting,) = self.ask(suite, "SELECT * FROM queue")
        self.assertEqual((waiting["sender"], waiting["recipients"], waiting["waiting"], waiting["attempts"]), (FROM, 1, 1, 1))
        self.assertRegex(waiting["arrived"], TIME)
        self.assertRegex(waiting["next_attempt"], TIME)
        (recipient,) = self.ask(suite, "SELECT * FROM recipients")
        self.assertEqual((recipient["message"], recipient["address"], recipient["state"]),
                         (waiting["id"], "carol@remote.example", "deferred"))
        self.assertIn("451 4.7.1 not now", recipient["last_reply"])
        (said,) = self.ask(suite, "SELECT d.text FROM dialogues d JOIN recipients r USING (message, attempt)")
        self.assertRegex(said["text"], r"(?m)^\d+ < 451 4\.7\.1 not now$")
        events = self.ask(suite, "SELECT event, address FROM attempts ORDER BY time, address DESC")
        self.assertEqual(sorted((e["event"], e["address"]) for e in events),
                         [("deferred", "carol@remote.example"), ("delivered", "dave@remote.example")])
        (gone,) = self.ask(suite, "SELECT * FROM finished")
        self.assertRegex(gone["gone"], TIME)
        self.assertEqual(self.ask(suite, "SELECT address, messages FROM mailboxes"), [{"address": "bob@example.org", "messages": 1}])
        return waiting["id"]

    def test_with_the_daemons_and_without(self):
        suite = self.filled()
        waiting = self.check_all(suite)
        self.assertEqual(waiting, suite.queue()[0]["id"])
        self.assertRegex(suite.cli("sql", "SELECT address, state FROM recipients"),
                         r"ADDRESS +STATE\ncarol@remote\.example +deferred\n")
        suite.stop()
        self.check_all(suite)

    def test_after_a_crash(self):
        suite = self.filled()
        for pid in [*suite.pids_of("queue"), suite.process.pid]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: suite.process.poll() is not None, 30, "the end")
        self.check_all(suite)

    def test_the_columns_are_a_promise(self):
        suite = self.suite()
        listed = {row["view"]: row["columns"] for row in suite.cli("sql", json=True)}
        self.assertEqual(listed, PROMISE)
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, "../../../doc/SQL.md"), encoding="utf-8") as f:
            documented = dict(re.findall(r"^\| (\w+) \| ([\w, ]+) \|", f.read(), re.M))
        del documented["view"]
        self.assertEqual(documented, PROMISE)
        with open(os.path.join(here, "../../../man/barid-sql.1"), encoding="utf-8") as f:
            page = f.read().replace("\n", " ")
        for columns in PROMISE.values():
            self.assertIn(columns + ".", page)
        for view in PROMISE:
            self.assertEqual(self.ask(suite, f"SELECT * FROM {view}"), [])

    def test_what_is_refused(self):
        suite = self.filled()
        for query in REFUSED:
            with self.subTest(query):
                status, out, err = suite.run("sql", query)
                self.assertEqual((status, out), (1, ""), err)
                self.assertRegex(err, r"^barid: .+\n$")
        self.check_all(suite)
        self.assertEqual(suite.run("sql", "SELECT 1", "2")[0], 2)
        self.assertEqual(suite.run("sql", "--limit", "0", "SELECT 1")[0], 2)
        self.assertEqual(suite.run("sql", "--timeout", "1000", "SELECT 1")[0], 2)

    def test_limits_are_said(self):
        suite = self.suite()
        status, out, err = suite.run("sql", COUNTING + "x FROM c", "--limit", "5", "--json")
        self.assertEqual((status, out.count('"x"')), (0, 5))
        self.assertIn("only the first 5 rows", err)
        status, out, err = suite.run("sql", COUNTING + "count(*) FROM c", "--timeout", "1", "--json")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("stopped after 1 seconds", err)
        status, out, err = suite.run("sql", "SELECT hex(zeroblob(500000000))")
        self.assertEqual((status, out), (1, ""), err[:500])

    def test_kinds_of_values(self):
        suite = self.suite()
        (row,) = self.ask(suite, "SELECT 1 AS a, 1.5 AS b, 'x' || char(10) || '\"' AS c, NULL AS d, -9223372036854775808 AS e")
        self.assertEqual(row, {"a": 1, "b": 1.5, "c": 'x\n"', "d": None, "e": -(1 << 63)})
