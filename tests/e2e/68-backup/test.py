"""Backup while mail arrives, and what a restore makes of it."""

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import unittest
from contextlib import closing

from harness import COMPLETE, PASSWORD, Suite, message, without_trace

USER = "alice@example.org"
FROM = "eve@client.example"
LARGE = 200000


def undo(version):
    """What makes a mail.db of today an older one: the unit tests keep it."""
    path = os.path.join(os.path.dirname(__file__), "..", "..", "unit", "queue", "world.h")
    with open(path) as f:
        macro = re.search(rf"#define WORLD_UNDO_{version} (.*?[^\\])\n", f.read(), re.S)[1]
    return "".join(undo(int(n)) if n else sql for n, sql in re.findall(r'WORLD_UNDO_(\d+)|"(.*?)"', macro))


def content(n):
    body = f"ledger {n}\r\n" + ("x" * 70 + "\r\n") * (LARGE // 72 if n % 5 == 0 else 1)
    return message(body, subject=f"message {n}", headers=COMPLETE)


class Ledger:
    """Sends messages until told to stop; knows which ones were taken, in order."""

    def __init__(self, suite):
        self.suite, self.taken, self.stop = suite, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        n = 0
        while not self.stop.is_set():
            with self.suite.smtp() as client:
                for _ in range(20):
                    client.sendmail(FROM, [USER], content(n))
                    self.taken.append(n)
                    n += 1

    def end(self):
        self.stop.set()
        self.thread.join()


class BackupTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite({"relay": {"allow_from": "127.0.0.0/8, ::1"}})
        self.addCleanup(self.suite.close)
        self.suite.start()
        self.dir = os.path.join(self.suite.dir, "backup")

    def back_up(self, name="backup"):
        return self.suite.cli("backup", os.path.join(self.suite.dir, name), json=True)

    def wipe(self):
        for name in os.listdir(self.suite.state_dir):
            path = os.path.join(self.suite.state_dir, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def refused(self, *args):
        status, _, stderr = self.suite.run(*args)
        self.assertEqual(status, 1, stderr)
        return stderr

    def test_under_load_nothing_is_missing(self):
        self.suite.send(FROM, ["carol@remote.example"], message("to be relayed"))
        ledger = Ledger(self.suite)
        try:
            while len(ledger.taken) < 60:
                self.assertTrue(ledger.thread.is_alive())
            # some of what is backed up is removed while it is
            with self.suite.pop3() as session:
                for n in range(1, 21):
                    session.ask(f"DELE {n}")
            before = len(ledger.taken)
            done = self.back_up()
            more = len(ledger.taken)
        finally:
            ledger.end()
        self.assertEqual(done["missing"], 0)
        self.assertGreater(len(ledger.taken), more, "accepting went on")
        subprocess.run(["sha256sum", "--quiet", "-c", "manifest"], cwd=self.dir, check=True,
                       capture_output=True)
        self.assertEqual(os.stat(self.dir).st_mode & 0o777, 0o700)
        self.suite.stop()
        self.wipe()
        self.suite.cli("restore", self.dir)
        self.suite.start()
        mails = [without_trace(mail) for mail in self.suite.mail()]
        numbers = [int(re.search(rb"message (\d+)", mail)[1]) for mail in mails]
        self.assertEqual(numbers, list(range(20, 20 + len(numbers))))
        self.assertGreaterEqual(20 + len(numbers), before)
        for n, mail in zip(numbers, mails):
            self.assertTrue(mail.endswith(content(n)), f"message {n} is not what was sent")
        self.assertIn("carol@remote.example", self.suite.recipients())
        self.suite.send(FROM, [USER], content(1))
        self.assertEqual(self.suite.count(), len(numbers) + 1)
        self.suite.add_user("dora")
        with self.suite.pop3("dora", PASSWORD) as session:
            self.assertEqual(session.count(), 0)
        self.assertNotIn("content-missing", self.suite.log())

    def test_what_is_refused(self):
        self.suite.send(FROM, [USER], content(0))
        self.back_up()
        self.assertIn("holds a backup already", self.refused("backup", self.dir))
        self.assertIn("running", self.refused("restore", self.dir))
        self.suite.stop()
        self.assertIn("not running", self.refused("backup", self.dir + "2"))
        self.assertIn("--force", self.refused("restore", self.dir))
        spool = os.path.join(self.dir, "spool")
        victim = os.path.join(spool, os.listdir(spool)[0])
        with open(victim, "r+b") as f:
            f.seek(1000)
            f.write(b"!")
        self.assertIn("not what was backed up", self.refused("restore", self.dir, "--force"))
        with open(os.path.join(self.dir, "manifest")) as f:
            manifest = f.read()
        for damaged, why in ((manifest[:-20], "damaged"), (manifest.splitlines(True)[0], "complete"),
                             ("x" + manifest, "not that of"),
                             (manifest + "0" * 64 + "  ../../etc/passwd\n", "damaged"),
                             (manifest + "0" * 64 + "  spool/../users.db\n", "damaged")):
            with open(os.path.join(self.dir, "manifest"), "w") as f:
                f.write(damaged)
            error = self.refused("restore", self.dir, "--force")
            self.assertTrue(why in error or "not what was backed up" in error, error)
        os.unlink(os.path.join(self.dir, "manifest"))
        self.assertIn("manifest", self.refused("restore", self.dir, "--force"))
        self.assertEqual(sorted(os.listdir(self.suite.state_dir)),
                         ["authd", "empty", "mail.db", "queue", "spool", "users.db"])
        self.suite.start()
        self.assertEqual(self.suite.count(), 1)

    def make_older(self, version, undo):
        """The backup's mail.db becomes one of that version, and its manifest true again."""
        path, manifest = os.path.join(self.dir, "mail.db"), os.path.join(self.dir, "manifest")
        with closing(sqlite3.connect(path)) as db:
            db.executescript(f"{undo}; PRAGMA user_version = {version}")
        with open(path, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        with open(manifest) as f:
            lines = [digest + line[64:] if line.endswith(" mail.db\n") else line for line in f]
        with open(manifest, "w") as f:
            f.writelines(lines)

    def test_one_of_an_older_version_is_taken_to_ours(self):
        self.suite.send(FROM, [USER], content(1))
        self.back_up()
        self.suite.stop()
        self.wipe()
        self.make_older(9, undo(10))
        self.suite.cli("restore", self.dir)
        self.suite.start()
        self.assertEqual(self.suite.count(), 1)
        with closing(sqlite3.connect(os.path.join(self.suite.state_dir, "mail.db"))) as db:
            self.assertGreater(db.execute("PRAGMA user_version").fetchone()[0], 9)

    def test_one_of_a_version_that_nobody_knows_is_refused(self):
        self.back_up()
        self.suite.stop()
        for version in (4, 1000):
            self.make_older(version, "")
            self.assertIn("another version of barid", self.refused("restore", self.dir, "--force"))

    def test_what_a_crash_left_of_one_is_cleared(self):
        self.suite.stop()
        left = [os.path.join(self.suite.state_dir, owner, "backup.db") for owner in ("queue", "authd")]
        for path in left:
            with open(path, "w") as f:
                f.write("half a copy")
        self.suite.start()
        self.assertEqual([path for path in left if os.path.exists(path)], [])

    def test_force_moves_aside(self):
        self.suite.send(FROM, [USER], content(0))
        self.back_up()
        self.suite.send(FROM, [USER], content(1))
        self.suite.stop()
        done = self.suite.cli("restore", self.dir, "--force", json=True)
        self.assertFalse(done["other_config"])
        aside = os.path.join(self.suite.state_dir, done["moved_aside"])
        self.assertTrue(os.path.exists(os.path.join(aside, "queue", "mail.db")))
        self.suite.start()
        self.assertEqual(self.suite.count(), 1)

    def test_a_restore_cut_short_is_not_started(self):
        self.back_up()
        self.suite.stop()
        open(os.path.join(self.suite.state_dir, "restoring"), "w").close()
        status, _, stderr = self.suite.run("run")
        self.assertNotEqual(status, 0)
        self.assertIn("cut short", stderr)
        self.suite.cli("restore", self.dir, "--force")
        self.suite.start()

    def test_a_machine_without_configuration(self):
        self.back_up()
        self.suite.stop()
        self.wipe()
        with open(self.suite.config_file, "rb") as f:
            config = f.read()
        os.unlink(self.suite.config_file)
        self.suite.cli("restore", self.dir)
        with open(self.suite.config_file, "rb") as f:
            self.assertEqual(f.read(), config)
        self.suite.start()
        with open(os.path.join(self.dir, "barid.conf"), "rb") as f:
            self.assertEqual(hashlib.sha256(f.read()).hexdigest(), hashlib.sha256(config).hexdigest())


if __name__ == "__main__":
    unittest.main()
