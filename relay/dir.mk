# Sources of relay/ and its unit tests.
noinst_LIBRARIES += relay/librelay.a
relay_librelay_a_SOURCES = relay/client.c relay/client_state.h relay/client_hello.c relay/client_mail.c relay/client.h
relay_librelay_a_SOURCES += relay/client_login.c relay/login.c relay/login.h relay/secret.c relay/secret.h
relay_librelay_a_SOURCES += relay/command.c relay/command.h
relay_librelay_a_SOURCES += relay/job.c relay/job.h relay/job_state.h relay/seek.c relay/tally.c relay/tally.h
relay_librelay_a_SOURCES += relay/policy.c relay/policy.h
relay_librelay_a_SOURCES += relay/dialogue.c relay/dialogue.h
relay_librelay_a_SOURCES += relay/explain.c relay/explain.h
relay_librelay_a_SOURCES += relay/memo.c relay/memo.h
relay_librelay_a_SOURCES += relay/offer.c relay/offer.h
relay_librelay_a_SOURCES += relay/plan.c relay/plan.h
relay_librelay_a_SOURCES += relay/pool.c relay/pool.h
relay_librelay_a_SOURCES += relay/reply.c relay/reply.h
relay_librelay_a_SOURCES += relay/resume.c relay/resume.h relay/sessions.c relay/sessions.h
relay_librelay_a_SOURCES += relay/source.c relay/source.h
relay_librelay_a_SOURCES += relay/stuff.c relay/stuff.h
pkglibexec_PROGRAMS += libexec/barid/relay
libexec_barid_relay_SOURCES = relay/main.c
libexec_barid_relay_LDADD = relay/librelay.a $(LIBS_TLS)
if HAVE_CRITERION
check_PROGRAMS += tests/unit/relay/test
tests_unit_relay_test_SOURCES = tests/unit/relay/test_client.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_command.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_dialogue.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_login.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_plan.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_policy.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_reply.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_resume.c tests/unit/relay/test_sessions.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_stuff.c
tests_unit_relay_test_SOURCES += tests/unit/relay/test_tally.c
tests_unit_relay_test_LDADD = relay/librelay.a $(LIBS_TLS) $(CRITERION_LIBS)
check_PROGRAMS += tests/unit/relay/test_pool
tests_unit_relay_test_pool_SOURCES = tests/unit/relay/test_pool.c
tests_unit_relay_test_pool_LDADD = relay/librelay.a $(LIBS_TLS) $(CRITERION_LIBS)
endif
