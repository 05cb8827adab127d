"""What a sender may ask to be told (RFC 3461): DSN offered, kept, passed on, and done."""

import os
import subprocess
import tempfile
import unittest

import postfix
from harness import COMPLETE, message, wait_until
from relaying import Bounce, RelayTest, wait_for_empty_queue

FROM = "alice@example.org"
WITH_DSN = {"ehlo": ["fake.example", "PIPELINING", "SIZE 104857600", "8BITMIME", "DSN"]}


class Dsn(RelayTest):
    def send(self, suite, rcpts, content=None, mail=(), rcpt=()):
        with suite.smtp() as client:
            client.sendmail(FROM, rcpts, content or message("the text", subject="asking"), mail, rcpt)

    def report_to_alice(self, suite, n=1):
        return Bounce(suite.wait_for_mail("alice", n)[n - 1])

    def test_success_of_local_delivery(self):
        suite = self.suite()
        self.send(suite, ["bob@example.org"], mail=["ENVID=QQ+20314", "RET=FULL"],
                  rcpt=["NOTIFY=SUCCESS", "ORCPT=rfc822;Bob+2Bx@old.example"])
        report = self.report_to_alice(suite)
        recipient = report.recipients["bob@example.org"]
        self.assertEqual(recipient["Action"], "delivered")
        self.assertRegex(recipient["Status"], r"^2\.\d\.\d$")
        self.assertEqual(recipient["Original-Recipient"], "rfc822; Bob+x@old.example")
        self.assertTrue(recipient["Last-Attempt-Date"])
        self.assertEqual(report.about["Original-Envelope-Id"], "QQ 314")
        self.assertTrue(report.about["Arrival-Date"])
        self.assertNotIn(b"the text", report.octets)  # only a failure returns the message
        self.assertEqual(suite.count("bob"), 1)
        wait_for_empty_queue(suite)
        self.assertEqual(suite.queue(), [])

    def test_success_and_failure_in_one_report(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 no carol here"}})
        self.send(suite, ["bob@example.org", "carol@remote.example"], rcpt=["NOTIFY=SUCCESS,FAILURE"],
                  mail=["RET=FULL"])
        found = {}
        wait_until(lambda: suite.count("alice") and found.update(
            {a: r for octets in suite.mail("alice") for a, r in Bounce(octets).recipients.items()}) is None
            and len(found) == 2, 15, "reports about both")
        self.assertEqual(found["bob@example.org"]["Action"], "delivered")
        self.assertEqual(found["carol@remote.example"]["Action"], "failed")

    def test_the_next_server_is_told(self):
        suite, remote = self.routed(WITH_DSN)
        self.send(suite, ["carol@remote.example"], mail=["ENVID=id1", "RET=HDRS"],
                  rcpt=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;carol@first.example"])
        got = remote.wait(1)[0]
        self.assertEqual(got["rcpt_params"], ["NOTIFY=SUCCESS,DELAY ORCPT=rfc822;carol@first.example"])
        self.assertRegex(got["from_params"], "RET=HDRS ENVID=id1$")
        wait_for_empty_queue(suite)
        self.assertEqual(suite.count("alice"), 0)  # it is his to tell now

    def test_the_next_server_cannot_be_told(self):
        suite, remote = self.routed()
        self.send(suite, ["carol@remote.example"], mail=["ENVID=id1"], rcpt=["NOTIFY=SUCCESS"])
        got = remote.wait(1)[0]
        self.assertEqual((got["rcpt_params"], "ENVID" in got["from_params"]), ([""], False))
        report = self.report_to_alice(suite)
        self.assertEqual(report.recipients["carol@remote.example"]["Action"], "relayed")
        self.assertIn("does not tell", report.text)
        self.assertEqual(remote.violations, [])

    def test_failure_with_all_of_the_message(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 no"}})
        content = message("8 bits: \xe9".encode("latin-1"), subject="asking", headers=COMPLETE)
        self.send(suite, ["carol@remote.example"], content, mail=["RET=FULL", "BODY=8BITMIME"],
                  rcpt=["NOTIFY=FAILURE"])
        report = self.report_to_alice(suite)
        self.assertEqual(report.mail.get_payload()[2].get_content_type(), "message/rfc822")
        self.assertIn(content.rstrip(b"\r\n"), report.octets)

    def test_never(self):
        suite, remote = self.routed({"replies": {"RCPT": "550 5.1.1 no"}})
        self.send(suite, ["carol@remote.example"], rcpt=["NOTIFY=NEVER"])
        wait_until(lambda: remote.connections, 15, "an attempt")
        wait_for_empty_queue(suite)
        self.assertEqual(suite.count("alice"), 0)

    def test_delay_is_told_once_to_who_asked(self):
        suite, _ = self.routed({"replies": {"RCPT": "450 4.2.0 later"}},
                               relay={"retry": "1s", "delay_warning": "1s", "expire": "1h"})
        self.send(suite, ["carol@remote.example"], rcpt=["NOTIFY=DELAY"])
        recipient = self.report_to_alice(suite).recipients["carol@remote.example"]
        self.assertEqual(recipient["Action"], "delayed")
        self.assertTrue(recipient["Will-Retry-Until"])
        self.assertEqual(suite.count("alice"), 1)

    def test_an_alias_of_several(self):
        suite, remote = self.routed(WITH_DSN)
        suite.cli("alias", "add", "team@example.org", "bob@example.org", "carol@remote.example")
        self.send(suite, ["team@example.org"], rcpt=["NOTIFY=SUCCESS,FAILURE"])
        got = remote.wait(1)[0]
        self.assertEqual(got["rcpt_params"], ["NOTIFY=FAILURE ORCPT=rfc822;team@example.org"])
        report = self.report_to_alice(suite)
        self.assertEqual(report.recipients["team@example.org"]["Action"], "expanded")

    def test_not_offered_to_strangers(self):
        suite = self.suite(relay={"allow_from": "none"})
        with suite.smtp() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("dsn"))
            client.docmd("MAIL FROM:<x@y.example>")
            self.assertEqual(client.docmd("RCPT TO:<bob@example.org> NOTIFY=NEVER")[0], 555)

    def test_swaks(self):
        suite = self.suite()
        host, port = suite.smtp_address
        # swaks has no option for NOTIFY; it sends what stands behind the address
        done = subprocess.run(["swaks", "--server", host, "--port", str(port), "--from", FROM, "--to",
                               "bob@example.org", "--helo", "c.example"], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("250-DSN", done.stdout)

    @unittest.skipIf(postfix.why_not(), postfix.why_not())
    def test_postfix_takes_over(self):
        """A real Postfix as next hop is told, and tells the sender itself."""
        directory = tempfile.TemporaryDirectory(prefix="barid-postfix-")
        self.addCleanup(directory.cleanup)
        server = postfix.Postfix(os.path.join(directory.name, "p"))
        os.chmod(directory.name, 0o755)
        suite = self.suite(config={f"route {server.domain}": {"to": f"smtp://{server.address}:{server.port}"}})
        host, port = suite.smtp_address
        server.add(f"relayhost = [{host}]:{port}\n")
        self.addCleanup(server.stop)
        server.start()
        self.send(suite, ["carol@" + server.domain], mail=["ENVID=id7"], rcpt=["NOTIFY=SUCCESS"])
        octets = suite.wait_for_mail("alice", timeout=30)[0]
        self.assertIn(b"postfix.example", octets)
        self.assertIn(b"Original-Envelope-Id: id7", octets)
        self.assertIn(b"Action: delivered", octets)
        self.assertEqual(suite.count("alice"), 1)
