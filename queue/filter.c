#include "queue/filter.h"

#include "common/clock.h"
#include "common/id.h"
#include "queue/contain.h"
#include "queue/dispatch.h"

#include <inttypes.h>

static const char *const names[SHOWN_STATES] = {
    [SHOWN_ACTIVE] = "active", [SHOWN_DUE] = "due",         [SHOWN_DEFERRED] = "deferred",
    [SHOWN_HELD] = "held",     [SHOWN_BOUNCED] = "bounced", [SHOWN_DONE] = "done",
};

const char *shown_state_name(enum shown_state s)
{
    return names[s];
}

enum shown_state shown_state_of(const struct queue *q, const struct recipient *r, int64_t now_s)
{
    switch (r->state) {
    case RCPT_WAITING:
        if (dispatch_is_active(q, r->message, r->number))
            return SHOWN_ACTIVE;
        return r->next_attempt <= now_s ? SHOWN_DUE : SHOWN_DEFERRED;
    case RCPT_DONE:
    case RCPT_OWED:
        return SHOWN_DONE;
    case RCPT_FAILED:
    case RCPT_BOUNCED:
        return SHOWN_BOUNCED;
    default:
        return SHOWN_HELD;
    }
}

static int read_state(struct filter *f, struct span name, struct error *e)
{
    for (unsigned i = 0; i < SHOWN_STATES; i++)
        if (span_ieq(name, span_of(names[i]))) {
            f->state = (enum shown_state)i;
            f->has_state = true;
            return 0;
        }
    return error_set(e,
                     "there is no state '%.*s': it is one of due, active, deferred, held, done, "
                     "bounced",
                     (int)(name.n < 40 ? name.n : 40), name.p);
}

static int read_number(struct span text, const char *name, uint64_t max, uint64_t *out,
                       struct error *e)
{
    if (text.p == NULL)
        return 0;
    if (span_u64(text, out) == 0 && *out > 0 && *out <= max)
        return 0;
    return error_set(e, "%s is a number from 1 to %" PRIu64, name, max);
}

/* "90", "90s", "15m", "4h", "5d"; 0: all of them. */
static int read_age(struct span text, int64_t *out_s, struct error *e)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t n;
    int64_t factor = 1;
    for (size_t i = 0; i < sizeof units / sizeof units[0] && text.n > 1; i++)
        if (text.p[text.n - 1] == units[i].unit) {
            factor = units[i].seconds;
            text.n--;
            break;
        }
    if (span_u64(text, &n) < 0 || n > INT32_MAX)
        return error_set(e, "older is a time like 90s, 15m, 4h or 5d");
    *out_s = (int64_t)n * factor;
    return 0;
}

/* "1000", "100K", "5M", "1G". */
static int read_octets(struct span text, uint64_t *out, struct error *e)
{
    static const char units[] = "KMG";
    const char *unit = text.n > 1 ? strchr(units, text.p[text.n - 1]) : NULL;
    unsigned shift = unit != NULL && *unit != '\0' ? 10U * (unsigned)(unit - units + 1) : 0;
    if (shift > 0)
        text.n--;
    if (span_u64(text, out) < 0 || *out > UINT64_C(1) << 32)
        return error_set(e, "larger is a size like 1000, 100K, 5M or 1G");
    *out <<= shift;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int read_ids(struct filter *f, const struct admin_call *call, struct error *e)
{
    for (size_t i = 0; i < call->n_args; i++) {
        struct span arg = call->args[i], rest = arg;
        span_cut(&rest, '=');
        if (rest.p != NULL)
            continue; /* an option */
        if (id_parse(arg, &f->ids[f->n_ids++]) < 0)
            return error_set(e,
                             "'%.*s' is no message id: it has 13 letters and digits, see "
                             "barid queue list",
                             (int)(arg.n < 40 ? arg.n : 40), arg.p);
    }
    qsort(f->ids, f->n_ids, sizeof f->ids[0], compare_ids);
    return 0;
}

int filter_read(struct filter *f, const struct admin_call *call, struct error *e)
{
    *f = (struct filter){.now_s = clock_wall_s(), .limit = UINT64_MAX, .rcpts = UINT64_MAX};
    f->from = admin_option(call, "from");
    f->to = admin_option(call, "to");
    f->domain = admin_option(call, "domain");
    f->login = admin_option(call, "login");
    f->is_contained = admin_option(call, "contained").p != NULL;
    f->is_dry_run = admin_option(call, "dry-run").p != NULL;
    f->is_none_fine = admin_option(call, "if-any").p != NULL;
    struct span larger = admin_option(call, "larger");
    struct span state = admin_option(call, "state"), older = admin_option(call, "older");
    if (read_ids(f, call, e) < 0 || (state.p != NULL && read_state(f, state, e) < 0) ||
        (older.p != NULL && read_age(older, &f->older_s, e) < 0) ||
        (larger.p != NULL && read_octets(larger, &f->larger, e) < 0) ||
        read_number(admin_option(call, "limit"), "limit", INT64_MAX, &f->limit, e) < 0 ||
        read_number(admin_option(call, "recipients"), "recipients", INT64_MAX, &f->rcpts, e) < 0)
        return -1;
    f->is_empty = f->n_ids == 0 && f->from.p == NULL && f->to.p == NULL && f->domain.p == NULL &&
                  f->login.p == NULL && !f->has_state && older.p == NULL && larger.p == NULL &&
                  !f->is_contained;
    return 0;
}

/* "<>" or nothing is the null sender; "@example.org" is everybody there. */
static bool matches(struct span wanted, struct span address)
{
    if (wanted.p == NULL)
        return true;
    if (span_eq(wanted, SPAN("<>")))
        return address.n == 0;
    if (wanted.n > 1 && wanted.p[0] == '@' && address.n > wanted.n)
        return span_ieq(wanted, span_from(address, address.n - wanted.n));
    return span_ieq(wanted, address);
}

uint64_t filter_skip(const struct filter *f, uint64_t id)
{
    if (f->n_ids == 0)
        return id;
    for (size_t i = 0; i < f->n_ids; i++)
        if (f->ids[i] > id)
            return f->ids[i] - 1;
    return INT64_MAX;
}

static bool is_of(struct span login, const struct message *m)
{
    return login.p == NULL || span_ieq(login, m->login.n > 0 ? m->login : m->client);
}

bool filter_has_message(const struct filter *f, const struct message *m)
{
    return (f->n_ids == 0 || filter_skip(f, m->id - 1) == m->id - 1) &&
           matches(f->from, m->sender) && is_of(f->login, m) && m->size > f->larger &&
           (f->older_s == 0 || f->now_s - m->arrived >= f->older_s);
}

bool filter_has_rcpt(const struct filter *f, const struct queue *q, const struct recipient *r)
{
    return matches(f->to, r->address) && (f->domain.p == NULL || span_ieq(f->domain, r->domain)) &&
           (!f->is_contained || contain_holds(r)) &&
           (!f->has_state || shown_state_of(q, r, f->now_s) == f->state);
}

struct span filter_domain(const struct filter *f, char room[DOMAIN_MAX])
{
    size_t n = f->domain.n < DOMAIN_MAX ? f->domain.n : DOMAIN_MAX;
    for (size_t i = 0; i < n; i++)
        room[i] = ascii_lower(f->domain.p[i]);
    return (struct span){room, n};
}
