"""TLS sessions that go on at the next connection: with whom, as what, and what else happens."""

import os
import re
import shutil
import tempfile
import threading

import postfix
import signeddns
from certs import Pair
from harness import free_port, message, own_address, wait_until
from relaying import RelayTest, wait_for_empty_queue, wait_for_state

FROM = "alice@example.org"
TO = "carol@remote.example"
HOST = "mx.remote.example"
HANGS_UP = {"DOT": {"reply": "250 2.0.0 stored", "drop": True}}  # so that each mail has its own connection


class Resumption(RelayTest):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="barid-resumption-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def pair(self, *names, label="mx"):
        return Pair(self.dir, label, names or (HOST,))

    def script(self, pair, **tls):
        return {"tls": {"certificate": pair.certificate, "key": pair.key, "resume": True, **tls}, "replies": HANGS_UP}

    def next_hop(self, pair=None, relay=None, **tls):
        pair = pair or self.pair()
        port, (remote,) = self.remotes(self.script(pair, **tls))
        dns = self.dns({"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]},
                        "other.example": {"MX": [[10, HOST]]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"port": port, "ca_file": pair.certificate, **(relay or {})})
        return suite, remote

    def send(self, suite, remote, to=TO):
        """One mail, until it is there and the suite says so. What the log says of its TLS."""
        n = len(remote.messages)
        before = len(self.protections(suite))
        suite.send(FROM, [to], message())
        self.assertEqual(len(remote.wait(n + 1, 30)), n + 1, suite.queue())
        wait_for_empty_queue(suite, 30)
        wait_until(lambda: len(self.protections(suite)) > before, 30, "the line that says how it went")
        return self.protections(suite)[-1]

    @staticmethod
    def protections(suite):
        return re.findall(r' sent .* tls="([^"]*)"', suite.log())

    @staticmethod
    def count(remote, what):
        return sum(line.endswith("= " + what) for line in remote.transcript)


class WithWhom(Resumption):
    def test_the_next_connection_goes_on_and_all_say_so(self):
        for version in ("TLSv1_2", "TLSv1_3"):
            suite, remote = self.next_hop(version=version)
            said = [self.send(suite, remote) for _ in range(4)]
            self.assertRegex(said[0], r"policy=opportunistic verified=yes$")
            for line in said[1:]:
                self.assertRegex(line, r"policy=opportunistic verified=yes resumed=yes$")
            self.assertEqual(self.count(remote, "resumed"), 3, remote.transcript)
            self.assertEqual(remote.violations, [])
            ids = re.findall(r"relay (\S+) sent ", suite.log())
            self.assertRegex(suite.cli("trace", ids[-1]),
                             rf"(?m)= +TLS 1\.{version[-1]} .* verified=yes resumed=yes$")
            self.assertNotIn("resumed=yes", suite.cli("trace", ids[0]))
            counters = suite.cli("stats", json=True)["counters"]
            self.assertEqual([counters[name]["total"] for name in ("relay_tls", "relay_tls_resumed")], [4, 3])
            suite.close()

    def test_none(self):
        for version in ("TLSv1_2", "TLSv1_3"):
            suite, remote = self.next_hop(relay={"tls_sessions": "none"}, version=version)
            for _ in range(2):
                self.assertNotIn("resumed", self.send(suite, remote))
            self.assertEqual(self.count(remote, "offers a session"), 0)
            suite.close()

    def test_not_with_the_server_of_another_domain(self):
        """Though it is the same server, at the same address, with the same name."""
        suite, remote = self.next_hop()
        self.send(suite, remote)
        self.assertNotIn("resumed", self.send(suite, remote, "dave@other.example"))
        self.assertEqual(self.count(remote, "offers a session"), 0)
        self.assertIn("resumed=yes", self.send(suite, remote))
        self.assertIn("resumed=yes", self.send(suite, remote, "dave@other.example"))

    def test_not_with_another_server_of_the_domain(self):
        """Who has the keys of the tickets of the first one would be taken for it."""
        pair = self.pair()
        port, (first, second) = self.remotes(self.script(pair), self.script(pair))
        second.contexts = first.contexts
        dns = self.dns({"remote.example": {"MX": [[10, "mx1.remote.example"], [20, "mx2.remote.example"]]},
                        "mx1.remote.example": {"A": [first.host]}, "mx2.remote.example": {"A": [second.host]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}}, relay={"port": port})
        self.send(suite, first)
        first.script["greeting"] = "421 4.3.2 not now"
        self.assertNotIn("resumed", self.send(suite, second))
        self.assertEqual(self.count(second, "offers a session"), 0)
        self.assertIn("resumed=yes", self.send(suite, second))


class AsWhat(Resumption):
    def test_verified_stays_verified_and_a_wrong_certificate_is_seen_by_the_next_full_handshake(self):
        """doc/RFC.md: a session is worth what its full handshake was, for an hour at most."""
        good, bad = self.pair(), self.pair("elsewhere.example", label="bad")
        suite, remote = self.next_hop(good, relay={"tls": "verified", "retry": "1h"})
        self.assertRegex(self.send(suite, remote), "policy=verified verified=yes$")
        remote.script["tls"].update(certificate=bad.certificate, key=bad.key)
        self.assertRegex(self.send(suite, remote), "policy=verified verified=yes resumed=yes$")
        suite.reload()
        wait_until(lambda: " tls-sessions-forgotten " in suite.log(), 30, "the reload to come to relay")
        suite.send(FROM, [TO], message())
        self.assertRegex(wait_for_state(suite, TO, "deferred", 30)["last_reply"], "4.7.5 the certificate of mx.remote")
        self.assertEqual(len(remote.messages), 2)

    def test_a_connection_of_before_a_reload_leaves_nothing(self):
        """Its sessions have a key that nobody asks for any more."""
        suite, remote = self.next_hop()
        told = threading.Event()
        self.addCleanup(told.set)
        remote.load = lambda load=remote.load: (told.wait(60), load())[1]  # so the greeting waits for it
        suite.send(FROM, [TO], message())
        wait_until(lambda: remote.connections == 1, 30, "the connection")
        suite.reload()
        wait_until(lambda: " tls-sessions-forgotten " in suite.log(), 30, "the reload to come to relay")
        told.set()
        self.assertEqual(len(remote.wait(1, 30)), 1, suite.queue())
        wait_for_empty_queue(suite, 30)
        self.assertRegex(self.protections(suite)[-1], "verified=yes$")
        suite.reload()
        wait_until(lambda: suite.log().count(" tls-sessions-forgotten ") == 2, 30, "the reload to come to relay")
        self.assertEqual(re.findall(r" tls-sessions-forgotten n=(\d+)", suite.log()), ["0", "0"])
        self.assertNotIn("resumed", self.send(suite, remote))

    def test_a_server_that_failed_gives_no_session_to_go_on_with(self):
        bad = self.pair("elsewhere.example")
        for version in ("TLSv1_2", "TLSv1_3"):
            suite, remote = self.next_hop(bad, relay={"tls": "verified"}, version=version)
            suite.send(FROM, [TO], message())
            wait_for_state(suite, TO, "deferred", 30)
            wait_until(lambda: suite.run("queue", "retry", "--to", TO) and remote.connections >= 3, 30, "more attempts")
            self.assertEqual((remote.messages, self.count(remote, "offers a session")), ([], 0))
            suite.close()

    def test_dane(self):
        """The session of a domain whose records are right is of no use to one whose records are wrong."""
        why_not = signeddns.why_not()
        if why_not:
            self.skipTest(why_not)
        port = free_port(own_address())
        pair, another = self.pair(), self.pair(label="another")
        remote = self.remote(self.script(pair), host=own_address(), port=port)
        names = {}
        for domain, shown in (("remote.example", pair), ("other.example", another)):
            names[domain] = {"MX": [[10, "mx." + domain]]}
            names["mx." + domain] = {"A": [remote.host]}
            names[f"_{port}._tcp.mx.{domain}"] = {"TLSA": [f"3 0 0 {shown.fingerprint().hex()}"]}
        dns = signeddns.SignedDns(names, {"remote.example": True, "other.example": True}, [])
        self.addCleanup(dns.stop)
        dns.start()
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}", "trust_anchor": dns.anchor}},
                           relay={"port": port})
        self.assertRegex(self.send(suite, remote), "policy=dane verified=yes$")
        self.assertRegex(self.send(suite, remote), "policy=dane verified=yes resumed=yes$")
        suite.send(FROM, ["dave@other.example"], message())
        self.assertRegex(wait_for_state(suite, "dave@other.example", "deferred", 30)["last_reply"],
                         "4.7.5 the certificate of mx.other.example")
        self.assertEqual(len(remote.messages), 2)

        names[f"_{port}._tcp.{HOST}"] = {"TLSA": [f"3 0 0 {another.fingerprint().hex()}"]}
        dns.change(names)
        suite.kill("resolver")  # it knows the records of before
        suite.send(FROM, [TO], message())
        wait_until(lambda: suite.run("queue", "retry", "--to", TO) and
                   "4.7.5 the certificate of " + HOST in str(suite.recipients().get(TO)), 30, "the new records")
        self.assertEqual((len(remote.messages), self.count(remote, "offers a session")), (2, 1))


class WhatElse(Resumption):
    def test_a_server_that_knows_nothing_of_it(self):
        for version in ("TLSv1_2", "TLSv1_3"):
            suite, remote = self.next_hop(resume=False, version=version)
            for _ in range(3):
                self.assertRegex(self.send(suite, remote), "verified=yes$")
            self.assertEqual((remote.connections, self.count(remote, "resumed")), (3, 0))
            self.assertEqual(self.count(remote, "offers a session"), 2)
            suite.close()

    def test_a_server_that_fails_over_it_gets_the_mail_at_once_by_a_full_handshake(self):
        for level in ("opportunistic", "verified"):
            suite, remote = self.next_hop(relay={"tls": level}, refuse=True)
            for _ in range(3):
                self.assertRegex(self.send(suite, remote), f"policy={level} verified=yes$")
            self.assertEqual([m["tls"] for m in remote.messages], ["TLSv1.3"] * 3)
            self.assertEqual(remote.connections, 4, "one more for the second mail, and none for the third")
            self.assertEqual(self.count(remote, "offers a session"), 1)
            self.assertEqual(len(re.findall(" tls-session-refused ", suite.log())), 1)
            self.assertNotIn(" tls-failed ", suite.log())
            self.assertNotIn(" deferred ", suite.log())
            suite.close()

    def test_smtps(self):
        pair = self.pair()
        remote = self.remote(self.script(pair, implicit=True))
        dns = self.dns({HOST: {"A": [remote.host]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"smarthost": f"smtps://{HOST}:{remote.port}", "ca_file": pair.certificate})
        self.assertRegex(self.send(suite, remote), "policy=verified verified=yes$")
        self.assertRegex(self.send(suite, remote, "dave@other.example"), "policy=verified verified=yes resumed=yes$")


class WithPostfix(Resumption):
    def goes_on(self, *expected, settings=""):
        """Mail after mail, each with a connection of its own: which of them go on with a session."""
        why_not = postfix.why_not()
        if why_not:
            self.skipTest(why_not)
        pair = self.pair()
        directory = os.path.join(self.dir, "postfix")
        cache = f"smtpd_tls_session_cache_database = btree:{directory}/data/smtpd_scache\n"
        server = postfix.with_tls(directory, pair, settings=cache + settings)
        server.start()
        self.addCleanup(server.stop)
        dns = self.dns({HOST: {"A": [server.address]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"smarthost": f"smtp://{HOST}:{server.port}", "tls": "verified",
                                  "ca_file": pair.certificate})
        for n in range(len(expected)):
            wait_until(lambda n=n: self.read(directory).count("disconnect from") == n, 30, "the end of the one before")
            suite.send(FROM, [TO], message())
            wait_until(lambda n=n: len(server.mail()) == n + 1, 30, "the mail at Postfix")
        wait_until(lambda: len(self.protections(suite)) == len(expected), 30, "the lines about TLS")
        for is_expected, line in zip(expected, self.protections(suite)):
            self.assertRegex(line, "verified=yes" + (" resumed=yes$" if is_expected else "$"))
        return self.protections(suite)

    def test_tickets(self):
        """It gives one, and none to who used it; each is used once (RFC 8446 C.4)."""
        self.assertRegex(self.goes_on(False, True, False)[1], "^1.3 ")

    def test_tickets_of_tls_1_2(self):
        settings = "smtpd_tls_mandatory_protocols = !TLSv1.3\n"
        self.assertRegex(self.goes_on(False, True, True, settings=settings)[1], "^1.2 ")

    def test_its_cache(self):
        settings = "smtpd_tls_mandatory_protocols = !TLSv1.3\ntls_ssl_options = NO_TICKET\n"
        self.assertRegex(self.goes_on(False, True, True, settings=settings)[1], "^1.2 ")

    @staticmethod
    def read(directory):
        if not os.path.exists(directory + "/log"):
            return ""
        with open(directory + "/log", encoding="utf-8") as f:
            return f.read()
