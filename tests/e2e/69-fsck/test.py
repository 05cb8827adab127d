"""What `barid fsck` finds after each thing was damaged by hand, and what --repair makes of it."""

import json
import os
import sqlite3
import time
import unittest

from harness import Suite, message

USER = "alice@example.org"
FROM = "eve@client.example"


def large(n=0):
    return message(f"large {n}\r\n" + ("x" * 70 + "\r\n") * 3000, subject="large")


class FsckTest(unittest.TestCase):
    is_down = False

    def setUp(self):
        self.suite = Suite({"relay": {"allow_from": "127.0.0.0/8, ::1"},
                            "route remote.example": {"to": "hold"}})
        self.addCleanup(self.suite.close)
        self.suite.start()
        self.suite.send(FROM, [USER, "bob@example.org"], message("to both"))
        self.suite.send(FROM, [USER], message(".dots\r\nand more"))
        self.suite.send(FROM, [USER], large())
        self.suite.send(FROM, ["carol@remote.example", "dora@remote.example"], message("away"))
        self.queue_dir = os.path.join(self.suite.state_dir, "queue")
        self.spool = os.path.join(self.queue_dir, "spool")
        self.box = self.suite.cli("user", "show", USER, json=True)["box"]
        if self.is_down:
            self.suite.stop()

    # --- damage ---

    def damage(self, *statements, name="mail.db"):
        path = os.path.join(self.suite.state_dir, name)
        db = sqlite3.connect(os.path.realpath(path), timeout=10)
        try:
            db.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                db.execute(statement.replace("BOX", str(self.box)))
            db.commit()
        finally:
            db.close()

    def spool_file(self):
        (name,) = os.listdir(self.spool)
        return os.path.join(self.spool, name)

    def quarantine(self):
        path = os.path.join(self.queue_dir, "quarantine")
        return sorted(os.listdir(path)) if os.path.exists(path) else []

    # --- looking ---

    def fsck(self, *args, status):
        got, stdout, stderr = self.suite.run("fsck", *args, "--json", timeout=60)
        self.assertEqual(got, status, stdout + stderr)
        if status:
            self.assertIn("error", json.loads(stderr))
        return json.loads(stdout)

    def found(self):
        return sorted({d["what"] for d in self.fsck(status=1)["damage"]})

    def clean(self):
        done = self.fsck(status=0)
        self.assertEqual((done["ok"], done["wrong"], done["damage"]), (True, 0, []))
        return done

    def repaired(self):
        done = self.fsck("--repair", status=0)
        self.assertEqual((done["ok"], done["left"]), (True, 0))
        for damage in done["damage"]:
            if damage["what"] != "structure":  # which is told of a row, and goes with it
                self.assertTrue(damage["done"], damage)
        self.clean()
        return done["damage"]

    def up(self):
        if self.is_down:
            self.suite.start()

    # --- tests ---

    def test_nothing_is_wrong(self):
        done = self.clean()
        self.assertEqual((done["messages"], done["mailboxes"], done["recipients"], done["files"]),
                         (4, 2, 2, 1))
        status, stdout, stderr = self.suite.run("fsck", "--repair")
        self.assertEqual((status, stderr), (0, ""))
        self.assertIn("nothing is wrong", stdout)
        self.assertEqual(self.quarantine(), [])

    def test_content_in_the_row(self):
        self.damage("UPDATE message SET content = CAST(replace(CAST(content AS TEXT), 'to both',"
                    " 'to BOTH') AS BLOB) WHERE spooled = 0")
        damage = self.fsck(status=1)["damage"]
        self.assertEqual({(d["what"], d["user"], d["number"]) for d in damage},
                         {("content", USER, 1), ("content", "bob@example.org", 1)})
        self.repaired()
        text, = [name for name in self.quarantine() if name.endswith(".txt")]
        with open(os.path.join(self.queue_dir, "quarantine", text)) as f:
            told = f.read()
        self.assertIn(f"mailbox: {self.box}\n", told)
        self.assertIn(f"from: {FROM}\n", told)
        with open(os.path.join(self.queue_dir, "quarantine", text[:-4] + ".eml"), "rb") as f:
            self.assertIn(b"to BOTH", f.read())
        self.up()
        self.assertEqual((self.suite.count(), self.suite.count("bob")), (2, 0))
        self.assertEqual(len(self.suite.mail()), 2)

    def test_a_file(self):
        with open(self.spool_file(), "r+b") as f:
            f.seek(1000)
            f.write(b"!")
        (damage,) = self.fsck(status=1)["damage"]
        self.assertEqual((damage["what"], damage["user"]), ("content", USER))
        self.repaired()
        self.assertEqual(os.listdir(self.spool), [])
        self.assertEqual(len(self.quarantine()), 2)
        self.up()
        self.assertEqual(self.suite.count(), 2)

    def test_a_file_that_is_gone(self):
        os.unlink(self.spool_file())
        self.assertEqual(self.found(), ["content-missing"])
        self.repaired()
        self.assertEqual([name[-4:] for name in self.quarantine()], [".txt"])

    def test_a_file_cut_short(self):
        os.truncate(self.spool_file(), 5000)
        self.assertEqual(self.found(), ["content"])
        self.repaired()

    def test_files_of_nobody(self):
        for name in ("0123456789abc", "stranger"):
            with open(os.path.join(self.spool, name), "w") as f:
                f.write("what is this")
        damage = self.fsck(status=1)["damage"]
        self.assertEqual(sorted(d["file"] for d in damage), ["0123456789abc", "stranger"])
        if self.is_down:
            return  # the next start removes them
        self.repaired()
        self.assertEqual(self.quarantine(), ["0123456789abc", "stranger"])
        self.assertEqual(len(os.listdir(self.spool)), 1)

    def test_counts(self):
        self.damage("UPDATE box SET messages = 17, octets = 5 WHERE id = BOX")
        (damage,) = self.fsck(status=1)["damage"]
        self.assertEqual((damage["what"], damage["user"]), ("count", USER))
        self.assertIn("counts 17 messages of 5 octets, and holds 3", damage["text"])
        self.repaired()
        self.up()
        self.assertEqual(self.suite.count(), 3)
        self.suite.send(FROM, [USER], message("more"))
        self.assertEqual(self.suite.count(), 4)

    def test_a_number_that_is_in_use(self):
        self.damage("UPDATE box SET next_seq = 2 WHERE id = BOX")
        self.assertEqual(self.found(), ["count"])
        self.repaired()

    def test_sizes_and_uidls(self):
        self.damage("UPDATE entry SET octets = octets + 1 WHERE box = BOX AND seq = 2",
                    "UPDATE entry SET uidl = 'with space' WHERE box = BOX AND seq = 3")
        self.assertEqual(self.found(), ["count", "entry-size", "entry-uidl", "uidls"])
        self.repaired()
        self.up()
        self.assertEqual(len(self.suite.mail()), 3)

    def test_lines_noted_wrongly(self):
        self.damage("UPDATE message SET flags = 0, header = 5"
                    " WHERE id = (SELECT message FROM entry WHERE box = BOX AND seq = 2)")
        self.assertEqual(self.found(), ["content-facts"])
        self.repaired()
        self.assertEqual(self.quarantine(), [])
        self.up()
        self.assertIn(b"\r\n.dots\r\n", self.suite.mail()[1])

    def test_a_message_that_is_gone(self):
        self.damage("DELETE FROM message WHERE id = (SELECT message FROM entry"
                    " WHERE box = BOX AND seq = 2)")
        self.assertEqual(self.found(), ["entry"])
        self.repaired()
        self.assertEqual(len(self.quarantine()), 1)
        self.up()
        self.assertEqual(len(self.suite.mail()), 2)

    def test_a_row_that_cannot_be(self):
        self.damage("UPDATE message SET sender = 'a' || char(13) || char(10) || 'Evil: 1'"
                    " WHERE id = (SELECT message FROM entry WHERE box = BOX AND seq = 2)")
        self.assertIn("message-row", self.found())
        self.repaired()

    def test_a_message_of_nobody(self):
        self.damage("DELETE FROM entry WHERE box = BOX AND seq = 2")
        self.assertEqual(self.found(), ["count", "nobody"])
        self.repaired()
        self.assertEqual(len(self.quarantine()), 2)

    def test_a_recipient(self):
        self.damage("UPDATE recipient SET domain = '' WHERE number = 0")
        self.assertIn("recipient", self.found())
        self.repaired()
        self.assertEqual(len(self.quarantine()), 2)
        self.up()
        self.assertEqual(list(self.suite.recipients()), ["dora@remote.example"])

    def test_recipients_of_a_message_that_is_gone(self):
        self.damage("DELETE FROM message WHERE id IN (SELECT message FROM recipient)")
        damage = self.fsck(status=1)["damage"]
        self.assertEqual({(d["what"], d["queued"]) for d in damage}, {("recipient", True)})
        self.assertIn("carol@remote.example", " ".join(d["text"] for d in damage))
        self.repaired()

    def test_content_in_the_queue(self):
        self.damage("UPDATE message SET hash = zeroblob(16) WHERE id IN (SELECT message FROM recipient)")
        (damage,) = self.fsck(status=1)["damage"]
        self.assertEqual((damage["what"], damage["queued"], damage["user"]), ("content", True, None))
        self.assertTrue(damage["message"])
        self.repaired()
        self.up()
        self.assertEqual(self.suite.queue(), [])

    def test_an_index(self):
        self.damage("PRAGMA writable_schema = ON",
                    "UPDATE sqlite_schema SET sql = 'CREATE INDEX trash_at ON trash (seq)'"
                    " WHERE name = 'trash_at'")
        self.damage("INSERT INTO trash SELECT box, seq, message, octets, uidl, 77 FROM entry"
                    " WHERE box = BOX AND seq = 1",
                    "DELETE FROM entry WHERE box = BOX AND seq = 1",
                    "UPDATE box SET messages = messages - 1, deleted = deleted + 1, octets = octets -"
                    " (SELECT octets FROM trash), deleted_octets = (SELECT octets FROM trash)"
                    " WHERE id = BOX")
        self.damage("PRAGMA writable_schema = ON",
                    "UPDATE sqlite_schema SET sql = 'CREATE INDEX trash_at ON trash (at)'"
                    " WHERE name = 'trash_at'")
        self.assertEqual(self.found(), ["index"])
        self.repaired()

    def test_notes_about_what_is_not_there(self):
        today = int(time.time()) // 86400
        self.damage("INSERT INTO hold VALUES (12345, 'for;60', 'alice', 9, 9)",
                    "INSERT INTO hold SELECT message, 'for;60', 'alice', 9, 9 FROM recipient WHERE number = 0",
                    f"INSERT INTO tlsrpt_tlsa VALUES ({today}, 'gone.example', 1, '', x'00')",
                    f"INSERT INTO tlsrpt_tlsa VALUES ({today}, 'kept.example', 1, '', x'00')",
                    f"INSERT INTO tlsrpt VALUES ({today}, 'kept.example', 1, 1, 1, '', '', '', '', '', 1)",
                    "INSERT INTO dialogue (message, began, at, remote, tls, text, upto)"
                    " VALUES (999, 1, 1, '', '', '', 0)")  # which outlives its message
        hold, tlsa = self.fsck(status=1)["damage"]
        self.assertEqual((hold["what"], hold["queued"], bool(hold["message"])), ("orphan", True, True))
        self.assertEqual((tlsa["what"], tlsa["queued"], tlsa["message"]), ("orphan", False, None))
        self.assertIn("gone.example", tlsa["text"])
        self.repaired()

    def test_very_many_of_them(self):
        self.damage("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)"
                    " INSERT INTO hold SELECT i, 'for;60', '', 0, 9 FROM n")
        damage = self.fsck(status=1)["damage"]
        self.assertEqual({d["what"] for d in damage}, {"orphan"})
        self.assertIn("and 50 more", damage[-1]["text"])
        self.repaired()

    def test_removals_and_what_devices_dropped(self):
        self.damage("INSERT INTO removal (box, at, sequences) VALUES (999, 1, x'0102')")
        self.damage("INSERT INTO dropped VALUES (BOX, 77, 1)")
        found = self.found()
        self.assertIn("dropped", found)
        if not self.is_down:  # else the owner, which had to open it first, has dealt with it
            self.assertIn("removal", found)
        self.repaired()

    def test_a_mailbox_without_a_user(self):
        self.damage("INSERT INTO box (id, messages, octets, next_seq, forgotten)"
                    " VALUES (999, 0, 0, 9, 0)")
        self.damage("UPDATE entry SET box = 999 WHERE box = BOX AND seq < 3")
        (damage,) = [d for d in self.fsck(status=1)["damage"] if d["what"] == "mailbox"]
        self.assertEqual((damage["mailbox"], damage["user"]), (999, None))
        self.repaired()
        # what bob has too stays with him
        self.assertEqual(len(self.quarantine()), 4)
        self.up()
        self.assertEqual((self.suite.count(), self.suite.count("bob")), (1, 1))

    def test_users_who_were_removed_are_no_damage(self):
        self.suite.cli("user", "remove", "bob@example.org")
        self.clean()

    def test_what_cannot_be_repaired_stays(self):
        if not self.is_down:
            return
        self.damage("PRAGMA writable_schema = ON",
                    "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema"
                    " WHERE name = 'past') WHERE name = 'event'")
        status, _, stderr = self.suite.run("fsck", "--repair")
        self.assertEqual(status, 1, stderr)
        self.assertIn("restore", stderr)

    def test_users(self):
        self.damage("PRAGMA foreign_keys = OFF", "UPDATE user SET domain = 77"
                    " WHERE address LIKE 'bob%'", name="users.db")
        (damage,) = self.fsck(status=1)["damage"]
        self.assertEqual(damage["what"], "users")
        status, stdout, stderr = self.suite.run("fsck", "--repair")
        self.assertEqual(status, 1)
        self.assertIn("users.db: ", stdout)
        self.assertIn("cannot be repaired", stderr)


class WhileDownTest(FsckTest):
    is_down = True


class BesideMailTest(unittest.TestCase):
    def test_mail_goes_on(self):
        suite = Suite({"queue": {"row_content_max": "1K"}})
        self.addCleanup(suite.close)
        suite.start()
        for _ in range(3):
            with suite.smtp() as client:
                for n in range(30):
                    client.sendmail(FROM, [USER], message("y" * 70 * (n % 3) * 20))
            wire = suite.wire()  # a message that is just arriving is no damage
            wire.say("EHLO client.example")
            wire.reply()
            for line in (f"MAIL FROM:<{FROM}>", f"RCPT TO:<{USER}>", "DATA"):
                wire.say(line)
                wire.reply()
            wire.send(large()[:150000])
            status, stdout, stderr = suite.run("fsck")
            self.assertEqual(status, 0, stdout + stderr)
            wire.close()


if __name__ == "__main__":
    unittest.main()
