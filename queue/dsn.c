#include "queue/dsn.h"

#include "common/clock.h"
#include "common/content.h"
#include "common/id.h"
#include "common/idn.h"
#include "common/notify.h"
#include "common/utf8.h"

#define PART_MAX        20000 /* each of the two parts about recipients; */
#define GOOD_MAX        8000  /* in the one for people, those that went well */
#define EXPERTS_MAX     8000  /* of the dialogues */
#define END_ROOM        1000  /* for what stands around the original */
#define HEADER_MAX      20000 /* of the header section shown */
#define LINE_MAX_OCTETS 998   /* RFC 5322 2.1.1 */

/* Text from elsewhere, on the line that is being written. */
static int add_foreign(struct buf *b, struct span s)
{
    char piece[256];
    while (s.n > 0) {
        size_t n = s.n < sizeof piece ? s.n : sizeof piece;
        for (size_t i = 0; i < n; i++)
            piece[i] = s.p[i] >= ' ' && s.p[i] < 0x7f ? s.p[i] : '?';
        if (buf_add(b, piece, n) < 0)
            return -1;
        s = span_from(s, n);
    }
    return 0;
}

/* An address: UTF-8 stays, where it is UTF-8. */
static int add_address(struct buf *b, struct span s)
{
    bool is_shown = !idn_is_ascii(s) && utf8_is_valid(s);
    for (size_t i = 0; i < s.n && is_shown; i++)
        is_shown = (unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f;
    return is_shown ? buf_add_span(b, s) : add_foreign(b, s);
}

static int add(struct buf *b, const char *text)
{
    return buf_add_span(b, span_of(text));
}

/* "Name: value" with a value from elsewhere; `type` stands before it ("dns; "). */
static int add_field(struct buf *b, const char *name, const char *type, struct span value)
{
    int rc = add(b, name) | add(b, ": ") | add(b, type);
    return rc | add_foreign(b, value) | add(b, "\r\n");
}

struct span dsn_status(struct span reply, char class)
{
    struct span s = reply;
    bool has_code = s.n > 4 && s.p[0] >= '2' && s.p[0] <= '5' && (s.p[3] == ' ' || s.p[3] == '-');
    if (has_code)
        s = span_from(s, 4);
    size_t n = 0, digits = 0, dots = 0;
    for (; n < s.n && n < 9; n++) {
        bool is_digit = s.p[n] >= '0' && s.p[n] <= '9';
        if (!is_digit && (s.p[n] != '.' || digits == 0))
            break;
        digits = is_digit ? digits + 1 : 0;
        dots += !is_digit;
    }
    bool is_status = n >= 5 && s.p[0] == class && s.p[1] == '.' && dots == 2 && digits > 0 &&
                     (n == s.n || s.p[n] == ' ');
    if (is_status)
        return (struct span){s.p, n};
    return class == '5' ? SPAN("5.0.0") : class == '4' ? SPAN("4.0.0") : SPAN("2.0.0");
}

static bool is_smtp_reply(struct span s)
{
    return s.n >= 3 && s.p[0] >= '2' && s.p[0] <= '5' && s.p[1] >= '0' && s.p[1] <= '9' &&
           s.p[2] >= '0' && s.p[2] <= '9' && (s.n == 3 || s.p[3] == ' ' || s.p[3] == '-');
}

/* The name in "mx.example.org[192.0.2.1]:25", or "[192.0.2.1]" if there is none. */
static struct span remote_name(struct span remote)
{
    struct span rest = remote, name = span_cut(&rest, '[');
    if (name.n > 0)
        return name;
    struct span address = span_cut(&rest, ']');
    return address.n > 0 ? (struct span){address.p - 1, address.n + 2} : remote;
}

/* Did a server say it? Else it is our own finding, for instance that it cannot be reached. */
static bool is_from_remote(const struct dsn_recipient *r)
{
    return r->remote.n > 0 && is_smtp_reply(r->reply);
}

void dsn_begin(struct dsn *d, const struct dsn_facts *facts)
{
    *d = (struct dsn){.facts = *facts};
    buf_init(&d->bad, PART_MAX);
    buf_init(&d->good, GOOD_MAX);
    buf_init(&d->machine, PART_MAX);
    buf_init(&d->about, PART_MAX);
    buf_init(&d->experts, EXPERTS_MAX);
}

/* --- about one recipient --- */

static bool is_bad(enum dsn_action a)
{
    return a == DSN_FAILED || a == DSN_DELAYED;
}

static int tell_bad(struct buf *b, const struct dsn_recipient *r)
{
    int rc = 0;
    if (r->is_expired)
        rc |= add(
            b, "    It was tried again and again, and there is no more time. The last answer:\r\n");
    rc |= add(b, "    ");
    if (is_from_remote(r))
        rc |= add_foreign(b, remote_name(r->remote)) | add(b, " said: ");
    return rc | add_foreign(b, r->reply.n > 0 ? r->reply : SPAN("no answer")) | add(b, "\r\n\r\n");
}

static int tell_good(struct buf *b, const struct dsn_recipient *r)
{
    if (r->action == DSN_DELIVERED)
        return add(b, "    It is in the mailbox.\r\n\r\n");
    if (r->action == DSN_EXPANDED)
        return add(b,
                   "    This address stands for several; it was passed on to all of them, and\r\n"
                   "    you will not be told of each.\r\n\r\n");
    return add(b, "    It was taken by the server ") |
           add_foreign(b, r->remote.n > 0 ? remote_name(r->remote) : SPAN("next on its way")) |
           add(b, ",\r\n    which does not tell what becomes of it.\r\n\r\n");
}

static int tell_people(struct dsn *d, const struct dsn_recipient *r)
{
    struct buf *b = is_bad(r->action) ? &d->bad : &d->good;
    int rc = add(b, "  <") | add_address(b, r->address) | add(b, ">\r\n");
    return rc | (is_bad(r->action) ? tell_bad(b, r) : tell_good(b, r));
}

static int add_time(struct buf *b, const char *name, int64_t when_s)
{
    char text[CLOCK_TEXT_MAX];
    clock_rfc5322(text, when_s);
    return buf_addf(b, "%s: %s\r\n", name, text);
}

/* In ASCII whatever it is, so that any server can pass the report on (RFC 6533 3). */
static int add_final(struct buf *b, struct span address)
{
    char text[6 * ADDRESS_MAX + 1];
    if (!idn_is_ascii(address) && utf8_addr_encode(address, text, sizeof text) > 0)
        return add_field(b, "Final-Recipient", "utf-8; ", span_of(text));
    return add_field(b, "Final-Recipient", "rfc822; ", address);
}

/* RFC 3464 2.3: the fields of one recipient, with the empty line that ends the group before. */
static int tell_machine(struct dsn *d, const struct dsn_recipient *r)
{
    static const char *const actions[DSN_ACTIONS] = {
        [DSN_FAILED] = "failed",   [DSN_DELAYED] = "delayed",   [DSN_DELIVERED] = "delivered",
        [DSN_RELAYED] = "relayed", [DSN_EXPANDED] = "expanded",
    };
    struct buf *b = &d->machine;
    char orcpt[ORCPT_MAX + 2];
    int rc = add(b, "\r\n");
    if (r->orcpt.n > 0 && orcpt_show(r->orcpt, orcpt) > 0)
        rc |= add_field(b, "Original-Recipient", "", span_of(orcpt));
    rc |= add_final(b, r->address);
    rc |= buf_addf(b, "Action: %s\r\n", actions[r->action]);
    rc |= add_field(b, "Status", "", r->status);
    if (is_from_remote(r))
        rc |= add_field(b, "Remote-MTA", "dns; ", remote_name(r->remote));
    if (is_smtp_reply(r->reply))
        rc |= add_field(b, "Diagnostic-Code", "smtp; ", r->reply);
    if (r->last_attempt > 0)
        rc |= add_time(b, "Last-Attempt-Date", r->last_attempt);
    if (r->action == DSN_DELAYED)
        rc |= add_time(b, "Will-Retry-Until", d->facts.expires);
    return rc;
}

/* Cuts back what a recipient that does not fit has left behind. */
static void cut_back(struct buf *b, size_t to)
{
    b->end = b->at + to;
}

int dsn_add(struct dsn *d, const struct dsn_recipient *r)
{
    size_t bad = buf_span(&d->bad).n, good = buf_span(&d->good).n,
           machine = buf_span(&d->machine).n;
    if (tell_people(d, r) == 0 && tell_machine(d, r) == 0) {
        d->has[r->action] = true;
        if (is_bad(r->action)) /* without memory: what is said of it is not shown */
            (void)(add_foreign(&d->about, r->address) == 0 && add(&d->about, "\n"));
        return 0;
    }
    cut_back(&d->bad, bad);
    cut_back(&d->good, good);
    cut_back(&d->machine, machine);
    return -1;
}

/* --- the whole --- */

static const char *subject(const struct dsn *d)
{
    if (d->has[DSN_FAILED])
        return "Your message could not be delivered";
    if (d->has[DSN_DELAYED])
        return "Your message is late";
    return d->has[DSN_DELIVERED] ? "Your message was delivered" : "Your message was passed on";
}

static int add_header(struct dsn *d, const char *boundary, struct buf *out)
{
    const struct dsn_facts *f = &d->facts;
    char now[CLOCK_TEXT_MAX], id[ID_TEXT];
    clock_rfc5322(now, f->now);
    id_format(id, f->id);
    int rc = add(out, "From: Mail delivery <MAILER-DAEMON@") | add_foreign(out, f->hostname) |
             add(out, ">\r\nTo: <") | add_address(out, f->to) | add(out, ">\r\n");
    rc |= buf_addf(out, "Subject: %s\r\nDate: %s\r\nMessage-ID: <%s@", subject(d), now, id);
    rc |= add_foreign(out, f->hostname);
    rc |= buf_addf(out,
                   ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                   "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                   "\tboundary=\"%s\"\r\n\r\n"
                   "This is a delivery report in several parts (MIME).\r\n\r\n",
                   boundary);
    return rc;
}

static int add_bad(struct dsn *d, struct buf *out)
{
    char until[CLOCK_TEXT_MAX];
    clock_rfc5322(until, d->facts.expires);
    int rc = add(out, d->has[DSN_FAILED] ? "could not be delivered to:\r\n\r\n"
                                         : "has not been delivered yet to:\r\n\r\n");
    rc |= buf_add_span(out, buf_span(&d->bad));
    if (d->has[DSN_FAILED])
        return rc |
               add(out,
                   "Nothing more will be done about it: check the address, and send the message\r\n"
                   "again if it still matters. You find it, or its header, at the end of this "
                   "report.\r\n");
    return rc | buf_addf(out,
                         "There is nothing you need to do. It is tried again until\r\n%s;\r\n"
                         "if that fails too, you will be told.\r\n",
                         until);
}

static int add_good(struct dsn *d, bool is_alone, struct buf *out)
{
    const char *verb = d->has[DSN_DELIVERED] ? "delivered" : "passed on";
    return buf_addf(out, "%swas %s, as you asked to be told, for:\r\n\r\n",
                    is_alone ? "" : "\r\nIt ", verb) |
           buf_add_span(out, buf_span(&d->good));
}

static int add_people(struct dsn *d, const char *boundary, struct buf *out)
{
    const struct dsn_facts *f = &d->facts;
    char when[CLOCK_TEXT_MAX], about[ID_TEXT];
    bool has_bad = buf_span(&d->bad).n > 0;
    clock_rfc5322(when, f->arrived);
    id_format(about, f->about);
    bool is_ascii = idn_is_ascii(buf_span(&d->bad)) && idn_is_ascii(buf_span(&d->good));
    int rc = buf_addf(out,
                      "--%s\r\nContent-Description: Explanation\r\n"
                      "Content-Type: text/plain; charset=%s\r\n\r\n"
                      "This is the mail server ",
                      boundary, is_ascii ? "us-ascii" : "utf-8\r\nContent-Transfer-Encoding: 8bit");
    rc |= add_foreign(out, f->hostname);
    rc |= buf_addf(out, ".\r\n\r\nYour message of %s\r\n", when);
    if (has_bad)
        rc |= add_bad(d, out);
    if (buf_span(&d->good).n > 0)
        rc |= add_good(d, !has_bad, out);
    rc |= buf_addf(out, "\r\nIf you ask your postmaster about it, name the number %s.\r\n\r\n",
                   about);
    return rc | buf_add_span(out, buf_span(&d->experts));
}

static int add_machine(struct dsn *d, const char *boundary, struct buf *out)
{
    char envid[ENVID_MAX];
    ssize_t n = d->facts.envid.n <= ENVID_MAX ? xtext_decode(d->facts.envid, envid) : 0;
    int rc = buf_addf(out,
                      "--%s\r\nContent-Description: Delivery report\r\n"
                      "Content-Type: message/delivery-status\r\n\r\n",
                      boundary);
    if (n > 0)
        rc |= add_field(out, "Original-Envelope-Id", "", (struct span){envid, (size_t)n});
    rc |= add_field(out, "Reporting-MTA", "dns; ", d->facts.hostname);
    rc |= add_time(out, "Arrival-Date", d->facts.arrived);
    if (d->facts.hold_request.n > 0)
        rc |= add_field(out, "Future-Release-Request", "", d->facts.hold_request);
    return rc | buf_add_span(out, buf_span(&d->machine)) | add(out, "\r\n");
}

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

static bool is_8bit(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7e)
            return true;
    return false;
}

static int begin_original(const char *boundary, const char *what, const char *type, bool has_8bit,
                          struct buf *out)
{
    return buf_addf(out, "--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n%s\r\n", boundary,
                    what, type, has_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

/* The lines of the header section; no longer than lines may be, and not too many. */
static int add_lines(struct span header, struct buf *out)
{
    size_t shown = 0, room = out->max - buf_span(out).n;
    size_t max = room < HEADER_MAX + END_ROOM ? room - END_ROOM : HEADER_MAX;
    int rc = 0;
    while (header.n > 0 && rc == 0) {
        struct span line = span_cut(&header, '\n');
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n > LINE_MAX_OCTETS)
            line.n = LINE_MAX_OCTETS;
        shown += line.n + 2;
        if (line.n == 0 || shown > max)
            break;
        rc = add_line(out, line);
    }
    return rc;
}

/* May all of it be shown? What a damaged store gives is not. */
static bool fits(const struct dsn *d, const struct dsn_original *o, const struct buf *out)
{
    struct content_scan scan;
    bool is_asked = o->wants_all && d->has[DSN_FAILED] && (o->flags & CONTENT_LONGLINE) == 0;
    if (!is_asked || o->start.n == 0 || o->start.n != o->size ||
        o->start.n > out->max - buf_span(out).n - END_ROOM)
        return false;
    content_begin(&scan);
    content_add(&scan, o->start);
    content_end(&scan);
    return !scan.is_damaged;
}

static int add_original(const struct dsn *d, const struct dsn_original *o, const char *boundary,
                        struct buf *out)
{
    bool is_global = (o->flags & CONTENT_UTF8) != 0 && (o->flags & CONTENT_HEADER8) != 0;
    struct span header = {o->start.p, o->header < o->start.n ? o->header : o->start.n};
    int rc;
    if (fits(d, o, out))
        rc = begin_original(boundary, "Your message",
                            is_global ? "message/global" : "message/rfc822", is_8bit(o->start),
                            out) |
             buf_add_span(out, o->start);
    else
        rc = begin_original(boundary, "Header of your message",
                            is_global ? "message/global-headers" : "text/rfc822-headers",
                            is_8bit(header), out) |
             add_lines(header, out);
    return rc | buf_addf(out, "\r\n--%s--\r\n", boundary);
}

int dsn_finish(struct dsn *d, const struct dsn_original *original, struct buf *out)
{
    char boundary[ID_TEXT + 8], id[ID_TEXT];
    id_format(id, d->facts.id);
    snprintf(boundary, sizeof boundary, "=_%s", id); /* "=_" cannot stand in what is not MIME */
    int rc = add_header(d, boundary, out) | add_people(d, boundary, out) |
             add_machine(d, boundary, out) | add_original(d, original, boundary, out);
    buf_free(&d->bad);
    buf_free(&d->good);
    buf_free(&d->machine);
    buf_free(&d->about);
    buf_free(&d->experts);
    return rc == 0 ? 0 : -1;
}
