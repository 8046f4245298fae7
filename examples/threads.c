/* SPDX-License-Identifier: Apache-2.0 */
/* libinsitu_rt makes no threads; this lends it some through isg_parallel, and checks that their number changes no bit.
 * usage: threads MODEL.isg [THREADS] */
#include <insitu/rt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 64

/* ---- a pool: the caller is worker 0, and each other thread waits for the next job ---- */
typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    pthread_t threads[MAX_THREADS];
    uint32_t workers;
    unsigned long job; /* counts the jobs: a thread works once in each */
    int stop;
    isg_task_fn task;
    void *arg;
    uint32_t next, count, busy;
} pool;

typedef struct seat {
    pool *p;
    uint32_t worker;
} seat;

/* Takes indices until none is left. The lock is held on entry and on return. */
static void work(pool *p, uint32_t worker)
{
    while (p->next < p->count) {
        const uint32_t index = p->next++;
        pthread_mutex_unlock(&p->lock);
        p->task(p->arg, index, worker);
        pthread_mutex_lock(&p->lock);
    }
}

static void *thread_main(void *arg)
{
    pool *p = ((seat *)arg)->p;
    const uint32_t worker = ((seat *)arg)->worker;
    unsigned long seen = 0;
    free(arg);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->job == seen) pthread_cond_wait(&p->begin, &p->lock);
        if (p->stop) break;
        seen = p->job;
        p->busy++;
        work(p, worker);
        if (--p->busy == 0) pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* What the runtime calls: returns when every call of `task` has returned. */
static void pool_run(void *user, isg_task_fn task, void *arg, uint32_t count)
{
    pool *p = user;
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->arg = arg;
    p->next = 0;
    p->count = count;
    p->job++;
    pthread_cond_broadcast(&p->begin);
    work(p, 0);
    while (p->busy) pthread_cond_wait(&p->end, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* As many workers as could be started, at least the caller. */
static void pool_start(pool *p, uint32_t workers)
{
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    for (p->workers = 1; p->workers < workers; p->workers++) {
        seat *s = malloc(sizeof *s);
        if (!s) return;
        s->p = p;
        s->worker = p->workers;
        if (pthread_create(&p->threads[p->workers], NULL, thread_main, s)) {
            free(s);
            return;
        }
    }
}

static void pool_stop(pool *p)
{
    uint32_t i;
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (i = 1; i < p->workers; i++) pthread_join(p->threads[i], NULL);
}

/* ---- one run ---- */

static size_t count_of(const isg_rt_io *io)
{
    size_t n = 1;
    uint32_t d;
    for (d = 0; d < io->rank; d++) n *= io->dims[d] ? io->dims[d] : 1;
    return n;
}

static void *allocate(uint64_t bytes)
{
    return aligned_alloc(ISG_RT_ALIGNMENT, (size_t)((bytes + ISG_RT_ALIGNMENT) / ISG_RT_ALIGNMENT * ISG_RT_ALIGNMENT));
}

/* The outputs of a simple input, which the caller frees; NULL after a message. More workers take more workspace. */
static float *run(const isg_rt_model *model, const isg_parallel *parallel, size_t *count)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *context;
    isg_rt_io in, out;
    isg_error err = {ISG_OK, -1, ISG_ERROR_NONE, "out of memory"};
    float *input = NULL, *output = NULL;
    void *workspace = NULL;
    int done = 0;
    size_t i;
    if (parallel) options.parallel = *parallel;
    if (isg_rt_input(model, 0, &in) == ISG_OK && isg_rt_output(model, 0, &out) == ISG_OK &&
        isg_rt_plan(model, &options, &memory, &err) == ISG_OK) {
        *count = count_of(&out);
        input = allocate(count_of(&in) * sizeof *input);
        output = allocate(*count * sizeof *output);
        workspace = allocate(memory.workspace_bytes);
    }
    if (input && output && workspace) {
        const float *inputs[1] = {input};
        float *outputs[1] = {output};
        for (i = 0; i < count_of(&in); i++) input[i] = (float)(i * 37 % 101) / 101.0f;
        done =
            isg_rt_context_init(&context, workspace, (size_t)memory.workspace_bytes, model, &options, &err) == ISG_OK &&
            isg_rt_run(context, inputs, outputs, &err) == ISG_OK;
    }
    if (!done) fprintf(stderr, "threads: %s\n", err.message);
    free(workspace);
    free(input);
    if (done) return output;
    free(output);
    return NULL;
}

/* The whole file in memory of the alignment that isg_rt_open() asks for. */
static void *load(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    void *image = size > 0 ? allocate((uint64_t)size) : NULL;
    if (image) rewind(f);
    if (image && fread(image, 1, (size_t)size, f) != (size_t)size) {
        free(image);
        image = NULL;
    }
    if (f) fclose(f);
    *bytes = (size_t)size;
    return image;
}

int main(int argc, char **argv)
{
    const long wanted = argc > 2 ? strtol(argv[2], NULL, 10) : 2;
    isg_rt_model model;
    isg_error err;
    size_t bytes, count = 0;
    pool p;
    isg_parallel parallel;
    float *serial, *threaded;
    void *image;
    int same;
    if (argc < 2 || argc > 3 || wanted < 1 || wanted > MAX_THREADS) {
        fprintf(stderr, "usage: threads MODEL.isg [THREADS], 1 to %d\n", MAX_THREADS);
        return 2;
    }
    image = load(argv[1], &bytes);
    if (!image) {
        fprintf(stderr, "threads: %s: cannot be read\n", argv[1]);
        return 1;
    }
    if (isg_rt_open(&model, image, bytes, &err) != ISG_OK) {
        fprintf(stderr, "threads: %s: %s\n", argv[1], err.message);
        free(image);
        return 1;
    }
    if (isg_rt_input_count(&model) != 1 || isg_rt_output_count(&model) != 1) {
        fprintf(stderr, "threads: %s: not one input and one output\n", argv[1]);
        free(image);
        return 1;
    }
    pool_start(&p, (uint32_t)wanted);
    parallel.run = pool_run;
    parallel.user = &p;
    parallel.workers = p.workers;
    serial = run(&model, NULL, &count);
    threaded = run(&model, &parallel, &count);
    pool_stop(&p);
    same = serial && threaded && !memcmp(serial, threaded, count * sizeof *serial);
    if (serial && threaded)
        printf("%u threads: %s\n", p.workers, same ? "the same bits as one" : "other bits than one");
    free(threaded);
    free(serial);
    free(image);
    return !same;
}
