#!/usr/bin/python3
"""The whole trip of a message, shown step by step: ./dev demo. With --stay (./dev run) the suite stays up
for mail clients until Ctrl-C."""

import argparse
import os
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "demo"
USER = "demo@barid.example"


def step(text):
    print(f"\n== {text}", flush=True)


class Spoken:
    """A connection that prints what both sides say."""

    def __init__(self, wire, is_smtp):
        self.wire = wire
        self.is_smtp = is_smtp
        self.hear()

    def hear(self):
        while True:
            line = self.wire.line()
            if line is None:
                raise SystemExit("demo: the server closed the connection")
            print(f"   server: {line}")
            if line[:1] in "45" or line.startswith("-ERR"):
                raise SystemExit("demo: the server refused that")
            if not self.is_smtp or line[3:4] != "-":
                return

    def say(self, *lines):
        for line in lines:
            print(f"   client: {line}")
        self.wire.send("".join(line + "\r\n" for line in lines).encode())
        self.hear()

    def content(self):
        octets = self.wire.multiline()
        for line in octets.decode("utf-8", "replace").split("\r\n")[:-1]:
            print(f"   server: {line}")
        print("   server: .")


def send(suite, wire_class, sender, recipient, subject, text):
    spoken = Spoken(wire_class(suite.smtp_address), is_smtp=True)
    spoken.say("EHLO client.example")
    spoken.say(f"MAIL FROM:<{sender}>")
    spoken.say(f"RCPT TO:<{recipient}>")
    spoken.say("DATA")
    spoken.say(f"From: <{sender}>", f"To: <{recipient}>", f"Subject: {subject}", "", text, ".")
    spoken.say("QUIT")


def collect(suite, wire_class):
    spoken = Spoken(wire_class(suite.pop3_address), is_smtp=False)
    spoken.say(f"USER {USER}")
    spoken.say(f"PASS {PASSWORD}")
    spoken.say("STAT")
    spoken.say("RETR 1")
    spoken.content()
    spoken.say("DELE 1")
    spoken.say("QUIT")


def show_queue(suite):
    for line in suite.cli("queue", "list").splitlines() or ["(empty)"]:
        print(f"   {line}")


def prepare():
    from fakesmtp import FakeSmtp
    from harness import Suite
    remote = FakeSmtp().start()
    suite = Suite(domain="barid.example", users=())
    suite.address = "127.0.0.1"
    # numbers that are easy to type into a mail client, if they are free
    suite.smtp_address, suite.pop3_address = (free(suite.address, n) for n in (2525, 2110))
    suite.write_config({"": {"hostname": "mx.barid.example"},
                        "relay": {"allow_from": "127.0.0.0/8"},
                        "route remote.example": {"to": f"smtp://{remote.host}:{remote.port}"}})
    return suite, remote


def free(address, wanted):
    from harness import free_port
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, wanted))
        except OSError:
            return address, free_port(address)
    return address, wanted


def show_start(suite, remote):
    step("starting the suite: `barid run --config FILE`, with this file")
    with open(suite.config_file, encoding="utf-8") as f:
        print("".join(f"   {line}" for line in f), end="")
    suite.start()
    suite.cli("user", "add", USER, "--password-stdin", stdin=PASSWORD + "\n")
    print(f"\n   ready. Made with `barid domain add` and `barid user add`: {USER}, password {PASSWORD!r}")
    print(f"   A demo server for remote.example listens on {remote.host}:{remote.port}.")
    step("its processes, one job and one uid each: `barid status`")
    for line in suite.cli("status").splitlines():
        print(f"   {line}")


def show_trip(suite, remote):
    from harness import wait_until
    from wire import Wire
    step(f"a message comes in by SMTP, from a stranger to {USER}")
    send(suite, Wire, "eve@client.example", USER, "Hello from outside", "How do you do?")
    print("   The last 250 came after the message was on disk and in the mailbox.")
    step("the mailbox: `barid mailbox list`")
    for line in suite.cli("mailbox", "list").splitlines():
        print(f"   {line}")
    step("a message goes out: accepted for carol@remote.example, relayed to her server")
    send(suite, Wire, USER, "carol@remote.example", "Hello to the outside", "Very well, and you?")
    messages = remote.wait(1, 20)
    if not messages:
        show_queue(suite)
        raise SystemExit("demo: the message did not arrive at the demo server")
    wait_until(lambda: any("> 250 2.0.0 stored" in line for line in remote.transcript), 5, "its last answer")
    print("\n   and this is what the demo server heard and got:")
    for line in remote.transcript:
        _, mark, text = line.split(" ", 2)
        for said in text.split("\\n") if mark in "<>" else ():
            print(f"   {'barid ' if mark == '<' else 'remote'}: {said}")
    for line in messages[0]["data"].decode().split("\r\n")[:-1]:
        print(f"   content: {line}")
    step(f"{USER} collects the mail by POP3")
    collect(suite, Wire)
    step("mail for a user who does not exist is refused at once, not bounced later")
    spoken = Wire(suite.smtp_address)
    spoken.line()
    for line in ("EHLO client.example", "MAIL FROM:<eve@client.example>", "RCPT TO:<nobody@barid.example>"):
        print(f"   client: {line}")
        code, texts = spoken.ask(line)
        print(f"   server: {code} {texts[-1]}")
    spoken.close()


def stay(suite, remote):
    step("the suite stays up; connect a mail client (plain text, no TLS: this is a demo on loopback)")
    host, smtp_port = suite.smtp_address
    print(f"""
   incoming mail  POP3   server {host}  port {suite.pop3_address[1]}  no encryption
                         user {USER}  password {PASSWORD}
   outgoing mail  SMTP   server {host}  port {smtp_port}  no encryption, no login
   Mail for anyone at remote.example goes to the demo server on port {remote.port}.

   The command:   {' '.join(suite.command('status'))}
   The log:       {suite.log_file}

   Ctrl-C stops it.""", flush=True)
    seen = 0
    try:
        while suite.process.poll() is None:
            for message in remote.messages[seen:]:
                print(f"\n   the demo server got a message from <{message['from']}> to {message['rcpts']}")
                seen += 1
            time.sleep(0.2)
        raise SystemExit(f"demo: the suite ended by itself: {suite.log_tail(5)}")
    except KeyboardInterrupt:
        print()


def main():
    parser = argparse.ArgumentParser(description="the whole trip of a message, step by step")
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"))
    parser.add_argument("--stay", action="store_true", help="stay up for mail clients until Ctrl-C")
    options = parser.parse_args()
    os.environ["BARID_BUILD"] = os.path.abspath(options.build)
    os.environ["BARID_E2E_NAME"] = "demo"
    suite, remote = prepare()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        show_start(suite, remote)
        if options.stay:
            stay(suite, remote)
        else:
            show_trip(suite, remote)
        step("stopping: SIGTERM")
        if suite.process.poll() is None:
            suite.stop()
        print("   stopped cleanly, exit status 0")
    finally:
        suite.close()
        remote.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
