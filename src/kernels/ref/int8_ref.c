/* SPDX-License-Identifier: Apache-2.0 */
/* The integer kernels in plain C: the oracle that every instruction set equals bit for bit. */
#include "kernels/kernels.h"
#include "kernels/ref/finish.h"

/* Round to nearest, ties to even, for |x| < 2^22. */
static int32_t int8_round(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: the sum has no fraction bits */
    return (int32_t)((x + magic) - magic);
}

static float int8_clamp(float x, float lo, float hi)
{
    x = x > lo ? x : lo;
    return x < hi ? x : hi;
}

void isgk_unpack_s8__ref(int8_t *dst, const uint8_t *src, size_t src_bytes, size_t n, uint32_t bits, int32_t add)
{
    const uint32_t mask = (1u << bits) - 1u;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bit = (uint64_t)i * bits;
        const size_t byte = (size_t)(bit >> 3);
        const uint32_t shift = (uint32_t)(bit & 7u);
        uint32_t word = src[byte];
        if (shift + bits > 8u && byte + 1 < src_bytes) word |= (uint32_t)src[byte + 1] << 8;
        dst[i] = (int8_t)((int32_t)((word >> shift) & mask) + add);
    }
}

void isgk_interleave_s8__ref(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    for (size_t i = 0; i < 4 * cols; i++) dst[i] = i % 4 < rows ? src[i % 4 * lds + i / 4] : 0;
}

void isgk_interleave_pairs_s8__ref(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    for (size_t i = 0; i < 8 * cols; i++) dst[i] = i % 4 < rows ? src[i % 4 * lds + i / 4 % 2 * cols + i / 8] : 0;
}

void isgk_quantise_u8__ref(uint8_t *dst, const float *src, size_t n, float inverse, int32_t zero)
{
    const float lo = (float)-zero, hi = (float)(255 - zero);
    for (size_t i = 0; i < n; i++) dst[i] = (uint8_t)(int8_round(int8_clamp(src[i] * inverse, lo, hi)) + zero);
}

void isgk_requantise_u8__ref(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                             const float *mul, float add)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++)
            dst[r * ldd + c] = (uint8_t)int8_round(int8_clamp((float)src[r * lds + c] * mul[c] + add, 0.0f, 255.0f));
}

void isgk_dequantise_f32__ref(float *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                              const float *mul, const float *add, const isgk_finish *finish)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            const float x = (float)src[r * lds + c] * mul[c] + add[c];
            dst[r * ldd + c] = finished(x, finish, r, c);
        }
    }
}

void isgk_recode_u8__ref(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                         const isgk_recode *to)
{
    const isgk_finish clamp = {NULL, NULL, 0, to->lo, to->hi};
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            const float x = finished((float)src[r * lds + c] * to->mul[c] + to->add[c], &clamp, r, c);
            isgk_quantise_u8__ref(dst + r * ldd + c, &x, 1, to->inverse, to->zero);
        }
    }
}

static int32_t code_value(int8_t b, const isgk_codes *codes)
{
    return codes->odd ? 2 * b + 1 : b;
}

void isgk_gemm_u8s8__ref(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb, size_t m,
                         size_t n, size_t k4, const int32_t *init, const isgk_codes *codes)
{
    for (size_t i = 0; i < m; i++) {
        int32_t *row = c + i * ldc;
        for (size_t j = 0; j < n; j++) row[j] = init[j];
        for (size_t g = 0; g < k4; g++) {
            const uint8_t *x = a + i * lda + 4 * g;
            const int8_t *w = b + 4 * g * ldb;
            for (size_t j = 0; j < 4 * n; j++) row[j / 4] += x[j % 4] * code_value(w[j], codes);
        }
    }
}

void isgk_dwconv_u8s8__ref(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step, size_t pixels,
                           size_t groups, const int8_t *weights, size_t channels, const int32_t *init,
                           const isgk_codes *codes)
{
    const size_t step = (channels + 63) / 64 * 256;
    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            const int8_t *w = weights + isgk_dw_slot(c);
            int32_t sum = init[c];
            for (size_t t = 0; t < 4 * groups; t++)
                sum += taps[t][p * pixel_step + c] * code_value(w[t / 4 * step + t % 4], codes);
            dst[p * ldd + c] = sum;
        }
    }
}

void isgk_dwpairs_u8s8__ref(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step, size_t pixels,
                            size_t tap_count, const int8_t *weights, size_t ldw, size_t channels, const int32_t *init,
                            const isgk_codes *codes)
{
    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            int32_t sum = init[c];
            for (size_t t = 0; t < tap_count; t++) {
                const uint8_t *x = taps[t] + p * pixel_step + 2 * c;
                const int8_t *w = weights + t * ldw + 2 * c;
                sum += x[0] * code_value(w[0], codes) + x[1] * code_value(w[1], codes);
            }
            dst[p * ldd + c] = sum;
        }
    }
}
