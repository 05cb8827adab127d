"""What the suite lives on is taken away for a while, and given back: a writable disk, an unlocked store, descriptors,
the right time. Meanwhile it says "later" and says why in one line; nothing it took is lost, nothing is
refused for good, and it goes on by itself afterwards."""

import errno
import os
import re
import smtplib
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PASSWORD, Suite, is_root, message, wait_until, without_trace
from lever import LeverSuite
from relaying import ALLOW, RelayTest, states, wait_for_empty_queue
from wire import Wire

FROM, ALICE = "eve@client.example", "alice@example.org"
LARGE = "a line of a large message\r\n" * 8000
PATIENCE = 60


class Sender:
    """Sends marked messages and keeps the accepts, to be compared with the mailbox."""

    def __init__(self, suite):
        self.suite, self.kept, self.n = suite, [], 0
        self.lock = threading.Lock()

    def send(self, body="small"):
        """The code of the last reply; None: no connection, or it was closed."""
        with self.lock:
            self.n += 1
            content = message(body, subject=f"number {self.n}")
        try:
            with self.suite.smtp() as client:
                client.sendmail(FROM, [ALICE], content)
        except smtplib.SMTPRecipientsRefused as e:
            return e.recipients[ALICE][0]
        except smtplib.SMTPResponseException as e:
            return e.smtp_code
        except (OSError, smtplib.SMTPException):
            return None
        with self.lock:
            self.kept.append(content)
        return 250

    def go_on(self):
        """Until a message is taken again."""
        wait_until(lambda: self.send() == 250, PATIENCE, "mail to be taken again")

    def compare(self, case):
        found = sorted(without_trace(m) for m in self.suite.mail())
        case.assertEqual(found, sorted(self.kept), f"{len(found)} in the mailbox, {len(self.kept)} accepted")


class Shortage(unittest.TestCase):
    timeout = 300

    def begin(self, kind=Suite, **kwargs):
        suite = kind(**kwargs)
        self.addCleanup(suite.close)
        suite.start()
        return suite, Sender(suite)

    def said(self, suite, pattern):
        return len(re.findall(rf"(?m)^{pattern}", suite.log()))

    def expect_later(self, code):
        self.assertIn(code, (421, 451, 452), "neither taken nor refused for good")


class Files(Shortage):
    def test_a_file_system_that_becomes_read_only(self):
        suite, sender = self.begin(LeverSuite)
        self.assertEqual((sender.send(), sender.send(LARGE)), (250, 250))
        suite.pull(write_errno=errno.EROFS)
        for n in range(12):
            self.expect_later(sender.send(LARGE if n % 3 == 2 else "small"))
        sender.compare(self)  # what is there can be read
        with suite.pop3() as session:
            session.ask("DELE 1")
            session.wire.say("QUIT")
            self.assertTrue(session.wire.line().startswith("-ERR [SYS/TEMP]"))
            session.quit = session.drop
        self.assertEqual(suite.run("user", "add", "carol@example.org", "--password-stdin", stdin="secret\n")[0], 1)
        wait_until(lambda: self.said(suite, "parent - process-died process=queue .*Read-only") == 1, PATIENCE,
                   "the reason in the log")
        self.assertEqual(self.said(suite, "queue - store-failed"), 1)
        self.assertLessEqual(self.said(suite, "authd - store-failed"), 1)
        suite.pull(write_errno=0)
        sender.go_on()
        self.assertEqual(sender.send(LARGE), 250)
        suite.add_user("carol")
        sender.compare(self)
        self.assertEqual(self.said(suite, "parent - process-died process=queue .*Read-only"), 1)
        self.assertEqual(self.said(suite, "parent - process-recovered process=queue"), 1)
        suite.stop()
        suite.start()
        sender.compare(self)
        self.assertEqual(suite.cli("fsck", json=False).count("damaged"), 0)
        suite.stop()

    def test_no_room_is_said_once(self):
        suite, sender = self.begin(LeverSuite)
        pids = suite.pids()
        suite.pull(write_errno=errno.ENOSPC)
        for n in range(30):
            self.assertEqual(sender.send(LARGE if n % 3 == 2 else "small"), 452)
        self.assertEqual(self.said(suite, "queue - store-failed"), 1)
        self.assertEqual(self.said(suite, "queue - spool-failed"), 1)
        suite.pull(write_errno=0)
        self.assertEqual((sender.send(), sender.send(LARGE)), (250, 250))
        sender.compare(self)
        self.assertEqual(os.listdir(os.path.join(suite.state_dir, "queue", "spool")).__len__(), 1)
        self.assertEqual(suite.pids(), pids)
        suite.stop()

    def test_read_only_at_the_start(self):
        if not is_root():
            self.skipTest("needs root: a file system of its own")
        suite = Suite()
        self.addCleanup(suite.close)
        mount = ["mount", "-t", "tmpfs", "-o", "size=24M,mode=755", "barid-e2e", suite.state_dir]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode:
            self.skipTest(f"no tmpfs can be mounted here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", suite.state_dir])
        suite.start()
        sender = Sender(suite)
        self.assertEqual((sender.send(), sender.send(LARGE)), (250, 250))
        suite.stop()
        for is_readonly in (True, False):
            option = "remount,ro" if is_readonly else "remount,rw"
            subprocess.run(["mount", "-o", option, suite.state_dir], check=True)
            if not is_readonly:
                break
            suite.spawn()
            self.assertEqual(suite.process.wait(PATIENCE), 1)
            lines = suite.log().splitlines()
            self.assertEqual(len(lines), 1, lines)
            self.assertIn("Read-only file system", lines[0])
        suite.start()
        sender.compare(self)
        suite.stop()


class Emergency(Shortage):
    """A file system on which the kernel found an error: read-only from then on, until it was repaired."""

    def setUp(self):
        if not is_root():
            self.skipTest("needs root: a file system of its own")
        self.image = tempfile.NamedTemporaryFile(prefix="barid-e2e-disk-")
        self.addCleanup(self.image.close)
        self.image.truncate(64 << 20)
        self.run_tool("mkfs.ext4", "-q", "-e", "remount-ro", self.image.name)

    def run_tool(self, *command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self.skipTest(f"{command[0]}: {done.stderr.strip()}")

    def mount(self, directory):
        self.run_tool("mount", "-o", "loop", self.image.name, directory)

    def break_it(self, directory):
        """As if the kernel had read something wrong from the disk."""
        device = os.stat(directory).st_dev
        name = os.path.basename(os.readlink(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
        trigger = f"/sys/fs/ext4/{name}/trigger_fs_error"
        if not os.access(trigger, os.W_OK):
            self.skipTest(f"no {trigger}")
        with open(trigger, "w") as f:
            f.write("1")
        with self.assertRaises(OSError):
            os.mkdir(os.path.join(directory, "probe"))

    def test_it_is_said_and_nothing_is_lost(self):
        suite = Suite()
        self.addCleanup(suite.close)
        self.mount(suite.state_dir)
        self.addCleanup(subprocess.run, ["umount", "-l", suite.state_dir], stderr=subprocess.DEVNULL)
        suite.start()
        sender = Sender(suite)
        self.assertEqual((sender.send(), sender.send(LARGE), sender.send()), (250, 250, 250))
        self.break_it(suite.state_dir)
        for n in range(9):
            self.expect_later(sender.send(LARGE if n % 3 == 2 else "small"))
        sender.compare(self)  # what is there can be read
        self.assertEqual(self.said(suite, "queue - store-failed"), 1)
        suite.stop()
        subprocess.run(["umount", suite.state_dir], check=True)
        self.assertIn(subprocess.run(["e2fsck", "-fp", self.image.name], capture_output=True).returncode, (0, 1))
        subprocess.run(["mount", "-o", "loop", self.image.name, suite.state_dir], check=True)
        suite.start()
        sender.go_on()
        sender.compare(self)
        self.assertEqual(suite.cli("fsck", json=False).count("damaged"), 0)
        suite.stop()


class Locks(Shortage):
    def lock(self, suite, *path):
        """Somebody opens a store with another program and holds its lock."""
        db = sqlite3.connect(os.path.join(suite.state_dir, *path), isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        self.addCleanup(db.close)
        return db

    def test_mail_db(self):
        if not is_root():
            self.skipTest("needs root: to open the store of another user")
        suite, sender = self.begin()
        self.assertEqual(sender.send(), 250)
        pids = suite.pids()
        other = self.lock(suite, "queue", "mail.db")
        codes = []
        crowd = [threading.Thread(target=lambda: codes.append(sender.send())) for _ in range(10)]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join(PATIENCE)
        self.assertEqual(len(codes), 10)
        for code in codes:
            self.expect_later(code)
        sender.compare(self)
        began = time.monotonic()
        for _ in range(20):  # it waits for the lock once, not each time
            self.expect_later(sender.send())
        self.assertLess(time.monotonic() - began, 40)
        self.assertEqual(self.said(suite, "queue - store-failed"), 1)
        other.close()
        sender.go_on()
        sender.compare(self)
        self.assertEqual(suite.pids(), pids)
        suite.stop()

    def test_users_db(self):
        if not is_root():
            self.skipTest("needs root: to open the store of another user")
        suite, sender = self.begin()
        other = self.lock(suite, "authd", "users.db")
        status, _, said = suite.run("user", "add", "carol@example.org", "--password-stdin", stdin="secret\n",
                                    timeout=PATIENCE)
        self.assertEqual((status, len(said.splitlines())), (1, 1), said)
        self.assertEqual(sender.send(), 250)
        sender.compare(self)  # which needs a login
        other.close()
        suite.add_user("carol")
        suite.stop()


ROLES = ("smtpd", "authd", "queue", "relay", "mailbox", "pop3d", "resolver", "keyd", "policy")


class Descriptors(RelayTest, Shortage):
    """Everybody has what he has open; nobody gets one more, of his own (EMFILE) or of the machine's (ENFILE)."""

    def make(self):
        self.far = self.remote()
        dns = self.dns({"remote.example": {"MX": [[10, "mx.remote.example"]]},
                        "mx.remote.example": {"A": self.far.host}})
        return self.begin(LeverSuite, config={
            "": {"workers": "1"}, "relay": {**ALLOW, "retry": "1s", "port": str(self.far.port)},
            "dns": {"server": f"{dns.host}@{dns.port}"}})

    def send_out(self, client, n):
        try:
            return not client.sendmail(FROM, [f"out{n}@remote.example"], message(LARGE if n % 2 else "out"))
        except smtplib.SMTPRecipientsRefused as e:
            self.expect_later(e.recipients[f"out{n}@remote.example"][0])
        except smtplib.SMTPResponseException as e:
            self.expect_later(e.smtp_code)
        return False

    def read(self, suite, wire):
        """A login and all messages, as far as it gets; nobody may say that the password is wrong."""
        for line in ("USER alice@example.org", f"PASS {PASSWORD}", "RETR 1", "RETR 2"):
            wire.say(line)
            answer = wire.line()
            if answer is None:
                return
            self.assertNotIn("AUTH", answer)
            if line.startswith("RETR") and answer.startswith("+OK"):
                wire.multiline()

    def mailbox_is_whole(self, suite, sender):
        try:
            sender.compare(self)
            return True
        except (AssertionError, OSError):
            return False

    def run_out(self, role, error):
        suite, sender = self.make()
        pids = suite.pids()
        self.assertEqual((sender.send(), sender.send(LARGE)), (250, 250))
        client, wire = suite.smtp(), Wire(suite.pop3_address)
        self.assertTrue(wire.line().startswith("+OK"))
        suite.pull(role, open_errno=error)
        waiting = [n for n in range(6) if not self.send_out(client, n)]
        self.read(suite, wire)
        wire.close()
        if role != "smtpd":
            self.assertIn(sender.send(), (250, 421, 451, 452))
        wait_until(lambda: self.has_tried(suite, role), PATIENCE, "attempts to deliver")
        suite.pull(role, open_errno=0)
        lines = [line for line in suite.log().splitlines() if "oo many open files" in line and " - " in line]
        self.assertLessEqual(len(lines), 2, "\n".join(lines[:20]))
        for n in waiting:
            wait_until(lambda n=n: self.send_out(client, n), PATIENCE, "mail to be taken again")
        client.close()
        sender.go_on()
        self.assertEqual(sender.send(LARGE), 250)
        wait_until(lambda: self.mailbox_is_whole(suite, sender), PATIENCE, "the mailbox to open")
        sender.compare(self)
        wait_for_empty_queue(suite, PATIENCE)
        self.assertEqual({m["rcpts"][0] for m in self.far.messages}, {f"out{n}@remote.example" for n in range(6)})
        self.assertEqual(suite.pids(), pids, "a process was replaced")
        self.assertEqual(self.said(suite, r"\w+ - channel-closed"), 0)
        self.assertNotIn("bounced", states(suite).values())
        self.assertEqual(suite.count(), len(sender.kept), "a bounce was made of it")
        suite.stop()

    def has_tried(self, suite, role):
        if role == "queue":  # which can take no command either
            return "spool-failed" in suite.log()
        return all(r["state"] == "done" or r["last_reply"] for r in suite.recipients().values())


DAY = 86400


class Clock(RelayTest, Shortage):
    def there_and_back(self, shift):
        """Mail goes on at once, and nothing waits for a time that is a day away when the clock is right again."""
        far = self.remote({"replies": {"RCPT": {"stays@remote.example": ["451 4.2.0 later"] * 3 + ["250 ok"]}}})
        suite, sender = self.begin(LeverSuite, config={
            "relay": {**ALLOW, "retry": "2s", "delay_warning": "3d"}, "route remote.example": {"to": f"smtp://{far.host}:{far.port}"}})
        pids = suite.pids()
        sender.go_on()
        for seconds in (shift, 0):
            suite.pull(clock_shift_s=seconds)
            sender.go_on()
            self.assertEqual(sender.send(LARGE), 250)
            sender.compare(self)
            suite.send(FROM, [f"now{seconds}@remote.example"], message())
            wait_until(lambda s=seconds: any(f"now{s}@remote.example" in m["rcpts"] for m in list(far.messages)), PATIENCE,
                       "mail to go out")
            suite.add_user(f"born{seconds}")
            with suite.pop3(f"born{seconds}"):
                pass
            if seconds:  # put off by the wrong clock
                suite.send(FROM, ["stays@remote.example"], message())
                wait_until(lambda: suite.recipients()["stays@remote.example"]["attempts"] > 0, PATIENCE, "an attempt")
        wait_for_empty_queue(suite, 100)
        self.assertEqual(sum("stays@remote.example" in m["rcpts"] for m in far.messages), 1)
        self.assertNotIn("bounced", states(suite).values())
        self.assertEqual(suite.pids(), pids)
        self.assertEqual(self.said(suite, "queue - clock-went-back"), 1)
        suite.stop()

    def test_a_day_ahead_and_back(self):
        self.there_and_back(DAY)

    def test_a_day_behind_and_right_again(self):
        self.there_and_back(-DAY)


def of_role(role, error):
    return lambda self: self.run_out(role, error)


for name in ROLES:
    setattr(Descriptors, f"test_{name}_has_none_left", of_role(name, errno.EMFILE))
for name in ("smtpd", "queue", "mailbox", "authd", "pop3d"):
    setattr(Descriptors, f"test_the_machine_has_none_left_for_{name}", of_role(name, errno.ENFILE))

if __name__ == "__main__":
    unittest.main()
