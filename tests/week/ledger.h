/* What became of each recipient of the simulated week, as the servers of the others and the
 * postmen of the senders saw it: not what the queue says of itself. */
#ifndef BARID_TESTS_WEEK_LEDGER_H
#define BARID_TESTS_WEEK_LEDGER_H

#include "common/str.h"

struct fate {
    int64_t accepted_ms, tried_ms; /* 0: not (yet) */
    uint32_t destination;
    uint8_t n_delivered;
    uint8_t n_failed, n_delayed; /* reports to its sender that say so */
    bool is_refused;             /* its server said 5xx */
    bool is_bulk;                /* of the large mailing */
};

/* What is to be sent: numbers of recipients are places in the list. */
struct ledger {
    struct fate *list;
    size_t n, cap;
    size_t n_messages, n_accepted_messages;
    size_t n_reports;
};

/* The number of the new recipient. Gives up without memory. */
uint32_t ledger_add(struct ledger *l, uint32_t destination, bool is_bulk);
/* "r17@d3.example": 17, or -1 if there is no such recipient. */
int64_t ledger_number(const struct ledger *l, struct span address);
/* Reads all reports that are in mailboxes of mail.db in the working directory. 0, or -1. */
int ledger_read_reports(struct ledger *l);

#endif
