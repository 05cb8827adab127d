"""The configuration that people copy from the documentation is one that `barid check` accepts."""

import unittest

from certs import Pair
from harness import Suite

EXAMPLE = """
hostname  = mx.example.org           # default: the machine's FQDN
state_dir = {suite.state_dir}
run_dir   = {suite.run_dir}
message_size_max = 50M

[listen smtp]
address = 0.0.0.0:25, [::]:25
[listen submission]
address = 0.0.0.0:587
[listen submissions]
address = 0.0.0.0:465
[listen pop3]
address = 0.0.0.0:110
plaintext_without_tls = loopback     # a listener may override settings of [auth] and [limits] for itself
[listen pop3s]
address = 0.0.0.0:995

[tls]
certificate = {pair.certificate}
key         = {pair.key}

[auth]
plaintext_without_tls = no
failures_per_connection = 5
failures_per_address    = 10/10m
failure_delay           = 1s

[limits]
connections             = 500        # per service
connections_per_address = 20

[relay]
allow_from = 127.0.0.0/8, ::1
smarthost  = smtp://10.0.0.25:25
retry      = 5m, 15m, 30m, 1h, 2h, 4h
expire     = 5d
delay_warning = 4h
port       = 25
never_connect_to = 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3, ::/128, ::1/128, fe80::/10, ff00::/8

[route example.com]                  # where one domain goes
to = smtp://10.1.2.3:25

[dns]
server = 127.0.0.1@5353
"""


class Example(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.text = EXAMPLE.format(suite=self.suite, pair=Pair(self.suite.dir, "mx", ["mx.example.org"]))

    def check(self, text):
        with open(self.suite.config_file, "w") as f:
            f.write(text)
        return self.suite.run("check", "--json")

    def test_it_has_no_errors(self):
        status, stdout, stderr = self.check(self.text)
        self.assertEqual((status, stderr), (0, ""), stdout)
        self.assertNotIn('"error"', stdout)

    def test_a_word_of_it_that_is_wrong_is_found(self):
        status, stdout, _ = self.check(self.text.replace("delay_warning", "delay_waning"))
        self.assertEqual(status, 1)
        self.assertIn("delay_warning", stdout)


if __name__ == "__main__":
    unittest.main()
