"""TLS as openssl s_client sees it, on each port and version; and what is left when a connection ends early."""

import base64
import shutil
import socket
import subprocess
import threading
import unittest

from certs import Pair, context
from harness import PASSWORD, Suite, free_port, message, wait_until
from wire import Wire

CLIENT = "client.example"
NAME = "mx.example.org"
PATIENCE = 60
VERSIONS = ("tls1_2", "tls1_3")


class Dialogue:
    """What a person types into s_client and reads there."""

    def __init__(self, address, *words):
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % address, "-servername", NAME,
                                         *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.limit = threading.Timer(PATIENCE, self.process.kill)
        self.limit.start()
        self.seen = []

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\r\n")
        self.process.stdin.flush()

    def expect(self, start):
        """The next line that begins so."""
        for line in self.process.stdout:
            self.seen.append(line)
            if line.startswith(start.encode()):
                return line.decode().rstrip("\r\n")
        raise AssertionError(f"no {start!r} came, only {self.seen}, and {self.end()}")

    def ask(self, text, start):
        self.say(text)
        return self.expect(start)

    def end(self):
        """(exit status, what else was on stdout and stderr)"""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.limit.cancel()
        return self.process.returncode, (out + err).decode(errors="replace")


def s_client(address, *words, stdin=b""):
    """A whole run: (exit status, output)."""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % address, *words], input=stdin,
                          capture_output=True, timeout=PATIENCE)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class SClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = suite = Suite(config={})
        cls.pair = Pair(suite.dir, "mx", (NAME,))
        cls.smtps = (suite.address, free_port(suite.address))
        cls.pop3s = (suite.address, free_port(suite.address))
        suite.write_config({
            "listen submissions": {"address": "%s:%d" % cls.smtps},
            "listen pop3": {"plaintext_without_tls": "no"},
            "listen pop3s": {"address": "%s:%d" % cls.pop3s},
            "tls": cls.pair.config(),
        })
        suite.start()
        cls.ports = {  # how s_client gets to each, and the first word of a server there
            "smtp": (suite.smtp_address, ("-starttls", "smtp"), None),
            "smtps": (cls.smtps, (), "220 "),
            "pop3": (suite.pop3_address, ("-starttls", "pop3"), None),
            "pop3s": (cls.pop3s, (), "+OK "),
        }

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def each(self):
        for port, (address, words, greeting) in self.ports.items():
            for version in VERSIONS:
                with self.subTest(port=port, version=version):
                    yield port, version, address, (*words, f"-{version}"), greeting

    def talk(self, port, d, greeting):
        """A session to its end."""
        if greeting:
            d.expect(greeting)
        if "pop" in port:
            d.ask("USER bob@example.org", "+OK")
            d.ask(f"PASS {PASSWORD}", "+OK")
            d.ask("QUIT", "+OK")
        else:
            d.ask(f"EHLO {CLIENT}", "250 ")
            d.ask("QUIT", "221 2.0.0")

    def test_session_ends_with_close_notify(self):
        """RFC 8446 6.1: who sees no close_notify cannot know that nothing was cut off."""
        for port, _, address, words, greeting in self.each():
            d = Dialogue(address, "-quiet", "-verify_return_error", "-verify_hostname", NAME, "-CAfile",
                         self.pair.certificate, *words)
            self.talk(port, d, greeting)
            status, rest = d.end()
            self.assertEqual(status, 0, rest)
            self.assertNotRegex(rest, "unexpected eof|error:")

    def test_mail_goes_in_and_out(self):
        before = self.suite.count("alice")
        for version in VERSIONS:
            d = Dialogue(self.suite.smtp_address, "-quiet", "-starttls", "smtp", f"-{version}")
            d.ask(f"EHLO {CLIENT}", "250 ")
            d.ask("MAIL FROM:<eve@client.example>", "250 2.1.0")
            d.ask("RCPT TO:<alice@example.org>", "250 2.1.5")
            d.ask("DATA", "354 ")
            d.say(f"Subject: over {version}\r\n\r\nR is no command\r\nQ neither\r\n.")
            d.expect("250 2.")
            d.ask("QUIT", "221 ")
            d.end()
        d = Dialogue(self.pop3s, "-quiet")
        d.expect("+OK")
        d.ask("USER alice@example.org", "+OK")
        d.ask(f"PASS {PASSWORD}", "+OK")
        self.assertEqual(d.ask("STAT", "+OK").split()[1], str(before + 2))
        d.ask(f"RETR {before + 2}", "Subject: over tls1_3")
        d.ask("QUIT", "+OK")
        self.assertEqual(d.end()[0], 0)

    def test_what_was_agreed_on(self):
        for _, version, address, words, _ in self.each():
            status, said = s_client(address, "-servername", NAME, "-alpn", "smtp,pop3", "-CAfile", self.pair.certificate,
                                    "-verify_hostname", NAME, *words)
            self.assertEqual(status, 0, said)
            self.assertIn("Verification: OK", said)
            self.assertIn("No ALPN negotiated", said)
            self.assertIn("Compression: NONE", said)
            self.assertRegex(said, r"New, %s, Cipher is \S+GCM|New, %s, Cipher is \S+POLY1305" %
                             ((version.replace("tls1_", "TLSv1."),) * 2))
            self.assertRegex(said, "Server Temp Key: (X25519|ECDH)")

    def test_what_is_old_is_refused(self):
        for port, (address, words, _) in self.ports.items():
            for old in ("-tls1_1", "-tls1"):
                with self.subTest(port=port, old=old):
                    status, said = s_client(address, *words, old, "-cipher", "DEFAULT@SECLEVEL=0")
                    self.assertEqual(status, 1, said)
                    self.assertRegex(said, "alert protocol version|unsupported protocol")
            for cipher in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-SHA", "aNULL"):
                with self.subTest(port=port, cipher=cipher):
                    status, said = s_client(address, *words, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
                    self.assertEqual(status, 1, said)
                    self.assertRegex(said, "alert handshake failure")
            with self.subTest(port=port, cipher="of TLS 1.3, for its MAC alone"):
                self.assertEqual(s_client(address, *words, "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256")[0], 1)

    def test_nothing_is_resumed(self):
        """Without tickets there is no early data, and no key that opens what was recorded."""
        for port, version, address, words, _ in self.each():
            status, said = s_client(address, *words, "-reconnect")
            self.assertEqual(status, 0, said)
            self.assertGreaterEqual(said.count("New, TLSv1"), 2, said)
            self.assertNotRegex(said, "Reused, TLS|New Session Ticket arrived|TLS session ticket:")
            self.assertNotRegex(said, "Max Early Data: [1-9]")

    def test_renegotiation_is_refused(self):
        """TLS 1.2: the server says no, and the session it had goes on or ends; others are served."""
        for port, (address, words, greeting) in self.ports.items():
            with self.subTest(port=port):
                d = Dialogue(address, *words, "-tls1_2")
                d.expect(greeting or "    Verify return code")
                d.process.stdin.write(b"R\n")
                d.process.stdin.flush()
                status, said = d.end()
                self.assertIn("RENEGOTIATING", said)
                self.assertRegex(said, "no renegotiation")
                self.assertEqual(status, 1, said)
        self.talk("smtps", Dialogue(self.smtps, "-quiet"), "220 ")

    def test_a_name_nobody_has(self):
        """RFC 6066 3: the first certificate rather than no mail."""
        for port, (address, words, greeting) in self.ports.items():
            with self.subTest(port=port):
                status, said = s_client(address, *words, "-servername", "elsewhere.example", "-CAfile",
                                        self.pair.certificate)
                self.assertEqual(status, 0, said)
                self.assertIn("Verification: OK", said)

    def test_small_records(self):
        for port, _, address, words, greeting in self.each():
            self.talk(port, Dialogue(address, "-quiet", "-max_send_frag", "512", "-split_send_frag", "512", *words), greeting)

    # --- connections that end where they should not ---

    def tls_wire(self, address):
        """A connection within TLS, and its socket, which can be shut without close_notify."""
        wire = Wire(address, timeout=PATIENCE)
        self.addCleanup(wire.close)
        raw = wire.socket.dup()
        self.addCleanup(raw.close)
        wire.socket = context().wrap_socket(wire.socket, server_hostname=NAME)
        return wire, raw

    def rest(self, wire):
        """All that comes until the server has closed; it says close_notify even so, or resets."""
        try:
            while wire.fill():
                pass
        except OSError:
            pass
        return wire.pending

    def envelope(self, wire):
        wire.reply()
        wire.ask(f"EHLO {CLIENT}")
        wire.ask("AUTH PLAIN " + plain("bob@example.org", PASSWORD))
        self.assertEqual(wire.ask("MAIL FROM:<bob@example.org>")[0], 250)
        self.assertEqual(wire.ask("RCPT TO:<alice@example.org>")[0], 250)

    def test_truncated_content_is_no_message(self):
        """A FIN that anybody on the way can send does not end a message (RFC 8446 6.1)."""
        before = self.suite.count("alice")
        for how in ("DATA", "BDAT"):
            with self.subTest(how=how):
                wire, raw = self.tls_wire(self.smtps)
                self.envelope(wire)
                if how == "DATA":
                    self.assertEqual(wire.ask("DATA")[0], 354)
                    wire.send(b"Subject: cut off\r\n\r\nx\r\n")
                else:
                    wire.send(b"BDAT 100 LAST\r\nSubject: cut off\r\n\r\n")
                raw.shutdown(socket.SHUT_WR)
                self.assertNotIn(b"250 2.", self.rest(wire))
        self.assertEqual(self.suite.count("alice"), before)

    def test_half_closed_after_the_end_is_answered(self):
        before = self.suite.count("alice")
        wire, raw = self.tls_wire(self.smtps)
        self.envelope(wire)
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(b"Subject: whole\r\n\r\nx\r\n.\r\n")
        raw.shutdown(socket.SHUT_WR)
        self.rest(wire)
        wait_until(lambda: self.suite.count("alice") == before + 1, PATIENCE, "the message")

    def test_deletions_without_quit_are_none(self):
        self.suite.send("eve@client.example", ["bob@example.org"], message("stays"))
        before = self.suite.count("bob")
        wire, raw = self.tls_wire(self.pop3s)
        wire.line()
        for line in ("USER bob@example.org", f"PASS {PASSWORD}", "DELE 1"):
            wire.say(line)
            self.assertTrue(wire.line().startswith("+OK"), line)
        wire.send(b"QUI")
        raw.shutdown(socket.SHUT_WR)
        self.assertNotIn(b"+OK", self.rest(wire))
        self.assertEqual(self.suite.count("bob"), before)

    def test_plaintext_within_tls_ends_it(self):
        """What is no record of TLS is not looked at, also not after the handshake."""
        before = self.suite.count("alice")
        wire, raw = self.tls_wire(self.smtps)
        self.envelope(wire)
        self.assertEqual(wire.ask("DATA")[0], 354)
        raw.sendall(b"Subject: in the clear\r\n\r\nx\r\n.\r\n" + b"x" * 40000)
        self.assertNotIn(b"250 2.", self.rest(wire))
        self.assertEqual(self.suite.count("alice"), before)


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()
