# Manual pages. What tables know is made from them: `make man-pages` after a change to a table; the made
# pages are kept in the repository, so that an installation needs no second step.
dist_man_MANS = man/barid.8 man/barid.conf.5 man/barid-fetch.1 man/barid-sql.1 man/sendmail.8 man/mailq.1 man/newaliases.1
EXTRA_DIST += man/barid.8.in man/barid.conf.5.in

MAN_8 = bin/barid doc commands | sed -e '/^@COMMANDS@$$/{' -e 'r /dev/stdin' -e 'd' -e '}' $(srcdir)/man/barid.8.in
MAN_5 = bin/barid doc settings | sed -e '/^@SETTINGS@$$/{' -e 'r /dev/stdin' -e 'd' -e '}' $(srcdir)/man/barid.conf.5.in

man-pages: bin/barid
	$(MAN_8) > $(srcdir)/man/barid.8
	$(MAN_5) > $(srcdir)/man/barid.conf.5
check-man-pages: bin/barid
	$(MAN_8) | diff - $(srcdir)/man/barid.8
	$(MAN_5) | diff - $(srcdir)/man/barid.conf.5
.PHONY: man-pages check-man-pages
