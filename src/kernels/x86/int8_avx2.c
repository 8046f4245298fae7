/* SPDX-License-Identifier: Apache-2.0 */
/* Integer matrix product with AVX2. The byte product of the instruction set saturates, so bytes are widened first. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define GEMM_ROWS 4

/* Four columns of one group of four rows: 16 bytes as 16-bit numbers. */
static inline __m256i widen_columns(const int8_t *b)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b));
}

static inline __m256i widen_inputs(const uint8_t *a)
{
    int32_t four;
    memcpy(&four, a, 4);
    return _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
}

/* `rows` rows of eight columns; pairs of lanes hold the two halves of a sum until the end. */
static inline __attribute__((always_inline)) void gemm_eight(int32_t *c, size_t ldc, const uint8_t *a, size_t lda,
                                                             const int8_t *b, size_t ldb, size_t k4,
                                                             const int32_t *init, int rows)
{
    __m256i low[GEMM_ROWS], high[GEMM_ROWS];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) low[i] = high[i] = _mm256_setzero_si256();
    for (size_t g = 0; g < k4; g++) {
        const __m256i b0 = widen_columns(b + 4 * g * ldb), b1 = widen_columns(b + 4 * g * ldb + 16);
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            const __m256i x = widen_inputs(a + (size_t)i * lda + 4 * g);
            low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(x, b0));
            high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(x, b1));
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        /* hadd gives columns 0 1 4 5 | 2 3 6 7 */
        const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low[i], high[i]), 0xd8);
        const __m256i start = _mm256_loadu_si256((const __m256i *)(const void *)init);
        _mm256_storeu_si256((__m256i *)(void *)(c + (size_t)i * ldc), _mm256_add_epi32(sums, start));
    }
}

static void gemm_columns(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb, size_t m,
                         size_t n, size_t k4, const int32_t *init)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < m; i++) {
            int32_t sum = init[j];
            for (size_t k = 0; k < 4 * k4; k++) sum += a[i * lda + k] * b[(k / 4 * ldb + j) * 4 + k % 4];
            c[i * ldc + j] = sum;
        }
    }
}

void isgk_gemm_u8s8__avx2(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb, size_t m,
                          size_t n, size_t k4, const int32_t *init)
{
    size_t j = 0;
    for (; n - j >= 8; j += 8) {
        size_t i = 0;
        for (; m - i >= GEMM_ROWS; i += GEMM_ROWS)
            gemm_eight(c + i * ldc + j, ldc, a + i * lda, lda, b + 4 * j, ldb, k4, init + j, GEMM_ROWS);
        for (; i < m; i++) gemm_eight(c + i * ldc + j, ldc, a + i * lda, lda, b + 4 * j, ldb, k4, init + j, 1);
    }
    gemm_columns(c + j, ldc, a, lda, b + 4 * j, ldb, m, n - j, k4, init + j);
}
#endif
