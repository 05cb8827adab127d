noinst_LIBRARIES += common/libcommon.a
common_libcommon_a_SOURCES = common/poison.h common/verdict.h
common_libcommon_a_SOURCES += common/admin.c common/admin.h
common_libcommon_a_SOURCES += common/addr.c common/addr.h common/sts.c common/sts.h common/tlsrpt.c common/tlsrpt.h
common_libcommon_a_SOURCES += common/buf.c common/buf.h
common_libcommon_a_SOURCES += common/clock.c common/clock.h
common_libcommon_a_SOURCES += common/config.c common/config.h
common_libcommon_a_SOURCES += common/config_build.c common/config_check.c common/config_format.c
common_libcommon_a_SOURCES += common/config_problem.c common/config_read.h common/config_show.c
common_libcommon_a_SOURCES += common/config_default.c common/config_table.c common/config_table.h common/config_value.c common/config_walk.c
common_libcommon_a_SOURCES += common/content.c common/content.h
common_libcommon_a_SOURCES += common/error.c common/error.h
common_libcommon_a_SOURCES += common/fd.c common/fd.h
common_libcommon_a_SOURCES += common/handed.c common/handed.h
common_libcommon_a_SOURCES += common/hold.c common/hold.h
common_libcommon_a_SOURCES += common/id.c common/id.h
common_libcommon_a_SOURCES += common/idn.c common/idn.h
common_libcommon_a_SOURCES += common/line.c common/line.h
common_libcommon_a_SOURCES += common/base64.c common/base64.h
common_libcommon_a_SOURCES += common/sasl.c common/sasl.h
common_libcommon_a_SOURCES += common/scram_client.c common/scram_client.h common/scram_math.c common/scram_math.h
common_libcommon_a_SOURCES += common/listing.c common/listing.h
common_libcommon_a_SOURCES += common/log.c common/log.h
common_libcommon_a_SOURCES += common/loop.c common/loop.h
common_libcommon_a_SOURCES += common/net.c common/net.h
common_libcommon_a_SOURCES += common/maildb.c common/maildb.h
common_libcommon_a_SOURCES += common/near.c common/near.h
common_libcommon_a_SOURCES += common/notify.c common/notify.h
common_libcommon_a_SOURCES += common/pack.c common/pack.h common/pam.c common/pam.h
common_libcommon_a_SOURCES += common/admission.c common/admission.h
common_libcommon_a_SOURCES += common/proto.c common/proto.h common/proto_values.h
common_libcommon_a_SOURCES += common/route.c common/route.h
common_libcommon_a_SOURCES += common/seal.c common/seal.h
common_libcommon_a_SOURCES += common/seccomp.c common/seccomp.h
common_libcommon_a_SOURCES += common/stats.c common/stats.h
common_libcommon_a_SOURCES += common/str.c common/str.h
common_libcommon_a_SOURCES += common/ipc.c common/ipc.h
common_libcommon_a_SOURCES += common/jail.c common/jail.h
common_libcommon_a_SOURCES += common/landlock.c common/landlock.h
common_libcommon_a_SOURCES += common/layout.c common/layout.h
common_libcommon_a_SOURCES += common/peers.c common/peers.h
common_libcommon_a_SOURCES += common/proc.c common/proc.h common/proc_listen.c common/proc_private.h
common_libcommon_a_SOURCES += common/proxy.c common/proxy.h
common_libcommon_a_SOURCES += common/sql_peek.c common/sql_peek.h common/userdb.h
common_libcommon_a_SOURCES += common/spawn.c common/spawn.h
common_libcommon_a_SOURCES += common/unixsock.c common/unixsock.h
common_libcommon_a_SOURCES += common/trouble.c common/trouble.h
common_libcommon_a_SOURCES += common/json.c common/json.h common/utf8.c common/utf8.h common/qp.c common/qp.h

# Apart from the rest: only who has connections, certificates or keys links OpenSSL.
noinst_LIBRARIES += common/libtls.a
common_libtls_a_SOURCES = common/cert.c common/cert.h
common_libtls_a_SOURCES += common/conn.c common/conn.h
common_libtls_a_SOURCES += common/tls.c common/tls.h common/tls_context.c common/tls_context.h
common_libtls_a_SOURCES += common/tls_key.c common/tls_key.h
common_libtls_a_SOURCES += common/tls_service.c common/tls_service.h

# Apart from the rest: only the owners and readers of stores link SQLite.
noinst_LIBRARIES += common/libsql.a
common_libsql_a_SOURCES = common/sql.c common/sql.h common/sql_copy.c common/sql_copy.h common/sql_tidy.c common/sql_tidy.h

if HAVE_CRITERION
check_PROGRAMS += tests/unit/common/test
tests_unit_common_test_SOURCES = tests/unit/common/test_addr.c tests/unit/common/test_sts.c tests/unit/common/test_tlsrpt.c tests/unit/common/test_admin.c
tests_unit_common_test_SOURCES += tests/unit/common/test_config.c
tests_unit_common_test_SOURCES += tests/unit/common/test_content.c
tests_unit_common_test_SOURCES += tests/unit/common/test_net.c tests/unit/common/test_notify.c tests/unit/common/test_hold.c tests/unit/common/test_idn.c
tests_unit_common_test_SOURCES += tests/unit/common/test_ipc.c tests/unit/common/test_loop.c tests/unit/common/test_str.c tests/unit/common/test_utf8.c tests/unit/common/test_qp.c
tests_unit_common_test_SOURCES += tests/unit/common/test_route.c
tests_unit_common_test_SOURCES += tests/unit/common/test_base64.c
tests_unit_common_test_SOURCES += tests/unit/common/test_sasl.c
tests_unit_common_test_SOURCES += tests/unit/common/test_conn.c
tests_unit_common_test_SOURCES += tests/unit/common/test_tls.c
tests_unit_common_test_SOURCES += tests/unit/common/test_tls_resumption.c
tests_unit_common_test_SOURCES += tests/unit/common/test_peers.c
tests_unit_common_test_SOURCES += tests/unit/common/selfsigned.c tests/unit/common/selfsigned.h
tests_unit_common_test_SOURCES += tests/unit/common/test_admission.c
tests_unit_common_test_SOURCES += tests/unit/common/test_stats.c
tests_unit_common_test_SOURCES += tests/unit/common/test_clock.c
tests_unit_common_test_SOURCES += tests/unit/common/test_scram_client.c
tests_unit_common_test_SOURCES += tests/unit/common/test_seccomp.c
tests_unit_common_test_LDADD = $(LIBS_TLS) $(CRITERION_LIBS)
tests_unit_common_test_SOURCES += tests/unit/common/test_proxy.c tests/unit/common/test_trouble.c

check_PROGRAMS += tests/unit/common/test_sql
tests_unit_common_test_sql_SOURCES = tests/unit/common/test_sql.c
tests_unit_common_test_sql_LDADD = common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS) $(CRITERION_LIBS)
endif
