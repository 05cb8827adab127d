/* The files that the parent opened for this process (CHILD_FILE): kept until they are read, or
 * until the configuration they belong to is in force. Used by common/proc.c. */
#ifndef BARID_HANDED_H
#define BARID_HANDED_H

#include "common/error.h"
#include "common/proto.h"

#define HANDED_MAX 512

struct handed_file {
    uint8_t kind; /* enum file_kind */
    uint16_t section;
    int fd;        /* -1: the parent could not open it */
    char why[256]; /* then */
};

struct handed {
    struct handed_file *list;
    size_t n, cap;
};

/* Takes over fd (or -1). Without memory the file is missing. */
void handed_add(struct handed *h, const struct msg_child_file *m, int fd);
/* What it holds: `*n` octets to be freed, a zero behind them; the list no longer has it. NULL and
 * e: the parent could not open it, it was not handed over, or it is larger than 256 KiB (1 MiB for
 * lists of authorities, 16 MiB for lists of recipients). */
char *handed_read(struct handed *h, enum file_kind kind, size_t section, size_t *n,
                  struct error *e);
void handed_clear(struct handed *h);

#endif
