# Programs that only tests use.
include tests/load/dir.mk
include tests/fuzz/dir.mk
