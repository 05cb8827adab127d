"""Files of the store are damaged under running daemons: pages of a database, spool files, their directory. What cannot
be read is said, and said once; nobody is told that mail was taken that was not, that a message is whole that is
not, or that a password is wrong; `barid fsck` names it; and with the files as they were all mail is there."""

import glob
import os
import re
import shutil
import smtplib
import sqlite3
import unittest

from harness import PASSWORD, Suite, is_root, message, wait_until, without_trace
from wire import Wire

LARGE = "a line of a large message\r\n" * 8000
PAGE = 4096
PATIENCE = 60


@unittest.skipUnless(is_root(), "needs root: to write into files of other users")
class Damage(unittest.TestCase):
    timeout = 300

    def setUp(self):
        self.suite = Suite({"": {"workers": 1}}).start()
        self.addCleanup(self.suite.close)
        self.n, self.kept = 0, []
        for n in range(20):
            self.assertEqual(self.send(LARGE if n % 5 == 4 else "small"), 250)

    def send(self, body="small"):
        self.n += 1
        content = message(body, subject=f"number {self.n}")
        try:
            self.suite.send("eve@client.example", ["alice@example.org"], content)
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients["alice@example.org"][0]
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code
        self.kept.append(content)
        return 250

    def path(self, *parts):
        return os.path.join(self.suite.state_dir, *parts)

    def spoil(self, first, *parts):
        """Noise in place of all pages of a database from this one on. What is in its log is put into it before."""
        path = self.path(*parts)
        db = sqlite3.connect(path)
        busy, = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[:1]
        db.close()
        self.assertEqual(busy, 0)
        shutil.copy2(path, self.path("good"))
        with open(path, "r+b") as f:
            n = os.fstat(f.fileno()).st_size
            self.assertGreater(n, first * PAGE)
            f.seek(first * PAGE)
            f.write(os.urandom(n - first * PAGE))

    def put_back(self, *parts):
        """The file as it was before; nothing was committed since."""
        path = self.path(*parts)
        for ending in ("-wal", "-shm"):
            if os.path.exists(path + ending):
                os.unlink(path + ending)
        with open(self.path("good"), "rb") as good, open(path, "r+b") as f:
            f.truncate()
            shutil.copyfileobj(good, f)

    def log_in(self):
        """The last answer of a login and a first RETR."""
        wire = Wire(self.suite.pop3_address)
        for line in (None, "USER alice@example.org", f"PASS {PASSWORD}", "RETR 1"):
            if line:
                wire.say(line)
            answer = wire.line()
            if not answer or not answer.startswith("+OK"):
                break
        wire.close()
        return answer or ""

    def fsck(self, expect):
        status, out, err = self.suite.run("fsck", timeout=PATIENCE)
        self.assertEqual(status, 1, out + err)
        self.assertRegex(out + err, expect)

    def lines(self, pattern):
        return re.findall(rf"(?m)^{pattern}.*", self.suite.log())

    def expect_all(self):
        self.suite.start()
        self.assertEqual(sorted(map(without_trace, self.suite.mail())), sorted(self.kept))
        self.assertEqual(self.send(LARGE), 250)
        self.suite.stop()

    def expect_refused_start(self, line):
        self.suite.spawn()
        self.assertEqual(self.suite.process.wait(PATIENCE), 1)
        self.assertEqual(len(self.suite.log().splitlines()), 1, self.suite.log())
        self.assertRegex(self.suite.log(), line)

    def test_pages_of_mail_db(self):
        self.spoil(4, "queue", "mail.db")
        for n in range(10):
            self.assertIn(self.send(LARGE if n % 3 == 2 else "small"), (421, 451))
        wait_until(lambda: self.lines("parent - process-died process=queue .*restore a backup"), PATIENCE, "the reason")
        restarts = self.lines("parent - process-died process=queue ")
        self.assertTrue(self.log_in().startswith("-ERR [SYS/TEMP]"))
        wait_until(lambda: restarted(self.suite, "queue") >= 5, PATIENCE, "more attempts to start it")
        self.assertEqual(self.lines("parent - process-died process=queue "), restarts)
        self.assertEqual(len(self.lines("queue - store-failed ")), 1)
        self.assertIn(self.send(), (421, 451))
        self.fsck(r"mail\.db is damaged .*restore a backup")
        self.suite.stop()
        self.expect_refused_start(r"mail\.db is damaged .*: restore a backup$")
        self.put_back("queue", "mail.db")
        self.expect_all()

    def test_pages_of_users_db(self):
        self.spoil(2, "authd", "users.db")
        codes = {self.send(LARGE if n % 3 == 2 else "small") for n in range(10)}
        self.assertLessEqual(codes, {250, 421, 451})  # an address that was asked for before is known
        self.assertEqual(self.suite.run("user", "add", "carol@example.org", "--password-stdin", stdin="secret\n")[0], 1)
        answer = self.log_in()
        self.assertNotIn("[AUTH]", answer)
        self.assertLessEqual(len(self.lines("authd - store-failed ")), 1)
        self.suite.stop()
        self.fsck("cannot start authd: users.db.*restore a backup")
        self.expect_refused_start(r"users\.db.*restore a backup$")
        self.put_back("authd", "users.db")
        self.expect_all()

    def spooled(self):
        files = sorted(f for f in glob.glob(self.path("queue", "spool", "**"), recursive=True) if os.path.isfile(f))
        self.assertEqual(len(files), 4)
        return files

    def test_spool_files(self):
        """Cut, changed, replaced by another one, gone: of each the client gets nothing but an error."""
        cut, changed, replaced, gone = self.spooled()
        os.truncate(cut, 1000)
        with open(changed, "r+b") as f:
            f.seek(100000)
            octet = f.read(1)
            f.seek(100000)
            f.write(bytes([octet[0] ^ 1]))
        shutil.copyfile(changed, replaced)
        os.unlink(gone)
        found = []
        for n in range(1, 21):
            wire = Wire(self.suite.pop3_address)
            for line in (None, "USER alice@example.org", f"PASS {PASSWORD}", f"RETR {n}"):
                if line:
                    wire.say(line)
                answer = wire.line()
            if answer.startswith("+OK"):
                try:
                    found.append(without_trace(wire.multiline()))
                except (AssertionError, OSError, TypeError):
                    pass  # it ended in the middle, which is no message
            else:
                self.assertTrue(answer.startswith("-ERR [SYS/"), answer)
            wire.close()
        self.assertLessEqual(set(found), set(self.kept))
        self.assertEqual(len(found), 16)
        self.assertEqual((self.send(LARGE), self.send()), (250, 250))
        status, out, _ = self.suite.run("fsck", timeout=PATIENCE)
        self.assertEqual((status, len(re.findall("(?m)^alice@.* its content is (?:missing|not what was accepted)$", out))),
                         (1, 4), out)
        self.suite.stop()

    def test_the_directory_of_the_spool(self):
        aside = self.path("spool-aside")
        os.rename(self.path("queue", "spool"), aside)
        codes = [self.send(LARGE if n % 2 else "small") for n in range(8)]
        self.assertLessEqual(set(codes[1::2]), {250, 451})  # the process may hold the directory open
        self.assertEqual(set(codes[0::2]), {250})
        self.assertLessEqual(len(self.lines("queue - spool-failed ")), 1)
        self.suite.stop()
        os.rename(aside, self.path("queue", "spool"))
        self.expect_all()


def restarted(suite, role):
    return next(p["restarts"] for p in suite.status()["processes"] if p["role"] == role)


if __name__ == "__main__":
    unittest.main()
