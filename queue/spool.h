/* Files for content that is too large for its row: spool/<id>, named from the id and nothing else.
 *
 * A file is written under its final name, synced, and then its row is committed: the row decides
 * whether it is mail. A crash in between leaves a file without a row, which the next start removes.
 * It is removed after the commit that removed its row.
 *
 * The disk begins to write a file when it is complete, and is waited for once, before the commit:
 * then the files of one turn are written side by side. */
#ifndef BARID_QUEUE_SPOOL_H
#define BARID_QUEUE_SPOOL_H

#include "common/error.h"
#include "common/str.h"
#include "common/trouble.h"
#include "queue/durable.h"

enum { SPOOL_UNSYNCED = DURABLE_MAX - 1 }; /* and the directory */

struct spool {
    int dirfd;
    bool is_changed;              /* names were added since the last spool_sync */
    int unsynced[SPOOL_UNSYNCED]; /* files that are complete, on their way to the disk */
    size_t n_unsynced;
    struct durable durable;
    struct trouble trouble;
    bool has_worked; /* something was written since it was said */
};

/* Makes the directory if it is missing. 0, or -1 and e. */
int spool_open(struct spool *s, struct error *e);
void spool_close(struct spool *s);
/* Makes files and names durable; to be called before the commit that needs them. 0, or -1 (errno;
 * of the files nobody knows then which are on disk). */
int spool_sync(struct spool *s);

/* Says, once, that something failed (errno): "sync", "write", "open". errno is kept. */
void spool_failed(struct spool *s, const char *what);
/* What was written is on disk: the trouble may be over. */
void spool_worked(struct spool *s);

/* A file being written; fd is -1 if there is none. */
struct spool_file {
    int fd;
    uint64_t octets, started; /* written; of these, handed to the disk */
};

/* A new file. 0, or -1 (errno; EEXIST: the id is in use). */
int spool_create(struct spool *s, uint64_t id, struct spool_file *f);
int spool_append(struct spool_file *f, struct span octets); /* 0, or -1 (errno) */
/* Nothing is added to it any more; it is on disk after the next spool_sync. 0, or -1 (errno). */
int spool_finish(struct spool *s, struct spool_file *f);
/* Closes the file if it is open. It stays there: see spool_remove. */
void spool_abandon(struct spool_file *f);
void spool_remove(struct spool *s, uint64_t id);
/* Opens it for reading: the fd, or -1 (errno; EIO: it does not hold `octets` octets). */
int spool_read(const struct spool *s, uint64_t id, uint64_t octets);
/* The same, whatever it holds. */
int spool_open_any(const struct spool *s, uint64_t id);

/* Calls fn for every name in the directory. 0, or -1 (errno). */
int spool_each(const struct spool *s, void (*fn)(void *arg, struct span name), void *arg);
/* For what is not a spool file and lies there all the same. */
void spool_remove_name(struct spool *s, struct span name);

#endif
