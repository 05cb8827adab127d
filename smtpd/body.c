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

static const struct span names[BODY_FIELDS] = {
    [BODY_RECEIVED] = {"received", 8},
    [BODY_DATE] = {"date", 4},
    [BODY_MESSAGE_ID] = {"message-id", 10},
};

void body_begin(struct body *b, uint64_t octets_max, uint64_t hops_max, bool normalises)
{
    *b = (struct body){.octets_max = octets_max, .hops_max = hops_max, .normalises = normalises};
}

void body_complete(struct body *b, struct span date, struct span message_id)
{
    b->added[BODY_DATE] = date;
    b->added[BODY_MESSAGE_ID] = message_id;
}

size_t body_room(const struct body *b, size_t n)
{
    /* A CR that was held back comes out with the next octet. */
    size_t room = (b->normalises ? 2 * n : n) + 2;
    if (b->in_content)
        return room;
    for (size_t i = 0; i < BODY_FIELDS; i++)
        room += b->added[i].n;
    return room + b->n_held + 2; /* an empty line */
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
    if (p->b->problem != BODY_FINE || s.n == 0)
        return;
    memcpy(p->out, s.p, s.n);
    p->out += s.n;
}

/* --- the header section --- */

static bool is_incomplete(const struct body *b)
{
    for (size_t i = 0; i < BODY_FIELDS; i++)
        if (b->added[i].n > 0 && (b->has & 1U << i) == 0)
            return true;
    return false;
}

/* The header section ends. */
static void put_missing(struct pass *p)
{
    for (size_t i = 0; i < BODY_FIELDS; i++)
        if ((p->b->has & 1U << i) == 0)
            put(p, p->b->added[i]);
    p->b->in_content = true;
}

static void note_field(struct body *b)
{
    struct span name = {b->start, b->n_name};
    for (size_t i = 0; i < BODY_FIELDS; i++)
        if (span_ieq(name, names[i]))
            b->has |= 1U << i;
    if (span_ieq(name, names[BODY_RECEIVED]) && ++b->hops > b->hops_max)
        found(b, BODY_HOPS);
}

enum line_kind { LINE_UNKNOWN, LINE_FIELD, LINE_OTHER };

/* What the line is, with one octet more of its start. RFC 5322 2.2, 2.2.3 and 4.5; also "From " or
 * ">From " as first line, which programs leave there that keep mail in mbox files. */
static enum line_kind look_at(struct body *b, char c)
{
    struct span name = {b->start, b->n_name};
    if (c == ':')
        return name.n > 0 ? LINE_FIELD : LINE_OTHER;
    if (c == ' ' || c == '\t') {
        if (name.n == 0)
            return b->is_later_line ? LINE_FIELD : LINE_OTHER;
        b->has_gap = true;
    } else if (b->has_gap) {
        bool is_mbox = span_eq(name, SPAN("From")) || span_eq(name, SPAN(">From"));
        return is_mbox && !b->is_later_line ? LINE_FIELD : LINE_OTHER;
    } else if (c <= ' ' || c > '~') {
        return LINE_OTHER;
    } else {
        b->n_name++;
    }
    b->start[b->n_start++] = c;
    return b->n_start == BODY_NAME_MAX ? LINE_FIELD : LINE_UNKNOWN;
}

/* The line that begins at `from`, or with the octets that are held, is of this kind. */
static void know_line(struct pass *p, const char *from, enum line_kind kind)
{
    struct body *b = p->b;
    b->is_known = true;
    copy_run(p, from, from);
    if (kind == LINE_FIELD) {
        note_field(b);
    } else if (is_incomplete(b)) {
        put_missing(p);
        put(p, SPAN("\r\n"));
    }
    put(p, (struct span){b->start, b->n_held});
    b->n_held = 0;
}

/* The line goes on from p->at to `stop`; there is its end, or nothing more of it yet. Until it is
 * known what it is, it is held, for fields may have to come before it. */
static void look_at_line(struct pass *p, const char *stop)
{
    struct body *b = p->b;
    for (const char *c = p->at; c < stop && !b->is_known; c++) {
        enum line_kind kind = look_at(b, *c);
        if (kind != LINE_UNKNOWN)
            know_line(p, p->at, kind);
    }
    if (b->is_known)
        return;
    if (stop < p->end && b->n_start > 0) {
        know_line(p, p->at, LINE_OTHER);
    } else if (is_incomplete(b)) {
        copy_run(p, p->at, stop);
        b->n_held = b->n_start;
    }
}

/* --- counts --- */

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
    size_t n = (size_t)(to - from);
    b->line += n;
    if (b->line + 2 > BODY_LINE_MAX)
        found(b, BODY_LINE);
    count_octets(b, n);
}

/* The line ends; what was read of it, up to `upto`, is still to be copied. */
static void end_line(struct pass *p, const char *upto)
{
    struct body *b = p->b;
    count_octets(b, 2);
    if (b->line == 0 && !b->in_content) {
        copy_run(p, upto, upto);
        put_missing(p);
    }
    b->line = 0;
    b->n_name = b->n_start = 0;
    b->is_known = b->has_gap = false;
    b->is_later_line = true;
}

/* --- the machine --- */

/* A CR or LF alone stands before `resume`, not copied. What follows it is no real start of a line:
 * a dot there is content. */
static void bare_newline(struct pass *p, const char *resume)
{
    if (p->b->normalises) {
        end_line(p, p->run);
        put(p, SPAN("\r\n"));
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
    if (!p->b->in_content)
        put_missing(p);
}

static void take_after_cr(struct pass *p)
{
    if (*p->at != '\n') {
        bare_newline(p, p->at);
        return;
    }
    end_line(p, p->at);
    put(p, SPAN("\r"));
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
    if (!p->b->in_content && !p->b->is_known)
        look_at_line(p, stop);
    count_text(p->b, p->at, stop);
    if (is_cr && stop + 1 == p->end) {
        copy_run(p, stop, p->end);
        p->at = p->end;
        p->b->state = BODY_CR;
    } else if (is_cr && stop + 1 == p->lf) {
        end_line(p, stop);
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
    struct pass p = {.b = b, .at = out, .end = out, .run = out, .out = out};
    bool is_held = b->state == BODY_TEXT && !b->in_content && !b->is_known && b->n_start > 0;
    if (is_held)
        know_line(&p, out, LINE_OTHER);
    if (b->state == BODY_CR) {
        bare_newline(&p, out);
    } else if (b->state == BODY_TEXT && b->line > 0) {
        end_line(&p, out);
        put(&p, SPAN("\r\n"));
    }
    if (!b->in_content)
        put_missing(&p);
    b->state = BODY_END;
    *n_out = b->problem == BODY_FINE ? (size_t)(p.out - out) : 0;
}
