/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd's transforms for any vector (vec_ISA.h). Numbers between the axes are more than registers: they go through
 * memory, and only what is done along one axis is unrolled. */
#include "kernels/kernels.h"
#include "kernels/simd/unroll.h"

#define WINOGRAD_INLINE static inline __attribute__((always_inline))
#define SIDE ISGK_WINOGRAD_SIDE
#define OUTPUTS ISGK_WINOGRAD_OUTPUTS

WINOGRAD_INLINE void input_line(vf o[SIDE], const vf d[SIDE])
{
    const vf four = vf_set1(4.0f), t = vf_sub(d[3], d[1]), s = vf_sub(d[4], d[2]), t2 = vf_add(t, t);
    const vf even = vf_sub(d[4], vf_mul(four, d[2])), odd = vf_sub(d[3], vf_mul(four, d[1]));
    o[0] = vf_add(vf_mul(four, vf_sub(d[0], d[2])), s);
    o[1] = vf_add(even, odd);
    o[2] = vf_sub(even, odd);
    o[3] = vf_add(s, t2);
    o[4] = vf_sub(s, t2);
    o[5] = vf_sub(vf_sub(d[5], d[3]), vf_mul(four, t));
}

void VF_KERNEL(winograd_input_f32)(float *points, size_t step, const float *const *pixels, size_t channels)
{
    const vf zero = vf_set1(0.0f);
    for (size_t at = 0; at < channels; at += VF_LANES) {
        const size_t c = channels - at < VF_LANES ? channels - VF_LANES : at; /* the last vector may repeat channels */
        vf half[SIDE][SIDE], in[SIDE], out[SIDE];
        for (size_t y = 0; y < SIDE; y++) {
            ISGI_UNROLL
            for (size_t x = 0; x < SIDE; x++) in[x] = pixels[SIDE * y + x] ? vf_load(pixels[SIDE * y + x] + c) : zero;
            input_line(half[y], in);
        }
        for (size_t x = 0; x < SIDE; x++) {
            ISGI_UNROLL
            for (size_t y = 0; y < SIDE; y++) in[y] = half[y][x];
            input_line(out, in);
            ISGI_UNROLL
            for (size_t y = 0; y < SIDE; y++) vf_store(points + (SIDE * y + x) * step + c, out[y]);
        }
    }
}

WINOGRAD_INLINE void weights_line(vf o[SIDE], const vf w[3])
{
    const vf minus = vf_set1(-1.0f / 6.0f), w0 = vf_mul(w[0], vf_set1(0.25f));
    const vf e = vf_mul(vf_add(w[0], w[2]), minus), p = vf_mul(w[1], minus);
    const vf e2 = vf_mul(vf_add(w0, w[2]), vf_set1(1.0f / 6.0f)), p2 = vf_mul(w[1], vf_set1(1.0f / 12.0f));
    o[0] = w0;
    o[1] = vf_add(e, p);
    o[2] = vf_sub(e, p);
    o[3] = vf_add(e2, p2);
    o[4] = vf_sub(e2, p2);
    o[5] = w[2];
}

void VF_KERNEL(winograd_weights_f32)(float *points, size_t step, const float *taps, size_t tap_step, size_t channels)
{
    for (size_t c = 0; c < channels; c += VF_LANES) {
        vf half[3][SIDE], in[3], out[SIDE];
        for (size_t y = 0; y < 3; y++) {
            ISGI_UNROLL
            for (size_t x = 0; x < 3; x++) in[x] = vf_load(taps + (3 * y + x) * tap_step + c);
            weights_line(half[y], in);
        }
        for (size_t x = 0; x < SIDE; x++) {
            ISGI_UNROLL
            for (size_t y = 0; y < 3; y++) in[y] = half[y][x];
            weights_line(out, in);
            ISGI_UNROLL
            for (size_t y = 0; y < SIDE; y++) vf_store(points + (SIDE * y + x) * step + c, out[y]);
        }
    }
}

WINOGRAD_INLINE void output_line(vf o[OUTPUTS], const vf m[SIDE])
{
    const vf s = vf_add(m[1], m[2]), d = vf_sub(m[1], m[2]), u = vf_add(m[3], m[4]), v = vf_sub(m[3], m[4]);
    o[0] = vf_add(vf_add(m[0], s), u);
    o[1] = vf_add(d, vf_add(v, v));
    o[2] = vf_add(s, vf_mul(u, vf_set1(4.0f)));
    o[3] = vf_add(vf_add(d, vf_mul(v, vf_set1(8.0f))), m[5]);
}

void VF_KERNEL(winograd_output_f32)(float *dst, size_t line, size_t ldd, const float *points, size_t step, size_t rows,
                                    size_t columns, size_t channels, const isgk_finish *finish)
{
    const vf lo = vf_set1(finish->lo), hi = vf_set1(finish->hi);
    for (size_t c = 0; c < channels; c += VF_LANES) {
        vf half[SIDE][OUTPUTS], in[SIDE], out[OUTPUTS];
        for (size_t x = 0; x < SIDE; x++) {
            ISGI_UNROLL
            for (size_t y = 0; y < SIDE; y++) in[y] = vf_load(points + (SIDE * y + x) * step + c);
            output_line(half[x], in);
        }
        for (size_t y = 0; y < rows; y++) {
            size_t at = y * line + c;
            ISGI_UNROLL
            for (size_t x = 0; x < SIDE; x++) in[x] = half[x][y];
            output_line(out, in);
            for (size_t x = 0; x < columns; x++, at += ldd) {
                vf sum = out[x];
                if (finish->bias) sum = vf_add(sum, vf_load(finish->bias + c));
                if (finish->residual) sum = vf_add(sum, vf_load(finish->residual + at));
                vf_store(dst + at, vf_min(hi, vf_max(lo, sum)));
            }
        }
    }
}
