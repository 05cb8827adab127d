"""Mail for elsewhere: where it goes, what comes back, and what the queue says of it."""

from harness import message, wait_until, without_trace
from relaying import RelayTest, open_states, wait_for_empty_queue, wait_for_state

FROM = "alice@example.org"


class NextHop(RelayTest):
    def test_route(self):
        suite, remote = self.routed()
        content = message(b"routed\r\n.dot\r\n..\r\n")
        suite.send(FROM, ["carol@remote.example"], content)
        got = remote.wait(1)[0]
        self.assertEqual((got["from"], got["rcpts"]), (FROM, ["carol@remote.example"]))
        self.assertEqual(without_trace(got["data"]), content)
        self.assertEqual(got["helo"], "mx.example.org")
        self.assertEqual(remote.violations, [])
        wait_for_empty_queue(suite)
        suite.stop()

    def test_smarthost_takes_all_but_the_routed(self):
        routed, smarthost = self.remote(), self.remote()
        suite = self.suite(config={"route remote.example": {"to": f"smtp://{routed.host}:{routed.port}"}},
                           relay={"smarthost": f"smtp://{smarthost.host}:{smarthost.port}"})
        suite.send(FROM, ["carol@remote.example", "dave@far.example", "alice@example.org"], message())
        self.assertEqual(routed.wait(1)[0]["rcpts"], ["carol@remote.example"])
        self.assertEqual(smarthost.wait(1)[0]["rcpts"], ["dave@far.example"])
        self.assertEqual(suite.count("alice"), 1)

    def by_mx(self, dns, port, **relay):
        return self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                          relay={"port": port, **relay})

    def test_mx_lowest_preference_first(self):
        port, (first, second) = self.remotes({}, {})
        dns = self.dns({"remote.example": {"MX": [[20, "b.remote.example"], [10, "a.remote.example"]]},
                        "a.remote.example": {"A": [first.host]}, "b.remote.example": {"A": [second.host]}})
        suite = self.by_mx(dns, port)
        suite.send(FROM, ["carol@remote.example"], message())
        self.assertEqual(len(first.wait(1)), 1)
        wait_for_empty_queue(suite)
        self.assertEqual(second.connections, 0)

    def test_mx_next_when_one_is_down_or_unwilling(self):
        port, (nobody, unwilling, last) = self.remotes(None, {"greeting": "421 4.3.2 busy"}, {})
        dns = self.dns({"remote.example": {"MX": [[10, "a.remote.example"], [20, "b.remote.example"],
                                                  [30, "c.remote.example"]]},
                        "a.remote.example": {"A": [nobody]}, "b.remote.example": {"A": [unwilling.host]},
                        "c.remote.example": {"A": [last.host]}})
        suite = self.by_mx(dns, port)
        suite.send(FROM, ["carol@remote.example"], message())
        self.assertEqual(len(last.wait(1)), 1)
        self.assertGreaterEqual(unwilling.connections, 1)
        wait_for_empty_queue(suite)

    def test_no_mx_means_the_address_itself(self):
        port, (host,) = self.remotes({})
        dns = self.dns({"remote.example": {"A": [host.host]}})
        suite = self.by_mx(dns, port)
        suite.send(FROM, ["carol@remote.example"], message())
        self.assertEqual(host.wait(1)[0]["rcpts"], ["carol@remote.example"])

    def test_a_route_of_several_domains_by_their_mx(self):
        """One message, and then another over the connections that were kept: each domain has its own servers."""
        port, (first, second) = self.remotes({}, {})
        dns = self.dns({f"{name}.sub.example": {"MX": [[10, f"mx.{name}.sub.example"]]} for name in ("a", "b")} |
                       {"mx.a.sub.example": {"A": [first.host]}, "mx.b.sub.example": {"A": [second.host]}})
        for route in ("sender:@example.org", ".sub.example"):
            suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}, f"route {route}": {"to": "mx"}},
                               relay={"port": port})
            before = len(first.messages)
            suite.send("alice@example.org", ["x@a.sub.example", "y@b.sub.example"], message())
            wait_for_empty_queue(suite)
            suite.send("alice@example.org", ["y@b.sub.example"], message())
            suite.send("alice@example.org", ["x@a.sub.example"], message())
            wait_for_empty_queue(suite)
            for remote, rcpt in ((first, "x@a.sub.example"), (second, "y@b.sub.example")):
                self.assertEqual([m["rcpts"] for m in remote.wait(before + 2, 30)[before:]], [[rcpt], [rcpt]])
            suite.close()

    def test_dns_failure_is_not_now(self):
        dns = self.dns({"remote.example": {"rcode": "SERVFAIL"}})
        suite = self.by_mx(dns, 25)
        suite.send(FROM, ["carol@remote.example"], message())
        wait_for_state(suite, "carol@remote.example", "deferred", 40)
        self.assertEqual(suite.count("alice"), 0)

    def test_an_mx_answer_may_not_lead_to_loopback(self):
        port, (host,) = self.remotes({})
        dns = self.dns({"remote.example": {"MX": [[10, "mx.remote.example"]]},
                        "mx.remote.example": {"A": [host.host]}})
        suite = self.by_mx(dns, port, never_connect_to=None)
        suite.send(FROM, ["carol@remote.example"], message())
        wait_until(lambda: ("mx.remote.example", "A") in dns.queries, 15, "the question for the address")
        wait_until(lambda: open_states(suite).get("carol@remote.example", "bounced") in ("deferred", "bounced"))
        self.assertEqual(host.connections, 0)

    def test_nor_by_an_address_that_stands_for_one(self):
        """NAT64 and 6to4: there may be a router that leads back from there."""
        dns = self.dns({"remote.example": {"MX": [[10, "mx.remote.example"]]},
                        "mx.remote.example": {"AAAA": ["64:ff9b::7f00:1", "2002:7f00:1::1"]}})
        suite = self.by_mx(dns, 25, never_connect_to=None)
        suite.send(FROM, ["carol@remote.example"], message())
        self.assertIn(b"Status: 5.4.4\r\n", suite.wait_for_mail("alice", timeout=30)[0])

    def test_who_may_not_relay(self):
        """Without allow_from nobody may; the queue is asked again and agrees."""
        suite = self.suite(relay={"allow_from": "192.0.2.0/24"})
        with suite.wire() as wire:
            wire.ask("EHLO client.example")
            wire.ask("MAIL FROM:<alice@example.org>")
            code, texts = wire.ask("RCPT TO:<carol@remote.example>")
            self.assertEqual((code, texts[0][:5]), (550, "5.7.1"))
        self.assertEqual(suite.queue(), [])


class Attempts(RelayTest):
    def test_deferred_then_delivered_after_retry(self):
        suite, remote = self.routed({"replies": {"RCPT": ["451 4.7.1 greylisted, come back", "250 2.1.5 ok"]}})
        suite.send(FROM, ["carol@remote.example"], message())
        recipient = wait_for_state(suite, "carol@remote.example", "deferred")
        self.assertIn("451 4.7.1 greylisted, come back", recipient["last_reply"])
        self.assertEqual(recipient["attempts"], 1)
        entry = suite.queue()[0]
        suite.cli("queue", "retry", entry["id"])
        self.assertEqual(len(remote.wait(1)), 1)
        wait_for_empty_queue(suite)
        self.assertEqual(suite.count("alice"), 0)

    def test_a_verdict_for_each_recipient(self):
        suite, remote = self.routed({"replies": {"RCPT": {"later@remote.example": "450 4.2.1 busy",
                                                          "never@remote.example": "550 5.1.1 unknown"}}})
        rcpts = ["yes@remote.example", "later@remote.example", "never@remote.example"]
        suite.send(FROM, rcpts, message())
        self.assertEqual(remote.wait(1)[0]["rcpts"], ["yes@remote.example"])
        wait_for_state(suite, "later@remote.example", "deferred")
        self.assertEqual(open_states(suite), {"later@remote.example": "deferred"})
        bounce = suite.wait_for_mail("alice")[0]
        self.assertIn(b"never@remote.example", bounce)
        self.assertNotIn(b"Final-Recipient: rfc822;later@", bounce.replace(b"; ", b";"))
        remote.script["replies"].clear()
        suite.cli("queue", "retry", suite.queue()[0]["id"])
        self.assertEqual([m["rcpts"] for m in remote.wait(2)][1], ["later@remote.example"])
        wait_for_empty_queue(suite)

    def test_several_recipients_in_one_transaction(self):
        suite, remote = self.routed()
        rcpts = [f"user{n}@remote.example" for n in range(10)]
        suite.send(FROM, rcpts, message())
        self.assertEqual([sorted(m["rcpts"]) for m in remote.wait(1)], [sorted(rcpts)])

    def test_several_messages_on_one_connection(self):
        suite, remote = self.routed({"replies": {"MAIL": "450 4.3.0 not now"}})
        for n in range(20):
            suite.send(FROM, ["carol@remote.example"], message(f"number {n}"))
        wait_until(lambda: [m["recipients"][0]["state"] for m in suite.queue()] == ["deferred"] * 20)
        before = remote.connections
        remote.script["replies"].clear()
        suite.cli("queue", "retry", "--state", "deferred")
        self.assertEqual(len(remote.wait(20)), 20)
        self.assertLess(remote.connections - before, 20)
        self.assertEqual(remote.violations, [])

    def test_a_lost_connection_after_the_final_dot_is_not_success(self):
        suite, remote = self.routed({"replies": {"DOT": [{"drop": True}, "250 2.0.0 ok"]}})
        suite.send(FROM, ["carol@remote.example"], message())
        wait_for_state(suite, "carol@remote.example", "deferred")
        suite.cli("queue", "retry", suite.queue()[0]["id"])
        self.assertEqual(len(remote.wait(2)), 2)
        wait_for_empty_queue(suite)

    def test_old_servers(self):
        """No EHLO: HELO. No PIPELINING: one command at a time."""
        suite, remote = self.routed({"replies": {"EHLO": "502 5.5.1 what?"}, "ehlo": ["old.example"]})
        suite.send(FROM, ["carol@remote.example", "dave@remote.example"], message())
        self.assertEqual(len(remote.wait(1)), 1)
        self.assertEqual(remote.violations, [])

    def test_retries_come_by_themselves(self):
        suite, remote = self.routed({"replies": {"RCPT": ["451 4.7.1 later", "451 4.7.1 later", "250 ok"]}},
                                    relay={"retry": "1s"})
        suite.send(FROM, ["carol@remote.example"], message())
        self.assertEqual(len(remote.wait(1, 20)), 1)
        wait_for_empty_queue(suite)

    def test_deferred_mail_survives_a_restart(self):
        suite, remote = self.routed({"replies": {"RCPT": "451 4.7.1 later"}})
        suite.send(FROM, ["carol@remote.example"], message("before the restart"))
        wait_for_state(suite, "carol@remote.example", "deferred")
        entry = suite.queue()[0]
        suite.restart()
        self.assertEqual(suite.queue()[0]["id"], entry["id"])
        remote.script["replies"].clear()
        suite.cli("queue", "retry", entry["id"])
        self.assertTrue(remote.wait(1)[0]["data"].endswith(b"before the restart\r\n"))
        wait_for_empty_queue(suite)

    def test_mail_that_is_due_goes_out_after_a_restart(self):
        """Accepted while the relay cannot reach anybody, sent by the next life without being told."""
        suite, remote = self.routed({"replies": {"RCPT": ["451 4.7.1 later", "250 ok"]}},
                                    relay={"retry": "3s"})
        suite.send(FROM, ["carol@remote.example"], message())
        wait_for_state(suite, "carol@remote.example", "deferred")
        suite.restart()
        self.assertEqual(len(remote.wait(1, 20)), 1)

    def test_remove(self):
        suite, remote = self.routed({"replies": {"RCPT": "451 4.7.1 later"}})
        suite.send(FROM, ["carol@remote.example"], message())
        wait_for_state(suite, "carol@remote.example", "deferred")
        suite.cli("queue", "remove", suite.queue()[0]["id"])
        self.assertEqual(open_states(suite), {})
        self.assertEqual(suite.count("alice"), 0)
        self.assertEqual(remote.messages, [])
