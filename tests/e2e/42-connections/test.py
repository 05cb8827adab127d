"""Connections to other servers: kept, limited, lost; and what the DNS can say."""

import os
import re

from harness import message, wait_until
from relaying import RelayTest, wait_for_empty_queue

FROM = "alice@example.org"
TO = ["carol@remote.example"]
ROOT_KEY = """; as dns-root-data ships it
.\tIN\tDS\t20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D ;{id = 20326 (ksk)}
"""
SLOW_DOT = {"replies": {"DOT": {"reply": "250 2.0.0 ok", "delay": 1}}}


def results(suite):
    """{recipient: (event, reply)} as relay logged them."""
    found = re.findall(r'^relay \S+ (sent|deferred|failed) to=(\S+) remote=\S+ tls="[^"]*" reply="([^"]*)"', suite.log(), re.M)
    return {to: (event, reply) for event, to, reply in found}


def saw(remote, text):
    return any(text in line for line in remote.transcript)


class Kept(RelayTest):
    def again(self, second_mail):
        """A second message over a connection that the server gave up meanwhile goes out at once."""
        suite, remote = self.routed({"replies": {"MAIL": ["250 ok", second_mail, "250 ok"]}})
        suite.send(FROM, TO, message("one"))
        remote.wait(1)
        wait_for_empty_queue(suite)
        suite.send(FROM, TO, message("two"))
        self.assertEqual(len(remote.wait(2)), 2)
        self.assertEqual(remote.connections, 2)
        self.assertNotIn("deferred", suite.log())
        wait_for_empty_queue(suite)
        first, second = re.findall(r"^relay (\S+) sent ", suite.log(), re.M)
        said = suite.cli("trace", second)
        self.assertRegex(said, f"kept, made for {first}: message 2(.|\n)*connecting to (.|\n)*< +250 2.0.0")

    def test_closed_by_the_server(self):
        self.again({"drop": True})

    def test_closed_by_the_server_with_421(self):
        self.again({"reply": "421 4.4.2 idle", "drop": True})

    def test_quit_when_idle(self):
        suite, remote = self.routed()
        suite.send(FROM, TO, message())
        remote.wait(1)
        wait_until(lambda: saw(remote, "< QUIT"), 10, "QUIT after five seconds")
        wait_until(lambda: saw(remote, "= closed"), 5, "the end of the connection")


class Limits(RelayTest):
    def test_connections_per_destination(self):
        suite, remote = self.routed({"replies": {"DOT": {"reply": "250 2.0.0 ok", "delay": 0.2}}},
                                    relay={"connections_per_destination": 2})
        for n in range(10):
            suite.send(FROM, TO, message(f"number {n}"))
        self.assertEqual(len(remote.wait(10)), 10)
        self.assertLessEqual(remote.connections, 2)
        self.assertEqual(remote.violations, [])

    def test_many_destinations_at_once(self):
        port, (remote,) = self.remotes({"greeting": {"reply": "220 fake ESMTP", "delay": 0.05}})
        zone = {f"d{n}.example": {"MX": [[1, "mx.example"]]} for n in range(30)}
        dns = self.dns({**zone, "mx.example": {"A": [remote.host]}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}}, relay={"port": port})
        for n in range(90):
            suite.send(FROM, [f"carol@d{n % 30}.example"], message(f"number {n}"))
        got = [(m["rcpts"][0], m["data"].split(b"\r\n\r\n", 1)[1]) for m in remote.wait(90, 30)]
        self.assertEqual(len(set(got)), 90)
        self.assertEqual(len(got), 90)
        self.assertEqual(remote.violations, [])


class Lost(RelayTest):
    def test_stop_waits_for_the_message_under_way(self):
        suite, remote = self.routed(SLOW_DOT)
        suite.send(FROM, TO, message())
        wait_until(lambda: saw(remote, "> 354"))
        suite.stop()
        self.assertEqual(results(suite)[TO[0]][0], "sent")
        self.assertEqual(len(remote.messages), 1)

    def test_resolver_dies_under_a_question(self):
        dns = self.dns({"remote.example": {"A": ["192.0.2.1"], "delay": 3}})
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}})
        suite.send(FROM, TO, message())
        wait_until(lambda: dns.queries, 15, "a question")
        suite.kill("resolver")
        wait_until(lambda: TO[0] in results(suite))
        self.assertEqual(results(suite)[TO[0]][0], "deferred")

    def test_queue_dies_under_a_message(self):
        suite, remote = self.routed(SLOW_DOT)
        suite.send(FROM, TO, message())
        wait_until(lambda: saw(remote, "> 354"))
        suite.kill("queue")
        self.assertGreaterEqual(len(remote.wait(1)), 1)
        wait_for_empty_queue(suite, 60)

    def test_servers_change_with_a_reload(self):
        port, (old, new) = self.remotes({}, {})
        dns = [self.dns({"remote.example": {"A": [host.host]}}) for host in (old, new)]
        servers = [{"server": f"{d.host}@{d.port}"} for d in dns]
        relay = {"allow_from": "127.0.0.0/8", "port": port}
        suite = self.suite(config={"dns": servers[0]}, relay=relay)
        suite.send(FROM, TO, message())
        self.assertEqual(len(old.wait(1)), 1)
        wait_until(lambda: saw(old, "= closed"), 10, "the end of the kept connection")
        suite.write_config({"dns": servers[1], "relay": relay})
        suite.reload()

        def goes_to_the_new_one():
            suite.send(FROM, TO, message())
            return new.wait(1, 1)
        wait_until(goes_to_the_new_one, 15, "mail at the host that the new server names")


class Names(RelayTest):
    def test_an_answer_that_dnssec_cannot_confirm_is_no_answer(self):
        """The zone is not signed, and the key of the real root says that somebody must have signed it."""
        port, (remote,) = self.remotes({})
        dns = self.dns({"remote.example": {"A": [remote.host]}})
        suite = self.suite(relay={"port": port})
        anchor = os.path.join(suite.dir, "root.key")
        with open(anchor, "w", encoding="ascii") as f:
            f.write(ROOT_KEY)
        suite.stop()
        suite.write_config({"relay": {"allow_from": "127.0.0.0/8", "port": port},
                            "dns": {"server": f"{dns.host}@{dns.port}", "trust_anchor": anchor}})
        suite.start()
        suite.send(FROM, TO, message())
        wait_until(lambda: TO[0] in results(suite), 30, "a result")
        self.assertEqual(results(suite)[TO[0]],
                         ("deferred", "451 4.4.3 the DNS does not tell the MX of remote.example"))
        self.assertEqual(remote.connections, 0)
        wait_until(lambda: "dns-bogus" in suite.log(), 10, "the reason in the log")

    def test_what_the_dns_can_say(self):
        port, (remote,) = self.remotes({})
        here = {"MX": [[1, "mx.example"]]}
        many = {f"mx{n}.many.example": {"A": [remote.host]} for n in range(120)}
        dns = self.dns({
            "mx.example": {"A": [remote.host]},
            "half.example": {"A": [remote.host], "rcode": {"AAAA": "SERVFAIL"}},
            "alias.example": {"CNAME": "d.example"}, "d.example": here,
            "a-only.example": {"MX": [[1, "half.example"]]},
            "many.example": {"MX": [[n, f"mx{n}.many.example"] for n in range(120)]}, **many,
            "damaged.example": {"raw": {"MX": ["0001c00c05"]}},
            "strange.example": {"MX": [[1, "a b.example"]]},
            "nothing.example": {"TXT": ["x"]}, "null.example": {"MX": [[0, "."]]},
            "sub.test": here, "slow.example": {**here, "delay": 0.7}, "tcp.example": {**here, "truncate": True},
        })
        expected = {
            "alias.example": ("sent", "250 2.0.0"), "a-only.example": ("sent", "250 2.0.0"),
            "many.example": ("sent", "250 2.0.0"), "sub.test": ("sent", "250 2.0.0"),
            "slow.example": ("sent", "250 2.0.0"), "tcp.example": ("sent", "250 2.0.0"),
            f"[{remote.host}]": ("sent", "250 2.0.0"),
            "damaged.example": ("deferred", "451 4.4.3"), "strange.example": ("deferred", "451 4.4.3"),
            "nothing.example": ("failed", "550 5.4.4"), "null.example": ("failed", "556 5.1.10"),
            "absent.example": ("failed", "550 5.1.2"),
        }
        suite = self.suite(config={"dns": {"server": f"{dns.host}@{dns.port}"}}, relay={"port": port})
        for domain in expected:
            suite.send(FROM, [f"carol@{domain}"], message())
        wait_until(lambda: len(results(suite)) == len(expected), 30, lambda: results(suite))
        got = {to.split("@", 1)[1]: (event, reply[:9]) for to, (event, reply) in results(suite).items()}
        self.assertEqual(got, {d: (event, reply[:9]) for d, (event, reply) in expected.items()})
