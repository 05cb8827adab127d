/* The commands: a row in the table of session.c and a function here. `arg` is what follows the word
 * and one space; it points into the input buffer and is gone when the function returns. */
#ifndef BARID_POP3D_CMD_H
#define BARID_POP3D_CMD_H

#include "pop3d/session.h"

/* cmd_auth.c: before there is a maildrop, and the end */
void cmd_user(struct session *s, struct span arg);
/* What authd said, NULL: nothing; takes over fd. */
void login_decided(struct session *s, const struct msg_login_re *r, int fd);
/* cmd_sasl.c */
void cmd_auth(struct session *s, struct span arg);
unsigned sasl_offered(const struct session *s); /* a set of SASL_BIT */
void sasl_take_line(struct session *s, struct span line);
void sasl_drop(struct session *s); /* ends an exchange under way */
void cmd_pass(struct session *s, struct span arg);
void cmd_stls(struct session *s, struct span arg);
void cmd_quit(struct session *s, struct span arg);
void cmd_foreign(struct session *s, struct span arg);
void box_silent(void *session); /* the mailbox did not say whether it is open */

/* cmd_capa.c: what the server can do */
void cmd_capa(struct session *s, struct span arg);
void cmd_utf8(struct session *s, struct span arg);
void cmd_lang(struct session *s, struct span arg);

/* cmd_mail.c */
void cmd_stat(struct session *s, struct span arg);
void cmd_list(struct session *s, struct span arg);
void cmd_uidl(struct session *s, struct span arg);
void cmd_dele(struct session *s, struct span arg);
void cmd_rset(struct session *s, struct span arg);
void cmd_noop(struct session *s, struct span arg);

/* cmd_retr.c */
void cmd_retr(struct session *s, struct span arg);
void cmd_top(struct session *s, struct span arg);

/* job.c: responses that are made while they are sent */
void job_begin_listing(struct session *s, enum job_kind kind);
/* Takes over fd. */
void job_begin_file(struct session *s, int fd, uint64_t octets, const struct multiline *lines);
/* Content that is at hand. */
void job_send_content(struct session *s, struct multiline *lines, struct span content);
void job_step(struct session *s);
void job_stop(struct session *s);

#endif
