#include "queue/dsn_original.h"

#include "common/content.h"
#include "common/proto.h"
#include "common/qp.h"

#define END_ROOM        1000  /* for what stands around it */
#define HEADER_MAX      20000 /* of the header section shown */
#define LINE_MAX_OCTETS 998   /* RFC 5322 2.1.1 */

/* A line as it stands, but a store that was damaged must not make us write what no line may hold.
 */
static int add_line(struct buf *out, struct span line)
{
    char *room = buf_room(out, line.n + 2);
    if (room == NULL)
        return -1;
    for (size_t i = 0; i < line.n; i++)
        room[i] = line.p[i] == '\r' || line.p[i] == '\0' ? '?' : line.p[i];
    memcpy(room + line.n, "\r\n", 2);
    buf_grew(out, line.n + 2);
    return 0;
}

static int add_encoded(struct buf *out, struct span line)
{
    return qp_encode(out, line) | buf_add(out, "\r\n", 2);
}

static bool is_8bit(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7e)
            return true;
    return false;
}

struct part {
    const char *boundary, *what, *type;
    const char *encoding; /* NULL: none */
};

static int begin(const struct part *p, struct buf *out)
{
    int rc = buf_addf(out, "--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n", p->boundary,
                      p->what, p->type);
    if (p->encoding != NULL)
        rc |= buf_addf(out, "Content-Transfer-Encoding: %s\r\n", p->encoding);
    return rc | buf_add(out, "\r\n", 2);
}

/* The lines of the header section; no longer than lines may be, and not too many. */
static int add_lines(struct span header, bool is_encoded, struct buf *out)
{
    size_t shown = 0, room = out->max - buf_span(out).n;
    size_t max = room < END_ROOM ? 0 : room - END_ROOM < HEADER_MAX ? room - END_ROOM : HEADER_MAX;
    int rc = 0;
    while (header.n > 0 && rc == 0) {
        struct span line = span_cut(&header, '\n');
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n > LINE_MAX_OCTETS)
            line.n = LINE_MAX_OCTETS;
        shown += (is_encoded ? qp_size(line) : line.n) + 2;
        if (line.n == 0 || shown > max)
            break;
        rc = is_encoded ? add_encoded(out, line) : add_line(out, line);
    }
    return rc;
}

/* May all of it be shown? What a damaged store gives is not. */
static bool fits(const struct dsn_original *o, const struct buf *out)
{
    struct content_scan scan;
    size_t room = out->max - buf_span(out).n;
    bool is_asked = o->wants_all && (o->flags & CONTENT_LONGLINE) == 0;
    if (!is_asked || o->start.n == 0 || o->start.n != o->size || room < END_ROOM ||
        o->start.n > room - END_ROOM)
        return false;
    content_begin(&scan);
    content_add(&scan, o->start);
    content_end(&scan);
    return !scan.is_damaged;
}

static int add_all(const struct dsn_original *o, struct part *p, bool is_global, struct buf *out)
{
    p->what = "The message";
    p->type = is_global ? "message/global" : "message/rfc822";
    p->encoding = is_8bit(o->start) ? "8bit" : NULL;
    return begin(p, out) | buf_add_span(out, o->start);
}

static int add_header(struct span header, struct part *p, bool is_encoded, struct buf *out)
{
    p->what = "Header of the message";
    p->encoding = is_encoded ? "quoted-printable" : is_8bit(header) ? "8bit" : NULL;
    return begin(p, out) | add_lines(header, is_encoded, out);
}

int dsn_original_add(const struct dsn_original *o, const char *boundary, bool is_7bit,
                     struct buf *out)
{
    bool is_global = (o->flags & CONTENT_UTF8) != 0 && (o->flags & CONTENT_HEADER8) != 0;
    struct span header = {o->start.p, o->header < o->start.n ? o->header : o->start.n};
    struct part p = {.boundary = boundary,
                     .type = is_global ? "message/global-headers" : "text/rfc822-headers"};
    int rc = fits(o, out) ? add_all(o, &p, is_global, out)
                          : add_header(header, &p, is_7bit && !is_global && is_8bit(header), out);
    return rc | buf_addf(out, "\r\n--%s--\r\n", boundary);
}
