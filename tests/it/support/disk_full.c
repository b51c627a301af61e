/* A full disk, for one process and one directory, without a file system of its own to fill.
 *
 * Preloaded, it answers ENOSPC to whatever would make a regular file under WEIR_FULL_DIRECTORY
 * longer or write into it, for as long as the file WEIR_FULL_WHEN exists. A directory that is
 * really full can be had only by mounting one, which tests may not do everywhere. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int full(int fd) {
    const char *directory = getenv("WEIR_FULL_DIRECTORY"), *when = getenv("WEIR_FULL_WHEN");
    char link[64], path[4096];
    struct stat status;
    int before = errno;
    ssize_t length;
    if (!directory || !when || fstat(fd, &status) || !S_ISREG(status.st_mode)
        || access(when, F_OK)) {
        errno = before;
        return 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path);
    errno = before;
    return length > (ssize_t)strlen(directory) && !memcmp(path, directory, strlen(directory));
}

#define THE_REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define UNLESS_FULL(result, name, parameters, arguments)      \
    result name parameters {                                  \
        static __typeof__(&name) real;                        \
        if (!real) real = THE_REAL(name);                     \
        if (full(fd)) {                                       \
            errno = ENOSPC;                                   \
            return -1;                                        \
        }                                                     \
        return real arguments;                                \
    }

UNLESS_FULL(ssize_t, write, (int fd, const void *from, size_t length), (fd, from, length))
UNLESS_FULL(ssize_t, pwrite, (int fd, const void *from, size_t length, off_t at),
            (fd, from, length, at))
UNLESS_FULL(ssize_t, pwrite64, (int fd, const void *from, size_t length, off64_t at),
            (fd, from, length, at))
UNLESS_FULL(ssize_t, writev, (int fd, const struct iovec *from, int count), (fd, from, count))

/* This one returns the error instead of setting it. */
int posix_fallocate(int fd, off_t at, off_t length) {
    if (full(fd)) return ENOSPC;
    return THE_REAL(posix_fallocate)(fd, at, length);
}
