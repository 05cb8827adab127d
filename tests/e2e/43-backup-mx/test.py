"""Backup MX: mail for a domain whose mailboxes are on another host is taken from anybody, if it exists there,
and waits for that host; nothing is ever returned to a stranger."""

import json
import os

from harness import message, own_address, wait_until, without_trace
from relaying import RelayTest, wait_for_empty_queue, wait_for_state

STRANGER = "eve@client.example"
BOB, NOBODY, DAVE = "bob@backed.example", "nobody@backed.example", "dave@backed.example"


class BackupTest(RelayTest):
    def backup(self, zone=None, port=25, allow_from="192.0.2.0/24", recipients=None, relay=None, **route):
        """A suite that is the backup for backed.example."""
        route = {"to": "mx", "backup_mx": "yes", **route}
        config = {"route backed.example": route}
        if zone is not None:
            dns = self.dns(zone)
            config["dns"] = {"server": f"{dns.host}@{dns.port}"}
        if recipients is not None:
            route["recipients"] = self.file(recipients)
        return self.suite(config=config, relay={"port": port, "allow_from": allow_from, **(relay or {})})

    def file(self, text):
        path = f"/tmp/barid-recipients-{os.getpid()}-{id(self)}"
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o644)
        self.addCleanup(os.unlink, path)
        return path

    def rcpt(self, suite, *addresses):
        """[(code, text)] for each as a stranger's recipient, in one transaction."""
        with suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask(f"MAIL FROM:<{STRANGER}>")
            answers = [wire.ask(f"RCPT TO:<{a}>") for a in addresses]
            return [(code, texts[0]) for code, texts in answers]

    def explain(self, suite, rcpt):
        status, stdout, stderr = suite.run("explain", "--from", STRANGER, "--to", rcpt, "--json")
        self.assertIn(status, (0, 1), stderr)
        return json.loads(stdout)


def zone(primary, own="127.0.0.1"):
    """The primary is better than we are."""
    return {"backed.example": {"MX": [[10, "primary.example"], [20, "mx.example.org"], [30, "worse.example"]]},
            "primary.example": {"A": [primary]}, "mx.example.org": {"A": [own]},
            "worse.example": {"A": [own]}}


class ByList(BackupTest):
    def test_only_who_is_listed_is_taken_and_kept_for_the_primary(self):
        port, (primary,) = self.remotes({})
        suite = self.backup(zone(primary.host), port, recipients=f"# ours\n{BOB}\nDave@Backed.Example\n")
        answers = self.rcpt(suite, BOB, NOBODY, "DAVE@backed.example", "postmaster@backed.example",
                            "carol@elsewhere.example")
        self.assertEqual([code for code, _ in answers], [250, 550, 250, 250, 550])
        self.assertTrue(answers[1][1].startswith("5.1.1"), answers)
        self.assertTrue(answers[4][1].startswith("5.7.1"), answers)
        content = message("kept for another host")
        suite.send(STRANGER, [BOB], content)
        got = primary.wait(1)[0]
        self.assertEqual((got["from"], got["rcpts"]), (STRANGER, [BOB]))
        self.assertEqual(without_trace(got["data"]), content)
        wait_for_empty_queue(suite)

    def test_while_the_primary_is_gone_it_waits_and_nothing_comes_back(self):
        """Neither we nor who is worse than we are take it: that would be a loop."""
        port, (gone, worse) = self.remotes(None, {})
        suite = self.backup(zone(gone, worse.host), port, recipients=BOB)
        suite.send(STRANGER, [BOB], message())
        recipient = wait_for_state(suite, BOB, "deferred")
        self.assertNotIn("554", recipient["last_reply"])
        self.assertEqual(worse.connections, 0)
        primary = self.remote({}, gone, port)
        message_id = suite.queue()[0]["id"]
        suite.cli("queue", "retry", message_id)
        self.assertEqual(primary.wait(1)[0]["rcpts"], [BOB])
        wait_for_empty_queue(suite)
        trace = suite.run("trace", message_id)[1]
        self.assertIn("deferred", trace)
        self.assertIn("delivered", trace)

    def test_no_better_mx_than_we_are(self):
        """The DNS says that we are the best: that is put right by people, not by bounces."""
        own = own_address()
        suite = self.backup({"backed.example": {"MX": [[10, "mx.example.org"]]}, "mx.example.org": {"A": [own]}},
                            recipients=BOB)
        suite.send(STRANGER, [BOB], message())
        self.assertIn("4.4.6", wait_for_state(suite, BOB, "deferred")["last_reply"])

    def test_a_new_list_counts_after_a_reload(self):
        suite = self.backup(recipients=BOB, to="smtp://127.0.0.1:9")
        self.assertEqual(self.rcpt(suite, DAVE)[0][0], 550)
        with open(self.list_of(suite), "a") as f:
            f.write(f"\n{DAVE}\n")
        suite.reload()
        wait_until(lambda: self.rcpt(suite, DAVE)[0][0] == 250, 30, "the new list")

    def list_of(self, suite):
        with open(suite.config_file) as f:
            return next(l.split("=")[1].strip() for l in f if l.startswith("recipients"))

    def test_explain(self):
        suite = self.backup(recipients=BOB, to="smtp://127.0.0.1:9")
        for rcpt in (BOB, NOBODY):
            said = self.explain(suite, rcpt)
            code, text = self.rcpt(suite, rcpt)[0]
            self.assertEqual(said["reply"], f"{code} {text}")
            self.assertIn("[route backed.example] backup_mx", said["rule"])
            self.assertIn("file of its recipients", said["rule"])
            self.assertIsNotNone(said["line"])


class ByCallout(BackupTest):
    SCRIPT = {"replies": {"RCPT": {NOBODY: "550 5.1.1 no such user", "busy@backed.example": "450 4.2.1 later",
                                   "barred@backed.example": "550 5.7.1 you are blocked"}}}

    def test_the_primary_says_who_exists_once(self):
        port, (primary,) = self.remotes({**self.SCRIPT})
        suite = self.backup(zone(primary.host), port, callout="yes")
        self.assertIn("asked when mail comes", self.explain(suite, BOB)["unknown"][0]["why"])
        answers = self.rcpt(suite, BOB, NOBODY, "busy@backed.example", "barred@backed.example")
        self.assertEqual([f"{code} {text[:5]}" for code, text in answers],
                         ["250 2.1.5", "550 5.1.1", "450 4.1.1", "450 4.1.1"])
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [250, 550])
        wait_until(lambda: suite.log().count(" call-out ") >= 4, 30, "the log of four questions")
        self.assertEqual(suite.log().count(" call-out "), 4)
        self.assertIn("its host said that it exists", self.explain(suite, BOB)["rule"])
        suite.send(STRANGER, [BOB], message())
        self.assertEqual([m["rcpts"] for m in primary.wait(1)], [[BOB]])
        wait_for_empty_queue(suite)
        self.assertEqual(primary.violations, [])

    def test_a_primary_without_pipelining(self):
        port, (primary,) = self.remotes({**self.SCRIPT, "ehlo": ["fake.example"]})
        suite = self.backup(zone(primary.host), port, callout="yes")
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [250, 550])
        self.assertEqual(primary.violations, [])

    def test_no_null_sender_is_no_word_about_recipients(self):
        port, (primary,) = self.remotes({"replies": {"MAIL": {"": "550 5.1.8 no null senders here", "*": "250 ok"}}})
        suite = self.backup(zone(primary.host), port, callout="yes")
        self.assertEqual(self.rcpt(suite, BOB)[0][0], 450)

    def test_when_it_is_gone_the_list_counts(self):
        port, (gone,) = self.remotes(None)
        suite = self.backup(zone(gone), port, callout="yes", recipients=BOB)
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [250, 450])


class Kept(BackupTest):
    """What the primary said outlives the process, and the primary."""

    def test_a_restart_and_the_primary_gone(self):
        port, (primary,) = self.remotes({**ByCallout.SCRIPT})
        suite = self.backup(zone(primary.host), port, callout="yes")
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [250, 550])
        said = {c["address"]: c["exists"] for c in suite.cli("callout", "list", json=True)}
        self.assertEqual(said, {BOB: True, NOBODY: False})
        primary.stop()
        suite.restart()
        # who was not asked about is put off, as there is nobody to ask
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY, DAVE)], [250, 550, 450])
        self.assertIn("its host said that it exists", self.explain(suite, BOB)["rule"])
        suite.send(STRANGER, [BOB], message("kept"))
        wait_for_state(suite, BOB, "deferred")
        primary = self.remote({}, primary.host, port)
        suite.cli("queue", "retry", "--to", BOB)
        self.assertEqual(primary.wait(1)[0]["rcpts"], [BOB])

    def test_a_kill_after_the_next_commit(self):
        port, (primary,) = self.remotes({**ByCallout.SCRIPT})
        suite = self.backup(zone(primary.host), port, callout="yes")
        suite.send(STRANGER, [BOB], message())  # its commit takes the answer along
        primary.wait(1)
        wait_for_empty_queue(suite)
        primary.stop()
        suite.kill("queue")
        wait_until(lambda: self.rcpt(suite, BOB)[0][0] == 250, 30, "the queue to answer again")
        self.assertEqual(suite.log().count(" call-out "), 1)

    def test_what_is_forgotten_is_asked_again(self):
        port, (primary,) = self.remotes({"replies": {"RCPT": {NOBODY: "550 5.1.1 no such user"}}})
        suite = self.backup(zone(primary.host), port, callout="yes")
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [250, 550])
        primary.script["replies"]["RCPT"] = {BOB: "550 5.1.1 he left"}  # and she came
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [250, 550])
        self.assertEqual(suite.cli("callout", "forget", BOB, json=True)["forgotten"], 1)
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [550, 550])
        self.assertEqual(suite.cli("callout", "forget", "@Backed.Example", json=True)["forgotten"], 2)
        self.assertEqual([a[0] for a in self.rcpt(suite, BOB, NOBODY)], [550, 250])
        self.assertEqual(suite.run("callout", "forget", "@other.example")[0], 1)
        self.assertEqual(suite.cli("stats", json=True)["counters"]["callouts"]["total"], 5)


class Configuration(BackupTest):
    def test_a_backup_that_knows_nobody_is_refused(self):
        suite = self.suite()
        with open(suite.config_file, "a") as f:
            f.write("\n[route backed.example]\nto = mx\nbackup_mx = yes\n")
        status, stdout, stderr = suite.run("check")
        self.assertEqual(status, 1)
        self.assertIn("set recipients or callout", stdout + stderr)
