/* SPDX-License-Identifier: Apache-2.0 */
/* bfloat16 products with AVX512_BF16, whose instruction takes pairs as they are. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/vec_avx512.h"

#define BF16_KERNEL(op) isgk_##op##__avx512bf16
#define BF16_ROWS 8 /* 16 sums of 32 registers */

typedef __m512i bf16_word;

static inline __attribute__((always_inline)) bf16_word bf16_load(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}

static inline __attribute__((always_inline)) bf16_word bf16_spread(uint32_t pair)
{
    return _mm512_set1_epi32((int32_t)pair);
}

static inline __attribute__((always_inline)) vf bf16_add(vf sum, bf16_word x, bf16_word w)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}

#include "kernels/simd/bf16_body.h"
#endif
