"""Space that deleted mail took goes back to the disk by itself, and mail goes on meanwhile."""

import os
import threading
import unittest

from harness import Suite, message, wait_until

USER = "alice@example.org"
FROM = "eve@client.example"
BODY = ("z" * 76 + "\r\n") * 500


class SpaceTest(unittest.TestCase):
    def test_the_file_gets_smaller(self):
        suite = Suite({"mailbox": {"undelete_for": "none"}})
        self.addCleanup(suite.close)
        suite.start()
        path = os.path.join(suite.state_dir, "mail.db")
        with suite.smtp() as client:
            for _ in range(700):
                client.sendmail(FROM, [USER], message(BODY))
        suite.restart()  # what is in the log goes into the file
        before = os.path.getsize(path)
        self.assertGreater(before, 20_000_000)
        with suite.pop3() as session:
            for n in range(1, 651):
                session.ask(f"DELE {n}")
        stop, sent = threading.Event(), []

        def send():
            while not stop.is_set():
                with suite.smtp() as client:
                    for _ in range(20):
                        client.sendmail(FROM, ["bob@example.org"], message(f"meanwhile {len(sent)}"))
                        sent.append(1)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            wait_until(lambda: "space-given-back" in suite.log(), 60, "space-given-back")
        finally:
            stop.set()
            thread.join()
        self.assertGreater(len(sent), 20)
        wait_until(lambda: os.path.getsize(path) < before / 2, 30,
                   lambda: f"{os.path.getsize(path)} of {before} octets")
        self.assertEqual(suite.count("bob"), len(sent))
        self.assertEqual(suite.count(), 50)
        self.assertEqual(len(suite.mail()), 50)
        self.assertEqual(suite.run("fsck")[0], 0)


if __name__ == "__main__":
    unittest.main()
