/* SPDX-License-Identifier: Apache-2.0 */
/* Integer matrix product with AVX2. The byte product of the instruction set adds pairs in 16 bits and saturates. Codes
 * of few bits never get there, and the sum of two such products stays in 16 bits as well: it is made before widening.
 * Up to three bits sixteen can be added. Wider codes, and the inputs with them, are widened to 16 bits first. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

#define BLOCK_ROWS 32u   /* whose widened inputs (16 kB) and the columns of a tile (4 kB) stay in L1 */
#define BLOCK_GROUPS 64u /* of four */
#define WORD_MAX 32767

/* From so many groups that can be added in 16 bits a whole block is. */
#define DEEP 16

/* Some rows and groups of the left operand. */
typedef struct gemm_block {
    const uint8_t *bytes; /* lda apart */
    const uint16_t *wide; /* the same as 16-bit numbers, 4 * BLOCK_GROUPS apart; only where depth is 0 */
    const int32_t *more;  /* what is added to every sum of a row */
    size_t lda, rows, groups;
    size_t depth; /* groups whose products can be added in 16 bits; 0: not even those of one; from DEEP on all here */
    int odd;
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

ALWAYS __m256i start_of(const gemm_sums *to, int row, int vector, int32_t more)
{
    const __m256i start = load_words(to->start + (size_t)row * to->start_step + 8 * vector);
    return _mm256_add_epi32(start, _mm256_set1_epi32(more));
}

ALWAYS void store_sums(const gemm_sums *to, int row, int vector, __m256i sums)
{
    _mm256_storeu_si256((__m256i *)(void *)(to->c + (size_t)row * to->ldc + 8 * vector), sums);
}

/* ---- codes of few bits ---- */

#define NARROW_ROWS 8 /* of one vector; of two, half as many */

/* sum += x in place and in this order: left to itself the compiler keeps copies of the sums, and those in memory. */
#define ADD_WORDS(sum, x) __asm__ volatile("vpaddw %1, %0, %0" : "+x"(sum) : "x"(x))
#define ADD_DOUBLE_WORDS(sum, x) __asm__ volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(x))

/* Four bytes of a row, everywhere. */
ALWAYS __m256i spread_four(const uint8_t *a)
{
    int32_t four;
    memcpy(&four, a, sizeof four);
    return _mm256_set1_epi32(four);
}

/* `together` groups, which are added in 16 bits; widening multiplies by `unit`. */
ALWAYS void narrow_step(__m256i sum[NARROW_ROWS][2], const uint8_t *a, size_t lda, const int8_t *b, size_t ldb,
                        __m256i unit, const int rows, const int vectors, const int together)
{
    __m256i w[2][2], x[2];
    ISGI_UNROLL
    for (int t = 0; t < together; t++) {
        w[t][0] = load_words(b + (size_t)t * 4 * ldb);
        w[t][1] = vectors > 1 ? load_words(b + (size_t)t * 4 * ldb + 32) : w[t][0];
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int t = 0; t < together; t++) x[t] = spread_four(a + (size_t)i * lda + 4 * t);
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) {
            __m256i word = _mm256_maddubs_epi16(x[0], w[0][v]);
            ISGI_UNROLL
            for (int t = 1; t < together; t++) word = _mm256_add_epi16(word, _mm256_maddubs_epi16(x[t], w[t][v]));
            ADD_DOUBLE_WORDS(sum[i][v], _mm256_madd_epi16(word, unit));
        }
    }
}

/* The sums of a block in 16 bits. */
ALWAYS void narrow_block(__m256i words[NARROW_ROWS][2], const uint8_t *a, size_t lda, const int8_t *b, size_t ldb,
                         size_t groups, const int rows, const int vectors)
{
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) words[i][0] = words[i][1] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups; g++, a += 4, b += 4 * ldb) {
        const __m256i w0 = load_words(b), w1 = vectors > 1 ? load_words(b + 32) : w0;
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m256i x = spread_four(a + (size_t)i * lda);
            ADD_WORDS(words[i][0], _mm256_maddubs_epi16(x, w0));
            if (vectors > 1) ADD_WORDS(words[i][1], _mm256_maddubs_epi16(x, w1));
        }
    }
}

/* `rows` rows of 8 * `vectors` columns from `a` on. */
ALWAYS void narrow_tile(const gemm_sums *to, const int32_t *more, const uint8_t *a, size_t lda, const int8_t *b,
                        size_t ldb, size_t groups, __m256i unit, const int rows, const int vectors, const int together)
{
    __m256i sum[NARROW_ROWS][2];
    if (together == DEEP) {
        narrow_block(sum, a, lda, b, ldb, groups, rows, vectors);
    } else {
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = _mm256_setzero_si256();
        for (; groups >= (size_t)together; groups -= (size_t)together) {
            narrow_step(sum, a, lda, b, ldb, unit, rows, vectors, together);
            a += 4 * together;
            b += (size_t)together * 4 * ldb;
        }
        if (groups) narrow_step(sum, a, lda, b, ldb, unit, rows, vectors, 1);
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const __m256i wide = together == DEEP ? _mm256_madd_epi16(sum[i][v], unit) : sum[i][v];
            store_sums(to, i, v, _mm256_add_epi32(start_of(to, i, v, more[i]), wide));
        }
    }
}

/* Four rows of three vectors: twelve sums leave no registers for weights, which every row takes from memory. */
#define BROAD_ROWS 4
#define BROAD 24u /* columns */

/* The compiler would load once for all rows, and then lack registers. */
#define FORGET(p) __asm__ volatile("" : "+r"(p))

ALWAYS void broad_step(__m256i sum[BROAD_ROWS][3], const uint8_t *a, size_t lda, const int8_t *b, size_t ldb,
                       __m256i unit, const int rows, const int together)
{
    ISGI_UNROLL
    for (int i = 0; i < rows; i++, a += lda) {
        const __m256i x0 = spread_four(a), x1 = together > 1 ? spread_four(a + 4) : x0;
        const int8_t *w = b;
        FORGET(w);
        ISGI_UNROLL
        for (int v = 0; v < 3; v++) {
            __m256i word = _mm256_maddubs_epi16(x0, load_words(w + 32 * v));
            if (together > 1) word = _mm256_add_epi16(word, _mm256_maddubs_epi16(x1, load_words(w + 4 * ldb + 32 * v)));
            ADD_DOUBLE_WORDS(sum[i][v], _mm256_madd_epi16(word, unit));
        }
    }
}

ALWAYS void broad_tile(const gemm_sums *to, const int32_t *more, const uint8_t *a, size_t lda, const int8_t *b,
                       size_t ldb, size_t groups, __m256i unit, const int rows)
{
    __m256i sum[BROAD_ROWS][3];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < 3; v++) sum[i][v] = start_of(to, i, v, more[i]);
    }
    for (; groups >= 2; groups -= 2, a += 8, b += 8 * ldb) broad_step(sum, a, lda, b, ldb, unit, rows, 2);
    if (groups) broad_step(sum, a, lda, b, ldb, unit, rows, 1);
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        ISGI_UNROLL
        for (int v = 0; v < 3; v++) store_sums(to, i, v, sum[i][v]);
    }
}

/* As many rows as fill tiles of `most`, by TILE; returns how many. Functions of their own, and pointers that move: the
 * first loads of a tile are to wait for nothing. */
#define ALL_ROWS(name, most, TILE, ...)                                                                                \
    static __attribute__((noinline)) size_t name(const gemm_sums *all, const gemm_block *k, const int8_t *b,           \
                                                 size_t ldb, size_t row)                                               \
    {                                                                                                                  \
        const __m256i unit = _mm256_set1_epi16(k->odd ? 2 : 1);                                                        \
        const size_t lda = k->lda, groups = k->groups;                                                                 \
        const uint8_t *a = k->bytes + row * lda;                                                                       \
        gemm_sums to = sums_at(all, row, 0);                                                                           \
        for (; k->rows - row >= (most); row += (most), a += (most)*lda) {                                              \
            TILE(&to, k->more + row, a, lda, b, ldb, groups, unit, most __VA_ARGS__);                                  \
            to.c += (most)*to.ldc;                                                                                     \
            to.start += (most)*to.start_step;                                                                          \
        }                                                                                                              \
        return row;                                                                                                    \
    }
#define WITH(...) , __VA_ARGS__
ALL_ROWS(narrow_one, 1, narrow_tile, WITH(1, 1))
ALL_ROWS(narrow_1_1, NARROW_ROWS, narrow_tile, WITH(1, 1))
ALL_ROWS(narrow_1_2, NARROW_ROWS, narrow_tile, WITH(1, 2))
ALL_ROWS(narrow_2_2, NARROW_ROWS / 2, narrow_tile, WITH(2, 2))
ALL_ROWS(narrow_1_deep, NARROW_ROWS, narrow_tile, WITH(1, DEEP))
ALL_ROWS(narrow_2_deep, NARROW_ROWS / 2, narrow_tile, WITH(2, DEEP))
ALL_ROWS(broad_rows, BROAD_ROWS, broad_tile, )

/* All rows of eight, sixteen or BROAD columns; the last rows eight columns at a time. */
static void narrow_columns(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb, size_t columns)
{
    size_t done;
    if (columns == BROAD)
        done = broad_rows(to, k, b, ldb, 0);
    else if (k->depth >= DEEP)
        done = (columns == 16 ? narrow_2_deep : narrow_1_deep)(to, k, b, ldb, 0);
    else if (k->depth >= 2)
        done = (columns == 16 ? narrow_2_2 : narrow_1_2)(to, k, b, ldb, 0);
    else
        done = narrow_1_1(to, k, b, ldb, 0);
    for (size_t j = 0; j < columns && done < k->rows; j += 8) {
        const gemm_sums at = sums_at(to, 0, j);
        narrow_one(&at, k, b + 4 * j, ldb, done);
    }
}

/* ---- codes of up to eight bits ---- */

#define TILE_ROWS 6 /* 12 sums of 16 registers */

/* Four columns of one group of four rows: 16 bytes as 16-bit numbers. */
ALWAYS __m256i widen_codes(const int8_t *b)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b));
}

/* `rows` rows of eight columns; pairs of lanes hold the two halves of a sum until the end. */
ALWAYS void wide_tile(const gemm_sums *all, const gemm_block *k, size_t row, const int8_t *b, size_t ldb,
                      const int rows)
{
    const gemm_sums to = sums_at(all, row, 0);
    const uint16_t *a = k->wide + row * 4 * BLOCK_GROUPS;
    __m256i low[TILE_ROWS], high[TILE_ROWS];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) low[i] = high[i] = _mm256_setzero_si256();
    for (size_t g = 0; g < k->groups; g++, b += 4 * ldb, a += 4) {
        const __m256i b0 = widen_codes(b), b1 = widen_codes(b + 16);
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            int64_t four;
            __m256i x;
            memcpy(&four, a + (size_t)i * 4 * BLOCK_GROUPS, sizeof four);
            x = _mm256_set1_epi64x(four);
            ADD_DOUBLE_WORDS(low[i], _mm256_madd_epi16(x, b0));
            ADD_DOUBLE_WORDS(high[i], _mm256_madd_epi16(x, b1));
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        /* hadd gives columns 0 1 4 5 | 2 3 6 7 */
        const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low[i], high[i]), 0xd8);
        const __m256i start = start_of(&to, i, 0, k->more[row + (size_t)i]);
        store_sums(&to, i, 0, _mm256_add_epi32(start, _mm256_slli_epi32(sums, k->odd)));
    }
}

static void wide_eight(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb)
{
    size_t i = 0;
    for (; k->rows - i >= 6; i += 6) wide_tile(to, k, i, b, ldb, 6);
    for (; k->rows - i >= 2; i += 2) wide_tile(to, k, i, b, ldb, 2);
    if (i < k->rows) wide_tile(to, k, i, b, ldb, 1);
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
        narrow_columns(to, k, b, ldb, 8);
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

/* Sums of rows of whole groups of four bytes. */
static void sum_rows(int32_t *dst, const uint8_t *a, size_t lda, size_t rows, size_t groups)
{
    for (size_t i = 0; i < rows; i++, a += lda) {
        const __m128i none = _mm_setzero_si128();
        __m128i sum = none;
        int32_t four;
        size_t g = 0;
        for (; groups - g >= 4; g += 4)
            sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_loadu_si128((const __m128i *)(const void *)(a + 4 * g)), none));
        for (; g < groups; g++) {
            memcpy(&four, a + 4 * g, sizeof four);
            sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_cvtsi32_si128(four), none));
        }
        dst[i] = _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 2);
    }
}

static void all_columns(const gemm_sums *to, const gemm_block *k, const int8_t *b, size_t ldb, size_t n)
{
    size_t j = 0;
    if (k->groups == 0) { /* C becomes the start */
        for (size_t i = 0; i < k->rows; i++)
            memmove(to->c + i * to->ldc, to->start + i * to->start_step, n * sizeof *to->c);
        return;
    }
    for (; k->depth >= 2 && k->depth < DEEP && n - j >= BROAD; j += BROAD) {
        const gemm_sums at = sums_at(to, 0, j);
        narrow_columns(&at, k, b + 4 * j, ldb, BROAD);
    }
    for (; k->depth >= 2 && n - j >= 16; j += 16) {
        const gemm_sums at = sums_at(to, 0, j);
        narrow_columns(&at, k, b + 4 * j, ldb, 16);
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
                          size_t n, size_t k4, const int32_t *init, const isgk_codes *codes)
{
    uint16_t wide[BLOCK_ROWS * 4 * BLOCK_GROUPS];
    int32_t more[BLOCK_ROWS] = {0};
    const size_t depth = codes->most > 0 ? (size_t)(WORD_MAX / (2 * 255 * codes->most)) : 1;
    const size_t longest = depth >= DEEP && depth < BLOCK_GROUPS ? depth : BLOCK_GROUPS;
    for (size_t i = 0; i < m; i += BLOCK_ROWS) {
        size_t g = 0;
        do { /* once even if there is nothing to add */
            const size_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
            const size_t groups = k4 - g < longest ? k4 - g : longest;
            const gemm_block block = {a + i * lda + 4 * g, wide, more, lda, rows, groups, depth, codes->odd != 0};
            const gemm_sums to = {c + i * ldc, g ? c + i * ldc : init, ldc, g ? ldc : 0};
            if (block.odd) sum_rows(more, block.bytes, lda, rows, groups);
            if (depth == 0) widen_rows(wide, block.bytes, lda, rows, groups);
            all_columns(&to, &block, b + 4 * g * ldb, ldb, n);
            g += groups;
        } while (g < k4);
    }
}
#endif
