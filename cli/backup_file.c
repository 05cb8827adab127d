#include "cli/backup.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>

#define PIECE         65536
#define MANIFEST_HEAD "# barid backup 1, files: "

static int copy_pieces(int in, int to, struct backup_copied *out)
{
    static char room[PIECE];
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    ssize_t n;
    crypto_hash_sha256_init(&state);
    while ((n = pread(in, room, sizeof room, (off_t)out->octets)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || fd_write_all(to, (struct span){room, (size_t)n}) < 0)
            return -1;
        crypto_hash_sha256_update(&state, (const unsigned char *)room, (size_t)n);
        out->octets += (uint64_t)n;
    }
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(out->hash, sizeof out->hash, hash, sizeof hash);
    return 0;
}

int backup_copy(int in, int dirfd, const char *name, struct backup_copied *out)
{
    *out = (struct backup_copied){.octets = 0};
    int to = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return -1;
    int rc = copy_pieces(in, to, out), why = errno;
    if (close(to) < 0 && rc == 0) {
        rc = -1;
        why = errno;
    }
    errno = why;
    return rc;
}

/* Names that a backup may have: nothing else is ever opened or made because a manifest says so. */
static bool is_name(struct span name)
{
    const struct span spool = SPAN(BACKUP_SPOOL "/");
    uint64_t id;
    if (span_starts(name, spool))
        return id_parse(span_from(name, spool.n), &id) == 0;
    return span_eq(name, SPAN("users.db")) || span_eq(name, SPAN("mail.db")) ||
           span_eq(name, SPAN("barid.conf"));
}

static bool is_hash(struct span hash)
{
    bool is_hex = hash.n == BACKUP_HEX_MAX - 1;
    for (size_t i = 0; i < hash.n && is_hex; i++)
        is_hex = (hash.p[i] >= '0' && hash.p[i] <= '9') || (hash.p[i] >= 'a' && hash.p[i] <= 'f');
    return is_hex;
}

int backup_manifest_begin(struct span *rest, uint64_t *n_files)
{
    const struct span head = SPAN(MANIFEST_HEAD);
    struct span line = span_cut(rest, '\n');
    return span_starts(line, head) ? span_u64(span_from(line, head.n), n_files) : -1;
}

int backup_manifest_next(struct span *rest, char hash[BACKUP_HEX_MAX], char name[BACKUP_NAME_MAX])
{
    if (rest->n == 0)
        return 0;
    struct span line = span_cut(rest, '\n');
    struct span digits = line, file = span_from(line, BACKUP_HEX_MAX + 1);
    digits.n = digits.n < BACKUP_HEX_MAX - 1 ? digits.n : BACKUP_HEX_MAX - 1;
    if (rest->p == NULL || !is_hash(digits) || !is_name(file) ||
        line.p[BACKUP_HEX_MAX - 1] != ' ' || line.p[BACKUP_HEX_MAX] != ' ')
        return -1;
    return span_copy(hash, BACKUP_HEX_MAX, digits) < 0 || span_copy(name, BACKUP_NAME_MAX, file) < 0
               ? -1
               : 1;
}
