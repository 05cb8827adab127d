/* For `barid fsck`: is users.db whole, and which mailboxes does it know? */
#include "authd/commands.h"

#include "common/log.h"
#include "common/sql.h"

#define ROWS_MAX 100

struct report {
    struct admin_call *call;
    size_t n;
};

static void say(void *arg, struct span text)
{
    static struct admin_row row;
    struct report *to = arg;
    bool is_index = sql_is_about_index(text);
    if (++to->n > ROWS_MAX)
        return;
    row_begin(&row);
    row_text(&row, "what", is_index ? SPAN("users-index") : SPAN("users"));
    row_text(&row, "text", (struct span){text.p, text.n < 300 ? text.n : 300});
    row_send(&row, to->call, 0, "");
}

void fsck_users(void *authd, struct admin_call *call)
{
    struct authd *a = authd;
    struct report to = {.call = call};
    if (users_check(a->users, say, &to) < 0)
        say(&to, SPAN("it cannot be read to its end"));
    admin_done(call, 0);
}

/* The mailboxes of removed users, of which queue was not told yet. */
void fsck_forgotten(void *authd, struct admin_call *call)
{
    static struct admin_row row;
    struct authd *a = authd;
    uint64_t box = call->cursor;
    char address[ADDRESS_MAX + 1];
    int rc = 1;
    for (int i = 0;
         i < ADMIN_PAGE && (rc = users_next_forgotten(a->users, box, &box, address)) == 1; i++) {
        row_begin(&row);
        row_number(&row, "box", (int64_t)box);
        row_send(&row, call, 0, "");
    }
    if (rc < 0)
        store_failed(a, call);
    else
        admin_done(call, rc == 1 ? box : 0);
}

void fsck_indexes(void *authd, struct admin_call *call)
{
    static struct admin_row row;
    struct authd *a = authd;
    if (users_reindex(a->users) < 0) {
        store_failed(a, call);
        return;
    }
    LOG(0, "repaired", LZ("what", "indexes"));
    row_begin(&row);
    row_text(&row, "done", SPAN("the indexes were made anew"));
    row_send(&row, call, 0, "");
    admin_done(call, 0);
}
