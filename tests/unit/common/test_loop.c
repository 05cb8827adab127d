#include "common/loop.h"

#include <criterion/criterion.h>
#include <unistd.h>

/* libevent without memory, while this is set */
static bool is_out_of_memory;

static void *get(size_t n)
{
    return is_out_of_memory ? NULL : malloc(n);
}

static void *get_more(void *p, size_t n)
{
    return is_out_of_memory ? NULL : realloc(p, n);
}

static struct loop *loop_of_the_poor(void)
{
    event_set_mem_functions(get, get_more, free);
    struct loop *l = loop_new();
    cr_assert_not_null(l);
    return l;
}

static void turn(struct loop *l, const unsigned *n, unsigned wanted)
{
    for (int i = 0; i < 20 && *n < wanted; i++)
        loop_turn(l, 20);
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void count_ready(void *arg, bool readable, bool writable)
{
    *(unsigned *)arg += readable && !writable;
}

Test(loop, a_watch_that_finds_no_memory_begins_later)
{
    struct loop *l = loop_of_the_poor();
    struct watch w;
    int ends[2];
    unsigned n = 0;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    watch_init(&w, l, ends[0], count_ready, &n);
    is_out_of_memory = true;
    watch_set(&w, true, false);
    loop_turn(l, 0);
    cr_expect_eq(n, 0);
    is_out_of_memory = false;
    turn(l, &n, 1);
    cr_expect_gt(n, 0);
    watch_stop(&w);
    loop_free(l);
}

Test(loop, a_timer_that_finds_no_memory_is_set_later)
{
    struct loop *l = loop_of_the_poor();
    struct timer t, stopped;
    unsigned n = 0, never = 0;
    timer_init(&t, l, count, &n);
    timer_init(&stopped, l, count, &never);
    is_out_of_memory = true;
    timer_set(&t, 1);
    timer_set(&stopped, 1);
    timer_stop(&stopped);
    loop_turn(l, 0);
    cr_expect_eq(n, 0);
    is_out_of_memory = false;
    turn(l, &n, 1);
    cr_expect_eq(n, 1);
    cr_expect_eq(never, 0);
    loop_free(l);
}
