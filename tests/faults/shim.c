/* Preloaded into a program under test. Three things, each asked for by an environment variable that names a file:
 *
 * VEDETTE_SHIM_CLOCK   8 bytes, nanoseconds: added to CLOCK_REALTIME, live. CLOCK_MONOTONIC is untouched.
 * VEDETTE_SHIM_SYNC    8 bytes, microseconds: every fsync and fdatasync takes so much longer, live; below 0 they fail
 *                      with EIO.
 * VEDETTE_SHIM_RECORD  grows by one record for each write, truncation, flush and removal below VEDETTE_SHIM_FOLDER:
 *                      kind (1), length of the path (2), offset (8), length (4), path, data.
 *
 * libfaketime cannot be used: with it time.sleep of Python 3.11 fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *clock_offset, *sync_delay;
static int record = -1;
static const char *folder;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static volatile int64_t *shared(const char *variable) {
    const char *path = getenv(variable);
    if (!path) return NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    void *at = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

__attribute__((constructor)) static void begin(void) {
    clock_offset = shared("VEDETTE_SHIM_CLOCK");
    sync_delay = shared("VEDETTE_SHIM_SYNC");
    folder = getenv("VEDETTE_SHIM_FOLDER");
    const char *path = getenv("VEDETTE_SHIM_RECORD");
    if (path && folder) record = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* -- the clock ---------------------------------------------------------------------------------------------- */

static void shift(struct timespec *at, int64_t by) {
    int64_t ns = (int64_t)at->tv_sec * 1000000000 + at->tv_nsec + by;
    if (ns < 0) ns = 0;
    at->tv_sec = ns / 1000000000;
    at->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t id, struct timespec *at) {
    REAL(clock_gettime);
    int result = real(id, at);
    if (!result && clock_offset && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) shift(at, *clock_offset);
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

/* Ends of waits that were computed from the shifted clock are given to the kernel in its own time. One before 1980 is
 * of the monotonic clock, or long past either way. */
static const struct timespec *unshifted(const struct timespec *end, struct timespec *kept) {
    if (!clock_offset || !end || end->tv_sec < 315360000) return end;
    *kept = *end;
    shift(kept, -*clock_offset);
    return kept;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict end) {
    REAL(pthread_cond_timedwait);
    struct timespec kept;
    return real(c, m, unshifted(end, &kept));
}

int sem_timedwait(sem_t *restrict s, const struct timespec *restrict end) {
    REAL(sem_timedwait);
    struct timespec kept;
    return real(s, unshifted(end, &kept));
}

/* -- the disk ----------------------------------------------------------------------------------------------- */

static void note(char kind, const char *path, int64_t offset, const void *data, uint32_t length) {
    char head[15];
    uint16_t chars = (uint16_t)strlen(path);
    head[0] = kind;
    memcpy(head + 1, &chars, 2);
    memcpy(head + 3, &offset, 8);
    memcpy(head + 11, &length, 4);
    struct iovec parts[3] = {{head, 15}, {(void *)path, chars}, {(void *)data, data ? length : 0}};
    if (writev(record, parts, 3) < 0) abort();
}

static int watched(int fd, char *path) {
    char link[40];
    if (record < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0) return 0;
    path[length] = 0;
    return !strncmp(path, folder, strlen(folder));
}

static int flush(int fd, int (*real)(int)) {
    char path[4096];
    if (sync_delay && *sync_delay > 0) usleep((useconds_t)*sync_delay);
    if (sync_delay && *sync_delay < 0) {
        errno = EIO;
        return -1;
    }
    if (!watched(fd, path)) return real(fd);
    pthread_mutex_lock(&lock);
    int result = real(fd);
    if (!result) note('S', path, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int fd) { REAL(fsync); return flush(fd, real); }
int fdatasync(int fd) { REAL(fdatasync); return flush(fd, real); }

static ssize_t wrote(int fd, const void *data, size_t length, int64_t offset, ssize_t result, const char *path) {
    (void)fd;
    (void)length;
    if (result > 0) note('W', path, offset, data, (uint32_t)result);
    return result;
}

#define PWRITE(name, kind)                                                                              \
    ssize_t name(int fd, const void *data, size_t length, kind offset) {                                \
        REAL(name);                                                                                     \
        char path[4096];                                                                                \
        if (!watched(fd, path)) return real(fd, data, length, offset);                                  \
        pthread_mutex_lock(&lock);                                                                      \
        ssize_t result = wrote(fd, data, length, offset, real(fd, data, length, offset), path);         \
        pthread_mutex_unlock(&lock);                                                                    \
        return result;                                                                                  \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t length) {
    REAL(write);
    char path[4096];
    if (!watched(fd, path)) return real(fd, data, length);
    pthread_mutex_lock(&lock);
    int64_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t result = wrote(fd, data, length, offset, real(fd, data, length), path);
    pthread_mutex_unlock(&lock);
    return result;
}

#define FTRUNCATE(name, kind)                                              \
    int name(int fd, kind length) {                                        \
        REAL(name);                                                        \
        char path[4096];                                                   \
        if (!watched(fd, path)) return real(fd, length);                   \
        pthread_mutex_lock(&lock);                                         \
        int result = real(fd, length);                                     \
        if (!result) note('T', path, length, NULL, 0);                     \
        pthread_mutex_unlock(&lock);                                       \
        return result;                                                     \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

int unlink(const char *path) {
    REAL(unlink);
    if (record < 0 || strncmp(path, folder, strlen(folder))) return real(path);
    pthread_mutex_lock(&lock);
    int result = real(path);
    if (!result) note('U', path, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
