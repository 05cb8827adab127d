noinst_LIBRARIES += authd/libauthd.a
authd_libauthd_a_SOURCES = authd/authd.c authd/authd.h
authd_libauthd_a_SOURCES += authd/backup.c authd/box_domain.c
authd_libauthd_a_SOURCES += authd/cache.c authd/cache.h
authd_libauthd_a_SOURCES += authd/command_alias.c authd/expand.c authd/post.c authd/post.h
authd_libauthd_a_SOURCES += authd/command_check.c authd/command_fsck.c
authd_libauthd_a_SOURCES += authd/command_domain.c
authd_libauthd_a_SOURCES += authd/command_explain.c
authd_libauthd_a_SOURCES += authd/command_password.c
authd_libauthd_a_SOURCES += authd/command_user.c
authd_libauthd_a_SOURCES += authd/commands.c authd/commands.h authd/targets.c
authd_libauthd_a_SOURCES += authd/command_forward.c
authd_libauthd_a_SOURCES += authd/devices.c
authd_libauthd_a_SOURCES += authd/directory.c authd/directory.h
authd_libauthd_a_SOURCES += authd/forget.c
authd_libauthd_a_SOURCES += authd/forward.c
authd_libauthd_a_SOURCES += authd/grant.c authd/grant.h
authd_libauthd_a_SOURCES += authd/exchange.c
authd_libauthd_a_SOURCES += authd/login.c authd/login.h authd/login_pam.c
authd_libauthd_a_SOURCES += authd/command_pam.c
authd_libauthd_a_SOURCES += authd/resolve.c authd/resolve.h
authd_libauthd_a_SOURCES += authd/scram.c authd/scram.h
authd_libauthd_a_SOURCES += authd/sender.c
authd_libauthd_a_SOURCES += authd/srs.c authd/srs.h
authd_libauthd_a_SOURCES += authd/table.c authd/table.h
authd_libauthd_a_SOURCES += authd/throttle.c authd/throttle.h authd/accounts.c authd/accounts.h
authd_libauthd_a_SOURCES += authd/ticket.c authd/ticket.h
authd_libauthd_a_SOURCES += authd/users.c authd/users.h
authd_libauthd_a_SOURCES += authd/users_check.c authd/users_secret.c authd/statements.h
authd_libauthd_a_SOURCES += authd/verify.c authd/verify.h
authd_libauthd_a_SOURCES += authd/verify_child.c authd/verify_child.h

pkglibexec_PROGRAMS += libexec/barid/authd
libexec_barid_authd_SOURCES = authd/main.c
libexec_barid_authd_LDADD = authd/libauthd.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/authd/test
tests_unit_authd_test_SOURCES = tests/unit/halfproc.c tests/unit/halfproc.h tests/unit/authd/fakeproc.c tests/unit/authd/fakeproc.h
tests_unit_authd_test_SOURCES += tests/unit/authd/test_authd.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_cache.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_directory.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_exchange.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_pam.c tests/unit/authd/test_resolve.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_scram.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_srs.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_throttle.c tests/unit/authd/test_accounts.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_users.c
tests_unit_authd_test_SOURCES += tests/unit/authd/test_verify.c
tests_unit_authd_test_LDADD = authd/libauthd.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS) \
  $(CRITERION_LIBS)
endif
