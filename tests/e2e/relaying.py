"""What tests of outgoing mail share: suites that may relay, remote servers, and how bounces are read."""

import email
import email.policy
import unittest

from fakedns import FakeDns
from fakesmtp import FakeSmtp
from harness import Suite, free_port, message, own_address, wait_until

ALLOW = {"allow_from": "127.0.0.0/8"}


class RelayTest(unittest.TestCase):
    """Each test makes what it needs; everything is put away after it."""

    def suite(self, config=None, relay=None, **kwargs):
        sections = {"relay": {**ALLOW, "retry": "1h", **(relay or {})}}
        for section, values in (config or {}).items():
            sections.setdefault(section, {}).update(values)
        suite = Suite(config=sections, **kwargs)
        self.addCleanup(suite.close)
        suite.start()
        return suite

    def remote(self, script=None, host=None, port=0):
        fake = FakeSmtp(script, host=host or own_address(), port=port)
        fake.start()
        self.addCleanup(fake.stop)
        return fake

    def remotes(self, *scripts):
        """Servers on one port of several addresses; None: nobody listens at that address."""
        port = free_port(own_address())
        made = []
        for script in scripts:
            address = own_address()
            made.append(address if script is None else self.remote(script, address, port))
        return port, made

    def dns(self, zone):
        dns = FakeDns(zone, host=own_address())
        dns.start()
        self.addCleanup(dns.stop)
        return dns

    def routed(self, script=None, domain="remote.example", **kwargs):
        """A suite whose mail for one domain goes to a scripted server."""
        remote = self.remote(script)
        route = {f"route {domain}": {"to": f"smtp://{remote.host}:{remote.port}"}}
        return self.suite(config=route, **kwargs), remote


def states(suite):
    return {address: r["state"] for address, r in suite.recipients().items()}


def open_states(suite):
    """Those that still wait for something."""
    return {a: s for a, s in states(suite).items() if s not in ("done", "bounced")}


def wait_for_state(suite, address, state, timeout=15):
    wait_until(lambda: states(suite).get(address) == state, timeout,
               lambda: f"{address} to be {state}; the queue: {suite.queue()}")
    return suite.recipients()[address]


def wait_for_empty_queue(suite, timeout=15):
    wait_until(lambda: not open_states(suite), timeout, lambda: f"an empty queue: {suite.queue()}")


class Bounce:
    """A delivery status notification (RFC 3464) taken apart; raises if it is none."""

    def __init__(self, octets):
        self.octets = octets
        self.mail = email.message_from_bytes(octets, policy=email.policy.default)
        assert self.mail.get_content_type() == "multipart/report", octets
        assert self.mail.get_param("report-type") == "delivery-status", octets
        assert not self.mail.defects, self.mail.defects
        parts = self.mail.get_payload()
        assert len(parts) == 3, [p.get_content_type() for p in parts]
        assert parts[0].get_content_type() == "text/plain"
        assert parts[1].get_content_type() == "message/delivery-status"
        assert parts[2].get_content_type() in ("message/rfc822", "text/rfc822-headers")
        wide = any(octet > 127 for octet in octets.partition(b"\r\n\r\n")[2])  # RFC 2045 6.4
        assert ("8bit" if wide else None) == self.mail["Content-Transfer-Encoding"], octets
        self.text = parts[0].get_content()
        groups = parts[1].get_payload()
        self.about = groups[0]
        self.recipients = {str(g["Final-Recipient"]).split(";")[1].strip(): g for g in groups[1:]
                           if g["Final-Recipient"]}
        self.returned = octets


def mail_to(user="bob"):
    return message(f"to {user}", subject=f"for {user}")
