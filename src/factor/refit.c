/* SPDX-License-Identifier: Apache-2.0 */
/* From the real numbers of a factorisation to quantised factors, re-fitting what is left after each is fixed. */
#include "factor/refit.h"

#include "factor/linalg.h"
#include "factor/round.h"
#include "host/alloc.h"
#include "host/cancel.h"
#include "quant/quantiser.h"

#include <math.h>
#include <string.h>

#define SWEEPS 4
#define REFIT_STEPS 6
#define TOP 0.9f /* greatest number of a balanced factor: PAPER's tanh stays below 1 */
#define FEEDBACK_ROWS 2304u

/* Every factor's columns (or rows) to equal size, then all to the same greatest number; the sizes go to `to`. */
static void normalise(float *x, size_t sets, size_t length, size_t set_stride, size_t stride, float *size)
{
    float top = 0;
    for (size_t k = 0; k < sets; k++) {
        double squares = 0;
        for (size_t e = 0; e < length; e++) {
            const double v = (double)x[k * set_stride + e * stride];
            squares += v * v;
        }
        size[k] = (float)sqrt(squares / (double)length);
        for (size_t e = 0; e < length && size[k] > 0; e++) {
            float *v = &x[k * set_stride + e * stride];
            *v /= size[k];
            top = fmaxf(top, fabsf(*v));
        }
    }
    for (size_t k = 0; k < sets && top > 0; k++) {
        size[k] *= top / TOP;
        for (size_t e = 0; e < length; e++) x[k * set_stride + e * stride] *= TOP / top;
    }
}

/* One scale for a whole factor is spent best when its columns are of one size. The product is unchanged: basis and v
 * become even and u takes the sizes (without u, the one of basis and v that has more bits or a scale a column). */
static isg_status balance(isgi_als *a, const isg_factors *f, isg_error *err)
{
    const size_t bo = a->rank, width = f->level1 ? (size_t)f->bi * bo : bo;
    const int keep_basis = f->basis.quant.per_column || f->basis.quant.bits >= f->v.quant.bits;
    float *size = isgi_malloc((width + bo) * sizeof *size);
    if (!size) return isgi_nomem(err);
    if (f->level1) {
        normalise(a->b, width, f->taps, 1, width, size);
        for (size_t i = 0; i < a->nu; i++) a->u[i] *= size[i % width];
    } else if (!keep_basis) {
        normalise(a->b, bo, a->rows, 1, bo, size);
        for (size_t i = 0; i < a->nv; i++) a->v[i] *= size[i / a->cols];
    }
    if (f->level2 && (f->level1 || keep_basis)) {
        normalise(a->v, bo, a->cols, a->cols, 1, size);
        for (size_t i = 0; f->level1 && i < a->nu; i++) a->u[i] *= size[i % bo];
        for (size_t i = 0; !f->level1 && i < a->nb; i++) a->b[i] *= size[i % bo];
    }
    isg_free(size);
    return ISG_OK;
}

/* PAPER's levels for 2 bits and more are MIDRISE's with s = r / (2^q - 1). */
static isg_quant_spec paper_grid(isg_quant_spec q)
{
    q.family = ISG_QUANT_MIDRISE;
    q.per_column = 0;
    q.scale_bits = 32;
    return q;
}

isg_status isgi_refit_store(isg_factor *f, float *x, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    const isg_quant_spec q = f->quant;
    if (n == 0) return ISG_OK;
    memcpy(f->master, x, n * sizeof *x);
    if (q.family == ISG_QUANT_PAPER && q.bits > 1) {
        float r = 1.0f;
        if (q.bits <= 8) r = isgi_scale_search(x, 1, NULL, n, paper_grid(q)) * (float)((1u << q.bits) - 1u);
        r = fminf(r, 0.999f);
        for (size_t i = 0; i < n; i++) f->master[i] = atanhf(fmaxf(fminf(x[i], r), -r));
    } else {
        isg_status status = isg_factor_fit_scale(f, err);
        if (status != ISG_OK) return status;
    }
    return isg_factor_quantise(x, f, err);
}

static int has_grid(isg_quant_spec q)
{
    return q.family == ISG_QUANT_MIDTREAD || q.family == ISG_QUANT_MIDRISE ||
           (q.family == ISG_QUANT_PAPER && q.bits >= 2 && q.bits <= 8);
}

/* Rounds x with feedback in the norm of `moment` [rows][rows] and stores it. */
static isg_status store_with_feedback(isg_factor *f, float *x, const float *moment, isg_error *err)
{
    const size_t n = (size_t)f->rows * f->cols;
    const int paper = f->quant.family == ISG_QUANT_PAPER;
    const isg_quant_spec spec = paper ? paper_grid(f->quant) : f->quant;
    float *scale;
    isg_status status = isgi_scale_reserve(f, err);
    if (status != ISG_OK) return status;
    scale = f->scale;
    status = isgi_round_feedback(f->master, scale, x, f->rows, f->cols, moment, spec, err);
    if (status != ISG_OK) return status;
    if (paper) {
        for (size_t i = 0; i < n; i++) f->master[i] = atanhf(fmaxf(fminf(f->master[i], 0.999f), -0.999f));
        isg_free(f->scale);
        f->scale = NULL;
    }
    return isg_factor_quantise(x, f, err);
}

/* V's rounding error counts in the norm of C^T M C. */
static isg_status store_v(isg_factors *f, isgi_als *a, int aware, isg_error *err)
{
    const size_t rank = a->rank;
    float *h;
    isg_status status;
    if (!aware || !has_grid(f->v.quant)) return isgi_refit_store(&f->v, a->v, err);
    h = isgi_malloc(2 * rank * rank * sizeof *h);
    if (!h) return isgi_nomem(err);
    isgi_als_level1(a);
    isgi_sgemm(1, 0, rank, rank, a->rows, 1.0f, a->c, rank, a->mc, rank, 0.0f, h + rank * rank, rank);
    for (size_t i = 0; i < rank; i++) {
        for (size_t j = 0; j < rank; j++) {
            h[i * rank + j] = 0.5f * (h[(rank + i) * rank + j] + h[(rank + j) * rank + i]);
        }
    }
    status = store_with_feedback(&f->v, a->v, h, err);
    isg_free(h);
    if (status == ISG_E_NUMERIC) status = isgi_refit_store(&f->v, a->v, err);
    return status;
}

static isg_status store_basis(isg_factors *f, isgi_als *a, int aware, isg_error *err)
{
    isg_status status = ISG_E_NUMERIC;
    if (aware && !f->level1 && !f->depthwise && a->moment && a->rows <= FEEDBACK_ROWS && has_grid(f->basis.quant)) {
        status = store_with_feedback(&f->basis, a->b, a->moment, err);
    }
    return status == ISG_E_NUMERIC ? isgi_refit_store(&f->basis, a->b, err) : status;
}

/* Quantises basis, u and v in this order; a then holds the quantised numbers and their objective. */
static isg_status quantise_in_turn(isg_factors *f, isgi_als *a, int aware, isg_error *err)
{
    isg_status status = store_basis(f, a, aware, err);
    if (status == ISG_OK && aware && a->u) {
        status = isgi_als_solve_u(a, REFIT_STEPS, err);
        if (status == ISG_OK) status = isgi_als_solve_v(a, err);
        if (status == ISG_OK) status = isgi_als_solve_u(a, REFIT_STEPS, err);
    }
    if (status == ISG_OK && a->u) status = isgi_refit_store(&f->u, a->u, err);
    if (status == ISG_OK && aware) status = isgi_als_solve_v(a, err);
    if (status == ISG_OK && a->v) status = store_v(f, a, aware, err);
    if (status == ISG_OK) isgi_als_measure(a);
    return status;
}

static void swap_factors(isg_factors *x, isg_factors *y)
{
    const isg_factors keep = *x;
    *x = *y;
    *y = keep;
}

static int all_raw(const isg_factors *f)
{
    return f->basis.quant.family == ISG_QUANT_RAW && f->u.quant.family == ISG_QUANT_RAW &&
           f->v.quant.family == ISG_QUANT_RAW;
}

isg_status isgi_refit(isg_factors *f, isgi_als *a, int aware, isg_error *err)
{
    isg_factors *best = NULL;
    double least;
    isg_status status = all_raw(f) ? ISG_OK : balance(a, f, err);
    if (status == ISG_OK) status = quantise_in_turn(f, a, aware, err);
    if (status != ISG_OK || !aware || all_raw(f)) return status;
    least = a->objective;
    status = isg_factors_clone(&best, f, err);
    for (int k = 1; k < SWEEPS && status == ISG_OK; k++) {
        status = isgi_cancelled(a->progress, err);
        if (status == ISG_OK) status = isgi_als_solve_b(a, REFIT_STEPS, err);
        if (status == ISG_OK) status = quantise_in_turn(f, a, aware, err);
        if (status != ISG_OK || !(a->objective < least)) continue;
        least = a->objective;
        isg_factors_destroy(best);
        best = NULL;
        status = isg_factors_clone(&best, f, err);
    }
    if (status == ISG_OK) swap_factors(f, best);
    isg_factors_destroy(best);
    return status;
}
