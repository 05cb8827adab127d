#!/usr/bin/python3
"""A tiny DNS server for tests: UDP and TCP on one loopback port, the zone in a dict or a JSON file.

    fakedns.py --zone zone.json [--port 0] [--verbose]      prints "listening 127.0.0.1 PORT"

or, inside a Python test:

    with FakeDns({"example.org": {"MX": [[10, "mx.example.org"]]},
                  "mx.example.org": {"A": ["127.0.0.1"], "AAAA": ["::1"]}}) as dns:
        ... dns.port ... dns.queries ...

A zone maps names (lower case, no final dot) to what they have:
    "A", "AAAA", "TXT", "PTR"   lists of texts         "MX"    list of [preference, host]; host "." is null MX
    "CNAME"                     a name                 "ttl"   seconds, default 0 (nothing is cached)
    "rcode"   "SERVFAIL", "REFUSED", "NXDOMAIN": for every type, or {"MX": "SERVFAIL"} for some
    "delay"   seconds before the answer; "drop": true never answers; "truncate": true: TC on UDP
    "garbage" "octets" (by chance), "id" (by chance behind the right id), "half" (of the answer), "counts" (the answer,
              which says that it has more), "other" (the answer to another question)
    "raw"     {"MX": ["000a"]}: resource data in hex, right or wrong
A name that is absent is NXDOMAIN, unless a name below it exists. A key "*.example.org" stands for all names
below example.org that are not in the zone. The JSON file is read again when it changes; so is a dict.
"""
import argparse
import json
import os
import socket
import socketserver
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "OPT": 41}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}


def pack_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            octets = label.encode("latin-1")
            out += bytes([len(octets)]) + octets
    return out + b"\0"


def unpack_question(packet):
    """(name, type, end): the first question; queries never use compression there."""
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1").lower())
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack_from(">H", packet, at + 1)[0], at + 5


def rdata(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        return struct.pack(">H", value[0]) + pack_name(value[1])
    if kind == "TXT":
        octets = value.encode()
        parts = [octets[i:i + 255] for i in range(0, len(octets), 255)] or [b""]
        return b"".join(bytes([len(part)]) + part for part in parts)
    return pack_name(value)


def record(name, kind, ttl, data):
    return pack_name(name) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


class FakeDns:
    def __init__(self, zone=None, file=None, host="127.0.0.1", port=0, verbose=False):
        self.zone, self.file, self.stamp = zone or {}, file, None
        self.queries = []  # (name, type) in the order in which they came
        self.verbose = verbose
        self.tcp = self._bind(host, port)
        self.host, self.port = self.tcp.server_address[:2]
        self.udp = socketserver.ThreadingUDPServer((host, self.port), self._udp_handler())
        for server in (self.udp, self.tcp):
            server.daemon_threads = True

    def _bind(self, host, port):
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        return socketserver.ThreadingTCPServer((host, port), self._tcp_handler())

    def start(self):
        for server in (self.udp, self.tcp):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def _udp_handler(self):
        dns = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                packet, sock = self.request
                answer = dns.answer(packet, is_udp=True)
                if answer and sock.fileno() >= 0:  # a slow answer may come after stop()
                    sock.sendto(answer, self.client_address)
        return Handler

    def _tcp_handler(self):
        dns = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while len(size := self.rfile.read(2)) == 2:
                    answer = dns.answer(self.rfile.read(struct.unpack(">H", size)[0]), is_udp=False)
                    if answer:
                        self.wfile.write(struct.pack(">H", len(answer)) + answer)
        return Handler

    def _load(self):
        if self.file is None:
            return
        stamp = os.stat(self.file).st_mtime_ns
        if stamp != self.stamp:
            with open(self.file, encoding="utf-8") as f:
                self.zone, self.stamp = json.load(f), stamp

    def _lookup(self, name):
        """What the zone has for a name; None: it does not exist."""
        if name in self.zone:
            return self.zone[name]
        if any(known.endswith("." + name) for known in self.zone):
            return {}
        labels = name.split(".")
        for i in range(1, len(labels)):
            if "*." + ".".join(labels[i:]) in self.zone:
                return self.zone["*." + ".".join(labels[i:])]
        return None

    def _collect(self, name, kind):
        """(rcode, records): follows CNAMEs as a resolver would."""
        records = []
        for _ in range(10):
            entry = self._lookup(name)
            if entry is None:
                return "NXDOMAIN", records
            rcode = entry.get("rcode", "NOERROR")
            rcode = rcode.get(kind, "NOERROR") if isinstance(rcode, dict) else rcode
            if rcode != "NOERROR":
                return rcode, records
            ttl = entry.get("ttl", 0)
            for data in entry.get("raw", {}).get(kind, []):
                records.append(record(name, kind, ttl, bytes.fromhex(data)))
            if "CNAME" not in entry or kind == "CNAME":
                values = entry.get(kind, [])
                values = [values] if isinstance(values, str) else values
                return rcode, records + [record(name, kind, ttl, rdata(kind, v)) for v in values]
            records.append(record(name, "CNAME", ttl, rdata("CNAME", entry["CNAME"])))
            name = entry["CNAME"].lower().rstrip(".")
        return "SERVFAIL", []

    def _garbage(self, how, packet, name, kind, end):
        if how in ("octets", "id"):
            return (packet[:2] if how == "id" else b"") + os.urandom(200)
        records = self._collect(name, kind)[1]
        n = 60000 if how == "counts" else len(records)
        question = pack_name("elsewhere.example") + packet[end - 4:end] if how == "other" else packet[12:end]
        whole = packet[:2] + struct.pack(">HHHHH", 0x8180, 1, n, n - len(records), 0) + question + b"".join(records)
        return whole[:len(whole) // 2] if how == "half" else whole

    def answer(self, packet, is_udp):
        try:
            self._load()
            name, number, end = unpack_question(packet)
        except (IndexError, struct.error):
            return None
        kind = NAMES.get(number, str(number))
        self.queries.append((name, kind))
        if self.verbose:
            print("query", name, kind, flush=True)
        entry = self._lookup(name) or {}
        if entry.get("delay"):
            time.sleep(entry["delay"])
        if entry.get("drop"):
            return None
        if entry.get("garbage"):
            return self._garbage(entry["garbage"], packet, name, kind, end)
        rcode, records = self._collect(name, kind)
        authority = []
        if not records:
            top = ".".join(name.split(".")[-2:])
            soa = pack_name("ns." + top) + pack_name("admin." + top) + struct.pack(">5I", 1, 60, 60, 60, 0)
            authority = [record(top, "SOA", 0, soa)]
        flags = 0x8080 | (struct.unpack_from(">H", packet, 2)[0] & 0x0100) | RCODES[rcode]
        body = b"".join(records + authority)
        too_long = len(body) + end > (1232 if packet[10:12] != b"\0\0" else 512)
        if is_udp and (entry.get("truncate") or too_long):
            flags, records, authority, body = flags | 0x0200, [], [], b""
        counts = struct.pack(">HHHH", 1, len(records), len(authority), 0)
        return packet[:2] + struct.pack(">H", flags) + counts + packet[12:end] + body


def main():
    parser = argparse.ArgumentParser(description="a tiny DNS server for tests")
    parser.add_argument("--zone", required=True, help="JSON file")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="print each query")
    args = parser.parse_args()
    dns = FakeDns(file=args.zone, port=args.port, verbose=args.verbose).start()
    print("listening", dns.host, dns.port, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
