/* The UIDLs that another POP3 server gave to the files of a Maildir, from its own list: so that
 * clients do not fetch everything again after a move.
 *
 *   Dovecot   dovecot-uidlist (version 1 and 3) and its setting pop3_uidl_format; a P field of a
 *             message, a UIDL that was itself kept, counts before the format
 *   Courier   courierpop3dsizelist (versions 1 to 3): "UID1-1143654321"
 *
 * Lists are read line by line; what is kept is about 50 octets per message. A line that is none is
 * passed over: its message gets a new UIDL. */
#ifndef BARID_UIDLIST_H
#define BARID_UIDLIST_H

#include "common/buf.h"
#include "common/error.h"
#include "common/proto.h"

#define UIDLIST_FORMAT "%08Xu%08Xv" /* Dovecot's default */

enum uidlist_kind { UIDLIST_DOVECOT, UIDLIST_COURIER };

struct uidlist_entry {
    uint64_t name;  /* hash of the file's name up to its flags */
    uint32_t order; /* in the list */
    uint32_t at;    /* of its UIDL in text */
    uint32_t n;
};

struct uidlist {
    enum uidlist_kind kind;
    const char *format;   /* Dovecot's */
    uint64_t uidvalidity; /* from the first line */
    bool has_header, is_sorted;
    struct uidlist_entry *list;
    size_t n, cap;
    struct buf text;
};

/* Is this a format we understand (%u %v %f %g, %[0][width][X], %{uid}, %{uidvalidity},
 * %{filename}, %{guid}, each number also "| hex(width)")? */
bool uidlist_is_format(const char *format);
void uidlist_begin(struct uidlist *u, enum uidlist_kind kind, const char *format);
/* One line without its end. 0, or -1: no memory. */
int uidlist_line(struct uidlist *u, struct span line);
/* The whole file. 0, or -1 and e. */
int uidlist_read(struct uidlist *u, int fd, struct error *e);
/* After the last line. NULL: not in the list. name: a file name, its flags may follow. */
const struct uidlist_entry *uidlist_find(struct uidlist *u, struct span name);
struct span uidlist_uidl(const struct uidlist *u, const struct uidlist_entry *e);
void uidlist_free(struct uidlist *u);

/* A file's name without its flags (":2,S"). */
struct span uidlist_base(struct span name);
/* May a message be called so (RFC 1939 7)? */
bool uidlist_is_uidl(struct span s);

#endif
