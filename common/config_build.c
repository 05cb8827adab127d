#include "common/config_read.h"

#define SUBMIT_TIMEOUT_MS (24 * 3600 * 1000LL)

/* Listeners keep their order, [tls] and [route] come in the order of their names: a route is looked
 * for by halving. The line makes the order total. */
static int compare_sections(const void *a, const void *b)
{
    const struct section *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind == SECTION_TLS || x->kind == SECTION_ROUTE) {
        size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
        for (size_t i = 0; i < n; i++) {
            unsigned char l = (unsigned char)ascii_lower(x->name.p[i]);
            unsigned char r = (unsigned char)ascii_lower(y->name.p[i]);
            if (l != r)
                return l < r ? -1 : 1;
        }
        if (x->name.n != y->name.n)
            return x->name.n < y->name.n ? -1 : 1;
    }
    return (x->line > y->line) - (x->line < y->line);
}

static void find_doubles(struct reader *r)
{
    for (size_t i = 1; i < r->n_sections; i++) {
        const struct section *a = &r->sections[i - 1], *b = &r->sections[i];
        if (a->kind == b->kind && b->kind > SECTION_LISTEN && span_ieq(a->name, b->name))
            config_problem_add(r->problems, b->line, false,
                               "[%s%s%.*s] stands twice (first on line %zu)",
                               config_sections[b->kind].word, b->name.n > 0 ? " " : "",
                               (int)(b->name.n > 60 ? 60 : b->name.n), b->name.p, a->line);
    }
}

static void count_sections(struct reader *r)
{
    for (size_t i = r->n_sections; i > 0; i--) {
        enum section_kind kind = r->sections[i - 1].kind;
        r->first[kind] = i - 1;
        r->count[kind]++;
    }
}

static char *lower_dup(struct span s)
{
    char *copy = span_dup(s);
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        *c = ascii_lower(*c);
    return copy;
}

/* Makes the structs of the sections that there can be several of. -1 without memory. */
static int make_sections(struct config *c, const struct reader *r)
{
    c->n_listens = r->count[SECTION_LISTEN];
    c->listens = alloc_array(c->n_listens + 1, sizeof *c->listens);
    for (size_t i = 0; c->listens != NULL && i < c->n_listens; i++) {
        c->listens[i].kind = r->sections[r->first[SECTION_LISTEN] + i].listen;
        c->listens[i].line = r->sections[r->first[SECTION_LISTEN] + i].line;
    }
    c->n_tls = r->count[SECTION_TLS];
    c->tls = alloc_array(c->n_tls + 1, sizeof *c->tls);
    for (size_t i = 0; c->tls != NULL && i < c->n_tls; i++) {
        c->tls[i].line = r->sections[r->first[SECTION_TLS] + i].line;
        if ((c->tls[i].name = span_dup(r->sections[r->first[SECTION_TLS] + i].name)) == NULL)
            return -1;
    }
    c->n_routes = r->count[SECTION_ROUTE];
    c->routes = alloc_array(c->n_routes + 1, sizeof *c->routes);
    for (size_t i = 0; c->routes != NULL && i < c->n_routes; i++) {
        c->routes[i].line = r->sections[r->first[SECTION_ROUTE] + i].line;
        if ((c->routes[i].domain = lower_dup(r->sections[r->first[SECTION_ROUTE] + i].name)) ==
            NULL)
            return -1;
    }
    return c->listens != NULL && c->tls != NULL && c->routes != NULL ? 0 : -1;
}

static const struct section *section_of(const struct reader *r, const struct place *at)
{
    bool is_there = at->instance < r->count[at->section];
    return is_there ? &r->sections[r->first[at->section] + at->instance] : NULL;
}

static const struct assignment *assignment_of(const struct reader *r, const struct section *in,
                                              const struct setting *s)
{
    for (size_t i = 0; in != NULL && i < in->n; i++)
        if (r->list[in->first + i].setting == s)
            return &r->list[in->first + i];
    return NULL;
}

static void set_default(struct config *c, const struct place *at, struct reader *r, size_t line)
{
    const struct setting *s = at->setting;
    char found[DEFAULT_MAX];
    const char *text = s->fallback;
    struct error e;
    if (s->find_fallback != NULL) {
        s->find_fallback(found, at->section == SECTION_LISTEN ? c->listens[at->instance].kind
                                                              : LISTEN_SMTP);
        text = found;
    }
    if (text == NULL)
        config_problem_add(r->problems, line, false, "'%s = …' is missing in this section", s->key);
    else if (value_parse(at, span_of(text), &e) < 0)
        config_problem_add(r->problems, line, false, "%s (default): %s: set it", s->key, e.text);
}

static void fill(struct config *c, const struct place *at, struct reader *r)
{
    const struct section *in = section_of(r, at);
    const struct assignment *a = assignment_of(r, in, at->setting);
    struct error e;
    if (a != NULL) {
        c->lines[at->number] = a->line;
        if (at->section == SECTION_ROUTE && strcmp(at->setting->key, "expire") == 0)
            c->routes[at->instance].delivery.has_expire = true;
        if (value_parse(at, a->value, &e) < 0)
            config_problem_add(r->problems, a->line, false, "%s: %s", a->setting->key, e.text);
    } else if (at->is_override) {
        struct place global = config_place(c, at->setting->section, 0, at->setting);
        if (value_copy(at, &global) < 0)
            config_problem_add(r->problems, 0, false, "no memory");
    } else {
        set_default(c, at, r, in != NULL ? in->line : 0);
    }
}

/* The submit socket is a listener like the others. Who uses it is known and may wait as long as his
 * program takes (cron's sendmail waits for a whole job), so only counts are limited. */
static void make_submit(struct config *c)
{
    struct limits_config limits = c->limits;
    limits.connections_per_address = c->submit.connections_per_user;
    limits.connection_rate = (struct rate){.is_off = true};
    limits.recipients = c->submit.recipients;
    limits.errors = limits.junk_commands = limits.minimum_rate = UINT64_MAX;
    limits.command_timeout_ms = limits.session_timeout_ms = SUBMIT_TIMEOUT_MS;
    c->submit_listen = (struct listen_config){
        .kind = LISTEN_SUBMIT, .auth = c->auth, .limits = limits, .require_tls = SWITCH_OFF};
}

int config_build(struct config *c, struct reader *r)
{
    qsort(r->sections, r->n_sections, sizeof *r->sections, compare_sections);
    count_sections(r);
    find_doubles(r);
    if (make_sections(c, r) < 0)
        return -1;
    size_t places = 0;
    struct place at;
    for (struct walk w = {0}; walk_next(&w, c, &at);)
        places++;
    c->lines = alloc_array(places, sizeof *c->lines);
    if (c->lines == NULL)
        return -1;
    for (struct walk w = {0}; walk_next(&w, c, &at);)
        fill(c, &at, r);
    make_submit(c);
    return 0;
}

static void free_sections(struct config *c)
{
    for (size_t i = 0; c->tls != NULL && i < c->n_tls; i++)
        free(c->tls[i].name);
    for (size_t i = 0; c->routes != NULL && i < c->n_routes; i++)
        free(c->routes[i].domain);
    free(c->listens);
    free(c->tls);
    free(c->routes);
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    struct place at;
    if (c->lines != NULL) /* else no value was filled in */
        for (struct walk w = {0}; walk_next(&w, c, &at);)
            value_release(&at);
    free_sections(c);
    free(c->lines);
    free(c->file);
    free(c);
}
