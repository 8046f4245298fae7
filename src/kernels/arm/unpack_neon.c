/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking of low-bit codes with NEON: eight codes a step. */
#include "base/mem.h"
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define UNPACK_LOAD 16u /* bytes read a step; codes need at most 9 of them */

typedef struct unpack_lookup {
    uint8x16_t bytes[2]; /* which two bytes, for codes 0..3 and 4..7 */
    int32x4_t shifts[2]; /* how far right, negative as vshlq wants it */
} unpack_lookup;

static unpack_lookup unpack_make_lookup(uint32_t offset, uint32_t bits)
{
    uint8_t control[32];
    int32_t shift[8];
    unpack_lookup lookup;
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t bit = offset + i * bits;
        control[4 * i] = (uint8_t)(bit >> 3);
        control[4 * i + 1] = (uint8_t)((bit >> 3) + 1);
        control[4 * i + 2] = control[4 * i + 3] = 0xff; /* out of range: zero */
        shift[i] = -(int32_t)(bit & 7u);
    }
    for (int h = 0; h < 2; h++) {
        lookup.bytes[h] = vld1q_u8(control + 16 * h);
        lookup.shifts[h] = vld1q_s32(shift + 4 * h);
    }
    return lookup;
}

static inline void unpack_eight_neon(float *dst, const uint8_t *src, const unpack_lookup *lookup, uint32_t mask,
                                     float mul, float add)
{
    const uint8x16_t raw = vld1q_u8(src);
    for (int h = 0; h < 2; h++) {
        const uint32x4_t pairs = vreinterpretq_u32_u8(vqtbl1q_u8(raw, lookup->bytes[h]));
        const uint32x4_t code = vandq_u32(vshlq_u32(pairs, lookup->shifts[h]), vdupq_n_u32(mask));
        vst1q_f32(dst + 4 * h, vaddq_f32(vmulq_f32(vcvtq_f32_u32(code), vdupq_n_f32(mul)), vdupq_n_f32(add)));
    }
}

void isgk_unpack_affine__neon(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                              uint32_t bits, float mul, float add)
{
    const unpack_lookup lookup = unpack_make_lookup((uint32_t)(bit_offset & 7u), bits);
    const uint32_t mask = (1u << bits) - 1u;
    uint8_t tail[4 * UNPACK_LOAD] = {0};
    size_t left, i = 0;
    if (!n) return;
    src += bit_offset >> 3;
    left = src_bytes - (size_t)(bit_offset >> 3);
    for (; n - i >= 8 && left >= UNPACK_LOAD; i += 8, src += bits, left -= bits) {
        unpack_eight_neon(dst + i, src, &lookup, mask, mul, add);
    }
    if (i < n && left < UNPACK_LOAD) { /* from here on, a copy with zeros behind */
        memcpy(tail, src, left);
        src = tail;
    }
    for (; n - i >= 8; i += 8, src += bits) unpack_eight_neon(dst + i, src, &lookup, mask, mul, add);
    if (i < n) {
        float rest[8];
        unpack_eight_neon(rest, src, &lookup, mask, mul, add);
        memcpy(dst + i, rest, (n - i) * sizeof *dst);
    }
}

/* At most 16 bytes from p, zeros behind. */
static inline uint8x16_t unpack_load_some(const uint8_t *p, size_t left)
{
    uint8_t copy[UNPACK_LOAD] = {0};
    if (left >= UNPACK_LOAD) return vld1q_u8(p);
    memcpy(copy, p, left);
    return vld1q_u8(copy);
}

/* Eight columns: `valid` of them, zeros up to `width`. */
static void unpack_eight_columns(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t bit,
                                 uint64_t row_bits, size_t rows, size_t valid, size_t width,
                                 const unpack_lookup *lookups, uint32_t mask, const float levels[2],
                                 const float *scales)
{
    float scale[8] = {0.0f}, row[8];
    memcpy(scale, scales, valid * sizeof *scale);
    for (size_t r = 0; r < rows; r++, dst += ldd, bit += row_bits) {
        const size_t at = (size_t)(bit >> 3);
        const unpack_lookup *lookup = lookups + (bit & 7u);
        const uint8x16_t raw = unpack_load_some(src + at, src_bytes - at);
        float *to = width == 8 ? dst : row;
        for (int h = 0; h < 2; h++) {
            const uint32x4_t pairs = vreinterpretq_u32_u8(vqtbl1q_u8(raw, lookup->bytes[h]));
            const uint32x4_t code = vandq_u32(vshlq_u32(pairs, lookup->shifts[h]), vdupq_n_u32(mask));
            const float32x4_t level = vfmaq_f32(vdupq_n_f32(levels[1]), vcvtq_f32_u32(code), vdupq_n_f32(levels[0]));
            vst1q_f32(to + 4 * h, vmulq_f32(level, vld1q_f32(scale + 4 * h)));
        }
        if (width < 8) memcpy(dst, row, width * sizeof *dst);
    }
}

void isgk_unpack_columns__neon(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                               uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits, float mul,
                               float add, const float *scales)
{
    const float levels[2] = {mul, add};
    unpack_lookup lookups[8];
    for (uint32_t o = 0; o < 8; o++) { /* of rows of whole bytes, all begin at the same bit */
        if (row_bits % 8 || o == (first_bit & 7u)) lookups[o] = unpack_make_lookup(o, bits);
    }
    for (size_t c = 0; c < width; c += 8) {
        const size_t left = c < columns ? columns - c : 0;
        unpack_eight_columns(dst + c, ldd, src, src_bytes, first_bit + (left ? c * bits : 0), row_bits, rows,
                             left < 8 ? left : 8, width - c < 8 ? width - c : 8, lookups, (1u << bits) - 1u, levels,
                             scales + (left ? c : 0));
    }
}
#endif
