/* SPDX-License-Identifier: Apache-2.0 */
/* What the thread pool costs and gives: jobs of short tasks back to back, and the first ones after an idle gap.
 *
 * usage: bench_pool [THREADS [TASK_US]]   A run is 60 jobs, as a network of 20 layers asks for, of one task a thread.
 * Prints median and 90th percentile of a run's time beside the time that the tasks take on one thread. */
#include <insitu/host.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define JOBS 60
#define RUNS 200

static volatile uint64_t sink;

static void spin_task(void *arg, uint32_t index, uint32_t worker)
{
    const uint64_t turns = *(const uint64_t *)arg;
    uint64_t x = index + worker;
    for (uint64_t i = 0; i < turns; i++) x = x * 6364136223846793005u + 1442695040888963407u;
    sink = x;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double run_jobs(const isg_parallel *p, uint64_t *turns, uint32_t tasks)
{
    const uint64_t start = isg_host_nanoseconds();
    for (int i = 0; i < JOBS; i++) {
        if (p->run)
            p->run(p->user, spin_task, turns, tasks);
        else
            for (uint32_t t = 0; t < tasks; t++) spin_task(turns, t, 0);
    }
    return (double)(isg_host_nanoseconds() - start) * 1e-3;
}

static void report(const char *name, const isg_parallel *p, uint64_t *turns, uint32_t tasks, long gap_us)
{
    const struct timespec gap = {gap_us / 1000000, gap_us % 1000000 * 1000};
    double times[RUNS];
    for (int i = 0; i < RUNS; i++) {
        if (gap_us) nanosleep(&gap, NULL);
        times[i] = run_jobs(p, turns, tasks);
    }
    qsort(times, RUNS, sizeof *times, by_value);
    printf("%-10s gap %6ld us   median %8.1f us   p90 %8.1f us\n", name, gap_us, times[RUNS / 2], times[RUNS * 9 / 10]);
}

int main(int argc, char **argv)
{
    const uint32_t threads = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : isg_host_threads();
    const double task_us = argc > 2 ? strtod(argv[2], NULL) : 10.0;
    static const long gaps[] = {0, 200, 5000};
    isg_parallel one = {NULL, NULL, 1}, many;
    isg_pool *pool;
    uint64_t turns = 10000;
    double took;
    if (isg_pool_create(&pool, threads, NULL) != ISG_OK) return 1;
    many = isg_pool_parallel(pool);
    took = run_jobs(&one, &turns, 1) / JOBS;
    for (int i = 0; i < 5; i++) { /* the least: others may be using the CPU */
        const double again = run_jobs(&one, &turns, 1) / JOBS;
        if (again < took) took = again;
    }
    turns = (uint64_t)((double)turns * task_us / took);
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        report("1 thread", &one, &turns, threads, gaps[i]);
        report("pool", &many, &turns, threads, gaps[i]);
    }
    isg_pool_destroy(pool);
    return 0;
}
