"""Every keyword that EHLO shows, with every other: each value of each parameter meets each value of each other one in
some message. All replies have their enhanced code, and what arrives is what was sent."""

import base64
import itertools
import random
import re
import unittest

from certs import Pair, context
from harness import COMPLETE, PASSWORD, Suite, free_port, wait_until, without_trace
from wire import Wire

SENDER = "bob@example.org"
PATIENCE = 60

# What a message can ask for. Of each dimension one is taken.
DIMENSIONS = {
    "size": ("none", "exact", "less", "too big"),
    "body": ("none", "7BIT", "8BITMIME"),
    "utf8": (False, True),
    "ret": ("none", "FULL", "HDRS"),
    "envid": ("none", "QQ+2B314+3D159"),
    "auth": ("none", "<>", "bob@example.org"),
    "hold": ("none", "HOLDFOR=1"),
    "requiretls": (False, True),
    "notify": ("none", "NEVER", "FAILURE,DELAY", "SUCCESS"),
    "orcpt": ("none", "rfc822;alice+2Bx@example.org"),
    "content": ("DATA", "one chunk", "chunks", "chunks and an empty last"),
    "pipelined": (False, True),
    "case": ("upper", "lower"),
}

# Where each keyword is used here, or the test that has it.
USED = {
    "PIPELINING": "pipelined", "SIZE": "size", "8BITMIME": "body", "SMTPUTF8": "utf8", "CHUNKING": "content",
    "DSN": "ret", "AUTH": "auth", "FUTURERELEASE": "hold", "REQUIRETLS": "requiretls", "ENHANCEDSTATUSCODES": "every reply",
    "LIMITS": "10-smtp-dialogs", "HELP": "10-smtp-dialogs", "PRDR": "49-lmtp", "STARTTLS": "33-tls",
}


def combinations(seed):
    """Messages so that each pair of values of two dimensions is in one of them."""
    chance = random.Random(seed)
    names = list(DIMENSIONS)
    missing = {((a, x), (b, y)) for a, b in itertools.combinations(names, 2)
               for x in DIMENSIONS[a] for y in DIMENSIONS[b]}

    def gain(case):
        return sum(pair in missing for pair in itertools.combinations(case.items(), 2))

    while missing:
        first = chance.choice(sorted(missing, key=str))
        tries = [{name: dict(first).get(name, chance.choice(DIMENSIONS[name])) for name in names} for _ in range(30)]
        best = max(tries, key=gain)
        missing -= set(itertools.combinations(best.items(), 2))
        yield best


class Together(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = suite = Suite(config={})
        cls.address = (suite.address, free_port(suite.address))
        pair = Pair(suite.dir, "mx", ["mx.example.org"])
        suite.write_config({"": {"message_size_max": "100K"}, "listen submissions": {"address": "%s:%d" % cls.address},
                            "tls": pair.config(), "containment": {"messages_per_user": "none", "recipients_per_user": "none",
                                                             "new_recipients_per_user": "none"}})
        suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def connect(self):
        wire = Wire(self.address, timeout=PATIENCE)
        self.addCleanup(wire.close)
        wire.socket = context().wrap_socket(wire.socket, server_hostname="mx.example.org")
        self.assertEqual(wire.reply()[0], 220)
        before = wire.ask("EHLO client.example")[1]
        token = base64.b64encode(f"\0{SENDER}\0{PASSWORD}".encode()).decode()
        self.assert_reply(wire.ask(f"AUTH PLAIN {token}"), 235)
        code, offered = wire.ask("EHLO client.example")
        self.assertEqual(code, 250)
        return wire, before[1:] + offered[1:]  # AUTH goes, DSN comes

    def assert_reply(self, reply, code, enhanced=None):
        got, texts = reply
        self.assertEqual(got, code, texts)
        for text in texts:
            self.assertRegex(text, rf"^{enhanced or rf'{code // 100}[.][0-9]+[.][0-9]+'} ", reply)

    def test_every_keyword_is_used(self):
        """Who adds one adds it here."""
        _, offered = self.connect()
        plain = self.suite.wire()
        self.addCleanup(plain.close)
        words = {line.split()[0] for line in offered + plain.ask("EHLO client.example")[1][1:]}
        self.assertEqual(words - set(USED), set())
        self.assertGreaterEqual(words, {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "AUTH",
                                        "FUTURERELEASE", "REQUIRETLS", "ENHANCEDSTATUSCODES"})

    def content_of(self, n, case):
        text = f"From: Bob <{SENDER}>\r\nTo: somebody\r\nSubject: {n}\r\n{COMPLETE}".encode()
        if case["utf8"]:
            text += "X-Where: büro\r\n".encode()
        text += b"\r\n.\r\n..\r\nMAIL FROM:<x@y>\r\n" + b"a line of it\r\n" * 300
        if case["body"] == "8BITMIME":
            text += "grüße\r\n".encode()
        return text

    def mail_of(self, case, size):
        said = {"none": "", "exact": f" SIZE={size}", "less": " SIZE=1", "too big": " SIZE=200000"}[case["size"]]
        said += "" if case["body"] == "none" else f" BODY={case['body']}"
        said += " SMTPUTF8" if case["utf8"] else ""
        said += "" if case["ret"] == "none" else f" RET={case['ret']}"
        said += "" if case["envid"] == "none" else f" ENVID={case['envid']}"
        said += "" if case["auth"] == "none" else f" AUTH={case['auth']}"
        said += "" if case["hold"] == "none" else f" {case['hold']}"
        said += " REQUIRETLS" if case["requiretls"] else ""
        return self.in_case(case, f"MAIL FROM:<{SENDER}>{said}")

    def rcpt_of(self, case):
        said = "" if case["notify"] == "none" else f" NOTIFY={case['notify']}"
        said += "" if case["orcpt"] == "none" else f" ORCPT={case['orcpt']}"
        return self.in_case(case, f"RCPT TO:<alice@example.org>{said}")

    def in_case(self, case, command):
        """Words, not values (RFC 5321 2.4)."""
        if case["case"] == "upper":
            return command
        return re.sub(r"(?:^|(?<= ))[A-Z0-9 ]+(?=[:=]|$| )", lambda m: m.group().lower(), command)

    def chunks_of(self, case, content):
        if case["content"] == "one chunk":
            return [content]
        cuts = [content[:1], content[1:777], content[777:]]
        return cuts + [b""] if case["content"] == "chunks and an empty last" else cuts

    def send(self, wire, case, content):
        """The replies to MAIL, RCPT, the content, and RSET or NOOP after them."""
        mail, rcpt = self.mail_of(case, len(content)), self.rcpt_of(case)
        flights = [[f"{mail}\r\n".encode()], [f"{rcpt}\r\n".encode()]]
        if case["content"] == "DATA":
            stuffed = re.sub(rb"(?m)^\.", b"..", content)
            flights += [[b"DATA\r\n"], [stuffed + b".\r\n", b"NOOP\r\n"]]
        else:
            chunks = self.chunks_of(case, content)
            flights += [[b"BDAT %d%s\r\n" % (len(c), b" LAST" if i == len(chunks) - 1 else b"") + c]
                        for i, c in enumerate(chunks)] + [[b"NOOP\r\n"]]
        if case["pipelined"]:
            last = flights.pop() if case["content"] == "DATA" else []
            flights = [sum(flights, [])] + ([last] if last else [])
        replies = []
        for flight in flights:
            wire.send(b"".join(flight))
            for _ in flight:
                replies.append(wire.reply())
            if replies[-1][0] in (503, 554) and case["content"] == "DATA":
                break
        return replies

    def check(self, case, replies):
        """True if it was taken."""
        too_big = case["size"] == "too big"
        self.assert_reply(replies[0], 552 if too_big else 250, "5[.]3[.]4" if too_big else "2[.]1[.]0")
        if too_big:
            for reply in replies[1:]:
                self.assertIn(reply[0], (250, 503, 554), replies)
                self.assert_reply(reply, reply[0])
            return False
        self.assert_reply(replies[1], 250, "2[.]1[.]5")
        rest = replies[2:]
        if case["content"] == "DATA":
            self.assertEqual(rest.pop(0)[0], 354)
        for reply in rest:
            self.assert_reply(reply, 250)
        return True

    def test_each_pair_of_values(self):
        taken, wire = {}, None
        for n, case in enumerate(combinations(1)):
            with self.subTest(case=case):
                if wire is None or case["size"] == "too big" or n % 20 == 0:
                    wire, _ = self.connect()  # refusals are counted by connection
                content = self.content_of(n, case)
                if self.check(case, self.send(wire, case, content)):
                    taken[n] = content
                if case["size"] == "too big":
                    wire = None
        self.assertGreater(len(taken), 15)
        wait_until(lambda: self.suite.count("alice") >= len(taken), PATIENCE, "all that was taken")
        arrived = {int(re.search(rb"\r\nSubject: (\d+)\r\n", mail).group(1)): mail for mail in self.suite.mail("alice")}
        self.assertEqual(sorted(arrived), sorted(taken))
        for n, content in taken.items():
            self.assertEqual(without_trace(arrived[n]), content)
        self.assertEqual(self.suite.count("alice"), len(taken))


if __name__ == "__main__":
    unittest.main()
