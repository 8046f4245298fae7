/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums over pairs of taps with AVX2. The byte product of the instruction set adds the two of a pair in 16 bits;
 * for weights of few bits some taps can be added there before widening, and for 3 bits all of a 3x3 kernel. Larger
 * weights are widened to 16 bits first. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

#define VECTORS 3 /* of sixteen channels; with four pixels, twelve sums of sixteen registers */
#define PIXELS 4
#define MOST 64 /* twice 255 times it fits 16 bits */

#define WORDS 48 /* room for the sums of a pixel */

/* One sum after the other: the compiler would begin with all products and then lack registers for the sums. */
#define KEEP_ORDER(x) __asm__ volatile("" : "+x"(x))

/* What the tiles of one call share; the tile begins at `channel`. */
typedef struct pairs_job {
    const uint8_t *const *taps;
    const int8_t *weights;
    const int32_t *init;
    size_t pixel_step, count, ldw, channels, ldd;
    size_t run; /* taps that can be added in 16 bits; 0: not even one */
    int odd;
} pairs_job;

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

ALWAYS __m128i load_half(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* The first `count` of eight sums; dst may be the start. */
ALWAYS void add_eight(int32_t *dst, const int32_t *start, __m256i x, size_t count)
{
    int32_t some[8] = {0};
    if (count >= 8) {
        _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_add_epi32(load(start), x));
        return;
    }
    memcpy(some, start, count * sizeof *some);
    _mm256_storeu_si256((__m256i *)(void *)some, _mm256_add_epi32(load(some), x));
    memcpy(dst, some, count * sizeof *some);
}

/* Sums of 16 bits, WORDS a pixel, added to what they begin with: `first` or the sums so far. */
static __attribute__((noinline)) void add_words(const pairs_job *j, int32_t *dst, const int16_t *words, size_t channel,
                                                size_t pixels, size_t vectors, int first)
{
    const size_t left = j->channels - channel, count = left < 16 * vectors ? left : 16 * vectors;
    dst += channel;
    for (size_t i = 0; i < pixels; i++, dst += j->ldd, words += WORDS) {
        const int32_t *start = first ? j->init + channel : dst;
        size_t c = 0;
        for (; count - c >= 8; c += 8) add_eight(dst + c, start + c, _mm256_cvtepi16_epi32(load_half(words + c)), 8);
        if (count - c >= 4) { /* as of 44 channels */
            const __m128i sum = _mm_add_epi32(load_half(start + c), _mm_cvtepi16_epi32(load_half(words + c)));
            _mm_storeu_si128((__m128i *)(void *)(dst + c), sum);
            c += 4;
        }
        if (c < count) add_eight(dst + c, start + c, _mm256_cvtepi16_epi32(load_half(words + c)), count - c);
    }
}

/* `pixels` pixels from `p` on of 16 * `vectors` channels. */
ALWAYS void narrow_tile(const pairs_job *j, int32_t *dst, size_t p, size_t channel, const int pixels, const int vectors)
{
    const size_t step = j->pixel_step, offset = p * step + 2 * channel;
    int16_t words[PIXELS * WORDS + 8] __attribute__((aligned(32)));
    size_t t = 0;
    do { /* once even without taps: the sums become the start */
        const size_t end = j->count - t < j->run ? j->count : t + j->run;
        const int first = t == 0;
        __m256i sum[PIXELS][VECTORS];
        ISGI_UNROLL
        for (int i = 0; i < pixels; i++) {
            ISGI_UNROLL
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_setzero_si256();
        }
        for (; t < end; t++) {
            const uint8_t *x = j->taps[t] + offset;
            const int8_t *w = j->weights + t * j->ldw + 2 * channel;
            __m256i codes[VECTORS];
            ISGI_UNROLL
            for (int v = 0; v < vectors; v++) codes[v] = load(w + 32 * v);
            ISGI_UNROLL
            for (int i = 0; i < pixels; i++, x += step) {
                ISGI_UNROLL
                for (int v = 0; v < vectors; v++) {
                    __m256i product = _mm256_maddubs_epi16(load(x + 32 * v), codes[v]);
                    KEEP_ORDER(product);
                    sum[i][v] = _mm256_add_epi16(sum[i][v], product);
                }
            }
        }
        ISGI_UNROLL
        for (int i = 0; i < pixels; i++) {
            ISGI_UNROLL
            for (int v = 0; v < vectors; v++)
                _mm256_store_si256((__m256i *)(void *)(words + i * WORDS + 16 * v), sum[i][v]);
        }
        add_words(j, dst, words, channel, (size_t)pixels, (size_t)vectors, first);
    } while (t < j->count);
}

#define NARROW(pixels, vectors)                                                                                        \
    static __attribute__((noinline)) void narrow_##pixels##x##vectors(const pairs_job *j, int32_t *dst, size_t p,      \
                                                                      size_t channel)                                  \
    {                                                                                                                  \
        narrow_tile(j, dst, p, channel, pixels, vectors);                                                              \
    }
NARROW(1, 1)
NARROW(4, 1)
NARROW(1, 3)
NARROW(4, 3)

/* All channels of one to four pixels. */
static void narrow_pixels(const pairs_job *j, int32_t *dst, size_t p, size_t pixels)
{
    size_t c = 0;
    for (; c + 32 < j->channels; c += 48) {
        if (pixels == PIXELS)
            narrow_4x3(j, dst, p, c);
        else
            narrow_1x3(j, dst, p, c);
    }
    for (; c < j->channels; c += 16) {
        if (pixels == PIXELS)
            narrow_4x1(j, dst, p, c);
        else
            narrow_1x1(j, dst, p, c);
    }
}

/* Eight channels of one pixel at a time. */
static void wide_pixel(const pairs_job *j, int32_t *dst, size_t p)
{
    for (size_t c = 0; c < j->channels; c += 8) {
        __m256i sum = _mm256_setzero_si256();
        for (size_t t = 0; t < j->count; t++) {
            const uint8_t *x = j->taps[t] + p * j->pixel_step + 2 * c;
            const int8_t *codes = j->weights + t * j->ldw + 2 * c;
            __m256i w = _mm256_cvtepi8_epi16(load_half(codes));
            if (j->odd) w = _mm256_add_epi16(_mm256_add_epi16(w, w), _mm256_set1_epi16(1));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(load_half(x)), w));
        }
        add_eight(dst + c, j->init + c, sum, j->channels - c);
    }
}

void isgk_dwpairs_u8s8__avx2(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step, size_t pixels,
                             size_t tap_count, const int8_t *weights, size_t ldw, size_t channels, const int32_t *init,
                             const isgk_codes *codes)
{
    const size_t run = codes->most > 0 ? (size_t)(MOST / codes->most) : tap_count + 1;
    const pairs_job j = {taps, weights,  init, pixel_step,           tap_count,
                         ldw,  channels, ldd,  codes->odd ? 0 : run, codes->odd};
    for (size_t p = 0, step; p < pixels; p += step, dst += step * ldd) {
        step = j.run && pixels - p >= PIXELS ? PIXELS : 1;
        if (j.run)
            narrow_pixels(&j, dst, p, step);
        else
            wide_pixel(&j, dst, p);
    }
}
#endif
