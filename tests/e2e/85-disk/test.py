"""A disk without room: 452, nothing lost, and accepting again as soon as there is room."""

import os
import smtplib
import subprocess
import time
import unittest

from harness import Suite, is_root, message, wait_until, without_trace


def cpu_seconds(suite, role):
    with open(f"/proc/{suite.pids_of(role)[0]}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class FullDisk(unittest.TestCase):
    def setUp(self):
        if not is_root():
            self.skipTest("a small file system of its own needs root")
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M,mode=755", "barid-e2e",
                                  self.suite.state_dir], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.suite.state_dir])
        self.suite.start()
        self.filler = os.path.join(self.suite.state_dir, "filler")

    def fill(self, leave=0):
        with open(self.filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"\0" * 65536)
            except OSError:
                pass
            f.truncate(max(0, f.tell() - leave))

    def try_to_send(self, content):
        """The code of the final reply, or of the first that is no success."""
        with self.suite.smtp() as client:
            try:
                client.sendmail("eve@client.example", ["alice@example.org"], content)
            except smtplib.SMTPResponseException as e:
                return e.smtp_code, e.smtp_error[:5]
            except smtplib.SMTPRecipientsRefused as e:
                code, text = e.recipients["alice@example.org"]
                return code, text[:5]
        return 250, b""

    def full_and_back(self, body):
        suite = self.suite
        pids = suite.pids()
        sent = []
        first = message(body, subject="before")
        suite.send("eve@client.example", ["alice@example.org"], first)
        sent.append(first)
        self.fill()
        code = None
        for n in range(200):  # until nothing fits any more
            content = message(body, subject=f"number {n}")
            code, text = self.try_to_send(content)
            if code != 250:
                break
            sent.append(content)
        self.assertEqual((code, text), (452, b"4.3.1"))
        for n in range(10):
            content = message(body * 2, subject=f"again {n}")
            code = self.try_to_send(content)[0]
            self.assertIn(code, (250, 452))
            sent += [content] * (code == 250)
        for event in ("store-failed", "spool-failed"):
            self.assertLessEqual(suite.log().count(event), 1, "it is said once")
        # what was accepted can be read while the disk is full
        self.assertEqual([without_trace(m) for m in suite.mail("alice")], sent)
        os.remove(self.filler)
        last = message(body, subject="after")
        self.assertEqual(self.try_to_send(last)[0], 250)
        sent.append(last)
        self.assertEqual([without_trace(m) for m in suite.mail("alice")], sent)
        self.assertEqual(suite.pids(), pids, "a process was replaced")
        suite.restart()
        self.assertEqual([without_trace(m) for m in suite.mail("alice")], sent)
        suite.stop()

    def test_small_messages(self):
        self.full_and_back("small\r\n" * 500)

    def test_a_mailbox_that_cannot_be_cleared_is_tried_in_peace(self):
        """Removing takes room too; without it the queue waits instead of trying all the time."""
        suite = self.suite
        with suite.smtp() as client:
            for n in range(400):
                client.sendmail("eve@client.example", ["alice@example.org"], message("x" * 2000))
        suite.restart()  # the log of mail.db is empty now, so that it must grow
        self.fill(leave=65536)
        suite.cli("user", "remove", "alice@example.org")
        wait_until(lambda: "store-failed" in suite.log(), 20, "a failure")
        began = cpu_seconds(suite, "queue")
        time.sleep(2)
        self.assertLess(cpu_seconds(suite, "queue") - began, 1)
        self.assertEqual(suite.log().count("store-failed"), 1)
        os.remove(self.filler)
        suite.restart()
        suite.stop()

    def test_large_messages(self):
        self.full_and_back("large message\r\n" * 40000)

    def test_full_at_the_start(self):
        """With the disk full it starts, or says in a line why not; nothing is lost either way."""
        suite = self.suite
        suite.send("eve@client.example", ["alice@example.org"], message("kept"))
        suite.stop()
        self.fill()
        suite.spawn()
        wait_until(lambda: suite.process.poll() is not None or "ready" in suite.log(), 20, "an outcome")
        suite.process.terminate()
        suite.process.wait(20)
        os.remove(self.filler)
        suite.start()
        self.assertEqual(without_trace(suite.mail("alice")[0]), message("kept"))
        suite.stop()
