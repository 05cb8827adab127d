"""Containment: who sends too much has his outgoing mail held, not refused and not lost."""

import os
import smtplib
import subprocess
import unittest

from fakesmtp import FakeSmtp
from harness import PASSWORD, NOBODY, Suite, is_root, message, free_port, own_address, wait_until

LIMITS = {"messages_per_user": "3/1h", "recipients_per_user": "8/1h"}


class Containment(unittest.TestCase):
    def setUp(self):
        self.remote = FakeSmtp(None, host=own_address(), port=0)
        self.remote.start()
        self.addCleanup(self.remote.stop)
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.address = (self.suite.address, free_port(self.suite.address))
        self.configure()
        self.suite.start()
        self.suite.cli("alias", "add", "postmaster@example.org", "bob@example.org")

    def configure(self, **limits):
        self.suite.write_config({
            "listen submission": {"address": "%s:%d" % self.address, "plaintext_without_tls": "loopback"},
            "relay": {"smarthost": f"smtp://{self.remote.host}:{self.remote.port}"},
            "containment": {**LIMITS, **limits}})

    def send(self, n=1, user="alice", to=("x@far.example",), subject="x"):
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.login(user, PASSWORD)
            for i in range(n):
                refused = client.sendmail(f"{user}@example.org", to, message(subject=f"{subject} {i}"))
                self.assertEqual(refused, {})

    def shown(self, who="alice@example.org"):
        return self.suite.cli("user", "show", who, json=True)

    def relayed(self):
        return len(self.remote.messages)

    def wait_for_relayed(self, n):
        """And queue knows it: a crash before that sends it once more."""
        wait_until(lambda: self.relayed() == n and not [r for m in self.suite.queue() for r in m["recipients"]
                                                        if r["state"] not in ("held", "done", "bounced")], 30,
                   lambda: f"{n} relayed, not {self.relayed()}; the queue: {self.suite.queue()}")

    def held(self, *more):
        return [m for m in self.suite.queue(*more) if m["state"] == "held"]

    def test_the_life_of_it(self):
        before = self.shown()
        self.assertEqual((before["contained_since"], before["contained_because"], before["held"]), (None, None, 0))
        self.send(3)
        self.wait_for_relayed(3)
        self.send(2, to=("x@far.example", "bob@example.org"), subject="too much")
        self.send(1, user="bob", subject="of somebody else")
        self.wait_for_relayed(4)
        # here it is delivered, elsewhere it waits
        self.assertEqual(len([m for m in self.suite.mail("bob") if b"too much" in m]), 2)
        self.assertEqual([(m["login"], r["last_reply"]) for m in self.held() for r in m["recipients"]],
                         2 * [("alice@example.org", "held, as its sender is contained: see barid user show")])
        self.assertEqual(len(self.held("--login", "alice@example.org")), 2)
        self.assertEqual(self.suite.queue("--login", "bob@example.org"), [])
        after = self.shown()
        self.assertRegex(after["contained_since"], r"^20\d\d-\d\d-\d\dT")
        self.assertEqual(after["contained_because"], "more than 3 messages in 3600 s")
        self.assertEqual(after["held"], 2)
        self.assertEqual(self.shown("bob@example.org")["contained_since"], None)
        # the log once, the postmaster once
        wait_until(lambda: [m for m in self.suite.mail("bob") if b"Outgoing mail of a user is held" in m])
        notice, = [m for m in self.suite.mail("bob") if b"Outgoing mail of a user is held" in m]
        self.assertIn(b"barid user release alice@example.org --purge", notice)
        self.assertIn(b"Auto-Submitted: auto-generated", notice)
        # it outlives a restart
        self.assertEqual(self.suite.cli("user", "contained", json=True),
                         [{"address": "alice@example.org", "contained_since": after["contained_since"],
                           "contained_because": "more than 3 messages in 3600 s", "held": 2}])
        self.suite.kill("queue")
        self.send(1)
        self.assertEqual(self.shown()["held"], 3)
        self.assertEqual(self.suite.log().count("user-contained"), 1)
        self.assertEqual(len([m for m in self.suite.mail("bob") if b"Outgoing mail of a user is held" in m]), 1)
        # one message may go although the user is contained
        self.suite.cli("queue", "release", self.held()[0]["id"])
        self.wait_for_relayed(5)
        self.assertIsNotNone(self.shown()["contained_since"])
        # and its end
        done = self.suite.cli("user", "release", "alice@example.org", json=True)
        self.assertEqual(done, {"address": "alice@example.org", "was_contained": True, "released": 2})
        self.wait_for_relayed(7)
        self.assertEqual(self.shown()["contained_since"], None)
        self.assertEqual(self.suite.cli("user", "contained", json=True), [])
        self.send(1)
        self.wait_for_relayed(8)
        status, _, said = self.suite.run("user", "release", "alice@example.org")
        self.assertEqual(status, 1)
        self.assertIn("is not contained", said)

    def test_the_counts_outlive_kill_and_restart(self):
        self.send(1)
        self.wait_for_relayed(1)
        self.suite.kill("queue")
        self.send(1)
        self.wait_for_relayed(2)
        self.suite.restart()
        self.send(1)
        self.wait_for_relayed(3)
        self.assertIsNone(self.shown()["contained_since"])
        self.suite.kill("queue")
        self.send(1)
        self.assertEqual(self.shown()["contained_because"], "more than 3 messages in 3600 s")
        self.assertEqual(len(self.held()), 1)
        self.suite.restart()
        self.send(1)
        self.assertEqual(len(self.held()), 2)
        # released, he begins anew, and that holds over a crash too
        self.suite.cli("user", "release", "alice@example.org")
        self.wait_for_relayed(5)
        self.suite.kill("queue")
        self.send(3)
        self.wait_for_relayed(8)
        self.assertIsNone(self.shown()["contained_since"])

    def test_recipients_he_never_wrote_to(self):
        self.configure(messages_per_user="none", recipients_per_user="none", new_recipients_per_user="3/1d")
        self.suite.restart()
        known = ["a@far.example", "b@far.example", "c@far.example"]
        self.send(2, to=known)
        self.wait_for_relayed(2)
        self.suite.kill("queue")
        self.send(2, to=known)
        self.wait_for_relayed(4)
        self.assertIsNone(self.shown()["contained_since"])
        self.send(1, to=["d@far.example", "a@far.example", "bob@example.org"], subject="to a stranger")
        self.assertEqual(self.shown()["contained_because"], "more than 3 new recipients in 86400 s")
        wait_until(lambda: [m for m in self.suite.mail("bob") if b"more than 3 new recipients" in m])
        self.assertEqual(len([m for m in self.suite.mail("bob") if b"to a stranger" in m]), 1)
        self.assertEqual(len(self.held()), 1)
        self.suite.restart()
        self.send(1, to=known)
        self.assertEqual(len(self.held()), 2)
        # who gets what is released is known; the counts begin anew
        self.suite.cli("user", "release", "alice@example.org")
        self.wait_for_relayed(6)
        self.send(2, to=["d@far.example", *known])
        self.send(1, to=["e@far.example", "f@far.example", "g@far.example"])
        self.wait_for_relayed(9)
        self.assertIsNone(self.shown()["contained_since"])
        self.send(1, to=["h@far.example"])
        self.assertEqual(len(self.held()), 1)
        self.assertIsNone(self.shown("bob@example.org")["contained_since"])

    def test_purge_and_filters(self):
        self.send(1, to=[f"r{i}@far.example" for i in range(9)], subject="nine")
        self.assertEqual(self.shown()["contained_because"], "more than 8 recipients in 3600 s")
        self.send(2)
        self.assertEqual(self.relayed(), 0)
        self.suite.cli("queue", "remove", "--login", "alice@example.org", "--to", "r1@far.example")
        self.assertEqual(self.shown()["held"], 3)
        done = self.suite.cli("user", "release", "alice@example.org", "--purge", json=True)
        self.assertEqual(done["removed"], 3)
        self.assertEqual(self.suite.queue(), [])
        self.assertEqual(self.suite.count("alice"), 0)  # nobody is told
        self.assertEqual(self.relayed(), 0)

    def test_what_waits_already_is_held(self):
        self.remote.stop()
        self.send(3)
        wait_until(lambda: all(m["state"] == "deferred" for m in self.suite.queue()) and len(self.suite.queue()) == 3)
        self.send(1, user="bob")
        self.send(1)
        wait_until(lambda: len(self.held()) == 4)
        self.assertEqual({m["login"] for m in self.held()}, {"alice@example.org"})

    def test_what_an_administrator_holds_stays(self):
        self.remote.stop()
        self.send(3)
        wait_until(lambda: all(m["state"] == "deferred" for m in self.suite.queue()) and len(self.suite.queue()) == 3)
        mine = self.suite.queue()[0]["id"]
        self.suite.cli("queue", "hold", mine)
        self.send(1)
        wait_until(lambda: len(self.held()) == 4)
        self.assertEqual(self.shown()["held"], 3)
        self.assertNotIn(mine, [m["id"] for m in self.held("--contained")])
        done = self.suite.cli("user", "release", "alice@example.org", json=True)
        self.assertEqual(done["released"], 3)
        self.assertEqual([m["id"] for m in self.held()], [mine])
        self.send(4)
        wait_until(lambda: len(self.held("--contained")) == 7)  # those that wait again, and the new ones
        done = self.suite.cli("user", "release", "alice@example.org", "--purge", json=True)
        self.assertEqual(done["removed"], 7)
        self.assertEqual([m["id"] for m in self.suite.queue()], [mine])

    def test_a_removed_user(self):
        self.send(5)
        self.wait_for_relayed(3)
        self.suite.cli("user", "remove", "alice@example.org")
        wait_until(lambda: self.suite.cli("user", "contained", json=True) == [])
        self.assertEqual(len(self.held("--contained")), 2)
        self.suite.add_user("alice")
        self.send(1)
        self.wait_for_relayed(4)
        self.assertEqual(self.shown()["contained_since"], None)
        self.suite.cli("user", "remove", "alice@example.org")
        status, _, stderr = self.suite.run("user", "release", "nobody@example.org")
        self.assertEqual(status, 1, stderr)
        done = self.suite.cli("user", "release", "alice@example.org", json=True)
        self.assertEqual((done["was_contained"], done["released"]), (False, 2))
        self.wait_for_relayed(6)

    def test_none(self):
        self.configure(messages_per_user="none", recipients_per_user="none")
        self.suite.restart()
        self.send(5, to=[f"r{i}@far.example" for i in range(3)])
        self.wait_for_relayed(5)
        self.assertIsNone(self.shown()["contained_since"])

    @unittest.skipUnless(is_root(), "needs root to become another user")
    def test_a_user_of_this_machine(self):
        program = os.path.join(os.path.realpath(self.suite.build), "bin/barid")

        if not os.access(program, os.X_OK) or not all(
                os.stat(p).st_mode & 1 for p in parents(program)):
            self.skipTest("the build cannot be reached by another user")
        for _ in range(4):
            subprocess.run([program, "send", "--config", self.suite.config_file, "-f", "n@example.org", "x@far.example"],
                           stdin=subprocess.DEVNULL, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", check=True)
        who = f"uid:{NOBODY}"
        self.assertEqual(self.shown(who)["held"], 1)
        self.assertEqual(len(self.held("--login", who)), 1)
        self.assertTrue(self.suite.cli("user", "release", who, json=True)["was_contained"])
        self.wait_for_relayed(4)


def parents(path):
    while path != "/":
        path = os.path.dirname(path)
        yield path


if __name__ == "__main__":
    unittest.main()
