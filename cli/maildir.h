/* The messages of a Maildir (new/ and cur/), in the order in which POP3 showed them: by the list of
 * UIDLs, the others after it by the time in their names. Memory: a name and 24 octets for each.
 *
 * Symbolic links in it are not followed, and only plain files are read. */
#ifndef BARID_MAILDIR_H
#define BARID_MAILDIR_H

#include "cli/uidlist.h"

struct maildir_file {
    uint32_t order; /* in the list of UIDLs; UINT32_MAX: not in it */
    bool is_new;    /* in new/, else in cur/ */
    size_t name;    /* in names, NUL-terminated */
};

struct maildir {
    int fd, new_fd, cur_fd;
    struct maildir_file *list;
    size_t n, cap;
    struct buf names;
};

/* Opens the directory. 0, or -1 and e. */
int maildir_open(struct maildir *m, const char *path, struct error *e);
void maildir_close(struct maildir *m);
/* Reads the names and sorts them; list may be NULL. 0, or -1 and e. */
int maildir_scan(struct maildir *m, struct uidlist *list, struct error *e);
const char *maildir_name(const struct maildir *m, const struct maildir_file *f);
/* Opens a message: the fd, or -1 (errno; ENOENT: it is not there any more). */
int maildir_open_file(const struct maildir *m, const struct maildir_file *f, int64_t *mtime_s);
/* A file of the directory itself: the fd, or -1 (errno). */
int maildir_open_list(const struct maildir *m, const char *name);

#endif
