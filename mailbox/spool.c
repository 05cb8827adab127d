#include "mailbox/spool.h"

#include "common/log.h"
#include "common/maildb.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int spool_open(uint64_t id, uint64_t octets)
{
    char name[MAILDB_SPOOL_NAME];
    struct stat st;
    maildb_spool_name(name, id);
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        LOG(id, "unreadable", LZ("file", name), LZ("why", strerror(errno)));
    } else if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != octets) {
        LOG(id, "damaged", LZ("file", name), LN("octets", (int64_t)st.st_size),
            LN("expected", (int64_t)octets));
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}
