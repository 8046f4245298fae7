/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking of low-bit codes with AVX-512: sixteen codes a step, as two halves of eight at the same bit offset. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define UNPACK_HALF 16u /* bytes a half may touch; its codes need at most 9 of them */

typedef struct unpack_plan512 {
    __m512i bytes, shifts, mask;
    __m512 mul, add;
} unpack_plan512;

static unpack_plan512 unpack_make_plan512(uint32_t offset, uint32_t bits, float mul, float add)
{
    uint8_t control[64];
    int32_t shift[16];
    unpack_plan512 plan;
    for (uint32_t i = 0; i < 16; i++) {
        const uint32_t bit = offset + (i & 7u) * bits;
        control[4 * i] = (uint8_t)(bit >> 3);
        control[4 * i + 1] = (uint8_t)((bit >> 3) + 1);
        control[4 * i + 2] = control[4 * i + 3] = 0x80;
        shift[i] = (int32_t)(bit & 7u);
    }
    plan.bytes = _mm512_loadu_si512(control);
    plan.shifts = _mm512_loadu_si512(shift);
    plan.mask = _mm512_set1_epi32((int32_t)((1u << bits) - 1u));
    plan.mul = _mm512_set1_ps(mul);
    plan.add = _mm512_set1_ps(add);
    return plan;
}

static inline __m512 unpack_sixteen(__m128i low, __m128i high, const unpack_plan512 *plan)
{
    const __m512i raw = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_broadcastsi128_si256(low)),
                                           _mm256_broadcastsi128_si256(high), 1);
    const __m512i pairs = _mm512_srlv_epi32(_mm512_shuffle_epi8(raw, plan->bytes), plan->shifts);
    const __m512 code = _mm512_cvtepi32_ps(_mm512_and_si512(pairs, plan->mask));
    return _mm512_add_ps(_mm512_mul_ps(code, plan->mul), plan->add);
}

/* At most `left` bytes from p, zeros behind; nothing is touched beyond. */
static inline __m128i unpack_load_some(const uint8_t *p, size_t left)
{
    return _mm_maskz_loadu_epi8((__mmask16)(left >= UNPACK_HALF ? 0xffffu : (1u << left) - 1u), p);
}

void isgk_unpack_affine__avx512(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                                uint32_t bits, float mul, float add)
{
    const unpack_plan512 plan = unpack_make_plan512((uint32_t)(bit_offset & 7u), bits, mul, add);
    size_t left, i = 0;
    if (!n) return;
    src += bit_offset >> 3;
    left = src_bytes - (size_t)(bit_offset >> 3);
    for (; n - i >= 16 && left >= UNPACK_HALF + bits; i += 16, src += 2 * bits, left -= 2 * bits) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)src);
        const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(src + bits));
        _mm512_storeu_ps(dst + i, unpack_sixteen(low, high, &plan));
    }
    while (i < n) {
        const size_t count = n - i < 16 ? n - i : 16, skip = left < bits ? left : bits;
        const __m128i low = unpack_load_some(src, left), high = unpack_load_some(src + skip, left - skip);
        _mm512_mask_storeu_ps(dst + i, (__mmask16)((1u << count) - 1u), unpack_sixteen(low, high, &plan));
        i += count;
        src += skip;
        left -= skip;
        src += left < bits ? left : bits;
        left -= left < bits ? left : bits;
    }
}

/* Sixteen codes at bit offset 0..7 of sixteen bytes. */
typedef struct unpack_column512 {
    __m512i bytes[8], shifts[8];
} unpack_column512;

static void unpack_make_columns512(unpack_column512 *plan, uint32_t bits)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i steps = _mm512_mullo_epi32(lane, _mm512_set1_epi32((int32_t)bits));
    for (int32_t o = 0; o < 8; o++) {
        const __m512i bit = _mm512_add_epi32(steps, _mm512_set1_epi32(o)), byte = _mm512_srli_epi32(bit, 3);
        const __m512i pair = _mm512_or_si512(byte, _mm512_slli_epi32(byte, 8));
        plan->bytes[o] = _mm512_add_epi32(pair, _mm512_set1_epi32((int32_t)0x80800100));
        plan->shifts[o] = _mm512_and_si512(bit, _mm512_set1_epi32(7));
    }
}

/* One vector of columns: `valid` of them, zeros up to `width` (at most 16). */
static void unpack_column_vector512(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t bit,
                                    uint64_t row_bits, size_t rows, size_t valid, size_t width,
                                    const unpack_column512 *plan, const unpack_plan512 *level, const float *scales)
{
    const __mmask16 store = (__mmask16)((1u << width) - 1u), some = (__mmask16)((1u << valid) - 1u);
    const __m512 scale = _mm512_maskz_loadu_ps(some, scales);
    for (size_t r = 0; r < rows; r++, dst += ldd, bit += row_bits) {
        const size_t at = (size_t)(bit >> 3);
        const uint32_t offset = (uint32_t)(bit & 7u);
        const __m128i raw = src_bytes - at >= 16 ? _mm_loadu_si128((const __m128i *)(const void *)(src + at))
                                                 : unpack_load_some(src + at, src_bytes - at);
        const __m512i pairs = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(raw), plan->bytes[offset]);
        const __m512i code = _mm512_and_si512(_mm512_srlv_epi32(pairs, plan->shifts[offset]), level->mask);
        const __m512 number = _mm512_fmadd_ps(_mm512_cvtepi32_ps(code), level->mul, level->add);
        _mm512_mask_storeu_ps(dst, store, _mm512_maskz_mul_ps(some, number, scale));
    }
}

void isgk_unpack_columns__avx512(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                                 uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits, float mul,
                                 float add, const float *scales)
{
    const unpack_plan512 level = unpack_make_plan512(0, bits, mul, add);
    unpack_column512 plan;
    unpack_make_columns512(&plan, bits);
    for (size_t c = 0; c < width; c += 16) {
        const size_t left = c < columns ? columns - c : 0;
        /* Without a column the pointers stay where they may be read. */
        unpack_column_vector512(dst + c, ldd, src, src_bytes, first_bit + (left ? c * bits : 0), row_bits, rows,
                                left < 16 ? left : 16, width - c < 16 ? width - c : 16, &plan, &level,
                                scales + (left ? c : 0));
    }
}
#endif
