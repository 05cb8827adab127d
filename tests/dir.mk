# Programs that only tests use.
include tests/load/dir.mk
include tests/fuzz/dir.mk
include tests/fault/dir.mk
include tests/week/dir.mk
