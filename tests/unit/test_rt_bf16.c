/* SPDX-License-Identifier: Apache-2.0 */
/* The bf16 mode: near the float result, the same bits with any workers, and the same on every instruction set where
 * nothing but products of matrices is computed. */
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

typedef struct bf16_case {
    rt_layer layer;
    uint32_t strategy;
    int runs_bf16, exact; /* exact: no sums over taps of a basis */
} bf16_case;

#define SAME 3, 3, 1, 1, 1, 1, 1, 1, 1, 1
static const bf16_case cases[] = {
    {{40, 11, 9, 50, 1, {SAME}, 3, 2, 12, ISG_QUANT_MIDTREAD, 5, 3}, ISG_STRATEGY_FACTORED, 1, 0},
    {{33, 10, 8, 24, 1, {3, 3, 2, 1, 1, 2, 1, 2, 0, 1}, 3, 3, 7, ISG_QUANT_MIDRISE, 4, 1}, ISG_STRATEGY_FACTORED, 1, 0},
    {{300, 6, 6, 150, 1, {SAME}, 3, 1, 37, ISG_QUANT_PAPER, 6, 1}, ISG_STRATEGY_FACTORED, 1, 0},
    {{301, 3, 3, 130, 1, {SAME}, 3, 2, 44, ISG_QUANT_MIDTREAD, 5, 3}, ISG_STRATEGY_FACTORED, 1, 0}, /* by columns */
    {{26, 9, 9, 11, 1, {SAME}, 1, 2, 0, ISG_QUANT_MIDTREAD, 8, 2}, ISG_STRATEGY_FACTORED, 1, 0},
    {{17, 6, 7, 20, 1, {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, 2, 0, 6, ISG_QUANT_MIDTREAD, 6, 3}, ISG_STRATEGY_HALF, 1, 1},
    {{71, 8, 8, 90, 1, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, 2, 0, 41, ISG_QUANT_MIDRISE, 3, 1}, ISG_STRATEGY_HALF, 1, 1},
    {{65, 9, 9, 70, 1, {SAME}, 0, 0, 0, ISG_QUANT_MIDTREAD, 8, 3}, ISG_STRATEGY_AUTO, 1, 1},
    {{33, 20, 20, 64, 1, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, 0, 0, 0, ISG_QUANT_RAW, 32, 0}, ISG_STRATEGY_AUTO, 1, 1},
    {{128, 8, 8, 96, 1, {SAME}, 0, 0, 0, ISG_QUANT_RAW, 32, 0}, ISG_STRATEGY_AUTO, 1, 1},
    {{300, 8, 8, 40, 1, {SAME}, 0, 0, 0, ISG_QUANT_RAW, 32, 0},
     ISG_STRATEGY_AUTO,
     0,
     0}, /* more terms than there is room */
    /* HALF of a 3x3 layer is not in bfloat16, so Winograd's algorithm may run it */
    {{64, 16, 16, 64, 1, {SAME}, 2, 0, 40, ISG_QUANT_MIDTREAD, 8, 3}, ISG_STRATEGY_AUTO, 0, 0},
};

/* The bits of all results in plain C: the same on every machine. */
#define BF16_DIGEST 0xecdd2845u
static uint32_t digest;

static builder shared;

static void check_case(const bf16_case *c)
{
    static const uint32_t isas[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2, ISG_ISA_AVX2 | ISG_ISA_AVX512, ISG_ISA_ALL};
    const size_t inputs = 2 * (size_t)c->layer.ic * c->layer.ih * c->layer.iw;
    const uint32_t mode = c->runs_bf16 ? ISG_MODE_BF16 : ISG_MODE_F32;
    float *x = malloc(inputs * sizeof *x), *plain, *want, *got, largest = 0.0f;
    size_t size, outputs;
    uint8_t *image = build_layer(&shared, &c->layer, &size, &outputs);
    isg_rt_model model;
    isg_error err = {0};
    assert_non_null(x);
    outputs *= 2;
    plain = malloc(3 * outputs * sizeof *plain);
    assert_non_null(plain);
    want = plain + outputs;
    got = want + outputs;
    for (size_t i = 0; i < inputs; i++) x[i] = next_float(&shared);
    assert_int_equal(isg_rt_open(&model, image, size, &err), ISG_OK);
    run_layer(&model, x, plain, ISG_MODE_F32, c->strategy, ISG_ISA_SCALAR, 1);
    for (size_t i = 0; i < outputs; i++) largest = fmaxf(largest, fabsf(plain[i]));
    assert_int_equal(run_layer(&model, x, want, ISG_MODE_BF16, c->strategy, ISG_ISA_SCALAR, 1), mode);
    digest = digest_floats(digest, want, outputs);
    for (size_t k = 0; k < sizeof isas / sizeof *isas; k++) {
        assert_int_equal(run_layer(&model, x, got, ISG_MODE_BF16, c->strategy, isas[k], 1), mode);
        /* two roundings of 2^-9 a product, of up to three products one behind the other, and of random signs */
        for (size_t i = 0; i < outputs; i++) assert_true(fabsf(got[i] - plain[i]) <= 0.01f * largest);
        if (c->exact) assert_memory_equal(got, want, outputs * sizeof *got);
        memcpy(want, got, outputs * sizeof *want);
        run_layer(&model, x, got, ISG_MODE_BF16, c->strategy, isas[k], 3);
        assert_memory_equal(got, want, outputs * sizeof *got);
    }
    if (c->runs_bf16) assert_memory_not_equal(got, plain, outputs * sizeof *got);
    free(image);
    free(x);
    free(plain);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    if (digest != BF16_DIGEST) fail_msg("digest of bf16 results in plain C is 0x%08x", digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests_name("rt bf16", tests, NULL, NULL);
}
