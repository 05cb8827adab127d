# The load tools of ./dev bench.
noinst_PROGRAMS += tests/load/mailload tests/load/popload
tests_load_mailload_SOURCES = tests/load/mailload.c
tests_load_popload_SOURCES = tests/load/popload.c
tests_load_popload_LDADD = $(OPENSSL_LIBS)
