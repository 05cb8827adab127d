/* Policies as real web servers give them, and what is refused. */
#include "stage.h"

#include "policy/fetch.h"

#include <criterion/criterion.h>

#define OK     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define POLICY "version: STSv1\nmode: enforce\nmx: mx.remote.example\nmax_age: 86400\n" /* 66 */

static struct stage s;

struct outcome {
    bool is_over, is_policy;
    char why[200];
    enum tlsrpt_result result;
    struct sts_policy policy;
};

static void over(void *arg, const struct sts_policy *policy, const struct fetch_fault *fault)
{
    const char *why = fault->why;
    struct outcome *o = arg;
    cr_expect_not(o->is_over, "told twice");
    o->is_over = true;
    o->is_policy = policy != NULL;
    cr_expect((policy == NULL) == (why != NULL));
    if (policy != NULL)
        o->policy = *policy;
    o->result = fault->result;
    snprintf(o->why, sizeof o->why, "%s", why != NULL ? why : "");
}

static struct outcome fetch_it(void)
{
    static struct outcome o;
    struct tls_client *tls = stage_tls();
    struct fetch_params params = {
        .proc = stage_proc(), .tls = tls, .domain = SPAN("remote.example")};
    o = (struct outcome){.is_over = false};
    cr_assert_not_null(fetch_begin(&params, over, &o));
    tls_client_free(tls);
    cr_assert(stage_wait(&s, &o.is_over));
    return o;
}

struct row {
    const char *response;
    bool is_cut;
    const char *why; /* NULL: a policy */
};

static const struct row rows[] = {
    {OK "Content-Length: 66\r\n\r\n" POLICY, false, NULL},
    {OK "Content-Length: 66\r\n\r\n" POLICY, true, NULL}, /* it told its length */
    {OK "Transfer-Encoding: chunked\r\n\r\n42\r\n" POLICY "\r\n0\r\n\r\n", true, NULL},
    {OK "Transfer-Encoding: chunked\r\n\r\n1\r\nv\r\n41;x\r\n"
        "ersion: STSv1\nmode: enforce\nmx: mx.remote.example\nmax_age: 86400\n"
        "\r\n00\r\nTrailer: x\r\n\r\n",
     false, NULL},
    {OK "\r\n" POLICY, false, NULL},
    {OK "\r\n" POLICY, true, "the connection ended before the answer did"},
    {OK "Transfer-Encoding: chunked\r\n\r\n42\r\n" POLICY "\r\n", false,
     "the connection ended before the answer did"},
    {OK "Content-Length: 67\r\n\r\n" POLICY, false, "the connection ended before the answer did"},
    {"HTTP/1.1 301 Moved\r\nLocation: https://mta-sts.remote.example/\r\n\r\n", false,
     "it is somewhere else (redirect)"},
    {"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 66\r\n\r\n" POLICY,
     false, "status not 200"},
    {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 66\r\n\r\n" POLICY, false,
     "it is not text/plain"},
    {OK "Content-Length: 5\r\n\r\nhello", false, "a line of it is not name: value"},
    {"", false, "the connection ended before the answer did"},
};

static void try(const struct row *row)
{
    s.response = row->response;
    s.is_cut = row->is_cut;
    struct outcome o = fetch_it();
    cr_expect_eq(o.is_policy, row->why == NULL, "%s: %s", row->response, o.why);
    cr_expect_str_eq(o.why, row->why != NULL ? row->why : "", "%s", row->response);
    if (row->why != NULL)
        cr_expect_eq(o.result,
                     strstr(row->why, "name: value") != NULL ? TLSRPT_STS_INVALID
                                                             : TLSRPT_STS_FETCH,
                     "%s: %d", row->response, o.result);
    if (o.is_policy)
        cr_expect(o.policy.mode == STS_ENFORCE && o.policy.n_mx == 1 && o.policy.max_age == 86400);
    cr_expect_not_null(strstr(s.request, "GET /.well-known/mta-sts.txt HTTP/1.1\r\n"));
    cr_expect_not_null(strstr(s.request, "\r\nHost: mta-sts.remote.example\r\n"));
    cr_expect_null(strstr(s.request, "Accept-Encoding"), "nothing here could decode it");
}

Test(fetch, answers_whole_and_octet_by_octet)
{
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        s.goes_octet_by_octet = false;
        try(&rows[i]);
        s.goes_octet_by_octet = true;
        try(&rows[i]);
    }
    cr_expect_eq(s.n_gets, 2 * sizeof rows / sizeof rows[0], "one question each");
    stage_end(&s);
}

Test(fetch, a_long_policy_is_none)
{
    static char response[80000];
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    int n = snprintf(response, sizeof response, "%s", OK "\r\n" POLICY);
    memset(response + n, '\n', sizeof response - 1 - (size_t)n);
    s.response = response;
    struct outcome o = fetch_it();
    cr_expect_not(o.is_policy);
    cr_expect_str_eq(o.why, "it is too long");
    response[n + 60000] = '\0';
    cr_expect(fetch_it().is_policy, "65536 octets are allowed");
    stage_end(&s);
}

/* RFC 8461 3.3: the server proves the name mta-sts.DOMAIN, to an authority that is known. */
Test(fetch, another_name_is_another_server)
{
    static const char *const names[] = {"DNS:remote.example", "DNS:mta-sts.other.example",
                                        "DNS:*.mta-sts.remote.example",
                                        "DNS:mta-sts.remote.exampl"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        stage_begin(&s, names[i]);
        stage_connect(&s);
        s.response = rows[0].response;
        struct outcome o = fetch_it();
        cr_expect(!o.is_policy && o.why[0] != '\0' && s.n_gets == 0, "%s: %s", names[i], o.why);
        cr_expect_eq(o.result, TLSRPT_STS_WEBPKI, "%s: %d", names[i], o.result);
        stage_end(&s);
    }
    stage_begin(&s, "DNS:*.remote.example");
    stage_connect(&s);
    s.response = rows[0].response;
    cr_expect(fetch_it().is_policy, "a wildcard names it, too");
    stage_end(&s);
}

Test(fetch, an_unknown_authority)
{
    static struct outcome o;
    struct error e;
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    struct tls_client *nobody = tls_client_new(SPAN(""), &e);
    struct fetch_params params = {
        .proc = stage_proc(), .tls = nobody, .domain = SPAN("remote.example")};
    s.response = rows[0].response;
    cr_assert_not_null(fetch_begin(&params, over, &o));
    tls_client_free(nobody);
    cr_assert(stage_wait(&s, &o.is_over));
    cr_expect(!o.is_policy && s.n_gets == 0, "%s", o.why);
    cr_expect_eq(o.result, TLSRPT_STS_WEBPKI);
    stage_end(&s);
}

Test(fetch, where_nothing_may_connect_to)
{
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    s.response = rows[0].response;
    s.address = "127.9.0.1";
    struct outcome o = fetch_it();
    cr_expect_not(o.is_policy);
    cr_expect_str_eq(o.why, "its host has no usable address");
    cr_expect_eq(o.result, TLSRPT_STS_FETCH);
    s.address = "::ffff:127.9.0.1"; /* the same in another dress */
    o = fetch_it();
    cr_expect_str_eq(o.why, "its host has no usable address");
    stage_end(&s);
}

Test(fetch, cancelled_nobody_is_told)
{
    static struct outcome o;
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    struct tls_client *tls = stage_tls();
    struct fetch_params params = {
        .proc = stage_proc(), .tls = tls, .domain = SPAN("remote.example")};
    s.is_silent = true; /* there is no answer */
    struct fetch *f = fetch_begin(&params, over, &o);
    cr_assert_not_null(f);
    for (int i = 0; i < 10000 && s.n_gets == 0; i++)
        stage_turns(&s, 1);
    cr_assert_eq(s.n_gets, 1);
    fetch_cancel(f);
    f = fetch_begin(&params, over, &o);
    fetch_cancel(f); /* while the resolver is asked */
    tls_client_free(tls);
    stage_turns(&s, 50);
    cr_expect_not(o.is_over);
    stage_end(&s);
}
