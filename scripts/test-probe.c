/* The one program of the smallest test images: static, so that it runs where there is no libc.
 *
 * probe [wait]      prints "ready" and waits; SIGTERM or SIGINT ends it with 0
 * probe exit N      ends with N
 * probe print ARG…  prints each argument on a line
 * probe env         prints the environment
 * probe cwd         prints the working directory, then "uid:gid"
 * probe cat         copies stdin to stdout
 * probe spill N     prints N MiB of lines
 * probe spawn N CMD…   N times: starts CMD and waits for it, with the time in $SPAWNED
 * probe orphans N   leaves N children of children that end at once, makes a file "done", and waits
 * probe since       prints the microseconds since $SPAWNED: as CMD, how long until its first instruction
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void finish(int signal) {
    (void)signal;
    _exit(0);
}

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int spawn(int times, char **command) {
    for (int i = 0; i < times; i++) {
        char spawned[32];
        snprintf(spawned, sizeof spawned, "%lld", nanoseconds());
        setenv("SPAWNED", spawned, 1);
        pid_t child = fork();
        if (child == 0) {
            execv(command[0], command);
            _exit(127);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
            return 1;
    }
    return 0;
}

static int orphans(int count) {
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(fork() < 0);
        int status;
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
            return 1;
    }
    FILE *done = fopen("done", "w");
    if (!done || fclose(done))
        return 1;
    for (;;)
        pause();
}

int main(int argc, char **argv) {
    long long begun = nanoseconds();
    const char *verb = argc > 1 ? argv[1] : "wait";
    if (strcmp(verb, "since") == 0) {
        const char *spawned = getenv("SPAWNED");
        printf("%lld\n", spawned ? (begun - atoll(spawned)) / 1000 : -1);
        return 0;
    }
    if (strcmp(verb, "spawn") == 0)
        return argc > 3 ? spawn(atoi(argv[2]), argv + 3) : 2;
    if (strcmp(verb, "orphans") == 0)
        return orphans(argc > 2 ? atoi(argv[2]) : 1);
    if (strcmp(verb, "spill") == 0) {
        static char block[1 << 20];
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = i % 64 == 63 ? '\n' : 'x';
        for (int i = argc > 2 ? atoi(argv[2]) : 1; i > 0; i--)
            for (size_t done = 0; done < sizeof block;) {
                ssize_t got = write(1, block + done, sizeof block - done);
                if (got < 0)
                    return 1;
                done += (size_t)got;
            }
        return 0;
    }
    if (strcmp(verb, "exit") == 0)
        return argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(verb, "print") == 0) {
        for (int i = 2; i < argc; i++)
            puts(argv[i]);
        return 0;
    }
    if (strcmp(verb, "env") == 0) {
        for (char **entry = environ; *entry; entry++)
            puts(*entry);
        return 0;
    }
    if (strcmp(verb, "cwd") == 0) {
        char path[4096];
        puts(getcwd(path, sizeof path) ? path : "?");
        printf("%d:%d\n", (int)getuid(), (int)getgid());
        return 0;
    }
    if (strcmp(verb, "cat") == 0) {
        char block[65536];
        ssize_t got;
        while ((got = read(0, block, sizeof block)) > 0)
            if (write(1, block, (size_t)got) != got)
                return 1;
        return got < 0;
    }
    if (strcmp(verb, "wait") != 0) {
        fprintf(stderr, "probe: unknown verb %s\n", verb);
        return 2;
    }
    signal(SIGTERM, finish);
    signal(SIGINT, finish);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
