"""TLS-RPT (RFC 8460): who asks for it is told how TLS with his mail servers went."""

import contextlib
import email
import email.policy
import gzip
import http.server
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import tempfile
import threading

from certs import Pair
from harness import message, own_address, wait_until
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


class Collector:
    """A web server that takes reports, and answers what is in `statuses`, the last one for ever."""

    def __init__(self, pair, address):
        outer = self
        self.posts, self.statuses = [], [201]

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append((self.headers["Host"], self.path, self.headers["Content-Type"], body))
                self.send_response(outer.statuses.pop(0) if len(outer.statuses) > 1 else outer.statuses[0])
                self.send_header("Location", f"https://{self.headers['Host']}/elsewhere")
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"thank")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def own_source(host):
    """From which address of this machine one gets there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, 9))
        return s.getsockname()[0]


class ReportTest(RelayTest):
    def setUp(self):
        self.web_address = own_address()
        self.dir = tempfile.mkdtemp(prefix="barid-tlsrpt-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def start(self, records, pair=None, **relay):
        """plain.example has no TLS, secure.example has; the reports of both go to `records`."""
        pair = pair or Pair(self.dir, "mx", ("mx.secure.example",))
        tls = {"tls": {"certificate": pair.certificate, "key": pair.key}}
        port, (self.plain, self.secure, self.collector) = self.remotes({}, tls, {})
        zone = {}
        for domain, server in (("plain.example", self.plain), ("secure.example", self.secure),
                               ("collector.example", self.collector)):
            zone[domain] = {"MX": [[10, f"mx.{domain}"]]}
            zone[f"mx.{domain}"] = {"A": [server.host]}
            if domain in records:
                zone[f"_smtp._tls.{domain}"] = {"TXT": records[domain]}
        zone["web.example"] = {"A": [self.web_address]}
        dns = self.dns(zone)
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"port": port, "tls_reports": "yes", "connections_per_destination": 1, **relay})
        return suite

    def send_and_report(self, suite, *to):
        for rcpt in to:
            suite.send(FROM, [rcpt], message())
        wait_for_empty_queue(suite, 30)
        suite.cli("tls", "report")


class TlsReports(ReportTest):
    def test_a_failure_is_told_where_the_domain_wants_it(self):
        suite = self.start({"plain.example": ["v=spf1 -all", "v=TLSRPTv1; x=y; rua=mailto:tls%2Drpt@collector.example"
                                              "?subject=no, gopher://collector.example/report"]})
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
                         [{"result-type": "starttls-not-supported", "sending-mta-ip": own_source(self.plain.host),
                           "receiving-mx-hostname": "mx.plain.example", "receiving-mx-helo": "fake.example",
                           "receiving-ip": self.plain.host, "failed-session-count": 1}])
        wait_until(lambda: "tls-report-address-skipped" in suite.log(), 30, "the unknown scheme to be skipped")
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

    def test_a_certificate_that_is_none_of_a_server_is_not_trusted(self):
        """RFC 8460 4.3.1. It is signed by an authority of ours; where no policy asks for it the TLS is a success."""
        pair = Pair(self.dir, "client", ("mx.secure.example",), extensions=["extendedKeyUsage=clientAuth"])
        suite = self.start({"secure.example": ["v=TLSRPTv1;rua=mailto:bob@example.org"]}, pair,
                           ca_file=pair.certificate)
        self.send_and_report(suite, "carol@secure.example")
        policy, = Report(suite.wait_for_mail("bob", timeout=30)[0]).json["policies"]
        wait_until(lambda: re.search(r' sent .*verified=no \([^"]*purpose', suite.log()), 30, "why it is not")
        self.assertEqual(policy["summary"], {"total-successful-session-count": 1, "total-failure-session-count": 0})
        self.assertNotIn("failure-details", policy)

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


class Posted(ReportTest):
    """rua=https: (RFC 8460 5.4): a POST to a server that proves its name."""

    def setUp(self):
        super().setUp()
        web = Pair(self.dir, "web", ("web.example",))
        self.web = Collector(web, self.web_address)
        self.addCleanup(self.web.stop)
        self.relay = {"ca_file": web.certificate, "mta_sts_port": self.web.port}

    def report_on_plain(self, rua, **relay):
        suite = self.start({"plain.example": [f"v=TLSRPTv1; rua={rua}"]}, **(self.relay | relay))
        self.send_and_report(suite, "carol@plain.example")
        return suite

    def check_post(self, suite, host, path):
        wait_until(lambda: " tls-report-posted " in suite.log(), 30, "the report to be taken")
        (got_host, got_path, kind, body), = self.web.posts
        self.assertEqual((got_host, got_path, kind), (host, path, "application/tlsrpt+gzip"))
        report = json.loads(gzip.decompress(body))
        self.assertEqual(report["policies"][0]["policy"]["policy-domain"], "plain.example")
        self.assertEqual(report["policies"][0]["summary"]["total-failure-session-count"], 1)
        self.assertTrue({"organization-name", "date-range", "contact-info", "report-id"} <= set(report))

    def test_it_is_posted_and_mailed(self):
        suite = self.report_on_plain("https://web.example/v1/tls%20rpt?a=b,mailto:bob@example.org")
        self.check_post(suite, "web.example", "/v1/tls%20rpt?a=b")
        mailed = Report(suite.wait_for_mail("bob", timeout=30)[0])
        self.assertEqual(gzip.decompress(self.web.posts[0][3]),
                         gzip.decompress(mailed.file.get_payload(decode=True)))
        self.assertNotIn("https", mailed.mail["To"])

    def test_a_port_of_its_own_and_no_path(self):
        suite = self.report_on_plain(f"https://web.example:{self.web.port}", mta_sts_port=1)
        self.check_post(suite, f"web.example:{self.web.port}", "/")

    def test_what_is_not_taken_waits_over_a_restart(self):
        self.web.statuses = [307, 503, 200]
        suite = self.report_on_plain("https://web.example/")
        wait_until(lambda: "tls-report-not-posted" in suite.log(), 30, "the refusal")
        suite.restart()
        suite.stop()
        with contextlib.closing(sqlite3.connect(os.path.join(suite.state_dir, "mail.db"))) as db:
            (url, attempts, wait_s), = db.execute("SELECT url, attempts, next - began FROM tlsrpt_post")
        self.assertEqual((url, attempts), ("https://web.example/", 1))
        self.assertGreaterEqual(wait_s, 300)
        self.assertEqual([path for _, path, _, _ in self.web.posts], ["/"], "a redirect is not followed")

    def test_a_server_that_is_another(self):
        other = Pair(self.dir, "other", ("other.example",))
        with open(self.relay["ca_file"], "a") as out:
            out.write(open(other.certificate).read())
        self.web.stop()
        self.web = Collector(other, self.web_address)
        self.relay["mta_sts_port"] = self.web.port
        suite = self.report_on_plain("https://web.example/")
        wait_until(lambda: "tls-report-not-posted" in suite.log(), 30, "the refusal")
        self.assertRegex(suite.log(), "tls-report-not-posted .*[Hh]ostname mismatch")
        self.assertEqual(self.web.posts, [])

    def test_never_to_private_addresses_though_mail_may_go_there(self):
        suite = self.report_on_plain("https://web.example/", never_connect_to="192.0.2.0/24")
        wait_until(lambda: "tls-report-not-posted" in suite.log(), 30, "the refusal")
        self.assertIn("its host has no usable address", suite.log())
        self.assertEqual(self.web.posts, [])
