/* SPDX-License-Identifier: Apache-2.0 */
/* The public entries: factors from a dense weight by any method, dense rounding, and their error reports. */
#include <insitu/factors.h>
#include <insitu/rt.h>

#include "factor/als.h"
#include "factor/l2.h"
#include "factor/refit.h"
#include "factor/round.h"
#include "host/alloc.h"
#include "quant/factors_weight.h"
#include "quant/quantiser.h"

#include <math.h>
#include <string.h>

#define ALS_SWEEPS 20u
#define L2_STEPS 3000u
#define L2_RATE 2e-2f
#define L2_SCALE_EVERY 100u

static isg_status check_numbers(const isg_factors *f, const float *hwio, const float *moment, isg_error *err)
{
    const size_t rows = (size_t)f->taps * f->ci, n = rows * f->co;
    const size_t nm = f->depthwise ? rows * f->taps : rows * rows;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(hwio[i])) return isgi_fail(err, ISG_E_NUMERIC, "a weight holds a number that is not finite");
    }
    for (size_t i = 0; moment && i < nm; i++) {
        if (!isfinite(moment[i])) return isgi_fail(err, ISG_E_NUMERIC, "a second moment is not finite");
    }
    return ISG_OK;
}

/* Relative errors of W^ in the plain norm and in that of the moment; 0 for a zero weight. */
static isg_status relative_errors(const isg_factors *f, const float *hwio, const float *approximation,
                                  const float *moment, double *weight_error, double *output_error, isg_error *err)
{
    const size_t n = (size_t)f->taps * f->ci * f->co;
    double e[4] = {0, 0, 0, 0};
    isg_status status = ISG_OK;
    float *d = isgi_malloc(n * sizeof *d);
    if (!d) return isgi_nomem(err);
    for (size_t i = 0; i < n; i++) d[i] = hwio[i] - approximation[i];
    for (int k = 0; k < 4 && status == ISG_OK; k++) {
        status = isgi_moment_energy(&e[k], f, k < 2 ? NULL : moment, k % 2 ? hwio : d, err);
    }
    isg_free(d);
    if (status != ISG_OK) return status;
    *weight_error = e[1] > 0 ? e[0] / e[1] : 0.0;
    *output_error = e[3] > 0 ? e[2] / e[3] : 0.0;
    return ISG_OK;
}

static isg_status report_quantised(isg_factor_report *r, const isg_factors *f, const float *hwio, const float *moment,
                                   isg_error *err)
{
    float *w = isgi_malloc((size_t)f->taps * f->ci * f->co * sizeof *w);
    isg_status status = w ? isg_factors_weight(w, f, err) : isgi_nomem(err);
    if (status == ISG_OK) {
        status = relative_errors(f, hwio, w, moment, &r->weight_error, &r->output_error, err);
    }
    isg_free(w);
    return status;
}

static isg_status report_raw(isg_factor_report *r, const isgi_als *a, const float *hwio, const float *moment,
                             isg_error *err)
{
    float *w = isgi_malloc(a->rows * a->cols * sizeof *w);
    isg_status status = w ? isgi_factors_compose(w, a->f, a->b, a->u, a->v, ISG_ISA_ALL, err) : isgi_nomem(err);
    if (status == ISG_OK) {
        status = relative_errors(a->f, hwio, w, moment, &r->raw_weight_error, &r->raw_output_error, err);
    }
    isg_free(w);
    return status;
}

/* Keeps a's factors in `best` if their objective, with v solved for, is the least so far. */
static isg_status offer(isgi_als *a, float *best, double *least, isg_error *err)
{
    isg_status status = isgi_als_solve_v(a, err);
    if (status != ISG_OK || !(a->objective < *least)) return status;
    *least = a->objective;
    memcpy(best, a->b, (a->nb + a->nu + a->nv) * sizeof *best);
    return ISG_OK;
}

/* Descends from the best of: the SVD, the plain solution, the main directions of the outputs. The result is therefore
 * never worse in the norm of the moment than the ways that do not know the data. */
static isg_status run_als(isgi_als *a, uint32_t sweeps, uint32_t *done, isg_error *err)
{
    const size_t bytes = (a->nb + a->nu + a->nv) * sizeof(float);
    float *best = isgi_malloc(bytes);
    double least = INFINITY;
    uint32_t plain_sweeps = 0;
    isgi_als plain;
    isg_status status;
    if (!best) return isgi_nomem(err);
    memset(&plain, 0, sizeof plain);
    status = isgi_als_init(&plain, a->f, a->w, NULL, err);
    plain.progress = a->progress;
    /* Without a moment the main directions of the outputs are the singular vectors. */
    if (status == ISG_OK) status = isgi_als_start(&plain, 1, err);
    if (status == ISG_OK) memcpy(a->b, plain.b, bytes);
    if (a->moment) {
        if (status == ISG_OK) status = offer(a, best, &least, err);
        if (status == ISG_OK) status = isgi_als_run(&plain, sweeps, &plain_sweeps, err);
        if (status == ISG_OK) memcpy(a->b, plain.b, bytes);
        if (status == ISG_OK) status = offer(a, best, &least, err);
        if (status == ISG_OK) status = isgi_als_start(a, 1, err);
    }
    if (status == ISG_OK) status = offer(a, best, &least, err);
    if (status == ISG_OK) {
        memcpy(a->b, best, bytes);
        status = isgi_als_run(a, sweeps, done, err);
    }
    isgi_als_clear(&plain);
    isg_free(best);
    return status;
}

static isg_status run_l2(isg_factors *f, const float *hwio, const isg_factor_options *options, isg_error *err)
{
    isgi_l2_options o = {0};
    o.steps = options->iterations ? options->iterations : L2_STEPS;
    o.learning_rate = options->learning_rate > 0 ? options->learning_rate : L2_RATE;
    o.scale_every = L2_SCALE_EVERY;
    o.moment = options->moment;
    o.progress = options->progress;
    return isgi_l2_fit(f, hwio, &o, err);
}

static isg_status factorise(isg_factors *f, const float *hwio, const isg_factor_options *o, isg_factor_report *r,
                            isg_error *err)
{
    const uint32_t method = o->method ? o->method : ISG_FACTOR_ALS;
    isgi_als a;
    isg_status status = isgi_als_init(&a, f, hwio, o->moment, err);
    if (status != ISG_OK) return status;
    a.progress = o->progress;
    if (method == ISG_FACTOR_ALS) {
        status = run_als(&a, o->iterations ? o->iterations : ALS_SWEEPS, &r->iterations, err);
    } else {
        status = isgi_als_start(&a, 0, err);
    }
    if (status == ISG_OK) status = report_raw(r, &a, hwio, o->moment, err);
    if (status == ISG_OK) status = isgi_refit(f, &a, o->quantise_aware, err);
    isgi_als_clear(&a);
    if (status == ISG_OK && method == ISG_FACTOR_L2) {
        status = run_l2(f, hwio, o, err);
        r->iterations = o->iterations ? o->iterations : L2_STEPS;
    }
    return status;
}

isg_status isg_factorise(isg_factors *f, const float *hwio, const isg_factor_options *options,
                         isg_factor_report *report, isg_error *err)
{
    isg_factor_report r = {0};
    isg_factors *work = NULL;
    isg_status status;
    if (options->struct_size != sizeof *options)
        return isgi_fail(err, ISG_E_ARG, "factorisation options of another library version");
    if (options->method > ISG_FACTOR_L2)
        return isgi_fail(err, ISG_E_ARG, "no factorisation method %u", options->method);
    status = check_numbers(f, hwio, options->moment, err);
    if (status != ISG_OK) return status;
    if (!f->level1 && !f->level2) return isg_factor_round_dense(f, hwio, options->moment, report, err);
    status = isg_factors_clone(&work, f, err);
    if (status == ISG_OK) status = factorise(work, hwio, options, &r, err);
    if (status == ISG_OK) status = report_quantised(&r, work, hwio, options->moment, err);
    if (status == ISG_OK) {
        const isg_factors keep = *f;
        *f = *work;
        *work = keep;
        if (report) *report = r;
    }
    isg_factors_destroy(work);
    return status;
}

/* Columns of one group, contiguous. */
static void move_columns(float *dst, size_t dst_cols, const float *src, size_t src_cols, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) memcpy(dst + r * dst_cols, src + r * src_cols, cols * sizeof *dst);
}

static isg_status round_groups(isg_factor *b, const float *hwio, const float *moment, uint32_t groups, isg_error *err)
{
    const size_t rows = b->rows, all = b->cols, cols = all / groups;
    float *w = isgi_malloc(2 * rows * cols * sizeof *w), *y = w ? w + rows * cols : NULL;
    isg_status status = w ? isgi_scale_reserve(b, err) : isgi_nomem(err);
    for (size_t g = 0; g < groups && status == ISG_OK; g++) {
        const float *m = moment + g * rows * rows;
        move_columns(w, cols, hwio + g * cols, all, rows, cols);
        status = isgi_round_feedback(y, b->scale + g * cols, w, rows, cols, m, b->quant, err);
        if (status == ISG_E_NUMERIC) { /* an input that is always zero: nothing to weigh with */
            status = isgi_round_feedback(y, b->scale + g * cols, w, rows, cols, NULL, b->quant, err);
        }
        if (status == ISG_OK) move_columns(b->master + g * cols, all, y, cols, rows, cols);
    }
    isg_free(w);
    return status;
}

static isg_status round_dense(isg_factors *f, const float *hwio, const float *moment, uint32_t groups, isg_error *err)
{
    const isg_quant_spec q = f->basis.quant;
    const int grid = q.family == ISG_QUANT_MIDTREAD || q.family == ISG_QUANT_MIDRISE;
    const size_t n = (size_t)f->basis.rows * f->basis.cols;
    isg_status status;
    float *x;
    if (moment && grid && !f->depthwise && (groups == 1 || q.per_column)) {
        return round_groups(&f->basis, hwio, moment, groups, err);
    }
    x = isgi_malloc(n * sizeof *x);
    if (!x) return isgi_nomem(err);
    memcpy(x, hwio, n * sizeof *x);
    status = isgi_refit_store(&f->basis, x, err);
    isg_free(x);
    return status;
}

isg_status isg_factor_round_grouped(isg_factors *f, const float *hwio, const float *moment, uint32_t groups,
                                    isg_factor_report *report, isg_error *err)
{
    isg_factor_report r = {0};
    isg_factors *work = NULL;
    isg_status status;
    if (f->level1 || f->level2) return isgi_fail(err, ISG_E_ARG, "dense rounding of a weight that has factors");
    if (!groups || f->co % groups) return isgi_fail(err, ISG_E_ARG, "%u columns in %u groups", f->co, groups);
    status = isgi_quant_check(&f->basis, err);
    if (status == ISG_OK) status = check_numbers(f, hwio, groups == 1 ? moment : NULL, err);
    if (status == ISG_OK) status = isg_factors_clone(&work, f, err);
    if (status == ISG_OK) status = round_dense(work, hwio, moment, groups, err);
    if (status == ISG_OK) status = report_quantised(&r, work, hwio, groups == 1 ? moment : NULL, err);
    if (status == ISG_OK) {
        const isg_factors keep = *f;
        *f = *work;
        *work = keep;
        if (report) *report = r;
    }
    isg_factors_destroy(work);
    return status;
}

isg_status isg_factor_round_dense(isg_factors *f, const float *hwio, const float *moment, isg_factor_report *report,
                                  isg_error *err)
{
    return isg_factor_round_grouped(f, hwio, moment, 1, report, err);
}
