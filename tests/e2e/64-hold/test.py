"""FUTURERELEASE (RFC 4865): who logs in, or is a user of this machine, may have a message held for a while, for mailboxes
here and elsewhere."""

import re
import smtplib
import time

from harness import PASSWORD, free_port, message, own_address, wait_until
from relaying import RelayTest, wait_for_empty_queue

FROM = "alice@example.org"
REMOTE = "carol@remote.example"


class Hold(RelayTest):
    def begin(self, **smtp):
        address = own_address()
        self.submission = (address, free_port(address))
        remote = self.remote()
        suite = self.suite(config={
            "listen submission": {"address": "%s:%d" % self.submission, "plaintext_without_tls": "yes"},
            "route remote.example": {"to": f"smtp://{remote.host}:{remote.port}"},
            "smtp": {"future_release": "2h", **smtp}})
        return suite, remote

    def client(self):
        client = smtplib.SMTP(*self.submission, local_hostname="client.example", timeout=30)
        self.addCleanup(client.close)
        client.login("alice@example.org", PASSWORD)
        return client

    def submit(self, rcpts, *options):
        with self.client() as client:
            client.sendmail(FROM, rcpts, message("later"), mail_options=options)

    def now(self, seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

    def test_it_is_offered_to_those_who_submit_only(self):
        suite, _ = self.begin()
        with self.client() as client:
            client.ehlo()
            seconds, latest = client.esmtp_features["futurerelease"].split()
            self.assertEqual(seconds, "7200")
            at = time.strptime(latest, "%Y-%m-%dT%H:%M:%SZ")
            self.assertEqual(time.strftime("%Y-%m-%dT%H:%M:%SZ", at), latest)
            for options in ("HOLDFOR=7201", f"HOLDUNTIL={self.now(8000)}", "HOLDFOR=1 HOLDFOR=1", "HOLDUNTIL=tomorrow",
                            f"HOLDFOR=1 HOLDUNTIL={self.now(5)}"):
                self.assertEqual(client.docmd(f"MAIL FROM:<{FROM}> {options}")[0], 501, options)
        with suite.smtp() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("futurerelease"))
            self.assertEqual(client.docmd(f"MAIL FROM:<{FROM}> HOLDFOR=10")[0], 555)

    def test_switched_off(self):
        self.begin(future_release="none")
        with self.client() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("futurerelease"))
            self.assertEqual(client.docmd(f"MAIL FROM:<{FROM}> HOLDFOR=10")[0], 555)

    def test_held_then_delivered_by_itself(self):
        suite, remote = self.begin()
        suite.cli("alias", "add", "team@example.org", "bob@example.org", REMOTE)
        began = time.time()
        self.submit(["bob@example.org", REMOTE, "team@example.org"], f"HOLDUNTIL={self.now(4)}")
        self.assertEqual(suite.count("bob"), 0)
        held = suite.recipients()
        self.assertEqual({a: r["state"] for a, r in held.items()},
                         {"bob@example.org": "deferred", REMOTE: "deferred", "team@example.org": "deferred"})
        for recipient in held.values():
            self.assertRegex(recipient["last_reply"], r"held until \S+Z, as its sender asked")
        suite.wait_for_mail("bob", 1, 30)
        self.assertGreater(time.time() - began, 3)
        self.assertEqual([m["rcpts"] for m in remote.wait(1, 30)], [[REMOTE]])
        wait_for_empty_queue(suite)
        self.assertEqual(suite.count("bob"), 1)
        self.assertEqual(len(remote.wait(1)), 1)

    def test_released_early_after_a_restart(self):
        suite, remote = self.begin()
        self.submit(["bob@example.org", REMOTE], "HOLDFOR=3600")
        suite.restart()
        self.assertEqual((suite.count("bob"), len(suite.recipients())), (0, 2))
        suite.cli("queue", "retry", suite.queue()[0]["id"])
        suite.wait_for_mail("bob")
        remote.wait(1)
        wait_for_empty_queue(suite)

    def sendmail(self, *args):
        """(exit status, stdout, stderr) of `barid send`."""
        text = "Subject: from sendmail\n\nx\n"
        return self.begun[0].run("send", "-f", FROM, *args, stdin=text)

    def test_sendmail(self):
        suite, remote = self.begun = self.begin()
        status, stdout, stderr = self.sendmail("--hold-for", "1h", "bob@example.org", REMOTE)
        self.assertEqual((status, stderr), (0, ""))
        self.assertRegex(stdout, r"\A\w{13} is held until 20\d\d-\S+Z\n\Z")
        self.assertEqual([m["id"] for m in suite.queue()], [stdout.split()[0]])
        self.assertEqual({r["state"] for r in suite.recipients().values()}, {"deferred"})
        suite.cli("queue", "remove", stdout.split()[0])  # the sender thought better of it
        self.assertEqual(suite.queue(), [])
        status, stdout, stderr = self.sendmail("--hold-for=3s", "bob@example.org", REMOTE)
        self.assertEqual((status, stderr), (0, ""))
        suite.wait_for_mail("bob", 1, 30)
        self.assertEqual([m["rcpts"] for m in remote.wait(1, 30)], [[REMOTE]])
        wait_for_empty_queue(suite)
        self.assertEqual((suite.count("bob"), len(remote.wait(1))), (1, 1))

    def test_sendmail_that_is_not_served(self):
        suite, _ = self.begun = self.begin()
        for args in (["--hold-for", "3h"], ["--hold-for=soon"], ["--hold-until", "2001-01-01"],
                     ["--hold-for=1h", "--hold-until", self.now(60)], ["--hold-for=1h", "-bs"]):
            status, stdout, stderr = self.sendmail(*args, "bob@example.org")
            self.assertEqual((status, stdout), (64, ""), args)
            self.assertRegex(stderr, r"\Asend(mail)?: .+\n\Z")
        suite.write_config({"smtp": {"future_release": "none"}})
        suite.reload()
        def is_unserved():
            status, stdout, _ = self.sendmail("--hold-for=1h", "bob@example.org")
            if status == 0:  # the reload was not there yet
                suite.cli("queue", "remove", stdout.split()[0])
            return status == 69
        wait_until(is_unserved, 30)
        self.assertEqual((suite.queue(), suite.count("bob")), ([], 0))

    def test_reports_say_what_was_asked_for(self):
        suite, _ = self.begun = self.begin()
        self.submit(["bob@example.org"], "HOLDFOR=3600")
        until = self.now(3600)
        self.assertEqual(self.sendmail("--hold-until", until, "bob@example.org")[0], 0)
        for message_ in suite.queue():
            suite.cli("queue", "bounce", message_["id"])
        reports = suite.wait_for_mail("alice", 2)
        for request in (b"for;3600", b"until;" + until.encode()):
            report, = [r for r in reports if b"\r\nFuture-Release-Request: " + request + b"\r\n" in r]
            self.assertRegex(report, rb"\r\nArrival-Date: ")

    def test_quota(self):
        suite, _ = self.begin(future_release_messages="2")
        rcpts = ["bob@example.org"]
        self.submit(rcpts, "HOLDFOR=3600")
        self.submit([REMOTE], "HOLDFOR=3600")
        suite.restart()
        with self.client() as client:
            with self.assertRaises(smtplib.SMTPDataError) as refused:
                client.sendmail(FROM, rcpts, message("one too many"), mail_options=["HOLDFOR=3600"])
            self.assertEqual((refused.exception.smtp_code, refused.exception.smtp_error[:6]), (452, b"4.7.1 "))
            self.assertEqual(len(suite.queue()), 2)
            client.sendmail(FROM, rcpts, message("now"))  # only what is held counts
            suite.wait_for_mail("bob", 1)
            suite.cli("queue", "remove", suite.queue()[0]["id"])
            client.sendmail(FROM, rcpts, message("again"), mail_options=["HOLDFOR=3600"])
        self.assertEqual(len(suite.queue()), 2)

    def test_cancelled(self):
        suite, remote = self.begin()
        self.submit(["bob@example.org", REMOTE], "HOLDFOR=3600")
        suite.cli("queue", "remove", suite.queue()[0]["id"])
        self.assertEqual(suite.queue(), [])
        self.submit(["bob@example.org"], "HOLDFOR=3600")
        suite.cli("queue", "bounce", suite.queue()[0]["id"])
        self.assertIn(b"bob@example.org", suite.wait_for_mail("alice")[0])
        self.assertEqual((suite.count("bob"), remote.connections), (0, 0))

    def test_a_mailbox_that_is_full_when_it_is_released(self):
        suite, _ = self.begin()
        self.submit(["bob@example.org"], "HOLDFOR=3600")
        suite.cli("user", "quota", "bob@example.org", "10")
        suite.cli("queue", "retry", suite.queue()[0]["id"])
        bounce = suite.wait_for_mail("alice")[0]
        self.assertIn(b"5.2.2", bounce)
        self.assertEqual(suite.count("bob"), 0)
        with self.client() as client, self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail(FROM, ["bob@example.org"], message(), mail_options=["HOLDFOR=3600"])
        self.assertEqual(refused.exception.recipients["bob@example.org"][0], 452)

    def test_a_user_who_is_gone_by_then(self):
        suite, _ = self.begin()
        self.submit(["bob@example.org"], "HOLDFOR=3600")
        suite.cli("user", "remove", "bob@example.org")
        suite.cli("queue", "retry", suite.queue()[0]["id"])
        self.assertIn(b"5.1.1", suite.wait_for_mail("alice")[0])

    def test_postmaster_and_success_report(self):
        suite, _ = self.begin()
        suite.cli("alias", "add", "postmaster@example.org", "bob@example.org")
        with self.client() as client:
            client.mail(FROM, ["HOLDFOR=3600"])
            self.assertEqual(client.docmd("RCPT TO:<postmaster> NOTIFY=SUCCESS")[0], 250)
            self.assertEqual(client.data(message())[0], 250)
        suite.cli("queue", "retry", suite.queue()[0]["id"])
        suite.wait_for_mail("bob")
        self.assertIn(b"Action: delivered", suite.wait_for_mail("alice")[0])
        wait_until(lambda: suite.queue() == [])
        self.assertTrue(re.search(r" delivered to=\S*postmaster", suite.log()))
