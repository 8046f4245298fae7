/* SPDX-License-Identifier: Apache-2.0 */
/* Alternating least squares over both levels, weighted by the second moment of the layer's inputs. */
#include "factor/als.h"

#include "factor/linalg.h"
#include "host/alloc.h"
#include "host/cancel.h"
#include "quant/factors_weight.h"

#include <math.h>
#include <string.h>

#define MOMENT_RIDGE                                                                                                   \
    1e-3 /* of the mean diagonal: calibration inputs are a sample, directions they miss still matter                   \
          */
#define SOLVE_RIDGE 1e-9
#define U_STEPS 4
#define B_STEPS 3
#define STALL 5e-4 /* relative; a sweep over a moment of 4608 x 4608 costs half a second */

static void apply_depthwise(const isg_factors *f, const float *moment, float *out, const float *in, size_t n)
{
    const size_t taps = f->taps, ci = f->ci;
    for (size_t c = 0; c < ci; c++) {
        const float *m = moment + c * taps * taps;
        for (size_t t = 0; t < taps; t++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t k = 0; k < taps; k++) sum += (double)m[t * taps + k] * (double)in[(k * ci + c) * n + j];
                out[(t * ci + c) * n + j] = (float)sum;
            }
        }
    }
}

static void apply_plain(const isg_factors *f, const float *moment, float *out, const float *in, size_t n)
{
    const size_t rows = (size_t)f->taps * f->ci;
    if (f->depthwise) {
        apply_depthwise(f, moment, out, in, n);
    } else {
        isgi_sgemm(0, 0, rows, n, rows, 1.0f, moment, rows, in, n, 0.0f, out, n);
    }
}

static double dot(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

isg_status isgi_moment_energy(double *out, const isg_factors *f, const float *moment, const float *d, isg_error *err)
{
    const size_t n = (size_t)f->taps * f->ci * f->co;
    float *md;
    if (!moment) {
        *out = dot(d, d, n);
        return ISG_OK;
    }
    md = isgi_malloc(n * sizeof *md);
    if (!md) return isgi_nomem(err);
    apply_plain(f, moment, md, d, f->co);
    *out = fmax(dot(d, md, n), 0.0);
    isg_free(md);
    return ISG_OK;
}

static float diagonal(const isgi_als *a, size_t row)
{
    const size_t taps = a->f->taps, ci = a->f->ci;
    if (!a->moment) return 1.0f;
    if (!a->f->depthwise) return a->moment[row * a->rows + row] + a->ridge;
    return a->moment[(row % ci) * taps * taps + (row / ci) * (taps + 1)] + a->ridge;
}

void isgi_als_apply(const isgi_als *a, float *out, const float *in, size_t n)
{
    if (!a->moment) {
        memcpy(out, in, a->rows * n * sizeof *out);
        return;
    }
    apply_plain(a->f, a->moment, out, in, n);
    for (size_t i = 0; i < a->rows * n; i++) out[i] += a->ridge * in[i];
}

isg_status isgi_als_init(isgi_als *a, const isg_factors *f, const float *w, const float *moment, isg_error *err)
{
    size_t level1, total;
    double trace = 0;
    memset(a, 0, sizeof *a);
    a->f = f;
    a->w = w;
    a->moment = moment;
    a->rows = (size_t)f->taps * f->ci;
    a->cols = f->co;
    a->rank = f->level2 ? f->bo : f->co;
    a->nb = (size_t)f->basis.rows * f->basis.cols;
    a->nu = (size_t)f->u.rows * f->u.cols;
    a->nv = (size_t)f->v.rows * f->v.cols;
    for (size_t r = 0; moment && r < a->rows; r++) trace += (double)diagonal(a, r);
    a->ridge = (float)(MOMENT_RIDGE * trace / (double)a->rows);
    level1 = a->rows * a->rank;
    total = a->nb + a->nu + a->nv + 4 * level1 + a->rank * a->rank + 4 * (a->nb > a->nu ? a->nb : a->nu);
    a->buffer = isgi_calloc(total, sizeof(float));
    a->owned_mw = moment ? isgi_malloc(a->rows * a->cols * sizeof(float)) : NULL;
    if (!a->buffer || (moment && !a->owned_mw)) {
        isgi_als_clear(a);
        return isgi_nomem(err);
    }
    a->b = a->buffer;
    a->u = a->b + a->nb;
    a->v = a->u + a->nu;
    a->c = a->v + a->nv;
    a->mc = a->c + level1;
    a->gv = a->mc + level1;
    a->s = a->gv + level1;
    a->work = a->s + a->rank * a->rank;
    if (!a->nu) a->u = NULL;
    if (!a->nv) a->v = NULL;
    if (moment) {
        isgi_als_apply(a, a->owned_mw, w, a->cols);
        a->mw = a->owned_mw;
    } else {
        a->mw = (float *)w;
    }
    a->energy = dot(a->mw, w, a->rows * a->cols);
    return ISG_OK;
}

void isgi_als_clear(isgi_als *a)
{
    isg_free(a->buffer);
    isg_free(a->owned_mw);
    memset(a, 0, sizeof *a);
}

void isgi_als_level1(isgi_als *a)
{
    if (a->f->level1) {
        isgi_level1_forward(a->c, a->f, a->b, a->u);
    } else {
        memcpy(a->c, a->b, a->nb * sizeof *a->c);
    }
    isgi_als_apply(a, a->mc, a->c, a->rank);
}

/* M W V^T and V V^T. */
static void prepare_v(isgi_als *a)
{
    if (!a->v) {
        memcpy(a->gv, a->mw, a->rows * a->rank * sizeof *a->gv);
        return;
    }
    isgi_sgemm(0, 1, a->rows, a->rank, a->cols, 1.0f, a->mw, a->cols, a->v, a->cols, 0.0f, a->gv, a->rank);
    isgi_sgemm(0, 1, a->rank, a->rank, a->cols, 1.0f, a->v, a->cols, a->v, a->cols, 0.0f, a->s, a->rank);
}

/* out = in S, or a copy without level 2. */
static void times_s(const isgi_als *a, float *out, const float *in)
{
    if (a->v) {
        isgi_sgemm(0, 0, a->rows, a->rank, a->rank, 1.0f, in, a->rank, a->s, a->rank, 0.0f, out, a->rank);
    } else {
        memcpy(out, in, a->rows * a->rank * sizeof *out);
    }
}

void isgi_als_measure(isgi_als *a)
{
    const size_t n = a->rows * a->rank;
    isgi_als_level1(a);
    prepare_v(a);
    times_s(a, a->work, a->mc);
    a->objective = a->energy - 2.0 * dot(a->c, a->gv, n) + dot(a->c, a->work, n);
}

isg_status isgi_als_solve_v(isgi_als *a, isg_error *err)
{
    const size_t rank = a->rank, cols = a->cols;
    float *hf, *bf;
    double *h, *b;
    isg_status status;
    if (!a->v) {
        isgi_als_measure(a);
        return ISG_OK;
    }
    isgi_als_level1(a);
    hf = isgi_malloc((rank * rank + rank * cols) * sizeof *hf);
    h = isgi_malloc((rank * rank + rank * cols) * sizeof *h);
    if (!hf || !h) {
        status = isgi_nomem(err);
        goto done;
    }
    bf = hf + rank * rank;
    b = h + rank * rank;
    isgi_sgemm(1, 0, rank, rank, a->rows, 1.0f, a->c, rank, a->mc, rank, 0.0f, hf, rank);
    isgi_sgemm(1, 0, rank, cols, a->rows, 1.0f, a->c, rank, a->mw, cols, 0.0f, bf, cols);
    for (size_t i = 0; i < rank; i++) {
        for (size_t j = 0; j < rank; j++) h[i * rank + j] = 0.5 * ((double)hf[i * rank + j] + (double)hf[j * rank + i]);
    }
    for (size_t i = 0; i < rank * cols; i++) b[i] = (double)bf[i];
    status = isgi_solve_spd(h, rank, b, cols, SOLVE_RIDGE, err);
    if (status != ISG_OK) goto done;
    for (size_t i = 0; i < rank * cols; i++) a->v[i] = (float)b[i];
    prepare_v(a);
    times_s(a, a->work, a->mc);
    a->objective = a->energy - 2.0 * dot(a->c, a->gv, a->rows * rank) + dot(a->c, a->work, a->rows * rank);
done:
    isg_free(hf);
    isg_free(h);
    return status;
}

/* One over the diagonal of the quadratic form in u (or in b). */
static void preconditioner(const isgi_als *a, float *p, int of_u)
{
    const isg_factors *f = a->f;
    const size_t bo = f->bo, width = (size_t)f->bi * bo, n = of_u ? a->nu : a->nb;
    for (size_t i = 0; i < n; i++) p[i] = 0.0f;
    for (size_t t = 0; t < f->taps; t++) {
        for (size_t c = 0; c < f->ci; c++) {
            const float d = diagonal(a, t * f->ci + c);
            const float *other = of_u ? a->b + t * width : a->u + c * width;
            float *to = p + (of_u ? c : t) * width;
            for (size_t i = 0; i < width; i++) to[i] += d * other[i] * other[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        const float s = a->v ? a->s[(i % bo) * (bo + 1)] : 1.0f;
        p[i] = p[i] * s > 0.0f ? 1.0f / (p[i] * s) : 0.0f;
    }
}

/* Conjugate gradients on min over x of the objective, x = u or b; c, mc, gv and s are current. */
static void descend(isgi_als *a, int of_u, uint32_t steps)
{
    const isg_factors *f = a->f;
    const size_t n = of_u ? a->nu : a->nb, level1 = a->rows * a->rank;
    float *x = of_u ? a->u : a->b, *r = a->work + level1, *z = r + n, *d = z + n, *p = d + n;
    double rz = 0;
    preconditioner(a, p, of_u);
    times_s(a, a->work, a->mc);
    for (size_t i = 0; i < level1; i++) a->work[i] = a->gv[i] - a->work[i];
    isgi_level1_backward(f, a->work, a->b, a->u, of_u ? NULL : r, of_u ? r : NULL);
    for (uint32_t k = 0; k < steps; k++) {
        double rz_new = 0, curvature, alpha;
        for (size_t i = 0; i < n; i++) {
            z[i] = p[i] * r[i];
            rz_new += (double)z[i] * (double)r[i];
        }
        if (!(rz_new > 0)) break;
        for (size_t i = 0; i < n; i++) d[i] = z[i] + (k ? (float)(rz_new / rz) * d[i] : 0.0f);
        rz = rz_new;
        isgi_level1_forward(a->c, f, of_u ? a->b : d, of_u ? d : a->u);
        isgi_als_apply(a, a->mc, a->c, a->rank);
        times_s(a, a->work, a->mc);
        curvature = dot(a->c, a->work, level1);
        if (!(curvature > 0)) break;
        alpha = rz / curvature;
        for (size_t i = 0; i < n; i++) x[i] += (float)alpha * d[i];
        isgi_level1_backward(f, a->work, a->b, a->u, of_u ? NULL : z, of_u ? z : NULL);
        for (size_t i = 0; i < n; i++) r[i] -= (float)alpha * z[i];
    }
}

isg_status isgi_als_solve_u(isgi_als *a, uint32_t steps, isg_error *err)
{
    (void)err;
    if (!a->u) return ISG_OK;
    isgi_als_level1(a);
    prepare_v(a);
    descend(a, 1, steps);
    return ISG_OK;
}

/* Level 1 off: the best C for a given V is W V^T (V V^T)^-1, whatever the moment. */
static isg_status solve_basis(isgi_als *a, isg_error *err)
{
    const size_t rank = a->rank, rows = a->rows;
    double *s, *t;
    isg_status status;
    if (!a->v) {
        memcpy(a->b, a->w, a->nb * sizeof *a->b);
        return ISG_OK;
    }
    s = isgi_malloc((rank * rank + rank * rows) * sizeof *s);
    if (!s) return isgi_nomem(err);
    t = s + rank * rank;
    prepare_v(a);
    isgi_sgemm(0, 1, rows, rank, a->cols, 1.0f, a->w, a->cols, a->v, a->cols, 0.0f, a->work, rank);
    for (size_t i = 0; i < rank * rank; i++) s[i] = (double)a->s[i];
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < rank; o++) t[o * rows + r] = (double)a->work[r * rank + o];
    }
    status = isgi_solve_spd(s, rank, t, rows, SOLVE_RIDGE, err);
    for (size_t r = 0; status == ISG_OK && r < rows; r++) {
        for (size_t o = 0; o < rank; o++) a->b[r * rank + o] = (float)t[o * rows + r];
    }
    isg_free(s);
    return status;
}

isg_status isgi_als_solve_b(isgi_als *a, uint32_t steps, isg_error *err)
{
    if (!a->f->level1) return solve_basis(a, err);
    isgi_als_level1(a);
    prepare_v(a);
    descend(a, 0, steps);
    return ISG_OK;
}

isg_status isgi_als_run(isgi_als *a, uint32_t sweeps, uint32_t *done, isg_error *err)
{
    isg_status status = isgi_als_solve_v(a, err);
    uint32_t k = 0;
    for (; k < sweeps && status == ISG_OK; k++) {
        const double before = a->objective;
        status = isgi_cancelled(a->progress, err);
        if (status == ISG_OK) status = isgi_als_solve_b(a, B_STEPS, err);
        if (status == ISG_OK) status = isgi_als_solve_u(a, U_STEPS, err);
        if (status == ISG_OK) status = isgi_als_solve_v(a, err);
        if (status == ISG_OK && before - a->objective <= STALL * before) {
            k++;
            break;
        }
    }
    *done += k;
    return status;
}
