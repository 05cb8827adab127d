"""Devices: an app password with --device has its own view of the mailbox. A message goes when every device has
deleted it; nothing is lost or half done when a process is killed around QUIT."""

import os
import random
import time
import unittest

from harness import PASSWORD, Suite, kill_quietly, message, wait_until

SEED = int(os.environ.get("BARID_SEED", "11"))


class Devices(unittest.TestCase):
    def setUp(self):
        self.suite = Suite(users=("alice",)).start()
        self.addCleanup(self.suite.close)
        self.passwords = {name: self.add(name) for name in ("phone", "pc")}

    def add(self, name):
        rows = self.suite.cli("user", "app-password", "add", self.suite.full("alice"), name, "--device", json=True)
        return rows["password"]

    def deliver(self, n):
        before = len(self.subjects())
        for i in range(n):
            self.suite.send("x@example.net", [self.suite.full("alice")], message(subject=f"m{before + i}"))
        self.suite.wait_for_mail("alice", before + n)

    def session(self, name=None):
        return self.suite.pop3("alice", self.passwords.get(name, PASSWORD))

    def subjects(self, name=None):
        with self.session(name) as client:
            return [self.subject(client.retr(n)) for n in range(1, client.count() + 1)]

    @staticmethod
    def subject(octets):
        return next(line[9:].decode() for line in octets.splitlines() if line.startswith(b"Subject: "))

    def delete(self, name, *numbers):
        with self.session(name) as client:
            for n in numbers:
                client.ask(f"DELE {n}")

    def show(self):
        return self.suite.cli("mailbox", "show", self.suite.full("alice"), json=True)

    def test_two_devices(self):
        self.deliver(3)
        self.delete("phone", 1, 2)
        self.assertEqual(self.subjects("phone"), ["m2"])
        self.assertEqual(self.subjects("pc"), ["m0", "m1", "m2"])
        self.assertEqual(self.subjects(), ["m0", "m1", "m2"], "the user himself sees what there is")
        held = {d["name"]: d["messages"] for d in self.show()["devices"]}
        self.assertEqual(held, {"phone": 1, "pc": 3})
        with self.session("pc") as pc, self.session("phone") as phone:  # they do not lock each other out
            self.assertEqual((pc.count(), phone.count()), (3, 1))
        self.delete("pc", 1)
        self.assertEqual(self.subjects(), ["m1", "m2"])
        self.assertEqual(self.show()["deleted"], 1, "it can be undeleted")
        self.suite.restart()
        self.assertEqual(self.subjects("phone"), ["m2"])
        self.delete(None, 2)  # his own password: for all
        self.assertEqual(self.subjects("pc"), ["m1"])
        self.assertEqual(self.subjects("phone"), [])

    def test_a_device_comes_and_goes(self):
        self.deliver(2)
        self.delete("pc", 1, 2)
        self.passwords["tablet"] = self.add("tablet")
        self.assertEqual(self.subjects("tablet"), ["m0", "m1"], "it begins with everything")
        wait_until(lambda: len(self.show()["devices"]) == 3)
        self.delete("tablet", 1)
        self.delete("phone", 1)
        self.assertEqual(self.subjects(), ["m1"])
        self.delete("tablet", 1)
        self.suite.cli("user", "app-password", "remove", self.suite.full("alice"), "phone")
        wait_until(lambda: self.show()["messages"] == 0, what="what only the phone held is due")

    def test_killed_around_quit(self):
        """Whatever is killed and when: all deletions of the session count or none, and never for others."""
        rng = random.Random(SEED)
        self.deliver(6)
        gone = {"phone": 0, "pc": 0}
        for turn in range(6):
            name = ("phone", "pc")[turn % 2]
            role = ("queue", "mailbox", "pop3d")[turn % 3]
            client = self.session(name)
            there = client.count()
            marked = min(there, rng.randint(1, 3))
            for n in range(1, marked + 1):
                client.ask(f"DELE {n}")
            old = self.suite.pids_of(role)
            said = self.quit_and_kill(client, old, rng)
            wait_until(lambda: self.suite.is_replaced(role, old))
            left = self.count(name)
            self.assertIn(there - left, (0, marked), f"seed {SEED}, turn {turn}: {role}")
            if said:
                self.assertEqual(there - left, marked, f"seed {SEED}, turn {turn}: {role}")
            gone[name] += there - left
            other = "pc" if name == "phone" else "phone"
            self.assertEqual(self.count(other), 6 - gone[other], "the other device")
            self.assertEqual(self.count(), 6 - min(gone.values()))

    def count(self, name=None):
        def ask():
            try:
                with self.session(name) as client:
                    return (client.count(),)
            except (OSError, AssertionError):
                return None
        return wait_until(ask)[0]

    def quit_and_kill(self, client, old, rng):
        """QUIT goes out before or after the kill, which comes at any step of the UPDATE. Was it answered with +OK?"""
        is_late = rng.random() < 0.3
        try:
            if is_late:
                self.kill(old)
            client.wire.say("QUIT")
            if not is_late:
                time.sleep(rng.choice((0, 0, 0.001, 0.003)))
                self.kill(old)
            return (client.wire.line() or "").startswith("+OK")
        except OSError:
            return False
        finally:
            client.drop()

    @staticmethod
    def kill(pids):
        for pid in pids:
            kill_quietly(pid)


if __name__ == "__main__":
    unittest.main()
