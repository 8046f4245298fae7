/* SPDX-License-Identifier: Apache-2.0 */
/* Integer matrix product with NEON. Products of bytes are added in 16 bits as long as the size of the codes allows,
 * then widened. The inputs are made signed by taking 128 off, which the sums of the columns' codes put back. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "base/mem.h"
#include "kernels/simd/unroll.h"

#include <arm_neon.h>

#define BLOCK_ROWS 32u
#define BLOCK_GROUPS 64u /* of four: the inputs of a block take 8 kB */
#define WORD_MAX 32767

/* Some rows and groups of the left operand. */
typedef struct gemm_block {
    int8_t x[BLOCK_ROWS][4 * BLOCK_GROUPS]; /* less 128 */
    int32_t sum[BLOCK_ROWS];                /* of the bytes as they were, or 0 where it is not needed */
    size_t rows, groups;
    size_t depth; /* groups whose products are added in 16 bits */
    int odd;
} gemm_block;

static void take_block(gemm_block *k, const uint8_t *a, size_t lda)
{
    for (size_t i = 0; i < k->rows; i++, a += lda) {
        uint32_t sum = 0;
        size_t t = 0;
        for (; 4 * k->groups - t >= 16; t += 16) {
            const uint8x16_t bytes = vld1q_u8(a + t);
            sum += vaddlvq_u8(bytes);
            vst1q_s8(k->x[i] + t, vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128))));
        }
        for (; t < 4 * k->groups; t++) {
            sum += a[t];
            k->x[i][t] = (int8_t)(a[t] - 128);
        }
        k->sum[i] = k->odd ? (int32_t)sum : 0;
    }
}

/* 128 times the sums of four columns' codes. */
static inline int32x4_t column_sums(const int8_t *b, size_t ldb, size_t groups)
{
    int32x4_t sum = vdupq_n_s32(0);
    for (size_t g = 0; g < groups; g++, b += 4 * ldb) sum = vpadalq_s16(sum, vpaddlq_s8(vld1q_s8(b)));
    return vshlq_n_s32(sum, 7);
}

/* `rows` rows of four columns. */
static inline __attribute__((always_inline)) void gemm_four(int32_t *c, size_t ldc, const gemm_block *k, size_t row,
                                                            const int8_t *b, size_t ldb, int32x4_t columns,
                                                            const int32_t *start, size_t start_step, const int rows)
{
    int32x4_t sum[4][2]; /* halves of the sums of columns 0, 1 and of 2, 3 */
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = vdupq_n_s32(0);
    for (size_t g = 0; g < k->groups;) {
        const size_t end = k->groups - g < k->depth ? k->groups : g + k->depth;
        int16x8_t low[4], high[4];
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) low[i] = high[i] = vdupq_n_s16(0);
        for (; g < end; g++, b += 4 * ldb) {
            const int8x16_t codes = vld1q_s8(b);
            ISGI_UNROLL
            for (int i = 0; i < rows; i++) {
                int32_t four;
                int8x16_t x;
                memcpy(&four, &k->x[row + (size_t)i][4 * g], sizeof four);
                x = vreinterpretq_s8_s32(vdupq_n_s32(four));
                low[i] = vmlal_s8(low[i], vget_low_s8(x), vget_low_s8(codes));
                high[i] = vmlal_high_s8(high[i], x, codes);
            }
        }
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            sum[i][0] = vpadalq_s16(sum[i][0], low[i]);
            sum[i][1] = vpadalq_s16(sum[i][1], high[i]);
        }
    }
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) {
        const int32x4_t all = vshlq_s32(vaddq_s32(vpaddq_s32(sum[i][0], sum[i][1]), columns), vdupq_n_s32(k->odd));
        const int32x4_t begin = vld1q_s32(start + (size_t)i * start_step);
        vst1q_s32(c + (size_t)i * ldc, vaddq_s32(vaddq_s32(begin, all), vdupq_n_s32(k->sum[row + (size_t)i])));
    }
}

static void four_columns(int32_t *c, size_t ldc, const gemm_block *k, const int8_t *b, size_t ldb, const int32_t *start,
                         size_t start_step)
{
    const int32x4_t columns = column_sums(b, ldb, k->groups);
    size_t i = 0;
    for (; k->rows - i >= 4; i += 4)
        gemm_four(c + i * ldc, ldc, k, i, b, ldb, columns, start + i * start_step, start_step, 4);
    for (; i < k->rows; i++) gemm_four(c + i * ldc, ldc, k, i, b, ldb, columns, start + i * start_step, start_step, 1);
}

/* The last columns, fewer than four: codes and sums in buffers of whole vectors. */
static void last_columns(int32_t *c, size_t ldc, const gemm_block *k, const int8_t *b, size_t ldb, size_t cols,
                         const int32_t *start, size_t start_step)
{
    int8_t codes[16 * BLOCK_GROUPS] = {0};
    int32_t sums[4 * BLOCK_ROWS] = {0};
    for (size_t g = 0; g < k->groups; g++) memcpy(codes + 16 * g, b + 4 * g * ldb, 4 * cols);
    for (size_t i = 0; i < k->rows; i++) memcpy(sums + 4 * i, start + i * start_step, cols * sizeof *sums);
    four_columns(sums, 4, k, codes, 4, sums, 4);
    for (size_t i = 0; i < k->rows; i++) memcpy(c + i * ldc, sums + 4 * i, cols * sizeof *sums);
}

void isgk_gemm_u8s8__neon(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb, size_t m,
                          size_t n, size_t k4, const int32_t *init, const isgk_codes *codes)
{
    const int32_t most = codes->most > 0 ? codes->most : 1;
    /* each 16-bit sum takes one product a group, of at most 128 * most */
    gemm_block k;
    k.depth = (size_t)(WORD_MAX / (128 * most));
    k.odd = codes->odd != 0;
    for (size_t i = 0; i < m; i += BLOCK_ROWS) {
        size_t g = 0;
        k.rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
        do { /* once even if there is nothing to add: C becomes the start */
            int32_t *out = c + i * ldc;
            const size_t start_step = g ? ldc : 0;
            const int8_t *part = b + 4 * g * ldb;
            size_t j = 0;
            k.groups = k4 - g < BLOCK_GROUPS ? k4 - g : BLOCK_GROUPS;
            take_block(&k, a + i * lda + 4 * g, lda);
            for (; n - j >= 4; j += 4)
                four_columns(out + j, ldc, &k, part + 4 * j, ldb, (g ? out : init) + j, start_step);
            if (j < n) last_columns(out + j, ldc, &k, part + 4 * j, ldb, n - j, (g ? out : init) + j, start_step);
            g += k.groups;
        } while (g < k4);
    }
}
#endif
