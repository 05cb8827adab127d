"""What went in comes out, octet for octet: random messages by DATA, BDAT, LMTP, the submit socket, fetch and imports,
through POP3 and an export; and every size where storage changes. BARID_SEED and BARID_MESSAGES make it another or a longer run; a failure prints the seed."""

import os
import random
import re
import smtplib
import socket
import unittest

from harness import PASSWORD, Suite, free_port, without_trace

SEED = int(os.environ.get("BARID_SEED", "23"))
MESSAGES = int(os.environ.get("BARID_MESSAGES", "35"))
ROW = 64 << 10  # content of more octets is a file
ONE_PART = 48 << 10  # content of more comes to queue in several messages
BORDERS = (1, 510, 4096, 48 << 10, 64 << 10, (64 << 10) + 200, 300000)
OCTETS = bytes(o for o in range(1, 256) if o not in (10, 13))
HEADER = (b"From: <eve@client.example>\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\n"
          b"Message-ID: <%d@client.example>\r\nSubject: %s\r\n")


def random_message(rng, number):
    """Any octets but NUL, CR and LF in lines, many of them dots; with a body or without, of a size at a border."""
    words = (b"plain", b"Zo\xc3\xab", b"\xff\xfe", b"." * 60)
    octets = HEADER % (number, rng.choice(words))
    if rng.random() < 0.9:
        octets += b"\r\n"
    else:
        return octets
    want = rng.choice(BORDERS) + rng.randint(-2, 2)
    while len(octets) < want:
        line = rng.choice((b"", b".", b"..", b".\t", b"From ", bytes(rng.choices(OCTETS, k=rng.randint(0, 900)))))
        octets += line + b"\r\n"
    return octets


def plain_message(size):
    """Of so many octets."""
    octets = HEADER % (size, b"plain") + b"\r\n"
    left = size - len(octets)
    while left > 200:
        octets += b"." + b"x" * 97 + b"\r\n"
        left -= 100
    return octets + b"y" * (left - 2) + b"\r\n"


class Submit(smtplib.SMTP):
    def __init__(self, path):
        self.path = path
        super().__init__("localhost", local_hostname="client.example", timeout=30)

    def _get_socket(self, *_):
        unix = socket.socket(socket.AF_UNIX)
        unix.settimeout(30)
        unix.connect(self.path)
        return unix


class TwoWays(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users=("alice", "bob"))
        self.addCleanup(self.suite.close)
        self.lmtp_address = (self.suite.address, free_port(self.suite.address))
        self.suite.write_config({"listen lmtp": {"address": "%s:%d" % self.lmtp_address}})
        self.suite.start()
        self.rng = random.Random(SEED)
        self.address = self.suite.full("alice")

    def by_data(self, octets):
        self.suite.send("eve@client.example", [self.address], octets)

    def by_bdat(self, octets):
        """In chunks of any size, down to none."""
        with self.suite.wire() as wire:
            self.assertEqual(wire.ask("EHLO client.example")[0], 250)
            self.assertEqual(wire.ask("MAIL FROM:<eve@client.example> BODY=8BITMIME")[0], 250)
            self.assertEqual(wire.ask(f"RCPT TO:<{self.address}>")[0], 250)
            at = 0
            while at < len(octets):
                chunk = octets[at:at + self.rng.choice((0, 1, 7, 1000, 70000))]
                at += len(chunk)
                wire.send(b"BDAT %d\r\n" % len(chunk) + chunk)
                self.assertEqual(wire.reply()[0], 250)
            self.assertEqual(wire.ask("BDAT 0 LAST")[0], 250)
            wire.ask("QUIT")

    def by_socket(self, octets):
        with Submit(os.path.join(self.suite.run_dir, "submit")) as client:
            self.assertEqual(client.sendmail("eve@client.example", [self.address], octets), {})

    def by_lmtp(self, octets):
        with smtplib.LMTP(*self.lmtp_address, local_hostname="client.example") as client:
            self.assertEqual(client.sendmail("eve@client.example", [self.address], octets), {})

    def by_fetch(self, octets):
        """From the mailbox of bob, with the trace fields it got there."""
        self.suite.send("eve@client.example", [self.suite.full("bob")], octets)
        password = os.path.join(self.suite.dir, "password")
        with open(password, "w") as f:
            f.write(PASSWORD + "\n")
        os.chmod(password, 0o600)
        self.suite.cli("fetch", "--server", "%s:%d" % self.suite.pop3_address, "--user", self.suite.full("bob"),
                       "--password-file", password, "--deliver", self.address, "--delete", "--no-tls",
                       "--state-dir", os.path.join(self.suite.dir, "fetched"))

    def by_mbox(self, octets):
        """In mboxrd, which cannot say that a message has no body."""
        if b"\r\n\r\n" not in octets:
            self.by_import(octets)
            return
        lines = re.sub(rb"(?m)^(>*From )", rb">\1", octets.replace(b"\r\n", b"\n"))
        path = os.path.join(self.suite.dir, f"mbox{self.rng.randrange(10**12)}")
        with open(path, "wb") as f:
            f.write(b"From eve@client.example Mon Jan  5 10:00:00 2026\n" + lines + b"\n")
        self.suite.cli("mailbox", "import", self.address, "--mbox", path)

    def by_import(self, octets):
        top = os.path.join(self.suite.dir, f"Maildir{self.rng.randrange(10**12)}")
        for part in ("new", "cur", "tmp"):
            os.makedirs(os.path.join(top, part))
        with open(os.path.join(top, "new", f"{self.rng.randrange(10**9)}.1.host"), "wb") as f:
            f.write(octets.replace(b"\r\n", b"\n"))
        self.suite.cli("mailbox", "import", self.address, "--maildir", top)

    def exported(self):
        top = os.path.join(self.suite.dir, "export")
        self.suite.cli("mailbox", "export", self.address, "--maildir", top)
        found = []
        for part in ("new", "cur"):
            for name in os.listdir(os.path.join(top, part)):
                with open(os.path.join(top, part, name), "rb") as f:
                    found.append(f.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        return found

    def test_octet_for_octet(self):
        ways = (self.by_data, self.by_bdat, self.by_lmtp, self.by_socket, self.by_fetch, self.by_import, self.by_mbox)
        sent = []
        for number in range(MESSAGES):
            octets, way = random_message(self.rng, number), ways[number % len(ways)]
            way(octets)
            sent.append((octets, way.__name__))
        got = self.suite.mail()
        self.assertEqual(len(got), len(sent))
        for number, (octets, way) in enumerate(sent):
            self.assertTrue(without_trace(got[number]) == octets, f"seed {SEED}, message {number}, {way}")
        with self.suite.pop3() as session:
            session.ask("LIST")
            sizes = [int(line.split()[1]) for line in session.wire.multiline().splitlines()]
        self.assertEqual(sizes, [len(octets) for octets in got])
        self.assertTrue(sorted(self.exported()) == sorted(got), f"seed {SEED}, export")

    def test_every_size_at_the_limits(self):
        """What is stored is what came with a Received field in front, of a length that depends on the way."""
        ways = (self.by_data, self.by_bdat, self.by_lmtp, self.by_socket)
        for way in ways:
            way(plain_message(1000))
        lengths = [len(self.stored(octets)) - 1000 for octets in self.suite.mail()]
        sent = []
        for way, length in zip(ways, lengths):
            for limit in (ONE_PART, ROW):
                for size in range(limit - 3, limit + 4):
                    sent.append((plain_message(size - length), size))
                    way(sent[-1][0])
        with self.suite.pop3() as session:
            self.assertEqual(session.count(), len(ways) + len(sent))
            for number, (octets, size) in enumerate(sent):
                got = session.retr(len(ways) + number + 1)
                self.assertEqual(len(self.stored(got)), size)
                self.assertTrue(without_trace(got) == octets, f"message {number}, {size} octets stored")

    @staticmethod
    def stored(octets):
        return octets[octets.index(b"\r\n") + 2:] if octets.startswith(b"Return-Path:") else octets


if __name__ == "__main__":
    unittest.main()
