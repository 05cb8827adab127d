#include "queue/quarantine.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/id.h"
#include "common/maildb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#define NOTE_MAX (1U << 20)
#define STEP     65536

/* --- files --- */

/* The directory, made if it is missing. The fd, or -1 and e. */
static int open_dir(struct error *e)
{
    if (mkdir(QUARANTINE_DIR, 0700) < 0 && errno != EEXIST)
        return error_set(e, "%s: %s", QUARANTINE_DIR, strerror(errno));
    int fd = open(QUARANTINE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : error_set(e, "%s: %s", QUARANTINE_DIR, strerror(errno));
}

static int copy_all(int to, int from)
{
    static char room[STEP];
    ssize_t n;
    while ((n = read(from, room, sizeof room)) != 0)
        if (n > 0 ? fd_write_all(to, (struct span){room, (size_t)n}) < 0 : errno != EINTR)
            return -1;
    return 0;
}

/* What is to be in a file: text, or the rest of what a descriptor gives. */
struct source {
    struct span text;
    int fd; /* -1: the text */
};

static int write_file(int dirfd, const char *name, int flags, const struct source *from)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (fd < 0)
        return -1;
    int rc = from->fd >= 0 ? copy_all(fd, from->fd) : fd_write_all(fd, from->text);
    if (rc == 0)
        rc = fsync(fd);
    int why = errno;
    close(fd);
    errno = why;
    return rc == 0 ? fsync(dirfd) : rc;
}

static int put(const char *name, int flags, const struct source *from, struct error *e)
{
    int dirfd = open_dir(e);
    if (dirfd < 0)
        return -1;
    int rc = write_file(dirfd, name, flags, from);
    if (rc < 0)
        error_set(e, "%s/%.100s: %s", QUARANTINE_DIR, name, strerror(errno));
    close(dirfd);
    return rc;
}

/* --- the text of a message --- */

/* What comes from a damaged row may be anything: one line, for a terminal. */
static void add_field(struct buf *out, const char *name, struct span v)
{
    buf_addf(out, "%s: ", name);
    for (size_t i = 0; i < v.n && i < 1000; i++) {
        char c = (unsigned char)v.p[i] < ' ' || v.p[i] == 127 ? '?' : v.p[i];
        buf_add(out, &c, 1);
    }
    buf_add(out, "\n", 1);
}

static void add_time(struct buf *out, const char *name, int64_t wall_s)
{
    char text[40] = "?";
    struct tm tm;
    time_t t = (time_t)wall_s;
    if (gmtime_r(&t, &tm) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_addf(out, "%s: %s\n", name, text);
}

static int add_rcpts(struct queue *q, struct buf *out, uint64_t id)
{
    struct recipient r;
    enum found f;
    store_rcpts_begin(q->store, id);
    while ((f = store_rcpts_next(q->store, &r)) == FOUND_YES || f == FOUND_DAMAGED)
        add_field(out,
                  r.state == RCPT_DONE || r.state == RCPT_BOUNCED ? "recipient (was done)"
                                                                  : "recipient",
                  r.address);
    return f == FOUND_FAULT ? -1 : 0;
}

static int add_boxes(struct queue *q, struct buf *out, uint64_t id)
{
    uint64_t box;
    int64_t deleted_at;
    enum found f;
    store_boxes_of_begin(q->store, id);
    while ((f = store_boxes_of_next(q->store, &box, &deleted_at)) == FOUND_YES)
        buf_addf(out, "mailbox: %" PRIu64 "%s\n", box, deleted_at != 0 ? " (deleted)" : "");
    return f == FOUND_FAULT ? -1 : 0;
}

static int describe(struct queue *q, struct buf *out, const struct message *m, const char *why)
{
    char id[ID_TEXT];
    id_format(id, m->id);
    buf_addf(out, "message: %s\n", id);
    buf_addf(out, "why it is here: %s\n", why);
    add_time(out, "put here", clock_wall_s());
    add_time(out, "arrived", m->arrived);
    add_field(out, "from", m->sender);
    add_field(out, "login", m->login);
    add_field(out, "client", m->client);
    buf_addf(out, "octets: %" PRIu64 "\n", m->size);
    int rc = add_boxes(q, out, m->id) < 0 ? -1 : add_rcpts(q, out, m->id);
    return rc < 0 || buf_addf(out, "\n") < 0 ? -1 : 0;
}

static int put_note(uint64_t id, struct span text, struct error *e)
{
    char name[ID_TEXT + 4], number[ID_TEXT];
    id_format(number, id);
    snprintf(name, sizeof name, "%s.txt", number);
    return put(name, O_APPEND, &(struct source){text, -1}, e);
}

int quarantine_note(uint64_t id, struct span line, struct error *e)
{
    return put_note(id, line, e);
}

/* What is left of it: nothing, if its file is missing. */
static int put_content(struct queue *q, const struct message *m, struct error *e)
{
    char name[ID_TEXT + 4], number[ID_TEXT];
    struct source from = {SPAN(""), -1};
    id_format(number, m->id);
    snprintf(name, sizeof name, "%s.eml", number);
    if (m->is_spooled)
        from.fd = spool_open_any(&q->spool, m->id);
    else if (store_message_content(q->store, m, &from.text) == FOUND_FAULT)
        return error_set(e, "its content cannot be read");
    int rc = from.fd < 0 && from.text.n == 0 ? 0 : put(name, O_TRUNC, &from, e);
    if (from.fd >= 0)
        close(from.fd);
    return rc;
}

int quarantine_message(struct queue *q, uint64_t id, const char *why, struct error *e)
{
    struct message m = {.id = id};
    struct buf out;
    buf_init(&out, NOTE_MAX);
    enum found f = store_message_get(q->store, id, &m);
    int rc = f == FOUND_FAULT || f == FOUND_NONE || describe(q, &out, &m, why) < 0
                 ? error_set(e, "it cannot be read: see the log")
                 : put_content(q, &m, e);
    if (rc == 0)
        rc = put_note(id, buf_span(&out), e);
    store_message_end(q->store);
    buf_free(&out);
    return rc;
}

int quarantine_file(struct queue *q, struct span name, struct error *e)
{
    char path[NAME_MAX + 1];
    struct stat st;
    if (span_copy(path, sizeof path, name) < 0 || memchr(path, '/', name.n) != NULL)
        return error_set(e, "this is no name of a file");
    struct source from = {
        .fd = openat(q->spool.dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    if (from.fd < 0)
        return error_set(e, "spool/%.100s: %s", path, strerror(errno));
    bool is_file = fstat(from.fd, &st) == 0 && S_ISREG(st.st_mode);
    int rc = is_file ? put(path, O_TRUNC, &from, e)
                     : error_set(e, "spool/%.100s is not a file: look at it yourself", path);
    close(from.fd);
    if (rc == 0)
        spool_remove_name(&q->spool, name);
    return rc;
}
