"""A walker types POP3 at random, and a model of RFC 1939 says what it must hear. BARID_SEED and
BARID_STEPS make it another or a longer walk; a failure prints the seed."""

import os
import random
import unittest

from harness import Pop3, Suite, without_trace

SEED = int(os.environ.get("BARID_SEED", "7"))
STEPS = int(os.environ.get("BARID_STEPS", "400"))
BORDERS = (1, 2, 511, 512, 4096, 48 << 10, (48 << 10) + 1, 64 << 10, 70000, 200000)


def random_content(rng):
    """Lines of any octets but NUL, CR and LF, many of them dots, in a size around some border."""
    alphabet = bytes(o for o in range(1, 256) if o not in (10, 13))
    want = rng.choice(BORDERS) + rng.randint(-3, 3)
    octets = b"Subject: %d\r\n\r\n" % rng.randrange(10**9)
    while len(octets) < want:
        line = rng.choice((b"", b".", b"..", b".x", bytes(rng.choices(alphabet, k=rng.randint(0, 400)))))
        octets += line + b"\r\n"
    return octets


class Model:
    """A maildrop as RFC 1939 has it: messages by number, marks, and what RETR sends."""

    def __init__(self, stored):
        self.stored = list(stored)
        self.marked = set()

    def live(self):
        return [n for n in range(1, len(self.stored) + 1) if n not in self.marked]

    def is_there(self, text):
        return (text.isdigit() and len(text) < 19 and not (len(text) > 1 and text[0] == "0")
                and int(text) in self.live())

    def octets(self):
        return sum(len(self.stored[n - 1].octets) for n in self.live())

    def top(self, n, lines):
        head, _, body = self.stored[n - 1].octets.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n" + b"".join(body.splitlines(keepends=True)[:lines] if lines else [])


class Stored:
    def __init__(self, octets, uid):
        self.octets, self.uid = octets, uid


class Walk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(config={"limits": {"errors": "none"}}).start()
        cls.addClassCleanup(cls.suite.close)

    def deliver(self, n):
        sent = [random_content(self.rng) for _ in range(n)]
        with self.suite.smtp() as client:
            for content in sent:
                client.sendmail("eve@client.example", ["alice@example.org"], content, ["BODY=8BITMIME"])
        return sent

    def open(self):
        session = Pop3(self.suite.pop3_address, "alice@example.org")
        self.assertEqual(session.uidls(), [m.uid for m in self.stored])
        return session, Model(self.stored)

    def number(self, model):
        n = self.rng.choice((0, 1, len(model.stored), len(model.stored) + 1, self.rng.randint(1, 9)))
        return self.rng.choice(["%d"] * 8 + ["0%d", "-%d", "%d99999999999999999999"]) % n

    def say(self, session, line):
        session.wire.say(line)
        return session.wire.line()

    def step(self, session, model):
        verb = self.rng.choice(("STAT", "LIST", "UIDL", "LIST n", "UIDL n", "RETR n", "TOP n k", "DELE n", "DELE n",
                                "RSET", "NOOP", "XYZZY", "CAPA", "LANG"))
        number, k = self.number(model), self.rng.choice((0, 0, 1, 3, 10**6))
        there = model.is_there(number)
        line = self.rng.choice((str.upper, str.lower))(verb.split()[0])
        line += "" if " n" not in verb else f" {number}"
        line += f" {k}" if verb.startswith("TOP") else ""
        heard = self.say(session, line)
        with self.subTest(seed=SEED, line=line, heard=heard):
            if " n" in verb and not there:
                self.assertTrue(heard.startswith("-ERR"))
            else:
                self.check(session, model, verb, heard, int(number) if there else 0, k)

    def check(self, session, model, verb, heard, n, k):
        self.assertTrue(heard.startswith("+OK") or verb == "XYZZY")
        stored = model.stored[n - 1] if n else None
        if verb == "STAT":
            self.assertEqual(heard.split()[1:3], [str(len(model.live())), str(model.octets())])
        elif verb == "LIST":
            want = b"".join(b"%d %d\r\n" % (i, len(model.stored[i - 1].octets)) for i in model.live())
            self.assertEqual(session.wire.multiline(), want)
        elif verb == "UIDL":
            want = b"".join(b"%d %s\r\n" % (i, model.stored[i - 1].uid.encode()) for i in model.live())
            self.assertEqual(session.wire.multiline(), want)
        elif verb == "LIST n":
            self.assertEqual(heard.split()[1:3], [str(n), str(len(stored.octets))])
        elif verb == "UIDL n":
            self.assertEqual(heard.split()[1:3], [str(n), stored.uid])
        elif verb == "RETR n":
            self.assertTrue(session.wire.multiline() == stored.octets, "other octets")
        elif verb == "TOP n k":
            self.assertTrue(session.wire.multiline() == model.top(n, k), "other octets")
        elif verb == "DELE n":
            model.marked.add(n)
        elif verb == "RSET":
            model.marked.clear()
        elif verb in ("CAPA", "LANG"):
            session.wire.multiline()

    def test_walk(self):
        self.rng = random.Random(SEED)
        self.stored = []
        walked = 0
        while walked < STEPS:
            sent = self.deliver(self.rng.randint(0, 3))
            with Pop3(self.suite.pop3_address, "alice@example.org") as session:
                uids = session.uidls()
                self.assertEqual(uids[:len(self.stored)], [m.uid for m in self.stored])
                for n in range(len(self.stored) + 1, len(uids) + 1):
                    octets = session.retr(n)
                    self.assertTrue(without_trace(octets) == sent.pop(0), "what came in is not what comes out")
                    self.stored.append(Stored(octets, uids[n - 1]))
                self.assertEqual(sent, [])
            session, model = self.open()
            for _ in range(self.rng.randint(5, 40)):
                self.step(session, model)
                walked += 1
            if self.rng.random() < 0.6:
                session.quit()
                self.stored = [model.stored[n - 1] for n in model.live()]
            else:
                session.drop()
