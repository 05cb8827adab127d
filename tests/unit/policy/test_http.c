#include "policy/http.h"

#include <criterion/criterion.h>

#define OK   "HTTP/1.1 200 OK\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A512 A64 A64 A64 A64 A64 A64 A64 A64
#define O64  "0000000000000000000000000000000000000000000000000000000000000000"
#define O512 O64 O64 O64 O64 O64 O64 O64 O64

struct row {
    const char *in;
    enum http_result result;
    const char *said; /* the body, or why not */
};

static const struct row rows[] = {
    {OK TEXT "Content-Length: 5\r\n\r\nhello", HTTP_DONE, "hello"},
    {OK TEXT "Content-Length: 5\r\n\r\nhello and more", HTTP_DONE, "hello"},
    {"HTTP/1.0 200\n" TEXT "content-length:  5 \n\nhello", HTTP_DONE, "hello"},
    {OK "content-type:TEXT/PLAIN\r\nContent-Length: 0\r\n\r\n", HTTP_DONE, ""},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n02;x=y\r\nlo\r\n0\r\n\r\n", HTTP_DONE,
     "hello"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nDate: x\r\n\r\n", HTTP_DONE,
     "0123456789"},
    {OK TEXT "Content-Length: 6\r\n\r\nhello", HTTP_FAILED,
     "the connection ended before the answer did"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", HTTP_FAILED,
     "the connection ended before the answer did"},
    {OK TEXT "Content-Length: 5\r\n", HTTP_FAILED, "the connection ended before the answer did"},
    {"", HTTP_FAILED, "the connection ended before the answer did"},
    {OK TEXT "\r\nhello", HTTP_DONE, "hello"}, /* the end of the connection is its end */
    {OK TEXT "\r\n", HTTP_DONE, ""},
    {OK TEXT "Transfer-Encoding: Chunked\r\n\r\n3;" A512 "\r\nhel\r\n0\r\n" A512 "\r\n\r\n",
     HTTP_DONE, "hel"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n" O512 "5\r\nhello\r\n0\r\n\r\n", HTTP_FAILED,
     "a chunk without a size"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\n0\n\n", HTTP_DONE, "hello"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n", HTTP_FAILED,
     "a chunk without a size"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", HTTP_FAILED,
     "a chunk without a size"},
    {OK TEXT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAILED,
     "a transfer coding that is not chunked"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX", HTTP_FAILED,
     "the connection ended before the answer did"},
    {OK TEXT "Content-Length: " O512 "5\r\n\r\nhello", HTTP_FAILED, "a header field is too long"},
    {OK TEXT "X-Unknown: " A512 "\r\nContent-Length: 5\r\n\r\nhello", HTTP_DONE, "hello"},
    {"HTTP/1.1 100 Continue\r\n\r\n" OK TEXT "Content-Length: 5\r\n\r\nhello", HTTP_DONE, "hello"},
    {"HTTP/1.1 103 Early Hints\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n" OK TEXT
     "Content-Length: 5\r\n\r\nhello",
     HTTP_DONE, "hello"},
    {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n", HTTP_FAILED,
     "status not 200"},
    {OK "Content-Type: text/html\r\nContent-Length: 5\r\n\r\nhello", HTTP_FAILED,
     "it is not text/plain"},
    {OK "Content-Length: 5\r\n\r\nhello", HTTP_FAILED, "it is not text/plain"},
    {"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\n\r\n", HTTP_FAILED,
     "it is somewhere else (redirect)"},
    {"HTTP/1.1 404 Not Found\r\n\r\n", HTTP_FAILED, "status not 200"},
    {"HTTP/1.1 2000 OK\r\n\r\n", HTTP_FAILED, "not an answer of HTTP/1.1"},
    {"HTTP/2 200\r\n\r\n", HTTP_FAILED, "not an answer of HTTP/1.1"},
    {"220 mx.example ESMTP\r\n", HTTP_FAILED, "not an answer of HTTP/1.1"},
    {OK TEXT "Content-Length: 65537\r\n\r\n", HTTP_FAILED, "it is too long"},
    {OK TEXT "Content-Length: -1\r\n\r\n", HTTP_FAILED, "Content-Length is no number"},
    {OK TEXT "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", HTTP_FAILED,
     "Content-Length is no number"},
    {OK TEXT "Transfer-Encoding: gzip, chunked\r\n\r\n", HTTP_FAILED,
     "a transfer coding that is not chunked"},
    {OK TEXT "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", HTTP_FAILED,
     "a content coding that was not asked for"},
    {OK TEXT "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAILED,
     "both a length and chunks"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", HTTP_FAILED,
     "it is too long"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n\r\n", HTTP_FAILED, "a chunk without a size"},
    {OK TEXT "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n", HTTP_FAILED,
     "a chunk longer than its size"},
    {OK "no colon\r\n\r\n", HTTP_FAILED, "a header field without a colon"},
};

static void try(const struct row *row, size_t step)
{
    struct http h;
    enum http_result r = HTTP_MORE;
    size_t n = strlen(row->in);
    http_begin(&h, HTTP_TEXT);
    for (size_t at = 0; at < n && r == HTTP_MORE; at += step)
        r = http_feed(&h, (struct span){row->in + at, n - at < step ? n - at : step});
    if (r == HTTP_MORE)
        r = http_eof(&h, true);
    cr_expect_eq(r, row->result, "%s: %d", row->in, r);
    struct span said = r == HTTP_DONE ? buf_span(&h.body) : span_of(h.why);
    cr_expect(span_eq(said, span_of(row->said)), "%s: %.*s", row->in, (int)said.n, said.p);
    http_free(&h);
}

Test(http, answers_whole_and_octet_by_octet)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        try(&rows[i], 100000);
        try(&rows[i], 1);
        try(&rows[i], 3);
    }
}

/* Who can cut the connection must not shorten a policy. */
Test(http, an_end_that_nobody_said_is_none)
{
    struct http h;
    http_begin(&h, HTTP_TEXT);
    cr_expect_eq(http_feed(&h, SPAN(OK TEXT "\r\nhello")), HTTP_MORE);
    cr_expect_eq(http_eof(&h, false), HTTP_FAILED);
    cr_expect_str_eq(h.why, "the connection ended before the answer did");
    cr_expect_eq(http_feed(&h, SPAN("more")), HTTP_FAILED, "it is over");
    http_free(&h);
}

Test(http, endless_headers_and_bodies_end)
{
    struct http h;
    enum http_result r;
    size_t n = 0;
    http_begin(&h, HTTP_TEXT);
    r = http_feed(&h, SPAN(OK "X: "));
    for (; r == HTTP_MORE && n < 1000000; n++)
        r = http_feed(&h, SPAN("a"));
    cr_expect(r == HTTP_FAILED && n <= HTTP_HEADER_MAX);
    http_free(&h);
    http_begin(&h, HTTP_TEXT);
    r = http_feed(&h, SPAN(OK TEXT "Transfer-Encoding: chunked\r\n\r\n"));
    for (n = 0; r == HTTP_MORE && n < 1000000; n++)
        r = http_feed(&h, SPAN("1\r\na\r\n"));
    cr_expect(r == HTTP_FAILED && n <= HTTP_BODY_MAX + 1, "%zu", n);
    http_free(&h);
    http_begin(&h, HTTP_TEXT);
    r = http_feed(&h, SPAN(OK TEXT "\r\n"));
    for (n = 0; r == HTTP_MORE && n < 1000000; n += 7)
        r = http_feed(&h, SPAN("endless"));
    cr_expect(r == HTTP_FAILED && n <= HTTP_BODY_MAX + 7, "%zu", n);
    cr_expect_str_eq(h.why, "it is too long");
    http_free(&h);
    http_begin(&h, HTTP_TEXT);
    for (n = 0, r = HTTP_MORE; r == HTTP_MORE && n < 1000000; n += 25)
        r = http_feed(&h, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
    cr_expect(r == HTTP_FAILED && n <= HTTP_HEADER_MAX + 25, "%zu", n);
    http_free(&h);
}

/* Of the answer to what was sent only the status counts, however it goes on. */
Test(http, a_success_is_any_2xx)
{
    static const struct {
        const char *in;
        enum http_result result;
    } table[] = {
        {"HTTP/1.1 200 OK\r\n", HTTP_DONE},
        {"HTTP/1.1 201 Created\r\nContent-Length: 99999999\r\n\r\n", HTTP_DONE},
        {"HTTP/1.1 204\r\n", HTTP_DONE},
        {"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 202 Accepted\r\n", HTTP_DONE},
        {"HTTP/1.1 100 Continue\r\n\r\n", HTTP_MORE},
        {"HTTP/1.1 307 Elsewhere\r\nLocation: https://127.0.0.1/\r\n\r\n", HTTP_FAILED},
        {"HTTP/1.1 404 Not Found\r\n\r\n", HTTP_FAILED},
        {"HTTP/1.1 503 Later\r\n\r\n", HTTP_FAILED},
        {"220 mx.example ESMTP\r\n", HTTP_FAILED},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct http h;
        enum http_result r = HTTP_MORE;
        http_begin(&h, HTTP_SUCCESS);
        cr_expect_eq(http_feed(&h, span_of(table[i].in)), table[i].result, "%s", table[i].in);
        http_free(&h);
        http_begin(&h, HTTP_SUCCESS);
        for (const char *at = table[i].in; *at != '\0' && r == HTTP_MORE; at++)
            r = http_feed(&h, (struct span){at, 1});
        cr_expect_eq(r, table[i].result, "%s", table[i].in);
        http_free(&h);
    }
}
