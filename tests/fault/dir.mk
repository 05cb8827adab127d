# What happens when things break: power cuts, failing calls, hostile siblings. The programs play the
# parent of one real process each; shim.so is preloaded into it.
noinst_PROGRAMS += tests/fault/shim.so
tests_fault_shim_so_SOURCES = tests/fault/shim.c tests/fault/opened.h tests/fault/trace.h
tests_fault_shim_so_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir) -include $(top_srcdir)/common/poison.h
tests_fault_shim_so_CFLAGS = $(WARN_CFLAGS) -fPIC
tests_fault_shim_so_LDFLAGS = -shared

# lever.so is preloaded into whole suites, by tests/e2e/lever.py.
noinst_PROGRAMS += tests/fault/lever.so
tests_fault_lever_so_SOURCES = tests/fault/lever.c tests/fault/opened.h
tests_fault_lever_so_CPPFLAGS = -D_GNU_SOURCE -I$(top_srcdir)
tests_fault_lever_so_CFLAGS = $(WARN_CFLAGS) -fPIC
tests_fault_lever_so_LDFLAGS = -shared

noinst_LIBRARIES += tests/fault/libplay.a
tests_fault_libplay_a_SOURCES = tests/fault/disk.c tests/fault/disk.h tests/fault/ledger.c \
  tests/fault/ledger.h tests/fault/play.c tests/fault/play.h tests/fault/talk.c \
  tests/fault/talk.h tests/fault/tap.c tests/fault/tap.h tests/fault/trace.h tests/fault/work.c tests/fault/work.h
FAULT_LIBS = tests/fault/libplay.a $(LIBS_COMMON) $(SQLITE_LIBS)

check_PROGRAMS += tests/fault/powercut
tests_fault_powercut_SOURCES = tests/fault/powercut.c
tests_fault_powercut_LDADD = $(FAULT_LIBS)

# How each process lives.
FAULT_SUBJECTS = tests/fault/subject.c tests/fault/subject.h tests/fault/subject_authd.c \
  tests/fault/subject_keyd.c tests/fault/subject_mailbox.c tests/fault/subject_policy.c \
  tests/fault/subject_pamd.c tests/fault/subject_pop3d.c tests/fault/subject_queue.c tests/fault/subject_relay.c \
  tests/fault/subject_resolver.c tests/fault/subject_smtpd.c

check_PROGRAMS += tests/fault/calls
tests_fault_calls_SOURCES = tests/fault/calls.c $(FAULT_SUBJECTS)
tests_fault_calls_LDADD = $(FAULT_LIBS) $(OPENSSL_LIBS)

check_PROGRAMS += tests/fault/hostile
tests_fault_hostile_SOURCES = tests/fault/hostile.c tests/fault/liar.c tests/fault/liar.h \
  $(FAULT_SUBJECTS)
tests_fault_hostile_LDADD = barid/libparent.a $(FAULT_LIBS) $(OPENSSL_LIBS)

# The parent's own code, with children that are none.
check_PROGRAMS += tests/fault/parent
tests_fault_parent_SOURCES = tests/fault/parent.c tests/fault/liar.c tests/fault/liar.h
tests_fault_parent_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=spawn_role
tests_fault_parent_LDADD = barid/libparent.a $(FAULT_LIBS)

check_PROGRAMS += tests/fault/tickets
tests_fault_tickets_SOURCES = tests/fault/tickets.c tests/fault/subject.c tests/fault/subject.h
tests_fault_tickets_LDADD = $(FAULT_LIBS)

check_PROGRAMS += tests/fault/damage
tests_fault_damage_SOURCES = tests/fault/damage.c
tests_fault_damage_LDADD = $(FAULT_LIBS)
