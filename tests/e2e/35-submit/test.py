"""Mail from the users of this machine: the socket run_dir/submit, and the programs that use it."""

import getpass
import os
import smtplib
import socket
import subprocess
import unittest

from harness import BUILD, COMPLETE, NOBODY, Nobody, Suite, is_root, message, reachable_build, wait_until, without_trace


class Submit(smtplib.SMTP):
    """SMTP over the submit socket, as root or as somebody else."""

    def __init__(self, suite):
        self.path = os.path.join(suite.run_dir, "submit")
        super().__init__("localhost", local_hostname="client.example", timeout=30)

    def _get_socket(self, *_):
        unix = socket.socket(socket.AF_UNIX)
        unix.settimeout(30)
        unix.connect(self.path)
        return unix


class Socket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite().start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def test_everybody_may_connect(self):
        mode = os.stat(os.path.join(self.suite.run_dir, "submit")).st_mode
        self.assertEqual(mode & 0o777, 0o666)
        self.assertEqual(self.suite.status()["sockets"],
                         [{"kind": "submit", "path": os.path.join(self.suite.run_dir, "submit")}])

    def test_local_mail(self):
        with Submit(self.suite) as client:
            client.sendmail("cron@example.org", ["alice@example.org"], message("from here"))
        octets, = [m for m in self.suite.mail("alice") if b"from here" in m]
        head, body = without_trace(octets).split(b"\r\n\r\n")
        self.assertTrue(message("from here").startswith(head.split(b"\r\nDate: ")[0]))
        self.assertRegex(head, rb"\r\nDate: [^\r]* \+0000\r\nMessage-ID: <\w{13}@mx.example.org>$")
        self.assertEqual(body, b"from here\r\n")
        self.assertRegex(octets, rb"Received: by mx.example.org \(barid, from userid %d\)\r\n"
                                 rb"\twith local id \w+\r\n\tfor <alice@example.org>;\r\n" % os.getuid())
        self.assertRegex(self.suite.log(), r'accepted .*client="?uid:%d' % os.getuid())

    def test_mail_for_elsewhere_is_taken_from_local_users_only(self):
        with Submit(self.suite) as client:
            client.sendmail("cron@example.org", ["far@example.net"], message())
        waiting, = [m for m in self.suite.queue() if m["recipients"][0]["address"] == "far@example.net"]
        self.assertEqual(waiting["client"], "uid:%d" % os.getuid())
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.suite.send("cron@example.org", ["far@example.net"], message())

    @unittest.skipUnless(is_root(), "needs root to become another user")
    def test_another_user(self):
        def send():
            with Submit(self.suite) as client:
                return client.sendmail("nobody@example.org", ["bob@example.org"], message("of nobody")) == {}
        self.assertTrue(Nobody(send).is_content())
        octets, = [m for m in self.suite.mail("bob") if b"of nobody" in m]
        self.assertIn(b"from userid %d)" % NOBODY, octets)

    def test_a_long_message_in_parts(self):
        body = b"".join(b"%06d %s\r\n" % (n, b"x" * 60) for n in range(4000))
        content = message(body, headers=COMPLETE)
        with Submit(self.suite) as client:
            client.sendmail("cron@example.org", ["bob@example.org", "further@example.net"], content)
        self.assertEqual([without_trace(m) == content for m in self.suite.mail("bob") if len(m) > 200000], [True])


class Limits(unittest.TestCase):
    def setUp(self):
        if not is_root():
            self.skipTest("needs root: root itself is not limited")
        self.suite = Suite({"submit": {"connections_per_user": 2, "message_rate": "3/1h"},
                            "": {"workers": 1}}).start()
        self.addCleanup(self.suite.close)

    def test_connections_of_one_user(self):
        def crowd():
            clients = [Submit(self.suite) for _ in range(2)]
            try:
                Submit(self.suite)
            except smtplib.SMTPConnectError as refused:
                return refused.smtp_code == 421 and clients
            return False
        self.assertTrue(Nobody(crowd).is_content())
        wait_until(lambda: self.suite.log().count(" disconnect ") >= 2)
        self.assertTrue(Nobody(lambda: Submit(self.suite).noop()[0] == 250).is_content())

    def test_messages_of_one_user(self):
        def hasty():
            with Submit(self.suite) as client:
                for _ in range(3):
                    client.sendmail("n@example.org", ["alice@example.org"], message())
                try:
                    client.sendmail("n@example.org", ["alice@example.org"], message())
                except smtplib.SMTPDataError as refused:
                    return refused.smtp_code == 450
            return False
        self.assertTrue(Nobody(hasty).is_content())
        self.assertEqual(self.suite.count("alice"), 3)
        with Submit(self.suite) as client:  # root
            for _ in range(5):
                client.sendmail("n@example.org", ["alice@example.org"], message())


class Switch(unittest.TestCase):
    def test_off_and_on_by_reload(self):
        suite = Suite({"submit": {"socket": "off"}}).start()
        self.addCleanup(suite.close)
        path = os.path.join(suite.run_dir, "submit")
        self.assertFalse(os.path.exists(path))
        suite.write_config({"submit": {"socket": "on"}})
        suite.reload()
        wait_until(lambda: os.path.exists(path), what="the socket")
        with Submit(suite) as client:
            client.sendmail("n@example.org", ["alice@example.org"], message())
        suite.reload()  # keeps it
        wait_until(lambda: suite.log().count(" reloaded ") == 2)
        with Submit(suite) as client:
            client.sendmail("n@example.org", ["alice@example.org"], message())
        suite.stop()


class Sendmail(unittest.TestCase):
    """sendmail(8) as other programs call it."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(users=("alice", "bob", "root"))
        cls.suite.write_config({"route nowhere.test": {"to": f"smtp://{cls.suite.address}:9"}})  # nobody there
        cls.suite.start()
        cls.env = {**os.environ, "BARID_CONFIG": cls.suite.config_file}

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def sendmail(self, *args, stdin=b"", name="sendmail", env=None, **kwargs):
        """(exit status, stdout, stderr)"""
        done = subprocess.run([os.path.join(BUILD, "bin", name), *args], input=stdin, capture_output=True,
                              env=env or self.env, timeout=60, **kwargs)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def send(self, *args, stdin):
        status, _, stderr = self.sendmail(*args, stdin=stdin)
        self.assertEqual((status, stderr), (0, ""))

    def one(self, user, mark):
        """The one message of a user that holds the mark, without trace fields."""
        octets, = [m for m in self.suite.mail(user) if mark in m]
        return without_trace(octets)

    def test_a_program_gives_a_body_only(self):
        self.send("alice@example.org", stdin=b"only a body, mark1\n.hidden dot\nlast")
        octets = self.one("alice", b"mark1")
        head, body = octets.split(b"\r\n\r\n", 1)
        self.assertEqual(body, b"only a body, mark1\r\n.hidden dot\r\nlast\r\n")
        self.assertRegex(head, rb"\AFrom: .*<?%s@mx\.example\.org>?\r\nDate: \w{3}, .* \+0000\r\n"
                               rb"Message-ID: <\w+@mx\.example\.org>\r\nTo: undisclosed-recipients:;\Z"
                               % getpass.getuser().encode())

    def test_php(self):
        """mail() writes LF and gives no envelope sender but by -f."""
        self.send("-t", "-i", "-fweb@example.org", stdin=b"To: alice@example.org\nSubject: php mark2\n"
                  b"Bcc: bob@example.org\nX-PHP: yes\n\nline\n.\nafter the dot\n")
        expected = rb"To: alice@example.org\r\nSubject: php mark2\r\nX-PHP: yes\r\nFrom: web@example.org\r\n" \
                   rb"Date: .*\r\nMessage-ID: .*\r\n\r\nline\r\n\.\r\nafter the dot\r\n\Z"
        for user in ("alice", "bob"):
            self.assertRegex(self.one(user, b"mark2"), expected)
        raw, = [m for m in self.suite.mail("bob") if b"mark2" in m]
        self.assertTrue(raw.startswith(b"Return-Path: <web@example.org>\r\n"))

    def test_cron(self):
        """To a name without a domain, which is one of ours."""
        self.send("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root",
                  stdin=b"From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> mark3\n\n10%\r20%\r100%\n\0\n")
        octets = self.one("root", b"mark3")
        self.assertIn(b"From: root@mx.example.org (Cron Daemon)\r\nTo: root@mx.example.org\r\n", octets)
        self.assertTrue(octets.endswith(b"\r\n\r\n10%\r\n20%\r\n100%\r\n\r\n"), octets)

    def test_end_of_the_message(self):
        self.send("alice@example.org", stdin=b"Subject: mark4\n\nfirst\n.\nnot sent\n")
        self.assertTrue(self.one("alice", b"mark4").endswith(b"\r\n\r\nfirst\r\n"))

    def test_barid_send(self):
        status, _, stderr = self.suite.run("send", "-t", stdin="To: alice@example.org\nSubject: mark5\n\nx\n")
        self.assertEqual((status, stderr), (0, ""))
        self.one("alice", b"mark5")

    def test_null_sender_and_bounces(self):
        self.send("-f", "<>", "alice@example.org", stdin=b"Subject: mark6\n\nx\n")
        raw, = [m for m in self.suite.mail("alice") if b"mark6" in m]
        self.assertTrue(raw.startswith(b"Return-Path: <>\r\n"))

    def test_resent(self):
        self.send("-t", stdin=b"Resent-To: bob@example.org\nResent-From: joe@example.org\nTo: nobody@example.org\n"
                              b"From: a@example.org\nDate: x\nMessage-ID: <y>\nSubject: mark7\n\nx\n")
        self.assertRegex(self.one("bob", b"mark7"), rb"\AResent-Date: .*\r\nResent-Message-ID: .*\r\nResent-To: ")

    def test_from_a_mailbox_file(self):
        self.send("-oi", "alice@example.org", stdin=b"From eve@x Sat Nov 22 05:00:00 2026\nSubject: mark8\n\nx\n")
        self.assertTrue(self.one("alice", b"mark8").startswith(b"Subject: mark8\r\n"))

    def test_large_and_long_lines(self):
        body = b"mark9 " + b"y" * 3000 + b"\n" + b"".join(b"%07d\n" % n for n in range(400000))
        self.send("-i", "alice@example.org", stdin=b"Subject: big\n\n" + body)
        got = self.one("alice", b"mark9").split(b"\r\n\r\n", 1)[1]
        self.assertLessEqual(max(map(len, got.split(b"\r\n"))), 998)
        self.assertEqual(got.replace(b"\r\n ", b""), body.replace(b"\n", b"\r\n"))

    def test_some_recipients_do_not_exist(self):
        status, _, stderr = self.sendmail("alice@example.org", "nobody1@example.org", stdin=b"Subject: mark10\n\nx\n")
        self.assertEqual(status, 67)
        self.assertIn("nobody1@example.org: 550 5.1.1", stderr)
        self.one("alice", b"mark10")

    def test_exit_statuses(self):
        hello = b"Subject: x\n\nx\n"
        huge = b"".join(b"X-%d: %s\n" % (n, b"y" * 200) for n in range(2000)) + b"\nx\n"
        cases = [(64, [], hello), (64, ["-t"], hello), (64, ["-z", "alice@example.org"], hello),
                 (64, ["-bv", "alice@example.org"], hello), (64, ["-C/etc/passwd", "alice@example.org"], hello),
                 (64, ["a@@b"], hello), (65, ["-t"], b"To: a@@b\n\nx\n"), (65, ["alice@example.org"], huge),
                 (67, ["nobody2@example.org"], hello), (64, ["-f", "a b@@", "alice@example.org"], hello)]
        for expected, args, stdin in cases:
            status, _, stderr = self.sendmail(*args, stdin=stdin)
            self.assertEqual(status, expected, (args, stderr))
            self.assertRegex(stderr, r"\Asendmail: [^\n]+\n\Z")

    def test_daemons_are_down(self):
        env = {**self.env, "BARID_CONFIG": os.path.join(self.suite.dir, "other.conf")}
        with open(env["BARID_CONFIG"], "w") as f:
            f.write(f"run_dir = {self.suite.dir}/nowhere\n[listen smtp]\n")
        for args, name in ((["alice@example.org"], "sendmail"), (["-bs"], "sendmail")):
            status, _, stderr = self.sendmail(*args, name=name, stdin=b"Subject: x\n\nx\n", env=env)
            self.assertEqual(status, 75, stderr)
        self.assertEqual(self.sendmail(name="mailq", env=env)[0], 69)

    def test_bs(self):
        status, stdout, _ = self.sendmail("-bs", stdin=b"EHLO me\nVRFY alice\n")
        self.assertEqual(status, 0)
        self.assertRegex(stdout, r"\A220 mx\.example\.org .*\r\n(250-.*\r\n)+250 .*\r\n252 .*\r\n\Z")

    def test_mailq_and_retry(self):
        self.assertEqual(self.sendmail("-bp")[1], "Mail queue is empty\n")
        for run in ("-q", "-q30m", "-qRnowhere.test"):  # scripts call it whether there is mail or not
            self.assertEqual(self.sendmail(run), (0, "", ""))
        self.assertEqual(self.sendmail("-qI38g3q3fzp40re")[0], os.EX_UNAVAILABLE)
        self.send("-f", "alice@example.org", "far@nowhere.test", stdin=b"Subject: x\n\nx\n")
        wait_until(lambda: self.suite.recipients().get("far@nowhere.test", {}).get("last_reply"))
        for args, name in (([], "mailq"), (["-bp"], "sendmail")):
            status, stdout, _ = self.sendmail(*args, name=name)
            self.assertEqual(status, 0)
            self.assertRegex(stdout, r"(?m)^\w{13}  +\d+  \w{3} \w{3} \d\d \d\d:\d\d:\d\d  +alice@example\.org\n"
                                     r" +\(.+\)\n +far@nowhere\.test\n\n-- 1 Kbytes in 1 Request\.\n\Z")
        before = self.suite.recipients()["far@nowhere.test"]["attempts"]
        self.assertEqual(self.sendmail("-q")[0], 0)
        wait_until(lambda: self.suite.recipients()["far@nowhere.test"]["attempts"] > before)
        identity, = [m["id"] for m in self.suite.queue()]
        self.assertEqual(self.sendmail("-qI" + identity)[0], 0)
        self.suite.cli("queue", "remove", identity)

    def test_newaliases(self):
        status, stdout, _ = self.sendmail(name="newaliases")
        self.assertEqual(status, 0)
        self.assertIn("barid alias list", stdout)

    @unittest.skipUnless(is_root(), "needs root to become another user")
    def test_an_ordinary_user(self):
        build = reachable_build(self.suite.dir)
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"}
        done = subprocess.run([os.path.join(build, "bin/barid"), "send", "alice@example.org"],
                              input=b"Subject: mark11\n\nx\n", env=self.env, capture_output=True, timeout=60,
                              **identity)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"From: \"nobody\" <nobody@mx.example.org>\r\n", self.one("alice", b"mark11"))
        done = subprocess.run([os.path.join(build, "bin/barid"), "mailq"], env=self.env, capture_output=True,
                              timeout=60, **identity)
        self.assertEqual(done.returncode, 77)
        self.assertIn(b"as root or as the user who started barid", done.stderr)

    @unittest.skipUnless(os.path.exists("/usr/bin/bsd-mailx"), "bsd-mailx is not installed")
    def test_mailx(self):
        rc = os.path.join(self.suite.dir, "mailrc")
        with open(rc, "w") as f:
            f.write(f"set sendmail={BUILD}/bin/sendmail\n")
        subprocess.run(["/usr/bin/bsd-mailx", "-s", "from mailx mark12", "-c", "bob@example.org", "alice@example.org"],
                       input=b"hello\n", env={**self.env, "MAILRC": rc}, check=True, timeout=60)
        for user in ("alice", "bob"):
            wait_until(lambda: any(b"mark12" in m for m in self.suite.mail(user)))
            self.assertTrue(self.one(user, b"mark12").endswith(b"\r\n\r\nhello\r\n"))
