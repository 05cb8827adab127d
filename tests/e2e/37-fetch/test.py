"""`barid fetch`: collects from our own POP3 server, from Dovecot, and from servers that misbehave; is
killed at any moment, and loses and doubles nothing."""

import base64
import mailbox
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from certs import Pair
from harness import BUILD, PASSWORD, Suite, free_port, is_root, message, preload, wait_until, without_trace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../load"))


class Home:
    """Somebody's home directory with a password file, a Maildir and an mbox to be."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="barid-fetch-")
        self.password = os.path.join(self.dir, "password")
        self.maildir = os.path.join(self.dir, "Maildir")
        self.mbox = os.path.join(self.dir, "mbox")
        with open(self.password, "w") as f:
            f.write(PASSWORD + "\n")

    def command(self, address, user, *args):
        return [os.path.join(BUILD, "bin/barid"), "fetch", "--server", "%s:%d" % tuple(address), "--user", user,
                "--password-file", self.password, *args]

    def env(self):
        return {"HOME": self.dir, "PATH": os.environ["PATH"]}

    def fetch(self, address, user, *args):
        """(exit status, stdout, stderr)"""
        done = subprocess.run(self.command(address, user, *args), env=self.env(), capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stdout, done.stderr

    def mail(self):
        """What is in the Maildir; tmp/ is empty."""
        found = []
        for part in ("new", "cur"):
            directory = os.path.join(self.maildir, part)
            for name in os.listdir(directory) if os.path.isdir(directory) else []:
                with open(os.path.join(directory, name), "rb") as f:
                    found.append(f.read())
        return found

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class FetchTest(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)

    def fetch(self, *args, expect=0, to=None):
        to = to or ("--maildir", self.home.maildir)
        status, stdout, stderr = self.home.fetch(self.address, self.user, *to, *args)
        self.assertEqual(status, expect, stdout + stderr)
        return stdout if status == 0 else stderr

    def bodies(self):
        return sorted(m.split(b"\n\n", 1)[1] for m in self.home.mail())


class FromBarid(FetchTest):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(users=("alice",)).start()
        cls.address = cls.suite.pop3_address
        cls.n = 0

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def setUp(self):
        super().setUp()
        FromBarid.n += 1
        self.sent = 0
        self.user = f"user{self.n}@example.org"
        self.suite.add_user(self.user)

    def send(self, *bodies):
        for body in bodies:
            self.sent += 1
            self.suite.send("eve@client.example", [self.user], message(body))

    def test_keep(self):
        self.send(b"one\r\n.\r\n..two\r\nFrom here\r\n", b"second")
        self.assertIn("2 messages fetched, 0 deleted", self.fetch())
        self.assertEqual(self.bodies(), [b"one\n.\n..two\nFrom here\n", b"second\n"])
        self.assertIn("0 messages fetched", self.fetch())
        self.send(b"third")
        self.assertIn("1 messages fetched", self.fetch("--keep"))
        self.assertEqual(len(self.home.mail()), 3)
        self.assertEqual(self.suite.count(self.user), 3)
        self.assertEqual(os.listdir(os.path.join(self.home.maildir, "tmp")), [])

    def test_delete(self):
        self.send(*(b"%d" % n for n in range(40)))
        self.assertIn("40 messages fetched, 40 deleted", self.fetch("--delete"))
        self.assertEqual(self.suite.count(self.user), 0)
        self.assertEqual(len(set(self.bodies())), 40)

    def test_delete_what_was_kept(self):
        self.send(b"a")
        self.fetch()
        self.assertIn("0 messages fetched, 1 deleted", self.fetch("--delete"))
        self.assertEqual(self.suite.count(self.user), 0)

    def test_keep_days(self):
        self.send(b"a")
        self.assertIn("1 messages fetched, 0 deleted", self.fetch("--keep-days", "1"))
        self.assertIn("0 messages fetched, 0 deleted", self.fetch("--keep-days", "1"))
        self.assertIn("0 messages fetched, 1 deleted", self.fetch("--keep-days", "0"))

    def test_mbox(self):
        self.send(b"From me\r\n>From you\r\n>>x\r\nFro", b"second")
        self.fetch(to=("--mbox", self.home.mbox))
        self.send(b"third")
        self.fetch(to=("--mbox", self.home.mbox))
        with open(self.home.mbox, "rb") as f:
            octets = f.read()
        self.assertIn(b"\n\n>From me\n>>From you\n>>x\nFro\n\nFrom MAILER-DAEMON ", octets)
        self.assertEqual(len(mailbox.mbox(self.home.mbox)), 3)
        self.assertEqual([n for n in os.listdir(self.home.dir) if n.startswith(".barid")], [])

    def test_deliver(self):
        self.send(b"one\r\n.two\r\n")
        self.assertIn("1 messages fetched, 1 deleted",
                      self.fetch("--delete", to=("--deliver", "alice@example.org", "--config",
                                                 self.suite.config_file)))
        octets, = self.suite.mail("alice")
        self.assertTrue(octets.endswith(b"\r\n\r\none\r\n.two\r\n"), octets)

    def test_deliver_to_nobody(self):
        self.send(b"x")
        stderr = self.fetch("--delete", expect=1, to=("--deliver", "nobody@example.org", "--config",
                                                      self.suite.config_file))
        self.assertIn("550 5.1.1", stderr)
        self.assertEqual(self.suite.count(self.user), 1)

    def test_size_limit(self):
        self.send(b"x" * 900 + b"\r\n" + b"y" * 900 + b"\r\n", b"small")
        self.assertIn("1 messages fetched", self.fetch("--size-max", "1K", "--delete"))
        self.assertEqual(self.suite.count(self.user), 1)
        self.assertIn("1 messages fetched", self.fetch("--delete"))

    def test_refusals(self):
        self.send(b"x")
        with open(self.home.password, "w") as f:
            f.write("wrong\n")
        self.assertIn("login was refused", self.fetch(expect=1))
        for args in (["--keep", "--delete"], ["--keep-days", "x"], ["--size-max", "-1"], ["--mbox", "x"],
                     ["--tls", "--no-tls"], ["--insecure"], ["--pin", "12"], ["--no-tls", "--ca-file", "/x"]):
            self.fetch(*args, expect=2)
        status, _, stderr = self.home.fetch(("192.0.2.1", 110), "x", "--maildir", self.home.maildir, "--no-tls")
        self.assertEqual(status, 1, stderr)
        self.assertIn("without TLS", stderr)
        status, _, stderr = self.home.fetch((self.address[0], 9), "x", "--maildir", self.home.maildir)
        self.assertEqual(status, 75, stderr)

    def test_maildrop_in_use(self):
        self.send(b"x")
        with self.suite.pop3(self.user):
            self.assertIn("IN-USE", self.fetch(expect=75))
        self.fetch()

    def test_serverinfo(self):
        stdout = self.fetch("--serverinfo")
        self.assertIn("UIDL yes, PIPELINING yes", stdout)
        self.assertIn("SASL SCRAM-SHA-256 PLAIN", stdout)

    def test_killed_again_and_again(self):
        """kill -9 at random moments: in the end each message is there once, and gone on the server."""
        self.send(*(b"%d %s" % (n, b"z" * 2000) for n in range(60)))
        for to, mode in ((("--maildir", self.home.maildir), "--keep"), (("--mbox", self.home.mbox), "--delete")):
            for _ in range(25):
                child = subprocess.Popen(self.home.command(self.address, self.user, *to, mode), env=self.home.env(),
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(random.uniform(0.002, 0.1))
                child.kill()
                child.wait()
            wait_until(lambda: self.home.fetch(self.address, self.user, *to, mode)[0] == 0)
        self.assertEqual(len(self.bodies()), 60)
        self.assertEqual(len(set(self.bodies())), 60)
        texts = [m.get_payload() for m in mailbox.mbox(self.home.mbox)]
        self.assertEqual((len(texts), len(set(texts))), (60, 60))
        self.assertEqual(self.suite.count(self.user), 0)


    def fail_each_step(self, what, steps, *to_and_mode):
        """One statement of the list of what was fetched fails in each run; until one passes untouched."""
        shim = preload(os.path.join(BUILD, "tests/fault/shim.so"))
        failed = 0
        for at in steps:
            env = {**self.home.env(), "LD_PRELOAD": shim, "BARID_FAULT": f"step:{at}:{what}"}
            done = subprocess.run(self.home.command(self.address, self.user, *to_and_mode), env=env,
                                  capture_output=True, text=True, timeout=60)
            failed += done.returncode != 0
            self.assertLessEqual(len(done.stderr.splitlines()), 2, done.stderr)
            self.assertIn(done.returncode, (0, 1, 75, -9), done.stderr)
            if done.returncode == 0 and at > 20:
                break
            if at % 4 == 0:  # each makes the list longer, and so the way to its last statement
                self.send(b"after %s %d" % (what.encode(), at))
        else:
            self.fail("no run passed untouched")
        self.assertGreater(failed, 0)

    def list_fails_with(self, what):
        """Each message is there once in the end."""
        self.send(*(b"%d" % n for n in range(5)))
        is_all = os.environ.get("BARID_TEST_ALL")
        steps = range(1, 400) if is_all else [*sorted(random.sample(range(1, 40), 6)), 4000]
        self.fail_each_step(what, steps, "--maildir", self.home.maildir, "--keep")
        self.fetch("--delete")
        self.assertEqual(self.suite.count(self.user), 0)
        self.assertEqual(len(self.bodies()), len(set(self.bodies())))
        self.assertEqual(len(self.bodies()), self.sent)


def fails_with(what):
    return lambda self: self.list_fails_with(what)


for fault in ("FULL", "IOERR", "BUSY", "NOMEM", "CORRUPT", "kill"):
    setattr(FromBarid, f"test_the_list_of_what_was_fetched_meets_{fault.lower()}", fails_with(fault))


class WithTls(FetchTest):
    @classmethod
    def setUpClass(cls):
        suite = cls.suite = Suite(config={}, users=("alice",))
        suite.pair = Pair(suite.dir, "mx", ["mx.example.org", suite.address])
        suite.strange = Pair(suite.dir, "strange", ["mx.example.org"])
        cls.pop3s = (suite.address, free_port(suite.address))
        suite.write_config({"listen pop3": {"plaintext_without_tls": "no"}, "tls": suite.pair.config(),
                            "listen pop3s": {"address": "%s:%d" % cls.pop3s}})
        suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    user = "alice@example.org"

    def setUp(self):
        super().setUp()
        self.address = self.pop3s
        self.trust = ("--ca-file", self.suite.pair.certificate)
        self.suite.send("eve@client.example", [self.user], message("hello"))

    def test_pop3s(self):
        self.fetch("--tls", *self.trust, "--delete")
        self.assertIn(b"hello\n", self.bodies())
        self.assertEqual(self.suite.count(self.user), 0)

    def test_stls(self):
        self.address = self.suite.pop3_address
        self.fetch("--stls", *self.trust, "--delete")
        self.fetch(*self.trust)  # who names an authority wants TLS, on this machine too
        self.assertEqual(self.suite.count(self.user), 0)
        self.fetch(expect=1)  # on this machine without TLS, which this server does not take

    def test_who_is_there(self):
        self.assertIn("is not trusted", self.fetch("--tls", expect=1))
        stderr = self.fetch("--tls", "--ca-file", self.suite.strange.certificate, expect=1)
        pin = re.search(r"--pin ([0-9a-f]{64})", stderr).group(1)
        self.fetch("--tls", "--pin", pin)
        self.fetch("--tls", "--pin", ":".join(pin[i:i + 2] for i in range(0, 64, 2)).upper())
        self.assertIn("another certificate", self.fetch("--tls", "--pin", "0" * 64, expect=1))
        self.assertIn("/nowhere", self.fetch("--tls", "--ca-file", "/nowhere", expect=1))

    def test_wrong_name(self):
        self.suite.pair.replace_by(Pair(self.suite.dir, "other", ["mx.example.org"]))
        self.suite.reload()
        wait_until(lambda: "is not trusted: hostname mismatch" in self.fetch("--tls", *self.trust, expect=1).lower() or
                   "ip address mismatch" in self.fetch("--tls", *self.trust, expect=1).lower())
        self.suite.pair.replace_by(Pair(self.suite.dir, "mx2", ["mx.example.org", self.suite.address]))
        self.suite.reload()
        wait_until(lambda: self.home.fetch(self.address, self.user, "--maildir", self.home.maildir, "--tls",
                                           *self.trust)[0] == 0)

    def test_serverinfo(self):
        stdout = self.fetch("--serverinfo", "--tls", *self.trust)
        self.assertIn("TLS TLSv1.3", stdout)
        self.assertIn("SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN", stdout)

    def test_wrong_password(self):
        with open(self.home.password, "w") as f:
            f.write("wrong\n")
        self.assertIn("login was refused", self.fetch("--tls", *self.trust, expect=1))

    def test_not_tls_at_all(self):
        self.address = self.suite.pop3_address
        self.assertIn("TLS", self.fetch("--tls", *self.trust, expect=75))


class BadServer:
    """A POP3 server of one script: {command: reply octets}; it closes where the script ends."""

    def __init__(self, replies, greeting=b"+OK\r\n"):
        self.replies, self.greeting = replies, greeting
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.said = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                try:
                    self.talk(client, lines)
                except OSError:
                    pass

    def talk(self, client, lines):
        client.sendall(self.greeting)
        for line in lines:
            self.said.append(line.strip())
            reply = self.replies.get(line.strip(), self.replies.get(line.split()[0], b"-ERR\r\n"))
            if reply is None:
                return
            client.sendall(reply)
            if line.startswith(b"QUIT"):
                return


GOOD = {b"USER": b"+OK\r\n", b"PASS": b"+OK\r\n", b"LIST": b"+OK\r\n1 5\r\n2 5\r\n.\r\n",
        b"UIDL": b"+OK\r\n1 a\r\n2 b\r\n.\r\n", b"RETR 1": b"+OK\r\nX: 1\r\n\r\none\r\n.\r\n",
        b"RETR 2": b"+OK\r\nX: 2\r\n\r\ntwo\r\n.\r\n", b"DELE": b"+OK\r\n", b"QUIT": b"+OK\r\n"}


class FromBadServers(FetchTest):
    user = "joe"

    def serve(self, changes=None, **kwargs):
        self.server = BadServer({**GOOD, **(changes or {})}, **kwargs)
        self.addCleanup(self.server.socket.close)
        self.address = self.server.address

    def test_a_plain_one(self):
        self.serve()
        self.assertIn("2 messages fetched, 2 deleted", self.fetch("--delete"))
        self.assertEqual(self.server.said[-3:], [b"DELE 1", b"DELE 2", b"QUIT"])

    def closing_talk(self, client, lines):
        client.sendall(b"+OK\r\n")
        for line in lines:
            self.server.said.append(line.strip())
            client.sendall(self.server.replies.get(line.strip(), self.server.replies.get(line.split()[0], b"-ERR\r\n")))
            if line.startswith(b"RETR 2"):
                return

    def test_resumes(self):
        """What came whole is kept, nothing is deleted, and the next run goes on."""
        self.serve()
        good, self.server.talk = self.server.talk, self.closing_talk
        self.server.replies[b"RETR 2"] = b"+OK\r\nX: 2\r\n\r\ntw"
        self.fetch("--delete", expect=75)
        self.assertEqual(self.bodies(), [b"one\n"])
        self.assertEqual(os.listdir(os.path.join(self.home.maildir, "tmp")), [])
        self.assertFalse([s for s in self.server.said if s.startswith((b"DELE", b"QUIT"))])
        self.server.talk = good
        self.server.replies[b"RETR 2"] = GOOD[b"RETR 2"]
        self.assertIn("1 messages fetched, 2 deleted", self.fetch("--delete"))
        self.assertEqual(self.bodies(), [b"one\n", b"two\n"])
        self.assertEqual(self.server.said.count(b"RETR 1"), 1)

    def test_nonsense(self):
        cases = [({b"LIST": b"+OK\r\nx y\r\n.\r\n"}, "listing"), ({b"LIST": b"+OK\r\n2 5\r\n1 5\r\n.\r\n"}, "listing"),
                 ({b"UIDL": b"+OK\r\n1 " + b"u" * 200 + b"\r\n.\r\n"}, "listing"),
                 ({b"UIDL": b"+OK\r\n" + b"x" * 9000}, "listing"), ({b"PASS": b"HTTP/1.1 400\r\n"}, "POP3"),
                 ({b"RETR 1": b"what\r\n"}, "POP3"),
                 ({b"RETR 1": b"+OK\r\n" + b"x" * 1000000}, "more than it announced")]
        for changes, word in cases:
            self.serve(changes)
            self.assertIn(word, self.fetch("--delete", "--size-max", "100K", expect=75))
            self.assertEqual(self.home.mail(), [])
            self.assertNotIn(b"QUIT", self.server.said)
        self.serve(greeting=b"-ERR [SYS/TEMP] later\r\n")
        self.fetch(expect=75)
        self.serve({b"UIDL": b"-ERR no\r\n"})
        self.assertIn("UIDL", self.fetch(expect=1))

    def test_no_tls_to_be_had(self):
        """Without STLS no password is sent, whatever CAPA shows; what follows its answer is no server's."""
        self.serve()
        self.assertIn("STLS is refused", self.fetch("--stls", expect=1))
        self.serve({b"STLS": b"+OK\r\n+OK\r\n"})
        self.assertIn("behind the server's answer", self.fetch("--stls", expect=75))
        self.serve({b"STLS": b"+OK\r\n", b"\x16": None})
        self.fetch("--stls", expect=75)
        for server in (self.server,):
            self.assertFalse([s for s in server.said if s.startswith((b"USER", b"PASS", b"AUTH"))])

    def test_logins(self):
        capa = b"+OK\r\nUIDL\r\nSASL LOGIN PLAIN\r\n.\r\n"
        self.serve({b"CAPA": capa, b"AUTH PLAIN": b"+ \r\n", b"AGpvZQBjb3JyZWN0IGhvcnNl": b"+OK\r\n"})
        self.fetch()
        self.serve({b"CAPA": capa, b"AUTH PLAIN": b"-ERR [IN-USE]\r\n"})
        self.fetch(expect=75)
        self.serve({b"CAPA": capa, b"AUTH PLAIN": b"+OK\r\n"})
        self.fetch(expect=75)
        self.serve({b"CAPA": capa, b"AUTH PLAIN": b"+ !\r\n"})
        self.fetch(expect=75)

    def test_scram_with_an_impostor(self):
        """Who cannot prove that he knows the password gets no proof he could use, and no mail is believed."""
        self.serve({b"CAPA": b"+OK\r\nSASL SCRAM-SHA-256 PLAIN\r\n.\r\n", b"AUTH": b"+ \r\n"})
        self.server.talk = self.impostor
        self.assertIn("does not know the password", self.fetch(expect=1))
        self.assertNotIn(b"AUTH PLAIN", self.server.said)

    def impostor(self, client, lines):
        client.sendall(b"+OK\r\n")
        for line in lines:
            self.server.said.append(line.strip())
            if line.startswith((b"CAPA", b"AUTH")):
                client.sendall(self.server.replies[line.split()[0]])
                continue
            text = base64.b64decode(line)
            if text.startswith(b"n,,"):
                nonce = text.split(b"r=")[1]
                answer = b"r=" + nonce + b"more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
            else:
                answer = b"v=" + base64.b64encode(b"x" * 32)
            client.sendall(b"+ " + base64.b64encode(answer) + b"\r\n")

    def test_wrong_sizes_and_doubled_uidls(self):
        self.serve({b"LIST": b"+OK\r\n1 1\r\n2 99999\r\n3 1\r\n.\r\n", b"UIDL": b"+OK\r\n1 a\r\n2 b\r\n3 b\r\n.\r\n"})
        status, stdout, stderr = self.home.fetch(self.address, "joe", "--maildir", self.home.maildir, "--delete")
        self.assertEqual((status, stdout.split(",")[0]), (0, "1 messages fetched"))
        self.assertIn("no UIDL of their own", stderr)
        self.assertEqual([s for s in self.server.said if s.startswith(b"DELE")], [b"DELE 1"])

    def test_a_message_that_cannot_be_had(self):
        self.serve({b"RETR 1": b"-ERR gone\r\n"})
        self.assertIn("1 messages fetched, 1 deleted", self.fetch("--delete"))
        self.assertEqual(self.bodies(), [b"two\n"])


@unittest.skipUnless(is_root() and shutil.which("dovecot", path="/usr/sbin:/usr/bin") and
                     os.path.exists("/usr/lib/dovecot/pop3"), "dovecot-pop3d is not installed, or not root")
class FromDovecot(FetchTest):
    user = "joe"

    def setUp(self):
        super().setUp()
        from dovecot import Dovecot
        directory = tempfile.mkdtemp(prefix="barid-dovecot-")
        self.addCleanup(shutil.rmtree, directory, True)
        self.dovecot = Dovecot(directory)
        self.address = (self.dovecot.address, self.dovecot.port)
        new = os.path.join(directory, "mail/joe/Maildir/new")
        os.makedirs(new)
        for n in range(30):
            with open(os.path.join(new, f"{n}.x"), "w") as f:
                f.write(f"Subject: {n}\n\n.body {n}\n")
        for path, _, files in os.walk(os.path.join(directory, "mail")):
            for name in ["."] + files:
                os.chown(os.path.join(path, name), self.dovecot.uid, self.dovecot.gid)
        self.dovecot.start()
        self.addCleanup(self.dovecot.stop)

    def test_keep_then_delete(self):
        self.assertIn("30 messages fetched, 0 deleted", self.fetch())
        self.assertIn("0 messages fetched, 0 deleted", self.fetch())
        self.assertIn("0 messages fetched, 30 deleted", self.fetch("--delete"))
        self.assertIn("0 messages fetched, 0 deleted", self.fetch("--delete"))
        self.assertEqual(self.bodies(), sorted(b".body %d\n" % n for n in range(30)))
