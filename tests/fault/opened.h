/* The calls that open a file by its name, for what is preloaded: each becomes one of open_file,
 * which whoever includes this defined before it. */
#ifndef BARID_TESTS_FAULT_OPENED_H
#define BARID_TESTS_FAULT_OPENED_H

#include <fcntl.h>
#include <stdarg.h>

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if (((flags)&O_CREAT) != 0) {                                                                  \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int dirfd, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_file(dirfd, path, flags, mode);
}

#endif
