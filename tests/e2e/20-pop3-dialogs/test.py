"""The POP3 server's side of the conversation, and what becomes of the messages."""

import time

from dialogs import DialogTests
from harness import PASSWORD, CommandFailed, Pop3, Suite, message, wait_until, without_trace
from wire import Wire



def body_of(n):
    return f"line 1 of message {n}\r\n.\r\n.a line that starts with a dot\r\nline 4\r\n"


class Pop3Server(DialogTests):
    directory = __file__
    made = 0

    @classmethod
    def start_suite(cls):
        return Suite(users=(), config={"auth": {"failure_delay": "10ms",
                                                "failures_per_address": "none"}}).start()

    @classmethod
    def target(cls):
        return cls.suite.pop3_address

    def new_user(self, messages=0):
        """A user of this test's own with so many messages."""
        Pop3Server.made += 1
        user = f"user{Pop3Server.made}"
        self.suite.add_user(user)
        for n in range(1, messages + 1):
            self.suite.send("eve@client.example", [f"{user}@example.org"],
                            message(body_of(n), subject=f"message {n}"))
        return user

    def names(self, dialog):
        count = int(dialog.headers["given"].split()[0])
        self.user = self.new_user(count)
        names = {"user": self.suite.full(self.user), "password": PASSWORD}
        with self.suite.pop3(self.user) as session:
            uids = session.uidls()
            sizes = [len(session.retr(n)) for n in range(1, count + 1)]
        for n in range(count):
            names[f"uid{n + 1}"] = uids[n]
            names[f"octets{n + 1}"] = str(sizes[n])
        names["octets"] = str(sum(sizes))
        return names

    def test_deleted_are_gone_and_the_others_stay(self):
        dialog = self.dialog("delete.dialog")
        names = self.names(dialog)
        dialog.play(self.target(), names)
        with self.suite.pop3(self.user) as session:
            self.assertEqual(session.uidls(), [names["uid2"]])
            self.assertEqual(without_trace(session.retr(1)), message(body_of(2), subject="message 2"))

    def test_uidls_stay_over_sessions_restarts_and_new_mail(self):
        user = self.new_user(3)
        with self.suite.pop3(user) as session:
            first = session.uidls()
        self.assertEqual(len(set(first)), 3)
        with self.suite.pop3(user) as session:
            session.ask("DELE 3")
        self.suite.restart()
        self.suite.send("eve@client.example", [f"{user}@example.org"], message(subject="one more"))
        with self.suite.pop3(user) as session:
            later = session.uidls()
        self.assertEqual(later[:2], first[:2])
        self.assertNotIn(later[2], first)
        for uid in later:
            self.assertRegex(uid, r"\A[\x21-\x7e]{1,70}\Z")

    def test_one_session_at_a_time(self):
        user = self.new_user(1)
        with self.suite.pop3(user):
            with self.assertRaisesRegex(AssertionError, r"-ERR \[IN-USE\]"):
                self.suite.pop3(user)
        with self.suite.pop3(user) as session:
            self.assertEqual(session.count(), 1)

    def test_the_lock_goes_with_a_dropped_connection(self):
        user = self.new_user(1)
        self.suite.pop3(user).drop()
        wait_until(lambda: self.can_open(user), 5, "the lock to go")

    def can_open(self, user):
        try:
            self.suite.pop3(user).quit()
        except AssertionError:
            return False
        return True

    def test_a_dropped_connection_deletes_nothing(self):
        user = self.new_user(3)
        session = self.suite.pop3(user)
        session.ask("DELE 1")
        session.ask("DELE 2")
        session.drop()
        wait_until(lambda: self.can_open(user), 5, "the lock to go")
        self.assertEqual(self.suite.count(user), 3)

    def test_half_closed_without_quit_deletes_nothing(self):
        user = self.new_user(2)
        session = self.suite.pop3(user)
        session.ask("DELE 1")
        session.wire.half_close()
        self.assertTrue(session.wire.is_closed())
        wait_until(lambda: self.can_open(user), 5, "the lock to go")
        self.assertEqual(self.suite.count(user), 2)

    def test_mail_that_comes_during_a_session_waits_for_the_next(self):
        user = self.new_user(1)
        with self.suite.pop3(user) as session:
            self.suite.send("eve@client.example", [f"{user}@example.org"], message(subject="late"))
            self.assertEqual(session.count(), 1)
            session.ask("DELE 1")
        with self.suite.pop3(user) as session:
            self.assertEqual(session.count(), 1)
            self.assertIn(b"Subject: late\r\n", session.retr(1))

    def test_list_and_stat_count_what_retr_sends(self):
        user = self.new_user(2)
        with self.suite.pop3(user) as session:
            total = 0
            for n in (1, 2):
                size = int(session.ask(f"LIST {n}").split()[2])
                self.assertEqual(size, len(session.retr(n)))
                total += size
            self.assertEqual(session.ask("STAT").split()[1:3], ["2", str(total)])

    def test_raw_headers_come_out_as_they_went_in(self):
        """With and without UTF8 (RFC 6856): Latin-1 and UTF-8 in header fields stay what they are."""
        user = self.new_user(0)
        sent = [b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n", b"Subject: Gr\xfc\xdfe\r\n\r\nx\r\n"]
        with self.suite.smtp() as client:
            for content in sent:
                client.sendmail("eve@client.example", [f"{user}@example.org"], content, ["BODY=8BITMIME"])
        with self.suite.pop3(user) as session:
            self.assertEqual([without_trace(session.retr(n)) for n in (1, 2)], sent)

    def test_deleted_mail_can_be_brought_back(self):
        user = self.new_user(3)
        address = self.suite.full(user)
        with self.suite.pop3(user) as session:
            uids = session.uidls()
            for n in (1, 2):
                session.ask(f"DELE {n}")
        shown = self.suite.cli("mailbox", "show", address, json=True)
        self.assertEqual((shown["messages"], shown["deleted"]), (1, 2))
        self.assertEqual(self.suite.cli("mailbox", "undelete", address, "--since", "2030-01-01", json=True),
                         {"address": address, "undeleted": 0})
        with self.assertRaises(CommandFailed):
            self.suite.cli("mailbox", "undelete", address, "--since", "yesterday")
        self.assertEqual(self.suite.cli("mailbox", "undelete", address, "--since", "1h", json=True),
                         {"address": address, "undeleted": 2})
        shown = self.suite.cli("mailbox", "show", address, json=True)
        self.assertEqual((shown["messages"], shown["deleted"]), (3, 0))
        with self.suite.pop3(user) as session:
            self.assertEqual(session.uidls(), uids)
            self.assertEqual(without_trace(session.retr(2)), message(body_of(2), subject="message 2"))

    def test_a_session_leaves_one_line_of_figures(self):
        user = self.new_user(4)
        with self.suite.pop3(user) as session:
            session.ask("LIST")
            sizes = [int(line.split()[1]) for line in session.wire.multiline().splitlines()]
            session.retr(2)
            session.retr(3)
            session.ask("TOP 4 0")
            session.wire.multiline()
            session.ask("DELE 3")

        def line():
            return [x for x in self.suite.log().splitlines() if f"closed user={self.suite.full(user)} " in x]
        wait_until(line, timeout=30)
        for field in ("messages=4", f"octets={sum(sizes)}", "retrieved=2", f"retrieved_octets={sizes[1] + sizes[2]}",
                      "top=1", "deleted=1", f"deleted_octets={sizes[2]}", "left=3"):
            self.assertIn(" " + field, line()[0])
        self.assertEqual(len(line()), 1)

    def test_who_fills_his_mailbox_is_warned_once(self):
        suite = Suite(users=("alice",), config={"mailbox": {"quota_warning": "80%"}})
        self.addCleanup(suite.close)
        suite.start()
        suite.cli("user", "quota", suite.full("alice"), "20K")
        mail = message("x" * 70 + "\r\n" + "y" * 3400)
        for _ in range(5):
            suite.send("eve@client.example", [suite.full("alice")], mail)
        with suite.pop3() as session:
            got = [session.retr(n + 1) for n in range(session.count())]
        self.assertEqual(len(got), 6)
        warning, = [octets for octets in got if b"Subject: Your mailbox is " in octets]
        self.assertEqual(got.index(warning), 5)
        self.assertTrue(warning.startswith(b"Return-Path: <>\r\n"))
        self.assertIn(b"Auto-Submitted: auto-generated\r\n", warning)

    def test_many_messages(self):
        user = self.new_user(0)
        with self.suite.smtp() as client:
            for n in range(300):
                client.sendmail("eve@client.example", [f"{user}@example.org"],
                                message(f"number {n}\r\n", subject=f"n{n}"))
        with self.suite.pop3(user) as session:
            self.assertEqual(session.count(), 300)
            self.assertEqual(len(set(session.uidls())), 300)
            for n in (1, 150, 300):
                self.assertIn(f"Subject: n{n - 1}\r\n".encode(), session.retr(n))
            for n in range(1, 301, 2):
                session.ask(f"DELE {n}")
        self.assertEqual(self.suite.count(user), 150)

    def test_failures_per_connection(self):
        user = self.new_user(0)
        with Wire(self.target()) as wire:
            wire.line()
            for _ in range(5):
                wire.say(f"USER {self.suite.full(user)}")
                wire.line()
                wire.say("PASS wrong")
                self.assertTrue(wire.line().startswith("-ERR"))
            self.assertTrue(wire.is_closed(), wire.pending)

    def test_disabled_user(self):
        user = self.new_user(1)
        try:
            self.suite.cli("user", "disable", self.suite.full(user))
        except CommandFailed as e:
            if e.status == 2:
                self.skipTest("there is no `barid user disable` yet")
            raise
        with self.assertRaisesRegex(AssertionError, "-ERR"):
            self.suite.pop3(user)

    def test_a_new_password_counts_at_once(self):
        user = self.new_user(0)
        self.suite.pop3(user).quit()
        self.suite.cli("user", "passwd", self.suite.full(user), "--password-stdin", stdin="another\n")
        with self.assertRaisesRegex(AssertionError, r"-ERR \[AUTH\]"):
            self.suite.pop3(user)
        self.suite.pop3(user, "another").quit()

    def test_passwords_with_spaces_and_utf8(self):
        for password in ("two  spaces ", "Grüße", "x" * 200, "{user}"):
            Pop3Server.made += 1
            user = f"user{Pop3Server.made}"
            self.suite.add_user(user, password)
            wire_form = password.encode().decode("latin-1")
            self.suite.pop3(user, wire_form).quit()

    def test_many_logins_at_once(self):
        """The verifiers are few; thirty logins at once are all answered, in time."""
        users = [self.new_user(0) for _ in range(6)]
        began = time.monotonic()
        wires = []
        for n in range(30):
            wire = Wire(self.target())
            wire.line()
            wire.say(f"USER {self.suite.full(users[n % 6])}")
            wire.say("PASS " + (PASSWORD if n < 6 else "wrong"))
            wires.append(wire)
        answers = []
        for wire in wires:
            wire.line()
            answers.append(wire.line()[:4])
        self.assertEqual(answers, ["+OK "] * 6 + ["-ERR"] * 24)
        self.assertLess(time.monotonic() - began, 30)
        for wire in wires:
            wire.close()


class PlaintextPolicy(DialogTests):
    """Passwords over a plain connection only where the administrator said so."""

    directory = "/dev/null"

    @classmethod
    def start_suite(cls):
        return Suite(config={"listen pop3": {"plaintext_without_tls": None}}).start()

    def test_refused_by_default(self):
        with Wire(self.suite.pop3_address) as wire:
            self.assertTrue(wire.line().startswith("+OK"))
            wire.say("CAPA")
            self.assertTrue(wire.line().startswith("+OK"))
            self.assertNotIn(b"USER", wire.multiline().split(b"\r\n"))
            wire.say("USER alice@example.org")
            self.assertTrue(wire.line().startswith("-ERR"))
            wire.say(f"PASS {PASSWORD}")
            self.assertTrue(wire.line().startswith("-ERR"))
            wire.say("STAT")
            self.assertTrue(wire.line().startswith("-ERR"))

    def test_loopback_allows_it_from_here(self):
        suite = Suite(config={"listen pop3": {"plaintext_without_tls": None},
                              "auth": {"plaintext_without_tls": "loopback"}})
        self.addCleanup(suite.close)
        suite.start()
        Pop3(suite.pop3_address, "alice@example.org").quit()
        suite.stop()

    def test_connections_of_all_workers(self):
        suite = Suite(config={"": {"workers": 2}, "limits": {"connections": 4}})
        self.addCleanup(suite.close)
        suite.start()
        wires = [Wire(suite.pop3_address) for _ in range(40)]
        greetings = [wire.line() for wire in wires]
        self.assertLessEqual(sum(line.startswith("+OK") for line in greetings), 4)
        for wire in wires:
            wire.close()
        suite.stop()

    def test_what_the_settings_announce_is_kept(self):
        suite = Suite(config={"mailbox": {"retention": "30d", "retention_least": "7d"},
                              "pop3": {"login_delay": "1h", "implementation": "on"}})
        self.addCleanup(suite.close)
        suite.start()
        with Wire(suite.pop3_address) as wire:
            wire.line()
            wire.say("CAPA")
            wire.line()
            lines = wire.multiline().split(b"\r\n")
        for line in (b"EXPIRE 7 USER", b"LOGIN-DELAY 3600", b"IMPLEMENTATION barid"):
            self.assertIn(line, lines)
        with suite.pop3("alice") as session:
            session.wire.say("CAPA")
            session.wire.line()
            self.assertIn(b"EXPIRE 30", session.wire.multiline().split(b"\r\n"))
        with self.assertRaises(CommandFailed):
            suite.cli("user", "retention", suite.full("bob"), "1d")
        with self.assertRaises(CommandFailed):
            suite.cli("domain", "retention", "example.org", "1d")
        with self.assertRaises(CommandFailed):
            suite.cli("domain", "retention", "example.net", "10d")
        suite.cli("domain", "retention", "example.org", "10d")
        shown = suite.cli("domain", "show", "Example.ORG", json=True)
        self.assertEqual((shown["retention"], shown["retention_of"]), ("10d", "domain"))
        suite.add_user("carol")
        with suite.pop3("carol") as session:
            session.wire.say("CAPA")
            session.wire.line()
            self.assertIn(b"EXPIRE 10", session.wire.multiline().split(b"\r\n"))
        suite.cli("user", "retention", suite.full("bob"), "8d")
        for who, wanted in (("bob", ("8d", "user")), ("carol", ("10d", "domain"))):
            shown = suite.cli("mailbox", "show", suite.full(who), json=True)
            self.assertEqual((shown["retention"], shown["retention_of"]), wanted)
        with suite.pop3("bob") as session:
            session.wire.say("CAPA")
            session.wire.line()
            self.assertIn(b"EXPIRE 8", session.wire.multiline().split(b"\r\n"))
        with self.assertRaisesRegex(AssertionError, r"-ERR \[LOGIN-DELAY\]"):
            suite.pop3("alice")
        suite.stop()

    def test_throttled_by_address(self):
        suite = Suite(config={"auth": {"failures_per_address": "3/10m", "failure_delay": "10ms"}})
        self.addCleanup(suite.close)
        suite.start()
        for _ in range(3):
            with self.assertRaisesRegex(AssertionError, r"-ERR \[AUTH\]"):
                suite.pop3("alice", "wrong")
        with self.assertRaisesRegex(AssertionError, "-ERR"):
            suite.pop3("alice")  # the right one: refused unseen
        suite.stop()
