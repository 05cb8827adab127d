"""Starts the real binaries in a directory of their own, on ports of their own, and helps to look at them.

    suite = Suite(config={"limits": {"errors": 3}})
    suite.start()
    suite.send("eve@client.example", ["alice@example.org"], message("hello"))
    assert suite.mail("alice")[0].endswith(b"hello\\r\\n")
    suite.stop()

Each suite lives on a loopback address of its own (127.x.y.z), so that tests can run side by side and a
port that was free stays free.
"""

import json
import os
import random
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

from wire import Wire

BUILD = os.environ.get("BARID_BUILD") or os.path.join(os.path.dirname(__file__), "../../build")
LOGS = os.environ.get("BARID_E2E_LOGS") or os.path.join(BUILD, "test-logs")
ROLES = ("smtpd", "authd", "queue", "relay", "mailbox", "pop3d", "resolver", "keyd", "policy")
NOBODY = 65534
PASSWORD = "correct horse"


class CommandFailed(AssertionError):
    def __init__(self, args, status, stdout, stderr):
        super().__init__(f"barid {' '.join(args)}: exit {status}: {stderr.strip() or stdout.strip()}")
        self.status, self.stdout, self.stderr = status, stdout, stderr


def wait_until(condition, timeout=15, what=None):
    """Waits until condition() is true and returns its value. Looks often, sleeps little."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            what = what() if callable(what) else what
            raise AssertionError(f"waited {timeout} s in vain for {what or condition}")
        time.sleep(0.02)


# Fields that barid would add to mail of its own users.
COMPLETE = "Date: Sun, 22 Nov 2026 08:00:00 +0000\r\nMessage-ID: <a.test@client.example>\r\n"


def message(body="hello", subject="a test", headers=""):
    """A small message in wire form."""
    if isinstance(body, str):
        body = body.encode()
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    head = f"From: Eve <eve@client.example>\r\nTo: somebody\r\nSubject: {subject}\r\n{headers}\r\n"
    return head.encode() + body


def own_address():
    return f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"


PORTS_GIVEN = set()


def free_port(address):
    """A port nobody has. Never the same twice, as the kernel may name one again that is not in use yet."""
    while True:
        with socket.socket() as s:
            s.bind((address, 0))
            given = s.getsockname()
        if given not in PORTS_GIVEN:
            PORTS_GIVEN.add(given)
            return given[1]


def reachable_build(directory):
    """The build, or a copy of its programs if other users cannot get there (a clone below /root)."""
    path = os.path.realpath(BUILD)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            for part in ("bin", "libexec"):
                shutil.copytree(os.path.join(BUILD, part), os.path.join(directory, "programs", part))
            return os.path.join(directory, "programs")
        path = os.path.dirname(path)
    return BUILD


class Pop3:
    """A logged-in POP3 session that gives octets as they came."""

    def __init__(self, address, user, password=PASSWORD):
        self.wire = Wire(address)
        self.expect_ok(self.wire.line())
        self.ask(f"USER {user}")
        self.greeting = self.ask(f"PASS {password}")

    def expect_ok(self, line):
        if line is None or not line.startswith("+OK"):
            self.wire.close()
            raise AssertionError(f"POP3: {line}")
        return line

    def ask(self, command):
        self.wire.say(command)
        return self.expect_ok(self.wire.line())

    def count(self):
        return int(self.ask("STAT").split()[1])

    def uidls(self):
        self.ask("UIDL")
        return [line.split()[1] for line in self.wire.multiline().decode().splitlines()]

    def retr(self, n):
        self.ask(f"RETR {n}")
        return self.wire.multiline()

    def quit(self):
        self.ask("QUIT")
        closed = self.wire.is_closed()
        self.wire.close()
        assert closed, "POP3: the server did not close after QUIT"

    def drop(self):
        self.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.drop()
        else:
            self.quit()


class Suite:
    alive = []  # every suite of this process that was not closed, for the runner's report
    numbers = 0

    def __init__(self, config=None, users=("alice", "bob"), domain="example.org", as_user=None,
                 state_dir=None):
        Suite.numbers += 1
        self.dir = tempfile.mkdtemp(prefix="barid-e2e-")
        os.chmod(self.dir, 0o755)  # children with other uids pass through it
        if as_user is not None:
            os.chown(self.dir, as_user, as_user)
        self.as_user = as_user
        self.build = BUILD if as_user is None else reachable_build(self.dir)
        self.state_dir = state_dir or os.path.join(self.dir, "state")
        self.run_dir = os.path.join(self.dir, "run")
        for directory in (self.state_dir, self.run_dir):
            os.makedirs(directory, exist_ok=True)
            if as_user is not None:
                os.chown(directory, as_user, as_user)
        self.address = own_address()
        self.smtp_address = (self.address, free_port(self.address))
        self.pop3_address = (self.address, free_port(self.address))
        self.config_file = os.path.join(self.dir, "barid.conf")
        name = os.environ.get("BARID_E2E_NAME", "suite")
        os.makedirs(LOGS, exist_ok=True)
        self.log_file = os.path.join(LOGS, f"{name}-{Suite.numbers}.log")
        open(self.log_file, "w").close()
        self.process = None
        self.accounts_wanted = (domain, users)
        self.domain = domain
        self.write_config(config or {})
        Suite.alive.append(self)

    # --- configuration and life ---

    def write_config(self, changes):
        """changes: {section: {key: value}}; value None leaves a default of the tests out, a section
        that is None altogether."""
        sections = {
            "": {"hostname": "mx.example.org", "state_dir": self.state_dir, "run_dir": self.run_dir},
            "listen smtp": {"address": "%s:%d" % self.smtp_address},
            "listen pop3": {"address": "%s:%d" % self.pop3_address, "plaintext_without_tls": "yes"},
            "relay": {"never_connect_to": "none"},
            "dns": {"server": f"{self.address}@9"},  # nobody there: no test asks the real DNS
        }
        for section, values in changes.items():
            if values is None:
                sections.pop(section, None)
            else:
                sections.setdefault(section, {}).update(values)
        lines = []
        for section, values in sections.items():
            if section:
                lines.append(f"[{section}]")
            lines += [f"{key} = {value}" for key, value in values.items() if value is not None]
        with open(self.config_file, "w") as f:
            f.write("\n".join(lines) + "\n")

    def command(self, *args):
        return [os.path.join(self.build, "bin/barid"), *map(str, args), "--config", self.config_file]

    def identity(self):
        if self.as_user is None:
            return {}
        return {"user": self.as_user, "group": self.as_user, "extra_groups": []}

    def spawn(self):
        """Starts `barid run` and does not wait."""
        with open(self.log_file, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(self.command("run"), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd="/", **self.identity())

    def start(self):
        self.spawn()
        wait_until(self.is_ready, 30, "'ready' on stderr")
        if self.accounts_wanted:
            domain, users = self.accounts_wanted
            self.accounts_wanted = None
            self.cli("domain", "add", domain)
            for user in users:
                self.add_user(user)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"barid run ended with {self.process.returncode}: {self.log_tail(5)}")
        return re.search(r"^(\S+ \S+ )?ready\b", self.log(), re.M)

    def stop(self, timeout=15):
        """SIGTERM; a clean stop is exit 0, in time, with nothing left behind."""
        pids = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"barid run did not stop within {timeout} s of SIGTERM") from None
        assert status == 0, f"barid run ended with {status} on SIGTERM"
        # the verifiers that authd forks see its end a moment later
        wait_until(lambda: not any(map(is_running, pids)), 3,
                   lambda: f"the end of {[pid for pid in pids if is_running(pid)]}, left after the stop")

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def close(self, keep=False):
        """Ends what still runs (not politely) and clears up."""
        if self.process and self.process.poll() is None:
            for pid in self.pids():
                kill_quietly(pid)
            self.process.wait()
        if self in Suite.alive:
            Suite.alive.remove(self)
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- looking at it ---

    def log(self):
        """What this run of the daemons wrote."""
        with open(self.log_file, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode("utf-8", "replace")

    def log_tail(self, lines=40):
        with open(self.log_file, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    def pids(self):
        """All processes of this suite, the parent first. By kinship, so it works when nothing answers."""
        parent = self.process.pid
        found = [parent]
        for _ in range(3):  # children, and the verifiers that authd forks
            for pid in filter(str.isdigit, os.listdir("/proc")):
                if int(pid) not in found and parent_of(pid) in found:
                    found.append(int(pid))
        return found

    def pids_of(self, role):
        pids = [p["pid"] for p in self.status()["processes"] if p["role"] == role and p["pid"]]
        assert pids, f"no process has the role {role}"
        return pids

    def kill(self, role):
        """kill -9 of all processes of a role; returns when they have been replaced."""
        old = self.pids_of(role)
        for pid in old:
            kill_quietly(pid)
        if role == "parent":
            self.process.wait()
            return
        wait_until(lambda: self.is_replaced(role, old), 20, f"a new {role}")

    def is_replaced(self, role, old):
        try:
            new = self.pids_of(role)
        except AssertionError:
            return False
        return len(new) == len(old) and not set(new) & set(old)

    def status(self):
        return self.cli("status", json=True)

    # --- commands ---

    def run(self, *args, stdin="", timeout=30):
        """Runs the command; returns (exit status, stdout, stderr)."""
        done = subprocess.run(self.command(*args), input=stdin, capture_output=True, text=True,
                              timeout=timeout, **self.identity())
        return done.returncode, done.stdout, done.stderr

    def cli(self, *args, json=False, stdin=""):
        """Runs the command, which must succeed; returns its output, or what its JSON says."""
        if json:
            args += ("--json",)
        status, stdout, stderr = self.run(*args, stdin=stdin)
        if status != 0:
            raise CommandFailed(args, status, stdout, stderr)
        return parse_json(stdout) if json else stdout

    def full(self, user):
        return user if "@" in user else f"{user}@{self.domain}"

    def add_user(self, user, password=PASSWORD):
        self.cli("user", "add", self.full(user), "--password-stdin", stdin=password + "\n")

    def queue(self, *filters):
        return self.cli("queue", "list", *filters, json=True)

    def recipients(self):
        """{address: recipient} of everything that waits in the queue."""
        return {r["address"]: r for m in self.queue() for r in m["recipients"]}

    # --- mail ---

    def smtp(self, **kwargs):
        return smtplib.SMTP(*self.smtp_address, local_hostname="client.example", timeout=30, **kwargs)

    def wire(self):
        """A connection to the SMTP server, greeting read."""
        wire = Wire(self.smtp_address)
        assert wire.reply()[0] == 220
        return wire

    def send(self, sender, recipients, content):
        """Sends one message; every recipient must be accepted."""
        with self.smtp() as client:
            refused = client.sendmail(sender, recipients, content)
            assert not refused, refused

    def pop3(self, user="alice", password=PASSWORD):
        return Pop3(self.pop3_address, self.full(user), password)

    def mail(self, user="alice"):
        """All messages of a user, as octets; they stay."""
        with self.pop3(user) as session:
            return [session.retr(n + 1) for n in range(session.count())]

    def wait_for_mail(self, user="alice", count=1, timeout=15):
        wait_until(lambda: self.count(user) >= count, timeout,
                   lambda: f"{count} messages for {user}; there are {self.count(user)}")
        return self.mail(user)

    def count(self, user="alice"):
        return self.cli("mailbox", "show", self.full(user), json=True)["messages"]


def parse_json(text):
    return json.loads(text)


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return None


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill_quietly(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def split_message(octets):
    """(list of header fields as they stand, body) of a message in wire form."""
    head, body = octets.split(b"\r\n\r\n", 1)
    return re.split(rb"\r\n(?![ \t])", head), body


class Nobody:
    """Runs code in a process of another user (as root only)."""

    def __init__(self, code):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                os._exit(0 if code() else 1)
            except BaseException as problem:
                os.write(2, f"{problem!r}\n".encode())
                os._exit(2)

    def is_content(self):
        """When it has ended: what the code returned was true."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == 0


def without_trace(octets):
    """The message as it was handed over: without the Return-Path and Received fields on top."""
    while octets[:12].lower().startswith((b"return-path:", b"received:")):
        octets = re.sub(rb"\A[^\r]*\r\n(?:[ \t][^\r]*\r\n)*", b"", octets, count=1)
    return octets


def sanitizers():
    """The library of the sanitizers that our programs are linked to, in a list; else an empty one."""
    needed = subprocess.run(["ldd", os.path.join(BUILD, "bin/barid")], capture_output=True, text=True).stdout
    return re.findall(r"libasan\S* => (\S+)", needed)


def preload(library):
    """LD_PRELOAD for a program of ours: the sanitizers want to be the first."""
    return " ".join([*sanitizers(), library])


def is_root():
    return os.geteuid() == 0
