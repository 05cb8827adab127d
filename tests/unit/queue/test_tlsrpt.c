/* What is counted of TLS, and the report that is made of it. */
#include "common/maildb.h"
#include "common/sts.h"
#include "common/tlsrpt.h"
#include "common/unixsock.h"
#include "queue/statements.h"
#include "queue/sts.h"
#include "queue/tlsrpt.h"
#include "queue/tlsrpt_report.h"
#include "world.h"

#include <criterion/criterion.h>
#include <sodium.h>
#define ZLIB_CONST /* it does not write to what it reads */
#include <zlib.h>

#define DAY (WORLD_START_S / TLSRPT_DAY_S)

static struct world w;

static void tell(const char *domain, enum tlsrpt_policy policy, enum tlsrpt_result result,
                 const char *host)
{
    struct msg_tls_result m = {.domain = span_of(domain),
                               .policy = (uint8_t)policy,
                               .result = (uint8_t)result,
                               .host = span_of(host),
                               .address = host[0] != '\0' ? SPAN("192.0.2.1") : SPAN("")};
    tlsrpt_count(w.q, &m);
    world_pump(&w);
}

static void keep_policy(const char *domain, int64_t fetched, const char *const *mx)
{
    char room[500];
    struct packer p = packer_on(room, sizeof room);
    for (; *mx != NULL; mx++)
        pack_bytes(&p, span_of(*mx));
    struct msg_sts_keep m = {.domain = span_of(domain),
                             .id = SPAN("1"),
                             .mode = STS_ENFORCE,
                             .fetched = (uint64_t)fetched,
                             .max_age = 864000,
                             .mx = packer_span(&p)};
    sts_keep(w.q, &m);
    world_pump(&w);
}

/* The JSON of the attached file. */
static void unpack_report(const char *text, char *json, size_t cap)
{
    static unsigned char zipped[8000];
    size_t n = 0;
    const char *at = strstr(text, "gzip\r\n");
    cr_assert_not_null(at);
    at = strstr(at, "\r\n\r\n") + 4;
    cr_assert_eq(sodium_base642bin(zipped, sizeof zipped, at, (size_t)(strstr(at, "--=_") - at),
                                   "\r\n", &n, NULL, sodium_base64_VARIANT_ORIGINAL),
                 0);
    z_stream z = {.next_in = zipped,
                  .avail_in = (uInt)n,
                  .next_out = (Bytef *)json,
                  .avail_out = (uInt)cap - 1};
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    json[z.total_out] = '\0';
    inflateEnd(&z);
}

/* The mail. */
static int compose(const struct tlsrpt_about *about, struct buf *out)
{
    struct buf gzip;
    buf_init(&gzip, TLSRPT_REPORT_MAX);
    int rc = tlsrpt_compose(w.q->store, about, &gzip);
    if (rc == 0)
        rc = tlsrpt_compose_mail(about, buf_span(&gzip), out);
    buf_free(&gzip);
    return rc;
}

Test(tlsrpt, sessions_are_counted_and_reported)
{
    static char json[8000], text[20000];
    char to[100];
    struct buf out;
    struct packer p = packer_on(to, sizeof to);
    world_begin(&w, "tls_reports = yes\n");
    keep_policy("remote.example", WORLD_START_S,
                (const char *const[]){"mx1.remote.example", "*.elsewhere.example", NULL});
    for (int i = 0; i < 3; i++)
        tell("remote.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, "mx1.remote.example");
    tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, "mx1.remote.example");
    tell("remote.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx2.remote.example");
    tell("other.example", TLSRPT_TLSA, TLSRPT_VALIDATION, "mx.other.example");
    cr_assert_eq(world_count(&w, "SELECT sum(n) FROM tlsrpt"), 7);
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 4);
    pack_bytes(&p, SPAN("tls@remote.example"));
    struct tlsrpt_about about = {.id = id_new(),
                                 .day = DAY,
                                 .domain = SPAN("remote.example"),
                                 .hostname = "mx.example.org",
                                 .to = packer_span(&p)};
    buf_init(&out, TLSRPT_REPORT_MAX);
    cr_assert_eq(compose(&about, &out), 0);
    cr_assert_eq(span_copy(text, sizeof text, buf_span(&out)), 0);
    cr_expect_not_null(strstr(text, "\r\nTLS-Report-Domain: remote.example\r\n"));
    cr_expect_not_null(strstr(text, "\r\nTo: <tls@remote.example>\r\n"));
    unpack_report(text, json, sizeof json);
    cr_expect_not_null(strstr(json,
                              "\"policies\":[{\"policy\":{\"policy-type\":\"no-policy-found\","
                              "\"policy-domain\":\"remote.example\"},\"summary\":{"
                              "\"total-successful-session-count\":0,"
                              "\"total-failure-session-count\":1},"),
                       "%s", json);
    cr_expect_not_null(strstr(json, "{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":"
                                    "\"remote.example\",\"policy-string\":[\"version: STSv1\","
                                    "\"mode: enforce\",\"max_age: 864000\","
                                    "\"mx: mx1.remote.example\",\"mx: *.elsewhere.example\"],"
                                    "\"mx-host\":[\"mx1.remote.example\",\"*.elsewhere.example\"]},"
                                    "\"summary\":{"
                                    "\"total-successful-session-count\":3,"
                                    "\"total-failure-session-count\":2},\"failure-details\":[{"
                                    "\"result-type\":\"certificate-expired\","
                                    "\"receiving-mx-hostname\":\"mx1.remote.example\","
                                    "\"receiving-ip\":\"192.0.2.1\",\"failed-session-count\":2}]}"),
                       "%s", json);
    cr_expect_null(strstr(json, "other.example"));
    buf_free(&out);
    about.day++;
    cr_expect_eq(compose(&about, &out), -1, "there is nothing to tell");
    buf_free(&out);
    world_end(&w);
}

/* One record {3, 1, 1, data}, or none. */
static struct span tlsa_record(char *room, size_t cap, const char *data)
{
    struct packer p = packer_on(room, cap);
    if (data[0] == '\0')
        return SPAN("");
    pack_uint(&p, 3, 1);
    pack_uint(&p, 1, 1);
    pack_uint(&p, 1, 1);
    pack_bytes(&p, span_of(data));
    return packer_span(&p);
}

static void tell_dane(const char *base, const char *data, enum tlsrpt_result result)
{
    char room[100];
    bool is_good = result == TLSRPT_SUCCESS;
    bool has_connection = result == TLSRPT_TLSA_INVALID;
    struct msg_tls_result m = {.domain = SPAN("remote.example"),
                               .policy = TLSRPT_TLSA,
                               .result = (uint8_t)result,
                               .base = span_of(base),
                               .tlsa = tlsa_record(room, sizeof room, data),
                               .host = is_good ? SPAN("") : SPAN("mx.remote.example"),
                               .address = has_connection ? SPAN("2001:db8::25") : SPAN(""),
                               .helo = has_connection ? SPAN("mail.remote.example") : SPAN(""),
                               .source = has_connection ? SPAN("2001:db8::1") : SPAN(""),
                               .because = has_connection ? SPAN("no \"match\"") : SPAN("")};
    tlsrpt_count(w.q, &m);
    world_pump(&w);
}

/* RFC 8460 1.1, 4.4: a policy of DANE is the server's; another one begins when the records change.
 */
Test(tlsrpt, policies_of_dane)
{
    static char json[8000], text[20000];
    static const char *const wanted[] = {
        "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"mx.remote.example\","
        "\"policy-string\":[\"3 1 1 6162\"]},\"summary\":{\"total-successful-session-count\":2,"
        "\"total-failure-session-count\":1},\"failure-details\":[{\"result-type\":"
        "\"tlsa-invalid\",\"sending-mta-ip\":\"2001:db8::1\",\"receiving-mx-hostname\":"
        "\"mx.remote.example\",\"receiving-mx-helo\":\"mail.remote.example\","
        "\"receiving-ip\":\"2001:db8::25\",\"failed-session-count\":1,"
        "\"failure-reason-code\":\"no \\\"match\\\"\"}]}",
        "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"mx.remote.example\","
        "\"policy-string\":[\"3 1 1 6163\"]},\"summary\":{\"total-successful-session-count\":1,"
        "\"total-failure-session-count\":0}}",
        "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"b.remote.example\","
        "\"policy-string\":[\"3 1 1 6162\"]},\"summary\":{\"total-successful-session-count\":1,"
        "\"total-failure-session-count\":0}}",
        "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"b.remote.example\"},"
        "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":2},"
        "\"failure-details\":[{\"result-type\":\"dnssec-invalid\",\"receiving-mx-hostname\":"
        "\"mx.remote.example\",\"failed-session-count\":2}]}",
        "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":\"remote.example\"},"
        "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":1},"
        "\"failure-details\":[{\"result-type\":\"dnssec-invalid\",\"receiving-mx-hostname\":"
        "\"mx.remote.example\",\"failed-session-count\":1}]}"};
    struct buf out;
    world_begin(&w, "tls_reports = yes\n");
    tell_dane("mx.remote.example", "ab", TLSRPT_SUCCESS);
    tell_dane("mx.remote.example", "ab", TLSRPT_SUCCESS);
    tell_dane("mx.remote.example", "ab", TLSRPT_TLSA_INVALID);
    tell_dane("mx.remote.example", "ac", TLSRPT_SUCCESS);
    tell_dane("b.remote.example", "ab", TLSRPT_SUCCESS);
    tell_dane("b.remote.example", "", TLSRPT_DNSSEC_INVALID);
    tell_dane("b.remote.example", "", TLSRPT_DNSSEC_INVALID);
    tell_dane("", "", TLSRPT_DNSSEC_INVALID);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_tlsa"), 4);
    struct tlsrpt_about about = {.id = id_new(),
                                 .day = DAY,
                                 .domain = SPAN("remote.example"),
                                 .hostname = "mx.example.org",
                                 .to = SPAN("")};
    buf_init(&out, TLSRPT_REPORT_MAX);
    cr_assert_eq(compose(&about, &out), 0);
    cr_assert_eq(span_copy(text, sizeof text, buf_span(&out)), 0);
    unpack_report(text, json, sizeof json);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        cr_expect_not_null(strstr(json, wanted[i]), "%zu: %s", i, json);
    buf_free(&out);
    world_end(&w);
}

/* RFC 8460 4.3: the words are of IANA's registry. */
Test(tlsrpt, words_of_results)
{
    static const char *const words[TLSRPT_RESULTS] = {
        [TLSRPT_NO_STARTTLS] = "starttls-not-supported",
        [TLSRPT_HOST_MISMATCH] = "certificate-host-mismatch",
        [TLSRPT_EXPIRED] = "certificate-expired",
        [TLSRPT_NOT_TRUSTED] = "certificate-not-trusted",
        [TLSRPT_VALIDATION] = "validation-failure",
        [TLSRPT_STS_FETCH] = "sts-policy-fetch-error",
        [TLSRPT_STS_INVALID] = "sts-policy-invalid",
        [TLSRPT_STS_WEBPKI] = "sts-webpki-invalid",
        [TLSRPT_DNSSEC_INVALID] = "dnssec-invalid",
        [TLSRPT_TLSA_INVALID] = "tlsa-invalid"};
    for (int r = TLSRPT_NO_STARTTLS; r < TLSRPT_RESULTS; r++)
        cr_expect_str_eq(tlsrpt_result_name((enum tlsrpt_result)r), words[r], "%d", r);
}

Test(tlsrpt, rows_are_bounded_and_sane)
{
    char host[64];
    world_begin(&w, "tls_reports = yes\n");
    tell("no domain", TLSRPT_STS, TLSRPT_SUCCESS, "");
    tell("remote.example", TLSRPT_POLICIES, TLSRPT_SUCCESS, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_NOTHING, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_RESULTS, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, "no host\"");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 0);
    struct msg_tls_result good = {.domain = SPAN("remote.example"),
                                  .policy = TLSRPT_TLSA,
                                  .result = TLSRPT_EXPIRED,
                                  .base = SPAN("mx.remote.example"),
                                  .tlsa = SPAN("\3\1\1\0\0\0\1x"),
                                  .source = SPAN("192.0.2.1"),
                                  .helo = SPAN("mx.remote.example")};
    struct msg_tls_result bad[] = {good, good, good, good, good, good};
    bad[0].base = SPAN("no name\"");
    bad[1].tlsa = SPAN("\3\1\1\0\0\0\2x");
    bad[2].source = SPAN("here");
    bad[3].helo = SPAN("no name\"");
    bad[4].because = SPAN("\1");
    bad[5].policy = TLSRPT_STS;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tlsrpt_count(w.q, &bad[i]);
        world_pump(&w);
        cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 0, "bad %zu", i);
    }
    for (int i = 0; i < 20; i++) {
        char data[8], room[100];
        snprintf(data, sizeof data, "%d", i);
        good.domain = SPAN("dane.example");
        good.tlsa = tlsa_record(room, sizeof room, data);
        tlsrpt_count(w.q, &good);
        world_pump(&w);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 20);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_tlsa"), 16);
    cr_assert_eq(sqlite3_exec(w.q->store->db, "DELETE FROM tlsrpt", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 150; i++) {
        snprintf(host, sizeof host, "mx%d.remote.example", i);
        tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, host);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 141, "then without a host");
    cr_expect_eq(world_count(&w, "SELECT sum(n) FROM tlsrpt"), 150);
    tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, "mx7.remote.example");
    cr_expect_eq(world_count(&w, "SELECT n FROM tlsrpt WHERE host = 'mx7.remote.example'"), 2,
                 "what is there is counted on");
    tell("other.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 142);
    world_end(&w);
}

/* A provider with very many front ends, or a hostile one: details are lost, never sessions. */
Test(tlsrpt, every_session_is_counted)
{
    char helo[64], host[64], data[8], room[100];
    struct msg_tls_result m = {.domain = SPAN("remote.example"),
                               .policy = TLSRPT_STS,
                               .result = TLSRPT_EXPIRED,
                               .host = SPAN("mx.remote.example"),
                               .address = SPAN("192.0.2.1"),
                               .source = SPAN("192.0.2.9"),
                               .because = SPAN("expired")};
    world_begin(&w, "tls_reports = yes\n");
    for (int i = 0; i < 150; i++) {
        snprintf(helo, sizeof helo, "front%d.remote.example", i);
        m.helo = span_of(helo);
        tlsrpt_count(w.q, &m);
        world_pump(&w);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 101);
    cr_expect_eq(world_count(&w, "SELECT n FROM tlsrpt WHERE helo = '' AND source = ''"
                                 " AND because = '' AND host <> '' AND address <> ''"),
                 50);
    tell("remote.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    cr_expect_eq(world_count(&w, "SELECT n FROM tlsrpt WHERE result = 1"), 2);
    m.policy = TLSRPT_TLSA;
    for (int i = 0; i < 300; i++) {
        snprintf(host, sizeof host, "mx%d.remote.example", i);
        snprintf(data, sizeof data, "%d", i);
        m.host = m.base = span_of(host);
        m.tlsa = tlsa_record(room, sizeof room, data);
        m.result = (uint8_t)(TLSRPT_SUCCESS + i % (TLSRPT_RESULTS - TLSRPT_SUCCESS));
        tlsrpt_count(w.q, &m);
        world_pump(&w);
    }
    cr_expect_eq(world_count(&w, "SELECT sum(n) FROM tlsrpt"), 452);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"),
                 160 + TLSRPT_RESULTS - TLSRPT_SUCCESS);
    world_end(&w);
}

Test(tlsrpt, off_is_off)
{
    world_begin(&w, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 0);
    world_end(&w);
}

/* --- when --- */

static char asked[4][DOMAIN_MAX + 1]; /* of policy */
static size_t n_asked;
static enum verdict rua_verdict = VERDICT_OK;
static const char *const *rua = (const char *const[]){"tls@collector.example", NULL};

static void on_rua(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)fd;
    char room[RUA_OCTETS];
    struct packer p = packer_on(room, sizeof room);
    for (const char *const *to = rua; *to != NULL; to++)
        pack_bytes(&p, span_of(*to));
    struct msg_rua_re re = {
        .tag = m->rua.tag, .verdict = (uint8_t)rua_verdict, .to = packer_span(&p)};
    cr_assert_lt(n_asked, 4);
    span_copy(asked[n_asked], sizeof asked[0], m->rua.domain);
    n_asked++;
    ipc_send_rua_re(from, &re, -1);
}

/* What policy was asked to post. */
static struct {
    uint64_t tag;
    char url[RUA_URL_MAX];
    char json[4000];
} posts[8];
static size_t n_posts;

static void unzip(struct span gzip, char *json, size_t cap)
{
    z_stream z = {.next_in = (const Bytef *)gzip.p,
                  .avail_in = (uInt)gzip.n,
                  .next_out = (Bytef *)json,
                  .avail_out = (uInt)cap - 1};
    cr_assert_eq(inflateInit2(&z, 15 + 16), Z_OK);
    cr_assert_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    json[z.total_out] = '\0';
    inflateEnd(&z);
}

static void on_post(void *owner, struct ipc *from, const union msg *m, int fd)
{
    (void)owner, (void)from, (void)fd;
    cr_assert_lt(n_posts, 8);
    posts[n_posts].tag = m->tls_post.tag;
    span_copy(posts[n_posts].url, sizeof posts[0].url, m->tls_post.url);
    unzip(m->tls_post.report, posts[n_posts].json, sizeof posts[0].json);
    n_posts++;
}

static void join_policy(void)
{
    static const struct ipc_handler handlers[] = {{MSG_RUA, on_rua}, {MSG_TLS_POST, on_post}};
    world_join_policy(&w, handlers, sizeof handlers / sizeof handlers[0]);
}

/* What the timer does, then all that follows. */
static void look(void)
{
    tlsrpts_look(w.q);
    world_pump(&w);
}

static void finish(void)
{
    world_end(&w);
}

/* RFC 8460 4.1: a whole day of UTC, and some hours later, for not all are to report at midnight. */
Test(tlsrpt, a_day_is_told_of_when_it_is_over_and_some_hours_have_passed)
{
    world_begin(&w, "tls_reports = yes\n");
    join_policy();
    int64_t midnight = (DAY + 1) * TLSRPT_DAY_S;
    tell("remote.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx.remote.example");
    look();
    world_pass(&w, midnight - 1 - WORLD_START_S);
    look();
    cr_expect_eq(n_asked, 0, "the day is not over");
    cr_expect(tlsrpts_delay_s(w.q) >= 0 && tlsrpts_delay_s(w.q) < 4 * 3600);
    world_pass(&w, tlsrpts_delay_s(w.q));
    look();
    cr_expect_eq(n_asked, 0, "it is not their turn");
    tell("remote.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx.remote.example");
    world_pass(&w, 1);
    look();
    cr_assert_eq(n_asked, 1);
    cr_expect_str_eq(asked[0], "remote.example");
    cr_assert_eq(w.n_asked, 1, "authd, whose address that is");
    cr_expect_str_eq(w.asked[0], "tls@collector.example");
    world_resolve(&w, 0, ADDRESS_FOREIGN, 0);
    cr_assert_eq(w.n_jobs, 1);
    cr_expect_str_eq(w.jobs[0].sender, "");
    cr_expect_str_eq(w.jobs[0].rcpts[0], "tls@collector.example");
    cr_expect_eq(world_count(&w, "SELECT expires - arrived FROM message"), 86400, "RFC 8460 5.5");
    char filename[100];
    snprintf(filename, sizeof filename, "!remote.example!%lld!%lld!", (long long)midnight - 86400,
             (long long)midnight - 1);
    cr_expect_not_null(strstr(w.jobs[0].content, filename));
    look();
    cr_expect_eq(n_asked, 1, "today is not over");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 1);
    world_relay(&w, 0, VERDICT_OK, "250 2.0.0 ok");
    world_pass(&w, 86400);
    look();
    cr_expect_eq(n_asked, 2, "the next day");
    finish();
}

/* RFC 8460 3: that nobody gets there is what it tells. */
Test(tlsrpt, a_report_does_not_wait_with_the_others)
{
    world_begin(&w, "tls_reports = yes\n");
    join_policy();
    tell("collector.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx.collector.example");
    world_pass(&w, 2 * 86400);
    world_send_remote(&w, "alice@example.org", "bob@collector.example", "Subject: x\r\n\r\nx\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 1);
    world_reach(&w, 0, VERDICT_TRY_LATER, "451 4.7.5 not valid", REACH_DOWN);
    world_send_remote(&w, "alice@example.org", "eve@collector.example", "Subject: y\r\n\r\ny\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 1, "the server is left alone");
    look();
    cr_assert_eq(w.n_asked, 1);
    world_resolve(&w, 0, ADDRESS_FOREIGN, 0);
    cr_assert_eq(w.n_jobs, 2, "but for the report");
    cr_expect_str_eq(w.jobs[1].rcpts[0], "tls@collector.example");
    world_relay(&w, 1, VERDICT_TRY_LATER, "451 4.3.0 busy");
    world_pass(&w, 1000);
    cr_expect_geq(w.n_jobs, 3, "and again, from the database");
    bool is_again = false;
    for (size_t i = 2; i < w.n_jobs; i++)
        is_again = is_again || strcmp(w.jobs[i].rcpts[0], "tls@collector.example") == 0;
    cr_expect(is_again);
    finish();
}

/* RFC 8689 4.2.2: nor does mail that says "TLS-Required: No". */
Test(tlsrpt, who_needs_no_tls_does_not_wait_with_the_others)
{
    world_begin(&w, "");
    world_send_remote(&w, "alice@example.org", "bob@collector.example", "Subject: x\r\n\r\nx\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 1);
    world_reach(&w, 0, VERDICT_TRY_LATER, "451 4.7.5 not valid", REACH_DOWN);
    world_send_remote(&w, "alice@example.org", "eve@collector.example",
                      "Subject: y\r\n\r\nTLS-Required: No\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 1, "the server is left alone");
    world_send_remote(&w, "alice@example.org", "carol@collector.example",
                      "TLS-Required: No\r\n\r\ny\r\n");
    world_pump(&w);
    cr_assert_eq(w.n_jobs, 2);
    cr_expect_str_eq(w.jobs[1].rcpts[0], "carol@collector.example");
    world_end(&w);
}

Test(tlsrpt, who_cannot_be_asked_is_asked_again_for_three_days)
{
    world_begin(&w, "tls_reports = yes\n");
    join_policy();
    rua_verdict = VERDICT_TRY_LATER;
    tell("remote.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx.remote.example");
    world_pass(&w, 2 * 86400);
    for (int i = 0; i < 10 && n_asked < 3; i++)
        look();
    cr_expect_eq(n_asked, 3, "in each round");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 1);
    world_pass(&w, 3 * 86400);
    look();
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 0);
    cr_expect_eq(w.n_jobs, 0);
    finish();
}

static void answer_post(size_t i, enum verdict v)
{
    struct msg_tls_post_re re = {
        .tag = posts[i].tag, .verdict = (uint8_t)v, .because = SPAN("status not 200")};
    ipc_send_tls_post_re(w.policy, &re, -1);
    world_pump(&w);
}

/* RFC 8460 3: all that the record names get it. */
Test(tlsrpt, posts_and_a_mail)
{
    rua = (const char *const[]){"https://a.example/x?y=z", "tls@collector.example",
                                "https://b.example", NULL};
    world_begin(&w, "tls_reports = yes\n");
    join_policy();
    tell("remote.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx.remote.example");
    world_pass(&w, 2 * 86400);
    look();
    cr_assert_eq(w.n_asked, 1, "the address, and no URL");
    cr_expect_str_eq(w.asked[0], "tls@collector.example");
    cr_expect_eq(n_posts, 0, "nothing is on disk yet");
    world_resolve(&w, 0, ADDRESS_FOREIGN, 0);
    cr_assert(w.n_jobs == 1 && n_posts == 2);
    cr_expect_null(strstr(w.jobs[0].content, "https://"), "no URL in To");
    cr_expect_str_eq(posts[0].url, "https://a.example/x?y=z");
    cr_expect_str_eq(posts[1].url, "https://b.example");
    cr_expect_not_null(strstr(posts[0].json, "\"policy-domain\":\"remote.example\""));
    cr_expect_str_eq(posts[0].json, posts[1].json);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 0);
    answer_post(0, VERDICT_OK);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_post"), 1);
    answer_post(1, VERDICT_OK);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_post"), 0);
    cr_expect_eq(n_posts, 2, "once each");
    finish();
}

/* RFC 8460 5.5: again for 24 hours, at growing distances; a restart does not forget it. */
Test(tlsrpt, a_post_that_fails_is_tried_for_a_day)
{
    int64_t waited = 0;
    rua = (const char *const[]){"https://a.example/", NULL};
    world_begin(&w, "tls_reports = yes\n");
    join_policy();
    tell("remote.example", TLSRPT_NO_POLICY, TLSRPT_NO_STARTTLS, "mx.remote.example");
    world_pass(&w, 2 * 86400);
    look();
    cr_assert(n_posts == 1 && w.n_asked == 0 && w.n_jobs == 0);
    answer_post(0, VERDICT_TRY_LATER);
    cr_expect_eq(n_posts, 1, "not at once");
    int64_t wait_s = world_count(&w, "SELECT next - began FROM tlsrpt_post");
    cr_expect_eq(wait_s, 300);
    world_pass(&w, 299);
    look();
    cr_expect_eq(n_posts, 1);
    world_restart(&w);
    join_policy();
    world_pass(&w, 1);
    look();
    cr_assert_eq(n_posts, 2, "after the restart, too");
    posts[0] = posts[1];
    for (waited = 300; waited < 3 * 86400 && world_count(&w, "SELECT count(*) FROM tlsrpt_post");
         waited += 1800) {
        if (n_posts > 0)
            answer_post(0, VERDICT_TRY_LATER);
        n_posts = 0;
        world_pass(&w, 1800);
        look();
    }
    cr_expect(waited >= 86400 && waited < 86400 + 5 * 3600, "%lld", (long long)waited);
    finish();
}

/* A policy that cannot be had is told without a server, and without what an older one said. */
Test(tlsrpt, a_policy_that_cannot_be_had)
{
    static char json[8000], text[20000];
    struct buf out;
    world_begin(&w, "tls_reports = yes\n");
    keep_policy("remote.example", WORLD_START_S - 865000 - TLSRPT_DAY_S,
                (const char *const[]){"mx1.remote.example", NULL});
    cr_assert_eq(world_count(&w, "SELECT count(*) FROM sts"), 1);
    tell("remote.example", TLSRPT_STS, TLSRPT_STS_WEBPKI, "");
    for (int i = 0; i < 4; i++)
        tell("remote.example", TLSRPT_STS, TLSRPT_STS_FETCH, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_STS_INVALID, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_RESULTS, ""); /* there is no such */
    struct tlsrpt_about about = {.id = id_new(),
                                 .day = DAY,
                                 .domain = SPAN("remote.example"),
                                 .hostname = "mx.example.org",
                                 .to = SPAN("")};
    buf_init(&out, TLSRPT_REPORT_MAX);
    cr_assert_eq(compose(&about, &out), 0);
    cr_assert_eq(span_copy(text, sizeof text, buf_span(&out)), 0);
    unpack_report(text, json, sizeof json);
    cr_expect_not_null(
        strstr(json, "\"policies\":[{\"policy\":{\"policy-type\":\"sts\","
                     "\"policy-domain\":\"remote.example\"},\"summary\":{"
                     "\"total-successful-session-count\":0,\"total-failure-session-count\":6},"
                     "\"failure-details\":["
                     "{\"result-type\":\"sts-policy-fetch-error\",\"failed-session-count\":4},"
                     "{\"result-type\":\"sts-policy-invalid\",\"failed-session-count\":1},"
                     "{\"result-type\":\"sts-webpki-invalid\",\"failed-session-count\":1}]}]}"),
        "%s", json);
    buf_free(&out);
    world_end(&w);
}

Test(tlsrpt, a_store_of_version_9)
{
    world_begin(&w, "tls_reports = yes\n");
    world_pump(&w);
    world_restart_older(&w, WORLD_UNDO_10 "INSERT INTO tlsrpt VALUES (20775, 'remote.example',"
                                          " 2, 9, 'mx.remote.example', '192.0.2.1', 17);"
                                          "PRAGMA user_version = 9");
    cr_expect_eq(world_count(&w, "SELECT n FROM tlsrpt WHERE host = 'mx.remote.example'"), 17);
    tell_dane("mx.remote.example", "ab", TLSRPT_SUCCESS);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_tlsa"), 1);
    world_end(&w);
}

/* What was counted by the version before is told. */
Test(tlsrpt, a_store_of_version_8)
{
    world_begin(&w, "tls_reports = yes\n");
    world_pump(&w);
    world_restart_older(&w, WORLD_UNDO_9 "INSERT INTO tlsrpt VALUES (20775, 'remote.example', 2,"
                                         " 6, 'mx.remote.example', '192.0.2.1', 17);"
                                         "PRAGMA user_version = 8");
    cr_expect_eq(world_count(&w, "SELECT n FROM tlsrpt WHERE host = 'mx.remote.example'"), 17);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt_post"), 0);
    tell("remote.example", TLSRPT_STS, TLSRPT_STS_FETCH, ""); /* which there was not then */
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 2);
    world_end(&w);
}

/* Policies of others are no more than the policy process keeps: the one fetched first goes. */
Test(sts, policies_are_bounded)
{
    static const char *const mx[] = {"mx.example", NULL};
    world_begin(&w, "");
    cr_assert_eq(
        sqlite3_exec(
            w.q->store->db,
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)"
            " INSERT INTO sts (domain, id, mode, fetched, max_age, mx)"
            " SELECT 'd' || i || '.example', '1', 2, 1795000000 - 20000 + i, 864000, x''"
            " FROM n",
            NULL, NULL, NULL),
        SQLITE_OK);
    keep_policy("new.example", WORLD_START_S, mx);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM sts"), 20000);
    keep_policy("newer.example", WORLD_START_S, mx);
    keep_policy("new.example", WORLD_START_S + 1, mx);
    keep_policy("aaa.example", WORLD_START_S - 30000, mx); /* the one that is written stays */
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM sts"), 20000);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM sts WHERE domain IN ('new.example',"
                                 " 'newer.example', 'aaa.example')"),
                 3);
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM sts WHERE domain IN ('d1.example',"
                                 " 'd2.example')"),
                 0);
    world_pass(&w, 864000 - 20000 + 1000);
    keep_policy("newest.example", w.now_s, mx);
    cr_expect_lt(world_count(&w, "SELECT count(*) FROM sts"), 19100, "what ran out goes");
    world_end(&w);
}
