/* Loaded before the C library (LD_PRELOAD): counts the calls that change files below one folder, and fails one of them.
 *
 * The counters are in memory that forked processes share, so that one count goes through all workers of a command.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL = -1 };

static struct shared {
    int count, target, error, stays;
    char call[PATH_MAX + 32]; /* what failed */
} *shared;
static char folder[PATH_MAX];

__attribute__((constructor)) static void share(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* From now on counts below `path`; the call number `target` fails with `error`, or kills its process. With `stays`, so
 * does every later one that needs room. */
void arm(const char *path, int target, int error, int stays) {
    memset(shared, 0, sizeof *shared);
    shared->target = target, shared->error = error, shared->stays = stays;
    snprintf(folder, sizeof folder, "%s/", path);
}
int counted(void) { return shared->count; }
const char *failed_call(void) { return shared->call; }

/* Whether a call on an absolute path fails, errno set. */
static int fails(const char *call, const char *path, int needs_room) {
    if (!folder[0] || strncmp(path, folder, strlen(folder))) return 0;
    int number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
    if (number != shared->target && !(shared->stays && shared->target && number > shared->target && needs_room)) return 0;
    if (number == shared->target) snprintf(shared->call, sizeof shared->call, "%s %s", call, path + strlen(folder));
    if (shared->error == KILL) kill(getpid(), SIGKILL);
    errno = shared->error;
    return 1;
}

static int fails_at(const char *call, int place, const char *name, int needs_room) {
    char path[2 * PATH_MAX], link[64];
    if (!folder[0]) return 0;
    if (name[0] == '/') return fails(call, name, needs_room);
    snprintf(link, sizeof link, place == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", place);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    snprintf(path + length, PATH_MAX, "/%s", name);
    return fails(call, path, needs_room);
}

static int fails_on(const char *call, int file, int needs_room) {
    char path[PATH_MAX + 1], link[64];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path, needs_room);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) ((flags) & (O_WRONLY | O_RDWR))

#define OPEN(name)                                                                       \
    int name(const char *path, int flags, ...) {                                         \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t mode = va_arg(rest, mode_t);                                              \
        va_end(rest);                                                                    \
        if (WRITES(flags) && fails_at("open", AT_FDCWD, path, 1)) return -1;             \
        return REAL(name)(path, flags, mode);                                            \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                     \
    int name(int place, const char *path, int flags, ...) {                              \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t mode = va_arg(rest, mode_t);                                              \
        va_end(rest);                                                                    \
        if (WRITES(flags) && fails_at("open", place, path, 1)) return -1;                \
        return REAL(name)(place, path, flags, mode);                                     \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                      \
    FILE *name(const char *path, const char *mode) {                                     \
        if (strpbrk(mode, "wa+") && fails_at("open", AT_FDCWD, path, 1)) return NULL;    \
        return REAL(name)(path, mode);                                                   \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* A call `name` with these parameters and arguments, which fails where `failing` does. */
#define CALL(type, name, parameters, arguments, failing)                                 \
    type name parameters {                                                               \
        if (failing) return -1;                                                          \
        return REAL(name) arguments;                                                     \
    }
CALL(ssize_t, write, (int f, const void *b, size_t n), (f, b, n), fails_on("write", f, 1))
CALL(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), (f, b, n, o), fails_on("write", f, 1))
CALL(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), (f, b, n, o), fails_on("write", f, 1))
CALL(ssize_t, writev, (int f, const struct iovec *v, int n), (f, v, n), fails_on("write", f, 1))
CALL(ssize_t, sendfile, (int f, int g, off_t *o, size_t n), (f, g, o, n), fails_on("write", f, 1))
CALL(ssize_t, sendfile64, (int f, int g, off64_t *o, size_t n), (f, g, o, n), fails_on("write", f, 1))
CALL(ssize_t, copy_file_range, (int g, off64_t *p, int f, off64_t *o, size_t n, unsigned m), (g, p, f, o, n, m),
     fails_on("write", f, 1))
CALL(int, ftruncate, (int f, off_t n), (f, n), fails_on("truncate", f, 1))
CALL(int, ftruncate64, (int f, off64_t n), (f, n), fails_on("truncate", f, 1))
CALL(int, fsync, (int f), (f), fails_on("sync", f, 0))
CALL(int, fdatasync, (int f), (f), fails_on("sync", f, 0))
CALL(int, mkdir, (const char *p, mode_t m), (p, m), fails_at("mkdir", AT_FDCWD, p, 1))
CALL(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m), fails_at("mkdir", d, p, 1))
CALL(int, rename, (const char *p, const char *q), (p, q), fails_at("rename", AT_FDCWD, p, 0))
CALL(int, renameat, (int d, const char *p, int e, const char *q), (d, p, e, q), fails_at("rename", d, p, 0))
CALL(int, link, (const char *p, const char *q), (p, q), fails_at("link", AT_FDCWD, q, 1))
CALL(int, symlink, (const char *p, const char *q), (p, q), fails_at("symlink", AT_FDCWD, q, 1))
CALL(int, symlinkat, (const char *p, int d, const char *q), (p, d, q), fails_at("symlink", d, q, 1))
CALL(int, unlink, (const char *p), (p), fails_at("remove", AT_FDCWD, p, 0))
CALL(int, unlinkat, (int d, const char *p, int f), (d, p, f), fails_at("remove", d, p, 0))
CALL(int, rmdir, (const char *p), (p), fails_at("remove", AT_FDCWD, p, 0))
CALL(int, remove, (const char *p), (p), fails_at("remove", AT_FDCWD, p, 0))
