"""Debian's Postfix, Exim and OpenSMTPD deliver through barid, and take what barid relays.

What they send is compared octet by octet with what lies in the mailbox, and how they came (TLS, login) with what
barid wrote on top. As next hops they pass it on to a server that keeps everything."""

import hashlib
import os
import re
import shutil
import smtplib
import tempfile
import unittest

import postfix
from certs import Pair
from fakedns import FakeDns
from fakesmtp import FakeSmtp
from harness import PASSWORD, Suite, free_port, message, own_address, wait_until, without_trace
from peers import Exim, OpenSmtpd, Route
from relaying import Bounce

FROM = "eve@client.example"
HOST = "mx.example.org"
PEER = "peer.example"
STAMP = "Date: Sun, 22 Nov 2026 08:02:45 +0000\r\nMessage-ID: <{}@client.example>\r\n"
# How the peer comes in: the protocol that barid names in Received (RFC 3848).
WAYS = {"no": "ESMTP", "may": "ESMTPS", "encrypt": "ESMTPS", "verify": "ESMTPS", "smtps": "ESMTPSA", "login": "ESMTPSA"}
WITH_LOGIN = ("smtps", "login")
LOGIN = "login@example.org"
MANY = [f"user{n}" for n in range(20)]


def letter(name, body="hello"):
    """With all the fields that a server might add if they were not there."""
    return message(body, subject=name, headers=STAMP.format(name)).replace(b"To: somebody", b"To: any@somewhere.example")


BODIES = {
    "dots": ".\r\n..\r\n.a\r\n\r\n.\r\n" * 3,
    "eight": "J\u00f8rgen\r\n".encode() + bytes(range(0x80, 0x100)),
    "long": "x" * 998,
    "large": ".two megabytes of lines that begin with dots and do not end soon\r\n" * 30000,
}


class Interop:
    """One barid, one peer that has a domain for each way in, and one server behind the peer that keeps what it gets."""

    ways = WAYS
    next_hop_tls = ("verified", r'1\.[23] .*verified=yes')
    far_offers = ("DSN", "SMTPUTF8")

    @classmethod
    def setUpClass(cls):
        if cls.why_not():
            raise unittest.SkipTest(cls.why_not())
        cls.dir = tempfile.mkdtemp(prefix="barid-interop-")
        os.chmod(cls.dir, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        cls.pair = Pair(cls.dir, "mx", (HOST, PEER))
        cls.suite = Suite(users=("alice", "bob", LOGIN))
        cls.addClassCleanup(cls.suite.close)
        cls.submission, cls.submissions = ((cls.suite.address, free_port(cls.suite.address)) for _ in range(2))
        cls.far = FakeSmtp({"ehlo": ["far.example", "PIPELINING", "SIZE 104857600", "8BITMIME", *cls.far_offers]},
                           host=own_address()).start()
        cls.addClassCleanup(cls.far.stop)
        cls.peer = cls.make_peer({way: {"smtps": cls.submissions, "login": cls.submission}.get(way, cls.suite.smtp_address)
                                  for way in cls.ways})
        cls.addClassCleanup(cls.peer.stop)
        cls.start_suite()
        cls.peer.start()

    @classmethod
    def start_suite(cls):
        dns = FakeDns({PEER: {"A": [cls.peer.address]}}, host=own_address()).start()
        cls.addClassCleanup(dns.stop)
        route = {"to": f"smtp://{PEER}:{cls.peer.port}", "tls": cls.next_hop_tls[0]}
        cls.suite.write_config({
            "listen submission": {"address": "%s:%d" % cls.submission},
            "listen submissions": {"address": "%s:%d" % cls.submissions},
            "tls": cls.pair.config(), "dns": {"server": f"{dns.host}@{dns.port}"},
            "relay": {"allow_from": "127.0.0.0/8", "never_connect_to": "none", "ca_file": cls.pair.certificate, "retry": "1h"},
            "route far.example": route, "route plain.far.example": {**route, "tls": "none"}})
        cls.suite.start()
        for way in cls.ways:
            cls.suite.cli("domain", "add", f"{way}.example")
            cls.suite.cli("alias", "add", f"any@{way}.example", "alice@example.org")
        for name in ("bob", *MANY):
            cls.suite.cli("alias", "add", f"{name}@no.example", "bob@example.org")

    # --- into barid ---

    def hand_over(self, rcpts, content, sender=FROM, mail=(), rcpt=()):
        with smtplib.SMTP(self.peer.address, self.peer.port, local_hostname="client.example", timeout=30) as client:
            client.command_encoding = "utf-8"
            self.assertEqual(client.sendmail(sender, rcpts, content, mail, rcpt), {})

    def arrived(self, user, subject):
        def find():
            with self.suite.pop3(user) as session:
                for n in range(session.count(), max(0, session.count() - len(self.ways) - 1), -1):
                    got = session.retr(n)
                    if b"Subject: %s\r\n" % subject.encode() in got:
                        return got
            return None
        return wait_until(find, 20, lambda: f"{subject} for {user}: {self.peer.log()[-3000:]}")

    def send_through(self, way, name, body="hello", **more):
        content = letter(f"{name}-{way}", body)
        self.hand_over([f"any@{way}.example"], content, **more)
        return content

    def came_through(self, way, name, content):
        got = self.arrived("alice", f"{name}-{way}")
        self.assertEqual(without_trace(got), content)
        return got

    def through(self, way, name, *args, **more):
        return self.came_through(way, name, self.send_through(way, name, *args, **more))

    def protocol(self, got):
        return re.search(rb"\swith (\S+)", got).group(1).decode()

    def test_every_way_in(self):
        senders = {way: LOGIN if way in WITH_LOGIN else FROM for way in self.ways}
        sent = {way: self.send_through(way, "way", sender=sender) for way, sender in senders.items()}
        for way, protocol in self.ways.items():
            with self.subTest(way):
                got = self.came_through(way, "way", sent[way])
                self.assertEqual(self.protocol(got), protocol)
                self.assertTrue(got.startswith(b"Return-Path: <%s>" % senders[way].encode()), got[:100])

    def test_contents(self):
        for name, body in BODIES.items():
            with self.subTest(name):
                self.through("may", name, body, mail=["BODY=8BITMIME"])

    def test_many_recipients(self):
        before = self.suite.count("bob")
        self.hand_over([f"{name}@no.example" for name in MANY], letter("many"))
        wait_until(lambda: self.suite.count("bob") - before >= 1, 15, self.peer.log)
        self.assertEqual(without_trace(self.arrived("bob", "many")), letter("many"))

    def test_the_peer_tells_the_sender_whom_barid_does_not_know(self):
        self.hand_over(["stranger@no.example"], letter("refused"), "bob@no.example")
        report = wait_until(lambda: self.reports("bob", b"stranger@no.example"), 15, self.peer.log)[0]
        self.assertIn(b"5.1.1", report)

    def reports(self, user, about):
        return [m for m in self.suite.mail(user) if m.startswith(b"Return-Path: <>\r\n") and about in m]

    def test_dsn(self):
        """The peer passes on what the sender wants to be told, and barid tells it."""
        self.hand_over(["any@no.example"], letter("dsn"), "bob@example.org", ["ENVID=e1", "RET=HDRS"], ["NOTIFY=SUCCESS"])
        self.arrived("alice", "dsn")
        report = Bounce(wait_until(lambda: self.reports("bob", b"Envelope-Id: e1"), 15, "a report")[0])
        self.assertEqual(report.about["Original-Envelope-Id"], "e1")
        self.assertEqual([r["Action"] for r in report.recipients.values()], ["delivered"])

    # --- out of barid ---

    def relayed(self, name, body="hello", domain="far.example", content=None, **more):
        before = len(self.far.messages)
        content = content or letter(name, body)
        with self.suite.smtp() as client:
            client.command_encoding = "utf-8"
            client.sendmail(more.get("sender", "alice@example.org"), more.get("rcpts", [f"carol@{domain}"]), content,
                            more.get("mail", ()), more.get("rcpt", ()))
        got = self.far.wait(before + 1, 20)[before:]
        self.assertEqual(len(got), 1, self.peer.log()[-3000:] + self.suite.log_tail(10))
        self.assertEqual(without_trace(got[0]["data"]), content)
        return got[0]

    def test_next_hop(self):
        self.relayed("plain", domain="plain.far.example")
        for name, body in BODIES.items():
            with self.subTest(name):
                self.relayed(name, body)
        for expected in (r'sent to=carol@far\.example .* tls="%s"' % self.next_hop_tls[1],
                         r'sent to=carol@plain\.far\.example .* tls="no '):
            wait_until(lambda: re.search(expected, self.suite.log()), 5, expected)

    def test_next_hop_gets_the_wishes(self):
        got = self.relayed("wishes", mail=["ENVID=e2", "RET=HDRS"],
                           rcpt=["NOTIFY=DELAY,FAILURE", "ORCPT=rfc822;old@far.example"])
        self.assertIn("NOTIFY=", got["rcpt_params"][0])
        self.assertIn("ORCPT=rfc822;old@far.example", got["rcpt_params"][0])
        self.assertIn("ENVID=e2", got["from_params"])

    def test_next_hop_refuses_one_of_two(self):
        got = self.relayed("two", rcpts=["nobody@far.example", "carol@far.example"], sender="bob@no.example")
        self.assertEqual(got["rcpts"], ["carol@far.example"])
        report = Bounce(wait_until(lambda: self.reports("bob", b"nobody@"), 15, "a bounce")[0])
        self.assertEqual(report.recipients["nobody@far.example"]["Action"], "failed")


class Utf8:
    """For those that offer SMTPUTF8."""

    def test_utf8_in(self):
        self.suite.cli("alias", "add", "j\u00f8rgen@may.example", "bob@example.org")
        content = "Comment: \u00e5sa\r\n".encode() + letter("utf8")
        self.hand_over(["j\u00f8rgen@may.example"], content, "\u00e5sa@client.example", ["SMTPUTF8", "BODY=8BITMIME"])
        got = self.arrived("bob", "utf8")
        self.assertTrue(got.startswith("Return-Path: <\u00e5sa@client.example>".encode()))
        self.assertEqual(without_trace(got), content)
        self.assertEqual(self.protocol(got), "UTF8SMTPS")

    def test_utf8_out(self):
        got = self.relayed("utf8", content="Comment: \u00e5sa\r\n".encode() + letter("utf8"),
                           rcpts=["j\u00f8rgen@far.example"], mail=["SMTPUTF8", "BODY=8BITMIME"])
        self.assertEqual(got["rcpts"], ["j\u00f8rgen@far.example".encode().decode("latin-1")])
        self.assertIn("SMTPUTF8", got["from_params"])


def routes_of(ports, far):
    routes = []
    for way, address in ports.items():
        login = (LOGIN, PASSWORD) if way in WITH_LOGIN else None
        tls = {"login": "verify"}.get(way, way)
        routes.append(Route(f"{way}.example", address, tls, login, HOST if tls in ("verify", "smtps") else None))
    return routes + [Route(domain, (far.host, far.port)) for domain in ("far.example", "plain.far.example")]


class WithExim(Utf8, Interop, unittest.TestCase):
    why_not = Exim.why_not

    @classmethod
    def make_peer(cls, ports):
        return Exim(cls.dir, cls.pair, routes_of(ports, cls.far), {HOST: cls.suite.address})

    def test_bdat(self):
        """Its log has a K for a delivery by CHUNKING (RFC 3030)."""
        self.through("may", "bdat", BODIES["large"])
        self.assertRegex(self.peer.log(), r"=> any@may\.example .* K ")


    def test_prdr(self):
        """Its log has PRDR where it heard a reply for each of several recipients."""
        self.hand_over([f"{name}@no.example" for name in MANY], letter("prdr"))
        self.arrived("bob", "prdr")
        self.assertRegex(self.peer.log(), r"=> \S+@no\.example .* PRDR ")


class WithOpenSmtpd(Interop, unittest.TestCase):
    why_not = OpenSmtpd.why_not
    ways = {way: protocol for way, protocol in WAYS.items() if way != "encrypt"}  # it takes 5 s for each
    # Debian's 6.8 with OpenSSL 3 offers STARTTLS and then fails in the handshake: the mail goes without.
    next_hop_tls = ("opportunistic", r'no \(failed before\)')

    @classmethod
    def make_peer(cls, ports):
        return OpenSmtpd(cls.dir, cls.pair, routes_of(ports, cls.far), {HOST: cls.suite.address})


POSTFIX_MAIN = """
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtp_tls_CAfile = {certificate}
smtp_tls_loglevel = 1
smtp_tls_secure_cert_match = {name}
smtp_tls_verify_cert_match = {name}
smtp_sasl_password_maps = inline:{{ {{ {submission} = {login}:{password} }} {{ {submissions} = {login}:{password} }} }}
smtp_sasl_security_options = noanonymous
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ nobody@far.example = 550 5.1.1 no such user here }} }},
 permit_mynetworks, reject
transport_maps = inline:{{ {transports} }}
"""


class PostfixWithTransports(postfix.Postfix):
    """One smtp(8) for each level of TLS."""

    levels = {"no": "none", "smtps": "secure", "login": "secure", "stranger": "secure", "far": "none"}

    def __init__(self, directory, pair, transports):
        where = os.path.join(directory, "postfix")
        os.mkdir(where)
        super().__init__(where)
        at = {way: "[%s]:%d" % address for way, address in transports.items()}
        table = [f"{{ {way}.example = {way}:{at[way]} }}" for way in at] + [f"{{ plain.far.example = far:{at['far']} }}"]
        digest = hashlib.sha256(pair.fingerprint()).hexdigest().upper()
        more = {"smtps": "-o smtp_tls_wrappermode=yes -o smtp_sasl_auth_enable=yes", "login": "-o smtp_sasl_auth_enable=yes",
                "fingerprint": "-o smtp_tls_fingerprint_digest=sha256 -o smtp_tls_fingerprint_cert_match="
                               + ":".join(re.findall("..", digest)),
                "stranger": "-o smtp_tls_secure_cert_match=other.example"}
        with open(where + "/etc/main.cf", "a", encoding="ascii") as f:
            f.write(POSTFIX_MAIN.format(certificate=pair.certificate, key=pair.key, name=HOST, login=LOGIN, password=PASSWORD,
                                        submission=at["login"], submissions=at["smtps"], transports=" ".join(table)))
        with open(where + "/etc/master.cf", "a", encoding="ascii") as f:
            for way in at:
                level = self.levels.get(way, way)
                f.write(f"{way} unix - - n - - smtp -o smtp_tls_security_level={level} {more.get(way, '')}\n")

    def log(self):
        with open(self.dir + "/log", encoding="utf-8", errors="replace") as f:
            return f.read()


class WithPostfix(Utf8, Interop, unittest.TestCase):
    why_not = staticmethod(postfix.why_not)
    ways = {**WAYS, "secure": "ESMTPS", "fingerprint": "ESMTPS"}

    @classmethod
    def make_peer(cls, ports):
        return PostfixWithTransports(cls.dir, cls.pair, {**ports, "stranger": cls.suite.smtp_address,
                                                         "far": (cls.far.host, cls.far.port)})

    def test_what_it_says_of_the_certificate(self):
        for way, word in (("may", "Trusted"), ("encrypt", "Trusted"), ("secure", "Verified")):
            with self.subTest(way):
                self.through(way, "trust")
                self.assertIn(f"{word} TLS connection established to", self.peer.log())

    def test_a_wrong_name_gets_no_mail(self):
        self.hand_over(["any@stranger.example"], letter("stranger"))
        wait_until(lambda: re.search(r"to=<any@stranger.example>.* status=deferred .*not verified", self.peer.log()), 15,
                   lambda: self.peer.log()[-2000:])
        self.assertNotIn(b"Subject: stranger", b"".join(self.suite.mail("alice")))
