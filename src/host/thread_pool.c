/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool behind isg_parallel: the caller is worker 0, the others spin for a moment between jobs and then
 * sleep. A worker on the caller's own CPU is worse than none: each would spin while the other waits for the CPU. So
 * neither spins then, and the worker is moved away. */
#define _GNU_SOURCE /* sched_getcpu, affinity */
#include <errno.h>
#include <insitu/host.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "host/alloc.h"

#define MAX_THREADS 1024u
#define SPINS 2000u      /* some 40 microseconds: longer than the gap between two operations of a network */
#define SPINS_A_LOOK 64u /* turns between two looks at which CPU this is */
#define MAX_RANGES 16u   /* into which the indices of a job are cut */
#define MAX_MOVED 16u    /* workers that are moved off the caller's CPU; more are left to the system */

#define JOB_SHIFT 32
#define JOB_OPEN 0x80000000ull
#define JOB_INSIDE 0x7fffffffull

typedef struct pool_thread {
    pthread_t thread;
    isg_pool *pool;
    uint32_t worker;
    atomic_int cpu; /* where it was last seen, -1: nowhere yet */
} pool_thread;

/* Indices side by side, of which each worker has a range to begin with: what one operation left in a core's cache is
 * what the next one there reads. */
typedef struct index_range {
    _Alignas(64) atomic_uint next;
    uint32_t end;
} index_range;

struct isg_pool {
    index_range ranges[MAX_RANGES];
    pthread_mutex_t run_lock; /* one job at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    /* Number of the current job, whether it may still be joined, and how many workers are in it. The caller waits only
     * for those: one that the system has not woken yet is not missed. */
    atomic_ullong state;
    atomic_uint sleepers;    /* workers that must be woken */
    atomic_int caller_waits; /* so must the caller */
    atomic_int caller_cpu;
    atomic_int stop;
    isg_task_fn task;
    void *arg;
    uint32_t range_count;
    uint32_t workers;  /* with the caller */
    cpu_set_t allowed; /* CPUs of the thread that made the pool; none: unknown, or workers stay where they are */
    pool_thread threads[];
};

/* A task that calls run() again on the same pool gets its indices one after the other, under its own worker number. */
static _Thread_local const isg_pool *current_pool;
static _Thread_local uint32_t current_worker;

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_indices(isg_pool *pool, uint32_t worker)
{
    const isg_pool *outer_pool = current_pool;
    const uint32_t outer_worker = current_worker;
    const uint32_t all = pool->range_count, home = (uint32_t)((uint64_t)worker * all / pool->workers);
    current_pool = pool;
    current_worker = worker;
    for (uint32_t k = 0; k < all; k++) { /* its own range first, then what the others have left */
        index_range *r = &pool->ranges[(home + k) % all];
        for (;;) {
            const uint32_t i = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
            if (i >= r->end) break;
            pool->task(pool->arg, i, worker);
        }
    }
    current_pool = outer_pool;
    current_worker = outer_worker;
}

static unsigned job_number(const isg_pool *pool)
{
    return (unsigned)(atomic_load(&pool->state) >> JOB_SHIFT);
}

/* Joins the current job if it is still open. */
static int join_job(isg_pool *pool, unsigned *seen)
{
    unsigned long long state = atomic_load(&pool->state);
    do {
        *seen = (unsigned)(state >> JOB_SHIFT);
        if (!(state & JOB_OPEN)) return 0;
    } while (!atomic_compare_exchange_weak(&pool->state, &state, state + 1));
    return 1;
}

static int has_news(isg_pool *pool, unsigned seen)
{
    return job_number(pool) != seen || atomic_load(&pool->stop);
}

/* Returns when there is another job than `seen`, or the end. */
static void wait_for_job(pool_thread *self, unsigned seen)
{
    isg_pool *pool = self->pool;
    for (unsigned i = 0; i < SPINS; i++) {
        if (has_news(pool, seen)) return;
        if (i % SPINS_A_LOOK == 0) {
            const int cpu = sched_getcpu();
            atomic_store_explicit(&self->cpu, cpu, memory_order_relaxed);
            if (cpu == atomic_load_explicit(&pool->caller_cpu, memory_order_relaxed)) break;
        }
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1); /* before the last look: pool_run() changes the state, then reads this */
    while (!has_news(pool, seen)) pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    pool_thread *self = arg;
    isg_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        wait_for_job(self, seen);
        if (atomic_load(&pool->stop)) return NULL;
        if (!join_job(pool, &seen)) continue;
        atomic_store_explicit(&self->cpu, sched_getcpu(), memory_order_relaxed);
        take_indices(pool, self->worker);
        if ((atomic_fetch_sub(&pool->state, 1) & (JOB_OPEN | JOB_INSIDE)) == 1 && /* closed, and this was the last */
            atomic_load(&pool->caller_waits)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->idle);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

/* Whether some worker was last seen on this CPU; those are sent to the others if `move`. */
static int shares_cpu(isg_pool *pool, int cpu, int move)
{
    cpu_set_t others = pool->allowed;
    int found = 0;
    CPU_CLR((size_t)cpu, &others);
    for (uint32_t i = 0; i + 1 < pool->workers && i < MAX_MOVED; i++) {
        pool_thread *t = &pool->threads[i];
        if (atomic_load_explicit(&t->cpu, memory_order_relaxed) != cpu) continue;
        found = 1;
        if (move && CPU_COUNT(&others) > 0) {
            (void)pthread_setaffinity_np(t->thread, sizeof others, &others); /* where it fails, all stays as it was */
            atomic_store_explicit(&t->cpu, -1, memory_order_relaxed);
        }
    }
    return found;
}

/* Opens a job for the workers. */
static void open_job(isg_pool *pool)
{
    const int cpu = sched_getcpu();
    atomic_store_explicit(&pool->caller_cpu, cpu, memory_order_relaxed);
    if (cpu >= 0 && cpu < CPU_SETSIZE) (void)shares_cpu(pool, cpu, 1);
    atomic_store(&pool->state, (unsigned long long)(job_number(pool) + 1u) << JOB_SHIFT | JOB_OPEN);
    if (!atomic_load(&pool->sleepers)) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

/* Closes the job and waits for the workers that have joined it. */
static void close_job(isg_pool *pool)
{
    const int cpu = atomic_load_explicit(&pool->caller_cpu, memory_order_relaxed);
    atomic_fetch_and(&pool->state, ~JOB_OPEN);
    for (unsigned i = 0; i < SPINS; i++) {
        if (!(atomic_load(&pool->state) & JOB_INSIDE)) return;
        if (i % SPINS_A_LOOK == SPINS_A_LOOK - 1 && cpu >= 0 && cpu < CPU_SETSIZE && shares_cpu(pool, cpu, 0)) break;
        relax();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_waits, 1); /* before the last look: the worker changes the state, then reads this */
    while (atomic_load(&pool->state) & JOB_INSIDE) pthread_cond_wait(&pool->idle, &pool->lock);
    atomic_store(&pool->caller_waits, 0);
    pthread_mutex_unlock(&pool->lock);
}

static void cut_indices(isg_pool *pool, uint32_t count)
{
    uint32_t all = pool->workers < MAX_RANGES ? pool->workers : MAX_RANGES;
    if (all > count) all = count;
    pool->range_count = all;
    for (uint32_t k = 0; k < all; k++) {
        atomic_store_explicit(&pool->ranges[k].next, (uint32_t)((uint64_t)count * k / all), memory_order_relaxed);
        pool->ranges[k].end = (uint32_t)((uint64_t)count * (k + 1) / all);
    }
}

static void pool_run(void *user, isg_task_fn task, void *arg, uint32_t count)
{
    isg_pool *pool = user;
    if (current_pool == pool) {
        for (uint32_t i = 0; i < count; i++) task(arg, i, current_worker);
        return;
    }
    pthread_mutex_lock(&pool->run_lock);
    pool->task = task;
    pool->arg = arg;
    cut_indices(pool, count);
    if (count > 1) open_job(pool); /* one index is not worth waking anyone */
    take_indices(pool, 0);
    if (count > 1) close_job(pool);
    pthread_mutex_unlock(&pool->run_lock);
}

isg_status isg_pool_create(isg_pool **out, uint32_t threads, isg_error *err)
{
    isg_pool *pool;
    *out = NULL;
    if (threads == 0) threads = isg_host_threads();
    if (threads > MAX_THREADS)
        return isgi_fail(err, ISG_E_LIMIT, "%u threads asked for, %u at most", threads, MAX_THREADS);
    pool = isgi_calloc(1, sizeof *pool + (threads - 1) * sizeof pool->threads[0]);
    if (!pool) return isgi_nomem(err);
    pthread_mutex_init(&pool->run_lock, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->workers = 1;
    atomic_store(&pool->caller_cpu, -1);
    if (sched_getaffinity(0, sizeof pool->allowed, &pool->allowed) != 0) CPU_ZERO(&pool->allowed);
    for (uint32_t i = 0; i + 1 < threads; i++) {
        pool_thread *t = &pool->threads[i];
        int code;
        t->pool = pool;
        t->worker = i + 1;
        atomic_store(&t->cpu, -1);
        code = pthread_create(&t->thread, NULL, worker_main, t);
        if (code != 0) {
            isg_pool_destroy(pool);
            return isgi_fail(err, ISG_E_IO, "cannot start thread %u of %u: %s", i + 2, threads, strerror(code));
        }
        pool->workers++;
    }
    *out = pool;
    return ISG_OK;
}

void isg_pool_destroy(isg_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i + 1 < pool->workers; i++) pthread_join(pool->threads[i].thread, NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->run_lock);
    isg_free(pool);
}

isg_parallel isg_pool_parallel(isg_pool *pool)
{
    isg_parallel parallel = {NULL, NULL, 1};
    if (pool && pool->workers > 1) {
        parallel.run = pool_run;
        parallel.user = pool;
        parallel.workers = pool->workers;
    }
    return parallel;
}
