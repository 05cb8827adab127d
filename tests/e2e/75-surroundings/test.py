"""What surrounds the suite: who starts it with which descriptors, who reads its log, what stays behind."""

import os
import re
import signal
import socket
import subprocess
import time
import unittest

from harness import NOBODY, Suite, is_root, message, wait_until


class SurroundingsTest(unittest.TestCase):
    def suite(self, **kwargs):
        suite = Suite(**kwargs)
        self.addCleanup(suite.close)
        return suite


def targets_of(pid):
    """What the descriptors of a process are."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            pass
    return found


class Descriptors(SurroundingsTest):
    def test_what_the_shell_had_open_goes_to_nobody(self):
        if not is_root():
            self.skipTest("needs root: to look into processes that are not dumpable")
        suite = self.suite()
        secret = os.path.join(suite.dir, "secret")
        with open(secret, "w") as f, open(suite.log_file, "ab") as log:
            os.set_inheritable(f.fileno(), True)
            suite.log_start = 0
            suite.process = subprocess.Popen(suite.command("run"), stdout=log, stderr=log,
                                             pass_fds=(f.fileno(),))
        wait_until(suite.is_ready, 30, "ready")
        for pid in suite.pids()[1:]:
            self.assertNotIn(secret, targets_of(pid).values())
        suite.stop()

    def test_started_without_standard_descriptors(self):
        """The first files opened must not become stdin, stdout or stderr, where the log would go."""
        suite = self.suite()
        command = " ".join(suite.command("run"))
        suite.process = subprocess.Popen(["sh", "-c", f"exec {command} <&- >&- 2>&-"])
        suite.log_start = 0
        suite.accounts_wanted = None
        wait_until(lambda: suite.run("status")[0] == 0, 20, "an answer")
        for fd in (0, 1, 2):
            self.assertEqual(targets_of(suite.process.pid).get(fd), "/dev/null")
        suite.stop()

    def test_a_command_without_standard_descriptors(self):
        suite = self.suite()
        command = " ".join(suite.command("domain", "add", "example.org"))
        done = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"], timeout=30)
        self.assertEqual(done.returncode, 0)
        self.assertIn("example.org", suite.cli("domain", "list"))


class Log(SurroundingsTest):
    def test_a_reader_that_stands_still_stops_nothing(self):
        suite = self.suite()
        suite.start()
        suite.stop()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(writing, True)  # for the suite it is an ordinary pipe, full
        suite.process = subprocess.Popen(suite.command("run"), stderr=writing)
        os.close(writing)
        wait_until(lambda: suite.run("status")[0] == 0, 20, "an answer")
        for _ in range(5):
            suite.reload()
            time.sleep(0.05)
        self.assertEqual(suite.run("status", timeout=5)[0], 0)
        suite.send("eve@client.example", ["alice@example.org"], message())
        self.assertEqual(suite.count("alice"), 1)
        suite.process.send_signal(signal.SIGTERM)
        self.assertEqual(suite.process.wait(10), 0)
        os.close(reading)


def exists(pid):
    return os.path.exists(f"/proc/{pid}")


class Remains(SurroundingsTest):
    def test_nothing_outlives_the_parent(self):
        """Not even the verifiers, which are authd's children, and not after authd was killed."""
        suite = self.suite()
        suite.start()
        suite.kill("authd")
        pids = suite.pids()
        suite.process.send_signal(signal.SIGTERM)
        suite.process.wait(15)
        self.assertEqual([pid for pid in pids if exists(pid)], [])

    def test_the_dead_are_buried(self):
        suite = self.suite()
        suite.start()
        verifiers = [pid for pid in suite.pids() if parent_is_not(pid, suite.process.pid)]
        self.assertTrue(verifiers)
        os.kill(verifiers[0], signal.SIGKILL)
        wait_until(lambda: "verifier-died" in suite.log(), 10, "its death in the log")
        wait_until(lambda: not exists(verifiers[0]), 5, "its burial")
        suite.pop3("alice").quit()  # the others do its work
        suite.stop()

    def test_nothing_is_said_of_verifiers_when_authd_cannot_start(self):
        """One clear line: what is wrong."""
        suite = self.suite()
        os.makedirs(os.path.join(suite.state_dir, "authd"))
        with open(os.path.join(suite.state_dir, "authd", "users.db"), "wb") as f:
            f.write(b"this is not a database" * 100)
        for _ in range(3):
            suite.spawn()
            self.assertEqual(suite.process.wait(20), 1)
            self.assertNotIn("verifier-failed", suite.log())


def parent_is_not(pid, parent):
    with open(f"/proc/{pid}/stat") as f:
        return int(pid) != parent and int(f.read().rsplit(")", 1)[1].split()[1]) != parent


class Walls(SurroundingsTest):
    def test_verifiers_are_behind_a_filter_too(self):
        suite = self.suite()
        suite.start()
        found = set()
        for pid in suite.pids()[1:]:
            with open(f"/proc/{pid}/status") as f:
                found.add(re.search(r"(?m)^Seccomp:\s*(\d)$", f.read())[1])
        self.assertEqual(len(found), 1, "with sanitizers none has a filter, else all")
        suite.stop()


class Permissions(SurroundingsTest):
    def test_check_sees_directories_of_somebody_else(self):
        if not is_root():
            self.skipTest("needs root: to make directories of another user")
        suite = self.suite(as_user=NOBODY)
        os.chown(suite.run_dir, 0, 0)
        suite.spawn()
        self.assertEqual(suite.process.wait(20), 1)
        status, out, err = suite.run("check")
        self.assertEqual(status, 1, out + err)
        self.assertRegex(out, rf"(?m)^{re.escape(suite.config_file)}:3: run_dir: ")


class Commands(SurroundingsTest):
    def test_commands_do_not_notice_a_restart(self):
        """Those that wait when the daemons stop are done before, or after, by whoever is there."""
        suite = self.suite()
        suite.start()
        commands = []
        for n in range(24):
            command = subprocess.Popen(
                suite.command("user", "add", f"r{n}@example.org", "--password-stdin"),
                stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            command.stdin.write("secret\n")
            command.stdin.close()
            commands.append(command)
            if n % 8 == 5:
                suite.restart()
        for command in commands:
            said = command.stderr.read()
            command.stderr.close()
            self.assertEqual(command.wait(60), 0, said)
        listed = {u["address"] for u in suite.cli("user", "list", json=True)}
        self.assertLessEqual({f"r{n}@example.org" for n in range(24)}, listed)
        suite.stop()

    def test_an_answer_that_cannot_be_written(self):
        suite = self.suite()
        for arguments in (["help"], ["config", "show"], ["check", "--json"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run(suite.command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_crowd_in_front_of_the_door(self):
        """The parent serves a few at a time; who comes too many waits a moment."""
        suite = self.suite()
        suite.start()
        crowd = []
        for _ in range(30):
            silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            silent.connect(os.path.join(suite.run_dir, "parent.sock"))
            crowd.append(silent)
        status = subprocess.Popen(suite.command("status"), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        for silent in crowd:
            silent.close()
        said = status.communicate(timeout=20)[1]
        self.assertEqual(status.returncode, 0, said)
        suite.stop()
