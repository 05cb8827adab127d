#include "queue/warning.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "common/maildb.h"

#define TEXT_MAX 4096

/* "1.5 GB": for people, and in powers of two as quotas are given. */
static void write_size(char out[32], uint64_t octets)
{
    static const char *const units[] = {"KB", "MB", "GB", "TB"};
    size_t unit = 0;
    uint64_t tenths = octets / 1024 * 10 + octets % 1024 * 10 / 1024;
    while (tenths >= 10240 && unit + 1 < sizeof units / sizeof units[0]) {
        tenths /= 1024;
        unit++;
    }
    snprintf(out, 32, "%llu.%llu %s", (unsigned long long)(tenths / 10),
             (unsigned long long)(tenths % 10), units[unit]);
}

struct fill {
    uint64_t octets, quota;
};

static unsigned percent_of(const struct fill *f)
{
    return (unsigned)(f->quota >= 100 ? f->octets / (f->quota / 100) : 100);
}

static int compose(struct buf *out, const char *hostname, uint64_t id, const struct fill *f)
{
    char date[CLOCK_TEXT_MAX], text[ID_TEXT], used[32], quota[32];
    unsigned percent = percent_of(f) < 100 ? percent_of(f) : 100;
    clock_rfc5322(date, clock_wall_s());
    id_format(text, id);
    write_size(used, f->octets);
    write_size(quota, f->quota);
    int rc = buf_addf(out,
                      "From: Mail delivery <MAILER-DAEMON@%s>\r\n"
                      "To: undisclosed-recipients:;\r\n"
                      "Subject: Your mailbox is %u%% full\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n"
                      "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
                      hostname, percent, date, text, hostname);
    rc |= buf_addf(out,
                   "Your mailbox is almost full: %s of %s are used (%u%%).\r\n\r\n"
                   "When it is full, new mail cannot be delivered to you until there is room\r\n"
                   "again.\r\n\r\n"
                   "Please delete messages that you do not need any more, or let your mail\r\n"
                   "program remove them from the server when it has collected them. If you\r\n"
                   "need more room, ask the person who looks after your mail.\r\n\r\n",
                   used, quota, percent);
    rc |= buf_addf(out, "The mail system wrote this message. It will not write it again unless\r\n"
                        "there was more room in the mailbox and it fills up once more.\r\n");
    return rc;
}

static enum intake_reason add_warning(struct queue *q, const struct box_target *b,
                                      struct span content)
{
    struct targets to = {0};
    struct content_scan scan;
    int64_t now_s = clock_wall_s();
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    struct message m = {.id = id_new(),
                        .arrived = now_s,
                        .expires = now_s + q->config->relay.delivery.expire_ms / 1000,
                        .size = scan.octets,
                        .header = scan.header,
                        .flags = scan.flags};
    struct delivery d = {.message = &m, .content = content, .targets = &to, .passes_quota = true};
    memcpy(m.hash, scan.hash, sizeof m.hash);
    if (targets_add_box(&to, b->box, b->quota) < 0)
        return INTAKE_OK;
    enum intake_reason reason = deliver(q->store, &d);
    if (reason == INTAKE_OK)
        LOG(m.id, "quota-warning", LN("mailbox", (int64_t)b->box));
    targets_free(&to);
    return reason;
}

/* Does this much more take it from below the mark to it or over it? */
static bool crosses(const struct queue *q, const struct box_target *b, uint64_t octets)
{
    uint64_t percent = full_percent(q->config->mailbox.quota_warning);
    uint64_t mark = b->quota / 100 * percent + b->quota % 100 * percent / 100;
    return percent > 0 && b->quota > 0 && b->before.octets < mark &&
           b->before.octets + octets >= mark;
}

enum intake_reason warning_deliver(struct queue *q, const struct delivery *d)
{
    enum intake_reason reason = deliver(q->store, d);
    uint64_t octets =
        d->message->size + maildb_prefix_octets(d->message->sender, d->message->flags);
    for (size_t i = 0; i < d->targets->n_boxes && reason == INTAKE_OK; i++) {
        const struct box_target *b = &d->targets->boxes[i];
        struct fill fill = {b->before.octets + octets, b->quota};
        struct buf text;
        if (!crosses(q, b, octets))
            continue;
        buf_init(&text, TEXT_MAX);
        if (compose(&text, q->config->hostname, id_new(), &fill) == 0)
            reason = add_warning(q, b, buf_span(&text));
        buf_free(&text);
    }
    return reason;
}
