"""Next hops that mean harm, or are broken: the right verdict in bounded time and memory, and nobody else waits."""

import re
import socketserver
import threading
import time

from harness import message, own_address, wait_until
from relaying import RelayTest, wait_for_state

FROM = "alice@example.org"
OK = {"": b"220 mx ESMTP\r\n", "EHLO": b"250-mx\r\n250 PIPELINING\r\n", "MAIL": b"250 ok\r\n", "RCPT": b"250 ok\r\n",
      "DATA": b"354 go\r\n", ".": b"250 2.0.0 kept\r\n", "RSET": b"250 ok\r\n", "QUIT": b"221 bye\r\n"}
CLOSE = object()


def flood(octets, most=64 << 20):
    """Says it until the client has had enough; how much that was is kept."""
    def send(server, sock):
        sent = 0
        try:
            while sent < most:
                sock.sendall(octets)
                sent += len(octets)
        finally:
            server.flooded = max(server.flooded, sent)
    return send


def dripping(octets, seconds):
    def send(_, sock):
        for i in range(len(octets)):
            sock.sendall(octets[i:i + 1])
            time.sleep(seconds)
    return send


def both(octets, then):
    def send(server, sock):
        sock.sendall(octets)
        if then is not CLOSE:
            then(server, sock)
        else:
            raise OSError
    return send


class Hostile:
    """Answers each verb ("" is the connection, "." the end of content) with octets as they are, or calls a function."""

    def __init__(self, answers):
        self.flooded, self.messages, self.connections = 0, 0, 0
        hostile = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, verb):
                answer = answers.get(verb, OK.get(verb, b"500 what\r\n"))
                if answer is CLOSE:
                    raise OSError
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                if callable(answer):
                    answer(hostile, self.request)
                else:
                    self.request.sendall(answer)

            def handle(self):
                hostile.connections += 1
                is_content = False
                try:
                    self.say("")
                    for line in self.rfile:
                        verb = line[:4].strip().upper().decode("latin-1")
                        if is_content:
                            if line == b".\r\n":
                                is_content = False
                                hostile.messages += 1
                                self.say(".")
                            continue
                        is_content = verb == "DATA"
                        self.say(verb)
                except OSError:
                    pass

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer((own_address(), 0), Handler)
        self.server.daemon_threads = True
        self.host, self.port = self.server.server_address
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


# name: (answers, state of the recipient afterwards, what its last reply must say, content taken by the server)
STEP = "out of step or not in SMTP"
LATER = [
    ("endless-greeting", {"": flood(b"220-" + b"x" * 1000 + b"\r\n")}, STEP),
    ("endless-ehlo", {"EHLO": flood(b"250-X-NEW\r\n" * 100)}, STEP),
    ("endless-refusal", {"RCPT": flood(b"550-no\r\n" * 100)}, STEP),
    ("endless-after-the-dot", {".": flood(b"250-kept\r\n" * 100)}, STEP),
    ("replies-without-end", {"MAIL": flood(b"250 ok\r\n" * 100)}, STEP),
    ("a-line-of-a-megabyte", {"": b"220 " + b"a" * (1 << 20) + b"\r\n"}, STEP),
    ("no-line-end", {"EHLO": flood(b"2" * 4096)}, STEP),
    ("nul", {"": b"220 mx\0\r\n"}, STEP),
    ("bare-lf", {"": b"220 mx\n"}, STEP),
    ("no-code", {"": b"hello there\r\n"}, STEP),
    ("code-000", {"MAIL": b"000 ok\r\n"}, STEP),
    ("code-999", {"RCPT": b"999 ok\r\n"}, STEP),
    ("two-codes", {"RCPT": b"250-ok\r\n550 no\r\n"}, STEP),
    ("ahead-of-the-greeting", {"": OK[""] + OK["EHLO"] + b"250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n"}, STEP),
    ("kept-before-it-came", {"DATA": b"354 go\r\n250 kept\r\n"}, STEP),
    ("data-answered-250", {"DATA": b"250 kept\r\n"}, STEP),
    ("354-after-the-dot", {".": b"354 go on\r\n"}, STEP),
    ("another-protocol", {"": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, STEP),
    ("half-a-reply", {"RCPT": both(b"250-ok\r\n25", CLOSE)}, r"closed by the server|reset by peer"),
    ("closed-at-once", {"": CLOSE}, r"closed by the server \(awaited: reply to connect\)|reset by peer"),
    ("closed-after-the-dot", {".": CLOSE}, r"(closed by the server|reset by peer) \(awaited: reply to end of DATA\)"),
    ("closed-within-the-last-reply", {".": both(b"250-2.0.0 ke", CLOSE)},
     r"(closed by the server|reset by peer) \(awaited: reply to end of DATA\)"),
    *[(f"421-for-{verb or 'connect'}".replace(".", "dot").lower(), {verb: both(b"421 4.3.2 going down\r\n", CLOSE)},
       r"^421 4\.3\.2 going down") for verb in ("", "EHLO", "MAIL", "RCPT", "DATA", ".")],
    ("421-without-a-close", {"RCPT": b"421 4.3.2 going down\r\n"}, r"^421 4\.3\.2"),
]
NEVER = [
    ("junk-in-a-refusal", {"RCPT": b"550 5.1.1 \xff\xfe\x1b[2Jcaf\xe9\t\x01\r\n"}, b"550 5.1.1 ???[2Jcaf? ?"),
    ("long-refusal", {"RCPT": b"".join(b"550-5.1.1 %d no\r\n" % n for n in range(99)) + b"550 5.1.1 no\r\n"}, b"550 5.1.1 0 no 1 no"),
]
SENT = [
    ("dripping", {"EHLO": dripping(OK["EHLO"], 0.01), "MAIL": dripping(b"250 ok\r\n", 0.01), ".": dripping(b"250 kept\r\n", 0.01)}),
    ("junk-in-agreement", {"": b"220 \xff\xfe\x1b\r\n", "MAIL": b"250 \x80\r\n", ".": b"250 \xc3\x28 kept\r\n"}),
    ("rset-refused", {"RSET": b"500 what\r\n", "QUIT": CLOSE}),
    ("long-ehlo", {"EHLO": b"".join(b"250-X-%d %s\r\n" % (n, b"a" * 500) for n in range(99)) + b"250 PIPELINING\r\n"}),
]


def memory_of(pid):
    """In KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))


class Replies(RelayTest):
    def everyone(self, rows):
        servers = {}
        for name, answers, *_ in rows:
            servers[name] = Hostile(dict(answers))
            self.addCleanup(servers[name].stop)
        return servers

    def check_dialogue(self, suite, name):
        """What was said is kept within bounds and as harmless text, whatever it was."""
        (entry,) = [e for e in suite.queue() if e["recipients"][0]["address"] == f"carol@{name}.example"]
        told = suite.cli("trace", entry["id"], json=True)
        text = [line["said"] for line in told["dialogue"]]
        self.assertIn("connecting to ", text[0])
        self.assertLessEqual(sum(len(line) + 4 for line in text), 8192 * len(told["attempts"]))
        self.assertRegex("".join(text), r"^[ -~]*$")

    def test_each(self):
        rows = LATER + NEVER + SENT
        servers = self.everyone(rows)
        good = self.remote()
        routes = {f"route {name}.example": {"to": f"smtp://{s.host}:{s.port}"} for name, s in servers.items()}
        suite = self.suite(config={**routes, "route good.example": {"to": f"smtp://{good.host}:{good.port}"}})
        (relay,) = suite.pids_of("relay")
        before = memory_of(relay)
        for name in servers:
            suite.send(FROM, [f"carol@{name}.example"], message("x" * 100))
        for n in range(5):
            suite.send(FROM, ["dave@good.example"], message(f"number {n}"))
        self.assertEqual(len(good.wait(5, 10)), 5, "others wait for them")

        for name, _, pattern in LATER:
            with self.subTest(name):
                got = wait_for_state(suite, f"carol@{name}.example", "deferred", 20)
                self.assertRegex(got["last_reply"], pattern)
                self.check_dialogue(suite, name)
                self.assertLessEqual(servers[name].connections, 2)
        self.assertLess(max(s.flooded for s in servers.values()), 8 << 20)
        bounces = lambda: {name for name, *_ in NEVER for m in suite.mail("alice") if b"carol@" + name.encode() in m}
        wait_until(lambda: bounces() == {name for name, *_ in NEVER}, 15, lambda: f"the bounces: {bounces()}")
        whole = b"".join(suite.mail("alice"))
        for name, _, text in NEVER:
            with self.subTest(name):
                self.assertIn(text, re.sub(rb"\r\n\s+", b" ", whole))
        for name, _ in SENT:
            with self.subTest(name):
                wait_until(lambda: f"carol@{name}.example" not in suite.recipients(), 15, lambda: suite.queue())
                self.assertEqual(servers[name].messages, 1)
        self.assertEqual(suite.pids_of("relay"), [relay], "it is the same process")
        self.assertLess(memory_of(relay) - before, 16 << 10)
        suite.stop()

    def test_421_at_each_step_and_then_no_more(self):
        """Nothing is lost and nobody is told no: each goes out when the server has recovered."""
        for verb in ("", "EHLO", "MAIL", "RCPT", "DATA", "."):
            with self.subTest(verb or "connect"):
                server = Hostile({verb: [both(b"421 4.3.2 going down\r\n", CLOSE), OK[verb]]})
                self.addCleanup(server.stop)
                suite = self.suite(config={"route remote.example": {"to": f"smtp://{server.host}:{server.port}"}})
                suite.send(FROM, ["carol@remote.example"], message())
                wait_for_state(suite, "carol@remote.example", "deferred")
                suite.cli("queue", "retry", "--to", "carol@remote.example")
                wait_until(lambda: "carol@remote.example" not in suite.recipients(), 15, lambda: suite.queue())
                self.assertEqual(server.messages, 2 if verb == "." else 1)
                self.assertEqual(suite.count("alice"), 0)
                suite.close()


class DamagedAnswers(RelayTest):
    def test_each(self):
        """No answer, not "no such domain"; and the resolver goes on."""
        port, (good,) = self.remotes({})
        kinds = ("octets", "id", "half", "counts", "other")
        dns = self.dns({"good.example": {"A": [good.host]},
                        **{f"{kind}.example": {"A": [good.host], "garbage": kind} for kind in kinds}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}}, relay={"port": port})
        (resolver,) = suite.pids_of("resolver")
        for kind in kinds:
            suite.send(FROM, [f"carol@{kind}.example"], message())
        suite.send(FROM, ["carol@good.example"], message())
        self.assertEqual([m["rcpts"] for m in good.wait(1, 15)], [["carol@good.example"]], "others wait for them")
        for kind in kinds:
            with self.subTest(kind):
                got = wait_for_state(suite, f"carol@{kind}.example", "deferred", 90)
                self.assertRegex(got["last_reply"], r"^451 4\.4\.3 ")
        self.assertEqual(suite.pids_of("resolver"), [resolver], "it is the same process")
        self.assertEqual(len(good.messages), 1)


class Names(RelayTest):
    """What a domain's own DNS can do to us."""

    def test_each(self):
        port, (good,) = self.remotes({})
        far = {"A": ["192.0.2.1"]}
        dns = self.dns({
            "good.example": {"MX": [[1, "mx.good.example"]]}, "mx.good.example": {"A": [good.host]},
            "cname-loop.example": {"CNAME": "b.cname-loop.example"}, "b.cname-loop.example": {"CNAME": "cname-loop.example"},
            "cname-self.example": {"CNAME": "cname-self.example"},
            "mx-in-a-loop.example": {"MX": [[1, "a.mx-in-a-loop.example"]]},
            "a.mx-in-a-loop.example": {"CNAME": "b.mx-in-a-loop.example"},
            "b.mx-in-a-loop.example": {"CNAME": "a.mx-in-a-loop.example"},
            "to-us.example": {"MX": [[1, "mx.example.org"]]}, "mx.example.org": far,
            "us-behind.example": {"MX": [[1, "mx.good.example"], [5, "mx.example.org"]]},
            "us-before.example": {"MX": [[9, "mx.good.example"], [5, "mx.example.org"]]},
            "loopback.example": {"MX": [[1, "mx.loopback.example"]]},
            "mx.loopback.example": {"A": ["127.0.0.1", "0.0.0.0"], "AAAA": ["::1", "::ffff:127.0.0.1", "fe80::1"]},
            "very-many.example": {"MX": [[5 + n, f"h{n}.q.example"] for n in range(1300)] + [[1, "mx.good.example"]]},
        })
        expected = {
            "good.example": "sent", "us-behind.example": "sent", "very-many.example": "sent",
            "cname-loop.example": "deferred", "cname-self.example": "deferred", "mx-in-a-loop.example": "deferred",
            "to-us.example": "failed", "us-before.example": "failed", "loopback.example": "failed",
        }
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}},
                           relay={"port": port, "never_connect_to": "0.0.0.0/8, 127.0.0.1/32, ::/128, ::1/128, fe80::/10"})
        for domain in expected:
            suite.send(FROM, [f"carol@{domain}"], message())
        found = lambda: dict((to, event) for event, to in
                             re.findall(r"^relay \S+ (sent|deferred|failed) to=carol@(\S+) ", suite.log(), re.M))
        wait_until(lambda: len(found()) == len(expected), 40, lambda: f"{found()}")
        self.assertEqual(found(), expected)
        self.assertEqual(len(good.messages), 3)
        self.assertLess(len(dns.queries), 400)
