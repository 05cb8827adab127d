# Sources of pamd/ and its unit tests. Only the program itself needs PAM (--with-pam).
noinst_LIBRARIES += pamd/libpamd.a
pamd_libpamd_a_SOURCES = pamd/check.h pamd/pamd.c pamd/pamd.h
pamd_libpamd_a_SOURCES += pamd/pool.c pamd/pool.h pamd/worker.c pamd/worker.h
if HAVE_PAM
pkglibexec_PROGRAMS += libexec/barid/pamd
endif
libexec_barid_pamd_SOURCES = pamd/main.c pamd/check.c
libexec_barid_pamd_LDADD = pamd/libpamd.a $(LIBS_COMMON) $(PAM_LIBS)

if HAVE_CRITERION
check_PROGRAMS += tests/unit/pamd/test
tests_unit_pamd_test_SOURCES = tests/unit/halfproc.c tests/unit/halfproc.h tests/unit/pamd/test_pamd.c tests/unit/pamd/test_pool.c
if HAVE_PAM
tests_unit_pamd_test_SOURCES += pamd/check.c tests/unit/pamd/test_check.c
endif
tests_unit_pamd_test_LDADD = pamd/libpamd.a $(LIBS_COMMON) $(CRITERION_LIBS)
endif
