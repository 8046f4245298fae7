/* SPDX-License-Identifier: Apache-2.0 */
/* Dense linear algebra on LAPACK, single-threaded so that results do not depend on the number of threads. */
#ifndef INSITU_FACTOR_LINALG_H
#define INSITU_FACTOR_LINALG_H

#include <insitu/status.h>
#include <stddef.h>

/* C[m][n] = alpha op(A) op(B) + beta C, row-major, op is a transpose where the flag is set. */
void isgi_sgemm(int trans_a, int trans_b, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc);
void isgi_dgemm(int trans_a, int trans_b, size_t m, size_t n, size_t k, double alpha, const double *a, size_t lda,
                const double *b, size_t ldb, double beta, double *c, size_t ldc);

/* Thin SVD A [m][n] = U [m][r] diag(s) VT [r][n], row-major, r = min(m, n); destroys a. Errors: NUMERIC, NOMEM. */
ISG_NODISCARD isg_status isgi_svd(double *a, size_t m, size_t n, double *u, double *s, double *vt, isg_error *err);
/* Eigenvectors of a symmetric matrix a [n][n]: replaced by rows of eigenvectors, eigenvalues descending in w. */
ISG_NODISCARD isg_status isgi_eigen(double *a, size_t n, double *w, isg_error *err);
/* Solves (A + ridge diag(A)) X = B for symmetric positive A [n][n] (destroyed), B [n][m] replaced by X. The ridge grows
 * from `ridge` by tens until the factorisation succeeds; a zero diagonal gives a zero row. Error: NUMERIC. */
ISG_NODISCARD isg_status isgi_solve_spd(double *a, size_t n, double *b, size_t m, double ridge, isg_error *err);
/* Upper Cholesky factor R of the inverse of A + damping mean(diag A) I: A^-1 = R^T R, in place (lower part zero). */
ISG_NODISCARD isg_status isgi_inverse_cholesky(double *a, size_t n, double damping, isg_error *err);

#endif
