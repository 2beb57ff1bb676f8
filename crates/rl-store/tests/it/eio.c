/* Preloaded into a process under test: the RL_EIO_AT-th sync of a database file fails with EIO, once or, with RL_EIO_EVER, from then on.
 * Every sync of a database file after the first failure adds a byte to the file RL_EIO_LOG. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int count;

static int is_database(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "rapidlaunch.db") != NULL;
}

static int fails(int fd) {
    const char *at = getenv("RL_EIO_AT");
    if (!at || !is_database(fd)) return 0;
    int number = atomic_fetch_add(&count, 1) + 1, fatal = atoi(at);
    if (number > fatal) {
        int log = open(getenv("RL_EIO_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        ssize_t written = write(log, "x", 1);
        (void)written;
        close(log);
    }
    return number == fatal || (number > fatal && getenv("RL_EIO_EVER"));
}

#define SYNC(name)                                               \
    int name(int fd) {                                           \
        static int (*real)(int);                                 \
        if (fails(fd)) {                                         \
            errno = EIO;                                         \
            return -1;                                           \
        }                                                        \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name); \
        return real(fd);                                         \
    }
SYNC(fsync)
SYNC(fdatasync)
