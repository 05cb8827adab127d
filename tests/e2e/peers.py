"""Exim and OpenSMTPD of Debian, to deliver through barid and to be its next hop.

./dev unpacks their packages into build/peers/NAME (they exclude each other and Postfix, so they cannot be
installed). Each one runs in a root directory of its own, made of that, of the libraries it needs and of
some files in etc/; of the machine's own mail servers, if there are any, nothing is used or touched.

A peer takes mail for any domain of `routes` and sends it on to where that says."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess

from harness import BUILD, free_port, is_running, own_address, wait_until

PEERS = os.environ.get("BARID_PEERS") or os.path.join(BUILD, "peers")
PASSWD = """root:x:0:0:root:/:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
Debian-exim:x:64101:64101::/var/spool/exim4:/bin/sh
opensmtpd:x:64102:64102::/var/lib/opensmtpd/empty:/bin/sh
opensmtpq:x:64103:64103::/var/lib/opensmtpd/empty:/bin/sh
"""
EXIM_UID = 64101


class Route:
    """Where mail for one domain goes on to."""

    def __init__(self, domain, address, tls="no", login=None, name=None):
        """tls: no, may, encrypt (any certificate), verify (of `name`), smtps (verified)."""
        self.domain, (self.host, self.port) = domain, address
        self.tls, self.login, self.name = tls, login, name


class Peer:
    """One server in a root of its own. A subclass says which package, files and command."""

    package = binary = None

    @classmethod
    def why_not(cls):
        """None if it can be started here, else the reason."""
        if os.geteuid() != 0:
            return "a root directory of its own needs root"
        if not os.path.exists(os.path.join(PEERS, cls.package, cls.binary.lstrip("/"))):
            return f"{cls.package} was not unpacked into {PEERS}"
        return None

    def __init__(self, directory, pair, routes, names):
        """pair: its certificate, and the only one it believes; names: {name: address} it knows."""
        self.root, self.pair, self.routes = os.path.join(directory, self.package), pair, routes
        self.address = own_address()
        self.port = free_port(self.address)
        self.process = None
        shutil.copytree(os.path.join(PEERS, self.package), self.root, symlinks=True)
        for name in ("etc", "dev", "tmp", "run", "var/spool", "var/log", "var/lib", "etc/tls", "etc/ssl/certs"):
            os.makedirs(os.path.join(self.root, name), exist_ok=True)
        if not os.path.lexists(self.path("var/run")):
            os.symlink("../run", self.path("var/run"))
        os.chmod(self.path("tmp"), 0o1777)
        self.make_devices()
        self.copy_libraries()
        hosts = "".join(f"{address} {name}\n" for name, address in names.items())
        for name, text in (("passwd", PASSWD), ("group", re.sub(r":x:(\d+):.*", r":x:\1:", PASSWD)),
                           ("hosts", f"127.0.0.1 localhost\n{hosts}"), ("resolv.conf", "nameserver 127.0.0.1\n"),
                           ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")):
            self.write("etc/" + name, text)
        shutil.copy(pair.certificate, self.path("etc/tls/cert.pem"))
        shutil.copy(pair.key, self.path("etc/tls/key.pem"))
        shutil.copy(pair.certificate, self.path("etc/ssl/certs/ca-certificates.crt"))
        for name in ("etc/tls/cert.pem", "etc/ssl/certs/ca-certificates.crt"):
            os.chmod(self.path(name), 0o644)
        self.prepare()

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def make_devices(self):
        for name, minor in (("null", 3), ("urandom", 9), ("random", 8)):
            try:
                os.mknod(self.path("dev/" + name), stat.S_IFCHR | 0o666, os.makedev(1, minor))
            except PermissionError:
                with open(self.path("dev/" + name), "wb") as f:
                    f.write(b"" if name == "null" else os.urandom(4096))
            os.chmod(self.path("dev/" + name), 0o666)

    def copy_libraries(self):
        """What its programs load, from the package's own tree if it is there, else the machine's."""
        own = ":".join({top for top, _, files in os.walk(self.root) if any(".so" in f for f in files)})
        done = subprocess.run(["ldd", self.path(self.binary.lstrip("/"))], capture_output=True, text=True,
                              check=True, env={**os.environ, "LD_LIBRARY_PATH": own})
        for library in re.findall(r"(/\S+) \(0x", done.stdout):
            if not library.startswith(self.root):
                target = self.path(library.lstrip("/"))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(library, target)
        self.libraries = ":".join(part.removeprefix(self.root) for part in own.split(":"))

    def start(self):
        environment = {"PATH": "/usr/sbin:/usr/bin", "LD_LIBRARY_PATH": self.libraries} if self.libraries else {}
        with open(self.path("var/log/said"), "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd="/",
                start_new_session=True, preexec_fn=lambda: (os.chroot(self.root), os.chdir("/")))
        wait_until(self.answers, 15, lambda: f"{self.package} to listen: {self.log()[-2000:]}")
        return self

    def answers(self):
        assert self.process.poll() is None, f"{self.package} ended: {self.log()[-2000:]}"
        with socket.socket() as s:
            s.settimeout(5)
            return s.connect_ex((self.address, self.port)) == 0 and s.recv(3) == b"220"

    def stop(self):
        """All that it started is in its session, and nothing else is."""
        if self.process is None:
            return
        members = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and session_of(pid) == self.process.pid]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in members:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue
            if not any(map(is_running, members)):
                break

    def log(self):
        text = ""
        for top, _, files in sorted(os.walk(self.path("var/log"))):
            for name in sorted(files):
                with open(os.path.join(top, name), encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text


def session_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return int(f.read().rsplit(")", 1)[1].split()[3])
    except (OSError, IndexError):
        return None


# --- Exim ---

EXIM_MAIN = """primary_hostname = exim.example
local_interfaces = {address}
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = /etc/tls/cert.pem
tls_privatekey = /etc/tls/key.pem
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
message_size_limit = 100M
log_selector = +tls_cipher +tls_certificate_verified +smtp_confirmation +received_recipients
log_file_path = /var/log/exim4/%slog
rfc1413_query_timeout = 0s
host_lookup =
keep_environment =
acl_smtp_rcpt = rcpt
acl_smtp_data = all
domainlist taken = {domains}
begin acl
all:
  accept
rcpt:
  deny local_parts = nobody
       message = no such user here
  accept domains = +taken
  deny message = not for us
begin routers
"""
EXIM_ROUTER = """r{n}:
  driver = manualroute
  domains = {domain}
  transport = t{n}
  route_list = * {host} byname
  self = send
"""
EXIM_TRANSPORT = """t{n}:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_chunking = *
  hosts_try_fastopen =
"""
EXIM_TLS = {
    "no": "  hosts_avoid_tls = *\n",
    "may": "",
    "encrypt": "  hosts_require_tls = *\n",
    "verify": "  hosts_require_tls = *\n  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt\n"
              "  tls_verify_hosts = *\n  tls_verify_cert_hostnames = *\n",
}
EXIM_TLS["smtps"] = "  protocol = smtps\n" + EXIM_TLS["verify"]
EXIM_LOGIN = """  hosts_require_auth = *
"""


class Exim(Peer):
    package = "exim4-daemon-light"
    binary = "/usr/sbin/exim4"

    def prepare(self):
        for name in ("var/spool/exim4", "var/log/exim4"):
            os.makedirs(self.path(name), exist_ok=True)
            os.chown(self.path(name), EXIM_UID, EXIM_UID)
        os.chmod(self.path("etc/tls/key.pem"), 0o644)
        domains = " : ".join(r.domain for r in self.routes)
        text = EXIM_MAIN.format(address=self.address, port=self.port, domains=domains)
        for n, r in enumerate(self.routes):
            text += EXIM_ROUTER.format(n=n, domain=r.domain, host=r.name or r.host)
        text += "begin transports\n"
        for n, r in enumerate(self.routes):
            text += EXIM_TRANSPORT.format(n=n, port=r.port) + EXIM_TLS[r.tls] + (EXIM_LOGIN if r.login else "")
        text += "begin retry\n* * F,1h,1h\nbegin authenticators\n"
        for user, password in {r.login for r in self.routes if r.login}:  # one of them
            text += f"plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^{user}^{password}\n"
        os.makedirs(self.path("etc/exim4"), exist_ok=True)
        self.write("etc/exim4/exim4.conf", text)

    def command(self):
        return [self.binary, "-bdf", "-q1h"]


# --- OpenSMTPD ---

OPENSMTPD_TLS = {
    "no": ("smtp+notls", ""), "may": ("smtp", ""), "encrypt": ("smtp+tls", " tls no-verify"),
    "verify": ("smtp+tls", " tls"), "smtps": ("smtps", " tls"),
}


OPENSMTPD_DELAYS = ("conn-delay-host", "conn-delay-source", "conn-delay-connector", "conn-delay-relay", "conn-delay-domain",
                    "reconn-delay-route", "session-transaction-delay")


class OpenSmtpd(Peer):
    package = "opensmtpd"
    binary = "/usr/sbin/smtpd"

    def prepare(self):
        os.makedirs(self.path("var/lib/opensmtpd/empty"), exist_ok=True)
        os.makedirs(self.path("var/spool/smtpd"), exist_ok=True)
        os.chmod(self.path("var/spool/smtpd"), 0o711)
        os.chmod(self.path("etc/tls/key.pem"), 0o600)
        text = ('pki own cert "/etc/tls/cert.pem"\npki own key "/etc/tls/key.pem"\n'
                "smtp max-message-size 100M\n"
                + "".join(f"mta limit {name} 0\n" for name in OPENSMTPD_DELAYS) +
                f"listen on {self.address} port {self.port} tls pki own hostname osmtpd.example\n")
        secrets = ", ".join(f'"l{n}" = "{r.login[0]}:{r.login[1]}"' for n, r in enumerate(self.routes) if r.login)
        text += f"table secrets {{ {secrets} }}\n" if secrets else ""
        for n, r in enumerate(self.routes):
            scheme, tls = OPENSMTPD_TLS[r.tls]
            label, auth = (f"l{n}@", " auth <secrets>") if r.login else ("", "")
            text += f'action a{n} relay host "{scheme}://{label}{r.name or r.host}:{r.port}"{tls}{auth}\n'
        text += "match from any for any rcpt-to regex \"^nobody@\" reject\n"
        text += "".join(f'match from any for domain "{r.domain}" action a{n}\n' for n, r in enumerate(self.routes))
        self.write("etc/smtpd.conf", text, 0o600)
        self.write("etc/mailname", "osmtpd.example\n")

    def command(self):
        return [self.binary, "-d"]
