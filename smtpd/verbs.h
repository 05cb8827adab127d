/* The commands, a row each: session.c holds the table, cmd_*.c the functions. */
#ifndef BARID_SMTPD_VERBS_H
#define BARID_SMTPD_VERBS_H

#include "smtpd/session.h"

enum verb_flag {
    VERB_LAST = 1,   /* must be the last of a pipelined group (RFC 2920 3.1) */
    VERB_JUNK = 2,   /* does nothing for a message: see limits.junk_commands */
    VERB_PARAMS = 4, /* takes extension parameters, so its line may be longer */
    VERB_OPEN = 8,   /* allowed before the login that a submission listener asks for */
    VERB_CLEAR = 16, /* and before the TLS that require_tls asks for (RFC 3207 4) */
};

struct verb {
    struct span word;
    unsigned states; /* 1 << enum session_state in which it is allowed */
    unsigned flags;
    void (*handle)(struct session *s, struct span argument);
};

/* `argument` is without spaces at both ends. */
void cmd_ehlo(struct session *s, struct span argument);
void cmd_helo(struct session *s, struct span argument);
void cmd_lhlo(struct session *s, struct span argument);
void cmd_auth(struct session *s, struct span argument);
void cmd_starttls(struct session *s, struct span argument);
void cmd_mail(struct session *s, struct span argument);
void cmd_rcpt(struct session *s, struct span argument);
void cmd_data(struct session *s, struct span argument);
void cmd_bdat(struct session *s, struct span argument);
void cmd_rset(struct session *s, struct span argument);
void cmd_noop(struct session *s, struct span argument);
void cmd_quit(struct session *s, struct span argument);
void cmd_vrfy(struct session *s, struct span argument);
void cmd_expn(struct session *s, struct span argument);
void cmd_help(struct session *s, struct span argument);
void cmd_not_implemented(struct session *s, struct span argument);

/* Takes octets of content (STATE_DATA): the number taken. */
size_t data_input(struct session *s, struct span in);
/* Takes octets of a chunk (STATE_CHUNK), perhaps none: the number taken. */
size_t chunk_input(struct session *s, struct span in);

/* --- for DATA and BDAT, in cmd_data.c --- */

/* Read over the limit of the size to get to the end, then enough is enough. */
#define DATA_OVERSIZE_MAX (64U << 20)

/* Content follows. 0, or -1 without memory. */
int data_begin(struct session *s);
/* Takes some content; the session may be over after it. */
size_t data_take(struct session *s, struct span in);
/* Between two pieces: gives what there is to the queue, if it is much. */
void data_pass_on(struct session *s);
/* The client has sent all of it. */
void data_is_over(struct session *s);
/* The queue has decided: tells the client. */
void data_conclude(struct session *s);
/* The content has a problem: tells the client. */
void data_refuse(struct session *s);
/* Monotonic time at which the content comes too slowly. */
int64_t data_due_ms(const struct session *s);

/* cmd_auth.c: a set of mechanisms (SASL_BIT); 0: none now. */
unsigned auth_offered(const struct session *s);
/* Takes octets of a SASL exchange (STATE_AUTH): the number taken. */
size_t auth_input(struct session *s, struct span in);
/* Ends an exchange under way. */
void auth_reset(struct session *s);
/* That, and the login: at the end, and when TLS begins (RFC 3207 4.2). */
void auth_forget(struct session *s);

#endif
