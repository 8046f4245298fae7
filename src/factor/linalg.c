/* SPDX-License-Identifier: Apache-2.0 */
/* Dense linear algebra on LAPACK, single-threaded so that results do not depend on the number of threads. */
#include "factor/linalg.h"

#include "host/alloc.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

/* Threads of OpenBLAS are a setting of the whole process: while calls of ours run it is one, then what it was. */
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned callers;
static int threads_before;

static void one_thread_begin(void)
{
    pthread_mutex_lock(&threads_lock);
    if (callers++ == 0) {
        threads_before = openblas_get_num_threads();
        if (threads_before != 1) openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&threads_lock);
}

static void one_thread_end(void)
{
    pthread_mutex_lock(&threads_lock);
    if (--callers == 0 && threads_before != 1) openblas_set_num_threads(threads_before);
    pthread_mutex_unlock(&threads_lock);
}

static CBLAS_TRANSPOSE op(int transposed)
{
    return transposed ? CblasTrans : CblasNoTrans;
}

void isgi_sgemm(int trans_a, int trans_b, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    one_thread_begin();
    cblas_sgemm(CblasRowMajor, op(trans_a), op(trans_b), (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b,
                (blasint)ldb, beta, c, (blasint)ldc);
    one_thread_end();
}

void isgi_dgemm(int trans_a, int trans_b, size_t m, size_t n, size_t k, double alpha, const double *a, size_t lda,
                const double *b, size_t ldb, double beta, double *c, size_t ldc)
{
    one_thread_begin();
    cblas_dgemm(CblasRowMajor, op(trans_a), op(trans_b), (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b,
                (blasint)ldb, beta, c, (blasint)ldc);
    one_thread_end();
}

static isg_status lapack_failed(lapack_int info, const char *what, isg_error *err)
{
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR) return isgi_nomem(err);
    if (info < 0) return isgi_fail(err, ISG_E_NUMERIC, "the %s met numbers that are not finite", what);
    return isgi_fail(err, ISG_E_NUMERIC, "the %s did not converge (info %d)", what, (int)info);
}

isg_status isgi_svd(double *a, size_t m, size_t n, double *u, double *s, double *vt, isg_error *err)
{
    const size_t r = m < n ? m : n;
    lapack_int info;
    one_thread_begin();
    /* Row-major [m][n] is the column-major transpose: its left vectors are our right ones, and no copy is made. */
    info = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', (lapack_int)n, (lapack_int)m, a, (lapack_int)n, s, vt, (lapack_int)n,
                          u, (lapack_int)r);
    one_thread_end();
    return info == 0 ? ISG_OK : lapack_failed(info, "singular value decomposition", err);
}

isg_status isgi_eigen(double *a, size_t n, double *w, isg_error *err)
{
    lapack_int info;
    one_thread_begin();
    info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', (lapack_int)n, a, (lapack_int)n, w);
    one_thread_end();
    if (info != 0) return lapack_failed(info, "eigenvalue decomposition", err);
    for (size_t i = 0; i < n / 2; i++) {
        const size_t j = n - 1 - i;
        const double keep = w[i];
        w[i] = w[j];
        w[j] = keep;
        cblas_dswap((blasint)n, a + i * n, 1, a + j * n, 1);
    }
    return ISG_OK;
}

/* Scales A to a unit diagonal plus the ridge and factorises; `scale` receives the factors. */
static lapack_int scaled_cholesky(double *l, const double *a, const double *scale, size_t n, double ridge)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) l[i * n + j] = a[i * n + j] * scale[i] * scale[j];
        l[i * n + i] = 1.0 + ridge;
    }
    return LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (lapack_int)n, l, (lapack_int)n);
}

isg_status isgi_solve_spd(double *a, size_t n, double *b, size_t m, double ridge, isg_error *err)
{
    double *l = isgi_malloc((n * n + n) * sizeof *l), *scale;
    lapack_int info = 1;
    if (!l) return isgi_nomem(err);
    scale = l + n * n;
    one_thread_begin();
    for (size_t i = 0; i < n; i++) scale[i] = a[i * n + i] > 0 ? 1.0 / sqrt(a[i * n + i]) : 0.0;
    for (int attempt = 0; attempt < 12 && info != 0; attempt++) {
        info = scaled_cholesky(l, a, scale, n, ridge);
        ridge = ridge > 0 ? ridge * 10 : 1e-12;
    }
    if (info == 0) {
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < m; j++) b[i * m + j] *= scale[i];
        }
        /* L as seen column-major, lower; row-major that is an upper factor: solve L then L^T. */
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, (blasint)n, (blasint)m, 1.0, l,
                    (blasint)n, b, (blasint)m);
        cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, (blasint)n, (blasint)m, 1.0, l,
                    (blasint)n, b, (blasint)m);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < m; j++) b[i * m + j] *= scale[i];
        }
    }
    one_thread_end();
    isg_free(l);
    return info == 0 ? ISG_OK : lapack_failed(info, "Cholesky factorisation", err);
}

isg_status isgi_inverse_cholesky(double *a, size_t n, double damping, isg_error *err)
{
    double mean = 0;
    lapack_int info;
    for (size_t i = 0; i < n; i++) mean += a[i * n + i] / (double)n;
    if (!(mean > 0) || !isfinite(mean)) return isgi_fail(err, ISG_E_NUMERIC, "a second moment is zero or not finite");
    for (size_t i = 0; i < n; i++) a[i * n + i] += damping * mean;
    one_thread_begin();
    info = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (lapack_int)n, a, (lapack_int)n);
    if (info == 0) info = LAPACKE_dpotri(LAPACK_COL_MAJOR, 'L', (lapack_int)n, a, (lapack_int)n);
    /* Column-major L with A^-1 = L L^T reads as row-major R = L^T. */
    if (info == 0) info = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (lapack_int)n, a, (lapack_int)n);
    one_thread_end();
    if (info != 0) return lapack_failed(info, "Cholesky factorisation", err);
    for (size_t i = 1; i < n; i++) memset(a + i * n, 0, i * sizeof *a);
    return ISG_OK;
}
