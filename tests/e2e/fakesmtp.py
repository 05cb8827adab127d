#!/usr/bin/python3
"""A scriptable SMTP server for tests: says what the script tells it to, records exactly what it got.

    fakesmtp.py [--script script.json] [--record DIR] [--port 0]      prints "listening 127.0.0.1 PORT"

or, inside a Python test:

    with FakeSmtp({"replies": {"RCPT": {"bob@example.org": "550 5.1.1 no such user"}}}) as smtp:
        ... smtp.port ... smtp.wait(1)[0]["data"] ...

The script (all of it optional; the JSON file is read again for each connection):
    "greeting"   an action, default "220 fake.example ESMTP"
    "ehlo"       lines of the answer to EHLO, default ["fake.example", "PIPELINING", "SIZE 104857600", "8BITMIME"];
                 without "PIPELINING", a client that sends ahead is a violation
    "lmtp"       true: LHLO in the place of EHLO and HELO (RFC 2033), and after the content a reply for each recipient
    "replies"    {verb: action}, verbs EHLO HELO MAIL RCPT DATA DOT (the end of content) RSET NOOP QUIT STARTTLS
    "tls"        {"certificate": FILE, "key": FILE}: offers STARTTLS, not again once TLS is there;
                 "implicit": true: TLS from the first octet; "version": "TLSv1_2"; "break": true: says something
                 that is not TLS instead of the handshake; "behind": text that goes out behind the reply to
                 STARTTLS, in the clear and in the same packet; "ehlo": lines of the answer to EHLO within TLS;
                 "resume": true: goes on with sessions of earlier connections, also if the certificate is another
                 one by now (and with those of another FakeSmtp whose `contexts` it was given); "refuse": true:
                 ends the handshake of who wants to. The transcript has "= resumed" and "= offers a session"
An action is
    "250 2.1.0 ok"                      a reply; a newline in it makes a second line, "" says nothing
    {"reply": "...", "delay": 2}        waits before it
    {"reply": "...", "drop": true}      closes the connection after it (without a reply: just closes)
    {"reply": "...", "slow": 0.05}      sends it octet by octet
    ["451 later", "250 ok"]             the first time, the second time, ...; the last one stays (per server)
    {"bob@example.org": action, "*": action}    for MAIL and RCPT: by address (lower case)
    {"reply": "354 go", "read": 100, "drop": true}   for DATA: reads so many octets of content, then closes

Recorded per message: {"tls" (version, or null), "from", "from_params", "rcpts" (accepted ones), "rcpt_params", "helo", "connection",
"data" (dots removed), "raw" (as it came, with the last dot)}. With --record DIR: DIR/0001.json, DIR/0001.eml,
DIR/0001.raw, and DIR/transcript with one line for each command, reply and violation ("C1 > 250 ok").
"""
import argparse
import json
import os
import re
import socket
import socketserver
import ssl
import sys
import threading
import time

DEFAULT = {"greeting": "220 fake.example ESMTP",
           "ehlo": ["fake.example", "PIPELINING", "SIZE 104857600", "8BITMIME"], "replies": {}}
REPLIES = {"HELO": "250 fake.example", "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", "DATA": "354 go ahead",
           "DOT": "250 2.0.0 stored", "STARTTLS": "220 2.0.0 go ahead",
           "RSET": "250 2.0.0 ok", "NOOP": "250 2.0.0 ok", "QUIT": "221 2.0.0 bye"}


class Gone(Exception):
    """The connection is over."""


def offers_session(hello):
    """Has this ClientHello (RFC 8446 4.1.2) a pre_shared_key, or a ticket (RFC 5077)?"""
    at = 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    at += 2
    while at + 4 <= len(hello):
        kind, size = (int.from_bytes(hello[i:i + 2], "big") for i in (at, at + 2))
        if kind == 41 or (kind == 35 and size > 0):
            return True
        at += 4 + size
    return False


class Connection:
    """One client: reads lines, acts by the script."""

    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.script = server.load()
        self.pending = b""
        self.helo, self.tls, self.offered = "", None, self.script["ehlo"]
        self.reset()

    def reset(self):
        self.sender, self.sender_params, self.rcpts, self.rcpt_params = None, "", [], []

    def log(self, mark, text):
        self.server.log(f"C{self.number} {mark} {text}")

    def violation(self, text):
        self.server.violations.append((self.number, text))
        self.log("!", text)

    def fill(self):
        more = self.sock.recv(65536)
        if not more:
            raise Gone
        self.pending += more

    def line(self):
        while b"\n" not in self.pending:
            self.fill()
        line, self.pending = self.pending.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            self.violation(f"bare CR or LF: {line!r}")
        return line.rstrip(b"\r").decode("latin-1")

    def send(self, octets, slow):
        try:
            if not slow:
                self.sock.sendall(octets)
                return
            for i in range(len(octets)):
                self.sock.sendall(octets[i:i + 1])
                time.sleep(slow)
        except OSError as e:
            raise Gone from e

    def act(self, action):
        """Performs an action; returns the code that was said (0: nothing)."""
        if isinstance(action, str):
            action = {"reply": action}
        time.sleep(action.get("delay", 0))
        text = action.get("reply", "")
        if text:
            self.log(">", text.replace("\n", "\\n"))
            self.send((text.replace("\n", "\r\n") + "\r\n").encode("latin-1"), action.get("slow", 0))
        if action.get("drop") and "read" not in action:
            raise Gone
        return int(text[:3]) if text[:3].isdigit() else 0

    def action(self, verb, address=None):
        chosen = self.script["replies"].get(verb, REPLIES.get(verb, "500 5.5.1 unknown command"))
        if isinstance(chosen, dict) and not {"reply", "drop", "delay", "slow", "read"} & set(chosen):
            chosen = chosen.get((address or "").lower(), chosen.get("*", REPLIES[verb]))
        if isinstance(chosen, list):
            n = self.server.count((verb, address))
            chosen = chosen[min(n, len(chosen) - 1)]
        return chosen

    def ehlo(self, name):
        self.helo = name
        self.reset()
        if "EHLO" in self.script["replies"]:
            return self.act(self.action("EHLO"))
        lines = self.script["ehlo"]
        tls = self.script.get("tls")
        if tls and self.tls:
            lines = tls.get("ehlo", lines)
        elif tls and not tls.get("implicit"):
            lines = [*lines, "STARTTLS"]
        self.offered = lines
        marks = ["-"] * (len(lines) - 1) + [" "]
        return self.act("\n".join("250" + mark + line for mark, line in zip(marks, lines)))

    def peek_hello(self):
        """The first record, which stays to be read."""
        while True:
            seen = self.sock.recv(65536, socket.MSG_PEEK)
            if not seen:
                raise Gone
            if len(seen) >= 5 and len(seen) >= 5 + int.from_bytes(seen[3:5], "big"):
                return seen[5:]
            time.sleep(0.01)

    def secure(self):
        tls = self.script["tls"]
        if tls.get("break"):
            self.sock.recv(1)  # the client has begun, so that this is not behind the reply to STARTTLS
            self.send(b"this is not TLS\r\n", 0)
            raise Gone
        if offers_session(self.peek_hello()):
            self.log("=", "offers a session")
            if tls.get("refuse"):
                self.send(b"\x15\x03\x03\x00\x02\x02\x50", 0)  # a fatal alert: internal_error
                raise Gone
        context = self.server.context(tls)
        context.sni_callback = lambda _socket, name, _context: self.log("=", f"SNI {name}")
        try:
            self.sock = context.wrap_socket(self.sock, server_side=True)
        except OSError as e:
            self.log("!", f"handshake: {e}")
            raise Gone from e
        self.tls = self.sock.version()
        self.log("=", self.tls)
        if self.sock.session_reused:
            self.log("=", "resumed")

    def starttls(self):
        tls = self.script.get("tls")
        if tls and "behind" in tls:
            self.send(f"220 go ahead\r\n{tls['behind']}\r\n".encode(), 0)
        elif self.act(self.action("STARTTLS") if tls and not self.tls else "503 5.5.1 no") != 220:
            return
        self.helo = ""
        self.reset()
        self.secure()

    def path(self, args):
        found = re.match(r"(?i)(?:FROM|TO):<(.*)>(.*)$", args) if args else None
        if not found:
            self.violation(f"not a path: {args!r}")
            return "", ""
        return found.group(1), found.group(2).strip()

    def mail(self, args):
        address, params = self.path(args)
        if self.act(self.action("MAIL", address)) // 100 == 2:
            self.sender, self.sender_params = address, params

    def rcpt(self, args):
        address, params = self.path(args)
        if self.sender is None and "RCPT" not in self.script["replies"]:
            self.act("503 5.5.1 MAIL first")
        elif self.act(self.action("RCPT", address)) // 100 == 2:
            self.rcpts.append(address)
            self.rcpt_params.append(params)

    def data(self):
        if not self.rcpts and "DATA" not in self.script["replies"]:
            self.act("554 5.5.1 no valid recipients")
            return
        action = self.action("DATA")
        if self.act(action) // 100 != 3:
            return
        if isinstance(action, dict) and "read" in action:
            while len(self.pending) < action["read"]:
                self.fill()
            raise Gone
        raw = self.content()
        lines = raw[:-3].split(b"\r\n")
        data = b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)
        if re.search(rb"(?<!\r)\n|\r(?!\n)", raw):
            self.violation("bare CR or LF in content")
        message = {"tls": self.tls, "from": self.sender, "from_params": self.sender_params, "rcpts": self.rcpts,
                   "rcpt_params": self.rcpt_params, "helo": self.helo, "connection": self.number,
                   "data": data, "raw": raw}
        reply = self.action("DOT")
        code = reply if isinstance(reply, str) else reply.get("reply", "")
        message["reply"] = code
        self.server.keep(message)
        n_replies = len(self.rcpts) if self.script.get("lmtp") else 1
        self.reset()
        for _ in range(n_replies):
            self.act(reply)

    def content(self):
        """All up to and with the final dot; large messages without looking at anything twice."""
        raw = bytearray(b"\r\n" + self.pending)  # as if the line before had ended here
        self.pending, at = b"", 0
        while (end := raw.find(b"\r\n.\r\n", max(0, at - 4))) < 0:
            at = len(raw)
            self.fill()
            raw += self.pending
            self.pending = b""
        self.pending = bytes(raw[end + 5:])
        return bytes(raw[2:end + 5])

    def command(self, line):
        verb, _, args = line.partition(" ")
        verb = verb.upper()
        self.log("<", line)
        may_follow = verb in ("MAIL", "RCPT", "RSET", "NOOP") and "PIPELINING" in self.offered
        if self.pending and not may_follow:
            self.violation(f"sent ahead after {verb}: {self.pending[:60]!r}")
        if self.script.get("lmtp") and verb in ("EHLO", "HELO"):
            self.act("500 5.5.1 this is LMTP")
        elif verb == ("LHLO" if self.script.get("lmtp") else "EHLO"):
            self.ehlo(args)
        elif verb == "MAIL":
            self.mail(args)
        elif verb == "RCPT":
            self.rcpt(args)
        elif verb == "DATA":
            self.data()
        elif verb == "STARTTLS":
            self.starttls()
        else:
            if verb in ("HELO", "RSET"):
                self.reset()
                self.helo = args or self.helo
            self.act(self.action(verb))
            if verb == "QUIT":
                raise Gone

    def run(self):
        try:
            self.log("=", "connected")
            if self.script.get("tls", {}).get("implicit"):
                self.secure()
            if self.act(self.script["greeting"] if not isinstance(self.script["greeting"], list)
                        else self.turn("greeting")) == 0:
                return
            while True:
                self.command(self.line())
        except (Gone, ConnectionError, TimeoutError):
            pass
        finally:
            self.sock.close()  # one of TLS is not the server's to close
            self.log("=", "closed")

    def turn(self, key):
        actions = self.script[key]
        return actions[min(self.server.count((key, None)), len(actions) - 1)]


class FakeSmtp:
    def __init__(self, script=None, file=None, record=None, host="127.0.0.1", port=0):
        self.script, self.file, self.record = script or {}, file, record
        self.messages, self.violations, self.transcript, self.counts = [], [], [], {}
        self.connections = 0
        self.contexts = {}
        self.lock = threading.Condition()
        if record:
            os.makedirs(record, exist_ok=True)
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer.request_queue_size = 128
        smtp = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with smtp.lock:
                    smtp.connections += 1
                    number = smtp.connections
                self.request.settimeout(60)
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Connection(smtp, self.request, number).run()

        self.server = socketserver.ThreadingTCPServer((host, port), Handler)
        self.server.daemon_threads = True
        self.host, self.port = self.server.server_address[:2]

    def load(self):
        script = self.script
        if self.file is not None:
            with open(self.file, encoding="utf-8") as f:
                script = json.load(f)
        return {**DEFAULT, **script}

    def context(self, tls):
        """One for each connection, or one with the same keys of tickets for all."""
        with self.lock:
            context = self.contexts.get(tls.get("version")) if tls.get("resume") else None
            context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls["certificate"], tls["key"])
            if "version" in tls:
                context.minimum_version = context.maximum_version = ssl.TLSVersion[tls["version"]]
            if tls.get("resume"):
                self.contexts[tls.get("version")] = context
            return context

    def count(self, key):
        with self.lock:
            self.counts[key] = self.counts.get(key, -1) + 1
            return self.counts[key]

    def log(self, text):
        with self.lock:
            self.transcript.append(text)
            if self.record:
                with open(os.path.join(self.record, "transcript"), "a", encoding="utf-8") as f:
                    f.write(text + "\n")

    def keep(self, message):
        with self.lock:
            self.messages.append(message)
            if self.record:
                self._write(f"{len(self.messages):04d}", message)
            self.lock.notify_all()

    def _write(self, name, message):
        base = os.path.join(self.record, name)
        for suffix, key in ((".eml", "data"), (".raw", "raw")):
            with open(base + suffix, "wb") as f:
                f.write(message[key])
        envelope = {key: value for key, value in message.items() if key not in ("data", "raw")}
        with open(base + ".tmp", "w", encoding="utf-8") as f:
            json.dump(envelope, f)
        os.rename(base + ".tmp", base + ".json")  # the last one: who sees it sees all three

    def wait(self, n, timeout=10):
        """The messages, as soon as there are n of them; fewer after the time."""
        with self.lock:
            self.lock.wait_for(lambda: len(self.messages) >= n, timeout)
            return list(self.messages)

    def start(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()


def main():
    parser = argparse.ArgumentParser(description="a scriptable SMTP server for tests")
    parser.add_argument("--script", help="JSON file")
    parser.add_argument("--record", help="directory for what was received")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    smtp = FakeSmtp(file=args.script, record=args.record, port=args.port).start()
    print("listening", smtp.host, smtp.port, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
