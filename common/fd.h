/* What several processes do with descriptors alike. */
#ifndef BARID_FD_H
#define BARID_FD_H

#include "common/str.h"

/* All of it, in as many steps as it takes. 0, or -1 and errno (ENOSPC too if nothing more is
 * taken). */
int fd_write_all(int fd, struct span octets);

#endif
