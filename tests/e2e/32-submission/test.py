"""Submission (RFC 6409): a login, its senders, what the queue knows of it, and the clients that people use."""

import base64
import os
import shutil
import smtplib
import subprocess
import unittest

from dialogs import DialogTests
from harness import PASSWORD, Suite, free_port, message, wait_until, without_trace
from wire import Wire


def run(*command, stdin=None):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, timeout=60)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}: {said}"
    return said


def header_of(octets):
    """The lines of the header section, without Return-Path and Received."""
    return without_trace(octets).split(b"\r\n\r\n", 1)[0].split(b"\r\n")


def fields(octets, name):
    return [line for line in header_of(octets) if line.lower().startswith(name.lower() + b":")]


DATE = rb"Date: \w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d \+0000"
MESSAGE_ID = rb"Message-ID: <[0-9a-z]{13}@mx\.example\.org>"


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Submission(DialogTests):
    directory = __file__

    @classmethod
    def start_suite(cls):
        suite = Suite()
        cls.address = (suite.address, free_port(suite.address))
        suite.write_config({
            "listen submission": {"address": "%s:%d" % cls.address, "plaintext_without_tls": "loopback",
                                  "failures_per_connection": 3},
            "auth": {"failure_delay": "10ms", "failures_per_address": "none"},
            # nobody there: what is sent on stays in the queue
            "relay": {"smarthost": f"smtp://{suite.address}:1"}})
        suite.start()
        suite.cli("alias", "add", "info@example.org", "alice@example.org")
        return suite

    @classmethod
    def target(cls):
        return cls.address

    def test_smtplib(self):
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.ehlo("client.example")
            self.assertEqual(client.esmtp_features["auth"].split(), ["SCRAM-SHA-256", "PLAIN", "LOGIN"])
            with self.assertRaises(smtplib.SMTPSenderRefused) as refused:
                client.sendmail("alice@example.org", ["bob@example.org"], message("no login"))
            self.assertEqual(refused.exception.smtp_code, 530)
            client.login("alice", PASSWORD)
            client.sendmail("alice@example.org", ["bob@example.org", "x@elsewhere.example"],
                            message(subject="logged in"))
        octets = [m for m in self.suite.mail("bob") if b"Subject: logged in" in m][0]
        self.assertRegex(octets, rb"\twith ESMTPA id |\r\n\tby [^\r]* with ESMTPA id ")
        queued = [m for m in self.suite.cli("queue", "list", json=True)
                  if m["recipients"][0]["address"] == "x@elsewhere.example"]
        self.assertEqual([(m["login"], m["from"]) for m in queued],
                         [("alice@example.org", "alice@example.org")])

    def submit(self, *chunks, data=None):
        """A message by BDAT in these chunks, or by DATA (dots stuffed, as it stands); as bob gets it."""
        before = self.suite.count("bob")
        with Wire(self.address) as wire:
            self.assertEqual(wire.reply()[0], 220)
            for line, code in (("EHLO client.example", 250),
                               ("AUTH PLAIN " + base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode(), 235),
                               ("MAIL FROM:<alice@example.org>", 250), ("RCPT TO:<bob@example.org>", 250)):
                wire.say(line)
                self.assertEqual(wire.reply()[0], code)
            if data is not None:
                wire.say("DATA")
                self.assertEqual(wire.reply()[0], 354)
                wire.send_one_by_one(data + b".\r\n")
            for i, chunk in enumerate(chunks):
                wire.send(b"BDAT %d%s\r\n%s" % (len(chunk), b" LAST" if i == len(chunks) - 1 else b"", chunk))
                if i < len(chunks) - 1:
                    self.assertEqual(wire.reply()[0], 250)
            self.assertEqual(wire.reply()[0], 250)
        mail = self.suite.mail("bob")
        self.assertEqual(len(mail), before + 1)
        return mail[-1]

    def test_missing_fields_are_added(self):
        octets = self.submit(data=b"Subject: bare\r\n\r\nDate: no field\r\n")
        self.assertRegex(b"\n".join(header_of(octets)), rb"^Subject: bare\n%s\n%s$" % (DATE, MESSAGE_ID))
        self.assertTrue(octets.endswith(b"\r\n\r\nDate: no field\r\n"))
        one, two = fields(octets, b"Message-ID"), fields(self.submit(data=b"X: y\r\n"), b"Message-ID")
        self.assertNotEqual(one, two)
        found = self.suite.cli("trace", one[0].split(b"<")[1][:-1].decode())
        self.assertIn("alice@example.org", found)

    def test_fields_that_are_there_stay_alone(self):
        sent = b"date: yesterday\r\nSubject: all\r\n there\r\nMESSAGE-ID:\r\n\t<x@y>\r\n\r\nhello\r\n"
        self.assertEqual(without_trace(self.submit(data=sent)), sent)
        for n in (1, 3, 7):
            self.assertEqual(without_trace(self.submit(*(sent[i:i + n] for i in range(0, len(sent), n)))), sent)

    def test_one_of_them_is_missing(self):
        octets = self.submit(b"Da", b"te: yesterday\r\nSubj", b"ect: one\r", b"\n\r", b"\nhello\r\n")
        self.assertRegex(without_trace(octets),
                         rb"^Date: yesterday\r\nSubject: one\r\n%s\r\n\r\nhello\r\n$" % MESSAGE_ID)

    def test_a_message_without_a_header_section_gets_one(self):
        for octets in (self.submit(data=b"hello you\r\n"), self.submit(b"hel", b"lo you")):
            self.assertRegex(without_trace(octets), rb"^%s\r\n%s\r\n\r\nhello you\r\n$" % (DATE, MESSAGE_ID))

    def test_a_large_message_is_completed_and_counted_whole(self):
        body = b"x" * 70 + b"\r\n"
        octets = self.submit(b"Subject: large\r\n\r\n", *[body * 1000] * 3)
        self.assertRegex(b"\n".join(header_of(octets)), rb"^Subject: large\n%s\n%s$" % (DATE, MESSAGE_ID))
        self.assertTrue(octets.endswith(b"\r\n\r\n" + body * 3000))

    def test_where_a_user_is_can_be_hidden(self):
        suite = Suite(users=("alice", "bob"))
        try:
            shown, hidden = ((suite.address, free_port(suite.address)) for _ in range(2))
            suite.write_config({"listen submission": {"address": "%s:%d" % shown},
                                "listen smtp": {"hide_client": "yes"},
                                "auth": {"plaintext_without_tls": "loopback"}})
            with open(suite.config_file, "a") as f:
                f.write("[listen submission]\naddress = %s:%d\nhide_client = yes\n" % hidden)
            self.assertIn("hide_client does nothing here", "".join(suite.run("check")[1:]))
            suite.start()
            for address in (shown, hidden):
                with smtplib.SMTP(*address, local_hostname="laptop.home.example", timeout=30) as client:
                    client.login("alice", PASSWORD)
                    client.sendmail("alice@example.org", ["bob@example.org"], message("on the road"))
            suite.send("eve@client.example", ["bob@example.org"], message("a stranger"))
            told, untold, stranger = suite.mail("bob")
            self.assertIn(b"Received: from laptop.home.example ([127.0.0.1])\r\n\tby mx.example.org with ESMTPA id", told)
            self.assertNotRegex(untold, rb"laptop|127\.")
            self.assertRegex(untold, rb"Received: by mx.example.org \(barid\)\r\n\twith ESMTPA id \w{13}\r\n"
                                     rb"\tfor <bob@example.org>;\r\n\t")
            self.assertIn(b"Received: from client.example ([127.0.0.1])", stranger)
            self.assertEqual(suite.log().count("client=127.0.0.1 helo=laptop.home.example"), 2)
            suite.stop()
        finally:
            suite.close()

    def login(self, address, source, user, password, mechanism):
        """The code of the reply to a login from that address."""
        with smtplib.SMTP(*address, local_hostname="client.example", timeout=30, source_address=(source, 0)) as client:
            client.ehlo()
            client.user, client.password = user, password
            try:
                return client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()))[0]
            except smtplib.SMTPAuthenticationError as refused:
                return refused.smtp_code

    def test_guesses_at_one_account_from_many_addresses(self):
        suite = Suite(users=("alice", "bob"))
        try:
            address = (suite.address, free_port(suite.address))
            suite.write_config({"listen submission": {"address": "%s:%d" % address, "plaintext_without_tls": "loopback"},
                                "auth": {"failure_delay": "10ms", "failures_per_address": "none",
                                         "failures_per_account": "4/1h"}})
            suite.start()
            self.assertEqual(self.login(address, "127.0.0.2", "alice", PASSWORD, "PLAIN"), 235)
            for user in ("alice", "nobody@example.org"):
                for n, mechanism in enumerate(("PLAIN", "LOGIN", "PLAIN", "LOGIN")):
                    self.assertEqual(self.login(address, f"127.0.1.{n + 1}", user, "wrong", mechanism), 535, (user, n))
                for password in (PASSWORD, "wrong"):  # neither is looked at
                    self.assertEqual(self.login(address, "127.0.2.1", user, password, "PLAIN"), 454)
            self.assertEqual(self.login(address, "127.0.2.1", "alice@example.org", PASSWORD, "PLAIN"), 454)
            self.assertEqual(self.login(address, "127.0.0.2", "alice", PASSWORD, "PLAIN"), 235)  # at home
            self.assertEqual(self.login(address, "127.0.2.1", "bob", PASSWORD, "PLAIN"), 235)
            with Wire(suite.pop3_address, source=("127.0.2.1", 0)) as pop3:
                pop3.line()
                pop3.say("USER alice")
                pop3.line()
                pop3.say(f"PASS {PASSWORD}")
                self.assertRegex(pop3.line(), r"^-ERR")
            suite.stop()
        finally:
            suite.close()

    def test_others_mail_stays_as_it_is(self):
        """On port 25: only if the setting says so."""
        sent = b"Subject: port 25\r\n\r\nhello\r\n"
        suite = Suite(users=("alice",))
        try:
            suite.start()
            for setting, networks, is_completed in ((None, "127.0.0.0/8", False), ("trusted", "127.0.0.0/8", True),
                                                    ("trusted", "none", False), ("yes", "none", True)):
                suite.write_config({"relay": {"allow_from": networks}, "smtp": {"complete_header": setting}})
                suite.restart()
                suite.send("eve@client.example", ["alice@example.org"], sent)
                got = suite.mail("alice")[-1]
                self.assertEqual(bool(fields(got, b"Date")), is_completed, (setting, networks))
                self.assertEqual(without_trace(got) == sent, not is_completed)
            suite.stop()
        finally:
            suite.close()

    def test_mail_that_came_without_a_login_has_none(self):
        self.suite.send("alice@example.org", ["alice@example.org"], message(subject="forged"))
        with self.assertRaises(smtplib.SMTPRecipientsRefused):
            self.suite.send("alice@example.org", ["x@elsewhere.example"], message())

    @needs("swaks")
    def test_swaks(self):
        for mechanism in ("PLAIN", "LOGIN"):
            run("swaks", "--server", "%s:%d" % self.address, "--helo", "client.example",
                "--from", "info@example.org", "--to", "bob@example.org", "--auth", mechanism,
                "--auth-user", "alice@example.org", "--auth-password", PASSWORD,
                "--header", f"Subject: swaks {mechanism}", "--suppress-data")
            self.assertTrue([m for m in self.suite.mail("bob") if f"swaks {mechanism}".encode() in m])

    @needs("curl")
    def test_curl(self):
        path = os.path.join(self.suite.dir, "curl.eml")
        with open(path, "wb") as f:
            f.write(message(subject="from curl"))
        run("curl", "--silent", "--show-error", "smtp://%s:%d/client.example" % self.address,
            "--user", f"alice@example.org:{PASSWORD}", "--login-options", "AUTH=PLAIN",
            "--mail-from", "alice@example.org", "--mail-rcpt", "bob@example.org", "--upload-file", path)
        self.assertTrue([m for m in self.suite.mail("bob") if b"from curl" in m])

    @needs("msmtp")
    def test_msmtp(self):
        self.suite.add_user("dora")
        rows = self.suite.cli("user", "app-password", "add", "dora@example.org", "msmtp", json=True)
        path = os.path.join(self.suite.dir, "msmtprc")
        for method, password in (("plain", PASSWORD), ("login", PASSWORD), ("scram-sha-256", PASSWORD),
                                 ("plain", rows["password"]), ("scram-sha-256", rows["password"])):
            with open(path, "w") as f:
                f.write(f"defaults\nhost {self.address[0]}\nport {self.address[1]}\ntls off\n"
                        f"auth {method}\nuser dora@example.org\npassword {password}\n"
                        "from dora@example.org\naccount default\n")
            os.chmod(path, 0o600)
            run("msmtp", "-C", path, "bob@example.org", stdin=b"Subject: from msmtp\n\nhi\n")
        self.assertEqual(len([m for m in self.suite.mail("bob") if b"from msmtp" in m]), 5)
        used, = self.suite.cli("user", "app-password", "list", "dora@example.org", json=True)
        self.assertEqual((used["name"], used["device"]), ("msmtp", False))
        self.assertIsNotNone(used["last_used"])
        self.suite.cli("user", "app-password", "remove", "dora@example.org", "msmtp")
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            with smtplib.SMTP(*self.address, timeout=30) as client:
                client.login("dora@example.org", rows["password"])

    def test_disabled_and_receive_only(self):
        self.suite.add_user("erin")
        for command, undo in ((("disable", "erin@example.org", "--reason", "went away"),
                               ("enable", "erin@example.org")),
                              (("receive-only", "erin@example.org", "yes"),
                               ("receive-only", "erin@example.org", "no"))):
            self.suite.cli("user", *command)
            shown = self.suite.cli("user", "show", "erin@example.org", json=True)
            self.assertEqual((shown["disabled"], shown["reason"], shown["receive_only"]),
                             (True, "went away", False) if command[0] == "disable" else (False, None, True))
            with smtplib.SMTP(*self.address, timeout=30) as client:
                with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
                    client.login("erin", PASSWORD)
                self.assertEqual(refused.exception.smtp_code, 535)
            self.suite.cli("user", *undo)
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.login("erin", PASSWORD)

    def test_a_changed_password_ends_what_a_login_may_do(self):
        self.suite.add_user("carol")
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.login("carol", PASSWORD)
            self.suite.cli("user", "passwd", "carol@example.org", "--password-stdin", stdin="another\n")
            client.ehlo_or_helo_if_needed()
            code, text = client.docmd("MAIL FROM:<carol@example.org>")
            self.assertEqual((code, text[:5]), (421, b"4.7.0"))
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.login("carol", "another")

    def test_a_restart_of_authd_is_no_refusal(self):
        with smtplib.SMTP(*self.address, timeout=30) as client:
            client.login("alice", PASSWORD)
            self.suite.kill("authd")

            def refused():
                code, _ = client.docmd("MAIL FROM:<alice@example.org>")
                self.assertIn(code, (421, 451))
                return code == 421
            wait_until(refused)


if __name__ == "__main__":
    unittest.main()
