"""Debian's Postfix in a directory of its own: a real next hop for the tests, and the yardstick of the bench.

Its master needs root. Everything of the machine's own Postfix, if there is one, stays untouched: own
configuration, queue, data directory, log, port. Mail for any user of `domain` is delivered by virtual(8)
into DIR/mail/USER/ (Maildir)."""

import os
import re
import shutil
import subprocess

from harness import free_port, own_address, wait_until

MAIN_CF = """
compatibility_level = 3.6
config_directory = {dir}/etc
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = {boxes}
virtual_mailbox_base = {dir}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
message_size_limit = 104857600
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_rate_limit = 0
local_header_rewrite_clients =
"""

MASTER_CF = """
{address}:{port} inet  n - n - -    smtpd
pickup    unix  n - n 60 1   pickup
cleanup   unix  n - n - 0    cleanup
qmgr      unix  n - n 300 1  qmgr
rewrite   unix  - - n - -    trivial-rewrite
bounce    unix  - - n - 0    bounce
defer     unix  - - n - 0    bounce
trace     unix  - - n - 0    bounce
verify    unix  - - n - 1    verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - -    proxymap
scache    unix  - - n - 1    scache
smtp      unix  - - n - -    smtp
relay     unix  - - n - -    smtp
error     unix  - - n - -    error
retry     unix  - - n - -    error
discard   unix  - - n - -    discard
virtual   unix  - n n - -    virtual
anvil     unix  - - n - 1    anvil
tlsmgr    unix  - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
"""


def why_not():
    """None if a private Postfix can be started here, else the reason."""
    if os.geteuid() != 0:
        return "Postfix's master needs root"
    if not (shutil.which("postfix", path="/usr/sbin:/usr/bin") and os.path.isdir("/usr/lib/postfix/sbin")):
        return "postfix is not installed"
    return None


def lookup(kind, name):
    return int(subprocess.run(["getent", kind, name], capture_output=True, text=True,
                              check=True).stdout.split(":")[2])


class Postfix:
    def __init__(self, directory, domain="postfix.example", boxes="static:all/"):
        self.dir = directory
        self.domain = domain
        self.address = own_address()
        self.port = free_port(self.address)
        self.uid, self.gid = lookup("passwd", "nobody"), lookup("group", "nogroup")
        for name in ("etc", "queue", "data"):
            os.makedirs(os.path.join(directory, name))
        self.make_mail_directory()
        os.chmod(directory, 0o755)
        os.chown(os.path.join(directory, "data"), lookup("passwd", "postfix"), 0)
        names = {"dir": directory, "address": self.address, "port": self.port, "domain": domain,
                 "uid": self.uid, "gid": self.gid, "boxes": boxes}
        for name, text in (("main.cf", MAIN_CF), ("master.cf", MASTER_CF)):
            with open(os.path.join(directory, "etc", name), "w") as f:
                f.write(text.format(**names).lstrip())

    def add(self, settings):
        """To main.cf, before it starts."""
        with open(self.dir + "/etc/main.cf", "a", encoding="utf-8") as f:
            f.write(settings)

    def make_mail_directory(self):
        os.mkdir(self.dir + "/mail")
        os.chown(self.dir + "/mail", self.uid, self.gid)

    def control(self, word):
        done = subprocess.run(["/usr/sbin/postfix", "-c", self.dir + "/etc", word], capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"postfix {word}: {done.stdout}{done.stderr}{self.log_tail()}"

    def start(self):
        self.control("start")
        return self

    def stop(self):
        self.control("stop")
        wait_until(lambda: not self.is_running(), 15, "Postfix to stop")

    def is_running(self):
        try:
            with open(self.dir + "/queue/pid/master.pid") as f:
                return os.path.exists(f"/proc/{int(f.read())}")
        except (OSError, ValueError):
            return False

    def log_tail(self):
        try:
            with open(self.dir + "/log") as f:
                return "".join(f.readlines()[-20:])
        except OSError:
            return ""

    def mail(self):
        """The delivered messages, as Maildir holds them (LF line ends)."""
        found = []
        for top, _, files in os.walk(self.dir + "/mail"):
            if os.path.basename(top) == "new":
                for name in files:
                    with open(os.path.join(top, name), "rb") as f:
                        found.append(f.read())
        return found

    def queued(self):
        """Messages that wait in its queues."""
        return sum(len(files) for name in ("incoming", "active", "deferred", "maildrop")
                   for _, _, files in os.walk(os.path.join(self.dir, "queue", name)))


def without_postfix_trace(octets):
    """A delivered message without the fields that virtual(8) and smtpd(8) put on top."""
    while re.match(rb"(Return-Path|X-Original-To|Delivered-To|Received):", octets):
        octets = re.sub(rb"\A[^\n]*\n(?:[ \t][^\n]*\n)*", b"", octets, count=1)
    return octets


def with_tls(directory, pair, domain="remote.example", settings=""):
    """One that takes mail only through TLS, with this certificate; not started."""
    os.mkdir(directory)
    server = Postfix(directory, domain=domain)
    server.add(f"smtpd_tls_security_level = encrypt\nsmtpd_tls_cert_file = {pair.certificate}\n"
               f"smtpd_tls_key_file = {pair.key}\nsmtpd_tls_loglevel = 1\n{settings}")
    return server
