"""Mailboxes and stores that are very large, and many sessions at once, for ./dev bench."""

import hashlib
import os
import selectors
import socket
import sqlite3
import struct
import threading
import time

from harness import PASSWORD

PAGE = 4096


def store_of(suite):
    return suite.state_dir + "/queue/mail.db"


def fill(database, box, messages):
    """As so many deliveries would, but in seconds; the daemons are down."""
    db = sqlite3.connect(database, isolation_level=None)
    content = b"Subject: one of very many\r\n\r\n" + b"x" * 98 + b"\r\n"
    header = content.index(b"\r\n\r\n") + 4
    content_hash = hashlib.blake2b(content, digest_size=16).digest()
    now, octets = int(time.time()), len(content) + len("Return-Path: <>\r\n")
    first = (now - 86400) * 1000 << 21
    db.execute("BEGIN")
    db.execute("INSERT INTO box (id, messages, octets, next_seq, forgotten, first_id) VALUES (?, ?, ?, ?, 0, ?)",
               (box, messages, messages * octets, messages + 1, first))
    db.executemany("INSERT INTO message (id, arrived, expires, sender, client, helo, login, size, header, flags,"
                   " warned, spooled, hash, content) VALUES (?, ?, ?, '', '127.0.0.1', 'h', '', ?, ?, 0, 0, 0, ?, ?)",
                   ((first + n, now, now + 5 * 86400, len(content), header, content_hash, content)
                    for n in range(messages)))
    db.executemany("INSERT INTO entry (box, seq, message, octets) VALUES (?, ?, ?, ?)",
                   ((box, n + 1, first + n, octets) for n in range(messages)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def stretch(database, octets):
    """Makes the file so long, with a hole at its end that is part of no table: what is added from now on stands
    behind it. Takes no room on the disk. The daemons are down."""
    with open(database, "r+b") as f:
        header = f.read(100)
        assert struct.unpack(">I", header[24:28]) == struct.unpack(">I", header[92:96]), "the page count is not valid"
        assert struct.unpack(">H", header[16:18])[0] == PAGE
        f.truncate(octets)
        f.seek(28)
        f.write(struct.pack(">I", octets // PAGE))


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            user, system = f.read().rsplit(")", 1)[1].split()[11:13]
        total += int(user) + int(system)
    return total / os.sysconf("SC_CLK_TCK")


class Session:
    """One that has logged in."""

    def __init__(self, address, user):
        self.socket = socket.create_connection(address, 120)
        self.lines = self.socket.makefile("rb", 1 << 20)
        self.expect(b"+OK")
        self.ask(f"USER {user}")
        self.ask(f"PASS {PASSWORD}")

    def expect(self, wanted):
        line = self.lines.readline()
        assert line.startswith(wanted), line

    def ask(self, command):
        self.socket.sendall(command.encode() + b"\r\n")
        self.expect(b"+OK")

    def lines_of(self, command):
        """The number of lines in the answer."""
        self.ask(command)
        n = 0
        while self.lines.readline() != b".\r\n":
            n += 1
        return n

    def close(self):
        self.ask("QUIT")
        self.socket.close()


def listing(suite, user, messages, sessions=1):
    """Seconds on the clock, and of CPU in all daemons, of a session with LIST and UIDL."""
    began, before = time.monotonic(), cpu_s(suite.pids())
    for _ in range(sessions):
        session = Session(suite.pop3_address, user)
        assert session.lines_of("LIST") == session.lines_of("UIDL") == messages
        session.close()
    return (time.monotonic() - began) / sessions, (cpu_s(suite.pids()) - before) / sessions


class Small(threading.Thread):
    """Collects one short message, again and again, until told to stop."""

    def __init__(self, address, user):
        super().__init__(daemon=True)
        self.address, self.user, self.times, self.is_done = address, user, [], threading.Event()

    def run(self):
        while not self.is_done.wait(0.02):
            began = time.monotonic()
            session = Session(self.address, self.user)
            session.lines_of("RETR 1")
            session.close()
            self.times.append(time.monotonic() - began)


def download(address, users, messages):
    """Each of the users collects everything at the same moment; when each had it, in seconds."""
    sessions = [Session(address, user) for user in users]
    waiting = selectors.DefaultSelector()
    commands = b"".join(b"RETR %d\r\n" % (n + 1) for n in range(messages)) + b"QUIT\r\n"
    for session in sessions:
        session.socket.setblocking(False)
        waiting.register(session.socket, selectors.EVENT_READ)
    began, times, octets = time.monotonic(), [], 0
    for session in sessions:
        assert session.socket.send(commands) == len(commands)
    while len(times) < len(sessions):
        for key, _ in waiting.select(120):
            got = key.fileobj.recv(1 << 18)
            octets += len(got)
            if not got:
                times.append(time.monotonic() - began)
                waiting.unregister(key.fileobj)
                key.fileobj.close()
    return times, octets
