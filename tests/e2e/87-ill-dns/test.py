"""A DNS server that is ill: what it says then is never taken for "no such domain"; the mail waits, nobody else does, and
it goes out when the server is well again."""

import random
import re
import time
import unittest

from harness import message, wait_until
from relaying import RelayTest, states, wait_for_empty_queue

FROM = "eve@client.example"
PATIENCE = 60


class IllDns(RelayTest):
    timeout = 300

    def ill(self, illness):
        far = self.remote()
        good = {"remote.example": {"MX": [[10, "mx.remote.example"]]}, "mx.remote.example": {"A": far.host}}
        dns = self.dns({"*.example": dict(illness), "remote.example": dict(illness), "mx.remote.example": dict(illness)})
        suite = self.suite(relay={"retry": "1s", "port": str(far.port)},
                           config={"dns": {"server": f"{dns.host}@{dns.port}"}})
        suite.send(FROM, ["out@remote.example"], message())
        wait_until(lambda: suite.recipients()["out@remote.example"]["last_reply"], PATIENCE, "a first attempt")
        suite.send(FROM, ["alice@example.org"], message())  # nobody else waits for it
        self.assertIn(states(suite)["out@remote.example"], ("deferred", "due", "active"))
        dns.zone = good
        wait_for_empty_queue(suite, 110)
        self.assertEqual(len(far.messages), 1)
        self.assertEqual(suite.count(), 1)
        self.assertNotIn("bounced", states(suite).values())
        self.assertLessEqual(len(re.findall("(?m)^resolver - ", suite.log())), 2)
        suite.stop()

    def test_that_fails(self):
        self.ill({"rcode": "SERVFAIL"})

    def test_that_refuses(self):
        self.ill({"rcode": "REFUSED"})

    def test_that_is_silent(self):
        self.ill({"drop": True})

    def test_that_answers_other_questions(self):
        self.ill({"garbage": "other"})

    def test_that_answers_with_noise(self):
        self.ill({"garbage": "octets"})


class Flipping(RelayTest):
    timeout = 300

    def test_answers_that_change_all_the_time(self):
        """No answer, a wrong one, hosts that are not there, another exchanger, the right one: in the end each
        recipient has his mail once, and nobody was told that he does not exist."""
        port, (far, other) = self.remotes({}, {})
        hosts = {"mx.remote.example": {"A": far.host}, "other.remote.example": {"A": other.host}}
        good = {**hosts, "remote.example": {"MX": [[10, "mx.remote.example"]]}}
        ill = {"rcode": "SERVFAIL"}
        zones = [good, {**good, "remote.example": ill}, {**good, "mx.remote.example": ill},
                 {**good, "remote.example": {"rcode": "REFUSED"}},
                 {**good, "remote.example": {"garbage": "other"}},
                 {**good, "remote.example": {"MX": [[5, "gone.remote.example"], [10, "mx.remote.example"]]}},
                 {**good, "remote.example": {"MX": [[5, "other.remote.example"]]}}]
        dns = self.dns(zones[1])
        suite = self.suite(relay={"retry": "1s", "port": str(port)},
                           config={"dns": {"server": f"{dns.host}@{dns.port}"}})
        rcpts = {f"out{n}@remote.example" for n in range(20)}
        for n, rcpt in enumerate(sorted(rcpts)):
            suite.send(FROM, [rcpt], message(f"number {n}"))
        end = time.monotonic() + 15
        while time.monotonic() < end:
            dns.zone = random.choice(zones)
            time.sleep(random.uniform(0.01, 0.3))
        self.assertNotIn("bounced", states(suite).values())
        dns.zone = good
        wait_for_empty_queue(suite, 110)
        got = [rcpt for server in (far, other) for m in server.messages for rcpt in m["rcpts"]]
        self.assertEqual(sorted(got), sorted(rcpts))
        self.assertEqual(suite.count(), 0)
        self.assertNotRegex(suite.log(), "(?m)^(relay|queue) \\S+ (failed|bounced) ")
        suite.stop()


if __name__ == "__main__":
    unittest.main()
