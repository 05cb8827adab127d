# Programs that only tests use.
include tests/load/dir.mk
