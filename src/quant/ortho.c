/* SPDX-License-Identifier: Apache-2.0 */
/* Orthonormality loss of the factors and its gradient (SPEC section 5). */
#include "quant/ortho.h"

#include <insitu/factors.h>
#include <insitu/rt.h>

#include "cpu/cpu.h"
#include "host/alloc.h"
#include "kernels/kernels.h"

#include <math.h>

/* `count` vectors of `length` elements each, inside a stored factor. */
typedef struct vector_set {
    const float *x;
    float *dx; /* gradient to add to, or NULL */
    size_t count, length, vector_stride, element_stride;
    int normalise;
} vector_set;

typedef struct ortho_work {
    isgk_table k;
    float *rows, *columns, *gram, *norm; /* [count][length], its transpose, [count][count], [count] */
    float *product;                      /* [count][length] */
    void *buffer;
} ortho_work;

static int work_init(ortho_work *w, size_t count, size_t length)
{
    const size_t n = count * length;
    w->buffer = isgi_malloc((3 * n + count * count + count) * sizeof(float));
    if (!w->buffer) return 0;
    isgk_table_init(&w->k, isgi_cpu_effective_isa(ISG_ISA_ALL));
    w->rows = w->buffer;
    w->columns = w->rows + n;
    w->product = w->columns + n;
    w->gram = w->product + n;
    w->norm = w->gram + count * count;
    return 1;
}

/* Sum over all entries of (X X^T - I)^2, and dX = scale * E X (over the norm, which is a constant, if normalised). */
static double gram_term(ortho_work *w, const vector_set *s, double scale)
{
    const size_t n = s->count, len = s->length;
    double sum = 0;
    for (size_t v = 0; v < n; v++) {
        const float *x = s->x + v * s->vector_stride;
        double squares = 0;
        for (size_t e = 0; e < len; e++) squares += (double)x[e * s->element_stride] * (double)x[e * s->element_stride];
        w->norm[v] = s->normalise ? (float)sqrt(squares) + 1e-8f : 1.0f;
        for (size_t e = 0; e < len; e++) {
            w->rows[v * len + e] = x[e * s->element_stride] / w->norm[v];
            w->columns[e * n + v] = w->rows[v * len + e];
        }
    }
    w->k.gemm_f32(w->gram, n, w->rows, len, w->columns, n, n, n, len, 0);
    for (size_t v = 0; v < n; v++) w->gram[v * n + v] -= 1.0f;
    for (size_t i = 0; i < n * n; i++) sum += (double)w->gram[i] * (double)w->gram[i];
    if (!s->dx) return sum;
    w->k.gemm_f32(w->product, len, w->gram, n, w->rows, len, n, len, n, 0);
    for (size_t v = 0; v < n; v++) {
        float *dx = s->dx + v * s->vector_stride;
        const float factor = (float)(scale / (double)w->norm[v]);
        for (size_t e = 0; e < len; e++) dx[e * s->element_stride] += factor * w->product[v * len + e];
    }
    return sum;
}

/* One Gram matrix of Bi vectors for each of the Bo kernels; the mean is over all of them. */
static double level1_term(const isg_factor *x, float *dx, uint32_t bi, uint32_t bo, int normalise, double weight)
{
    const double entries = (double)bo * bi * bi;
    double sum = 0;
    ortho_work w;
    if (!work_init(&w, bi, x->rows)) return NAN;
    for (uint32_t o = 0; o < bo; o++) {
        const vector_set s = {x->master + o, dx ? dx + o : NULL, bi, x->rows, bo, x->cols, normalise};
        sum += gram_term(&w, &s, weight * 4.0 / entries);
    }
    isg_free(w.buffer);
    return weight * sum / entries;
}

static double level2_term(const vector_set *s, double weight)
{
    const double entries = (double)s->count * (double)s->count;
    double sum;
    ortho_work w;
    if (!work_init(&w, s->count, s->length)) return NAN;
    sum = gram_term(&w, s, weight * 4.0 / entries);
    isg_free(w.buffer);
    return weight * sum / entries;
}

double isgi_ortho_terms(const isg_factors *f, unsigned parts, double weight, float *db, float *du, float *dv)
{
    double loss = 0;
    if (f->level1 && f->bi >= 2) {
        if (parts & ISGI_ORTHO_BASIS) loss += level1_term(&f->basis, db, f->bi, f->bo, 0, weight);
        if (parts & ISGI_ORTHO_U) loss += level1_term(&f->u, du, f->bi, f->bo, 1, weight);
    }
    if (!f->level1 && f->level2 && (parts & ISGI_ORTHO_BASIS)) {
        const vector_set s = {f->basis.master, db, f->bo, f->basis.rows, 1, f->basis.cols, 0};
        loss += level2_term(&s, weight);
    }
    if (f->level2 && (parts & ISGI_ORTHO_V)) {
        const vector_set s = {f->v.master, dv, f->bo, f->co, f->co, 1, 1};
        loss += level2_term(&s, weight);
    }
    return loss;
}

double isg_factors_ortho(const isg_factors *f, double weight, float *db, float *du, float *dv)
{
    return isgi_ortho_terms(f, ISGI_ORTHO_BASIS | ISGI_ORTHO_U | ISGI_ORTHO_V, weight, db, du, dv);
}
