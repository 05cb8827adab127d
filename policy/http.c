#include "policy/http.h"

void http_begin(struct http *h, enum http_wants wants)
{
    *h = (struct http){.state = HTTP_STATUS, .wants = wants};
    buf_init(&h->body, HTTP_BODY_MAX);
}

void http_free(struct http *h)
{
    buf_free(&h->body);
}

static enum http_result fail(struct http *h, const char *why)
{
    h->why = why;
    h->state = HTTP_OVER;
    return HTTP_FAILED;
}

static enum http_result over(struct http *h)
{
    h->state = HTTP_OVER;
    return HTTP_DONE;
}

static enum http_result take_status(struct http *h, struct span line)
{
    bool is_http = line.n >= 12 && span_starts(line, SPAN("HTTP/1.")) && line.p[8] == ' ' &&
                   (line.n == 12 || line.p[12] == ' ');
    if (!is_http)
        return fail(h, "not an answer of HTTP/1.1");
    h->is_interim = line.p[9] == '1';
    if (!h->is_interim && h->wants == HTTP_SUCCESS)
        return line.p[9] == '2'   ? over(h)
               : line.p[9] == '3' ? fail(h, "it is somewhere else (redirect)")
                                  : fail(h, "it does not take it (status)");
    if (!h->is_interim && memcmp(line.p + 9, "200", 3) != 0)
        return fail(h, line.p[9] == '3' ? "it is somewhere else (redirect)" : "status not 200");
    h->state = HTTP_FIELDS;
    return HTTP_MORE;
}

static bool is_known(struct span name)
{
    return span_ieq(name, SPAN("Content-Length")) || span_ieq(name, SPAN("Content-Type")) ||
           span_ieq(name, SPAN("Transfer-Encoding")) || span_ieq(name, SPAN("Content-Encoding"));
}

static enum http_result take_length(struct http *h, struct span value)
{
    uint64_t n;
    if (span_u64(value, &n) < 0 || (h->has_length && n != h->left))
        return fail(h, "Content-Length is no number");
    if (n > HTTP_BODY_MAX)
        return fail(h, "it is too long");
    h->has_length = true;
    h->left = n;
    return HTTP_MORE;
}

static enum http_result take_field(struct http *h, struct span line)
{
    struct span value = line;
    struct span name = span_cut(&value, ':');
    if (h->is_interim)
        return HTTP_MORE;
    if (value.p == NULL)
        return fail(h, "a header field without a colon");
    if (h->is_cut && is_known(name))
        return fail(h, "a header field is too long");
    value = span_trim(value);
    if (span_ieq(name, SPAN("Content-Length")))
        return take_length(h, value);
    if (span_ieq(name, SPAN("Content-Type"))) {
        struct span rest = value;
        h->is_text = span_ieq(span_trim(span_cut(&rest, ';')), SPAN("text/plain"));
    } else if (span_ieq(name, SPAN("Transfer-Encoding"))) {
        if (h->is_chunked || !span_ieq(value, SPAN("chunked")))
            return fail(h, "a transfer coding that is not chunked");
        h->is_chunked = true;
    } else if (span_ieq(name, SPAN("Content-Encoding")) && !span_ieq(value, SPAN("identity"))) {
        return fail(h, "a content coding that was not asked for");
    }
    return HTTP_MORE;
}

static enum http_result end_of_fields(struct http *h)
{
    if (h->is_interim) { /* RFC 9110 15.2: the answer follows */
        h->state = HTTP_STATUS;
        return HTTP_MORE;
    }
    if (!h->is_text)
        return fail(h, "it is not text/plain");
    if (h->is_chunked && h->has_length) /* RFC 9112 6.3: smells of smuggling */
        return fail(h, "both a length and chunks");
    h->state = h->is_chunked ? HTTP_CHUNK_SIZE : h->has_length ? HTTP_BODY : HTTP_BODY_TO_END;
    return h->has_length && h->left == 0 ? over(h) : HTTP_MORE;
}

static int hex(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_result take_chunk_size(struct http *h, struct span line)
{
    struct span rest = line;
    struct span size = span_trim(span_cut(&rest, ';'));
    if (size.n == 0 || (h->is_cut && rest.p == NULL))
        return fail(h, "a chunk without a size");
    h->left = 0;
    for (size_t i = 0; i < size.n; i++) {
        if (hex(size.p[i]) < 0)
            return fail(h, "a chunk without a size");
        h->left = h->left * 16 + (uint64_t)hex(size.p[i]);
        if (h->left > HTTP_BODY_MAX)
            return fail(h, "it is too long");
    }
    h->state = h->left == 0 ? HTTP_TRAILER : HTTP_CHUNK;
    return HTTP_MORE;
}

static enum http_result take_line(struct http *h, struct span line)
{
    switch (h->state) {
    case HTTP_STATUS:
        return take_status(h, line);
    case HTTP_FIELDS:
        return line.n > 0 ? take_field(h, line) : end_of_fields(h);
    case HTTP_CHUNK_SIZE:
        return take_chunk_size(h, line);
    case HTTP_CHUNK_END:
        h->state = HTTP_CHUNK_SIZE;
        return line.n == 0 ? HTTP_MORE : fail(h, "a chunk longer than its size");
    default: /* HTTP_TRAILER */
        return line.n > 0 ? HTTP_MORE : over(h);
    }
}

/* An octet of a line. What is over HTTP_LINE is dropped. */
static enum http_result take_octet(struct http *h, char c)
{
    if (++h->header_n > HTTP_HEADER_MAX)
        return fail(h, "its header is too long");
    if (c != '\n') {
        h->is_cut = h->line_n == sizeof h->line;
        if (!h->is_cut)
            h->line[h->line_n++] = c;
        return HTTP_MORE;
    }
    struct span line = {h->line, h->line_n};
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    enum http_result r = take_line(h, line);
    h->line_n = 0;
    h->is_cut = false;
    return r;
}

static enum http_result take_body(struct http *h, struct span *in)
{
    bool is_counted = h->state != HTTP_BODY_TO_END;
    size_t n = in->n < h->left || !is_counted ? in->n : (size_t)h->left;
    if (buf_add_span(&h->body, (struct span){in->p, n}) < 0)
        return fail(h, "it is too long");
    *in = span_from(*in, n);
    h->left -= is_counted ? n : 0;
    if (h->left > 0 || !is_counted)
        return HTTP_MORE;
    if (h->state == HTTP_BODY)
        return over(h);
    h->state = HTTP_CHUNK_END;
    return HTTP_MORE;
}

enum http_result http_feed(struct http *h, struct span in)
{
    enum http_result r = h->state == HTTP_OVER ? HTTP_FAILED : HTTP_MORE;
    while (in.n > 0 && r == HTTP_MORE) {
        if (h->state == HTTP_BODY || h->state == HTTP_BODY_TO_END || h->state == HTTP_CHUNK) {
            r = take_body(h, &in);
            continue;
        }
        r = take_octet(h, in.p[0]);
        in = span_from(in, 1);
    }
    return r;
}

enum http_result http_eof(struct http *h, bool is_said)
{
    if (h->state == HTTP_BODY_TO_END && is_said)
        return over(h);
    return fail(h, "the connection ended before the answer did");
}
