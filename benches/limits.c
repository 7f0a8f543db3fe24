/* What this machine's kernel and hardware need when nothing is measured, checked or reported: the limits that
 * `cargo bench` holds procbench's modes against. Built statically where the C library can be.
 *
 *   limits fork TASKS IN_FLIGHT PARENT_MIB   one child for each task, at most IN_FLIGHT at a time, each adding 1 to
 *                                            a shared counter; the parent holds PARENT_MIB of touched memory
 *   limits spawn TASKS IN_FLIGHT             the same with posix_spawn of this program, which then does nothing
 *   limits claim TASKS WORKERS CHUNK         forked workers take tasks from one shared counter and store 8 bytes each
 *   limits park TASKS MILLISECONDS           one child for each task, all at once, each sleeping so long before it exits
 *   limits start WORKERS                     fork of WORKERS processes, until each has run
 *
 * Prints the seconds that it took. Exits with 1 if a process could not be created or a task is missing.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

typedef unsigned long number;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *shared(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

static pid_t checked(pid_t pid) {
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    return pid;
}

static double create(int spawn, number tasks, number in_flight, number parent_mib) {
    number *done = shared(sizeof *done), alive = 0;
    if (parent_mib > 0) {
        char *held = mmap(NULL, parent_mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(held, 1, parent_mib << 20);
    }
    double start = now();
    for (number task = 0; task < tasks; task++) {
        if (alive == in_flight) {
            wait(NULL);
            alive--;
        }
        pid_t pid;
        if (spawn) {
            char *arguments[] = {"/proc/self/exe", "nothing", NULL};
            if (posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ) != 0) pid = -1;
        } else if ((pid = fork()) == 0) {
            __atomic_fetch_add(done, 1, __ATOMIC_RELAXED);
            _exit(0);
        }
        checked(pid);
        alive++;
    }
    while (alive-- > 0) wait(NULL);
    double seconds = now() - start;
    if (!spawn && *done != tasks) exit(1);
    return seconds;
}

static double claim(number tasks, number workers, number chunk) {
    double start = now();
    number *next = shared(sizeof *next), *results = shared(tasks * sizeof *results);
    for (number worker = 0; worker < workers; worker++) {
        if (checked(fork()) > 0) continue;
        for (;;) {
            number from = __atomic_fetch_add(next, chunk, __ATOMIC_RELAXED);
            if (from >= tasks) _exit(0);
            number to = from + chunk < tasks ? from + chunk : tasks;
            for (number task = from; task < to; task++) results[task] = ~task;
        }
    }
    while (wait(NULL) > 0) {
    }
    double seconds = now() - start;
    for (number task = 0; task < tasks; task++)
        if (results[task] != ~task) exit(1);
    return seconds;
}

static double park(number tasks, number milliseconds) {
    struct timespec nap = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    double start = now();
    for (number task = 0; task < tasks; task++) {
        if (checked(fork()) > 0) continue;
        nanosleep(&nap, NULL);
        _exit(0);
    }
    while (wait(NULL) > 0) {
    }
    return now() - start;
}

static double start_workers(number workers) {
    double *ran = shared(workers * sizeof *ran), start = now(), last = start;
    for (number worker = 0; worker < workers; worker++) {
        if (checked(fork()) > 0) continue;
        ran[worker] = now();
        _exit(0);
    }
    while (wait(NULL) > 0) {
    }
    for (number worker = 0; worker < workers; worker++)
        if (ran[worker] > last) last = ran[worker];
    return last - start;
}

int main(int argc, char **argv) {
    number arguments[3] = {0, 1, 0};
    for (int i = 2; i < argc && i < 5; i++) arguments[i - 2] = strtoul(argv[i], NULL, 10);
    const char *what = argc > 1 ? argv[1] : "";
    double seconds;
    if (!strcmp(what, "nothing")) return 0;
    else if (!strcmp(what, "fork")) seconds = create(0, arguments[0], arguments[1], arguments[2]);
    else if (!strcmp(what, "spawn")) seconds = create(1, arguments[0], arguments[1], 0);
    else if (!strcmp(what, "claim")) seconds = claim(arguments[0], arguments[1], arguments[2]);
    else if (!strcmp(what, "park")) seconds = park(arguments[0], arguments[1]);
    else if (!strcmp(what, "start")) seconds = start_workers(arguments[0]);
    else return 2;
    printf("%.9f\n", seconds);
    return 0;
}
