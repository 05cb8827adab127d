/* Reports that are given to web servers. */
#include "stage.h"

#include "policy/post.h"

#include <criterion/criterion.h>

static struct stage s;

static void begin(const char *response)
{
    stage_begin(&s, "DNS:web.example");
    stage_connect(&s);
    s.response = response;
}

Test(post, a_request_and_its_answer)
{
    begin("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
    stage_allow_all();
    cr_expect_eq(stage_post(&s, "https://web.example/a%20b?c=d").verdict, VERDICT_OK);
    cr_expect_eq(s.n_gets, 1);
    cr_expect_str_eq(s.request, "POST /a%20b?c=d HTTP/1.1\r\nHost: web.example\r\n"
                                "Content-Type: application/tlsrpt+gzip\r\nContent-Length: 7\r\n"
                                "User-Agent: barid\r\nConnection: close\r\n\r\n");
    cr_expect_eq(stage_post(&s, "https://web.example?x").verdict, VERDICT_OK);
    cr_expect_not_null(strstr(s.request, "POST /?x HTTP/1.1\r\n"));
    char url[100], host[100];
    snprintf(url, sizeof url, "https://web.example:%u", web_port());
    snprintf(host, sizeof host, "POST / HTTP/1.1\r\nHost: web.example:%u\r\n", web_port());
    cr_expect_eq(stage_post(&s, url).verdict, VERDICT_OK);
    cr_expect_not_null(strstr(s.request, host));
    stage_end(&s);
}

Test(post, what_does_not_take_it)
{
    begin("HTTP/1.1 302 Found\r\nLocation: https://web.example/b\r\n\r\n");
    stage_allow_all();
    struct stage_answer p = stage_post(&s, "https://web.example/");
    cr_expect_eq(p.verdict, VERDICT_TRY_LATER);
    cr_expect_str_eq(p.because, "it is somewhere else (redirect)");
    s.response = "HTTP/1.1 503 Later\r\n\r\n";
    cr_expect_str_eq(stage_post(&s, "https://web.example/").because,
                     "it does not take it (status)");
    s.n_gets = 0;
    p = stage_post(&s, "https://other.example/");
    cr_expect(p.verdict == VERDICT_TRY_LATER && s.n_gets == 0, "a certificate of another");
    cr_expect_eq(stage_post(&s, "https://127.0.0.1/").verdict, VERDICT_TRY_LATER);
    cr_expect_eq(stage_post(&s, "https://web.example/ HTTP/1.1").verdict, VERDICT_TRY_LATER);
    cr_expect_eq(stage_post(&s, "http://web.example/").verdict, VERDICT_TRY_LATER);
    cr_expect_eq(s.n_gets, 0);
    stage_end(&s);
}

/* Whoever writes a record must not make us knock at what only we can reach. */
Test(post, private_addresses)
{
    static const char *const addresses[] = {
        "10.1.2.3",        "172.31.0.1",      "192.168.1.1",
        "100.64.0.1",      "169.254.1.1",     "127.0.0.1",
        "fd00::1",         "fe80::1",         "::1",
        "::ffff:10.0.0.1", "0.0.0.0",         "::",
        "224.0.0.1",       "255.255.255.255", "ff02::1",
        "192.0.0.8",       "198.18.0.1",      "64:ff9b::127.0.0.1",
        "2002:7f00:1::",   "::127.0.0.1",     "::ffff:127.0.0.1"};
    begin("HTTP/1.1 200 OK\r\n\r\n");
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        s.address = addresses[i];
        cr_expect_str_eq(stage_post(&s, "https://web.example/").because,
                         "its host has no usable address", "%s", addresses[i]);
    }
    cr_expect_eq(s.n_gets, 0);
    stage_end(&s);
}

/* Whoever ends it without an answer may have taken it. */
Test(post, to_one_address_at_most)
{
    begin("");
    stage_allow_all();
    s.n_more_addresses = 3;
    s.breaks_off = true;
    struct stage_answer p = stage_post(&s, "https://web.example/");
    cr_expect_eq(p.verdict, VERDICT_TRY_LATER);
    cr_expect_neq(p.because[0], '\0');
    cr_expect_eq(s.n_gets, 1);
    s.breaks_off = false;
    s.is_cut = true; /* the end of the connection, without an answer */
    cr_expect_eq(stage_post(&s, "https://web.example/").verdict, VERDICT_TRY_LATER);
    cr_expect_eq(s.n_gets, 2);
    stage_end(&s);
}

/* A text is asked for at the next address. */
Test(post, a_text_is_asked_for_at_each_address)
{
    stage_begin(&s, STAGE_HOSTS);
    stage_connect(&s);
    stage_allow_all();
    s.txt = "v=STSv1; id=one;";
    s.n_more_addresses = 2;
    s.breaks_off = true;
    stage_ask(&s, "remote.example");
    cr_expect_eq(s.n_gets, 3);
    stage_end(&s);
}

Test(post, who_asked_is_gone)
{
    begin("");
    stage_allow_all();
    s.is_silent = true;
    struct ipc *queue = proc_peer(stage_proc(), ROLE_QUEUE);
    struct msg_tls_post m = {.url = SPAN("https://web.example/"), .report = STAGE_REPORT};
    for (int i = 0; i < 8; i++)
        post_begin(&s.posts, queue, &m);
    cr_expect_eq(s.posts.n, 8);
    post_begin(&s.posts, queue, &m);
    cr_expect_eq(s.posts.n, 8, "not more at a time");
    posts_forget(&s.posts, queue);
    cr_expect(s.posts.n == 0 && s.posts.first == NULL);
    stage_turns(&s, 20);
    stage_end(&s);
}
