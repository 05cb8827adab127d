#!/usr/bin/python3
"""Runs the end-to-end tests: every directory NN-name here with a test.py is a group with its own
daemons, and groups run side by side. A test is a method of a unittest class or a dialog file.

    tests/e2e/run.py [--build DIR] [--jobs N] [--counts FILE] [NAME…]   only tests whose name has NAME

One line per test as it ends; a failed one shows its traceback, the end of the daemons' log, and where the
rest is kept. The last line counts; the exit status is 0 only if nothing failed and something ran.
"""

import argparse
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TEST_TIMEOUT = 120
GROUP_TIMEOUT = 900
LOG_LINES = 30


def groups():
    return sorted(d for d in os.listdir(HERE) if os.path.exists(os.path.join(HERE, d, "test.py")))


# --- in the process of one group: run its tests, say each outcome as a line of JSON ---

class TestTooSlow(AssertionError):
    pass


def say(**event):
    sys.__stdout__.write(json.dumps(event) + "\n")
    sys.__stdout__.flush()


def report_of(error_text):
    from harness import Suite
    parts = [error_text.rstrip()]
    for suite in Suite.alive:
        parts.append(f"--- the daemons' last lines (all of them: {suite.log_file})")
        parts.append(suite.log_tail(LOG_LINES).rstrip())
    return "\n".join(parts)


class Result(unittest.TestResult):
    def __init__(self, group):
        super().__init__()
        self.group = group
        self.had_problem = False

    def name(self, test):
        method = getattr(test, "shown_name", None) or test.id().split(".", 1)[-1]
        return f"{self.group}/{method}"

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.had_problem = False
        signal.alarm(getattr(test, "timeout", TEST_TIMEOUT))

    def stopTest(self, test):
        signal.alarm(0)
        self.had_problem = False  # what fails next may be a class, which starts no test
        super().stopTest(test)

    def outcome(self, kind, test, text=""):
        seconds = time.monotonic() - getattr(self, "began", time.monotonic())
        say(kind=kind, name=self.name(test), seconds=seconds, text=text)

    def addSuccess(self, test):
        if not self.had_problem:
            self.outcome("ok", test)

    def addProblem(self, test, error):
        if self.had_problem:
            return
        self.had_problem = True
        super().addFailure(test, error)  # makes a text of it, without the frames of unittest
        self.outcome("failed", test, report_of(self.failures.pop()[1]))

    def addError(self, test, error):
        self.addProblem(test, error)

    def addFailure(self, test, error):
        self.addProblem(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self.had_problem = False
            self.addProblem(subtest, error)

    def addSkip(self, test, reason):
        self.outcome("skipped", test, reason)


def wanted_tests(tests, group, names):
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            kept = unittest.TestSuite(wanted_tests(test, group, names))
            if kept.countTestCases():
                yield kept
        else:
            name = f"{group}/{getattr(test, 'shown_name', None) or test.id()}"
            if not names or any(n in name for n in names):
                yield test


def run_group(group, names):
    sys.path.insert(0, HERE)
    os.environ["BARID_E2E_NAME"] = group

    def too_slow(*_):
        raise TestTooSlow(f"the test took over {TEST_TIMEOUT} s")
    signal.signal(signal.SIGALRM, too_slow)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    spec = importlib.util.spec_from_file_location("test", os.path.join(HERE, group, "test.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["test"] = module
    try:
        spec.loader.exec_module(module)
        tests = unittest.defaultTestLoader.loadTestsFromModule(module)
        result = Result(group)
        unittest.TestSuite(wanted_tests(tests, group, names)).run(result)
    finally:
        from harness import Suite
        for suite in list(Suite.alive):
            suite.close()


# --- in the runner ---

class Runner:
    def __init__(self, options):
        self.options = options
        self.counts = {"ok": 0, "failed": 0, "skipped": 0}
        self.lock = threading.Lock()
        self.work = queue.SimpleQueue()
        self.running = set()

    def show(self, event):
        with self.lock:
            kind = event["kind"]
            self.counts[kind] += 1
            word = {"ok": "ok     ", "failed": "NOT OK ", "skipped": "skipped"}[kind]
            note = f" ({event['text']})" if kind == "skipped" else f" ({event['seconds']:.1f} s)"
            print(f"   {word} {event['name']}{note}")
            if kind == "failed":
                print("\n".join("   | " + line for line in event["text"].splitlines()))

    def run_one(self, group):
        command = [sys.executable, "-u", os.path.abspath(__file__), "--build", self.options.build,
                   "--group", group, *self.options.names]
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 errors="replace")
        with self.lock:
            self.running.add(child)
        limit = threading.Timer(GROUP_TIMEOUT, child.terminate)
        limit.start()
        errors = []
        drain = threading.Thread(target=lambda: errors.extend(child.stderr))
        drain.start()
        for line in child.stdout:
            try:
                self.show(json.loads(line))
            except ValueError:
                errors.append(line)
        status = child.wait()
        drain.join()
        limit.cancel()
        with self.lock:
            self.running.discard(child)
        if status != 0:
            self.show({"kind": "failed", "name": group, "seconds": time.monotonic() - began,
                       "text": f"the group ended with status {status}\n" + "".join(errors[-40:])})

    def work_off(self):
        while True:
            group = self.work.get()
            if group is None:
                return
            self.run_one(group)

    def run(self):
        order = groups()
        # The longest first, so that nothing is left for one processor at the end.
        for group in sorted(order, key=lambda g: not os.path.exists(os.path.join(HERE, g, "long"))):
            self.work.put(group)
        threads = [threading.Thread(target=self.work_off) for _ in range(self.options.jobs)]
        for thread in threads:
            self.work.put(None)
            thread.start()
        for thread in threads:
            thread.join()
        return self.counts["ok"], self.counts["failed"], self.counts["skipped"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--counts")
    parser.add_argument("--group", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    os.environ["BARID_BUILD"] = options.build
    if options.group:
        run_group(options.group, options.names)
        return 0
    runner = Runner(options)
    passed, failed, skipped = runner.run()
    if options.counts:
        with open(options.counts, "w") as f:
            f.write(f"{passed} {failed} {skipped}\n")
    print(f"   end to end: {passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and (passed or options.names) else 1


if __name__ == "__main__":
    sys.exit(main())
