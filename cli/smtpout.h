/* SMTP as a client says it to our own server over the submit socket: one command, one reply,
 * blocking. Replies are bounded; nothing of them but codes decides anything. */
#ifndef BARID_SMTPOUT_H
#define BARID_SMTPOUT_H

#include "common/buf.h"
#include "common/error.h"

#define SMTPOUT_LINE_MAX  2048
#define SMTPOUT_TIMEOUT_S 600

struct smtpout {
    int fd;          /* -1: not connected, or lost */
    bool is_verbose; /* shows the dialogue on stderr */
    struct buf in;
    char reply[SMTPOUT_LINE_MAX];         /* the last line of the last reply, without CRLF */
    char hostname[256];                   /* as the server greets */
    bool has_dsn, has_8bitmime, has_size; /* what EHLO said */
    int64_t hold_max_s; /* FUTURERELEASE: how long it holds a message; 0: not offered */
    bool is_in_line;    /* content: the last octet sent was not the end of a line */
};

/* Connects to the socket at `path`, reads the greeting, says EHLO. 0; or -1 and e: try later. */
int smtpout_open(struct smtpout *s, const char *path, struct error *e);
void smtpout_close(struct smtpout *s); /* says QUIT if it can */
/* Says a command and reads the reply: its code, or 0 if the connection is lost or speaks nonsense
 * (reply then says so). */
int smtpout_ask(struct smtpout *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Content in lines that end with CRLF, in pieces; dots are stuffed here. 0, or -1: lost. */
int smtpout_content(struct smtpout *s, struct span content);
/* The end of the content: the code of the reply. */
int smtpout_end(struct smtpout *s);

#endif
