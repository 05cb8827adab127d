#include "common/sql_peek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>

int sql_peek(const char *path, int *application_id, int *version, struct error *e)
{
    static const char magic[16] = "SQLite format 3";
    unsigned char head[100];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
    if (n < 0)
        error_set(e, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return -1;
    if (n != 0 && (n != sizeof head || memcmp(head, magic, sizeof magic) != 0))
        return error_set(e, "%s is not a database", path);
    const unsigned char *v = head + 60, *a = head + 68; /* big-endian, by SQLite's file format */
    uint32_t found_version =
        (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
    uint32_t found_id = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
    *version = n == 0 ? 0 : (int)found_version;
    *application_id = n == 0 ? 0 : (int)found_id;
    return 0;
}
