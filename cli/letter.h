/* A message that a program hands to sendmail, on its way to become one: who gets it, and a header
 * section in which nothing is missing. No I/O. */
#ifndef BARID_LETTER_H
#define BARID_LETTER_H

#include "common/buf.h"
#include "common/error.h"

#define LETTER_RCPTS_MAX 10000

struct letter {
    char **rcpts; /* valid for RCPT TO:<…>, each once; without a domain if it was given so */
    size_t n, cap;
};

void letter_free(struct letter *l);
/* One address as it was typed, or a list of them. 0, or -1 and e: it names the one that is none. */
int letter_add(struct letter *l, struct span addresses, struct error *e);
/* Those of the fields To, Cc and Bcc; of Resent-To, Resent-Cc and Resent-Bcc if the message has
 * such fields (-t). 0, or -1 and e. */
int letter_add_from_header(struct letter *l, struct span header, struct error *e);

/* What a header section is completed with. */
struct letter_frame {
    struct span domain;    /* behind addresses without one, and in a new Message-ID */
    struct span from;      /* mailbox for a new From */
    struct span full_name; /* before it; may be empty */
    int64_t wall_s;
    uint64_t id; /* for the Message-ID */
};
/* The header section in its final form, with the empty line behind it: without Bcc, Resent-Bcc,
 * Return-Path and Content-Length; with a domain behind every address of a field that holds
 * addresses; with From, Date, Message-ID and To if they were missing. 0, or -1 without memory. */
int letter_header(struct buf *out, struct span header, const struct letter_frame *f);

#endif
