/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to bfloat16 with AVX2. */
#ifndef INSITU_KERNELS_BF16_ROUND_AVX2_H
#define INSITU_KERNELS_BF16_ROUND_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/kernels.h"

/* Eight numbers, in 32 bits each. */
static inline __m256i bf16_round(__m256 x)
{
    const __m256i u = _mm256_castps_si256(x), upper = _mm256_srli_epi32(u, 16);
    const __m256i even = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), even);
    const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i exponent = _mm256_and_si256(u, _mm256_set1_epi32(0x7f800000));
    const __m256i small = _mm256_cmpeq_epi32(exponent, _mm256_setzero_si256());
    const __m256i sign = _mm256_and_si256(upper, _mm256_set1_epi32(0x8000));
    const __m256i rounded = _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, nan);
    return _mm256_blendv_epi8(rounded, sign, small);
}

static inline __m256i bf16_pairs(__m256 even, __m256 odd)
{
    return _mm256_or_si256(bf16_round(even), _mm256_slli_epi32(bf16_round(odd), 16));
}

static inline void bf16_store(uint32_t *dst, __m256i words)
{
    _mm256_storeu_si256((__m256i *)(void *)dst, words);
}

static void bf16_round_panel(uint32_t *dst, const float *src, size_t rows)
{
    for (size_t r = 0; r < rows; r += 2, src += ISGK_PANEL) {
        for (size_t c = 0; c < ISGK_PANEL; c += 8, src += 8, dst += 8) {
            const __m256 odd = r + 1 < rows ? _mm256_loadu_ps(src + ISGK_PANEL) : _mm256_setzero_ps();
            bf16_store(dst, bf16_pairs(_mm256_loadu_ps(src), odd));
        }
    }
}

#define BF16_SPARE 8

static void bf16_pack_rows(uint32_t *dst, const float *a, size_t lda, size_t rows, size_t k)
{
    for (size_t i = 0; i < rows; i++, a += lda, dst += (k + 1) / 2) {
        for (size_t p = 0; p < k; p += 16) {
            float last[16] = {0};
            const float *src = a + p;
            __m256 x, y;
            __m256i words;
            if (k - p < 16) {
                memcpy(last, src, (k - p) * sizeof *last);
                src = last;
            }
            x = _mm256_loadu_ps(src);
            y = _mm256_loadu_ps(src + 8);
            words = bf16_pairs(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xdd));
            bf16_store(dst + p / 2, _mm256_permute4x64_epi64(words, 0xd8));
        }
    }
}

#endif
