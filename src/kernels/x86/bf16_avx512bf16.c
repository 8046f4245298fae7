/* SPDX-License-Identifier: Apache-2.0 */
/* bfloat16 products with AVX512_BF16, whose instruction takes pairs as they are. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/vec_avx512.h"

#define BF16_KERNEL(op) isgk_##op##__avx512bf16
#define BF16_ROWS 8 /* 16 sums of 32 registers */

#define BF16_SPARE 0

typedef __m512i bf16_word;

/* VCVTNE2PS2BF16 rounds to nearest, ties to even, takes denormal numbers for zeros and makes NaN quiet: as the
 * reference.
 */
static inline __attribute__((always_inline)) __m512i bf16_round(__m512 low, __m512 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static void bf16_round_panel(uint32_t *dst, const float *src, size_t rows)
{
    uint16_t side[32];
    __m512i order;
    for (size_t i = 0; i < 32; i++) side[i] = (uint16_t)(i % 2 * 16 + i / 2);
    order = _mm512_loadu_si512(side);
    for (size_t r = 0; r < rows; r += 2, src += ISGK_PANEL) {
        for (size_t c = 0; c < ISGK_PANEL; c += 16, src += 16, dst += 16) {
            const __m512 odd = r + 1 < rows ? _mm512_loadu_ps(src + ISGK_PANEL) : _mm512_setzero_ps();
            _mm512_storeu_si512(dst, _mm512_permutexvar_epi16(order, bf16_round(_mm512_loadu_ps(src), odd)));
        }
    }
}

static void bf16_pack_rows(uint32_t *dst, const float *a, size_t lda, size_t rows, size_t k)
{
    for (size_t i = 0; i < rows; i++, a += lda) {
        for (size_t p = 0; p < k; p += 32) {
            const size_t left = k - p, some = left < 32 ? left : 32, words = (some + 1) / 2;
            const __m512 low = _mm512_maskz_loadu_ps((__mmask16)(some >= 16 ? 0xffffu : (1u << some) - 1u), a + p);
            const __m512 high = some > 16 ? _mm512_maskz_loadu_ps((__mmask16)((1u << (some - 16)) - 1u), a + p + 16)
                                          : _mm512_setzero_ps();
            _mm512_mask_storeu_epi32(dst, (__mmask16)((1u << words) - 1u), bf16_round(low, high));
            dst += words;
        }
    }
}

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
