"""Mail from the users of this machine: the socket run_dir/submit, and the programs that use it."""

import os
import smtplib
import socket
import unittest

from harness import NOBODY, Suite, is_root, message, wait_until, without_trace


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

    def as_nobody(self, code):
        """Runs code in a process of another user; its result is True or the test fails."""
        child = os.fork()
        if child == 0:
            try:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                os._exit(0 if code() else 1)
            except BaseException as problem:
                os.write(2, f"{problem!r}\n".encode())
                os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_everybody_may_connect(self):
        mode = os.stat(os.path.join(self.suite.run_dir, "submit")).st_mode
        self.assertEqual(mode & 0o777, 0o666)
        self.assertEqual(self.suite.status()["sockets"],
                         [{"kind": "submit", "path": os.path.join(self.suite.run_dir, "submit")}])

    def test_local_mail(self):
        with Submit(self.suite) as client:
            client.sendmail("cron@example.org", ["alice@example.org"], message("from here"))
        octets, = [m for m in self.suite.mail("alice") if b"from here" in m]
        self.assertEqual(without_trace(octets), message("from here"))
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
        self.as_nobody(send)
        octets, = [m for m in self.suite.mail("bob") if b"of nobody" in m]
        self.assertIn(b"from userid %d)" % NOBODY, octets)

    def test_a_long_message_in_parts(self):
        body = b"".join(b"%06d %s\r\n" % (n, b"x" * 60) for n in range(4000))
        with Submit(self.suite) as client:
            client.sendmail("cron@example.org", ["bob@example.org", "further@example.net"], message(body))
        self.assertIn(message(body), [without_trace(m) for m in self.suite.mail("bob")])


class Limits(unittest.TestCase):
    def setUp(self):
        if not is_root():
            self.skipTest("needs root: root itself is not limited")
        self.suite = Suite({"submit": {"connections_per_user": 2, "message_rate": "3/1h"},
                            "": {"workers": 1}}).start()
        self.addCleanup(self.suite.close)

    as_nobody = Socket.as_nobody

    def test_connections_of_one_user(self):
        def crowd():
            clients = [Submit(self.suite) for _ in range(2)]
            try:
                Submit(self.suite)
            except smtplib.SMTPConnectError as refused:
                return refused.smtp_code == 421 and clients
            return False
        self.as_nobody(crowd)
        wait_until(lambda: self.suite.log().count(" disconnect ") >= 2)
        self.as_nobody(lambda: Submit(self.suite).noop()[0] == 250)

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
        self.as_nobody(hasty)
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
