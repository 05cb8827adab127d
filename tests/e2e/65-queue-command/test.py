"""`barid queue`: what it says and does, as JSON and for people."""

import json

from harness import message, wait_until
from relaying import RelayTest, open_states, wait_for_empty_queue, wait_for_state

FROM = "alice@example.org"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"


class Queue(RelayTest):
    def deferred(self, *addresses):
        suite, remote = self.routed({"replies": {"RCPT": "451 4.7.1 not now"}})
        for address in addresses:
            suite.send(FROM, [address], message(f"for {address}"))
        for address in addresses:
            wait_for_state(suite, address, "deferred")
        return suite, remote

    def test_list_json(self):
        suite, _ = self.deferred("carol@remote.example")
        entry, = suite.queue()
        self.assertEqual((entry["state"], entry["from"]), ("deferred", FROM))
        self.assertGreater(entry["size"], len(message()))
        self.assertRegex(entry["arrived"], TIME)
        self.assertRegex(entry["expires"], TIME)
        self.assertGreater(entry["expires"], entry["arrived"])
        self.assertIn("127.0.0.1", entry["client"])
        self.assertIn("login", entry)
        recipient, = entry["recipients"]
        self.assertEqual((recipient["address"], recipient["state"], recipient["attempts"]),
                         ("carol@remote.example", "deferred", 1))
        self.assertRegex(recipient["next_attempt"], TIME)
        self.assertIn("451 4.7.1 not now", recipient["last_reply"])
        self.assertEqual(suite.status()["queue"]["deferred"], 1)

    def test_trace_while_it_waits_and_after(self):
        suite, remote = self.deferred("carol@remote.example")
        entry, = suite.queue()
        told = suite.cli("trace", entry["id"], json=True)
        self.assertEqual((told["state"], told["from"]), ("here", FROM))
        self.assertIn("451 4.7.1 not now", told["events"][0]["reply"])
        suite.cli("queue", "remove", entry["id"])
        told = suite.cli("trace", entry["id"], json=True)
        self.assertEqual((told["state"], told["events"][-1]["event"]), ("gone", "removed"))

    def test_trace_of_an_address(self):
        """What it sent and got, here and elsewhere, newest first; more with --before."""
        suite, _ = self.deferred("carol@remote.example")
        alice = suite.full("alice")
        eve = "eve@client.example"
        suite.send(eve, [alice], message())
        suite.send(alice, ["carol@remote.example"], message())
        wait_until(lambda: len(suite.queue()) == 2, 30, "the second message")
        told = suite.cli("trace", alice.upper(), json=True)
        self.assertEqual([(t["way"], t["from"]) for t in told], [("sent", alice), ("received", eve), ("sent", alice)])
        self.assertEqual(told[0]["to"], "carol@remote.example")
        self.assertEqual(told[1]["to"].lower(), alice)
        self.assertEqual([t["state"] for t in told], ["here"] * 3)
        self.assertRegex(told[0]["arrived"], TIME)
        carol = suite.cli("trace", "carol@remote.example", json=True)
        self.assertEqual([t["way"] for t in carol], ["received"] * 2)
        newest, = suite.cli("trace", "carol@remote.example", "--limit", "1", json=True)
        self.assertEqual(newest, carol[0])
        older = suite.cli("trace", "carol@remote.example", "--before", newest["id"], json=True)
        self.assertEqual(older, carol[1:])
        status, stdout, stderr = suite.run("trace", "carol@remote.example", "--limit", "1")
        self.assertEqual((status, stdout.count("@remote.example")), (0, 1))
        self.assertIn("--before " + newest["id"], stderr)
        suite.send(eve, [alice], message(headers="Message-ID: <bare@id.example>\r\n"))
        self.assertEqual(suite.cli("trace", "bare@id.example", json=True)["from"], eve)
        for wrong in (("nobody@nowhere.example",), (alice, "--limit", "0"), (alice, "--before", "x")):
            self.assertEqual(suite.run("trace", *wrong)[0], 1, wrong)

    def test_trace_tells_what_was_said(self):
        suite, _ = self.deferred("carol@remote.example")
        entry, = suite.queue()
        told = suite.cli("trace", entry["id"], json=True)
        (attempt,) = told["attempts"]
        self.assertEqual(told["events"][0]["attempt"], attempt["attempt"])
        self.assertRegex(attempt["remote"], r"\]:\d+$")
        self.assertRegex(attempt["began"], TIME)
        said = [(line["who"], line["said"]) for line in told["dialogue"]]
        for line in (("=", "connected"), (">", "EHLO mx.example.org"), (">", "RCPT TO:<carol@remote.example>"),
                     ("<", "451 4.7.1 not now")):
            self.assertIn(line, said)
        self.assertEqual([line["ms"] for line in told["dialogue"]], sorted(line["ms"] for line in told["dialogue"]))
        self.assertNotIn("Subject", str(said))
        text = suite.cli("trace", entry["id"])
        self.assertIn("451 4.7.1 not now", text[text.index("dialogue:"):])

    def test_trace_from_connection_to_collection(self):
        """What users do with a message in their mailbox, in order, for people and programs."""
        suite = self.suite()
        alice = suite.full("alice")
        phone = suite.cli("user", "app-password", "add", alice, "phone", "--device", json=True)["password"]
        suite.send(FROM, [alice], message(headers="Message-ID: <life@example.org>\r\n"))
        suite.wait_for_mail("alice")  # retrieved with QUIT
        self.expect_life(suite, "retrieved")
        suite.mail("alice")  # again: not the first time
        dropped = suite.pop3("alice", phone)
        dropped.retr(1)
        dropped.wire.close()  # no QUIT
        self.expect_life(suite, "retrieved", "retrieved")
        with suite.pop3("alice") as session:
            session.ask("DELE 1")
        suite.cli("mailbox", "undelete", alice)
        self.expect_life(suite, "retrieved", "retrieved", "deleted", "undeleted")
        told = suite.cli("trace", "<life@example.org>", json=True)
        self.assertEqual((told["state"], [e["address"] for e in told["events"]]), ("here", [alice] * 3 + [""]))
        self.assertEqual([e["reply"].endswith(", device phone") for e in told["events"]], [False, True, False, False])
        for event in told["events"]:
            self.assertRegex(event["time"], TIME)
            self.assertRegex(event["reply"], r"^mailbox \d+")
        self.assertTrue(all("127." in e["remote"] for e in told["events"][:3]), told)
        text = suite.cli("trace", told["id"])
        at = [text.index(word) for word in ("retrieved", "device phone", " deleted", "undeleted")]
        self.assertEqual(at, sorted(at), text)

    @staticmethod
    def expect_life(suite, *events):
        def told():
            return tuple(e["event"] for e in suite.cli("trace", "<life@example.org>", json=True)["events"])
        wait_until(lambda: told() == events, 30, lambda: f"{events}; there is {told()}")

    def test_a_dry_run_and_the_size(self):
        suite, _ = self.deferred("carol@remote.example")
        said = suite.cli("queue", "remove", "--larger", "10", "--dry-run", json=True)
        self.assertEqual(said[0]["recipients"], 1)
        self.assertEqual(len(suite.queue()), 1)

    def test_people_see_some_recipients_and_programs_all(self):
        suite, _ = self.routed({"replies": {"RCPT": "451 4.7.1 not now"}})
        addresses = [f"r{n:02}@remote.example" for n in range(15)]
        suite.send(FROM, addresses, message("a list"))
        wait_for_state(suite, addresses[-1], "deferred")
        self.assertEqual(suite.cli("queue", "list").count("@remote.example"), 10)
        self.assertEqual(suite.cli("queue", "list", "--recipients", "2").count("@remote.example"), 2)
        entry, = suite.queue()
        self.assertEqual((len(entry["recipients"]), entry["recipients_count"]), (15, 15))
        self.assertEqual(suite.cli("queue", "show", entry["id"]).count("@remote.example"), 15)

    def test_empty_list_is_an_empty_array(self):
        suite = self.suite()
        self.assertEqual(suite.queue(), [])

    def test_show(self):
        suite, _ = self.deferred("carol@remote.example")
        entry, = suite.queue()
        shown = suite.cli("queue", "show", entry["id"], json=True)
        self.assertIn("carol@remote.example", json.dumps(shown))
        self.assertIn("carol@remote.example", suite.cli("queue", "show", entry["id"]))

    def test_show_of_a_filter(self):
        """One id: that message. Several, or a filter: an array, as of a list; nothing found is refused."""
        suite, _ = self.deferred("carol@remote.example", "dave@remote.example")
        ids = [m["id"] for m in suite.queue()]
        self.assertEqual(suite.cli("queue", "show", ids[0], json=True)["id"], ids[0])
        self.assertEqual([m["id"] for m in suite.cli("queue", "show", *ids, json=True)], ids)
        shown, = suite.cli("queue", "show", "--to", "dave@remote.example", json=True)
        self.assertEqual([r["address"] for r in shown["recipients"]], ["dave@remote.example"])
        self.assertEqual(len(suite.cli("queue", "show", "--older", "0s", "--larger", "0", json=True)), 2)
        status, stdout, stderr = suite.run("queue", "show", "--to", "nobody@remote.example")
        self.assertEqual((status, stdout, stderr.count("\n")), (1, "", 1), stderr)

    def test_naming_nothing_is_wrong_usage(self):
        suite, _ = self.deferred("carol@remote.example")
        for verb in ("show", "retry", "hold", "release", "bounce", "remove"):
            status, stdout, stderr = suite.run("queue", verb, "--json")
            self.assertEqual((status, stdout, list(json.loads(stderr))), (2, "", ["error"]), verb)
        self.assertEqual(suite.run("queue", "remove", "--dry-run")[0], 2)
        self.assertEqual(len(suite.queue()), 1)

    def test_unknown_ids_are_refused(self):
        suite = self.suite()
        for verb in ("show", "retry", "remove"):
            for wrong in ("0000000000000", "no-such-id", "'; DROP TABLE messages; --"):
                status, _, err = suite.run("queue", verb, wrong)
                self.assertIn(status, (1, 2), f"queue {verb} {wrong}: {err}")

    def test_filters(self):
        suite, _ = self.deferred("carol@remote.example", "dave@remote.example")
        for filters, count in ((("--to", "dave@remote.example"), 1), (("--from", FROM), 2),
                               (("--from", "nobody@example.org"), 0), (("--state", "deferred"), 2),
                               (("--state", "held"), 0), (("--domain", "remote.example"), 2),
                               (("--domain", "other.example"), 0)):
            self.assertEqual(len(suite.queue(*filters)), count, filters)

    def test_remove_one_of_two(self):
        suite, _ = self.deferred("carol@remote.example", "dave@remote.example")
        chosen = next(m["id"] for m in suite.queue() if m["recipients"][0]["address"].startswith("carol"))
        suite.cli("queue", "remove", chosen)
        self.assertEqual(open_states(suite), {"dave@remote.example": "deferred"})

    def test_hundreds_come_in_pages(self):
        """Longer than one page of an answer: all of them, each once."""
        suite, remote = self.routed({"replies": {"MAIL": "451 4.7.1 not now"}})
        with suite.smtp() as client:
            for n in range(450):
                client.sendmail(FROM, [f"user{n}@remote.example"], message())
        wait_until(lambda: suite.status()["queue"]["deferred"] == 450, 30, "450 deferred messages")
        listed = suite.queue()
        self.assertEqual({m["recipients"][0]["address"] for m in listed},
                         {f"user{n}@remote.example" for n in range(450)})
        self.assertEqual(len(listed), 450)
        remote.script["replies"].clear()
        suite.cli("queue", "retry", "--from", FROM)
        self.assertEqual(len(remote.wait(450, 30)), 450)
        wait_for_empty_queue(suite)

    def test_retry_by_filter(self):
        suite, remote = self.deferred("carol@remote.example", "dave@remote.example")
        remote.script["replies"].clear()
        suite.cli("queue", "retry", "--to", "dave@remote.example")
        self.assertEqual(remote.wait(1)[0]["rcpts"], ["dave@remote.example"])
        suite.cli("queue", "retry", "--domain", "remote.example")
        self.assertEqual(len(remote.wait(2)), 2)
        wait_for_empty_queue(suite)
