/* What web servers that anybody can name answer to policy/, and the policies in it. */
#include "common/sts.h"
#include "common/tlsrpt.h"
#include "policy/http.h"
#include "tests/fuzz/fuzz.h"

/* Any splitting gives the same result. */
void fuzz_http(struct span in)
{
    struct http whole, split;
    http_begin(&whole, HTTP_TEXT);
    http_begin(&split, HTTP_TEXT);
    enum http_result a = http_feed(&whole, in), b = HTTP_MORE;
    for (size_t i = 0; i < in.n && b == HTTP_MORE; i++)
        b = http_feed(&split, (struct span){in.p + i, 1});
    if (a == HTTP_MORE)
        a = http_eof(&whole, true);
    if (b == HTTP_MORE)
        b = http_eof(&split, true);
    struct span x = buf_span(&whole.body), y = buf_span(&split.body);
    fuzz_check(a == b && (a != HTTP_DONE || span_eq(x, y)), "http: splitting changes it");
    fuzz_check(x.n <= HTTP_BODY_MAX, "http: too long");
    fuzz_check(a != HTTP_FAILED || whole.why != NULL, "http: no reason");
    http_free(&whole);
    http_free(&split);
}

/* What a record names comes out as something that can stand in a request. */
void fuzz_rua(struct span in)
{
    char room[RUA_OCTETS];
    struct packer out = packer_on(room, sizeof room);
    struct tlsrpt_url url;
    size_t n_others;
    tlsrpt_read_records(in, &out, &n_others);
    fuzz_check(!out.failed, "rua: no room");
    if (tlsrpt_read_url(in, &url) == 0)
        for (size_t i = 0; i < in.n; i++)
            fuzz_check(in.p[i] > ' ' && in.p[i] < 127, "rua: not for a request");
}

void fuzz_sts(struct span in)
{
    static struct sts_policy p;
    char id[STS_ID_MAX + 1];
    bool is_policy = sts_parse(in, &p) == NULL;
    struct span mx = {p.mx, p.mx_n};
    fuzz_check(!is_policy || (sts_mx_is_sane(mx) && p.max_age <= STS_AGE_MAX), "sts: not sane");
    fuzz_check(!is_policy || p.n_mx > 0 || p.mode == STS_NONE, "sts: no mx");
    fuzz_check(sts_read_records(in, id) < 0 || id[0] != '\0', "sts: no id");
    sts_matches(in, SPAN("mx.example.org"));
}
