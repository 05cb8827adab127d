"""LMTP (RFC 2033): from other servers of ours, for our mailboxes."""

import smtplib
import unittest

from harness import CommandFailed, Suite, free_port, message
from wire import Wire


class Lmtp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        suite = cls.suite = Suite(config={})
        cls.address = (suite.address, free_port(suite.address))
        suite.write_config({"listen lmtp": {"address": "%s:%d" % cls.address}})
        suite.start()

    @classmethod
    def tearDownClass(cls):
        cls.suite.close()

    def wire(self, greet=True):
        wire = Wire(self.address)
        self.addCleanup(wire.close)
        code, text = wire.reply()
        self.assertEqual(code, 220)
        if greet:
            self.assertEqual(wire.ask("LHLO client.example")[0], 250)
        return wire

    def envelope(self, wire, *rcpts):
        wire.ask("MAIL FROM:<eve@client.example>")
        return [wire.ask(f"RCPT TO:<{rcpt}>")[0] for rcpt in rcpts]

    def test_smtplib(self):
        client = smtplib.LMTP(*self.address, local_hostname="client.example")
        refused = client.sendmail("eve@client.example", ["alice@example.org", "nobody@example.org"], message("by lmtp"))
        self.assertEqual(list(refused), ["nobody@example.org"])
        client.quit()
        mail, = [m for m in self.suite.mail("alice") if b"by lmtp" in m]
        self.assertIn(b"with LMTP id ", mail)

    def test_greetings(self):
        wire = self.wire(greet=False)
        self.assertEqual(wire.ask("MAIL FROM:<eve@client.example>")[0], 503)
        self.assertEqual(wire.ask("EHLO client.example")[0], 500)
        self.assertEqual(wire.ask("HELO client.example")[0], 500)
        self.assertIn("PIPELINING", wire.ask("LHLO client.example")[1])
        other = self.suite.wire()
        self.addCleanup(other.close)
        self.assertEqual(other.ask("LHLO client.example")[0], 500)

    def test_reply_for_each(self):
        """Also for one that was given twice, and none for who was refused."""
        wire = self.wire()
        codes = self.envelope(wire, "alice@example.org", "nobody@example.org", "bob@example.org", "alice@example.org")
        self.assertEqual(codes, [250, 550, 250, 250])
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(b"Subject: each\r\n\r\nx\r\n.\r\nNOOP\r\n")
        replies = [wire.reply() for _ in range(4)]
        self.assertTrue(all("queued as" in text[0] for _, text in replies[:3]), replies)
        self.assertEqual(len({text[0] for _, text in replies[:3]}), 1)
        self.assertNotIn("queued", replies[3][1][0])
        self.assertEqual(len([m for m in self.suite.mail("alice") if b"Subject: each" in m]), 1)

    def test_refused_for_each(self):
        wire = self.wire()
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.ask("DATA")
        wire.send(b"a\0b\r\n.\r\nNOOP\r\n")
        self.assertEqual([wire.reply()[0] for _ in range(3)], [550, 550, 250])

    def test_chunks(self):
        wire = self.wire()
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.send(b"BDAT 4\r\na: b")
        self.assertEqual(wire.reply()[0], 250)
        wire.send(b"BDAT 9 LAST\r\n\r\n\r\nend\r\nNOOP\r\n")
        replies = [wire.reply() for _ in range(3)]
        self.assertEqual(["queued" in text[0] for _, text in replies], [True, True, False])
        self.envelope(wire, "alice@example.org", "bob@example.org")
        wire.send(b"BDAT 3\r\na\0bNOOP\r\n")
        self.assertEqual([wire.reply()[0] for _ in range(2)], [550, 250])

    def test_no_recipients(self):
        wire = self.wire()
        self.assertEqual(self.envelope(wire, "nobody@example.org"), [550])
        self.assertEqual(wire.ask("DATA")[0], 503)
        wire.send(b"BDAT 1 LAST\r\nx")
        self.assertEqual(wire.reply()[0], 503)

    def test_no_relaying(self):
        self.assertEqual(self.envelope(self.wire(), "bob@elsewhere.example"), [550])

    def test_port_25(self):
        other = Suite(config={})
        self.addCleanup(other.close)
        other.write_config({"listen lmtp": {"address": f"{other.address}:25"}})
        with self.assertRaises(CommandFailed) as failed:
            other.cli("check")
        self.assertIn("port 25", str(failed.exception))
