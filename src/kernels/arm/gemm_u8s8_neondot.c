/* SPDX-License-Identifier: Apache-2.0 */
/* Integer matrix product with the dot products of ARMv8.2. They take signed bytes: 128 is taken off the inputs, and the
 * sums of the columns' codes put it back. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <arm_neon.h>

#define ALWAYS static inline __attribute__((always_inline))

#define LAST_GROUPS 64u /* of four, whose codes of the last columns are copied at once */

/* Columns of one product: where their codes and what the sums start from lie. */
typedef struct dot_columns {
    const int8_t *b;
    size_t ldb, groups;
    const int32_t *start;
    size_t start_step; /* from row to row: 0 where all start alike */
    int32_t sums[16];  /* 128 times the sum of each column's codes */
    int odd;
} dot_columns;

static void sum_columns(dot_columns *k, size_t vectors)
{
    for (size_t v = 0; v < vectors; v++) {
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t g = 0; g < k->groups; g++)
            sum = vdotq_s32(sum, vld1q_s8(k->b + 4 * (g * k->ldb + 4 * v)), vdupq_n_s8(1));
        vst1q_s32(k->sums + 4 * v, vshlq_n_s32(sum, 7));
    }
}

/* One group of `rows` rows: x[i] holds its four inputs in `lane`. */
#define DOT_GROUP(lane)                                                                                                \
    do {                                                                                                               \
        int8x16_t w_[4];                                                                                               \
        ISGI_UNROLL                                                                                                    \
        for (int v = 0; v < vectors; v++) w_[v] = vld1q_s8(b + 16 * v);                                                \
        b += 4 * k->ldb;                                                                                               \
        ISGI_UNROLL                                                                                                    \
        for (int i = 0; i < rows; i++) {                                                                               \
            ISGI_UNROLL                                                                                                \
            for (int v = 0; v < vectors; v++) acc[i][v] = vdotq_laneq_s32(acc[i][v], w_[v], x[i], lane);               \
        }                                                                                                              \
    } while (0)

ALWAYS int8x16_t less_128(uint8x16_t x)
{
    return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(128)));
}

ALWAYS void dot_tile(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const dot_columns *k, size_t row,
                     const int rows, const int vectors)
{
    const int8_t *b = k->b;
    int32x4_t acc[4][4], total[4];
    int8x16_t x[4];
    size_t g = 0;
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        total[i] = vdupq_n_s32(0);
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) acc[i][v] = vdupq_n_s32(0);
    }
    for (; k->groups - g >= 4; g += 4) {
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            x[i] = less_128(vld1q_u8(a + (size_t)i * lda + 4 * g));
            if (k->odd) total[i] = vdotq_s32(total[i], x[i], vdupq_n_s8(1));
        }
        DOT_GROUP(0);
        DOT_GROUP(1);
        DOT_GROUP(2);
        DOT_GROUP(3);
    }
    for (; g < k->groups; g++) {
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            uint32_t four;
            memcpy(&four, a + (size_t)i * lda + 4 * g, sizeof four);
            /* the other lanes become codes of 0.0, which the sum of the row must not see */
            x[i] = less_128(vreinterpretq_u8_u32(vsetq_lane_u32(four, vdupq_n_u32(0x80808080u), 0)));
            if (k->odd) total[i] = vdotq_s32(total[i], x[i], vdupq_n_s8(1));
        }
        DOT_GROUP(0);
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        const int32_t *start = k->start + (row + (size_t)i) * k->start_step;
        const int32_t inputs = k->odd ? vaddvq_s32(total[i]) + 512 * (int32_t)k->groups : 0;
        ISGI_UNROLL
        for (int v = 0; v < vectors; v++) {
            const int32x4_t all = vshlq_s32(vaddq_s32(acc[i][v], vld1q_s32(k->sums + 4 * v)), vdupq_n_s32(k->odd));
            const int32x4_t sum = vaddq_s32(vaddq_s32(vld1q_s32(start + 4 * v), all), vdupq_n_s32(inputs));
            vst1q_s32(c + (size_t)i * ldc + 4 * v, sum);
        }
    }
}

ALWAYS void dot_rows(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const dot_columns *k, size_t m,
                     const int vectors)
{
    size_t i = 0;
    for (; m - i >= 4; i += 4) dot_tile(c + i * ldc, ldc, a + i * lda, lda, k, i, 4, vectors);
    for (; i < m; i++) dot_tile(c + i * ldc, ldc, a + i * lda, lda, k, i, 1, vectors);
}

static void four_vectors(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, dot_columns *k, size_t m)
{
    sum_columns(k, 4);
    dot_rows(c, ldc, a, lda, k, m, 4);
}

static void one_vector(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, dot_columns *k, size_t m)
{
    sum_columns(k, 1);
    dot_rows(c, ldc, a, lda, k, m, 1);
}

/* Fewer than four columns, a row at a time: their codes, and the row's sums, in buffers of whole vectors. */
static void last_columns(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, dot_columns k, size_t m, size_t columns)
{
    const dot_columns all = k;
    size_t g = 0;
    do { /* once even if there is nothing to add: C becomes the start */
        int8_t codes[16 * LAST_GROUPS] = {0};
        k.groups = all.groups - g < LAST_GROUPS ? all.groups - g : LAST_GROUPS;
        for (size_t t = 0; t < k.groups; t++) memcpy(codes + 16 * t, all.b + 4 * (g + t) * all.ldb, 4 * columns);
        k.b = codes;
        k.ldb = 4;
        sum_columns(&k, 1);
        for (size_t i = 0; i < m; i++) {
            int32_t sums[4] = {0};
            memcpy(sums, g ? c + i * ldc : all.start, columns * sizeof *sums);
            k.start = sums;
            k.start_step = 0;
            dot_tile(sums, 4, a + i * lda + 4 * g, lda, &k, 0, 1, 1);
            memcpy(c + i * ldc, sums, columns * sizeof *sums);
        }
        g += k.groups;
    } while (g < all.groups);
}

void isgk_gemm_u8s8__neondot(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb,
                             size_t m, size_t n, size_t k4, const int32_t *init, const isgk_codes *codes)
{
    dot_columns k = {b, ldb, k4, init, 0, {0}, codes->odd != 0};
    size_t j = 0;
    for (; n - j >= 16; j += 16, k.b += 64, k.start += 16) four_vectors(c + j, ldc, a, lda, &k, m);
    for (; n - j >= 4; j += 4, k.b += 16, k.start += 4) one_vector(c + j, ldc, a, lda, &k, m);
    if (j < n) last_columns(c + j, ldc, a, lda, k, m, n - j);
}
#endif
