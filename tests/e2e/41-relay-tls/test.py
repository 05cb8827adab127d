"""Mail for elsewhere over TLS: when it is used, what it must prove, and what happens when it fails."""

import os
import re
import shutil
import tempfile

import postfix
from certs import Pair
from harness import message, wait_until
from relaying import RelayTest, wait_for_empty_queue, wait_for_state

FROM = "alice@example.org"
TO = "carol@remote.example"
HOST = "mx.remote.example"


class TlsTest(RelayTest):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="barid-relaytls-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def pair(self, *names, label="mx", **more):
        return Pair(self.dir, label, names or (HOST,), **more)

    def next_hop(self, server=None, script=None, pair=None, **settings):
        """A suite that sends by MX to one server, whose certificate it can be told to trust."""
        pair = pair or self.pair()
        if server is not None:
            script = {**(script or {}), "tls": {"certificate": pair.certificate, "key": pair.key, **server}}
        port, (remote,) = self.remotes(script or {})
        dns = self.dns({"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"port": port, "ca_file": pair.certificate, **settings})
        return suite, remote

    def protection(self, suite):
        """What the relay says of it; its log may come a moment after the queue's."""
        return wait_until(lambda: re.findall(r' tls="([^"]*)"', suite.log()), 5, "a line about TLS")

    def send(self, suite, body="hello"):
        suite.send(FROM, [TO], message(body))

    def deferred(self, suite, pattern):
        self.send(suite)
        reply = wait_for_state(suite, TO, "deferred")["last_reply"]
        self.assertRegex(reply, pattern)
        return reply


class Opportunistic(TlsTest):
    def test_starttls_is_used_and_what_was_offered_before_forgotten(self):
        suite, remote = self.next_hop({"ehlo": ["mx", "PIPELINING"]}, {"ehlo": ["mx", "SIZE 10", "8BITMIME"]})
        self.send(suite)
        got = remote.wait(1)[0]
        self.assertEqual(got["tls"], "TLSv1.3")
        self.assertEqual(got["from_params"], "")
        self.assertEqual(remote.violations, [])
        self.assertEqual(sum("EHLO" in line for line in remote.transcript), 2)
        self.assertTrue(any(line.endswith("SNI " + HOST) for line in remote.transcript))
        wait_for_empty_queue(suite)
        self.assertRegex(self.protection(suite)[0], r"^1\.3 TLS_\S+ policy=opportunistic verified=yes$")

    def test_a_certificate_of_nobody_and_of_another_does(self):
        for pair in (self.pair("other.example", label="other"), self.pair(label="stranger")):
            suite, remote = self.next_hop({}, pair=pair, ca_file=None)
            self.send(suite)
            self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
            wait_for_empty_queue(suite)
            self.assertRegex(self.protection(suite)[0], r"^1\.3 \S+ policy=opportunistic verified=no \(.+\)$")

    def test_tls_1_2(self):
        suite, remote = self.next_hop({"version": "TLSv1_2"})
        self.send(suite)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.2")

    def test_not_offered(self):
        suite, remote = self.next_hop()
        self.send(suite)
        self.assertIsNone(remote.wait(1)[0]["tls"])
        wait_for_empty_queue(suite)
        self.assertEqual(self.protection(suite), ["no (not offered)"])

    def in_the_clear(self, tls, script=None):
        suite, remote = self.next_hop(tls, script)
        self.send(suite)
        self.assertIsNone(remote.wait(1)[0]["tls"])
        wait_for_empty_queue(suite)
        self.assertEqual(remote.connections, 2)
        self.assertEqual(self.protection(suite), ["no (failed before)"])
        self.assertIn(" tls-failed ", suite.log())
        return suite, remote

    def test_refused(self):
        self.in_the_clear({}, {"replies": {"STARTTLS": "454 4.7.0 not now"}})

    def test_closed(self):
        self.in_the_clear({}, {"replies": {"STARTTLS": {"drop": True}}})

    def test_who_insists_on_what_just_failed_gets_the_mail_later(self):
        replies = {"STARTTLS": ["454 4.7.0 not now", "220 go"], "MAIL": ["530 5.7.0 STARTTLS first", "250 ok"]}
        suite, remote = self.next_hop({}, {"replies": replies})
        self.deferred(suite, "^530 5.7.0")
        suite.cli("queue", "retry", "--to", TO)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")

    def test_a_handshake_that_fails_and_is_not_tried_for_the_next_mail(self):
        suite, remote = self.in_the_clear({"break": True})
        wait_until(lambda: any("QUIT" in line for line in remote.transcript), 15, "QUIT")
        self.send(suite, "again")
        self.assertEqual([m["tls"] for m in remote.wait(2)], [None, None])
        self.assertEqual(sum("STARTTLS" in line and "<" in line for line in remote.transcript), 1)

    def test_what_comes_in_the_clear_behind_the_reply_is_no_answer(self):
        suite, remote = self.next_hop({"behind": "250 injected"})
        self.deferred(suite, "out of step")
        self.assertEqual(remote.messages, [])

    def test_none(self):
        suite, remote = self.next_hop({}, tls="none")
        self.send(suite)
        self.assertIsNone(remote.wait(1)[0]["tls"])
        wait_for_empty_queue(suite)
        self.assertEqual(self.protection(suite), ["no (switched off)"])


class Required(TlsTest):
    def test_any_certificate(self):
        suite, remote = self.next_hop({}, pair=self.pair("other.example"), tls="required")
        self.send(suite)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")

    def test_never_in_the_clear(self):
        for tls, script, pattern in ((None, {}, "4.7.4 .*does not offer STARTTLS"),
                                     ({}, {"replies": {"STARTTLS": "502 no"}}, "502 no"),
                                     ({"break": True}, {}, "4.7.5 TLS with .* failed")):
            suite, remote = self.next_hop(tls, script, tls="required")
            self.deferred(suite, pattern)
            self.assertEqual(remote.messages, [])
            self.assertFalse([line for line in remote.transcript if "MAIL" in line])


class Verified(TlsTest):
    def test_good(self):
        suite, remote = self.next_hop({}, tls="verified")
        self.send(suite)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
        wait_for_empty_queue(suite)

    def test_wrong_name(self):
        suite, remote = self.next_hop({}, pair=self.pair("other.example"), tls="verified")
        self.assertIn("ostname mismatch", self.deferred(suite, "4.7.5 the certificate of mx.remote.example"))
        self.assertEqual(remote.messages, [])

    def test_expired(self):
        pair = self.pair()
        pair.expire()
        suite, _ = self.next_hop({}, pair=pair, tls="verified")
        self.deferred(suite, "4.7.5 the certificate of .*expired")

    def test_signed_by_nobody(self):
        suite, _ = self.next_hop({}, tls="verified", ca_file=self.pair(label="ca").certificate)
        self.deferred(suite, "4.7.5 the certificate of .*self.signed")

    def test_a_route_of_its_own_and_a_reload(self):
        pair = self.pair()
        remote = self.remote({"tls": {"certificate": pair.certificate, "key": pair.key}})
        other = self.remote()
        where = {"route remote.example": {"to": f"smtp://{remote.host}:{remote.port}", "tls": "verified"},
                 "route far.example": {"to": f"smtp://{other.host}:{other.port}"}}
        suite = self.suite(config=where, relay={"ca_file": pair.certificate})
        suite.send(FROM, ["dave@far.example"], message())
        self.assertEqual(len(other.wait(1)), 1)
        self.deferred(suite, "4.7.5 .*IP address mismatch")
        where["route remote.example"]["tls"] = "required"
        suite.write_config({**where, "relay": {"allow_from": "127.0.0.0/8", "never_connect_to": "none"}})
        suite.reload()
        wait_until(lambda: re.search(r"relay \S+ reloaded", suite.log()) or "reload" in suite.log(), 15, "the reload")
        # which may have gone out before the next look
        wait_until(lambda: suite.run("queue", "retry", "--to", TO) and remote.wait(1, 1), 30, "the mail")


class Implicit(TlsTest):
    def hop(self, names, **settings):
        pair = self.pair(*names)
        remote = self.remote({"tls": {"certificate": pair.certificate, "key": pair.key, "implicit": True}})
        dns = self.dns({HOST: {"A": [remote.host]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"smarthost": f"smtps://{HOST}:{remote.port}", "ca_file": pair.certificate,
                                  **settings})
        return suite, remote

    def test_verified(self):
        suite, remote = self.hop([HOST])
        self.send(suite)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
        self.assertFalse([line for line in remote.transcript if "STARTTLS" in line])

    def test_wrong_name_unless_it_does_not_matter(self):
        suite, remote = self.hop(["other.example"])
        self.deferred(suite, "4.7.5 the certificate")
        self.assertEqual(remote.messages, [])
        suite, remote = self.hop(["other.example"], tls="required")
        self.send(suite)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")

    def test_a_server_without_it(self):
        remote = self.remote()
        suite = self.suite(relay={"smarthost": f"smtps://{remote.host}:{remote.port}"})
        self.deferred(suite, "TLS with .* failed")
        self.assertEqual(remote.messages, [])


class SeenBefore(TlsTest):
    """A server that had TLS and has none now: said once, and by setting not good enough."""

    def lose_tls(self, **settings):
        suite, remote = self.next_hop({}, **settings)
        self.send(suite)
        self.assertEqual(remote.wait(1)[0]["tls"], "TLSv1.3")
        wait_for_empty_queue(suite)
        wait_until(lambda: any("< QUIT" in line for line in remote.transcript), 15, "the end of the connection")
        del remote.script["tls"]
        return suite, remote

    def test_warned_once(self):
        suite, remote = self.lose_tls()
        for n in (2, 3):
            self.send(suite)
            self.assertIsNone(remote.wait(n)[n - 1]["tls"])
        wait_for_empty_queue(suite)
        said = re.findall(r"tls-gone domain=(\S+) seen_s_ago=\d+ verified=(\S+)", suite.log())
        self.assertEqual(said, [("remote.example", "yes")])

    def test_required(self):
        suite, remote = self.lose_tls(tls_seen="require")
        self.deferred(suite, "^451 4.7.4 .*does not offer STARTTLS")
        self.assertEqual(len(remote.messages), 1)


class WithPostfix(TlsTest):
    def test_each_level(self):
        why_not = postfix.why_not()
        if why_not:
            self.skipTest(why_not)
        pair = self.pair()
        server = postfix.with_tls(os.path.join(self.dir, "postfix"), pair)
        server.start()
        self.addCleanup(server.stop)
        dns = self.dns({HOST: {"A": [server.address]}})
        for n, level in enumerate(("opportunistic", "required", "verified"), 1):
            suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"},
                                       "route remote.example": {"to": f"smtp://{HOST}:{server.port}", "tls": level}},
                               relay={"ca_file": pair.certificate})
            self.send(suite)
            wait_until(lambda n=n: len(server.mail()) == n, 15, f"the mail at Postfix, {level}")
            wait_for_empty_queue(suite)
            self.assertRegex(self.protection(suite)[0], f"policy={level} verified=yes$")
            suite.close()
