/* SPDX-License-Identifier: Apache-2.0 */
/* Body of the bfloat16 product for any vector (vec_ISA.h). Whoever includes it defines BF16_ROWS and BF16_KERNEL(op),
 *   void bf16_round_panel(uint32_t *dst, const float *src, size_t rows)  the kernel panel_bf16
 *   void bf16_pack_rows(uint32_t *dst, const float *a, size_t lda, size_t rows, size_t k)  rows of k numbers as
 *     (k + 1) / 2 words each, which may write BF16_SPARE words behind the last one
 * and bf16_word with
 *   bf16_word bf16_load(const uint32_t *p)  pairs of VF_LANES columns, ready to be multiplied with
 *   bf16_word bf16_spread(uint32_t pair)    one pair in all lanes
 *   vf bf16_add(vf sum, bf16_word x, bf16_word w)  both products added, the odd one first. */
#include "kernels/kernels.h"
#include "kernels/simd/unroll.h"

#define BF16_INLINE static inline __attribute__((always_inline))

void BF16_KERNEL(panel_bf16)(uint32_t *dst, const float *src, size_t rows)
{
    bf16_round_panel(dst, src, rows);
}

typedef struct bf16_tile {
    float *c;
    const uint32_t *a, *b; /* pairs: rows `pairs` apart, and of a panel */
    size_t ldc, pairs, columns;
    const isgk_finish *finish;
    const float *bias, *residual; /* of `finish`, at the tile's first element */
} bf16_tile;

/* `rows` rows of two vectors of columns. */
BF16_INLINE void bf16_run_tile(const bf16_tile *t, const int rows)
{
    const isgk_finish *f = t->finish;
    vf acc[BF16_ROWS][2];
    ISGI_UNROLL
    for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = vf_set1(0.0f);
    for (size_t p = 0; p < t->pairs; p++) {
        const bf16_word w0 = bf16_load(t->b + p * ISGK_PANEL), w1 = bf16_load(t->b + p * ISGK_PANEL + VF_LANES);
        ISGI_UNROLL
        for (int i = 0; i < rows; i++) {
            const bf16_word x = bf16_spread(t->a[(size_t)i * t->pairs + p]);
            acc[i][0] = bf16_add(acc[i][0], x, w0);
            acc[i][1] = bf16_add(acc[i][1], x, w1);
        }
    }
    for (int v = 0; v < 2; v++) {
        const size_t at = (size_t)v * VF_LANES, left = t->columns > at ? t->columns - at : 0;
        const vf_mask mask = vf_first(left < VF_LANES ? left : VF_LANES);
        ISGI_UNROLL
        for (int i = 0; i < rows && left; i++) {
            vf x = v ? acc[i][1] : acc[i][0];
            if (f) {
                if (t->bias) x = vf_add(x, vf_load_some(t->bias + at, mask));
                if (t->residual) x = vf_add(x, vf_load_some(t->residual + (size_t)i * f->ldr + at, mask));
                x = vf_min(vf_set1(f->hi), vf_max(vf_set1(f->lo), x));
            }
            vf_store_some(t->c + (size_t)i * t->ldc + at, mask, x);
        }
    }
}

static __attribute__((noinline)) void bf16_most_rows(const bf16_tile *t)
{
    bf16_run_tile(t, BF16_ROWS);
}

static __attribute__((noinline)) void bf16_one_row(const bf16_tile *t)
{
    bf16_run_tile(t, 1);
}

/* Some rows, packed, times all panels. */
static void bf16_rows(bf16_tile t, const uint32_t *panels, size_t rows, size_t n)
{
    float *const c = t.c;
    const float *const bias = t.bias, *const residual = t.residual;
    for (size_t j = 0; j < n; j += 2 * VF_LANES) {
        t.b = panels + j / ISGK_PANEL * ISGK_PANEL * t.pairs + j % ISGK_PANEL;
        t.columns = n - j;
        t.bias = bias ? bias + j : NULL;
        if (rows == BF16_ROWS) {
            t.c = c + j;
            t.residual = residual ? residual + j : NULL;
            bf16_most_rows(&t);
            continue;
        }
        for (size_t i = 0; i < rows; i++) {
            bf16_tile one = t;
            one.a += i * t.pairs;
            one.c = c + i * t.ldc + j;
            one.residual = residual ? residual + i * t.finish->ldr + j : NULL;
            bf16_one_row(&one);
        }
    }
}

void BF16_KERNEL(gemm_panels_bf16)(float *c, size_t ldc, const float *a, size_t lda, const uint32_t *panels, size_t m,
                                   size_t n, size_t k, const isgk_finish *finish)
{
    uint32_t packed[BF16_ROWS * ISGK_BF16_DEPTH / 2 + BF16_SPARE];
    for (size_t i = 0; i < m; i += BF16_ROWS) {
        const size_t rows = m - i < BF16_ROWS ? m - i : BF16_ROWS;
        bf16_tile t = {.c = c + i * ldc, .a = packed, .ldc = ldc, .pairs = (k + 1) / 2, .finish = finish};
        if (finish) t.bias = finish->bias;
        if (finish && finish->residual) t.residual = finish->residual + i * finish->ldr;
        bf16_pack_rows(packed, a + i * lda, lda, rows, k);
        bf16_rows(t, panels, rows, n);
    }
}
