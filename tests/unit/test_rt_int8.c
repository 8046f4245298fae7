/* SPDX-License-Identifier: Apache-2.0 */
/* The int8 mode: the same bits on every instruction set and with any workers, near the float result, and a loader that
 * refuses bad ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <insitu/rt.h>
#include <math.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "rt_layer.h"

typedef struct int8_case {
    rt_layer layer;
    int runs_int8, pays; /* where int8 is possible; where it is chosen */
} int8_case;

static const int8_case cases[] = {
    {{8, 11, 9, 20, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 12, ISG_QUANT_MIDTREAD, 5, 3}, 1, 0},
    {{13, 10, 8, 24, 1, {3, 3, 2, 1, 1, 2, 1, 2, 0, 1}, 3, 3, 7, ISG_QUANT_MIDRISE, 4, 1}, 1, 0},
    {{6, 8, 8, 150, 1, {3, 3, 1, 1, 1, 1, 0, 0, 0, 0}, 3, 2, 5, ISG_QUANT_PAPER, 6, 1}, 1, 0},
    {{6, 9, 9, 11, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 1, 2, 0, ISG_QUANT_MIDTREAD, 8, 2}, 1, 0},
    {{17, 6, 7, 20, 1, {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, 2, 0, 6, ISG_QUANT_MIDTREAD, 6, 3}, 1, 1},
    {{5, 9, 9, 13, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, 3}, 1, 0},
    {{70, 9, 9, 70, 70, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 7, 3}, 1, 1},
    {{5, 9, 9, 13, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDRISE, 8, 1}, 1, 0},
    {{13, 10, 8, 24, 1, {3, 3, 2, 1, 1, 2, 1, 2, 0, 1}, 3, 3, 7, ISG_QUANT_PAPER, 8, 1}, 1, 0},
    {{70, 9, 9, 70, 70, {3, 3, 1, 1, 2, 2, 2, 1, 1, 2}, 0, 0, 0, ISG_QUANT_PAPER, 8, 1}, 1, 1},
    {{17, 6, 7, 20, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 2, 0, 6, ISG_QUANT_MIDRISE, 7, 1}, 1, 1},
    {{3, 8, 8, 20, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 1, 2, 0, ISG_QUANT_MIDTREAD, 6, 1}, 1, 0},
    {{5, 9, 9, 13, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0}, 0, 0},
    {{20, 9, 9, 30, 1, {3, 3, 2, 1, 1, 1, 1, 1, 1, 1}, 3, 4, 19, ISG_QUANT_MIDRISE, 3, 2}, 1, 0},
    {{20, 40, 9, 30, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 44, ISG_QUANT_PAPER, 8, 1}, 1, 0},
    {{20, 9, 9, 30, 1, {3, 3, 1, 2, 1, 1, 1, 1, 1, 1}, 1, 2, 0, ISG_QUANT_MIDTREAD, 7, 2}, 1, 0},
    {{20, 9, 9, 30, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, 3}, 1, 0},
    {{66, 9, 9, 81, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, 3}, 1, 0},
    {{66, 9, 8, 200, 1, {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, 0, 0, 0, ISG_QUANT_MIDRISE, 4, 3}, 1, 1},
    {{64, 16, 15, 65, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 3, 2, 44, ISG_QUANT_MIDTREAD, 4, 3}, 1, 1},
    /* Winograd's algorithm runs 64 channels in floats as fast; 72 it cannot, nor stride 2. */
    {{64, 16, 9, 64, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 6, 3}, 1, 0},
    {{64, 8, 9, 72, 1, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, 3}, 1, 1},
    {{64, 16, 9, 64, 1, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_MIDTREAD, 6, 3}, 1, 1},
    {{3, 130, 90, 64, 1, {7, 7, 2, 2, 1, 1, 3, 3, 3, 3}, 3, 2, 44, ISG_QUANT_MIDTREAD, 5, 3}, 1, 1}, /* W is made */
    {{5, 14, 13, 24, 1, {3, 5, 1, 2, 2, 3, 4, 0, 9, 7}, 3, 2, 9, ISG_QUANT_PAPER, 6, 1}, 1, 0},
};

static const uint32_t isas[] = {ISG_ISA_AVX2, ISG_ISA_AVX2 | ISG_ISA_AVX512, ISG_ISA_ALL};
static builder shared;

/* The bits of all int8 results: the same on every machine and instruction set (docs/numerics.md). */
#define INT8_DIGEST 0x10bb2289u
static uint32_t int8_digest;

/* Factors of level 1, forced to GENERATE: W is made and rounded, near the result in floats, by the same bits
 * everywhere. */
static void check_made(const int8_case *c, const isg_rt_model *model, const float *x, const float *floats,
                       size_t outputs, float largest)
{
    float *want = malloc(outputs * sizeof *want), *got = malloc(outputs * sizeof *got);
    assert_true(want && got);
    if (c->runs_int8 && c->layer.flags & ISG_WEIGHT_LEVEL1) {
        assert_int_equal(run_layer(model, x, want, ISG_MODE_INT8, ISG_STRATEGY_GENERATE, ISG_ISA_SCALAR, 1),
                         ISG_MODE_INT8);
        for (size_t i = 0; i < outputs; i++) assert_true(fabsf(want[i] - floats[i]) <= 0.04f * largest);
        int8_digest = digest_floats(int8_digest, want, outputs);
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
            for (uint32_t workers = 1; workers <= 3; workers += 2) {
                run_layer(model, x, got, ISG_MODE_INT8, ISG_STRATEGY_GENERATE, isas[i], workers);
                assert_memory_equal(got, want, outputs * sizeof *got);
            }
        }
    }
    free(want);
    free(got);
}

static void check_case(const int8_case *c)
{
    const rt_layer *l = &c->layer;
    const size_t inputs = 2 * (size_t)l->ic * l->ih * l->iw;
    /* Wide enough for codes and scales of the builder, and no wider than a calibration would give. */
    float ranges[4] = {-1.0f, 1.0f, 0.0f, 0.0f}, *x = malloc(inputs * sizeof *x), *want, *got, largest = 0.0f;
    size_t size, outputs;
    uint8_t *image = build_layer(&shared, l, &size, &outputs);
    isg_rt_model model;
    isg_error err = {0};
    assert_non_null(x);
    outputs *= 2;
    want = malloc(outputs * sizeof *want);
    got = malloc(outputs * sizeof *got);
    assert_true(want && got);
    for (size_t i = 0; i < inputs; i++) x[i] = next_float(&shared);
    assert_int_equal(isg_rt_open(&model, image, size, &err), ISG_OK);
    run_layer(&model, x, got, ISG_MODE_F32, ISG_STRATEGY_AUTO, ISG_ISA_SCALAR, 1);
    for (size_t i = 0; i < outputs; i++) largest = fmaxf(largest, fabsf(got[i]));
    if (l->flags & ISG_WEIGHT_LEVEL1) ranges[2] = largest;
    if (l->flags & ISG_WEIGHT_LEVEL2) ranges[3] = largest;
    image = with_ranges(image, &size, ranges, 4);
    if (isg_rt_open(&model, image, size, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(run_layer(&model, x, want, ISG_MODE_INT8, ISG_STRATEGY_AUTO, ISG_ISA_SCALAR, 1),
                     c->pays ? ISG_MODE_INT8 : ISG_MODE_F32);
    assert_int_equal(run_layer(&model, x, want, ISG_MODE_INT8, ISG_STRATEGY_FACTORED, ISG_ISA_SCALAR, 1),
                     c->runs_int8 ? ISG_MODE_INT8 : ISG_MODE_F32);
    check_made(c, &model, x, got, outputs, largest);
    int8_digest = digest_floats(int8_digest, want, outputs);
    if (!(l->flags & (ISG_WEIGHT_LEVEL1 | ISG_WEIGHT_LEVEL2))) /* the only error is that of the input */
        for (size_t i = 0; i < outputs; i++) assert_true(fabsf(want[i] - got[i]) <= 0.03f * largest);
    for (size_t i = 0; i < sizeof isas / sizeof *isas && c->runs_int8; i++) {
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            run_layer(&model, x, got, ISG_MODE_INT8, ISG_STRATEGY_FACTORED, isas[i], workers);
            assert_memory_equal(got, want, outputs * sizeof *got);
        }
    }
    free(image);
    free(x);
    free(want);
    free(got);
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    if (int8_digest != INT8_DIGEST) fail_msg("digest of int8 results is 0x%08x", int8_digest);
}

static void open_with(const float *numbers, size_t count, isg_status expected)
{
    size_t size, outputs;
    isg_rt_model model;
    isg_error err = {0};
    uint8_t *image = with_ranges(build_layer(&shared, &cases[0].layer, &size, &outputs), &size, numbers, count);
    assert_int_equal(isg_rt_open(&model, image, size, &err), expected);
    free(image);
}

static void test_bad_ranges(void **state)
{
    static const float bad[][4] = {{0.5f, 1, 1, 1},   {-1, -0.5f, 1, 1},    {-1, 1, -1, 1},  {-1, 1, 1, -1},
                                   {NAN, 1, 1, 1},    {-1, INFINITY, 1, 1}, {-1, 1, NAN, 1}, {-1, 1, 1, INFINITY},
                                   {0, 1e-38f, 1, 1}, {-1, 1, 1e-38f, 1}};
    static const float good[8] = {-1, 1, 2, 3, -1, 1, 2, 3};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) open_with(bad[i], 4, ISG_E_FORMAT);
    open_with(good, 3, ISG_E_FORMAT);
    open_with(good, 8, ISG_E_FORMAT);
    open_with(good, 4, ISG_OK);
}

static void test_refusals(void **state)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_model model;
    isg_error err = {0};
    size_t size, outputs;
    uint8_t *image = build_layer(&shared, &cases[0].layer, &size, &outputs);
    (void)state;
    assert_int_equal(isg_rt_open(&model, image, size, &err), ISG_OK);
    options.mode = ISG_MODE_INT8;
    assert_int_equal(isg_rt_plan(&model, &options, &memory, &err), ISG_E_UNSUPPORTED);
    options.mode = 77;
    assert_int_equal(isg_rt_plan(&model, &options, &memory, &err), ISG_E_ARG);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_bad_ranges),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests_name("rt int8", tests, NULL, NULL);
}
