/* `barid mailbox export`: mailbox hands out the messages one by one, here they become files. */
#include "cli/mailbox.h"
#include "cli/mailbox_file.h"
#include "cli/progress.h"
#include "common/content.h"
#include "common/id.h"
#include "common/ipc.h"
#include "common/unixsock.h"
#include "common/verdict.h"

#include <errno.h>
#include <inttypes.h>

#define ANSWER_MS 60000

struct job {
    struct cli *cli;
    struct mailbox from;
    struct period period;
    struct mailbox_file *file;
    struct loop *loop;
    struct ipc *ch;
    struct progress progress;
    uint64_t after, n_exported, n_there, n_damaged, octets;
    bool is_answered, is_over;
    int rc;
    struct error error;
};

static int fail(struct job *j, const char *why)
{
    if (j->rc == 0)
        error_set(&j->error, "%s", why);
    return j->rc = -1;
}

static void damaged(struct job *j, uint64_t id)
{
    char text[ID_TEXT];
    id_format(text, id <= INT64_MAX ? id : 0);
    j->n_damaged++;
    progress_end(&j->progress);
    cli_fail(j->cli, "left out: message %s is damaged; its octets are not those that were accepted",
             text);
}

static int add(struct job *j, struct content_scan *scan, struct span s)
{
    content_add(scan, s);
    return mailbox_file_add(j->file, s, &j->error);
}

/* Content from the answer, or from the file that came with it. 0, or -1 and j->error; whether it is
 * what was accepted tells the scan. */
static int copy(struct job *j, const struct msg_export_next_re *m, int fd,
                struct content_scan *scan)
{
    static char room[CHUNK_MAX];
    content_begin(scan);
    if (mailbox_file_add(j->file, m->prefix, &j->error) < 0)
        return -1;
    if (fd < 0 && m->content.n > 0 && add(j, scan, m->content) < 0)
        return -1;
    while (fd >= 0) {
        ssize_t n = pread(fd, room, sizeof room, (off_t)scan->octets);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (add(j, scan, (struct span){room, (size_t)n}) < 0)
            return -1;
    }
    content_end(scan);
    return 0;
}

static int write_message(struct job *j, const struct msg_export_next_re *m, int fd)
{
    char id[ID_TEXT];
    struct content_scan scan;
    id_format(id, m->id);
    struct mailbox_file_message about = {.sequence = m->sequence,
                                         .id = span_of(id),
                                         .uidl = m->uidl,
                                         .sender = m->sender,
                                         .arrived = (int64_t)m->arrived};
    int rc = mailbox_file_begin(j->file, &about, &j->error);
    j->n_there += rc == 0;
    if (rc <= 0)
        return rc;
    if (copy(j, m, fd, &scan) < 0)
        return -1;
    bool is_right = scan.octets == m->octets && m->hash.n == CONTENT_HASH &&
                    memcmp(scan.hash, m->hash.p, CONTENT_HASH) == 0;
    if (mailbox_file_end(j->file, is_right, &j->error) < 0)
        return -1;
    j->n_exported += is_right;
    j->octets += is_right ? scan.octets : 0;
    if (!is_right)
        damaged(j, m->id);
    return 0;
}

static void take(struct job *j, const struct msg_export_next_re *m, int fd)
{
    if (m->verdict == VERDICT_NEVER) {
        j->is_over = true;
        return;
    }
    if (m->sequence <= j->after || m->id > INT64_MAX || m->arrived > INT64_MAX) {
        fail(j, "the mailbox cannot be read: see the log");
        return;
    }
    j->after = m->sequence;
    if (m->verdict != VERDICT_OK)
        damaged(j, m->id);
    else if (period_has(&j->period, (int64_t)m->arrived) && write_message(j, m, fd) < 0)
        j->rc = -1;
    progress_at(&j->progress, j->n_exported + j->n_there, j->octets);
}

static void answered(void *arg, const union msg *m, int fd)
{
    struct job *j = arg;
    j->is_answered = true;
    if (m == NULL)
        fail(j, "mailbox does not answer: see the log");
    else
        take(j, &m->export_next_re, fd);
    if (fd >= 0)
        close(fd);
}

static void on_close(void *owner, struct ipc *ch)
{
    (void)ch;
    fail(owner, "mailbox ended the connection: see the log, then run the export again");
}

static const struct ipc_ops ops = {.on_close = on_close};

static int export_all(struct job *j)
{
    while (j->rc == 0 && !j->is_over) {
        struct msg_export_next m = {.box = j->from.box, .after = j->after};
        j->is_answered = false;
        if (ipc_ask_export_next(j->ch, &m, -1, ANSWER_MS, answered, j) == 0)
            return fail(j, "mailbox cannot be asked: see the log");
        while (!j->is_answered && j->rc == 0)
            loop_turn(j->loop, -1);
    }
    return j->rc == 0 ? mailbox_file_finish(j->file, &j->error) : -1;
}

static int report(struct job *j)
{
    static struct admin_row r;
    struct rows rows = {.n = 0};
    row_begin(&r);
    row_text(&r, "address", span_of(j->from.address));
    row_number(&r, "exported", (int64_t)j->n_exported);
    row_number(&r, "there_before", (int64_t)j->n_there);
    row_number(&r, "damaged", (int64_t)j->n_damaged);
    row_size(&r, "octets", j->octets);
    int status = rows_add(&rows, 0, SPAN(""), packer_span(&r.w)) < 0
                     ? cli_fail(j->cli, "no memory")
                     : mailbox_print(j->cli, &rows, SHAPE_OBJECT);
    rows_free(&rows);
    if (status == EXIT_DONE && j->n_damaged > 0)
        status =
            cli_fail(j->cli, "%" PRIu64 " messages are damaged and were left out", j->n_damaged);
    return status;
}

static int connect_to(struct job *j)
{
    bool is_absent = false;
    int fd = unixsock_connect(j->cli->config->run_dir, "mailbox.sock", &is_absent, &j->error);
    if (fd < 0 && is_absent)
        return error_set(&j->error, "barid is not running: start it with: barid run");
    if (fd < 0)
        return -1;
    j->loop = loop_new();
    if (j->loop == NULL) {
        close(fd);
        return error_set(&j->error, "no memory");
    }
    j->ch = ipc_open(j->loop, fd, ROLE_CLI, ROLE_MAILBOX, &ops, j);
    return j->ch != NULL ? 0 : error_set(&j->error, "no memory");
}

int mailbox_export_main(struct cli *cli)
{
    struct job j = {.cli = cli};
    struct span maildir = cli_option(cli, "maildir"), mbox = cli_option(cli, "mbox");
    if ((maildir.p == NULL) == (mbox.p == NULL))
        return cli_wrong_usage(cli, "either --maildir DIR or --mbox FILE");
    int status = period_read(cli, &j.period);
    if (status != EXIT_DONE)
        return status;
    progress_begin(&j.progress, cli, "messages", 0);
    if (cli_load(cli, &j.error) == 0 && mailbox_find(cli, &j.from, &j.error) == 0 &&
        connect_to(&j) == 0)
        j.file = maildir.p != NULL ? mailbox_file_maildir(maildir.p, &j.error)
                                   : mailbox_file_mbox(mbox.p, &j.error);
    int rc = j.file != NULL ? export_all(&j) : -1;
    progress_end(&j.progress);
    status = rc == 0 ? report(&j) : cli_fail(cli, "%s", j.error.text);
    mailbox_file_close(j.file);
    ipc_close(j.ch);
    if (j.loop != NULL)
        loop_free(j.loop);
    return status;
}
