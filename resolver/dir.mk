# Sources of resolver/ and its unit tests.
noinst_LIBRARIES += resolver/libresolver.a
resolver_libresolver_a_SOURCES = resolver/answer.c resolver/answer.h
resolver_libresolver_a_SOURCES += resolver/ask.c resolver/ask.h
resolver_libresolver_a_SOURCES += resolver/events.c resolver/events.h
resolver_libresolver_a_SOURCES += resolver/upstream.c resolver/upstream.h
resolver_libresolver_a_CPPFLAGS = $(AM_CPPFLAGS) $(UNBOUND_CFLAGS)
pkglibexec_PROGRAMS += libexec/barid/resolver
libexec_barid_resolver_SOURCES = resolver/main.c
libexec_barid_resolver_LDADD = resolver/libresolver.a $(LIBS_COMMON) $(UNBOUND_LIBS)
if HAVE_CRITERION
check_PROGRAMS += tests/unit/resolver/test
tests_unit_resolver_test_SOURCES = tests/unit/resolver/test_answer.c
tests_unit_resolver_test_SOURCES += tests/unit/resolver/test_ask.c
tests_unit_resolver_test_CPPFLAGS = $(AM_CPPFLAGS) $(UNBOUND_CFLAGS)
tests_unit_resolver_test_LDADD = resolver/libresolver.a $(LIBS_COMMON) $(CRITERION_LIBS)
endif
