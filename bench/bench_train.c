/* SPDX-License-Identifier: Apache-2.0 */
/* Training steps, dense and factored, taken in turn so that their ratio holds on a busy machine, and where time goes.
 */
#include <insitu/train.h>

#include "host/rng.h"
#include "train/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 3
#define MAX_RUNS 8
#define KINDS 4

typedef struct bench_run {
    const char *arch, *title;
    uint32_t bi, bo, batch;
    isg_execution execution;
    isg_precision precision;
    isg_graph *g;
    isgi_net *net;
    double ms[ROUNDS], kind[KINDS], refresh, multiply_adds;
} bench_run;

static const char *const kind_name[KINDS] = {"matrix work", "normalisation", "elementwise, pooling", "weights"};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Processor time of all threads: what a busy machine leaves meaningful. */
static double now_ms(void)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Random factors in place of every convolution's weight but the first; 3, 6 and 3 bits. */
static int factorise_all(isg_graph *g, uint32_t bi, uint32_t bo)
{
    static const uint8_t bits[3] = {3, 6, 3};
    isgi_rng rng;
    isgi_rng_seed(&rng, 1, 1);
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_value *v = &g->values[g->nodes[i].inputs[1]];
        isg_factor *all[3];
        uint32_t taps, ci, co;
        if (g->nodes[i].op != ISG_OP_CONV || v->dims[1] < 16) continue;
        ci = (uint32_t)v->dims[1];
        co = (uint32_t)v->dims[0];
        taps = (uint32_t)(v->dims[2] * v->dims[3]);
        if (isg_factors_create(&v->factors, taps, ci, co, isg_factor_levels(ci, co, taps, bi, bo, 0, 0), 0, NULL))
            return 1;
        all[0] = &v->factors->basis;
        all[1] = &v->factors->u;
        all[2] = &v->factors->v;
        for (int k = 0; k < 3; k++) {
            if (all[k]->rows == 0) continue;
            isgi_rng_fill_normal(&rng, all[k]->master, (size_t)all[k]->rows * all[k]->cols, 0, 0.3f);
            all[k]->quant = (isg_quant_spec){bits[k], ISG_QUANT_MIDTREAD, 0, 16};
            if (isg_factor_fit_scale(all[k], NULL) != ISG_OK) return 1;
        }
    }
    return 0;
}

/* Multiply-adds of one forward pass of the dense network, an image. */
static double dense_work(const isgi_net *net)
{
    double sum = 0;
    for (int32_t i = 0; i < net->op_count; i++) {
        const isgi_netop *op = &net->ops[i];
        const isgi_netweight *w = op->weight >= 0 ? &net->weights[op->weight] : NULL;
        if (w) sum += (double)net->acts[op->out].size * w->taps * w->ci;
    }
    return sum;
}

static int start(bench_run *r, uint32_t channels, uint32_t side, isg_pool *pool)
{
    const isgi_net_options o = {.batch = r->batch,
                                .trainable = 1,
                                .parallel = isg_pool_parallel(pool),
                                .execution = r->execution,
                                .precision = r->precision};
    const size_t size = (size_t)channels * side * side;
    isgi_rng rng;
    isg_error err = {0};
    float *x = calloc(size * r->batch, sizeof *x);
    if (!x || isg_arch_build(&r->g, r->arch, channels, side, side, 10, 1, &err) != ISG_OK ||
        (r->bo && factorise_all(r->g, r->bi, r->bo)) || isgi_net_create(&r->net, r->g, &o, &err) != ISG_OK) {
        fprintf(stderr, "bench_train: %s\n", err.message);
        free(x);
        return 1;
    }
    isgi_rng_seed(&rng, 1, 2);
    isgi_rng_fill_normal(&rng, x, size * r->batch, 0, 1);
    isgi_net_load(r->net, x, r->batch);
    r->multiply_adds = dense_work(r->net);
    free(x);
    return 0;
}

static int step(bench_run *r, int round)
{
    isg_error err = {0};
    const double begin = now_ms();
    if (isgi_net_refresh(r->net, &err) != ISG_OK || isgi_net_forward(r->net, 1, &err) != ISG_OK) return 1;
    for (uint32_t i = 0; i < r->batch; i++) {
        for (uint32_t k = 0; k < r->net->classes; k++) isgi_net_logits_grad(r->net, i)[k] = (i + k) % 3 - 1.0f;
    }
    if (isgi_net_backward(r->net, &err) != ISG_OK) return 1;
    r->ms[round] = now_ms() - begin;
    return 0;
}

/* ---- where the time goes ---- */

typedef struct one_step {
    isgi_net *net;
    const isgi_step *step;
} one_step;

static void one_task(void *arg, uint32_t chunk, uint32_t worker)
{
    const one_step *s = arg;
    const int omp = isgi_omp_enter();
    (void)worker;
    if (s->step->fn) s->step->fn(s->net, s->step->op, chunk);
    isgi_omp_leave(omp);
}

static int kind_of(isg_op op)
{
    return op == ISG_OP_CONV || op == ISG_OP_GEMM ? 0 : op == ISG_OP_BATCH_NORM ? 1 : 2;
}

static void profile_steps(bench_run *r, const isgi_step *steps, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        one_step s = {r->net, &steps[i]};
        const double begin = now_ms();
        if (r->net->parallel.run) {
            r->net->parallel.run(r->net->parallel.user, one_task, &s, r->net->chunks);
        } else {
            for (uint32_t c = 0; c < r->net->chunks; c++) one_task(&s, c, 0);
        }
        if (steps[i].join) steps[i].join(r->net, steps[i].op);
        r->kind[kind_of(steps[i].op->op)] += now_ms() - begin;
    }
}

static void profile(bench_run *r)
{
    const double begin = now_ms();
    double total = 0;
    if (isgi_net_refresh(r->net, NULL) != ISG_OK) return;
    r->kind[3] = now_ms() - begin;
    profile_steps(r, r->net->forward, r->net->forward_count);
    profile_steps(r, r->net->backward, r->net->backward_count);
    for (int k = 0; k < KINDS; k++) total += r->kind[k];
    printf("  where     ");
    for (int k = 0; k < KINDS; k++) printf("%s %.0f %%%s", kind_name[k], 100 * r->kind[k] / total, k < 3 ? ", " : "\n");
}

static int bench(bench_run *runs, int count, uint32_t channels, uint32_t side, isg_pool *pool)
{
    for (int i = 0; i < count; i++) {
        if (start(&runs[i], channels, side, pool)) return 1;
    }
    for (int round = -1; round < ROUNDS; round++) {
        for (int i = 0; i < count; i++) {
            if (step(&runs[i], round < 0 ? 0 : round)) return 1;
        }
    }
    for (int i = 0; i < count; i++) {
        bench_run *r = &runs[i];
        double ms;
        qsort(r->ms, ROUNDS, sizeof *r->ms, compare);
        ms = r->ms[ROUNDS / 2];
        printf("%-9s %-34s batch %3u  %8.1f ms  %7.0f images/s  %4.0f GFLOP/s as dense  x%.2f\n", r->arch, r->title,
               (unsigned)r->batch, ms, r->batch / ms * 1e3, r->multiply_adds * 6e-6 * r->batch / ms,
               runs[0].ms[ROUNDS / 2] / ms);
        profile(r);
        isgi_net_destroy(r->net);
        isg_graph_destroy(r->g);
    }
    return 0;
}

/* Takes a step for every line of input and prints the milliseconds of wall time it took: for turns with other programs.
 */
static int serve(bench_run *r, isg_pool *pool)
{
    char line[16];
    if (start(r, 3, 32, pool)) return 1;
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        if (step(r, 0)) return 1;
        clock_gettime(CLOCK_MONOTONIC, &to);
        printf("%.3f\n", (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) * 1e-6);
        fflush(stdout);
    }
    isgi_net_destroy(r->net);
    isg_graph_destroy(r->g);
    return 0;
}

int main(int argc, char **argv)
{
    bench_run small[] = {{.arch = "fig5a", .title = "dense", .batch = 128}};
    bench_run medium[] = {{.arch = "resnet20", .title = "dense", .batch = 128}};
    bench_run large[] = {{.arch = "resnet18", .title = "dense", .batch = 128},
                         {.arch = "resnet18", .title = "(2,44) factored", .bi = 2, .bo = 44, .batch = 128},
                         {.arch = "resnet18", .title = "dense bf16", .batch = 128, .precision = ISG_PRECISION_BF16},
                         {.arch = "resnet18",
                          .title = "(2,44) generated",
                          .bi = 2,
                          .bo = 44,
                          .batch = 128,
                          .execution = ISG_EXECUTION_GENERATE}};
    isg_pool *pool = NULL;
    int failed;
    if (isg_pool_create(&pool, argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0, NULL) != ISG_OK) return 1;
    if (argc > 3 && strcmp(argv[2], "serve") == 0) {
        const size_t which = strtoul(argv[3], NULL, 10);
        failed = which >= sizeof large / sizeof *large || serve(&large[which], pool);
    } else if (argc > 2) {
        failed = bench(large, strcmp(argv[2], "ratio") == 0 ? 2 : 4, 3, 32, pool);
    } else {
        failed = bench(small, 1, 1, 28, pool) || bench(medium, 1, 3, 32, pool);
    }
    isg_pool_destroy(pool);
    return failed;
}
