/* SPDX-License-Identifier: Apache-2.0 */
/* Factorisation: which method beats which in which norm, exact recovery, quantised refit, rounding with feedback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <insitu/factors.h>

#include "factor/linalg.h"
#include "host/alloc.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 20210825;

static float uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 11) / 4503599627370496.0 - 1.0);
}

/* Mean of x x^T over correlated, shifted, rectified inputs: what a layer behind a ReLU sees. */
static float *make_moment(size_t n)
{
    float *m = calloc(n * n, sizeof *m), *x = malloc(n * sizeof *x), *mix = malloc(n * 8 * sizeof *mix);
    const size_t samples = 3 * n;
    for (size_t i = 0; i < n * 8; i++) mix[i] = uniform();
    for (size_t s = 0; s < samples; s++) {
        float z[8];
        for (int k = 0; k < 8; k++) z[k] = uniform() + uniform();
        for (size_t i = 0; i < n; i++) {
            float v = 0.3f * uniform();
            for (int k = 0; k < 8; k++) v += mix[i * 8 + (size_t)k] * z[k];
            x[i] = v > 0 ? v : 0;
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) m[i * n + j] += x[i] * x[j] / (float)samples;
        }
    }
    free(x);
    free(mix);
    return m;
}

static float *make_weight(size_t n)
{
    float *w = malloc(n * sizeof *w);
    for (size_t i = 0; i < n; i++) w[i] = (uniform() + uniform() + uniform()) * 0.05f;
    return w;
}

static isg_factors *make(uint32_t taps, uint32_t ci, uint32_t co, uint32_t bi, uint32_t bo, int depthwise)
{
    isg_factors *f = NULL;
    const isg_levels l = isg_factor_levels(ci, co, taps, bi, bo, depthwise, 0);
    assert_int_equal(isg_factors_create(&f, taps, ci, co, l, depthwise, NULL), ISG_OK);
    return f;
}

static void set_quant(isg_factors *f, uint32_t family, uint32_t qb, uint32_t qu, uint32_t qv, int per_column)
{
    const uint8_t fam = (uint8_t)family, pc = (uint8_t)per_column;
    f->basis.quant = (isg_quant_spec){(uint8_t)qb, fam, pc, 16};
    f->u.quant = (isg_quant_spec){(uint8_t)qu, fam, pc, 16};
    f->v.quant = (isg_quant_spec){(uint8_t)qv, fam, pc, 16};
}

static isg_factor_report fit(isg_factors *f, const float *w, uint32_t method, const float *moment, int aware,
                             uint32_t iterations)
{
    isg_factor_options o = {.struct_size = sizeof o};
    isg_factor_report r;
    isg_error err = {0};
    o.struct_size = sizeof o;
    o.method = method;
    o.moment = moment;
    o.quantise_aware = aware;
    o.iterations = iterations;
    if (isg_factorise(f, w, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
    return r;
}

static double energy(const float *d, const float *m, size_t rows, size_t cols)
{
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < rows; j++) {
            for (size_t c = 0; c < cols; c++) {
                sum += (double)(m ? m[i * rows + j] : i == j) * (double)d[i * cols + c] * (double)d[j * cols + c];
            }
        }
    }
    return sum;
}

/* Relative error of the shipped numbers in the norm of the moment, measured by nothing of the library's but W. */
static double error_in(const isg_factors *f, const float *w, const float *moment)
{
    const size_t rows = (size_t)f->taps * f->ci, n = rows * f->co;
    float *d = malloc(n * sizeof *d);
    double e;
    assert_int_equal(isg_factors_weight(d, f, NULL), ISG_OK);
    for (size_t i = 0; i < n; i++) d[i] -= w[i];
    e = energy(d, moment, rows, f->co) / energy(w, moment, rows, f->co);
    free(d);
    return e;
}

static void test_methods(void **unused)
{
    static const uint32_t shape[][5] = {{9, 16, 24, 2, 8}, {9, 8, 12, 3, 0}, {9, 8, 20, 0, 6}, {1, 32, 48, 0, 12}};
    (void)unused;
    printf("seed %llu\n", (unsigned long long)state);
    for (size_t k = 0; k < sizeof shape / sizeof shape[0]; k++) {
        const uint32_t *s = shape[k];
        float *moment = make_moment((size_t)s[0] * s[1]), *w = make_weight((size_t)s[0] * s[1] * s[2]);
        isg_factors *f = make(s[0], s[1], s[2], s[3], s[4], 0);
        isg_factor_report r;
        double svd, plain, aware, svd_plain, plain_plain;
        r = fit(f, w, ISG_FACTOR_SVD, moment, 0, 0);
        svd = error_in(f, w, moment);
        svd_plain = error_in(f, w, NULL);
        assert_true(fabs(svd - r.output_error) < 1e-4 * svd && fabs(svd_plain - r.weight_error) < 1e-4 * svd_plain);
        (void)fit(f, w, ISG_FACTOR_ALS, NULL, 0, 0);
        plain = error_in(f, w, moment);
        plain_plain = error_in(f, w, NULL);
        r = fit(f, w, ISG_FACTOR_ALS, moment, 0, 0);
        aware = error_in(f, w, moment);
        printf("shape %zu: output svd %.5f als %.5f data-aware %.5f, weight svd %.5f als %.5f, %u sweeps\n", k, svd,
               plain, aware, svd_plain, plain_plain, r.iterations);
        assert_true(plain_plain <= svd_plain * 1.0001);
        assert_true(aware <= plain * 1.0005 && aware <= svd * 1.0005);
        assert_true(fabs(aware - r.raw_output_error) < 1e-3 * aware);
        isg_factors_destroy(f);
        free(moment);
        free(w);
    }
}

/* A weight that the structure can represent is found to a small error (SVD in two steps need not, SPEC section 7). */
static void test_recovery(void **unused)
{
    isg_factors *f = make(9, 12, 16, 3, 6, 0);
    float w[9 * 12 * 16];
    isg_factor_report svd, als;
    (void)unused;
    for (size_t i = 0; i < (size_t)f->basis.rows * f->basis.cols; i++) f->basis.master[i] = uniform();
    for (size_t i = 0; i < (size_t)f->u.rows * f->u.cols; i++) f->u.master[i] = uniform();
    for (size_t i = 0; i < (size_t)f->v.rows * f->v.cols; i++) f->v.master[i] = uniform();
    assert_int_equal(isg_factors_weight(w, f, NULL), ISG_OK);
    svd = fit(f, w, ISG_FACTOR_SVD, NULL, 0, 0);
    als = fit(f, w, ISG_FACTOR_ALS, NULL, 0, 400);
    printf("recovery: svd %.6f als %.8f\n", svd.weight_error, als.weight_error);
    assert_true(als.weight_error < 0.1 * svd.weight_error);
    isg_factors_destroy(f);
}

static void test_quantised(void **unused)
{
    static const uint32_t family[3] = {ISG_QUANT_PAPER, ISG_QUANT_MIDTREAD, ISG_QUANT_MIDRISE};
    float *moment = make_moment(9 * 16), *w = make_weight(9 * 16 * 24);
    (void)unused;
    for (int k = 0; k < 6; k++) {
        isg_factors *f = k % 2 ? make(9, 16, 24, 0, 8, 0) : make(9, 16, 24, 2, 8, 0);
        isg_factor_report direct, aware;
        double seen;
        set_quant(f, family[k / 2], 3, 6, 3, family[k / 2] == ISG_QUANT_MIDTREAD);
        direct = fit(f, w, ISG_FACTOR_ALS, moment, 0, 0);
        aware = fit(f, w, ISG_FACTOR_ALS, moment, 1, 0);
        seen = error_in(f, w, moment);
        printf("family %u level1 %u: raw %.4f direct %.4f aware %.4f\n", family[k / 2], f->level1,
               aware.raw_output_error, direct.output_error, aware.output_error);
        assert_true(fabs(seen - aware.output_error) < 1e-3 * seen);
        assert_true(aware.output_error <= direct.output_error && aware.output_error >= 0.999 * aware.raw_output_error);
        isg_factors_destroy(f);
    }
    free(moment);
    free(w);
}

static void test_l2(void **unused)
{
    float *w = make_weight(9 * 8 * 12);
    isg_factors *f = make(9, 8, 12, 2, 5, 0);
    isg_factor_report svd, l2;
    (void)unused;
    set_quant(f, ISG_QUANT_PAPER, 3, 6, 3, 0);
    svd = fit(f, w, ISG_FACTOR_SVD, NULL, 0, 0);
    l2 = fit(f, w, ISG_FACTOR_L2, NULL, 0, 500);
    printf("l2: svd %.4f l2 %.4f\n", svd.weight_error, l2.weight_error);
    assert_true(l2.weight_error < svd.weight_error);
    isg_factors_destroy(f);
    free(w);
}

static void test_depthwise(void **unused)
{
    float *moment = malloc(20 * 81 * sizeof *moment), *w = make_weight(9 * 20), *wide = calloc(180 * 180, sizeof *wide);
    isg_factors *f = make(9, 20, 1, 3, 0, 1);
    isg_factor_report plain, aware;
    (void)unused;
    for (int c = 0; c < 20; c++) {
        float *m = make_moment(9);
        memcpy(moment + c * 81, m, 81 * sizeof *m);
        for (int t = 0; t < 9; t++) {
            for (int s = 0; s < 9; s++) wide[(t * 20 + c) * 180 + s * 20 + c] = m[t * 9 + s];
        }
        free(m);
    }
    plain = fit(f, w, ISG_FACTOR_ALS, NULL, 0, 0);
    assert_true(plain.raw_weight_error > 0);
    plain.output_error = error_in(f, w, wide);
    aware = fit(f, w, ISG_FACTOR_ALS, moment, 0, 0);
    printf("depthwise: plain %.5f aware %.5f\n", plain.output_error, aware.output_error);
    assert_true(fabs(error_in(f, w, wide) - aware.output_error) < 1e-3 * aware.output_error);
    assert_true(aware.output_error <= plain.output_error);
    isg_factors_destroy(f);
    free(moment);
    free(wide);
    free(w);
}

static void test_rounding(void **unused)
{
    float *moment = make_moment(9 * 12), *w = make_weight(9 * 12 * 20);
    (void)unused;
    for (uint32_t bits = 2; bits <= 8; bits++) {
        for (int k = 0; k < 4; k++) {
            isg_factors *f = make(9, 12, 20, 0, 0, 0);
            isg_factor_report nearest, feedback;
            double seen;
            set_quant(f, k & 1 ? ISG_QUANT_MIDRISE : ISG_QUANT_MIDTREAD, bits, bits, bits, k >> 1);
            assert_int_equal(isg_factor_round_dense(f, w, NULL, &nearest, NULL), ISG_OK);
            nearest.output_error = error_in(f, w, moment);
            assert_int_equal(isg_factor_round_dense(f, w, moment, &feedback, NULL), ISG_OK);
            seen = error_in(f, w, moment);
            if (k == 2) {
                printf("%u bits: nearest %.6f feedback %.6f\n", bits, nearest.output_error, feedback.output_error);
            }
            assert_true(fabs(seen - feedback.output_error) < 1e-3 * seen + 1e-7);
            assert_true(feedback.output_error < nearest.output_error);
            isg_factors_destroy(f);
        }
    }
    free(moment);
    free(w);
}

static void test_grouped(void **unused)
{
    isg_factors *f = make(9, 1, 8, 0, 0, 0);
    float *moment = malloc(8 * 81 * sizeof *moment), *w = make_weight(72), a[72], b[72];
    (void)unused;
    for (int c = 0; c < 8; c++) {
        float *m = make_moment(9);
        memcpy(moment + c * 81, m, 81 * sizeof *m);
        free(m);
    }
    memset(moment + 81, 0, 81 * sizeof *moment);
    set_quant(f, ISG_QUANT_MIDTREAD, 4, 4, 4, 1);
    assert_int_equal(isg_factor_round_grouped(f, w, moment, 8, NULL, NULL), ISG_OK);
    assert_int_equal(isg_factors_weight(a, f, NULL), ISG_OK);
    assert_int_equal(isg_factor_round_grouped(f, w, NULL, 8, NULL, NULL), ISG_OK);
    assert_int_equal(isg_factors_weight(b, f, NULL), ISG_OK);
    for (int c = 0; c < 8; c++) {
        double ea = 0, eb = 0;
        for (int i = 0; i < 9; i++) {
            for (int j = 0; j < 9; j++) {
                const double m = (double)moment[c * 81 + i * 9 + j];
                ea += m * (double)(a[i * 8 + c] - w[i * 8 + c]) * (double)(a[j * 8 + c] - w[j * 8 + c]);
                eb += m * (double)(b[i * 8 + c] - w[i * 8 + c]) * (double)(b[j * 8 + c] - w[j * 8 + c]);
            }
        }
        assert_true(ea <= eb * 1.0001);
    }
    assert_int_equal(isg_factor_round_grouped(f, w, moment, 3, NULL, NULL), ISG_E_ARG);
    isg_factors_destroy(f);
    free(moment);
    free(w);
}

static void test_bad_input(void **unused)
{
    isg_factors *f = make(9, 8, 12, 2, 5, 0);
    float *w = make_weight(9 * 8 * 12);
    isg_factor_options o = {.struct_size = sizeof o};
    (void)unused;
    o.method = ISG_FACTOR_ALS;
    w[7] = NAN;
    assert_int_equal(isg_factorise(f, w, &o, NULL, NULL), ISG_E_NUMERIC);
    memset(w, 0, 9 * 8 * 12 * sizeof *w);
    set_quant(f, ISG_QUANT_MIDTREAD, 3, 6, 3, 0);
    o.quantise_aware = 1;
    assert_int_equal(isg_factorise(f, w, &o, NULL, NULL), ISG_OK);
    assert_int_equal(isg_factors_weight(w, f, NULL), ISG_OK);
    for (int i = 0; i < 9 * 8 * 12; i++) assert_true(w[i] == 0.0f);
    o.method = 9;
    assert_int_equal(isg_factorise(f, w, &o, NULL, NULL), ISG_E_ARG);
    isg_factors_destroy(f);
    free(w);
}

static int cancel_when(void *user)
{
    int *left = user;
    return (*left)-- <= 0;
}

/* A caller that says stop is heard within a sweep or step, and the factors stay as they were. */
static void test_cancel(void **unused)
{
    static const struct {
        uint32_t method;
        int stop, asked; /* the answer that is yes, and how often the whole fit asks at least */
    } cases[] = {{ISG_FACTOR_ALS, 0, 3}, {ISG_FACTOR_ALS, 2, 3}, {ISG_FACTOR_L2, 0, 100}, {ISG_FACTOR_L2, 70, 100}};
    float *w = make_weight(9 * 8 * 12);
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int left = cases[i].stop;
        const isg_progress progress = {NULL, cancel_when, &left};
        isg_factor_options o = {.struct_size = sizeof o};
        isg_factors *f = make(9, 8, 12, 2, 5, 0);
        set_quant(f, ISG_QUANT_MIDTREAD, 3, 6, 3, 0);
        o.method = cases[i].method;
        o.iterations = 100;
        o.quantise_aware = 1;
        o.progress = &progress;
        assert_int_equal(isg_factorise(f, w, &o, NULL, NULL), ISG_E_CANCELLED);
        assert_int_equal(left, -1);
        for (uint32_t k = 0; k < f->basis.rows * f->basis.cols; k++) assert_true(f->basis.master[k] == 0.0f);
        left = 1 << 20;
        assert_int_equal(isg_factorise(f, w, &o, NULL, NULL), ISG_OK);
        assert_true((1 << 20) - left >= cases[i].asked);
        isg_factors_destroy(f);
    }
    free(w);
}

/* The host's number of threads is its own again afterwards. */
static void test_blas_threads(void **unused)
{
    const float a[4] = {1, 2, 3, 4};
    float c[4];
    int before;
    (void)unused;
    openblas_set_num_threads(2);
    before = openblas_get_num_threads();
    isgi_sgemm(0, 0, 2, 2, 2, 1, a, 2, a, 2, 0, c, 2);
    assert_true(c[0] == 7.0f && c[3] == 22.0f);
    assert_int_equal(openblas_get_num_threads(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blas_threads), cmocka_unit_test(test_methods),
                                       cmocka_unit_test(test_recovery),     cmocka_unit_test(test_quantised),
                                       cmocka_unit_test(test_l2),           cmocka_unit_test(test_depthwise),
                                       cmocka_unit_test(test_rounding),     cmocka_unit_test(test_grouped),
                                       cmocka_unit_test(test_bad_input),    cmocka_unit_test(test_cancel)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
