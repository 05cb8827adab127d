"""The SMTP server's side of the conversation: every *.dialog here, played against one suite."""

import re
import time

from dialogs import DialogTests
from harness import Suite, message, without_trace
from wire import Wire


class Smtp(DialogTests):
    directory = __file__

    @classmethod
    def start_suite(cls):
        suite = Suite().start()
        suite.cli("alias", "add", "postmaster@example.org", "alice@example.org")
        return suite

    @classmethod
    def target(cls):
        return cls.suite.smtp_address

    def test_nothing_was_smuggled_or_half_stored(self):
        # Nothing else in this group is for bob but what the dialogs must not let through; the
        # pipelining dialog's two messages (played twice) are all he gets.
        play = self.dialog("smuggling.dialog")
        for bytewise in (False, True):
            play.play(self.suite.smtp_address, bytewise=bytewise)
        for name in ("half-closed.dialog", "nul-content.dialog", "loop.dialog", "long-line.dialog",
                     "ahead-of-354.dialog"):
            self.dialog(name).play(self.suite.smtp_address)
        for octets in self.suite.mail("bob"):
            self.assertRegex(octets, rb"Subject: pipelined [12]\r\n")

    def test_dots_are_unstuffed(self):
        body = b".\r\n..\r\n.leading\r\n...three\r\nmiddle . dot\r\n"
        content = message(body, subject="dots")
        with self.suite.wire() as wire:
            self.assertEqual(wire.ask("EHLO client.example")[0], 250)
            self.assertEqual(wire.ask("MAIL FROM:<eve@client.example>")[0], 250)
            self.assertEqual(wire.ask("RCPT TO:<alice@example.org>")[0], 250)
            self.assertEqual(wire.ask("DATA")[0], 354)
            wire.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            self.assertEqual(wire.reply()[0], 250)
        self.assertIn(content, [without_trace(m) for m in self.suite.mail("alice")])

    def test_trace_fields(self):
        """Return-Path first, then our Received with from, by, with, id, date (RFC 5321 4.4)."""
        content = message(subject="trace")
        self.suite.send("eve@client.example", ["alice@example.org"], content)
        octets = self.suite.mail("alice")[-1]
        self.assertTrue(octets.endswith(content))
        trace = octets[:-len(content)].decode()
        self.assertRegex(trace, r"\AReturn-Path: <eve@client\.example>\r\nReceived: from client\.example ")
        self.assertEqual(trace.count("Received:"), 1)
        unfolded = re.sub(r"\r\n[ \t]+", " ", trace)
        for part in (r"\[127\.0\.0\.1\]", r" by mx\.example\.org ", r" with ESMTP ", r" id [0-9A-Za-z-]+",
                     r"; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}( \(.*\))?\r\n"):
            self.assertRegex(unfolded, part)
        for line in trace.split("\r\n"):
            self.assertLessEqual(len(line), 998)

    def test_received_of_helo_says_smtp(self):
        with self.suite.wire() as wire:
            wire.ask("HELO old.example")
            wire.ask("MAIL FROM:<eve@client.example>")
            wire.ask("RCPT TO:<alice@example.org>")
            wire.ask("DATA")
            wire.send(message(subject="helo") + b".\r\n")
            self.assertEqual(wire.reply()[0], 250)
        self.assertRegex(self.suite.mail("alice")[-1].split(b"Subject:")[0], rb"with SMTP\s")

    def test_content_over_the_limit_while_reading(self):
        """SIZE was not announced: the limit holds while the octets come, and 552 comes at the end."""
        suite = Suite(config={"": {"message_size_max": "1M"}})
        self.addCleanup(suite.close)
        suite.start()
        with suite.wire() as wire:
            wire.ask("EHLO client.example")
            for command in ("MAIL FROM:<eve@client.example>", "RCPT TO:<alice@example.org>", "DATA"):
                wire.ask(command)
            wire.send(message(b"z" * 70 + b"\r\n" + (b"z" * 70 + b"\r\n") * 20000) + b".\r\n")
            code, texts = wire.reply()
            self.assertEqual((code, texts[0][:5]), (552, "5.3.4"))
            self.assertEqual(wire.ask("NOOP")[0], 250)
        self.assertEqual(suite.count("alice"), 0)
        suite.stop()

    def test_many_sessions_at_once(self):
        wires = [self.suite.wire() for _ in range(200)]
        for wire in wires:
            wire.say("EHLO client.example")
        for wire in wires:
            self.assertEqual(wire.reply()[0], 250)
        for wire in wires:
            self.assertEqual(wire.ask("QUIT")[0], 221)
            wire.close()

    def test_garbage_ends_sessions_not_processes(self):
        """Octets of every kind, connections dropped at every point: the same processes serve on."""
        before = self.suite.pids()
        garbage = bytes(range(256)) * 16
        for start in (b"", b"EHLO client.example\r\n", b"EHLO a\r\nMAIL FROM:<", b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n"
                      b"RCPT TO:<alice@example.org>\r\nDATA\r\n"):
            for cut in (0, 1, 10, 4096):
                with Wire(self.suite.smtp_address) as wire:
                    wire.send(start + garbage[:cut])
        with self.suite.wire() as wire:
            self.assertEqual(wire.ask("NOOP")[0], 250)
        self.assertEqual(self.suite.pids(), before)

    def test_slow_first_line_does_not_hold_others(self):
        idle = [Wire(self.suite.smtp_address) for _ in range(20)]
        began = time.monotonic()
        self.suite.send("eve@client.example", ["alice@example.org"], message(subject="not held up"))
        self.assertLess(time.monotonic() - began, 5)
        for wire in idle:
            wire.close()
