#include "cli/fetch_box.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#define LOCK_TRIES    100
#define LOCK_PAUSE_MS 100
#define PIECE         16384

static int failed(struct fetch_box *b, struct error *e, const char *what)
{
    b->is_temporary = true; /* a full disk is cleared, a lock is given back */
    return error_set(e, "%s %.300s: %s", what, b->path, strerror(errno));
}

/* --- opening --- */

static int open_sub(struct fetch_box *b, const char *name)
{
    if (mkdirat(b->dir, name, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(b->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_maildir(struct fetch_box *b, struct error *e)
{
    if (mkdir(b->path, 0700) < 0 && errno != EEXIST)
        return failed(b, e, "cannot make");
    b->dir = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int cur = b->dir >= 0 ? open_sub(b, "cur") : -1;
    b->tmp = cur >= 0 ? open_sub(b, "tmp") : -1;
    b->fresh = b->tmp >= 0 ? open_sub(b, "new") : -1;
    if (cur >= 0)
        close(cur);
    return b->fresh >= 0 && fsync(b->dir) == 0 ? 0 : failed(b, e, "cannot use the Maildir");
}

static int open_mbox(struct fetch_box *b, struct error *e)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(b->path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash == b->path ? 1 : (int)(slash - b->path), b->path);
    b->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    b->mbox = open(b->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return b->dir >= 0 && b->mbox >= 0 && fsync(b->dir) == 0 ? 0 : failed(b, e, "cannot use");
}

int fetch_box_open(struct fetch_box *b, struct error *e)
{
    b->dir = b->tmp = b->fresh = b->mbox = b->file = b->smtp.fd = -1;
    b->is_temporary = false;
    if (b->kind == FETCH_MAILDIR)
        return open_maildir(b, e);
    if (b->kind == FETCH_MBOX)
        return open_mbox(b, e);
    b->is_temporary = true;
    return smtpout_open(&b->smtp, b->path, e);
}

void fetch_box_close(struct fetch_box *b)
{
    fetch_box_drop(b);
    int *const fds[] = {&b->dir, &b->tmp, &b->fresh, &b->mbox};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    smtpout_close(&b->smtp);
}

/* --- 1: the message on disk --- */

/* Unique by the rules of Maildir: time, process, count, host. */
static void make_name(struct fetch_box *b)
{
    char host[64] = "localhost";
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c != '\0'; c++)
        if (*c == '/' || *c == ':' || (unsigned char)*c <= ' ')
            *c = '_';
    int64_t now_ms = clock_wall_ms();
    snprintf(b->name, sizeof b->name, "%s%lld.M%03dP%ldQ%uR%08x.%s",
             b->kind == FETCH_MAILDIR ? "" : ".barid-fetch-", (long long)(now_ms / 1000),
             (int)(now_ms % 1000), (long)getpid(), ++b->count, (unsigned)randombytes_random(),
             host);
}

static int put(struct fetch_box *b, struct span out)
{
    crypto_hash_sha256_update(&b->hash, (const unsigned char *)out.p, out.n);
    b->written += out.n;
    while (out.n > 0) {
        ssize_t n = write(b->file, out.p, out.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        out = span_from(out, (size_t)n);
    }
    return 0;
}

/* Where messages are written before they are whole. */
static int parts_of(const struct fetch_box *b)
{
    return b->kind == FETCH_MAILDIR ? b->tmp : b->kind == FETCH_MBOX ? b->dir : AT_FDCWD;
}

/* The line in front of a message in an mbox. */
static int put_from_line(struct fetch_box *b)
{
    char line[100];
    time_t now = (time_t)clock_wall_s();
    struct tm tm;
    size_t n = gmtime_r(&now, &tm) == NULL
                   ? 0
                   : strftime(line, sizeof line, "From MAILER-DAEMON %a %b %e %H:%M:%S %Y\n", &tm);
    return put(b, (struct span){line, n});
}

int fetch_box_begin(struct fetch_box *b, struct error *e)
{
    make_name(b);
    b->written = 0;
    b->was_cr = false;
    b->is_line_start = true;
    b->matched = 0;
    crypto_hash_sha256_init(&b->hash);
    b->file =
        openat(parts_of(b), b->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->file < 0)
        return failed(b, e, "cannot write a message for");
    if (b->kind == FETCH_SUBMIT) /* nobody looks for it after a kill */
        unlinkat(parts_of(b), b->name, 0);
    return b->kind != FETCH_MBOX || put_from_line(b) == 0
               ? 0
               : failed(b, e, "cannot write a message for");
}

/* Octets for the file, gathered. */
struct gathered {
    char octets[PIECE];
    size_t n;
};

static int add(struct fetch_box *b, struct gathered *g, struct span in)
{
    int rc = 0;
    if (g->n + in.n > sizeof g->octets) {
        rc = put(b, (struct span){g->octets, g->n});
        g->n = 0;
    }
    memcpy(g->octets + g->n, in.p, in.n);
    g->n += in.n;
    return rc;
}

/* mboxrd: a line that begins with any number of > and then "From " gets one > more. */
static int add_quoted(struct fetch_box *b, struct gathered *g, char c)
{
    static const char word[] = "From ";
    int rc = 0;
    if (b->is_line_start && c == word[b->matched]) {
        if (word[++b->matched] == '\0') {
            rc = add(b, g, SPAN(">From "));
            b->is_line_start = false;
        }
        return rc;
    }
    if (b->is_line_start)
        rc = add(b, g, (struct span){word, b->matched});
    b->is_line_start = c == '\n' || (b->is_line_start && b->matched == 0 && c == '>');
    b->matched = 0;
    return rc | add(b, g, (struct span){&c, 1});
}

static int add_octet(struct fetch_box *b, struct gathered *g, char c)
{
    return b->kind == FETCH_MBOX ? add_quoted(b, g, c) : add(b, g, (struct span){&c, 1});
}

/* Content for files has LF, as everything that reads them expects. */
static int put_lines(struct fetch_box *b, struct span in)
{
    struct gathered g;
    g.n = 0;
    int rc = 0;
    for (size_t i = 0; i < in.n && rc == 0; i++) {
        char c = in.p[i];
        if (b->was_cr && c != '\n')
            rc |= add_octet(b, &g, '\r');
        b->was_cr = c == '\r';
        if (!b->was_cr)
            rc |= add_octet(b, &g, c);
    }
    return rc == 0 ? put(b, (struct span){g.octets, g.n}) : -1;
}

int fetch_box_write(void *box, struct span content, struct error *e)
{
    struct fetch_box *b = box;
    int rc = b->kind == FETCH_SUBMIT ? put(b, content) : put_lines(b, content);
    return rc == 0 ? 0 : failed(b, e, "cannot write a message for");
}

int fetch_box_end(struct fetch_box *b, struct fetch_seen *out, struct error *e)
{
    int rc = 0;
    struct stat st;
    if (b->kind == FETCH_MBOX) /* an empty line between messages */
        rc = put(b, SPAN("\n"));
    *out = (struct fetch_seen){.fetched_s = clock_wall_s(), .size = b->written, .is_pending = true};
    crypto_hash_sha256_final(&b->hash, out->hash);
    snprintf(out->name, sizeof out->name, "%s", b->name);
    if (rc == 0 && b->kind != FETCH_SUBMIT)
        rc = fsync(b->file) | fsync(parts_of(b));
    if (rc == 0 && b->kind == FETCH_MBOX && (rc = fstat(b->mbox, &st)) == 0)
        out->offset = (uint64_t)st.st_size;
    return rc == 0 ? 0 : failed(b, e, "cannot write a message for");
}

void fetch_box_drop(struct fetch_box *b)
{
    if (b->file < 0)
        return;
    close(b->file);
    b->file = -1;
    if (b->kind != FETCH_SUBMIT)
        unlinkat(parts_of(b), b->name, 0);
}

void fetch_box_leave(struct fetch_box *b)
{
    if (b->file >= 0)
        close(b->file);
    b->file = -1;
}

/* --- 3: into its place --- */

/* 0 or -1 (errno). Readers and writers of mboxes lock them so. */
static int lock_mbox(struct fetch_box *b, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (fcntl(b->mbox, F_SETLK, &l) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return -1;
        poll(NULL, 0, LOCK_PAUSE_MS);
    }
    return -1;
}

/* Reads the message again, piece by piece. 0, or -1. */
static int each_piece(struct fetch_box *b, int (*fn)(struct fetch_box *b, struct span piece))
{
    char piece[PIECE];
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(b->file, piece, sizeof piece, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -1 : 0;
        if (fn(b, (struct span){piece, (size_t)n}) < 0)
            return -1;
        at += n;
    }
}

static int append(struct fetch_box *b, struct span piece)
{
    while (piece.n > 0) {
        ssize_t n = write(b->mbox, piece.p, piece.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        piece = span_from(piece, (size_t)n);
    }
    return 0;
}

static int publish_mbox(struct fetch_box *b, const struct fetch_seen *m, struct error *e)
{
    struct stat st;
    if (lock_mbox(b, F_WRLCK) < 0 || fstat(b->mbox, &st) < 0)
        return failed(b, e, "cannot lock");
    int rc = 0;
    /* Somebody else appended since: the row does not say where it will be. */
    if ((uint64_t)st.st_size != m->offset) {
        b->is_temporary = true;
        rc = error_set(e, "%.300s was changed by another program meanwhile", b->path);
    } else if (each_piece(b, append) < 0 || fsync(b->mbox) < 0) {
        rc = failed(b, e, "cannot append to");
        if (ftruncate(b->mbox, st.st_size) < 0)
            rc = failed(b, e, "cannot take back a part of a message from");
    } else {
        unlinkat(b->dir, m->name, 0);
    }
    lock_mbox(b, F_UNLCK);
    return rc;
}

static int send_piece(struct fetch_box *b, struct span piece)
{
    return smtpout_content(&b->smtp, piece);
}

static int publish_submit(struct fetch_box *b, struct error *e)
{
    int code = smtpout_ask(&b->smtp, "MAIL FROM:<> SIZE=%llu%s", (unsigned long long)b->written,
                           b->smtp.has_8bitmime ? " BODY=8BITMIME" : "");
    if (code == 250)
        code = smtpout_ask(&b->smtp, "RCPT TO:<%s>", b->rcpt);
    if (code == 250)
        code = smtpout_ask(&b->smtp, "DATA");
    if (code == 354) {
        each_piece(b, send_piece); /* what goes wrong is told by the reply at the end */
        if (b->smtp.is_in_line)
            smtpout_content(&b->smtp, SPAN("\r\n"));
        code = smtpout_end(&b->smtp);
        if (code == 250)
            return 0;
    }
    b->is_temporary = code < 500;
    error_set(e, "the mail system did not take it: %.300s", b->smtp.reply);
    if (b->smtp.fd >= 0)
        smtpout_ask(&b->smtp, "RSET");
    return -1;
}

int fetch_box_publish(struct fetch_box *b, const struct fetch_seen *m, struct error *e)
{
    int rc;
    if (b->kind == FETCH_MAILDIR)
        rc =
            renameat(b->tmp, m->name, b->fresh, m->name) == 0 ? 0 : failed(b, e, "cannot write to");
    else
        rc = b->kind == FETCH_MBOX ? publish_mbox(b, m, e) : publish_submit(b, e);
    if (rc == 0 && b->file >= 0) {
        close(b->file);
        b->file = -1;
    }
    return rc;
}

int fetch_box_sync(struct fetch_box *b, struct error *e)
{
    if (b->kind != FETCH_MAILDIR || (fsync(b->fresh) == 0 && fsync(b->tmp) == 0))
        return 0;
    return failed(b, e, "cannot write to");
}

/* --- after a kill --- */

/* Does the mbox hold it where its row says? */
static bool is_in_mbox(struct fetch_box *b, const struct fetch_seen *m)
{
    char piece[PIECE];
    unsigned char hash[FETCH_HASH_OCTETS];
    crypto_hash_sha256_state h;
    uint64_t left = m->size;
    off_t at = (off_t)m->offset;
    crypto_hash_sha256_init(&h);
    while (left > 0) {
        ssize_t n = pread(b->mbox, piece, left < PIECE ? left : PIECE, at);
        if (n <= 0)
            return false;
        crypto_hash_sha256_update(&h, (const unsigned char *)piece, (size_t)n);
        left -= (size_t)n;
        at += n;
    }
    crypto_hash_sha256_final(&h, hash);
    return memcmp(hash, m->hash, sizeof hash) == 0;
}

/* Is what stands behind m->offset a part of the message that was written for it? Then it is ours to
 * take back. */
static bool is_part(struct fetch_box *b, const struct fetch_seen *m, uint64_t octets)
{
    char here[PIECE], there[PIECE];
    int part = openat(b->dir, m->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool is_same = part >= 0;
    for (uint64_t at = 0; is_same && at < octets;) {
        size_t want = octets - at < PIECE ? (size_t)(octets - at) : PIECE;
        ssize_t n = pread(b->mbox, here, want, (off_t)(m->offset + at));
        ssize_t k = n > 0 ? pread(part, there, (size_t)n, (off_t)at) : -1;
        is_same = n > 0 && k == n && memcmp(here, there, (size_t)n) == 0;
        at += n > 0 ? (uint64_t)n : 0;
    }
    if (part >= 0)
        close(part);
    return is_same;
}

/* The part file goes when the mbox was synced: without it the message is there. */
static int recover_mbox(struct fetch_box *b, const struct fetch_seen *m, bool *is_there,
                        struct error *e)
{
    struct stat st, part;
    if (fstatat(b->dir, m->name, &part, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
        *is_there = true;
        return 0;
    }
    if (lock_mbox(b, F_WRLCK) < 0 || fstat(b->mbox, &st) < 0)
        return failed(b, e, "cannot lock");
    int rc = 0;
    uint64_t size = (uint64_t)st.st_size;
    *is_there = is_in_mbox(b, m);
    if (!*is_there && size > m->offset && size < m->offset + m->size &&
        is_part(b, m, size - m->offset) &&
        (ftruncate(b->mbox, (off_t)m->offset) < 0 || fsync(b->mbox) < 0))
        rc = failed(b, e, "cannot take back a part of a message from");
    lock_mbox(b, F_UNLCK);
    return rc;
}

void fetch_box_discard(struct fetch_box *b, const struct fetch_seen *m)
{
    if (b->kind == FETCH_MBOX && m->name[0] != '\0')
        unlinkat(b->dir, m->name, 0);
}

int fetch_box_recover(struct fetch_box *b, const struct fetch_seen *m, bool *is_there,
                      struct error *e)
{
    *is_there = false;
    if (b->kind == FETCH_SUBMIT)
        return 0;
    if (b->kind == FETCH_MBOX)
        return recover_mbox(b, m, is_there, e);
    if (m->name[0] == '\0' || renameat(b->tmp, m->name, b->fresh, m->name) == 0 ||
        errno == ENOENT) {
        *is_there = true; /* not in tmp/ any more: it had come to new/, and its reader has it */
        return 0;
    }
    return failed(b, e, "cannot write to");
}
