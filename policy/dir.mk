# Sources of policy/ and its unit tests.
noinst_LIBRARIES += policy/libpolicy.a
policy_libpolicy_a_SOURCES = policy/cache.c policy/cache.h policy/fetch.c policy/fetch.h
policy_libpolicy_a_SOURCES += policy/http.c policy/http.h policy/https.c policy/https.h
policy_libpolicy_a_SOURCES += policy/post.c policy/post.h policy/public.c policy/public.h
policy_libpolicy_a_SOURCES += policy/rua.c policy/rua.h
pkglibexec_PROGRAMS += libexec/barid/policy
libexec_barid_policy_SOURCES = policy/main.c
libexec_barid_policy_LDADD = policy/libpolicy.a $(LIBS_TLS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/policy/test
tests_unit_policy_test_SOURCES = tests/unit/halfproc.c tests/unit/halfproc.h tests/unit/policy/stage.c tests/unit/policy/stage.h
tests_unit_policy_test_SOURCES += tests/unit/policy/test_cache.c tests/unit/policy/test_fetch.c
tests_unit_policy_test_SOURCES += tests/unit/policy/test_http.c tests/unit/policy/test_post.c
tests_unit_policy_test_SOURCES += tests/unit/policy/test_public.c tests/unit/policy/web.c
tests_unit_policy_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=array_reserve
tests_unit_policy_test_LDADD = policy/libpolicy.a $(LIBS_TLS) $(CRITERION_LIBS)
endif
