"""Dialogs: what a client (C) says and what the server (S) must answer, as a text anyone can read.

    # A comment.
    given: 2 messages                   what must be there before (POP3)
    also: one octet at a time           play it a second time, each octet sent alone
    C: EHLO client.example              a line, sent with CRLF; lines that follow each other go in one flight
    C-raw: "a\\rb\\r\\n" "x"*600          exactly these octets; Python's escapes, *N repeats
    C-times 3: RCPT TO:<u{n}@x.example> the line N times, {n} counts from 1
    S: 250 2.1.0 *                      the next line; * stands for any text
    S-reply: 250                        a whole SMTP reply with this code, however many lines
    S-times 3: 250 *                    the line N times
    S-list: +OK*                        a whole POP3 multi-line response that begins so
    S-has: SIZE 1000                    the last S-reply or S-list had this line (* as above)
    S-has-not: AUTH*                    … and had none like this
    S-until: From: *                    any lines, up to and with one like this
    S-until-closed                      any lines, then the server closes
    S-closed                            the server closes and says no more
    C-half-close                        the client closes its sending side
    C-close                             the client closes
    {user} {password}                   an account of this dialog's own (POP3)
"""

import ast
import fnmatch
import re

from wire import Wire


class DialogError(AssertionError):
    pass


class Step:
    def __init__(self, number, word, count, text):
        self.number, self.word, self.count, self.text = number, word, count, text


class Dialog:
    def __init__(self, path):
        self.path = path
        self.steps = []
        self.headers = {}
        with open(path, encoding="ascii") as f:
            for number, line in enumerate(f, 1):
                self.read_line(number, line.rstrip("\n"))

    def read_line(self, number, line):
        if not line.strip() or line.startswith("#"):
            return
        header = re.fullmatch(r"(given|also): (.*)", line)
        if header:
            self.headers[header[1]] = header[2]
            return
        step = re.fullmatch(r"([CS](?:-[a-z-]+)?)(?: (\d+))?(?:: ?(.*))?", line)
        if not step or "do_" + step[1].replace("-", "_") not in dir(Player):
            raise DialogError(f"{self.path}:{number}: not a line of a dialog: {line}")
        self.steps.append(Step(number, step[1], int(step[2] or 1), step[3] or ""))

    @property
    def is_also_bytewise(self):
        return self.headers.get("also") == "one octet at a time"

    def play(self, address, names=None, bytewise=False):
        player = Player(address, names or {}, bytewise)
        try:
            for step in self.steps:
                try:
                    getattr(player, "do_" + step.word.replace("-", "_"))(step)
                except (AssertionError, OSError) as e:
                    how = " (one octet at a time)" if bytewise else ""
                    raise DialogError(f"{self.path}:{step.number}{how}: {e}") from None
        finally:
            player.wire.close()


def octets_of(expression):
    """ "text" "x"*3 -> b"textxxx" """
    out = b""
    for quoted, times in re.findall(r'("(?:[^"\\]|\\.)*")(?:\*(\d+))?', expression):
        out += ast.literal_eval("b" + quoted) * int(times or 1)
    return out


def like(pattern, line):
    return fnmatch.fnmatchcase(line, re.sub(r"([?\[])", r"[\1]", pattern))


class Player:
    def __init__(self, address, names, bytewise):
        self.wire = Wire(address)
        self.names = names
        self.bytewise = bytewise
        self.flight = b""
        self.last = []

    def fill_in(self, text, n=0):
        for name, value in {**self.names, "n": str(n)}.items():
            text = text.replace("{%s}" % name, value)
        return text

    def push(self):
        """What the client said since the server's last word goes out in one flight."""
        octets, self.flight = self.flight, b""
        if octets and self.bytewise:
            self.wire.send_one_by_one(octets)
        elif octets:
            self.wire.send(octets)

    def do_C(self, step):
        self.flight += self.fill_in(step.text).encode("latin-1") + b"\r\n"

    def do_C_raw(self, step):
        self.flight += octets_of(self.fill_in(step.text))

    def do_C_times(self, step):
        for n in range(1, step.count + 1):
            self.flight += self.fill_in(step.text, n).encode("latin-1") + b"\r\n"

    def do_C_half_close(self, _):
        self.push()
        self.wire.half_close()

    def do_C_close(self, _):
        self.push()
        self.wire.close()

    def expect(self, pattern):
        self.push()
        line = self.wire.line()
        if line is None:
            raise AssertionError(f"expected {pattern!r}, but the server closed")
        if not like(pattern, line):
            raise AssertionError(f"expected {pattern!r}, got {line!r}")

    def do_S(self, step):
        self.expect(self.fill_in(step.text))

    def do_S_times(self, step):
        for n in range(1, step.count + 1):
            self.expect(self.fill_in(step.text, n))

    def do_S_reply(self, step):
        self.push()
        code, self.last = self.wire.reply()
        if str(code) != step.text:
            raise AssertionError(f"expected a reply {step.text}, got {code} {self.last}")

    def do_S_has(self, step):
        if not any(like(step.text, text) for text in self.last):
            raise AssertionError(f"no line {step.text!r} in {self.last}")

    def do_S_has_not(self, step):
        if any(like(step.text, text) for text in self.last):
            raise AssertionError(f"a line {step.text!r} in {self.last}")

    def do_S_list(self, step):
        self.expect(step.text)
        self.last = self.wire.multiline().decode("latin-1").split("\r\n")

    def do_S_until(self, step):
        self.push()
        seen = []
        while not seen or not like(step.text, seen[-1]):
            line = self.wire.line()
            if line is None:
                raise AssertionError(f"no line {step.text!r} in {seen}")
            seen.append(line)

    def do_S_until_closed(self, _):
        self.push()
        while self.wire.line() is not None:
            pass

    def do_S_closed(self, _):
        self.push()
        if not self.wire.is_closed():
            raise AssertionError(f"expected the server to close, got {self.wire.pending!r}")
