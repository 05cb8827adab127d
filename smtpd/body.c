#include "smtpd/body.h"

/* One call of body_take. Content is copied in runs as long as possible: from `run` on, nothing was
 * copied yet. `cr` and `lf` are the next ones from `at` on (or `end`), looked for again only when
 * they are behind, so that a flood of either costs no more than a look at each octet. */
struct pass {
    struct body *b;
    const char *at, *end, *run;
    const char *cr, *lf;
    char *out;
};

static const struct span received = {"received:", 9};

void body_begin(struct body *b, uint64_t octets_max, uint64_t hops_max, bool normalises)
{
    *b = (struct body){.octets_max = octets_max, .hops_max = hops_max, .normalises = normalises};
}

size_t body_room(const struct body *b, size_t n)
{
    /* A CR that was held back comes out with the next octet. */
    return b->normalises ? 2 * n + 2 : n + 1;
}

static void found(struct body *b, enum body_problem problem)
{
    if (b->problem == BODY_FINE)
        b->problem = problem;
}

static void copy_run(struct pass *p, const char *upto, const char *resume)
{
    size_t n = (size_t)(upto - p->run);
    if (n > 0 && p->b->problem == BODY_FINE) {
        memcpy(p->out, p->run, n);
        p->out += n;
    }
    p->run = resume;
}

static void put(struct pass *p, struct span s)
{
    if (p->b->problem != BODY_FINE)
        return;
    memcpy(p->out, s.p, s.n);
    p->out += s.n;
}

/* Counts Received fields: a field name at the start of a line, perhaps read in pieces. */
static void match_received(struct body *b, struct span text)
{
    for (size_t i = 0; i < text.n && b->matched == b->line + i && b->matched < received.n; i++)
        if (ascii_lower(text.p[i]) == received.p[b->matched] && ++b->matched == received.n)
            if (++b->hops > b->hops_max)
                found(b, BODY_HOPS);
}

static void count_octets(struct body *b, uint64_t n)
{
    b->octets += n;
    if (b->octets > b->octets_max)
        found(b, BODY_SIZE);
    if (!b->in_content && b->octets > BODY_HEADER_MAX)
        found(b, BODY_HEADER);
}

static void count_text(struct body *b, const char *from, const char *to)
{
    struct span text = {from, (size_t)(to - from)};
    if (!b->in_content)
        match_received(b, text);
    b->line += text.n;
    if (b->line + 2 > BODY_LINE_MAX)
        found(b, BODY_LINE);
    count_octets(b, text.n);
}

static void count_line_end(struct body *b)
{
    count_octets(b, 2);
    if (b->line == 0)
        b->in_content = true;
    b->line = 0;
    b->matched = 0;
}

/* A CR or LF alone stands before `resume`, not copied. What follows it is no real start of a line:
 * a dot there is content. */
static void bare_newline(struct pass *p, const char *resume)
{
    if (p->b->normalises) {
        put(p, SPAN("\r\n"));
        count_line_end(p->b);
    } else {
        found(p->b, BODY_BARE);
    }
    p->at = p->run = resume;
    p->b->state = BODY_TEXT;
}

static void take_start(struct pass *p)
{
    p->b->state = BODY_TEXT;
    if (*p->at != '.' || p->b->is_chunked)
        return;
    copy_run(p, p->at, p->at + 1);
    p->at++;
    p->b->state = BODY_DOT;
}

static void take_after_dot(struct pass *p)
{
    p->b->state = BODY_TEXT;
    if (*p->at != '\r')
        return;
    p->run = ++p->at;
    p->b->state = BODY_DOT_CR;
}

static void take_after_dot_cr(struct pass *p)
{
    if (*p->at != '\n') {
        bare_newline(p, p->at);
        return;
    }
    p->run = ++p->at;
    p->b->state = BODY_END;
}

static void take_after_cr(struct pass *p)
{
    if (*p->at != '\n') {
        bare_newline(p, p->at);
        return;
    }
    put(p, SPAN("\r"));
    count_line_end(p->b);
    p->at++;
    p->b->state = BODY_START;
}

static void look_ahead(const struct pass *p, const char **next, char c)
{
    if (*next != NULL && *next >= p->at)
        return;
    *next = memchr(p->at, c, (size_t)(p->end - p->at));
    if (*next == NULL)
        *next = p->end;
}

/* The rest of the line, or what there is of it. */
static void take_text(struct pass *p)
{
    look_ahead(p, &p->cr, '\r');
    look_ahead(p, &p->lf, '\n');
    const char *stop = p->cr < p->lf ? p->cr : p->lf;
    bool is_cr = stop == p->cr && stop != p->end;
    count_text(p->b, p->at, stop);
    if (is_cr && stop + 1 == p->end) {
        copy_run(p, stop, p->end);
        p->at = p->end;
        p->b->state = BODY_CR;
    } else if (is_cr && stop + 1 == p->lf) {
        count_line_end(p->b);
        p->at = stop + 2;
        p->b->state = BODY_START;
    } else if (stop != p->end) {
        copy_run(p, stop, stop + 1);
        bare_newline(p, stop + 1);
    } else {
        p->at = p->end;
    }
}

static void step(struct pass *p)
{
    switch (p->b->state) {
    case BODY_START:
        take_start(p);
        return;
    case BODY_DOT:
        take_after_dot(p);
        return;
    case BODY_DOT_CR:
        take_after_dot_cr(p);
        return;
    case BODY_CR:
        take_after_cr(p);
        return;
    case BODY_TEXT:
        take_text(p);
        return;
    case BODY_END:
        return;
    }
}

size_t body_take(struct body *b, struct span in, char *out, size_t *n_out)
{
    struct pass p = {.b = b, .at = in.p, .end = in.p + in.n, .run = in.p, .out = out};
    while (p.at < p.end && b->state != BODY_END)
        step(&p);
    copy_run(&p, p.at, p.at);
    size_t taken = (size_t)(p.at - in.p);
    if (taken > 0 && memchr(in.p, '\0', taken) != NULL)
        found(b, BODY_NUL);
    *n_out = b->problem == BODY_FINE ? (size_t)(p.out - out) : 0;
    return taken;
}

void body_end(struct body *b, char *out, size_t *n_out)
{
    struct pass p = {.b = b, .out = out};
    if (b->state == BODY_CR) {
        bare_newline(&p, NULL);
    } else if (b->state == BODY_TEXT && b->line > 0) {
        put(&p, SPAN("\r\n"));
        count_line_end(b);
    }
    b->state = BODY_END;
    *n_out = b->problem == BODY_FINE ? (size_t)(p.out - out) : 0;
}
