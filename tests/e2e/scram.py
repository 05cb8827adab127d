"""SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677, RFC 5929 4.1) from a client's side."""

import base64
import hashlib
import hmac
import os


class Scram:
    """One exchange: first(), final(server's first), then is_proved(server's final)."""

    def __init__(self, user, password, end_point=None, flag=b"n"):
        self.password = password.encode()
        self.bare = b"n=" + user.encode() + b",r=" + base64.b64encode(os.urandom(18))
        self.channel = end_point or b""
        self.header = (b"p=tls-server-end-point" if end_point else flag) + b",,"

    def first(self):
        return self.header + self.bare

    def final(self, challenge):
        fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
        self.iterations = int(fields[b"i"])
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields[b"s"]), self.iterations)
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = b"c=" + base64.b64encode(self.header + self.channel) + b",r=" + fields[b"r"]
        text = self.bare + b"," + challenge + b"," + without
        signature = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
        self.proof = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256")
        return without + b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))

    def is_proved(self, answer):
        return answer == b"v=" + base64.b64encode(self.proof)


def end_point_of(sock):
    """tls-server-end-point of certificates that are signed with SHA-256 (or weaker)."""
    return hashlib.sha256(sock.getpeercert(True)).digest()


class Talk:
    """Lines over a socket, for either protocol: (how a challenge begins, what is said at the end)."""

    def __init__(self, sock, challenge):
        self.file = sock.makefile("rwb")
        self.challenge = challenge

    def line(self):
        return self.file.readline().rstrip(b"\r\n")

    def ask(self, octets):
        self.file.write(octets + b"\r\n")
        self.file.flush()
        return self.line()

    def log_in(self, scram, mechanism, has_initial=True):
        """The last line the server says."""
        first = base64.b64encode(scram.first())
        line = self.ask(b"AUTH " + mechanism + (b" " + first if has_initial else b""))
        if not has_initial:
            assert line.rstrip() == self.challenge, line
            line = self.ask(first)
        if not line.startswith(self.challenge + b" "):
            return line
        challenge = base64.b64decode(line[len(self.challenge) + 1:])
        line = self.ask(base64.b64encode(scram.final(challenge)))
        if not line.startswith(self.challenge + b" "):
            return line
        assert scram.is_proved(base64.b64decode(line[len(self.challenge) + 1:])), line
        return self.ask(b"")
