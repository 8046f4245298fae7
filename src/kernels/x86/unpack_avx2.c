/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking of low-bit codes with AVX2: eight codes a step. */
#include "base/mem.h"
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define UNPACK_LOAD 16u /* bytes read a step; codes need at most 9 of them */

typedef struct unpack_plan {
    __m256i bytes, shifts, mask; /* which two bytes, how far right, how many bits: the same for every eight codes */
    __m256 mul, add;
} unpack_plan;

static unpack_plan unpack_make_plan(uint32_t offset, uint32_t bits, float mul, float add)
{
    uint8_t control[32];
    int32_t shift[8];
    unpack_plan plan;
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t bit = offset + i * bits;
        control[4 * i] = (uint8_t)(bit >> 3);
        control[4 * i + 1] = (uint8_t)((bit >> 3) + 1);
        control[4 * i + 2] = control[4 * i + 3] = 0x80;
        shift[i] = (int32_t)(bit & 7u);
    }
    plan.bytes = _mm256_loadu_si256((const __m256i *)(const void *)control);
    plan.shifts = _mm256_loadu_si256((const __m256i *)(const void *)shift);
    plan.mask = _mm256_set1_epi32((int32_t)((1u << bits) - 1u));
    plan.mul = _mm256_set1_ps(mul);
    plan.add = _mm256_set1_ps(add);
    return plan;
}

static inline __m256 unpack_codes(__m128i raw, const unpack_plan *plan)
{
    const __m256i pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(raw), plan->bytes);
    return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(pairs, plan->shifts), plan->mask));
}

static inline __m256 unpack_eight(const uint8_t *src, const unpack_plan *plan)
{
    const __m256 code = unpack_codes(_mm_loadu_si128((const __m128i *)(const void *)src), plan);
    return _mm256_add_ps(_mm256_mul_ps(code, plan->mul), plan->add);
}

static inline __m256 unpack_scaled(__m128i raw, const unpack_plan *plan, __m256 scale)
{
    return _mm256_mul_ps(_mm256_fmadd_ps(unpack_codes(raw, plan), plan->mul, plan->add), scale);
}

void isgk_unpack_affine__avx2(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                              uint32_t bits, float mul, float add)
{
    const unpack_plan plan = unpack_make_plan((uint32_t)(bit_offset & 7u), bits, mul, add);
    uint8_t tail[4 * UNPACK_LOAD] = {0};
    size_t left, i = 0;
    if (!n) return;
    src += bit_offset >> 3;
    left = src_bytes - (size_t)(bit_offset >> 3);
    for (; n - i >= 8 && left >= UNPACK_LOAD; i += 8, src += bits, left -= bits) {
        _mm256_storeu_ps(dst + i, unpack_eight(src, &plan));
    }
    if (i < n && left < UNPACK_LOAD) { /* from here on, a copy with zeros behind */
        memcpy(tail, src, left);
        src = tail;
    }
    for (; n - i >= 8; i += 8, src += bits) _mm256_storeu_ps(dst + i, unpack_eight(src, &plan));
    if (i < n) {
        float rest[8];
        _mm256_storeu_ps(rest, unpack_eight(src, &plan));
        memcpy(dst + i, rest, (n - i) * sizeof *dst);
    }
}

/* At most 16 bytes from p, zeros behind. */
static inline __m128i unpack_load_short(const uint8_t *p, size_t left)
{
    uint8_t copy[UNPACK_LOAD] = {0};
    memcpy(copy, p, left < UNPACK_LOAD ? left : UNPACK_LOAD);
    return _mm_loadu_si128((const __m128i *)(const void *)copy);
}

/* One vector of columns: `valid` of them, zeros up to `width` (at most 8). */
static void unpack_column_vector(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t bit,
                                 uint64_t row_bits, size_t rows, size_t valid, size_t width, const unpack_plan *plans,
                                 const float *scales)
{
    float padded[8] = {0.0f};
    __m256 scale;
    memcpy(padded, scales, valid * sizeof *padded);
    scale = _mm256_loadu_ps(padded);
    if (width == 8 && row_bits % 8 == 0) { /* rows alike, but for the last ones, behind which nothing may be read */
        const unpack_plan plan = plans[bit & 7u];
        for (; rows && src_bytes - (size_t)(bit >> 3) >= UNPACK_LOAD; rows--, dst += ldd, bit += row_bits) {
            const __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)(src + (size_t)(bit >> 3)));
            _mm256_storeu_ps(dst, unpack_scaled(raw, &plan, scale));
        }
    }
    for (; rows; rows--, dst += ldd, bit += row_bits) {
        const size_t at = (size_t)(bit >> 3);
        const __m128i raw = src_bytes - at >= UNPACK_LOAD ? _mm_loadu_si128((const __m128i *)(const void *)(src + at))
                                                          : unpack_load_short(src + at, src_bytes - at);
        const __m256 number = unpack_scaled(raw, plans + (bit & 7u), scale);
        if (width == 8) {
            _mm256_storeu_ps(dst, number);
        } else {
            _mm256_storeu_ps(padded, number);
            memcpy(dst, padded, width * sizeof *dst);
        }
    }
}

void isgk_unpack_columns__avx2(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                               uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits, float mul,
                               float add, const float *scales)
{
    unpack_plan plans[8];
    for (uint32_t o = 0; o < 8; o++) { /* of rows of whole bytes, all begin at the same bit */
        if (row_bits % 8 || o == (first_bit & 7u)) plans[o] = unpack_make_plan(o, bits, mul, add);
    }
    for (size_t c = 0; c < width; c += 8) {
        const size_t left = c < columns ? columns - c : 0;
        unpack_column_vector(dst + c, ldd, src, src_bytes, first_bit + (left ? c * bits : 0), row_bits, rows,
                             left < 8 ? left : 8, width - c < 8 ? width - c : 8, plans, scales + (left ? c : 0));
    }
}
#endif
