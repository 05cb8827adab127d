# Sources of smtpd/ and its unit tests.
noinst_LIBRARIES += smtpd/libsmtpd.a
smtpd_libsmtpd_a_SOURCES = smtpd/verbs.h
smtpd_libsmtpd_a_SOURCES += smtpd/body.c smtpd/body.h
smtpd_libsmtpd_a_SOURCES += smtpd/cmd_auth.c
smtpd_libsmtpd_a_SOURCES += smtpd/cmd_bdat.c smtpd/cmd_data.c
smtpd_libsmtpd_a_SOURCES += smtpd/cmd_hello.c
smtpd_libsmtpd_a_SOURCES += smtpd/cmd_mail.c
smtpd_libsmtpd_a_SOURCES += smtpd/cmd_misc.c
smtpd_libsmtpd_a_SOURCES += smtpd/client.h smtpd/door.c
smtpd_libsmtpd_a_SOURCES += smtpd/handover.c smtpd/handover.h
smtpd_libsmtpd_a_SOURCES += smtpd/params.c smtpd/params.h
smtpd_libsmtpd_a_SOURCES += smtpd/reply.c smtpd/reply.h
smtpd_libsmtpd_a_SOURCES += smtpd/server.c smtpd/server.h
smtpd_libsmtpd_a_SOURCES += smtpd/session.c smtpd/session.h
smtpd_libsmtpd_a_SOURCES += smtpd/trace.c smtpd/trace.h
smtpd_libsmtpd_a_SOURCES += smtpd/txn.c smtpd/txn.h
pkglibexec_PROGRAMS += libexec/barid/smtpd
libexec_barid_smtpd_SOURCES = smtpd/main.c
libexec_barid_smtpd_LDADD = smtpd/libsmtpd.a $(LIBS_TLS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/smtpd/test
tests_unit_smtpd_test_SOURCES = tests/unit/smtpd/world.c tests/unit/smtpd/world.h
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_body.c
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_auth.c
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_each.c
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_handover.c
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_reply.c
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_session.c
tests_unit_smtpd_test_SOURCES += tests/unit/smtpd/test_trace.c
tests_unit_smtpd_test_LDADD = smtpd/libsmtpd.a $(LIBS_TLS) $(CRITERION_LIBS)
endif
