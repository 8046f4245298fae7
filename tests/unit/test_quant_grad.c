/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of quantisers, generation and orthonormality by finite differences; running out of memory; threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <insitu/factors.h>

#include "factor/radam.h"
#include "host/alloc.h"
#include "quant/factors_weight.h"
#include "quant/input_quantiser.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 77;

static float uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 11) / 4503599627370496.0 - 1.0);
}

static isg_factors *make(uint32_t taps, uint32_t ci, uint32_t co, uint32_t bi, uint32_t bo)
{
    isg_factors *f = NULL;
    const isg_levels l = isg_factor_levels(ci, co, taps, bi, bo, 0, 0);
    assert_int_equal(isg_factors_create(&f, taps, ci, co, l, 0, NULL), ISG_OK);
    for (size_t i = 0; i < (size_t)f->basis.rows * f->basis.cols; i++) f->basis.master[i] = uniform();
    for (size_t i = 0; i < (size_t)f->u.rows * f->u.cols; i++) f->u.master[i] = uniform();
    for (size_t i = 0; i < (size_t)f->v.rows * f->v.cols; i++) f->v.master[i] = uniform();
    return f;
}

/* sum of g . W */
static double weighted(const isg_factors *f, const float *g, float *w)
{
    double sum = 0;
    assert_int_equal(isg_factors_weight(w, f, NULL), ISG_OK);
    for (size_t i = 0; i < (size_t)f->taps * f->ci * f->co; i++) sum += (double)g[i] * (double)w[i];
    return sum;
}

static void check_weight(uint32_t bi, uint32_t bo)
{
    isg_factors *f = make(9, 6, 8, bi, bo);
    isg_factor *part[3] = {&f->basis, &f->u, &f->v};
    float w[9 * 6 * 8], g[9 * 6 * 8], *d[3];
    for (size_t i = 0; i < sizeof g / sizeof *g; i++) g[i] = uniform();
    for (int k = 0; k < 3; k++) d[k] = calloc((size_t)part[k]->rows * part[k]->cols + 1, sizeof(float));
    assert_int_equal(isg_factors_weight_backward(f, g, f->basis.master, f->level1 ? f->u.master : NULL,
                                                 f->level2 ? f->v.master : NULL, d[0], f->level1 ? d[1] : NULL,
                                                 f->level2 ? d[2] : NULL, NULL),
                     ISG_OK);
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < (size_t)part[k]->rows * part[k]->cols; i += 3) {
            const float keep = part[k]->master[i], h = 0.0625f; /* W is linear in each number */
            double up, down;
            part[k]->master[i] = keep + h;
            up = weighted(f, g, w);
            part[k]->master[i] = keep - h;
            down = weighted(f, g, w);
            part[k]->master[i] = keep;
            assert_true(fabs((up - down) / (2 * (double)h) - (double)d[k][i]) < 2e-4);
        }
        free(d[k]);
    }
    isg_factors_destroy(f);
}

static void test_weight_backward(void **unused)
{
    (void)unused;
    printf("seed %llu\n", (unsigned long long)state);
    check_weight(2, 4);
    check_weight(3, 0);
    check_weight(0, 5);
    check_weight(0, 0);
}

/* Columns' norms are constants for the gradient, so u and v are scaled to unit norm, where that changes nothing to
 * first order only along the columns: the check is made on the basis, and on u and v across their columns. */
static void test_ortho(void **unused)
{
    isg_factors *f = make(9, 6, 8, 2, 4);
    float db[9 * 8] = {0}, du[6 * 8] = {0}, dv[4 * 8] = {0};
    const double loss = isg_factors_ortho(f, 0.5, db, du, dv);
    (void)unused;
    assert_true(loss > 0 && isg_factors_ortho(f, 1.0, NULL, NULL, NULL) > 1.9 * loss);
    for (size_t i = 0; i < 72; i++) {
        const float keep = f->basis.master[i], h = 1e-2f;
        double up, down;
        f->basis.master[i] = keep + h;
        up = isg_factors_ortho(f, 0.5, NULL, NULL, NULL);
        f->basis.master[i] = keep - h;
        down = isg_factors_ortho(f, 0.5, NULL, NULL, NULL);
        f->basis.master[i] = keep;
        assert_true(fabs((up - down) / (2 * (double)h) - (double)db[i]) < 1e-3);
    }
    for (uint32_t o = 0; o < 4; o++) { /* move row o of v at right angles to itself: its norm stays to first order */
        float turn[8], keep[8];
        double along = 0, norm = 0, slope = 0, up, down;
        const float h = 1e-2f;
        memcpy(keep, f->v.master + o * 8, sizeof keep);
        for (int n = 0; n < 8; n++) turn[n] = uniform();
        for (int n = 0; n < 8; n++) {
            along += (double)turn[n] * (double)keep[n];
            norm += (double)keep[n] * (double)keep[n];
        }
        for (int n = 0; n < 8; n++) turn[n] -= (float)(along / norm) * keep[n];
        for (int n = 0; n < 8; n++) slope += (double)turn[n] * (double)dv[o * 8 + (uint32_t)n];
        for (int n = 0; n < 8; n++) f->v.master[o * 8 + (uint32_t)n] = keep[n] + h * turn[n];
        up = isg_factors_ortho(f, 0.5, NULL, NULL, NULL);
        for (int n = 0; n < 8; n++) f->v.master[o * 8 + (uint32_t)n] = keep[n] - h * turn[n];
        down = isg_factors_ortho(f, 0.5, NULL, NULL, NULL);
        memcpy(f->v.master + o * 8, keep, sizeof keep);
        assert_true(fabs((up - down) / (2 * (double)h) - slope) < 1e-3);
    }
    isg_factors_destroy(f);
}

/* q = 32 of PAPER is smooth, the gradient through its maximum included. */
static void test_paper_32(void **unused)
{
    isg_factors *f = make(1, 4, 5, 0, 0);
    float g[20], d[20], y[20];
    (void)unused;
    for (int i = 0; i < 20; i++) g[i] = uniform();
    f->basis.quant = (isg_quant_spec){32, ISG_QUANT_PAPER, 0, 32};
    f->basis.master[3] = 1.5f;
    isg_factor_backward(d, NULL, g, &f->basis, 1);
    for (int i = 0; i < 20; i++) {
        const float keep = f->basis.master[i], h = 1e-3f;
        double sum[2] = {0, 0};
        for (int k = 0; k < 2; k++) {
            f->basis.master[i] = keep + (k ? -h : h);
            assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_OK);
            for (int j = 0; j < 20; j++) sum[k] += (double)g[j] * (double)y[j];
        }
        f->basis.master[i] = keep;
        assert_true(fabs((sum[0] - sum[1]) / (2 * (double)h) - (double)d[i]) < 2e-3);
    }
    isg_factors_destroy(f);
}

/* Learned step: outside the range Q(x) = level * s, so the slope in s is exact; inside it is level - x / s. */
static void test_learned_step(void **unused)
{
    (void)unused;
    for (uint32_t family = ISG_QUANT_MIDTREAD; family <= ISG_QUANT_MIDRISE; family++) {
        for (uint8_t per_column = 0; per_column < 2; per_column++) {
            isg_factors *f = make(1, 6, 5, 0, 0);
            const double top = family == ISG_QUANT_MIDTREAD ? 3 : 7;
            float g[30], d[30], ds[5], y[30];
            f->basis.quant = (isg_quant_spec){3, (uint8_t)family, per_column, 32};
            assert_int_equal(isg_factor_fit_scale(&f->basis, NULL), ISG_OK);
            assert_int_equal(isg_factor_quantise(y, &f->basis, NULL), ISG_OK);
            for (int i = 0; i < 30; i++) g[i] = uniform();
            isg_factor_backward(d, ds, g, &f->basis, 0);
            for (int k = 0; k < (per_column ? 5 : 1); k++) {
                double sum = 0;
                for (int i = per_column ? k : 0; i < 30; i += per_column ? 5 : 1) {
                    const double s = (double)f->basis.scale[k], x = (double)f->basis.master[i] / s;
                    const double lo = family == ISG_QUANT_MIDTREAD ? -4 : -7;
                    const int inside = x >= lo && x <= top;
                    assert_true(d[i] == (inside ? g[i] : 0.0f));
                    sum += (double)g[i] * ((double)y[i] / s - (inside ? x : 0));
                }
                assert_true(fabs(sum / sqrt((per_column ? 6 : 30) * top) - (double)ds[k]) < 1e-4);
            }
            isg_factors_destroy(f);
        }
    }
}

/* The released clamp limits the gradient's value; without it the gradient is plain straight-through times 1 - t^2. */
static void test_paper_clamp(void **unused)
{
    isg_factors *f = make(1, 2, 2, 0, 0);
    const float g[4] = {100, -100, 0.001f, 0};
    float d[4];
    float r = 0;
    (void)unused;
    f->basis.quant = (isg_quant_spec){4, ISG_QUANT_PAPER, 0, 32};
    for (int i = 0; i < 4; i++) r = fmaxf(r, fabsf(tanhf(f->basis.master[i])));
    for (int clamp = 0; clamp < 2; clamp++) {
        isg_factor_backward(d, NULL, g, &f->basis, clamp);
        for (int i = 0; i < 4; i++) {
            const float t = tanhf(f->basis.master[i]), limit = 1.0f / (2.0f * r);
            const float expected = (clamp ? fmaxf(fminf(g[i], limit), -limit) : g[i]) * (1.0f - t * t);
            assert_true(fabsf(d[i] - expected) <= 1e-5f * fabsf(expected));
        }
    }
    isg_factors_destroy(f);
}

static isg_status everything(const float *w, const float *moment, float *result)
{
    const isg_factor_options o = {
        .struct_size = sizeof o, .method = ISG_FACTOR_ALS, .moment = moment, .quantise_aware = 1, .iterations = 3};
    const isg_levels on = {2, 4, 1, 1}, off = {0, 0, 0, 0};
    isg_factors *f = NULL, *again = NULL, *dense = NULL;
    void *buffer = NULL;
    isg_weight packed;
    size_t bytes;
    isg_status status = isg_factors_create(&f, 9, 6, 8, on, 0, NULL);
    if (status == ISG_OK) {
        const isg_quant_spec q = {3, ISG_QUANT_MIDTREAD, 1, 16};
        f->basis.quant = f->u.quant = f->v.quant = q;
        status = isg_factorise(f, w, &o, NULL, NULL);
    }
    if (status == ISG_OK) status = isg_factors_pack(f, &packed, &buffer, &bytes, NULL);
    if (status == ISG_OK) status = isg_factors_unpack(&again, &packed, NULL);
    if (status == ISG_OK) status = isg_factors_weight(result, again, NULL);
    if (status == ISG_OK) status = isg_factors_create(&dense, 9, 6, 8, off, 0, NULL);
    if (status == ISG_OK) {
        dense->basis.quant = (isg_quant_spec){4, ISG_QUANT_MIDRISE, 1, 16};
        status = isg_factor_round_dense(dense, w, moment, NULL, NULL);
    }
    if (status == ISG_OK) status = isg_factors_weight(result + 432, dense, NULL);
    isg_factors_destroy(f);
    isg_factors_destroy(again);
    isg_factors_destroy(dense);
    isg_free(buffer);
    return status;
}

static void make_problem(float *w, float *moment)
{
    for (int i = 0; i < 432; i++) w[i] = uniform();
    memset(moment, 0, 54 * 54 * sizeof *moment);
    for (int s = 0; s < 80; s++) {
        float x[54];
        for (int i = 0; i < 54; i++) x[i] = fmaxf(uniform(), -0.2f);
        for (int i = 0; i < 54 * 54; i++) moment[i] += x[i / 54] * x[i % 54] / 80;
    }
}

static void test_out_of_memory(void **unused)
{
    float w[432], moment[54 * 54], result[864];
    uint64_t count;
    (void)unused;
    make_problem(w, moment);
    (void)isgi_alloc_fail_at(0);
    assert_int_equal(everything(w, moment, result), ISG_OK);
    count = isgi_alloc_fail_at(0);
    assert_true(count > 20);
    for (uint64_t n = 1; n <= count; n++) {
        (void)isgi_alloc_fail_at(n);
        assert_int_equal(everything(w, moment, result), ISG_E_NOMEM);
    }
    (void)isgi_alloc_fail_at(0);
}

static void test_threads(void **unused)
{
    float w[432], moment[54 * 54], one[864], two[864];
    (void)unused;
    make_problem(w, moment);
    openblas_set_num_threads(1);
    assert_int_equal(everything(w, moment, one), ISG_OK);
    openblas_set_num_threads(2);
    assert_int_equal(everything(w, moment, two), ISG_OK);
    assert_memory_equal(one, two, sizeof one);
}

/* The first five steps have no adaptive part: p moves by lr / (1 - beta1^t) * m. */
static void test_radam(void **unused)
{
    isgi_radam o = ISGI_RADAM_INIT;
    float p = 1, g = 2, m = 0, v = 0;
    (void)unused;
    o.weight_decay = 0.1f;
    isgi_radam_step(&o, &p, &g, &m, &v, 1, 1);
    assert_true(fabsf(p - (1 - 0.1f * 2e-3f - 2e-3f * 2)) < 1e-6f);
    for (uint64_t t = 2; t <= 2000; t++) {
        g = 2 * p;
        isgi_radam_step(&o, &p, &g, &m, &v, 1, t);
    }
    assert_true(fabsf(p) < 0.05f);
}

static void test_input_quantiser(void **unused)
{
    isgi_input_quantiser q = {4, 0.5f, 0, 0, 0};
    const float x[4] = {-1, 0, 2, 9}, next[2] = {-3, 4};
    float y[4];
    (void)unused;
    isgi_input_quantiser_observe(&q, x, 3);
    assert_true(q.lo == -1 && q.hi == 2);
    isgi_input_quantiser_observe(&q, next, 2);
    assert_true(q.lo == -2 && q.hi == 3);
    isgi_input_quantiser_apply(&q, y, x, 4);
    assert_true(y[1] == 0 && fabsf(y[3] - 3) < 0.35f && fabsf(y[0] + 1) < 0.17f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weight_backward), cmocka_unit_test(test_ortho),
                                       cmocka_unit_test(test_paper_32),        cmocka_unit_test(test_learned_step),
                                       cmocka_unit_test(test_paper_clamp),     cmocka_unit_test(test_out_of_memory),
                                       cmocka_unit_test(test_threads),         cmocka_unit_test(test_radam),
                                       cmocka_unit_test(test_input_quantiser)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
