# Sources of cli/ and its unit tests. A noun's commands are in a file of its own.
noinst_LIBRARIES += cli/libcli.a
cli_libcli_a_SOURCES = cli/args.c cli/args.h cli/ask.c cli/cli.c cli/cli.h cli/help.c cli/help.h cli/offline.c cli/secret.c
cli_libcli_a_SOURCES += cli/output.c cli/output.h cli/rows.c cli/rows.h cli/text.c cli/text.h
cli_libcli_a_SOURCES += cli/tables.c cli/tables.h
cli_libcli_a_SOURCES += cli/alias.c cli/domain.c cli/user.c cli/contained.c
cli_libcli_a_SOURCES += cli/callout.c cli/queue.c cli/sql.c cli/sql_views.c cli/sql_views.h
cli_libcli_a_SOURCES += cli/explain.c cli/explain.h cli/explain_way.c
cli_libcli_a_SOURCES += cli/backup.c cli/backup.h cli/backup_file.c cli/restore.c cli/restore_stage.c cli/restore_stage.h
cli_libcli_a_SOURCES += cli/check.c cli/config.c cli/doc.c cli/run.c cli/status.c
cli_libcli_a_SOURCES += cli/stats.c cli/stats.h cli/stats_prometheus.c
cli_libcli_a_SOURCES += cli/mailbox.c cli/mailbox.h cli/mailbox_import.c cli/mailbox_export.c cli/mailbox_file.c cli/mailbox_file.h cli/period.c cli/retention.c cli/trace.c cli/when.c cli/when.h
cli_libcli_a_SOURCES += cli/fsck.c cli/fsck.h cli/fsck_look.c
cli_libcli_a_SOURCES += cli/import.c cli/import.h cli/maildir.c cli/maildir.h cli/mbox.c cli/mbox.h
cli_libcli_a_SOURCES += cli/progress.c cli/progress.h cli/uidlist.c cli/uidlist.h
cli_libcli_a_SOURCES += cli/probe.c
cli_libcli_a_SOURCES += cli/check_tls.c cli/check_tls.h cli/tls.c
cli_libcli_a_SOURCES += cli/header.c cli/header.h cli/letter.c cli/letter.h cli/textin.c cli/textin.h
cli_libcli_a_SOURCES += cli/mailq.c cli/mailq.h cli/pump.c cli/pump.h cli/smtpout.c cli/smtpout.h
cli_libcli_a_SOURCES += cli/fetch.c cli/fetch_box.c cli/fetch_box.h cli/fetch_state.c cli/fetch_state.h
cli_libcli_a_SOURCES += cli/wire.c cli/wire.h cli/pop3_login.c
cli_libcli_a_SOURCES += cli/pop3.c cli/pop3.h cli/pop3in.c cli/pop3in.h
cli_libcli_a_SOURCES += cli/sendmail.c cli/sendmail.h cli/sendmail_args.c cli/hold.c cli/hold.h
bin_PROGRAMS += bin/barid
bin_barid_SOURCES = cli/main.c
bin_barid_LDADD = cli/libcli.a common/libsql.a $(LIBS_TLS) $(SQLITE_LIBS)

# The names under which other programs know it.
SENDMAIL_NAMES = bin/sendmail bin/mailq bin/newaliases
$(SENDMAIL_NAMES): bin/barid
	$(AM_V_GEN)ln -sf barid $@
all-local: $(SENDMAIL_NAMES)
CLEANFILES = $(SENDMAIL_NAMES)
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(sbindir) $(DESTDIR)$(bindir)
	cd $(DESTDIR)$(bindir) && $(LN_S) -f barid mailq && $(LN_S) -f barid newaliases
	$(LN_S) -f $(bindir)/barid $(DESTDIR)$(sbindir)/sendmail
uninstall-hook:
	rm -f $(DESTDIR)$(bindir)/mailq $(DESTDIR)$(bindir)/newaliases $(DESTDIR)$(sbindir)/sendmail

if HAVE_CRITERION
check_PROGRAMS += tests/unit/cli/test
tests_unit_cli_test_SOURCES = tests/unit/cli/test_ask.c tests/unit/cli/test_output.c
tests_unit_cli_test_SOURCES += tests/unit/cli/test_text.c tests/unit/cli/test_pop3in.c
tests_unit_cli_test_SOURCES += tests/unit/cli/test_header.c tests/unit/cli/test_letter.c
tests_unit_cli_test_SOURCES += tests/unit/cli/test_sendmail_args.c tests/unit/cli/test_textin.c
tests_unit_cli_test_SOURCES += tests/unit/cli/test_mbox.c tests/unit/cli/test_uidlist.c
tests_unit_cli_test_LDADD = cli/libcli.a common/libsql.a $(LIBS_TLS) $(SQLITE_LIBS) $(CRITERION_LIBS)
endif
