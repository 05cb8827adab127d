#include "common/admin.h"

#include <stdarg.h>

static void answer(struct admin_call *call, enum verdict v, struct span error, uint64_t cursor)
{
    struct msg_admin_re re = {
        .tag = call->tag, .verdict = (uint8_t)v, .error = error, .cursor = cursor};
    ipc_send_admin_re(call->ch, &re, -1);
}

void admin_done(struct admin_call *call, uint64_t next_cursor)
{
    answer(call, VERDICT_OK, SPAN(""), next_cursor);
}

void admin_fail(struct admin_call *call, enum verdict v, const char *fmt, ...)
{
    char text[401]; /* the bound of ADMIN_RE's error, and a NUL */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\r' || *c == '\n')
            *c = ' ';
    answer(call, v, span_of(text), 0);
}

/* Arguments travel as BYTES one after the other. -1: damaged, or too many. */
static int read_args(struct admin_call *call, struct span packed)
{
    struct unpacker r = unpacker_on(packed);
    while (r.left.n > 0 && !r.failed) {
        if (call->n_args == ADMIN_ARGS_MAX)
            return -1;
        call->args[call->n_args++] = unpack_bytes(&r, LIST_MAX);
    }
    return r.failed ? -1 : 0;
}

void admin_dispatch(const struct admin_command *commands, size_t n, void *owner, struct ipc *from,
                    const struct msg_admin *m)
{
    struct admin_call call = {.ch = from, .tag = m->tag, .cursor = m->cursor, .secret = m->secret};
    if (read_args(&call, m->args) < 0) {
        admin_fail(&call, VERDICT_NEVER, "damaged arguments, or more than %d", ADMIN_ARGS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (span_eq(m->command, span_of(commands[i].name))) {
            commands[i].run(owner, &call);
            return;
        }
    admin_fail(&call, VERDICT_NEVER,
               "unknown command '%.*s': barid and its daemons are of "
               "different versions, restart the daemons",
               (int)m->command.n, m->command.p);
}

struct span admin_option(const struct admin_call *call, const char *name)
{
    struct span want = span_of(name);
    for (size_t i = 0; i < call->n_args; i++) {
        struct span rest = span_from(call->args[i], want.n);
        if (span_starts(call->args[i], want) && rest.n > 0 && rest.p[0] == '=')
            return span_from(rest, 1);
    }
    return (struct span){NULL, 0};
}

void row_begin(struct admin_row *r)
{
    r->w = packer_on(r->octets, sizeof r->octets);
}

static void field(struct admin_row *r, const char *name, enum column_type type, struct span text,
                  int64_t number)
{
    pack_bytes(&r->w, span_of(name));
    pack_uint(&r->w, type, 1);
    if (type == COLUMN_TEXT)
        pack_bytes(&r->w, text);
    else if (type != COLUMN_NULL)
        pack_uint(&r->w, (uint64_t)number, 8);
}

void row_text(struct admin_row *r, const char *name, struct span v)
{
    field(r, name, COLUMN_TEXT, v, 0);
}

void row_number(struct admin_row *r, const char *name, int64_t v)
{
    field(r, name, COLUMN_NUMBER, SPAN(""), v);
}

void row_size(struct admin_row *r, const char *name, uint64_t v)
{
    field(r, name, COLUMN_SIZE, SPAN(""), v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void row_bool(struct admin_row *r, const char *name, bool v)
{
    field(r, name, COLUMN_BOOL, SPAN(""), v);
}

void row_time(struct admin_row *r, const char *name, int64_t wall_s)
{
    field(r, name, COLUMN_TIME, SPAN(""), wall_s);
}

void row_null(struct admin_row *r, const char *name)
{
    field(r, name, COLUMN_NULL, SPAN(""), 0);
}

void row_send(struct admin_row *r, struct admin_call *call, uint8_t depth, const char *group)
{
    struct msg_admin_row m = {.tag = call->tag,
                              .depth = depth,
                              .group = span_of(group ? group : ""),
                              .fields = packer_span(&r->w)};
    if (r->w.failed) { /* what fitted may end within a field */
        struct admin_row said;
        row_begin(&said);
        row_text(&said, "error", SPAN("this row is too large to be shown"));
        m.fields = packer_span(&said.w);
        ipc_send_admin_row(call->ch, &m, -1);
        return;
    }
    ipc_send_admin_row(call->ch, &m, -1);
}

bool column_next(struct unpacker *fields, struct column *c)
{
    if (fields->failed || fields->left.n == 0)
        return false;
    *c = (struct column){.text = SPAN("")};
    c->name = unpack_bytes(fields, LIST_MAX);
    uint64_t type = unpack_uint(fields, 1);
    if (type < COLUMN_TEXT || type > COLUMN_SIZE)
        fields->failed = true;
    if (type == COLUMN_TEXT)
        c->text = unpack_bytes(fields, LIST_MAX);
    else if (type != COLUMN_NULL)
        c->number = (int64_t)unpack_uint(fields, 8);
    c->type = (enum column_type)type;
    return !fields->failed;
}
