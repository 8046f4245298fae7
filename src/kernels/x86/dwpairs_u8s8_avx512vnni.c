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

/* Two taps: what they read (y goes on by `step`), and their codes. */
typedef struct two_taps {
    const uint8_t *x, *y;
    const void *v, *w;
    size_t step;
} two_taps;

/* Taps t and t + 1. Behind an odd number of taps the last one meets codes 0 and, as odd codes have no 0, bytes 0. */
ALWAYS two_taps taps_at(const pairs_job *j, size_t t, size_t offset, size_t channel)
{
    static const uint8_t nothing[64];
    const int8_t *codes = j->weights + t * j->ldw + 2 * channel;
    two_taps at = {j->taps[t] + offset, nothing, codes, nothing, 0};
    if (t + 1 < j->count) {
        at.y = j->taps[t + 1] + offset;
        at.w = codes + j->ldw;
        at.step = j->pixel_step;
    }
    return at;
}

/* Half 0 or 1 of sums in the order in which interleaving words in 128-bit lanes leaves them: channels 8 l .. 8 l + 3 of
 * lane l in `low`, the four after them in `high`. */
ALWAYS __m512i in_order(__m512i low, __m512i high, const int half)
{
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    return _mm512_permutex2var_epi64(low, half ? _mm512_add_epi64(first, _mm512_set1_epi64(4)) : first, high);
}

ALWAYS void store_sums(int32_t *dst, const int32_t *init, __m512i low, __m512i high, size_t channels, const int half)
{
    const size_t at = half ? 0 : 16;
    const __mmask16 last = (__mmask16)((1u << (channels - at)) - 1u);
    const __m512i start = _mm512_maskz_loadu_epi32(last, init + at);
    if (!half) _mm512_storeu_si512(dst, _mm512_add_epi32(_mm512_loadu_si512(init), in_order(low, high, 0)));
    _mm512_mask_storeu_epi32(dst + at, last, _mm512_add_epi32(start, in_order(low, high, !half)));
}

/* A weight of odd codes is twice the code and one more. */
ALWAYS __m512i add_products(__m512i sum, __m512i x, __m512i codes, const int odd)
{
    sum = _mm512_dpbusd_epi32(sum, x, codes);
    if (odd) sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, x, codes), x, _mm512_set1_epi8(1));
    return sum;
}

/* 32 channels, or 16: in whole groups of 32 bytes, for which no mask is needed. */
ALWAYS __m512i load_pairs(const void *p, const int half)
{
    return half ? _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)p)) : _mm512_loadu_si512(p);
}

/* `pixels` pixels from `p` on of up to 32 channels (half: 16). */
ALWAYS void pairs_tile(const pairs_job *j, int32_t *dst, size_t p, size_t channel, const int pixels, const int half,
                       const int odd)
{
    const size_t left = j->channels - channel, channels = left < CHANNELS ? left : CHANNELS;
    const size_t step = j->pixel_step, offset = p * step + 2 * channel, count = j->count, ldd = j->ldd;
    __m512i low[PIXELS], high[PIXELS];
    ISGI_UNROLL
    for (int i = 0; i < pixels; i++) low[i] = high[i] = _mm512_setzero_si512();
    for (size_t t = 0; t < count; t += 2) {
        const two_taps at = taps_at(j, t, offset, channel);
        const uint8_t *x = at.x, *y = at.y;
        const __m512i v = load_pairs(at.v, half), w = load_pairs(at.w, half);
        const __m512i codes_low = _mm512_unpacklo_epi16(v, w), codes_high = _mm512_unpackhi_epi16(v, w);
        ISGI_UNROLL
        for (int i = 0; i < pixels; i++, x += step, y += at.step) {
            const __m512i a = load_pairs(x, half), b = load_pairs(y, half);
            low[i] = add_products(low[i], _mm512_unpacklo_epi16(a, b), codes_low, odd);
            high[i] = add_products(high[i], _mm512_unpackhi_epi16(a, b), codes_high, odd);
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < pixels; i++)
        store_sums(dst + (size_t)i * ldd + channel, j->init + channel, low[i], high[i], channels, half);
}

static __attribute__((noinline)) void four_pixels(const pairs_job *j, int32_t *dst, size_t p, size_t channel)
{
    pairs_tile(j, dst, p, channel, PIXELS, 0, 0);
}

/* 16 channels of two pixels. */
ALWAYS __m512i load_two(const uint8_t *p, size_t step)
{
    return _mm512_inserti64x4(load_pairs(p, 1), _mm256_loadu_si256((const __m256i *)(const void *)(p + step)), 1);
}

/* Four pixels of up to 16 channels, two in a vector; even codes. */
static __attribute__((noinline)) void four_pixels_half(const pairs_job *j, int32_t *dst, size_t p, size_t channel)
{
    const size_t step = j->pixel_step, offset = p * step + 2 * channel, count = j->count, ldd = j->ldd;
    const __mmask16 some = (__mmask16)((1u << (j->channels - channel)) - 1u);
    __m512i low[2], high[2];
    ISGI_UNROLL
    for (int i = 0; i < 2; i++) low[i] = high[i] = _mm512_setzero_si512();
    for (size_t t = 0; t < count; t += 2) {
        const two_taps at = taps_at(j, t, offset, channel);
        const uint8_t *x = at.x, *y = at.y;
        const __m512i v = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)at.v));
        const __m512i w = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)at.w));
        ISGI_UNROLL
        for (int i = 0; i < 2; i++, x += 2 * step, y += 2 * at.step) {
            const __m512i a = load_two(x, step), b = load_two(y, at.step);
            low[i] = _mm512_dpbusd_epi32(low[i], _mm512_unpacklo_epi16(a, b), _mm512_unpacklo_epi16(v, w));
            high[i] = _mm512_dpbusd_epi32(high[i], _mm512_unpackhi_epi16(a, b), _mm512_unpackhi_epi16(v, w));
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < 2; i++) {
        const __m512i start = _mm512_maskz_loadu_epi32(some, j->init + channel);
        int32_t *to = dst + (size_t)(2 * i) * ldd + channel;
        _mm512_mask_storeu_epi32(to, some, _mm512_add_epi32(start, in_order(low[i], high[i], 0)));
        _mm512_mask_storeu_epi32(to + ldd, some, _mm512_add_epi32(start, in_order(low[i], high[i], 1)));
    }
}

static __attribute__((noinline)) void one_pixel(const pairs_job *j, int32_t *dst, size_t p, size_t channel, int half,
                                                int odd)
{
    pairs_tile(j, dst, p, channel, 1, half, odd);
}

void isgk_dwpairs_u8s8__avx512vnni(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step,
                                   size_t pixels, size_t tap_count, const int8_t *weights, size_t ldw, size_t channels,
                                   const int32_t *init, const isgk_codes *codes)
{
    const pairs_job j = {taps, weights, init, pixel_step, tap_count, ldw, channels, ldd};
    for (size_t p = 0, step; p < pixels; p += step) {
        step = !codes->odd && pixels - p >= PIXELS ? PIXELS : 1;
        for (size_t c = 0; c < channels; c += CHANNELS) {
            const int half = channels - c <= CHANNELS / 2;
            if (step == 1)
                one_pixel(&j, dst, p, c, half, codes->odd);
            else
                (half ? four_pixels_half : four_pixels)(&j, dst, p, c);
        }
        dst += step * ldd;
    }
}
#endif
