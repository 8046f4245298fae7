/* SPDX-License-Identifier: Apache-2.0 */
/* The integer kernels with AVX-512 VNNI (products of bytes summed by fours) and VBMI (bit fields of bytes). */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

ALWAYS __mmask64 mask_of(size_t n)
{
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

ALWAYS __mmask16 mask16_of(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

/* 64 codes a step: eight codes are `bits` bytes, which one permutation puts into each quadword. */
void isgk_unpack_s8__avx512vnni(int8_t *dst, const uint8_t *src, size_t src_bytes, size_t n, uint32_t bits, int32_t add)
{
    const uint64_t each = 0x0101010101010101, count = 0x0706050403020100;
    const __m512i quads = _mm512_set_epi64(7 * each, 6 * each, 5 * each, 4 * each, 3 * each, 2 * each, each, 0);
    const __m512i skip = _mm512_mullo_epi64(quads, _mm512_set1_epi64((int64_t)bits));
    const __m512i places = _mm512_add_epi64(skip, _mm512_set1_epi64((int64_t)count));
    const __m512i shifts = _mm512_set1_epi64((int64_t)(count * bits)); /* 56 at most: no byte reaches the next */
    const __m512i mask = _mm512_set1_epi8((char)((1u << bits) - 1u)), start = _mm512_set1_epi8((char)add);
    size_t i = 0;
    for (; n - i >= 64 && src_bytes >= 64; i += 64, src += 8 * bits, src_bytes -= 8 * bits) {
        const __m512i raw = _mm512_permutexvar_epi8(places, _mm512_loadu_si512(src));
        const __m512i codes = _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, raw), mask);
        _mm512_storeu_si512(dst + i, _mm512_add_epi8(codes, start));
    }
    for (; i < n; i += 64, src += 8 * bits, src_bytes -= src_bytes < 8 * bits ? src_bytes : 8 * bits) {
        const __m512i raw = _mm512_maskz_loadu_epi8(mask_of(src_bytes < 8 * bits ? src_bytes : 8 * bits), src);
        const __m512i codes = _mm512_multishift_epi64_epi8(shifts, _mm512_permutexvar_epi8(places, raw));
        _mm512_mask_storeu_epi8(dst + i, mask_of(n - i), _mm512_add_epi8(_mm512_and_si512(codes, mask), start));
    }
}

/* Sixteen columns (those of `some`, the others 0) of up to four rows: four bytes a column. */
ALWAYS __m512i interleave_sixteen(const int8_t *src, size_t lds, size_t rows, __mmask16 some)
{
    const __m512i order =
        _mm512_set_epi8(63, 47, 31, 15, 62, 46, 30, 14, 61, 45, 29, 13, 60, 44, 28, 12, 59, 43, 27, 11, 58, 42, 26, 10,
                        57, 41, 25, 9, 56, 40, 24, 8, 55, 39, 23, 7, 54, 38, 22, 6, 53, 37, 21, 5, 52, 36, 20, 4, 51,
                        35, 19, 3, 50, 34, 18, 2, 49, 33, 17, 1, 48, 32, 16, 0);
    __m128i row[4];
    __m512i all;
    ISGI_UNROLL
    for (size_t r = 0; r < 4; r++) row[r] = r < rows ? _mm_maskz_loadu_epi8(some, src + r * lds) : _mm_setzero_si128();
    all = _mm512_inserti32x4(_mm512_castsi128_si512(row[0]), row[1], 1);
    all = _mm512_inserti32x4(_mm512_inserti32x4(all, row[2], 2), row[3], 3);
    return _mm512_permutexvar_epi8(order, all);
}

void isgk_interleave_s8__avx512vnni(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c += 16) {
        const __mmask16 some = mask16_of(cols - c);
        _mm512_mask_storeu_epi32(dst + 4 * c, some, interleave_sixteen(src + c, lds, rows, some));
    }
}

void isgk_interleave_pairs_s8__avx512vnni(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols)
{
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    for (size_t c = 0; c < cols; c += 16) {
        const size_t left = cols - c;
        const __mmask16 some = mask16_of(left);
        const __m512i even = interleave_sixteen(src + c, lds, rows, some);
        const __m512i odd = interleave_sixteen(src + cols + c, lds, rows, some);
        _mm512_mask_storeu_epi32(dst + 8 * c, mask16_of(2 * left), _mm512_permutex2var_epi32(even, low, odd));
        if (left > 8)
            _mm512_mask_storeu_epi32(dst + 8 * c + 64, mask16_of(2 * (left - 8)),
                                     _mm512_permutex2var_epi32(even, high, odd));
    }
}

/* Sixty-four integers, made to end at 0 and 255, as bytes, of which those of `some` are stored. */
ALWAYS void store_sixtyfour(uint8_t *dst, const __m512i q[4], __mmask64 some)
{
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i words = _mm512_packs_epi32(q[0], q[1]), more = _mm512_packs_epi32(q[2], q[3]);
    _mm512_mask_storeu_epi8(dst, some, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, more)));
}

/* Sixteen of them. */
ALWAYS void store_sixteen(uint8_t *dst, __m512i q, __mmask16 some)
{
    _mm_mask_storeu_epi8(dst, some, _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
}

/* What is too small, or a NaN, which min gives as its second operand, becomes the least integer or a negative one. */
ALWAYS __m512i quantise_sixteen(__m512 x, __m512 scale, __m512 hi, __m512i zero)
{
    return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(hi, _mm512_mul_ps(x, scale))), zero);
}

void isgk_quantise_u8__avx512vnni(uint8_t *dst, const float *src, size_t n, float inverse, int32_t zero)
{
    const __m512 scale = _mm512_set1_ps(inverse), hi = _mm512_set1_ps((float)(255 - zero));
    const __m512i offset = _mm512_set1_epi32(zero);
    size_t i = 0;
    for (; n - i >= 64; i += 64) {
        __m512i q[4];
        ISGI_UNROLL
        for (size_t v = 0; v < 4; v++) q[v] = quantise_sixteen(_mm512_loadu_ps(src + i + 16 * v), scale, hi, offset);
        store_sixtyfour(dst + i, q, mask_of(64));
    }
    for (; i < n; i += 16) {
        const __mmask16 some = mask16_of(n - i);
        store_sixteen(dst + i, quantise_sixteen(_mm512_maskz_loadu_ps(some, src + i), scale, hi, offset), some);
    }
}

/* Codes of sums: round(min(most, sum * mul + add)), or the steps of recode_u8, whose clamps can come behind the second
 * product, as rounding keeps order: least = lo * inverse, most the smaller one of hi * inverse and 255 - zero. */
typedef struct code_plan {
    __m512 least, inverse, most;
    __m512i zero;
} code_plan;

/* What a number becomes: NEAR ones are known to be integers, FAR ones may be too large or none. RECTIFY is RECODE where
 * what lies below 0 becomes code 0, as bytes make of it anyway. */
enum { NEAR, FAR, RECODE, RECTIFY };

ALWAYS __m512i code_sixteen(__m512i sum, __m512 mul, __m512 add, const code_plan *plan, const int way)
{
    __m512 y = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), mul), add);
    if (way == RECODE || way == RECTIFY) y = _mm512_mul_ps(y, plan->inverse);
    if (way == RECODE) y = _mm512_max_ps(plan->least, y);
    if (way != NEAR) y = _mm512_min_ps(plan->most, y);
    return way == RECODE ? _mm512_add_epi32(_mm512_cvtps_epi32(y), plan->zero) : _mm512_cvtps_epi32(y);
}

/* The first 16 * vectors columns of all rows, of the last vector those of `last`. */
ALWAYS void code_columns(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, const float *mul,
                         const float *add, __mmask16 last, const code_plan *plan, const int vectors, const int way)
{
    const __mmask64 some = ((__mmask64)last << (16 * (vectors - 1))) | (((__mmask64)1 << (16 * (vectors - 1))) - 1);
    __m512 scale[4], start[4];
    ISGI_UNROLL
    for (int v = 0; v < vectors; v++) {
        const __mmask16 part = v == vectors - 1 ? last : 0xffffu;
        scale[v] = _mm512_maskz_loadu_ps(part, mul + 16 * v);
        start[v] = way >= RECODE ? _mm512_maskz_loadu_ps(part, add + 16 * v) : _mm512_set1_ps(*add);
    }
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        __m512i q[4];
        ISGI_UNROLL
        for (int v = 0; v < 4; v++) {
            const __mmask16 part = v == vectors - 1 ? last : 0xffffu;
            if (v < vectors)
                q[v] = code_sixteen(_mm512_maskz_loadu_epi32(part, src + 16 * v), scale[v], start[v], plan, way);
            else
                q[v] = q[v - 1];
        }
        if (vectors == 1)
            store_sixteen(dst, q[0], last);
        else
            store_sixtyfour(dst, q, some);
    }
}

#define CODE_COLUMNS(vectors, way)                                                                                     \
    static __attribute__((noinline)) void code_##way##_##vectors(                                                      \
        uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, const float *mul, const float *add,     \
        __mmask16 last, const code_plan *plan)                                                                         \
    {                                                                                                                  \
        code_columns(dst, ldd, src, lds, rows, mul, add, last, plan, vectors, way);                                    \
    }
typedef void code_columns_fn(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, const float *mul,
                             const float *add, __mmask16 last, const code_plan *plan);
CODE_COLUMNS(1, FAR)
CODE_COLUMNS(1, NEAR)
CODE_COLUMNS(2, NEAR)
CODE_COLUMNS(3, NEAR)
CODE_COLUMNS(4, NEAR)
CODE_COLUMNS(1, RECODE)
CODE_COLUMNS(4, RECODE)
CODE_COLUMNS(4, RECTIFY)

/* Whether no sum times one of them, and 0 to 255 more, leaves the range of integers (or is NaN). */
static int stays_near(const float *mul, size_t n, float add)
{
    __mmask16 near = add >= 0.0f && add <= 255.0f ? 0xffffu : 0;
    for (size_t i = 0; i < n; i += 16) {
        const __m512 size = _mm512_abs_ps(_mm512_maskz_loadu_ps(mask16_of(n - i), mul + i));
        near &= _mm512_cmp_ps_mask(size, _mm512_set1_ps(0.5f), _CMP_LT_OQ);
    }
    return near == 0xffffu;
}

/* No table: its pointers would be data that the loader writes. */
static code_columns_fn *code_near(size_t columns)
{
    return columns > 48 ? code_NEAR_4 : columns > 32 ? code_NEAR_3 : columns > 16 ? code_NEAR_2 : code_NEAR_1;
}

void isgk_requantise_u8__avx512vnni(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                                    const float *mul, float add)
{
    const code_plan plan = {.most = _mm512_set1_ps(255.0f)};
    const int near = stays_near(mul, cols, add);
    for (size_t c = 0; c < cols; c += near ? 64 : 16) {
        const size_t left = cols - c, some = left < 64 ? left : 64;
        if (near)
            code_near(some)(dst + c, ldd, src + c, lds, rows, mul + c, &add, mask16_of((some - 1) % 16 + 1), &plan);
        else
            code_FAR_1(dst + c, ldd, src + c, lds, rows, mul + c, &add, mask16_of(left), &plan);
    }
}

void isgk_recode_u8__avx512vnni(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                                const isgk_recode *to)
{
    const float most = (float)(255 - to->zero), hi = to->hi * to->inverse;
    const code_plan plan = {_mm512_set1_ps(to->lo * to->inverse), _mm512_set1_ps(to->inverse),
                            _mm512_set1_ps(hi < most ? hi : most), _mm512_set1_epi32(to->zero)};
    code_columns_fn *const four = to->zero == 0 && to->lo <= 0.0f ? code_RECTIFY_4 : code_RECODE_4;
    for (size_t c = 0, some; c < cols; c += some) {
        const size_t left = cols - c;
        some = left > 48 ? 64 : 16; /* two or three vectors are rare, and cost code */
        (left > 48 ? four : code_RECODE_1)(dst + c, ldd, src + c, lds, rows, to->mul + c, to->add + c,
                                           mask16_of(left > 48 ? left - 48 : left), &plan);
    }
}

typedef struct finish_plan {
    __m512 lo, hi;
    int on;
} finish_plan;

ALWAYS void dequantise_sixteen(float *dst, const int32_t *src, const float *mul, const float *add,
                               const float *residual, __mmask16 some, const finish_plan *plan)
{
    const __m512 x = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(some, src));
    __m512 y = _mm512_mul_ps(x, _mm512_maskz_loadu_ps(some, mul));
    y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(some, add));
    if (residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(some, residual));
    if (plan->on) y = _mm512_min_ps(plan->hi, _mm512_max_ps(plan->lo, y));
    _mm512_mask_storeu_ps(dst, some, y);
}

ALWAYS void dequantise_row(float *dst, const int32_t *src, size_t cols, const float *mul, const float *add,
                           const float *residual, const finish_plan *plan)
{
    size_t c = 0;
    for (; cols - c >= 16; c += 16)
        dequantise_sixteen(dst + c, src + c, mul + c, add + c, residual ? residual + c : NULL, 0xffffu, plan);
    if (c < cols)
        dequantise_sixteen(dst + c, src + c, mul + c, add + c, residual ? residual + c : NULL, mask16_of(cols - c),
                           plan);
}

void isgk_dequantise_f32__avx512vnni(float *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                                     const float *mul, const float *add, const isgk_finish *finish)
{
    const float *residual = finish ? finish->residual : NULL;
    const finish_plan plan = {_mm512_set1_ps(finish ? finish->lo : 0.0f), _mm512_set1_ps(finish ? finish->hi : 0.0f),
                              finish != NULL};
    for (size_t r = 0; r < rows; r++, dst += ldd, src += lds) {
        if (residual)
            dequantise_row(dst, src, cols, mul, add, residual + r * finish->ldr, &plan);
        else
            dequantise_row(dst, src, cols, mul, add, NULL, &plan);
    }
}

/* The sum of a row of whole groups of four bytes. */
static __attribute__((noinline)) int32_t row_sum(const uint8_t *a, size_t k4)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum = _mm512_setzero_si512();
    for (size_t g = 0; g < k4; g += 16)
        sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(mask_of(4 * (k4 - g)), a + 4 * g), ones);
    return _mm512_reduce_add_epi32(sum);
}

/* What the tiles of one call share. */
typedef struct gemm_job {
    const uint8_t *a;
    const int8_t *b;
    const int32_t *init; /* NULL: sums start at 0 */
    size_t lda, ldb, ldc, k4;
} gemm_job;

/* rows x (16 * vectors) outputs in registers from row i, column j on; `last` masks the columns of the last vector. */
ALWAYS void gemm_tile(const gemm_job *job, int32_t *c, size_t i, size_t j, int rows, int vectors, __mmask16 last)
{
    const uint8_t *a = job->a + i * job->lda;
    const int8_t *row = job->b + 4 * j;
    /* Read before: stores of vectors may alias the job, and then the sums would be kept in memory as well. */
    const size_t lda = job->lda, ldb = job->ldb, ldc = job->ldc, k4 = job->k4;
    __m512i sum[8][3];
    c += i * ldc + j;
    ISGI_UNROLL
    for (int v = 0; v < vectors; v++) {
        const __mmask16 some = v == vectors - 1 ? last : 0xffffu;
        const __m512i start =
            job->init ? _mm512_maskz_loadu_epi32(some, job->init + j + 16 * v) : _mm512_setzero_si512();
        ISGI_UNROLL
        for (int r = 0; r < rows; r++) sum[r][v] = start;
    }
    for (size_t g = 0; g < k4; g++) {
        __m512i w[3];
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++)
            w[v] = _mm512_maskz_loadu_epi32(v == vectors - 1 ? last : 0xffffu, row + 4 * g * ldb + 64 * v);
        ISGI_UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t four;
            __m512i x;
            memcpy(&four, a + (size_t)r * lda + 4 * g, 4);
            x = _mm512_set1_epi32(four);
            ISGI_UNROLL
            for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], x, w[v]);
        }
    }
    ISGI_UNROLL
    for (int r = 0; r < rows; r++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++)
            _mm512_mask_storeu_epi32(c + (size_t)r * ldc + 16 * v, v == vectors - 1 ? last : 0xffffu, sum[r][v]);
    }
}

ALWAYS void gemm_rows(const gemm_job *job, int32_t *c, size_t m, size_t j, int vectors, __mmask16 last)
{
    size_t i = 0;
    for (; m - i >= 8; i += 8) gemm_tile(job, c, i, j, 8, vectors, last);
    for (; vectors == 3 && m - i >= 4; i += 4) gemm_tile(job, c, i, j, 4, vectors, last);
    for (; i < m; i++) gemm_tile(job, c, i, j, 1, vectors, last);
}

#define GEMM_ROWS(vectors)                                                                                             \
    static __attribute__((noinline)) void gemm_rows_##vectors(const gemm_job *job, int32_t *c, size_t m, size_t j,     \
                                                              __mmask16 last)                                          \
    {                                                                                                                  \
        gemm_rows(job, c, m, j, vectors, last);                                                                        \
    }
GEMM_ROWS(1)
GEMM_ROWS(2)
GEMM_ROWS(3)

/* Weights of odd codes are twice the code and one more. */
static __attribute__((noinline)) void finish_odd(const gemm_job *job, int32_t *c, size_t m, size_t n,
                                                 const int32_t *init)
{
    for (size_t i = 0; i < m; i++, c += job->ldc) {
        const __m512i more = _mm512_set1_epi32(row_sum(job->a + i * job->lda, job->k4));
        for (size_t j = 0; j < n; j += 16) {
            const __mmask16 some = mask16_of(n - j);
            const __m512i sum = _mm512_maskz_loadu_epi32(some, c + j);
            const __m512i rest = _mm512_add_epi32(more, _mm512_maskz_loadu_epi32(some, init + j));
            _mm512_mask_storeu_epi32(c + j, some, _mm512_add_epi32(_mm512_add_epi32(sum, sum), rest));
        }
    }
}

void isgk_gemm_u8s8__avx512vnni(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb,
                                size_t m, size_t n, size_t k4, const int32_t *init, const isgk_codes *codes)
{
    const gemm_job job = {a, b, codes->odd ? NULL : init, lda, ldb, ldc, k4};
    for (size_t j = 0, left = n; left;) {
        /* A single vector only where there is no other: its few sums wait for each other. */
        const size_t most = left > 48 && left <= 64 ? 32 : 48, columns = left < most ? left : most;
        if (columns > 32)
            gemm_rows_3(&job, c, m, j, mask16_of(columns - 32));
        else if (columns > 16)
            gemm_rows_2(&job, c, m, j, mask16_of(columns - 16));
        else
            gemm_rows_1(&job, c, m, j, mask16_of(columns));
        j += columns;
        left -= columns;
    }
    if (codes->odd) finish_odd(&job, c, m, n, init);
}

/* Channels c..c+63 of one pixel. Interleaving four taps leaves the channels in the order of isgk_dw_slot(). */
ALWAYS void dw_block(int32_t *dst, const uint8_t *const *taps, size_t offset, size_t groups, const int8_t *w,
                     size_t step, __mmask64 some, const __m512i init[4], int odd)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i sum[4], pair[4];
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) sum[v] = init[v];
    for (size_t g = 0; g < groups; g++, w += step) {
        __m512i t[4], x[4];
        ISGI_UNROLL
        for (int i = 0; i < 4; i++) t[i] = _mm512_maskz_loadu_epi8(some, taps[4 * g + (size_t)i] + offset);
        pair[0] = _mm512_unpacklo_epi8(t[0], t[1]);
        pair[1] = _mm512_unpackhi_epi8(t[0], t[1]);
        pair[2] = _mm512_unpacklo_epi8(t[2], t[3]);
        pair[3] = _mm512_unpackhi_epi8(t[2], t[3]);
        x[0] = _mm512_unpacklo_epi16(pair[0], pair[2]);
        x[1] = _mm512_unpackhi_epi16(pair[0], pair[2]);
        x[2] = _mm512_unpacklo_epi16(pair[1], pair[3]);
        x[3] = _mm512_unpackhi_epi16(pair[1], pair[3]);
        ISGI_UNROLL
        for (int v = 0; v < 4; v++) {
            const __m512i codes = _mm512_loadu_si512(w + 64 * v);
            sum[v] = _mm512_dpbusd_epi32(sum[v], x[v], codes);
            if (odd) sum[v] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum[v], x[v], codes), x[v], ones);
        }
    }
    /* Blocks of four channels: lane l of vector v goes to lane v of vector l. */
    pair[0] = _mm512_shuffle_i32x4(sum[0], sum[1], 0x44);
    pair[1] = _mm512_shuffle_i32x4(sum[0], sum[1], 0xee);
    pair[2] = _mm512_shuffle_i32x4(sum[2], sum[3], 0x44);
    pair[3] = _mm512_shuffle_i32x4(sum[2], sum[3], 0xee);
    sum[0] = _mm512_shuffle_i32x4(pair[0], pair[2], 0x88);
    sum[1] = _mm512_shuffle_i32x4(pair[0], pair[2], 0xdd);
    sum[2] = _mm512_shuffle_i32x4(pair[1], pair[3], 0x88);
    sum[3] = _mm512_shuffle_i32x4(pair[1], pair[3], 0xdd);
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) _mm512_mask_storeu_epi32(dst + 16 * v, (__mmask16)(some >> (16 * v)), sum[v]);
}

void isgk_dwconv_u8s8__avx512vnni(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step,
                                  size_t pixels, size_t groups, const int8_t *weights, size_t channels,
                                  const int32_t *init, const isgk_codes *codes)
{
    const size_t step = (channels + 63) / 64 * 256;
    for (size_t c = 0; c < channels; c += 64) {
        const __mmask64 some = mask_of(channels - c);
        int32_t slots[64];
        __m512i start[4];
        for (size_t i = 0; i < 64; i++) slots[isgk_dw_slot(i) / 4] = c + i < channels ? init[c + i] : 0;
        ISGI_UNROLL
        for (size_t v = 0; v < 4; v++) start[v] = _mm512_loadu_si512(slots + 16 * v);
        for (size_t p = 0; p < pixels; p++)
            dw_block(dst + p * ldd + c, taps, p * pixel_step + c, groups, weights + c / 64 * 256, step, some, start,
                     codes->odd);
    }
}
#endif
