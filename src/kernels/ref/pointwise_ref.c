/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise arithmetic, softmax and transposition in plain C. */
#include "kernels/kernels.h"
#include "kernels/scalar.h"

#define SOFTMAX_CHAINS 16u

void isgk_binary_f32__ref(float *dst, const float *a, size_t a_step, const float *b, size_t b_step, size_t n,
                          isgk_binary_op op)
{
    for (size_t i = 0; i < n; i++) {
        const float x = a[i * a_step], y = b[i * b_step];
        switch (op) {
        case ISGK_BINARY_ADD: dst[i] = x + y; break;
        case ISGK_BINARY_SUB: dst[i] = x - y; break;
        case ISGK_BINARY_MUL: dst[i] = x * y; break;
        case ISGK_BINARY_DIV: dst[i] = x / y; break;
        }
    }
}

void isgk_affine_f32__ref(float *dst, size_t ldd, const float *src, size_t lds, const float *scale, const float *shift,
                          size_t rows, size_t channels)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < channels; c++) dst[r * ldd + c] = src[r * lds + c] * scale[c] + shift[c];
    }
}

void isgk_softmax_f32__ref(float *dst, size_t ldd, const float *src, size_t lds, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++) {
        const float *in = src + r * lds;
        float *out = dst + r * ldd;
        float best = ISGI_MINUS_INFINITY, sum[SOFTMAX_CHAINS] = {0.0f};
        for (size_t i = 0; i < n; i++) {
            if (in[i] > best) best = in[i];
        }
        for (size_t i = 0; i < n; i++) {
            out[i] = isgi_exp_negative(in[i] - best);
            sum[i % SOFTMAX_CHAINS] += out[i];
        }
        for (size_t half = SOFTMAX_CHAINS / 2; half; half /= 2) {
            for (size_t j = 0; j < half; j++) sum[j] += sum[j + half];
        }
        for (size_t i = 0; i < n; i++) out[i] = out[i] / sum[0];
    }
}

void isgk_transpose_f32__ref(float *dst, size_t ldd, const float *src, size_t lds, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) dst[c * ldd + r] = src[r * lds + c];
    }
}
