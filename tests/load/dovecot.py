"""Debian's Dovecot in a directory of its own, for POP3: the yardstick of the bench. The machine's own
Dovecot, if there is one, stays untouched. Any password is right, which costs it less than
ours; Maildir, files fsynced as by
default; login processes are kept (service_count = 0, Dovecot's own advice for speed)."""

import os
import shutil
import signal
import subprocess

from harness import free_port, own_address, wait_until
from postfix import lookup

CONF = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
protocols = pop3
{tls}
disable_plaintext_auth = no
listen = {address}
mail_location = maildir:~/Maildir
first_valid_uid = 1
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/mail/%n
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
protocol pop3 {{
  mail_max_userip_connections = 10000
}}
"""


def why_not():
    if os.geteuid() != 0:
        return "Dovecot's master needs root"
    if not (shutil.which("dovecot", path="/usr/sbin:/usr/bin") and
            os.path.exists("/usr/lib/dovecot/pop3")):
        return "dovecot-pop3d is not installed"
    return None


class Dovecot:
    def __init__(self, directory, pair=None):
        self.dir = directory
        self.address = own_address()
        self.port = free_port(self.address)
        self.tls_port = free_port(self.address) if pair else 0
        tls = f"ssl = yes\nssl_cert = <{pair.certificate}\nssl_key = <{pair.key}" if pair else "ssl = no"
        self.uid, self.gid = lookup("passwd", "nobody"), lookup("group", "nogroup")
        os.makedirs(directory + "/mail", mode=0o755)
        os.chmod(directory, 0o755)
        os.chown(directory + "/mail", self.uid, self.gid)
        with open(directory + "/dovecot.conf", "w") as f:
            f.write(CONF.format(dir=directory, address=self.address, port=self.port, uid=self.uid,
                                gid=self.gid, tls=tls, tls_port=self.tls_port).lstrip())

    def start(self):
        done = subprocess.run(["/usr/sbin/dovecot", "-c", self.dir + "/dovecot.conf"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=30)
        assert done.returncode == 0, f"dovecot: exit {done.returncode}"
        return self

    def stop(self):
        pid_file = self.dir + "/run/master.pid"
        with open(pid_file) as f:
            os.kill(int(f.read()), signal.SIGTERM)
        wait_until(lambda: not os.path.exists(pid_file), 15, "Dovecot to stop")

    def fill(self, user, count, content):
        """Puts messages into a user's Maildir as a delivery would leave them."""
        top = f"{self.dir}/mail/{user}/Maildir"
        for name in ("", "/new", "/cur", "/tmp"):
            os.makedirs(top + name, exist_ok=True)
        for n in range(count):
            with open(f"{top}/new/{1000000000 + n}.{n}.bench", "wb") as f:
                f.write(content)
        for directory, _, files in os.walk(f"{self.dir}/mail/{user}"):
            os.chown(directory, self.uid, self.gid)
            for name in files:
                os.chown(os.path.join(directory, name), self.uid, self.gid)
