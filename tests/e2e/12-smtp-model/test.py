"""A walker speaks SMTP at random, and a model of the RFCs says what it must hear. BARID_SEED and BARID_STEPS
make it another or a longer walk; a failure prints the seed and the last commands of its session."""

import base64
import itertools
import os
import random
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(__file__))

from certs import Pair, context
from harness import PASSWORD, Suite, free_port, own_address
from model import RCPT_MAX, SIZE_MAX, USER, Block, Session
from wire import Wire

SEED = int(os.environ.get("BARID_SEED", "11"))
STEPS = int(os.environ.get("BARID_STEPS", "6000"))

# word, value, the code that it is worth where it is offered (250: fine), keyword that offers it, command
PARAMETERS = [
    ("SIZE", "=100", 250, None, "MAIL"), ("SIZE", "=%d" % SIZE_MAX, 250, None, "MAIL"),
    ("SIZE", "=0", 250, None, "MAIL"), ("SIZE", "=%d" % (SIZE_MAX + 1), 552, None, "MAIL"),
    ("SIZE", "=", 501, None, "MAIL"), ("SIZE", "=-1", 501, None, "MAIL"), ("SIZE", "", 501, None, "MAIL"),
    ("BODY", "=7BIT", 250, None, "MAIL"), ("BODY", "=8bitmime", 250, None, "MAIL"),
    ("BODY", "=BINARYMIME", 501, None, "MAIL"), ("BODY", "", 501, None, "MAIL"),
    ("SMTPUTF8", "", 250, None, "MAIL"), ("SMTPUTF8", "", 250, None, "MAIL"), ("SMTPUTF8", "=1", 501, None, "MAIL"),
    ("AUTH", "=<>", 250, "AUTH", "MAIL"), ("AUTH", "=a+3Db@c.example", 250, "AUTH", "MAIL"),
    ("AUTH", "=", 501, "AUTH", "MAIL"), ("AUTH", "=a+3", 501, "AUTH", "MAIL"),
    ("REQUIRETLS", "", 250, "REQUIRETLS", "MAIL"), ("REQUIRETLS", "=1", 501, "REQUIRETLS", "MAIL"),
    ("PRDR", "", 250, "PRDR", "MAIL"), ("PRDR", "", 250, "PRDR", "MAIL"), ("PRDR", "=1", 501, "PRDR", "MAIL"),
    ("RET", "=FULL", 250, "DSN", "MAIL"), ("RET", "=hdrs", 250, "DSN", "MAIL"), ("RET", "=ALL", 501, "DSN", "MAIL"),
    ("ENVID", "=a+2Bb", 250, "DSN", "MAIL"), ("ENVID", "=a=b", 501, "DSN", "MAIL"),
    ("NOTIFY", "=NEVER", 250, "DSN", "RCPT"), ("NOTIFY", "=success,DELAY,Failure", 250, "DSN", "RCPT"),
    ("NOTIFY", "=NEVER,DELAY", 501, "DSN", "RCPT"), ("NOTIFY", "=", 501, "DSN", "RCPT"),
    ("ORCPT", "=rfc822;bob+2Bx@example.org", 250, "DSN", "RCPT"), ("ORCPT", "=bob", 501, "DSN", "RCPT"),
    ("HOLDFOR", "=-1", 501, "FUTURERELEASE", "MAIL"), ("HOLDFOR", "", 501, "FUTURERELEASE", "MAIL"),
    ("HOLDUNTIL", "=tomorrow", 501, "FUTURERELEASE", "MAIL"),
    ("XTREME", "", 555, None, "MAIL"), ("XTREME", "=9", 555, None, "RCPT"),
]
SENDERS = ["<eve@client.example>", f"<{USER}>", f"<{USER}>", "<>", "<jøran@client.example>", "eve@client.example",
           "<eve@client.example", "<eve@@client.example>", "<eve@-bad->", ""]
RECIPIENTS = ["<alice@example.org>", "<bob@example.org>", "<Postmaster>", "<dan@elsewhere.example>",
              "<@a.example,@b.example:bob@example.org>", "<nobody@example.org>", "<ø@example.org>", "<>", "bob@example.org",
              "<bob>", "<bob@example.org", ""]
HEAD = b"From: Eve <eve@client.example>\r\nSubject: walk\r\n\r\n"
IDENTITY = re.compile(rb"^Message-ID: <\S+@walk>", re.M)
UNCODED = {220, 334, 353, 354}  # RFC 2034 4: no code in the greeting and in what is no end


class Walker:
    """One connection and its model."""

    numbers = itertools.count(1)

    def __init__(self, suite, kind, is_trusted, rng):
        self.rng, self.suite = rng, suite
        self.model = Session(kind, is_trusted)
        source = (suite.trusted_address if is_trusted else suite.address, 0)
        self.number = next(Walker.numbers)
        self.said = []
        self.n_commands = self.n_contents = 0
        self.wire = Wire(suite.addresses[kind], source=source)
        if kind == "submissions":
            self.wrap()
        self.hear({220}, is_coded=False)

    def wrap(self):
        self.wire.socket = context().wrap_socket(self.wire.socket, server_hostname="mx.example.org")

    def hear(self, wanted, is_coded=True):
        if isinstance(wanted, Block):
            return [self.hear(w) for w in wanted][-1]
        code, texts = self.wire.reply()
        assert code in wanted, f"{code} {texts} heard, {sorted(wanted)} is right\n{self.story()}"
        for text in texts if is_coded and code not in UNCODED else ():
            group = text.split(" ")[0].split(".")
            good = len(group) == 3 and all(g.isdigit() for g in group) and group[0] == str(code)[0]
            assert good, f"no enhanced code of class {code}: {text}\n{self.story()}"
        return code, texts

    def story(self):
        m = self.model
        return (f"seed {SEED}, {m.kind}, trusted {m.is_trusted}, TLS {m.is_tls}, login {m.login}; the last lines:\n"
                + "\n".join(repr(o) for o in self.said[-12:]))

    def send(self, octets):
        self.said.append(octets[:200])
        self.wire.send(octets)

    # --- commands that can stand in a group: their octets, and how to look at the reply ---

    def some(self, verb):
        """Some parameters, most of them for this command, few wrong ones."""
        given = []
        while self.rng.random() < 0.4 and len(given) < 5:
            p = self.rng.choice(PARAMETERS)
            if (p[4] == verb and p[2] == 250) or self.rng.random() < 0.15:
                given.append(p)
        return given

    def path(self, choices):
        n_good = 4
        return self.rng.choice(choices[:n_good] if self.rng.random() < 0.75 else choices)

    def line(self, verb, *rest):
        verb = self.rng.choice((str.upper, str.lower, str.title))(verb)
        return (" ".join([verb, *filter(None, rest)])).encode() + b"\r\n"

    def make_mail(self):
        path, given = self.path(SENDERS), self.some("MAIL")
        words = [p[0] + p[1] for p in given]
        return self.line("MAIL", "FROM:" + path, *words), self.model.mail(path, given)

    def make_rcpt(self):
        path, given = self.path(RECIPIENTS), self.some("RCPT")
        words = [p[0] + p[1] for p in given]
        return self.line("RCPT", "TO:" + path, *words), self.model.rcpt(path, given)

    def make_bdat(self):
        octets, is_last = self.content(), self.rng.random() < 0.5
        command = self.line("BDAT", str(len(octets)), "LAST" if is_last else "") + octets
        return command, self.model.bdat(octets, is_last)

    def make_rset(self):
        argument = "x" if self.rng.random() < 0.1 else ""
        return self.line("RSET", argument), self.model.rset(argument)

    def make_small(self):
        m = self.model
        over = " " + "x" * 600
        rows = [("NOOP", {250}), ("NOOP what ever", {250}), ("HELP", {214}), ("HELP MAIL", {214}), ("XYZZY", {500}),
                ("", {500}), ("TURN", {500, 502, 530}), ("SAML FROM:<a@b>", {500, 502, 530}), ("NOOP" + over, {500}),
                ("VRFY bob", m.vrfy("bob")), ("VRFY alice@example.org", m.vrfy("alice@example.org")),
                ("VRFY <bob@example.org>", m.vrfy("<bob@example.org>")), ("VRFY nobody@example.org", m.vrfy("nobody@example.org")),
                ("VRFY", m.vrfy("")), ("EXPN staff", m.expn("staff")),
                ("EXPN staff@example.org", m.expn("staff@example.org")),
                ("EXPN <staff@example.org>", m.expn("<staff@example.org>")), ("EXPN", m.expn("")),
                ("EXPN alice@example.org", m.expn("alice@example.org")),
                ("EXPN nobody@example.org", m.expn("nobody@example.org")),
                ("EXPN staff@remote.example", m.expn("staff@remote.example")), ("EHLO", {501}),
                ("MAILFROM:<a@b>", {500}), ("X" + over, {500})]
        text, wanted = self.rng.choice(rows)
        return text.encode() + b"\r\n", wanted

    def content(self):
        body = self.rng.choice([b"hello\r\n"] * 8 + [b"", b"\r\n", b"..\r\n.x\r\n", b"a\nb\r\n", b"a\r\n" * 300,
                                                     b"y" * 70 + b"\r\n", (b"z" * 78 + b"\r\n") * 300])
        self.n_contents += 1
        return b"Message-ID: <%d.%d@walk>\r\n" % (self.number, self.n_contents) + HEAD + body

    # --- those that end a group ---

    def say_hello(self):
        verb = self.rng.choice(("EHLO", "EHLO", "EHLO", "HELO"))
        name = self.rng.choice(("client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]"))
        self.send(self.line(verb, name))
        _, texts = self.hear(self.model.hello(name), is_coded=False)
        if verb == "EHLO":
            offered = {re.sub(r"^(FUTURERELEASE \d+) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", r"\1", t) for t in texts[1:]}
            assert offered == self.model.keywords(), f"{texts} is not {self.model.keywords()}\n{self.story()}"
            assert len(texts) == len(set(texts)), texts

    def say_data(self):
        argument = "x" if self.rng.random() < 0.05 else ""
        wanted = self.model.data(argument)
        self.send(self.line("DATA", argument))
        code, _ = self.hear(wanted)
        if code == 354:
            octets = self.content()
            stuffed = (b"\r\n" + octets).replace(b"\r\n.", b"\r\n..")[2:]
            wanted = self.model.content(octets)
            self.send(stuffed + b".\r\n")
            self.hear(wanted)

    def say_starttls(self):
        argument = "x" if self.rng.random() < 0.1 else ""
        wanted = self.model.starttls(argument)
        self.send(self.line("STARTTLS", argument))
        if self.hear(wanted)[0] == 220:
            self.wrap()
            self.model.secured()

    def say_auth(self):
        mechanism = self.rng.choice(("PLAIN", "PLAIN", "PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5", ""))
        wanted = self.model.auth(mechanism)
        is_good = self.rng.random() < 0.8
        plain = base64.b64encode(b"\0%s\0%s" % (USER.encode(), (PASSWORD if is_good else "wrong").encode())).decode()
        if mechanism == "PLAIN" and self.rng.random() < 0.5:
            self.send(self.line("AUTH", mechanism, plain))
            self.end_auth(is_good) if wanted == {334} else self.hear(wanted)
            return
        self.send(self.line("AUTH", mechanism))
        if self.hear(wanted)[0] == 334:
            self.exchange(mechanism, plain, is_good)

    def exchange(self, mechanism, plain, is_good):
        ending = self.rng.random()
        if ending < 0.15:
            self.send(b"*\r\n")
            self.hear({501})
        elif ending < 0.25:
            self.send(b"no=base64!\r\n")
            self.hear({501})
        elif mechanism == "PLAIN":
            self.send(plain.encode() + b"\r\n")
            self.end_auth(is_good)
        elif mechanism == "LOGIN":
            self.send(base64.b64encode(USER.encode()) + b"\r\n")
            self.hear({334})
            self.send(base64.b64encode((PASSWORD if is_good else "wrong").encode()) + b"\r\n")
            self.end_auth(is_good)
        else:
            self.send(base64.b64encode(b"n,,r=x") + b"\r\n")
            self.hear({501, 535})

    def end_auth(self, is_good):
        if is_good:
            self.hear({235})
            self.model.login = USER
        else:
            self.hear({535})

    def say_quit(self):
        argument = "x" if self.rng.random() < 0.5 else ""
        wanted = self.model.quit(argument)
        self.send(self.line("QUIT", argument))
        self.hear(wanted)
        if self.model.is_closed:
            assert self.wire.is_closed(), self.story()

    # --- the walk ---

    def group(self):
        """Commands in one flight, one alone most often; what must end a flight is said by itself."""
        likely = [self.make_rcpt] * 3 if self.model.transaction else [self.make_mail] * 2
        makers = [self.make_mail, self.make_rcpt, self.make_bdat, self.make_rset, self.make_small, *likely]
        n = self.rng.choice((1, 1, 1, 2, 3, 6))
        made = [self.rng.choice(makers)() for _ in range(n)]
        octets = b"".join(o for o, _ in made)
        self.send(octets)
        for _, wanted in made:
            self.hear(wanted)
        self.n_commands += n

    def step(self):
        m, chance = self.model, self.rng.random()
        if not m.is_greeted and chance < 0.6:
            self.say_hello()
        elif chance < 0.6:
            self.group()
            return
        else:
            say = [self.say_hello, self.say_data, self.say_data, self.say_data, self.say_auth, self.say_starttls]
            if m.needs_login():
                say += [self.say_auth if m.is_tls else self.say_starttls] * 4
            elif m.transaction and m.transaction.recipients:
                say += [self.say_data] * 6
            if chance > 0.985:
                say = [self.say_quit]
            self.rng.choice(say)()
        self.n_commands += 1

    def walk(self, steps):
        for _ in range(steps):
            self.step()
            if self.model.is_closed:
                break
        self.wire.close()


class Model(unittest.TestCase):
    timeout = 120

    @classmethod
    def setUpClass(cls):
        cls.suite = suite = Suite()
        cls.addClassCleanup(suite.close)
        suite.trusted_address = own_address()
        suite.addresses = {"smtp": suite.smtp_address}
        for kind in ("submission", "submissions"):
            suite.addresses[kind] = (suite.address, free_port(suite.address))
        suite.write_config({
            "": {"message_size_max": SIZE_MAX},
            **{f"listen {kind}": {"address": "%s:%d" % suite.addresses[kind]} for kind in ("submission", "submissions")},
            "smtp": {"vrfy": "trusted", "expn": "trusted"},
            "limits": {"errors": "none", "junk_commands": "none", "recipients": RCPT_MAX, "connection_rate": "none"},
            "auth": {"failures_per_connection": "none", "failures_per_address": "none", "failure_delay": "1ms"},
            "relay": {"allow_from": suite.trusted_address, "smarthost": f"smtp://{suite.address}:1"},
            "tls": Pair(suite.dir, "mx", ["mx.example.org"]).config()})
        suite.start()
        suite.cli("alias", "add", "postmaster@example.org", "bob@example.org")
        suite.cli("alias", "add", "staff@example.org", "alice@example.org", "far@remote.example")

    def test_walk(self):
        rng = random.Random(SEED)
        walked, accepted = 0, []
        while walked < STEPS:
            kind = rng.choice(("smtp", "smtp", "submission", "submissions"))
            walker = Walker(self.suite, kind, rng.random() < 0.4, rng)
            walker.walk(rng.randint(5, 60))
            walked += walker.n_commands
            accepted += walker.model.delivered
        self.assertGreater(len(accepted), STEPS // 100)
        for user, names in (("alice", {"alice@example.org"}), ("bob", {"bob@example.org", "postmaster@example.org"})):
            want = sorted(identity for identity, recipients in accepted if recipients & names)
            mail = [octets for octets in self.suite.mail(user) if b"multipart/report" not in octets]
            found = sorted(m[0] for m in map(IDENTITY.search, mail) if m)
            self.assertEqual(found, want, f"messages for {user}, seed {SEED}")

    def test_every_combination(self):
        """Each set of parameters that EHLO offers, on a session of each kind: accepted, and the message with it."""
        rng = random.Random(SEED)
        for kind, is_trusted in (("smtp", False), ("smtp", True), ("submissions", False)):
            walker = Walker(self.suite, kind, is_trusted, rng)
            self.enter(walker)
            for verb in ("MAIL", "RCPT"):
                words = {p[0]: p for p in PARAMETERS
                         if p[4] == verb and p[2] == 250 and walker.model.offers(p[3])}.values()
                for n in range(len(words) + 1):
                    for given in itertools.combinations(words, n):
                        self.one(walker, verb, given)
            walker.wire.close()

    def enter(self, walker):
        walker.send(b"EHLO client.example\r\n")
        walker.hear({250}, is_coded=False)
        walker.model.hello("client.example")
        if walker.model.needs_login():
            plain = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
            walker.send(b"AUTH PLAIN " + plain + b"\r\n")
            walker.end_auth(True)

    def one(self, walker, verb, given):
        words = "".join(f" {p[0]}{p[1]}" for p in given)
        mail, rcpt = (words, "") if verb == "MAIL" else ("", words)
        is_chunked = walker.rng.random() < 0.5
        content = HEAD + b"hello\r\n"
        walker.send(f"MAIL FROM:<{USER}>{mail}\r\nRCPT TO:<bob@example.org>{rcpt}\r\n".encode()
                    + (b"BDAT %d LAST\r\n" % len(content) + content if is_chunked else b"DATA\r\n"))
        walker.hear({250})
        walker.hear({250})
        if not is_chunked:
            walker.hear({354})
            walker.send(content + b".\r\n")
        walker.hear(Block(1) if any(p[0] == "PRDR" for p in given) else {250})
