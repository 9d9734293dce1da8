/* Sets the clock of a program: CLOCK_REALTIME is as many seconds ahead as the file AMIKA_TEST_CLOCK says at the moment. All other
 * clocks are the machine's.
 *
 *     cc -shared -fPIC -O -o set-clock.so scripts/test-set-clock.c -ldl
 *     AMIKA_TEST_CLOCK=FILE LD_PRELOAD=./set-clock.so PROGRAM
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long ahead(void) {
    const char *path = getenv("AMIKA_TEST_CLOCK");
    FILE *file = path ? fopen(path, "re") : NULL;
    long seconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1)
            seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME)
        time->tv_sec += ahead();
    return result;
}
