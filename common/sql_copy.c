#include "common/sql_copy.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define STEP_PAGES 64

struct sql_copy {
    sqlite3 *to;
    sqlite3_backup *backup;
    const char *path;
};

static int failed(const struct sql_copy *c, int code, struct error *e)
{
    return error_set(e, "%s: cannot copy the store: %s", c->path, sqlite3_errstr(code));
}

static int make_file(const char *path, struct error *e)
{
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(e, "%s: %s", path, strerror(errno));
    close(fd);
    return 0;
}

struct sql_copy *sql_copy_begin(sqlite3 *db, const char *path, struct error *e)
{
    struct sql_copy *c = calloc(1, sizeof *c);
    if (c == NULL) {
        error_set(e, "out of memory");
        return NULL;
    }
    c->path = path;
    if (make_file(path, e) < 0) {
        free(c);
        return NULL;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &c->to, flags, NULL);
    /* Nobody needs it after a crash, and whoever gets it syncs his own copy. */
    if (code == SQLITE_OK)
        code = sqlite3_exec(c->to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL, NULL,
                            NULL);
    if (code == SQLITE_OK) {
        c->backup = sqlite3_backup_init(c->to, "main", db, "main");
        code = c->backup != NULL ? SQLITE_OK : sqlite3_errcode(c->to);
    }
    if (code == SQLITE_OK)
        return c;
    failed(c, code, e);
    sql_copy_free(c);
    return NULL;
}

int sql_copy_step(struct sql_copy *c, int64_t max_ms, struct error *e)
{
    int64_t until_ms = clock_mono_ms() + max_ms;
    do {
        int code = sqlite3_backup_step(c->backup, STEP_PAGES);
        if (code == SQLITE_DONE)
            return 0;
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
            return 1;
        if (code != SQLITE_OK)
            return failed(c, code, e);
    } while (clock_mono_ms() < until_ms);
    return 1;
}

/* The connection goes before the file is opened again: closing any descriptor of a file drops all
 * locks on it. */
int sql_copy_finish(struct sql_copy *c, struct error *e)
{
    int fd = -1, code = sqlite3_backup_finish(c->backup);
    c->backup = NULL;
    if (code == SQLITE_OK)
        code = sqlite3_close(c->to);
    if (code == SQLITE_OK) {
        c->to = NULL;
        fd = open(c->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            error_set(e, "%s: %s", c->path, strerror(errno));
    } else {
        failed(c, code, e);
    }
    sql_copy_free(c);
    return fd;
}

void sql_copy_clear(const char *path)
{
    unlink(path);
}

void sql_copy_free(struct sql_copy *c)
{
    if (c == NULL)
        return;
    if (c->backup != NULL)
        sqlite3_backup_finish(c->backup);
    sqlite3_close(c->to);
    unlink(c->path);
    free(c);
}
