/* Reads one HTTP/1.1 response (RFC 9112): a byte machine without I/O, for a few lines of text from
 * a stranger. Its body has a length, comes in chunks, or ends with the connection. Only 200 with
 * text/plain counts; redirects, codings and anything it does not know make it fail. Of the answer
 * to what was sent there (HTTP_SUCCESS) only the status is read. Memory is bounded by
 * HTTP_BODY_MAX. */
#ifndef BARID_POLICY_HTTP_H
#define BARID_POLICY_HTTP_H

#include "common/buf.h"

#define HTTP_BODY_MAX   65536
#define HTTP_HEADER_MAX 32768 /* octets of all fields */
#define HTTP_LINE       512   /* octets of a field that are looked at */

enum http_result { HTTP_MORE, HTTP_DONE, HTTP_FAILED };
enum http_wants {
    HTTP_TEXT,    /* 200 and its text */
    HTTP_SUCCESS, /* any status 2xx; its body does not matter */
};

struct http {
    enum {
        HTTP_STATUS,
        HTTP_FIELDS,
        HTTP_BODY,
        HTTP_BODY_TO_END, /* of the connection */
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
    enum http_wants wants;
    bool is_cut; /* the line goes on, but is not kept */
    bool is_text, is_chunked, has_length, is_interim;
    uint64_t left; /* of the body, or of the chunk */
};

void http_begin(struct http *h, enum http_wants wants);
void http_free(struct http *h);
/* What comes behind the end of the response is not looked at. */
enum http_result http_feed(struct http *h, struct span in);
/* The peer has closed. is_said: by a close_notify of TLS; without it nobody knows that nothing was
 * cut off, and only a response that tells its length is whole (RFC 9112 9.8). */
enum http_result http_eof(struct http *h, bool is_said);

#endif
