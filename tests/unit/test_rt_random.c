/* SPDX-License-Identifier: Apache-2.0 */
/* Random networks of several layers, run in every mode and way: no bit may follow the workers, nor the batch where a
 * way is forced, nor in int8 the instruction set; floats stay near the plain kernels'. INSITU_TEST_SEED repeats a run.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>

#include "rt_layer.h"

#define NETS 60
#define QUICK_NETS 4 /* with INSITU_TEST_QUICK, for emulators */
#define MOST_OPS 7u
#define BATCH 4u

typedef struct shape {
    uint32_t dims[4];
} shape;

typedef struct net {
    shape tensors[MOST_OPS + 1];
    uint32_t count, ops, layers;
    float ranges[4 * MOST_OPS];
    uint8_t *image;
    isg_rt_model model;
    size_t input, output; /* numbers of an item */
    uint64_t seed;
} net;

static builder shared;

static uint32_t below(uint32_t n)
{
    return next_random(&shared) % n;
}

static uint32_t between(uint32_t least, uint32_t most)
{
    return least + below(most - least + 1);
}

static size_t numbers(const shape *s)
{
    return (size_t)s->dims[1] * s->dims[2] * s->dims[3];
}

/* kh kw sh sw dh dw top left bottom right, so that something comes out. */
static void random_window(uint32_t w[10], const shape *x)
{
    static const uint32_t sizes[] = {1, 1, 3, 3, 3, 2, 5};
    const uint32_t size = sizes[below(7)], same = below(4);
    for (int axis = 0; axis < 2; axis++) {
        const uint32_t dilation = size > 1 && below(6) == 0 ? 2 : 1, reach = (size - 1) * dilation + 1;
        w[axis] = size;
        w[2 + axis] = below(3) ? 1 : 2;
        w[4 + axis] = dilation;
        w[6 + axis] = same ? (reach - 1) / 2 : below(reach);
        w[8 + axis] = same ? reach / 2 : below(reach);
        if (x->dims[2 + axis] + w[6 + axis] + w[8 + axis] < reach) w[8 + axis] = reach - x->dims[2 + axis];
    }
}

/* One that leaves the shape as it is, so that there is something to add. */
static void same_window(uint32_t w[10], shape *y, const shape *x)
{
    const uint32_t size = below(2) ? 1 : 3;
    for (int i = 0; i < 10; i++) w[i] = i < 2 ? size : i < 6 ? 1 : size / 2;
    y->dims[1] = x->dims[1];
}

static void add_tensor(net *n, const shape *s)
{
    n->tensors[n->count++] = *s;
    n->ops++;
}

static void add_conv(net *n, uint32_t from)
{
    const shape *x = &n->tensors[from];
    const uint32_t form = below(8), depthwise = form == 0 && x->dims[1] > 1;
    const uint32_t family = between(0, 3), raw = family == ISG_QUANT_RAW;
    const uint32_t bits = raw ? 32 : between(1, 8), scales = raw ? 0 : family == ISG_QUANT_PAPER ? 1 : between(1, 4);
    const uint32_t flags = depthwise || form < 3 ? 0
                           : form < 5            ? ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_LEVEL2
                           : form == 5           ? ISG_WEIGHT_LEVEL1
                           : form == 6           ? ISG_WEIGHT_LEVEL2
                                                 : ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_LEVEL2;
    static const uint32_t channels[] = {3, 8, 16, 20, 32, 33, 48, 64, 100};
    uint32_t window[10], weight, bias = 0, groups = 1;
    float *r = &n->ranges[4 * n->layers++];
    shape y = *x;
    random_window(window, x);
    y.dims[1] = depthwise ? x->dims[1] : channels[below(9)];
    if (below(2)) same_window(window, &y, x);
    for (int axis = 0; axis < 2; axis++) y.dims[2 + axis] = out_size(x->dims[2 + axis], window, axis);
    if (depthwise) groups = x->dims[1];
    weight = add_weight(&shared, flags, window[0] * window[1], x->dims[1] / groups, y.dims[1], between(1, 4),
                        between(1, 44), family, bits, scales);
    if (below(3)) bias = add_vector(&shared, y.dims[1]) + 1;
    add_op(&shared, ISG_KIND_CONV, 4, y.dims);
    put_uv(&shared.ops, below(2) ? ISG_ACTIVATION_RELU : ISG_ACTIVATION_NONE);
    put_uv(&shared.ops, n->count - from);
    put_uv(&shared.ops, weight);
    put_uv(&shared.ops, bias);
    for (int k = 0; k < 10; k++) put_uv(&shared.ops, window[k]);
    put_uv(&shared.ops, groups);
    r[1] = below(8) ? 2.0f : 0; /* none: in floats */
    r[0] = r[1] > 0 && below(3) == 0 ? -1.0f : 0;
    r[2] = flags & ISG_WEIGHT_LEVEL1 ? 2.0f : 0;
    r[3] = flags & ISG_WEIGHT_LEVEL2 ? 3.0f : 0;
    add_tensor(n, &y);
}

/* Adds to the last tensor another of its shape, in either order, if there is one. */
static int add_sum(net *n)
{
    const uint32_t last = n->count - 1, first = below(last + 1), turned = below(2);
    for (uint32_t k = 0; k < last; k++) {
        const uint32_t i = (first + k) % last;
        if (memcmp(&n->tensors[i], &n->tensors[last], sizeof(shape)) != 0) continue;
        add_op(&shared, ISG_KIND_BINARY, 4, n->tensors[i].dims);
        put_uv(&shared.ops, below(2) ? ISG_ACTIVATION_RELU : ISG_ACTIVATION_NONE);
        put_uv(&shared.ops, turned ? 1 : n->count - i);
        put_uv(&shared.ops, turned ? n->count - i : 1);
        put_uv(&shared.ops, ISG_BINARY_ADD);
        add_tensor(n, &n->tensors[i]);
        return 1;
    }
    return 0;
}

static void add_pool(net *n)
{
    static const uint32_t window[10] = {2, 2, 2, 2, 1, 1, 0, 0, 0, 0};
    shape y = n->tensors[n->count - 1];
    for (int axis = 0; axis < 2; axis++) y.dims[2 + axis] /= 2;
    add_op(&shared, ISG_KIND_MAX_POOL, 4, y.dims);
    put_uv(&shared.ops, 1);
    for (int k = 0; k < 10; k++) put_uv(&shared.ops, window[k]);
    add_tensor(n, &y);
}

static net random_net(uint64_t seed)
{
    net n = {.seed = seed, .count = 1};
    isg_error err = {0};
    size_t size;
    uint32_t ops;
    reset_builder(&shared, seed);
    n.tensors[0] = (shape){{0, between(1, 40), between(1, 24), between(1, 24)}};
    ops = between(2, MOST_OPS);
    add_input(&shared, 4, n.tensors[0].dims);
    while (n.ops < ops) {
        const shape *last = &n.tensors[n.count - 1];
        const uint32_t what = below(8);
        if (what == 0 && last->dims[2] > 3 && last->dims[3] > 3)
            add_pool(&n);
        else if (what > 2 || !add_sum(&n))
            add_conv(&n, below(4) ? n.count - 1 : below(n.count));
    }
    add_output(&shared, n.count - 1);
    n.image = finish_image(&shared, &size);
    if (n.layers) n.image = with_ranges(n.image, &size, n.ranges, 4 * n.layers);
    if (isg_rt_open(&n.model, n.image, size, &err) != ISG_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
    n.input = numbers(&n.tensors[0]);
    n.output = numbers(&n.tensors[n.count - 1]);
    return n;
}

typedef struct run_way {
    uint32_t batch, mode, strategy, isa, workers;
    isg_rt_hook hook;
} run_way;

/* Whether every convolution ran in the mode asked for. */
static int run(const net *n, const run_way *w, const float *x, float *y)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    framed f;
    int all = 1;
    options.batch = w->batch;
    options.mode = w->mode;
    options.strategy = w->strategy;
    options.isa_mask = w->isa;
    options.hook = w->hook;
    if (w->workers > 1) options.parallel = (isg_parallel){run_backwards, NULL, w->workers};
    f = open_framed(&n->model, &options);
    assert_int_equal(isg_rt_run(f.ctx, &x, &y, NULL), ISG_OK);
    for (uint32_t i = 0; i < n->ops; i++) {
        isg_rt_op info;
        assert_int_equal(isg_rt_op_info(f.ctx, i, &info), ISG_OK);
        all &= strcmp(info.kind, "conv") != 0 || info.mode == w->mode;
    }
    close_framed(&f);
    return all;
}

static void expect_same(const net *n, const run_way *w, const float *x, const float *want, float *got)
{
    (void)run(n, w, x, got);
    if (memcmp(want, got, w->batch * n->output * sizeof *got) == 0) return;
    fail_msg("seed %llu: batch %u, mode %u, strategy %u, isa %u, %u workers%s: other bits", (unsigned long long)n->seed,
             w->batch, w->mode, w->strategy, w->isa, w->workers, w->hook ? ", a hook" : "");
}

static void expect_near(const net *n, const run_way *w, const float *x, const float *want, float *got)
{
    const size_t count = w->batch * n->output;
    float most = 0, worst = 0;
    (void)run(n, w, x, got);
    for (size_t i = 0; i < count; i++) {
        most = fmaxf(most, fabsf(want[i]));
        worst = fmaxf(worst, fabsf(want[i] - got[i]));
        assert_true(isfinite(got[i]));
    }
    if (worst > 1e-4f * most + 1e-6f)
        fail_msg("seed %llu: strategy %u: off by %g of %g", (unsigned long long)n->seed, w->strategy, (double)worst,
                 (double)most);
}

static void check_net(const net *n)
{
    static const uint32_t workers[] = {3, 5, 8}; /* run_backwards() names three */
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2};
    float *x = malloc(BATCH * n->input * sizeof *x), *want = malloc(BATCH * n->output * sizeof *x);
    float *got = malloc(BATCH * n->output * sizeof *x), *plain = malloc(BATCH * n->output * sizeof *x);
    assert_true(x && want && got && plain);
    for (size_t i = 0; i < BATCH * n->input; i++) x[i] = next_float(&shared);
    (void)run(n, &(run_way){BATCH, ISG_MODE_F32, ISG_STRATEGY_GENERATE, ISG_ISA_SCALAR, 1, NULL}, x, plain);
    for (uint32_t mode = ISG_MODE_F32; mode <= ISG_MODE_BF16; mode++) {
        for (uint32_t strategy = ISG_STRATEGY_AUTO; strategy <= ISG_STRATEGY_FACTORED; strategy++) {
            const int forced = strategy != ISG_STRATEGY_AUTO;
            run_way w = {BATCH, mode, strategy, ISG_ISA_ALL, 1, NULL};
            int whole;
            if (mode == ISG_MODE_INT8 && !n->layers) continue;
            whole = run(n, &w, x, want);
            if (mode == ISG_MODE_F32) expect_near(n, &w, x, plain, got);
            for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
                w.workers = workers[i];
                expect_same(n, &w, x, want, got);
            }
            w.workers = 1;
            for (size_t i = 0; mode == ISG_MODE_INT8 && whole && i < sizeof isas / sizeof *isas; i++) {
                w.isa = isas[i];
                expect_same(n, &w, x, want, got);
            }
            w.isa = ISG_ISA_ALL;
            w.hook = no_hook;
            expect_same(n, &w, x, want, got);
            w.hook = NULL;
            if (forced) {
                w.batch = 1;
                for (uint32_t i = 0; i < BATCH; i++) expect_same(n, &w, x + i * n->input, want + i * n->output, got);
            }
        }
    }
    free(x);
    free(want);
    free(got);
    free(plain);
}

static void test_random_nets(void **state)
{
    const char *given = getenv("INSITU_TEST_SEED");
    const uint64_t first = given ? strtoull(given, NULL, 10) : 1;
    const uint64_t count = given ? 1 : getenv("INSITU_TEST_QUICK") ? QUICK_NETS : NETS;
    (void)state;
    for (uint64_t i = 0; i < count; i++) {
        net n = random_net(first + i);
        check_net(&n);
        free(n.image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_nets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
