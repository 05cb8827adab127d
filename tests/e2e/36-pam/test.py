"""Users whose password PAM checks: a real login of this machine, real modules, in the jail of pamd."""

import contextlib
import os
import poplib
import shutil
import smtplib
import subprocess
import tempfile
import threading
import time
import unittest

from harness import BUILD, PASSWORD, Suite, free_port, is_root, kill_quietly, message, parent_of, sanitizers, wait_until

LOGIN = f"baridtest{os.getpid()}"
SERVICE = f"barid-test-{os.getpid()}"
SECRET = "open sesame"
UNIX = "auth required pam_unix.so\naccount required pam_unix.so\n"
# Reads its rules when it is asked: a pipe that nobody writes to makes it wait.
SLOW = "auth required pam_permit.so\naccount required pam_access.so accessfile={fifo}\n"
# Right if the program could be started; wrong in any case, and counted in a file if it could be made.
EXECUTES = "auth required pam_exec.so /bin/true\naccount required pam_permit.so\n"
COUNTS = "auth required pam_faillock.so authfail dir={dir}\nauth required pam_deny.so\naccount required pam_permit.so\n"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def temporary(exception):
    """Whether a refusal says that it may be another time."""
    text = exception.smtp_error if isinstance(exception, smtplib.SMTPResponseException) else exception.args[0]
    code = getattr(exception, "smtp_code", None)
    return code == 454 if code else b"[SYS/TEMP]" in text


class Pam(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.clean = contextlib.ExitStack()
        cls.addClassCleanup(cls.clean.close)
        probe = Suite(users=())
        cls.clean.callback(probe.close)
        if not os.path.exists(os.path.join(probe.build, "libexec/barid/pamd")):
            raise unittest.SkipTest("this barid was built without PAM")
        if not is_root():
            raise unittest.SkipTest("needs root to make a login and a service of PAM")
        if not os.path.isdir("/etc/pam.d") or not shutil.which("useradd"):
            raise unittest.SkipTest("this machine has no PAM, or no useradd")
        cls.clean.callback(subprocess.run, ["userdel", LOGIN], capture_output=True)
        run("useradd", "-M", "-N", "-s", "/bin/false", "-p", run("openssl", "passwd", "-6", SECRET), LOGIN)
        cls.fifo = f"/run/{SERVICE}.fifo"
        cls.clean.callback(lambda: os.path.exists(cls.fifo) and os.unlink(cls.fifo))
        os.mkfifo(cls.fifo, 0o644)
        cls.clean.callback(lambda: os.path.exists(f"/etc/pam.d/{SERVICE}") and os.unlink(f"/etc/pam.d/{SERVICE}"))

    def suite(self, modules=UNIX, jail=None, **pam):
        with open(f"/etc/pam.d/{SERVICE}", "w") as f:
            f.write(modules.format(fifo=self.fifo))
        suite = Suite(config={"pam": {"service": SERVICE, **pam}, "jail": jail or {}}, users=("alice",))
        self.addCleanup(suite.close)
        self.submission = (suite.address, free_port(suite.address))
        suite.write_config({
            "pam": {"service": SERVICE, **pam},
            "listen submission": {"address": "%s:%d" % self.submission, "plaintext_without_tls": "loopback"},
            "jail": jail or {},
            "auth": {"failure_delay": "10ms", "failures_per_address": "none"},
            "relay": {"smarthost": f"smtp://{suite.address}:1"}})
        suite.start()
        suite.cli("user", "add", "bob@example.org", "--pam", LOGIN)
        return suite

    def pop3(self, suite, user="bob@example.org", password=SECRET):
        session = poplib.POP3(*suite.pop3_address, timeout=60)
        try:
            session.user(user)
            session.pass_(password)
            return session.stat()
        finally:
            session.close()

    def smtp(self, password=SECRET, mechanism="PLAIN"):
        session = smtplib.SMTP(*self.submission, local_hostname="client.example", timeout=60)
        session.ehlo()
        try:
            session.user, session.password = "bob@example.org", password
            if mechanism == "PLAIN":
                return session.auth("plain", session.auth_plain)
            return session.auth("login", session.auth_login, initial_response_ok=False)
        finally:
            session.close()

    def refused(self, suite, pattern, **kwargs):
        with self.assertRaises(poplib.error_proto) as refusal:
            self.pop3(suite, **kwargs)
        self.assertRegex(refusal.exception.args[0].decode(), pattern)

    def set_expiry(self, days):
        run("usermod", "-e", days, LOGIN)

    def test_logins(self):
        suite = self.suite()
        suite.send("carol@example.net", ["bob@example.org"], message())
        wait_until(lambda: suite.count("bob") == 1, 30, "the mail")
        self.assertEqual(self.pop3(suite)[0], 1)
        wait_until(lambda: "mechanism=pam" in suite.log(), 30, "authd's line")
        for mechanism in ("PLAIN", "LOGIN"):
            self.assertEqual(self.smtp(mechanism=mechanism)[0], 235)
        self.refused(suite, r"^-ERR \[AUTH\] ", password="wrong")
        for mechanism in ("PLAIN", "LOGIN"):
            with self.assertRaises(smtplib.SMTPAuthenticationError) as refusal:
                self.smtp("wrong", mechanism)
            self.assertEqual(refusal.exception.smtp_code, 535)
        self.refused(suite, r"^-ERR \[AUTH\] ", user="alice@example.org", password=SECRET)
        self.assertEqual(self.pop3(suite, "alice@example.org", PASSWORD), (0, 0))
        self.assertNotIn(SECRET, suite.log())

    def test_what_the_system_says_of_the_account_holds_at_once(self):
        suite = self.suite()
        self.pop3(suite)
        self.addCleanup(self.set_expiry, "")
        self.set_expiry("1")
        self.refused(suite, "expired")
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refusal:
            self.smtp()
        self.assertEqual((refusal.exception.smtp_code, refusal.exception.smtp_error[:5]), (535, b"5.7.8"))
        self.refused(suite, r"^-ERR \[AUTH\] (?!.*expired)", password="wrong")
        self.set_expiry("")
        self.pop3(suite)
        run("usermod", "-L", LOGIN)
        self.addCleanup(subprocess.run, ["usermod", "-U", LOGIN], capture_output=True)
        self.refused(suite, r"^-ERR \[AUTH\] ")
        run("usermod", "-U", LOGIN)
        self.pop3(suite)

    def test_what_barid_says_of_the_user_holds(self):
        suite = self.suite()
        suite.cli("user", "disable", "bob@example.org")
        self.refused(suite, "disabled")
        suite.cli("user", "enable", "bob@example.org")
        suite.cli("user", "receive-only", "bob@example.org", "yes")
        self.pop3(suite)
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.smtp()
        app = suite.cli("user", "app-password", "add", "bob@example.org", "phone", json=True)["password"]
        self.pop3(suite, password=app)
        shown = suite.cli("user", "show", "bob@example.org", json=True)
        self.assertEqual((shown["pam"], shown["receive_only"]), (LOGIN, True))
        self.assertIsNone(suite.cli("user", "show", "alice@example.org", json=True)["pam"])
        suite.cli("user", "passwd", "bob@example.org", "--password-stdin", stdin="own\n")
        self.refused(suite, r"^-ERR \[AUTH\] ")
        self.pop3(suite, password="own")
        suite.cli("user", "pam", "bob@example.org", LOGIN)
        self.refused(suite, r"^-ERR \[AUTH\] ", password="own")
        self.pop3(suite)

    def workers(self, suite):
        (pamd,) = suite.pids_of("pamd")
        return [int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) == pamd]

    def in_background(self, what):
        """Runs it, and gives what it returned or raised when it is waited for."""
        outcome = []

        def work():
            try:
                outcome.append(what())
            except Exception as e:  # what it was is asserted by who waits
                outcome.append(e)

        thread = threading.Thread(target=work)
        thread.start()

        def wait():
            thread.join(90)
            self.assertTrue(outcome, "no answer")
            return outcome[0]

        return wait

    def feed(self, text, readers):
        """Lets the modules that wait at the pipe read this; those who come later, too, until all have."""
        while True:
            waiting = readers()
            if not waiting:
                return
            with contextlib.suppress(OSError):
                fd = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
                try:
                    os.write(fd, text)
                finally:
                    os.close(fd)
            time.sleep(0.02)

    def test_a_slow_module(self):
        """Many wait for PAM; others are served meanwhile; with its answer they go on."""
        suite = self.suite(SLOW, timeout="30s", checks_at_once="4")
        waiting = [self.in_background(lambda: self.pop3(suite)), self.in_background(self.smtp)]
        wait_until(lambda: len(self.workers(suite)) == 2, 30, "two workers")
        self.pop3(suite, "alice@example.org", PASSWORD)
        self.feed(b"+:ALL:ALL\n", lambda: self.workers(suite))
        outcomes = [wait() for wait in waiting]
        self.assertEqual(outcomes[0], (0, 0))
        self.assertEqual(outcomes[1][0], 235)

    def test_too_slow_a_module(self):
        """What is not answered in time is no refusal, and its process is not left behind."""
        suite = self.suite(SLOW, timeout="1s")
        self.refused(suite, r"^-ERR \[SYS/TEMP\] ")
        with self.assertRaises(smtplib.SMTPResponseException) as refusal:
            self.smtp()
        self.assertTrue(temporary(refusal.exception), refusal.exception)
        wait_until(lambda: not self.workers(suite), 30, "the end of the workers")
        wait_until(lambda: 'pam-undecided because="no answer in time"' in suite.log(), 30, "pamd's line")

    def test_its_death(self):
        """kill -9 of a worker, and of pamd, while they are asked: another time, and then it works again."""
        suite = self.suite(SLOW, timeout="30s")
        for victim in ("worker", "pamd"):
            with self.subTest(victim=victim):
                wait = self.in_background(lambda: self.pop3(suite))
                workers = wait_until(lambda: self.workers(suite), 30, "a worker")
                if victim == "worker":
                    kill_quietly(workers[0])
                else:
                    suite.kill("pamd")
                outcome = wait()
                self.assertIsInstance(outcome, poplib.error_proto)
                self.assertTrue(temporary(outcome), outcome)
                wait_until(lambda: not self.workers(suite), 30, "the end of the workers")
        with open(f"/etc/pam.d/{SERVICE}", "w") as f:
            f.write(UNIX)
        wait_until(lambda: self.works(suite), 30, "a login with the new pamd")

    def works(self, suite):
        """False: not yet, its channels are being made. A refusal is none of these."""
        try:
            return self.pop3(suite) == (0, 0)
        except poplib.error_proto as e:
            if not temporary(e):
                raise
            return False

    def test_the_jail(self):
        """pamd is in it, as nobody who has rights."""
        suite = self.suite()
        (pamd,) = suite.pids_of("pamd")
        with open(f"/proc/{pamd}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        self.assertEqual((status["NoNewPrivs"], int(status["CapEff"], 16)), ("1", 0))
        self.assertNotIn("0", status["Uid"].split())

    def escape(self, jail=None):
        """Whether a module could start a program, and make a file where anybody may."""
        suite = self.suite(EXECUTES, jail=jail)
        try:
            executed = self.pop3(suite) == (0, 0)
        except poplib.error_proto:
            executed = False
        with tempfile.TemporaryDirectory(dir="/run") as counts:
            os.chmod(counts, 0o777)
            with open(f"/etc/pam.d/{SERVICE}", "w") as f:
                f.write(COUNTS.format(dir=counts))
            with self.assertRaises(poplib.error_proto):
                self.pop3(suite)
            written = os.listdir(counts) == [LOGIN]
        suite.close()
        return executed, written

    @unittest.skipIf(sanitizers(), "the sanitizers make system calls that no filter would allow")
    def test_what_the_jail_keeps_from_modules(self):
        """What is refused in it is possible without it, for the same modules and the same user."""
        self.assertEqual(self.escape({"seccomp": "off", "landlock": "off"}), (True, True))
        self.assertEqual(self.escape(), (False, False))

    def test_check_and_settings(self):
        suite = self.suite()
        os.unlink(f"/etc/pam.d/{SERVICE}")
        status, stdout, _ = suite.run("check")
        self.assertEqual(status, 1)
        self.assertIn(f"there is no file /etc/pam.d/{SERVICE}", stdout)
        suite.stop()
        suite.write_config({"pam": None})
        suite.start()
        self.assertNotIn("pamd", [p["role"] for p in suite.status()["processes"]])
        self.refused(suite, r"^-ERR \[SYS/TEMP\] ")
        self.assertIn("bob@example.org, for one", suite.run("check")[1])
        for login in ("root", "a b", "../x"):
            self.assertEqual(suite.run("user", "add", "x@example.org", "--pam", login)[0], 1)
        self.assertEqual(suite.run("user", "add", "x@example.org", "--pam", "x", "--password-stdin", stdin="y\n")[0], 2)


if not os.path.exists(os.path.join(BUILD, "libexec/barid/pamd")):

    class WithoutPam(unittest.TestCase):
        def test_a_service_is_refused_by_a_build_without_it(self):
            """At SIGHUP, too: then the old configuration stays."""
            suite = Suite(users=())
            self.addCleanup(suite.close)
            suite.start()
            suite.write_config({"pam": {"service": SERVICE}})
            suite.reload()
            wait_until(lambda: "reload-refused" in suite.log(), 30, "the refusal")
            self.assertIn("[pam] service", suite.log())
            self.assertNotIn("needs-restart", suite.log())
            suite.stop()


if __name__ == "__main__":
    unittest.main()
