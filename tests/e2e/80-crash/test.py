"""kill -9 of every process in turn, of all at once, of the parent: under load, every message that got a 250
is in the mailbox exactly once, goes to the remote server at least once, and mail flows again without help."""

import ctypes
import errno
import os
import random
import re
import signal
import smtplib
import socket
import threading
import time
import unittest
from collections import Counter

from fakesmtp import FakeSmtp
from harness import ROLES, Suite, is_running, kill_quietly, message, own_address, wait_until

SENDERS = 4
SYS_PIDFD_GETFD = 438  # the same on every architecture


class Load:
    """Clients that send one marked message after the other and note which got their 250."""

    rounds = 0

    def __init__(self, suite, remote_domain):
        self.suite = suite
        self.remote_domain = remote_domain
        Load.rounds += 1
        self.round = Load.rounds
        self.lock = threading.Lock()
        self.tried, self.accepted = set(), set()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(SENDERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(40)

    def content(self, mark, rng):
        size = rng.choice((200, 200, 4000, 100000))  # the last kind lives in a file
        return message(f"mark={mark}.\r\n" + ("z" * 70 + "\r\n") * (size // 72))

    def work(self, number):
        rng = random.Random(number)
        n = 0
        while not self.is_over.is_set():
            try:
                with smtplib.SMTP(*self.suite.smtp_address, local_hostname="client.example", timeout=20) as client:
                    while not self.is_over.is_set():
                        n += 1
                        self.send(client, f"{self.round}-{number}-{n}", rng)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.02)  # nobody there just now; an unanswered message is never sent again

    def send(self, client, mark, rng):
        with self.lock:
            self.tried.add(mark)
        refused = client.sendmail("alice@example.org", ["bob@example.org", f"carol@{self.remote_domain}"],
                                  self.content(mark, rng))
        if refused:  # accepted for one of the two: "not now" for the other while authd was away
            return
        with self.lock:
            self.accepted.add(mark)

    def wait_for_more(self, count=5):
        """Mail flows: so many more messages get their 250."""
        before = len(self.accepted)
        wait_until(lambda: len(self.accepted) >= before + count, 30, f"{count} more messages to be accepted")


def marks(messages):
    return Counter(re.search(rb"mark=([0-9-]+)\.", m)[1].decode() for m in messages)


class Crash(unittest.TestCase):
    timeout = 240

    def setUp(self):
        self.remote = FakeSmtp(host=own_address())
        self.remote.start()
        self.addCleanup(self.remote.stop)
        self.suite = Suite(config={
            "relay": {"allow_from": "127.0.0.0/8", "retry": "1s"},
            "route remote.example": {"to": f"smtp://{self.remote.host}:{self.remote.port}"}})
        self.addCleanup(self.suite.close)
        self.suite.start()

    def verify(self, *loads):
        """Mailbox: accepted ones once, the others once or not at all. Remote: accepted ones at least once."""
        tried = set().union(*(load.tried for load in loads))
        accepted = set().union(*(load.accepted for load in loads))
        found = marks(self.suite.mail("bob"))
        twice = {m: c for m, c in found.items() if c > 1}
        self.assertFalse(twice, "delivered more than once")
        missing = accepted - set(found)
        self.assertFalse(missing, f"accepted and not in the mailbox, of {len(accepted)}")
        self.assertFalse(set(found) - tried)
        wait_until(lambda: not accepted - set(marks(m["data"] for m in list(self.remote.messages))), 60,
                   lambda: f"accepted mail at the remote server; the queue: {self.suite.queue()[:3]}")
        wait_until(lambda: not [r for m in self.suite.queue() for r in m["recipients"]
                                if r["state"] not in ("done", "bounced")], 60, "an empty queue")
        self.assertEqual(self.suite.count("alice"), 0, "a bounce was made of a crash")

    def load(self):
        return Load(self.suite, "remote.example")

    def kill_in_turn(self, roles):
        with self.load() as load:
            load.wait_for_more()
            for role in roles:
                self.suite.kill(role)
                load.wait_for_more()
        self.verify(load)
        self.suite.stop()

    def test_every_process_in_turn(self):
        self.kill_in_turn(ROLES)

    def test_the_queue_again_and_again(self):
        self.kill_in_turn(["queue"] * 4)

    def test_all_children_at_once(self):
        """The parent brings all of them back by itself."""
        with self.load() as load:
            load.wait_for_more()
            old = self.suite.pids()[1:]
            for pid in old:
                kill_quietly(pid)
            wait_until(lambda: self.is_whole(old), 30, "all processes to be replaced")
            load.wait_for_more()
        self.verify(load)
        self.suite.stop()

    def is_whole(self, old):
        now = [p["pid"] for p in self.suite.status()["processes"] if p["role"] != "parent"]
        return len(now) >= len(ROLES) and all(now) and not set(now) & set(old)

    def go_on(self, before):
        """The next start: mail flows, and nothing of the time before is lost."""
        self.suite.start()
        with self.load() as after:
            after.wait_for_more()
        self.verify(before, after)
        self.suite.stop()

    def test_everything_at_once(self):
        """All processes stand still at one moment, then are gone: as when the machine stops."""
        with self.load() as load:
            load.wait_for_more(20)
            pids = self.suite.pids()
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    kill_quietly(pid, number)
            self.suite.process.wait()
        self.go_on(load)

    def test_the_parent(self):
        """The parent's death ends all of them; the next start goes on."""
        with self.load() as load:
            load.wait_for_more(20)
            pids = self.suite.pids()
            kill_quietly(pids[0])
            self.suite.process.wait()
            wait_until(lambda: not any(map(is_running, pids)), 10, "the children to end with their parent")
        self.go_on(load)


def is_socket(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    except FileNotFoundError:  # closed since the list was made: a client's, as channels stay
        return False


def cut_channels(pid):
    """Shuts the sockets between this process and its siblings, as a broken message would; not the one to
    the parent (3), and not what listens or is a client's."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    n = 0
    for fd in map(int, os.listdir(f"/proc/{pid}/fd")):
        if fd <= 3 or not is_socket(pid, fd):
            continue
        mine = libc.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0)
        if mine < 0 and ctypes.get_errno() == errno.EBADF:
            continue
        if mine < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        with socket.socket(fileno=mine) as sock:
            if sock.family == socket.AF_UNIX and sock.type == socket.SOCK_SEQPACKET:
                listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if not listens:
                    sock.shutdown(socket.SHUT_RDWR)
                    n += 1
    os.close(pidfd)
    return n


@unittest.skipIf(os.geteuid() != 0, "needs root to reach into another process")
class Channels(unittest.TestCase):
    def test_a_channel_that_breaks_is_made_again(self):
        suite = Suite(config={"": {"workers": "1"}})
        self.addCleanup(suite.close)
        suite.start()
        before = suite.status()["processes"]
        for role in ("smtpd", "queue", "mailbox"):
            self.assertGreater(cut_channels(suite.pids_of(role)[0]), 0)
            wait_until(lambda: self.is_through(suite), 15, f"mail to flow again after {role} lost its channels")
        self.assertEqual([p["pid"] for p in before], [p["pid"] for p in suite.status()["processes"]])
        suite.stop()

    def is_through(self, suite):
        try:
            suite.send("eve@client.example", ["alice@example.org"], message())
            return len(suite.mail("alice")) > 0
        except (smtplib.SMTPException, AssertionError):
            return False
