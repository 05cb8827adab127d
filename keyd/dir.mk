# Sources of keyd/ and its unit tests.
noinst_LIBRARIES += keyd/libkeyd.a
keyd_libkeyd_a_SOURCES = keyd/form.c keyd/form.h keyd/keys.c keyd/keys.h
pkglibexec_PROGRAMS += libexec/barid/keyd
libexec_barid_keyd_SOURCES = keyd/main.c
libexec_barid_keyd_LDADD = keyd/libkeyd.a $(LIBS_TLS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/keyd/test
tests_unit_keyd_test_SOURCES = tests/unit/keyd/test_form.c tests/unit/keyd/test_keys.c
tests_unit_keyd_test_LDADD = keyd/libkeyd.a $(LIBS_TLS) $(CRITERION_LIBS)
endif
