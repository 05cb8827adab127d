#include "relay/pool.h"

#include <criterion/criterion.h>

/* --- a client that is only owned and told to go (the program is linked without the other one) ---
 */

struct client {
    const struct client_ops *ops;
    void *owner;
    bool is_quitting, is_freed;
};

void client_own(struct client *c, const struct client_ops *ops, void *owner)
{
    c->ops = ops;
    c->owner = owner;
}

void client_quit(struct client *c)
{
    c->is_quitting = true;
}

void client_free(struct client *c)
{
    if (c != NULL)
        c->is_freed = true;
}

unsigned client_mails(const struct client *c)
{
    (void)c;
    return 1;
}

/* --- a job that only remembers its turn --- */

struct asker {
    struct pool_turn turn; /* first */
    unsigned granted;      /* which grant it was, from 1 */
    struct client *kept;
};

static unsigned grants;

static void on_granted(struct pool_turn *t, struct client *kept)
{
    struct asker *a = (struct asker *)(void *)t;
    a->granted = ++grants;
    a->kept = kept;
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

/* All connections there may be: 497 in use, one kept for each of k0, k1 and k2, in this order. */
static struct scene *begin_full(struct client clients[3])
{
    static const char *const keys[] = {"k0", "k1", "k2"};
    struct scene *s = begin(1000);
    for (size_t i = 0; i < POOL_CONNECTIONS_MAX; i++)
        ask(s, i, i < 3 ? keys[i] : "a.example");
    turn(s);
    for (size_t i = 0; i < 3; i++)
        pool_give(&s->pool, &s->askers[i].turn, &clients[i]);
    turn(s);
    return s;
}

static void end_of(struct client *c)
{
    c->ops->ended(c->owner, &(struct client_end){.is_untouched = true});
}

Test(pool, those_idle_the_longest_make_room_for_all_who_wait)
{
    struct client clients[3] = {0};
    struct scene *s = begin_full(clients);
    ask(s, 500, "b.example");
    ask(s, 501, "c.example");
    turn(s);
    cr_expect(clients[0].is_quitting && clients[1].is_quitting && !clients[2].is_quitting);
    cr_expect_eq(s->askers[500].granted, 0);
    end_of(&clients[1]);
    turn(s);
    cr_expect_neq(s->askers[500].granted, 0, "the first who waits");
    cr_expect_eq(s->askers[501].granted, 0);
    end_of(&clients[0]);
    turn(s);
    cr_expect_neq(s->askers[501].granted, 0);
    cr_expect_not(clients[2].is_quitting);
    pool_quit_idle(&s->pool);
    end_of(&clients[2]);
    cr_expect(clients[0].is_freed && clients[1].is_freed && clients[2].is_freed);
    end(s);
}

/* It stands behind one that finds no room, and has a connection of its own. */
Test(pool, a_kept_connection_that_is_asked_for_does_not_go)
{
    struct client clients[3] = {0};
    struct scene *s = begin_full(clients);
    ask(s, 500, "b.example");
    ask(s, 501, "k0");
    turn(s);
    cr_expect_eq(s->askers[501].kept, &clients[0]);
    cr_expect(!clients[0].is_quitting && clients[1].is_quitting && !clients[2].is_quitting);
    pool_quit_idle(&s->pool);
    end_of(&clients[1]);
    end_of(&clients[2]);
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
