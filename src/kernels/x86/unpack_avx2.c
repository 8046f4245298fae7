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

/* `vectors` whole vectors of columns, a row at a time, so that what is written follows itself. Returns how many rows:
 * not the last ones, behind which nothing may be read. */
static size_t unpack_whole_rows(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t bit,
                                uint64_t row_bits, size_t rows, size_t vectors, size_t bits, const unpack_plan *plans,
                                const float *scales)
{
    const size_t reach = (vectors - 1) * bits + UNPACK_LOAD;
    size_t r = 0;
    for (; r < rows; r++, dst += ldd, bit += row_bits) {
        const size_t at = (size_t)(bit >> 3);
        const unpack_plan plan = plans[bit & 7u];
        const uint8_t *from = src + at;
        if (src_bytes - at < reach) break;
        for (size_t v = 0; v < vectors; v++, from += bits) {
            const __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)from);
            _mm256_storeu_ps(dst + 8 * v, unpack_scaled(raw, &plan, _mm256_loadu_ps(scales + 8 * v)));
        }
    }
    return r;
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
    for (; rows; rows--, dst += ldd, bit += row_bits) {
        const size_t at = (size_t)(bit >> 3);
        const __m128i raw = src_bytes - at >= UNPACK_LOAD ? _mm_loadu_si128((const __m128i *)(const void *)(src + at))
                                                          : unpack_load_short(src + at, src_bytes - at);
        _mm256_storeu_ps(padded, unpack_scaled(raw, plans + (bit & 7u), scale));
        memcpy(dst, padded, width * sizeof *dst);
    }
}

void isgk_unpack_columns__avx2(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                               uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits, float mul,
                               float add, const float *scales)
{
    const size_t vectors = columns / 8, whole = (columns + 7) / 8 * 8;
    unpack_plan plans[8];
    size_t done = 0;
    for (uint32_t o = 0; o < 8; o++) { /* of rows of whole bytes, all begin at the same bit */
        if (row_bits % 8 || o == (first_bit & 7u)) plans[o] = unpack_make_plan(o, bits, mul, add);
    }
    if (vectors)
        done = unpack_whole_rows(dst, ldd, src, src_bytes, first_bit, row_bits, rows, vectors, bits, plans, scales);
    for (size_t c = 0; c < columns; c += 8) {
        const size_t left = columns - c, from = left >= 8 ? done : 0;
        unpack_column_vector(dst + from * ldd + c, ldd, src, src_bytes, first_bit + from * row_bits + c * bits,
                             row_bits, rows - from, left < 8 ? left : 8, width - c < 8 ? width - c : 8, plans,
                             scales + c);
    }
    for (size_t r = 0; r < rows && whole < width; r++) memset(dst + r * ldd + whole, 0, (width - whole) * sizeof *dst);
}
#endif
