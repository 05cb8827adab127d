#include "relay/client.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* One exchange: the server waits for exactly `hears` (nothing less, nothing more), then says
 * `says`; NULL: it closes. */
struct exchange {
    const char *hears, *says;
};

struct row {
    const char *name;
    struct exchange dialog[16];
    const char *content; /* NULL: no mail is sent */
    uint8_t flags;
    const char *expected; /* events in order: "ready", "0:ok 250 …" */
};

#define HELLO                                                                                      \
    {"", "220 mx ESMTP\r\n"},                                                                      \
    {                                                                                              \
        "EHLO us\r\n", "250 mx\r\n"                                                                \
    }
#define PIPED                                                                                      \
    {"", "220 mx ESMTP\r\n"},                                                                      \
    {                                                                                              \
        "EHLO us\r\n", "250-mx\r\n250 PIPELINING\r\n"                                              \
    }
#define MAIL     "MAIL FROM:<s@x>\r\n"
#define RCPT_A   "RCPT TO:<a@y>\r\n"
#define RCPT_B   "RCPT TO:<b@y>\r\n"
#define ENVELOPE MAIL RCPT_A RCPT_B "DATA\r\n"
#define QUIT                                                                                       \
    {                                                                                              \
        "QUIT\r\n", "221 bye\r\n"                                                                  \
    }
#define FLOOD                                                                                      \
    "250 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"                                        \
    "250 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"                                        \
    "250 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
#define TEXT "S: x\r\n\r\nhi\r\n"

static const struct row rows[] = {
    {"step by step",
     {HELLO,
      {MAIL, "250 ok\r\n"},
      {RCPT_A, "250 ok\r\n"},
      {RCPT_B, "251 ok\r\n"},
      {"DATA\r\n", "354 go\r\n"},
      {TEXT ".\r\n", "250 2.0.0 kept\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:ok 250 2.0.0 kept (in reply to end of DATA)|1:ok 250 2.0.0 kept (in reply to end of "
     "DATA)|"
     "ready|ended"},
    {"LMTP: each recipient hears for itself (RFC 2033)",
     {{"", "220 mx LMTP\r\n"},
      {"LHLO us\r\n", "250-mx\r\n250 PIPELINING\r\n"},
      {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n452 4.2.2 full\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:ok 250 kept (in reply to end of DATA)|1:later 452 4.2.2 full (in reply to end of "
     "DATA)|ready|ended"},
    {"LMTP: who was refused at RCPT has no second reply",
     {{"", "220 mx LMTP\r\n"},
      {"LHLO us\r\n", "250-mx\r\n250 PIPELINING\r\n"},
      {ENVELOPE, "250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:never 550 no (in reply to RCPT TO)|1:ok 250 kept (in reply to end of "
     "DATA)|ready|ended"},
    {"pipelined",
     {PIPED,
      {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:ok 250 kept (in reply to end of DATA)|1:ok 250 kept (in reply to end of "
     "DATA)|ready|ended"},
    {"HELO if EHLO is unknown",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "500 what\r\n"},
      {"HELO us\r\n", "250 mx\r\n"},
      {MAIL, "250 ok\r\n"},
      {RCPT_A, "250 ok\r\n"},
      {RCPT_B, "250 ok\r\n"},
      {"DATA\r\n", "354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     CONTENT_8BIT,
     "ready|0:ok 250 kept (in reply to end of DATA)|1:ok 250 kept (in reply to end of "
     "DATA)|ready|ended"},
    {"parameters when offered",
     {{"", "220-mx\r\n220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250-size 1000\r\n250-8bitmime\r\n250 X\r\n"},
      {"MAIL FROM:<s@x> SIZE=12 BODY=8BITMIME\r\n", "250 ok\r\n"},
      {RCPT_A, "250 ok\r\n"},
      {RCPT_B, "250 ok\r\n"},
      {"DATA\r\n", "354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     CONTENT_8BIT,
     "ready|0:ok 250 kept (in reply to end of DATA)|1:ok 250 kept (in reply to end of "
     "DATA)|ready|ended"},
    {"the first line of EHLO's answer is a name, not an offer",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250 PIPELINING\r\n"},
      {MAIL, "450 later\r\n"},
      {"RSET\r\n", "250 ok\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:later 450 later (in reply to MAIL FROM)|1:later 450 later (in reply to MAIL "
     "FROM)|ready|ended"},
    {"too large: not even asked",
     {{"", "220 mx\r\n"}, {"EHLO us\r\n", "250-mx\r\n250 SIZE 11\r\n"}, QUIT},
     TEXT,
     0,
     "ready|0:never 552 5.3.4 message of 12 octets, but HERE takes only 11|"
     "1:never 552 5.3.4 message of 12 octets, but HERE takes only 11|ready|ended"},
    {"size 0 is no limit",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250 SIZE 0\r\n"},
      {"MAIL FROM:<s@x> SIZE=12\r\n", "550 5.7.1 no\r\n"},
      {"RSET\r\n", "250 ok\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:never 550 5.7.1 no (in reply to MAIL FROM)|1:never 550 5.7.1 no (in reply to MAIL "
     "FROM)|"
     "ready|ended"},
    {"each recipient has its verdict",
     {HELLO,
      {MAIL, "250 ok\r\n"},
      {RCPT_A, "550 5.1.1 who\r\n"},
      {RCPT_B, "250 ok\r\n"},
      {"DATA\r\n", "354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:never 550 5.1.1 who (in reply to RCPT TO)|1:ok 250 kept (in reply to end of "
     "DATA)|ready|"
     "ended"},
    {"552 for a recipient is 452",
     {PIPED,
      {ENVELOPE, "250 ok\r\n250 ok\r\n552 too many\r\n354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|1:later 552 too many (in reply to RCPT TO)|0:ok 250 kept (in reply to end of "
     "DATA)|ready|ended"},
    {"no recipient accepted",
     {HELLO,
      {MAIL, "250 ok\r\n"},
      {RCPT_A, "550 a\r\n"},
      {RCPT_B, "450 b\r\n"},
      {"RSET\r\n", "250 ok\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:never 550 a (in reply to RCPT TO)|1:later 450 b (in reply to RCPT TO)|ready|ended"},
    {"no recipient accepted, pipelined",
     {PIPED,
      {ENVELOPE, "250 ok\r\n550 a\r\n550 b\r\n554 no recipients\r\n"},
      {"RSET\r\n", "250 ok\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:never 550 a (in reply to RCPT TO)|1:never 550 b (in reply to RCPT TO)|ready|ended"},
    {"no recipient accepted, and yet 354",
     {PIPED,
      {ENVELOPE, "250 ok\r\n550 a\r\n550 b\r\n354 go\r\n"},
      {".\r\n", "250 kept nothing\r\n"},
      {"RSET\r\n", "250 ok\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:never 550 a (in reply to RCPT TO)|1:never 550 b (in reply to RCPT TO)|ready|ended"},
    {"sender refused, pipelined",
     {PIPED, {ENVELOPE, "550 s\r\n503 x\r\n503 x\r\n503 x\r\n"}, {"RSET\r\n", "250 ok\r\n"}, QUIT},
     TEXT,
     0,
     "ready|0:never 550 s (in reply to MAIL FROM)|1:never 550 s (in reply to MAIL "
     "FROM)|ready|ended"},
    {"DATA refused",
     {HELLO,
      {MAIL, "250 ok\r\n"},
      {RCPT_A, "250 ok\r\n"},
      {RCPT_B, "550 b\r\n"},
      {"DATA\r\n", "451 no\r\n"},
      {"RSET\r\n", "250 ok\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|1:never 550 b (in reply to RCPT TO)|0:later 451 no (in reply to DATA)|ready|ended"},
    {"content refused",
     {PIPED,
      {ENVELOPE, "250 ok\r\n250 ok\r\n550 b\r\n354 go\r\n"},
      {TEXT ".\r\n", "554-5.7.1 sp\r\n554 5.7.1 am\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|1:never 550 b (in reply to RCPT TO)|0:never 554 5.7.1 sp am (in reply to end of "
     "DATA)|ready|"
     "ended"},
    {"dots are doubled",
     {PIPED,
      {ENVELOPE, "250 ok\r\n250 ok\r\n550 b\r\n354 go\r\n"},
      {"..\r\n...\r\na.\r\n..b\r\n.\r\n", "250 kept\r\n"},
      QUIT},
     ".\r\n..\r\na.\r\n.b\r\n",
     0 /* a wrong flag does not matter */,
     "ready|1:never 550 b (in reply to RCPT TO)|0:ok 250 kept (in reply to end of "
     "DATA)|ready|ended"},
    {"damaged content is never ended: bare LF",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}},
     "a\n.\r\nb\r\n",
     0,
     "ready|ended later 451 4.3.0 the stored message is damaged; not sent to HERE"},
    {"damaged content is never ended: no line end",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}},
     "a\r\nb",
     0,
     "ready|ended later 451 4.3.0 the stored message is damaged; not sent to HERE"},
    {"content that is not what was accepted is never ended",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}},
     "a\r\nb\r\n",
     0,
     "ready|ended later 451 4.3.0 the stored message is damaged; not sent to HERE"},
    /* the login; "AHUAcGVuY2ls" is NUL u NUL pencil */
    {"login: AUTH PLAIN",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250-AUTH X-NEW login plain\r\n250 SIZE\r\n"},
      {"AUTH PLAIN AHUAcGVuY2ls\r\n", "235 2.7.0 in\r\n"},
      QUIT},
     NULL,
     0,
     "ready|ended"},
    {"login: AUTH LOGIN",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250 AUTH LOGIN\r\n"},
      {"AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"},
      {"dQ==\r\n", "334 UGFzc3dvcmQ6\r\n"},
      {"cGVuY2ls\r\n", "235 in\r\n"},
      QUIT},
     NULL,
     0,
     "ready|ended"},
    {"login: who wrote the mail is not vouched for (RFC 4954 5)",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n"},
      {"AUTH PLAIN AHUAcGVuY2ls\r\n", "235 2.7.0 in\r\n"},
      {"MAIL FROM:<s@x> AUTH=<>\r\n" RCPT_A RCPT_B "DATA\r\n",
       "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
      {TEXT ".\r\n", "250 kept\r\n"},
      QUIT},
     TEXT,
     0,
     "ready|0:ok 250 kept (in reply to end of DATA)|1:ok 250 kept (in reply to end of DATA)|"
     "ready|ended"},
    {"login: a wrong password is our fault, not the mail's",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250 AUTH PLAIN\r\n"},
      {"AUTH PLAIN AHUAcGVuY2ls\r\n", "535 5.7.8 no\r\n"}},
     TEXT,
     0,
     "ended later 535 5.7.8 no (in reply to AUTH)"},
    {"login: AUTH is not offered",
     {{"", "220 mx\r\n"}, {"EHLO us\r\n", "250 mx\r\n"}},
     TEXT,
     0,
     "ended later 451 4.7.9 HERE offers no way to log in that is known here"},
    {"login: a login that is over before the password was asked for",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250 AUTH LOGIN\r\n"},
      {"AUTH LOGIN\r\n", "235 in\r\n"}},
     TEXT,
     0,
     "ended later 451 4.7.8 HERE does not prove that it knows the password"},
    {"login: challenges without end",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250-mx\r\n250 AUTH PLAIN\r\n"},
      {"AUTH PLAIN AHUAcGVuY2ls\r\n", "334 eA==\r\n"},
      {"*\r\n", "334 eA==\r\n"},
      {"*\r\n", "501 no\r\n"}},
     TEXT,
     0,
     "ended later 501 no (in reply to AUTH)"},
    /* endings */
    {"greeting 554", {{"", "554 no\r\n"}}, NULL, 0, "ended never 554 no (in reply to connect)"},
    {"greeting 421", {{"", "421 no\r\n"}}, NULL, 0, "ended later 421 no (in reply to connect)"},
    {"greeting 250",
     {{"", "250 hm\r\n"}},
     NULL,
     0,
     "ended later HERE answers out of step or not in SMTP (awaited: reply to connect)"},
    {"no SMTP",
     {{"", "SSH-2.0-x\r\n"}},
     NULL,
     0,
     "ended later HERE answers out of step or not in SMTP (awaited: reply to connect)"},
    {"EHLO and HELO refused",
     {{"", "220 x\r\n"}, {"EHLO us\r\n", "550 a\r\n"}, {"HELO us\r\n", "550 b\r\n"}},
     NULL,
     0,
     "ended never 550 b (in reply to HELO)"},
    {"EHLO 4xx",
     {{"", "220 x\r\n"}, {"EHLO us\r\n", "450 a\r\n"}},
     NULL,
     0,
     "ended later 450 a (in reply to EHLO)"},
    {"closed before the greeting",
     {{"", NULL}},
     NULL,
     0,
     "ended later connection to HERE: closed by the server (awaited: reply to connect)"},
    {"closed instead of an answer to MAIL",
     {HELLO, {MAIL, NULL}},
     TEXT,
     0,
     "ready|ended untouched connection to HERE: closed by the server (awaited: reply to MAIL "
     "FROM)"},
    {"closed in the middle",
     {HELLO, {MAIL, "250 ok\r\n"}, {RCPT_A, "550 a\r\n"}, {RCPT_B, NULL}},
     TEXT,
     0,
     "ready|0:never 550 a (in reply to RCPT TO)|"
     "ended later connection to HERE: closed by the server (awaited: reply to RCPT TO)"},
    {"closed after the dot",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}, {TEXT ".\r\n", NULL}},
     TEXT,
     0,
     "ready|ended later connection to HERE: closed by the server (awaited: reply to end of DATA)"},
    {"421 for MAIL",
     {HELLO, {MAIL, "421 4.3.2 bye\r\n"}},
     TEXT,
     0,
     "ready|ended untouched 421 4.3.2 bye (in reply to MAIL FROM)"},
    {"421 for RCPT",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n421 bye\r\n"}},
     TEXT,
     0,
     "ready|ended later 421 bye (in reply to RCPT TO)"},
    {"421 after the dot",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}, {TEXT ".\r\n", "421 bye\r\n"}},
     TEXT,
     0,
     "ready|ended later 421 bye (in reply to end of DATA)"},
    {"answers before the questions",
     {{"", "220 mx\r\n250 ok\r\n"}},
     NULL,
     0,
     "ended later HERE answers out of step or not in SMTP (awaited: reply to connect)"},
    {"the delivery is confirmed before the content was sent",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n"}},
     TEXT,
     0,
     "ready|ended later HERE answers out of step or not in SMTP (awaited: reply to content)"},
    {"2xx for DATA",
     {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n250 go\r\n"}},
     TEXT,
     0,
     "ready|ended later HERE answers out of step or not in SMTP (awaited: reply to DATA)"},
    {"354 for RCPT",
     {PIPED, {ENVELOPE, "250 ok\r\n354 ok\r\n250 ok\r\n250 go\r\n"}},
     TEXT,
     0,
     "ready|ended later HERE answers out of step or not in SMTP (awaited: reply to RCPT TO)"},
    {"354 for the dot",
     {PIPED,
      {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"},
      {TEXT ".\r\n", "354 more\r\n"}},
     TEXT,
     0,
     "ready|ended later HERE answers out of step or not in SMTP (awaited: reply to end of DATA)"},
    {"a reply before the mail",
     {{"", "220 mx\r\n"}, {"EHLO us\r\n", "250 mx\r\n250 ok\r\n"}},
     TEXT,
     0,
     "ready|ended untouched HERE answers out of step or not in SMTP (awaited: reply to MAIL FROM)"},
    {"replies to all before the questions, and no end of them",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "250 mx\r\n" FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD FLOOD}},
     TEXT,
     0,
     "ready|ended untouched HERE answers out of step or not in SMTP (awaited: reply to MAIL FROM)"},
    {"RSET refused",
     {HELLO, {MAIL, "450 a\r\n"}, {"RSET\r\n", "500 x\r\n"}},
     TEXT,
     0,
     "ready|0:later 450 a (in reply to MAIL FROM)|1:later 450 a (in reply to MAIL FROM)|"
     "ended later 500 x (in reply to RSET)"},
    {"required: no STARTTLS",
     {HELLO, QUIT},
     TEXT,
     0,
     "ended later 451 4.7.4 HERE does not offer STARTTLS, and TLS is required here"},
    {"requiretls: no STARTTLS",
     {HELLO, QUIT},
     TEXT,
     0,
     "ended unfit 550 5.7.10 the message requires TLS, and HERE does not offer STARTTLS"},
    {"requiretls: no EHLO, and no answer to QUIT",
     {{"", "220 mx\r\n"},
      {"EHLO us\r\n", "500 what\r\n"},
      {"HELO us\r\n", "250 mx\r\n"},
      {"QUIT\r\n", NULL}},
     TEXT,
     0,
     "ended unfit 550 5.7.10 the message requires TLS, and HERE does not offer STARTTLS"},
    {"requiretls: nonsense in answer to QUIT",
     {HELLO, {"QUIT\r\n", "421 x\r\n"}},
     TEXT,
     0,
     "ended unfit 550 5.7.10 the message requires TLS, and HERE does not offer STARTTLS"},
};

/* --- the two sides --- */

struct side {
    const struct row *row;
    struct loop *loop;
    struct client *client;
    struct client_mail mail;
    int listener, fd; /* of the server */
    size_t at;        /* exchanges done */
    char heard[300000], unsaid[2048], events[4096];
    size_t n_heard, n_unsaid, n_events, step; /* step: octets said at once */
    char said[30000];                         /* the dialogue: "> EHLO us|" */
    size_t n_said;
    uint16_t port;
    bool is_over, is_closing;
};

static void event(struct side *s, const char *text, struct span more)
{
    if (s->n_events > 0)
        s->events[s->n_events++] = '|';
    s->n_events += (size_t)snprintf(s->events + s->n_events, 1000, "%s%s%.*s", text,
                                    more.n > 0 ? " " : "", (int)more.n, more.n > 0 ? more.p : "");
}

static void on_ready(void *owner)
{
    struct side *s = owner;
    event(s, "ready", SPAN(""));
    if (s->row->content != NULL && client_mails(s->client) == 0)
        client_send(s->client, &s->mail);
    else
        client_quit(s->client);
}

static void on_result(void *owner, size_t rcpt, enum verdict v, struct span text)
{
    static const char *const words[] = {"ok", "later", "never"};
    char head[16];
    snprintf(head, sizeof head, "%zu:%s", rcpt, words[v]);
    event(owner, head, text);
}

static void on_ended(void *owner, const struct client_end *e)
{
    struct side *s = owner;
    client_free(s->client); /* first, as an owner may */
    s->client = NULL;
    if (span_starts(e->text, SPAN("the connection was closed as planned")))
        event(s, "ended", SPAN(""));
    else if (e->is_untouched)
        event(s, "ended untouched", e->text);
    else if (e->is_unfit)
        event(s, "ended unfit", e->text);
    else
        event(s, e->verdict == VERDICT_NEVER ? "ended never" : "ended later", e->text);
    s->is_over = true;
}

static void on_said(void *owner, char who, struct span words)
{
    struct side *s = owner;
    size_t room = sizeof s->said - s->n_said;
    int n = snprintf(s->said + s->n_said, room, "%c %.*s|", who, (int)words.n, words.p);
    s->n_said += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static const struct client_ops ops = {
    .ready = on_ready, .result = on_result, .ended = on_ended, .said = on_said};

static void listen_somewhere(struct side *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof in;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(s->listener, (struct sockaddr *)&in, n), 0);
    cr_assert_eq(listen(s->listener, 1), 0);
    cr_assert_eq(getsockname(s->listener, (struct sockaddr *)&in, &n), 0);
    s->port = ntohs(in.sin_port);
    s->fd = -1;
}

/* Without the delays of Nagle: what is said octet by octet goes out so. */
static void accept_client(struct side *s)
{
    int on = 1;
    s->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void server_hears(struct side *s)
{
    ssize_t n = recv(s->fd, s->heard + s->n_heard, sizeof s->heard - s->n_heard, MSG_DONTWAIT);
    s->n_heard += n > 0 ? (size_t)n : 0;
    const struct exchange *x = &s->row->dialog[s->at];
    if (x->hears == NULL || s->n_unsaid > 0 || s->n_heard < strlen(x->hears))
        return;
    struct span heard = {s->heard, s->n_heard};
    cr_expect(span_eq(heard, span_of(x->hears)), "%s: heard %.*s", s->row->name, (int)heard.n,
              heard.p);
    s->n_heard = 0;
    s->at++;
    if (x->says == NULL) {
        s->is_closing = true;
        return;
    }
    s->n_unsaid = strlen(x->says);
    memcpy(s->unsaid, x->says, s->n_unsaid);
}

static void server_says(struct side *s)
{
    size_t n = s->n_unsaid < s->step ? s->n_unsaid : s->step;
    if (n > 0)
        (void)!send(s->fd, s->unsaid, n, MSG_NOSIGNAL);
    memmove(s->unsaid, s->unsaid + n, s->n_unsaid - n);
    s->n_unsaid -= n;
    if (s->is_closing && s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

/* Runs until the client has ended; returns the events, with the server's address as HERE. */
static const char *play(struct side *s, const struct client_times *times)
{
    static char out[4096];
    struct netaddr to = {.octets = {127, 0, 0, 1}, .n = 4, .port = s->port};
    const char *hello = s->row->dialog[1].hears;
    bool requires_tls = strncmp(s->row->name, "requiretls: ", 12) == 0;
    enum relay_tls level = strncmp(s->row->name, "required: ", 10) == 0 ? RELAY_TLS_REQUIRED
                           : requires_tls                               ? RELAY_TLS_VERIFIED
                                                                        : RELAY_TLS_OPPORTUNISTIC;
    struct client_params params = {.loop = s->loop,
                                   .to = &to,
                                   .host = SPAN("mx"),
                                   .hostname = SPAN("us"),
                                   .user = strncmp(s->row->name, "login: ", 7) == 0 ? SPAN("u")
                                                                                    : SPAN(""),
                                   .secret = SPAN("pencil"),
                                   .level = level,
                                   .requires_tls = requires_tls,
                                   .is_lmtp = hello != NULL && strncmp(hello, "LHLO", 4) == 0,
                                   .times = times};
    char here[CLIENT_REMOTE];
    client_format_remote(here, params.host, &to);
    s->client = client_connect(&params, &ops, s);
    accept_client(s);
    for (int turn = 0; turn < 20000 && !s->is_over; turn++) {
        loop_turn(s->loop, s->fd >= 0 && times == &client_times_default ? 0 : 20);
        if (s->fd < 0)
            continue;
        server_hears(s);
        server_says(s);
    }
    cr_expect(s->is_over, "%s: it does not end", s->row->name);
    client_free(s->client);
    size_t n = 0;
    for (const char *p = s->events; p < s->events + s->n_events && n < sizeof out - 100;) {
        if (strncmp(p, here, strlen(here)) == 0) {
            n += (size_t)snprintf(out + n, 8, "HERE");
            p += strlen(here);
        } else {
            out[n++] = *p++;
        }
    }
    out[n] = '\0';
    return out;
}

/* What is freed is overwritten, so that who still reads it is found out. */
static void forget_freed(void)
{
    mallopt(M_PERTURB, 0xa5);
}

TestSuite(client, .init = forget_freed);

static void set_hash(struct client_mail *m, struct span content)
{
    struct content_scan scan;
    content_begin(&scan);
    content_add(&scan, content);
    content_end(&scan);
    memcpy(m->hash, scan.hash, sizeof m->hash);
}

/* Neither what logs in nor content is in what we said, whatever the server makes of it. */
static void check_said(const struct side *s)
{
    static const char *const ours[] = {"EHLO us",  "LHLO us",  "HELO us", "MAIL FROM:<s@x>",
                                       "RCPT TO:", "DATA",     ".",       "RSET",
                                       "QUIT",     "STARTTLS", "[hidden]"};
    struct span rest = {s->said, s->n_said};
    cr_expect(s->n_said > 0, "%s: nothing was said", s->row->name);
    while (rest.n > 0) {
        struct span line = span_cut(&rest, '|');
        bool is_known = line.n > 0 && line.p[0] != '>';
        for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
            is_known |= span_starts(span_from(line, 2), span_of(ours[i]));
        is_known |= span_eq(line, SPAN("> AUTH [hidden]"));
        cr_expect(is_known, "%s: %.*s", s->row->name, (int)line.n, line.p);
    }
}

static void check(const struct row *row, size_t step, const struct client_times *times)
{
    static const struct client_rcpt rcpts[] = {{.address = {"a@y", 3}}, {.address = {"b@y", 3}}};
    struct side *s = calloc(1, sizeof *s);
    *s = (struct side){.row = row, .loop = loop_new(), .step = step};
    s->mail = (struct client_mail){.sender = SPAN("s@x"),
                                   .rcpts = rcpts,
                                   .n_rcpts = 2,
                                   .flags = row->flags,
                                   .content = span_of(row->content),
                                   .fd = -1};
    s->mail.size = s->mail.content.n;
    set_hash(&s->mail, s->mail.content);
    s->mail.hash[0] ^= strstr(row->name, "is not what was accepted") != NULL;
    listen_somewhere(s);
    const char *got = play(s, times);
    cr_expect_str_eq(got, row->expected, "%s by %zu: %s", row->name, step, got);
    check_said(s);
    close(s->listener);
    if (s->fd >= 0)
        close(s->fd);
    loop_free(s->loop);
    free(s);
}

Test(client, whole_replies)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], 1024, &client_times_default);
}

Test(client, replies_octet_by_octet)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strstr(rows[i].name, "before") == NULL) /* these are about what comes at once */
            check(&rows[i], 1, &client_times_default);
}

static const struct row *row_named(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    cr_assert(false, "no row %s", name);
    return NULL;
}

/* The server repeats our words, in refusing the login: they are hidden there, too. */
static const struct row echo = {"login: refused with what was said",
                                {{"", "220 mx\r\n"},
                                 {"EHLO us\r\n", "250-mx\r\n250 AUTH PLAIN\r\n"},
                                 {"AUTH PLAIN AHUAcGVuY2ls\r\n", "535 5.7.8 AHUAcGVuY2ls\r\n"}},
                                TEXT,
                                0,
                                NULL};

static void check_dialogue(const struct row *row, const char *expected)
{
    static const struct client_rcpt rcpts[] = {{.address = {"a@y", 3}}, {.address = {"b@y", 3}}};
    struct side *s = calloc(1, sizeof *s);
    char here[CLIENT_REMOTE], connecting[CLIENT_REMOTE + 40];
    *s = (struct side){.row = row, .loop = loop_new(), .step = 1024};
    s->mail = (struct client_mail){
        .sender = SPAN("s@x"), .rcpts = rcpts, .n_rcpts = 2, .content = SPAN(TEXT), .fd = -1};
    s->mail.size = s->mail.content.n;
    set_hash(&s->mail, s->mail.content);
    listen_somewhere(s);
    struct netaddr to = {.octets = {127, 0, 0, 1}, .n = 4, .port = s->port};
    client_format_remote(here, SPAN("mx"), &to);
    snprintf(connecting, sizeof connecting, "= connecting to %s|", here);
    play(s, &client_times_default);
    s->said[s->n_said] = '\0';
    cr_assert_eq(strncmp(s->said, connecting, strlen(connecting)), 0, "%s", s->said);
    cr_expect_str_eq(s->said + strlen(connecting), expected, "%s", s->said);
    close(s->listener);
    if (s->fd >= 0)
        close(s->fd);
    loop_free(s->loop);
    free(s);
}

Test(client, dialogue)
{
    check_dialogue(row_named("pipelined"),
                   "= connected|< 220 mx ESMTP|> EHLO us|< 250-mx|< 250 PIPELINING|"
                   "> MAIL FROM:<s@x>|> RCPT TO:<a@y>|> RCPT TO:<b@y>|> DATA|"
                   "< 250 ok|< 250 ok|< 250 ok|< 354 go|= content of 12 octets|> .|< 250 kept|"
                   "> QUIT|< 221 bye|");
    check_dialogue(&echo, "= connected|< 220 mx|> EHLO us|< 250-mx|< 250 AUTH PLAIN|"
                          "> AUTH [hidden]|= 535 5.7.8 [hidden]|");
}

Test(client, time_outs)
{
    static const struct client_times times = {.connect_ms = 5000,
                                              .greeting_ms = 30,
                                              .command_ms = 30,
                                              .data_ms = 30,
                                              .chunk_ms = 30,
                                              .final_ms = 30,
                                              .quit_ms = 30};
    static const struct row silent[] = {
        {"no greeting",
         {{NULL, NULL}},
         NULL,
         0,
         "ended later connection to HERE: timed out (awaited: reply to connect)"},
        {"no EHLO",
         {{"", "220 x\r\n"}, {NULL, NULL}},
         NULL,
         0,
         "ended later connection to HERE: timed out (awaited: reply to EHLO)"},
        {"no answer to the dot",
         {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"}, {NULL, NULL}},
         TEXT,
         0,
         "ready|ended later connection to HERE: timed out (awaited: reply to end of DATA)"},
        {"no answer to QUIT", {HELLO, {NULL, NULL}}, NULL, 0, "ready|ended"},
    };
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        check(&silent[i], 1024, &times);
}

Test(client, nobody_there)
{
    struct side *s = calloc(1, sizeof *s);
    struct row row = {.name = "nobody"};
    *s = (struct side){.row = &row, .loop = loop_new()};
    listen_somewhere(s);
    close(s->listener);
    s->listener = -1;
    const char *got = play(s, &client_times_default);
    cr_expect_str_eq(got, "ended later connect to HERE: connection refused", "%s", got);
    loop_free(s->loop);
    free(s);
}

/* A message larger than any buffer comes from the descriptor in pieces, as the server takes them.
 */
Test(client, large_content_from_a_descriptor)
{
    static const struct row row = {
        "large",
        {PIPED, {ENVELOPE, "250 ok\r\n250 ok\r\n550 b\r\n354 go\r\n"}, {NULL, NULL}},
        TEXT,
        0,
        NULL};
    static const struct client_rcpt rcpts[] = {{.address = {"a@y", 3}}, {.address = {"b@y", 3}}};
    struct side *s = calloc(1, sizeof *s);
    *s = (struct side){.row = &row, .loop = loop_new(), .step = 1024};
    char path[] = "/tmp/barid-test-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    size_t size = 0, stuffed = 0;
    struct content_scan scan;
    content_begin(&scan);
    for (int i = 0; size < 250000; i++) {
        const char *line = i % 3 == 0 ? ".dotted\r\n" : "line of text\r\n";
        cr_assert_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
        content_add(&scan, span_of(line));
        size += strlen(line);
        stuffed += strlen(line) + (i % 3 == 0 ? 1U : 0U);
    }
    s->mail = (struct client_mail){
        .sender = SPAN(""), .rcpts = rcpts, .n_rcpts = 2, .size = size, .fd = fd};
    s->mail.sender = SPAN("s@x");
    content_end(&scan);
    memcpy(s->mail.hash, scan.hash, sizeof s->mail.hash);
    listen_somewhere(s);
    struct netaddr to = {.octets = {127, 0, 0, 1}, .n = 4, .port = s->port};
    struct client_params params = {.loop = s->loop,
                                   .to = &to,
                                   .host = SPAN("mx"),
                                   .hostname = SPAN("us"),
                                   .times = &client_times_default};
    s->client = client_connect(&params, &ops, s);
    accept_client(s);
    for (int turn = 0; turn < 20000 && s->n_heard < stuffed + 3; turn++) {
        loop_turn(s->loop, 0);
        server_hears(s);
        server_says(s);
    }
    cr_assert_eq(s->n_heard, stuffed + 3, "%zu of %zu", s->n_heard, stuffed);
    const char *in = s->heard;
    for (int i = 0; in < s->heard + stuffed; i++) {
        const char *line = i % 3 == 0 ? "..dotted\r\n" : "line of text\r\n";
        cr_assert_eq(memcmp(in, line, strlen(line)), 0, "line %d", i);
        in += strlen(line);
    }
    cr_expect_eq(memcmp(in, ".\r\n", 3), 0);
    client_free(s->client);
    close(s->fd);
    close(s->listener);
    close(fd);
    loop_free(s->loop);
    free(s);
}
