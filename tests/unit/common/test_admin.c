#include "common/admin.h"
#include "common/unixsock.h"

#include <criterion/criterion.h>
#include <inttypes.h>

/* An owner and a CLI in one loop. The rows that come are written down as text. */
struct both {
    struct loop *loop;
    struct ipc *owner, *cli;
    char seen[4096];
    size_t n;
    bool is_over;
};

static void note(struct both *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(struct both *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    b->n += (size_t)vsnprintf(b->seen + b->n, sizeof b->seen - b->n, fmt, ap);
    va_end(ap);
    cr_assert_lt(b->n, sizeof b->seen);
}

static void on_row(void *arg, struct ipc *from, const union msg *m, int fd)
{
    (void)from, (void)fd;
    struct both *b = arg;
    struct unpacker u = unpacker_on(m->admin_row.fields);
    struct column c;
    note(b, "%d%.*s{", m->admin_row.depth, (int)m->admin_row.group.n, m->admin_row.group.p);
    while (column_next(&u, &c)) {
        note(b, "%.*s:%d=", (int)c.name.n, c.name.p, (int)c.type);
        if (c.type == COLUMN_TEXT)
            note(b, "%.*s ", (int)c.text.n, c.text.p);
        else
            note(b, "%" PRId64 " ", c.number);
    }
    note(b, "}%s", u.failed ? "damaged" : "");
}

static void on_end(void *arg, const union msg *m, int fd)
{
    (void)fd;
    struct both *b = arg;
    b->is_over = true;
    if (m == NULL)
        note(b, "gone");
    else
        note(b, "%d %.*s %" PRIu64, m->admin_re.verdict, (int)m->admin_re.error.n,
             m->admin_re.error.p, m->admin_re.cursor);
}

static void all_types(void *owner, struct admin_call *call)
{
    static struct admin_row r;
    (void)owner;
    row_begin(&r);
    row_text(&r, "text", SPAN("a b"));
    row_number(&r, "number", -7);
    row_bool(&r, "bool", true);
    row_time(&r, "time", 1795311269);
    row_null(&r, "null");
    row_size(&r, "size", UINT64_MAX);
    row_send(&r, call, 0, NULL);
    row_begin(&r);
    row_text(&r, "address", SPAN("x@y"));
    row_send(&r, call, 1, "recipients");
    admin_done(call, call->cursor + 1);
}

static void options(void *owner, struct admin_call *call)
{
    static struct admin_row r;
    (void)owner;
    struct span from = admin_option(call, "from"), to = admin_option(call, "to");
    row_begin(&r);
    row_number(&r, "n", (int64_t)call->n_args);
    row_text(&r, "from", from);
    row_bool(&r, "to", to.p != NULL);
    row_text(&r, "secret", call->secret);
    row_send(&r, call, 0, "");
    admin_done(call, 0);
}

static void too_large(void *owner, struct admin_call *call)
{
    static struct admin_row r;
    static char octets[LIST_MAX];
    (void)owner;
    memset(octets, 'x', sizeof octets);
    row_begin(&r);
    row_text(&r, "a", SPAN("b"));
    row_text(&r, "x", (struct span){octets, sizeof octets});
    row_send(&r, call, 0, "");
    admin_done(call, 0);
}

static void fails(void *owner, struct admin_call *call)
{
    (void)owner;
    admin_fail(call, VERDICT_NEVER, "no such\r\nthing: %0450d", 1);
}

static const struct admin_command commands[] = {
    {"all types", all_types}, {"options", options}, {"too large", too_large}, {"fails", fails}};

static void on_admin(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    admin_dispatch(commands, sizeof commands / sizeof *commands, owner, from, &m->admin);
}

static void on_close(void *owner, struct ipc *ch)
{
    (void)owner, (void)ch;
}

static const struct ipc_handler owner_handlers[] = {{MSG_ADMIN, on_admin}};
static const struct ipc_handler cli_handlers[] = {{MSG_ADMIN_ROW, on_row}};
static const struct ipc_ops owner_ops = {owner_handlers, 1, on_close, NULL};
static const struct ipc_ops cli_ops = {cli_handlers, 1, on_close, NULL};

static void ask(struct both *b, const char *command, struct span args)
{
    int fds[2];
    cr_assert_eq(unixsock_pair(fds), 0);
    *b = (struct both){.loop = loop_new()};
    b->owner = ipc_open(b->loop, fds[0], ROLE_QUEUE, ROLE_CLI, &owner_ops, b);
    b->cli = ipc_open(b->loop, fds[1], ROLE_CLI, ROLE_QUEUE, &cli_ops, b);
    struct msg_admin m = {
        .command = span_of(command), .args = args, .secret = SPAN("s3"), .cursor = 41};
    cr_assert_neq(ipc_ask_admin(b->cli, &m, -1, 10000, on_end, b), 0);
    while (!b->is_over)
        loop_turn(b->loop, 10000);
    ipc_close(b->owner);
    ipc_close(b->cli);
    loop_free(b->loop);
}

static void expect(const char *command, struct span args, const char *seen)
{
    struct both b;
    ask(&b, command, args);
    cr_expect_str_eq(b.seen, seen);
}

Test(admin, rows_of_all_types_arrive)
{
    expect("all types", SPAN(""),
           "0{text:1=a b number:2=-7 bool:3=1 time:4=1795311269 null:5=0 "
           "size:6=9223372036854775807 }1recipients{address:1=x@y }0  42");
}

Test(admin, options_travel_behind_a_name)
{
    char octets[200];
    struct packer w = packer_on(octets, sizeof octets);
    pack_bytes(&w, SPAN("fro=1"));
    pack_bytes(&w, SPAN("from"));
    pack_bytes(&w, SPAN("from=a=b"));
    expect("options", packer_span(&w), "0{n:2=3 from:1=a=b to:3=0 secret:1=s3 }0  0");
    expect("options", SPAN(""), "0{n:2=0 from:1= to:3=0 secret:1=s3 }0  0");
}

Test(admin, damaged_arguments_are_refused)
{
    expect("options", SPAN("\x05\0\0\0abc"), "2 damaged arguments, or more than 64 0");
    char octets[65 * 4] = {0};
    expect("options", (struct span){octets, sizeof octets},
           "2 damaged arguments, or more than 64 0");
    expect("options", (struct span){octets, 64 * 4}, "0{n:2=64 from:1= to:3=0 secret:1=s3 }0  0");
}

Test(admin, unknown_commands_are_refused)
{
    expect("option", SPAN(""),
           "2 unknown command 'option': barid and its daemons are of different versions, restart "
           "the daemons 0");
}

Test(admin, a_row_that_does_not_fit_says_so)
{
    expect("too large", SPAN(""), "0{error:1=this row is too large to be shown }0  0");
}

Test(admin, an_error_is_one_bounded_line)
{
    struct both b;
    ask(&b, "fails", SPAN(""));
    cr_expect(strncmp(b.seen, "2 no such  thing: 000", 21) == 0, "%s", b.seen);
    cr_expect_eq(strlen(b.seen), 2 + 400 + 2);
}

Test(admin, damaged_fields_end_a_row)
{
    static const struct {
        struct span fields;
        int columns;
        bool failed;
    } rows[] = {
        {SPAN(""), 0, false},
        {SPAN("\x01\0\0\0a\x05"), 1, false},
        {SPAN("\x01\0\0\0a\x05\x01\0\0\0b"), 1, true},      /* no type */
        {SPAN("\x01\0\0\0a\x07\0\0\0\0\0\0\0\0"), 0, true}, /* unknown type */
        {SPAN("\x01\0\0\0a\0"), 0, true},                   /* the same */
        {SPAN("\x01\0\0\0a\x02\0\0\0\0\0\0\0"), 0, true},   /* short number */
        {SPAN("\x01\0\0\0a\x01\xff\xff\xff\xff"), 0, true}, /* long text */
        {SPAN("\xff\0\0\0a"), 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct unpacker u = unpacker_on(rows[i].fields);
        struct column c;
        int n = 0;
        while (column_next(&u, &c))
            n++;
        cr_expect_eq(n, rows[i].columns, "row %zu", i);
        cr_expect_eq(u.failed, rows[i].failed, "row %zu", i);
    }
}
