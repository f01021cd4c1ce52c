/* A disk that can be recorded and that can fail.

   Preloaded into a Python process. disk_watch names a folder and a log; from then on each write, sync, truncation and
   change of a name in it is appended to the log after it was done. disk_arm lets the n-th such operation fail with an
   error number, be cut short (SHORT), or kill the process (KILL). */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, CUT = 4, NAME = 8, READ = 16 };
enum { KILL = -1, SHORT = -2 };

static char root[PATH_MAX];
static size_t root_length;
static int log_file = -1;
static int kinds, error_number, lasting;
static long failing_at, passed;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;


struct record {
    char what;
    uint64_t inode;
    int64_t offset;
    uint32_t length;
} __attribute__((packed));

void disk_watch(const char *folder, const char *log_path) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    if (log_path && *log_path)
        log_file = (int)syscall(SYS_openat, AT_FDCWD, log_path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
}

void disk_arm(int which, long at, int error, int all_that_follow) {
    kinds = which;
    failing_at = at;
    error_number = error;
    lasting = all_that_follow;
    passed = 0;
}

long disk_passed(void) { return passed; }

static int inside(const char *path) {
    size_t length = strlen(path);
    if (length > 4 && !strcmp(path + length - 4, "-shm")) return 0; /* rebuilt by whoever opens a database first */
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static void resolve(int folder, const char *path, char *out) {
    char base[PATH_MAX] = "";
    if (path[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) base[0] = 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            base[length < 0 ? 0 : length] = 0;
        }
        strncat(base, "/", sizeof base - strlen(base) - 1);
    }
    snprintf(out, PATH_MAX, "%s%s", base, path);
}

static int watched(int file) {
    char link[64], path[PATH_MAX];
    if (!root_length || file < 0 || file == log_file) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path);
}

static uint64_t inode_of(int file) {
    struct stat facts;
    return fstat(file, &facts) ? 0 : facts.st_ino;
}

static void note(char what, uint64_t inode, int64_t offset, const void *data, size_t length) {
    if (log_file < 0) return;
    struct record head = {what, inode, offset, (uint32_t)length};
    int kept = errno;
    pthread_mutex_lock(&one_at_a_time);
    syscall(SYS_write, log_file, &head, sizeof head);
    if (length) syscall(SYS_write, log_file, data, length);
    pthread_mutex_unlock(&one_at_a_time);
    errno = kept;
}

/* What the process says at this moment, between what it did. */
void disk_say(const char *words) { note('A', 0, 0, words, strlen(words)); }

/* The fault of this operation: 0 for none, SHORT, or an error number. */
static int fault(int kind) {
    if (!(kinds & kind)) return 0;
    long now = __sync_add_and_fetch(&passed, 1);
    if (now != failing_at && !(lasting && now > failing_at)) return 0;
    if (error_number == KILL) kill(getpid(), SIGKILL);
    return error_number;
}

/* ------------------------------------------------------------------------------------------------- bytes */

static ssize_t written(int file, const void *data, size_t size, int64_t offset, int at_offset) {
    static ssize_t (*plain)(int, const void *, size_t);
    static ssize_t (*placed)(int, const void *, size_t, off_t);
    if (!plain) plain = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (!placed) placed = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    int mine = watched(file);
    int bad = mine ? fault(WRITE) : 0;
    if (bad == SHORT) {
        if (size < 2) bad = ENOSPC;
        else size /= 2;
    }
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    ssize_t done = at_offset ? placed(file, data, size, offset) : plain(file, data, size);
    if (mine && done > 0)
        note('W', inode_of(file), at_offset ? offset : lseek(file, 0, SEEK_CUR) - done, data, (size_t)done);
    return done;
}

ssize_t write(int file, const void *data, size_t size) { return written(file, data, size, 0, 0); }
ssize_t pwrite(int file, const void *data, size_t size, off_t offset) { return written(file, data, size, offset, 1); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
    return written(file, data, size, offset, 1);
}

static ssize_t taken(int file, void *data, size_t size, int64_t offset) {
    static ssize_t (*placed)(int, void *, size_t, off_t);
    if (!placed) placed = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread64");
    int bad = kinds & READ && watched(file) ? fault(READ) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    return placed(file, data, size, offset);
}

ssize_t pread(int file, void *data, size_t size, off_t offset) { return taken(file, data, size, offset); }
ssize_t pread64(int file, void *data, size_t size, off64_t offset) { return taken(file, data, size, offset); }

static int synced(int file, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int mine = watched(file);
    int bad = mine ? fault(SYNC) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    int done = real(file);
    if (mine && !done) note('S', inode_of(file), 0, NULL, 0);
    return done;
}

int fsync(int file) { return synced(file, "fsync"); }
int fdatasync(int file) { return synced(file, "fdatasync"); }

static int cut(int file, int64_t size) {
    static int (*real)(int, off_t);
    if (!real) real = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
    int mine = watched(file);
    int bad = mine ? fault(CUT) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    int done = real(file, size);
    if (mine && !done) note('T', inode_of(file), size, NULL, 0);
    return done;
}

int ftruncate(int file, off_t size) { return cut(file, size); }
int ftruncate64(int file, off64_t size) { return cut(file, size); }

/* ------------------------------------------------------------------------------------------------- names */

static int opened(int folder, const char *path, int flags, mode_t mode) {
    static int (*real)(int, const char *, int, ...);
    if (!real) real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
    char whole[PATH_MAX];
    struct stat facts;
    int mine = 0, is_new = 0, nameless = (flags & O_TMPFILE) == O_TMPFILE;
    if (root_length && (nameless || flags & (O_CREAT | O_TRUNC))) {
        resolve(folder, path, whole);
        mine = inside(whole);
        is_new = mine && (nameless || (flags & O_CREAT && stat(whole, &facts) != 0));
    }
    int bad = is_new ? fault(NAME) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    int file = real(folder, path, flags, mode);
    if (file >= 0 && is_new && !nameless) note('O', inode_of(file), 0, whole, strlen(whole));
    else if (file >= 0 && mine && flags & O_TRUNC) note('T', inode_of(file), 0, NULL, 0);
    return file;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return opened(folder, path, flags, mode); }

static int renamed(int from_folder, const char *from, int to_folder, const char *to) {
    static int (*real)(int, const char *, int, const char *);
    if (!real) real = (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
    char both[2 * PATH_MAX], target[PATH_MAX];
    resolve(from_folder, from, both);
    resolve(to_folder, to, target);
    int mine = inside(both) || inside(target);
    int bad = mine ? fault(NAME) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    int done = real(from_folder, from, to_folder, to);
    if (mine && !done) {
        size_t length = strlen(both);
        strcpy(both + length + 1, target);
        note('R', 0, 0, both, length + 1 + strlen(target));
    }
    return done;
}

int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renamed(from_folder, from, to_folder, to);
}

static int removed(int folder, const char *path, int flags) {
    static int (*real)(int, const char *, int);
    if (!real) real = (int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");
    char whole[PATH_MAX];
    resolve(folder, path, whole);
    int mine = inside(whole);
    int bad = mine ? fault(NAME) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    int done = real(folder, path, flags);
    if (mine && !done) note('U', 0, 0, whole, strlen(whole));
    return done;
}

int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return removed(folder, path, flags); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }

static int made(int folder, const char *path, mode_t mode) {
    static int (*real)(int, const char *, mode_t);
    if (!real) real = (int (*)(int, const char *, mode_t))dlsym(RTLD_NEXT, "mkdirat");
    char whole[PATH_MAX];
    resolve(folder, path, whole);
    int mine = inside(whole);
    int bad = mine ? fault(NAME) : 0;
    if (bad > 0) {
        errno = bad;
        return -1;
    }
    int done = real(folder, path, mode);
    struct stat facts;
    if (mine && !done) note('D', stat(whole, &facts) ? 0 : facts.st_ino, 0, whole, strlen(whole));
    return done;
}

int mkdir(const char *path, mode_t mode) { return made(AT_FDCWD, path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) { return made(folder, path, mode); }
