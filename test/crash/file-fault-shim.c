/*
 * Preloaded into a process, makes its file operations below one folder fail, or kills it at one of them:
 * what a full disk, lost permissions and a power cut do.
 *
 *   VAULT_FAULT_FOLDER  operations on paths below it are counted, from 1
 *   VAULT_FAULT_PLAN    a file "<n> <mode>": counting begins with the first of them after it is there
 *   VAULT_FAULT_LOG     a file that takes the name of each operation, a line each
 *
 * Modes: kill (SIGKILL instead of operation n), full (from n on nothing can be made or written: ENOSPC; a write that is
 * the n-th is cut in half first), denied (from n on nothing can be opened, renamed, linked, removed or listed: EACCES).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096
enum { MAKES = 1, WRITES = 2, NAMES = 4 }; /* what an operation does; NAMES: needs a permission on a path */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char watched[FDS]; /* file descriptors of files below the folder */
static long count, planned = -1; /* -1: no plan yet */
static char mode[16];
static int log_fd = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
  const char *folder = getenv("VAULT_FAULT_FOLDER");
  return folder != NULL && path != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

static int open_raw(const char *path, int flags) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static void read_plan(void) {
  char text[64] = {0};
  const char *plan = getenv("VAULT_FAULT_PLAN"), *log = getenv("VAULT_FAULT_LOG");
  int fd = plan == NULL ? -1 : open_raw(plan, O_RDONLY);
  if (fd < 0) return;
  if (syscall(SYS_read, fd, text, sizeof text - 1) > 0) sscanf(text, "%ld %15s", &planned, mode);
  syscall(SYS_close, fd);
  if (log != NULL) log_fd = open_raw(log, O_WRONLY | O_CREAT | O_APPEND);
}

/* Counts an operation. Returns what it must fail with, 0, or -1: half of it is to be done. */
static int strike(const char *name, int does) {
  char line[64];
  int result = 0;
  pthread_mutex_lock(&mutex);
  if (planned < 0) read_plan();
  if (planned > 0) count++;
  if (log_fd >= 0) {
    int length = snprintf(line, sizeof line, "%s\n", name);
    syscall(SYS_write, log_fd, line, length);
  }
  if (planned > 0 && count >= planned) {
    if (strcmp(mode, "kill") == 0 && count == planned) raise(SIGKILL);
    if (strcmp(mode, "full") == 0 && (does & (MAKES | WRITES))) {
      result = count == planned && (does & WRITES) ? -1 : ENOSPC;
    }
    if (strcmp(mode, "denied") == 0 && (does & NAMES)) result = EACCES;
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

static int watches(int fd) { return fd >= 0 && fd < FDS && watched[fd]; }

static int open_counted(const char *path, int flags, mode_t bits) {
  int fd, problem = 0, is_below = below(path);
  if (is_below) {
    int makes = flags & O_CREAT;
    problem = strike(makes ? "open, create" : "open", makes ? MAKES | NAMES : NAMES);
  }
  if (problem > 0) {
    errno = problem;
    return -1;
  }
  fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, bits);
  if (fd >= 0 && fd < FDS) watched[fd] = (char)is_below;
  return fd;
}

#define OPEN(name)                                         \
  int name(const char *path, int flags, ...) {             \
    va_list rest;                                          \
    mode_t bits;                                           \
    va_start(rest, flags);                                 \
    bits = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                          \
    return open_counted(path, flags, bits);                \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  if (fd >= 0 && fd < FDS) watched[fd] = 0;
  return (int)syscall(SYS_close, fd);
}

static ssize_t write_counted(int fd, const struct iovec *parts, int number, off_t offset) {
  struct iovec half;
  int problem = watches(fd) ? strike("write", WRITES) : 0;
  if (problem > 0 || (problem < 0 && parts[0].iov_len < 2)) {
    errno = ENOSPC;
    return -1;
  }
  if (problem < 0) {
    half = parts[0];
    half.iov_len /= 2;
    parts = &half;
    number = 1;
  }
  if (offset < 0) return syscall(SYS_writev, fd, parts, number);
  return syscall(SYS_pwritev, fd, parts, number, (long)offset, 0L);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec part = {(void *)bytes, length};
  return watches(fd) ? write_counted(fd, &part, 1, -1) : syscall(SYS_write, fd, bytes, length);
}
ssize_t writev(int fd, const struct iovec *parts, int number) {
  return write_counted(fd, parts, number, -1);
}
#define PWRITE(name, offset_type)                                                   \
  ssize_t name(int fd, const void *bytes, size_t length, offset_type offset) {      \
    struct iovec part = {(void *)bytes, length};                                    \
    return write_counted(fd, &part, 1, (off_t)offset);                              \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
#define PWRITEV(name, offset_type)                                                   \
  ssize_t name(int fd, const struct iovec *parts, int number, offset_type offset) {  \
    return write_counted(fd, parts, number, (off_t)offset);                          \
  }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

/* Operations on one open file: their names tell what they do. */
#define ON_FILE(name, number)                              \
  int name(int fd) {                                       \
    int problem = watches(fd) ? strike(#name, WRITES) : 0; \
    if (problem != 0) {                                    \
      errno = ENOSPC;                                      \
      return -1;                                           \
    }                                                      \
    return (int)syscall(number, fd);                       \
  }
ON_FILE(fsync, SYS_fsync)
ON_FILE(fdatasync, SYS_fdatasync)

static int failed(const char *name, const char *path, int does) {
  int problem = below(path) ? strike(name, does) : 0;
  if (problem > 0) errno = problem;
  return problem > 0;
}

int rename(const char *from, const char *to) {
  if (failed("rename", to, MAKES | NAMES)) return -1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int link(const char *from, const char *to) {
  if (failed("link", to, MAKES | NAMES)) return -1;
  return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int unlink(const char *path) {
  if (failed("unlink", path, NAMES)) return -1;
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int mkdir(const char *path, mode_t bits) {
  if (failed("mkdir", path, MAKES | NAMES)) return -1;
  return (int)syscall(SYS_mkdirat, AT_FDCWD, path, bits);
}

#define SCANDIR(name, entry)                                                             \
  int name(const char *path, struct entry ***list, int (*filter)(const struct entry *),  \
           int (*compare)(const struct entry **, const struct entry **)) {               \
    if (failed("scandir", path, NAMES)) return -1;                                       \
    return REAL(name)(path, list, filter, compare);                                      \
  }
SCANDIR(scandir, dirent)
SCANDIR(scandir64, dirent64)
