"""What is made from tables and kept in the repository is current; the example is a right configuration."""

import os
import subprocess
import sys
import unittest

from harness import BUILD

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rfcdoc  # noqa: E402

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")


class Made(unittest.TestCase):
    def make(self, target, remedy):
        done = subprocess.run(["make", "-s", "-C", BUILD, target], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{remedy}\n{done.stdout}{done.stderr}")

    def test_manual_pages(self):
        self.make("check-man-pages", "a table changed: make man-pages")

    def test_messages(self):
        self.make("check-ipc-doc", "common/proto.h changed: make ipc-doc")

    def test_example(self):
        example = os.path.join(TOP, "etc/barid.conf")
        done = subprocess.run([os.path.join(BUILD, "bin/barid"), "config", "show", "--config", example],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("hostname = mx.example.org  # line", done.stdout)

    def test_what_shows_each_requirement(self):
        """doc/RFC.md names files and tests: they are there."""
        self.assertEqual(list(rfcdoc.mistakes(TOP)), [])


class ReadsRfcDoc(unittest.TestCase):
    """The reader of doc/RFC.md itself: what it takes, and what it finds."""

    def wrong_tests(self, cell):
        return rfcdoc.TestCell(rfcdoc.Tree(TOP), cell).wrong

    def test_what_is_there(self):
        for cell in ["unit/smtpd/test_body `chunked`; e2e 10 `bare-lf-command`, 12", "smtpd/session.rows, 46-dsn",
                     "common/notify.xtext, .bounds", "fuzz `dsn`; fault/powercut; fault calls", "e2e 60 `who_may…`"]:
            self.assertEqual(self.wrong_tests(cell), [], cell)

    def test_what_is_not(self):
        for cell, what in [("unit/smtpd/test_body `chunk_ed`", "chunk_ed"), ("e2e 10 `bare_li`", "bare_li"),
                           ("e2e 99", "e2e 99"), ("unit/smtpd/test_nothing", "tests/unit/smtpd/test_nothing.c"),
                           ("fuzz `nothing`", "fuzz nothing"), ("smtpd/session.no_such_case", "no_such_case")]:
            self.assertEqual(self.wrong_tests(cell), [what], cell)
        tree = rfcdoc.Tree(TOP)
        self.assertEqual(rfcdoc.files_named(tree, "smtpd/body.c, nothing.c"), ["smtpd/nothing.c"])
        self.assertEqual(rfcdoc.files_named(tree, "smtpd/txn.c `txn_nothing`"), ["txn_nothing"])
