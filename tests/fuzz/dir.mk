# The fuzz targets over their corpus and mutations of it; with clang's libFuzzer: ./dev fuzz.
noinst_PROGRAMS += tests/fuzz/replay
tests_fuzz_replay_SOURCES = tests/fuzz/common_targets.c tests/fuzz/fuzz.h \
  tests/fuzz/pop3d_targets.c tests/fuzz/relay_targets.c tests/fuzz/replay.c \
  tests/fuzz/resolver_targets.c tests/fuzz/smtpd_targets.c
tests_fuzz_replay_LDADD = smtpd/libsmtpd.a pop3d/libpop3d.a relay/librelay.a \
  resolver/libresolver.a $(LIBS_COMMON) $(UNBOUND_LIBS)
