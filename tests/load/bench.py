#!/usr/bin/python3
"""Measures barid against Debian's Postfix and Dovecot: the same work, the same machine, the same disk, in turn.

    ./dev bench [ROW…] [--rounds N] [--dir DIRECTORY]

A message is counted when its final 250 came; by then barid has it on disk *and* in the mailbox, Postfix has it
on disk in its queue. All fsync as they do by default. Postfix: default process limits, virtual(8) to Maildir, no
filters. Dovecot: Maildir, login processes kept, any password taken. Needs root, as their masters do; without
it, or without them, only barid is measured. Each figure is the median of the rounds."""

import argparse
import collections
import hashlib
import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))

# harness reads where the build is when it is loaded
PARSER = argparse.ArgumentParser(description="barid against Postfix and Dovecot, on this machine")
PARSER.add_argument("rows", nargs="*", metavar="ROW", help="the rows wanted; none: all")
PARSER.add_argument("--build", default=os.path.join(HERE, "../../build"))
PARSER.add_argument("--rounds", type=int, default=3)
PARSER.add_argument("--dir", default="/var/tmp", help="where the stores are made: a disk, no tmpfs")
OPTIONS = PARSER.parse_args()
os.environ["BARID_BUILD"] = os.path.abspath(OPTIONS.build)
os.environ["BARID_E2E_NAME"] = "bench"

import attack  # noqa: E402
import boxes  # noqa: E402
import far  # noqa: E402
import servers  # noqa: E402
from harness import free_port, own_address, wait_until  # noqa: E402

ROWS = {}  # name: function(directory), which returns a list of Result


class Result:
    """One line of the table. ours and theirs are rates: more is better."""

    def __init__(self, name, unit, goal, ours, theirs=None, other="", note=""):
        self.name, self.unit, self.goal = name, unit, goal
        self.ours, self.theirs, self.other, self.note = ours, theirs, other, note

    def __str__(self):
        ratio = f"{self.ours / self.theirs:6.1f}" if self.theirs else "     -"
        theirs = f"{self.theirs:9.0f} {self.other:<8}" if self.theirs else f"{'-':>9} {'':<8}"
        return f"{self.name:<42}{self.ours:9.0f}{theirs}{ratio} {self.goal:>6}  {self.unit:<13}{self.note}"


def row(name):
    def keep(function):
        ROWS[name] = function
        return function
    return keep


def disk_at_rest(limit=30):
    """What the last measurement left to write and to discard (the files it removed) is not the next one's work."""
    def requests():
        with open("/proc/diskstats") as f:
            fields = [line.split() for line in f]
        return [(f[2], f[3], f[7], f[11], f[14:15]) for f in fields]  # reads, writes, in flight, discards

    os.sync()
    deadline, before = time.monotonic() + limit, None
    while (now := requests()) != before and time.monotonic() < deadline:
        before = now
        time.sleep(0.5)


def apart(directory):
    """What is made in it gets inodes of its own region, as the directories of two services on a host do: on ext4 the
    files that one server removes would slow down what the other makes."""
    subprocess.run(["chattr", "+T", directory], stderr=subprocess.DEVNULL, check=False)  # other file systems refuse


def in_turn(kinds, directory, measure):
    """{name: [what measure(server) gave in each round]} of each server that can run here."""
    running = []
    try:
        for kind, make in kinds:
            why_not = getattr(kind, "why_not", lambda: None)()
            if why_not:
                print(f"   without {kind.name}: {why_not}")
            else:
                running.append(make(directory))
        results = {server.name: [] for server in running}
        for _ in range(OPTIONS.rounds):
            for server in running:
                disk_at_rest()
                results[server.name].append(measure(server))
                server.settle()
        return results
    finally:
        for server in running:
            server.stop()


def median(rounds, key):
    return statistics.median(r[key] for r in rounds) if rounds else None


# --- accept and local delivery ---

def smtp_row(name, title, goal, octets, connections, options, ours, theirs):
    @row(name)
    def run(directory):
        count = {"barid": ours, "Postfix": theirs}  # some seconds for each
        kinds = [(servers.Barid, servers.Barid), (servers.RealPostfix, servers.RealPostfix)]
        r = in_turn(kinds, directory, lambda server: servers.mailload(
            server.smtp, count[server.name], octets, connections, options))
        note = "; ".join(f"{who} p50/p99 {median(x, 'p50_ms'):.1f}/{median(x, 'p99_ms'):.1f} ms"
                         for who, x in r.items())
        return [Result(title, "messages/s", goal, median(r["barid"], "rate"),
                       median(r.get("Postfix"), "rate"), "Postfix", note)]


smtp_row("kept20", "4 KiB, 20 connections kept", ">= 8", 4096, 20, (), 20000, 4000)
smtp_row("kept100", "4 KiB, 100 connections kept", ">= 10", 4096, 100, (), 20000, 4000)
smtp_row("each", "4 KiB, 20 at once, a connection each", ">= 5", 4096, 20, ("-1",), 6000, 2000)
smtp_row("one", "4 KiB, 1 connection, one at a time", ">= 2", 4096, 1, (), 2000, 500)
smtp_row("big", "100 KiB, 20 connections kept", ">= 3", 102400, 20, (), 2000, 600)


@row("half")
def half(directory):
    """How long the final 250 takes for one in a hundred when the server has half of what it can."""
    def measure(server):
        n = 10000 if server.name == "barid" else 2000
        rate = servers.mailload(server.smtp, n, 4096, 20)["rate"] / 2
        return servers.mailload(server.smtp, n // 2, 4096, 20, ("-r", int(rate)))

    r = in_turn([(servers.Barid, servers.Barid), (servers.RealPostfix, servers.RealPostfix)], directory, measure)
    note = "; ".join(f"{who} at {median(x, 'rate'):.0f}/s: p50/p99 {median(x, 'p50_ms'):.1f}/{median(x, 'p99_ms'):.1f} ms"
                     for who, x in r.items())
    return [Result("p99 of the final 250 at half of that load", "ms", "< 20", median(r["barid"], "p99_ms"), note=note)]


# --- accept and relay ---

class Sink:
    """smtp-sink with its counter (-c). Not -M: with that it ends without answering the last message, which the
    sender then keeps, and the next round meets a destination that is taken to be down."""

    def __init__(self, directory, address=None):
        host = own_address()
        self.address = address or (host, free_port(host))
        self.counted = os.path.join(directory, "sink")
        with open(self.counted, "wb") as out:
            self.process = subprocess.Popen(["/usr/sbin/smtp-sink", "-c", "-m", "2000", "-u", "nobody",
                                             "%s:%d" % self.address, "1000"], stdout=out, stderr=out)
        wait_until(self.answers, 5, "smtp-sink")

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(self.address) == 0

    def count(self):
        with open(self.counted, "rb") as f:
            f.seek(max(0, os.path.getsize(self.counted) - 100))
            said = re.findall(rb"mesg=(\d+)\r", f.read())
        return int(said[-1]) if said else 0

    def stop(self):
        self.process.terminate()
        self.process.wait()


def relayed(sink, n, rcpt, options=()):
    """Messages a second, from the first octet until the last one is at the sink."""
    def measure(server):
        before = sink.count()
        began = time.monotonic()
        servers.mailload(server.smtp, n[server.name], 4096, 20, options, rcpts=[rcpt])
        wait_until(lambda: sink.count() >= before + n[server.name], 180,
                   lambda: f"{n[server.name]} messages; {sink.count() - before} came")
        return {"rate": n[server.name] / (time.monotonic() - began)}
    return measure


def relay_result(title, goal, r):
    return [Result(title, "messages/s", goal, median(r["barid"], "rate"), median(r.get("Postfix"), "rate"), "Postfix",
                   "until the last one arrived")]


def without_sink(name):
    if os.path.exists("/usr/sbin/smtp-sink"):
        return False
    print(f"   without smtp-sink (postfix) there is no row {name}")
    return True


@row("relay")
def relay(directory):
    if without_sink("relay"):
        return []
    sink = Sink(directory)
    hop = "%s:%d" % sink.address
    try:
        r = in_turn([
            (servers.Barid, lambda d: servers.Barid(d, config={"relay": {
                "allow_from": "127.0.0.0/8", "smarthost": f"smtp://{hop}"}})),
            (servers.RealPostfix, lambda d: servers.RealPostfix(d, ["relayhost = [%s]:%d" % sink.address])),
        ], directory, relayed(sink, {"barid": 5000, "Postfix": 2000}, "user@far.example"))
    finally:
        sink.stop()
    return relay_result("4 KiB, 20 kept, relayed to smtp-sink", ">= 5", r)


def relay_to(directory, destinations, count):
    """In a network of its own: one smtp-sink is the server of all domains, on port 25 of all addresses."""
    dns = far.Dns(destinations).start()
    sink = Sink(directory, ("0.0.0.0", 25))
    try:
        return in_turn([
            (servers.Barid, lambda d: servers.Barid(d, config={
                "relay": {"allow_from": "127.0.0.0/8"}, "dns": {"server": None}})),
            (servers.RealPostfix, servers.RealPostfix),
        ], directory, relayed(sink, count, f"user@{far.DOMAIN}", ("-d", destinations)))
    finally:
        sink.stop()
        dns.stop()


def relay_row(name, destinations, ours, theirs):
    @row(name)
    def run(directory):
        why_not = far.why_not()
        if without_sink(name):
            return []
        if why_not:
            print(f"   there is no row {name}: {why_not}")
            return []
        r = far.apart(lambda: relay_to(directory, destinations, {"barid": ours, "Postfix": theirs}), directory)
        return relay_result(f"4 KiB, 20 kept, by MX to {destinations:,} domain{'s' * (destinations > 1)}", "-", r)


relay_row("relay1", 1, 5000, 2000)
relay_row("relay100", 100, 5000, 2000)
relay_row("relay5000", 5000, 10000, 5000)


# --- POP3 ---

def pop3_row(name, title, goal, mode, clients, mailbox, ours, theirs, unit="sessions/s", key=None):
    @row(name)
    def run(directory):
        count = {"barid": ours, "Dovecot": theirs}  # at least a second for each

        def load(server, sessions):
            return servers.popload(server.pop3s if key else server.pop3, mode, clients, sessions,
                                   ["-t"] if key else [])

        def make(kind, **options):
            def filled(directory):
                server = kind(directory, key=key, **options)
                for user in range(clients):
                    server.fill(f"user{user}", *mailbox)
                load(server, clients)  # logins and indexes are warm
                return server
            return kind, filled
        r = in_turn([make(servers.Barid, users=clients), make(servers.RealDovecot)], directory,
                    lambda server: load(server, count[server.name]))
        for x in (one for rounds in r.values() for one in rounds):
            x["octets/s"] = x["octets"] / x["seconds"] / 1e6
        result = "octets/s" if unit == "MB/s" else "rate"
        return [Result(title, unit, goal, median(r["barid"], result), median(r.get("Dovecot"), result), "Dovecot")]


pop3_row("pop3", "POP3: login, STAT, QUIT, 20 at once", ">= 3", "stat", 20, (3, 1024), 8000, 1000)
pop3_row("pop3s", "the same over TLS, ECDSA", ">= 1", "stat", 20, (3, 1024), 2000, 1000, key="ec")
pop3_row("uidl", "POP3: login, UIDL of 10,000 messages", ">= 30", "uidl", 1, (10000, 512), 800, 20)
pop3_row("retr", "POP3: RETR of 100 KiB messages, 4 at once", ">= 1", "retr", 4, (50, 102400), 200, 200, "MB/s")


# --- TLS ---

def tls_row(name, title, key):
    @row(name)
    def run(directory):
        def make(kind):
            return kind, lambda directory: kind(directory, key=key)
        r = in_turn([make(servers.Barid), make(servers.RealPostfix)], directory,
                    lambda server: servers.handshakes(server.smtps, 4, 4))
        return [Result(title, "handshakes/s", ">= 1", median(r["barid"], "rate"), median(r.get("Postfix"), "rate"),
                       "Postfix", "submissions, no resumption")]


tls_row("tls-ec", "TLS 1.3 handshakes, ECDSA P-256, 4 clients", "ec")
tls_row("tls-rsa", "TLS 1.3 handshakes, RSA 2048, 4 clients", "rsa")


# --- much of it ---

def ask(address):
    """Milliseconds until a new connection is greeted."""
    began = time.monotonic()
    with socket.create_connection(address, 30) as s:
        assert s.recv(100), "no greeting"
    return (time.monotonic() - began) * 1000


@row("idle")
def idle(directory, each=10000):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = min(each, (hard - 500) // 2)  # our ends of the connections
    limits = {"connections": 50000, "connections_per_address": "none", "connection_rate": "none"}
    barid = servers.Barid(directory, users=1, config={"limits": limits})
    held = []
    try:
        before = barid.private_kib()
        for address in (barid.smtp, barid.pop3):
            for _ in range(each):
                held.append(socket.create_connection(address, 30))
                assert held[-1].recv(200), "no greeting"
        answers = {name: statistics.median(ask(address) for _ in range(51))
                   for name, address in (("SMTP", barid.smtp), ("POP3", barid.pop3))}
        note = (f"{before / 1024:.1f} MiB at rest; a new one is greeted in "
                + ", ".join(f"{ms:.2f} ms ({name})" for name, ms in answers.items()))
        return [Result(f"{each} idle SMTP + {each} idle POP3 sessions", "MiB", "< 100",
                       barid.private_kib() / 1024, note=note)]
    finally:
        for s in held:
            s.close()
        barid.stop()


@row("attack")
def attack_row(directory, total=100000, seconds=60):
    """Good clients are strangers too: they are let in because the silent ones make room."""
    limits = {"connection_rate": "none", "connections_per_address": "20"}
    believed = {"proxy_from": "127.0.0.0/8"}
    barid = servers.Barid(directory, users=1, config={"limits": limits, "listen smtp": believed})
    try:
        rcpt = f"user0@{servers.DOMAIN}".encode()
        good = [attack.Good(barid.smtp, f"192.0.2.{n + 10}", rcpt) for n in range(4)]
        strangers = attack.Strangers(barid.smtp, total, seconds)
        strangers.start()
        for g in good:
            g.start()
        most = before = barid.private_kib()
        while strangers.is_alive():
            strangers.join(1)
            most = max(most, barid.private_kib())
        for g in good:
            g.is_done.set()
            g.join(30)
        times = sorted(t for g in good for t in g.times)
        refused = sum((g.failures for g in good), collections.Counter())
        served = 100 * len(times) / max(1, len(times) + sum(refused.values()))
        note = (f"{len(times)} messages of 4 good clients, p99 {times[int(len(times) * 0.99)] * 1000:.0f} ms"
                f", refused {dict(refused)}; memory {before / 1024:.0f} to {most / 1024:.0f} MiB")
        return [Result(f"{total} strangers in {seconds} s: good ones served", "%", "> 95", served, note=note)]
    finally:
        barid.stop()


def defer(database, recipients, of_each=1000):
    """Fills the queue's tables as a remote host that is down for long would: nothing is due within a day."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("BEGIN")
    now, content = int(time.time()), b"Subject: deferred\r\n\r\nlater\r\n"
    content_hash = hashlib.blake2b(content, digest_size=16).digest()
    first = (now * 1000) << 21
    for m in range(recipients // of_each):
        db.execute("INSERT INTO message (id, arrived, expires, sender, client, helo, login, size, header, flags,"
                   " warned, spooled, hash, content) VALUES (?, ?, ?, 'a@bench.example', '127.0.0.1', 'h', '', ?, 21, 0,"
                   " 0, 0, ?, ?)", (first + m, now, now + 5 * 86400, len(content), content_hash, content))
        db.executemany("INSERT INTO recipient (message, number, address, domain, state, attempts, next_attempt,"
                       " status, remote, last_reply) VALUES (?, ?, ?, ?, 0, 3, ?, '', '', '421 4.3.2 later')",
                       ((first + m, n, f"u{n}@d{m}.example", f"d{m}.example", now + 86400 + n)
                        for n in range(of_each)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@row("million")
def million(directory, recipients=1000000):
    barid = servers.Barid(directory)
    suite = barid.suite
    try:
        def rate():
            return statistics.median(servers.mailload(barid.smtp, 8000, 4096, 20)["rate"]
                                     for _ in range(OPTIONS.rounds))
        empty = rate()
        suite.stop()
        defer(suite.state_dir + "/queue/mail.db", recipients)
        began = time.monotonic()
        suite.start()
        start_s = time.monotonic() - began
        began = time.monotonic()
        suite.cli("queue", "list", "--limit", "20")
        list_ms = (time.monotonic() - began) * 1000
        memory = barid.private_kib() / 1024
        return [Result("accept rate with 1,000,000 deferred", "messages/s", ">= 0.9", rate(), empty, "(empty)",
                       f"start {start_s:.2f} s (< 1), {memory:.1f} MiB (< 100), "
                       f"queue list --limit 20: {list_ms:.0f} ms (< 100)")]
    finally:
        barid.stop()


@row("box")
def box_row(directory):
    """Mailboxes of 100,000 and of 1,000,000 messages, in a mail.db that is 50 GB long."""
    barid = servers.Barid(directory, users=3)
    suite, results, third = barid.suite, [], f"user2@{servers.DOMAIN}"
    try:
        def rate():
            return statistics.median(servers.mailload(barid.smtp, 8000, 4096, 20, rcpts=[third])["rate"]
                                     for _ in range(OPTIONS.rounds))
        small = rate()
        suite.stop()
        for box, messages in ((1, 100000), (2, 1000000)):
            boxes.fill(boxes.store_of(suite), box, messages)
        boxes.stretch(boxes.store_of(suite), 50 << 30)
        os.sync()  # what was just filled in is not the next row's work
        began = time.monotonic()
        suite.start()
        start_s = time.monotonic() - began
        for user, messages, sessions, goal in (("user0", 100000, 20, "< 100"), ("user1", 1000000, 3, "-")):
            first = boxes.listing(suite, suite.full(user), messages)
            again = boxes.listing(suite, suite.full(user), messages, sessions)
            results.append(Result(f"login, LIST, UIDL of {messages:,} messages", "ms of CPU", goal, again[1] * 1000,
                                  note=f"{again[0] * 1000:.0f} ms for a client in Python; the first time "
                                       f"{first[1] * 1000:.0f} ms of CPU, {first[0] * 1000:.0f} ms"))
        size = os.stat(boxes.store_of(suite))
        results.append(Result("accept rate, mail.db of 50 GB", "messages/s", ">= 0.9", rate(), small, "(small)",
                              f"{size.st_blocks / 2048:.0f} MiB of it on the disk; start {start_s:.2f} s"))
        return results
    finally:
        barid.stop()


@row("fair")
def fair(directory, sessions=100, messages=10, octets=500000):
    """Everybody downloads at once: when the first and when the last has it, and how long a small session takes."""
    limits = {"connections_per_address": "none"}
    barid = servers.Barid(directory, users=sessions + 1, config={"limits": limits})
    try:
        users = [f"user{n}@{servers.DOMAIN}" for n in range(sessions)]
        for _ in range(messages):  # a message of its own for each
            for first in range(0, sessions, 10):
                servers.mailload(barid.smtp, 10, octets, 10, rcpts=users[first:first + 10])
        counts = [boxes.Session(barid.pop3, user) for user in users[:10]]
        for session in counts:
            session.close()
        barid.fill(f"user{sessions}", 1, 1000)
        small = boxes.Small(barid.pop3, f"user{sessions}@{servers.DOMAIN}")
        small.start()
        times, total = boxes.download(barid.pop3, users, messages)
        small.is_done.set()
        small.join(60)
        late = sorted(small.times)
        return [Result(f"{sessions} sessions downloading: first/last", "%", "> 50", 100 * min(times) / max(times),
                       note=f"{min(times):.2f} to {max(times):.2f} s for {total / sessions / 1e6:.1f} MB each, "
                            f"{total / max(times) / 1e6:.0f} MB/s in all; {len(late)} small sessions beside: median "
                            f"{late[len(late) // 2] * 1000:.0f} ms, longest {late[-1] * 1000:.0f} ms")]
    finally:
        barid.stop()


# --- the run ---

def version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True)
    return done.stdout or "not installed"


def print_machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(": ")[1].strip() for line in f if line.startswith("model name")), "?")
    kind = subprocess.run(["stat", "-f", "-c", "%T", OPTIONS.dir], capture_output=True, text=True).stdout.strip()
    print(f"{os.cpu_count()} x {model}, Linux {platform.release()}, {OPTIONS.dir} on {kind}; "
          f"load average before: {os.getloadavg()[0]:.1f}")
    print(f"Postfix {version('postfix')}, Dovecot {version('dovecot-core')}, SQLite {version('libsqlite3-0')}; "
          f"medians of {OPTIONS.rounds} rounds in turn")


def main():
    unknown = [name for name in OPTIONS.rows if name not in ROWS]
    if unknown:
        sys.exit(f"bench: no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    print_machine()
    print(f"\n{'':<42}{'barid':>9}{'other':>9} {'':<8}{'ratio':>6} {'goal':>6}")
    # One directory a row, all removed at the end: a disk that just lost many files is slower (ext4 without a
    # journal passes over freshly freed inodes one by one), which is not the next row's work.
    whole = tempfile.mkdtemp(prefix="barid-bench-", dir=OPTIONS.dir)
    os.chmod(whole, 0o755)
    apart(whole)
    try:
        for name in OPTIONS.rows or ROWS:
            directory = os.path.join(whole, name)
            os.mkdir(directory)
            apart(directory)
            for result in ROWS[name](directory):
                print(result, flush=True)
    finally:
        shutil.rmtree(whole, ignore_errors=True)


if __name__ == "__main__":
    main()
