/* SPDX-License-Identifier: Apache-2.0 */
/* Second-order rounding with error feedback, and dense weights quantised by it. */
#include "factor/round.h"

#include "factor/linalg.h"
#include "host/alloc.h"
#include "quant/quantiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DAMPING 0.01
#define BLOCK 64u
#define SCALE_TRIES 3

typedef struct ranked_row {
    float weight;
    uint32_t index;
} ranked_row;

static int by_weight(const void *x, const void *y)
{
    const ranked_row *a = x, *b = y;
    if (a->weight != b->weight) return a->weight > b->weight ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

typedef struct feedback {
    size_t rows, cols;
    isg_quant_spec spec;
    ranked_row *order; /* rows by falling importance: the first ones have the most left to make up for them */
    double *factor;    /* R with A^-1 = R^T R, in that order */
    double *left;      /* [rows][cols] what is still to be rounded, in that order */
    double *error;     /* [BLOCK][cols] */
    float *diagonal;
} feedback;

static void feedback_clear(feedback *p)
{
    isg_free(p->order);
    isg_free(p->factor);
    isg_free(p->left);
    isg_free(p->error);
    isg_free(p->diagonal);
}

static isg_status feedback_init(feedback *p, size_t rows, size_t cols, const float *moment, isg_quant_spec spec,
                                isg_error *err)
{
    memset(p, 0, sizeof *p);
    p->rows = rows;
    p->cols = cols;
    p->spec = spec;
    p->order = isgi_calloc(rows, sizeof *p->order);
    p->factor = isgi_malloc(rows * rows * sizeof *p->factor);
    p->left = isgi_malloc(rows * cols * sizeof *p->left);
    p->error = isgi_malloc(BLOCK * cols * sizeof *p->error);
    p->diagonal = isgi_malloc(rows * sizeof *p->diagonal);
    if (!p->order || !p->factor || !p->left || !p->error || !p->diagonal) return isgi_nomem(err);
    for (size_t i = 0; i < rows; i++) {
        p->diagonal[i] = moment[i * rows + i];
        p->order[i] = (ranked_row){p->diagonal[i], (uint32_t)i};
    }
    qsort(p->order, rows, sizeof *p->order, by_weight);
    for (size_t i = 0; i < rows; i++) {
        const float *row = moment + (size_t)p->order[i].index * rows;
        for (size_t j = 0; j < rows; j++) p->factor[i * rows + j] = (double)row[p->order[j].index];
    }
    return isgi_inverse_cholesky(p->factor, rows, DAMPING, err);
}

static void round_all(feedback *p, float *y, const float *w, const float *scale)
{
    const size_t n = p->cols, rows = p->rows;
    for (size_t i = 0; i < rows; i++) {
        for (size_t c = 0; c < n; c++) p->left[i * n + c] = (double)w[p->order[i].index * n + c];
    }
    for (size_t first = 0; first < rows; first += BLOCK) {
        const size_t last = first + BLOCK < rows ? first + BLOCK : rows;
        for (size_t i = first; i < last; i++) {
            const double *r = p->factor + i * rows;
            double *x = p->left + i * n, *e = p->error + (i - first) * n;
            float *out = y + p->order[i].index * n;
            for (size_t c = 0; c < n; c++) {
                const float s = scale[p->spec.per_column ? c : 0];
                out[c] = isgi_level_nearest((float)x[c], s, p->spec.bits, p->spec.family) * s;
                e[c] = (x[c] - (double)out[c]) / r[i];
            }
            for (size_t j = i + 1; j < last; j++) {
                for (size_t c = 0; c < n; c++) p->left[j * n + c] -= r[j] * e[c];
            }
        }
        if (last < rows) {
            isgi_dgemm(1, 0, rows - last, n, last - first, -1.0, p->factor + first * rows + last, rows, p->error, n,
                       1.0, p->left + last * n, n);
        }
    }
}

/* Error of each column, or of all of them at index 0 where they share a scale. */
static isg_status column_errors(double *error, const float *y, const float *w, const float *moment, const feedback *p,
                                isg_error *err)
{
    const size_t n = p->cols, rows = p->rows;
    float *d = isgi_malloc(2 * rows * n * sizeof *d), *md = d ? d + rows * n : NULL;
    if (!d) return isgi_nomem(err);
    memset(error, 0, n * sizeof *error);
    for (size_t i = 0; i < rows * n; i++) d[i] = w[i] - y[i];
    isgi_sgemm(0, 0, rows, n, rows, 1.0f, moment, rows, d, n, 0.0f, md, n);
    for (size_t i = 0; i < rows * n; i++) error[p->spec.per_column ? i % n : 0] += (double)d[i] * (double)md[i];
    isg_free(d);
    return ISG_OK;
}

static void search_scales(float *scale, const float *w, size_t rows, size_t cols, const float *weight,
                          isg_quant_spec spec)
{
    if (spec.per_column) {
        for (size_t c = 0; c < cols; c++) scale[c] = isgi_scale_search(w + c, cols, weight, rows, spec);
    } else {
        scale[0] = isgi_scale_search(w, 1, NULL, rows * cols, spec);
    }
}

static void round_nearest(float *y, const float *scale, const float *w, size_t rows, size_t cols, isg_quant_spec spec)
{
    for (size_t i = 0; i < rows * cols; i++) {
        const float s = scale[spec.per_column ? i % cols : 0];
        y[i] = isgi_level_nearest(w[i], s, spec.bits, spec.family) * s;
    }
}

/* Keeps, column by column, the better of the best so far and a trial. */
static void keep_better(const feedback *p, float *y, float *scale, double *best, const float *trial_y,
                        const float *trial_scale, const double *trial)
{
    const size_t sets = p->spec.per_column ? p->cols : 1;
    for (size_t k = 0; k < sets; k++) {
        if (!(trial[k] < best[k])) continue;
        best[k] = trial[k];
        scale[k] = trial_scale[k];
        for (size_t i = k; i < p->rows * p->cols; i += sets) y[i] = trial_y[i];
    }
}

isg_status isgi_round_feedback(float *y, float *scale, const float *w, size_t rows, size_t cols, const float *moment,
                               isg_quant_spec spec, isg_error *err)
{
    static const float tries[SCALE_TRIES] = {1.0f, 0.9f, 1.1f};
    const size_t sets = spec.per_column ? cols : 1;
    float *trial_y = NULL, *first = NULL, *trial_scale = NULL;
    double *best = NULL;
    feedback p;
    isg_status status;

    memset(&p, 0, sizeof p);
    if (!moment) {
        search_scales(scale, w, rows, cols, NULL, spec);
        round_nearest(y, scale, w, rows, cols, spec);
        return ISG_OK;
    }
    status = feedback_init(&p, rows, cols, moment, spec, err);
    if (status != ISG_OK) goto done;
    trial_y = isgi_malloc(rows * cols * sizeof *trial_y);
    first = isgi_malloc(2 * sets * sizeof *first);
    best = isgi_malloc(2 * cols * sizeof *best);
    if (!trial_y || !first || !best) {
        status = isgi_nomem(err);
        goto done;
    }
    trial_scale = first + sets;
    search_scales(scale, w, rows, cols, NULL, spec);
    round_nearest(y, scale, w, rows, cols, spec);
    status = column_errors(best, y, w, moment, &p, err);
    search_scales(first, w, rows, cols, p.diagonal, spec);
    for (int k = 0; k < SCALE_TRIES && status == ISG_OK; k++) {
        for (size_t c = 0; c < sets; c++) trial_scale[c] = isgi_scale_stored(first[c] * tries[k], spec.scale_bits);
        round_all(&p, trial_y, w, trial_scale);
        status = column_errors(best + cols, trial_y, w, moment, &p, err);
        if (status == ISG_OK) keep_better(&p, y, scale, best, trial_y, trial_scale, best + cols);
    }
done:
    isg_free(trial_y);
    isg_free(first);
    isg_free(best);
    feedback_clear(&p);
    return status;
}
