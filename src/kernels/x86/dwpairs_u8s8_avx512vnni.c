/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums over pairs of taps with AVX-512 VNNI, which multiplies four bytes: the pairs of two taps. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

#define PIXELS 4    /* eight sums, as many as the latency of a sum asks for */
#define CHANNELS 32 /* a vector of pairs */

/* What the tiles of one call share. */
typedef struct pairs_job {
    const uint8_t *const *taps;
    const int8_t *weights;
    const int32_t *init;
    size_t pixel_step, count, ldw, channels, ldd;
} pairs_job;

/* Sums in the order in which interleaving words in 128-bit lanes leaves them: channels 8 l .. 8 l + 3 of lane l in
 * `low`, the four after them in `high`. */
ALWAYS void store_sums(int32_t *dst, const int32_t *init, __m512i low, __m512i high, size_t channels)
{
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i second = _mm512_add_epi64(first, _mm512_set1_epi64(4));
    const __mmask16 some = (__mmask16)(channels < 16 ? (1u << channels) - 1u : 0xffffu);
    const __mmask16 more = (__mmask16)(channels < 32 ? ((1u << channels) - 1u) >> 16 : 0xffffu);
    const __m512i a = _mm512_permutex2var_epi64(low, first, high), b = _mm512_permutex2var_epi64(low, second, high);
    _mm512_mask_storeu_epi32(dst, some, _mm512_add_epi32(a, _mm512_maskz_loadu_epi32(some, init)));
    _mm512_mask_storeu_epi32(dst + 16, more, _mm512_add_epi32(b, _mm512_maskz_loadu_epi32(more, init + 16)));
}

/* A weight of odd codes is twice the code and one more. */
ALWAYS __m512i add_products(__m512i sum, __m512i x, __m512i codes, const int odd)
{
    sum = _mm512_dpbusd_epi32(sum, x, codes);
    if (odd) sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, x, codes), x, _mm512_set1_epi8(1));
    return sum;
}

/* `pixels` pixels from `p` on of up to 32 channels. Behind an odd number of taps the last one meets zeros, which odd
 * codes do not have: there its bytes are zeros too. */
ALWAYS void pairs_tile(const pairs_job *j, int32_t *dst, size_t p, size_t channel, const int pixels, const int odd)
{
    const size_t left = j->channels - channel, channels = left < CHANNELS ? left : CHANNELS;
    const __mmask64 some = channels < CHANNELS ? ((__mmask64)1 << (2 * channels)) - 1 : ~(__mmask64)0;
    const size_t offset = p * j->pixel_step + 2 * channel;
    __m512i low[PIXELS], high[PIXELS];
    ISGI_UNROLL
    for (int i = 0; i < pixels; i++) low[i] = high[i] = _mm512_setzero_si512();
    for (size_t t = 0; t < j->count; t += 2) {
        const int two = t + 1 < j->count;
        const __mmask64 next = two ? some : 0;
        const uint8_t *x = j->taps[t] + offset, *y = two ? j->taps[t + 1] + offset : x;
        const int8_t *codes = j->weights + t * j->ldw + 2 * channel, *after = two ? codes + j->ldw : codes;
        const __m512i v = _mm512_maskz_loadu_epi8(some, codes), w = _mm512_maskz_loadu_epi8(next, after);
        const __m512i codes_low = _mm512_unpacklo_epi16(v, w), codes_high = _mm512_unpackhi_epi16(v, w);
        ISGI_UNROLL
        for (int i = 0; i < pixels; i++, x += j->pixel_step, y += j->pixel_step) {
            const __m512i a = _mm512_maskz_loadu_epi8(some, x), b = _mm512_maskz_loadu_epi8(next, y);
            low[i] = add_products(low[i], _mm512_unpacklo_epi16(a, b), codes_low, odd);
            high[i] = add_products(high[i], _mm512_unpackhi_epi16(a, b), codes_high, odd);
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < pixels; i++)
        store_sums(dst + (size_t)i * j->ldd + channel, j->init + channel, low[i], high[i], channels);
}

void isgk_dwpairs_u8s8__avx512vnni(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step,
                                   size_t pixels, size_t tap_count, const int8_t *weights, size_t ldw, size_t channels,
                                   const int32_t *init, const isgk_codes *codes)
{
    const pairs_job j = {taps, weights, init, pixel_step, tap_count, ldw, channels, ldd};
    size_t p = 0;
    for (; !codes->odd && pixels - p >= PIXELS; p += PIXELS) {
        for (size_t c = 0; c < channels; c += CHANNELS) pairs_tile(&j, dst + p * ldd, p, c, PIXELS, 0);
    }
    for (; p < pixels; p++) {
        for (size_t c = 0; c < channels; c += CHANNELS) pairs_tile(&j, dst + p * ldd, p, c, 1, codes->odd);
    }
}
#endif
