/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool behind isg_parallel: the caller is worker 0, the others sleep between jobs. */
#include <errno.h>
#include <insitu/host.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "host/alloc.h"

#define MAX_THREADS 1024u
#define SPINS 2000u /* some ten microseconds: the gap between two operations of a network */

#define JOB_SHIFT 32
#define JOB_OPEN 0x80000000ull
#define JOB_INSIDE 0x7fffffffull

typedef struct pool_thread {
    pthread_t thread;
    isg_pool *pool;
    uint32_t worker;
} pool_thread;

struct isg_pool {
    pthread_mutex_t run_lock; /* one job at a time */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    /* Number of the current job, whether it may still be joined, and how many workers are in it. The caller waits only
     * for those: one that the system has not woken yet is not missed. */
    atomic_ullong state;
    atomic_uint next; /* next index of the job */
    atomic_int stop;
    isg_task_fn task;
    void *arg;
    uint32_t count;
    uint32_t workers; /* with the caller */
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
    current_pool = pool;
    current_worker = worker;
    for (;;) {
        const uint32_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (i >= pool->count) break;
        pool->task(pool->arg, i, worker);
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

static void *worker_main(void *arg)
{
    pool_thread *self = arg;
    isg_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        for (unsigned i = 0; i < SPINS && job_number(pool) == seen && !atomic_load(&pool->stop); i++) relax();
        if (job_number(pool) == seen && !atomic_load(&pool->stop)) {
            pthread_mutex_lock(&pool->lock);
            while (job_number(pool) == seen && !atomic_load(&pool->stop)) pthread_cond_wait(&pool->wake, &pool->lock);
            pthread_mutex_unlock(&pool->lock);
        }
        if (atomic_load(&pool->stop)) return NULL;
        if (!join_job(pool, &seen)) continue;
        take_indices(pool, self->worker);
        if ((atomic_fetch_sub(&pool->state, 1) & (JOB_OPEN | JOB_INSIDE)) == 1) { /* closed, and this was the last */
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->idle);
            pthread_mutex_unlock(&pool->lock);
        }
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
    pool->count = count;
    atomic_store(&pool->next, 0);
    if (count <= 1) { /* not worth waking anyone */
        take_indices(pool, 0);
        pthread_mutex_unlock(&pool->run_lock);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->state, (unsigned long long)(job_number(pool) + 1u) << JOB_SHIFT | JOB_OPEN);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    take_indices(pool, 0);
    atomic_fetch_and(&pool->state, ~JOB_OPEN);
    for (unsigned i = 0; i < SPINS && atomic_load(&pool->state) & JOB_INSIDE; i++) relax();
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->state) & JOB_INSIDE) pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
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
    for (uint32_t i = 0; i + 1 < threads; i++) {
        pool_thread *t = &pool->threads[i];
        int code;
        t->pool = pool;
        t->worker = i + 1;
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
