"""Starting, reloading, stopping; and the mistakes that keep a suite from starting."""

import json
import os
import re
import signal
import socket
import sqlite3
import unittest

from harness import NOBODY, Suite, free_port, is_root, is_running, message, wait_until


class LifeTest(unittest.TestCase):
    def suite(self, **kwargs):
        suite = Suite(**kwargs)
        self.addCleanup(suite.close)
        return suite

    def fails_to_start(self, suite, *expected):
        """exit 1 soon, the reason in the log, nothing left running."""
        suite.spawn()
        self.assertEqual(suite.process.wait(20), 1, suite.log())
        for text in expected:
            self.assertIn(text, suite.log())
        return suite.log()


class Config(LifeTest):
    WRONG = """hostname = mx.example.org
state_dir = /var/lib/barid
message_size_mx = 50M
[limits]
errors = many
[listen smtp]
address = 127.0.0.1:99999
[listen nothing]
address = 127.0.0.1:25
[relay]
retry = 5m, tomorrow
just words
"""
    LINES = (3, 5, 7, 8, 11, 12)

    def wrong(self):
        suite = self.suite()
        with open(suite.config_file, "w") as f:
            f.write(self.WRONG)
        return suite

    def test_check_tells_all_problems_at_once(self):
        suite = self.wrong()
        status, out, err = suite.run("check")
        self.assertEqual(status, 1)
        for line in self.LINES:
            self.assertRegex(out + err, rf"(?m)^{re.escape(suite.config_file)}:{line}: \S")
        self.assertIn("message_size_max", out + err)  # the nearest known key

    def test_check_json(self):
        suite = self.wrong()
        status, out, _ = suite.run("check", "--json")
        self.assertEqual(status, 1)
        problems = json.loads(out)
        self.assertLessEqual(set(self.LINES), {p["line"] for p in problems})
        for problem in problems:
            self.assertEqual(problem["file"], suite.config_file)
            self.assertIn(problem["severity"], ("error", "warning"))
            self.assertTrue(problem["message"])

    def test_run_with_a_wrong_file_starts_nothing(self):
        suite = self.wrong()
        log = self.fails_to_start(suite)
        for line in self.LINES:
            self.assertIn(f"{suite.config_file}:{line}: ", log)
        self.assertNotIn("ready", log)

    def test_run_json_says_in_json_why_it_does_not_start(self):
        wrong = self.wrong()
        busy = self.suite()
        busy.start()
        for suite in (wrong, busy):  # refused by the command, and by what it becomes
            status, out, err = suite.run("run", "--json")
            self.assertEqual((status, out), (1, ""))
            self.assertEqual(list(json.loads(err)), ["error"], err)
        self.assertIn("already running", json.loads(err)["error"])
        busy.stop()

    def test_a_file_over_1_mib(self):
        suite = self.suite()
        with open(suite.config_file, "a") as f:
            f.write("# nothing\n" * 120000)
        line = (1 << 20) // len("# nothing\n")
        for command in ("check", "run"):
            status, out, err = suite.run(command)
            self.assertEqual(status, 1)
            found = re.search(rf"(?m)^{re.escape(suite.config_file)}:(\d+): .*1 MiB", out + err)
            self.assertTrue(found, out + err)
            self.assertAlmostEqual(int(found[1]), line, delta=50)

    def test_no_finding_has_line_0(self):
        """Nor has what is about a default, or about users.db."""
        suite = self.suite(users=())
        suite.start()
        suite.cli("domain", "add", "nobody.example")
        suite.stop()
        findings = json.loads(suite.run("check", "--json")[1])
        suite.write_config({"listen smtp": None, "listen pop3": None})
        findings += json.loads(suite.run("check", "--json")[1])
        self.assertTrue(any("no listen section" in f["message"] for f in findings), findings)
        self.assertTrue(any("nobody.example" in f["message"] for f in findings), findings)
        for finding in findings:
            self.assertGreater(finding["line"], 0, finding)

    def test_check_of_a_right_file(self):
        suite = self.suite()
        suite.accounts_wanted = None
        status, out, err = suite.run("check")
        self.assertEqual(status, 0, out + err)

    def test_missing_file(self):
        suite = self.suite()
        os.remove(suite.config_file)
        self.fails_to_start(suite, suite.config_file)

    def test_show(self):
        suite = self.suite(config={"limits": {"errors": 7}})
        shown = suite.cli("config", "show")
        self.assertRegex(shown, r"errors\s*=\s*7\b")
        self.assertRegex(shown, r"message_size_max\s*=\s*50M")
        self.assertIn("7", suite.cli("config", "show", "limits.errors") if "limits.errors" in shown
                      else suite.cli("config", "show", "errors"))

    def test_the_smallest_file(self):
        """One [listen …] section gives a working host (the directories are the tests' own)."""
        suite = self.suite(config={"listen pop3": None, "relay": None, "dns": None,
                                   "": {"hostname": None}})
        suite.start()
        suite.send("eve@client.example", ["alice@example.org"], message())
        self.assertEqual(suite.count("alice"), 1)
        suite.stop()


class Obstacles(LifeTest):
    def test_port_in_use(self):
        suite = self.suite()
        with socket.socket() as taken:
            taken.bind(suite.smtp_address)
            taken.listen()
            log = self.fails_to_start(suite, "%s:%d" % suite.smtp_address)
        self.assertRegex(log.lower(), "in use")
        suite.start()
        suite.stop()

    def test_directory_that_cannot_be_made(self):
        suite = self.suite()
        place = os.path.join(suite.dir, "a-file", "state")
        with open(os.path.dirname(place), "w"):
            pass
        suite.write_config({"": {"state_dir": place}})
        self.fails_to_start(suite, "a-file")

    def newer(self, name):
        suite = self.suite()
        suite.start()
        suite.send("eve@client.example", ["alice@example.org"], message("kept"))
        suite.stop()
        path = os.path.realpath(os.path.join(suite.state_dir, name))
        self.set_version(path, 9999)
        log = self.fails_to_start(suite, name)
        self.assertRegex(log, r"(?i)newer|version")
        self.set_version(path, self.version)
        suite.start()
        self.assertTrue(suite.mail("alice")[0].endswith(b"kept\r\n"))
        suite.stop()

    def set_version(self, path, version):
        with sqlite3.connect(path) as db:
            self.version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {version}")
        db.close()

    def test_mail_database_of_a_newer_version(self):
        self.newer("mail.db")

    def test_users_database_of_a_newer_version(self):
        self.newer("users.db")

    def test_a_file_that_is_no_database(self):
        suite = self.suite()
        suite.start()
        suite.stop()
        path = os.path.realpath(os.path.join(suite.state_dir, "mail.db"))
        with open(path, "r+b") as f:
            f.write(b"this is not a database, somebody wrote over it\n" * 4)
        for suffix in ("-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.remove(path + suffix)
        self.fails_to_start(suite, "mail.db")

    def test_a_second_suite_on_the_same_directories(self):
        suite = self.suite()
        suite.start()
        second = self.suite(state_dir=suite.state_dir)
        second.accounts_wanted = None
        second.spawn()
        wait_until(lambda: second.process.poll() is not None, 20, "the second suite to give up")
        self.assertNotEqual(second.process.returncode, 0)
        suite.send("eve@client.example", ["alice@example.org"], message())
        self.assertEqual(suite.count("alice"), 1)
        suite.stop()


class Running(LifeTest):
    def test_as_an_ordinary_user(self):
        if not is_root():
            self.skipTest("this is how all the other tests run: the runner is not root")
        suite = self.suite(as_user=NOBODY)
        suite.start()
        suite.send("eve@client.example", ["alice@example.org"], message(b"x" * 70 + b"\r\n" + b"y\r\n" * 50000))
        self.assertEqual(len(suite.mail("alice")), 1)
        self.assertEqual({p["uid"] for p in suite.status()["processes"]}, {NOBODY})
        suite.restart()
        self.assertEqual(len(suite.mail("alice")), 1)
        suite.stop()

    def test_no_root_after_start(self):
        if not is_root():
            self.skipTest("needs root: without it there is no root to give up")
        suite = self.suite()
        suite.start()
        uids = {}
        for process in suite.status()["processes"]:
            if process["role"] == "parent":
                continue
            with open(f"/proc/{process['pid']}/status") as f:
                status = f.read()
            ids = set(re.search(r"^Uid:(.*)$", status, re.M)[1].split())
            self.assertEqual(len(ids), 1)
            self.assertNotIn("0", ids)
            self.assertEqual(set(re.search(r"^Gid:(.*)$", status, re.M)[1].split()) & {"0"}, set())
            self.assertRegex(status, r"NoNewPrivs:\s*1")
            uids.setdefault(process["role"], ids.pop())
            root = os.readlink(f"/proc/{process['pid']}/root")
            self.assertNotEqual(root, "/", f"{process['role']} is not chrooted")
        self.assertEqual(len(set(uids.values())), len(uids), f"roles share a uid: {uids}")
        suite.stop()

    def test_reload(self):
        suite = self.suite()
        suite.start()
        pids = suite.pids()
        wire = suite.wire()
        self.assertIn("SIZE 52428800", wire.ask("EHLO client.example")[1])
        wire.ask("MAIL FROM:<eve@client.example>")
        another = (suite.address, free_port(suite.address))
        suite.write_config({"": {"message_size_max": "1M"},
                            "listen smtp": {"address": "%s:%d, %s:%d" % (suite.smtp_address + another)}})
        suite.reload()
        wait_until(lambda: "SIZE 1048576" in self.ehlo(suite), 10, "the new SIZE")
        suite.smtp_address, old = another, suite.smtp_address
        wait_until(lambda: self.can_connect(another), 10, "the new port")
        self.assertIn("SIZE 1048576", self.ehlo(suite))
        # the session from before goes on where it was
        self.assertEqual(wire.ask("RCPT TO:<alice@example.org>")[0], 250)
        self.assertEqual(wire.ask("DATA")[0], 354)
        wire.send(message("over a reload") + b".\r\n")
        self.assertEqual(wire.reply()[0], 250)
        wire.close()
        self.assertEqual(suite.pids(), pids)
        # and a listener that is gone from the file is closed
        suite.write_config({"listen smtp": {"address": "%s:%d" % another}})
        suite.reload()
        wait_until(lambda: not self.can_connect(old), 10, "the old port to close")
        suite.stop()

    def test_reload_that_swaps_two_ports(self):
        suite = self.suite()
        suite.start()
        smtp, pop3 = suite.smtp_address, suite.pop3_address
        suite.write_config({"listen smtp": {"address": "%s:%d" % pop3}, "listen pop3": {"address": "%s:%d" % smtp}})
        suite.reload()
        wait_until(lambda: re.search(r"reloaded|reload-refused", suite.log()), 30, "the reload")
        self.assertNotIn("reload-refused", suite.log())
        wait_until(lambda: self.greeting(pop3).startswith(b"220 "), 30, "SMTP where POP3 was")
        wait_until(lambda: self.greeting(smtp).startswith(b"+OK"), 30, "POP3 where SMTP was")
        suite.smtp_address, suite.pop3_address = pop3, smtp
        suite.send("eve@client.example", ["alice@example.org"], message())
        self.assertEqual(suite.count("alice"), 1)
        suite.stop()

    def greeting(self, address):
        with socket.create_connection(address, 10) as s:
            s.settimeout(10)
            return s.recv(100)

    def ehlo(self, suite):
        with suite.wire() as wire:
            return wire.ask("EHLO client.example")[1]

    def can_connect(self, address):
        try:
            socket.create_connection(address, 5).close()
        except OSError:
            return False
        return True

    def test_reload_of_a_wrong_file_keeps_the_old(self):
        suite = self.suite()
        suite.start()
        with open(suite.config_file, "a") as f:
            f.write("[limits]\nerrors = many\n")
        suite.reload()
        wait_until(lambda: re.search(rf"{re.escape(suite.config_file)}:\d+: ", suite.log()), 10,
                   "the problem in the log")
        suite.send("eve@client.example", ["alice@example.org"], message())
        self.assertIn("SIZE 52428800", self.ehlo(suite))
        suite.write_config({})
        self.assertEqual(suite.count("alice"), 1)
        suite.stop()

    def test_stop_with_sessions_open(self):
        """Sessions that idle are told to come back later; one that sends is not cut off in vain."""
        suite = self.suite()
        suite.start()
        idle = suite.wire()
        idle.ask("EHLO client.example")
        pop = suite.pop3("alice")
        pids = suite.pids()
        suite.process.send_signal(signal.SIGTERM)
        code, _ = idle.reply()
        self.assertIn(code, (421, None))
        self.assertEqual(suite.process.wait(20), 0)
        self.assertFalse([pid for pid in pids if is_running(pid)])
        idle.close()
        pop.drop()

    def test_sigterm_twice_and_sigint(self):
        suite = self.suite()
        suite.start()
        for number in (signal.SIGTERM, signal.SIGTERM):
            suite.process.send_signal(number)
        self.assertEqual(suite.process.wait(20), 0)
        suite.start()
        suite.process.send_signal(signal.SIGINT)
        self.assertEqual(suite.process.wait(20), 0)

    def test_stop_and_start_again_and_again(self):
        suite = self.suite()
        suite.start()
        for n in range(3):
            suite.send("eve@client.example", ["alice@example.org"], message(f"number {n}"))
            suite.restart()
        self.assertEqual([m.splitlines()[-1] for m in suite.mail("alice")],
                         [b"number 0", b"number 1", b"number 2"])
        suite.stop()

    def test_ipv6(self):
        suite = self.suite()
        with socket.socket(socket.AF_INET6) as s:
            try:
                s.bind(("::1", 0))
            except OSError:
                self.skipTest("no IPv6 loopback here")
            port = s.getsockname()[1]
        suite.write_config({"listen smtp": {"address": f"[::1]:{port}"}})
        suite.smtp_address = ("::1", port)
        suite.start()
        suite.send("eve@client.example", ["alice@example.org"], message())
        self.assertIn(b"[IPv6:::1]", suite.mail("alice")[0])
        suite.stop()
