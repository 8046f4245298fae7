/* SPDX-License-Identifier: Apache-2.0 */
/* Time of a training step, and the share of it that is spent inside oneDNN's convolutions. */
#include <insitu/train.h>

#include "train/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 7

static void conv_task(void *arg, uint32_t chunk, uint32_t worker)
{
    isgi_net *net = arg;
    const int omp = isgi_omp_enter();
    (void)worker;
    for (int32_t i = 0; i < net->op_count; i++) {
        isgi_netop *op = &net->ops[i];
        if (op->op != ISG_OP_CONV) continue;
        op->vt->forward[0](net, op, chunk);
        op->vt->backward[0](net, op, chunk);
    }
    isgi_omp_leave(omp);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int bench(const char *arch, uint32_t channels, uint32_t side, uint32_t batch, isg_pool *pool)
{
    const isgi_net_options o = {.batch = batch, .trainable = 1, .parallel = isg_pool_parallel(pool)};
    const size_t size = (size_t)channels * side * side;
    double whole[STEPS], convs[STEPS];
    isg_graph *g = NULL;
    isgi_net *net = NULL;
    isg_error err = {0};
    float *x = calloc(size * batch, sizeof *x);
    if (!x || isg_arch_build(&g, arch, channels, side, side, 10, 1, &err) != ISG_OK ||
        isgi_net_create(&net, g, &o, &err) != ISG_OK) {
        fprintf(stderr, "bench_train: %s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < size * batch; i++) x[i] = (float)(i % 17) - 8.0f;
    isgi_net_load(net, x, batch);
    for (int s = 0; s < STEPS; s++) {
        uint64_t t = isg_host_nanoseconds();
        if (isgi_net_refresh(net, &err) != ISG_OK || isgi_net_forward(net, 1, &err) != ISG_OK) return 1;
        for (uint32_t i = 0; i < batch; i++) {
            for (uint32_t k = 0; k < net->classes; k++) isgi_net_logits_grad(net, i)[k] = (i + k) % 3 - 1.0f;
        }
        if (isgi_net_backward(net, &err) != ISG_OK) return 1;
        whole[s] = (double)(isg_host_nanoseconds() - t) * 1e-6;
        t = isg_host_nanoseconds();
        if (o.parallel.run) {
            o.parallel.run(o.parallel.user, conv_task, net, net->chunks);
        } else {
            for (uint32_t c = 0; c < net->chunks; c++) conv_task(net, c, 0);
        }
        convs[s] = (double)(isg_host_nanoseconds() - t) * 1e-6;
    }
    qsort(whole, STEPS, sizeof *whole, compare);
    qsort(convs, STEPS, sizeof *convs, compare);
    printf("%-10s batch %3u  step %8.2f ms (%6.0f images/s)  convolutions alone %8.2f ms  ratio %.2f\n", arch,
           (unsigned)batch, whole[STEPS / 2], batch / whole[STEPS / 2] * 1e3, convs[STEPS / 2],
           whole[STEPS / 2] / convs[STEPS / 2]);
    isgi_net_destroy(net);
    isg_graph_destroy(g);
    free(x);
    return 0;
}

int main(int argc, char **argv)
{
    isg_pool *pool = NULL;
    int failed;
    if (isg_pool_create(&pool, argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0, NULL) != ISG_OK) return 1;
    failed = bench("fig5a", 1, 28, 128, pool) || bench("resnet20", 3, 32, 128, pool);
    isg_pool_destroy(pool);
    return failed;
}
