#include "authd/authd.h"

#include "common/log.h"
#include "common/sql_copy.h"
#include "common/verdict.h"

#include <unistd.h>

#define COPY_PATH "backup.db"
#define STEP_MS   4

static void refuse(struct ipc *to, uint64_t tag, const char *why)
{
    struct msg_backup_next_re re = {
        .tag = tag, .verdict = VERDICT_TRY_LATER, .error = span_of(why)};
    ipc_send_backup_next_re(to, &re, -1);
}

void backup_clear(void)
{
    sql_copy_clear(COPY_PATH);
}

void backup_end(struct authd *a)
{
    timer_stop(&a->copy_on);
    sql_copy_free(a->copy);
    a->copy = NULL;
    a->copy_for = NULL;
}

static void finish(struct authd *a)
{
    struct error e;
    int fd = sql_copy_finish(a->copy, &e);
    struct msg_backup_next_re re = {.tag = a->copy_tag, .verdict = VERDICT_OK};
    a->copy = NULL;
    if (fd < 0)
        refuse(a->copy_for, a->copy_tag, e.text);
    else
        ipc_send_backup_next_re(a->copy_for, &re, fd);
    if (fd >= 0)
        close(fd);
    backup_end(a);
}

void backup_go_on(void *authd)
{
    struct authd *a = authd;
    struct error e;
    int rc = sql_copy_step(a->copy, STEP_MS, &e);
    if (rc > 0) {
        timer_set(&a->copy_on, 0);
    } else if (rc == 0) {
        finish(a);
    } else {
        LOG(0, "backup-failed", LZ("because", e.text));
        refuse(a->copy_for, a->copy_tag, e.text);
        backup_end(a);
    }
}

/* There is one phase here. */
void backup_handle(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)fd;
    struct authd *a = proc_state(owner);
    struct error e;
    uint64_t tag = m->backup_next.tag;
    if (m->backup_next.phase != BACKUP_STORE) {
        struct msg_backup_next_re re = {.tag = tag, .verdict = VERDICT_NEVER};
        ipc_send_backup_next_re(from, &re, -1);
        return;
    }
    if (a->copy != NULL) {
        refuse(from, tag, "another backup is under way: try again when it is over");
        return;
    }
    a->copy = users_copy(a->users, COPY_PATH, &e);
    if (a->copy == NULL) {
        LOG(0, "backup-failed", LZ("because", e.text));
        refuse(from, tag, e.text);
        return;
    }
    a->copy_for = from;
    a->copy_tag = tag;
    timer_set(&a->copy_on, 0);
}
