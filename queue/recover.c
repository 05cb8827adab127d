#include "queue/recover.h"

#include "common/id.h"
#include "common/log.h"

#include <errno.h>

struct sweep {
    struct queue *q;
    uint64_t removed;
    bool has_failed; /* the store cannot say whether a file is needed: then none is removed */
};

static void check_file(void *arg, struct span name)
{
    struct sweep *s = arg;
    uint64_t id;
    bool is_ours = id_parse(name, &id) == 0;
    enum found f = is_ours ? store_message_is_spooled(s->q->store, id) : FOUND_NONE;
    s->has_failed |= f == FOUND_FAULT;
    if (f != FOUND_NONE || s->has_failed)
        return;
    LOG(is_ours ? id : 0, "stray-file-removed", LS("file", name));
    spool_remove_name(&s->q->spool, name);
    s->removed++;
}

/* Its message cannot be delivered or collected; only a backup has it. */
static int report_missing(struct queue *q)
{
    uint64_t id = 0;
    enum found f;
    while ((f = store_spooled_next(q->store, id, &id)) == FOUND_YES) {
        struct message m;
        f = store_message_get(q->store, id, &m);
        uint64_t size = f == FOUND_YES ? m.size : 0;
        store_message_end(q->store);
        int fd = f == FOUND_YES ? spool_read(&q->spool, id, size) : -1;
        if (fd >= 0)
            close(fd);
        else
            LOG(id, "content-missing", LN("size", (int64_t)size),
                LZ("because", f == FOUND_YES ? strerror(errno) : "damaged row"));
    }
    return f == FOUND_FAULT ? -1 : 0;
}

int recover_spool(struct queue *q, struct error *e)
{
    struct sweep s = {.q = q};
    if (spool_each(&q->spool, check_file, &s) < 0)
        return error_set(e, "the spool directory cannot be read: %s", strerror(errno));
    if (s.has_failed || report_missing(q) < 0)
        return error_set(e, "mail.db cannot be read: restore a backup");
    return 0;
}
