/* SPDX-License-Identifier: Apache-2.0 */
/* Between packed codes, bytes, sums and floats with NEON: the integer kernels around the products. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "base/mem.h"

#include <arm_neon.h>

/* ---- unpacking ---- */

/* For eight codes of one width: which two bytes hold each and how far right they go. */
typedef struct codes_plan {
    uint8x16_t bytes;
    int16x8_t shifts;
    uint16x8_t mask;
    int8x8_t add;
} codes_plan;

static codes_plan make_plan(uint32_t bits, int32_t add)
{
    uint8_t control[16];
    int16_t shift[8];
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t bit = i * bits;
        control[2 * i] = (uint8_t)(bit >> 3);
        control[2 * i + 1] = (uint8_t)((bit >> 3) + 1);
        shift[i] = (int16_t) - (int32_t)(bit & 7u);
    }
    return (codes_plan){vld1q_u8(control), vld1q_s16(shift), vdupq_n_u16((uint16_t)((1u << bits) - 1u)),
                        vdup_n_s8((int8_t)add)};
}

void isgk_unpack_s8__neon(int8_t *dst, const uint8_t *src, size_t src_bytes, size_t n, uint32_t bits, int32_t add)
{
    const codes_plan plan = make_plan(bits, add);
    while (n) {
        const size_t count = n < 8 ? n : 8, step = src_bytes < bits ? src_bytes : bits;
        uint8_t copy[16] = {0};
        int8_t rest[8];
        uint16x8_t codes;
        int8x8_t numbers;
        if (src_bytes < sizeof copy) memcpy(copy, src, src_bytes);
        codes = vreinterpretq_u16_u8(vqtbl1q_u8(vld1q_u8(src_bytes < sizeof copy ? copy : src), plan.bytes));
        codes = vandq_u16(vshlq_u16(codes, plan.shifts), plan.mask);
        numbers = vadd_s8(vreinterpret_s8_u8(vmovn_u16(codes)), plan.add);
        if (count == 8) {
            vst1_s8(dst, numbers);
        } else {
            vst1_s8(rest, numbers);
            memcpy(dst, rest, count);
        }
        n -= count;
        dst += count;
        src += step;
        src_bytes -= step;
    }
}

void isgk_interleave_s8__neon(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c += 16) {
        const size_t count = cols - c < 16 ? cols - c : 16;
        int8_t row[16] = {0}, all[64], *to = count < 16 ? all : dst + 4 * c;
        int8x16x4_t four;
        for (size_t r = 0; r < 4; r++) {
            if (r < rows && count < 16) memcpy(row, src + r * lds + c, count);
            four.val[r] = r >= rows ? vdupq_n_s8(0) : vld1q_s8(count < 16 ? row : src + r * lds + c);
        }
        vst4q_s8(to, four);
        if (count < 16) memcpy(dst + 4 * c, all, 4 * count);
    }
}

/* ---- floats and sums to codes ---- */

/* Eight integers 0 .. 255 as bytes, the first n stored. */
static inline void store_eight(uint8_t *dst, int32x4_t low, int32x4_t high, size_t n)
{
    const uint8x8_t bytes = vqmovun_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high)));
    uint8_t rest[8];
    if (n >= 8) {
        vst1_u8(dst, bytes);
    } else {
        vst1_u8(rest, bytes);
        memcpy(dst, rest, n);
    }
}

/* Ties to even. A NaN becomes the lower end. */
static inline int32x4_t clamp_round(float32x4_t x, float32x4_t lo, float32x4_t hi)
{
    return vcvtnq_s32_f32(vminq_f32(vmaxnmq_f32(x, lo), hi));
}

void isgk_quantise_u8__neon(uint8_t *dst, const float *src, size_t n, float inverse, int32_t zero)
{
    const float32x4_t scale = vdupq_n_f32(inverse), lo = vdupq_n_f32((float)-zero);
    const float32x4_t hi = vdupq_n_f32((float)(255 - zero));
    const int32x4_t offset = vdupq_n_s32(zero);
    for (size_t i = 0; i < n; i += 8) {
        const size_t count = n - i < 8 ? n - i : 8;
        float eight[8] = {0.0f};
        const float *x = src + i;
        if (count < 8) {
            memcpy(eight, x, count * sizeof *x);
            x = eight;
        }
        store_eight(dst + i, vaddq_s32(clamp_round(vmulq_f32(vld1q_f32(x), scale), lo, hi), offset),
                    vaddq_s32(clamp_round(vmulq_f32(vld1q_f32(x + 4), scale), lo, hi), offset), count);
    }
}

/* What one column block of a row needs, whole vectors of eight. */
typedef struct eight_columns {
    int32_t sums[8];
    float mul[8], add[8];
} eight_columns;

static inline float32x4_t scaled(const int32_t *sums, const float *mul, float32x4_t add)
{
    return vaddq_f32(vmulq_f32(vcvtq_f32_s32(vld1q_s32(sums)), vld1q_f32(mul)), add);
}

void isgk_requantise_u8__neon(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                              const float *mul, float add)
{
    const float32x4_t start = vdupq_n_f32(add), lo = vdupq_n_f32(0.0f), hi = vdupq_n_f32(255.0f);
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        for (size_t c = 0; c < cols; c += 8) {
            const size_t count = cols - c < 8 ? cols - c : 8;
            eight_columns copy = {{0}, {0.0f}, {0.0f}};
            const int32_t *sums = src + c;
            const float *m = mul + c;
            if (count < 8) {
                sums = memcpy(copy.sums, sums, count * sizeof *sums);
                m = memcpy(copy.mul, m, count * sizeof *m);
            }
            store_eight(dst + c, clamp_round(scaled(sums, m, start), lo, hi),
                        clamp_round(scaled(sums + 4, m + 4, start), lo, hi), count);
        }
    }
}

static inline float32x4_t finished(float32x4_t x, const isgk_finish *finish)
{
    const float32x4_t above = vmaxq_f32(x, vdupq_n_f32(finish->lo));
    return vminq_f32(above, vdupq_n_f32(finish->hi));
}

void isgk_recode_u8__neon(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                          const isgk_recode *to)
{
    const isgk_finish clamp = {NULL, NULL, 0, to->lo, to->hi};
    const float32x4_t scale = vdupq_n_f32(to->inverse), lo = vdupq_n_f32((float)-to->zero);
    const float32x4_t hi = vdupq_n_f32((float)(255 - to->zero));
    const int32x4_t offset = vdupq_n_s32(to->zero);
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        for (size_t c = 0; c < cols; c += 8) {
            const size_t count = cols - c < 8 ? cols - c : 8;
            eight_columns copy = {{0}, {0.0f}, {0.0f}};
            const int32_t *sums = src + c;
            const float *m = to->mul + c, *a = to->add + c;
            int32x4_t q[2];
            if (count < 8) {
                sums = memcpy(copy.sums, sums, count * sizeof *sums);
                m = memcpy(copy.mul, m, count * sizeof *m);
                a = memcpy(copy.add, a, count * sizeof *a);
            }
            for (size_t i = 0; i < 2; i++) {
                const float32x4_t x = finished(scaled(sums + 4 * i, m + 4 * i, vld1q_f32(a + 4 * i)), &clamp);
                q[i] = vaddq_s32(clamp_round(vmulq_f32(x, scale), lo, hi), offset);
            }
            store_eight(dst + c, q[0], q[1], count);
        }
    }
}

void isgk_dequantise_f32__neon(float *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                               const float *mul, const float *add, const isgk_finish *finish)
{
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        for (size_t c = 0; c < cols; c += 4) {
            const size_t count = cols - c < 4 ? cols - c : 4;
            const float *residual = finish && finish->residual ? finish->residual + r * finish->ldr + c : NULL;
            eight_columns copy = {{0}, {0.0f}, {0.0f}};
            const int32_t *sums = src + c;
            const float *m = mul + c, *a = add + c;
            float more[4] = {0.0f};
            float32x4_t x;
            if (count < 4) {
                sums = memcpy(copy.sums, sums, count * sizeof *sums);
                m = memcpy(copy.mul, m, count * sizeof *m);
                a = memcpy(copy.add, a, count * sizeof *a);
                if (residual) residual = memcpy(more, residual, count * sizeof *more);
            }
            x = scaled(sums, m, vld1q_f32(a));
            if (residual) x = vaddq_f32(x, vld1q_f32(residual));
            if (finish) x = finished(x, finish);
            if (count < 4) {
                vst1q_f32(more, x);
                memcpy(dst + c, more, count * sizeof *more);
            } else {
                vst1q_f32(dst + c, x);
            }
        }
    }
}
#endif
