"""TLS: STARTTLS, STLS, ports that begin with it, certificates by name, reloads, hostile clients."""

import json
import os
import poplib
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import unittest

from certs import Pair, context
from harness import PASSWORD, Suite, free_port, message, wait_until
from wire import Wire

CLIENT = "client.example"


class SmtpsAt(smtplib.SMTP_SSL):
    """Asks for a name (SNI) that is not the address it connects to."""

    def __init__(self, address, name, **kwargs):
        self.name = name
        super().__init__(*address, local_hostname=CLIENT, timeout=30, **kwargs)

    def _get_socket(self, host, port, timeout):
        raw = socket.create_connection((host, port), timeout)
        return self.context.wrap_socket(raw, server_hostname=self.name)


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = cls.new_suite()
        cls.suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    @classmethod
    def new_suite(cls, sections=None, kind="ec", names=("mx.example.org",), **kwargs):
        """A suite with a certificate and all kinds of listeners."""
        suite = Suite(config={}, **kwargs)
        suite.pair = Pair(suite.dir, "mx", names, kind)
        suite.smtps_address = (suite.address, free_port(suite.address))
        suite.pop3s_address = (suite.address, free_port(suite.address))
        suite.tls_config = {
            "listen submissions": {"address": "%s:%d" % suite.smtps_address},
            "listen pop3": {"plaintext_without_tls": "no"},
            "listen pop3s": {"address": "%s:%d" % suite.pop3s_address},
            "tls": suite.pair.config(),
            **(sections or {}),
        }
        suite.write_config(suite.tls_config)
        return suite

    def other_suite(self, **kwargs):
        suite = self.new_suite(**kwargs)
        self.addCleanup(suite.close)
        return suite.start()

    def secured(self, suite=None, trust=True, version=None):
        """An SMTP client that said STARTTLS."""
        suite = suite or self.suite
        client = suite.smtp()
        self.addCleanup(client.close)
        client._host = "mx.example.org"  # the name it asks for, and expects
        client.ehlo()
        client.starttls(context=context(suite.pair if trust else None, version))
        return client

    def implicit(self, suite=None, name="mx.example.org", tls=None):
        suite = suite or self.suite
        client = SmtpsAt(suite.smtps_address, name, context=tls or context(suite.pair))
        self.addCleanup(client.close)
        return client

    def wire(self):
        wire = self.suite.wire()
        self.addCleanup(wire.close)
        return wire


class Smtp(TlsTest):
    def test_starttls_and_mail(self):
        client = self.secured()
        client.ehlo()
        self.assertFalse(client.has_extn("starttls"), "STARTTLS offered within TLS")
        self.assertEqual(client.sendmail("eve@client.example", ["bob@example.org"], message("secret")), {})
        client.quit()
        with self.pop3s("bob") as box:
            text = b"\n".join(box.retr(1)[1])
        self.assertRegex(text, rb"with ESMTPS \(TLSv1\.3 TLS_AES_256_GCM_SHA384\) id ")

    def pop3s(self, user):
        box = poplib.POP3_SSL(*self.suite.pop3s_address, timeout=30, context=context(None))
        box.user(f"{user}@example.org")
        box.pass_(PASSWORD)
        self.addCleanup(box.close)
        return Closing(box)

    def test_ehlo_offers_it(self):
        wire = self.wire()
        self.assertIn("STARTTLS", wire.ask(f"EHLO {CLIENT}")[1])

    def test_session_begins_anew(self):
        """RFC 3207 4.2: nothing that was said in the clear is left."""
        client = self.suite.smtp()
        self.addCleanup(client.close)
        client.ehlo()
        client.mail("eve@client.example")
        client.rcpt("alice@example.org")
        self.assertEqual(client.docmd("STARTTLS")[0], 220)
        client.sock = context().wrap_socket(client.sock, server_hostname="mx.example.org")
        client.file = None
        self.assertEqual(client.docmd("DATA")[0], 503)
        self.assertEqual(client.docmd("MAIL FROM:<eve@client.example>")[0], 503)
        self.assertEqual(client.ehlo()[0], 250)
        self.assertEqual(client.docmd("RCPT TO:<alice@example.org>")[0], 503)

    def test_tls_is_required_first(self):
        """RFC 3207 4: nothing but EHLO, NOOP, STARTTLS and QUIT in the clear."""
        suite = self.other_suite(sections={"listen smtp": {"require_tls": "yes"}})
        client = suite.smtp()
        self.addCleanup(client.close)
        client.ehlo()
        self.assertTrue(client.has_extn("starttls"))
        for command in ("MAIL FROM:<eve@client.example>", "RSET", "VRFY <alice@example.org>", "HELO client.example"):
            self.assertEqual(client.docmd(command), (530, b"5.7.0 Must issue a STARTTLS command first"))
        self.assertEqual(client.docmd("NOOP")[0], 250)
        secured = self.secured(suite)
        secured.sendmail("eve@client.example", ["alice@example.org"], message())
        secured.quit()

    def test_versions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                client = self.secured(version=version)
                self.assertEqual(client.sock.version().replace(".", "_"), version.name)
                client.quit()

    @unittest.skipUnless(shutil.which("sslscan"), "sslscan is not installed")
    def test_sslscan_finds_nothing_weak(self):
        for words, address in (((), self.suite.smtps_address), (("--starttls-smtp",), self.suite.smtp_address)):
            done = subprocess.run(["sslscan", "--no-colour", *words, "%s:%d" % address], capture_output=True, text=True,
                                  timeout=100)
            said = done.stdout
            for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
                self.assertRegex(said, rf"{re.escape(version)} +disabled", said)
            for version in ("TLSv1.2", "TLSv1.3"):
                self.assertRegex(said, rf"{re.escape(version)} +enabled", said)
            ciphers = re.findall(r"^(?:Preferred|Accepted) +\S+ +\d+ bits +(\S+)", said, re.M)
            self.assertTrue(ciphers, said)
            for cipher in ciphers:
                self.assertRegex(cipher, r"^(TLS_|ECDHE-|DHE-).*(GCM|POLY1305|CCM)", said)
            self.assertNotRegex(said, r"vulnerable to heartbleed(?<!not vulnerable to heartbleed)")
            self.assertNotIn("Insecure session renegotiation", said)

    def test_twice(self):
        client = self.secured()
        client.ehlo()
        self.assertEqual(client.docmd("STARTTLS"), (503, b"5.5.1 TLS is active already"))

    def test_order_and_arguments(self):
        wire = self.wire()
        self.assertEqual(wire.ask("STARTTLS")[0], 503)
        wire.ask(f"EHLO {CLIENT}")
        self.assertEqual(wire.ask("STARTTLS now")[0], 501)

    def test_injection(self):
        """Commands that somebody put behind STARTTLS in the clear never run."""
        wire = self.wire()
        wire.ask(f"EHLO {CLIENT}")
        wire.send(b"STARTTLS\r\nRSET\r\n")
        self.assertEqual(wire.reply()[0], 554)
        self.assertTrue(wire.is_closed())

    def test_injection_later(self):
        """The same, in a packet of its own: it is no handshake."""
        wire = self.wire()
        wire.ask(f"EHLO {CLIENT}")
        self.assertEqual(wire.ask("STARTTLS")[0], 220)
        wire.send(b"MAIL FROM:<eve@client.example>\r\n")
        self.assertNotIn(b"250", self.rest(wire))

    def rest(self, wire):
        while wire.fill():
            pass
        return wire.pending

    def test_garbage(self):
        for garbage in (b"\x16\x03\x01\xff\xff" + b"\0" * 70000, b"\x16\x03\x01\0\x05\x01\0\xff\xff\xff",
                        b"GET / HTTP/1.0\r\n\r\n", b"\x15\x03\x01\0\x02\x02\x28", b"\0" * 100):
            with self.subTest(garbage=garbage[:12]):
                wire = Wire(self.suite.smtps_address)
                try:
                    wire.send(garbage)
                    wire.half_close()
                    self.rest(wire)
                except OSError:
                    pass
                wire.close()
        self.implicit().quit()

    def test_client_leaves_in_the_handshake(self):
        wire = self.wire()
        wire.ask(f"EHLO {CLIENT}")
        wire.ask("STARTTLS")
        wire.close()
        self.implicit().quit()

    def test_implicit(self):
        client = self.implicit()
        self.assertEqual(client.ehlo()[0], 250)
        self.assertFalse(client.has_extn("starttls"))
        self.assertEqual(client.quit()[0], 221)

    def test_large_mail_byte_by_byte_record(self):
        """Content of many records, and commands of one octet per record."""
        client = self.secured()
        for octet in f"EHLO {CLIENT}\r\n".encode():
            client.sock.sendall(bytes([octet]))
        self.assertEqual(client.getreply()[0], 250)
        body = b"".join(b"%06d %s\r\n" % (i, b"x" * 60) for i in range(20000))
        client.sendmail("eve@client.example", ["alice@example.org"], message(body))
        self.assertTrue(any(body in m for m in self.pop3_messages("alice")))

    def pop3_messages(self, user):
        with self.pop3s(user) as box:
            return [b"\r\n".join(box.retr(n + 1)[1]) + b"\r\n" for n in range(box.stat()[0])]

    def test_log(self):
        self.implicit().quit()
        line = r"smtpd \S+ tls version=TLSv1.3 cipher=\S+ bits=256 name=mx.example.org"
        wait_until(lambda: re.search(line, self.suite.log()), 5, line)

    def test_no_weak_things(self):
        weak = context(None)
        weak.minimum_version = ssl.TLSVersion.TLSv1
        weak.set_ciphers("ALL:@SECLEVEL=0")
        weak.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(ssl.SSLError):
            self.implicit(tls=weak)
        static = context(None, ssl.TLSVersion.TLSv1_2)
        static.set_ciphers("AES256-GCM-SHA384:ECDHE-ECDSA-AES256-SHA384")
        with self.assertRaises(ssl.SSLError):
            self.implicit(tls=static)

    @unittest.skipUnless(shutil.which("swaks"), "no swaks")
    def test_swaks(self):
        done = subprocess.run(["swaks", "--server", self.suite.address, "--port", str(self.suite.smtp_address[1]),
                               "-tls", "--to", "alice@example.org", "--from", "eve@client.example"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @unittest.skipUnless(shutil.which("curl"), "no curl")
    def test_curl(self):
        done = subprocess.run(["curl", "-sS", "-k", "--ssl-reqd", "--mail-from", "eve@client.example", "--mail-rcpt",
                               "alice@example.org", "-T", "-", "smtp://%s:%d" % self.suite.smtp_address],
                              input=message("by curl"), capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)


class Closing:
    def __init__(self, box):
        self.box = box

    def __enter__(self):
        return self.box

    def __exit__(self, *_):
        self.box.quit()


class Pop3(TlsTest):
    def stls(self):
        box = poplib.POP3(*self.suite.pop3_address, timeout=30)
        self.addCleanup(box.close)
        box.stls(context=context())
        return box

    def test_stls(self):
        box = self.stls()
        self.assertNotIn("STLS", box.capa())
        self.assertIn("USER", box.capa())
        box.user("alice@example.org")
        box.pass_(PASSWORD)
        box.quit()

    def test_before_tls(self):
        box = poplib.POP3(*self.suite.pop3_address, timeout=30)
        self.addCleanup(box.close)
        self.assertIn("STLS", box.capa())
        self.assertNotIn("USER", box.capa())
        with self.assertRaises(poplib.error_proto):
            box.user("alice@example.org")

    def test_pop3s(self):
        box = poplib.POP3_SSL(*self.suite.pop3s_address, timeout=30, context=context())
        self.addCleanup(box.close)
        box.user("alice@example.org")
        box.pass_(PASSWORD)
        self.assertNotIn("STLS", box.capa())
        box.quit()

    def test_user_is_forgotten(self):
        """RFC 2595 4: the state of the session is that of the beginning."""
        box = self.stls()
        with self.assertRaises(poplib.error_proto):
            box.pass_(PASSWORD)

    def test_twice(self):
        with self.assertRaisesRegex(poplib.error_proto, "active already"):
            self.stls()._shortcmd("STLS")

    def test_injection(self):
        wire = Wire(self.suite.pop3_address)
        self.addCleanup(wire.close)
        wire.line()
        wire.send(b"STLS\r\nUSER alice@example.org\r\n")
        self.assertRegex(wire.line(), "^-ERR")
        self.assertTrue(wire.is_closed())

    def test_garbage(self):
        with Wire(self.suite.pop3s_address) as wire:
            wire.send(b"USER alice@example.org\r\n")
            while wire.fill():
                pass
            self.assertNotIn(b"+OK", wire.pending)


class Certificates(TlsTest):
    @classmethod
    def setUpClass(cls):
        cls.suite = suite = cls.new_suite()
        cls.pairs = {
            "rsa": Pair(suite.dir, "rsa", ["mx.example.org"], "rsa"),
            "wild": Pair(suite.dir, "wild", ["*.wild.example", "wild.example"], "ed25519"),
            "literal": Pair(suite.dir, "literal", ["one.wild.example"], "ec384"),
        }
        suite.write_config({**suite.tls_config, **{f"tls {label}": pair.config() for label, pair in cls.pairs.items()}})
        suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def shown_to(self, name, tls=None):
        client = self.implicit(name=name, tls=tls or context())
        der = client.sock.getpeercert(binary_form=True)
        client.quit()
        return der

    def test_names(self):
        expected = {"mx.example.org": self.suite.pair, "MX.Example.ORG": self.suite.pair, "elsewhere.example": self.suite.pair,
                    "wild.example": self.pairs["wild"], "two.wild.example": self.pairs["wild"],
                    "a.b.wild.example": self.suite.pair, "one.wild.example": self.pairs["literal"], None: self.suite.pair}
        for name, pair in expected.items():
            with self.subTest(name=name):
                self.assertEqual(self.shown_to(name), pair.fingerprint())

    def test_rsa_beside_ecdsa(self):
        tls = context(None, ssl.TLSVersion.TLSv1_2)
        tls.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
        self.assertEqual(self.shown_to("mx.example.org", tls), self.pairs["rsa"].fingerprint())
        self.assertEqual(self.shown_to(None, tls), self.pairs["rsa"].fingerprint())


class Reload(TlsTest):
    def shown(self, suite):
        client = self.implicit(suite, tls=context())
        der = client.sock.getpeercert(binary_form=True)
        client.quit()
        return der

    def test_new_certificate(self):
        """New sessions get it, old ones go on."""
        suite = self.other_suite()
        old, before = self.implicit(suite), suite.pair.fingerprint()
        new = Pair(suite.dir, "new", ["mx.example.org"], "rsa")
        after = new.fingerprint()
        suite.pair.replace_by(new)
        self.assertEqual(self.shown(suite), before)
        suite.reload()
        wait_until(lambda: self.shown(suite) == after, 15, "the new certificate")
        self.assertEqual(old.ehlo()[0], 250)
        old.quit()

    def test_broken_pair_keeps_the_old_one(self):
        for what in ("certificate", "key", "mismatch", "missing"):
            with self.subTest(what=what):
                suite = self.other_suite()
                before = suite.pair.fingerprint()
                if what == "mismatch":
                    shutil.copy(Pair(suite.dir, "other", ["mx.example.org"]).key, suite.pair.key)
                elif what == "missing":
                    suite.write_config({**suite.tls_config, "tls": suite.pair.config(certificate="/nowhere/cert.pem")})
                else:
                    with open(getattr(suite.pair, what), "w") as f:
                        f.write("garbage\n")
                suite.reload()
                wait_until(lambda: re.search(r"smtpd - certificate-refused .*instead=\"the old one stays\"", suite.log()),
                           15, "a word about it")
                self.assertEqual(self.shown(suite), before)
                suite.close()

    def test_tls_comes_and_goes(self):
        suite = self.other_suite()
        plain = {key: value for key, value in suite.tls_config.items() if key in ("listen pop3",)}
        suite.write_config(plain)
        suite.reload()
        wait_until(lambda: "STARTTLS" not in suite.wire().ask(f"EHLO {CLIENT}")[1], 15, "no STARTTLS")
        suite.write_config(suite.tls_config)
        suite.reload()
        wait_until(lambda: "STARTTLS" in suite.wire().ask(f"EHLO {CLIENT}")[1], 15, "STARTTLS")


class Keyd(TlsTest):
    def test_killed(self):
        """It comes back, and mail goes on meanwhile."""
        suite = self.other_suite()
        self.implicit(suite).quit()
        suite.kill("keyd")
        suite.send("eve@client.example", ["alice@example.org"], message("in the clear"))

        def handshake_works():
            try:
                self.implicit(suite).quit()
                return True
            except (ssl.SSLError, OSError):
                return False
        wait_until(handshake_works, 15, "a handshake")

    def test_silent(self):
        """A keyd that hangs costs the handshake, with a line that says so; the worker lives."""
        suite = self.other_suite()
        pid, workers = suite.pids_of("keyd")[0], suite.pids_of("smtpd")
        os.kill(pid, signal.SIGSTOP)
        try:
            with self.assertRaises((ssl.SSLError, OSError)):
                self.implicit(suite)
            wait_until(lambda: "smtpd - keyd-silent " in suite.log(), 5)
            wait_until(lambda: 'because="keyd did not sign"' in suite.log(), 5)
            suite.send("eve@client.example", ["alice@example.org"], message("in the clear"))
        finally:
            os.kill(pid, signal.SIGCONT)

        def handshake_works():
            try:
                self.implicit(suite).quit()
                return True
            except (ssl.SSLError, OSError):
                return False
        wait_until(handshake_works, 20, "a handshake")
        self.assertEqual(suite.pids_of("smtpd"), workers)


class ClientCertificate(TlsTest):
    def test_is_named_in_the_log(self):
        suite = self.other_suite()
        client = Pair(suite.dir, "client", ["relay.client.example"])
        suite.write_config({**suite.tls_config, "tls": suite.pair.config(client_certificates="ask", client_ca=client.certificate)})
        suite.restart()
        tls = context()
        tls.load_cert_chain(client.certificate, client.key)
        self.implicit(suite, tls=tls).quit()
        line = "certificate=.*relay.client.example.* verified=yes"
        wait_until(lambda: re.search(line, suite.log()), 5, line)
        self.implicit(suite, tls=context()).quit()


class Commands(unittest.TestCase):
    """`barid tls`, and what `barid check` says of certificates."""

    def suite(self, sections=None):
        suite = Suite(users=())
        self.addCleanup(suite.close)
        suite.pair = Pair(suite.dir, "mx", ["mx.example.org"])
        suite.write_config({"tls": suite.pair.config(), **(sections or {})})
        return suite

    def check(self, suite):
        status, stdout, _ = suite.run("check", "--json")
        return status, [(f["severity"], f["message"]) for f in json.loads(stdout) if "trust_anchor" not in f["message"]]

    def finds(self, suite, severity, text):
        status, found = self.check(suite)
        self.assertTrue(any(s == severity and text in m for s, m in found), f"{severity} {text!r} is not in {found}")
        self.assertEqual(status, 1 if severity == "error" else 0, found)

    def test_good(self):
        suite = self.suite()
        status, found = self.check(suite)
        self.assertEqual(status, 0, found)
        self.assertFalse([m for _, m in found if "tls" in m or "certificate" in m], found)

    def test_findings(self):
        suite = self.suite()
        other = Pair(suite.dir, "other", ["other.example"])
        soon = Pair(suite.dir, "soon", ["mx.example.org"], days=5)
        rows = [("error", "does not belong to the certificate", suite.pair.config(key=other.key)),
                ("error", "cannot read /nowhere/cert.pem", suite.pair.config(certificate="/nowhere/cert.pem")),
                ("error", "no certificate in PEM form", suite.pair.config(certificate=suite.config_file)),
                ("error", "no private key in PEM form", suite.pair.config(key=suite.pair.certificate)),
                ("warning", "no certificate has the name of this host", other.config()),
                ("warning", "expires in", soon.config())]
        for severity, text, tls in rows:
            with self.subTest(text=text):
                suite.write_config({"tls": tls})
                self.finds(suite, severity, text)

    def test_expired(self):
        suite = self.suite()
        suite.pair.expire()
        self.finds(suite, "error", "expired")

    def test_open_key(self):
        suite = self.suite()
        os.chmod(suite.pair.key, 0o644)
        self.finds(suite, "warning", "every user of this machine can read")

    def test_no_tls(self):
        self.finds(self.suite({"tls": None}), "warning", "STARTTLS is not offered")

    def test_does_not_start_with_a_broken_pair(self):
        suite = self.suite()
        with open(suite.pair.key, "w") as f:
            f.write("garbage")
        suite.spawn()
        self.assertEqual(suite.process.wait(20), 1)
        self.assertIn("no private key", suite.log())

    def test_self_signed(self):
        suite = self.suite()
        certificate, key = (os.path.join(suite.dir, "new", name) for name in ("cert.pem", "key.pem"))
        suite.write_config({"tls": {"certificate": certificate, "key": key}, "listen pop3s": {"address": f"{suite.address}:0"}})
        suite.cli("tls", "self-signed", "--name", "mx.example.org", "mail.example.org")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        self.assertEqual(self.check(suite)[0], 0)
        shown = suite.cli("tls", "show", json=True)
        self.assertEqual(shown[0]["names"], "mx.example.org mail.example.org")
        self.assertGreater(shown[0]["days_left"], 800)
        status, _, stderr = suite.run("tls", "self-signed")
        self.assertEqual(status, 1)
        self.assertIn("--force", stderr)
        before = open(key).read()
        suite.cli("tls", "self-signed", "--force")
        self.assertNotEqual(open(key).read(), before)
        suite.start()
        with socket.create_connection(suite.smtp_address, 15) as raw:
            client = smtplib.SMTP()
            client.sock, client.file = raw, None
            client.getreply()
            client._host = "mx.example.org"
            client.local_hostname = CLIENT
            client.starttls(context=context())
            self.assertEqual(client.quit()[0], 221)


class Slow(TlsTest):
    def test_handshake_has_its_time(self):
        suite = self.other_suite(sections={"limits": {"tls_timeout": "1s"}})
        with Wire(suite.smtps_address) as wire:
            wire.send(b"\x16\x03\x01")
            self.assertFalse(wire.fill())
        wait_until(lambda: "the handshake took too long" in suite.log(), 5)


if __name__ == "__main__":
    unittest.main()
