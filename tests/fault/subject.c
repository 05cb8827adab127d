#include "tests/fault/subject.h"

#include "tests/fault/work.h"

#include <sqlite3.h>

int subject_ask(int channel, enum msg_type type, const void *fields, enum msg_type answer,
                union msg *m, int *fd)
{
    enum msg_type got;
    int rc;
    if (play_send(channel, type, fields, -1) < 0)
        return -1;
    while ((rc = play_receive(channel, m, &got, fd, PLAY_WAIT_MS)) > 0) {
        if (got == answer)
            return 1;
        if (*fd >= 0)
            close(*fd);
    }
    return rc < 0 ? -1 : WORK_SILENCE;
}

unsigned subject_check_store(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *check = NULL;
    const char *said = "it cannot be opened";
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL) == SQLITE_OK &&
        sqlite3_step(check) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(check, 0);
    bool is_good = strcmp(said, "ok") == 0;
    if (!is_good)
        printf("# %s: %s\n", path, said);
    sqlite3_finalize(check);
    sqlite3_close(db);
    return !is_good;
}
