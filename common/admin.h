/* Commands of the administrator: `barid` asks the process that owns the answer over its control
 * socket (ADMIN), gets rows (ADMIN_ROW) and an end (ADMIN_RE). A command is a row in a table of the
 * owner: a word and a function. The CLI prints the rows as a table or as JSON and knows nothing
 * about them.
 *
 * A row is a list of named, typed fields. A row of depth 1 belongs to the last row of depth 0, in
 * its array `group` (recipients of a message). Long lists come in pages: the owner sends at most
 * ADMIN_PAGE rows and a cursor that the CLI sends back to get the next page; cursor 0 is the end.
 */
#ifndef BARID_ADMIN_H
#define BARID_ADMIN_H

#include "common/ipc.h"
#include "common/pack.h"
#include "common/verdict.h"

#define ADMIN_PAGE     200
#define ADMIN_ARGS_MAX 64

enum column_type {
    COLUMN_TEXT = 1,
    COLUMN_NUMBER, /* signed */
    COLUMN_BOOL,
    COLUMN_TIME, /* seconds since 1970; 0 prints as null / "-" */
    COLUMN_NULL,
    COLUMN_SIZE, /* octets: JSON number; "12.3K" in a table */
};

/* --- owner's side --- */

struct admin_call {
    struct ipc *ch;
    uint64_t tag;
    uint64_t cursor;
    struct span args[ADMIN_ARGS_MAX];
    size_t n_args;
    struct span secret;
};

struct admin_command {
    const char *name; /* "user add" */
    /* Must call admin_done or admin_fail exactly once, now or later. For later use keep a copy of
     * the struct: the spans in it are gone when the function returns. */
    void (*run)(void *owner, struct admin_call *call);
};

/* The handler of MSG_ADMIN for a process: finds the command and runs it. */
void admin_dispatch(const struct admin_command *commands, size_t n, void *owner, struct ipc *from,
                    const struct msg_admin *m);
/* The argument "name=value" (options travel so), or NULL pointer if it is not there. */
struct span admin_option(const struct admin_call *call, const char *name);

struct admin_row {
    struct packer w;
    char octets[LIST_MAX];
};
void row_begin(struct admin_row *r);
void row_text(struct admin_row *r, const char *name, struct span v);
void row_number(struct admin_row *r, const char *name, int64_t v);
void row_size(struct admin_row *r, const char *name, uint64_t v);
void row_bool(struct admin_row *r, const char *name, bool v);
void row_time(struct admin_row *r, const char *name, int64_t wall_s);
void row_null(struct admin_row *r, const char *name);
void row_send(struct admin_row *r, struct admin_call *call, uint8_t depth, const char *group);

void admin_done(struct admin_call *call, uint64_t next_cursor);
/* verdict TRY_LATER: could not; NEVER: refused. The text says what, why, and what to do. */
void admin_fail(struct admin_call *call, enum verdict v, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- reader's side --- */

struct column {
    struct span name;
    enum column_type type;
    struct span text;
    int64_t number;
};
bool column_next(struct unpacker *fields, struct column *c); /* false at the end or if damaged */

#endif
