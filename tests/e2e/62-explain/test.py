"""barid explain: what a server would say to a mail that nobody sent, and where it would go. What it
says is compared with what the server then does."""

import json
import unittest

from harness import Suite, free_port, message, own_address
from relaying import RelayTest

STRANGER = "eve@client.example"
REMOTE = "carol@remote.example"


class ExplainTest(RelayTest):
    def explain(self, suite, sender, rcpt, *options):
        """(accepted, document)."""
        status, stdout, stderr = suite.run("explain", "--from", sender, "--to", rcpt, *options, "--json")
        self.assertIn(status, (0, 1), stderr)
        document = json.loads(stdout)
        self.assertEqual(document["accepted"], status == 0)
        if status == 1:
            self.assertIn(document["reply"], json.loads(stderr)["error"])
        return status == 0, document


class Recipients(ExplainTest):
    def setUp(self):
        self.suite_ = self.suite(relay={"allow_from": "192.0.2.0/24"},
                                 config={"route remote.example": {"to": "smtp://10.9.8.7:2525", "expire": "2d"}})
        self.suite_.cli("alias", "add", "team@example.org", "alice@example.org", REMOTE)
        self.suite_.cli("alias", "add", "@example.org", "bob@example.org")
        self.suite_.cli("domain", "add", "bare.example")
        self.suite_.cli("user", "quota", "bob@example.org", "3000")

    def test_the_server_says_the_same(self):
        suite = self.suite_
        rcpts = ["alice@example.org", "Alice+tag@Example.ORG", "team@example.org", "anybody@example.org",
                 "nobody@bare.example", REMOTE, "postmaster", "<postmaster@bare.example>", "no address"]
        with suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask(f"MAIL FROM:<{STRANGER}>")
            for rcpt in rcpts:
                code, texts = wire.ask(f"RCPT TO:<{rcpt.strip('<>')}>")
                _, said = self.explain(suite, STRANGER, rcpt)
                self.assertEqual(said["reply"], f"{code} {texts[0]}", said)

    def test_where_it_would_go(self):
        _, said = self.explain(self.suite_, STRANGER, "team@example.org")
        self.assertEqual(said["rule"], "local domain: alias")
        self.assertEqual(said["aliases"], [{"alias": "team@example.org", "leads_to": "alice@example.org"},
                                           {"alias": "team@example.org", "leads_to": REMOTE}])
        self.assertEqual([m["address"] for m in said["mailboxes"]], ["alice@example.org"])
        remote, = said["remote"]
        self.assertEqual((remote["by"], remote["next_hop"], remote["tls"], remote["action"]),
                         ("route remote.example", "smtp://10.9.8.7:2525", "opportunistic", "send"))
        self.assertEqual((remote["expire"], remote["delay_warning"]), ("2d", "4h"))
        with open(self.suite_.config_file) as f:
            self.assertIn("10.9.8.7:2525", f.read().splitlines()[remote["line"] - 1])
        self.assertEqual([h["address"] for h in said["hops"]], ["10.9.8.7:2525"])
        self.assertEqual(said["unknown"], [])

    def test_in_and_outside_allow_from(self):
        for client, is_accepted in (("192.0.2.9", True), ("192.0.3.9", False)):
            accepted, said = self.explain(self.suite_, STRANGER, REMOTE, "--client", client)
            self.assertEqual(accepted, is_accepted, said)
            self.assertIn("allow_from", said["rule"])
            self.assertIn(client, said["rule"])
            with open(self.suite_.config_file) as f:
                self.assertIn("allow_from", f.read().splitlines()[said["line"] - 1])
            self.assertEqual([h["address"] for h in said["hops"]], ["10.9.8.7:2525"])

    def test_a_quota_that_leaves_no_room(self):
        suite = self.suite_
        _, said = self.explain(suite, STRANGER, "bob@example.org")
        box, = said["mailboxes"]
        self.assertEqual((box["quota"], box["quota_left"], box["has_room"]), (3000, 3000, True))
        suite.send(STRANGER, ["bob@example.org"], message("x" * 60 + "\r\n" + "y" * 900))
        left = self.explain(suite, STRANGER, "bob@example.org")[1]["mailboxes"][0]["quota_left"]
        self.assertEqual(left, 3000 - suite.cli("mailbox", "show", "bob@example.org", json=True)["octets"])
        accepted, said = self.explain(suite, STRANGER, "bob@example.org", "--size", left + 1)
        self.assertFalse(accepted)
        self.assertEqual(said["reply"][:9], "452 4.2.2")
        self.assertTrue(self.explain(suite, STRANGER, "bob@example.org", "--size", left)[0])

    def test_with_the_daemons_down_it_says_what_it_knows(self):
        suite = self.suite_
        suite.stop()
        accepted, said = self.explain(suite, STRANGER, "team@example.org")
        self.assertTrue(accepted)
        self.assertEqual(said["mailboxes"][0]["quota_left"], None)
        self.assertEqual(said["remote"][0]["next_hop"], "smtp://10.9.8.7:2525")
        self.assertEqual(said["hops"], [])
        self.assertEqual({u["about"] for u in said["unknown"]},
                         {"room in mailboxes", "addresses of other servers"})
        self.assertFalse(self.explain(suite, STRANGER, REMOTE)[0])

    def test_what_was_typed_wrongly(self):
        for args in (("--from", STRANGER), ("--to", REMOTE),
                     ("--from", STRANGER, "--to", REMOTE, "--client", "192.0.2"),
                     ("--from", STRANGER, "--to", REMOTE, "--size", "big")):
            self.assertEqual(self.suite_.run("explain", *args)[0], 2, args)
        text = self.suite_.cli("explain", "--from", STRANGER, "--to", "alice@example.org")
        self.assertRegex(text, r"accepted: yes\nreply:    250 2.1.5 Ok\n")

    def test_sender_size_and_helo(self):
        suite = self.suite_
        for options, reply in ((("--size", "99999999999"), "552 5.3.4"), (("--helo", "a\tb"), "501 5.5.4")):
            accepted, said = self.explain(suite, STRANGER, "alice@example.org", *options)
            self.assertEqual((accepted, said["reply"][:9]), (False, reply))
        self.assertEqual(self.explain(suite, "no address", "alice@example.org")[1]["reply"][:9], "501 5.1.7")
        self.assertTrue(self.explain(suite, "<>", "alice@example.org")[0])
        self.assertTrue(self.explain(suite, "", "alice@example.org")[0])


class Ways(ExplainTest):
    def test_mx_in_the_order_of_trying(self):
        port = free_port(own_address())
        dns = self.dns({"remote.example": {"MX": [[20, "b.remote.example"], [10, "a.remote.example"]]},
                        "a.remote.example": {"A": ["127.3.2.1"]}, "b.remote.example": {"A": ["127.3.2.2"]},
                        "null.example": {"MX": [[0, "."]]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}}, relay={"port": port, "tls": "required"})
        _, said = self.explain(suite, STRANGER, REMOTE, "--client", "127.0.0.1")
        self.assertEqual(said["remote"][0]["by"], "MX")
        self.assertEqual([(h["host"], h["address"], h["tls"]) for h in said["hops"]],
                         [("a.remote.example", f"127.3.2.1:{port}", "required"),
                          ("b.remote.example", f"127.3.2.2:{port}", "required")])
        _, said = self.explain(suite, STRANGER, "x@null.example", "--client", "127.0.0.1")
        self.assertEqual(said["hops"][0]["reply"][:10], "556 5.1.10")

    def test_smarthost_and_hold(self):
        suite = self.suite(relay={"smarthost": "smtp://10.1.1.1:2525, smtp://10.1.1.2"},
                           config={"route held.example": {"to": "hold"}})
        _, said = self.explain(suite, STRANGER, REMOTE, "--client", "127.0.0.1")
        self.assertEqual(said["remote"][0]["by"], "smarthost")
        self.assertEqual([h["address"] for h in said["hops"]], ["10.1.1.1:2525", "10.1.1.2:25"])
        _, said = self.explain(suite, STRANGER, "x@held.example", "--client", "127.0.0.1")
        self.assertEqual((said["remote"][0]["action"], said["hops"]), ("hold", []))


class Logins(ExplainTest):
    def test_who_logs_in(self):
        port = free_port(own_address())
        suite = Suite(config={"route remote.example": {"to": "smtp://10.9.8.7:2525"},
                              "listen submission": {"address": f"127.0.0.1:{port}",
                                                    "plaintext_without_tls": "yes"}})
        self.addCleanup(suite.close)
        suite.start()
        suite.add_user("dora")
        suite.cli("user", "disable", "dora@example.org")
        suite.cli("user", "forward", "bob@example.org", "alice@example.org")
        rows = (("alice@example.org", "alice@example.org", REMOTE, "250 2.1.5"),
                ("alice@example.org", "alice@example.org", "bob@example.org", "250 2.1.5"),
                ("alice", "alice+x@example.org", REMOTE, "250 2.1.5"),
                ("alice@example.org", "bob@example.org", REMOTE, "553 5.7.1"),
                ("bob@example.org", "bob@example.org", REMOTE, "250 2.1.5"),
                ("dora@example.org", "dora@example.org", REMOTE, "535 5.7.13"),
                ("nobody@example.org", "alice@example.org", REMOTE, "535 5.7.8"))
        for login, sender, rcpt, reply in rows:
            _, said = self.explain(suite, sender, rcpt, "--login", login)
            self.assertEqual(said["reply"][:len(reply)], reply, said)
            self.assertEqual(said["listener"], "submission")

    def test_no_listener_for_it(self):
        suite = self.suite()
        status, _, stderr = suite.run("explain", "--from", STRANGER, "--to", REMOTE, "--login", "alice")
        self.assertEqual(status, 1)
        self.assertIn("[listen submission]", stderr)


if __name__ == "__main__":
    unittest.main()
