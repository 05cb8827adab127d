#include "queue/backup.h"

#include "common/log.h"
#include "common/sql_copy.h"
#include "common/verdict.h"

#include <errno.h>

#define COPY_PATH    "backup.db"
#define STEP_MS      4
#define RELEASE_STEP 50 /* files removed in one turn */

struct backup {
    struct ipc *ch;
    uint64_t tag;          /* of who waits for the copy */
    struct sql_copy *copy; /* NULL: it is done */
};

static void answer(struct ipc *to, struct msg_backup_next_re *re, int fd)
{
    ipc_send_backup_next_re(to, re, fd);
    if (fd >= 0)
        close(fd);
}

static void refuse(struct ipc *to, uint64_t tag, const char *why)
{
    answer(to,
           &(struct msg_backup_next_re){
               .tag = tag, .verdict = VERDICT_TRY_LATER, .error = span_of(why)},
           -1);
}

void backup_end(struct queue *q)
{
    if (q->backup == NULL)
        return;
    sql_copy_free(q->backup->copy);
    free(q->backup);
    q->backup = NULL;
    q->batch.holds_files = false;
}

void backup_clear(void)
{
    sql_copy_clear(COPY_PATH);
}

void backup_channel_closed(struct queue *q, const struct ipc *from)
{
    if (q->backup == NULL || q->backup->ch != from)
        return;
    LOG(0, "backup-ended", LN("files-held", (int64_t)q->batch.n_held));
    backup_end(q);
    timer_set(&q->wake, 0);
}

static void begin(struct queue *q, struct ipc *from, uint64_t tag)
{
    struct error e = {.text = "out of memory"};
    if (q->backup != NULL || q->batch.n_held > 0) {
        refuse(from, tag, "another backup is under way: try again when it is over");
        return;
    }
    q->backup = calloc(1, sizeof *q->backup);
    if (q->backup != NULL)
        q->backup->copy = store_copy(q->store, COPY_PATH, &e);
    if (q->backup == NULL || q->backup->copy == NULL) {
        LOG(0, "backup-failed", LZ("because", e.text));
        refuse(from, tag, e.text);
        backup_end(q);
        return;
    }
    LOG(0, "backup-begun");
    q->backup->ch = from;
    q->backup->tag = tag;
    q->batch.holds_files = true;
    timer_set(&q->wake, 0);
}

bool backup_run(struct queue *q)
{
    struct backup *b = q->backup;
    struct error e;
    if (b == NULL)
        return batch_release_files(&q->batch, RELEASE_STEP);
    if (b->copy == NULL)
        return false;
    int rc = sql_copy_step(b->copy, STEP_MS, &e);
    if (rc > 0)
        return true;
    int fd = -1;
    if (rc == 0) {
        fd = sql_copy_finish(b->copy, &e);
        b->copy = NULL;
    }
    if (fd >= 0) {
        answer(b->ch, &(struct msg_backup_next_re){.tag = b->tag, .verdict = VERDICT_OK}, fd);
        return false;
    }
    LOG(0, "backup-failed", LZ("because", e.text));
    refuse(b->ch, b->tag, e.text);
    backup_end(q);
    return false;
}

/* --- files --- */

static void give_file(struct queue *q, struct ipc *to, struct msg_backup_next_re *re)
{
    struct message m;
    enum found f = store_message_get(q->store, re->id, &m);
    uint64_t octets = f == FOUND_YES ? m.size : 0;
    store_message_end(q->store);
    int fd = f == FOUND_YES ? spool_read(&q->spool, re->id, octets) : -1;
    re->verdict = fd >= 0 ? VERDICT_OK : VERDICT_TRY_LATER;
    if (fd < 0)
        re->error = SPAN("its file is missing or damaged");
    answer(to, re, fd);
}

static void next_file(struct queue *q, struct ipc *to, const struct msg_backup_next *m)
{
    struct msg_backup_next_re re = {.tag = m->tag, .verdict = VERDICT_NEVER};
    enum found f = FOUND_FAULT;
    if (m->after <= INT64_MAX)
        f = store_spooled_next(q->store, m->after, &re.id);
    re.next = re.id;
    if (f == FOUND_YES)
        give_file(q, to, &re);
    else if (f == FOUND_NONE)
        answer(to, &re, -1);
    else
        refuse(to, m->tag, "mail.db cannot be read: see the log");
}

/* Its row is gone, and with it what it should be: who restores the copy has both. */
static void next_removed(struct queue *q, struct ipc *to, const struct msg_backup_next *m)
{
    struct msg_backup_next_re re = {.tag = m->tag, .verdict = VERDICT_NEVER};
    int fd = -1;
    if (m->after < q->batch.n_held) {
        re.id = q->batch.held[m->after];
        re.next = m->after + 1;
        fd = spool_open_any(&q->spool, re.id);
        re.verdict = fd >= 0 ? VERDICT_OK : VERDICT_TRY_LATER;
        if (fd < 0)
            re.error = SPAN("its file is missing");
    }
    answer(to, &re, fd);
}

void backup_next(struct queue *q, struct ipc *from, const struct msg_backup_next *m)
{
    if (m->phase == BACKUP_STORE)
        begin(q, from, m->tag);
    else if (q->backup == NULL || q->backup->ch != from || q->backup->copy != NULL)
        refuse(from, m->tag, "this backup was not begun");
    else if (m->phase == BACKUP_FILES)
        next_file(q, from, m);
    else
        next_removed(q, from, m);
}
