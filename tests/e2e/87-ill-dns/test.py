"""A DNS server that is ill: what it says then is never taken for "no such domain"; the mail waits, nobody else does, and
it goes out when the server is well again."""

import re
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


if __name__ == "__main__":
    unittest.main()
