"""What the client asks of the whole journey: REQUIRETLS (RFC 8689)."""

import smtplib
import unittest

from certs import Pair, context
from harness import Suite, free_port, message, wait_until
from relaying import RelayTest


class Requiretls(RelayTest):
    def start(self, **relay):
        suite = Suite()
        self.addCleanup(suite.close)
        remote = self.remote()
        suite.write_config({"relay": {"allow_from": "127.0.0.0/8", **relay},
                            "tls": Pair(suite.dir, "mx", ["mx.example.org"]).config(),
                            "route remote.example": {"to": f"smtp://{remote.host}:{remote.port}"}})
        return suite.start(), remote

    def secured(self, suite):
        client = suite.smtp()
        self.addCleanup(client.close)
        client.starttls(context=context())
        client.ehlo()
        return client

    def test_not_offered_in_the_clear(self):
        suite, _ = self.start()
        with suite.smtp() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("requiretls"))
            self.assertEqual(client.docmd("MAIL FROM:<eve@client.example> REQUIRETLS")[0], 555)

    def test_no_server_without_it_gets_the_mail(self):
        """The report keeps the wish, and shows no content (RFC 8689 5)."""
        suite, remote = self.start()
        client = self.secured(suite)
        self.assertTrue(client.has_extn("requiretls"))
        client.sendmail("bob@example.org", ["x@remote.example", "alice@example.org"], message("a secret"),
                        mail_options=["REQUIRETLS", "RET=FULL"])
        self.assertEqual(len(suite.wait_for_mail("alice")), 1)
        report, = suite.wait_for_mail("bob")
        self.assertIn(b"Status: 5.7.30\r\n", report)
        self.assertNotIn(b"a secret", report)
        self.assertEqual(remote.messages, [])


if __name__ == "__main__":
    unittest.main()
