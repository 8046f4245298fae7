/* SPDX-License-Identifier: Apache-2.0 */
/* Layers one after the other. In int8 they hand over codes: the bits of the same layers with floats between them. What
 * the last adds is overwritten by the sum. A batch goes through them in parts: the bits of single items where a way is
 * forced, and of any workers where none is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>

#include "rt/exec.h"
#include "rt_layer.h"

#define LAYERS 4
#define NEVER 1.0f

/* A layer reads the one before. lo: the lower end of its input's range; NEVER: it has none and runs in floats. */
typedef struct chain_layer {
    uint32_t oc, groups, window[10], flags, bi, bo, family, bits, act;
    float lo;
} chain_layer;

typedef struct chain_case {
    uint32_t input[3], strategy;
    uint32_t read_twice; /* number of a layer whose output is an output of the network as well, or 0 */
    uint32_t gives;      /* bit i: layer i hands over codes in int8 */
    uint32_t adds;       /* number of a layer whose output is added to that of the last, or 0 */
    chain_layer layers[LAYERS];
} chain_case;

#define POINT 1, 1, 1, 1, 1, 1, 0, 0, 0, 0
#define SAME 3, 3, 1, 1, 1, 1, 1, 1, 1, 1
#define HALVE 3, 3, 2, 2, 1, 1, 1, 0, 0, 1
#define HALVE_POINT 1, 1, 2, 2, 1, 1, 0, 0, 0, 0
#define FACTORS (ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_LEVEL2)

static const chain_case cases[] = {
    /* As in a residual network: the sum lies where what is added did, beside codes. */
    {.input = {8, 12, 9},
     .strategy = ISG_STRATEGY_FACTORED,
     .gives = 5,
     .adds = 2,
     .layers = {{20, 1, {SAME}, FACTORS, 2, 12, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -0.5f},
                {44, 1, {SAME}, FACTORS, 2, 7, ISG_QUANT_MIDRISE, 4, ISG_ACTIVATION_RELU, 0},
                {44, 1, {SAME}, FACTORS, 3, 9, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_RELU, -2},
                {44, 1, {SAME}, FACTORS, 2, 12, ISG_QUANT_PAPER, 3, ISG_ACTIVATION_NONE, 0}}},
    {.input = {8, 11, 9},
     .strategy = ISG_STRATEGY_FACTORED,
     .gives = 7,
     .layers = {{20, 1, {SAME}, FACTORS, 2, 12, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -0.5f},
                {24, 1, {POINT}, ISG_WEIGHT_LEVEL2, 0, 7, ISG_QUANT_MIDRISE, 4, ISG_ACTIVATION_NONE, 0},
                {40, 1, {SAME}, FACTORS, 3, 9, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_RELU, -2},
                {13, 1, {HALVE}, FACTORS, 2, 12, ISG_QUANT_PAPER, 3, ISG_ACTIVATION_NONE, 0}}},
    {.input = {5, 9, 12},
     .strategy = ISG_STRATEGY_FACTORED,
     .gives = 7,
     .layers = {{36, 1, {SAME}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, ISG_ACTIVATION_RELU, -1},
                {36, 36, {SAME}, 0, 0, 0, ISG_QUANT_MIDTREAD, 7, ISG_ACTIVATION_RELU, 0},
                {52, 1, {HALVE_POINT}, 0, 0, 0, ISG_QUANT_MIDRISE, 4, ISG_ACTIVATION_NONE, 0},
                {17, 1, {SAME}, 0, 0, 0, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -3}}},
    /* Channels that are no groups of four, another activation, a layer in floats. */
    {.input = {6, 8, 8},
     .strategy = ISG_STRATEGY_FACTORED,
     .gives = 0,
     .layers = {{22, 1, {SAME}, FACTORS, 2, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -1},
                {24, 1, {SAME}, FACTORS, 2, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_SILU, 0},
                {28, 1, {POINT}, ISG_WEIGHT_LEVEL2, 0, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -1},
                {8, 1, {SAME}, FACTORS, 2, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_NONE, NEVER}}},
    {.input = {64, 14, 13},
     .strategy = ISG_STRATEGY_FACTORED,
     .read_twice = 2,
     .gives = 5,
     .layers = {{72, 1, {SAME}, ISG_WEIGHT_LEVEL1, 2, 0, ISG_QUANT_MIDTREAD, 4, ISG_ACTIVATION_RELU, -1},
                {64, 1, {SAME}, FACTORS, 2, 44, ISG_QUANT_MIDTREAD, 3, ISG_ACTIVATION_RELU, 0},
                {64, 1, {HALVE_POINT}, ISG_WEIGHT_LEVEL2, 0, 24, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_RELU, 0},
                {9, 1, {POINT}, 0, 0, 0, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_NONE, 0}}},
};

/* A large map first, so that six images go at a time; then a matrix that so few pixels read in parts, and more do not.
 */
static const chain_case planned = {
    .input = {3, 62, 62},
    .strategy = ISG_STRATEGY_AUTO,
    .layers = {{40, 1, {SAME}, 0, 0, 0, ISG_QUANT_RAW, 32, ISG_ACTIVATION_RELU, -1},
               {400, 1, {3, 3, 21, 21, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_RAW, 32, ISG_ACTIVATION_RELU, 0},
               {400, 1, {POINT}, 0, 0, 0, ISG_QUANT_RAW, 32, ISG_ACTIVATION_NONE, 0},
               {9, 1, {POINT}, 0, 0, 0, ISG_QUANT_RAW, 32, ISG_ACTIVATION_NONE, -1}}};

static builder shared;

/* outputs: numbers of an item. */
static uint8_t *build_case(const chain_case *c, size_t *size, size_t outputs[2])
{
    uint32_t dims[4] = {0, c->input[0], c->input[1], c->input[2]};
    float ranges[4 * LAYERS];
    builder *b = &shared;
    uint8_t *image;
    reset_builder(b, 7 + c->input[0] * 31u);
    add_input(b, 4, dims);
    outputs[1] = 0;
    for (uint32_t i = 0; i < LAYERS; i++) {
        const chain_layer *l = &c->layers[i];
        const uint32_t weight = add_weight(b, l->flags, l->window[0] * l->window[1], dims[1] / l->groups, l->oc, l->bi,
                                           l->bo, l->family, l->bits, l->family == ISG_QUANT_RAW ? 0 : 1);
        const uint32_t bias = add_vector(b, l->oc) + 1;
        const int none = l->lo == NEVER;
        dims[1] = l->oc;
        for (int axis = 0; axis < 2; axis++) dims[2 + axis] = out_size(dims[2 + axis], l->window, axis);
        add_op(b, ISG_KIND_CONV, 4, dims);
        put_uv(&b->ops, l->act);
        put_uv(&b->ops, 1);
        put_uv(&b->ops, weight);
        put_uv(&b->ops, bias);
        for (int k = 0; k < 10; k++) put_uv(&b->ops, l->window[k]);
        put_uv(&b->ops, l->groups);
        ranges[4 * i] = none ? 0 : l->lo;
        ranges[4 * i + 1] = none ? 0 : 2 + (float)i;
        ranges[4 * i + 2] = l->flags & ISG_WEIGHT_LEVEL1 ? 3 + (float)i : 0;
        ranges[4 * i + 3] = l->flags & ISG_WEIGHT_LEVEL2 ? 4 + (float)i : 0;
        outputs[0] = (size_t)dims[1] * dims[2] * dims[3];
        if (i + 1 == c->read_twice) outputs[1] = outputs[0];
    }
    if (c->adds) {
        add_op(b, ISG_KIND_BINARY, 4, dims);
        put_uv(&b->ops, ISG_ACTIVATION_RELU);
        put_uv(&b->ops, 1);
        put_uv(&b->ops, LAYERS - c->adds + 1); /* so many tensors back */
        put_uv(&b->ops, ISG_BINARY_ADD);
    }
    add_output(b, LAYERS + (c->adds != 0));
    if (c->read_twice) add_output(b, c->read_twice);
    image = finish_image(b, size);
    return with_ranges(image, size, ranges, 4 * LAYERS);
}

typedef struct chain {
    const chain_case *c;
    uint8_t *image;
    isg_rt_model model;
    size_t item, outputs[2]; /* numbers of an item */
    float *x, *want[2], *got[2];
    uint32_t items;
} chain;

/* A hook keeps every tensor as floats. Returns the bytes of the activations. */
static uint64_t run_case(const chain *n, uint32_t batch, const float *x, float *const y[2], uint32_t mode, uint32_t isa,
                         uint32_t workers, isg_rt_hook hook)
{
    const chain_case *c = n->c;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    framed f;
    options.batch = batch;
    options.isa_mask = isa;
    options.mode = mode;
    options.strategy = c->strategy;
    options.hook = hook;
    if (workers > 1) options.parallel = (isg_parallel){run_backwards, NULL, workers};
    f = open_framed(&n->model, &options);
    assert_int_equal(isg_rt_run(f.ctx, &x, y, NULL), ISG_OK);
    for (uint32_t i = 0; i < LAYERS; i++) {
        isg_rt_op info;
        assert_int_equal(isg_rt_op_info(f.ctx, i, &info), ISG_OK);
        assert_int_equal(info.mode, c->layers[i].lo == NEVER ? ISG_MODE_F32 : mode);
        assert_int_equal(info.input_dims[0], batch);
        assert_int_equal(info.output_dims[0], batch);
        if (mode == ISG_MODE_INT8) {
            const uint32_t gives = hook ? 0 : c->gives >> i & 1u;
            const int kept = !gives && (hook || !c->adds || i + 1 < LAYERS);
            float none;
            assert_int_equal(f.ctx->steps[i].int8.gives, gives);
            assert_int_equal(isg_rt_read(f.ctx, i, -1, &none, 0, NULL, NULL), kept ? ISG_E_ARG : ISG_E_UNSUPPORTED);
            if (gives) assert_int_equal(isg_rt_read(f.ctx, i + 1, 0, &none, 0, NULL, NULL), ISG_E_UNSUPPORTED);
        }
    }
    close_framed(&f);
    return f.memory.activation_bytes;
}

static chain open_chain(const chain_case *c, uint32_t items)
{
    chain n = {.c = c, .item = (size_t)c->input[0] * c->input[1] * c->input[2], .items = items};
    isg_error err = {0};
    size_t size;
    n.image = build_case(c, &size, n.outputs);
    n.x = malloc(items * n.item * sizeof *n.x);
    assert_non_null(n.x);
    for (size_t i = 0; i < items * n.item; i++) n.x[i] = 2 * next_float(&shared);
    for (int k = 0; k < 2; k++) {
        n.want[k] = malloc(items * n.outputs[k] * sizeof *n.x + 1);
        n.got[k] = malloc(items * n.outputs[k] * sizeof *n.x + 1);
        assert_true(n.want[k] && n.got[k]);
    }
    if (isg_rt_open(&n.model, n.image, size, &err) != ISG_OK) fail_msg("%s", err.message);
    return n;
}

static void close_chain(chain *n)
{
    free(n->image);
    free(n->x);
    for (int k = 0; k < 2; k++) {
        free(n->want[k]);
        free(n->got[k]);
    }
}

static void assert_same(const chain *n)
{
    for (int k = 0; k < 2; k++) assert_memory_equal(n->got[k], n->want[k], n->items * n->outputs[k] * sizeof *n->x);
}

static void test_codes(void **state)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2, ISG_ISA_ALL};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chain n = open_chain(&cases[i], 2);
        for (size_t a = 0; a < sizeof isas / sizeof *isas; a++) {
            (void)run_case(&n, n.items, n.x, n.want, ISG_MODE_INT8, isas[a], 1, no_hook);
            for (uint32_t workers = 1; workers <= 3; workers += 2) {
                (void)run_case(&n, n.items, n.x, n.got, ISG_MODE_INT8, isas[a], workers, NULL);
                assert_same(&n);
            }
        }
        close_chain(&n);
    }
}

/* Of the first case, a map of floats and the codes of another are the most that is alive at once, and the input and the
 * first layer's codes lie in front of them. */
static void test_added_in_place(void **state)
{
    chain n = open_chain(&cases[0], 2);
    const uint64_t map = n.items * n.outputs[0] * sizeof(float);
    (void)state;
    assert_true(run_case(&n, n.items, n.x, n.got, ISG_MODE_INT8, ISG_ISA_ALL, 1, NULL) < map + map / 2);
    close_chain(&n);
}

/* The last case's first layer reads and writes 24,752 numbers an item: 42 items at a time. */
#define ITEMS_A_PART 42u

static void test_parts(void **state)
{
    chain n = open_chain(&cases[sizeof cases / sizeof *cases - 1], 2 * ITEMS_A_PART);
    (void)state;
    for (uint32_t mode = ISG_MODE_F32; mode <= ISG_MODE_INT8; mode++) {
        for (size_t i = 0; i < n.items; i++) {
            float *y[2] = {n.want[0] + i * n.outputs[0], n.want[1] + i * n.outputs[1]};
            (void)run_case(&n, 1, n.x + i * n.item, y, mode, ISG_ISA_ALL, 1, NULL);
        }
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            const uint64_t some = run_case(&n, ITEMS_A_PART, n.x, n.got, mode, ISG_ISA_ALL, workers, NULL);
            assert_int_equal(run_case(&n, n.items, n.x, n.got, mode, ISG_ISA_ALL, workers, NULL), some);
            assert_same(&n);
        }
    }
    close_chain(&n);
}

/* How many images go at a time follows the workers; how a layer is run, and so its bits, does not. */
#define PLANNED_A_PART 6u

static void test_workers(void **state)
{
    chain n = open_chain(&planned, 2 * PLANNED_A_PART);
    const uint64_t some = run_case(&n, n.items, n.x, n.want, ISG_MODE_F32, ISG_ISA_ALL, 1, NULL);
    (void)state;
    for (uint32_t workers = 3; workers <= PLANNED_A_PART + 2; workers++) { /* run_backwards() names three */
        const uint64_t all = run_case(&n, n.items, n.x, n.got, ISG_MODE_F32, ISG_ISA_ALL, workers, NULL);
        assert_int_equal(all > some, workers > PLANNED_A_PART);
        assert_same(&n);
    }
    (void)run_case(&n, n.items, n.x, n.got, ISG_MODE_F32, ISG_ISA_ALL, 1, no_hook);
    assert_same(&n);
    close_chain(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes), cmocka_unit_test(test_added_in_place),
                                       cmocka_unit_test(test_parts), cmocka_unit_test(test_workers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
