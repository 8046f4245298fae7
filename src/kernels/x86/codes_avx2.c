/* SPDX-License-Identifier: Apache-2.0 */
/* Between packed codes, bytes, sums and floats with AVX2: the integer kernels around the products. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

/* ---- unpacking ---- */

/* For sixteen codes of one width: which two bytes hold each, what moves the code to the top of its 16 bits, and back.
 */
typedef struct codes_plan {
    __m256i bytes, up, add;
    __m128i down;
} codes_plan;

static codes_plan make_plan(uint32_t bits, int32_t add)
{
    uint8_t control[32];
    uint16_t factor[16];
    codes_plan plan;
    for (uint32_t i = 0; i < 16; i++) {
        const uint32_t bit = i * bits;
        control[2 * i] = (uint8_t)(bit >> 3);
        control[2 * i + 1] = (uint8_t)((bit >> 3) + 1); /* the 16th byte wraps: then it holds no bit of the code */
        factor[i] = (uint16_t)(1u << (16 - bits - (bit & 7u)));
    }
    for (uint32_t i = 0; i < 32; i++) control[i] &= 15u;
    plan.bytes = _mm256_loadu_si256((const __m256i *)(const void *)control);
    plan.up = _mm256_loadu_si256((const __m256i *)(const void *)factor);
    plan.down = _mm_cvtsi32_si128((int)(16 - bits));
    plan.add = _mm256_set1_epi8((char)add);
    return plan;
}

/* Sixteen codes as 16-bit numbers from the 16 bytes at src. */
ALWAYS __m256i sixteen_codes(const uint8_t *src, const codes_plan *plan)
{
    const __m256i raw = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)src));
    const __m256i top = _mm256_mullo_epi16(_mm256_shuffle_epi8(raw, plan->bytes), plan->up);
    return _mm256_srl_epi16(top, plan->down);
}

ALWAYS __m256i unpack_thirtytwo(const uint8_t *src, uint32_t bits, const codes_plan *plan)
{
    const __m256i first = sixteen_codes(src, plan), second = sixteen_codes(src + 2 * (size_t)bits, plan);
    const __m256i codes = _mm256_permute4x64_epi64(_mm256_packus_epi16(first, second), 0xd8);
    return _mm256_add_epi8(codes, plan->add);
}

void isgk_unpack_s8__avx2(int8_t *dst, const uint8_t *src, size_t src_bytes, size_t n, uint32_t bits, int32_t add)
{
    const codes_plan plan = make_plan(bits, add);
    const size_t step = 4 * (size_t)bits, reach = 2 * (size_t)bits + 16; /* bytes used, and read, for 32 codes */
    for (; n >= 32 && src_bytes >= reach; n -= 32, dst += 32, src += step, src_bytes -= step)
        _mm256_storeu_si256((__m256i *)(void *)dst, unpack_thirtytwo(src, bits, &plan));
    while (n) {
        const size_t count = n < 32 ? n : 32;
        uint8_t copy[32 + 16] = {0};
        int8_t codes[32];
        const uint8_t *from = src;
        if (src_bytes < reach) {
            memcpy(copy, src, src_bytes);
            from = copy;
        }
        if (count == 32) {
            _mm256_storeu_si256((__m256i *)(void *)dst, unpack_thirtytwo(from, bits, &plan));
        } else {
            _mm256_storeu_si256((__m256i *)(void *)codes, unpack_thirtytwo(from, bits, &plan));
            memcpy(dst, codes, count);
        }
        n -= count;
        dst += count;
        src += src_bytes < step ? src_bytes : step;
        src_bytes -= src_bytes < step ? src_bytes : step;
    }
}

/* ---- interleaving ---- */

ALWAYS void interleave_sixteen(int8_t *dst, const __m128i row[4])
{
    const __m128i low01 = _mm_unpacklo_epi8(row[0], row[1]), high01 = _mm_unpackhi_epi8(row[0], row[1]);
    const __m128i low23 = _mm_unpacklo_epi8(row[2], row[3]), high23 = _mm_unpackhi_epi8(row[2], row[3]);
    __m128i *to = (__m128i *)(void *)dst;
    _mm_storeu_si128(to, _mm_unpacklo_epi16(low01, low23));
    _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(low01, low23));
    _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(high01, high23));
    _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(high01, high23));
}

ALWAYS void interleave_eight(int8_t *dst, const __m128i row[4])
{
    const __m128i low01 = _mm_unpacklo_epi8(row[0], row[1]), low23 = _mm_unpacklo_epi8(row[2], row[3]);
    __m128i *to = (__m128i *)(void *)dst;
    _mm_storeu_si128(to, _mm_unpacklo_epi16(low01, low23));
    _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(low01, low23));
}

/* The last vector overlaps the one before. */
void isgk_interleave_s8__avx2(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    const size_t width = cols >= 16 ? 16 : 8;
    for (size_t c = 0; c < cols && cols >= 8; c += width) {
        const size_t at = cols - c < width ? cols - width : c;
        __m128i row[4];
        ISGI_UNROLL
        for (size_t r = 0; r < 4; r++) {
            const __m128i *from = (const __m128i *)(const void *)(src + (r < rows ? r : 0) * lds + at);
            row[r] = r >= rows ? _mm_setzero_si128() : width == 16 ? _mm_loadu_si128(from) : _mm_loadl_epi64(from);
        }
        if (width == 16)
            interleave_sixteen(dst + 4 * at, row);
        else
            interleave_eight(dst + 4 * at, row);
    }
    for (size_t i = 0; i < 4 * cols && cols < 8; i++) dst[i] = i % 4 < rows ? src[i % 4 * lds + i / 4] : 0;
}

/* Eight of each half at a time, which are sixteen columns once their bytes alternate. */
void isgk_interleave_pairs_s8__avx2(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols && cols >= 8; c += 8) {
        const size_t at = cols - c < 8 ? cols - 8 : c;
        __m128i row[4];
        ISGI_UNROLL
        for (size_t r = 0; r < 4; r++) {
            const int8_t *from = src + (r < rows ? r : 0) * lds + at;
            const __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)from);
            const __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)(from + cols));
            row[r] = r < rows ? _mm_unpacklo_epi8(low, high) : _mm_setzero_si128();
        }
        interleave_sixteen(dst + 8 * at, row);
    }
    for (size_t i = 0; i < 8 * cols && cols < 8; i++)
        dst[i] = i % 4 < rows ? src[i % 4 * lds + i / 4 % 2 * cols + i / 8] : 0;
}

/* ---- floats and sums to codes ---- */

/* The first n lanes. */
ALWAYS __m256i first_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Eight numbers 0 .. 255 as bytes, the first n stored. */
ALWAYS void store_eight(uint8_t *dst, __m256i q, size_t n)
{
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    const __m128i bytes = _mm_packus_epi16(words, words);
    uint8_t rest[8];
    if (n >= 8) {
        _mm_storel_epi64((__m128i *)(void *)dst, bytes);
    } else {
        _mm_storel_epi64((__m128i *)(void *)rest, bytes);
        memcpy(dst, rest, n);
    }
}

ALWAYS void store_thirtytwo(uint8_t *dst, const __m256i q[4])
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i words = _mm256_packs_epi32(q[0], q[1]), more = _mm256_packs_epi32(q[2], q[3]);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, more), order);
    _mm256_storeu_si256((__m256i *)(void *)dst, bytes);
}

typedef struct quantise_plan {
    __m256 scale, hi;
    __m256i zero;
} quantise_plan;

/* What is too small, or a NaN, which min gives as its second operand, becomes the least integer or a negative one: 0
 * when numbers are made bytes. */
ALWAYS __m256i quantise_eight(__m256 x, const quantise_plan *plan)
{
    const __m256 y = _mm256_min_ps(plan->hi, _mm256_mul_ps(x, plan->scale));
    return _mm256_add_epi32(_mm256_cvtps_epi32(y), plan->zero);
}

void isgk_quantise_u8__avx2(uint8_t *dst, const float *src, size_t n, float inverse, int32_t zero)
{
    const quantise_plan plan = {_mm256_set1_ps(inverse), _mm256_set1_ps((float)(255 - zero)), _mm256_set1_epi32(zero)};
    size_t i = 0;
    for (; n - i >= 32; i += 32) {
        __m256i q[4];
        ISGI_UNROLL
        for (size_t v = 0; v < 4; v++) q[v] = quantise_eight(_mm256_loadu_ps(src + i + 8 * v), &plan);
        store_thirtytwo(dst + i, q);
    }
    for (; i < n; i += 8) {
        const __m256 x = _mm256_maskload_ps(src + i, first_lanes(n - i));
        store_eight(dst + i, quantise_eight(x, &plan), n - i);
    }
}

/* Bytes end at 0 and 255 as they are made of integers; `far`: a number may be none. */
ALWAYS __m256i requantise_eight(__m256i sum, __m256 mul, __m256 add, const int far)
{
    const __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), mul), add);
    return _mm256_cvtps_epi32(far ? _mm256_min_ps(_mm256_set1_ps(255.0f), y) : y);
}

ALWAYS void requantise_columns(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, const float *mul,
                               __m256 add, const int far)
{
    __m256 scale[4];
    ISGI_UNROLL
    for (size_t v = 0; v < 4; v++) scale[v] = _mm256_loadu_ps(mul + 8 * v);
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        __m256i q[4];
        ISGI_UNROLL
        for (size_t v = 0; v < 4; v++) {
            const __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(src + 8 * v));
            q[v] = requantise_eight(sum, scale[v], add, far);
        }
        store_thirtytwo(dst, q);
    }
}

/* Whether sums times these 32 can leave the range of integers (or are NaN). */
ALWAYS int reach_far(const float *mul)
{
    const __m256 size = _mm256_set1_ps(-0.0f), limit = _mm256_set1_ps(0.5f);
    __m256 near = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    ISGI_UNROLL
    for (size_t v = 0; v < 4; v++) {
        const __m256 m = _mm256_andnot_ps(size, _mm256_loadu_ps(mul + 8 * v));
        near = _mm256_and_ps(near, _mm256_cmp_ps(m, limit, _CMP_LT_OQ));
    }
    return _mm256_movemask_ps(near) != 255;
}

/* A row of fewer than 32 columns. */
static void requantise_few(uint8_t *dst, const int32_t *src, size_t cols, const float *mul, __m256 add)
{
    for (size_t c = 0; c < cols; c += 8) {
        const size_t at = cols >= 8 && cols - c < 8 ? cols - 8 : c;
        const __m256i some = first_lanes(cols - at), sum = _mm256_maskload_epi32(src + at, some);
        store_eight(dst + at, requantise_eight(sum, _mm256_maskload_ps(mul + at, some), add, 1), cols - at);
    }
}

void isgk_requantise_u8__avx2(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                              const float *mul, float add)
{
    const __m256 start = _mm256_set1_ps(add);
    const int near = add >= 0.0f && add <= 255.0f;
    /* The last vectors overlap those before. */
    for (size_t c = 0; c < cols && cols >= 32; c += 32) {
        const size_t at = cols - c < 32 ? cols - 32 : c;
        if (near && !reach_far(mul + at))
            requantise_columns(dst + at, ldd, src + at, lds, rows, mul + at, start, 0);
        else
            requantise_columns(dst + at, ldd, src + at, lds, rows, mul + at, start, 1);
    }
    for (size_t r = 0; r < rows && cols < 32; r++) requantise_few(dst + r * ldd, src + r * lds, cols, mul, start);
}

typedef struct recode_plan {
    __m256 lo, hi;
    quantise_plan to;
} recode_plan;

ALWAYS __m256i recode_eight(__m256i sum, __m256 mul, __m256 add, const recode_plan *plan)
{
    const __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), mul), add);
    return quantise_eight(_mm256_min_ps(plan->hi, _mm256_max_ps(plan->lo, y)), &plan->to);
}

/* The last vectors overlap those before. */
void isgk_recode_u8__avx2(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                          const isgk_recode *to)
{
    const recode_plan plan = {
        _mm256_set1_ps(to->lo),
        _mm256_set1_ps(to->hi),
        {_mm256_set1_ps(to->inverse), _mm256_set1_ps((float)(255 - to->zero)), _mm256_set1_epi32(to->zero)}};
    for (size_t c = 0; c < cols && cols >= 32; c += 32) {
        const size_t at = cols - c < 32 ? cols - 32 : c;
        __m256 mul[4], add[4];
        ISGI_UNROLL
        for (size_t v = 0; v < 4; v++) mul[v] = _mm256_loadu_ps(to->mul + at + 8 * v);
        ISGI_UNROLL
        for (size_t v = 0; v < 4; v++) add[v] = _mm256_loadu_ps(to->add + at + 8 * v);
        for (size_t r = 0; r < rows; r++) {
            const int32_t *from = src + r * lds + at;
            __m256i q[4];
            ISGI_UNROLL
            for (size_t v = 0; v < 4; v++) {
                const __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(from + 8 * v));
                q[v] = recode_eight(sum, mul[v], add[v], &plan);
            }
            store_thirtytwo(dst + r * ldd + at, q);
        }
    }
    for (size_t i = 0; cols < 32 && i < rows * ((cols + 7) / 8); i++) {
        const size_t r = i / ((cols + 7) / 8), c = i % ((cols + 7) / 8) * 8;
        const __m256i some = first_lanes(cols - c), sum = _mm256_maskload_epi32(src + r * lds + c, some);
        const __m256 mul = _mm256_maskload_ps(to->mul + c, some), add = _mm256_maskload_ps(to->add + c, some);
        store_eight(dst + r * ldd + c, recode_eight(sum, mul, add, &plan), cols - c);
    }
}

/* What `finish` does to a row. */
typedef struct finish_plan {
    __m256 lo, hi;
    int on, adds;
} finish_plan;

ALWAYS __m256 dequantise_eight(__m256i sum, __m256 mul, __m256 add, __m256 residual, const finish_plan *plan)
{
    const __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), mul), add);
    const __m256 z = plan->adds ? _mm256_add_ps(y, residual) : y;
    return plan->on ? _mm256_min_ps(plan->hi, _mm256_max_ps(plan->lo, z)) : z;
}

ALWAYS void dequantise_row(float *dst, const int32_t *src, size_t cols, const float *mul, const float *add,
                           const float *residual, const finish_plan *plan)
{
    size_t c = 0;
    for (; cols - c >= 8; c += 8) {
        const __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(src + c));
        const __m256 more = plan->adds ? _mm256_loadu_ps(residual + c) : _mm256_setzero_ps();
        _mm256_storeu_ps(dst + c,
                         dequantise_eight(sum, _mm256_loadu_ps(mul + c), _mm256_loadu_ps(add + c), more, plan));
    }
    if (c < cols) {
        const __m256i some = first_lanes(cols - c), sum = _mm256_maskload_epi32(src + c, some);
        const __m256 more = plan->adds ? _mm256_maskload_ps(residual + c, some) : _mm256_setzero_ps();
        const __m256 scale = _mm256_maskload_ps(mul + c, some), start = _mm256_maskload_ps(add + c, some);
        _mm256_maskstore_ps(dst + c, some, dequantise_eight(sum, scale, start, more, plan));
    }
}

void isgk_dequantise_f32__avx2(float *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                               const float *mul, const float *add, const isgk_finish *finish)
{
    const float *residual = finish ? finish->residual : NULL;
    finish_plan plan = {_mm256_setzero_ps(), _mm256_setzero_ps(), 0, 0};
    if (finish) plan = (finish_plan){_mm256_set1_ps(finish->lo), _mm256_set1_ps(finish->hi), 1, residual != NULL};
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        if (plan.adds)
            dequantise_row(dst, src, cols, mul, add, residual + r * finish->ldr, &plan);
        else
            dequantise_row(dst, src, cols, mul, add, NULL, &plan);
    }
}
#endif
