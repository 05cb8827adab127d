"""Logins over both protocols: SCRAM with and without a channel to bind to, and the clients that people use."""

import base64
import os
import poplib
import shutil
import socket
import ssl
import subprocess
import unittest

from certs import Pair, context
from harness import PASSWORD, Suite, free_port, message
from scram import Scram, Talk, end_point_of

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class SaslTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = cls.new_suite({})
        cls.suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    @staticmethod
    def new_suite(auth):
        suite = Suite(config={})
        suite.pair = Pair(suite.dir, "mx", ("mx.example.org", suite.address))
        suite.submission, suite.submissions, suite.pop3s = (
            (suite.address, free_port(suite.address)) for _ in range(3))
        suite.sections = {
            "listen submission": {"address": "%s:%d" % suite.submission},
            "listen submissions": {"address": "%s:%d" % suite.submissions},
            "listen pop3s": {"address": "%s:%d" % suite.pop3s},
            "auth": {"failure_delay": "10ms", "failures_per_address": "none", "scram_iterations": 4096, **auth},
            "tls": suite.pair.config()}
        suite.write_config(suite.sections)
        return suite

    def secured(self, address, version=None):
        raw = socket.create_connection(address, timeout=30)
        self.addCleanup(raw.close)
        tls = context(self.suite.pair, version).wrap_socket(raw, server_hostname="mx.example.org")
        self.addCleanup(tls.close)
        return tls

    def smtp(self, version=None, suite=None):
        sock = self.secured((suite or self.suite).submissions, version)
        talk = Talk(sock, b"334")
        self.assertEqual(talk.line()[:3], b"220")
        line = talk.ask(b"EHLO client.example")
        while line[3:4] == b"-":
            if line.startswith(b"250-AUTH "):
                talk.mechanisms = line.split()[1:]
            line = talk.line()
        return sock, talk

    def pop3(self, version=None, suite=None):
        sock = self.secured((suite or self.suite).pop3s, version)
        talk = Talk(sock, b"+")
        self.assertEqual(talk.line()[:3], b"+OK")
        return sock, talk

    def both(self, version=None):
        return ((self.smtp(version), b"235"), (self.pop3(version), b"+OK"))

    def log_in(self, talk, *how):
        """What is said at the end; a session that got in ends, as a mailbox has one at a time."""
        said = talk.log_in(*how)
        if said.startswith((b"235", b"+OK")):
            talk.ask(b"QUIT")
        return said


class Sasl(SaslTest):
    def test_scram(self):
        for flag in (b"n", b"y"):
            for has_initial in (True, False):
                for (_, talk), good in self.both():
                    with self.subTest(flag=flag, good=good, has_initial=has_initial):
                        said = self.log_in(talk, Scram("alice@example.org", PASSWORD, flag=flag),
                                           b"SCRAM-SHA-256", has_initial)
                        # to say that it could bind, though we offer it, is what a man in the middle does
                        self.assertEqual(said.startswith(good), flag == b"n", said)

    def test_plus(self):
        for version in VERSIONS:
            for (sock, talk), good in self.both(version):
                with self.subTest(version=version.name, good=good):
                    said = self.log_in(talk, Scram("alice@example.org", PASSWORD, end_point_of(sock)),
                                       b"SCRAM-SHA-256-PLUS")
                    self.assertTrue(said.startswith(good), said)

    def test_plus_on_another_channel(self):
        for (_, talk), good in self.both():
            said = self.log_in(talk, Scram("alice@example.org", PASSWORD, b"x" * 32), b"SCRAM-SHA-256-PLUS")
            self.assertFalse(said.startswith(good), said)
            said = self.log_in(talk, Scram("alice@example.org", PASSWORD), b"SCRAM-SHA-256-PLUS")
            self.assertFalse(said.startswith(good), said)

    def test_wrong_and_unknown(self):
        for user, password in (("alice@example.org", "wrong"), ("nobody@example.org", PASSWORD)):
            for (_, talk), good in self.both():
                scram = Scram(user, password)
                said = self.log_in(talk, scram, b"SCRAM-SHA-256")
                self.assertTrue(said.startswith(b"535" if good == b"235" else b"-ERR [AUTH]"), said)
                self.assertEqual(scram.iterations, 4096)

    @needs("gsasl")
    def test_gsasl(self):
        """tls-exporter with TLS 1.3."""
        for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"):
            done = subprocess.run(
                ["gsasl", "--smtp", "--client", "--mechanism", mechanism, "--authentication-id",
                 "alice@example.org", "--authorization-id", "", "--password", PASSWORD, "--x509-ca-file",
                 self.suite.pair.certificate, "--connect", "%s:%d" % self.suite.submission,
                 *(() if mechanism.endswith("PLUS") else ("--no-cb",))],  # it would say that it could bind
                input=b"QUIT\n", capture_output=True, timeout=60)
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            self.assertIn("\n235 2.7.0", said, f"{mechanism}: {said}")
            if mechanism.endswith("PLUS"):
                self.assertIn(base64.b64encode(b"p=tls-exporter,,n=").decode()[:20], said)

    @needs("mpop")
    def test_mpop(self):
        self.suite.send("eve@client.example", ["bob@example.org"], message(subject="for mpop"))
        path, box = (os.path.join(self.suite.dir, name) for name in ("mpoprc", "mbox"))
        for method in ("scram-sha-256", "plain", "user"):
            with open(path, "w") as f:
                f.write(f"defaults\nhost {self.suite.pop3s[0]}\nport {self.suite.pop3s[1]}\ntls on\n"
                        f"tls_starttls off\ntls_certcheck off\nauth {method}\nuser bob@example.org\n"
                        f"password {PASSWORD}\nkeep on\nuidls_file {path}.{method}\ndelivery mbox {box}\n"
                        "account default\n")
            os.chmod(path, 0o600)
            done = subprocess.run(["mpop", "-C", path], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 0, (method, done.stdout, done.stderr))
        with open(box, "rb") as f:
            self.assertEqual(f.read().count(b"Subject: for mpop"), 3)

    def test_poplib_plain(self):
        for has_initial in (True, False):
            box = poplib.POP3_SSL(*self.suite.pop3s, timeout=30, context=context(None))
            response = base64.b64encode(b"\0alice@example.org\0" + PASSWORD.encode()).decode()
            if has_initial:
                box._shortcmd("AUTH PLAIN " + response)
            else:
                box._putcmd("AUTH PLAIN")
                self.assertEqual(box._getline()[0], b"+ ")
                box._shortcmd(response)
            box.stat()
            box.quit()

    @needs("curl")
    def test_curl(self):
        """Without libgsasl curl knows PLAIN, and says of SCRAM that the login was denied."""
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            done = subprocess.run(["curl", "--silent", "--show-error", "--insecure", "--user",
                                   f"alice@example.org:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
                                   "pop3s://%s:%d/" % self.suite.pop3s], capture_output=True, timeout=60)
            version = subprocess.run(["curl", "--version"], capture_output=True, timeout=60).stdout
            if mechanism == "PLAIN" or b"gsasl" in version:
                self.assertEqual(done.returncode, 0, done.stderr)


class WithoutScram(SaslTest):
    """[auth] scram = no: argon2id alone is kept of a password."""

    def test_switched_off(self):
        _, talk = self.smtp()
        self.assertIn(b"SCRAM-SHA-256-PLUS", talk.mechanisms)
        self.suite.write_config({**self.suite.sections, "auth": {**self.suite.sections["auth"], "scram": "no"}})
        self.suite.restart()
        _, talk = self.smtp()
        self.assertEqual(talk.mechanisms, [b"PLAIN", b"LOGIN"])
        for (_, talk), _ in self.both():
            said = self.log_in(talk, Scram("alice@example.org", PASSWORD), b"SCRAM-SHA-256")
            self.assertTrue(said.startswith((b"504", b"-ERR")), said)
        self.suite.pop3("alice").quit()
        # the keys are gone, and a new password makes new ones only when they are wanted
        self.suite.write_config(self.suite.sections)
        self.suite.restart()
        _, talk = self.smtp()
        self.assertEqual(self.log_in(talk, Scram("alice@example.org", PASSWORD), b"SCRAM-SHA-256")[:3], b"535")
        self.suite.cli("user", "passwd", "alice@example.org", "--password-stdin", stdin=PASSWORD + "\n")
        self.assertEqual(self.log_in(talk, Scram("alice@example.org", PASSWORD), b"SCRAM-SHA-256")[:3], b"235")


if __name__ == "__main__":
    unittest.main()
