# Sources of queue/ and its unit tests.
noinst_LIBRARIES += queue/libqueue.a
queue_libqueue_a_SOURCES = queue/backup.c queue/backup.h queue/agenda.c queue/agenda.h queue/agenda_state.c queue/agenda_state.h queue/agenda_turns.c queue/shares.c queue/shares.h queue/batch.c queue/batch.h \
  queue/bounce.c queue/bounce.h queue/boxes.c queue/boxes.h queue/chronicle.c queue/chronicle.h queue/contain.c queue/contain.h queue/contain_notice.c queue/addressees.c queue/addressees.h queue/counts.c queue/counts.h queue/store_contain.c queue/control.c queue/control.h queue/control_box.c queue/control_box.h \
  queue/deliver.c queue/deliver.h queue/dispatch.c queue/dispatch.h queue/devices.c queue/devices.h queue/dsn.c queue/dsn.h queue/dsn_original.c queue/dsn_original.h queue/dsn_quote.c queue/dsn_reason.c queue/dsn_reason.h \
  queue/quarantine.c queue/quarantine.h queue/reason.c queue/room.c queue/verdicts.c queue/verdicts.h queue/repair.c queue/repair.h \
  queue/secured.c queue/secured.h queue/store_secured.c \
  queue/store_dialogue.c queue/store_trace.c queue/trace.c queue/trace.h queue/trail.c queue/trail.h \
  queue/tidy.c queue/tidy.h queue/warning.c queue/warning.h \
  queue/envelope.c queue/envelope.h queue/explain.c queue/explain.h queue/losses.c queue/losses.h queue/pace.c queue/pace.h queue/parties.c queue/parties.h queue/postpone.c queue/postpone.h \
  queue/filter.c queue/filter.h queue/import.c queue/import.h queue/intake.c queue/intake.h queue/intake_log.c queue/intake_log.h queue/local.c queue/local.h queue/queue.c queue/queue.h \
  queue/job.c queue/job.h queue/recover.c queue/recover.h queue/release.c queue/callout.c queue/callout.h queue/callout_state.h queue/callout_keep.c queue/callout_admin.c queue/store_callout.c queue/lifetime.c queue/lifetime.h queue/listed.c queue/listed.h queue/tlsrpt.c queue/tlsrpt.h queue/tlsrpt_report.c queue/tlsrpt_report.h queue/tlsrpt_post.c queue/tlsrpt_post.h queue/release.h queue/retention.c queue/retention.h queue/schedule.c queue/schedule.h queue/spool.c queue/spool.h queue/durable.c queue/durable.h \
  queue/statements.h queue/store.c queue/store.h queue/store_box.c queue/store_device.c queue/store_message.c \
  queue/sts.c queue/sts.h queue/store_rcpt.c queue/store_repair.c queue/store_trash.c queue/trash.c queue/trash.h queue/uidl.c queue/uidl.h
pkglibexec_PROGRAMS += libexec/barid/queue
libexec_barid_queue_SOURCES = queue/main.c
libexec_barid_queue_LDADD = queue/libqueue.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS) $(ZLIB_LIBS) $(AIO_LIBS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/queue/test
tests_unit_queue_test_SOURCES = tests/unit/queue/world.c tests/unit/queue/world.h \
  tests/unit/queue/test_intake.c tests/unit/queue/test_relay.c \
  tests/unit/queue/test_control.c tests/unit/queue/test_boxes.c tests/unit/queue/test_recover.c tests/unit/queue/test_release.c \
  tests/unit/queue/test_local.c tests/unit/queue/test_schedule.c tests/unit/queue/test_dialogue.c tests/unit/queue/test_dsn.c \
  tests/unit/queue/test_secured.c tests/unit/queue/test_repair.c tests/unit/queue/test_tidy.c tests/unit/queue/test_warning.c \
  tests/unit/queue/test_forward.c tests/unit/queue/test_notify.c tests/unit/queue/test_devices.c \
  tests/unit/queue/test_chronicle.c tests/unit/queue/test_contain.c tests/unit/queue/test_uidl.c tests/unit/queue/test_durable.c tests/unit/queue/test_callout.c tests/unit/queue/test_callout_rows.c tests/unit/queue/test_tlsrpt.c tests/unit/queue/test_tlsrpt_post.c tests/unit/queue/test_verdicts.c tests/unit/queue/test_statements.c tests/unit/queue/test_trail.c tests/unit/queue/test_lifetime.c tests/unit/queue/test_parties.c
tests_unit_queue_test_LDADD = queue/libqueue.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS) $(ZLIB_LIBS) $(AIO_LIBS) \
  $(CRITERION_LIBS)
endif
