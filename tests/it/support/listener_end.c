/* Ends a listening socket of a running process, as nothing outside can where `ss -K` may not.
 *
 * Preloaded, it shuts a listening socket down before it accepts a connection, for as long as the
 * file WEIR_SHUT_DOWN_WHEN exists. So the listener ends that somebody connects to. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    static __typeof__(&accept4) real;
    const char *when = getenv("WEIR_SHUT_DOWN_WHEN");
    if (!real) real = (__typeof__(&accept4))dlsym(RTLD_NEXT, "accept4");
    if (when && !access(when, F_OK)) shutdown(fd, SHUT_RDWR);
    return real(fd, address, length, flags);
}
