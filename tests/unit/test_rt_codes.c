/* SPDX-License-Identifier: Apache-2.0 */
/* Layers in int8 one after the other, which hand over codes: the bits of the same layers with floats between them, on
 * every instruction set and with any workers; and a batch that goes through them in parts: the bits of single items. */
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

#define LAYERS 4
#define NEVER (-1.0f)

/* A layer reads the one before; its input has a lower end of the range, NEVER: it has no range and runs in floats. */
typedef struct codes_layer {
    uint32_t oc, groups, window[10], flags, bi, bo, family, bits, act;
    float lo;
} codes_layer;

typedef struct codes_case {
    uint32_t ic, ih, iw, read_twice; /* number of a layer whose output is an output of the network as well, or 0 */
    codes_layer layers[LAYERS];
} codes_case;

#define POINT                                                                                                          \
    {                                                                                                                  \
        1, 1, 1, 1, 1, 1, 0, 0, 0, 0                                                                                   \
    }
#define SAME                                                                                                           \
    {                                                                                                                  \
        3, 3, 1, 1, 1, 1, 1, 1, 1, 1                                                                                   \
    }
#define HALVE                                                                                                          \
    {                                                                                                                  \
        3, 3, 2, 2, 1, 1, 1, 0, 0, 1                                                                                   \
    }
#define HALVE_POINT                                                                                                    \
    {                                                                                                                  \
        1, 1, 2, 2, 1, 1, 0, 0, 0, 0                                                                                   \
    }
#define FACTORS (ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_LEVEL2)

static const codes_case cases[] = {
    {8,
     11,
     9,
     0,
     {{20, 1, SAME, FACTORS, 2, 12, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -0.5f},
      {24, 1, POINT, ISG_WEIGHT_LEVEL2, 0, 7, ISG_QUANT_MIDRISE, 4, ISG_ACTIVATION_NONE, 0},
      {40, 1, SAME, FACTORS, 3, 9, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_RELU, -2},
      {13, 1, HALVE, FACTORS, 2, 12, ISG_QUANT_PAPER, 3, ISG_ACTIVATION_NONE, 0}}},
    {5,
     9,
     12,
     0,
     {{36, 1, SAME, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, ISG_ACTIVATION_RELU, -1},
      {36, 36, SAME, 0, 0, 0, ISG_QUANT_MIDTREAD, 7, ISG_ACTIVATION_RELU, 0},
      {52, 1, HALVE_POINT, 0, 0, 0, ISG_QUANT_MIDRISE, 4, ISG_ACTIVATION_NONE, 0},
      {17, 1, SAME, 0, 0, 0, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -3}}},
    /* Channels that are no groups of four, another activation, a second reader, a layer in floats: nothing is handed.
     */
    {6,
     8,
     8,
     0,
     {{22, 1, SAME, FACTORS, 2, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -1},
      {24, 1, SAME, FACTORS, 2, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_SILU, 0},
      {28, 1, POINT, ISG_WEIGHT_LEVEL2, 0, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_RELU, -1},
      {8, 1, SAME, FACTORS, 2, 8, ISG_QUANT_MIDTREAD, 5, ISG_ACTIVATION_NONE, NEVER}}},
    {64,
     14,
     13,
     2,
     {{72, 1, SAME, ISG_WEIGHT_LEVEL1, 2, 0, ISG_QUANT_MIDTREAD, 4, ISG_ACTIVATION_RELU, -1},
      {64, 1, SAME, FACTORS, 2, 44, ISG_QUANT_MIDTREAD, 3, ISG_ACTIVATION_RELU, 0},
      {64, 1, HALVE_POINT, ISG_WEIGHT_LEVEL2, 0, 24, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_RELU, 0},
      {9, 1, POINT, 0, 0, 0, ISG_QUANT_MIDTREAD, 6, ISG_ACTIVATION_NONE, 0}}},
};

static builder shared;

/* outputs: numbers of an item. */
static uint8_t *build_case(const codes_case *c, size_t *size, size_t outputs[2])
{
    uint32_t dims[4] = {0, c->ic, c->ih, c->iw};
    float ranges[4 * LAYERS];
    builder *b = &shared;
    uint8_t *image;
    reset_builder(b, 7 + c->ic * 31u);
    add_input(b, 4, dims);
    outputs[1] = 0;
    for (uint32_t i = 0; i < LAYERS; i++) {
        const codes_layer *l = &c->layers[i];
        const uint32_t weight = add_weight(b, l->flags, l->window[0] * l->window[1], dims[1] / l->groups, l->oc, l->bi,
                                           l->bo, l->family, l->bits, 1);
        const uint32_t bias = add_vector(b, l->oc) + 1;
        const int none = l->lo == NEVER && i > 0;
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
    add_output(b, LAYERS);
    if (c->read_twice) add_output(b, c->read_twice);
    image = finish_image(b, size);
    return with_ranges(image, size, ranges, 4 * LAYERS);
}

/* A hook keeps every tensor as floats. Returns the bytes of the activations. */
static uint64_t run_case(const isg_rt_model *model, const codes_case *c, uint32_t batch, const float *x, float *y[2],
                         uint32_t mode, uint32_t isa, uint32_t workers, isg_rt_hook hook)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *ctx = NULL;
    isg_error err = {0};
    uint8_t *workspace;
    options.batch = batch;
    options.isa_mask = isa;
    options.mode = mode;
    options.strategy = ISG_STRATEGY_FACTORED; /* whether it pays or not */
    options.hook = hook;
    if (workers > 1) options.parallel = (isg_parallel){run_backwards, NULL, workers};
    if (isg_rt_plan(model, &options, &memory, &err) != ISG_OK) fail_msg("%s", err.message);
    workspace = aligned_alloc(64, (size_t)memory.workspace_bytes + 64);
    assert_non_null(workspace);
    memset(workspace, 0xff, (size_t)memory.workspace_bytes + 64);
    assert_int_equal(isg_rt_context_init(&ctx, workspace, (size_t)memory.workspace_bytes, model, &options, &err), 0);
    assert_int_equal(isg_rt_run(ctx, &x, y, &err), ISG_OK);
    for (int i = 0; i < 64; i++) assert_int_equal(workspace[memory.workspace_bytes + i], 0xff);
    for (uint32_t i = 0; i < LAYERS; i++) {
        isg_rt_op info;
        assert_int_equal(isg_rt_op_info(ctx, i, &info), ISG_OK);
        assert_int_equal(info.mode, i > 0 && c->layers[i].lo == NEVER ? ISG_MODE_F32 : mode);
        assert_int_equal(info.input_dims[0], batch);
        assert_int_equal(info.output_dims[0], batch);
    }
    free(workspace);
    return memory.activation_bytes;
}

static void check_case(const codes_case *c)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2, ISG_ISA_ALL};
    const size_t inputs = 2 * (size_t)c->ic * c->ih * c->iw;
    size_t size, outputs[2];
    uint8_t *image = build_case(c, &size, outputs);
    float *x = malloc(inputs * sizeof *x), *want[2], *got[2];
    isg_rt_model model;
    isg_error err = {0};
    assert_non_null(x);
    for (int k = 0; k < 2; k++) {
        want[k] = malloc(2 * outputs[k] * sizeof *x + 1);
        got[k] = malloc(2 * outputs[k] * sizeof *x + 1);
        assert_true(want[k] && got[k]);
    }
    for (size_t i = 0; i < inputs; i++) x[i] = 2 * next_float(&shared);
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
    for (size_t a = 0; a < sizeof isas / sizeof *isas; a++) {
        (void)run_case(&model, c, 2, x, want, ISG_MODE_INT8, isas[a], 1, no_hook);
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            (void)run_case(&model, c, 2, x, got, ISG_MODE_INT8, isas[a], workers, NULL);
            for (int k = 0; k < 2; k++) assert_memory_equal(got[k], want[k], 2 * outputs[k] * sizeof *x);
        }
    }
    free(image);
    free(x);
    for (int k = 0; k < 2; k++) {
        free(want[k]);
        free(got[k]);
    }
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
}

/* The last case's first layer reads and writes 24,752 numbers an item: five items at a time. */
#define ITEMS 15u
#define ITEMS_A_PART 5u

static void test_parts(void **state)
{
    const codes_case *c = &cases[sizeof cases / sizeof *cases - 1];
    const size_t item = (size_t)c->ic * c->ih * c->iw;
    size_t size, outputs[2];
    uint8_t *image = build_case(c, &size, outputs);
    float *x = malloc(ITEMS * item * sizeof *x), *want[2], *got[2];
    isg_rt_model model;
    isg_error err = {0};
    (void)state;
    assert_non_null(x);
    for (int k = 0; k < 2; k++) {
        want[k] = malloc(ITEMS * outputs[k] * sizeof *x);
        got[k] = malloc(ITEMS * outputs[k] * sizeof *x);
        assert_true(want[k] && got[k]);
    }
    for (size_t i = 0; i < ITEMS * item; i++) x[i] = 2 * next_float(&shared);
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
    for (uint32_t mode = ISG_MODE_F32; mode <= ISG_MODE_INT8; mode++) {
        uint64_t some = 0;
        for (size_t i = 0; i < ITEMS; i++) {
            float *y[2] = {want[0] + i * outputs[0], want[1] + i * outputs[1]};
            (void)run_case(&model, c, 1, x + i * item, y, mode, ISG_ISA_ALL, 1, NULL);
        }
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            some = run_case(&model, c, ITEMS_A_PART, x, got, mode, ISG_ISA_ALL, workers, NULL);
            assert_int_equal(run_case(&model, c, ITEMS, x, got, mode, ISG_ISA_ALL, workers, NULL), some);
            for (int k = 0; k < 2; k++) assert_memory_equal(got[k], want[k], ITEMS * outputs[k] * sizeof *x);
        }
    }
    free(image);
    free(x);
    for (int k = 0; k < 2; k++) {
        free(want[k]);
        free(got[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
