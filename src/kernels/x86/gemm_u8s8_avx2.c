/* SPDX-License-Identifier: Apache-2.0 */
/* Integer matrix product with AVX2. The byte product of the instruction set adds pairs in 16 bits and saturates. Codes
 * of few bits never get there, and sums of several such products stay in 16 bits as well: they are added there before
 * they are widened. Wider codes, and the inputs with them, are widened to 16 bits first. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

#define BLOCK_ROWS 32u   /* whose widened inputs (16 kB) and the columns of a tile (4 kB) stay in L1 */
#define BLOCK_GROUPS 64u /* of four */
#define WORD_MAX 32767
#define LEAST_DEPTH 3u /* below, sums in C cost more than widening every product */

/* Row after row: the compiler would begin with all products and then lack registers for the sums. */
#define KEEP_ORDER(x, y) __asm__ volatile("" : "+x"(x), "+x"(y))

/* Some rows and groups of the left operand. */
typedef struct gemm_block {
    const uint8_t *bytes; /* lda apart */
    const uint16_t *wide; /* the same as 16-bit numbers, 4 * BLOCK_GROUPS apart; only where depth is 0 */
    size_t lda, rows, groups;
    size_t depth; /* groups whose products are added in 16 bits; 0: none can be */
    size_t run;   /* about as many, so that all runs are of one length */
} gemm_block;

/* Where sums go, and what they begin with: one row for all (start_step 0), or C itself. */
typedef struct gemm_sums {
    int32_t *c;
    const int32_t *start;
    size_t ldc, start_step;
} gemm_sums;

static gemm_sums sums_at(const gemm_sums *s, size_t row, size_t column)
{
    const gemm_sums at = {s->c + row * s->ldc + column, s->start + row * s->start_step + column, s->ldc, s->start_step};
    return at;
}

ALWAYS __m256i load_words(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* ---- codes of few bits ---- */

/* Four bytes of a row, everywhere. */
ALWAYS __m256i spread_four(const uint8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm256_set1_epi32(four);
}

/* `rows` rows of 8 * `vectors` columns: sums of 16 bits over `depth` groups, then of 32 bits in C. */
ALWAYS void narrow_deep(gemm_sums to, const gemm_block *k, const uint8_t *a, const int8_t *b, size_t ldb,
                        const int rows, const int vectors)
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (size_t g = 0; g < k->groups;) {
        const size_t end = k->groups - g < k->run ? k->groups : g + k->run;
        __m256i sum[4][2];
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
        for (; g < end; g++, b += 4 * ldb) {
            const __m256i b0 = load_words(b), b1 = vectors > 1 ? load_words(b + 32) : b0;
            ISGI_UNROLL
            for (int i = 0; i < rows; i++) {
                const __m256i x = spread_four(a + (size_t)i * k->lda + 4 * g);
                sum[i][0] = _mm256_add_epi16(sum[i][0], _mm256_maddubs_epi16(x, b0));
                if (vectors > 1) sum[i][1] = _mm256_add_epi16(sum[i][1], _mm256_maddubs_epi16(x, b1));
                KEEP_ORDER(sum[i][0], sum[i][1]);
            }
        }
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            ISGI_UNROLL
            for (int v = 0; v < vectors; v++) {
                const __m256i before = load_words(to.start + (size_t)i * to.start_step + 8 * v);
                const __m256i whole = _mm256_madd_epi16(sum[i][v], ones);
                _mm256_storeu_si256((__m256i *)(void *)(to.c + (size_t)i * to.ldc + 8 * v),
                                    _mm256_add_epi32(before, whole));
            }
        }
        to.start = to.c;
        to.start_step = to.ldc;
    }
}

/* The same where the products of only few groups fit 16 bits. */
ALWAYS void narrow_flat(gemm_sums to, const gemm_block *k, const uint8_t *a, const int8_t *b, size_t ldb,
                        const int rows, const int vectors)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[4][2];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) sum[i][v] = load_words(to.start + (size_t)i * to.start_step + 8 * v);
    }
    for (size_t g = 0; g < k->groups; g++, b += 4 * ldb) {
        const __m256i b0 = load_words(b), b1 = vectors > 1 ? load_words(b + 32) : b0;
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m256i x = spread_four(a + (size_t)i * k->lda + 4 * g);
            sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(_mm256_maddubs_epi16(x, b0), ones));
            if (vectors > 1)
                sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(_mm256_maddubs_epi16(x, b1), ones));
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++)
            _mm256_storeu_si256((__m256i *)(void *)(to.c + (size_t)i * to.ldc + 8 * v), sum[i][v]);
    }
}

ALWAYS void narrow_rows(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb, const int vectors)
{
    size_t i = 0;
    if (k->depth >= LEAST_DEPTH) {
        for (; k->rows - i >= 4; i += 4) narrow_deep(sums_at(to, i, 0), k, k->bytes + i * k->lda, b, ldb, 4, vectors);
        for (; i < k->rows; i++) narrow_deep(sums_at(to, i, 0), k, k->bytes + i * k->lda, b, ldb, 1, vectors);
        return;
    }
    for (; k->rows - i >= 4; i += 4) narrow_flat(sums_at(to, i, 0), k, k->bytes + i * k->lda, b, ldb, 4, vectors);
    for (; i < k->rows; i++) narrow_flat(sums_at(to, i, 0), k, k->bytes + i * k->lda, b, ldb, 1, vectors);
}

static void narrow_sixteen(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb)
{
    narrow_rows(to, k, b, ldb, 2);
}

static void narrow_eight(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb)
{
    narrow_rows(to, k, b, ldb, 1);
}

/* ---- codes of up to eight bits ---- */

#define TILE_ROWS 6 /* 12 sums of 16 registers */

/* Four columns of one group of four rows: 16 bytes as 16-bit numbers. */
ALWAYS __m256i widen_codes(const int8_t *b)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b));
}

/* `rows` rows of eight columns; pairs of lanes hold the two halves of a sum until the end. */
ALWAYS void wide_tile(gemm_sums to, const uint16_t *a, const int8_t *b, size_t ldb, size_t groups, const int rows)
{
    __m256i low[TILE_ROWS], high[TILE_ROWS];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) low[i] = high[i] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups; g++, b += 4 * ldb, a += 4) {
        const __m256i b0 = widen_codes(b), b1 = widen_codes(b + 16);
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            int64_t four;
            __m256i x;
            memcpy(&four, a + (size_t)i * 4 * BLOCK_GROUPS, sizeof four);
            x = _mm256_set1_epi64x(four);
            low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(x, b0));
            high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(x, b1));
            KEEP_ORDER(low[i], high[i]);
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        /* hadd gives columns 0 1 4 5 | 2 3 6 7 */
        const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low[i], high[i]), 0xd8);
        const __m256i before = load_words(to.start + (size_t)i * to.start_step);
        _mm256_storeu_si256((__m256i *)(void *)(to.c + (size_t)i * to.ldc), _mm256_add_epi32(sums, before));
    }
}

static void wide_eight(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb)
{
    const size_t row = 4 * BLOCK_GROUPS;
    size_t i = 0;
    for (; k->rows - i >= 6; i += 6) wide_tile(sums_at(to, i, 0), k->wide + i * row, b, ldb, k->groups, 6);
    for (; k->rows - i >= 2; i += 2) wide_tile(sums_at(to, i, 0), k->wide + i * row, b, ldb, k->groups, 2);
    if (i < k->rows) wide_tile(sums_at(to, i, 0), k->wide + i * row, b, ldb, k->groups, 1);
}

/* Rows of groups of four bytes as 16-bit numbers, BLOCK_GROUPS groups apart. */
static void widen_rows(uint16_t *dst, const uint8_t *a, size_t lda, size_t rows, size_t groups)
{
    for (size_t i = 0; i < rows; i++, a += lda, dst += 4 * BLOCK_GROUPS) {
        size_t k = 0;
        for (; 4 * groups - k >= 16; k += 16) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(a + k));
            _mm256_storeu_si256((__m256i *)(void *)(dst + k), _mm256_cvtepu8_epi16(bytes));
        }
        for (; k < 4 * groups; k++) dst[k] = a[k];
    }
}

/* ---- all columns ---- */

static void some_eight(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb)
{
    if (k->depth)
        narrow_eight(to, k, b, ldb);
    else
        wide_eight(to, k, b, ldb);
}

/* The last columns, fewer than eight: codes and sums in buffers of whole vectors. */
static void last_columns(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb, size_t cols)
{
    int8_t codes[BLOCK_GROUPS * 32];
    int32_t sums[BLOCK_ROWS * 8] = {0};
    const gemm_sums here = {sums, sums, 8, 8};
    memset(codes, 0, k->groups * 32);
    for (size_t g = 0; g < k->groups; g++) memcpy(codes + 32 * g, b + 4 * g * ldb, 4 * cols);
    for (size_t i = 0; i < k->rows; i++) memcpy(sums + 8 * i, to->start + i * to->start_step, cols * sizeof *sums);
    some_eight(&here, k, codes, 8);
    for (size_t i = 0; i < k->rows; i++) memcpy(to->c + i * to->ldc, sums + 8 * i, cols * sizeof *sums);
}

static void all_columns(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb, size_t n)
{
    size_t j = 0;
    if (k->groups == 0) { /* C becomes the start */
        for (size_t i = 0; i < k->rows; i++)
            memmove(to->c + i * to->ldc, to->start + i * to->start_step, n * sizeof *to->c);
        return;
    }
    for (; k->depth && n - j >= 16; j += 16) {
        const gemm_sums at = sums_at(to, 0, j);
        narrow_sixteen(&at, k, b + 4 * j, ldb);
    }
    for (; n - j >= 8; j += 8) {
        const gemm_sums at = sums_at(to, 0, j);
        some_eight(&at, k, b + 4 * j, ldb);
    }
    if (j < n) {
        const gemm_sums at = sums_at(to, 0, j);
        last_columns(&at, k, b + 4 * j, ldb, n - j);
    }
}

void isgk_gemm_u8s8__avx2(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb, size_t m,
                          size_t n, size_t k4, const int32_t *init, int32_t most)
{
    uint16_t wide[BLOCK_ROWS * 4 * BLOCK_GROUPS];
    const size_t depth = most > 0 ? (size_t)(WORD_MAX / (2 * 255 * most)) : 1;
    for (size_t i = 0; i < m; i += BLOCK_ROWS) {
        size_t g = 0;
        do { /* once even if there is nothing to add */
            const size_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
            const size_t groups = k4 - g < BLOCK_GROUPS ? k4 - g : BLOCK_GROUPS;
            const size_t runs = depth ? (groups + depth - 1) / depth : 1, run = runs ? (groups + runs - 1) / runs : 1;
            const gemm_block block = {a + i * lda + 4 * g, wide, lda, rows, groups, depth, run};
            const gemm_sums to = {c + i * ldc, g ? c + i * ldc : init, ldc, g ? ldc : 0};
            if (depth == 0) widen_rows(wide, block.bytes, lda, rows, groups);
            all_columns(&to, &block, b + 4 * g * ldb, ldb, n);
            g += groups;
        } while (g < k4);
    }
}
#endif
