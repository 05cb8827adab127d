"""What a sender hears of mail that could not be delivered, and when he hears nothing (RFC 3464, 5321 6.1)."""

from harness import message, split_message, wait_until
from relaying import Bounce, RelayTest, states, wait_for_empty_queue

FROM = "alice@example.org"


class Bounces(RelayTest):
    def dead_end(self, zone, **relay):
        dns = self.dns(zone)
        return self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}}, relay=relay)

    def bounce_to_alice(self, suite, timeout=20):
        return Bounce(suite.wait_for_mail("alice", timeout=timeout)[0])

    def test_refused_by_the_remote_server(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 no carol here"}})
        content = message("the original", subject="what was sent")
        suite.send(FROM, ["carol@remote.example"], content)
        bounce = self.bounce_to_alice(suite)
        fields, _ = split_message(bounce.octets)
        self.assertEqual(fields[0], b"Return-Path: <>")
        self.assertIn("alice@example.org", bounce.mail["To"])
        self.assertTrue(bounce.mail["Message-ID"])
        self.assertTrue(bounce.mail["Date"].datetime)
        self.assertTrue(bounce.mail["Subject"])
        self.assertRegex(bounce.mail["Auto-Submitted"], "auto-(replied|generated)")
        self.assertIn("@", bounce.mail["From"])
        self.assertEqual(str(bounce.about["Reporting-MTA"]).replace(" ", ""), "dns;mx.example.org")
        recipient = bounce.recipients["carol@remote.example"]
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.1.1")
        self.assertRegex(recipient["Diagnostic-Code"], r"smtp; ?550 5\.1\.1 no carol here")
        self.assertIn("carol@remote.example", bounce.text)
        self.assertIn(b"Subject: what was sent\r\n", bounce.octets)
        wait_for_empty_queue(suite)

    def test_a_report_stands_beside_its_message(self):
        """And says in plain words what happened, once for all."""
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 nobody"}})
        suite.send(FROM, ["carol@remote.example", "dave@remote.example"],
                   message("the original", headers="Message-ID: <one@client.example>\r\n"))
        bounce = self.bounce_to_alice(suite)
        self.assertEqual((bounce.mail["In-Reply-To"], bounce.mail["References"]), ("<one@client.example>",) * 2)
        for_people = bounce.text.split("The rest of this part is for experts")[0]
        self.assertRegex(for_people, r"<carol@remote\.example>\r?\n  <dave@remote\.example>\r?\n    There is no such mailbox\.\r?\n")
        self.assertEqual(for_people.count("There is no such mailbox."), 1)

    def test_the_last_dialogue_is_quoted(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 no carol here"}})
        suite.send(FROM, ["carol@remote.example"], message("the original"))
        bounce = self.bounce_to_alice(suite)
        for_people, for_experts = bounce.text.split("The rest of this part is for experts")
        self.assertIn("no carol here", for_people)
        self.assertRegex(for_experts, r"\n +\d+ > RCPT TO:<carol@remote.example>\r?\n")
        self.assertRegex(for_experts, r"\n +\d+ < 550 5\.1\.1 no carol here\r?\n")
        self.assertNotIn("the original", bounce.text)

    def test_one_bounce_for_all_recipients_of_one_attempt(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 nobody"}})
        suite.send(FROM, ["carol@remote.example", "dave@remote.example"], message())
        bounce = self.bounce_to_alice(suite)
        self.assertEqual(set(bounce.recipients), {"carol@remote.example", "dave@remote.example"})

    def test_an_answer_to_a_report_reaches_the_postmaster(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 no"}})
        suite.cli("domain", "add", "example.org", "--postmaster", "bob@example.org")
        suite.send(FROM, ["carol@remote.example"], message())
        author = self.bounce_to_alice(suite).mail["From"].addresses[0].addr_spec
        self.assertEqual(author, "MAILER-DAEMON@mx.example.org")
        suite.send(FROM, [author], message("what does that mean?"))
        self.assertIn(b"what does that mean?", suite.wait_for_mail("bob")[0])

    def test_an_unreachable_server_says_nothing_but_we_do(self):
        """RFC 3464 2.3.5, 2.3.6: a Remote-MTA only with what it said itself."""
        port, (address,) = self.remotes(None)
        suite = self.suite(config={"route remote.example": {"to": f"smtp://{address}:{port}"}},
                           relay={"retry": "1s", "expire": "2s", "delay_warning": None})
        suite.send(FROM, ["carol@remote.example"], message())
        recipient = self.bounce_to_alice(suite).recipients["carol@remote.example"]
        self.assertEqual((recipient["Status"], recipient["Remote-MTA"]), ("4.4.7", None))
        self.assertRegex(recipient["Diagnostic-Code"], "^X-Barid; .*refused")
        self.assertTrue(recipient["Final-Log-ID"])

    def test_content_refused(self):
        suite, _ = self.routed({"replies": {"DOT": "554 5.7.1 looks like spam"}})
        suite.send(FROM, ["carol@remote.example"], message())
        self.assertEqual(self.bounce_to_alice(suite).recipients["carol@remote.example"]["Status"], "5.7.1")

    def test_no_such_domain(self):
        suite = self.dead_end({"there.example": {"A": ["127.0.0.1"]}})
        suite.send(FROM, ["carol@not-there.example"], message())
        recipient = self.bounce_to_alice(suite).recipients["carol@not-there.example"]
        self.assertEqual(recipient["Action"], "failed")
        self.assertRegex(recipient["Status"], r"^5\.(1\.2|4\.4)$")

    def test_null_mx(self):
        """A domain that says it takes no mail (RFC 7505)."""
        suite = self.dead_end({"nomail.example": {"MX": [[0, "."]], "A": ["127.0.0.1"]}})
        suite.send(FROM, ["carol@nomail.example"], message())
        self.assertEqual(self.bounce_to_alice(suite).recipients["carol@nomail.example"]["Status"], "5.1.10")

    def test_expired(self):
        suite, _ = self.routed({"replies": {"RCPT": "451 4.2.0 mailbox locked"}},
                               relay={"retry": "1s", "expire": "3s", "delay_warning": None})
        suite.send(FROM, ["carol@remote.example"], message())
        recipient = self.bounce_to_alice(suite).recipients["carol@remote.example"]
        self.assertEqual(recipient["Action"], "failed")
        self.assertRegex(recipient["Status"], r"^[45]\.\d\.\d+$")
        self.assertIn("451 4.2.0 mailbox locked", recipient["Diagnostic-Code"])
        wait_for_empty_queue(suite)

    def test_routes_with_times_of_their_own(self):
        """[route] expire and delay_warning: senders are told by the route, and what goes elsewhere waits on."""
        far, slow, near = (self.remote({"replies": {"RCPT": "451 4.2.0 mailbox locked"}}) for _ in range(3))
        suite = self.suite(relay={"retry": "1s"}, config={
            "route far.example": {"to": f"smtp://{far.host}:{far.port}", "delay_warning": "none"},
            "route slow.example": {"to": f"smtp://{slow.host}:{slow.port}", "expire": "1h", "delay_warning": "1s"},
            "route near.example": {"to": f"smtp://{near.host}:{near.port}", "expire": "3s", "delay_warning": "none"}})
        suite.send(FROM, ["carol@far.example", "carol@slow.example", "carol@near.example"], message())
        said = {}
        for octets in suite.wait_for_mail("alice", 2, 60):
            said.update({a: str(r["Action"]) for a, r in Bounce(octets).recipients.items()})
        self.assertEqual(said, {"carol@slow.example": "delayed", "carol@near.example": "failed"})
        left = suite.recipients()
        self.assertLess(left["carol@slow.example"]["expires"], left["carol@far.example"]["expires"])
        self.assertNotEqual(left["carol@far.example"]["state"], "bounced")

    def test_null_sender_never_bounces(self):
        suite, remote = self.routed({"replies": {"RCPT": "550 5.1.1 no"}})
        suite.cli("alias", "add", "postmaster@example.org", "bob@example.org")
        suite.send("", ["carol@remote.example"], message())
        wait_until(lambda: remote.connections and not states(suite), 15, lambda: f"the end: {suite.queue()}")
        self.assertEqual((suite.count("alice"), suite.count("bob")), (0, 0))
        self.assertEqual(remote.messages, [])

    def test_a_bounce_that_nobody_takes_ends_there(self):
        """The sender is ours but unknown: his bounce has nowhere to go and makes no other."""
        suite, remote = self.routed({"replies": {"RCPT": "550 5.1.1 no"}})
        suite.send("gone@example.org", ["carol@remote.example"], message())
        wait_until(lambda: remote.connections and not states(suite), 15, lambda: f"the end: {suite.queue()}")
        self.assertEqual(suite.count("alice"), 0)

    def test_bounces_to_elsewhere_come_from_nobody(self):
        script = {"replies": {"RCPT": {"carol@remote.example": "550 5.1.1 no"}}}
        suite, remote = self.routed(script)
        suite.send("eve@remote.example", ["carol@remote.example"], message())
        got = remote.wait(1)[0]
        self.assertEqual((got["from"], got["rcpts"]), ("", ["eve@remote.example"]))
        self.assertIn("carol@remote.example", Bounce(got["data"]).recipients)
        wait_for_empty_queue(suite)

    def test_an_alias_to_elsewhere_bounces_to_the_sender(self):
        suite, _ = self.routed({"replies": {"RCPT": {"*": "550 5.1.1 gone", "carol@remote.example": "550 5.1.1 no"}}})
        suite.cli("alias", "add", "team@example.org", "bob@example.org", "carol@remote.example")
        suite.send(FROM, ["team@example.org"], message())
        bounce = self.bounce_to_alice(suite)
        self.assertIn("carol@remote.example", bounce.recipients)
        self.assertRegex(bounce.text, r"<carol@remote.example>\r?\n +\(you wrote to <team@example.org>\)")
        self.assertEqual(suite.count("bob"), 1)

    def test_a_large_message_comes_back_without_its_body(self):
        suite, _ = self.routed({"replies": {"RCPT": "550 5.1.1 no"}})
        suite.send(FROM, ["carol@remote.example"], message(b"0123456789abcdef" * 4 + b"\r\n" + b"x" * 60 + b"\r\n"
                                                          + (b"y" * 70 + b"\r\n") * 20000, subject="large"))
        bounce = self.bounce_to_alice(suite)
        self.assertIn(b"Subject: large\r\n", bounce.octets)
        self.assertLess(len(bounce.octets), 200000)

    def test_remote_text_cannot_add_lines_to_the_report(self):
        suite, _ = self.routed({"replies": {"RCPT": "550-5.1.1 no\n550-Action: delivered\n550 5.1.1 \x07\x1b[31m"}})
        suite.send(FROM, ["carol@remote.example"], message())
        bounce = self.bounce_to_alice(suite)
        recipient = bounce.recipients["carol@remote.example"]
        self.assertEqual(recipient.get_all("Action"), ["failed"])
        for octet in (b"\x07", b"\x1b"):
            self.assertNotIn(octet, bounce.octets)
        wait_for_empty_queue(suite)
