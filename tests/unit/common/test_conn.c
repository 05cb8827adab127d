#include "common/conn.h"

#include "common/line.h"

#include <criterion/criterion.h>

/* An owner that answers each line with the same line, and can be told to wait before it goes on. */
struct echo {
    struct loop *loop;
    struct conn *conn;
    int peer;
    bool waits;            /* one line at a time, the next one when `go` fires */
    bool answers_late;     /* "ok" is written when `go` fires, as by who had to ask somebody */
    size_t still_to_write; /* octets that `drained` writes, one at a time */
    struct timer go;
    bool is_ended;
    enum conn_end why;
};

static void take(struct echo *e)
{
    struct span line;
    size_t used;
    while (line_take(conn_input(e->conn), 100, &line, &used) == LINE_OK) {
        conn_write(e->conn, conn_input(e->conn).p, used);
        conn_consume(e->conn, used);
        if (e->waits) {
            conn_want_input(e->conn, false);
            timer_set(&e->go, 1);
            return;
        }
    }
}

static void on_input(void *owner)
{
    take(owner);
}

static void on_go(void *owner)
{
    struct echo *e = owner;
    if (e->answers_late)
        conn_write(e->conn, "ok\r\n", 4);
    conn_want_input(e->conn, true);
}

static void on_drained(void *owner)
{
    struct echo *e = owner;
    if (e->still_to_write > 0) {
        e->still_to_write--;
        conn_write(e->conn, "x", 1);
    }
}

static void on_ended(void *owner, enum conn_end why)
{
    struct echo *e = owner;
    e->is_ended = true;
    e->why = why;
    conn_free(e->conn);
    e->conn = NULL;
}

static const struct conn_ops ops = {.input = on_input, .drained = on_drained, .ended = on_ended};

static void begin(struct echo *e, bool waits)
{
    int fds[2];
    *e = (struct echo){.loop = loop_new(), .waits = waits};
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    timer_init(&e->go, e->loop, on_go, e);
    e->peer = fds[1];
    e->conn = conn_new(e->loop, fds[0], &ops, e, 4096, 4096);
}

static void turns(struct echo *e, int n)
{
    for (int i = 0; i < n && !e->is_ended; i++)
        loop_turn(e->loop, 2);
}

static void end(struct echo *e)
{
    timer_stop(&e->go);
    conn_free(e->conn);
    close(e->peer);
    loop_free(e->loop);
}

static void expect(struct echo *e, const char *want)
{
    char got[200] = "";
    ssize_t n = read(e->peer, got, sizeof got - 1);
    cr_expect_eq(n, (ssize_t)strlen(want), "%zd octets", n);
    cr_expect_str_eq(got, want);
}

/* All that came before the end of input is shown to the owner before the end is. */
Test(conn, lines_before_the_end_of_input)
{
    struct echo e;
    begin(&e, true);
    cr_assert_eq(write(e.peer, "a\r\nb\r\nc\r\nd", 10), 10);
    shutdown(e.peer, SHUT_WR);
    turns(&e, 50);
    cr_expect(e.is_ended);
    cr_expect_eq(e.why, CONN_EOF);
    expect(&e, "a\r\nb\r\nc\r\n");
    end(&e);
}

/* An answer that is made outside of the connection's callbacks is sent before its end is seen. */
Test(conn, late_answer_at_the_end_of_input)
{
    struct echo e;
    begin(&e, true);
    e.answers_late = true;
    cr_assert_eq(write(e.peer, "a\r\n", 3), 3);
    shutdown(e.peer, SHUT_WR);
    turns(&e, 50);
    cr_expect(e.is_ended);
    cr_expect_eq(e.why, CONN_EOF);
    expect(&e, "a\r\nok\r\n");
    end(&e);
}

/* All that is queued goes to a peer that closed its sending side and reads slowly. */
Test(conn, queued_output_outlives_the_input)
{
    static char many[1 << 20], got[1 << 16];
    struct echo e;
    size_t n_got = 0;
    begin(&e, false);
    conn_free(e.conn);
    close(e.peer);
    int fds[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    e.peer = fds[1];
    e.conn = conn_new(e.loop, fds[0], &ops, &e, 4096, sizeof many);
    cr_assert_eq(conn_write(e.conn, many, sizeof many), 0);
    shutdown(e.peer, SHUT_WR);
    for (int i = 0; i < 1000 && n_got < sizeof many; i++) {
        ssize_t n = read(e.peer, got, sizeof got);
        n_got += n > 0 ? (size_t)n : 0;
        if (!e.is_ended)
            loop_turn(e.loop, 2);
    }
    turns(&e, 5);
    cr_expect_eq(n_got, sizeof many, "%zu octets", n_got);
    cr_expect(e.is_ended);
    cr_expect_eq(e.why, CONN_EOF);
    end(&e);
}

/* Output that is made when all before it was sent goes out, too. */
Test(conn, output_made_in_drained)
{
    struct echo e;
    begin(&e, false);
    e.still_to_write = 3;
    conn_write(e.conn, "o", 1);
    turns(&e, 20);
    expect(&e, "oxxx");
    end(&e);
}

/* Wanted, unwanted and wanted again around the same input: reading goes on. */
Test(conn, input_wanted_again)
{
    struct echo e;
    begin(&e, false);
    cr_assert_eq(write(e.peer, "half", 4), 4);
    turns(&e, 3);
    conn_want_input(e.conn, false);
    conn_want_input(e.conn, true);
    conn_want_input(e.conn, false);
    conn_consume(e.conn, 4);
    turns(&e, 2);
    conn_want_input(e.conn, true);
    cr_assert_eq(write(e.peer, "z\r\n", 3), 3);
    turns(&e, 3);
    expect(&e, "z\r\n");
    end(&e);
}

Test(conn, finish_sends_all_and_ends)
{
    struct echo e;
    begin(&e, false);
    conn_write(e.conn, "bye\r\n", 5);
    conn_finish(e.conn);
    turns(&e, 3);
    cr_expect(!e.is_ended, "lingers until the peer closes");
    expect(&e, "bye\r\n");
    shutdown(e.peer, SHUT_WR);
    turns(&e, 10);
    cr_expect(e.is_ended);
    cr_expect_eq(e.why, CONN_FLUSHED);
    end(&e);
}

Test(conn, deadline_ends_it)
{
    struct echo e;
    begin(&e, false);
    conn_deadline(e.conn, 5);
    turns(&e, 50);
    cr_expect(e.is_ended);
    cr_expect_eq(e.why, CONN_TIMEOUT);
    end(&e);
}
