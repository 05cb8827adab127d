/* Reads one HTTP/1.1 response to a GET (RFC 9112): a byte machine without I/O, for a few lines of
 * text from a stranger. Only 200 with text/plain counts; redirects, codings and anything it does
 * not know make it fail. Memory is bounded by HTTP_BODY_MAX. */
#ifndef BARID_POLICY_HTTP_H
#define BARID_POLICY_HTTP_H

#include "common/buf.h"

#define HTTP_BODY_MAX   65536
#define HTTP_HEADER_MAX 32768 /* octets of all fields */
#define HTTP_LINE       512   /* octets of a field that are looked at */

enum http_result { HTTP_MORE, HTTP_DONE, HTTP_FAILED };

struct http {
    enum {
        HTTP_STATUS,
        HTTP_FIELDS,
        HTTP_BODY,
        HTTP_CHUNK_SIZE,
        HTTP_CHUNK,
        HTTP_CHUNK_END,
        HTTP_TRAILER,
        HTTP_OVER
    } state;
    const char *why; /* of HTTP_FAILED; a constant */
    struct buf body;
    size_t header_n, line_n;
    char line[HTTP_LINE];
    bool is_text, is_chunked, has_length;
    uint64_t left; /* of the body, or of the chunk */
};

void http_begin(struct http *h);
void http_free(struct http *h);
/* What comes behind the end of the response is not looked at. */
enum http_result http_feed(struct http *h, struct span in);
/* The peer has closed: only a response that says its length is whole. */
enum http_result http_eof(struct http *h);

#endif
