/* SPDX-License-Identifier: Apache-2.0 */
/* Integer products with AVX2. The byte product of the instruction set saturates, so bytes are widened to 16 bits: the
 * inputs of a block once, into a buffer; the codes as they are loaded. */
#include "kernels/kernels.h"

#if defined(__x86_64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

/* ---- matrix product ---- */

#define TILE_ROWS 6 /* 12 sums of 16 registers */
#define BLOCK_ROWS                                                                                                     \
    24u /* rows and groups of four whose widened inputs (12 kB) and the columns of a tile (2 kB) stay in L1 */
#define BLOCK_GROUPS 64u

/* Row after row: the compiler would begin with all products and then lack registers for the sums. */
#define KEEP_ORDER(x, y) __asm__ volatile("" : "+x"(x), "+x"(y))

/* Four columns of one group of four rows: 16 bytes as 16-bit numbers. */
ALWAYS __m256i widen_codes(const int8_t *b)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b));
}

/* `rows` rows of eight columns; pairs of lanes hold the two halves of a sum until the end. */
ALWAYS void gemm_eight(int32_t *c, size_t ldc, const uint16_t *a, const int8_t *b, size_t ldb, size_t groups,
                       const int32_t *start, size_t start_step, const int rows)
{
    __m256i low[TILE_ROWS], high[TILE_ROWS];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) low[i] = high[i] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups; g++, b += 4 * ldb, a += 4) {
        const __m256i b0 = widen_codes(b), b1 = widen_codes(b + 16);
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            int64_t four;
            __m256i x;
            memcpy(&four, a + (size_t)i * 4 * BLOCK_GROUPS, sizeof four);
            x = _mm256_set1_epi64x(four);
            low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(x, b0));
            high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(x, b1));
            KEEP_ORDER(low[i], high[i]);
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        /* hadd gives columns 0 1 4 5 | 2 3 6 7 */
        const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low[i], high[i]), 0xd8);
        const __m256i before = _mm256_loadu_si256((const __m256i *)(const void *)(start + (size_t)i * start_step));
        _mm256_storeu_si256((__m256i *)(void *)(c + (size_t)i * ldc), _mm256_add_epi32(sums, before));
    }
}

/* Some rows of eight columns. `start` is what the sums begin with: one row for all, or C itself. */
static void gemm_rows(int32_t *c, size_t ldc, const uint16_t *a, const int8_t *b, size_t ldb, size_t rows,
                      size_t groups, const int32_t *start, size_t start_step)
{
    const size_t row = 4 * BLOCK_GROUPS;
    size_t i = 0;
    for (; rows - i >= 6; i += 6)
        gemm_eight(c + i * ldc, ldc, a + i * row, b, ldb, groups, start + i * start_step, start_step, 6);
    for (; rows - i >= 3; i += 3)
        gemm_eight(c + i * ldc, ldc, a + i * row, b, ldb, groups, start + i * start_step, start_step, 3);
    for (; i < rows; i++)
        gemm_eight(c + i * ldc, ldc, a + i * row, b, ldb, groups, start + i * start_step, start_step, 1);
}

/* The last columns, fewer than eight: codes and sums in buffers of whole vectors. */
static void gemm_last(int32_t *c, size_t ldc, const uint16_t *a, const int8_t *b, size_t ldb, size_t rows, size_t cols,
                      size_t groups, const int32_t *start, size_t start_step)
{
    int8_t codes[BLOCK_GROUPS * 32];
    int32_t sums[BLOCK_ROWS * 8];
    memset(codes, 0, groups * 32);
    for (size_t g = 0; g < groups; g++) memcpy(codes + 32 * g, b + 4 * g * ldb, 4 * cols);
    memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < rows; i++) memcpy(sums + 8 * i, start + i * start_step, cols * sizeof *sums);
    gemm_rows(sums, 8, a, codes, 8, rows, groups, sums, 8);
    for (size_t i = 0; i < rows; i++) memcpy(c + i * ldc, sums + 8 * i, cols * sizeof *sums);
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

void isgk_gemm_u8s8__avx2(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb, size_t m,
                          size_t n, size_t k4, const int32_t *init)
{
    uint16_t wide[BLOCK_ROWS * 4 * BLOCK_GROUPS];
    for (size_t i = 0; i < m; i += BLOCK_ROWS) {
        const size_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
        int32_t *out = c + i * ldc;
        size_t g = 0;
        do { /* once even if there is nothing to add: C becomes the start */
            const size_t groups = k4 - g < BLOCK_GROUPS ? k4 - g : BLOCK_GROUPS;
            const int8_t *codes = b + 4 * g * ldb;
            size_t j = 0;
            widen_rows(wide, a + i * lda + 4 * g, lda, rows, groups);
            for (; n - j >= 8; j += 8)
                gemm_rows(out + j, ldc, wide, codes + 4 * j, ldb, rows, groups, g ? out + j : init + j, g ? ldc : 0);
            if (j < n)
                gemm_last(out + j, ldc, wide, codes + 4 * j, ldb, rows, n - j, groups, g ? out + j : init + j,
                          g ? ldc : 0);
            g += groups;
        } while (g < k4);
    }
}

/* ---- sums over taps ---- */

#define TAP_GROUPS 32u /* whose weights of 16 channels, widened, take 4 kB */

/* Weights of 16 channels and one group: tap pairs (0, 1) and (2, 3) of channels 0-7 and 8-15, as 16-bit numbers. */
typedef struct tap_weights {
    int16_t pair[4][16];
} tap_weights;

/* Eight channels of four weights each: the pairs (0, 1) and (2, 3). */
ALWAYS void widen_eight(int16_t *first, int16_t *second, const uint32_t *channels)
{
    const __m256i apart = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12,
                                           13, 2, 3, 6, 7, 10, 11, 14, 15);
    const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)channels);
    const __m256i pairs = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(w, apart), 0xd8);
    _mm256_storeu_si256((__m256i *)(void *)first, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(pairs)));
    _mm256_storeu_si256((__m256i *)(void *)second, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(pairs, 1)));
}

/* Channels from .. from+count-1, zeros behind. */
static void widen_weights(tap_weights *dst, const int8_t *src, size_t step, size_t groups, size_t from, size_t count)
{
    for (size_t g = 0; g < groups; g++, src += step) {
        uint32_t four[16] = {0};
        for (size_t c = 0; c < count; c++) memcpy(four + c, src + isgk_dw_slot(from + c), 4);
        widen_eight(dst[g].pair[0], dst[g].pair[2], four);
        widen_eight(dst[g].pair[1], dst[g].pair[3], four + 8);
    }
}

ALWAYS __m256i load_sums(const int32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* 16 channels of one pixel. Interleaving two taps puts the bytes of a channel side by side: one multiply-add of 16-bit
 * pairs gives whole sums. */
ALWAYS void dw_sixteen(int32_t *dst, const uint8_t *const *taps, size_t channel, size_t groups, const tap_weights *w,
                       const int32_t *start)
{
    __m256i low = load_sums(start), high = load_sums(start + 8);
    for (size_t g = 0; g < groups; g++, taps += 4, w++) {
        ISGI_UNROLL
        for (int p = 0; p < 2; p++) {
            const __m128i even = _mm_loadu_si128((const __m128i *)(const void *)(taps[2 * p] + channel));
            const __m128i odd = _mm_loadu_si128((const __m128i *)(const void *)(taps[2 * p + 1] + channel));
            const __m256i x0 = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(even, odd));
            const __m256i x1 = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(even, odd));
            const __m256i *pair = (const __m256i *)(const void *)w->pair[2 * p];
            low = _mm256_add_epi32(low, _mm256_madd_epi16(x0, _mm256_loadu_si256(pair)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(x1, _mm256_loadu_si256(pair + 1)));
        }
    }
    _mm256_storeu_si256((__m256i *)(void *)dst, low);
    _mm256_storeu_si256((__m256i *)(void *)(dst + 8), high);
}

/* Fewer than 16 channels: through copies, so that nothing behind the last one is touched. */
static void dw_last(int32_t *dst, const uint8_t *const *taps, size_t channel, size_t count, size_t groups,
                    const tap_weights *w, const int32_t *start)
{
    uint8_t copies[4][16] = {{0}};
    const uint8_t *const rows[4] = {copies[0], copies[1], copies[2], copies[3]};
    int32_t sums[16] = {0};
    memcpy(sums, start, count * sizeof *sums);
    for (size_t g = 0; g < groups; g++) {
        for (size_t t = 0; t < 4; t++) memcpy(copies[t], taps[4 * g + t] + channel, count);
        dw_sixteen(sums, rows, 0, 1, w + g, sums);
    }
    memcpy(dst, sums, count * sizeof *sums);
}

/* The last channels are summed in a block of sixteen that ends with them, some of them twice. */
void isgk_dwconv_u8s8__avx2(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixels, size_t groups,
                            const int8_t *weights, size_t channels, const int32_t *init)
{
    const size_t step = (channels + 63) / 64 * 256, count = channels < 16 ? channels : 16;
    tap_weights wide[TAP_GROUPS];
    for (size_t begin = 0; begin < channels; begin += 16) {
        const size_t c = channels - begin < count ? channels - count : begin;
        size_t g = 0;
        do { /* once even without taps: the sums become the start */
            const size_t part = groups - g < TAP_GROUPS ? groups - g : TAP_GROUPS;
            widen_weights(wide, weights + g * step, step, part, c, count);
            for (size_t p = 0; p < pixels; p++) {
                int32_t *out = dst + p * ldd + c;
                const uint8_t *const *from = taps + 4 * (p * groups + g);
                const int32_t *start = g ? out : init + c;
                if (count == 16)
                    dw_sixteen(out, from, c, part, wide, start);
                else
                    dw_last(out, from, c, count, part, wide, start);
            }
            g += part;
        } while (g < groups);
    }
}
#endif
