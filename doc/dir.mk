dist_doc_DATA = README.md CHANGELOG.md doc/ARCHITECTURE.md doc/IPC.md doc/PERFORMANCE.md doc/QUEUE.md \
  doc/RFC.md doc/SQL.md

# Documentation made from the code.
noinst_PROGRAMS += doc/ipcdoc
doc_ipcdoc_SOURCES = doc/ipcdoc.c
doc_ipcdoc_LDADD = $(LIBS_COMMON)

ipc-doc: doc/ipcdoc
	doc/ipcdoc > $(srcdir)/doc/IPC.md
check-ipc-doc: doc/ipcdoc
	doc/ipcdoc | diff - $(srcdir)/doc/IPC.md
.PHONY: ipc-doc check-ipc-doc
