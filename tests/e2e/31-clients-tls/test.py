"""Programs that collect mail, over STLS and pop3s, with certificates checked."""

import os
import shutil
import subprocess
import unittest

from certs import Pair
from harness import PASSWORD, Suite, free_port, message, without_trace


def run(*command, env=None):
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=60, env={**os.environ, **(env or {})})
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}: {said}"
    return done.stdout


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.suite = suite = Suite(config={}, users=())
        cls.addClassCleanup(suite.close)
        cls.pair = Pair(suite.dir, "mx", ("localhost",))
        cls.pop3s_port = free_port(suite.address)
        suite.write_config({"listen pop3": {"plaintext_without_tls": "no"}, "tls": cls.pair.config(),
                            "listen pop3s": {"address": f"{suite.address}:{cls.pop3s_port}"}})
        suite.start()
        cls.host, cls.port = suite.pop3_address
        cls.users = 0

    def new_user(self):
        Clients.users += 1
        user = f"client{Clients.users}"
        self.suite.add_user(user)
        for n in (1, 2):
            self.suite.send("eve@client.example", [f"{user}@example.org"], message(f"number {n}"))
        return user

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.suite.dir, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def maildir(self, user):
        directory = os.path.join(self.suite.dir, f"Maildir-{user}")
        for part in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(directory, part), exist_ok=True)
        return directory

    def assert_collected(self, user, directory):
        lines = []
        for name in os.listdir(os.path.join(directory, "new")):
            with open(os.path.join(directory, "new", name), "rb") as f:
                lines.append(f.read().splitlines()[-1])
        self.assertEqual(sorted(lines), [b"number 1", b"number 2"])
        self.assertEqual(self.suite.count(user), 0)

    # --- curl ---

    def curl(self, user, scheme, port, *options):
        return run("curl", "--silent", "--show-error", "--cacert", self.pair.certificate, *options,
                   "--resolve", f"localhost:{port}:{self.host}", "--user", f"{user}@example.org:{PASSWORD}",
                   f"{scheme}://localhost:{port}/2")

    @needs("curl")
    def test_curl(self):
        user = self.new_user()
        for how in (("pop3", self.port, "--ssl-reqd"), ("pop3s", self.pop3s_port)):
            self.assertEqual(without_trace(self.curl(user, *how)), message("number 2"), how)

    # --- mpop ---

    def mpop(self, port, starttls):
        user = self.new_user()
        directory = self.maildir(user)
        with open(self.pair.certificate, "rb") as f:
            pem = f.read()
        mark = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=pem, check=True,
                              capture_output=True, timeout=30).stdout.decode().strip().split("=")[1]
        rc = self.file(f"mpoprc-{user}", f"""
account default
host {self.host}
port {port}
tls on
tls_starttls {starttls}
tls_fingerprint {mark}
auth on
user {user}@example.org
password "{PASSWORD}"
delivery maildir {directory}
uidls_file {directory}/uidls
keep off
""")
        run("mpop", "-C", rc, "--quiet")
        self.assert_collected(user, directory)

    @needs("mpop")
    def test_mpop(self):
        self.mpop(self.port, "on")
        self.mpop(self.pop3s_port, "off")

    # --- fetchmail ---

    def fetchmail(self, port, how):
        user = self.new_user()
        home = os.path.join(self.suite.dir, f"fetchmail-{user}")
        os.makedirs(home)
        rc = self.file(f"fetchmailrc-{user}", f"""
poll test.server via {self.host} service {port} protocol pop3 uidl
  username "{user}@example.org" password "{PASSWORD}" {how} sslcertck sslcertfile {self.pair.certificate}
  sslcommonname localhost mda "/usr/bin/tee -a {home}/got" nokeep
""", 0o700)
        run("fetchmail", "-f", rc, "--nodetach", "--nosyslog", "--silent", "--idfile", home + "/ids", "--pidfile",
            home + "/pid", env={"FETCHMAILHOME": home})
        with open(home + "/got", "rb") as f:
            got = [line for line in f.read().splitlines() if line.startswith(b"number ")]
        self.assertEqual(got, [b"number 1", b"number 2"])
        self.assertEqual(self.suite.count(user), 0)

    @needs("fetchmail")
    def test_fetchmail(self):
        self.fetchmail(self.port, "sslproto 'TLS1.2+'")
        self.fetchmail(self.pop3s_port, "ssl")

    # --- getmail6: it speaks pop3s only ---

    @needs("getmail")
    def test_getmail(self):
        user = self.new_user()
        directory = self.maildir(user)
        rc = self.file(f"getmailrc-{user}", f"""
[retriever]
type = SimplePOP3SSLRetriever
server = {self.host}
port = {self.pop3s_port}
username = {user}@example.org
password = {PASSWORD}
[destination]
type = Maildir
path = {directory}/
[options]
delete = true
read_all = true
""")
        # getmail will not deliver as root
        owner = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
        self.give(directory, rc)
        run(*owner, "getmail", "--quiet", f"--getmaildir={directory}", f"--rcfile={rc}", env={"HOME": directory})
        self.assert_collected(user, directory)

    def give(self, directory, rc):
        if os.geteuid() != 0:
            return
        for path in (rc, directory, *(os.path.join(directory, part) for part in ("cur", "new", "tmp"))):
            os.chown(path, 65534, 65534)


if __name__ == "__main__":
    unittest.main()
