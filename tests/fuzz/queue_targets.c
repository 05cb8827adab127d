#include "common/content.h"
#include "common/proto.h"
#include "queue/dsn.h"
#include "tests/fuzz/fuzz.h"

/* Lines of `s` that start with `prefix`. */
static size_t count_lines(struct span s, struct span prefix)
{
    size_t n = 0;
    while (s.n > 0) {
        struct span line = span_cut(&s, '\n');
        n += span_istarts(line, prefix);
    }
    return n;
}

static struct span boundary_of(struct span content)
{
    static const char word[] = "boundary=\"";
    const char *at = memmem(content.p, content.n, word, sizeof word - 1);
    fuzz_check(at != NULL, "dsn: no boundary");
    struct span rest = span_from(content, (size_t)(at - content.p) + sizeof word - 1);
    return span_cut(&rest, '"');
}

/* Fields separated by NULs: whatever a remote server or a sender wrote, the report has its three
 * parts, its own fields, and lines as they must be. */
void fuzz_dsn(struct span in)
{
    struct span field[5];
    for (size_t i = 0; i < 5; i++) {
        field[i] = span_cut(&in, '\0');
        if (field[i].p == NULL)
            field[i] = SPAN("");
    }
    struct dsn d;
    struct buf out;
    char delimiter[200];
    struct dsn_facts facts = {.kind = DSN_FINAL,
                              .hostname = SPAN("mx.example.org"),
                              .id = 1,
                              .about = 2,
                              .to = field[4].n % 2 == 0 ? SPAN("eve@client.example")
                                                        : SPAN("\u7528@client.example"),
                              .list = field[3].n % 3 == 1 ? SPAN("staff@client.example") : SPAN(""),
                              .now = 1000};
    struct dsn_recipient r = {.action = DSN_FAILED,
                              .address = field[0],
                              .orcpt = field[3],
                              .status = SPAN("5.0.0"),
                              .remote = field[1],
                              .reply = field[2],
                              .is_expired = field[3].n > 0};
    struct dsn_original original = {.start = field[4], .size = field[4].n, .header = field[4].n};
    dsn_begin(&d, &facts);
    int added = dsn_add(&d, &r);
    buf_init(&out, 2 * DSN_MAX);
    if (dsn_finish(&d, &original, &out) < 0)
        return;
    struct span content = buf_span(&out);
    struct content_scan scan;
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    fuzz_check(!scan.is_damaged && content.n <= DSN_MAX, "dsn: damaged or too large");
    fuzz_check((scan.flags & CONTENT_LONGLINE) == 0, "dsn: a line is too long");
    struct span head = {content.p, (size_t)scan.header};
    fuzz_check(count_lines(head, SPAN("From:")) == 1 && count_lines(head, SPAN("To:")) == 1 &&
                   count_lines(head, SPAN("Subject:")) == 1,
               "dsn: another header field");
    snprintf(delimiter, sizeof delimiter, "--%.*s", (int)boundary_of(content).n,
             boundary_of(content).p);
    fuzz_check(count_lines(content, span_of(delimiter)) == 4, "dsn: another number of parts");
    if (added == 0)
        fuzz_check(count_lines(content, SPAN("Final-Recipient:")) >= 1, "dsn: no recipient");
    buf_free(&out);
}
