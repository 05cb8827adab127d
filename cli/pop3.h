/* A session with a POP3 server (RFC 1939, 2449), from the client's side, blocking: what `barid
 * fetch` says. Functions return 0; or -1 and e when the session is lost or the server refuses, with
 * p->is_temporary telling whether trying again later can help. */
#ifndef BARID_POP3_H
#define BARID_POP3_H

#include "cli/pop3in.h"
#include "cli/wire.h"
#include "common/buf.h"

#define POP3_MESSAGES_MAX 10000000
#define POP3_UIDL_MAX     128 /* RFC 1939 7: 70 */

struct pop3_server {
    char host[256], port[8]; /* a name or an address */
    enum wire_tls tls;
    struct wire_trust trust;
};

struct pop3 {
    struct wire wire;
    struct buf in;
    bool is_temporary;                                          /* of the last failure */
    bool has_uidl, has_pipelining, has_stls, has_user, has_top; /* CAPA; has_capa: it answered */
    bool has_capa;
    bool has_scram, has_scram_plus, has_plain; /* CAPA's SASL line */
    char text[POP3IN_LINE_MAX];                /* of the last status line */
};

struct pop3_message {
    uint32_t number;
    uint64_t size; /* as LIST says it */
    char uidl[POP3_UIDL_MAX + 1];
};

struct pop3_list {
    struct pop3_message *list; /* in the order of the server */
    size_t n, cap;
};

/* Connects, begins TLS if that is wanted, reads the greeting, asks CAPA. */
int pop3_open(struct pop3 *p, const struct pop3_server *to, struct error *e);
void pop3_close(struct pop3 *p); /* without QUIT: the server deletes nothing */
/* In pop3_login.c: by the best that the server offers. */
int pop3_login(struct pop3 *p, const char *user, struct span password, struct error *e);
/* All messages with sizes and UIDLs; to be freed with pop3_list_free in any case. */
int pop3_list(struct pop3 *p, struct pop3_list *out, struct error *e);
void pop3_list_free(struct pop3_list *l);

/* A command without waiting for its answer; so several can be under way (RFC 2449 6.6). */
int pop3_say(struct pop3 *p, struct error *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The next status line: *is_ok. */
int pop3_status(struct pop3 *p, bool *is_ok, struct error *e);
/* The lines of a listing, behind its +OK. `line` may be called with anything; -1 ends it all. */
typedef int pop3_line_fn(void *arg, struct span line);
int pop3_lines(struct pop3 *p, pop3_line_fn *line, void *arg, struct error *e);
/* The content behind the +OK of RETR. What `write` refuses (-1, having said why in e) ends the
 * session, and so do more than `max` octets. */
typedef int pop3_write_fn(void *arg, struct span content, struct error *e);
int pop3_content(struct pop3 *p, uint64_t max, pop3_write_fn *write, void *arg, struct error *e);
/* QUIT: with its +OK the server has deleted what was to be deleted. */
int pop3_quit(struct pop3 *p, struct error *e);

/* --- for pop3_login.c --- */

int pop3_ask_capa(struct pop3 *p, struct error *e);
int pop3_send(struct pop3 *p, struct span out, struct error *e);
/* The next line of an AUTH exchange; `text` lives until the next line. */
int pop3_auth_line(struct pop3 *p, enum pop3in_result *r, struct span *text, struct error *e);
int pop3_refused(struct pop3 *p, struct error *e, const char *what);
/* Ends the session. */
int pop3_lost(struct pop3 *p, struct error *e, const char *why);

#endif
