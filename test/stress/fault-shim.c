// LD_PRELOAD library that watches every change a process makes below one folder, in order, and can
//   snapshot  copy the folder before each change: what a kill -9 at that moment would leave behind
//   error     let change number FT_FAULT_AT, and every later write, fail with FT_FAULT_ERRNO
//   kill      end the process with SIGKILL before change number FT_FAULT_AT
//   log       write a line for each change to FT_FAULT_LOG: operation, path, and for rename the new path
// Set FT_FAULT_DIR (absolute) and FT_FAULT_MODE. Lines of training.log do not count.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int counter = 0;
static int failing = 0;

static int inside(const char *path) {
  const char *folder = getenv("FT_FAULT_DIR");
  if (folder == NULL || path == NULL) return 0;
  size_t length = strlen(folder);
  if (strncmp(path, folder, length) != 0 || (path[length] != '/' && path[length] != '\0')) return 0;
  const char *name = strrchr(path, '/');
  return name == NULL || (strcmp(name, "/training.log") != 0 && strcmp(name, "/.ft-native.lock") != 0);
}

// Puts the path of an open file into `path`.
static int inside_fd(int fd, char path[4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, 4095);
  if (length <= 0) return 0;
  path[length] = '\0';
  return inside(path);
}

static void snapshot(int number) {
  char target[4096];
  snprintf(target, sizeof target, "%s/%05d", getenv("FT_FAULT_SNAPSHOTS"), number);
  char *const arguments[] = {"cp", "-a", getenv("FT_FAULT_DIR"), target, NULL};
  char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
  pid_t child;
  if (posix_spawn(&child, "/bin/cp", NULL, NULL, arguments, environment) == 0) waitpid(child, NULL, 0);
}

static void record(const char *operation, const char *path, const char *other) {
  FILE *file = fopen(getenv("FT_FAULT_LOG"), "a");
  if (file == NULL) return;
  fprintf(file, "%s\t%s\t%s\n", operation, path, other);
  fclose(file);
}

// Returns 1 when the call is to fail (errno is set).
static int change(const char *operation, const char *path, const char *other) {
  const char *mode = getenv("FT_FAULT_MODE");
  if (mode == NULL) return 0;
  int saved = errno, fail = 0, is_write = strcmp(operation, "write") == 0;
  pthread_mutex_lock(&lock);
  int number = ++counter;
  int at = atoi(getenv("FT_FAULT_AT") ? getenv("FT_FAULT_AT") : "0");
  if (strcmp(mode, "snapshot") == 0) snapshot(number);
  if (strcmp(mode, "log") == 0) record(operation, path, other);
  if (strcmp(mode, "kill") == 0 && number == at) kill(getpid(), SIGKILL);
  if (strcmp(mode, "error") == 0 && (number == at || (failing && is_write))) fail = failing = 1;
  pthread_mutex_unlock(&lock);
  errno = fail ? atoi(getenv("FT_FAULT_ERRNO")) : saved;
  return fail;
}

#define REAL(name) static __typeof__(name) *real = NULL; if (real == NULL) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
  REAL(write);
  char path[4096];
  if (inside_fd(fd, path) && change("write", path, "")) return -1;
  return real(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  REAL(pwrite);
  char path[4096];
  if (inside_fd(fd, path) && change("write", path, "")) return -1;
  return real(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  REAL(pwrite64);
  char path[4096];
  if (inside_fd(fd, path) && change("write", path, "")) return -1;
  return real(fd, data, size, offset);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  char path[4096];
  if (inside_fd(fd, path) && change("write", path, "")) return -1;
  return real(fd, parts, count);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  REAL(pwritev);
  char path[4096];
  if (inside_fd(fd, path) && change("write", path, "")) return -1;
  return real(fd, parts, count, offset);
}
int ftruncate(int fd, off_t size) {
  REAL(ftruncate);
  char path[4096];
  if (inside_fd(fd, path) && change("write", path, "")) return -1;
  return real(fd, size);
}
int fsync(int fd) {
  REAL(fsync);
  char path[4096];
  if (inside_fd(fd, path) && change("fsync", path, "")) return -1;
  return real(fd);
}
int fdatasync(int fd) {
  REAL(fdatasync);
  char path[4096];
  if (inside_fd(fd, path) && change("fsync", path, "")) return -1;
  return real(fd);
}
int rename(const char *from, const char *to) {
  REAL(rename);
  if ((inside(from) || inside(to)) && change("rename", from, to)) return -1;
  return real(from, to);
}
int unlink(const char *path) {
  REAL(unlink);
  if (inside(path) && change("unlink", path, "")) return -1;
  return real(path);
}
int rmdir(const char *path) {
  REAL(rmdir);
  if (inside(path) && change("rmdir", path, "")) return -1;
  return real(path);
}
int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  if (inside(path) && change("mkdir", path, "")) return -1;
  return real(path, mode);
}
static int creates(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0; }
int open(const char *path, int flags, ...) {
  REAL(open);
  va_list list;
  va_start(list, flags);
  mode_t mode = va_arg(list, mode_t);
  va_end(list);
  if (creates(flags) && inside(path) && change("create", path, "")) return -1;
  return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  REAL(open64);
  va_list list;
  va_start(list, flags);
  mode_t mode = va_arg(list, mode_t);
  va_end(list);
  if (creates(flags) && inside(path) && change("create", path, "")) return -1;
  return real(path, flags, mode);
}
