"""Programs that people use, against the real daemons: each must do what its users do with it."""

import os
import poplib
import shutil
import smtplib
import subprocess
import unittest

from harness import PASSWORD, Suite, message, without_trace


def run(*command, stdin=None, env=None):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, timeout=60,
                          env={**os.environ, **(env or {})})
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}: {said}"
    return done.stdout


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = Suite().start()
        cls.smtp_host, cls.smtp_port = cls.suite.smtp_address
        cls.pop3_host, cls.pop3_port = cls.suite.pop3_address
        cls.users = 0

    @classmethod
    def tearDownClass(cls):
        cls.suite.stop()
        cls.suite.close()

    def new_user(self, messages=0):
        Clients.users += 1
        user = f"client{Clients.users}"
        self.suite.add_user(user)
        for n in range(1, messages + 1):
            self.suite.send("eve@client.example", [f"{user}@example.org"], message(f"number {n}"))
        return user

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.suite.dir, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    # --- those that send ---

    def assert_arrived(self, user, body):
        mail = self.suite.mail(user)
        self.assertEqual(len(mail), 1)
        self.assertTrue(without_trace(mail[0]).endswith(b"\r\n\r\n" + body), mail[0])

    def test_smtplib(self):
        user = self.new_user()
        body = b"first\r\n.\r\n..\r\nlast, \xe4\xf6\xfc\r\n"
        with self.suite.smtp() as client:
            self.assertEqual(client.sendmail("eve@client.example", [f"{user}@example.org"],
                                             message(body), mail_options=["BODY=8BITMIME"]), {})
            self.assertEqual(client.esmtp_features["size"], "52428800")
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail("eve@client.example", ["nobody-here@example.org"], message())
            code, text = refused.exception.recipients["nobody-here@example.org"]
            self.assertEqual((code, text[:5]), (550, b"5.1.1"))
        self.assert_arrived(user, body)

    @needs("swaks")
    def test_swaks(self):
        user = self.new_user()
        run("swaks", "--server", f"{self.smtp_host}:{self.smtp_port}", "--helo", "client.example",
            "--from", "eve@client.example", "--to", f"{user}@example.org", "--pipeline",
            "--header", "Subject: swaks", "--body", "from swaks", "--suppress-data")
        octets, = self.suite.mail(user)
        self.assertIn(b"\r\nSubject: swaks\r\n", octets)
        self.assertIn(b"\r\n\r\nfrom swaks\r\n", octets)

    @needs("curl")
    def test_curl_smtp(self):
        user = self.new_user()
        path = self.file("curl.eml", message(b"from curl\r\n.dot\r\n"))
        run("curl", "--silent", "--show-error", f"smtp://{self.smtp_host}:{self.smtp_port}/client.example",
            "--mail-from", "eve@client.example", "--mail-rcpt", f"{user}@example.org", "--upload-file", path)
        self.assert_arrived(user, b"from curl\r\n.dot\r\n")

    @needs("msmtp")
    def test_msmtp(self):
        user = self.new_user()
        run("msmtp", f"--host={self.smtp_host}", f"--port={self.smtp_port}", "--tls=off", "--auth=off",
            "--domain=client.example", "--from=eve@client.example", f"{user}@example.org",
            stdin=b"Subject: msmtp\n\nfrom msmtp\n.dot\n")
        self.assert_arrived(user, b"from msmtp\r\n.dot\r\n")

    # --- those that collect ---

    def test_poplib(self):
        user = self.new_user(2)
        client = poplib.POP3(self.pop3_host, self.pop3_port, timeout=20)
        self.assertIn("UIDL", client.capa())
        client.user(f"{user}@example.org")
        client.pass_(PASSWORD)
        count, octets = client.stat()
        self.assertEqual(count, 2)
        self.assertEqual(sum(int(line.split()[1]) for line in client.list()[1]), octets)
        _, lines, _ = client.retr(2)
        self.assertEqual(lines[-1], b"number 2")
        _, lines, _ = client.top(1, 0)
        self.assertIn(b"Subject: a test", lines)
        self.assertNotIn(b"number 1", lines)
        client.dele(1)
        client.quit()
        self.assertEqual(self.suite.count(user), 1)

    @needs("curl")
    def test_curl_pop3(self):
        user = self.new_user(2)
        url = f"pop3://{self.pop3_host}:{self.pop3_port}"
        login = f"{user}@example.org:{PASSWORD}"
        octets = run("curl", "--silent", "--show-error", "--user", login, url + "/2")
        self.assertEqual(without_trace(octets), message("number 2"))
        listing = run("curl", "--silent", "--show-error", "--user", login, url)
        self.assertEqual(len(listing.splitlines()), 2)

    def mpop(self, user, keep):
        directory = os.path.join(self.suite.dir, f"mpop-{user}")
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(directory, part), exist_ok=True)
        rc = self.file(f"mpoprc-{user}-{keep}", f"""
account default
host {self.pop3_host}
port {self.pop3_port}
tls off
auth user
user {user}@example.org
password "{PASSWORD}"
received_header off
delivery maildir {directory}
uidls_file {directory}/uidls
keep {keep}
""")
        run("mpop", "-C", rc, "--quiet")
        mail = []
        for name in os.listdir(os.path.join(directory, "new")):
            with open(os.path.join(directory, "new", name), "rb") as f:
                mail.append(f.read())
        return sorted(m.splitlines()[-1] for m in mail)

    @needs("mpop")
    def test_mpop_keep(self):
        """Keep mode knows by UIDL what it has: a second run collects only what is new."""
        user = self.new_user(2)
        self.assertEqual(self.mpop(user, "on"), [b"number 1", b"number 2"])
        self.suite.send("eve@client.example", [f"{user}@example.org"], message("number 3"))
        self.assertEqual(self.mpop(user, "on"), [b"number 1", b"number 2", b"number 3"])
        self.assertEqual(self.suite.count(user), 3)

    @needs("mpop")
    def test_mpop_delete(self):
        user = self.new_user(3)
        self.assertEqual(self.mpop(user, "off"), [b"number 1", b"number 2", b"number 3"])
        self.assertEqual(self.suite.count(user), 0)

    def fetchmail(self, user, keep):
        home = os.path.join(self.suite.dir, f"fetchmail-{user}")
        os.makedirs(home, exist_ok=True)
        got = os.path.join(home, "got")
        rc = self.file(f"fetchmailrc-{user}-{keep}", f"""
poll {self.pop3_host} service {self.pop3_port} protocol pop3 uidl
  username "{user}@example.org" password "{PASSWORD}" sslproto ''
  mda "/usr/bin/tee -a {got}" {keep}
""", 0o700)
        run("fetchmail", "-f", rc, "--nodetach", "--nosyslog", "--silent", "--idfile", home + "/ids",
            "--pidfile", home + "/pid", env={"FETCHMAILHOME": home})
        with open(got, "rb") as f:
            return [line for line in f.read().splitlines() if line.startswith(b"number ")]

    @needs("fetchmail")
    def test_fetchmail_keep(self):
        user = self.new_user(2)
        self.assertEqual(self.fetchmail(user, "keep"), [b"number 1", b"number 2"])
        self.suite.send("eve@client.example", [f"{user}@example.org"], message("number 3"))
        self.assertEqual(self.fetchmail(user, "keep"), [b"number 1", b"number 2", b"number 3"])
        self.assertEqual(self.suite.count(user), 3)

    @needs("fetchmail")
    def test_fetchmail_delete(self):
        user = self.new_user(2)
        self.assertEqual(self.fetchmail(user, "nokeep"), [b"number 1", b"number 2"])
        self.assertEqual(self.suite.count(user), 0)
