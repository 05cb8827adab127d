"""MTA-STS (RFC 8461): what a domain asks for is fetched, kept, and heeded."""

import email
import gzip
import http.server
import json
import os
import re
import shutil
import smtplib
import ssl
import tempfile
import threading

from certs import Pair, context
from harness import message, own_address, wait_until
from relaying import RelayTest, wait_for_empty_queue, wait_for_state

FROM, TO = "alice@example.org", "carol@remote.example"
MX = "mx.remote.example"
HOST = "mta-sts.remote.example"


class PolicyServer:
    """https://mta-sts.…/.well-known/mta-sts.txt, with the text that is in `text`."""

    def __init__(self, pair, address):
        outer = self
        self.text, self.status, self.kind, self.gets, self.is_chunked = "", 200, "text/plain", [], False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.gets.append((self.headers["Host"], self.path))
                body = outer.text.encode()
                self.send_response(outer.status)
                self.send_header("Content-Type", outer.kind)
                self.send_header("Location", f"https://{HOST}/elsewhere")
                if outer.is_chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    lines = [b"%x\r\n%s\r\n" % (len(line), line) for line in body.splitlines(True)]
                    body = b"".join(lines) + b"0\r\n\r\n"
                else:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def policy(mode="enforce", mx=(MX,), max_age=604800):
    names = "".join(f"mx: {name}\r\n" for name in mx)
    return f"version: STSv1\r\nmode: {mode}\r\n{names}max_age: {max_age}\r\n"


class StsTest(RelayTest):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="barid-sts-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def world(self, text, server=None, mx_names=(MX,), web_names=(HOST,), trusts_mx=True, config=None, **relay):
        """A suite, the exchanger of remote.example, its zone, and the server of its policy. `server`: what the
        exchanger says to EHLO within TLS; "plain": it has no TLS."""
        mx, web = Pair(self.dir, "mx", mx_names), Pair(self.dir, "web", web_names)
        self.ca = os.path.join(self.dir, "ca.pem")
        with open(self.ca, "w") as out:
            for pair in (web, mx) if trusts_mx else (web,):
                out.write(open(pair.certificate).read())
        ehlo = {"ehlo": server} if server else {}
        script = {} if server == "plain" else {"tls": {"certificate": mx.certificate, "key": mx.key, **ehlo}}
        port, (remote,) = self.remotes(script)
        address = own_address()
        self.web = PolicyServer(web, address)
        self.addCleanup(self.web.stop)
        self.web.text = text
        self.zone = {"remote.example": {"MX": [[10, MX]]}, MX: {"A": [remote.host]}, HOST: {"A": [address]},
                     "_mta-sts.remote.example": {"TXT": ["v=STSv1; id=one;"]}}
        dns = self.dns(self.zone)
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}, **(config or {})},
                           relay={"port": port, "ca_file": self.ca, "mta_sts_port": self.web.port, **relay})
        return suite, remote

    def deferred(self, suite, pattern):
        suite.send(FROM, [TO], message())
        reply = wait_for_state(suite, TO, "deferred")["last_reply"]
        self.assertRegex(reply, pattern)


class MtaSts(StsTest):
    def test_enforce_with_all_in_order(self):
        suite, remote = self.world(policy(mx=("other.example", "*.remote.example")))
        suite.send(FROM, [TO], message())
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
        self.assertEqual(self.web.gets, [(HOST, "/.well-known/mta-sts.txt")])
        wait_until(lambda: "policy=sts verified=yes" in suite.log(), 5, "the log to tell it")
        self.assertIn("policy-learnt domain=remote.example id=one mode=enforce", suite.log())
        (kept,) = wait_until(lambda: suite.cli("tls", "policies", json=True), 5, "the policy in the store")
        self.assertEqual((kept["domain"], kept["mode"], kept["id"], kept["mx"]),
                         ("remote.example", "enforce", "one", "other.example *.remote.example"))
        suite.send(FROM, [TO], message())
        remote.wait(2)
        self.assertEqual(len(self.web.gets), 1)

    def test_in_chunks(self):
        suite, remote = self.world(policy())
        self.web.is_chunked = True
        suite.send(FROM, [TO], message())
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
        wait_until(lambda: "policy=sts verified=yes" in suite.log(), 30, "the log to tell it")

    def test_enforce_refuses_what_is_not_protected(self):
        for number, (pattern, kwargs) in enumerate((
                (r"does not name this server", {"text": policy(mx=("else.example",))}),
                (r"TLS|STARTTLS", {"text": policy(), "server": "plain"}),
                (r"certificate|verified|signed", {"text": policy(), "trusts_mx": False}),
                (r"certificate|verified|name", {"text": policy(), "mx_names": ("wrong.example",)}))):
            with self.subTest(number=number):
                suite, remote = self.world(**kwargs)
                self.deferred(suite, pattern)
                self.assertEqual(remote.messages, [])
                suite.close()

    def test_testing_delivers_and_tells(self):
        suite, remote = self.world(policy("testing", mx=("else.example",)))
        suite.send(FROM, [TO], message())
        self.assertEqual(len(remote.wait(1)), 1)
        wait_until(lambda: "sts-would-refuse" in suite.log(), 5, "the log to tell it")

    def test_what_is_no_policy_does_not_stop_mail(self):
        for number, change in enumerate(({"status": 404}, {"status": 301}, {"kind": "text/html"}, {"text": "<html>"})):
            with self.subTest(change=change):
                suite, remote = self.world(policy(mx=("else.example",)))
                for name, value in change.items():
                    setattr(self.web, name, value)
                suite.send(FROM, [TO], message())
                self.assertEqual(len(remote.wait(1)), 1)
                self.assertEqual(len(self.web.gets), 1)
                wait_until(lambda: "policy-not-fetched" in suite.log(), 5, "the log to tell it")
                suite.close()

    def test_a_policy_from_an_unverified_server_is_none(self):
        suite, remote = self.world(policy(mx=("else.example",)), web_names=("wrong.example",))
        suite.send(FROM, [TO], message())
        self.assertEqual(len(remote.wait(1)), 1)
        self.assertEqual(self.web.gets, [])
        wait_until(lambda: "policy-not-fetched" in suite.log(), 5, "the log to tell it")

    def test_without_a_record_nothing_is_fetched(self):
        suite, remote = self.world(policy(mx=("else.example",)))
        del self.zone["_mta-sts.remote.example"]
        suite.send(FROM, [TO], message())
        self.assertEqual(len(remote.wait(1)), 1)
        self.assertEqual(self.web.gets, [])

    def test_kept_over_a_restart_without_record_and_server(self):
        suite, remote = self.world(policy(mx=("else.example",)))
        self.deferred(suite, "does not name this server")
        wait_until(lambda: suite.cli("tls", "policies", json=True), 5, "the policy in the store")
        del self.zone["_mta-sts.remote.example"]
        self.web.status = 404
        suite.restart()
        suite.cli("queue", "retry", "--to", TO)
        wait_until(lambda: suite.recipients()[TO]["attempts"] >= 2, 15, "another attempt")
        self.assertIn("does not name this server", suite.recipients()[TO]["last_reply"])
        self.assertEqual(remote.messages, [])

    def test_a_new_id_brings_a_new_policy(self):
        suite, remote = self.world(policy(mx=("else.example",)))
        self.deferred(suite, "does not name this server")
        self.zone["_mta-sts.remote.example"] = {"TXT": ["v=STSv1; id=two;"]}
        self.web.text = policy()
        suite.kill("policy")  # else the record is not looked at again for five minutes
        wait_until(lambda: suite.run("queue", "retry", "--to", TO) and remote.messages, 20, "the mail to go")
        wait_for_empty_queue(suite)
        self.assertIn("policy-changed domain=remote.example id=two", suite.log())

    def test_a_new_policy_is_a_full_handshake(self):
        """A TLS session goes on only while the policy is the one that its server was judged by."""
        def send(n):
            suite.send(FROM, [TO], message())
            wait_until(lambda: suite.run("queue", "retry", "--to", TO) and len(remote.messages) >= n, 30, f"mail {n}")
            wait_for_empty_queue(suite, 30)
            sent = r" sent .*policy=sts verified=yes(.*)\" reply="
            return wait_until(lambda: re.findall(sent, suite.log())[n - 1:], 30, "the line that says how it went")[0]

        suite, remote = self.world(policy())
        remote.script["tls"]["resume"] = True
        remote.script["replies"] = {"DOT": {"reply": "250 2.0.0 stored", "drop": True}}
        self.assertEqual([send(1), send(2)], ["", " resumed=yes"])
        wait_until(lambda: suite.cli("tls", "policies", json=True), 30, "the policy in the store")
        self.zone["_mta-sts.remote.example"] = {"TXT": ["v=STSv1; id=two;"]}
        self.web.text = policy(mx=(MX, "else.example"))
        suite.kill("policy")  # else the record is not looked at again for five minutes
        self.assertEqual(send(3), "")
        wait_until(lambda: "policy-changed domain=remote.example id=two" in suite.log(), 30, "the new policy")

    def test_switched_off(self):
        suite, remote = self.world(policy(mx=("else.example",)), mta_sts="no")
        suite.send(FROM, [TO], message())
        self.assertEqual(len(remote.wait(1)), 1)
        self.assertEqual(self.web.gets, [])

    def test_why_a_policy_does_not_count_is_reported(self):
        """RFC 8460 4.3.2.2; the mail goes as to a domain without a policy, and that counts too."""
        for fault, change, names in (("sts-policy-fetch-error", {"status": 404}, (HOST,)),
                                     ("sts-policy-invalid", {"text": "<html>"}, (HOST,)),
                                     ("sts-webpki-invalid", {}, ("wrong.example",))):
            with self.subTest(fault=fault):
                suite, remote = self.world(policy(), web_names=names, tls_reports="yes")
                self.zone["_smtp._tls.remote.example"] = {"TXT": ["v=TLSRPTv1; rua=mailto:bob@example.org"]}
                for name, value in change.items():
                    setattr(self.web, name, value)
                suite.send(FROM, [TO], message())
                self.assertEqual(len(remote.wait(1)), 1)
                wait_for_empty_queue(suite, 30)
                suite.cli("tls", "report")
                mail = email.message_from_bytes(suite.wait_for_mail("bob", timeout=30)[0])
                report = json.loads(gzip.decompress(mail.get_payload()[1].get_payload(decode=True)))
                none, sts = report["policies"]
                self.assertEqual(none["policy"]["policy-type"], "no-policy-found")
                self.assertEqual(none["summary"]["total-successful-session-count"], 1)
                self.assertEqual(sts["policy"], {"policy-type": "sts", "policy-domain": "remote.example"})
                self.assertEqual(sts["summary"], {"total-successful-session-count": 0,
                                                  "total-failure-session-count": 1})
                self.assertEqual(sts["failure-details"], [{"result-type": fault, "failed-session-count": 1}])
                suite.close()

    def test_explain_tells_it(self):
        suite, _ = self.world(policy())
        shown = suite.cli("explain", "--from", FROM, "--to", TO, "--client", "127.0.0.1", json=True)
        self.assertEqual([hop["tls"] for hop in shown["hops"]], ["sts"], shown)


class Requiretls(StsTest):
    """RFC 8689 4.2.1: a policy that is enforced says that the name of the server is the right one."""

    def submit(self, text, **kwargs):
        """Mail that requires TLS, with a sender here who can be told."""
        us = Pair(self.dir, "us", ("mx.example.org",))
        suite, remote = self.world(text, config={"tls": us.config()}, **kwargs)
        with smtplib.SMTP(*suite.smtp_address, local_hostname="client.example", timeout=30) as client:
            client.starttls(context=context())
            client.ehlo()
            client.sendmail("bob@example.org", [TO], message(), mail_options=["REQUIRETLS"])
        return suite, remote

    def returned(self, status, text, **kwargs):
        suite, remote = self.submit(text, **kwargs)
        report, = suite.wait_for_mail("bob", timeout=30)
        self.assertIn(f"Status: {status}\r\n".encode(), report)
        self.assertFalse([line for line in remote.transcript if "< MAIL" in line])
        return remote

    def test_goes_to_a_server_that_the_policy_names(self):
        suite, remote = self.submit(policy(), server=["fake.example", "REQUIRETLS"])
        got, = remote.wait(1, 30)
        self.assertEqual((got["tls"], got["from_params"]), ("TLSv1.3", "REQUIRETLS"))
        wait_until(lambda: "policy=sts verified=yes" in suite.log(), 30, "the log to tell it")

    def test_returned_where_it_is_not_offered(self):
        remote = self.returned("5.7.30", policy(), server=["fake.example"])
        self.assertTrue([line for line in remote.transcript if line.endswith("= TLSv1.3")])

    def test_returned_where_there_is_no_tls(self):
        self.returned("5.7.10", policy(), server="plain")

    def test_returned_for_a_certificate_of_another(self):
        self.returned("5.7.10", policy(), server=["fake.example", "REQUIRETLS"], mx_names=("wrong.example",))

    def test_a_policy_under_test_proves_no_name(self):
        remote = self.returned("5.7.30", policy("testing"), server=["fake.example", "REQUIRETLS"])
        self.assertEqual(remote.connections, 0)

    def test_waits_for_a_policy_that_names_the_server(self):
        suite, remote = self.submit(policy(mx=("else.example",)), server=["fake.example", "REQUIRETLS"])
        self.assertIn("does not name this server", wait_for_state(suite, TO, "deferred", 30)["last_reply"])
        self.assertEqual(remote.connections, 0)


class NoNeedOfTls(StsTest):
    """RFC 8689 4.2.2: "TLS-Required: No" comes before the policy of the domain."""

    NO_NEED = b"TLS-Required: No\r\n" + message()

    def test_it_goes_though_the_policy_refuses(self):
        for expected, kwargs in ((None, {"text": policy(), "server": "plain"}),
                                 ("TLSv1.3", {"text": policy(), "mx_names": ("wrong.example",)}),
                                 ("TLSv1.3", {"text": policy(mx=("else.example",))})):
            with self.subTest(**kwargs):
                suite, remote = self.world(**kwargs)
                self.deferred(suite, "does not name|STARTTLS|certificate")
                suite.send(FROM, ["dave@remote.example"], self.NO_NEED)
                got, = remote.wait(1, 30)
                self.assertEqual((got["tls"], got["rcpts"]), (expected, ["dave@remote.example"]))
                self.assertIn(b"TLS-Required: No\r\n", got["data"])
                suite.close()

    def test_its_report_does_not_say_so_itself(self):
        refusing = self.remote({"replies": {"RCPT": "550 5.1.1 nobody"}})
        suite, remote = self.world(policy(mx=("else.example",)), config={
            "route refusing.example": {"to": f"smtp://{refusing.host}:{refusing.port}"}})
        suite.send("bob@example.org", ["x@refusing.example"], self.NO_NEED)
        report, = suite.wait_for_mail("bob", timeout=30)
        head, _, body = report.partition(b"\r\n\r\n")
        self.assertNotIn(b"TLS-Required", head)
        self.assertIn(b"\r\nTLS-Required: No\r\n", body)
        suite.send(TO, ["x@refusing.example"], self.NO_NEED)
        self.assertIn("does not name this server", wait_for_state(suite, TO, "deferred", 30)["last_reply"])
        self.assertEqual(remote.connections, 0)
