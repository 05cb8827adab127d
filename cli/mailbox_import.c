/* `barid mailbox import`: from a Maildir or an mbox file, message by message. */
#include "cli/import.h"
#include "cli/maildir.h"
#include "cli/mbox.h"
#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#define SAID_MAX 20 /* messages that could not be read are named, so many */

enum uidl_from { UIDL_AUTO, UIDL_DOVECOT, UIDL_COURIER, UIDL_FILE_NAME, UIDL_HEADER, UIDL_NEW };
static const char *const uidl_names[] = {"auto",      "dovecot", "courier",
                                         "file-name", "x-uidl",  "new"};

struct job {
    struct cli *cli;
    struct mailbox to;
    struct import *im;
    struct period period;
    enum uidl_from uidl_from;
    const char *format;
    struct progress progress;
    uint64_t n_done, n_left_out, n_unread;
    struct error error;
};

static int copy(struct job *j, int fd)
{
    static char room[CHUNK_MAX];
    for (;;) {
        ssize_t n = read(fd, room, sizeof room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : error_set(&j->error, "cannot read on: %s", strerror(errno));
        if (import_add(j->im, (struct span){room, (size_t)n}) < 0)
            return error_set(&j->error, "%s", import_error(j->im));
    }
}

static void step(struct job *j)
{
    struct import_totals t = import_totals(j->im);
    progress_at(&j->progress, ++j->n_done, t.octets);
}

/* --- Maildir --- */

static struct span uidl_of(struct job *j, struct uidlist *list, struct span name)
{
    if (j->uidl_from == UIDL_FILE_NAME) {
        struct span base = uidlist_base(name);
        return uidlist_is_uidl(base) ? base : SPAN("");
    }
    const struct uidlist_entry *known = list != NULL ? uidlist_find(list, name) : NULL;
    return known != NULL ? uidlist_uidl(list, known) : SPAN("");
}

static void cannot_read(struct job *j, const char *name)
{
    if (j->n_unread++ >= SAID_MAX)
        return;
    progress_end(&j->progress);
    cli_fail(j->cli, "left out: %.200s: %s", name,
             errno == EINVAL  ? "not a plain file"
             : errno == ELOOP ? "a symbolic link"
                              : strerror(errno));
}

static int import_file(struct job *j, struct maildir *m, const struct maildir_file *f,
                       struct uidlist *list)
{
    int64_t mtime;
    const char *name = maildir_name(m, f);
    int fd = maildir_open_file(m, f, &mtime);
    if (fd < 0) {
        cannot_read(j, name);
        return 0;
    }
    int rc = 0;
    struct import_source s = {.key = uidlist_base(span_of(name)),
                              .uidl = uidl_of(j, list, span_of(name)),
                              .wants_x_uidl = j->uidl_from == UIDL_HEADER,
                              .arrived = mtime};
    if (!period_has(&j->period, mtime)) {
        j->n_left_out++;
    } else if (import_begin(j->im, &s) < 0 || copy(j, fd) < 0 || import_end(j->im) < 0) {
        rc = -1;
        if (j->error.text[0] == '\0')
            error_set(&j->error, "%s", import_error(j->im));
    }
    close(fd);
    return rc;
}

/* Which list there is, if it was left to us. */
static void settle_uidls(struct job *j, const struct maildir *m)
{
    if (j->uidl_from != UIDL_AUTO)
        return;
    int dovecot = maildir_open_list(m, "dovecot-uidlist");
    int courier = maildir_open_list(m, "courierpop3dsizelist");
    j->uidl_from = dovecot >= 0 ? UIDL_DOVECOT : courier >= 0 ? UIDL_COURIER : UIDL_FILE_NAME;
    if (dovecot >= 0)
        close(dovecot);
    if (courier >= 0)
        close(courier);
}

static int read_uidls(struct job *j, const struct maildir *m, struct uidlist *list)
{
    bool is_courier = j->uidl_from == UIDL_COURIER;
    const char *name = is_courier ? "courierpop3dsizelist" : "dovecot-uidlist";
    uidlist_begin(list, is_courier ? UIDLIST_COURIER : UIDLIST_DOVECOT, j->format);
    if (!is_courier && j->uidl_from != UIDL_DOVECOT)
        return 0;
    int fd = maildir_open_list(m, name);
    if (fd < 0)
        return error_set(&j->error, "%s in the Maildir: %s", name, strerror(errno));
    int rc = uidlist_read(list, fd, &j->error);
    close(fd);
    return rc;
}

static int import_maildir(struct job *j, const char *path)
{
    struct maildir m;
    struct uidlist list;
    if (maildir_open(&m, path, &j->error) < 0)
        return -1;
    settle_uidls(j, &m);
    int rc = read_uidls(j, &m, &list);
    if (rc == 0)
        rc = maildir_scan(&m, &list, &j->error);
    if (rc == 0)
        progress_begin(&j->progress, j->cli, "messages", m.n);
    for (size_t i = 0; rc == 0 && i < m.n; i++) {
        rc = import_file(j, &m, &m.list[i], &list);
        step(j);
    }
    uidlist_free(&list);
    maildir_close(&m);
    return rc;
}

/* --- mbox --- */

struct file {
    int fd;
};

static int64_t read_at(void *arg, uint64_t offset, char *out, size_t n)
{
    struct file *f = arg;
    ssize_t got;
    if (offset > INT64_MAX)
        return 0;
    do
        got = pread(f->fd, out, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

static int open_mbox(struct job *j, const char *path, int64_t *mtime)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_set(&j->error, "%.200s: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *mtime = (int64_t)st.st_mtime;
        return fd;
    }
    close(fd);
    return error_set(&j->error, "%.200s is not a plain file", path);
}

/* UW-IMAP and Dovecot keep their own notes in a first message that is none. */
static bool is_folder_data(struct span first)
{
    static const char mark[] = "\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA";
    return memmem(first.p, first.n < 4096 ? first.n : 4096, mark, sizeof mark - 1) != NULL;
}

static bool begins_with_folder_data(struct mbox *m, struct file *f)
{
    static char head[4096];
    int64_t n = m->from_at == 0 ? read_at(f, 0, head, sizeof head) : 0;
    return n > 0 && is_folder_data((struct span){head, (size_t)n});
}

static int import_one(struct job *j, struct mbox *m, int64_t arrived)
{
    char key[sizeof m->from + 32];
    struct span piece;
    int rc;
    snprintf(key, sizeof key, "%" PRIu64 " %s", m->from_at, m->from);
    struct import_source s = {.key = span_of(key),
                              .wants_x_uidl =
                                  j->uidl_from == UIDL_AUTO || j->uidl_from == UIDL_HEADER,
                              .arrived = arrived};
    if (import_begin(j->im, &s) < 0)
        return -1;
    while ((rc = mbox_piece(m, &piece)) == 1)
        if (import_add(j->im, piece) < 0)
            return -1;
    return rc < 0 ? error_set(&j->error, "cannot read on: %s", strerror(errno)) : import_end(j->im);
}

static int import_mbox(struct job *j, const char *path)
{
    static struct mbox m;
    int64_t mtime = 0;
    struct file f = {.fd = open_mbox(j, path, &mtime)};
    int rc = f.fd < 0 ? -1 : 1;
    mbox_begin(&m, read_at, &f);
    progress_begin(&j->progress, j->cli, "messages", 0);
    while (rc == 1 && (rc = mbox_next(&m)) == 1) {
        int64_t t = mbox_time(m.from);
        t = t < 0 ? mtime : t;
        if (begins_with_folder_data(&m, &f))
            continue;
        if (!period_has(&j->period, t))
            j->n_left_out++;
        else if (import_one(j, &m, t) < 0)
            rc = -1;
        step(j);
    }
    if (rc < 0 && j->error.text[0] == '\0')
        error_set(&j->error, "%s",
                  import_error(j->im)[0] != '\0'
                      ? import_error(j->im)
                      : "this is no mbox: a line \"From …\" with a time must begin it");
    if (f.fd >= 0)
        close(f.fd);
    return rc;
}

/* --- the command --- */

static int report(struct job *j)
{
    static struct admin_row r;
    struct import_totals t = import_totals(j->im);
    struct rows rows = {.n = 0};
    row_begin(&r);
    row_text(&r, "address", span_of(j->to.address));
    row_number(&r, "imported", (int64_t)t.imported);
    row_number(&r, "known", (int64_t)t.known);
    row_number(&r, "outside_period", (int64_t)j->n_left_out);
    row_number(&r, "mended", (int64_t)t.mended);
    row_number(&r, "new_uidls", (int64_t)t.renamed);
    row_number(&r, "empty", (int64_t)t.empty);
    row_number(&r, "unreadable", (int64_t)j->n_unread);
    row_size(&r, "octets", t.octets);
    int status = rows_add(&rows, 0, SPAN(""), packer_span(&r.w)) < 0
                     ? cli_fail(j->cli, "no memory")
                     : mailbox_print(j->cli, &rows, SHAPE_OBJECT);
    rows_free(&rows);
    if (status == EXIT_DONE && j->n_unread > 0)
        status = cli_fail(j->cli, "%" PRIu64 " messages could not be read and were left out",
                          j->n_unread);
    return status;
}

static int run(struct job *j, const char *maildir, const char *mbox)
{
    j->im = import_open(j->cli, &j->to, &j->error);
    if (j->im == NULL)
        return cli_fail(j->cli, "%s", j->error.text);
    int rc = maildir != NULL ? import_maildir(j, maildir) : import_mbox(j, mbox);
    if (import_finish(j->im) < 0 && (rc == 0 || j->error.text[0] == '\0'))
        rc = error_set(&j->error, "%s", import_error(j->im));
    progress_end(&j->progress);
    int status = rc < 0 ? cli_fail(j->cli, "%s (%" PRIu64 " messages were taken)", j->error.text,
                                   import_totals(j->im).imported)
                        : report(j);
    import_close(j->im);
    return status;
}

static int read_uidl_options(struct job *j)
{
    struct span how = cli_option(j->cli, "uidl"), format = cli_option(j->cli, "uidl-format");
    size_t n = sizeof uidl_names / sizeof uidl_names[0], i = 0;
    while (how.p != NULL && i < n && !span_eq(how, span_of(uidl_names[i])))
        i++;
    if (i == n)
        return cli_wrong_usage(j->cli,
                               "--uidl is auto, dovecot, courier, file-name, x-uidl or new");
    j->uidl_from = (enum uidl_from)i;
    j->format = format.p != NULL ? format.p : UIDLIST_FORMAT;
    if (!uidlist_is_format(j->format))
        return cli_wrong_usage(j->cli,
                               "--uidl-format: '%.60s' is no pop3_uidl_format of Dovecot "
                               "that is known here: %%u %%v %%f %%g, like %%08Xu%%08Xv",
                               j->format);
    return EXIT_DONE;
}

int mailbox_import_main(struct cli *cli)
{
    struct job j = {.cli = cli};
    struct span maildir = cli_option(cli, "maildir"), mbox = cli_option(cli, "mbox");
    if ((maildir.p == NULL) == (mbox.p == NULL))
        return cli_wrong_usage(cli, "either --maildir DIR or --mbox FILE");
    int status = read_uidl_options(&j);
    if (status == EXIT_DONE)
        status = period_read(cli, &j.period);
    if (status != EXIT_DONE)
        return status;
    if (cli_load(cli, &j.error) < 0 || mailbox_find(cli, &j.to, &j.error) < 0)
        return cli_fail(cli, "%s", j.error.text);
    return run(&j, maildir.p, mbox.p);
}
