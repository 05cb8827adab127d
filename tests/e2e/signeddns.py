"""Zones that are really signed, served by nsd, and the trust anchors to check them by.

    dns = SignedDns({"remote.example": {"MX": [[10, "mx.remote.example"]]},
                     "mx.remote.example": {"A": ["127.0.0.1"]},
                     "_25._tcp.mx.remote.example": {"TLSA": ["3 1 1 0123…"]}},
                    zones={"remote.example": True})
    dns.start() … {"dns": {"server": f"{dns.host}@{dns.port}", "trust_anchor": dns.anchor}} … dns.stop()
    dns.change(names): the same server with other names, its keys as before

Names are as in fakedns.py; "CNAME" is a name, everything else a list. A name belongs to the longest of `zones` that it
ends with; those with True are signed, each with a trust anchor of its own. `damaged`: names whose signatures are wrong.
"""

import os
import re
import shutil
import subprocess
import tempfile

from harness import free_port, own_address, wait_until

PROGRAMS = ("nsd", "ldns-keygen", "ldns-signzone", "ldns-read-zone")
CONFIG = """server:
  ip-address: {host}@{port}
  zonesdir: "{directory}"
  database: ""
  username: ""
  pidfile: ""
  xfrdfile: "{directory}/xfrd"
  zonelistfile: "{directory}/zones"
  server-count: 1
  hide-version: yes
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""


def why_not():
    """None, or which program is missing."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [program for program in PROGRAMS if not shutil.which(program, path=path)]
    return f"not installed: {', '.join(missing)}" if missing else None


class SignedDns:
    def __init__(self, names, zones, damaged=(), host=None, port=None):
        self.names, self.zones, self.damaged = names, zones, damaged
        self.host = host or own_address()
        self.port = port or free_port(self.host)
        self.directory = tempfile.mkdtemp(prefix="barid-zones-")
        os.chmod(self.directory, 0o755)
        self.anchor = os.path.join(self.directory, "anchor")
        self.env = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        self.process, self.keys = None, {}

    def call(self, *args):
        return subprocess.run(args, cwd=self.directory, env=self.env, check=True, capture_output=True, text=True,
                              timeout=60).stdout

    def lines(self, zone):
        yield f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns admin 1 60 60 60 0\n@ NS ns\nns A {self.host}"
        for name, kinds in self.names.items():
            owners = [z for z in self.zones if name == z or name.endswith("." + z)]
            if max(owners, key=len) != zone:
                continue
            for kind, values in kinds.items():
                for value in [values] if isinstance(values, str) else values:
                    if kind == "MX":
                        value = f"{value[0]} {value[1]}."
                    elif kind == "CNAME":
                        value += "."
                    yield f"{name}. {kind} {value}"

    def damage(self, file):
        with open(file, encoding="ascii") as f:
            lines = f.read().splitlines()
        for i, line in enumerate(lines):
            if "\tRRSIG\t" in line and line.split(".\t")[0] in self.damaged:
                head, signature = line.rsplit(" ", 1)
                lines[i] = f"{head} {signature[:8]}{'A' if signature[8] != 'A' else 'B'}{signature[9:]}"
        with open(file, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")

    def make_zone(self, zone, is_signed):
        file = os.path.join(self.directory, zone)
        with open(file, "w", encoding="ascii") as f:
            f.write("\n".join(self.lines(zone)) + "\n")
        if not is_signed:
            return file
        if zone not in self.keys:
            self.keys[zone] = self.call("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone).strip()
        key = self.keys[zone]
        self.call("ldns-signzone", file, key)
        with open(os.path.join(self.directory, key + ".key"), encoding="ascii") as f, \
             open(self.anchor, "a", encoding="ascii") as anchor:
            anchor.write(f.read())
        self.damage(file + ".signed")
        return file + ".signed"

    def start(self):
        open(self.anchor, "w", encoding="ascii").close()
        config = CONFIG.format(host=self.host, port=self.port, directory=self.directory)
        for zone, is_signed in self.zones.items():
            config += f'zone:\n  name: {zone}\n  zonefile: "{self.make_zone(zone, is_signed)}"\n'
        file = os.path.join(self.directory, "nsd.conf")
        with open(file, "w", encoding="ascii") as f:
            f.write(config)
        self.log = open(os.path.join(self.directory, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(["nsd", "-d", "-c", file], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        wait_until(self.is_up, 15, "nsd")
        return self

    def is_up(self):
        with open(self.log.name, encoding="utf-8") as f:
            said = f.read()
        assert self.process.poll() is None, said
        return re.search(r"nsd started", said)

    def change(self, names):
        """Who has asked already may remember what was before."""
        self.names = names
        self.end()
        self.start()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        self.log.close()

    def stop(self):
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)
