"""A suite whose surroundings change while it runs: the clock, whether files can be written, whether there
are descriptors. tests/fault/lever.c is preloaded into its processes (not into the parent, nor into commands)."""

import os
import shutil
import struct

import harness
from harness import Suite

FIELDS = ("clock_shift_s", "write_errno", "open_errno")  # as in struct lever
WRAPPER = """#!/bin/sh
ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD={lever} BARID_LEVER={file} exec {program} "$@"
"""


class LeverSuite(Suite):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.levers = {}
        self.build = os.path.join(self.dir, "programs")
        self.copy_programs()

    def copy_programs(self):
        """The parent looks for its children beside itself and finds a script for each."""
        real = os.path.join(self.dir, "real")
        shutil.copytree(os.path.join(harness.BUILD, "bin"), os.path.join(self.build, "bin"))
        shutil.copytree(os.path.join(harness.BUILD, "libexec/barid"), real)
        lever = shutil.copy(os.path.join(harness.BUILD, "tests/fault/lever.so"), self.dir)
        libexec = os.path.join(self.build, "libexec/barid")
        os.makedirs(libexec)
        for name in os.listdir(real):
            path = os.path.join(libexec, name)
            if name == "parent":
                shutil.copy(os.path.join(real, name), path)
                continue
            file = self.levers[name] = os.path.join(self.dir, f"lever-{name}")
            with open(file, "wb") as f:
                f.write(bytes(8 * len(FIELDS)))
            with open(path, "w") as f:
                f.write(WRAPPER.format(lever=lever, file=file, program=os.path.join(real, name)))
            os.chmod(path, 0o755)

    def pull(self, role=None, **values):
        """From now on, for one or all: clock_shift_s=86400, write_errno=errno.EROFS, open_errno=errno.EMFILE; 0: as
        it was."""
        for file in [self.levers[role]] if role else self.levers.values():
            with open(file, "r+b") as f:
                for name, value in values.items():
                    f.seek(8 * FIELDS.index(name))
                    f.write(struct.pack("=q", value))
                    f.flush()
