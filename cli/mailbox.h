/* What the commands about mailboxes share. */
#ifndef BARID_MAILBOX_COMMANDS_H
#define BARID_MAILBOX_COMMANDS_H

#include "cli/cli.h"

struct mailbox {
    uint64_t box, quota; /* octets; 0: none */
    char address[ADDRESS_MAX + 1];
};

/* The mailbox of the user that args[0] names. 0, or -1 and e. Needs cli_load. */
int mailbox_find(struct cli *cli, struct mailbox *out, struct error *e);
/* An exit status. */
int mailbox_print(struct cli *cli, const struct rows *rows, enum shape shape);

/* retention.c: the seconds in `from` as people write them. */
void retention_column(struct admin_row *to, const struct row *from);

/* --since and --until, seconds since 1970. */
struct period {
    int64_t since, until;
};
/* 0, or an exit status (said). "2026-11-22" or RFC 3339; until: before it, a day alone: to its end.
 */
int period_read(struct cli *cli, struct period *p);
bool period_has(const struct period *p, int64_t t);

int mailbox_import_main(struct cli *cli);
int mailbox_export_main(struct cli *cli);
int trace_main(struct cli *cli);

#endif
