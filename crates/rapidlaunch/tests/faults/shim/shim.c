/* Preloaded into a process under test. Two faults, each off until its file is there:
 * RAPIDLAUNCH_SHIM_EIO: while this file exists, fsync and fdatasync fail with EIO and add one byte to it.
 * RAPIDLAUNCH_SHIM_CLOCK: this file holds seconds that are added to the wall clock; the steady clock is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int eio(void) {
    const char *path = getenv("RAPIDLAUNCH_SHIM_EIO");
    if (!path) return 0;
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t written = write(fd, "x", 1);
    (void)written;
    close(fd);
    return 1;
}

#define SYNC(name)                                                        \
    int name(int fd) {                                                    \
        static int (*real)(int);                                          \
        if (eio()) {                                                      \
            errno = EIO;                                                  \
            return -1;                                                    \
        }                                                                 \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);          \
        return real(fd);                                                  \
    }
SYNC(fsync)
SYNC(fdatasync)

typedef int (*gettime)(clockid_t, struct timespec *);

static gettime real_gettime(void) {
    static _Atomic(gettime) real;
    gettime found = atomic_load(&real);
    if (!found) {
        found = (gettime)dlsym(RTLD_NEXT, "clock_gettime");
        atomic_store(&real, found);
    }
    return found;
}

/* Read again every ten milliseconds: often enough for a jump, seldom enough for a busy process. */
static long long offset(void) {
    static _Atomic long long seconds, read_at;
    const char *path = getenv("RAPIDLAUNCH_SHIM_CLOCK");
    if (!path) return 0;
    struct timespec steady;
    real_gettime()(CLOCK_MONOTONIC, &steady);
    long long now = steady.tv_sec * 1000LL + steady.tv_nsec / 1000000 + 1;
    if (now - atomic_load(&read_at) >= 10) {
        atomic_store(&read_at, now);
        char text[32] = {0};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (read(fd, text, sizeof text - 1) > 0) atomic_store(&seconds, atoll(text));
            close(fd);
        }
    }
    return atomic_load(&seconds);
}

int clock_gettime(clockid_t id, struct timespec *out) {
    int result = real_gettime()(id, out);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) out->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *out, void *zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
