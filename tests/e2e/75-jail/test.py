"""What a process that was taken over cannot do."""

import os
import unittest

from harness import NOBODY, ROLES, Suite, sanitizers

GRANTED = {"list /": ("authd", "queue", "mailbox", "pamd"), "open a TCP socket": ("relay", "resolver", "policy"),
           "open /etc/passwd": ("pamd",), "fork": ("pamd",), "open a Unix socket": ("pamd",)}


FILTERED = unittest.skipIf(sanitizers(), "the sanitizers make system calls that no filter would allow")


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


class Jail(unittest.TestCase):
    def suite(self, **kwargs):
        suite = Suite(**kwargs)
        self.addCleanup(suite.close)
        return suite

    def probe_all(self, suite):
        for role in ROLES + ("pamd",):
            rows = suite.cli("probe", role, json=True)
            self.assertGreaterEqual(len(rows), 12)
            for row in rows:
                with self.subTest(role=role, attempt=row["attempt"]):
                    self.assertTrue(row["ok"], row)
                    self.assertEqual(row["granted"], role in GRANTED.get(row["attempt"], ()))
                    if not row["granted"]:
                        self.assertRegex(row["result"], "^(refused|killed) ")
                    elif row["attempt"] == "fork":
                        self.assertEqual(row["result"], "allowed")

    @FILTERED
    def test_probe(self):
        self.probe_all(self.suite(users=()))

    @FILTERED
    @unittest.skipIf(os.geteuid() != 0, "needs root to become another user")
    def test_probe_as_an_ordinary_user(self):
        self.probe_all(self.suite(users=(), as_user=NOBODY))

    def test_probe_says_what_is_open(self):
        """The probe can fail: without the walls it says so."""
        suite = self.suite(config={"jail": {"seccomp": "off", "landlock": "off"}}, users=())
        status, _, stderr = suite.run("probe", "smtpd")
        self.assertEqual(status, 1)
        self.assertIn("should not be possible", stderr)

    def test_unknown_process(self):
        status, _, stderr = self.suite(users=()).run("probe", "nobody")
        self.assertEqual(status, 1)
        self.assertIn("no such process", stderr)

    @FILTERED
    def test_running_processes_are_inside(self):
        suite = self.suite(users=()).start()
        for process in suite.status()["processes"]:
            if process["role"] == "parent":
                continue
            with self.subTest(role=process["role"]):
                status = status_of(process["pid"])
                self.assertEqual(status["NoNewPrivs"], "1")
                self.assertEqual(status["Seccomp"], "2")
                self.assertEqual(int(status["CapEff"], 16), 0)
                if os.geteuid() == 0:
                    self.assertNotIn("0", status["Uid"].split())
        suite.stop()
