# The fuzz targets over their corpus and mutations of it; with clang's libFuzzer: ./dev fuzz.
noinst_LIBRARIES += tests/fuzz/libtargets.a
tests_fuzz_libtargets_a_SOURCES = tests/fuzz/cli_targets.c tests/fuzz/common_targets.c \
  tests/fuzz/fuzz.h tests/fuzz/keyd_targets.c \
  tests/fuzz/policy_targets.c tests/fuzz/pop3d_targets.c tests/fuzz/queue_targets.c tests/fuzz/relay_targets.c \
  tests/fuzz/resolver_targets.c tests/fuzz/sasl_targets.c tests/fuzz/smtpd_targets.c \
  tests/fuzz/targets.c
LIBS_FUZZ = tests/fuzz/libtargets.a authd/libauthd.a cli/libcli.a smtpd/libsmtpd.a pop3d/libpop3d.a relay/librelay.a \
  keyd/libkeyd.a policy/libpolicy.a \
  resolver/libresolver.a queue/libqueue.a common/libsql.a $(LIBS_TLS) $(UNBOUND_LIBS) \
  $(SQLITE_LIBS) $(ZLIB_LIBS) $(AIO_LIBS)
noinst_LIBRARIES += tests/fuzz/libslow.a
tests_fuzz_libslow_a_SOURCES = tests/fuzz/fuzz.h tests/fuzz/pop3_targets.c \
  tests/fuzz/rows_targets.c tests/fuzz/targets.c
tests_fuzz_libslow_a_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_SLOW
LIBS_FUZZ_SLOW = tests/fuzz/libslow.a pop3d/libpop3d.a queue/libqueue.a common/libsql.a \
  $(LIBS_TLS) $(SQLITE_LIBS) $(ZLIB_LIBS) $(AIO_LIBS)
noinst_PROGRAMS += tests/fuzz/replay-slow
tests_fuzz_replay_slow_SOURCES = tests/fuzz/replay.c
tests_fuzz_replay_slow_LDADD = $(LIBS_FUZZ_SLOW)
noinst_PROGRAMS += tests/fuzz/replay
tests_fuzz_replay_SOURCES = tests/fuzz/replay.c
tests_fuzz_replay_LDADD = $(LIBS_FUZZ)
if FUZZER
noinst_PROGRAMS += tests/fuzz/fuzzer
tests_fuzz_fuzzer_SOURCES = tests/fuzz/libfuzzer.c
tests_fuzz_fuzzer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzzer_LDADD = $(LIBS_FUZZ)
noinst_PROGRAMS += tests/fuzz/fuzzer-slow
tests_fuzz_fuzzer_slow_SOURCES = tests/fuzz/libfuzzer.c
tests_fuzz_fuzzer_slow_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzzer_slow_LDADD = $(LIBS_FUZZ_SLOW)
endif
