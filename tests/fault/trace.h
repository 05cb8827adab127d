/* What the shim writes down about a process under test, in the order in which it happened: enough
 * to say what a disk could hold at any moment, and what the process had told others by then. */
#ifndef BARID_TESTS_FAULT_TRACE_H
#define BARID_TESTS_FAULT_TRACE_H

#include <stdint.h>

#define TRACE_FD_ENV   "BARID_FAULT_TRACE" /* number of the descriptor to write to */
#define TRACE_FAIL_ENV "BARID_FAULT"       /* CALL:N:WHAT, see shim.c */
#define TRACE_MESSAGE  64                  /* octets kept of a message between processes */

enum trace_kind {
    TRACE_OPEN = 1, /* fd, dirfd, offset: flags; octets: path */
    TRACE_CLOSE,    /* fd */
    TRACE_WRITE,    /* fd, offset; octets */
    TRACE_TRUNCATE, /* fd, offset: new size */
    TRACE_SYNC,     /* fd */
    TRACE_UNLINK,   /* dirfd; octets: path */
    TRACE_MKDIR,    /* dirfd; octets: path */
    TRACE_SEND,     /* octets: a message's beginning */
    TRACE_RECEIVE,  /* the same */
    TRACE_FAILED,   /* the call that was to fail did; with BARID_FAULT nothing else but: */
    TRACE_COUNT,    /* offset: the calls of that kind that there were, at a clean end */
    TRACE_SITE,     /* with CALL:UINT64_MAX:WHAT: the first of them from one place in the program;
                       offset: the how manieth */
    TRACE_FOREIGN,  /* it follows a bad pointer, and that in the code of libunbound */
};

struct trace_record {
    uint32_t kind;
    int32_t fd, dirfd;
    uint32_t n; /* octets that follow */
    uint64_t offset;
};

#endif
