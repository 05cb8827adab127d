"""What ./dev bench measures: barid, Postfix and Dovecot, each in a directory of its own, and the load tools."""

import os
import re
import subprocess
import sys
import time

import certs
import dovecot
import postfix
from harness import BUILD, PASSWORD, Suite, free_port

DOMAIN = "bench.example"


def tool(name, *args):
    done = subprocess.run([f"{BUILD}/tests/load/{name}", *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: {name}: {done.stdout}{done.stderr}")
    return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", done.stdout)}


def mailload(address, messages, octets, connections, options=(), rcpts=None):
    rcpts = rcpts or [f"user{n}@{DOMAIN}" for n in range(10)]
    return tool("mailload", "-c", connections, "-n", messages, "-s", octets, "-t", ",".join(rcpts), *options,
                *address)


def popload(address, mode, clients, sessions, options=()):
    return tool("popload", "-c", clients, "-n", sessions, "-m", mode, *options, "-d", DOMAIN, "-p", PASSWORD,
                *address)


def handshakes(address, clients, seconds):
    """{"rate": TLS handshakes a second} of clients that do nothing else, without session tickets."""
    command = ["openssl", "s_time", "-connect", "%s:%d" % address, "-new", "-time", str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for _ in range(clients)]
    said = [one.communicate()[0] for one in running]
    made = [re.search(r"(\d+) connections in (\d+) real seconds", text) for text in said]
    if None in made:
        sys.exit(f"bench: openssl s_time: {said[made.index(None)][-300:]}")
    return {"rate": sum(int(m[1]) / int(m[2]) for m in made)}


def private_kib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", f.read(), re.M))
    return total


class Barid:
    name = "barid"

    def __init__(self, directory, users=10, config=None, key=None):
        """key: of a certificate (certs.KINDS); None: no TLS."""
        settings = {"limits": {"connection_rate": "none"}}
        for section, values in (config or {}).items():
            settings.setdefault(section, {}).update(values)
        self.suite = Suite(domain=DOMAIN, users=[f"user{n}" for n in range(users)],
                           state_dir=os.path.join(directory, "barid"), config=settings)
        if key is not None:
            self.with_tls(settings, key)
        self.suite.start()
        self.smtp, self.pop3 = self.suite.smtp_address, self.suite.pop3_address

    def with_tls(self, settings, key):
        self.smtps, self.pop3s = [(self.suite.address, free_port(self.suite.address)) for _ in range(2)]
        settings.update({"listen submissions": {"address": "%s:%d" % self.smtps},
                         "listen pop3s": {"address": "%s:%d" % self.pop3s},
                         "tls": certs.Pair(self.suite.dir, "bench", ["mx.example.org"], key).config()})
        self.suite.write_config(settings)

    def fill(self, user, count, octets):
        mailload(self.smtp, count, octets, 10, rcpts=[f"{user}@{DOMAIN}"])

    def private_kib(self):
        return private_kib(self.suite.pids())

    def settle(self):
        pass

    def stop(self):
        self.suite.stop()
        self.suite.close()


class RealPostfix:
    name = "Postfix"
    why_not = staticmethod(postfix.why_not)

    def __init__(self, directory, settings=(), key=None):
        boxes = ", ".join(f"user{n}@{DOMAIN}=user{n}/" for n in range(10))
        self.server = postfix.Postfix(os.path.join(directory, "postfix"), domain=DOMAIN,
                                      boxes="inline:{%s}" % boxes)
        if key is not None:  # its port begins with TLS then
            pair = certs.Pair(directory, "postfix", ["mx.example.org"], key)
            settings = [*settings, f"smtpd_tls_chain_files={pair.key}, {pair.certificate}",
                        "smtpd_tls_security_level=encrypt", "smtpd_tls_wrappermode=yes"]
        for setting in settings:
            subprocess.run(["/usr/sbin/postconf", "-c", self.server.dir + "/etc", "-e", setting], check=True)
        self.server.start()
        self.smtp = self.smtps = (self.server.address, self.server.port)

    def settle(self):
        """Waits until all is delivered, and begins new Maildirs: removing files would slow down the next round."""
        while self.server.queued():
            time.sleep(0.02)
        os.rename(self.server.dir + "/mail", f"{self.server.dir}/mail-{time.monotonic_ns()}")
        self.server.make_mail_directory()

    def stop(self):
        self.server.stop()


class RealDovecot:
    name = "Dovecot"
    why_not = staticmethod(dovecot.why_not)

    def __init__(self, directory, key=None):
        pair = certs.Pair(directory, "dovecot", ["mx.example.org"], key) if key else None
        self.server = dovecot.Dovecot(os.path.join(directory, "dovecot"), pair).start()
        self.pop3 = (self.server.address, self.server.port)
        self.pop3s = (self.server.address, self.server.tls_port)

    def fill(self, user, count, octets):
        line = b"All work and no play makes a mail server a dull boy, says the load.\r\n"
        self.server.fill(user, count, b"Subject: load\r\n\r\n" + line * (octets // len(line)))

    def settle(self):
        pass

    def stop(self):
        self.server.stop()
