# Sources of pop3d/ and its unit tests.
noinst_LIBRARIES += pop3d/libpop3d.a
pop3d_libpop3d_a_SOURCES = pop3d/cmd.h pop3d/reply.h
pop3d_libpop3d_a_SOURCES += pop3d/cmd_auth.c pop3d/cmd_sasl.c pop3d/cmd_capa.c pop3d/cmd_mail.c pop3d/cmd_retr.c
pop3d_libpop3d_a_SOURCES += pop3d/collected.c pop3d/collected.h
pop3d_libpop3d_a_SOURCES += pop3d/drop.c pop3d/drop.h
pop3d_libpop3d_a_SOURCES += pop3d/job.c
pop3d_libpop3d_a_SOURCES += pop3d/multiline.c pop3d/multiline.h
pop3d_libpop3d_a_SOURCES += pop3d/server.c pop3d/server.h
pop3d_libpop3d_a_SOURCES += pop3d/session.c pop3d/session.h
pkglibexec_PROGRAMS += libexec/barid/pop3d
libexec_barid_pop3d_SOURCES = pop3d/main.c
libexec_barid_pop3d_LDADD = pop3d/libpop3d.a $(LIBS_TLS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/pop3d/test
tests_unit_pop3d_test_SOURCES = tests/unit/pop3d/test_drop.c
tests_unit_pop3d_test_SOURCES += tests/unit/pop3d/test_multiline.c
tests_unit_pop3d_test_SOURCES += tests/unit/pop3d/stage.c tests/unit/pop3d/stage.h
tests_unit_pop3d_test_SOURCES += tests/unit/pop3d/test_session.c
tests_unit_pop3d_test_LDADD = pop3d/libpop3d.a $(LIBS_TLS) $(CRITERION_LIBS)
endif
