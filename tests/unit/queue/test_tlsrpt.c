/* What is counted of TLS, and the report that is made of it. */
#include "common/tlsrpt.h"
#include "queue/tlsrpt.h"
#include "queue/tlsrpt_report.h"
#include "world.h"

#include <criterion/criterion.h>
#include <sodium.h>
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

Test(tlsrpt, sessions_are_counted_and_reported)
{
    static char json[8000], text[20000];
    char to[100];
    struct buf out;
    struct packer p = packer_on(to, sizeof to);
    world_begin(&w, "tls_reports = yes\n");
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
    cr_assert_eq(tlsrpt_compose(w.q->store, &about, &out), 0);
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
                                    "\"remote.example\"},\"summary\":{"
                                    "\"total-successful-session-count\":3,"
                                    "\"total-failure-session-count\":2},\"failure-details\":[{"
                                    "\"result-type\":\"certificate-expired\","
                                    "\"receiving-mx-hostname\":\"mx1.remote.example\","
                                    "\"receiving-ip\":\"192.0.2.1\",\"failed-session-count\":2}]}"),
                       "%s", json);
    cr_expect_null(strstr(json, "other.example"));
    buf_free(&out);
    about.day++;
    cr_expect_eq(tlsrpt_compose(w.q->store, &about, &out), -1, "there is nothing to tell");
    buf_free(&out);
    world_end(&w);
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
    for (int i = 0; i < 120; i++) {
        snprintf(host, sizeof host, "mx%d.remote.example", i);
        tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, host);
    }
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 100);
    tell("remote.example", TLSRPT_STS, TLSRPT_EXPIRED, "mx7.remote.example");
    cr_expect_eq(world_count(&w, "SELECT max(n) FROM tlsrpt"), 2, "what is there is counted on");
    tell("other.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 101);
    world_end(&w);
}

Test(tlsrpt, off_is_off)
{
    world_begin(&w, "");
    tell("remote.example", TLSRPT_STS, TLSRPT_SUCCESS, "");
    cr_expect_eq(world_count(&w, "SELECT count(*) FROM tlsrpt"), 0);
    world_end(&w);
}
