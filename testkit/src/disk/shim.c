/* Preloaded into a process under test: a disk that fails to sync, and one whose history is written down.
 *
 * NOTIFY_DISK_WATCH  only files whose path begins with this
 * NOTIFY_DISK_TRACE  write each write, truncation and sync there, and what goes to standard output, in their order;
 *                    nothing is really synced then, which saves time and changes nothing for a killed process
 * NOTIFY_DISK_FAIL   while this file exists, syncs fail with EIO; each failure adds a byte to it
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace_file = -1;

static int watched(int fd, char *path, size_t size) {
    const char *prefix = getenv("NOTIFY_DISK_WATCH");
    char link[64];
    if (!prefix)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

static void put(const void *bytes, size_t count) {
    const char *at = bytes;
    while (count > 0) {
        ssize_t written = syscall(SYS_write, trace_file, at, count);
        if (written <= 0)
            abort(); /* a trace with a hole would prove nothing */
        at += written;
        count -= (size_t)written;
    }
}

/* kind, length of path, path, offset, length of data, data: all lengths little-endian, as this machine writes them */
static void record(char kind, const char *path, uint64_t offset, const void *data, uint32_t count) {
    uint16_t length = (uint16_t)strlen(path);
    put(&kind, 1);
    put(&length, 2);
    put(path, length);
    put(&offset, 8);
    put(&count, 4);
    put(data, count);
}

/* Under the lock: the order in the file is the order of what happened. */
static int tracing(void) {
    const char *name = getenv("NOTIFY_DISK_TRACE");
    if (!name)
        return 0;
    if (trace_file < 0)
        trace_file = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return trace_file >= 0;
}

static ssize_t write_at(int fd, const void *bytes, size_t count, off_t offset, int positioned) {
    char path[4096];
    int saved = errno;
    int is_watched = watched(fd, path, sizeof path);
    errno = saved;
    if (!is_watched && fd != 1)
        return positioned ? syscall(SYS_pwrite64, fd, bytes, count, offset) : syscall(SYS_write, fd, bytes, count);
    pthread_mutex_lock(&lock);
    if (!positioned && is_watched)
        offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written =
        positioned ? syscall(SYS_pwrite64, fd, bytes, count, offset) : syscall(SYS_write, fd, bytes, count);
    saved = errno;
    if (written > 0 && tracing())
        record(is_watched ? 'W' : 'A', is_watched ? path : "", is_watched ? (uint64_t)offset : 0, bytes,
               (uint32_t)written);
    errno = saved;
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t count) { return write_at(fd, bytes, count, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return write_at(fd, bytes, count, offset, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return write_at(fd, bytes, count, offset, 1);
}

static int truncate_to(int fd, off_t length) {
    char path[4096];
    if (!watched(fd, path, sizeof path))
        return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    int saved = errno;
    if (done == 0 && tracing())
        record('T', path, (uint64_t)length, "", 0);
    errno = saved;
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return truncate_to(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_to(fd, length); }

int unlink(const char *path) {
    const char *prefix = getenv("NOTIFY_DISK_WATCH");
    if (!prefix || strncmp(path, prefix, strlen(prefix)) != 0)
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    int saved = errno;
    if (done == 0 && tracing())
        record('U', path, 0, "", 0);
    errno = saved;
    pthread_mutex_unlock(&lock);
    return done;
}

static int sync_file(int fd, long call) {
    char path[4096];
    if (!watched(fd, path, sizeof path))
        return (int)syscall(call, fd);
    const char *trigger = getenv("NOTIFY_DISK_FAIL");
    if (trigger) {
        int counter = (int)syscall(SYS_openat, AT_FDCWD, trigger, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
        if (counter >= 0) {
            syscall(SYS_write, counter, "x", 1);
            close(counter);
            errno = EIO;
            return -1;
        }
    }
    pthread_mutex_lock(&lock);
    int traced = tracing();
    if (traced)
        record('S', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return traced ? 0 : (int)syscall(call, fd);
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }
