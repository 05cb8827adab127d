"""Many destinations for ./dev bench: each has an MX record of its own, and a server at an address of its own.

Both suites meet them as they would outside, by the DNS and on port 25. That takes a network where the port is free
and /etc/resolv.conf names our DNS server: namespaces of the process that measures, so that neither the machine nor
the rows after it see any of it."""

import ctypes
import multiprocessing
import os
import shutil
import subprocess
import sys
import traceback

import signeddns

DOMAIN = "far.example"
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
DNS_HOST = "127.53.0.1"


def domain(n):
    return f"d{n}.{DOMAIN}"


def zone(destinations):
    names = {}
    for n in range(destinations):
        names[domain(n)] = {"MX": [[10, "mx." + domain(n)]]}
        names["mx." + domain(n)] = {"A": [f"127.77.{n >> 8}.{n & 255}"]}
    return names


def why_not():
    """None, or why there cannot be such a network here."""
    missing = [name for name in ("ip", "mount") if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if os.geteuid() != 0 or missing:
        return f"not installed: {', '.join(missing)}" if missing else "namespaces need root"
    return signeddns.why_not()


def go_apart(directory):
    """This process, and those it starts, have a network and an /etc/resolv.conf of their own from now on."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "unshare: " + os.strerror(ctypes.get_errno()))
    resolv = os.path.join(directory, "resolv.conf")
    with open(resolv, "w", encoding="ascii") as f:
        f.write(f"nameserver {DNS_HOST}\n")
    for command in (["mount", "--make-rprivate", "/"], ["mount", "--bind", resolv, "/etc/resolv.conf"],
                    ["ip", "link", "set", "lo", "up"]):
        subprocess.run(command, check=True)


def run_apart(work, directory, answers):
    try:
        go_apart(directory)
        answers.send(work())
    except BaseException:
        traceback.print_exc()
        answers.send(None)


def apart(work, directory):
    """What work() returns, called by a process of its own, apart from this machine's network."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run_apart, args=(work, directory, theirs))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        result = None
    process.join()
    if result is None:
        sys.exit("bench: the row in a network of its own failed")
    return result


class Dns(signeddns.SignedDns):
    """Not signed: a domain without DNSSEC is what is most common, and Postfix does not look at signatures."""

    def __init__(self, destinations):
        super().__init__(zone(destinations), {DOMAIN: False}, host=DNS_HOST, port=53)
