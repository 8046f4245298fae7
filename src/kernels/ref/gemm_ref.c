/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product in plain C: the oracle of every gemm_f32. */
#include "kernels/kernels.h"
#include "kernels/ref/finish.h"

void isgk_gemm_f32__ref(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t m,
                        size_t n, size_t k, int accumulate)
{
    for (size_t i = 0; i < m; i++) {
        float *row = c + i * ldc;
        if (!accumulate) {
            for (size_t j = 0; j < n; j++) row[j] = 0.0f;
        }
        for (size_t p = 0; p < k; p++) {
            const float x = a[i * lda + p];
            const float *src = b + p * ldb;
            for (size_t j = 0; j < n; j++) row[j] += x * src[j];
        }
    }
}

void isgk_gemm_panels_f32__ref(float *c, size_t ldc, const float *a, size_t lda, const float *panels, size_t m,
                               size_t n, size_t k, const isgk_finish *finish, const isgk_runs *runs, int goes_on)
{
    const isgk_runs whole = {k, 0}, r = runs ? *runs : whole;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            const float *b = panels + j / ISGK_PANEL * ISGK_PANEL * k + j % ISGK_PANEL;
            float x = goes_on ? c[i * ldc + j] : 0.0f;
            for (size_t p = 0; p < k; p++) x += a[i * lda + p / r.run * r.step + p % r.run] * b[p * ISGK_PANEL];
            c[i * ldc + j] = finished(x, finish, i, j);
        }
    }
}
