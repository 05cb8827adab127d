/* `barid stats`: the parent asks all children what they counted and hands their answers on, unread.
 * One that does not answer in time, or is just being started again, is left out. */
#include "barid/parent.h"

#define ANSWER_MS 2000

struct gathering {
    struct gathering *next;
    struct parent *parent;
    struct admin_call call; /* its channel is NULL when nobody waits any more */
    struct question {
        struct gathering *of;
        const struct child *about; /* NULL: it is answered */
    } questions[CHILDREN_MAX];
    size_t n_open;
};

static void end(struct gathering *g)
{
    struct gathering **at = &g->parent->gatherings;
    if (--g->n_open > 0)
        return;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    admin_done(&g->call, 0);
    free(g);
}

static void answered(void *arg, const union msg *m, int fd)
{
    static struct admin_row row;
    struct question *q = arg;
    const struct child *c = q->about;
    (void)fd; /* the table allows none */
    q->about = NULL;
    if (m != NULL && q->of->call.ch != NULL) {
        row_begin(&row);
        row_text(&row, "role", span_of(role_name(c->kind->role)));
        row_number(&row, "instance", c->instance);
        row_text(&row, "stats", m->child_stats_re.stats);
        row_send(&row, &q->of->call, 0, "");
    }
    end(q->of);
}

void gather_start(struct parent *p, struct admin_call *call)
{
    struct gathering *g = calloc(1, sizeof *g);
    if (g == NULL) {
        admin_fail(call, VERDICT_TRY_LATER, "no memory: try again");
        return;
    }
    *g = (struct gathering){.next = p->gatherings, .parent = p, .call = *call, .n_open = 1};
    p->gatherings = g;
    for (size_t i = 0; i < p->n_children; i++) {
        struct msg_child_stats m = {.tag = 0};
        struct question *q = &g->questions[i];
        *q = (struct question){g, p->children[i]};
        bool is_asked =
            p->children[i]->is_ready &&
            ipc_ask_child_stats(p->children[i]->control, &m, -1, ANSWER_MS, answered, q) != 0;
        g->n_open += is_asked;
        if (!is_asked)
            q->about = NULL;
    }
    end(g);
}

void gather_child_gone(struct parent *p, const struct child *c)
{
    for (struct gathering *g = p->gatherings, *next; g != NULL; g = next) {
        next = g->next;
        bool is_asked = false;
        for (size_t i = 0; i < p->n_children && !is_asked; i++) {
            is_asked = g->questions[i].about == c;
            if (is_asked)
                g->questions[i].about = NULL;
        }
        if (is_asked)
            end(g);
    }
}

void gather_client_gone(struct parent *p, const struct ipc *ch)
{
    for (struct gathering *g = p->gatherings; g != NULL; g = g->next)
        if (g->call.ch == ch)
            g->call.ch = NULL;
}
