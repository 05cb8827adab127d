"""What signed zones say of a server's certificate (DANE, RFC 7672): obeyed where DNSSEC protects it, and never bent
into mail in the clear."""

import contextlib
import email
import gzip
import hashlib
import json
import os
import re
import shutil
import smtplib
import sqlite3
import tempfile
import unittest

import signeddns
from certs import Pair, context, openssl
from harness import Suite, free_port, message, own_address, wait_until
from relaying import RelayTest, wait_for_empty_queue, wait_for_state

FROM = "alice@example.org"
TO = "carol@remote.example"
HOST = "mx.remote.example"
SIGNED = {"remote.example": True}


def der(pair, selector):
    """The certificate (0) or its public key (1)."""
    if selector == 0:
        return openssl("x509", "-in", pair.certificate, "-outform", "DER").stdout
    pem = openssl("x509", "-in", pair.certificate, "-noout", "-pubkey").stdout
    return openssl("pkey", "-pubin", "-outform", "DER", input=pem).stdout


def tlsa(pair, usage=3, selector=1, matching=1):
    octets = der(pair, selector)
    digest = {0: octets, 1: hashlib.sha256(octets).digest(), 2: hashlib.sha512(octets).digest()}[matching]
    return f"{usage} {selector} {matching} {digest.hex()}"


class Leaf:
    """A certificate signed by `authority` (a Pair), with its chain."""

    def __init__(self, directory, label, authority, names):
        self.key = os.path.join(directory, f"{label}.key.pem")
        self.certificate = os.path.join(directory, f"{label}.cert.pem")
        request, extensions = (os.path.join(directory, f"{label}.{what}") for what in ("csr", "ext"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                "-out", request, "-subj", f"/CN={names[0]}")
        with open(extensions, "w", encoding="ascii") as f:
            f.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
        openssl("x509", "-req", "-in", request, "-CA", authority.certificate, "-CAkey", authority.key,
                "-set_serial", "7", "-days", "30", "-extfile", extensions, "-out", self.certificate)
        with open(self.certificate, "a", encoding="ascii") as f, \
             open(authority.certificate, encoding="ascii") as chain:
            f.write(chain.read())


class Dane(RelayTest):
    def setUp(self):
        why_not = signeddns.why_not()
        if why_not:
            self.skipTest(why_not)
        self.dir = tempfile.mkdtemp(prefix="barid-dane-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        self.port = free_port(own_address())

    def pair(self, *names, label="mx"):
        return Pair(self.dir, label, names or ("somebody.example",))

    def server(self, pair=None, **script):
        tls = {"tls": {"certificate": pair.certificate, "key": pair.key, **script.pop("tls", {})}} if pair else {}
        return self.remote({**script, **tls}, host=own_address(), port=self.port)

    def zone(self, names, zones=None, damaged=()):
        dns = signeddns.SignedDns(names, zones or SIGNED, damaged)
        self.addCleanup(dns.stop)
        return dns.start()

    def suite_for(self, dns, config=None, **relay):
        sections = {"dns": {"server": f"{dns.host}@{dns.port}", "trust_anchor": dns.anchor}}
        return self.suite(config={**sections, **(config or {})}, relay={"port": self.port, **relay})

    def simple(self, remote, *records, zones=None, damaged=(), **relay):
        """A domain with one MX, which has these records."""
        names = {"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]},
                 f"_{self.port}._tcp.{HOST}": {"TLSA": list(records)}}
        return self.suite_for(self.zone(names, zones, [name.format(port=self.port) for name in damaged]), **relay)

    def delivered(self, suite, remote, pattern, tls="TLSv1.3"):
        suite.send(FROM, [TO], message())
        self.assertEqual(len(remote.wait(1)), 1, suite.queue())
        self.assertEqual(remote.messages[0]["tls"], tls)
        wait_for_empty_queue(suite)
        self.assertRegex(re.findall(r' sent .* tls="([^"]*)"', suite.log())[0], pattern)

    def deferred(self, suite, pattern, *remotes):
        suite.send(FROM, [TO], message())
        self.assertRegex(wait_for_state(suite, TO, "deferred")["last_reply"], pattern)
        for remote in remotes:
            self.assertFalse([line for line in remote.transcript if re.search("< MAIL", line)])


class EndEntity(Dane):
    def test_every_selector_and_matching_type_and_neither_name_nor_time_count(self):
        pair = self.pair()
        pair.expire()
        for selector, matching in ((1, 1), (0, 1), (1, 2), (0, 2), (1, 0), (0, 0)):
            remote = self.server(pair)
            suite = self.simple(remote, tlsa(pair, 3, selector, matching))
            self.delivered(suite, remote, r"^1\.3 TLS_\S+ policy=dane verified=yes$")
            found = re.search(r"queue (\S+) accepted", suite.log())
            self.assertIn("policy=dane verified=yes", suite.cli("trace", found.group(1)))
            self.assertTrue([line for line in remote.transcript if line.endswith("SNI " + HOST)])
            suite.close()
            remote.stop()

    def test_another_certificate(self):
        """`barid explain` and `barid trace` name the rule."""
        remote = self.server(self.pair())
        suite = self.simple(remote, tlsa(self.pair(label="another")))
        told = suite.cli("explain", "--from", FROM, "--to", TO, "--client", "127.0.0.1", json=True)
        self.assertIn("'tls': 'dane'", str(told))
        self.deferred(suite, "^451 4.7.5 the certificate of mx.remote.example.* TLSA", remote)

    def test_one_of_several(self):
        pair = self.pair()
        remote = self.server(pair)
        suite = self.simple(remote, tlsa(self.pair(label="next")), tlsa(pair, 2), tlsa(pair))
        self.delivered(suite, remote, "policy=dane verified=yes")

    def test_the_strongest_digest_decides(self):
        """RFC 7671 9: who can do SHA-512 does not look at SHA-256 beside it, of the same usage and selector."""
        pair, another = self.pair(), self.pair(label="another")
        remote = self.server(pair)
        suite = self.simple(remote, tlsa(pair, 3, 1, 1), tlsa(another, 3, 1, 2))
        self.deferred(suite, "^451 4.7.5 the certificate of mx.remote.example.* TLSA", remote)
        suite.close()
        self.delivered(self.simple(remote, tlsa(another, 3, 1, 1), tlsa(pair, 3, 1, 2)), remote,
                       "policy=dane verified=yes")

    def test_records_that_are_an_alias(self):
        """RFC 7671 7: many names may share the records of one."""
        pair = self.pair()
        remote = self.server(pair)
        for records, pattern in (([tlsa(pair)], None), ([tlsa(self.pair(label="another"))], "4.7.5 the certificate")):
            dns = self.zone({"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]},
                             f"_{self.port}._tcp.{HOST}": {"CNAME": "_dane.host.example"},
                             "_dane.host.example": {"TLSA": records}}, {"remote.example": True, "host.example": True})
            suite = self.suite_for(dns)
            if pattern:
                self.deferred(suite, pattern)
            else:
                self.delivered(suite, remote, "policy=dane verified=yes")
            suite.close()

    def test_no_tls_no_mail(self):
        """Who cuts out STARTTLS or disturbs the handshake does not get the mail in the clear."""
        pair = self.pair()
        for remote, pattern in ((self.server(), "4.7.4 .*does not offer STARTTLS"),
                                (self.server(pair, tls={"break": True}), "4.7.5 TLS with .* failed"),
                                (self.server(pair, replies={"STARTTLS": "454 4.7.0 not now"}), "^454 4.7.0")):
            suite = self.simple(remote, tlsa(pair))
            self.deferred(suite, pattern, remote)
            suite.close()
            remote.stop()

    def test_the_next_mx_may_do(self):
        good, bad = self.pair(label="good"), self.pair(label="bad")
        first, second = self.server(bad), self.server(good)
        names = {"remote.example": {"MX": [[10, "mx1.remote.example"], [20, "mx2.remote.example"]]}}
        for n, remote in ((1, first), (2, second)):
            names[f"mx{n}.remote.example"] = {"A": [remote.host]}
            names[f"_{self.port}._tcp.mx{n}.remote.example"] = {"TLSA": [tlsa(good)]}
        self.delivered(self.suite_for(self.zone(names)), second, "policy=dane verified=yes")
        self.assertEqual(first.messages, [])

    def test_no_mx_means_the_domain(self):
        pair = self.pair()
        remote = self.server(pair)
        dns = self.zone({"remote.example": {"A": [remote.host]},
                         f"_{self.port}._tcp.remote.example": {"TLSA": [tlsa(pair)]}})
        self.delivered(self.suite_for(dns), remote, "policy=dane verified=yes")

    def test_a_route_to_a_name(self):
        pair = self.pair()
        remote = self.server(self.pair(label="another"))
        dns = self.zone({HOST: {"A": [remote.host]}, f"_{self.port}._tcp.{HOST}": {"TLSA": [tlsa(pair)]}})
        route = {"route remote.example": {"to": f"smtp://{HOST}:{self.port}"}}
        self.deferred(self.suite_for(dns, route), "4.7.5 the certificate", remote)


class Unusable(Dane):
    """RFC 7672 2.2, 3.1.3: TLS is a must, and nobody is verified."""

    def test_tls_without_proof(self):
        pair = self.pair()
        for record in (tlsa(pair, 1), tlsa(pair, 0), "3 1 1 abcd", "3 7 1 " + "ab" * 32, "3 1 9 " + "ab" * 32,
                       "2 0 0 " + "ab" * 32, "255 1 1 " + "ab" * 32):
            remote = self.server(self.pair(label="another"))
            suite = self.simple(remote, record)
            self.delivered(suite, remote, r"^1\.3 \S+ policy=dane verified=no \(none of its TLSA records can be used\)$")
            suite.close()
            remote.stop()

    def test_never_in_the_clear(self):
        remote = self.server()
        self.deferred(self.simple(remote, tlsa(self.pair(), 1)), "4.7.4 .*does not offer STARTTLS", remote)


class TrustAnchor(Dane):
    def chain(self, *names):
        authority = self.pair("An authority", label="ca")
        return authority, Leaf(self.dir, "leaf", authority, names)

    def test_by_the_authority_and_each_name(self):
        for name in (HOST, "remote.example", "*.remote.example"):
            authority, leaf = self.chain(name)
            remote = self.server(leaf)
            suite = self.simple(remote, tlsa(authority, 2, 0, 1))
            self.delivered(suite, remote, "policy=dane verified=yes")
            suite.close()
            remote.stop()

    def test_another_name_or_authority(self):
        authority, leaf = self.chain("www.remote.example.net")
        remote = self.server(leaf)
        self.deferred(self.simple(remote, tlsa(authority, 2, 1, 1)), "4.7.5 the certificate .*ostname mismatch", remote)
        authority, leaf = self.chain(HOST)
        remote = self.server(leaf)
        self.deferred(self.simple(remote, tlsa(self.pair(label="another"), 2, 0, 1)), "4.7.5 the certificate", remote)


class Protection(Dane):
    """What DNSSEC protects, what it does not, and what it cannot tell."""

    def test_damaged_records_are_not_no_records(self):
        remote = self.server(self.pair())
        suite = self.simple(remote, tlsa(self.pair(label="another")), damaged=["_{port}._tcp." + HOST])
        self.deferred(suite, "^451 4.4.3 the DNS does not tell the TLSA records of mx.remote.example", remote)
        self.assertEqual(remote.connections, 0)

    def test_a_damaged_mx_or_address(self):
        remote = self.server(self.pair())
        for name in ("remote.example", HOST):
            suite = self.simple(remote, tlsa(self.pair(label="another")), damaged=[name])
            self.deferred(suite, "^451 4.4.3", remote)
            suite.close()
        self.assertEqual(remote.connections, 0)

    def test_an_unsigned_zone_says_nothing(self):
        remote = self.server(self.pair())
        suite = self.simple(remote, tlsa(self.pair(label="another")), zones={"remote.example": False})
        self.delivered(suite, remote, "policy=opportunistic verified=no")

    def test_without_records_nothing_changes(self):
        remote = self.server()
        dns = self.zone({"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]}})
        self.delivered(self.suite_for(dns), remote, r"^no \(not offered\)$", tls=None)

    def elsewhere(self, remote, zones, damaged=()):
        """The exchanger is in another zone."""
        names = {"remote.example": {"MX": [[10, "mx.host.example"]]}, "mx.host.example": {"A": [remote.host]},
                 f"_{self.port}._tcp.mx.host.example": {"TLSA": [tlsa(self.pair(label="another"))]}}
        return self.suite_for(self.zone(names, zones, damaged))

    def test_the_whole_way_counts(self):
        remote = self.server(self.pair())
        for zones in ({"remote.example": False, "host.example": True}, {"remote.example": True, "host.example": False}):
            suite = self.elsewhere(remote, zones)
            suite.send(FROM, [TO], message())
            wait_for_empty_queue(suite)
            self.assertIn("policy=opportunistic", suite.log())
            suite.close()
        self.deferred(self.elsewhere(remote, {"remote.example": True, "host.example": True}), "4.7.5 the certificate")
        self.assertEqual(len(remote.messages), 2)

    def test_settings_win(self):
        pair, other = self.pair(HOST), self.pair(label="another")
        for settings, pattern in (({"dane": "no"}, "policy=opportunistic"), ({"tls": "required"}, "policy=required"),
                                  ({"tls": "verified", "ca_file": pair.certificate}, "policy=verified verified=yes")):
            remote = self.server(pair)
            suite = self.simple(remote, tlsa(other), **settings)
            self.delivered(suite, remote, pattern)
            suite.close()
            remote.stop()


class Alias(Dane):
    """RFC 7672 2.2.2: exchangers that are aliases."""

    def names(self, remote, **records):
        names = {"remote.example": {"MX": [[10, HOST]]}, HOST: {"CNAME": "real.host.example"},
                 "real.host.example": {"A": [remote.host]}}
        for host, values in records.items():
            names[f"_{self.port}._tcp.{HOST if host == 'alias' else 'real.host.example'}"] = {"TLSA": values}
        return names

    def both(self, target=True):
        return {"remote.example": True, "host.example": target}

    def test_the_records_of_the_target_count_first(self):
        pair = self.pair()
        remote = self.server(pair)
        dns = self.zone(self.names(remote, real=[tlsa(pair)], alias=[tlsa(self.pair(label="another"))]), self.both())
        self.delivered(self.suite_for(dns), remote, "policy=dane verified=yes")
        self.assertTrue([line for line in remote.transcript if line.endswith("SNI real.host.example")])

    def test_then_those_of_the_alias(self):
        pair = self.pair()
        for target in (True, False):
            remote = self.server(pair)
            suite = self.suite_for(self.zone(self.names(remote, alias=[tlsa(pair)]), self.both(target)))
            self.delivered(suite, remote, "policy=dane verified=yes")
            self.assertTrue([line for line in remote.transcript if line.endswith("SNI " + HOST)])
            suite.close()
            remote.stop()

    def test_an_unsigned_target_has_no_word(self):
        remote = self.server(self.pair())
        dns = self.zone(self.names(remote, real=[tlsa(self.pair(label="another"))]), self.both(False))
        self.delivered(self.suite_for(dns), remote, "policy=opportunistic")


class Reports(Dane):
    """RFC 8460 3: a report goes out however TLS fails, and counts in no report itself."""

    def sessions(self, suite):
        with contextlib.closing(sqlite3.connect(f"file:{suite.state_dir}/mail.db?mode=ro", uri=True)) as db:
            return db.execute("SELECT domain, result, sum(n) FROM tlsrpt GROUP BY 1, 2").fetchall()

    def test_to_a_server_whose_records_are_wrong(self):
        remote = self.server(self.pair())
        record = tlsa(self.pair(label="another"))
        names = {"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]},
                 "_smtp._tls.remote.example": {"TXT": '"v=TLSRPTv1; rua=mailto:tls@remote.example"'},
                 f"_{self.port}._tcp.{HOST}": {"TLSA": [record]}}
        suite = self.suite_for(self.zone(names), tls_reports="yes")
        self.deferred(suite, "4.7.5 the certificate", remote)
        wait_until(lambda: self.sessions(suite), 30, "the failure to be counted")
        suite.cli("tls", "report")
        got = remote.wait(1, 30)[0]
        self.assertEqual((got["from"], got["rcpts"], got["tls"]), ("", ["tls@remote.example"], "TLSv1.3"))
        self.assertIn(b"TLS-Report-Domain: remote.example", got["data"])
        attached = email.message_from_bytes(got["data"]).get_payload()[1].get_payload(decode=True)
        told, = json.loads(gzip.decompress(attached))["policies"]
        self.assertEqual(told["policy"], {"policy-type": "tlsa", "policy-domain": HOST, "policy-string": [record]})
        failure, = told["failure-details"]
        self.assertEqual((failure["result-type"], failure["receiving-mx-hostname"], failure["receiving-ip"]),
                         ("tlsa-invalid", HOST, remote.host))
        self.assertRegex(failure["failure-reason-code"], "TLSA")
        self.assertRegex(failure["sending-mta-ip"], r"^\d+\.\d+\.\d+\.\d+$")
        wait_until(lambda: re.search(r' sent .* tls="[^"]*policy=opportunistic verified=no', suite.log()), 30,
                   "the log to tell it")
        self.assertEqual(self.sessions(suite), [])


    def counted(self, suite):
        """(policy, result, host, address) of each row, with the numbers of common/tlsrpt.h."""
        with contextlib.closing(sqlite3.connect(f"file:{suite.state_dir}/mail.db?mode=ro", uri=True)) as db:
            return set(db.execute("SELECT policy, result, host, address FROM tlsrpt").fetchall())

    def test_what_dane_fails_by(self):
        """4.3.2.1: records that are of no use or of another certificate, and answers that are false."""
        tlsa_policy, success, mismatch, dnssec_invalid, tlsa_invalid = 1, 1, 3, 10, 11
        pair = self.pair()
        authority = self.pair("An authority", label="ca")
        leaf = Leaf(self.dir, "leaf", authority, ["www.example.net"])
        records = f"_{self.port}._tcp.{HOST}"
        for certificate, record, damaged, expected in (
                (pair, tlsa(pair), (), (success, False, False)),
                (pair, tlsa(self.pair(label="another")), (), (tlsa_invalid, True, True)),
                (pair, tlsa(pair, 1), (), (tlsa_invalid, True, True)),
                (leaf, tlsa(authority, 2, 0, 1), (), (mismatch, True, True)),
                (pair, tlsa(pair), [records], (dnssec_invalid, True, False)),
                (pair, tlsa(pair), [HOST], (dnssec_invalid, True, False)),
                (pair, tlsa(pair), ["remote.example"], (dnssec_invalid, False, False))):
            remote = self.server(certificate)
            suite = self.simple(remote, record, damaged=damaged, tls_reports="yes")
            suite.send(FROM, [TO], message())
            wait_until(lambda: self.counted(suite), 30, "the session to be counted")
            result, has_host, has_address = expected
            self.assertEqual(self.counted(suite), {(tlsa_policy, result, HOST if has_host else "",
                                                    remote.host if has_address else "")})
            suite.close()
            remote.stop()


class NoNeedOfTls(Dane):
    """RFC 8689 4.2.2: who says "TLS-Required: No" has it go out though TLS fails."""

    NO_NEED = b"TLS-Required: No\r\n" + message()

    def names(self, remote):
        return {"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]},
                f"_{self.port}._tcp.{HOST}": {"TLSA": [tlsa(self.pair(label="another"))]}}

    def test_to_a_server_whose_records_are_wrong(self):
        remote = self.server(self.pair())
        suite = self.suite_for(self.zone(self.names(remote)))
        self.deferred(suite, "4.7.5 the certificate", remote)
        suite.send(FROM, [TO], self.NO_NEED)
        got, = remote.wait(1, 30)
        self.assertEqual((got["tls"], b"TLS-Required: No\r\n" in got["data"]), ("TLSv1.3", True))

    def test_requiretls_comes_first(self):
        """4.1: with the parameter the field is ignored."""
        remote = self.server(self.pair(), tls={"ehlo": ["mx", "REQUIRETLS"]})
        suite = self.suite_for(self.zone(self.names(remote)), {"tls": self.pair("mx.example.org", label="us").config()})
        with smtplib.SMTP(*suite.smtp_address, local_hostname="client.example", timeout=30) as client:
            client.starttls(context=context())
            client.ehlo()
            client.sendmail("bob@example.org", [TO], self.NO_NEED, mail_options=["REQUIRETLS"])
        self.assertIn(b"Status: 5.7.10\r\n", suite.wait_for_mail("bob")[0])
        self.assertEqual(remote.messages, [])


class Requiretls(Dane):
    """RFC 8689 with certificates that only DANE vouches for."""

    def submit(self, remote, record):
        names = {"remote.example": {"MX": [[10, HOST]]}, HOST: {"A": [remote.host]},
                 f"_{self.port}._tcp.{HOST}": {"TLSA": [record]}}
        suite = self.suite_for(self.zone(names), {"tls": self.pair("mx.example.org", label="us").config()})
        with smtplib.SMTP(*suite.smtp_address, local_hostname="client.example", timeout=30) as client:
            client.starttls(context=context())
            client.ehlo()
            client.sendmail("bob@example.org", [TO], message(), mail_options=["REQUIRETLS"])
        return suite

    def test_goes_on(self):
        pair = self.pair()
        remote = self.server(pair, tls={"ehlo": ["mx", "REQUIRETLS"]})
        self.submit(remote, tlsa(pair))
        got, = remote.wait(1)
        self.assertEqual((got["tls"], got["from_params"]), ("TLSv1.3", "REQUIRETLS"))

    def test_not_to_who_proves_nothing(self):
        pair = self.pair()
        for record in (tlsa(self.pair(label="another")), tlsa(pair, 1)):
            remote = self.server(pair, tls={"ehlo": ["mx", "REQUIRETLS"]})
            suite = self.submit(remote, record)
            self.assertIn(b"Status: 5.7.10\r\n", suite.wait_for_mail("bob")[0])
            self.assertEqual(remote.messages, [])
            suite.close()
            remote.stop()


if __name__ == "__main__":
    unittest.main()
