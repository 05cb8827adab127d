# The parent: libexec/barid/parent, started by `barid run`.
noinst_LIBRARIES += barid/libparent.a
barid_libparent_a_SOURCES = barid/control.c barid/files.c barid/gather.c barid/listen.c barid/listen.h barid/logpipe.c \
  barid/logpipe.h barid/parent.h barid/reload.c barid/supervise.c barid/tree.c barid/tree.h
pkglibexec_PROGRAMS += libexec/barid/parent
libexec_barid_parent_SOURCES = barid/barid.c
libexec_barid_parent_LDADD = barid/libparent.a $(LIBS_COMMON)
