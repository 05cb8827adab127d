# A week of mail against the queue's real code and store, on a clock that the program moves.
check_PROGRAMS += tests/week/week
tests_week_week_SOURCES = tests/week/week.c tests/week/others.c tests/week/others.h tests/week/ledger.c \
  tests/week/ledger.h tests/fault/tap.c tests/fault/tap.h
tests_week_week_LDADD = queue/libqueue.a common/libsql.a $(LIBS_COMMON) $(SQLITE_LIBS) $(ZLIB_LIBS) $(AIO_LIBS)
