"""Domains, users and aliases: the commands with the daemons up, down, and many at once."""

import json
import re
import subprocess
import unittest

from harness import PASSWORD, CommandFailed, Suite, message, wait_until
from relaying import RelayTest, wait_for_empty_queue


class Down(unittest.TestCase):
    """Nothing runs; then everything does and knows what was said."""

    def setUp(self):
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.suite.accounts_wanted = None

    def test_add_list_and_start(self):
        suite = self.suite
        suite.cli("domain", "add", "example.org")
        for user in ("alice", "bob"):
            suite.add_user(user)
        suite.cli("alias", "add", "info@example.org", "alice@example.org", "bob@example.org")
        self.assertEqual([u["address"] for u in suite.cli("user", "list", json=True)],
                         ["alice@example.org", "bob@example.org"])
        suite.start()
        suite.send("eve@client.example", ["info@example.org"], message("for all"))
        for user in ("alice", "bob"):
            self.assertEqual(len(suite.mail(user)), 1)
        suite.stop()
        suite.cli("user", "remove", "bob@example.org")
        suite.cli("user", "passwd", "alice@example.org", "--password-stdin", stdin="changed\n")
        suite.start()
        with suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask("MAIL FROM:<>")
            self.assertEqual(wire.ask("RCPT TO:<bob@example.org>")[0], 550)
        suite.pop3("alice", "changed").quit()
        suite.stop()

    def test_ten_at_once(self):
        suite = self.suite
        suite.cli("domain", "add", "example.org")
        add_at_once(self, suite, 10)


def add_at_once(test, suite, count):
    commands = [subprocess.Popen(suite.command("user", "add", f"crowd{n}@example.org", "--password-stdin"),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True) for n in range(count)]
    for command in commands:
        command.stdin.write(PASSWORD + "\n")
        command.stdin.close()
    for command in commands:
        said = command.stdout.read()
        test.assertEqual(command.wait(60), 0, said)
        command.stdout.close()
    listed = {u["address"] for u in suite.cli("user", "list", json=True)}
    test.assertLessEqual({f"crowd{n}@example.org" for n in range(count)}, listed)


class Up(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite().start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def refuses(self, *args, stdin="", status=1):
        got, out, err = self.suite.run(*args, stdin=stdin)
        self.assertEqual(got, status, f"{args}: {out}{err}")
        if status == 1:
            self.assertEqual(len(err.strip().splitlines()), 1, f"one line of what, why and what to do: {err}")
        return err

    def rcpt(self, address):
        with self.suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask("MAIL FROM:<eve@client.example>")
            return wire.ask(f"RCPT TO:<{address}>")[0]

    def test_ten_at_once(self):
        add_at_once(self, self.suite, 10)

    def test_domains(self):
        self.suite.cli("domain", "add", "second.example")
        listed = self.suite.cli("domain", "list", json=True)
        self.assertIn("second.example", json.dumps(listed))
        self.suite.add_user("zoe@second.example")
        self.assertEqual(self.rcpt("zoe@second.example"), 250)
        self.refuses("domain", "add", "second.example")
        self.refuses("domain", "add", "not a domain")
        self.refuses("domain", "remove", "second.example")  # it still has a user
        self.suite.cli("user", "remove", "zoe@second.example")
        self.suite.cli("domain", "remove", "second.example")
        self.assertEqual(self.rcpt("zoe@second.example"), 550)

    def test_user_list_json(self):
        users = self.suite.cli("user", "list", json=True)
        alice = next(u for u in users if u["address"] == "alice@example.org")
        self.assertIs(alice["disabled"], False)
        self.assertIn("quota", alice)
        self.assertIn("app_passwords", alice)

    def test_user_refusals(self):
        self.assertIn("alice@example.org", self.refuses("user", "add", "alice@example.org", "--password-stdin",
                                                        stdin="x\n"))
        self.refuses("user", "add", "someone@elsewhere.example", "--password-stdin", stdin="x\n")
        self.refuses("user", "add", "no address", "--password-stdin", stdin="x\n")
        self.refuses("user", "add", "empty@example.org", "--password-stdin", stdin="")
        self.refuses("user", "remove", "nobody-here@example.org")
        self.refuses("user", "passwd", "nobody-here@example.org", "--password-stdin", stdin="x\n")
        self.assertEqual(self.rcpt("empty@example.org"), 550)

    def test_json_error(self):
        err = self.refuses("user", "remove", "nobody-here@example.org", "--json")
        self.assertIn("nobody-here@example.org", json.loads(err)["error"])

    def test_wrong_usage(self):
        self.refuses("user", "frobnicate", status=2)
        self.refuses("frobnicate", status=2)
        self.refuses("user", "add", status=2)
        self.refuses("user", "list", "--no-such-option", status=2)

    def test_no_password_in_listing_or_log(self):
        self.suite.add_user("secretive", "a-very-secret-word")
        self.suite.pop3("secretive", "a-very-secret-word").quit()
        status, out, err = self.suite.run("user", "show", "secretive@example.org", "--json")
        self.assertEqual(status, 0, err)
        for text in (out, self.suite.log()):
            self.assertNotIn("a-very-secret-word", text)
            self.assertNotIn("$argon2", text)

    def test_a_user_who_comes_back_finds_an_empty_mailbox(self):
        self.suite.add_user("phoenix")
        self.suite.send("eve@client.example", ["phoenix@example.org"], message("old"))
        with self.suite.pop3("phoenix") as session:
            old = session.uidls()
        self.suite.cli("user", "remove", "phoenix@example.org")
        self.suite.add_user("phoenix", "new password")
        with self.suite.pop3("phoenix", "new password") as session:
            self.assertEqual(session.count(), 0)
        self.suite.send("eve@client.example", ["phoenix@example.org"], message("new"))
        with self.suite.pop3("phoenix", "new password") as session:
            self.assertNotEqual(session.uidls(), old)
            self.assertTrue(session.retr(1).endswith(b"new\r\n"))

    def test_a_full_mailbox_refuses_its_own_recipient_only(self):
        suite, both = self.suite, ["narrow@example.org", "wide@example.org"]
        for address in both:
            suite.add_user(address)
        suite.send("eve@client.example", both, message("first"))
        suite.cli("user", "quota", both[0], "100")  # it has more
        with suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask("MAIL FROM:<eve@client.example>")
            code, texts = wire.ask(f"RCPT TO:<{both[0]}>")
            self.assertEqual((code, texts[0].split()[0]), (452, "4.2.2"))
            self.assertEqual(wire.ask(f"RCPT TO:<{both[1]}>")[0], 250)
            wire.ask("DATA")
            wire.send(message("second") + b".\r\n")
            self.assertEqual(wire.reply()[0], 250)
        self.assertEqual([suite.count(address) for address in both], [1, 2])
        suite.cli("user", "quota", both[0], "10K")
        with suite.wire() as wire:  # not full, but not for this
            wire.ask("EHLO client.example")
            wire.ask("MAIL FROM:<eve@client.example> SIZE=10240")
            self.assertEqual(wire.ask(f"RCPT TO:<{both[0]}>")[0], 452)
        suite.send("eve@client.example", both, message("third"))
        self.assertEqual([suite.count(address) for address in both], [2, 3])

    def test_aliases(self):
        cli = self.suite.cli
        cli("alias", "add", "both@example.org", "alice@example.org", "bob@example.org")
        cli("alias", "add", "nested@example.org", "both@example.org")
        before = {u: self.suite.count(u) for u in ("alice", "bob")}
        self.suite.send("eve@client.example", ["nested@example.org", "alice@example.org"], message("aliased"))
        # alice is reached twice and gets one copy
        self.assertEqual({u: self.suite.count(u) - before[u] for u in before}, {"alice": 1, "bob": 1})
        self.assertIn("both@example.org", json.dumps(cli("alias", "list", json=True)))
        cli("alias", "remove", "nested@example.org")
        self.assertEqual(self.rcpt("nested@example.org"), 550)
        self.refuses("alias", "remove", "nested@example.org")

    def test_who_may_send_to_a_list(self):
        cli = self.suite.cli
        for user in ("lena", "otto"):
            self.suite.add_user(user)
        cli("alias", "add", "list@example.org", "lena@example.org", "far@remote.example")
        cli("alias", "add", "open@example.org", "list@example.org")
        cli("alias", "add", "postmaster@example.org", "lena@example.org")

        def may(sender, rcpt="list@example.org"):
            with self.suite.smtp() as client:
                client.ehlo()
                client.mail(sender)
                code, text = client.rcpt(rcpt)
            _, said, _ = self.suite.run("explain", "--from", sender or "<>", "--to", rcpt, "--json")
            self.assertEqual(json.loads(said)["accepted"], code == 250, said)
            self.assertIn(code, (250, 550), text)
            return code == 250 or re.search(rb"5\.7\.1 .*(members|users)", text).group(1)

        self.assertIs(may("eve@client.example"), True)
        cli("alias", "post", "list@example.org", "members")
        self.assertIn("members", [a["post"] for a in cli("alias", "list", json=True) if a["address"] == "list@example.org"])
        for sender in ("lena@example.org", "LENA+x@Example.org", "far@remote.example", "Far@REMOTE.example"):
            self.assertIs(may(sender), True, sender)
        for sender in ("eve@client.example", "otto@example.org", "far@remote.example.net", ""):
            self.assertEqual(may(sender), b"members", sender)
        self.assertEqual(may("eve@client.example", "List+x@example.org"), b"members")
        self.assertIs(may("eve@client.example", "open@example.org"), True)  # that one has no rule
        cli("alias", "post", "list@example.org", "users")
        for sender in ("eve@client.example", "lena@example.org"):  # who says so need not be her
            self.assertEqual(may(sender), b"users", sender)
        status, _, stderr = self.suite.run("send", "-f", "otto@example.org", "list@example.org", stdin="Subject: x\n\nposted\n")
        self.assertEqual((status, stderr), (0, ""))
        self.suite.wait_for_mail("lena")
        self.suite.restart()
        self.assertEqual(may("eve@client.example"), b"users")
        # its last targets would take the rule with them
        self.refuses("alias", "remove", "list@example.org", "lena@example.org", "far@remote.example")
        self.assertEqual(may("eve@client.example"), b"users")
        cli("alias", "post", "list@example.org", "anyone")
        self.assertIs(may("eve@client.example"), True)
        for args in (("list@example.org", "nobody"), ("other@example.org", "users"), ("postmaster@example.org", "users")):
            self.refuses("alias", "post", *args)

    def test_alias_loop_ends(self):
        """An alias that leads only to itself is refused when made, or not accepted at RCPT; it never hangs."""
        self.suite.run("alias", "add", "ping@example.org", "pong@example.org")
        self.suite.run("alias", "add", "pong@example.org", "ping@example.org")
        self.assertIn(self.rcpt("ping@example.org") // 100, (4, 5))

    def test_catch_all(self):
        self.suite.cli("domain", "add", "catch.example")
        self.suite.add_user("keeper@catch.example")
        self.suite.cli("alias", "add", "@catch.example", "keeper@catch.example")
        self.refuses("alias", "post", "@catch.example", "users")
        self.suite.send("eve@client.example", ["whoever@catch.example"], message("caught"))
        self.suite.send("eve@client.example", ["keeper@catch.example"], message("direct"))
        self.assertEqual(len(self.suite.mail("keeper@catch.example")), 2)
        self.assertEqual(self.rcpt("whoever@example.org"), 550)

    def test_plus_addressing(self):
        self.suite.add_user("tagged")
        self.suite.send("eve@client.example", ["tagged+one@example.org", "Tagged+TWO@Example.Org"], message())
        self.assertGreaterEqual(self.suite.count("tagged"), 1)
        self.assertEqual(self.rcpt("nobody-here+tag@example.org"), 550)

    def test_mailbox_show_and_list(self):
        self.suite.add_user("boxed")
        for n in range(3):
            self.suite.send("eve@client.example", ["boxed@example.org"], message(f"number {n}"))
        shown = self.suite.cli("mailbox", "show", "boxed@example.org", json=True)
        self.assertEqual((shown["address"], shown["messages"]), ("boxed@example.org", 3))
        with self.suite.pop3("boxed") as session:
            self.assertEqual(int(session.ask("STAT").split()[2]), shown["octets"])
        self.assertRegex(shown["oldest"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertIn("quota", shown)
        self.assertIn("deleted", shown)
        self.assertIn("last_login", shown)
        listed = self.suite.cli("mailbox", "list", json=True)
        self.assertIn({"address": "boxed@example.org", "messages": 3},
                      [{k: m[k] for k in ("address", "messages")} for m in listed])
        self.refuses("mailbox", "show", "nobody-here@example.org")

    def test_status_json(self):
        status = self.suite.status()
        self.assertTrue(status["version"])
        roles = {p["role"] for p in status["processes"]}
        self.assertEqual(roles, {"parent", "smtpd", "authd", "queue", "relay", "mailbox", "pop3d", "resolver", "keyd",
                                 "policy"})
        for process in status["processes"]:
            self.assertIsInstance(process["pid"], int)
            self.assertRegex(process["since"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
            self.assertEqual(process["restarts"], 0)
        listeners = {(entry["kind"], entry["address"]) for entry in status["listeners"]}
        self.assertEqual(listeners, {("smtp", "%s:%d" % self.suite.smtp_address),
                                     ("pop3", "%s:%d" % self.suite.pop3_address)})
        self.assertEqual({k: status["queue"][k] for k in ("due", "deferred", "held")},
                         {"due": 0, "deferred": 0, "held": 0})

    def test_tables_for_people(self):
        for args in (("user", "list"), ("domain", "list"), ("alias", "list"), ("status",), ("queue", "list"),
                     ("mailbox", "list"), ("mailbox", "show", "alice@example.org")):
            out = self.suite.cli(*args)
            self.assertFalse(re.search(r"[{\x00-\x09\x0b-\x1f]", out), f"{args}: {out!r}")

    def test_trail_of_a_message_in_the_log(self):
        self.suite.add_user("traced")
        with self.suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask("MAIL FROM:<eve@client.example>")
            wire.ask("RCPT TO:<traced@example.org>")
            wire.ask("DATA")
            wire.send(message() + b".\r\n")
            code, texts = wire.reply()
        self.assertEqual(code, 250)
        with self.suite.pop3("traced") as session:
            uid = session.uidls()[0]
            received = session.retr(1).decode()
        self.assertIn(uid, texts[0])
        self.assertIn(uid, received.split("Subject:")[0])
        wait_until(lambda: uid in self.suite.log(), 5, f"{uid} in the log")
        words = {line.split()[0] for line in self.suite.log().splitlines() if f" {uid} " in line}
        self.assertLessEqual({"smtpd", "queue"}, {re.sub(r"[^a-z].*", "", w) for w in words})


class Aliases(RelayTest):
    def test_an_alias_to_elsewhere(self):
        suite, remote = self.routed()
        suite.cli("alias", "add", "away@example.org", "carol@remote.example", "bob@example.org")
        # who sends may not relay himself: the alias may
        suite.send("eve@client.example", ["away@example.org"], message("forwarded"))
        got = remote.wait(1)[0]
        self.assertEqual(got["rcpts"], ["carol@remote.example"])
        self.assertTrue(got["data"].endswith(b"forwarded\r\n"))
        self.assertEqual(suite.count("bob"), 1)
        wait_for_empty_queue(suite)

    def test_alias_to_elsewhere_without_relaying_rights(self):
        remote = self.remote()
        suite = self.suite(config={"route remote.example": {"to": f"smtp://{remote.host}:{remote.port}"}},
                           relay={"allow_from": None})
        suite.cli("alias", "add", "away@example.org", "carol@remote.example")
        suite.send("eve@client.example", ["away@example.org"], message())
        self.assertEqual(remote.wait(1)[0]["rcpts"], ["carol@remote.example"])

    def test_unknown_command_of_a_dead_suite(self):
        suite = self.suite()
        suite.stop()
        with self.assertRaises(CommandFailed) as failed:
            suite.queue()
        self.assertEqual(failed.exception.status, 1)
