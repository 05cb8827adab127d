"""Who comes to the sockets in run_dir: others than the administrator are told nothing, and whoever comes, says
nonsense, nothing at all, or comes a thousand times keeps nobody else from being served."""

import os
import random
import smtplib
import socket
import unittest

from harness import Nobody, Suite, is_root, message, wait_until

CONTROL = {"parent.sock": ("status",), "authd.sock": ("user", "list"), "queue.sock": ("queue", "list"),
           "mailbox.sock": ("mailbox", "show", "alice@example.org"),
           "relay.sock": ("explain", "--from", "eve@client.example", "--to", "far@example.net", "--client", "127.0.0.1")}
CROWD = 1000
PATIENCE = 60


def fds_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@unittest.skipUnless(is_root(), "needs root to become another user")
class Doors(unittest.TestCase):
    timeout = 200

    def setUp(self):
        self.suite = Suite({"": {"workers": 1}, "relay": {"allow_from": "127.0.0.0/8"},
                            "route example.net": {"to": "smtp://127.0.0.1:9"}}).start()
        self.addCleanup(self.suite.close)
        self.pids = self.suite.pids()
        self.before = {pid: fds_of(pid) for pid in self.pids}

    def path(self, name):
        return os.path.join(self.suite.run_dir, name)

    def knock(self, name, kind=socket.SOCK_SEQPACKET):
        door = socket.socket(socket.AF_UNIX, kind)
        door.connect(self.path(name))  # in a crowd that takes a moment
        door.settimeout(PATIENCE)
        return door

    def expect_service(self):
        for command in CONTROL.values():
            self.assertEqual(self.suite.run(*command, timeout=PATIENCE)[0], 0, command)

    def expect_as_before(self):
        """Nobody died, and nobody has kept a descriptor; the store's files may have been opened meanwhile."""
        self.assertEqual(self.suite.pids(), self.pids)
        wait_until(lambda: all(fds_of(pid) <= n + 4 for pid, n in self.before.items()), PATIENCE,
                   lambda: f"closed descriptors: {self.before} became { {p: fds_of(p) for p in self.pids} }")
        self.suite.send("eve@client.example", ["alice@example.org"], message())
        self.expect_service()
        self.suite.stop()

    def test_others_do_not_get_in(self):
        def is_locked():
            for name in CONTROL:
                try:
                    self.knock(name)
                    return False
                except PermissionError:
                    pass
            return True
        self.assertTrue(Nobody(is_locked).is_content())
        self.expect_as_before()

    def test_who_is_not_root_is_told_nothing(self):
        """Even where the mode of the socket lets him in."""
        def is_told_nothing():
            for name in CONTROL:
                for n in range(CROWD // len(CONTROL)):
                    with self.knock(name) as door:
                        try:
                            if n % 2:
                                door.send(os.urandom(random.randint(1, 5000)))
                            if door.recv(100000) != b"":
                                return False
                        except (BrokenPipeError, ConnectionResetError):
                            pass
            return True
        for name in CONTROL:
            os.chmod(self.path(name), 0o666)
        child = Nobody(is_told_nothing)
        self.expect_service()
        self.assertTrue(child.is_content())
        self.assertNotIn("channel-closed", self.suite.log())
        self.expect_as_before()

    def test_nonsense(self):
        for name in CONTROL:
            with self.knock(name) as door:
                hello = door.recv(100000)
            for n in range(60):
                with self.knock(name) as door:
                    self.assertEqual(door.recv(100000), hello)
                    if n % 3 == 0:  # what it said itself, which is of another role
                        door.send(hello)
                    door.send([os.urandom(random.randint(1, 90000)), hello[:n % len(hello)] or b"\0", bytes(99999)][n % 3])
                    try:
                        self.assertEqual(door.recv(100000), b"")
                    except ConnectionResetError:
                        pass
        wait_until(lambda: self.suite.log().count(" channel-closed peer=cli ") == 60 * len(CONTROL), PATIENCE,
                   lambda: f"a line for each, not {self.suite.log().count(' channel-closed ')}")
        self.expect_as_before()

    def test_the_silent_and_the_many(self):
        silent = [self.knock(name) for name in CONTROL for _ in range(10)]
        self.expect_service()
        for n in range(CROWD):  # nobody waits for an answer
            self.knock(list(CONTROL)[n % len(CONTROL)]).close()
        self.expect_service()
        for door in silent:
            door.close()
        self.expect_as_before()

    def submit(self):
        unix = self.knock("submit", socket.SOCK_STREAM)
        return unix, unix.recv(1000)

    def send_here(self):
        unix, greeting = self.submit()
        unix.close()
        if not greeting.startswith(b"220 "):
            return False

        class Client(smtplib.SMTP):
            def _get_socket(client, *_):
                return self.knock("submit", socket.SOCK_STREAM)
        try:
            client = Client("localhost", local_hostname="client.example", timeout=PATIENCE)
        except (smtplib.SMTPException, OSError):  # the place was taken
            return False
        with client:
            return client.sendmail("somebody@example.org", ["bob@example.org"], message("of a neighbour")) == {}

    def test_one_user_does_not_stand_in_the_way_of_another(self):
        def crowd():
            """Stays until it is told to go (or its parent is gone), and has then the service of others again."""
            os.close(told)
            os.close(tell)
            held = [self.knock("submit", socket.SOCK_STREAM) for _ in range(CROWD)]
            greeted = 0
            for door in held:
                try:
                    greeted += door.recv(1000).startswith(b"220 ")
                except ConnectionResetError:
                    pass
            os.write(crowded, b"%d\n" % greeted)
            os.read(go, 1)
            for n, door in enumerate(held):
                try:
                    door.send([b"\0\xff" * 500, b"EHLO x\r\nMAIL FROM:<a@b>\r\n", b"RCPT TO:<"][n % 3])
                except (BrokenPipeError, ConnectionResetError):
                    pass
                door.close()
            wait_until(self.send_here, PATIENCE, "service again")
            return True
        told, crowded = os.pipe()
        go, tell = os.pipe()
        child = Nobody(crowd)
        os.close(crowded)
        os.close(go)
        greeted = int(os.read(told, 20) or b"-1")  # nothing: it ended
        self.assertLess(greeted, CROWD)
        self.assertGreater(greeted, 0)
        wait_until(self.send_here, PATIENCE, "service of root")
        self.suite.send("eve@client.example", ["alice@example.org"], message())
        os.write(tell, b"x")
        self.assertTrue(child.is_content())
        for fd in (told, tell):
            os.close(fd)
        self.assertEqual(self.suite.count("bob"), 2)
        self.expect_as_before()


if __name__ == "__main__":
    unittest.main()
