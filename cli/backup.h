/* The form of a backup, which is a directory:
 *
 *   users.db  mail.db  spool/ID …  barid.conf  manifest
 *
 * The manifest comes last: without it there is no backup. Its first line begins with '#' and says
 * how many files there are; each other one is the SHA-256 and the name of a file, as `sha256sum -c`
 * reads it. */
#ifndef BARID_BACKUP_H
#define BARID_BACKUP_H

#include "cli/cli.h"
#include "common/id.h"

#include <sodium.h>

#define BACKUP_MANIFEST "manifest"
#define BACKUP_SPOOL    "spool"
#define BACKUP_NAME_MAX (sizeof BACKUP_SPOOL + ID_TEXT)
#define BACKUP_HEX_MAX  (2 * crypto_hash_sha256_BYTES + 1)

/* Copies what can be read from `in` to a new file, and its hash as text. 0, or -1 and errno. */
struct backup_copied {
    char hash[BACKUP_HEX_MAX];
    uint64_t octets;
};
int backup_copy(int in, int dirfd, const char *name, struct backup_copied *out);

/* The next line of a manifest. 1: *hash and *name; 0: the end; -1: not of this form. */
int backup_manifest_next(struct span *rest, char hash[BACKUP_HEX_MAX], char name[BACKUP_NAME_MAX]);
/* How many files its first line, which is taken, promises. 0, or -1. */
int backup_manifest_begin(struct span *rest, uint64_t *n_files);

int backup_main(struct cli *cli);
int restore_main(struct cli *cli);

#endif
