/* Ids of messages and sessions: 63 bits, milliseconds since 1970 above 21 more, so that they sort
 * by time and are never given twice. A message's id is the same in SMTP, queue, mailbox (it is
 * the UIDL) and every log line. Text form: 13 digits of base 32 (Crockford, lower case). */
#ifndef BARID_ID_H
#define BARID_ID_H

#include "common/str.h"

#define ID_TEXT 14 /* with the NUL */

/* Processes of one suite have different numbers (under 1024), then their ids never meet; without a
 * number they do not by chance alone. */
void id_set_maker(unsigned number);
uint64_t id_new(void);
void id_format(char out[ID_TEXT], uint64_t id);
/* 0, or -1 if it is no id. */
int id_parse(struct span text, uint64_t *id);
int64_t id_wall_ms(uint64_t id); /* when it was made */

#endif
