"""TLS-RPT (RFC 8460): who asks for it is told how TLS with his mail servers went."""

import email
import email.policy
import gzip
import json
import os
import shutil
import tempfile

from certs import Pair
from harness import message, wait_until
from relaying import RelayTest, wait_for_empty_queue

FROM = "alice@example.org"


class Report:
    """A report taken apart; raises if it is none."""

    def __init__(self, octets):
        self.mail = email.message_from_bytes(octets, policy=email.policy.default)
        assert self.mail.get_content_type() == "multipart/report", octets
        assert self.mail.get_param("report-type") == "tlsrpt", octets
        assert not self.mail.defects, self.mail.defects
        text, self.file = self.mail.get_payload()
        assert text.get_content_type() == "text/plain"
        assert self.file.get_content_type() == "application/tlsrpt+gzip"
        self.json = json.loads(gzip.decompress(self.file.get_payload(decode=True)))


class TlsReports(RelayTest):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="barid-tlsrpt-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def start(self, records, **relay):
        """plain.example has no TLS, secure.example has; the reports of both go to `records`."""
        pair = Pair(self.dir, "mx", ("mx.secure.example",))
        tls = {"tls": {"certificate": pair.certificate, "key": pair.key}}
        port, (self.plain, self.secure, self.collector) = self.remotes({}, tls, {})
        zone = {}
        for domain, server in (("plain.example", self.plain), ("secure.example", self.secure),
                               ("collector.example", self.collector)):
            zone[domain] = {"MX": [[10, f"mx.{domain}"]]}
            zone[f"mx.{domain}"] = {"A": [server.host]}
            if domain in records:
                zone[f"_smtp._tls.{domain}"] = {"TXT": records[domain]}
        dns = self.dns(zone)
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"port": port, "tls_reports": "yes", "connections_per_destination": 1, **relay})
        return suite

    def send_and_report(self, suite, *to):
        for rcpt in to:
            suite.send(FROM, [rcpt], message())
        wait_for_empty_queue(suite, 30)
        suite.cli("tls", "report")

    def test_a_failure_is_told_where_the_domain_wants_it(self):
        suite = self.start({"plain.example": ["v=spf1 -all", "v=TLSRPTv1; x=y; rua=mailto:tls%2Drpt@collector.example"
                                              "?subject=no, https://collector.example/report"]})
        self.send_and_report(suite, "carol@plain.example", "dave@secure.example")
        got = self.collector.wait(1)[0]
        self.assertEqual((got["from"], got["rcpts"]), ("", ["tls-rpt@collector.example"]))
        report = Report(got["data"])
        self.assertEqual(report.mail["TLS-Report-Domain"], "plain.example")
        self.assertEqual(report.mail["TLS-Report-Submitter"], "mx.example.org")
        self.assertEqual(report.mail["TLS-Required"], "No")
        self.assertRegex(report.file.get_filename(), r"^mx\.example\.org!plain\.example!\d+!\d+!\w+\.json\.gz$")
        self.assertEqual(report.json["organization-name"], "mx.example.org")
        policy, = report.json["policies"]
        self.assertEqual(policy["policy"], {"policy-type": "no-policy-found", "policy-domain": "plain.example"})
        self.assertEqual(policy["summary"], {"total-successful-session-count": 0, "total-failure-session-count": 1})
        self.assertEqual(policy["failure-details"],
                         [{"result-type": "starttls-not-supported", "receiving-mx-hostname": "mx.plain.example",
                           "receiving-ip": self.plain.host, "failed-session-count": 1}])
        wait_until(lambda: "tls-report-address-skipped" in suite.log(), 30, "the https address to be skipped")
        wait_for_empty_queue(suite, 30)
        self.assertEqual(self.plain.violations + self.collector.violations, [])

    def test_a_success_to_an_address_of_ours_and_once(self):
        ours = ["v=TLSRPTv1;rua=mailto:bob@example.org"]
        suite = self.start({"secure.example": ours, "plain.example": ours})
        self.send_and_report(suite, "carol@secure.example")
        report = Report(suite.wait_for_mail("bob", timeout=30)[0])
        policy, = report.json["policies"]
        self.assertEqual(policy["summary"], {"total-successful-session-count": 1, "total-failure-session-count": 0})
        self.assertNotIn("failure-details", policy)
        suite.cli("tls", "report")
        self.send_and_report(suite, "carol@plain.example")
        second = Report(suite.wait_for_mail("bob", count=2, timeout=30)[1])
        self.assertEqual([r.mail["TLS-Report-Domain"] for r in (report, second)], ["secure.example", "plain.example"])
        self.assertNotEqual(report.json["report-id"], second.json["report-id"])
        self.assertEqual(suite.count("bob"), 2)

    def test_it_survives_a_restart_and_nobody_else_is_told(self):
        suite = self.start({"plain.example": ["v=TLSRPTv1; rua=mailto:bob@example.org"],
                            "secure.example": ["v=TLSRPTv1; rua=mailto:bob@example.org",
                                               "v=TLSRPTv1; rua=mailto:eve@example.org"]})
        suite.send(FROM, ["carol@plain.example"], message())
        suite.send(FROM, ["carol@secure.example"], message())
        wait_for_empty_queue(suite, 30)
        suite.restart()
        suite.cli("tls", "report")
        report = Report(suite.wait_for_mail("bob", timeout=30)[0])
        self.assertEqual(report.mail["TLS-Report-Domain"], "plain.example")
        suite.stop()
        self.assertEqual(suite.log().count(" tls-report "), 1)

    def test_it_is_off_unless_it_is_switched_on(self):
        suite = self.start({}, tls_reports=None)
        status, _, stderr = suite.run("tls", "report")
        self.assertEqual(status, 1)
        self.assertIn("tls_reports", stderr)
