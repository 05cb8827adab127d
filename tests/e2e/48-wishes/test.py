"""What the client asks of the whole journey: REQUIRETLS (RFC 8689)."""

import os
import re
import shutil
import smtplib
import tempfile
import unittest

from certs import Pair, context
from harness import Suite, free_port, message, wait_until
from relaying import Bounce, RelayTest, wait_for_empty_queue, wait_for_state


class WishTest(RelayTest):
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

    def hop(self, offers=("fake.example", "SIZE 100000", "REQUIRETLS"), trusted=True, names=("mx.remote.example",),
            script=None, **tls):
        """A server with TLS, and a certificate of our own authority, or of a stranger."""
        label = f"hop{len(self.pairs)}"
        pair = Pair(self.dir, label, names)
        if trusted:
            self.pairs.append(pair)
        return self.remote({**(script or {}), "tls": {"certificate": pair.certificate, "key": pair.key,
                                                      "ehlo": list(offers), **tls}})

    def setUp(self):
        self.pairs = []
        self.dir = tempfile.mkdtemp(prefix="barid-wishes-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def routed_to(self, *hops, scheme="smtp", **relay):
        """A suite with a route to these servers by their name, in this order."""
        names = {f"mx{'' if n == 0 else n}.remote.example": hop for n, hop in enumerate(hops)}
        to = ", ".join(f"{scheme}://{name}:{hop.port}" for name, hop in names.items())
        return self.configured(names, {"route remote.example": {"to": to}}, **relay)

    def configured(self, names, sections, **relay):
        """A suite that finds these servers by their names, and trusts those whose hops are `trusted`."""
        dns = self.dns({name: {"A": [hop.host]} for name, hop in names.items()})
        ca = os.path.join(self.dir, "ca.pem")
        with open(ca, "w", encoding="ascii") as f:
            f.write("".join(open(pair.certificate, encoding="ascii").read() for pair in self.pairs))
        suite = Suite()
        self.addCleanup(suite.close)
        suite.write_config({"relay": {"allow_from": "127.0.0.0/8", "retry": "1h", "ca_file": ca, **relay},
                            "dns": {"server": f"{dns.host}@{dns.port}"},
                            "tls": Pair(suite.dir, "us", ["mx.example.org"]).config(), **sections})
        return suite.start()

    def submit(self, suite, options=("REQUIRETLS",)):
        self.secured(suite).sendmail("bob@example.org", ["x@remote.example"], message("a secret"),
                                     mail_options=list(options))

    def bounced(self, suite, pattern, status="5.7.10"):
        self.submit(suite)
        report, = suite.wait_for_mail("bob")
        self.assertIn(f"Status: {status}\r\n".encode(), report)
        self.assertRegex(re.sub(rb"\r\n\s+", b" ", report).decode(), pattern)


class Requiretls(WishTest):
    def test_not_offered_in_the_clear(self):
        suite, _ = self.start()
        with suite.smtp() as client:
            client.ehlo()
            self.assertFalse(client.has_extn("requiretls"))
            self.assertEqual(client.docmd("MAIL FROM:<eve@client.example> REQUIRETLS")[0], 555)

    def test_goes_on_to_who_is_verified_and_offers_it(self):
        for level in ("opportunistic", "required"):
            remote = self.hop()
            suite = self.routed_to(remote, tls=level)
            self.submit(suite)
            got, = remote.wait(1)
            self.assertEqual(got["tls"], "TLSv1.3")
            self.assertRegex(got["from_params"], r"^SIZE=\d+ REQUIRETLS$")
            wait_for_empty_queue(suite)
            self.assertRegex(suite.log(), r'tls="1\.3 \S+ policy=requiretls verified=yes"')

    def test_other_mail_to_such_a_server_has_no_parameter(self):
        remote = self.hop()
        suite = self.routed_to(remote)
        self.submit(suite, options=())
        self.assertNotIn("REQUIRETLS", remote.wait(1)[0]["from_params"])

    def test_a_connection_of_other_mail_is_not_used(self):
        remote = self.hop(trusted=False)
        self.pairs.append(Pair(self.dir, "somebody", ["ca.example"]))
        suite = self.routed_to(remote)
        self.submit(suite, options=())
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
        self.bounced(suite, "the certificate of mx.remote.example")
        self.assertEqual(len(remote.messages), 1)

    def test_aliases_and_lists_keep_it(self):
        remote = self.hop()
        suite = self.routed_to(remote)
        suite.cli("alias", "add", "away@example.org", "carol@remote.example")
        suite.cli("alias", "add", "staff@example.org", "dave@remote.example")
        suite.cli("alias", "add", "owner-staff@example.org", "bob@example.org")
        self.secured(suite).sendmail("bob@example.org", ["away@example.org", "staff@example.org"], message(),
                                     mail_options=["REQUIRETLS"])
        got = remote.wait(2)
        self.assertEqual(sorted(rcpt for one in got for rcpt in one["rcpts"]),
                         ["carol@remote.example", "dave@remote.example"])
        self.assertEqual([one["from_params"].split()[-1] for one in got], ["REQUIRETLS"] * 2)

    def test_implicit(self):
        remote = self.hop(implicit=True)
        self.submit(self.routed_to(remote, scheme="smtps"))
        self.assertIn("REQUIRETLS", remote.wait(1)[0]["from_params"])

    def test_not_offered_within_tls(self):
        remote = self.hop(offers=["fake.example"])
        self.bounced(self.routed_to(remote), "mx.remote.example.* does not offer REQUIRETLS", "5.7.30")
        self.assertEqual(remote.messages, [])
        self.assertTrue([line for line in remote.transcript if line.endswith("< QUIT")])

    def test_no_starttls(self):
        remote = self.remote({"ehlo": ["fake.example", "REQUIRETLS"]})
        self.pairs.append(Pair(self.dir, "somebody", ["ca.example"]))
        self.bounced(self.routed_to(remote), "does not offer STARTTLS")
        self.assertFalse([line for line in remote.transcript if "MAIL" in line])

    def test_a_certificate_of_another(self):
        remote = self.hop(names=("other.example",))
        self.bounced(self.routed_to(remote), "not valid for it: .*ostname mismatch")
        self.assertEqual(remote.messages, [])

    def test_a_certificate_of_another_before_the_greeting(self):
        remote = self.hop(names=("other.example",), implicit=True)
        self.bounced(self.routed_to(remote, scheme="smtps"), "not valid for it: .*ostname mismatch")
        self.assertEqual(remote.messages, [])

    def test_the_next_server_may_be_fit(self):
        first, second = self.hop(offers=["fake.example"]), self.hop(names=("mx1.remote.example",))
        suite = self.routed_to(first, second)
        self.submit(suite)
        self.assertIn("REQUIRETLS", second.wait(1)[0]["from_params"])
        self.assertEqual(first.messages, [])

    def test_a_report_is_not_lost_where_it_is_not_offered(self):
        """RFC 8689 5: verified TLS all the same, and no other mail that requires TLS follows it."""
        remote = self.hop(offers=["fake.example"])
        suite = self.routed_to(remote)
        client = self.secured(suite)
        client.sendmail("", ["x@remote.example"], message("report"), mail_options=["REQUIRETLS"])
        got, = remote.wait(1)
        self.assertEqual((got["tls"], got["from"], got["from_params"]), ("TLSv1.3", "", ""))
        self.bounced(suite, "does not offer REQUIRETLS", "5.7.30")
        self.assertEqual(len(remote.messages), 1)

    def test_a_report_has_the_parameter_where_it_is_offered(self):
        remote = self.hop()
        self.secured(self.routed_to(remote)).sendmail("", ["x@remote.example"], message("report"),
                                                      mail_options=["REQUIRETLS"])
        self.assertIn("REQUIRETLS", remote.wait(1)[0]["from_params"])

    def test_no_report_goes_to_a_stranger(self):
        remote = self.hop(names=("other.example",))
        suite = self.routed_to(remote)
        self.secured(suite).sendmail("", ["x@remote.example"], message("report"), mail_options=["REQUIRETLS"])
        wait_for_empty_queue(suite)
        self.assertEqual(remote.messages, [])

    def test_who_cannot_be_reached_may_be_fit_later(self):
        first, second = self.hop(offers=["fake.example"]), self.hop(names=("mx1.remote.example",))
        suite = self.routed_to(first, second)
        second.stop()
        self.submit(suite)
        wait_for_state(suite, "x@remote.example", "deferred")

    def test_names_from_unsigned_answers_prove_nothing(self):
        """RFC 8689 8.2: the lookup of the MX must be protected too."""
        remote = self.hop()
        dns = self.dns({"remote.example": {"MX": [[10, "mx.remote.example"]]},
                        "mx.remote.example": {"A": [remote.host]}})
        suite = Suite()
        self.addCleanup(suite.close)
        suite.write_config({"relay": {"allow_from": "127.0.0.0/8", "port": remote.port,
                                      "ca_file": self.pairs[0].certificate},
                            "dns": {"server": f"{dns.host}@{dns.port}"},
                            "tls": Pair(suite.dir, "us", ["mx.example.org"]).config()})
        suite.start()
        self.bounced(suite, "neither DNSSEC nor MTA-STS protects the name of the server .mx.remote.example", "5.7.30")
        self.assertEqual(remote.connections, 0)

    def test_no_server_without_it_gets_the_mail(self):
        """The report keeps the wish, and shows no content (RFC 8689 5)."""
        suite, remote = self.start()
        client = self.secured(suite)
        self.assertTrue(client.has_extn("requiretls"))
        client.sendmail("bob@example.org", ["x@remote.example", "alice@example.org"], message("a secret"),
                        mail_options=["REQUIRETLS", "RET=FULL"])
        self.assertEqual(len(suite.wait_for_mail("alice")), 1)
        report, = suite.wait_for_mail("bob")
        self.assertIn(b"Status: 5.7.10\r\n", report)
        self.assertNotIn(b"a secret", report)
        self.assertEqual(remote.messages, [])


class OtherHops(WishTest):
    """Servers that the administrator names: theirs is the name, all else is asked of them too."""

    def each_kind(self, check):
        for kind in ("smarthost", "lmtp"):
            with self.subTest(kind=kind):
                self.pairs.clear()
                check(kind)

    def suite_for(self, kind, hop):
        url = f"{'lmtp' if kind == 'lmtp' else 'smtp'}://mx.remote.example:{hop.port}"
        names = {"mx.remote.example": hop}
        return (self.configured(names, {}, smarthost=url) if kind == "smarthost"
                else self.configured(names, {"route remote.example": {"to": url}}))

    def taken(self, kind):
        remote = self.hop(script={"lmtp": kind == "lmtp"})
        suite = self.suite_for(kind, remote)
        self.secured(suite).sendmail("bob@example.org", ["x@remote.example", "y@remote.example"], message(),
                                     mail_options=["REQUIRETLS"])
        got, = remote.wait(1, 30)
        self.assertEqual((got["tls"], got["rcpts"]), ("TLSv1.3", ["x@remote.example", "y@remote.example"]))
        self.assertIn("REQUIRETLS", got["from_params"].split())
        wait_for_empty_queue(suite, 30)
        self.assertEqual(suite.count("bob"), 0)

    def test_who_offers_it_has_it(self):
        self.each_kind(self.taken)

    def returned(self, kind, hop, pattern, status):
        self.bounced(self.suite_for(kind, hop), pattern, status)
        self.assertFalse([line for line in hop.transcript if "< MAIL" in line])

    def test_who_does_not_offer_it_has_nothing(self):
        self.each_kind(lambda kind: self.returned(
            kind, self.hop(offers=["fake.example"], script={"lmtp": kind == "lmtp"}),
            "does not offer REQUIRETLS", "5.7.30"))

    def test_who_has_no_tls_has_nothing(self):
        def without_tls(kind):
            self.pairs.append(Pair(self.dir, "somebody", ["ca.example"]))
            self.returned(kind, self.remote({"lmtp": kind == "lmtp", "ehlo": ["fake.example", "REQUIRETLS"]}),
                          "does not offer STARTTLS", "5.7.10")
        self.each_kind(without_tls)

    def test_a_stranger_has_nothing(self):
        self.each_kind(lambda kind: self.returned(
            kind, self.hop(names=("other.example",), script={"lmtp": kind == "lmtp"}),
            "the certificate of mx.remote.example", "5.7.10"))


class Reports(WishTest):
    """RFC 8689 5: what is said about mail that requires TLS requires it too, and shows no content."""

    SECRET = message("a secret", subject="in the header")

    def told(self, back, options=(), rcpt_options=(), script=None):
        """Two hops: one of the recipient, who has it or not by the script, and one of the sender."""
        there = self.hop(names=("mx.remote.example",), script=script)
        suite = self.configured({"mx.remote.example": there, "mx.sender.example": back}, {
            "route remote.example": {"to": f"smtp://mx.remote.example:{there.port}"},
            "route sender.example": {"to": f"smtp://mx.sender.example:{back.port}"}})
        self.secured(suite).sendmail("bob@sender.example", ["x@remote.example"], self.SECRET,
                                     mail_options=["REQUIRETLS", *options], rcpt_options=list(rcpt_options))
        return suite

    def check(self, got, action):
        self.assertEqual((got["tls"], got["from"], got["rcpts"]), ("TLSv1.3", "", ["bob@sender.example"]))
        bounce = Bounce(got["data"])
        self.assertEqual(bounce.recipients["x@remote.example"]["Action"], action)
        self.assertEqual(bounce.mail.get_payload()[2].get_content_type(), "text/rfc822-headers")
        self.assertIn(b"in the header", got["data"])
        self.assertNotIn(b"a secret", got["data"])

    def test_a_failure_and_a_success_though_all_is_asked_for(self):
        for action, reply, notify in (("failed", "550 5.1.1 nobody", "FAILURE"), ("relayed", "250 ok", "SUCCESS")):
            with self.subTest(action=action):
                back = self.hop(names=("mx.sender.example",))
                self.told(back, ["RET=FULL"], [f"NOTIFY={notify}"], {"replies": {"RCPT": reply}})
                got, = back.wait(1, 30)
                self.check(got, action)
                self.assertIn("REQUIRETLS", got["from_params"].split())
                self.pairs.clear()

    def test_it_goes_back_to_who_does_not_offer_it(self):
        back = self.hop(names=("mx.sender.example",), offers=["fake.example"])
        self.told(back, ["RET=FULL"], script={"replies": {"RCPT": "550 5.1.1 nobody"}})
        got, = back.wait(1, 30)
        self.check(got, "failed")
        self.assertNotIn("REQUIRETLS", got["from_params"])

    def test_it_does_not_go_back_in_the_clear(self):
        back = self.remote({"ehlo": ["fake.example", "REQUIRETLS"]})
        suite = self.told(back, script={"replies": {"RCPT": "550 5.1.1 nobody"}})
        wait_until(lambda: back.connections > 0, 30, "a try to tell the sender")
        wait_for_empty_queue(suite, 30)
        self.assertFalse([line for line in back.transcript if "< MAIL" in line])


if __name__ == "__main__":
    unittest.main()
