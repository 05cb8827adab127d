# Documentation made from the code.
noinst_PROGRAMS += doc/ipcdoc
doc_ipcdoc_SOURCES = doc/ipcdoc.c
doc_ipcdoc_LDADD = $(LIBS_COMMON)

ipc-doc: doc/ipcdoc
	doc/ipcdoc > $(srcdir)/doc/IPC.md
check-ipc-doc: doc/ipcdoc
	doc/ipcdoc | diff - $(srcdir)/doc/IPC.md
.PHONY: ipc-doc check-ipc-doc
