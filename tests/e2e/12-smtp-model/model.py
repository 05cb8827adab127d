"""What a client must hear by the RFCs (5321, 1870, 2034, 2920, 3030, 3207, 3461, 4865, 4954, 6152, 6531, 9422;
draft-hall-prdr): a session as plain state, and for every command the set of codes that are right. No line of it is taken from the server."""

SIZE_MAX = 20000
RCPT_MAX = 4
HOLD_MAX = 604800
USER = "alice@example.org"
LOCAL = {"<alice@example.org>", "<bob@example.org>", "<Postmaster>", "<@a.example,@b.example:bob@example.org>"}
MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
OUT_OF_ORDER = {503}


class Block(list):
    """Replies, one after another: PRDR's, where all recipients get the message."""

    def __init__(self, n_recipients):
        super().__init__([{353}] + [{250}] * n_recipients + [{250}])


class Transaction:
    def __init__(self, is_utf8=False, is_prdr=False):
        self.recipients = set()
        self.n_agreed = 0  # with those that were given twice
        self.is_prdr = is_prdr
        self.is_chunked = False
        self.content = b""
        self.is_utf8 = is_utf8


class Session:
    """kind: smtp, submission or submissions; is_trusted: a network that may relay."""

    def __init__(self, kind, is_trusted):
        self.kind, self.is_trusted = kind, is_trusted
        self.is_tls = kind == "submissions"
        self.login = None
        self.is_closed = False
        self.delivered = []  # (first line, recipients) of each message that was accepted
        self.begin_anew()

    def begin_anew(self):
        self.is_greeted = False
        self.login = None
        self.transaction = None

    def secured(self):
        self.is_tls = True
        self.begin_anew()

    # --- what is offered ---

    def may_relay(self):
        return self.is_trusted or self.login is not None

    def offers_auth(self):
        return self.kind != "smtp" and self.is_tls and self.login is None

    def keywords(self):
        words = {"PIPELINING", f"SIZE {SIZE_MAX}", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING",
                 f"LIMITS RCPTMAX={RCPT_MAX}", "PRDR", "HELP"}
        if not self.is_tls:
            words.add("STARTTLS")
        else:
            words.add("REQUIRETLS")
        if self.offers_auth():
            words.add("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN")
        if self.may_relay():
            words |= {"DSN", "EXPN"}
        if self.kind != "smtp":
            words.add(f"FUTURERELEASE {HOLD_MAX}")  # and a date, which the walker reads
        return words

    def offers(self, keyword):
        """Of a parameter; None: there is always something to use it for."""
        if keyword == "AUTH":  # RFC 4954 5: after the login as well
            return self.kind != "smtp"
        return keyword is None or any(w.split()[0] == keyword for w in self.keywords())

    # --- commands: the set of codes that are right, and what becomes of the session ---

    def needs_login(self):
        return self.kind != "smtp" and self.login is None

    def hello(self, name):
        if not name:
            return {501}
        self.is_greeted = True
        self.transaction = None
        return {250}

    def parameters(self, given, name_of):
        """The codes that are right for these (word, value, outcome, keyword, verb), where not all is well."""
        wrong, seen = set(), set()
        for word, _, outcome, keyword, verb in given:
            if verb != name_of or not self.offers(keyword):
                wrong.add(555)
            elif word in seen:
                wrong.add(501)
            elif outcome != 250:
                wrong.add(outcome)
            seen.add(word)
        return wrong

    def mail(self, path, parameters):
        if self.needs_login():
            return {530, 503}
        if not self.is_greeted or self.transaction:
            return OUT_OF_ORDER
        wrong = self.parameters(parameters, "MAIL")
        if path not in ("<>", "<eve@client.example>", f"<{USER}>", "<jøran@client.example>"):
            return {501}
        is_utf8 = any(p[0] == "SMTPUTF8" for p in parameters)
        if not path.isascii() and not is_utf8:
            wrong.add(553)
        if self.login and path not in ("<>", f"<{self.login}>"):
            wrong.add(553)
        if wrong:
            return wrong
        self.transaction = Transaction(is_utf8, any(p[0] == "PRDR" for p in parameters))
        return {250}

    def rcpt(self, path, parameters):
        if self.needs_login():
            return {530, 503}
        t = self.transaction
        if t is None or t.is_chunked:
            return OUT_OF_ORDER
        wrong = self.parameters(parameters, "RCPT")
        if path == "<nobody@example.org>":
            wrong.add(550)
        elif path == "<dan@elsewhere.example>":
            if not self.may_relay():
                wrong.add(550)
        elif path == "<ø@example.org>":
            wrong.add(550 if t.is_utf8 else 553)
        elif path not in LOCAL:
            return {501}
        address = path.split(":")[-1].strip("<>").lower()
        address += "" if "@" in address else "@example.org"
        if t.is_prdr and t.n_agreed >= RCPT_MAX:  # each costs a reply more
            wrong.add(452)
        if len(t.recipients) >= RCPT_MAX and address not in t.recipients:
            wrong.add(452)
        if wrong:
            return wrong
        t.recipients.add(address)
        t.n_agreed += 1
        return {250}

    def data(self, argument):
        if self.needs_login():
            return {530, 503}
        t = self.transaction
        if t is None or t.is_chunked:
            return OUT_OF_ORDER
        if not t.recipients:
            return {503, 554}
        return {501} if argument else {354}

    def content(self, octets):
        """After the 354: the content without its last dot."""
        return self.end(octets)

    def end(self, octets):
        t, self.transaction = self.transaction, None
        bare = octets.replace(b"\r\n", b"")
        wrong = set()
        if b"\r" in bare or b"\n" in bare or b"\0" in octets:
            wrong.add(550)
        if len(octets) > SIZE_MAX:
            wrong.add(552)
        if wrong:
            return wrong
        self.delivered.append((octets.split(b"\r\n")[0], t.recipients))
        return Block(t.n_agreed) if t.is_prdr else {250}

    def bdat(self, octets, is_last):
        t = self.transaction
        if t is None or not t.recipients:
            self.transaction = None  # RFC 3030 2: nothing of it is left
            return {503, 554, 530}
        t.is_chunked = True
        t.content += octets
        if is_last:
            return self.end(t.content)
        if b"\n" in octets.replace(b"\r\n", b"") or len(t.content) > SIZE_MAX:
            self.transaction = None
            return {550, 552}
        return {250}

    def rset(self, argument):
        if argument:
            return {501}
        self.transaction = None
        return {250}

    def starttls(self, argument):
        t = self.transaction
        if not self.is_greeted or (t and t.is_chunked):
            return OUT_OF_ORDER
        if argument:
            return {501}
        return {503} if self.is_tls else {220}

    def auth(self, mechanism):
        """334 here means that the exchange goes on, or has ended by what came with the command."""
        if not self.is_greeted or self.transaction:
            return OUT_OF_ORDER
        if self.kind == "smtp":
            return {500, 502, 503}
        if self.login:
            return OUT_OF_ORDER
        if not mechanism:
            return {501}
        if mechanism.upper() not in MECHANISMS:
            return {504}
        return {334} if self.is_tls else {538}

    def quit(self, argument):
        if argument:
            return {501}
        self.is_closed = True
        return {221}

    def vrfy(self, argument):
        if self.needs_login():
            return {530}
        if not argument:
            return {501}
        if not self.may_relay():  # [smtp] vrfy = trusted
            return {252}
        return {"alice@example.org": {250}, "<bob@example.org>": {250}, "nobody@example.org": {550}}.get(argument, {252})

    def expn(self, argument):
        if self.needs_login():
            return {530}
        if not argument:
            return {501}
        if not self.may_relay():  # [smtp] expn = trusted
            return {252}
        return {"staff@example.org": {250}, "<staff@example.org>": {250}, "alice@example.org": {550},
                "nobody@example.org": {550}}.get(argument, {252})
