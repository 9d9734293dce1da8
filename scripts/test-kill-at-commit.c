/* Kills the process right after a commit of its database: a library that is loaded before the others.
 *
 * $KILL_AT_COMMIT names a file. While it holds a number, each sync of the database's log takes one from it, and the
 * one that takes the last is followed by SIGKILL. SQLite syncs its log once for each commit (synchronous=FULL).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_log(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    const char *end = "/amika.db-wal";
    size_t of = strlen(end);
    return (size_t)length >= of && strcmp(path + length - of, end) == 0;
}

static void counted(void) {
    const char *path = getenv("KILL_AT_COMMIT");
    FILE *file = path ? fopen(path, "r+") : NULL;
    long left = 0;
    if (!file)
        return;
    if (fscanf(file, "%ld", &left) == 1) {
        rewind(file);
        fprintf(file, "%-12ld", left - 1);
        fflush(file);
    }
    fclose(file);
    if (left == 1)
        kill(getpid(), SIGKILL);
}

static int synced(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    if (result == 0 && is_log(fd))
        counted();
    return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
