"""Makes a test of every *.dialog file beside a test.py."""

import os
import unittest

from dialog import Dialog


class DialogTests(unittest.TestCase):
    """Subclasses say directory = __file__ and how to start_suite(); each dialog becomes a test."""

    directory = None

    def __init_subclass__(cls):
        here = os.path.dirname(os.path.abspath(cls.directory))
        for name in sorted(os.listdir(here)):
            if name.endswith(".dialog"):
                test = "test_" + name[:-len(".dialog")].replace("-", "_")
                setattr(cls, test, cls.make_test(os.path.join(here, name)))

    @staticmethod
    def make_test(path):
        def test(self):
            dialog = Dialog(path)
            for bytewise in (False, True) if dialog.is_also_bytewise else (False,):
                dialog.play(self.target(), self.names(dialog), bytewise)
        return test

    @classmethod
    def dialog(cls, name):
        return Dialog(os.path.join(os.path.dirname(os.path.abspath(cls.directory)), name))

    @classmethod
    def setUpClass(cls):
        cls.suite = cls.start_suite()

    @classmethod
    def tearDownClass(cls):
        """Every group ends with a clean stop: exit 0, in time, nothing left behind."""
        try:
            cls.suite.stop()
        finally:
            cls.suite.close()

    def names(self, _dialog):
        """What {name} stands for in a dialog."""
        return {}
