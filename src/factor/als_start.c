/* SPDX-License-Identifier: Apache-2.0 */
/* Starting points of the factorisation: singular value decomposition of the weight or of its outputs (SPEC 7). */
#include "factor/als.h"
#include "factor/linalg.h"
#include "host/alloc.h"

#include <math.h>
#include <string.h>

/* V := the left singular vectors of the paper's Co x (Ci k k) weight, C := the rest. */
static isg_status level2_by_svd(isgi_als *a, isg_error *err)
{
    const size_t rows = a->rows, cols = a->cols, r = rows < cols ? rows : cols;
    double *x = isgi_malloc((rows * cols + rows * r + r + r * cols) * sizeof *x), *u, *s, *vt;
    isg_status status;
    if (!x) return isgi_nomem(err);
    u = x + rows * cols;
    s = u + rows * r;
    vt = s + r;
    for (size_t i = 0; i < rows * cols; i++) x[i] = (double)a->w[i];
    status = isgi_svd(x, rows, cols, u, s, vt, err);
    for (size_t i = 0; status == ISG_OK && i < rows; i++) {
        for (size_t o = 0; o < a->rank; o++) a->c[i * a->rank + o] = o < r ? (float)(u[i * r + o] * s[o]) : 0.0f;
    }
    for (size_t i = 0; status == ISG_OK && i < a->rank * cols; i++) a->v[i] = i < r * cols ? (float)vt[i] : 0.0f;
    isg_free(x);
    return status;
}

/* V := the main directions of the layer's outputs, which span the best C in the norm of M. */
static isg_status level2_by_output(isgi_als *a, isg_error *err)
{
    const size_t n = a->cols;
    float *gram = isgi_malloc(n * n * sizeof *gram);
    double *g = isgi_malloc((n * n + n) * sizeof *g);
    isg_status status = gram && g ? ISG_OK : isgi_nomem(err);
    if (status == ISG_OK) {
        isgi_sgemm(1, 0, n, n, a->rows, 1.0f, a->w, n, a->mw, n, 0.0f, gram, n);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) g[i * n + j] = 0.5 * ((double)gram[i * n + j] + (double)gram[j * n + i]);
        }
        status = isgi_eigen(g, n, g + n * n, err);
    }
    if (status == ISG_OK) {
        for (size_t i = 0; i < a->rank * n; i++) a->v[i] = (float)g[i];
        isgi_sgemm(0, 1, a->rows, a->rank, n, 1.0f, a->w, n, a->v, n, 0.0f, a->c, a->rank);
    }
    isg_free(gram);
    isg_free(g);
    return status;
}

/* Each column of C as a Ci x k^2 matrix P S Q^T: U_i := P S, b_i := Q^T, cut at Bi. */
static isg_status level1_by_svd(isgi_als *a, isg_error *err)
{
    const size_t ci = a->f->ci, taps = a->f->taps, r = ci < taps ? ci : taps, bo = a->rank;
    const size_t bi = a->f->bi, width = bi * bo;
    double *x = isgi_malloc((ci * taps + ci * r + r + r * taps) * sizeof *x), *u, *s, *vt;
    isg_status status = ISG_OK;
    if (!x) return isgi_nomem(err);
    u = x + ci * taps;
    s = u + ci * r;
    vt = s + r;
    for (size_t o = 0; o < bo && status == ISG_OK; o++) {
        for (size_t c = 0; c < ci; c++) {
            for (size_t t = 0; t < taps; t++) x[c * taps + t] = (double)a->c[(t * ci + c) * bo + o];
        }
        status = isgi_svd(x, ci, taps, u, s, vt, err);
        for (size_t i = 0; i < bi && status == ISG_OK; i++) {
            for (size_t c = 0; c < ci; c++) a->u[c * width + i * bo + o] = (float)(u[c * r + i] * s[i]);
            for (size_t t = 0; t < taps; t++) a->b[t * width + i * bo + o] = (float)vt[i * taps + t];
        }
    }
    isg_free(x);
    return status;
}

isg_status isgi_als_start(isgi_als *a, int by_output, isg_error *err)
{
    isg_status status = ISG_OK;
    if (a->f->level2) {
        status = by_output ? level2_by_output(a, err) : level2_by_svd(a, err);
    } else {
        memcpy(a->c, a->w, a->rows * a->cols * sizeof *a->c);
    }
    if (status != ISG_OK) return status;
    if (a->f->level1) return level1_by_svd(a, err);
    memcpy(a->b, a->c, a->nb * sizeof *a->b);
    return ISG_OK;
}
