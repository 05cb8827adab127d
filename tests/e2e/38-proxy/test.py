"""The PROXY protocol: who the client is, said by a load balancer; and the limits per address, which the
workers of a service keep together."""

import socket
import time
import unittest

from harness import PASSWORD, Suite, message, wait_until

PEOPLE = "192.0.2.9", "192.0.2.10"
V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


class Proxy(unittest.TestCase):
    def setUp(self):
        named = {"proxy_from": "127.0.0.0/8"}
        self.suite = Suite(config={
            "": {"workers": 2},
            "limits": {"connections_per_address": 10, "connection_rate": "12/1h"},
            "listen smtp": named, "listen pop3": named})
        self.addCleanup(self.suite.close)
        self.suite.start()

    def connect(self, header, address=None):
        """A connection with this in front, and the first line that comes, or b""."""
        s = socket.create_connection(address or self.suite.smtp_address, 20)
        self.addCleanup(s.close)
        s.sendall(header)
        try:
            return s, s.makefile("rb").readline()
        except ConnectionResetError:
            return s, b""

    def header(self, client):
        return f"PROXY TCP4 {client} 192.0.2.1 4321 25\r\n".encode()

    def test_the_client_is_the_one_it_names(self):
        s, line = self.connect(self.header(PEOPLE[0]))
        self.assertEqual(line[:4], b"220 ")
        f = s.makefile("rwb")
        for command, code in ((b"EHLO client.example", b"250"), (b"MAIL FROM:<a@client.example>", b"250"),
                              (b"RCPT TO:<alice@example.org>", b"250"), (b"DATA", b"354"),
                              (message() + b".", b"250")):
            f.write(command + b"\r\n")
            f.flush()
            line = f.readline()
            while line[3:4] == b"-":
                line = f.readline()
            self.assertEqual(line[:3], code)
        wait_until(lambda: self.suite.count("alice") == 1, 10, "the message")
        self.assertIn(f"connect client={PEOPLE[0]}:4321", self.suite.log())

    def test_in_pieces(self):
        s = socket.create_connection(self.suite.smtp_address, 20)
        self.addCleanup(s.close)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in self.header(PEOPLE[0]):
            s.sendall(bytes((octet,)))
        self.assertEqual(s.recv(4), b"220 ")

    def test_health_checks_and_pop3(self):
        self.assertEqual(self.connect(V2_LOCAL)[1][:4], b"220 ")
        self.assertEqual(self.connect(self.header(PEOPLE[0]), self.suite.pop3_address)[1][:3], b"+OK")

    def test_without_the_header_nothing_is_said(self):
        for wrong in (b"EHLO client.example\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\0\0"):
            self.assertEqual(self.connect(wrong)[1], b"")
        wait_until(lambda: self.suite.log().count("proxy-refused") == 3, 5, "three lines")

    def test_mistakes_of_strangers_are_answered_late(self):
        proxied = {"proxy_from": "127.0.0.0/8", "error_delay": "1s"}
        self.suite.write_config({"listen smtp": proxied, "limits": {"error_delay": "30s"}})
        self.suite.restart()
        s, line = self.connect(self.header(PEOPLE[0]))
        began = time.monotonic()
        s.sendall(b"NONSENSE\r\nQUIT\r\n")
        self.assertRegex(s.makefile("rb").read(), rb"\A500 [^\r]*\r\n221 ")
        self.assertGreater(time.monotonic() - began, 0.9)
        s, line = self.connect(V2_LOCAL)  # loopback: not at all
        began = time.monotonic()
        s.sendall(b"NONSENSE\r\nQUIT\r\n")
        self.assertRegex(s.makefile("rb").read(), rb"\A500 [^\r]*\r\n221 ")
        self.assertLess(time.monotonic() - began, 0.9)

    def test_limits_of_an_address_over_all_workers(self):
        held = [self.connect(self.header(PEOPLE[0])) for _ in range(10)]
        self.assertEqual([line[:4] for _, line in held], [b"220 "] * 10)
        self.assertEqual(self.connect(self.header(PEOPLE[0]))[1][:4], b"421 ")
        self.assertEqual(self.connect(self.header(PEOPLE[1]))[1][:4], b"220 ")

    def test_rate_of_an_address_over_all_workers(self):
        codes = []
        self.suite.write_config({"": {"workers": 2}, "listen smtp": {"proxy_from": "127.0.0.0/8"},
                                 "limits": {"connection_rate": "8/1h"}})
        self.suite.restart()
        for _ in range(10):
            codes.append(self.connect(self.header(PEOPLE[0]))[1][:3])
        self.assertEqual(codes, [b"220"] * 8 + [b"421"] * 2)

    def test_who_is_not_named_may_not_send_one(self):
        self.suite.write_config({"": {"workers": 2}, "listen smtp": {"proxy_from": "198.51.100.0/24"}})
        self.suite.restart()
        s, line = self.connect(self.header(PEOPLE[0]))
        self.assertNotIn(f"client={PEOPLE[0]}", self.suite.log())
        self.assertIn(line[:3], (b"220", b"554"))  # to it, it is a client who talks too early, or nonsense


class Crowded(unittest.TestCase):
    """All connections are taken: of the strangers, the one who has said nothing for longest makes room."""

    def setUp(self):
        named = {"proxy_from": "127.0.0.0/8"}
        self.suite = Suite(config={"": {"workers": 1}, "limits": {"connections": 4, "connection_rate": "none"},
                                   "listen smtp": named, "listen pop3": named})
        self.addCleanup(self.suite.close)
        self.suite.start()

    def connect(self, address, client):
        s = socket.create_connection(address, 20)
        self.addCleanup(s.close)
        s.sendall(f"PROXY TCP4 {client} 192.0.2.1 4321 25\r\n".encode())
        f = s.makefile("rwb")
        return f, f.readline()

    def say(self, f, *lines):
        for line in lines:
            f.write(line.encode() + b"\r\n")
            f.flush()
            reply = f.readline()
            while reply[3:4] == b"-":
                reply = f.readline()
        return reply

    def test_smtp(self):
        address = self.suite.smtp_address
        silent, _ = self.connect(address, "192.0.2.1")
        agreed, _ = self.connect(address, "192.0.2.2")
        self.say(agreed, "HELO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<alice@example.org>")
        ours, _ = self.connect(address, "127.0.0.1")
        time.sleep(0.4)  # longer than a stranger may be silent now
        busy, _ = self.connect(address, "192.0.2.3")
        self.assertEqual(self.say(busy, "HELO b.example")[:3], b"250")
        late, greeting = self.connect(address, "192.0.2.4")
        self.assertEqual(greeting[:4], b"220 ")
        self.assertEqual(silent.readline()[:10], b"421 4.3.2 ")
        self.assertEqual(silent.readline(), b"")
        for f in agreed, ours, busy, late:
            self.assertEqual(self.say(f, "NOOP")[:3], b"250")
        wait_until(lambda: 'why="made room for another"' in self.suite.log(), 10, "the line about it")

    def test_pop3(self):
        address = self.suite.pop3_address
        silent, _ = self.connect(address, "192.0.2.1")
        known, _ = self.connect(address, "192.0.2.2")
        self.say(known, "USER alice@example.org", f"PASS {PASSWORD}")
        ours = [self.connect(address, "127.0.0.1")[0] for _ in range(2)]
        time.sleep(0.4)
        late, greeting = self.connect(address, "192.0.2.3")
        self.assertEqual(greeting[:3], b"+OK")
        self.assertEqual(silent.readline()[:15], b"-ERR [SYS/TEMP]")
        self.assertEqual(silent.readline(), b"")
        self.assertEqual(self.say(known, "STAT")[:6], b"+OK 0 ")
        for f in ours + [late]:
            self.assertEqual(self.say(f, "CAPA")[:3], b"+OK")
