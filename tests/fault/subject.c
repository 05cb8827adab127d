#include "tests/fault/subject.h"

#include "tests/fault/work.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

static unsigned wrong;

void subject_complain(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("# ");
    vprintf(format, ap);
    printf("\n");
    va_end(ap);
    wrong++;
}

void subject_complain_of(const char *what, unsigned answer)
{
    subject_complain("%s: %u", what, answer);
}

unsigned subject_take_wrong(void)
{
    unsigned n = wrong;
    wrong = 0;
    return n;
}

int subject_file(const void *octets, size_t n)
{
    int fd = memfd_create("content", MFD_CLOEXEC);
    if (fd < 0 || write(fd, octets, n) != (ssize_t)n)
        play_give_up("memfd");
    return fd;
}

void subject_offer(struct play *p, enum file_kind kind, int file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    play_send(p->control, MSG_CHILD_FILE, &(struct msg_child_file){.kind = (uint8_t)kind}, fd);
    close(fd);
}

void subject_end(pid_t server)
{
    if (server <= 0)
        return;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

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
