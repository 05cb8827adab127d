#include "cli/mailq.h"

#include "cli/cli.h"
#include "cli/text.h"
#include "common/admin.h"

#include <sysexits.h>

static struct column field(const struct row *row, const char *name)
{
    struct unpacker u = unpacker_on(row_fields(row));
    struct column c;
    while (column_next(&u, &c))
        if (span_eq(c.name, span_of(name)))
            return c;
    return (struct column){.text = SPAN("")};
}

/* "Sun Nov 22 05:01:12" by this machine's clock, as mailq has always shown it. */
static void put_time(struct buf *out, int64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    char text[40];
    if (localtime_r(&t, &tm) == NULL || strftime(text, sizeof text, "%a %b %d %H:%M:%S", &tm) == 0)
        snprintf(text, sizeof text, "-");
    buf_addf(out, "%-19s", text);
}

static void put_rcpt(struct buf *out, const struct row *row)
{
    struct span reply = field(row, "last_reply").text;
    if (reply.n > 0) {
        buf_addf(out, "%48s(", "");
        text_terminal(out, reply);
        buf_addf(out, ")\n");
    }
    buf_addf(out, "%49s", "");
    text_terminal(out, field(row, "address").text);
    buf_addf(out, "\n");
}

/* A message with its recipients that are still to be served; '*' is being sent, '!' is held. */
static void put_message(struct buf *out, const struct rows *r, size_t at)
{
    const struct row *row = &r->list[at];
    struct span state = field(row, "state").text, from = field(row, "from").text;
    const char *mark = span_eq(state, SPAN("active")) ? "*"
                       : span_eq(state, SPAN("held")) ? "!"
                                                      : " ";
    text_terminal(out, field(row, "id").text);
    buf_addf(out, "%s %10lld  ", mark, (long long)field(row, "size").number);
    put_time(out, field(row, "arrived").number);
    buf_addf(out, "  ");
    text_terminal(out, from.n > 0 ? from : SPAN("MAILER-DAEMON"));
    buf_addf(out, "\n");
    for (size_t i = at + 1; i < rows_end_of(r, at); i++) {
        struct span rcpt = field(&r->list[i], "state").text;
        if (!span_eq(rcpt, SPAN("done")) && !span_eq(rcpt, SPAN("bounced")))
            put_rcpt(out, &r->list[i]);
    }
    buf_addf(out, "\n");
}

static void put_queue(struct buf *out, const struct rows *r)
{
    uint64_t octets = 0, n = 0;
    if (r->n > 0)
        buf_addf(out, "---Queue ID---    --Size--  ---Arrival Time----  -Sender/Recipient------\n");
    for (size_t i = 0; i < r->n; i = rows_end_of(r, i)) {
        put_message(out, r, i);
        octets += (uint64_t)field(&r->list[i], "size").number;
        n++;
    }
    if (n == 0)
        buf_addf(out, "Mail queue is empty\n");
    else
        buf_addf(out, "-- %llu Kbytes in %llu Request%s.\n",
                 (unsigned long long)((octets + 1023) / 1024), (unsigned long long)n,
                 n == 1 ? "" : "s");
}

/* 0, or an exit status (said): the queue is the administrator's. */
static int ask(const struct sendmail *s, const struct question *q, struct rows *rows)
{
    struct cli cli = {.config_given = s->config_given};
    struct error e;
    bool is_absent = false;
    int status = EX_CONFIG, rc = cli_load(&cli, &e);
    if (rc == 0) {
        rc = cli_ask(&cli, q, rows, &is_absent, &e);
        bool is_forbidden =
            rc < 0 && !is_absent && span_starts(span_of(e.text), SPAN("cannot reach"));
        status = is_forbidden ? EX_NOPERM : EX_UNAVAILABLE;
    }
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", s->program, e.text);
    config_free(cli.config);
    free(cli.text);
    return rc == 0 ? 0 : status;
}

int mailq_list(const struct sendmail *s)
{
    struct question q = {.process = ROLE_QUEUE, .admin = "queue list"};
    struct rows rows = {.n = 0};
    struct buf out;
    int status = ask(s, &q, &rows);
    buf_init(&out, SIZE_MAX / 4);
    if (status == 0) {
        put_queue(&out, &rows);
        fwrite(buf_span(&out).p, 1, buf_span(&out).n, stdout);
    }
    buf_free(&out);
    rows_free(&rows);
    return status;
}

int mailq_retry(const struct sendmail *s)
{
    char domain[300];
    struct span args[] = {SPAN("state=deferred"), SPAN("if-any=yes")};
    struct question q = {.process = ROLE_QUEUE, .admin = "queue retry", .args = args, .n_args = 2};
    struct rows rows = {.n = 0};
    if (s->retry_domain != NULL) {
        snprintf(domain, sizeof domain, "domain=%.255s", s->retry_domain);
        args[0] = span_of(domain);
    } else if (s->retry_id != NULL) {
        args[0] = span_of(s->retry_id);
        q.n_args = 1; /* a message that is not there was not tried */
    }
    int status = ask(s, &q, &rows);
    rows_free(&rows);
    return status;
}
