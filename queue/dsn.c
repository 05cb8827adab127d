#include "queue/dsn.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/idn.h"
#include "common/notify.h"
#include "common/qp.h"
#include "common/utf8.h"
#include "queue/dsn_original.h"
#include "queue/dsn_reason.h"
#include "queue/trace.h"

#define PART_MAX    20000 /* each of the two parts about recipients; */
#define GOOD_MAX    8000  /* in the one for people, those that went well */
#define EXPERTS_MAX 8000  /* of the dialogues */
#define REASON_MAX  2000  /* of one recipient */
#define HEADER_ROOM 2600  /* for the header and the start of the notification */
#define FOLD_AT     78    /* RFC 5322 2.1.1 */

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

/* Where a line may be folded so that it gets no longer than `room`: before a space that something
 * follows (RFC 5322 2.2.3). All of s if it fits, or if there is no such place. */
static size_t fold_at(struct span s, size_t room)
{
    size_t at = 0;
    for (size_t i = 1; s.n > room && i + 1 < s.n && (i <= room || at == 0); i++)
        if (s.p[i] == ' ' && s.p[i + 1] != ' ')
            at = i;
    return at > 0 ? at : s.n;
}

/* The same for a value that may be long. */
static int add_folded(struct buf *b, const char *name, const char *type, struct span value)
{
    size_t used = strlen(name) + 2 + strlen(type);
    int rc = add(b, name) | add(b, ": ") | add(b, type);
    while (value.n > 0 && rc == 0) {
        size_t n = fold_at(value, FOLD_AT - used);
        rc |= add_foreign(b, (struct span){value.p, n}) | add(b, "\r\n");
        value = span_from(value, n);
        used = 0;
    }
    return rc;
}

/* One to three digits at s.p[at], without a zero in front (RFC 3464 2.3.4); 0: there are none. */
static size_t number(struct span s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n <= 3 && (n < 2 || s.p[at] != '0') ? n : 0;
}

struct span dsn_status(struct span reply, char class)
{
    struct span s = reply;
    bool has_code = s.n > 4 && s.p[0] >= '2' && s.p[0] <= '5' && (s.p[3] == ' ' || s.p[3] == '-');
    if (has_code)
        s = span_from(s, 4);
    size_t subject = s.n > 2 && s.p[0] == class && s.p[1] == '.' ? number(s, 2) : 0;
    size_t dot = 2 + subject;
    size_t detail = subject > 0 && dot < s.n && s.p[dot] == '.' ? number(s, dot + 1) : 0;
    size_t n = dot + 1 + detail;
    if (detail > 0 && (n == s.n || s.p[n] == ' '))
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
    *d = (struct dsn){.facts = *facts, .is_global = !idn_is_ascii(facts->to)};
    buf_init(&d->bad, PART_MAX + REASON_MAX);
    buf_init(&d->reason, REASON_MAX);
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
    struct span said = is_from_remote(r) ? r->reply : SPAN("");
    const char *sentence = dsn_reason(r->is_expired ? dsn_status(r->reply, '4') : r->status, said);
    if (sentence != NULL)
        rc |= add(b, "    ") | add(b, sentence) | add(b, "\r\n");
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
        return add(b, "    It is there. If this is a list, its members get it from there.\r\n\r\n");
    if (r->action == DSN_EXPANDED)
        return add(b,
                   "    This address stands for several; it was passed on to all of them, and\r\n"
                   "    you will not be told of each.\r\n\r\n");
    return add(b, "    It was taken by the server ") |
           add_foreign(b, r->remote.n > 0 ? remote_name(r->remote) : SPAN("next on its way")) |
           add(b, ",\r\n    which does not tell what becomes of it.\r\n\r\n");
}

/* What the sender wrote, where an alias led from there to this address. */
static int tell_original(struct buf *b, const struct dsn_recipient *r)
{
    char room[ORCPT_MAX + 1];
    ssize_t n = orcpt_address(r->orcpt, room);
    if (n <= 0 || span_ieq((struct span){room, (size_t)n}, r->address))
        return 0;
    return add(b, "    (you wrote to <") | add_address(b, (struct span){room, (size_t)n}) |
           add(b, ">)\r\n");
}

static int tell_who(const struct dsn *d, struct buf *b, const struct dsn_recipient *r)
{
    int rc = add(b, "  <") | add_address(b, r->address) | add(b, ">\r\n");
    return rc | (d->facts.list.n == 0 ? tell_original(b, r) : 0);
}

/* Those that follow each other and failed for the same reason share it. */
static int tell_people(struct dsn *d, const struct dsn_recipient *r, struct buf *reason)
{
    int rc = 0;
    if (!is_bad(r->action))
        return tell_who(d, &d->good, r) | tell_good(&d->good, r);
    if (tell_bad(reason, r) < 0)
        return -1;
    if (!span_eq(buf_span(reason), buf_span(&d->reason)))
        rc = buf_add_span(&d->bad, buf_span(&d->reason));
    return rc | tell_who(d, &d->bad, r);
}

/* It fits, so `reason` is the last one from now on. */
static void keep_reason(struct dsn *d, const struct dsn_recipient *r, struct buf *reason)
{
    if (is_bad(r->action)) {
        buf_free(&d->reason);
        d->reason = *reason;
    } else {
        buf_free(reason);
    }
}

static int add_time(struct buf *b, const char *name, int64_t when_s)
{
    char text[CLOCK_TEXT_MAX];
    clock_rfc5322(text, when_s);
    return buf_addf(b, "%s: %s\r\n", name, text);
}

/* In ASCII, so that any server can pass the report on; but as it is if the report can only go where
 * UTF-8 is taken (RFC 6533 3). */
static int add_final(const struct dsn *d, struct buf *b, struct span address)
{
    char text[6 * ADDRESS_MAX + 1];
    if (idn_is_ascii(address))
        return add_field(b, "Final-Recipient", "rfc822; ", address);
    if (d->is_global && utf8_is_valid(address))
        return add(b, "Final-Recipient: utf-8; ") | add_address(b, address) | add(b, "\r\n");
    if (utf8_addr_encode(address, text, sizeof text) > 0)
        return add_field(b, "Final-Recipient", "utf-8; ", span_of(text));
    return add_field(b, "Final-Recipient", "rfc822; ", address);
}

static int add_orcpt(const struct dsn *d, struct buf *b, struct span orcpt)
{
    char text[ORCPT_MAX + 2];
    bool is_utf8 = d->is_global && span_istarts(orcpt, SPAN("utf-8;"));
    ssize_t n = is_utf8 ? orcpt_address(orcpt, text) : orcpt_show(orcpt, text);
    if (n <= 0)
        return 0;
    if (!is_utf8)
        return add_field(b, "Original-Recipient", "", (struct span){text, (size_t)n});
    return add(b, "Original-Recipient: utf-8; ") | add_address(b, (struct span){text, (size_t)n}) |
           add(b, "\r\n");
}

/* What a server said stands with the server; without one it is a finding of ours (RFC 3464 2.3.6),
 * for which there is no registered type. */
static int add_diagnosis(struct buf *b, const struct dsn_recipient *r)
{
    int rc = 0;
    if (is_from_remote(r))
        rc |= add_field(b, "Remote-MTA", "dns; ", remote_name(r->remote));
    if (is_smtp_reply(r->reply))
        return rc | add_folded(b, "Diagnostic-Code", "smtp; ", r->reply);
    if (is_bad(r->action) && r->reply.n > 0)
        rc |= add_folded(b, "Diagnostic-Code", "X-Barid; ", r->reply);
    return rc;
}

static int64_t expiry(const struct dsn *d, const struct dsn_recipient *r)
{
    return r->expires > 0 ? r->expires : d->facts.expires;
}

/* RFC 3464 2.3: the fields of one recipient, with the empty line that ends the group before. */
static int tell_machine(struct dsn *d, const struct dsn_recipient *r)
{
    static const char *const actions[DSN_ACTIONS] = {
        [DSN_FAILED] = "failed",   [DSN_DELAYED] = "delayed",   [DSN_DELIVERED] = "delivered",
        [DSN_RELAYED] = "relayed", [DSN_EXPANDED] = "expanded",
    };
    struct buf *b = &d->machine;
    char id[ID_TEXT];
    bool is_final = r->action != DSN_RELAYED && r->action != DSN_DELAYED;
    id_format(id, d->facts.about);
    int rc = add(b, "\r\n") | add_orcpt(d, b, r->orcpt) | add_final(d, b, r->address);
    rc |= buf_addf(b, "Action: %s\r\n", actions[r->action]);
    rc |= add_field(b, "Status", "", r->status);
    rc |= add_diagnosis(b, r);
    if (r->last_attempt > 0)
        rc |= add_time(b, "Last-Attempt-Date", r->last_attempt);
    if (is_final)
        rc |= buf_addf(b, "Final-Log-ID: %s\r\n", id);
    if (r->action == DSN_DELAYED)
        rc |= add_time(b, "Will-Retry-Until", expiry(d, r));
    return rc;
}

/* Cuts back what a recipient that does not fit has left behind. */
static void cut_back(struct buf *b, size_t to)
{
    b->end = b->at + to;
}

/* Is the part for people encoded? Then the whole must not outgrow what was counted on. */
static bool is_encoded(const struct dsn *d)
{
    return !d->is_global && (!idn_is_ascii(buf_span(&d->bad)) || !idn_is_ascii(buf_span(&d->good)));
}

static bool fits(const struct dsn *d, const struct buf *reason)
{
    struct span bad = buf_span(&d->bad), good = buf_span(&d->good), last = buf_span(reason);
    if (bad.n + last.n > PART_MAX)
        return false;
    return !is_encoded(d) || qp_size(bad) + qp_size(last) + qp_size(good) <= PART_MAX + GOOD_MAX;
}

int dsn_add(struct dsn *d, const struct dsn_recipient *r)
{
    size_t bad = buf_span(&d->bad).n, good = buf_span(&d->good).n,
           machine = buf_span(&d->machine).n;
    struct buf reason;
    buf_init(&reason, REASON_MAX);
    if (tell_people(d, r, &reason) == 0 && tell_machine(d, r) == 0 &&
        fits(d, is_bad(r->action) ? &reason : &d->reason)) {
        keep_reason(d, r, &reason);
        d->has[r->action] = true;
        d->until = expiry(d, r) > d->until ? expiry(d, r) : d->until;
        if (is_bad(r->action)) /* without memory: what is said of it is not shown */
            (void)(add_foreign(&d->about, r->address) == 0 && add(&d->about, "\n"));
        return 0;
    }
    cut_back(&d->bad, bad);
    cut_back(&d->good, good);
    cut_back(&d->machine, machine);
    buf_free(&reason);
    return -1;
}

/* --- the whole --- */

static const char *subject(const struct dsn *d)
{
    if (d->has[DSN_FAILED])
        return d->facts.list.n > 0 ? "A message to your list could not be delivered"
                                   : "Your message could not be delivered";
    if (d->has[DSN_DELAYED])
        return "Your message is late";
    return d->has[DSN_DELIVERED] ? "Your message was delivered" : "Your message was passed on";
}

/* So that it stands beside what it is about (RFC 3834 3.1.6), if that has a sane Message-ID. */
static int add_thread(const struct dsn_original *o, struct buf *out)
{
    struct span start = {o->start.p, o->header < o->start.n ? o->header : o->start.n};
    struct span id = trace_header_id(start);
    bool is_sane = id.n > 0 && id.n <= MESSAGE_ID_MAX;
    for (size_t i = 0; i < id.n && is_sane; i++)
        is_sane = id.p[i] > ' ' && id.p[i] <= '~' && id.p[i] != '<' && id.p[i] != '>';
    if (!is_sane)
        return 0;
    return add(out, "In-Reply-To: <") | buf_add_span(out, id) | add(out, ">\r\nReferences: <") |
           buf_add_span(out, id) | add(out, ">\r\n");
}

/* has_8bit: in any part (RFC 2045 6.4). */
static int add_header(struct dsn *d, const struct dsn_original *o, bool has_8bit, struct buf *out)
{
    const struct dsn_facts *f = &d->facts;
    char now[CLOCK_TEXT_MAX], id[ID_TEXT];
    clock_rfc5322(now, f->now);
    id_format(id, f->id);
    int rc = add(out, "From: Mail delivery <MAILER-DAEMON@") | add_foreign(out, f->hostname) |
             add(out, ">\r\nTo: <") | add_address(out, f->to) | add(out, ">\r\n");
    rc |= buf_addf(out, "Subject: %s\r\nDate: %s\r\nMessage-ID: <%s@", subject(d), now, id);
    rc |= add_foreign(out, f->hostname) | add(out, ">\r\n") | add_thread(o, out);
    rc |= buf_addf(out,
                   "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                   "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                   "\tboundary=\"=_%s\"\r\n%s\r\n"
                   "This is a delivery report in several parts (MIME).\r\n\r\n",
                   id, has_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    return rc;
}

static int add_bad(struct dsn *d, struct buf *out)
{
    char until[CLOCK_TEXT_MAX];
    clock_rfc5322(until, d->until);
    int rc = add(out, d->has[DSN_FAILED] ? "could not be delivered to:\r\n\r\n"
                                         : "has not been delivered yet to:\r\n\r\n");
    rc |= buf_add_span(out, buf_span(&d->bad));
    if (d->facts.list.n > 0)
        return rc |
               add(out,
                   "Nothing more will be done about it. If it happens again and again, take\r\n"
                   "the address off the list. Who wrote the message says its header, at the\r\n"
                   "end of this report; he is not told.\r\n");
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

static int write_people(struct dsn *d, struct buf *text)
{
    const struct dsn_facts *f = &d->facts;
    char when[CLOCK_TEXT_MAX], about[ID_TEXT];
    bool has_bad = buf_span(&d->bad).n > 0;
    clock_rfc5322(when, f->arrived);
    id_format(about, f->about);
    int rc = add(text, "This is the mail server ") | add_foreign(text, f->hostname) |
             add(text, ".\r\n\r\n");
    if (f->list.n > 0)
        rc |= add(text, "A message to your list <") | add_address(text, f->list) |
              buf_addf(text, ">,\r\nof %s,\r\n", when);
    else
        rc |= buf_addf(text, "Your message of %s\r\n", when);
    if (has_bad)
        rc |= add_bad(d, text);
    if (buf_span(&d->good).n > 0)
        rc |= add_good(d, !has_bad, text);
    return rc |
           buf_addf(text, "\r\nIf you ask your postmaster about it, name the number %s.\r\n\r\n",
                    about);
}

/* Encoded, the dialogues may outgrow what is left for the other parts: then they are left out. */
static int add_experts(struct dsn *d, bool is_qp, struct buf *text)
{
    struct span experts = buf_span(&d->experts);
    size_t n = is_qp ? qp_size(experts) : experts.n;
    size_t others = buf_span(text).n + buf_span(&d->machine).n + 2 * HEADER_ROOM;
    return n + others <= DSN_MAX ? buf_add_span(text, experts) : 0;
}

static int add_people(struct dsn *d, const char *boundary, struct buf *out)
{
    struct buf text;
    bool is_ascii = idn_is_ascii(buf_span(&d->bad)) && idn_is_ascii(buf_span(&d->good)) &&
                    idn_is_ascii(d->facts.list);
    bool is_qp = is_encoded(d);
    const char *type = is_ascii ? "us-ascii\r\n"
                       : is_qp  ? "utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
                                : "utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    buf_init(&text, DSN_MAX);
    int rc = buf_addf(out,
                      "--%s\r\nContent-Description: Explanation\r\n"
                      "Content-Type: text/plain; charset=%s\r\n",
                      boundary, type);
    rc |= write_people(d, &text) | add_experts(d, is_qp, &text);
    rc |= is_qp ? qp_encode(out, buf_span(&text)) : buf_add_span(out, buf_span(&text));
    buf_free(&text);
    return rc;
}

static int add_machine(struct dsn *d, const char *boundary, struct buf *out)
{
    char envid[ENVID_MAX];
    ssize_t n = d->facts.envid.n <= ENVID_MAX ? xtext_decode(d->facts.envid, envid) : 0;
    int rc =
        buf_addf(out,
                 "--%s\r\nContent-Description: Delivery report\r\n"
                 "Content-Type: message/%sdelivery-status\r\n%s\r\n",
                 boundary, d->is_global ? "global-" : "",
                 idn_is_ascii(buf_span(&d->machine)) ? "" : "Content-Transfer-Encoding: 8bit\r\n");
    if (n > 0)
        rc |= add_field(out, "Original-Envelope-Id", "", (struct span){envid, (size_t)n});
    rc |= add_field(out, "Reporting-MTA", "dns; ", d->facts.hostname);
    rc |= add_time(out, "Arrival-Date", d->facts.arrived);
    if (d->facts.hold_request.n > 0)
        rc |= add_field(out, "Future-Release-Request", "", d->facts.hold_request);
    return rc | buf_add_span(out, buf_span(&d->machine)) | add(out, "\r\n");
}

static int add_original(const struct dsn *d, const struct dsn_original *original,
                        const char *boundary, struct buf *out)
{
    struct dsn_original o = *original;
    o.wants_all = o.wants_all && d->has[DSN_FAILED];
    return dsn_original_add(&o, boundary, !d->is_global, out);
}

static bool has_8bit(struct span s)
{
    return !idn_is_ascii(s);
}

int dsn_finish(struct dsn *d, const struct dsn_original *original, struct buf *out)
{
    char boundary[ID_TEXT + 8], id[ID_TEXT];
    struct buf parts;
    id_format(id, d->facts.id);
    snprintf(boundary, sizeof boundary, "=_%s", id); /* "=_" cannot stand in what is not MIME */
    buf_init(&parts, DSN_MAX - HEADER_ROOM);
    int rc = buf_add_span(&d->bad, buf_span(&d->reason)) | add_people(d, boundary, &parts) |
             add_machine(d, boundary, &parts) | add_original(d, original, boundary, &parts);
    rc |= add_header(d, original, has_8bit(buf_span(&parts)), out);
    rc |= buf_add_span(out, buf_span(&parts));
    buf_free(&parts);
    buf_free(&d->bad);
    buf_free(&d->reason);
    buf_free(&d->good);
    buf_free(&d->machine);
    buf_free(&d->about);
    buf_free(&d->experts);
    return rc == 0 ? 0 : -1;
}
