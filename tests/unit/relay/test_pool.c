#include "relay/pool.h"

#include <criterion/criterion.h>

/* A job that only remembers its turn. */
struct asker {
    struct pool_turn turn; /* first */
    unsigned granted;      /* which grant it was, from 1 */
};

static unsigned grants;

static void on_granted(struct pool_turn *t, struct client *kept)
{
    cr_expect_null(kept);
    ((struct asker *)(void *)t)->granted = ++grants;
}

struct scene {
    struct loop *loop;
    struct pool pool;
    uint64_t per_destination;
    struct asker askers[600];
};

static struct scene *begin(uint64_t per_destination)
{
    struct scene *s = calloc(1, sizeof *s);
    s->loop = loop_new();
    pool_init(&s->pool, s->loop);
    s->per_destination = per_destination;
    grants = 0;
    return s;
}

static void ask(struct scene *s, size_t i, const char *key)
{
    s->askers[i] = (struct asker){.turn.granted = on_granted};
    cr_assert_eq(pool_ask(&s->pool, span_of(key), s->per_destination, &s->askers[i].turn), 0);
}

static void turn(struct scene *s)
{
    loop_turn(s->loop, 0);
}

static void end(struct scene *s)
{
    for (size_t i = 0; i < 600; i++) {
        pool_withdraw(&s->pool, &s->askers[i].turn);
        if (s->askers[i].turn.dest != NULL)
            pool_give(&s->pool, &s->askers[i].turn, NULL);
    }
    turn(s);
    cr_expect(pool_is_empty(&s->pool));
    for (size_t i = 0; i < POOL_BUCKETS; i++)
        cr_expect_null(s->pool.buckets[i], "destinations without turns are freed");
    loop_free(s->loop);
    free(s);
}

Test(pool, no_grant_within_the_call)
{
    struct scene *s = begin(1);
    ask(s, 0, "a.example");
    cr_expect_eq(s->askers[0].granted, 0);
    turn(s);
    cr_expect_eq(s->askers[0].granted, 1);
    end(s);
}

Test(pool, limit_per_destination_and_order)
{
    struct scene *s = begin(2);
    for (size_t i = 0; i < 5; i++)
        ask(s, i, "a.example");
    ask(s, 5, "b.example");
    turn(s);
    cr_expect_eq(grants, 3);
    cr_expect_neq(s->askers[0].granted, 0);
    cr_expect_neq(s->askers[1].granted, 0);
    cr_expect_neq(s->askers[5].granted, 0);
    pool_give(&s->pool, &s->askers[1].turn, NULL);
    turn(s);
    cr_expect_eq(s->askers[2].granted, 4, "first come, first served");
    cr_expect_eq(s->askers[3].granted, 0);
    end(s);
}

Test(pool, a_reload_changes_the_limit)
{
    struct scene *s = begin(1);
    ask(s, 0, "a.example");
    ask(s, 1, "a.example");
    turn(s);
    cr_expect_eq(grants, 1);
    s->per_destination = 2;
    ask(s, 2, "a.example");
    turn(s);
    cr_expect_neq(s->askers[1].granted, 0);
    end(s);
}

Test(pool, withdrawn_from_anywhere_in_the_row)
{
    static const size_t orders[][3] = {{1, 2, 3}, {3, 2, 1}, {2, 3, 1}, {2, 1, 3}};
    for (size_t k = 0; k < 4; k++) {
        struct scene *s = begin(1);
        for (size_t i = 0; i < 4; i++)
            ask(s, i, "a.example");
        turn(s);
        for (size_t i = 0; i < 3; i++)
            pool_withdraw(&s->pool, &s->askers[orders[k][i]].turn);
        ask(s, 4, "a.example");
        pool_give(&s->pool, &s->askers[0].turn, NULL);
        turn(s);
        cr_expect_eq(s->askers[4].granted, 2, "row %zu", k);
        end(s);
    }
}

Test(pool, limit_in_all)
{
    struct scene *s = begin(1000);
    char key[32];
    for (size_t i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "d%zu.example", i % 37);
        ask(s, i, key);
    }
    turn(s);
    cr_expect_eq(grants, POOL_CONNECTIONS_MAX);
    for (size_t i = 0; i < 600; i++)
        if (s->askers[i].granted != 0 && s->askers[i].turn.dest != NULL)
            pool_give(&s->pool, &s->askers[i].turn, NULL);
    turn(s);
    cr_expect_eq(grants, 600);
    end(s);
}

Test(pool, destinations_take_turns)
{
    struct scene *s = begin(1000);
    for (size_t i = 0; i < 3; i++)
        ask(s, i, "a.example");
    for (size_t i = 3; i < 6; i++)
        ask(s, i, "b.example");
    turn(s);
    cr_expect_eq(grants, 6);
    cr_expect_eq(s->askers[3].granted, 2, "the first of b comes before the second of a");
    cr_expect_eq(s->askers[1].granted, 3);
    end(s);
}

/* Withdrawn while it waited for room in all: nothing is left of it. */
Test(pool, withdrawn_when_all_is_full)
{
    struct scene *s = begin(1000);
    for (size_t i = 0; i < POOL_CONNECTIONS_MAX; i++)
        ask(s, i, "a.example");
    turn(s);
    ask(s, 500, "b.example");
    ask(s, 501, "c.example");
    turn(s);
    cr_expect_eq(s->askers[500].granted, 0);
    pool_withdraw(&s->pool, &s->askers[500].turn);
    pool_give(&s->pool, &s->askers[7].turn, NULL);
    turn(s);
    cr_expect_eq(s->askers[501].granted, POOL_CONNECTIONS_MAX + 1);
    end(s);
}

Test(pool, keys_that_are_none)
{
    struct scene *s = begin(1);
    char key[POOL_KEY_MAX + 1];
    memset(key, 'x', sizeof key);
    struct pool_turn t = {.granted = on_granted};
    cr_expect_eq(pool_ask(&s->pool, SPAN(""), 1, &t), -1);
    cr_expect_eq(pool_ask(&s->pool, (struct span){key, sizeof key}, 1, &t), -1);
    end(s);
}
