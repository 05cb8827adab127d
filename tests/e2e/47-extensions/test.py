"""The extensions that EHLO lists, alone and together, from the wire to the mailbox."""

from harness import COMPLETE, message, without_trace
from relaying import Bounce, RelayTest, wait_for_empty_queue

FROM = "alice@example.org"


class Chunking(RelayTest):
    """BDAT (RFC 3030)."""

    def bdat(self, client, content, *sizes):
        """Sends all content in chunks of these sizes, the last one repeating, without waiting; the replies."""
        flight, at, n = b"", 0, 0
        while at < len(content):
            size = sizes[min(n, len(sizes) - 1)]
            chunk = content[at:at + size]
            at, n = at + len(chunk), n + 1
            flight += b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if at == len(content) else b"") + chunk
        client.sock.sendall(flight)
        return [client.getreply() for _ in range(n)]

    def test_chunks_of_any_size(self):
        suite = self.suite()
        content = message("a line\r\n.\r\n..\r\nMAIL FROM:<x@y>\r\n" * 500, subject="chunks", headers=COMPLETE)
        for sizes in ((len(content),), (1, 2, 3, 1000), (70000,), (17,)):
            with suite.smtp() as client:
                client.ehlo()
                self.assertTrue(client.has_extn("chunking"))
                client.mail(FROM)
                client.rcpt("bob@example.org")
                replies = self.bdat(client, content, *sizes)
                self.assertEqual({code for code, _ in replies}, {250})
                self.assertEqual(client.noop()[0], 250)
        for got in suite.wait_for_mail("bob", 4):
            self.assertEqual(without_trace(got), content)

    def test_a_refused_chunk_is_no_command(self):
        suite = self.suite()
        with suite.smtp() as client:
            client.ehlo()
            client.mail(FROM)
            client.sock.sendall(b"BDAT 36 LAST\r\nMAIL FROM:<x@y>\r\nRCPT TO:<bob@x.y>\r\nNOOP\r\n")
            self.assertEqual(client.getreply()[0], 554)
            self.assertEqual(client.getreply()[0], 250)
        self.assertEqual(suite.count("bob"), 0)

    def test_over_the_size_limit(self):
        suite = self.suite(config={"": {"message_size_max": "10K"}})
        with suite.smtp() as client:
            client.ehlo()
            client.mail(FROM)
            client.rcpt("bob@example.org")
            codes = [code for code, _ in self.bdat(client, message("0123456789\r\n" * 2000), 9000)]
            self.assertEqual(codes[:2], [250, 552])
            self.assertEqual(set(codes[2:]), {503})
            self.assertEqual(client.noop()[0], 250)


ALL = ["fake.example", "PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN"]
UTF8_HEADER = f"Subject: J\u00f8rgen\r\n{COMPLETE}\r\ntext\r\n".encode()


class Utf8(RelayTest):
    """SMTPUTF8 (RFC 6531) and domains beyond ASCII."""

    def send(self, suite, sender, rcpts, content=UTF8_HEADER):
        with suite.smtp() as client:
            client.command_encoding = "utf-8"
            refused = client.sendmail(sender, rcpts, content, ["SMTPUTF8", "BODY=8BITMIME"])
            self.assertEqual(refused, {})

    def test_mailbox_of_a_user_beyond_ascii(self):
        suite = self.suite()
        suite.cli("domain", "add", "b\u00fccher.example")
        suite.cli("user", "add", "J\u00f8rgen@b\u00fccher.example", "--password-stdin", stdin="correct horse\n")
        suite.cli("alias", "add", "\u7528\u6237@example.org", "bob@example.org")
        # in capitals, and with a combining character
        self.send(suite, "\u00e5sa@elsewhere.example", ["J\u00d8RGEN@bu\u0308cher.example", "\u7528\u6237@example.org"])
        got = suite.wait_for_mail("bob")[0]
        self.assertTrue(got.startswith("Return-Path: <\u00e5sa@elsewhere.example>\r\n".encode()))
        self.assertIn(b"with UTF8SMTP id", got)
        self.assertEqual(without_trace(got), UTF8_HEADER)
        self.assertEqual(suite.cli("mailbox", "show", "j\u00f8rgen@xn--bcher-kva.example", json=True)["messages"], 1)

    def test_passed_on_with_smtputf8(self):
        suite, remote = self.routed({"ehlo": ALL})
        self.send(suite, "alice@example.org", ["j\u00f8rgen@remote.example"])
        got = remote.wait(1)[0]
        self.assertIn("SMTPUTF8", got["from_params"])
        self.assertEqual(got["rcpts"], ["j\u00f8rgen@remote.example".encode().decode("latin-1")])
        self.assertIn(UTF8_HEADER[:-2], got["data"])
        self.assertEqual(remote.violations, [])

    def test_a_server_without_it_gets_only_who_needs_none(self):
        suite, remote = self.routed()
        self.send(suite, "alice@example.org", ["j\u00f8rgen@remote.example", "carol@remote.example"],
                  message("plain"))
        self.assertEqual(remote.wait(1)[0]["rcpts"], ["carol@remote.example"])
        self.assertNotIn("SMTPUTF8", remote.messages[0]["from_params"])
        report = Bounce(suite.wait_for_mail("alice")[0])
        recipient = report.recipients["j\\x{F8}rgen@remote.example"]
        self.assertEqual(recipient["Status"], "5.6.7")
        self.assertIn("j\u00f8rgen@remote.example", report.text)
        self.assertTrue(report.octets.isascii())  # alice may read her mail where UTF-8 is not known

    def test_a_header_beyond_ascii_needs_it_too(self):
        suite, remote = self.routed()
        self.send(suite, "alice@example.org", ["carol@remote.example"])
        octets = suite.wait_for_mail("alice")[0]
        self.assertIn(b"Status: 5.6.7", octets)
        self.assertIn(b"message/global-headers", octets)
        self.assertEqual(remote.messages, [])
        # the same without SMTPUTF8 is the old 8-bit header: passed on as it is
        suite.send("alice@example.org", ["carol@remote.example"], UTF8_HEADER)
        self.assertEqual(len(remote.wait(1)), 1)

    def test_a_sender_beyond_ascii_gets_an_international_report(self):
        """RFC 6533 4; to a server that takes it as to a mailbox here."""
        suite, remote = self.routed({"ehlo": ALL, "replies": {"RCPT": {"carol@remote.example": "550 5.1.1 no"}}})
        self.send(suite, "\u00e5sa@remote.example", ["carol@remote.example"])
        got = remote.wait(1)[0]
        self.assertEqual((got["from"], got["rcpts"]), ("", ["\u00e5sa@remote.example".encode().decode("latin-1")]))
        self.assertIn("SMTPUTF8", got["from_params"])
        self.assertIn("BODY=8BITMIME", got["from_params"])
        self.assertIn(b"Content-Type: message/global-delivery-status\r\n", got["data"])
        self.assertIn("To: <\u00e5sa@remote.example>\r\n".encode(), got["data"])
        self.assertIn(b"\r\nFinal-Recipient: rfc822; carol@remote.example\r\nAction: failed\r\n", got["data"])
        suite.cli("alias", "add", "j\u00f8rgen@example.org", "alice@example.org")
        self.send(suite, "j\u00f8rgen@example.org", ["carol@remote.example"])
        self.assertIn(b"message/global-delivery-status", suite.wait_for_mail("alice")[0])
        self.assertEqual(remote.violations, [])

    def test_only_a_domain_beyond_ascii_needs_nothing(self):
        suite, remote = self.routed(domain="xn--bcher-kva.example")
        self.send(suite, "alice@example.org", ["carol@b\u00fccher.example"], message("plain"))
        self.assertEqual(remote.wait(1)[0]["rcpts"], ["carol@xn--bcher-kva.example"])
        wait_for_empty_queue(suite)

    def test_not_without_the_parameter(self):
        suite = self.suite()
        with suite.smtp() as client:
            client.command_encoding = "utf-8"
            client.ehlo()
            self.assertEqual(client.docmd("MAIL FROM:<\u00e5sa@x.example>")[0], 553)
            client.mail("x@y.example")
            code, text = client.docmd("RCPT TO:<\u7528\u6237@example.org>")
            self.assertEqual((code, text[:5]), (553, b"5.6.7"))
