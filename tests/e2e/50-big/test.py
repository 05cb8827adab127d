"""Never half a message, never another: what is delivered is what was accepted, octet for octet."""

import os
import random
import tempfile
import shutil

import postfix
from harness import Suite, message, wait_until, without_trace
from relaying import RelayTest, wait_for_empty_queue

MB = 1 << 20


def big_message(octets=10 * MB, seed=7):
    """Octets of every kind but NUL, CR and LF, lines of dots, empty lines, and a last MIME part whose
    body has no newline of its own (RFC 2046 5.1.1: the CRLF before the boundary is the boundary's)."""
    rng = random.Random(seed)
    alphabet = bytes(o for o in range(1, 256) if o not in (10, 13))
    lines = [b".", b"..", b".\x80", b"", b".leading dot", b"From the start", b"--", b"\xff" * 990]
    head = (b"From: Eve <eve@client.example>\r\nTo: everybody\r\nSubject: big\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=line\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            b"--line\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
    tail = b"--line\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" \
           b"no newline after this\r\n--line--\r\n"
    block = b"".join(line + b"\r\n" for line in lines + [
        bytes(rng.choices(alphabet, k=rng.randint(0, 200))) for _ in range(2000)])
    body = block * ((octets - len(head) - len(tail)) // len(block))
    return head + body + tail


class Big(RelayTest):
    timeout = 180

    def test_for_two_local_users(self):
        content = big_message()
        suite = Suite(config={"mailbox": {"undelete_for": "none"}})
        self.addCleanup(suite.close)
        suite.start()
        with suite.smtp() as client:
            client.sendmail("eve@client.example", ["alice@example.org", "bob@example.org"], content,
                            mail_options=["BODY=8BITMIME"])
        for user in ("alice", "bob"):
            with suite.pop3(user) as session:
                octets = session.retr(1)
                self.assertEqual(int(session.ask("LIST 1").split()[2]), len(octets))
                self.assertTrue(without_trace(octets) == content, "the octets differ")
                session.ask("TOP 1 3")
                top = session.wire.multiline()
                self.assertTrue(octets.startswith(top))
                self.assertLess(len(top), 2000)
                session.ask("DELE 1")
        # The last mailbox gave its copy up: the content goes from the disk.
        spool = os.path.join(suite.state_dir, "queue", "spool")
        wait_until(lambda: not [f for _, _, files in os.walk(spool) for f in files], 15, "an empty spool")
        suite.stop()

    def test_sizes_around_every_border(self):
        """A row, a message between processes, a buffer: contents of just under, at, and over 64 KiB."""
        suite = Suite()
        self.addCleanup(suite.close)
        suite.start()
        sent = []
        with suite.smtp() as client:
            for size in (0, 1, 60, 4096, 8192, 16384, 65000, 65300, *range(65480, 65560, 5), 65536 + 400,
                         131072, 3 * 65536):
                body = (b"%06d " % size + b"q" * 70 + b"\r\n") * (size // 79) + b"r" * (size % 79) + b"\r\n"
                sent.append(message(body, subject=f"size {size}"))
                client.sendmail("eve@client.example", ["alice@example.org"], sent[-1])
        got = [without_trace(m) for m in suite.mail("alice")]
        self.assertEqual(len(got), len(sent))
        for i, (a, b) in enumerate(zip(sent, got)):
            self.assertTrue(a == b, f"message {i} differs")
        suite.stop()

    def test_relayed_to_a_scripted_server(self):
        content = big_message(seed=8)
        suite, remote = self.routed()
        suite.send("alice@example.org", ["carol@remote.example", "bob@example.org"], content)
        got = remote.wait(1, 60)[0]
        self.assertTrue(without_trace(got["data"]) == content, "the octets differ")
        self.assertEqual(remote.violations, [])
        self.assertEqual(suite.count("bob"), 1)
        wait_for_empty_queue(suite)

    def test_relayed_to_a_real_postfix(self):
        reason = postfix.why_not()
        if reason:
            self.skipTest(reason)
        directory = tempfile.mkdtemp(prefix="barid-postfix-")
        self.addCleanup(shutil.rmtree, directory, True)
        server = postfix.Postfix(directory)
        server.start()
        self.addCleanup(server.stop)
        content = big_message(seed=9)
        small = message(b"small\r\n.\r\n..\r\nlast line\r\n")
        suite = self.suite(config={"route postfix.example": {"to": f"smtp://{server.address}:{server.port}"}})
        suite.send("alice@example.org", ["carol@postfix.example"], content)
        suite.send("alice@example.org", ["carol@postfix.example"], small)
        wait_until(lambda: len(server.mail()) >= 2, 60,
                   lambda: f"two messages at Postfix; {server.log_tail()} {suite.queue()}")
        # Maildir has LF line ends; nothing in the message but line ends holds a CR or LF.
        got = sorted((postfix.without_postfix_trace(m).replace(b"\n", b"\r\n") for m in server.mail()), key=len)
        self.assertEqual(got[0], small)
        self.assertTrue(got[1] == content, "the octets differ")
        wait_for_empty_queue(suite)
