"""Mail that an alias sends on to another host: with a sender of ours, and the way back for its bounces (SRS)."""

import re

from harness import message, wait_until, without_trace
from relaying import ALLOW, RelayTest, wait_for_empty_queue, wait_for_state

SENDER = "Eve.Adams@client.example"
BOUNCE = message("could not be delivered", subject="failure")
SRS0 = r"SRS0=[A-Z2-7]{8}=[A-Z2-7]{2}=client\.example=Eve\.Adams@%s"


class Forwards(RelayTest):
    def hosts(self, **relay):
        """A suite with an alias to remote.example; what goes there, and what goes to the sender's host."""
        there, back = self.remote(), self.remote()
        suite = self.suite(config={"route remote.example": {"to": f"smtp://{there.host}:{there.port}"},
                                   "route client.example": {"to": f"smtp://{back.host}:{back.port}"}},
                           relay={"allow_from": None, **relay})
        suite.cli("alias", "add", "away@example.org", "carol@remote.example")
        return suite, there, back

    def reply(self, suite, sender, rcpt):
        """The reply to RCPT."""
        with suite.smtp() as client:
            client.ehlo("there.example")
            client.mail(sender)
            code, text = client.rcpt(rcpt)
            return f"{code} {text.decode()}"

    def test_there_and_a_bounce_back(self):
        suite, there, back = self.hosts()
        content = message("forwarded\r\n.\r\nas it is", headers="DKIM-Signature: v=1; b=x\r\n")
        suite.send(SENDER, ["away@example.org"], content)
        got = there.wait(1)[0]
        self.assertRegex(got["from"], "^" + SRS0 % r"example\.org" + "$")
        self.assertEqual(got["rcpts"], ["carol@remote.example"])
        self.assertEqual(without_trace(got["data"]), content)  # so that its signature holds
        wait_for_empty_queue(suite)
        suite.send("", [got["from"]], BOUNCE)
        bounce = back.wait(1)[0]
        self.assertEqual((bounce["from"], bounce["rcpts"]), ("", [SENDER]))
        self.assertEqual(without_trace(bounce["data"]), BOUNCE)
        wait_until(lambda: f'sender-rewritten by="away@example.org" to="{got["from"]}"' in suite.log()
                   or re.search(r"sender-rewritten .*" + re.escape(got["from"]), suite.log()), 5, "the log to tell it")

    def test_trace_and_queue_show_it(self):
        suite, there, _ = self.hosts()
        there.script["replies"] = {"DOT": "451 4.0.0 later"}
        suite.send(SENDER, ["away@example.org"], message())
        wait_for_state(suite, "carol@remote.example", "deferred")
        (queued,) = suite.queue()
        self.assertEqual(queued["from"], SENDER)
        events = suite.cli("trace", queued["id"], json=True)["events"]
        (rewritten,) = [e for e in events if e["event"] == "sender-rewritten"]
        self.assertRegex(rewritten["address"], SRS0 % r"example\.org")
        self.assertEqual(queued["recipients"][0]["sender"], rewritten["address"])

    def test_a_way_back_only_for_bounces_and_only_a_true_one(self):
        suite, there, back = self.hosts()
        suite.cli("alias", "add", "@example.org", "alice@example.org")
        suite.send(SENDER, ["away@example.org"], message())
        good = there.wait(1)[0]["from"]
        self.assertRegex(self.reply(suite, "", good), r"^250 ")
        self.assertRegex(self.reply(suite, "", good.lower()), r"^250 ")  # some servers change the case
        self.assertRegex(self.reply(suite, "x@there.example", good), r"^550 5\.7\.1 ")
        for forged in (good.replace("Eve.Adams", "other"), good.replace("=client.example", "=else.example"),
                       re.sub("=[A-Z2-7]{8}=", "=AAAAAAAA=", good), "SRS0=x@example.org", "SRS1=x@example.org"):
            self.assertRegex(self.reply(suite, "", forged), r"^550 5\.1\.1 ", forged)
        self.assertRegex(self.reply(suite, "", "SRS@example.org"), r"^250 ")  # the catch-all's
        self.assertEqual(back.messages, [])
        status, shown, _ = suite.run("explain", "--json", "--from", "x@there.example", "--to", good)
        self.assertEqual((status, "550 5.7.1" in shown), (1, True), shown)
        status, shown, _ = suite.run("explain", "--json", "--from", "", "--to", good)
        self.assertEqual((status, "srs" in shown), (0, True), shown)

    def test_mail_of_a_user_is_sent_on(self):
        suite, there, _ = self.hosts()
        where = "carol@remote.example"

        def shown():
            return [row["address"] for row in suite.cli("user", "show", "alice@example.org", json=True)["forward"]]
        self.assertEqual(shown(), [])
        suite.cli("user", "forward", "alice@example.org", where, "--keep")
        self.assertEqual(sorted(shown()), ["alice@example.org", where])
        self.assertNotIn("alice@example.org", [row["address"] for row in suite.cli("alias", "list", json=True)])
        suite.send(SENDER, ["alice+tag@example.org"], message("a copy stays"))
        self.assertEqual(there.wait(1)[0]["rcpts"], [where])
        self.assertRegex(there.messages[0]["from"], "^" + SRS0 % r"example\.org" + "$")
        self.assertEqual(suite.count("alice"), 1)
        suite.cli("user", "forward", "alice@example.org", where)
        self.assertEqual(shown(), [where])
        suite.restart()
        suite.send(SENDER, ["alice@example.org"], message("away"))
        there.wait(2)
        self.assertEqual(suite.count("alice"), 1)
        explained = suite.run("explain", "--json", "--from", "x@there.example", "--to", "alice@example.org")[1]
        self.assertIn("user, whose mail is sent on", explained)
        suite.cli("user", "forward", "alice@example.org", "none")
        self.assertEqual(shown(), [])
        suite.send(SENDER, ["alice@example.org"], message("back"))
        self.assertEqual(suite.count("alice"), 2)
        wait_for_empty_queue(suite)
        self.assertEqual(len(there.messages), 2)

    def test_a_user_is_himself_wherever_his_mail_goes(self):
        suite, _, _ = self.hosts()
        for words, why in ((("alias", "add", "alice@example.org", "x@remote.example"), "user forward"),
                           (("alias", "post", "alice@example.org", "users"), "user forward"),
                           (("alias", "remove", "alice@example.org"), "user forward"),
                           (("user", "forward", "alice@example.org", "none", "--keep"), "none"),
                           (("user", "forward", "alice@example.org", "no address"), "not an address"),
                           (("user", "forward", "nobody@example.org", "alice@example.org"), "no user")):
            status, _, said = suite.run(*words)
            self.assertEqual((status, why in said), (1, True), said)
        suite.cli("user", "forward", "alice@example.org", "bob@example.org")
        suite.cli("user", "forward", "bob@example.org", "alice@example.org")  # round in a circle: nothing is lost
        suite.send(SENDER, ["alice@example.org", "bob@example.org"], message())
        self.assertEqual((suite.count("alice"), suite.count("bob")), (1, 1))
        suite.cli("user", "remove", "alice@example.org")
        self.assertRegex(self.reply(suite, SENDER, "alice@example.org"), r"^550 5\.1\.1 ")
        self.assertIn("bob@example.org", suite.run("check")[2] + suite.run("check")[1])
        suite.add_user("alice")
        self.assertEqual(suite.cli("user", "show", "alice@example.org", json=True)["forward"], [])

    def test_the_key_outlives_a_restart(self):
        suite, there, _ = self.hosts()
        suite.send(SENDER, ["away@example.org"], message())
        good = there.wait(1)[0]["from"]
        suite.restart()
        self.assertRegex(self.reply(suite, "", good), r"^250 ")

    def test_what_another_forwarder_rewrote(self):
        suite, there, _ = self.hosts()
        suite.send("SRS0=abcd=XY=first.example=eve@client.example", ["away@example.org"], message())
        got = there.wait(1)[0]["from"]
        self.assertRegex(got, r"^SRS1=[A-Z2-7]{8}=client\.example==abcd=XY=first\.example=eve@example\.org$")
        self.assertRegex(self.reply(suite, "", got), r"^250 ")

    def test_null_senders_and_our_own_stay(self):
        suite, there, _ = self.hosts()
        suite.send("", ["away@example.org"], BOUNCE)
        self.assertEqual(there.wait(1)[0]["from"], "")
        suite.send("alice@example.org", ["away@example.org"], message())
        self.assertEqual(there.wait(2)[1]["from"], "alice@example.org")

    def test_named_recipients_keep_the_sender(self):
        suite, there, _ = self.hosts(**ALLOW)
        suite.send(SENDER, ["away@example.org", "dave@remote.example"], message())
        got = {m["rcpts"][0]: m["from"] for m in there.wait(2)}
        self.assertEqual(got["dave@remote.example"], SENDER)
        self.assertRegex(got["carol@remote.example"], "^SRS0=")

    def lists(self):
        """As hosts, with two lists that lead to remote.example and have owners, and who these are."""
        suite, there, back = self.hosts()
        for name, member in (("staff", "carol"), ("crew", "dave")):
            suite.cli("alias", "add", f"{name}@example.org", f"{member}@remote.example", "alice@example.org")
        suite.cli("alias", "add", "owner-staff@example.org", "bob@example.org")
        suite.cli("alias", "add", "owner-crew@example.org", "alice@example.org")
        return suite, there, back

    def test_a_list_sends_as_its_owner(self):
        """RFC 5321 3.9.2, each of two lists in one transaction; an alias beside them keeps its SRS."""
        suite, there, _ = self.lists()
        suite.cli("alias", "add", "far@example.org", "erin@remote.example")
        suite.send(SENDER, ["staff@example.org", "crew@example.org", "far@example.org"], message())
        senders = {rcpt: got["from"] for got in there.wait(3, 30) for rcpt in got["rcpts"]}
        self.assertRegex(senders.pop("erin@remote.example"), "^" + SRS0 % r"example\.org" + "$")
        self.assertEqual(senders, {"carol@remote.example": "owner-staff@example.org",
                                   "dave@remote.example": "owner-crew@example.org"})
        (got,) = suite.mail("alice")
        self.assertIn(b"Return-Path: <%s>" % SENDER.encode(), got)  # nothing comes back from a mailbox here
        for owner in ("owner-staff", "owner-crew"):
            wait_until(lambda: re.search(rf'sender-rewritten by="a list" .*{owner}@example\.org', suite.log()), 30,
                       "the log to tell it")

    def test_an_owner_hears_of_what_failed(self):
        """Both owners are told of their own list's member; nobody else is."""
        suite, there, back = self.lists()
        there.script["replies"] = {"RCPT": "550 5.1.1 nobody"}
        suite.send(SENDER, ["staff@example.org", "crew@example.org"], message())
        report = wait_until(lambda: [m for m in suite.mail("bob") if b"Action: failed" in m], 30, "the report of staff")[0]
        self.assertIn(b"carol@remote.example", report)
        self.assertIn(b"A message to your list <staff@example.org>", report)
        self.assertNotIn(b"dave@remote.example", report.split(b"Content-Type: message/rfc822")[0].split(b"delivery-status")[1])
        wait_until(lambda: [m for m in suite.mail("alice") if b"Final-Recipient: rfc822; dave@remote.example" in m], 30,
                   "the report of crew")
        wait_for_empty_queue(suite)
        self.assertEqual(back.messages, [])  # who wrote it

    def ask_a_list(self, notify, **script):
        """A message to a list of two with an owner; the suite and the other host."""
        suite, there, _ = self.hosts(**ALLOW)
        there.script.update(script, ehlo=["fake.example", "PIPELINING", "SIZE 104857600", "8BITMIME", "DSN"])
        suite.cli("alias", "add", "staff@example.org", "carol@remote.example", "dave@remote.example")
        suite.cli("alias", "add", "owner-staff@example.org", "bob@example.org")
        with suite.smtp() as client:
            client.sendmail("alice@example.org", ["staff@example.org"], message(), ["ENVID=QQ314", "RET=FULL"],
                            [f"NOTIFY={notify}", "ORCPT=rfc822;first@example.com"])
        return suite, there

    def test_what_is_asked_ends_at_a_list(self):
        """RFC 3461 5.2.7.1: the list answers, and its members get nothing of what the sender asked."""
        suite, there = self.ask_a_list("SUCCESS,DELAY")
        for got in there.wait(1, 30):
            self.assertEqual((got["from"], set(got["rcpt_params"])), ("owner-staff@example.org", {""}))
            self.assertNotRegex(got["from_params"], "ENVID|RET")
        (report,) = suite.wait_for_mail("alice", 1, 30)
        self.assertRegex(report, rb"Final-Recipient: rfc822; staff@example\.org\r\nAction: delivered\r\n")
        self.assertIn(b"Original-Envelope-Id: QQ314", report)
        self.assertNotIn(b"remote.example", report)
        wait_for_empty_queue(suite)

    def test_never_ends_at_a_list(self):
        suite, there = self.ask_a_list("NEVER", replies={"RCPT": "550 5.1.1 nobody"})
        (report,) = suite.wait_for_mail("bob", 1, 30)
        self.assertEqual(report.count(b"Action: failed"), 2)
        self.assertNotRegex(report, b"Original-Envelope-Id|Original-Recipient|message/rfc822\r\n")
        wait_for_empty_queue(suite)
        self.assertEqual(suite.count("alice"), 0)

    def test_an_owner_who_cannot_be_reached_ends_it(self):
        """His report is sent to where his name leads, which may be the list itself, and nobody is told of that."""
        suite, there, back = self.hosts()
        suite.cli("alias", "add", "staff@example.org", "carol@remote.example")
        suite.cli("alias", "add", "owner-staff@example.org", "staff@example.org", "dave@remote.example")
        there.script["replies"] = {"RCPT": "550 5.1.1 nobody"}
        suite.send(SENDER, ["staff@example.org"], message())
        wait_until(lambda: sum("RCPT TO:<dave@remote.example>" in line for line in there.transcript) == 1, 30,
                   "the report on its way to the owner")
        wait_for_empty_queue(suite)
        self.assertEqual(sum("RCPT TO:<carol@remote.example>" in line for line in there.transcript), 2)
        self.assertEqual((back.messages, there.messages), ([], []))

    def test_a_null_sender_stays_null_at_a_list(self):
        suite, there, _ = self.lists()
        suite.send("", ["staff@example.org"], message())
        self.assertEqual(there.wait(1)[0]["from"], "")

    def test_a_catch_all_and_a_domain_of_its_own(self):
        suite, there, _ = self.hosts(srs_domain="bounces.example")
        suite.cli("domain", "add", "bounces.example", "--postmaster", "alice@example.org")
        suite.cli("alias", "add", "@example.org", "carol@remote.example")
        suite.send(SENDER, ["anybody@example.org"], message())
        got = there.wait(1)[0]["from"]
        self.assertRegex(got, "^" + SRS0 % r"bounces\.example" + "$")
        self.assertRegex(self.reply(suite, "", got), r"^250 ")

    def test_a_domain_that_is_not_ours_is_said(self):
        suite, there, _ = self.hosts(srs_domain="elsewhere.example")
        problems = [p["message"] for p in suite.cli("check", json=True)]
        self.assertTrue([p for p in problems if "srs_domain" in p], problems)
        suite.send(SENDER, ["away@example.org"], message())
        self.assertRegex(there.wait(1)[0]["from"], SRS0 % r"example\.org")

    def test_switched_off(self):
        suite, there, _ = self.hosts(srs="no")
        suite.send(SENDER, ["away@example.org"], message())
        self.assertEqual(there.wait(1)[0]["from"], SENDER)

    def test_our_bounce_goes_to_the_real_sender(self):
        suite, there, back = self.hosts()
        there.script["replies"] = {"RCPT": "550 5.1.1 no carol here"}
        suite.send(SENDER, ["away@example.org"], message())
        got = back.wait(1)[0]
        self.assertEqual((got["from"], got["rcpts"]), ("", [SENDER]))

    def test_a_long_local_part(self):
        suite, there, _ = self.hosts()
        sender = "e" * 64 + "@client.example"
        suite.send(sender, ["away@example.org"], message())
        got = there.wait(1)[0]["from"]
        self.assertRegex(got, r"^SRS0=")
        self.assertRegex(self.reply(suite, "", got), r"^250 ")
        too_long = "e" * 236 + "@client.example"
        suite.send(too_long, ["away@example.org"], message())
        self.assertEqual(there.wait(2)[1]["from"], too_long)
        wait_until(lambda: "srs-too-long" in suite.log(), 10, "the log to tell it")
