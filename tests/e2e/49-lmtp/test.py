"""LMTP (RFC 2033): from other servers of ours, for our mailboxes. And PRDR, its replies for SMTP."""

import os
import re
import smtplib
import socket
import stat
import unittest

import postfix
from harness import CommandFailed, Suite, free_port, message, wait_until
from wire import Wire

LONG = b"x" * 60 + b"\r\n"


class Each:
    """After the content each recipient has a verdict of his own; what gets 250 is there."""

    def refuses_one(self, body, say):
        """A small mailbox is not full when RCPT comes, and has no room for what comes then."""
        wire = self.wire()
        self.envelope(wire, "alice@example.org", "small@example.org", "bob@example.org", "small@example.org")
        heard = say(wire, f"Subject: {self.id()}\r\n\r\n".encode() + body)
        self.assertEqual([code for code, _ in heard], [250, 452, 250, 452])
        self.assertTrue(heard[1][1][0].startswith("4.2.2 "), heard)
        wire.say("NOOP")
        self.assertEqual(wire.reply()[0], 250)
        subject = f"Subject: {self.id()}".encode()
        for user, n in (("alice", 1), ("bob", 1), ("small", 0)):
            self.assertEqual(len([m for m in self.suite.mail(user) if subject in m]), n, user)
        wait_until(lambda: re.search(r"^queue \S+ refused .*to=small@example.org because=quota", self.suite.log(), re.M), 15,
                   "the refusal in the log")

    def by_data(self, wire, content):
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(content + b".\r\n")
        return self.each(wire, 4)

    def by_chunks(self, wire, content):
        half = len(content) // 2
        wire.send(b"BDAT %d\r\n" % half + content[:half])
        self.assertEqual(wire.reply()[0], 250)
        wire.send(b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
        return self.each(wire, 4)

    def test_one_is_full(self):
        self.refuses_one(LONG * 200, self.by_data)

    def test_one_is_full_for_chunks(self):
        self.refuses_one(LONG * 200, self.by_chunks)

    def test_one_is_full_for_a_large_message(self):
        """More than goes to queue in one piece, and to a file."""
        self.refuses_one(LONG * 8000, self.by_data)

    def test_one_has_gone(self):
        self.suite.add_user("gone")
        wire = self.wire()
        self.envelope(wire, "gone@example.org", "alice@example.org", "bob@example.org", "gone@example.org")
        self.suite.cli("user", "remove", "gone@example.org")
        wait_until(lambda: "mailbox-forgotten" in self.suite.log(), 30, "queue to know")  # authd tells it after the answer
        subject = f"Subject: {self.id()}".encode()
        heard = self.by_data(wire, subject + b"\r\n\r\nx\r\n")
        self.assertEqual([code for code, _ in heard], [451, 250, 250, 451])
        self.assertEqual(len([m for m in self.suite.mail("alice") if subject in m]), 1)

    def test_none_can_have_it(self):
        wire = self.wire()
        self.envelope(wire, "small@example.org", "small2@example.org")
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(b"\r\n" + LONG * 200 + b".\r\n")
        self.assertEqual([code for code, _ in self.each(wire, 2, whole={452})], [452, 452])
        self.assertEqual(self.envelope(wire, "bob@example.org"), [250])


class Prdr(Each, unittest.TestCase):
    """draft-hall-prdr."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(config={})
        cls.suite.start()
        add_small(cls.suite)

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def wire(self):
        wire = self.suite.wire()
        self.addCleanup(wire.close)
        self.assertIn("PRDR", wire.ask("EHLO client.example")[1])
        return wire

    def envelope(self, wire, *rcpts):
        self.assertEqual(wire.ask("MAIL FROM:<eve@client.example> PRDR")[0], 250)
        return [wire.ask(f"RCPT TO:<{rcpt}>")[0] for rcpt in rcpts]

    def each(self, wire, n, whole=frozenset([250])):
        self.assertEqual(wire.reply()[0], 353)
        replies = [wire.reply() for _ in range(n)]
        self.assertIn(wire.reply()[0], whole)
        return replies

    def test_without_it_one_refuses_all(self):
        wire = self.wire()
        wire.ask("MAIL FROM:<eve@client.example>")
        for user in ("alice", "small"):
            self.assertEqual(wire.ask(f"RCPT TO:<{user}@example.org>")[0], 250)
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(b"Subject: nobody\r\n\r\n" + LONG * 200 + b".\r\n")
        self.assertEqual(wire.reply()[0], 452)
        self.assertFalse([m for m in self.suite.mail("alice") if b"Subject: nobody" in m])

    def test_bad_content_has_one_reply(self):
        wire = self.wire()
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.ask("DATA")
        wire.send(b"a\0b\r\n.\r\nNOOP\r\n")
        self.assertEqual([wire.reply()[0] for _ in range(2)], [550, 250])


def add_small(suite):
    for user in ("small", "small2"):
        suite.add_user(user)
        suite.cli("user", "quota", f"{user}@example.org", "10K")


class Lmtp(Each, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        suite = cls.suite = Suite(config={})
        cls.address = (suite.address, free_port(suite.address))
        suite.write_config({"listen lmtp": {"address": "%s:%d" % cls.address}})
        suite.start()
        add_small(suite)

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def wire(self, greet=True):
        wire = Wire(self.address)
        self.addCleanup(wire.close)
        code, text = wire.reply()
        self.assertEqual(code, 220)
        if greet:
            self.assertEqual(wire.ask("LHLO client.example")[0], 250)
        return wire

    def envelope(self, wire, *rcpts):
        wire.ask("MAIL FROM:<eve@client.example>")
        return [wire.ask(f"RCPT TO:<{rcpt}>")[0] for rcpt in rcpts]

    def each(self, wire, n, whole=None):
        return [wire.reply() for _ in range(n)]

    def test_smtplib(self):
        client = smtplib.LMTP(*self.address, local_hostname="client.example")
        refused = client.sendmail("eve@client.example", ["alice@example.org", "nobody@example.org"], message("by lmtp"))
        self.assertEqual(list(refused), ["nobody@example.org"])
        client.quit()
        mail, = [m for m in self.suite.mail("alice") if b"by lmtp" in m]
        self.assertIn(b"with LMTP id ", mail)

    def test_greetings(self):
        wire = self.wire(greet=False)
        self.assertEqual(wire.ask("MAIL FROM:<eve@client.example>")[0], 503)
        self.assertEqual(wire.ask("EHLO client.example")[0], 500)
        self.assertEqual(wire.ask("HELO client.example")[0], 500)
        self.assertIn("PIPELINING", wire.ask("LHLO client.example")[1])
        other = self.suite.wire()
        self.addCleanup(other.close)
        self.assertEqual(other.ask("LHLO client.example")[0], 500)

    def test_reply_for_each(self):
        """Also for one that was given twice, and none for who was refused."""
        wire = self.wire()
        codes = self.envelope(wire, "alice@example.org", "nobody@example.org", "bob@example.org", "alice@example.org")
        self.assertEqual(codes, [250, 550, 250, 250])
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(b"Subject: each\r\n\r\nx\r\n.\r\nNOOP\r\n")
        replies = [wire.reply() for _ in range(4)]
        self.assertTrue(all("queued as" in text[0] for _, text in replies[:3]), replies)
        self.assertEqual(len({text[0] for _, text in replies[:3]}), 1)
        self.assertNotIn("queued", replies[3][1][0])
        self.assertEqual(len([m for m in self.suite.mail("alice") if b"Subject: each" in m]), 1)

    def test_refused_for_each(self):
        wire = self.wire()
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.ask("DATA")
        wire.send(b"a\0b\r\n.\r\nNOOP\r\n")
        self.assertEqual([wire.reply()[0] for _ in range(3)], [550, 550, 250])

    def test_chunks(self):
        wire = self.wire()
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.send(b"BDAT 4\r\na: b")
        self.assertEqual(wire.reply()[0], 250)
        wire.send(b"BDAT 9 LAST\r\n\r\n\r\nend\r\nNOOP\r\n")
        replies = [wire.reply() for _ in range(3)]
        self.assertEqual(["queued" in text[0] for _, text in replies], [True, True, False])
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.send(b"BDAT 3\r\na\0bNOOP\r\n")
        self.assertEqual([wire.reply()[0] for _ in range(2)], [550, 250])

    def test_no_recipients(self):
        wire = self.wire()
        self.assertEqual(self.envelope(wire, "nobody@example.org"), [550])
        self.assertEqual(wire.ask("DATA")[0], 503)
        wire.send(b"BDAT 1 LAST\r\nx")
        self.assertEqual(wire.reply()[0], 503)

    def test_no_relaying(self):
        self.assertEqual(self.envelope(self.wire(), "bob@elsewhere.example"), [550])

    def test_port_25(self):
        other = Suite(config={})
        self.addCleanup(other.close)
        other.write_config({"listen lmtp": {"address": f"{other.address}:25"}})
        with self.assertRaises(CommandFailed) as failed:
            other.cli("check")
        self.assertIn("port 25", str(failed.exception))


class UnixSocket(unittest.TestCase):
    """`[listen lmtp] address = unix:/path`."""

    def setUp(self):
        self.suite = Suite(config={}, users=("alice",))
        self.addCleanup(self.suite.close)
        self.path = os.path.join(self.suite.dir, "lmtp")

    def configure(self, path=None, **more):
        self.suite.write_config({"listen lmtp": {"address": f"unix:{path or self.path}", **more}})

    def deliver(self, name):
        """By the Unix socket, with Python's own client."""
        client = smtplib.LMTP(self.path, local_hostname="client.example")
        self.assertEqual(client.sendmail("eve@client.example", ["alice@example.org"], message(name)), {})
        client.quit()
        self.assertTrue([m for m in self.suite.mail("alice") if name.encode() in m])

    def mode(self):
        return stat.S_IMODE(os.stat(self.path).st_mode)

    def problems(self):
        with self.assertRaises(CommandFailed) as failed:
            self.suite.cli("check")
        return str(failed.exception)

    def test_life(self):
        self.configure()
        self.suite.start()
        self.deliver("first")
        self.assertEqual(self.mode(), 0o666)
        self.assertIn({"kind": "lmtp", "path": self.path}, self.suite.status()["sockets"])
        self.suite.reload()  # the same: kept
        wait_until(lambda: "reloaded" in self.suite.log(), 30, "a reload")
        self.deliver("second")
        self.suite.write_config({"listen lmtp": None})
        self.suite.reload()
        wait_until(lambda: not os.path.exists(self.path), 30, "the end of the socket")
        self.configure()
        self.suite.reload()
        wait_until(lambda: os.path.exists(self.path), 30, "the socket")
        self.deliver("third")
        self.suite.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_what_a_kill_leaves_is_cleared(self):
        self.configure(socket_mode="0600")
        self.suite.start()
        inode = os.stat(self.path).st_ino
        self.suite.process.kill()
        self.suite.process.wait()
        self.assertEqual(os.stat(self.path).st_ino, inode)
        self.suite.start()
        self.assertEqual(self.mode(), 0o600)
        self.deliver("after")

    def test_who_has_it_keeps_it(self):
        """Another server, or a file: neither is removed, at the start or at the end."""
        self.configure()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            other.listen()
            with self.assertRaises(AssertionError) as failed:
                self.suite.start()
            self.assertIn("another server listens", str(failed.exception))
            self.assertTrue(stat.S_ISSOCK(os.stat(self.path).st_mode))
        os.remove(self.path)
        with open(self.path, "w", encoding="ascii") as f:
            f.write("mine")
        self.assertIn("is no socket", self.problems())
        with self.assertRaises(AssertionError):
            self.suite.start()
        with open(self.path, encoding="ascii") as f:
            self.assertEqual(f.read(), "mine")

    def test_a_socket_that_is_not_ours_any_more_stays(self):
        self.configure()
        self.suite.start()
        os.remove(self.path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.path)
            self.suite.stop()
            self.assertTrue(stat.S_ISSOCK(os.stat(self.path).st_mode))

    def test_mistakes_are_named(self):
        for path, more, about in ((f"{self.suite.dir}/none/lmtp", {}, "no directory"),
                                  (f"{self.suite.run_dir}/queue.sock", {}, "own sockets"),
                                  (f"{self.suite.dir}/" + "x" * 100, {}, "its last part"),
                                  ("lmtp", {}, "absolute path"),
                                  (self.path, {"socket_group": "nobody-has-it"}, "no group"),
                                  (self.path, {"socket_mode": "0777"}, "socket_mode")):
            with self.subTest(path=path, **more):
                self.configure(path, **more)
                self.assertIn(about, self.problems())
        self.suite.write_config({"listen smtp": {"address": f"unix:{self.path}"}})
        self.assertIn("[listen lmtp] only", self.problems())
        self.suite.write_config({"listen lmtp": {"address": f"unix:{self.path}, {self.path}"}})
        self.assertIn("stands twice", self.problems())

    @unittest.skipIf(postfix.why_not(), postfix.why_not())
    def test_postfix_is_let_in_by_its_group(self):
        self.configure(socket_mode="0660", socket_group="postfix")
        self.suite.start()
        where = os.path.join(self.suite.dir, "postfix")
        os.mkdir(where)
        peer = postfix.Postfix(where)
        self.addCleanup(peer.stop)
        with open(where + "/etc/main.cf", "a", encoding="ascii") as f:
            f.write(f"transport_maps = inline:{{{{ example.org = lmtp:unix:{self.path} }}}}\n")
        with open(where + "/etc/master.cf", "a", encoding="ascii") as f:
            f.write("lmtp unix - - n - - lmtp\n")
        peer.start()
        with smtplib.SMTP(peer.address, peer.port, timeout=30) as client:
            client.sendmail("eve@client.example", ["alice@example.org"], message("through Postfix"))
        got = self.suite.wait_for_mail("alice", 1, 30)[0]
        self.assertIn(b"through Postfix", got)
        self.assertIn(b"with LMTP id ", got)
        self.assertEqual(self.mode(), 0o660)
