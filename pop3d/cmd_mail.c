/* STAT LIST UIDL DELE RSET NOOP: what needs nobody else, the maildrop is in memory. */
#include "pop3d/cmd.h"

/* The message that the argument names, or NULL, and that was said. */
static const struct listing_entry *message(struct session *s, struct span arg, uint64_t *number)
{
    if (session_number(arg, number) < 0) {
        session_error(s, REPLY_ARGUMENT);
        return NULL;
    }
    const struct listing_entry *e = drop_find(&s->drop, *number);
    if (e == NULL)
        session_say(s, drop_has_deleted(&s->drop, *number) ? REPLY_WAS_DELETED : REPLY_NO_MESSAGE);
    return e;
}

void cmd_stat(struct session *s, struct span arg)
{
    (void)arg;
    session_sayf(s, REPLY_STAT, s->drop.n - s->drop.n_deleted, (unsigned long long)s->drop.octets);
}

void cmd_list(struct session *s, struct span arg)
{
    uint64_t number;
    if (span_trim(arg).n == 0) {
        session_sayf(s, REPLY_LIST, s->drop.n - s->drop.n_deleted,
                     (unsigned long long)s->drop.octets);
        job_begin_listing(s, JOB_LIST);
        return;
    }
    const struct listing_entry *e = message(s, arg, &number);
    if (e != NULL)
        session_sayf(s, REPLY_LIST_ONE, (unsigned long long)number, (unsigned long long)e->octets);
}

void cmd_uidl(struct session *s, struct span arg)
{
    uint64_t number;
    if (span_trim(arg).n == 0) {
        session_say(s, REPLY_UIDL);
        job_begin_listing(s, JOB_UIDL);
        return;
    }
    const struct listing_entry *e = message(s, arg, &number);
    if (e == NULL)
        return;
    char room[ID_TEXT];
    struct span uidl = listing_uidl(&s->drop.listing, e, room);
    session_sayf(s, REPLY_UIDL_ONE, (unsigned long long)number, (int)uidl.n, uidl.p);
}

void cmd_dele(struct session *s, struct span arg)
{
    uint64_t number;
    if (message(s, arg, &number) != NULL)
        session_say(s, drop_delete(&s->drop, number) == 0 ? REPLY_DELETED : REPLY_NOT_MARKED);
}

void cmd_rset(struct session *s, struct span arg)
{
    (void)arg;
    drop_reset(&s->drop);
    session_sayf(s, REPLY_OPEN, s->drop.n, (unsigned long long)s->drop.octets);
}

void cmd_noop(struct session *s, struct span arg)
{
    (void)arg;
    session_say(s, REPLY_OK);
}
