/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of depthwise convolution, pooling and row reductions for any vector (vec_ISA.h): lanes are channels. */
#include "kernels/kernels.h"

#define TAPS_INLINE static inline __attribute__((always_inline))
#define TAPS_CHUNK 128u /* channels at a time, so that the weights of all taps stay in L1 */
#define TAPS_PIXELS 4   /* pixels that share a load of weights */

TAPS_INLINE void dwconv_tile(float *dst, size_t ldd, const float *const *taps, size_t tap_count, const float *weights,
                             size_t ldw, size_t c, size_t count, const int pixels, const int vectors)
{
    const int full = count == (size_t)vectors * VF_LANES;
    const vf_mask mask = vf_first(full ? VF_LANES : count);
    vf acc[TAPS_PIXELS][2];
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) acc[p][v] = vf_set1(0.0f);
    }
    for (size_t t = 0; t < tap_count; t++) {
        const float *row = weights + t * ldw + c;
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const size_t shift = (size_t)v * VF_LANES;
            const vf w = vectors > 1 ? vf_load(row + shift) : vf_load_some(row, mask);
#pragma GCC unroll 4
            for (int p = 0; p < pixels; p++) {
                const float *src = taps[(size_t)p * tap_count + t] + c;
                const vf x = vectors > 1 ? vf_load(src + shift) : vf_load_some(src, mask);
                acc[p][v] = vf_fma(x, w, acc[p][v]);
            }
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++) {
        float *out = dst + (size_t)p * ldd + c;
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            if (vectors > 1) {
                vf_store(out + (size_t)v * VF_LANES, acc[p][v]);
            } else {
                vf_store_some(out, mask, acc[p][v]);
            }
        }
    }
}

TAPS_INLINE void dwconv_pixels(float *dst, size_t ldd, const float *const *taps, size_t tap_count, const float *weights,
                               size_t ldw, size_t first, size_t end, const int pixels)
{
    size_t c = first;
    for (; end - c >= 2 * VF_LANES; c += 2 * VF_LANES) {
        dwconv_tile(dst, ldd, taps, tap_count, weights, ldw, c, 2 * VF_LANES, pixels, 2);
    }
    while (c < end) {
        const size_t count = end - c < VF_LANES ? end - c : VF_LANES;
        dwconv_tile(dst, ldd, taps, tap_count, weights, ldw, c, count, pixels, 1);
        c += count;
    }
}

void VF_KERNEL(dwconv_f32)(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                           const float *weights, size_t ldw, size_t channels)
{
    for (size_t c = 0; c < channels; c += TAPS_CHUNK) {
        const size_t end = channels - c < TAPS_CHUNK ? channels : c + TAPS_CHUNK;
        size_t p = 0;
        for (; pixels - p >= TAPS_PIXELS; p += TAPS_PIXELS) {
            dwconv_pixels(dst + p * ldd, ldd, taps + p * tap_count, tap_count, weights, ldw, c, end, TAPS_PIXELS);
        }
        for (; p < pixels; p++) {
            dwconv_pixels(dst + p * ldd, ldd, taps + p * tap_count, tap_count, weights, ldw, c, end, 1);
        }
    }
}

/* Maximum or sum over the taps that are not NULL, of `count` <= VF_LANES channels from c. */
TAPS_INLINE vf pool_vector(const float *const *taps, size_t tap_count, size_t c, size_t count, const int maximum)
{
    const vf_mask mask = vf_first(count);
    vf acc = vf_set1(maximum ? ISGI_MINUS_INFINITY : 0.0f);
    for (size_t t = 0; t < tap_count; t++) {
        vf x;
        if (!taps[t]) continue;
        x = count == VF_LANES ? vf_load(taps[t] + c) : vf_load_some(taps[t] + c, mask);
        acc = maximum ? vf_max(x, acc) : vf_add(acc, x);
    }
    return acc;
}

TAPS_INLINE void pool_pixel(float *dst, const float *const *taps, size_t tap_count, size_t channels, const float *scale,
                            const int maximum)
{
    size_t c = 0;
    for (; channels - c >= VF_LANES; c += VF_LANES) {
        const vf acc = pool_vector(taps, tap_count, c, VF_LANES, maximum);
        vf_store(dst + c, maximum ? acc : vf_mul(acc, vf_set1(*scale)));
    }
    if (c < channels) {
        const vf acc = pool_vector(taps, tap_count, c, channels - c, maximum);
        vf_store_some(dst + c, vf_first(channels - c), maximum ? acc : vf_mul(acc, vf_set1(*scale)));
    }
}

void VF_KERNEL(maxpool_f32)(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                            size_t channels)
{
    for (size_t p = 0; p < pixels; p++) pool_pixel(dst + p * ldd, taps + p * tap_count, tap_count, channels, NULL, 1);
}

void VF_KERNEL(avgpool_f32)(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                            size_t channels, const float *scale)
{
    for (size_t p = 0; p < pixels; p++) {
        pool_pixel(dst + p * ldd, taps + p * tap_count, tap_count, channels, scale + p, 0);
    }
}

TAPS_INLINE vf rows_step(vf acc, vf x, const int maximum)
{
    return maximum ? vf_max(x, acc) : vf_add(acc, x);
}

/* Four vectors of channels at a time: as many chains, and whole cache lines of a row. */
TAPS_INLINE void rows_reduce(float *dst, const float *src, size_t lds, size_t rows, size_t channels, const int maximum)
{
    const vf start = vf_set1(maximum ? ISGI_MINUS_INFINITY : 0.0f);
    size_t c = 0;
    for (; channels - c >= 4 * VF_LANES; c += 4 * VF_LANES) {
        vf acc[4] = {start, start, start, start};
        for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                acc[v] = rows_step(acc[v], vf_load(src + r * lds + c + (size_t)v * VF_LANES), maximum);
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) vf_store(dst + c + (size_t)v * VF_LANES, acc[v]);
    }
    while (c < channels) {
        const size_t count = channels - c < VF_LANES ? channels - c : VF_LANES;
        const vf_mask mask = vf_first(count);
        vf acc = start;
        for (size_t r = 0; r < rows; r++) acc = rows_step(acc, vf_load_some(src + r * lds + c, mask), maximum);
        vf_store_some(dst + c, mask, acc);
        c += count;
    }
}

void VF_KERNEL(rowsum_f32)(float *dst, const float *src, size_t lds, size_t rows, size_t channels)
{
    rows_reduce(dst, src, lds, rows, channels, 0);
}

void VF_KERNEL(rowmax_f32)(float *dst, const float *src, size_t lds, size_t rows, size_t channels)
{
    rows_reduce(dst, src, lds, rows, channels, 1);
}
