# The load tool of ./dev bench.
noinst_PROGRAMS += tests/load/mailload
tests_load_mailload_SOURCES = tests/load/mailload.c
