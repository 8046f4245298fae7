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
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i bit = _mm256_add_epi32(_mm256_set1_epi32((int32_t)offset),
                                         _mm256_mullo_epi32(lane, _mm256_set1_epi32((int32_t)bits)));
    const __m256i twice = _mm256_mullo_epi32(_mm256_srli_epi32(bit, 3), _mm256_set1_epi32(0x0101));
    unpack_plan plan;
    plan.bytes = _mm256_add_epi32(twice, _mm256_set1_epi32((int32_t)0x80800100)); /* one, the next, two zeros */
    plan.shifts = _mm256_and_si256(bit, _mm256_set1_epi32(7));
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

/* Rows that begin at the same bit of a byte, `step` bytes apart. */
typedef struct unpack_rows {
    float *dst;
    const uint8_t *src;
    size_t ldd, step, count, left; /* left: bytes from src on */
} unpack_rows;

/* Whole vectors of columns, a row at a time, so that what is written follows itself. Returns how many rows: not the
 * last ones, behind which nothing may be read. */
static size_t unpack_whole_rows(const unpack_rows *rows, size_t vectors, size_t bits, const unpack_plan *shared,
                                const float *scales)
{
    const unpack_plan plan = *shared;
    const size_t reach = (vectors - 1) * bits + UNPACK_LOAD, step = rows->step, ldd = rows->ldd;
    const size_t readable = rows->left < reach ? 0 : step ? (rows->left - reach) / step + 1 : rows->count;
    const size_t count = readable < rows->count ? readable : rows->count;
    const uint8_t *src = rows->src;
    float *dst = rows->dst;
    for (size_t r = 0; r < count; r++, dst += ldd, src += step) {
        const uint8_t *from = src;
        for (size_t v = 0; v < vectors; v++, from += bits) {
            const __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)from);
            _mm256_storeu_ps(dst + 8 * v, unpack_scaled(raw, &plan, _mm256_loadu_ps(scales + 8 * v)));
        }
    }
    return count;
}

/* One vector of columns from row `r` and byte `at` of a row on: `valid` of them, zeros up to `width` (at most 8). */
static void unpack_column_vector(const unpack_rows *rows, size_t r, size_t at, size_t column, size_t valid,
                                 size_t width, const unpack_plan *plan, const float *scales)
{
    float padded[8] = {0.0f};
    __m256 scale;
    memcpy(padded, scales, valid * sizeof *padded);
    scale = _mm256_loadu_ps(padded);
    for (; r < rows->count; r++) {
        const size_t from = r * rows->step + at;
        const uint8_t *src = rows->src + from;
        const __m128i raw = rows->left - from >= UNPACK_LOAD ? _mm_loadu_si128((const __m128i *)(const void *)src)
                                                             : unpack_load_short(src, rows->left - from);
        _mm256_storeu_ps(padded, unpack_scaled(raw, plan, scale));
        memcpy(rows->dst + r * rows->ldd + column, padded, width * sizeof *padded);
    }
}

/* Columns without codes, at most eight. */
static void unpack_zeros(float *dst, size_t ldd, size_t rows, size_t columns)
{
    if (columns < 8) {
        for (size_t r = 0; r < rows; r++) memset(dst + r * ldd, 0, columns * sizeof *dst);
    } else {
        for (size_t r = 0; r < rows; r++) _mm256_storeu_ps(dst + r * ldd, _mm256_setzero_ps());
    }
}

void isgk_unpack_columns__avx2(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                               uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits, float mul,
                               float add, const float *scales)
{
    const size_t vectors = columns / 8, whole = (columns + 7) / 8 * 8;
    size_t period = 1; /* rows after which one begins at the same bit again */
    while (period * row_bits % 8) period *= 2;
    for (size_t o = 0; o < period && o < rows; o++) {
        const uint64_t bit = first_bit + o * row_bits;
        const size_t at = (size_t)(bit >> 3);
        const unpack_plan plan = unpack_make_plan((uint32_t)(bit & 7u), bits, mul, add);
        const unpack_rows some = {
            dst + o * ldd, src + at, period * ldd, (size_t)(period * row_bits / 8), (rows - o + period - 1) / period,
            src_bytes - at};
        const size_t done = vectors ? unpack_whole_rows(&some, vectors, bits, &plan, scales) : 0;
        for (size_t c = 0; c < columns; c += 8) {
            const size_t left = columns - c;
            unpack_column_vector(&some, left >= 8 ? done : 0, c / 8 * bits, c, left < 8 ? left : 8,
                                 width - c < 8 ? width - c : 8, &plan, scales + c);
        }
    }
    for (size_t c = whole; c < width; c += 8) unpack_zeros(dst + c, ldd, rows, width - c);
}
#endif
