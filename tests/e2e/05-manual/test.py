"""What is made from tables and kept in the repository is current; the example is a right configuration."""

import os
import subprocess
import unittest

from harness import BUILD

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
