/* Rows as a JSON document or as a table. Both only append to a buffer; who calls prints it. 0, or
 * -1 without memory. */
#ifndef BARID_OUTPUT_H
#define BARID_OUTPUT_H

#include "cli/cli.h"
#include "common/buf.h"

/* The document of a command: rows in its shape with its groups, and a newline. */
int output_json(struct buf *out, const struct rows *r, enum shape shape, const char *const *groups);
int output_table(struct buf *out, const struct rows *r, enum shape shape);

/* Pieces, for documents of another form: "name": value, … of a row without braces. */
int json_fields(struct buf *out, const struct row *r);
/* The rows from..to as an array. */
int json_array(struct buf *out, const struct rows *r, size_t from, size_t to, const char *group);
/* Aligned lines with a header, each behind so many spaces, of the rows from..to of a group. */
int table_lines(struct buf *out, const struct rows *r, size_t from, size_t to, const char *group);

/* Writes it to stdout. An exit status. */
int output_print(struct cli *cli, struct buf *out, int rc);

#endif
