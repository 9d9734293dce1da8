/* Tries each way to a set-user-id program or a device in a directory, by bare system calls: what the C
 * library would do for it must not help. Static and at a fixed address, for the 32-bit calls.
 *
 * setid DIRECTORY   makes each try in a file of its own, and prints `NAME ERRNO` (0: the call was allowed)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SETID 04755
#define O_TMP 020200000 /* __O_TMPFILE | O_DIRECTORY */
#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT 4
#endif
enum { FCHMODAT2 = 452, OPENAT2 = 437, URING_SETUP = 425, URING_ENTER = 426, URING_REGISTER = 427 };

/* Below 4 GiB, where a 32-bit call can point to. */
static char path[512];
static struct { uint64_t flags, mode, resolve; } how;
static char ring[256];
static const char *directory;

static const char *next(const char *name) {
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

/* A plain file for calls that change one. */
static int file(const char *name) {
    int fd = open(next(name), O_CREAT | O_RDWR, 0755);
    if (fd < 0)
        perror(path);
    return fd;
}

static void told(const char *name, long result) { printf("%s %ld\n", name, result < 0 ? -result : 0); }

static long call(long number, long a, long b, long c, long d, long e) {
    long result = syscall(number, a, b, c, d, e, 0L);
    return result < 0 ? -errno : result;
}

#ifdef __x86_64__
static long call32(long number, long a, long b, long c, long d, long e) {
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}
#endif

/* The calls of one way into the kernel; 0 for those that it has not. */
struct numbers {
    const char *way;
    long (*call)(long, long, long, long, long, long);
    long chmod, fchmod, fchmodat, open, openat, creat, mknod, mknodat, renameat2, base;
};

static void all(const struct numbers *n) {
    char name[128];
#define NAMED(what) (snprintf(name, sizeof name, "%s-%s", n->way, what), name)
#define HERE AT_FDCWD
    long p = (long)path;
    if (n->chmod) {
        close(file(NAMED("chmod")));
        told(name, n->call(n->chmod, p, SETID, 0, 0, 0));
        close(file(NAMED("chmod-all")));
        told(name, n->call(n->chmod, p, 0xfff, 0, 0, 0));
    }
    int fd = file(NAMED("fchmod"));
    told(name, n->call(n->fchmod, fd, SETID, 0, 0, 0));
    close(fd);
    close(file(NAMED("fchmodat")));
    told(name, n->call(n->fchmodat, HERE, p, SETID, 0, 0));
    close(file(NAMED("fchmodat2")));
    told(name, n->call(n->base | FCHMODAT2, HERE, p, SETID, 0, 0));
    if (n->open) {
        next(NAMED("open"));
        told(name, n->call(n->open, p, O_CREAT | O_WRONLY, SETID, 0, 0));
        next(NAMED("creat"));
        told(name, n->call(n->creat, p, SETID, 0, 0, 0));
    }
    next(NAMED("openat"));
    told(name, n->call(n->openat, HERE, p, O_CREAT | O_WRONLY, SETID, 0));
    next("");
    NAMED("tmpfile");
    fd = (int)n->call(n->openat, HERE, p, O_TMP | O_RDWR, SETID, 0);
    told(name, fd);
    if (fd >= 0) {
        char open_file[64];
        snprintf(open_file, sizeof open_file, "/proc/self/fd/%d", fd);
        linkat(AT_FDCWD, open_file, AT_FDCWD, next(name), AT_SYMLINK_FOLLOW);
    }
    next(NAMED("openat2"));
    how.flags = O_CREAT | O_WRONLY;
    how.mode = SETID;
    told(name, n->call(n->base | OPENAT2, HERE, p, (long)&how, sizeof how, 0));
    static const struct { const char *name; mode_t mode; } nodes[] = {
        {"plain", SETID}, {"regular", S_IFREG | SETID}, {"fifo", S_IFIFO | SETID},
        {"char", S_IFCHR | 0666}, {"block", S_IFBLK | 0666},
    };
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        char what[32];
        if (n->mknod) {
            snprintf(what, sizeof what, "mknod-%s", nodes[i].name);
            next(NAMED(what));
            told(name, n->call(n->mknod, p, nodes[i].mode, makedev(1, 3), 0, 0));
        }
        snprintf(what, sizeof what, "mknodat-%s", nodes[i].name);
        next(NAMED(what));
        told(name, n->call(n->mknodat, HERE, p, nodes[i].mode, makedev(1, 3), 0));
    }
    static char from[sizeof path];
    close(file(NAMED("whiteout-from")));
    memcpy(from, path, sizeof from);
    next(NAMED("whiteout"));
    told(name, n->call(n->renameat2, HERE, (long)from, HERE, p, RENAME_WHITEOUT));
    told(NAMED("uring-setup"), n->call(n->base | URING_SETUP, 4, (long)ring, 0, 0, 0));
    told(NAMED("uring-enter"), n->call(n->base | URING_ENTER, -1, 0, 0, 0, 0));
    told(NAMED("uring-register"), n->call(n->base | URING_REGISTER, -1, 0, 0, 0, 0));
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    directory = argv[1];
    umask(0);
#ifdef __x86_64__
    enum { X32 = 0x40000000 };
    const struct numbers ways[] = {
        {"amd64", call, SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_open, SYS_openat, SYS_creat, SYS_mknod, SYS_mknodat,
         SYS_renameat2, 0},
        {"i386", call32, 15, 94, 306, 5, 295, 8, 14, 297, 353, 0},
        {"x32", call, X32 | SYS_chmod, X32 | SYS_fchmod, X32 | SYS_fchmodat, X32 | SYS_open, X32 | SYS_openat,
         X32 | SYS_creat, X32 | SYS_mknod, X32 | SYS_mknodat, X32 | SYS_renameat2, X32},
    };
#else
    const struct numbers ways[] = {
        {"native", call, 0, SYS_fchmod, SYS_fchmodat, 0, SYS_openat, 0, 0, SYS_mknodat, SYS_renameat2, 0},
    };
#endif
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
        all(&ways[i]);
    /* What must go on working. */
    int fd = file("plain");
    told("plain-chmod", fchmod(fd, 02755));
    told("plain-open", call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY, SETID, 0));
    told("plain-fifo", mkfifo(next("fifo"), 0644));
    return 0;
}
