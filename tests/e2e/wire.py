"""One TCP connection, seen as lines and octets: what the protocol tests are made of."""

import socket


class Wire:
    def __init__(self, address, timeout=15, source=None):
        self.socket = socket.create_connection(address, timeout=timeout, source_address=source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def send_one_by_one(self, octets):
        for i in range(len(octets)):
            self.socket.sendall(octets[i:i + 1])

    def say(self, text):
        self.send(text.encode("latin-1") + b"\r\n")

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def fill(self):
        """More octets into `pending`; False at the end of the stream."""
        try:
            octets = self.socket.recv(1 << 18)
        except ConnectionResetError:
            return False
        self.pending += octets
        return bool(octets)

    def line(self):
        """The next line without its CRLF, as text; None at the end of the stream."""
        while b"\r\n" not in self.pending:
            if not self.fill():
                assert not self.pending, f"the stream ended within a line: {self.pending!r}"
                return None
        line, self.pending = self.pending.split(b"\r\n", 1)
        return line.decode("latin-1")

    def reply(self):
        """A whole SMTP reply: (code, list of texts); (None, []) at the end of the stream."""
        texts = []
        while True:
            line = self.line()
            if line is None:
                assert not texts, f"the stream ended within a reply: {texts}"
                return None, []
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), texts

    def ask(self, text):
        """Sends a command and returns the code and the texts of its reply."""
        self.say(text)
        return self.reply()

    def multiline(self):
        """The octets of a POP3 multi-line response after its first line, with dots unstuffed."""
        whole = bytearray(b"\r\n" + self.pending)  # as if after the CRLF of the first line
        looked_at = 0
        while (end := whole.find(b"\r\n.\r\n", looked_at)) < 0:
            looked_at = max(0, len(whole) - 4)
            self.pending = b""
            if not self.fill():
                raise AssertionError("the stream ended within a multi-line response")
            whole += self.pending
        self.pending = bytes(whole[end + 5:])
        return bytes(whole[:end + 2]).replace(b"\r\n.", b"\r\n")[2:]

    def is_closed(self):
        """True if the peer closes without another octet."""
        while not self.pending:
            if not self.fill():
                return True
        return False
