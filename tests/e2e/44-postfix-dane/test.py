"""Debian's Postfix sends to barid by DANE (RFC 7672): its levels 'dane' and 'dane-only' look for TLSA records through
a validating resolver. The zone is really signed (nsd), the resolver is unbound; Postfix's other levels are in 44-interop.

resolv.conf has no ports, so unbound listens on port 53 of a loopback address of its own, and Postfix's smtp(8) runs in
a chroot with a resolv.conf of its own: the machine's is left alone."""

import hashlib
import os
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile
import unittest

import postfix
import signeddns
from certs import Pair, openssl
from harness import Suite, message, own_address, wait_until

ZONE = "dane.example"
# What its TLSA record says of a host, and how Postfix is to send there.
PLACES = {"verified": ("ours", "dane-only"), "unasked": ("ours", "dane"), "without": (None, "dane"),
          "wrong": ("another", "dane-only"), "none": (None, "dane-only"), "unfit": ("another", "dane")}

UNBOUND = """server:
  interface: {host}
  port: 53
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  logfile: "{directory}/log"
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  module-config: "validator iterator"
  trust-anchor-file: "{anchor}"
stub-zone:
  name: {zone}
  stub-addr: {nsd_host}@{nsd_port}
remote-control:
  control-enable: no
"""

MAIN = """
smtp_dns_support_level = dnssec
smtp_host_lookup = dns
smtp_tls_loglevel = 1
smtp_address_preference = ipv4
transport_maps = inline:{{ {transports} }}
"""


def why_not():
    if postfix.why_not() or signeddns.why_not():
        return postfix.why_not() or signeddns.why_not()
    if not shutil.which("unbound", path="/usr/sbin:/usr/bin"):
        return "unbound is not installed"
    try:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as s:
                s.bind((own_address(), 53))
    except OSError as e:
        return f"port 53 of a loopback address cannot be had: {e}"
    return None


def tlsa(pair):
    pem = openssl("x509", "-in", pair.certificate, "-noout", "-pubkey").stdout
    der = openssl("pkey", "-pubin", "-outform", "DER", input=pem).stdout
    return "3 1 1 " + hashlib.sha256(der).hexdigest()


class Resolver:
    """unbound, which trusts the keys of `dns` (a SignedDns)."""

    def __init__(self, dns):
        self.host = own_address()
        self.directory = tempfile.mkdtemp(prefix="barid-unbound-")
        file = os.path.join(self.directory, "unbound.conf")
        with open(file, "w", encoding="ascii") as f:
            f.write(UNBOUND.format(host=self.host, directory=self.directory, anchor=dns.anchor, zone=ZONE,
                                   nsd_host=dns.host, nsd_port=dns.port))
        self.output = open(os.path.join(self.directory, "output"), "w", encoding="utf-8")
        self.process = subprocess.Popen([shutil.which("unbound", path="/usr/sbin:/usr/bin"), "-d", "-c", file],
                                        stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output)
        wait_until(self.is_up, 30, self.log)

    def log(self):
        said = ""
        for name in ("log", "output"):
            file = os.path.join(self.directory, name)
            if os.path.exists(file):
                with open(file, encoding="utf-8", errors="replace") as f:
                    said += f.read()
        return said

    def is_up(self):
        assert self.process.poll() is None, self.log()
        return "start of service" in self.log()

    def stop(self):
        self.process.terminate()
        self.process.wait(15)
        self.output.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class DanePostfix(postfix.Postfix):
    def __init__(self, directory, resolver, port):
        super().__init__(directory)
        table = " ".join(f"{{ {place}.example = {place}:[{place}.{ZONE}]:{port} }}" for place in PLACES)
        with open(directory + "/etc/main.cf", "a", encoding="ascii") as f:
            f.write(MAIN.format(transports=table))
        with open(directory + "/etc/master.cf", "a", encoding="ascii") as f:
            for place, (_, level) in PLACES.items():
                f.write(f"{place} unix - - y - - smtp -o smtp_tls_security_level={level}\n")
        os.mkdir(directory + "/queue/etc")
        with open(directory + "/queue/etc/resolv.conf", "w", encoding="ascii") as f:
            f.write(f"nameserver {resolver.host}\noptions edns0 trust-ad timeout:10 attempts:3\n")

    def log(self):
        with open(self.dir + "/log", encoding="utf-8", errors="replace") as f:
            return f.read()


class ByDane(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if why_not():
            raise unittest.SkipTest(why_not())
        cls.dir = tempfile.mkdtemp(prefix="barid-postfix-dane-")
        os.chmod(cls.dir, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.close)
        pairs = {name: Pair(cls.dir, name, (f"mx.{ZONE}",)) for name in ("ours", "another")}
        host, port = cls.suite.smtp_address
        names = {}
        for place, (pair, _) in PLACES.items():
            names[f"{place}.{ZONE}"] = {"A": [host]}
            if pair is not None:
                names[f"_{port}._tcp.{place}.{ZONE}"] = {"TLSA": [tlsa(pairs[pair])]}
        dns = signeddns.SignedDns(names, zones={ZONE: True}).start()
        cls.addClassCleanup(dns.stop)
        cls.resolver = Resolver(dns)
        cls.addClassCleanup(cls.resolver.stop)
        cls.suite.write_config({"tls": pairs["ours"].config()})
        cls.suite.start()
        for place in PLACES:
            cls.suite.cli("domain", "add", f"{place}.example")
            cls.suite.cli("alias", "add", f"any@{place}.example", "alice@example.org")
        os.mkdir(cls.dir + "/postfix")
        cls.postfix = DanePostfix(cls.dir + "/postfix", cls.resolver, port)
        cls.addClassCleanup(cls.postfix.stop)
        cls.postfix.start()

    def outcome(self, place):
        """Postfix's lines about mail that it was to send there, when it has tried."""
        with smtplib.SMTP(self.postfix.address, self.postfix.port, local_hostname="client.example", timeout=30) as client:
            client.sendmail("eve@client.example", [f"any@{place}.example"], message(subject=place))
        wait_until(lambda: re.search(rf"to=<any@{place}\.example>.* status=", self.postfix.log()), 60,
                   lambda: self.postfix.log()[-3000:] + self.resolver.log())
        return "".join(line + "\n" for line in self.postfix.log().splitlines()
                       if f"{place}.{ZONE}" in line or f"any@{place}." in line)

    def came(self, place):
        return [m for m in self.suite.mail("alice") if f"Subject: {place}\r\n".encode() in m]

    def test_dane_only_with_the_right_record(self):
        said = self.outcome("verified")
        self.assertRegex(said, r"Verified TLS connection established to verified\.dane\.example\[\S+: TLSv1\.3")
        self.assertRegex(said, r"status=sent")
        self.assertRegex(self.came("verified")[0], rb"with ESMTPS \(TLSv1\.3")

    def test_dane_with_the_right_record(self):
        said = self.outcome("unasked")
        self.assertIn("Verified TLS connection", said)
        self.assertEqual(len(self.came("unasked")), 1)

    def test_dane_without_a_record_takes_what_tls_there_is(self):
        said = self.outcome("without")
        self.assertRegex(said, r"(Untrusted|Anonymous) TLS connection")
        self.assertRegex(self.came("without")[0], rb"with ESMTPS")

    def test_no_mail_to_who_is_not_the_one_of_the_record(self):
        for place in ("wrong", "unfit"):
            said = self.outcome(place)
            self.assertRegex(said, r"status=deferred \(Server certificate not (trusted|verified)")
            self.assertEqual(self.came(place), [])

    def test_dane_only_without_a_record_sends_nothing(self):
        said = self.outcome("none")
        self.assertRegex(said, r"status=deferred")
        self.assertNotIn("TLS connection established", said)
        self.assertEqual(self.came("none"), [])
