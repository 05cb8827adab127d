"""The extensions that EHLO lists, alone and together, from the wire to the mailbox."""

from harness import message, without_trace
from relaying import RelayTest

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
        content = message("a line\r\n.\r\n..\r\nMAIL FROM:<x@y>\r\n" * 500, subject="chunks")
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
