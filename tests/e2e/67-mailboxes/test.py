"""Mailboxes in and out: import and export, exact, resumable, with the UIDLs that clients know."""

import mailbox as py_mailbox
import os
import random
import shutil
import signal
import subprocess
import sys
import unittest

from harness import Pop3, Suite, message, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../load"))
import dovecot  # noqa: E402

USER = "alice@example.org"


def content(n, body="hello"):
    return message(f"{body} {n}", subject=f"message {n}", headers=f"Message-ID: <{n}@x.example>\r\n")


class MailboxTest(unittest.TestCase):
    def setUp(self):
        self.suite = Suite()
        self.addCleanup(self.suite.close)
        self.suite.start()
        self.dir = self.suite.dir

    def maildir(self, contents, name="Maildir", uidl_names=True):
        """Files as qmail would leave them; LF at line ends."""
        top = os.path.join(self.dir, name)
        for part in ("new", "cur", "tmp"):
            os.makedirs(os.path.join(top, part), exist_ok=True)
        for n, octets in enumerate(contents):
            where = f"new/{1700000000 + n}.{n}.host" if n % 2 else f"cur/{1700000000 + n}.{n}.host:2,S"
            path = os.path.join(top, where)
            with open(path, "wb") as f:
                f.write(octets.replace(b"\r\n", b"\n"))
            os.utime(path, (1700000000 + n, 1700000000 + n))
        return top

    def imported(self, *args, user=USER):
        return self.suite.cli("mailbox", "import", user, *args, json=True)

    def exported(self, *args, user=USER):
        return self.suite.cli("mailbox", "export", user, *args, json=True)


class InAndOut(MailboxTest):
    def test_header_beyond_ascii_keeps_its_return_path(self):
        mail = message("hello", headers="X-Name: Zo\u00eb\r\n")
        self.suite.send("eve@client.example", [USER], mail)
        with self.suite.pop3() as session:
            self.assertTrue(session.retr(1).startswith(b"Return-Path: <eve@client.example>\r\n"))

    def test_maildir_octet_for_octet(self):
        rng = random.Random(5)
        mails = [content(n) for n in range(20)]
        mails.append(b"Return-Path: <eve@client.example>\r\n" + content(20))
        mails.append(b"Return-Path: <>\r\n" + content(21))
        mails.append(b"Return-path: <odd@case.example>\r\n" + content(22))
        mails.append(content(23, ".\r\n..dots\r\nFrom the start\r\n>From quoted\r\n\r\n"))
        mails.append(content(24, "x" * 200000))
        mails.append(content(25, "\r\n".join("y" * rng.randint(0, 70) for _ in range(4000))))
        top = self.maildir(mails)
        done = self.imported("--maildir", top)
        self.assertEqual((done["imported"], done["known"], done["mended"]), (len(mails), 0, 0))
        self.assertEqual(self.suite.mail(), mails)
        with self.suite.pop3() as session:
            self.assertEqual(session.uidls(), [f"{1700000000 + n}.{n}.host" for n in range(len(mails))])
        again = self.imported("--maildir", top)
        self.assertEqual((again["imported"], again["known"]), (0, len(mails)))
        self.assertEqual(self.suite.count(), len(mails))
        shown = self.suite.cli("mailbox", "show", USER, json=True)
        self.assertEqual(shown["oldest"], "2023-11-14T22:13:20Z")
        listed = {box["address"]: box for box in self.suite.cli("mailbox", "list", json=True)}
        self.assertEqual(listed[USER]["oldest"], "2023-11-14T22:13:20Z")
        self.assertIsNotNone(listed[USER]["last_login"])
        self.assertIsNone(listed["bob@example.org"]["oldest"])

        out = os.path.join(self.dir, "out")
        self.assertEqual(self.exported("--maildir", out)["exported"], len(mails))
        self.assertEqual(self.exported("--maildir", out)["there_before"], len(mails))
        files = sorted(os.listdir(out + "/new"), key=lambda name: int(name.split(".")[0]))
        self.assertEqual(os.listdir(out + "/tmp"), [])
        for name, mail in zip(files, mails):
            path = os.path.join(out, "new", name)
            with open(path, "rb") as f:
                self.assertEqual(f.read(), mail.replace(b"\r\n", b"\n"))
            self.assertEqual(int(os.stat(path).st_mtime), int(name.split(".")[0]))
        self.imported("--maildir", out, user="bob@example.org")
        self.assertEqual(self.suite.mail("bob"), mails)
        with self.suite.pop3("bob") as session:
            self.assertEqual(session.uidls(), [f"{1700000000 + n}.{n}.host" for n in range(len(mails))])

        mbox = os.path.join(self.dir, "out.mbox")
        self.assertEqual(self.exported("--mbox", mbox)["exported"], len(mails))
        self.suite.add_user("carol")
        self.imported("--mbox", mbox, user="carol@example.org")
        self.assertEqual(self.suite.mail("carol"), mails)
        self.assertEqual(len(py_mailbox.mbox(mbox)), len(mails))

    def test_mbox_kinds(self):
        box = os.path.join(self.dir, "mbox")
        with open(box, "wb") as f:
            f.write(b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011\nSubject: DON'T DELETE THIS MESSAGE -- "
                    b"FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nnotes\n\n"
                    b"From a@b.example Sat Jan  3 01:05:34 1996\nX-UIDL: abc-1\nSubject: one\n\n>From here\n"
                    b">>From there\nnot a From line\n\n"
                    b"From a@b.example Sat Jan  3 01:05:35 1996\nSubject: two\nContent-Length: 52\n\n"
                    b"exact\n\nFrom a@b.example Sat Jan  3 01:05:34 1996\n\n>\n"
                    b"\nFrom a@b.example Sat Jan  3 01:05:36 1996\nSubject: three\nContent-Length: 4000000\n\nwrong\n"
                    b"\nFrom a@b.example Sat Jan  3 01:05:37 1996\nSubject: four\n\nno end of line")
        done = self.imported("--mbox", box)
        self.assertEqual(done["imported"], 4)
        mails = self.suite.mail()
        self.assertEqual([m.split(b"\r\n\r\n", 1)[1] for m in mails], [
            b"From here\r\n>From there\r\nnot a From line\r\n",
            b"exact\r\n\r\nFrom a@b.example Sat Jan  3 01:05:34 1996\r\n\r\n>\r\n",
            b"wrong\r\n", b"no end of line\r\n"])
        with self.suite.pop3() as session:
            self.assertEqual(session.uidls()[0], "abc-1")
        self.assertEqual(self.imported("--mbox", box)["known"], 4)

    def test_odd_files(self):
        top = self.maildir([content(0), b"", b"Subject: x\r\n\r\na\0b\rc\r\n"])
        os.symlink("/etc/passwd", top + "/new/1700000009.link")
        os.mkfifo(top + "/new/1700000010.fifo")
        status, out, err = self.suite.run("mailbox", "import", USER, "--maildir", top, "--json")
        self.assertEqual(status, 1)
        self.assertIn("symbolic link", err)
        self.assertIn('"imported": 2', out)
        self.assertIn('"empty": 1', out)
        self.assertIn('"mended": 1', out)
        self.assertEqual(self.suite.mail()[1], b"Subject: x\r\n\r\nab c\r\n")

    def test_what_is_refused(self):
        top = self.maildir([content(n) for n in range(5)])
        for args, status in ((("--maildir", top, "--mbox", top), 2), ((), 2),
                             (("--maildir", top, "--uidl", "odd"), 2),
                             (("--maildir", top, "--uidl-format", "%q"), 2),
                             (("--maildir", top, "--since", "yesterday"), 2),
                             (("--maildir", self.dir), 1), (("--mbox", top), 1),
                             (("--maildir", top, "--uidl", "dovecot"), 1)):
            self.assertEqual(self.suite.run("mailbox", "import", USER, *args)[0], status, args)
        self.assertEqual(self.suite.run("mailbox", "import", "nobody@example.org", "--maildir", top)[0], 1)
        self.suite.cli("user", "quota", USER, str(len(content(0)) * 2 + 100))
        status, _, err = self.suite.run("mailbox", "import", USER, "--maildir", top)
        self.assertEqual(status, 1)
        self.assertIn("full", err)
        self.assertLess(self.suite.count(), 5)
        self.suite.cli("user", "quota", USER, "1G")
        self.imported("--maildir", top)
        self.assertEqual(self.suite.mail(), [content(n) for n in range(5)])

    def test_period(self):
        top = self.maildir([content(n) for n in range(4)])
        for n in range(4):
            name, = (d + "/" + f for d in ("new", "cur") for f in os.listdir(f"{top}/{d}") if f".{n}." in f)
            os.utime(f"{top}/{name}", (1700000000 + n * 86400,) * 2)
        done = self.imported("--maildir", top, "--since", "2023-11-15", "--until", "2023-11-16")
        self.assertEqual((done["imported"], done["outside_period"]), (2, 2))
        self.assertEqual(self.suite.mail(), [content(1), content(2)])

    def test_killed_and_run_again(self):
        mails = [content(n, "z" * 3000) for n in range(3000)]
        top = self.maildir(mails)
        command = self.suite.command("mailbox", "import", USER, "--maildir", top)
        for wanted in (1, 700):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: process.poll() is not None or self.suite.count() >= wanted)
            process.send_signal(signal.SIGKILL)
            process.wait()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: process.poll() is not None or self.suite.count() >= 1000)
        self.suite.kill("queue")
        process.wait()
        done = self.imported("--maildir", top)
        self.assertEqual(done["imported"] + done["known"], len(mails))
        self.assertEqual(sorted(self.suite.mail()), sorted(mails))

        out = os.path.join(self.dir, "out")
        command = self.suite.command("mailbox", "export", USER, "--maildir", out)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: process.poll() is not None or
                   (os.path.isdir(out + "/new") and len(os.listdir(out + "/new")) > 100))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.exported("--maildir", out)
        found = []
        for name in os.listdir(out + "/new"):
            with open(f"{out}/new/{name}", "rb") as f:
                found.append(f.read().replace(b"\n", b"\r\n"))
        self.assertEqual(sorted(found), sorted(mails))

    def test_courier_list(self):
        mails = [content(n) for n in range(4)]
        top = self.maildir(mails)
        with open(top + "/courierpop3dsizelist", "w") as f:
            f.write("/3 18 1143654321\n1700000000.0.host:2,S 100 17:1143654321:0\n"
                    "1700000001.1.host 100 5:0\n1700000002.2.host:2,S 100 0:0\n")
        self.imported("--maildir", top)
        with self.suite.pop3() as session:
            listed = dict(zip(self.suite.mail("bob") or [session.retr(n + 1) for n in range(4)], session.uidls()))
        self.assertEqual([listed[m] for m in mails[:3]], ["UID17-1143654321", "UID5", "1700000002.2.host"])

    def test_a_uidl_is_never_given_twice(self):
        top = self.maildir([content(1)])
        other = self.maildir([content(2)], "Other")
        self.imported("--maildir", top)
        self.assertEqual(self.imported("--maildir", other)["new_uidls"], 1)
        with self.suite.pop3() as session:
            uidls = session.uidls()
            self.assertEqual(len(set(uidls)), 2)
            session.ask("DELE 1")
        again = self.maildir([content(3)], "Again")  # while that one can be undeleted
        self.assertEqual(self.imported("--maildir", again)["new_uidls"], 1)
        with self.suite.pop3() as session:
            self.assertNotIn(uidls[0], session.uidls())

    def test_a_mailbox_of_another_barid_keeps_its_uidls(self):
        mails = [content(n) for n in range(3)]
        for mail in mails:
            self.suite.send("eve@client.example", [USER], mail)
        with self.suite.pop3() as session:
            uidls = session.uidls()
        out = os.path.join(self.dir, "out")
        self.exported("--maildir", out)
        self.assertEqual(self.imported("--maildir", out, user="bob@example.org")["new_uidls"], 0)
        with self.suite.pop3("bob") as session:
            self.assertEqual(session.uidls(), uidls)
        # where they were given already they are not given to what comes as new messages
        self.assertEqual(self.imported("--maildir", out)["new_uidls"], 3)
        with self.suite.pop3() as session:
            self.assertEqual(len(set(session.uidls())), 6)


@unittest.skipIf(dovecot.why_not(), dovecot.why_not())
class FromDovecot(MailboxTest):
    def check(self, uidl_format, flag=None):
        where = os.path.join(self.dir, "dovecot")
        os.mkdir(where)
        theirs = dovecot.Dovecot(where)
        with open(where + "/dovecot.conf", "a") as f:
            f.write(f"pop3_uidl_format = {uidl_format}\n")
        theirs.fill("alice", 30, content(0))
        theirs.start()
        try:
            with self.dovecot_session(theirs) as session:
                wanted = session.uidls()
                mails = [session.retr(n + 1) for n in range(30)]
        finally:
            theirs.stop()
        extra = ("--uidl-format", uidl_format) if flag else ()
        self.imported("--maildir", where + "/mail/alice/Maildir", *extra)
        with self.suite.pop3() as session:
            self.assertEqual(session.uidls(), wanted)
            self.assertEqual([session.retr(n + 1) for n in range(30)], mails)
        shutil.rmtree(where)

    def dovecot_session(self, theirs):
        return Pop3((theirs.address, theirs.port), "alice")

    def test_default_format(self):
        self.check("%08Xu%08Xv")

    def test_formats(self):
        self.check("%v.%u", True)

    def test_format_of_names(self):
        self.check("%f", True)

    def test_format_of_guids(self):
        self.check("%g", True)
