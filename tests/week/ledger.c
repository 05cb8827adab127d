#include "tests/week/ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t ledger_add(struct ledger *l, uint32_t destination, bool is_bulk)
{
    if (array_reserve((void **)&l->list, &l->cap, l->n + 1, sizeof *l->list) < 0) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    l->list[l->n] = (struct fate){.destination = destination, .is_bulk = is_bulk};
    return (uint32_t)l->n++;
}

int64_t ledger_number(const struct ledger *l, struct span address)
{
    uint64_t number;
    struct span rest = address;
    struct span local = span_cut(&rest, '@');
    if (local.n < 2 || local.p[0] != 'r' || span_u64(span_from(local, 1), &number) < 0 ||
        number >= l->n)
        return -1;
    return (int64_t)number;
}

/* The groups of a delivery-status part (RFC 3464 2.3): who, and what became of him. */
static int read_report(struct ledger *l, struct span text)
{
    int64_t number = -1;
    int n_told = 0;
    while (text.n > 0) {
        struct span line = span_trim(span_cut(&text, '\n'));
        while (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (span_istarts(line, SPAN("Final-Recipient: rfc822;")))
            number =
                ledger_number(l, span_trim(span_from(line, sizeof "Final-Recipient: rfc822;" - 1)));
        if (number < 0 || !span_istarts(line, SPAN("Action:")))
            continue;
        struct span action = span_trim(span_from(line, sizeof "Action:" - 1));
        l->list[number].n_failed += span_ieq(action, SPAN("failed"));
        l->list[number].n_delayed += span_ieq(action, SPAN("delayed"));
        number = -1;
        n_told++;
    }
    l->n_reports++;
    return n_told > 0 ? 0 : -1;
}

int ledger_read_reports(struct ledger *l)
{
    sqlite3 *db;
    sqlite3_stmt *s = NULL;
    int rc = -1, code = SQLITE_ERROR;
    if (sqlite3_open_v2("mail.db", &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db,
                           "SELECT content FROM message WHERE id IN (SELECT message FROM entry)",
                           -1, &s, NULL) == SQLITE_OK) {
        rc = 0;
        while (rc == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
            rc = read_report(
                l, (struct span){sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0)});
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return rc == 0 && code == SQLITE_DONE ? 0 : -1;
}
