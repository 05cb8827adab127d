"""Connections from very many addresses, and good clients among them: who is still served?

The addresses are claimed by PROXY headers, so the listener must believe the load tool (proxy_from)."""

import collections
import random
import selectors
import socket
import threading
import time


def header(client):
    return f"PROXY TCP4 {client} 192.0.2.1 4321 25\r\n".encode()


class Strangers(threading.Thread):
    """Makes `total` connections in `seconds`, each of another address; half say HELO, none says more. Whatever
    the server closes is closed here too."""

    def __init__(self, address, total, seconds):
        super().__init__(daemon=True)
        self.address, self.total, self.seconds = address, total, seconds
        self.made = self.closed = 0
        self.waiting = selectors.DefaultSelector()

    def connect(self):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.connect(self.address)
        except BlockingIOError:
            pass
        client = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        try:
            s.send(header(client) + (b"HELO x.example\r\n" if self.made % 2 else b""))
        except OSError:
            s.close()
            return
        self.waiting.register(s, selectors.EVENT_READ)
        self.made += 1

    def listen(self, seconds):
        for key, _ in self.waiting.select(seconds):
            try:
                octets = key.fileobj.recv(4096)
            except OSError:
                octets = b""
            if not octets:
                self.waiting.unregister(key.fileobj)
                key.fileobj.close()
                self.closed += 1

    def run(self):
        began = time.monotonic()
        while self.made < self.total:
            due = int((time.monotonic() - began) / self.seconds * self.total)
            for _ in range(min(due, self.total) - self.made):
                self.connect()
            self.listen(0.002)
        for key in list(self.waiting.get_map().values()):
            key.fileobj.close()


class Good(threading.Thread):
    """Sends a message, waits a little, and again, until told to stop."""

    def __init__(self, address, client, rcpt):
        super().__init__(daemon=True)
        self.address, self.client, self.rcpt = address, client, rcpt
        self.times, self.failures = [], collections.Counter()
        self.is_done = threading.Event()

    def send(self):
        with socket.create_connection(self.address, 30) as s:
            s.sendall(header(self.client))
            f = s.makefile("rwb")
            for line in (b"", b"HELO good.example", b"MAIL FROM:<a@good.example>", b"RCPT TO:<%s>" % self.rcpt,
                         b"DATA", b"Subject: x\r\n\r\nhello\r\n."):
                if line:
                    f.write(line + b"\r\n")
                    f.flush()
                reply = f.readline()
                if reply[:1] not in (b"2", b"3"):
                    return reply[:9].decode() or "closed"
        return None

    def run(self):
        while not self.is_done.wait(0.05):
            began = time.monotonic()
            try:
                why = self.send()
            except OSError as e:
                why = type(e).__name__
            if why:
                self.failures[why] += 1
            else:
                self.times.append(time.monotonic() - began)
