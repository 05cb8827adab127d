#include "cli/output.h"

#include "common/admin.h"

#include <criterion/criterion.h>

static void add(struct rows *r, unsigned depth, const char *group, const struct admin_row *row)
{
    cr_assert_eq(rows_add(r, depth, span_of(group), packer_span(&row->w)), 0);
}

static void add_message(struct rows *r, const char *id, uint64_t size, int64_t when)
{
    struct admin_row row;
    row_begin(&row);
    row_text(&row, "id", span_of(id));
    row_size(&row, "size", size);
    row_time(&row, "next_attempt", when);
    row_bool(&row, "held", false);
    row_null(&row, "login");
    add(r, 0, "", &row);
}

static void add_recipient(struct rows *r, const char *address, int64_t attempts)
{
    struct admin_row row;
    row_begin(&row);
    row_text(&row, "address", span_of(address));
    row_number(&row, "attempts", attempts);
    add(r, 1, "recipients", &row);
}

static void expect(struct buf *out, int rc, const char *text)
{
    cr_expect_eq(rc, 0);
    cr_expect(span_eq(buf_span(out), span_of(text)), "%.*s", (int)(out->end - out->at),
              out->p ? out->p + out->at : "");
    buf_free(out);
}

static const char *const groups[] = {"recipients", NULL};

Test(output, a_list)
{
    struct rows r = {.n = 0};
    struct buf out;
    buf_init(&out, 10000);
    add_message(&r, "m1", 2048, 0);
    add_recipient(&r, "a@b.example", -1);
    add_recipient(&r, "\x1b]@b", 12);
    add_message(&r, "message2", 5, 1795311269);
    expect(&out, output_json(&out, &r, SHAPE_LIST, groups),
           "[{\"id\": \"m1\", \"size\": 2048, \"next_attempt\": null, \"held\": false, "
           "\"login\": null, \"recipients\": [{\"address\": \"a@b.example\", \"attempts\": -1}, "
           "{\"address\": \"\\u001b]@b\", \"attempts\": 12}]},\n"
           " {\"id\": \"message2\", \"size\": 5, \"next_attempt\": \"2026-11-22T01:34:29Z\", "
           "\"held\": false, \"login\": null, \"recipients\": []}]\n");
    expect(&out, output_table(&out, &r, SHAPE_LIST),
           "ID        SIZE  NEXT ATTEMPT          HELD  LOGIN\n"
           "    ADDRESS      ATTEMPTS\n"
           "m1        2.0K  -                     no    -\n"
           "    a@b.example        -1\n"
           "    \\x1b]@b            12\n"
           "message2     5  2026-11-22T01:34:29Z  no    -\n");
    rows_free(&r);
}

Test(output, an_object)
{
    struct rows r = {.n = 0};
    struct buf out;
    buf_init(&out, 10000);
    add_message(&r, "m1", 1, 0);
    add_recipient(&r, "a@b", 1);
    add_recipient(&r, "aa@b", 10);
    expect(&out, output_json(&out, &r, SHAPE_OBJECT, groups),
           "{\"id\": \"m1\", \"size\": 1, \"next_attempt\": null, \"held\": false, \"login\": "
           "null, \"recipients\": [{\"address\": \"a@b\", \"attempts\": 1}, {\"address\": "
           "\"aa@b\", \"attempts\": 10}]}\n");
    expect(&out, output_table(&out, &r, SHAPE_OBJECT),
           "id:           m1\nsize:         1\nnext_attempt: -\nheld:         no\nlogin:        -\n"
           "\nrecipients:\nADDRESS  ATTEMPTS\na@b             1\naa@b           10\n");
    rows_free(&r);
}

Test(output, nothing)
{
    struct rows r = {.n = 0};
    struct buf out;
    buf_init(&out, 1000);
    expect(&out, output_json(&out, &r, SHAPE_LIST, NULL), "[]\n");
    expect(&out, output_json(&out, &r, SHAPE_OBJECT, groups), "{}\n");
    expect(&out, output_table(&out, &r, SHAPE_LIST), "");
    expect(&out, output_table(&out, &r, SHAPE_OBJECT), "");
}

Test(output, damaged_rows_are_not_taken)
{
    struct rows r = {.n = 0};
    cr_expect_eq(rows_add(&r, 0, SPAN(""), SPAN("\x01\0\0\0a\x09")), -1);
    cr_expect_eq(rows_add(&r, 2, SPAN(""), SPAN("")), -1);
    cr_expect_eq(rows_add(&r, 0, SPAN("a\0b"), SPAN("")), -1);
    cr_expect_eq(r.n, 0);
    cr_expect_eq(rows_add(&r, 0, SPAN(""), SPAN("")), 0);
    rows_free(&r);
}

Test(output, numbers_with_gaps_are_still_numbers)
{
    struct rows r = {.n = 0};
    struct admin_row row;
    struct buf out;
    buf_init(&out, 1000);
    row_begin(&row);
    row_size(&row, "quota", 2048);
    row_text(&row, "a", SPAN("x"));
    add(&r, 0, "", &row);
    row_begin(&row);
    row_null(&row, "quota");
    row_text(&row, "a", SPAN(""));
    add(&r, 0, "", &row);
    expect(&out, output_table(&out, &r, SHAPE_LIST), "QUOTA  A\n 2.0K  x\n    -  -\n");
    rows_free(&r);
}
