#include "queue/dsn.h"

#include "common/clock.h"
#include "common/id.h"

#define PART_MAX        20000 /* each of the two parts about recipients */
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
    return class == '5' ? SPAN("5.0.0") : SPAN("4.0.0");
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
    d->facts = *facts;
    buf_init(&d->people, PART_MAX);
    buf_init(&d->machine, PART_MAX);
}

static int tell_people(struct dsn *d, const struct dsn_recipient *r)
{
    struct buf *b = &d->people;
    int rc = add(b, "  <") | add_foreign(b, r->address) | add(b, ">\r\n");
    if (r->is_expired)
        rc |= add(
            b, "    It was tried again and again, and there is no more time. The last answer:\r\n");
    rc |= add(b, "    ");
    if (is_from_remote(r))
        rc |= add_foreign(b, remote_name(r->remote)) | add(b, " said: ");
    return rc | add_foreign(b, r->reply.n > 0 ? r->reply : SPAN("no answer")) | add(b, "\r\n\r\n");
}

/* RFC 3464 2.3: the fields of one recipient, with the empty line that ends the group before. */
static int tell_machine(struct dsn *d, const struct dsn_recipient *r)
{
    struct buf *b = &d->machine;
    int rc = add(b, "\r\n") | add_field(b, "Final-Recipient", "rfc822; ", r->address);
    rc |= add(b, d->facts.kind == DSN_FAILED ? "Action: failed\r\n" : "Action: delayed\r\n");
    rc |= add_field(b, "Status", "", r->status);
    if (is_from_remote(r))
        rc |= add_field(b, "Remote-MTA", "dns; ", remote_name(r->remote));
    if (is_smtp_reply(r->reply))
        rc |= add_field(b, "Diagnostic-Code", "smtp; ", r->reply);
    if (d->facts.kind == DSN_DELAYED) {
        char until[CLOCK_TEXT_MAX];
        clock_rfc5322(until, d->facts.expires);
        rc |= buf_addf(b, "Will-Retry-Until: %s\r\n", until);
    }
    return rc;
}

/* Cuts back what a recipient that does not fit has left behind. */
static void cut_back(struct buf *b, size_t to)
{
    b->end = b->at + to;
}

int dsn_add(struct dsn *d, const struct dsn_recipient *r)
{
    size_t people = buf_span(&d->people).n, machine = buf_span(&d->machine).n;
    if (tell_people(d, r) == 0 && tell_machine(d, r) == 0)
        return 0;
    cut_back(&d->people, people);
    cut_back(&d->machine, machine);
    return -1;
}

static int add_header(struct dsn *d, const char *boundary, struct buf *out)
{
    const struct dsn_facts *f = &d->facts;
    char now[CLOCK_TEXT_MAX], id[ID_TEXT];
    clock_rfc5322(now, f->now);
    id_format(id, f->id);
    int rc = add(out, "From: Mail delivery <MAILER-DAEMON@") | add_foreign(out, f->hostname) |
             add(out, ">\r\nTo: <") | add_foreign(out, f->to) | add(out, ">\r\n");
    rc |= buf_addf(out, "Subject: %s\r\nDate: %s\r\nMessage-ID: <%s@",
                   f->kind == DSN_FAILED ? "Your message could not be delivered"
                                         : "Your message is late",
                   now, id);
    rc |= add_foreign(out, f->hostname);
    rc |= buf_addf(out,
                   ">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                   "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                   "\tboundary=\"%s\"\r\n\r\n"
                   "This is a delivery report in several parts (MIME).\r\n\r\n",
                   boundary);
    return rc;
}

static int add_people(struct dsn *d, const char *boundary, struct buf *out)
{
    const struct dsn_facts *f = &d->facts;
    char when[CLOCK_TEXT_MAX], until[CLOCK_TEXT_MAX], about[ID_TEXT];
    clock_rfc5322(when, f->arrived);
    clock_rfc5322(until, f->expires);
    id_format(about, f->about);
    int rc = buf_addf(out,
                      "--%s\r\nContent-Description: Explanation\r\n"
                      "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
                      "This is the mail server ",
                      boundary);
    rc |= add_foreign(out, f->hostname);
    rc |= buf_addf(out, ".\r\n\r\nYour message of %s\r\n", when);
    rc |= add(out, f->kind == DSN_FAILED ? "could not be delivered to:\r\n\r\n"
                                         : "has not been delivered yet to:\r\n\r\n");
    rc |= buf_add_span(out, buf_span(&d->people));
    if (f->kind == DSN_FAILED)
        rc |= add(out,
                  "Nothing more will be done about it: check the address, and send the message\r\n"
                  "again if it still matters. Its header is at the end of this report.\r\n");
    else
        rc |= buf_addf(out,
                       "There is nothing you need to do. It is tried again until\r\n%s;\r\n"
                       "if that fails too, you will be told.\r\n",
                       until);
    return rc |
           buf_addf(out, "\r\nIf you ask your postmaster about it, name the number %s.\r\n\r\n",
                    about);
}

static int add_machine(struct dsn *d, const char *boundary, struct buf *out)
{
    char when[CLOCK_TEXT_MAX];
    clock_rfc5322(when, d->facts.arrived);
    int rc = buf_addf(out,
                      "--%s\r\nContent-Description: Delivery report\r\n"
                      "Content-Type: message/delivery-status\r\n\r\n",
                      boundary);
    rc |= add_field(out, "Reporting-MTA", "dns; ", d->facts.hostname);
    rc |= buf_addf(out, "Arrival-Date: %s\r\n", when);
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

/* The lines of the header section; no longer than lines may be, and not too many. */
static int add_original(struct span header, const char *boundary, struct buf *out)
{
    bool is_8bit = false;
    for (size_t i = 0; i < header.n; i++)
        is_8bit |= (unsigned char)header.p[i] > 0x7e;
    int rc = buf_addf(out,
                      "--%s\r\nContent-Description: Header of your message\r\n"
                      "Content-Type: text/rfc822-headers\r\n%s\r\n",
                      boundary, is_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    size_t shown = 0;
    while (header.n > 0 && shown < HEADER_MAX) {
        struct span line = span_cut(&header, '\n');
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            break;
        if (line.n > LINE_MAX_OCTETS)
            line.n = LINE_MAX_OCTETS;
        shown += line.n;
        rc |= add_line(out, line);
    }
    return rc | buf_addf(out, "\r\n--%s--\r\n", boundary);
}

int dsn_finish(struct dsn *d, struct span header, struct buf *out)
{
    char boundary[ID_TEXT + 8], id[ID_TEXT];
    id_format(id, d->facts.id);
    snprintf(boundary, sizeof boundary, "=_%s", id); /* "=_" cannot stand in what is not MIME */
    int rc = add_header(d, boundary, out) | add_people(d, boundary, out) |
             add_machine(d, boundary, out) | add_original(header, boundary, out);
    buf_free(&d->people);
    buf_free(&d->machine);
    return rc == 0 ? 0 : -1;
}
