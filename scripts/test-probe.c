/* The one program of the smallest test images: static, so that it runs where there is no libc.
 *
 * probe [wait]      prints "ready" and waits; SIGTERM or SIGINT ends it with 0
 * probe exit N      ends with N
 * probe print ARG…  prints each argument on a line
 * probe env         prints the environment
 * probe cwd         prints the working directory, then "uid:gid"
 * probe cat         copies stdin to stdout
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static void finish(int signal) {
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "wait";
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
