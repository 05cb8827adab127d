# Sources of mailbox/ and its unit tests.
noinst_LIBRARIES += mailbox/libmailbox.a
mailbox_libmailbox_a_SOURCES = mailbox/delay.c mailbox/delay.h
mailbox_libmailbox_a_SOURCES += mailbox/check.c mailbox/check.h mailbox/check_message.c mailbox/check_message.h
mailbox_libmailbox_a_SOURCES += mailbox/check_store.c mailbox/check_store.h
mailbox_libmailbox_a_SOURCES += mailbox/serve.c mailbox/serve.h
mailbox_libmailbox_a_SOURCES += mailbox/shelf.c mailbox/shelf.h
mailbox_libmailbox_a_SOURCES += mailbox/spool.c mailbox/spool.h
mailbox_libmailbox_a_SOURCES += mailbox/export.c mailbox/export.h mailbox/prefix.c mailbox/prefix.h
mailbox_libmailbox_a_SOURCES += mailbox/store.c mailbox/store.h
mailbox_libmailbox_a_SOURCES += mailbox/verify.c mailbox/verify.h
pkglibexec_PROGRAMS += libexec/barid/mailbox
libexec_barid_mailbox_SOURCES = mailbox/main.c
libexec_barid_mailbox_LDADD = mailbox/libmailbox.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/mailbox/test
tests_unit_mailbox_test_SOURCES = tests/unit/mailbox/fixture.c tests/unit/mailbox/fixture.h
tests_unit_mailbox_test_SOURCES += tests/unit/mailbox/test_check.c tests/unit/mailbox/test_serve.c
tests_unit_mailbox_test_SOURCES += tests/unit/mailbox/test_store.c
tests_unit_mailbox_test_LDADD = mailbox/libmailbox.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS) $(CRITERION_LIBS)
endif
