#include "queue/tlsrpt_report.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/json.h"
#include "common/sts.h"
#include "common/tlsrpt.h"
#include "queue/statements.h"

#include <sodium.h>
#include <stdlib.h>
#define ZLIB_CONST /* it does not write to what it reads */
#include <zlib.h>

#define GZIP_BITS   (15 + 16) /* zlib: the largest window, in the gzip format */
#define LINE_OCTETS 57        /* 76 letters of base64 */

/* --- the JSON --- */

struct row {
    enum tlsrpt_policy policy;
    enum tlsrpt_result result;
    uint64_t n, tlsa;
    struct span host, address, helo, source, because;
};

/* The next row of S_TLSRPT_ROWS: 1, 0 at the end, -1. Its spans hold until the next call. */
static int next_row(struct store *s, struct row *r)
{
    sqlite3_stmt *st = s->s[S_TLSRPT_ROWS];
    int rc = statement_step(s, S_TLSRPT_ROWS);
    if (rc <= 0)
        return rc;
    uint64_t policy = sql_column_u64(st, 0), result = sql_column_u64(st, 1);
    *r = (struct row){
        .policy = policy < TLSRPT_POLICIES ? (enum tlsrpt_policy)policy : TLSRPT_NO_POLICY,
        .result = result < TLSRPT_RESULTS ? (enum tlsrpt_result)result : TLSRPT_VALIDATION,
        .host = sql_column(st, 2),
        .address = sql_column(st, 3),
        .n = sql_column_u64(st, 4),
        .tlsa = sql_column_u64(st, 5),
        .helo = sql_column(st, 6),
        .source = sql_column(st, 7),
        .because = sql_column(st, 8)};
    return 1;
}

static void begin_rows(struct store *s, const struct tlsrpt_about *about)
{
    sql_reset(s->s[S_TLSRPT_ROWS]);
    sql_bind_i64(s->s[S_TLSRPT_ROWS], 1, about->day);
    sql_bind_text(s->s[S_TLSRPT_ROWS], 2, about->domain);
}

/* The patterns of a policy as elements of an array, each behind `before`. */
static int add_mx(struct buf *out, struct span packed, const char *before, bool is_first)
{
    struct unpacker u = unpacker_on(packed);
    int rc = 0;
    for (; rc == 0 && u.left.n > 0; is_first = false) {
        char text[DOMAIN_MAX + 16];
        struct span mx = unpack_text(&u, DOMAIN_MAX + 2);
        if (u.failed)
            return 0;
        int n = snprintf(text, sizeof text, "%s%.*s", before, (int)mx.n, mx.p);
        rc = buf_addf(out, is_first ? "" : ",") |
             json_string(out, (struct span){text, n > 0 ? (size_t)n : 0});
    }
    return rc;
}

/* What the domain's MTA-STS policy says, if it is still known and counted on that day. */
static int add_sts(struct store *s, struct buf *out, const struct tlsrpt_about *about)
{
    sqlite3_stmt *st = s->s[S_STS_GET];
    sql_bind_text(st, 1, about->domain);
    sql_bind_i64(st, 2, about->day * TLSRPT_DAY_S);
    int rc = statement_step(s, S_STS_GET);
    if (rc > 0) {
        struct span mx = sql_column(st, 2);
        rc = buf_addf(out, ",\"policy-string\":[\"version: STSv1\",\"mode: %s\",\"max_age: %llu\"",
                      sts_mode_name((enum sts_mode)sql_column_u64(st, 0)),
                      (unsigned long long)sql_column_u64(st, 1));
        rc |= add_mx(out, mx, "mx: ", false) | buf_addf(out, "],\"mx-host\":[");
        rc |= add_mx(out, mx, "", true) | buf_addf(out, "]");
    }
    sql_reset(st);
    return rc < 0 ? -1 : 0;
}

/* RFC 6698 2.2: three numbers, and the data in hexadecimal. */
static int add_tlsa_records(struct buf *out, struct span records)
{
    struct unpacker u = unpacker_on(records);
    int rc = buf_addf(out, ",\"policy-string\":[");
    for (bool is_first = true; rc == 0 && u.left.n > 0; is_first = false) {
        char hex[TLSRPT_TLSA_MAX * 2 + 1];
        unsigned usage = (unsigned)unpack_uint(&u, 1), selector = (unsigned)unpack_uint(&u, 1);
        unsigned matching = (unsigned)unpack_uint(&u, 1);
        struct span data = unpack_bytes(&u, TLSRPT_TLSA_MAX);
        if (u.failed)
            break;
        sodium_bin2hex(hex, sizeof hex, (const unsigned char *)data.p, data.n);
        rc =
            buf_addf(out, "%s\"%u %u %u %s\"", is_first ? "" : ",", usage, selector, matching, hex);
    }
    return rc | buf_addf(out, "]");
}

/* RFC 8460 1.1: a policy of DANE is the name's that its records are of. */
static int add_dane(struct store *s, struct buf *out, const struct tlsrpt_about *about,
                    uint64_t tlsa)
{
    sqlite3_stmt *st = s->s[S_TLSRPT_TLSA_GET];
    struct span base = SPAN(""), records = SPAN("");
    sql_bind_i64(st, 1, about->day);
    sql_bind_text(st, 2, about->domain);
    sql_bind_u64(st, 3, tlsa);
    int rc = statement_step(s, S_TLSRPT_TLSA_GET);
    if (rc > 0) {
        base = sql_column(st, 0);
        records = sql_column(st, 1);
    }
    rc = rc < 0 ? -1 : json_string(out, base.n > 0 ? base : about->domain);
    if (rc == 0 && records.n > 0)
        rc = add_tlsa_records(out, records);
    sql_reset(st);
    return rc;
}

static int add_text(struct buf *out, const char *name, struct span text)
{
    return text.n == 0 ? 0 : buf_addf(out, ",\"%s\":", name) | json_string(out, text);
}

/* A policy that cannot be had is no server's failure. */
static int add_failure(struct buf *out, const struct row *r)
{
    int rc = buf_addf(out, "%s{\"result-type\":\"%s\"", buf_span(out).n == 0 ? "" : ",",
                      tlsrpt_result_name(r->result));
    rc |= add_text(out, "sending-mta-ip", r->source);
    rc |= add_text(out, "receiving-mx-hostname", r->host);
    rc |= add_text(out, "receiving-mx-helo", r->helo);
    rc |= add_text(out, "receiving-ip", r->address);
    rc |= buf_addf(out, ",\"failed-session-count\":%llu", (unsigned long long)r->n);
    rc |= add_text(out, "failure-reason-code", r->because);
    return rc | buf_addf(out, "}");
}

/* All sessions under one policy. */
struct section {
    enum tlsrpt_policy policy;
    uint64_t tlsa, n_good, n_bad;
    struct buf failures;
};

static int add_section(struct store *s, const struct tlsrpt_about *about, struct section *sec,
                       struct buf *out)
{
    int rc = buf_addf(out, "{\"policy\":{\"policy-type\":\"%s\",\"policy-domain\":",
                      tlsrpt_policy_name(sec->policy));
    rc |= sec->policy == TLSRPT_TLSA ? add_dane(s, out, about, sec->tlsa)
                                     : json_string(out, about->domain);
    rc |= sec->policy == TLSRPT_STS ? add_sts(s, out, about) : 0;
    rc |= buf_addf(out,
                   "},\"summary\":{\"total-successful-session-count\":%llu,"
                   "\"total-failure-session-count\":%llu}",
                   (unsigned long long)sec->n_good, (unsigned long long)sec->n_bad);
    if (sec->n_bad > 0)
        rc |= buf_addf(out, ",\"failure-details\":[") |
              buf_add_span(out, buf_span(&sec->failures)) | buf_addf(out, "]");
    return rc | buf_addf(out, "}");
}

/* How many; -1. */
static int add_sections(struct store *s, const struct tlsrpt_about *about, struct buf *out)
{
    struct row r;
    struct section sec = {0};
    int n = 0, rc = 0, step = 0;
    buf_init(&sec.failures, TLSRPT_REPORT_MAX);
    begin_rows(s, about);
    while (rc == 0 && (step = next_row(s, &r)) > 0) {
        if (n == 0 || r.policy != sec.policy || r.tlsa != sec.tlsa) {
            if (n > 0)
                rc = add_section(s, about, &sec, out) | buf_addf(out, ",");
            buf_free(&sec.failures);
            sec = (struct section){.policy = r.policy, .tlsa = r.tlsa};
            buf_init(&sec.failures, TLSRPT_REPORT_MAX);
            n++;
        }
        if (r.result == TLSRPT_SUCCESS) {
            sec.n_good += r.n;
        } else {
            sec.n_bad += r.n;
            rc |= add_failure(&sec.failures, &r);
        }
    }
    sql_reset(s->s[S_TLSRPT_ROWS]);
    if (rc == 0 && step == 0 && n > 0)
        rc = add_section(s, about, &sec, out);
    buf_free(&sec.failures);
    return rc != 0 || step < 0 ? -1 : n;
}

static int compose_json(struct store *s, const struct tlsrpt_about *about, struct buf *out)
{
    char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX], id[ID_TEXT];
    clock_rfc3339(from, about->day * TLSRPT_DAY_S);
    clock_rfc3339(to, about->day * TLSRPT_DAY_S + TLSRPT_DAY_S - 1);
    id_format(id, about->id);
    int rc = buf_addf(out, "{\"organization-name\":");
    rc |= json_string(out, span_of(about->hostname));
    rc |= buf_addf(out,
                   ",\"date-range\":{\"start-datetime\":\"%s\",\"end-datetime\":\"%s\"},"
                   "\"contact-info\":\"postmaster@%s\",\"report-id\":\"%s@%s\",\"policies\":[",
                   from, to, about->hostname, id, about->hostname);
    int n = rc == 0 ? add_sections(s, about, out) : -1;
    rc |= buf_addf(out, "]}\n");
    return rc == 0 && n > 0 ? 0 : -1;
}

/* --- the message --- */

static int compress_it(struct span in, struct buf *out)
{
    z_stream z = {0};
    if (in.n > TLSRPT_REPORT_MAX ||
        deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -1;
    uLong cap = deflateBound(&z, (uLong)in.n);
    char *room = buf_room(out, cap);
    z.next_in = (const Bytef *)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)cap;
    int rc = room != NULL && deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -1;
    if (rc == 0)
        buf_grew(out, z.total_out);
    deflateEnd(&z);
    return rc;
}

static int add_base64(struct buf *out, struct span octets)
{
    char line[LINE_OCTETS * 2];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < octets.n; i += LINE_OCTETS) {
        size_t part = octets.n - i < LINE_OCTETS ? octets.n - i : LINE_OCTETS;
        sodium_bin2base64(line, sizeof line, (const unsigned char *)octets.p + i, part,
                          sodium_base64_VARIANT_ORIGINAL);
        rc = buf_addf(out, "%s\r\n", line);
    }
    return rc;
}

static int add_header(const struct tlsrpt_about *about, const char *id, struct buf *out)
{
    char date[CLOCK_TEXT_MAX];
    struct unpacker u = unpacker_on(about->to);
    const char *host = about->hostname;
    char domain[DOMAIN_MAX + 1];
    clock_rfc5322(date, clock_wall_s());
    if (span_copy(domain, sizeof domain, about->domain) < 0)
        return -1;
    int rc = buf_addf(out, "From: TLS reports <MAILER-DAEMON@%s>\r\n", host);
    for (bool is_first = true; rc == 0 && u.left.n > 0 && !u.failed; is_first = false) {
        struct span to = unpack_text(&u, ADDRESS_MAX);
        if (!u.failed)
            rc = buf_addf(out, is_first ? "To: <" : ",\r\n <") | buf_add_span(out, to) |
                 buf_addf(out, ">");
    }
    rc |= buf_addf(out,
                   "\r\nSubject: Report Domain: %s\r\n Submitter: %s\r\n"
                   " Report-ID: <%s@%s>\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\n",
                   domain, host, id, host, date, id, host);
    return rc | buf_addf(out,
                         "Auto-Submitted: auto-generated\r\nTLS-Required: No\r\n"
                         "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n"
                         "MIME-Version: 1.0\r\n"
                         "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
                         " boundary=\"=_%s\"\r\n\r\n",
                         domain, host, id);
}

static int add_parts(const struct tlsrpt_about *about, const char *id, struct span gzip,
                     struct buf *out)
{
    int64_t from = about->day * TLSRPT_DAY_S;
    char domain[DOMAIN_MAX + 1];
    if (span_copy(domain, sizeof domain, about->domain) < 0)
        return -1;
    int rc = buf_addf(out,
                      "--=_%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
                      "This is a report about TLS with the mail servers of\r\n\r\n    %s\r\n\r\n"
                      "as %s saw them within one day, as your record _smtp._tls asks\r\nfor "
                      "(RFC 8460). The details are in the attached file.\r\n\r\n",
                      id, domain, about->hostname);
    rc |= buf_addf(out,
                   "--=_%s\r\nContent-Type: application/tlsrpt+gzip\r\n"
                   "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n"
                   " filename=\"%s!%s!%lld!%lld!%s.json.gz\"\r\n\r\n",
                   id, about->hostname, domain, (long long)from,
                   (long long)(from + TLSRPT_DAY_S - 1), id);
    rc |= add_base64(out, gzip);
    return rc | buf_addf(out, "--=_%s--\r\n", id);
}

int tlsrpt_compose(struct store *s, const struct tlsrpt_about *about, struct buf *out)
{
    struct buf json;
    buf_init(&json, TLSRPT_REPORT_MAX);
    int rc = compose_json(s, about, &json);
    if (rc == 0)
        rc = compress_it(buf_span(&json), out);
    buf_free(&json);
    return rc;
}

int tlsrpt_compose_mail(const struct tlsrpt_about *about, struct span gzip, struct buf *out)
{
    char id[ID_TEXT];
    id_format(id, about->id);
    return add_header(about, id, out) == 0 && add_parts(about, id, gzip, out) == 0 ? 0 : -1;
}
