/* SPDX-License-Identifier: Apache-2.0 */
/* Levels, packing against the runtime's decoder bit for bit, weights from both sides, scale search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <insitu/factors.h>

#include "host/alloc.h"
#include "kernels/kernels.h"
#include "rt/gen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t state = 20211001;

static float uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 11) / 4503599627370496.0 - 1.0);
}

static void set_quant(isg_factor *f, uint32_t family, uint32_t bits, int per_column, uint32_t scale_bits)
{
    f->quant = (isg_quant_spec){(uint8_t)bits, (uint8_t)family, (uint8_t)per_column, (uint8_t)scale_bits};
    if (f->rows) assert_int_equal(isg_factor_fit_scale(f, NULL), ISG_OK);
}

static void fill(isg_factor *f)
{
    for (size_t i = 0; i < (size_t)f->rows * f->cols; i++) f->master[i] = uniform() * 0.7f;
}

static void test_levels(void **unused)
{
    isg_levels l = isg_factor_levels(3, 64, 9, 2, 44, 0, 0);
    (void)unused;
    assert_true(l.level1 && !l.level2 && l.bi == 2 && l.bo == 64);
    l = isg_factor_levels(64, 128, 1, 2, 44, 0, 0);
    assert_true(!l.level1 && l.level2 && l.bi == 0 && l.bo == 44);
    l = isg_factor_levels(64, 64, 9, 9, 64, 0, 0);
    assert_true(!l.level1 && !l.level2 && l.bi == 0 && l.bo == 0);
    l = isg_factor_levels(4, 64, 9, 0, 36, 0, 0);
    assert_true(!l.level1 && !l.level2);
    l = isg_factor_levels(4, 64, 9, 0, 35, 0, 0);
    assert_true(!l.level1 && l.level2 && l.bo == 35);
    l = isg_factor_levels(64, 64, 1, 2, 64, 0, ISG_LEVELS_RULE_09);
    assert_true(l.level2 && l.bo == 57);
    l = isg_factor_levels(64, 64, 1, 2, 64, 0, 0);
    assert_false(l.level2);
    l = isg_factor_levels(64, 64, 1, 2, 0, 0, ISG_LEVELS_RULE_09);
    assert_false(l.level2);
    l = isg_factor_levels(96, 1, 9, 5, 40, 1, ISG_LEVELS_RULE_09);
    assert_true(l.level1 && !l.level2 && l.bi == 5 && l.bo == 1);
}

/* Every family, width and scale form: fake quantisation, packed decoder and unpacked copy agree in every bit. */
static void check_exact(uint32_t family, uint32_t bits, int per_column, uint32_t scale_bits)
{
    static const uint8_t level[4][2] = {{1, 1}, {1, 0}, {0, 1}, {0, 0}};
    isgk_table k;
    isgk_table_init(&k, 0);
    for (int c = 0; c < 4; c++) {
        const isg_levels l = {3, level[c][1] ? 5u : 7u, level[c][0], level[c][1]};
        isg_factors *f = NULL, *again = NULL;
        isg_weight w;
        void *buffer;
        size_t bytes;
        float y[63 * 11], z[63 * 11], w1[63 * 7], w2[63 * 7], w3[63 * 7], *scratch;
        assert_int_equal(isg_factors_create(&f, 9, 7, 7, l, 0, NULL), ISG_OK);
        fill(&f->basis);
        fill(&f->u);
        fill(&f->v);
        set_quant(&f->basis, family, bits, per_column, scale_bits);
        set_quant(&f->u, family, bits, per_column, scale_bits);
        set_quant(&f->v, family, bits, per_column, scale_bits);
        assert_int_equal(isg_factors_pack(f, &w, &buffer, &bytes, NULL), ISG_OK);
        assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_OK);
        isgi_gen_dequant(&k, z, &w.basis, 0, w.basis.rows);
        assert_memory_equal(y, z, (size_t)f->basis.rows * f->basis.cols * sizeof *y);
        assert_int_equal(isg_factors_weight(w1, f, NULL), ISG_OK);
        scratch = isgi_malloc((isgi_gen_scratch_floats(&w, 63) + 1) * sizeof *scratch);
        isgi_gen_rows(&k, w2, &w, 0, 63, scratch);
        isg_free(scratch);
        assert_memory_equal(w1, w2, sizeof w1);
        assert_int_equal(isg_factors_unpack(&again, &w, NULL), ISG_OK);
        assert_int_equal(isg_factors_weight(w3, again, NULL), ISG_OK);
        assert_memory_equal(w1, w3, sizeof w1);
        assert_int_equal(isg_factors_code_bits(f), isg_factors_params(f) * bits);
        isg_factors_destroy(again);
        isg_factors_destroy(f);
        isg_free(buffer);
    }
}

static void test_exact(void **unused)
{
    (void)unused;
    printf("seed %llu\n", (unsigned long long)state);
    for (uint32_t bits = 1; bits <= 8; bits++) {
        for (uint32_t scale_bits = 16; scale_bits <= 32; scale_bits += 16) {
            check_exact(ISG_QUANT_PAPER, bits, 0, scale_bits);
            for (int per_column = 0; per_column < 2; per_column++) {
                check_exact(ISG_QUANT_MIDTREAD, bits, per_column, scale_bits);
                check_exact(ISG_QUANT_MIDRISE, bits, per_column, scale_bits);
            }
        }
    }
    check_exact(ISG_QUANT_RAW, 16, 0, 32);
    check_exact(ISG_QUANT_RAW, 32, 0, 32);
}

static void test_orders(void **unused)
{
    float a[24], b[24], c[24];
    (void)unused;
    for (int i = 0; i < 24; i++) a[i] = (float)i;
    isg_weight_oihw_to_hwio(b, a, 2, 3, 4);
    assert_true(b[(1 * 3 + 2) * 2 + 1] == a[(1 * 3 + 2) * 4 + 1]);
    isg_weight_hwio_to_oihw(c, b, 2, 3, 4);
    assert_memory_equal(a, c, sizeof a);
}

static void test_zero_and_nan(void **unused)
{
    const isg_levels off = {0, 0, 0, 0};
    isg_factors *f;
    float y[6];
    (void)unused;
    assert_int_equal(isg_factors_create(&f, 1, 2, 3, off, 0, NULL), ISG_OK);
    for (uint32_t family = ISG_QUANT_PAPER; family <= ISG_QUANT_MIDRISE; family++) {
        for (uint32_t bits = 1; bits <= 8; bits++) {
            set_quant(&f->basis, family, bits, 0, 32);
            assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_OK);
            for (int i = 0; i < 6; i++) assert_true(y[i] == 0.0f);
        }
    }
    f->basis.master[3] = NAN;
    assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_E_NUMERIC);
    f->basis.master[3] = INFINITY;
    assert_int_equal(isg_factor_fit_scale(&f->basis, NULL), ISG_E_NUMERIC);
    f->basis.quant.bits = 9;
    assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_E_ARG);
    isg_factors_destroy(f);
}

/* The scale found is not worse than any of a fine grid by more than 1 %. */
static void test_fit_scale(void **unused)
{
    const isg_levels off = {0, 0, 0, 0};
    isg_factors *f;
    float y[600];
    (void)unused;
    assert_int_equal(isg_factors_create(&f, 1, 20, 30, off, 0, NULL), ISG_OK);
    for (int i = 0; i < 600; i++) f->basis.master[i] = (uniform() + uniform() + uniform()) * 0.1f;
    for (uint32_t bits = 2; bits <= 6; bits++) {
        double found = 0, best = INFINITY;
        set_quant(&f->basis, ISG_QUANT_MIDTREAD, bits, 0, 32);
        for (int k = 0; k <= 400; k++) {
            const float keep = f->basis.scale[0];
            double e = 0;
            if (k) f->basis.scale[0] = 0.3f / (float)(1u << (bits - 1)) * (float)k / 300.0f;
            assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_OK);
            for (int i = 0; i < 600; i++) e += pow((double)y[i] - (double)f->basis.master[i], 2);
            if (k == 0) {
                found = e;
            } else {
                best = fmin(best, e);
            }
            f->basis.scale[0] = keep;
        }
        assert_true(found <= best * 1.02);
    }
    isg_factors_destroy(f);
}

/* Fewer bits: the codes fit them, the scales are those of a fresh fit, what has no factor is left alone. */
static void test_requantise(void **unused)
{
    const uint8_t few[3] = {3, 6, 3}, none[3] = {32, 32, 32}, bad[3] = {8, 9, 8};
    isg_factors *f;
    int32_t codes[40 * 30];
    (void)unused;
    assert_int_equal(isg_factors_create(&f, 9, 20, 30, isg_factor_levels(20, 30, 9, 2, 12, 0, 0), 0, NULL), ISG_OK);
    fill(&f->basis);
    fill(&f->u);
    fill(&f->v);
    set_quant(&f->basis, ISG_QUANT_MIDRISE, 8, 0, 16);
    set_quant(&f->v, ISG_QUANT_MIDTREAD, 8, 1, 32); /* U was never quantised */
    assert_int_equal(isg_factors_requantise(f, few, NULL), ISG_OK);
    assert_true(f->basis.quant.bits == 3 && f->basis.quant.family == ISG_QUANT_MIDRISE);
    assert_true(f->u.quant.bits == 6 && f->u.quant.family == ISG_QUANT_MIDTREAD);
    assert_true(f->v.quant.bits == 3 && f->v.quant.per_column && f->v.quant.scale_bits == 32);
    assert_int_equal(isg_factor_codes(codes, &f->v, NULL), ISG_OK);
    for (uint32_t i = 0; i < f->v.rows * f->v.cols; i++) assert_in_range(codes[i], 0, 7);
    {
        const float fitted = f->basis.scale[0];
        assert_int_equal(isg_factor_fit_scale(&f->basis, NULL), ISG_OK);
        assert_true(f->basis.scale[0] == fitted);
    }
    assert_int_equal(isg_factors_requantise(f, bad, NULL), ISG_E_ARG);
    assert_int_equal(isg_factors_requantise(f, none, NULL), ISG_OK);
    assert_true(f->v.quant.family == ISG_QUANT_RAW && f->v.quant.bits == 32);
    isg_factors_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels),    cmocka_unit_test(test_exact),
                                       cmocka_unit_test(test_orders),    cmocka_unit_test(test_zero_and_nan),
                                       cmocka_unit_test(test_fit_scale), cmocka_unit_test(test_requantise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
