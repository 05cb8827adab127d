"""The login at a smarthost: at another barid, at scripted servers, with a wrong password, in the clear."""

import os
import re
import shutil
import tempfile

from certs import Pair
from harness import PASSWORD, Suite, free_port, message, wait_until
from relaying import RelayTest, open_states, wait_for_empty_queue, wait_for_state

FROM = "alice@example.org"
TO = "bob@elsewhere.example"
PLAIN = {"ehlo": ["fake.example", "AUTH PLAIN"], "replies": {"AUTH": "235 2.7.0 in"}}


class Smarthost(RelayTest):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="barid-smarthost-")
        self.addCleanup(shutil.rmtree, self.directory)

    def hub(self):
        """A barid that takes submission; what it took stays in its queue."""
        suite = Suite()
        self.addCleanup(suite.close)
        address = (suite.address, free_port(suite.address))
        suite.write_config({
            "listen submission": {"address": "%s:%d" % address, "plaintext_without_tls": "loopback"},
            "auth": {"failure_delay": "10ms", "failures_per_address": "none"}})
        suite.start()
        return suite, address

    def sender(self, user, address, password, section="relay"):
        suite = Suite()
        self.addCleanup(suite.close)
        self.secret = os.path.join(suite.dir, "secret")
        self.write_secret(password)
        url, key = f"smtp://{user}@{address[0]}:{address[1]}", "smarthost" if section == "relay" else "to"
        config = {"relay": {"allow_from": "127.0.0.0/8", "retry": "1h"}}
        config.setdefault(section, {}).update({key: url, "smarthost_secret": self.secret})
        suite.write_config(config)
        return suite.start()

    def write_secret(self, password):
        with open(self.secret, "w", encoding="utf-8") as f:
            f.write(password + "\nwhat follows does not count\n")
        os.chmod(self.secret, 0o600)

    def test_at_another_barid_with_scram(self):
        hub, address = self.hub()
        suite = self.sender("alice%40example.org", address, PASSWORD)
        suite.send(FROM, [TO], message(subject="through the hub"))
        wait_for_empty_queue(suite)
        self.assertEqual([(m["login"], m["recipients"][0]["address"]) for m in hub.queue()], [(FROM, TO)])

    def test_a_wrong_password_waits_and_a_reload_mends_it(self):
        hub, address = self.hub()
        suite = self.sender("alice%40example.org", address, "not it")
        suite.send(FROM, [TO], message())
        self.assertIn("535", wait_for_state(suite, TO, "deferred")["last_reply"])
        self.assertEqual(hub.queue(), [])
        self.write_secret(PASSWORD)
        suite.reload()

        def is_sent():  # relay may hear of the reload after queue hears of the retry
            suite.run("queue", "retry", "--state", "deferred")
            return not open_states(suite)
        wait_until(is_sent, 15, "the mail to go with the new password")
        self.assertEqual(len(hub.queue()), 1)

    def test_of_a_route_and_nothing_shows_the_password(self):
        remote = self.remote(PLAIN)
        suite = self.sender("u", (remote.host, remote.port), "hush-hush", section="route elsewhere.example")
        suite.send(FROM, [TO], message())
        self.assertEqual(len(remote.wait(1)), 1)
        self.assertIn("C1 < AUTH PLAIN AHUAaHVzaC1odXNo", remote.transcript)
        wait_for_empty_queue(suite)
        (sent,) = set(re.findall(r"^relay (\S+) sent ", suite.log(), re.M))
        dialogue = suite.cli("trace", sent)
        self.assertIn("AUTH [hidden]", dialogue)
        told = suite.cli("config", "show") + suite.log() + dialogue
        self.assertNotIn("hush", told)
        self.assertNotIn("aHVzaC", told)

    def test_not_in_the_clear_to_who_is_not_this_machine(self):
        """0.0.0.0 leads to the scripted server, and is not an address of loopback."""
        remote = self.remote(PLAIN, host="0.0.0.0")
        suite = self.sender("u", ("0.0.0.0", remote.port), "hush-hush")
        suite.send(FROM, [TO], message())
        self.assertRegex(wait_for_state(suite, TO, "deferred")["last_reply"], "^451 4.7.4 .* does not offer STARTTLS")
        self.assertFalse([line for line in remote.transcript if "AUTH" in line and "<" in line])

    def test_not_to_a_stranger_behind_tls(self):
        """Who logs in wants a certain server: it is verified before a word is said, not when the password is due."""
        pair = Pair(tempfile.mkdtemp(dir=self.directory), "stranger", ["0.0.0.0"])
        remote = self.remote({**PLAIN, "tls": {"certificate": pair.certificate, "key": pair.key,
                                               "ehlo": PLAIN["ehlo"]}}, host="0.0.0.0")
        suite = self.sender("u", ("0.0.0.0", remote.port), "hush-hush")
        suite.send(FROM, [TO], message())
        self.assertIn("4.7.5 the certificate of", wait_for_state(suite, TO, "deferred")["last_reply"])
        self.assertFalse([line for line in remote.transcript if "AUTH" in line and "<" in line])
        self.assertEqual(sum("< EHLO" in line for line in remote.transcript), 1)

    def test_check_looks_at_the_file(self):
        suite = self.sender("u", ("192.0.2.1", 25), "hush-hush")
        os.chmod(self.secret, 0o644)
        self.assertIn("chmod 600", "".join(suite.run("check")[1:]))
        os.unlink(self.secret)
        status, stdout, stderr = suite.run("check")
        self.assertNotEqual(status, 0)
        self.assertIn("smarthost_secret: cannot read", stdout + stderr)
