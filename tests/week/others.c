#include "tests/week/others.h"

#include "common/clock.h"
#include "common/notify.h"
#include "common/pack.h"
#include "common/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)

enum kind others_kind(uint32_t destination)
{
    uint32_t kind = destination % KIND_PERIOD;
    return kind < KIND_GOOD ? (enum kind)kind : KIND_GOOD;
}

uint32_t others_random(struct others *o, uint32_t n)
{
    o->random = o->random * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(o->random >> 33) % n;
}

static bool is_up(const struct others *o, uint32_t destination)
{
    int64_t hours = (clock_wall_ms() - o->start_ms) / HOUR_MS;
    return (hours + destination) % 3 != 0;
}

static int64_t duration_ms(struct others *o, uint32_t destination)
{
    switch (others_kind(destination)) {
    case KIND_DEAD:
        return 30 * SECOND_MS + others_random(o, 90) * SECOND_MS;
    case KIND_FLAPPING:
        return is_up(o, destination) ? SECOND_MS : 10 * SECOND_MS;
    case KIND_SLOW:
        return 5 * MINUTE_MS + others_random(o, 20) * MINUTE_MS;
    case KIND_SILENT:
        return clock_wall_ms() < o->middle_ms ? 30 * MINUTE_MS : SECOND_MS;
    default:
        return SECOND_MS + others_random(o, 5) * SECOND_MS;
    }
}

/* OTHERS_RATE at once, then evenly: never more than twice as many in any minute. */
static void note_rate(struct others *o, uint32_t destination)
{
    if (destination != RATED)
        return;
    int64_t now_ms = clock_wall_ms(), *oldest = &o->rated_ms[o->n_rated++ % 8];
    o->is_over_rate |= *oldest > 0 && now_ms - *oldest < MINUTE_MS;
    *oldest = now_ms;
}

static void note_start(struct others *o, uint32_t destination)
{
    o->n_jobs++;
    o->activity++;
    o->n_of[destination]++;
    o->is_over_limit |= o->n_of[destination] > OTHERS_PER_DESTINATION;
    if (o->n_active > o->most_active)
        o->most_active = o->n_active;
    if (o->n_of[destination] > o->most_of_one)
        o->most_of_one = o->n_of[destination];
    note_rate(o, destination);
}

static void bad_job(const char *why)
{
    fprintf(stderr, "a job that cannot be: %s\n", why);
    exit(2);
}

void others_take_job(struct others *o, const struct msg_relay_job *m)
{
    if (o->n_active == ACTIVE_MAX)
        bad_job("too many at a time");
    struct active *a = &o->active[o->n_active++];
    struct unpacker in = unpacker_on(m->rcpts);
    *a = (struct active){.tag = m->tag};
    while (in.left.n > 0 && !in.failed && a->n < RELAY_RCPTS_MAX) {
        a->numbers[a->n] = (uint32_t)unpack_uint(&in, 4);
        int64_t place = ledger_number(o->ledger, unpack_text(&in, ADDRESS_MAX));
        unpack_uint(&in, 1);
        unpack_text(&in, ORCPT_MAX);
        if (in.failed || place < 0)
            bad_job("a recipient nobody named");
        struct fate *f = &o->ledger->list[place];
        if (f->tried_ms == 0)
            f->tried_ms = clock_wall_ms();
        a->destination = f->destination;
        a->places[a->n++] = (uint32_t)place;
    }
    if (a->n == 0)
        bad_job("no recipients");
    a->finish_ms = clock_wall_ms() + duration_ms(o, a->destination);
    note_start(o, a->destination);
}

/* --- what they say --- */

struct said {
    enum verdict verdict;
    enum reach reach;
    const char *reply;
};

static struct said say(struct others *o, const struct active *a, size_t i)
{
    const struct said ok = {VERDICT_OK, REACH_OK, "250 2.0.0 ok"};
    const struct fate *f = &o->ledger->list[a->places[i]];
    switch (others_kind(a->destination)) {
    case KIND_DEAD:
        return (struct said){VERDICT_TRY_LATER, REACH_DOWN, "451 4.4.1 no connection"};
    case KIND_FLAPPING:
        return is_up(o, a->destination)
                   ? ok
                   : (struct said){VERDICT_TRY_LATER, REACH_DOWN, "451 4.4.1 refused"};
    case KIND_SHEDS:
        return others_random(o, 3) > 0
                   ? ok
                   : (struct said){VERDICT_TRY_LATER, REACH_LOST, "421 4.3.2 too busy"};
    case KIND_GREY:
        return clock_wall_ms() - f->tried_ms >= 5 * MINUTE_MS
                   ? ok
                   : (struct said){VERDICT_TRY_LATER, REACH_UNKNOWN, "451 4.7.1 come back"};
    case KIND_REFUSES:
        return a->places[i] % 2 > 0
                   ? ok
                   : (struct said){VERDICT_NEVER, REACH_UNKNOWN, "550 5.1.1 nobody"};
    case KIND_FULL:
        return (struct said){VERDICT_TRY_LATER, REACH_UNKNOWN, "452 4.2.2 mailbox full"};
    case KIND_SILENT:
        return a->finish_ms > o->middle_ms
                   ? ok
                   : (struct said){VERDICT_TRY_LATER, REACH_LOST, "451 4.4.2 silence"};
    default:
        return ok;
    }
}

static void answer(struct others *o, const struct active *a)
{
    char room[LIST_MAX];
    struct packer p = packer_on(room, sizeof room);
    struct msg_relay_job_re re = {.tag = a->tag, .remote = SPAN("mx.example[192.0.2.1]:25")};
    for (size_t i = 0; i < a->n; i++) {
        struct said s = say(o, a, i);
        struct fate *f = &o->ledger->list[a->places[i]];
        pack_uint(&p, a->numbers[i], 4);
        pack_uint(&p, s.verdict, 1);
        pack_bytes(&p, span_of(s.reply));
        if (re.reach != REACH_OK) /* one that was taken says that it can be reached */
            re.reach = (uint8_t)s.reach;
        if (s.verdict == VERDICT_OK)
            f->n_delivered++;
        f->is_refused |= s.verdict == VERDICT_NEVER;
    }
    re.results = packer_span(&p);
    ipc_send_relay_job_re(o->relay, &re, -1);
}

void others_answer(struct others *o)
{
    for (size_t i = 0; i < o->n_active;) {
        struct active a = o->active[i];
        if (a.finish_ms > clock_wall_ms()) {
            i++;
            continue;
        }
        o->active[i] = o->active[--o->n_active];
        o->n_of[a.destination]--;
        o->activity++;
        answer(o, &a);
    }
}

int64_t others_next_ms(const struct others *o)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < o->n_active; i++)
        if (o->active[i].finish_ms < next_ms)
            next_ms = o->active[i].finish_ms;
    return next_ms;
}

void others_forget(struct others *o)
{
    while (o->n_active > 0)
        o->n_of[o->active[--o->n_active].destination]--;
}
