/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums over taps with AVX2. Interleaving two taps puts the bytes of a channel side by side for the byte
 * product, which adds pairs in 16 bits. How many pairs can be added there without overflow follows from the weights
 * themselves; weights too large for even one are widened to 16 bits first. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

#define BLOCK 32u     /* channels */
#define MAX_PAIRS 64u /* whose weights of a block take 4 kB, or 8 kB widened */
#define ODD_MOST 63   /* whose 2 w + 1 is a byte */
#define MOST 128      /* times 255 fits 16 bits: what the magnitudes of a channel's weights may add up to */

/* The weights of a block. An interleaved vector holds, of the low halves, channels 0-7 and 16-23, of the high ones 8-15
 * and 24-31. */
typedef struct tap_weights {
    int8_t pair[MAX_PAIRS][2][32];
    uint8_t end[MAX_PAIRS]; /* of every run of pairs that is summed in 16 bits */
    size_t pairs, runs;     /* runs 0: the weights are too large */
    int odd;                /* and what the bytes stand for is 2 w + 1 */
} tap_weights;

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Eight channels of four weights each: pairs (0, 1) and (2, 3). */
ALWAYS void split_eight(int8_t *first, int8_t *second, const int8_t *four, const int8_t *next, int odd)
{
    const __m128i one = _mm_set1_epi8((char)odd);
    const __m128i apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m128i a = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)four), apart);
    __m128i b = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)next), apart);
    if (odd) {
        a = _mm_add_epi8(_mm_add_epi8(a, a), one);
        b = _mm_add_epi8(_mm_add_epi8(b, b), one);
    }
    _mm_storeu_si128((__m128i *)(void *)first, _mm_unpacklo_epi64(a, b));
    _mm_storeu_si128((__m128i *)(void *)second, _mm_unpackhi_epi64(a, b));
}

/* |w0| + |w1| of sixteen channels. */
ALWAYS __m256i magnitudes(const int8_t *pair)
{
    return _mm256_maddubs_epi16(_mm256_abs_epi8(load(pair)), _mm256_set1_epi8(1));
}

ALWAYS int exceed(__m256i a, __m256i b)
{
    const __m256i most = _mm256_set1_epi16(MOST);
    return _mm256_movemask_epi8(_mm256_or_si256(_mm256_cmpgt_epi16(a, most), _mm256_cmpgt_epi16(b, most)));
}

static void find_runs(tap_weights *w)
{
    __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
    w->runs = 0;
    for (size_t p = 0; p < w->pairs; p++) {
        const __m256i m0 = magnitudes(w->pair[p][0]), m1 = magnitudes(w->pair[p][1]);
        sum0 = _mm256_add_epi16(sum0, m0);
        sum1 = _mm256_add_epi16(sum1, m1);
        if (exceed(m0, m1)) {
            w->runs = 0;
            return;
        }
        if (exceed(sum0, sum1)) {
            w->end[w->runs++] = (uint8_t)p;
            sum0 = m0;
            sum1 = m1;
        }
    }
    w->end[w->runs++] = (uint8_t)w->pairs;
}

/* Groups of the block of channels from `channel` on. */
static void take_weights(tap_weights *w, const int8_t *src, size_t step, size_t groups, size_t channel,
                         const isgk_codes *codes)
{
    const int odd = codes->odd && codes->most <= ODD_MOST;
    src += channel / 64 * 256 + channel % 64; /* isgk_dw_slot(channel) */
    w->pairs = 2 * groups;
    for (size_t g = 0; g < groups; g++, src += step) {
        int8_t(*first)[32] = w->pair[2 * g], (*second)[32] = w->pair[2 * g + 1];
        ISGI_UNROLL
        for (size_t half = 0; half < 2; half++) {
            const int8_t *four = src + 16 * half; /* of every sixteen channels, four lie together */
            split_eight(first[0] + 16 * half, second[0] + 16 * half, four, four + 64, odd);
            split_eight(first[1] + 16 * half, second[1] + 16 * half, four + 128, four + 192, odd);
        }
    }
    w->odd = codes->odd && !odd;
    w->runs = 0;
    if (!w->odd) find_runs(w);
}

/* What `count` sums begin with, and where they go: eight a vector. */
typedef struct tap_sums {
    int32_t *dst;
    const int32_t *start;
    size_t count;
} tap_sums;

ALWAYS void add_sums(const tap_sums *to, size_t vector, __m256i x)
{
    const size_t at = 8 * vector;
    if (to->count >= at + 8) {
        _mm256_storeu_si256((__m256i *)(void *)(to->dst + at), _mm256_add_epi32(load(to->start + at), x));
    } else if (to->count > at) {
        const __m256i some =
            _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(to->count - at)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        _mm256_maskstore_epi32(to->dst + at, some, _mm256_add_epi32(_mm256_maskload_epi32(to->start + at, some), x));
    }
}

/* One pixel, or two that share the weights; sums of 16 bits over each run. The first reads `offset` behind each tap's
 * pointer. */
ALWAYS void sum_narrow(const tap_sums *to, const uint8_t *const *taps, size_t offset, size_t step, const tap_weights *w,
                       const int pixels)
{
    tap_sums at[2] = {to[0], to[pixels - 1]};
    size_t p = 0;
    for (size_t r = 0; r < w->runs; r++) {
        __m256i low[2], high[2];
        low[0] = low[1] = high[0] = high[1] = _mm256_setzero_si256();
        for (; p < w->end[r]; p++) {
            const uint8_t *even = taps[2 * p] + offset, *odd = taps[2 * p + 1] + offset;
            const __m256i w0 = load(w->pair[p][0]), w1 = load(w->pair[p][1]);
            ISGI_UNROLL
            for (int i = 0; i < pixels; i++) {
                const __m256i a = load(even + (size_t)i * step), b = load(odd + (size_t)i * step);
                low[i] = _mm256_add_epi16(low[i], _mm256_maddubs_epi16(_mm256_unpacklo_epi8(a, b), w0));
                high[i] = _mm256_add_epi16(high[i], _mm256_maddubs_epi16(_mm256_unpackhi_epi8(a, b), w1));
            }
        }
        ISGI_UNROLL
        for (int i = 0; i < pixels; i++) {
            add_sums(&at[i], 0, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(low[i])));
            add_sums(&at[i], 1, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(high[i])));
            add_sums(&at[i], 2, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(low[i], 1)));
            add_sums(&at[i], 3, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(high[i], 1)));
            at[i].start = at[i].dst;
        }
    }
}

/* Eight channels of a pair: bytes of two taps side by side times theirs, as 16-bit numbers. */
ALWAYS __m256i wide_product(__m128i x, const int8_t *pair, int odd)
{
    __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)pair));
    if (odd) w = _mm256_add_epi16(_mm256_add_epi16(w, w), _mm256_set1_epi16(1));
    return _mm256_madd_epi16(_mm256_cvtepu8_epi16(x), w);
}

static void sum_wide(const tap_sums *to, const uint8_t *const *taps, size_t offset, const tap_weights *w)
{
    __m256i sum[4];
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) sum[v] = _mm256_setzero_si256();
    for (size_t p = 0; p < w->pairs; p++) {
        ISGI_UNROLL
        for (int half = 0; half < 2; half++) {
            const size_t at = offset + 16 * (size_t)half;
            const __m128i even = _mm_loadu_si128((const __m128i *)(const void *)(taps[2 * p] + at));
            const __m128i odd = _mm_loadu_si128((const __m128i *)(const void *)(taps[2 * p + 1] + at));
            const __m256i x0 = wide_product(_mm_unpacklo_epi8(even, odd), w->pair[p][0] + 16 * half, w->odd);
            const __m256i x1 = wide_product(_mm_unpackhi_epi8(even, odd), w->pair[p][1] + 16 * half, w->odd);
            sum[2 * half] = _mm256_add_epi32(sum[2 * half], x0);
            sum[2 * half + 1] = _mm256_add_epi32(sum[2 * half + 1], x1);
        }
    }
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) add_sums(to, (size_t)v, sum[v]);
}

/* A block of channels of a row of pixels; `first` holds the start of the first pixel, start_step 0 that of all. */
ALWAYS void sum_row(const tap_sums *first, size_t ldd, size_t start_step, const uint8_t *const *taps, size_t channel,
                    size_t step, size_t pixels, const tap_weights *w)
{
    size_t p = 0;
    for (; w->runs && pixels - p >= 2; p += 2) {
        const tap_sums to[2] = {
            {first->dst + p * ldd, first->start + p * start_step, first->count},
            {first->dst + (p + 1) * ldd, first->start + (p + 1) * start_step, first->count},
        };
        sum_narrow(to, taps, p * step + channel, step, w, 2);
    }
    for (; p < pixels; p++) {
        const tap_sums to = {first->dst + p * ldd, first->start + p * start_step, first->count};
        if (w->runs)
            sum_narrow(&to, taps, p * step + channel, step, w, 1);
        else
            sum_wide(&to, taps, p * step + channel, w);
    }
}

void isgk_dwconv_u8s8__avx2(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step, size_t pixels,
                            size_t groups, const int8_t *weights, size_t channels, const int32_t *init,
                            const isgk_codes *codes)
{
    const size_t step = (channels + 63) / 64 * 256, most = MAX_PAIRS / 2;
    tap_weights w;
    for (size_t c = 0; c < channels; c += BLOCK) {
        const size_t count = channels - c < BLOCK ? channels - c : BLOCK;
        size_t g = 0;
        do { /* once even without taps: the sums become the start */
            const size_t part = groups - g < most ? groups - g : most, start_step = g ? ldd : 0;
            tap_sums first = {dst + c, g ? dst + c : init + c, BLOCK};
            take_weights(&w, weights + g * step, step, part, c, codes);
            if (count == BLOCK) { /* the compiler knows the number then */
                sum_row(&first, ldd, start_step, taps + 4 * g, c, pixel_step, pixels, &w);
            } else {
                first.count = count;
                sum_row(&first, ldd, start_step, taps + 4 * g, c, pixel_step, pixels, &w);
            }
            g += part;
        } while (g < groups);
    }
}
#endif
