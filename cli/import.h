/* Handing messages to queue for one mailbox, many at once on the way: each is an accept like any
 * other, with its commit, and comes once however often the same source is imported.
 *
 * Content is given as it stands in a file (lines end with LF or CRLF) and becomes wire form. What
 * cannot be mail is mended: NULs go, a CR that ends no line becomes a space. A Return-Path field of
 * our own form in front is what the mailbox makes anew when it gives the message out. */
#ifndef BARID_IMPORT_H
#define BARID_IMPORT_H

#include "cli/mailbox.h"

struct import_source {
    struct span key;   /* names it in its source, the same in every run */
    struct span uidl;  /* empty: a new one */
    bool wants_x_uidl; /* that of its X-UIDL field, if it has one */
    int64_t arrived;
};

struct import_totals {
    uint64_t imported, known, mended, renamed, empty, octets;
};

struct import;
/* NULL and e. */
struct import *import_open(struct cli *cli, const struct mailbox *to, struct error *e);
void import_close(struct import *im); /* NULL is allowed */
/* One message: begin, add…, end. 0, or -1: it cannot go on (import_error). */
int import_begin(struct import *im, const struct import_source *s);
int import_add(struct import *im, struct span octets);
int import_end(struct import *im);
/* Waits until all are on disk. 0, or -1. */
int import_finish(struct import *im);
const char *import_error(const struct import *im);
struct import_totals import_totals(const struct import *im);

#endif
