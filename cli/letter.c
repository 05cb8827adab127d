#include "cli/letter.h"

#include "cli/header.h"
#include "common/addr.h"
#include "common/clock.h"
#include "common/id.h"

void letter_free(struct letter *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->rcpts[i]);
    free(l->rcpts);
    *l = (struct letter){.n = 0};
}

/* --- recipients --- */

struct adding {
    struct letter *letter;
    struct error *e;
};

static bool has(const struct letter *l, const char *address)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->rcpts[i], address) == 0)
            return true;
    return false;
}

static int add_one(void *arg, struct span text, size_t behind)
{
    (void)behind;
    const struct adding *a = arg;
    struct letter *l = a->letter;
    char path[FIELD_ADDRESS_MAX + 3];
    struct addr address;
    size_t used;
    int n = snprintf(path, sizeof path, "<%.*s>", (int)text.n, text.p);
    struct span all = {path, n > 0 ? (size_t)n : 0};
    if (addr_parse(all, ADDR_LOCAL_PATH, &address, &used) < 0 || used != all.n)
        return error_set(a->e, "'%.*s' is not an address", (int)text.n, text.p);
    if (has(l, address.text))
        return 0;
    if (l->n == LETTER_RCPTS_MAX)
        return error_set(a->e, "more than %d recipients", LETTER_RCPTS_MAX);
    if (array_reserve((void **)&l->rcpts, &l->cap, l->n + 1, sizeof *l->rcpts) < 0 ||
        (l->rcpts[l->n] = span_dup(span_of(address.text))) == NULL)
        return error_set(a->e, "no memory");
    l->n++;
    return 0;
}

int letter_add(struct letter *l, struct span addresses, struct error *e)
{
    return field_addresses(addresses, add_one, &(struct adding){l, e});
}

static bool has_resent(struct span header)
{
    struct field f;
    while (field_next(&header, &f))
        if (span_istarts(f.name, SPAN("Resent-")))
            return true;
    return false;
}

int letter_add_from_header(struct letter *l, struct span header, struct error *e)
{
    static const char *const names[2][3] = {{"To", "Cc", "Bcc"},
                                            {"Resent-To", "Resent-Cc", "Resent-Bcc"}};
    const char *const *wanted = names[has_resent(header)];
    struct field f;
    int rc = 0;
    while (rc == 0 && field_next(&header, &f))
        if (field_is(&f, wanted[0]) || field_is(&f, wanted[1]) || field_is(&f, wanted[2]))
            rc = letter_add(l, f.value, e);
    return rc;
}

/* --- the header section --- */

enum mark {
    MARK_FROM = 1,
    MARK_DATE = 2,
    MARK_ID = 4,
    MARK_TO = 8, /* anybody named openly */
    MARK_RESENT_FROM = 16,
    MARK_RESENT_DATE = 32,
    MARK_RESENT_ID = 64,
    MARK_RESENT = 128, /* any other field of that kind */
};

/* What becomes of a field. */
static const struct row {
    const char *name;
    unsigned mark;
    bool has_addresses, is_dropped;
} rows[] = {
    {"From", MARK_FROM, true, false},
    {"Date", MARK_DATE, false, false},
    {"Message-ID", MARK_ID, false, false},
    {"To", MARK_TO, true, false},
    {"Cc", MARK_TO, true, false},
    {"Bcc", 0, true, true},
    {"Sender", 0, true, false},
    {"Reply-To", 0, true, false},
    {"Resent-From", MARK_RESENT | MARK_RESENT_FROM, true, false},
    {"Resent-Date", MARK_RESENT | MARK_RESENT_DATE, false, false},
    {"Resent-Message-ID", MARK_RESENT | MARK_RESENT_ID, false, false},
    {"Resent-To", MARK_RESENT, true, false},
    {"Resent-Cc", MARK_RESENT, true, false},
    {"Resent-Bcc", MARK_RESENT, true, true},
    {"Resent-Sender", MARK_RESENT, true, false},
    {"Return-Path", 0, false, true},
    {"Content-Length", 0, false, true},
};

static const struct row *row_of(const struct field *f)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (field_is(f, rows[i].name))
            return &rows[i];
    return NULL;
}

struct qualifying {
    struct buf *out;
    struct span value, domain;
    size_t copied; /* octets of the value that were put out */
};

static int qualify_one(void *arg, struct span text, size_t behind)
{
    struct qualifying *q = arg;
    if (text.n == 0 || memchr(text.p, '@', text.n) != NULL)
        return 0;
    int rc = buf_add_span(q->out, (struct span){q->value.p + q->copied, behind - q->copied});
    q->copied = behind;
    return rc | buf_addf(q->out, "@%.*s", (int)q->domain.n, q->domain.p);
}

static int put_field(struct buf *out, const struct field *f, const struct row *row,
                     struct span domain)
{
    if (row == NULL || !row->has_addresses)
        return buf_add_span(out, f->whole);
    struct qualifying q = {.out = out, .value = f->value, .domain = domain};
    int rc = buf_addf(out, "%.*s:", (int)f->name.n, f->name.p);
    rc |= field_addresses(f->value, qualify_one, &q);
    rc |= buf_add_span(out, span_from(f->value, q.copied));
    return rc | buf_add_span(out, SPAN("\r\n"));
}

/* A phrase (RFC 5322 3.2.5): quoted; encoded (RFC 2047) if it is not ASCII is what the reader's
 * program would have to do, so such a name is left out. */
static int put_from(struct buf *out, const char *prefix, const struct letter_frame *f)
{
    int rc = buf_addf(out, "%sFrom: ", prefix);
    bool has_name = f->full_name.n > 0 && f->full_name.n <= 200;
    for (size_t i = 0; i < f->full_name.n && has_name; i++)
        has_name = f->full_name.p[i] >= ' ' && f->full_name.p[i] <= '~';
    if (!has_name)
        return rc | buf_addf(out, "%.*s\r\n", (int)f->from.n, f->from.p);
    rc |= buf_add(out, "\"", 1);
    for (size_t i = 0; i < f->full_name.n; i++) {
        if (f->full_name.p[i] == '"' || f->full_name.p[i] == '\\')
            rc |= buf_add(out, "\\", 1);
        rc |= buf_add(out, f->full_name.p + i, 1);
    }
    return rc | buf_addf(out, "\" <%.*s>\r\n", (int)f->from.n, f->from.p);
}

static int put_date(struct buf *out, const char *prefix, const struct letter_frame *f)
{
    char date[CLOCK_TEXT_MAX];
    clock_rfc5322(date, f->wall_s);
    return buf_addf(out, "%sDate: %s\r\n", prefix, date);
}

static int put_id(struct buf *out, const char *prefix, const struct letter_frame *f)
{
    char id[ID_TEXT];
    id_format(id, f->id);
    return buf_addf(out, "%sMessage-ID: <%s@%.*s>\r\n", prefix, id, (int)f->domain.n, f->domain.p);
}

static unsigned marks_of(struct span header)
{
    unsigned seen = 0;
    struct field f;
    while (field_next(&header, &f)) {
        const struct row *row = row_of(&f);
        seen |= row != NULL ? row->mark : 0;
    }
    return seen;
}

/* Fields of a resending stand before all others (RFC 5322 3.6.6). */
static int put_resent(struct buf *out, unsigned seen, const struct letter_frame *f)
{
    int rc = 0;
    if ((seen & MARK_RESENT) == 0)
        return 0;
    if ((seen & MARK_RESENT_FROM) == 0)
        rc |= put_from(out, "Resent-", f);
    if ((seen & MARK_RESENT_DATE) == 0)
        rc |= put_date(out, "Resent-", f);
    if ((seen & MARK_RESENT_ID) == 0)
        rc |= put_id(out, "Resent-", f);
    return rc;
}

static int put_missing(struct buf *out, unsigned seen, const struct letter_frame *f)
{
    int rc = 0;
    if ((seen & MARK_FROM) == 0)
        rc |= put_from(out, "", f);
    if ((seen & MARK_DATE) == 0)
        rc |= put_date(out, "", f);
    if ((seen & MARK_ID) == 0)
        rc |= put_id(out, "", f);
    if ((seen & MARK_TO) == 0)
        rc |= buf_addf(out, "To: undisclosed-recipients:;\r\n");
    return rc;
}

int letter_header(struct buf *out, struct span header, const struct letter_frame *f)
{
    unsigned seen = marks_of(header);
    struct field field;
    int rc = put_resent(out, seen, f);
    while (rc == 0 && field_next(&header, &field)) {
        const struct row *row = row_of(&field);
        if (row == NULL || !row->is_dropped)
            rc = put_field(out, &field, row, f->domain);
    }
    return rc | put_missing(out, seen, f) | buf_add_span(out, SPAN("\r\n"));
}
