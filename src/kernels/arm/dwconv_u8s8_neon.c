/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums over taps with NEON. As many products as the weights themselves allow are added in 16 bits; weights too
 * large for a byte are widened first. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <arm_neon.h>

#define ALWAYS static inline __attribute__((always_inline))

#define BLOCK 16u     /* channels */
#define MAX_TAPS 128u /* whose weights of a block take 4 kB */
#define ODD_MOST 63   /* whose 2 w + 1 is a byte */
#define MOST 255      /* times 128 fits 16 bits: what the magnitudes of a channel's weights may add up to */

typedef struct tap_weights {
    int16_t tap[MAX_TAPS][BLOCK];
    int8_t byte[MAX_TAPS][BLOCK]; /* the same, where there are runs */
    uint8_t end[MAX_TAPS];        /* of every run of taps that is summed in 16 bits */
    size_t taps, runs;            /* runs 0: the weights are too large */
    int32_t start[BLOCK];         /* 128 times the sum of a channel's weights */
} tap_weights;

static void find_runs(tap_weights *w)
{
    int32_t sum[BLOCK] = {0};
    w->runs = 0;
    for (size_t t = 0; t < w->taps; t++) {
        int full = 0;
        for (size_t c = 0; c < BLOCK; c++) {
            const int32_t size = w->tap[t][c] < 0 ? -w->tap[t][c] : w->tap[t][c];
            sum[c] += size;
            full |= sum[c] > MOST;
        }
        if (!full) continue;
        w->end[w->runs++] = (uint8_t)t;
        for (size_t c = 0; c < BLOCK; c++) sum[c] = w->tap[t][c] < 0 ? -w->tap[t][c] : w->tap[t][c];
    }
    w->end[w->runs++] = (uint8_t)w->taps;
}

/* Groups of the block of channels from `channel` on. */
static void take_weights(tap_weights *w, const int8_t *src, size_t step, size_t groups, size_t channel,
                         const isgk_codes *codes)
{
    w->taps = 4 * groups;
    memset(w->start, 0, sizeof w->start);
    for (size_t t = 0; t < w->taps; t++) {
        const int8_t *from = src + t / 4 * step + t % 4;
        for (size_t c = 0; c < BLOCK; c++) {
            const int32_t b = from[isgk_dw_slot(channel + c)];
            w->tap[t][c] = (int16_t)(codes->odd ? 2 * b + 1 : b);
            w->byte[t][c] = (int8_t)w->tap[t][c];
            w->start[c] += 128 * w->tap[t][c];
        }
    }
    w->runs = 0;
    if (!codes->odd || codes->most <= ODD_MOST) find_runs(w);
}

/* One pixel: inputs less 128 times weights, 16 bits over each run. */
ALWAYS void sum_narrow(int32x4_t sum[4], const uint8_t *const *taps, size_t offset, const tap_weights *w)
{
    size_t t = 0;
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) sum[v] = vaddq_s32(sum[v], vld1q_s32(w->start + 4 * v));
    for (size_t r = 0; r < w->runs; r++) {
        int16x8_t low = vdupq_n_s16(0), high = low;
        for (; t < w->end[r]; t++) {
            const int8x16_t x = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(taps[t] + offset), vdupq_n_u8(128)));
            const int8x16_t codes = vld1q_s8(w->byte[t]);
            low = vmlal_s8(low, vget_low_s8(x), vget_low_s8(codes));
            high = vmlal_high_s8(high, x, codes);
        }
        sum[0] = vaddw_s16(sum[0], vget_low_s16(low));
        sum[1] = vaddw_high_s16(sum[1], low);
        sum[2] = vaddw_s16(sum[2], vget_low_s16(high));
        sum[3] = vaddw_high_s16(sum[3], high);
    }
}

ALWAYS void sum_wide(int32x4_t sum[4], const uint8_t *const *taps, size_t offset, const tap_weights *w)
{
    for (size_t t = 0; t < w->taps; t++) {
        const uint8x16_t bytes = vld1q_u8(taps[t] + offset);
        const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
        const int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
        const int16x8_t first = vld1q_s16(w->tap[t]), second = vld1q_s16(w->tap[t] + 8);
        sum[0] = vmlal_s16(sum[0], vget_low_s16(low), vget_low_s16(first));
        sum[1] = vmlal_high_s16(sum[1], low, first);
        sum[2] = vmlal_s16(sum[2], vget_low_s16(high), vget_low_s16(second));
        sum[3] = vmlal_high_s16(sum[3], high, second);
    }
}

static void sum_pixel(int32_t *dst, const int32_t *start, size_t count, const uint8_t *const *taps, size_t offset,
                      const tap_weights *w)
{
    int32_t copy[BLOCK] = {0}, *to = dst;
    int32x4_t sum[4];
    if (count < BLOCK) {
        start = memcpy(copy, start, count * sizeof *start);
        to = copy;
    }
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) sum[v] = vld1q_s32(start + 4 * v);
    if (w->runs)
        sum_narrow(sum, taps, offset, w);
    else
        sum_wide(sum, taps, offset, w);
    ISGI_UNROLL
    for (int v = 0; v < 4; v++) vst1q_s32(to + 4 * v, sum[v]);
    if (count < BLOCK) memcpy(dst, copy, count * sizeof *dst);
}

void isgk_dwconv_u8s8__neon(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step, size_t pixels,
                            size_t groups, const int8_t *weights, size_t channels, const int32_t *init,
                            const isgk_codes *codes)
{
    const size_t step = (channels + 63) / 64 * 256, most = MAX_TAPS / 4;
    tap_weights w;
    for (size_t c = 0; c < channels; c += BLOCK) {
        const size_t count = channels - c < BLOCK ? channels - c : BLOCK;
        size_t g = 0;
        do { /* once even without taps: the sums become the start */
            const size_t part = groups - g < most ? groups - g : most;
            take_weights(&w, weights + g * step, step, part, c, codes);
            for (size_t p = 0; p < pixels; p++) {
                int32_t *out = dst + p * ldd + c;
                sum_pixel(out, g ? out : init + c, count, taps + 4 * g, p * pixel_step + c, &w);
            }
            g += part;
        } while (g < groups);
    }
}
#endif
