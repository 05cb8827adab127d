#include "cli/output.h"

#include "cli/text.h"
#include "common/admin.h"
#include "common/clock.h"
#include "common/json.h"

#include <errno.h>

#define COLUMNS_MAX 32

/* --- JSON --- */

static int json_value(struct buf *out, const struct column *c)
{
    char when[CLOCK_TEXT_MAX];
    switch (c->type) {
    case COLUMN_TEXT:
        return json_string(out, c->text);
    case COLUMN_NUMBER:
    case COLUMN_SIZE:
        return buf_addf(out, "%lld", (long long)c->number);
    case COLUMN_BOOL:
        return buf_addf(out, "%s", c->number ? "true" : "false");
    case COLUMN_TIME:
        if (c->number == 0)
            return buf_addf(out, "null");
        clock_rfc3339(when, c->number);
        return buf_addf(out, "\"%s\"", when);
    default:
        return buf_addf(out, "null");
    }
}

int json_fields(struct buf *out, const struct row *r)
{
    struct unpacker u = unpacker_on(row_fields(r));
    struct column c;
    for (bool is_first = true; column_next(&u, &c); is_first = false)
        if ((!is_first && buf_add(out, ", ", 2) < 0) || json_string(out, c.name) < 0 ||
            buf_add(out, ": ", 2) < 0 || json_value(out, &c) < 0)
            return -1;
    return 0;
}

int json_array(struct buf *out, const struct rows *r, size_t from, size_t to, const char *group)
{
    bool is_first = true;
    if (buf_add(out, "[", 1) < 0)
        return -1;
    for (size_t i = from; i < to; i++) {
        if (strcmp(r->list[i].group, group) != 0)
            continue;
        if ((!is_first && buf_add(out, ", ", 2) < 0) || buf_add(out, "{", 1) < 0 ||
            json_fields(out, &r->list[i]) < 0 || buf_add(out, "}", 1) < 0)
            return -1;
        is_first = false;
    }
    return buf_add(out, "]", 1);
}

static int json_row(struct buf *out, const struct rows *r, size_t at, const char *const *groups)
{
    size_t end = rows_end_of(r, at);
    if (buf_add(out, "{", 1) < 0 || json_fields(out, &r->list[at]) < 0)
        return -1;
    const char *comma = r->list[at].n > 0 ? ", " : "";
    for (size_t g = 0; groups != NULL && groups[g] != NULL; g++, comma = ", ")
        if (buf_addf(out, "%s\"%s\": ", comma, groups[g]) < 0 ||
            json_array(out, r, at + 1, end, groups[g]) < 0)
            return -1;
    return buf_add(out, "}", 1);
}

int output_json(struct buf *out, const struct rows *r, enum shape shape, const char *const *groups)
{
    if (shape == SHAPE_OBJECT) {
        if (r->n == 0 ? buf_add(out, "{}", 2) : json_row(out, r, 0, groups))
            return -1;
        return buf_add(out, "\n", 1);
    }
    const char *before = "[";
    for (size_t i = 0; i < r->n; i = rows_end_of(r, i), before = ",\n ")
        if (buf_addf(out, "%s", before) < 0 || json_row(out, r, i, groups) < 0)
            return -1;
    return buf_addf(out, "%s]\n", r->n == 0 ? "[" : "");
}

/* --- tables --- */

static int cell_text(struct buf *out, const struct column *c)
{
    char text[CLOCK_TEXT_MAX];
    switch (c->type) {
    case COLUMN_TEXT:
        return c->text.n == 0 ? buf_add(out, "-", 1) : text_terminal(out, c->text);
    case COLUMN_NUMBER:
        return buf_addf(out, "%lld", (long long)c->number);
    case COLUMN_SIZE:
        text_size(text, c->number < 0 ? 0 : (uint64_t)c->number);
        return buf_addf(out, "%s", text);
    case COLUMN_BOOL:
        return buf_addf(out, "%s", c->number ? "yes" : "no");
    case COLUMN_TIME:
        if (c->number == 0)
            return buf_add(out, "-", 1);
        clock_rfc3339(text, c->number);
        return buf_addf(out, "%s", text);
    default:
        return buf_add(out, "-", 1);
    }
}

/* The columns of the rows of one depth and group, in the order in which they first come. */
struct layout {
    struct span names[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    bool is_number[COLUMNS_MAX];
    size_t n;
};

static size_t column_of(struct layout *l, struct span name)
{
    size_t i = 0;
    while (i < l->n && !span_eq(l->names[i], name))
        i++;
    if (i == l->n && l->n < COLUMNS_MAX) {
        l->names[l->n] = name;
        l->widths[l->n++] = text_width(name);
    }
    return i;
}

static int measure(struct layout *l, const struct row *r)
{
    struct unpacker u = unpacker_on(row_fields(r));
    struct column c;
    while (column_next(&u, &c)) {
        size_t i = column_of(l, c.name);
        struct buf cell;
        buf_init(&cell, SIZE_MAX / 4);
        if (i == COLUMNS_MAX || cell_text(&cell, &c) < 0) {
            buf_free(&cell);
            return i == COLUMNS_MAX ? 0 : -1;
        }
        size_t width = text_width(buf_span(&cell));
        l->widths[i] = width > l->widths[i] ? width : l->widths[i];
        if (c.type == COLUMN_NUMBER || c.type == COLUMN_SIZE) /* NULL may stand in its place */
            l->is_number[i] = true;
        buf_free(&cell);
    }
    return 0;
}

static int pad(struct buf *out, size_t n)
{
    while (n-- > 0)
        if (buf_add(out, " ", 1) < 0)
            return -1;
    return 0;
}

/* One cell, and two spaces in front of all but the first. The last one is not filled up. */
static int put_cell(struct buf *out, const struct layout *l, size_t i, struct span cell)
{
    size_t width = text_width(cell);
    size_t fill = l->widths[i] > width ? l->widths[i] - width : 0;
    bool is_last = i + 1 == l->n;
    if ((i > 0 && pad(out, 2) < 0) || (l->is_number[i] && pad(out, fill) < 0) ||
        buf_add_span(out, cell) < 0)
        return -1;
    return l->is_number[i] || is_last ? 0 : pad(out, fill);
}

static int put_header(struct buf *out, const struct layout *l, size_t indent)
{
    if (pad(out, indent) < 0)
        return -1;
    for (size_t i = 0; i < l->n; i++) {
        char name[64];
        size_t n = l->names[i].n < sizeof name ? l->names[i].n : sizeof name;
        for (size_t k = 0; k < n; k++) {
            char c = l->names[i].p[k];
            name[k] = c == '_' ? ' ' : c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
        }
        if (put_cell(out, l, i, (struct span){name, n}) < 0)
            return -1;
    }
    return buf_add(out, "\n", 1);
}

static bool find_column(const struct row *r, struct span name, struct column *c)
{
    struct unpacker u = unpacker_on(row_fields(r));
    while (column_next(&u, c))
        if (span_eq(c->name, name))
            return true;
    return false;
}

static int put_row(struct buf *out, const struct layout *l, const struct row *r, size_t indent)
{
    if (pad(out, indent) < 0)
        return -1;
    for (size_t i = 0; i < l->n; i++) {
        struct column c = {.type = COLUMN_NULL};
        struct buf cell;
        buf_init(&cell, SIZE_MAX / 4);
        if (!find_column(r, l->names[i], &c))
            c = (struct column){.type = COLUMN_NULL};
        int rc = cell_text(&cell, &c);
        if (rc == 0)
            rc = put_cell(out, l, i, buf_span(&cell));
        buf_free(&cell);
        if (rc < 0)
            return -1;
    }
    return buf_add(out, "\n", 1);
}

int table_lines(struct buf *out, const struct rows *r, size_t from, size_t to, const char *group)
{
    struct layout l = {.n = 0};
    for (size_t i = from; i < to; i++)
        if (strcmp(r->list[i].group, group) == 0 && measure(&l, &r->list[i]) < 0)
            return -1;
    if (l.n > 0 && put_header(out, &l, 0) < 0)
        return -1;
    for (size_t i = from; i < to; i++)
        if (strcmp(r->list[i].group, group) == 0 && put_row(out, &l, &r->list[i], 0) < 0)
            return -1;
    return 0;
}

/* A list: lines of depth 0, those of depth 1 indented below theirs; the headers once, at the top.
 */
static int list_table(struct buf *out, const struct rows *r)
{
    struct layout l[2] = {{.n = 0}, {.n = 0}};
    for (size_t i = 0; i < r->n; i++)
        if (measure(&l[r->list[i].depth], &r->list[i]) < 0)
            return -1;
    for (unsigned d = 0; d < 2; d++)
        if (l[d].n > 0 && put_header(out, &l[d], d * 4) < 0)
            return -1;
    for (size_t i = 0; i < r->n; i++)
        if (put_row(out, &l[r->list[i].depth], &r->list[i], r->list[i].depth * 4) < 0)
            return -1;
    return 0;
}

static int put_pairs(struct buf *out, const struct row *r)
{
    size_t widest = 0;
    struct column c;
    for (struct unpacker u = unpacker_on(row_fields(r)); column_next(&u, &c);)
        widest = c.name.n > widest ? c.name.n : widest;
    for (struct unpacker u = unpacker_on(row_fields(r)); column_next(&u, &c);)
        if (text_terminal(out, c.name) < 0 || buf_add(out, ":", 1) < 0 ||
            pad(out, widest - c.name.n + 1) < 0 || cell_text(out, &c) < 0 ||
            buf_add(out, "\n", 1) < 0)
            return -1;
    return 0;
}

/* One row as "name: value" lines, then a table for each group. */
static int object_table(struct buf *out, const struct rows *r)
{
    if (r->n == 0)
        return 0;
    size_t end = rows_end_of(r, 0);
    if (put_pairs(out, &r->list[0]) < 0)
        return -1;
    for (size_t i = 1; i < end; i++) {
        bool is_new = i == 1 || strcmp(r->list[i - 1].group, r->list[i].group) != 0;
        for (size_t k = 1; is_new && k < i; k++)
            is_new = is_new && strcmp(r->list[k].group, r->list[i].group) != 0;
        if (is_new && (buf_addf(out, "\n%s:\n", r->list[i].group) < 0 ||
                       table_lines(out, r, i, end, r->list[i].group) < 0))
            return -1;
    }
    return 0;
}

int output_table(struct buf *out, const struct rows *r, enum shape shape)
{
    return shape == SHAPE_LIST ? list_table(out, r) : object_table(out, r);
}

int output_print(struct cli *cli, struct buf *out, int rc)
{
    int status = EXIT_DONE;
    struct span s = buf_span(out);
    if (rc < 0)
        status = cli_fail(cli, "no memory for the answer");
    else if ((s.n > 0 && fwrite(s.p, 1, s.n, stdout) != s.n) || fflush(stdout) != 0)
        status = cli_fail(cli, "cannot write the answer: %s", strerror(errno));
    buf_free(out);
    return status;
}
