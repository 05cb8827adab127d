"""testssl.sh finds nothing weak at any listener that has TLS. What it says of trust in the certificate is left out: the
test's is signed by itself. All of it, and for every listener, is for './dev test-all': a scan takes most of a minute.
Otherwise two listeners have their protocols looked at; sslscan does the rest (33-tls)."""

import json
import os
import shutil
import subprocess
import unittest

from certs import Pair
from harness import Suite, free_port

ALL = bool(os.environ.get("BARID_TEST_ALL"))
# Protocols; and in test-all ciphers, forward secrecy, known holes.
CHECKS = ("-p", "-s", "-f", "-U") if ALL else ("-p",)
WEAK = ("LOW", "MEDIUM", "HIGH", "CRITICAL")  # WARN says what the scan could not look at
SECONDS = 1200 if ALL else 600  # most of a minute on a quiet machine
PATIENCE = "60"  # s for each of its connections


def program():
    return shutil.which("testssl") or shutil.which("testssl.sh")


@unittest.skipUnless(program(), "testssl.sh is not installed")
class Scan(unittest.TestCase):
    timeout = SECONDS + 20  # of each test

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(config={})
        cls.addClassCleanup(cls.suite.close)
        pair = Pair(cls.suite.dir, "mx", ("mx.example.org",))
        cls.submission, cls.submissions, cls.pop3s = ((cls.suite.address, free_port(cls.suite.address)) for _ in range(3))
        cls.suite.write_config({"listen submission": {"address": "%s:%d" % cls.submission},
                                "listen submissions": {"address": "%s:%d" % cls.submissions},
                                "listen pop3s": {"address": "%s:%d" % cls.pop3s}, "tls": pair.config()})
        cls.suite.start()

    def scan(self, address, *words):
        file = os.path.join(self.suite.dir, "scan-%d.json" % address[1])
        done = subprocess.run([program(), "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--fast",
                               "--connect-timeout", PATIENCE, "--openssl-timeout", PATIENCE, "--jsonfile", file, *CHECKS, *words,
                               "%s:%d" % address], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=SECONDS, env={**os.environ, "TERM": "dumb"})
        self.assertTrue(os.path.exists(file), done.stdout + done.stderr)
        with open(file, encoding="utf-8") as f:
            found = json.load(f)
        self.assertEqual([x for x in found if x["severity"] == "FATAL"], [], "the scan did not work: " + done.stdout)
        told = {x["id"]: x["finding"] for x in found}
        self.assertEqual([x for x in found if x["severity"] in WEAK], [], done.stdout)
        for version in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"):
            self.assertIn("not offered", told[version], done.stdout)
        for version in ("TLS1_2", "TLS1_3"):
            self.assertRegex(told[version], "^offered", done.stdout)
        if ALL:
            self.assertIn("heartbleed", told, done.stdout)
            self.assertIn("not vulnerable", told["heartbleed"])

    def test_submissions(self):
        self.scan(self.submissions)

    def test_smtp(self):
        self.scan(self.suite.smtp_address, "-t", "smtp")

    if ALL:
        def test_submission(self):
            self.scan(self.submission, "-t", "smtp")

        def test_pop3(self):
            self.scan(self.suite.pop3_address, "-t", "pop3")

        def test_pop3s(self):
            self.scan(self.pop3s)
