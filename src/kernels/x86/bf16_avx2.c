/* SPDX-License-Identifier: Apache-2.0 */
/* bfloat16 products with AVX2 and FMA: pairs are taken apart into floats, whose products are exact. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/bf16_round_avx2.h"
#include "kernels/simd/vec_avx2.h"

#define BF16_KERNEL(op) isgk_##op##__avx2
#define BF16_ROWS 4 /* eight sums, four numbers of a panel and two of a row in 16 registers */

typedef struct bf16_word {
    __m256 even, odd;
} bf16_word;

static inline __attribute__((always_inline)) bf16_word bf16_apart(__m256i pairs)
{
    const __m256i upper = _mm256_set1_epi32((int32_t)0xffff0000u);
    const bf16_word w = {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
                         _mm256_castsi256_ps(_mm256_and_si256(pairs, upper))};
    return w;
}

static inline __attribute__((always_inline)) bf16_word bf16_load(const uint32_t *p)
{
    return bf16_apart(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline __attribute__((always_inline)) bf16_word bf16_spread(uint32_t pair)
{
    return bf16_apart(_mm256_set1_epi32((int32_t)pair));
}

static inline __attribute__((always_inline)) vf bf16_add(vf sum, bf16_word x, bf16_word w)
{
    return vf_fma(x.even, w.even, vf_fma(x.odd, w.odd, sum));
}

#include "kernels/simd/bf16_body.h"
#endif
