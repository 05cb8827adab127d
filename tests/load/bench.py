#!/usr/bin/python3
"""Measures barid against Debian's Postfix: the same messages, the same machine, the same disk, in turn.

    ./dev bench [--rounds N] [--dir DIRECTORY]

A message is counted when its final 250 came; by then barid has it on disk *and* in the mailbox, Postfix
has it on disk in its queue. So a second rate is shown: until the last message was in its Maildir. Both fsync
as they do by default. Postfix: default process limits, virtual(8) to Maildir, no filters. Needs root, as
Postfix's master does; without it only barid is measured."""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))

USERS = 10


class Scenario:
    def __init__(self, name, octets, connections, options, for_barid, for_postfix):
        self.name, self.octets, self.connections, self.options = name, octets, connections, options
        self.messages = {"barid": for_barid, "Postfix": for_postfix}  # a few seconds for each


SCENARIOS = (Scenario("4 KiB, 20 connections kept", 4096, 20, (), 20000, 4000),
             Scenario("4 KiB, 1 connection kept", 4096, 1, (), 2000, 1000),
             Scenario("4 KiB, 20 connections, one message each", 4096, 20, ("-1",), 5000, 2000),
             Scenario("60 KiB, 20 connections kept", 61440, 20, (), 3000, 1500))


def load(build, server, address, scenario):
    rcpts = ",".join(f"user{n}@bench.example" for n in range(USERS))
    done = subprocess.run([f"{build}/tests/load/mailload", "-c", str(scenario.connections),
                           "-n", str(scenario.messages[server]), "-s", str(scenario.octets), "-t", rcpts,
                           *scenario.options, address[0], str(address[1])], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"bench: mailload: {done.stdout}{done.stderr}")
    return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", done.stdout)}


class Barid:
    name = "barid"

    def __init__(self, build, directory):
        from harness import Suite
        self.build = build
        self.suite = Suite(domain="bench.example", users=[f"user{n}" for n in range(USERS)],
                           state_dir=os.path.join(directory, "barid"),
                           config={"limits": {"connection_rate": "none"}})
        self.suite.start()

    def measure(self, scenario):
        result = load(self.build, self.name, self.suite.smtp_address, scenario)
        result["delivered"] = result["rate"]
        return result

    def private_kib(self):
        total = 0
        for pid in self.suite.pids():
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", f.read(), re.M))
        return total

    def stop(self):
        self.suite.stop()
        self.suite.close()


class RealPostfix:
    name = "Postfix"

    def __init__(self, build, directory):
        import postfix
        self.build = build
        boxes = ", ".join(f"user{n}@bench.example=user{n}/" for n in range(USERS))
        self.server = postfix.Postfix(os.path.join(directory, "postfix"), domain="bench.example",
                                      boxes="inline:{%s}" % boxes)
        self.server.start()

    def measure(self, scenario):
        began = time.monotonic()
        result = load(self.build, self.name, (self.server.address, self.server.port), scenario)
        while self.server.queued():
            time.sleep(0.02)
        result["delivered"] = result["messages"] / (time.monotonic() - began)
        shutil.rmtree(self.server.dir + "/mail", ignore_errors=True)
        self.server.make_mail_directory()
        return result

    def stop(self):
        self.server.stop()


def medians(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def print_table(results):
    print(f"\n{'scenario':<42}{'barid':>9}{'Postfix':>9}{'ratio':>7}{'barid':>16}{'Postfix':>16}"
          f"{'Postfix':>11}{'ratio':>7}")
    print(f"{'':<42}{'msg/s':>9}{'msg/s':>9}{'':>7}{'p50/p99 ms':>16}{'p50/p99 ms':>16}{'delivered':>11}")
    for scenario, by_server in results:
        row = f"{scenario.name:<42}"
        ours = by_server["barid"]
        theirs = by_server.get("Postfix")
        row += f"{ours['rate']:9.0f}"
        if theirs:
            row += f"{theirs['rate']:9.0f}{ours['rate'] / theirs['rate']:7.1f}"
        else:
            row += f"{'-':>9}{'-':>7}"
        row += f"{ours['p50_ms']:9.2f}/{ours['p99_ms']:6.2f}"
        if theirs:
            row += f"{theirs['p50_ms']:9.2f}/{theirs['p99_ms']:6.2f}"
            row += f"{theirs['delivered']:11.0f}{ours['rate'] / theirs['delivered']:7.1f}"
        print(row)


def run(options, directory):
    import postfix
    reason = postfix.why_not()
    if reason:
        print(f"   without Postfix: {reason}")
    barid = Barid(options.build, directory)
    servers = [barid] + ([] if reason else [RealPostfix(options.build, directory)])
    try:
        at_rest = barid.private_kib()
        results = []
        for scenario in SCENARIOS:
            rounds = {server.name: [] for server in servers}
            for n in range(options.rounds):
                for server in servers:
                    print(f"   {scenario.name}, round {n + 1}: {server.name} … ", end="", flush=True)
                    rounds[server.name].append(server.measure(scenario))
                    print(f"{rounds[server.name][-1]['rate']:.0f} msg/s")
            results.append((scenario, {name: medians(r) for name, r in rounds.items()}))
        print_table(results)
        print(f"\nprivate memory of all {len(barid.suite.pids())} processes of barid: {at_rest / 1024:.1f} MiB at "
              f"rest, {barid.private_kib() / 1024:.1f} MiB after the load")
        print(f"medians of {options.rounds} rounds in turn; {os.cpu_count()} processors; on {directory}")
    finally:
        for server in servers:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description="barid against Postfix, on this machine")
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default="/var/tmp", help="where the stores are made: a disk, no tmpfs")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    os.environ["BARID_BUILD"] = options.build
    os.environ["BARID_E2E_NAME"] = "bench"
    directory = tempfile.mkdtemp(prefix="barid-bench-", dir=options.dir)
    os.chmod(directory, 0o755)
    try:
        run(options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
