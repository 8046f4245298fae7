/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution and pooling by indirection in plain C. */
#include "kernels/kernels.h"
#include "kernels/ref/finish.h"
#include "kernels/scalar.h"

void isgk_dwconv_f32__ref(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                          const float *weights, size_t ldw, size_t channels)
{
    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            float sum = 0.0f;
            for (size_t t = 0; t < tap_count; t++) sum += taps[p * tap_count + t][c] * weights[t * ldw + c];
            dst[p * ldd + c] = sum;
        }
    }
}

void isgk_dwrow_f32__ref(float *dst, size_t ldd, const isgk_dwrow *g, size_t pixels, size_t channels,
                         const isgk_finish *finish)
{
    for (size_t x = 0; x < pixels; x++, dst += ldd) {
        for (size_t c = 0; c < channels; c++) dst[c] = 0.0f;
        for (size_t t = 0; t < g->kh * g->kw; t++) {
            const size_t column = x * g->stride + t % g->kw * g->dilation - g->left; /* wraps to a large number */
            const float *row = g->rows[t / g->kw], *w = g->weights + t * g->lists * g->ldw;
            if (!row || column >= g->width) continue;
            for (size_t i = 0; i < g->lists; i++, w += g->ldw) {
                const float *src = row + column * g->pixel_step + i * g->list_step;
                for (size_t c = 0; c < channels; c++) dst[c] += src[c] * w[c];
            }
        }
        for (size_t c = 0; finish && c < channels; c++) dst[c] = finished(dst[c], finish, x, c);
    }
}

void isgk_maxpool_f32__ref(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                           size_t channels)
{
    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            float best = ISGI_MINUS_INFINITY;
            for (size_t t = 0; t < tap_count; t++) {
                const float *src = taps[p * tap_count + t];
                if (src && src[c] > best) best = src[c];
            }
            dst[p * ldd + c] = best;
        }
    }
}

void isgk_avgpool_f32__ref(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                           size_t channels, const float *scale)
{
    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            float sum = 0.0f;
            for (size_t t = 0; t < tap_count; t++) {
                const float *src = taps[p * tap_count + t];
                if (src) sum += src[c];
            }
            dst[p * ldd + c] = sum * scale[p];
        }
    }
}

void isgk_rowsum_f32__ref(float *dst, const float *src, size_t lds, size_t rows, size_t channels)
{
    for (size_t c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (size_t r = 0; r < rows; r++) sum += src[r * lds + c];
        dst[c] = sum;
    }
}

void isgk_rowmax_f32__ref(float *dst, const float *src, size_t lds, size_t rows, size_t channels)
{
    for (size_t c = 0; c < channels; c++) {
        float best = ISGI_MINUS_INFINITY;
        for (size_t r = 0; r < rows; r++) {
            if (src[r * lds + c] > best) best = src[r * lds + c];
        }
        dst[c] = best;
    }
}
