/* Cutting an mbox file into its messages: a pull parser over anything that can be read at an
 * offset, in constant memory.
 *
 * A message begins with a line "From …" that has a time in it, at the start or after an empty line.
 * If its header has a Content-Length that leads to the next such line (or to the end), its content
 * is exactly so many octets (mboxcl2). Else it ends before the next "From " line, and lines that
 * begin with ">From ", ">>From "… lose one '>' (mboxrd, which reads mboxo too). */
#ifndef BARID_MBOX_H
#define BARID_MBOX_H

#include "common/str.h"

#define MBOX_LINE 65536

/* Reads up to n octets at an offset: their number, 0 at the end, -1. */
typedef int64_t mbox_read_fn(void *arg, uint64_t offset, char *out, size_t n);

struct mbox {
    mbox_read_fn *read;
    void *arg;
    uint64_t at; /* next octet to be looked at */
    char from[512];
    uint64_t from_at; /* where this message's "From " line stands */
    /* private */
    char room[MBOX_LINE];
    uint64_t room_at;
    size_t room_n;
    bool is_begun, in_header, in_line, is_over, has_failed, is_first_line;
    bool holds_blank; /* an empty line that may belong to the next "From " */
    size_t blank_n;
    bool has_length, is_exact;
    uint64_t length, left;
};

void mbox_begin(struct mbox *m, mbox_read_fn *read, void *arg);
/* 1: a message begins, `from` is its first line; 0: the end; -1: it cannot be read, or is no mbox.
 */
int mbox_next(struct mbox *m);
/* Pieces of its content as they stand in the file, without quoting. 1; 0: it ended; -1. */
int mbox_piece(struct mbox *m, struct span *piece);
/* The time in a "From " line, UTC; -1: none. */
int64_t mbox_time(const char *from);

#endif
