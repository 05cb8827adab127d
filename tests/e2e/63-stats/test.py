"""barid stats counts what is done, in all its processes; Prometheus can read it."""

import re
import smtplib

from harness import message, wait_until
from relaying import RelayTest, wait_for_state

SENDER = "eve@client.example"


class Stats(RelayTest):
    def stats(self, suite):
        return suite.cli("stats", json=True)

    def totals(self, suite):
        return {name: c["total"] for name, c in self.stats(suite)["counters"].items()}

    def test_what_is_done_is_counted(self):
        suite, _ = self.routed({"replies": {"RCPT": {"later@remote.example": "450 4.2.1 busy",
                                                     "never@remote.example": "550 5.1.1 unknown"}}})
        before = self.totals(suite)
        for n in range(5):
            suite.send(SENDER, ["alice@example.org", "bob@example.org"], message(f"number {n}"))
        with suite.smtp() as client, self.assertRaises(smtplib.SMTPRecipientsRefused):
            client.sendmail(SENDER, ["nobody@example.org"], message())
        suite.send("alice@example.org", ["yes@remote.example", "later@remote.example", "never@remote.example"],
                   message())
        wait_for_state(suite, "later@remote.example", "deferred")
        suite.wait_for_mail("alice", 6)  # five, and the bounce; a login
        with self.assertRaises(AssertionError):
            suite.pop3("alice", "wrong")
        after = self.totals(suite)
        counted = {name: after[name] - before[name] for name in after}
        expected = {"smtp_connections": 7, "smtp_accepted": 6, "smtp_refused": 1, "smtp_turned_away": 0,
                    "accepted": 6, "refused": 0, "delivered_local": 10, "delivered": 1, "deferred": 1, "bounced": 1,
                    "reports": 1, "pop3_connections": 2, "pop3_retrieved": 6, "logins": 1, "logins_failed": 1,
                    "relay_connections": 1}
        self.assertEqual({name: counted[name] for name in expected}, expected)
        self.assertGreaterEqual(counted["commits"], 3)
        self.assertLessEqual(counted["commits_of_mail"], 6)

    def test_the_shape(self):
        suite = self.suite()
        suite.send(SENDER, ["alice@example.org"], message())
        said = self.stats(suite)
        self.assertEqual(said["processes"], suite.status()["processes"])
        self.assertEqual(said["listeners"], suite.status()["listeners"])
        self.assertEqual(said["queue"], {"due": 0, "deferred": 0, "held": 0})
        self.assertEqual(said["commit"]["messages_per_commit"], 1)
        self.assertGreater(said["commit"]["per_second"], 0)
        for name, times in said["latencies"].items():
            self.assertLessEqual(times["p50_ms"], times["p99_ms"], name)
            self.assertLessEqual(times["p99_ms"], times["max_ms"], name)
        self.assertGreater(said["latencies"]["accept"]["p99_ms"], 0)
        accepted = said["counters"]["accepted"]
        self.assertEqual((accepted["total"], accepted["last_minute"]), (1, 1))
        self.assertIn("accepted: messages taken", suite.cli("stats"))

    def test_sessions_come_and_go(self):
        suite = self.suite()
        wire = suite.wire()
        session = suite.pop3()
        gauges = self.stats(suite)["gauges"]
        self.assertEqual((gauges["smtp_sessions"], gauges["pop3_sessions"]), (1, 1))
        wire.close()
        session.quit()
        wait_until(lambda: self.stats(suite)["gauges"] == {**gauges, "smtp_sessions": 0, "pop3_sessions": 0})

    def test_a_process_that_died_begins_anew_and_hides_nobody(self):
        suite = self.suite()
        suite.send(SENDER, ["alice@example.org"], message())
        suite.kill("queue")
        wait_until(lambda: self.totals(suite).get("accepted") == 0)
        self.assertEqual(self.totals(suite)["smtp_accepted"], 1)

    def test_prometheus(self):
        """Every line is of the text format; each family has its help and type once, in front of its samples."""
        suite = self.suite()
        for _ in range(3):
            suite.send(SENDER, ["alice@example.org"], message())
        text = suite.cli("stats", "--prometheus")
        families, samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split()[2]
                self.assertNotIn(family, families)
                families[family] = None
            elif line.startswith("# TYPE "):
                _, _, family, kind = line.split()
                self.assertIn(kind, ("counter", "gauge", "histogram"))
                families[family] = kind
            else:
                match = re.fullmatch(r'([a-z_:][a-z0-9_]*)(\{[a-z]+="[^"\\]*"\})? ([0-9.]+)', line)
                self.assertTrue(match, line)
                name = re.sub(r"_(bucket|sum|count)$", "", match[1]) if kind == "histogram" else match[1]
                self.assertEqual(name, family, line)
                self.assertNotIn((match[1], match[2]), samples)
                samples[match[1], match[2]] = float(match[3])
                self.assertTrue(match[1].startswith("barid_"))
        self.assertEqual(samples["barid_accepted_total", None], 3)
        self.assertEqual(samples["barid_commit_seconds_bucket", '{le="+Inf"}'], samples["barid_commit_seconds_count", None])
        for family, kind in families.items():
            if kind == "histogram":
                counts = [n for (name, _), n in samples.items() if name == family + "_bucket"]
                self.assertEqual(counts, sorted(counts), family)
        self.assertEqual(suite.run("stats", "--prometheus", "--json")[0], 2)

    def test_nobody_runs(self):
        suite = self.suite()
        suite.stop()
        status, stdout, stderr = suite.run("stats")
        self.assertEqual((status, stdout), (1, ""))
        self.assertIn("not running", stderr)
