# Programs that only tests use.
include tests/load/dir.mk
include tests/fuzz/dir.mk
include tests/fault/dir.mk
include tests/week/dir.mk

# ./dev test works in an unpacked release too.
EXTRA_DIST += tests/e2e tests/fuzz/corpus tests/load/attack.py tests/load/bench.py tests/load/boxes.py \
  tests/load/dovecot.py tests/load/far.py tests/load/servers.py
