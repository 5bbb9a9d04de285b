/*
 * Preloaded into a program: every write to a file whose path contains FULL_DISK_PART fails with ENOSPC, as on a full
 * disk, as long as the file FULL_DISK_WHILE exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_full(int fd) {
  const char *part = getenv("FULL_DISK_PART");
  const char *flag = getenv("FULL_DISK_WHILE");
  char link[64], path[4096];
  if (part == NULL || flag == NULL || access(flag, F_OK) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return strstr(path, part) != NULL;
}

/* The next definition of the same name: libc's. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE_WHEN_FULL(fd) \
  if (is_full(fd)) {         \
    errno = ENOSPC;          \
    return -1;               \
  }

ssize_t write(int fd, const void *data, size_t size) {
  REFUSE_WHEN_FULL(fd)
  return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REFUSE_WHEN_FULL(fd)
  return REAL(writev)(fd, parts, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  REFUSE_WHEN_FULL(fd)
  return REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  REFUSE_WHEN_FULL(fd)
  return REAL(pwrite64)(fd, data, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  REFUSE_WHEN_FULL(fd)
  return REAL(pwritev)(fd, parts, count, offset);
}
