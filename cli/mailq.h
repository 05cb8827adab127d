/* What mailq(1) prints and `sendmail -q` does: the queue as people know it from Postfix. */
#ifndef BARID_MAILQ_H
#define BARID_MAILQ_H

#include "cli/sendmail.h"

/* Both return an exit status of sysexits.h; what is wrong was said on stderr. */
int mailq_list(const struct sendmail *s);
int mailq_retry(const struct sendmail *s);

#endif
