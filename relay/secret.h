/* The passwords for smarthosts, as the parent opened their files: section 0 is [relay], n + 1 the
 * nth [route]. */
#ifndef BARID_RELAY_SECRET_H
#define BARID_RELAY_SECRET_H

#include "common/proc.h"

struct secrets {
    char **list; /* NULL: none, or it cannot be used */
    size_t n;
};

/* Reads those of the configuration in force, in place of what was there; what cannot be read is
 * logged, and mail that needs it waits. In `open` and `reloaded` only. */
void secrets_read(struct secrets *s, struct proc *p);
/* Empty: there is none. */
struct span secrets_get(const struct secrets *s, size_t section);
/* The first line of a file. Empty: that is no password. */
struct span secrets_line(struct span text);

#endif
