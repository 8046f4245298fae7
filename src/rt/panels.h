/* SPDX-License-Identifier: Apache-2.0 */
/* Panels of a matrix in the scratch memory, and products with them, in the numbers that the layer is computed in. */
#ifndef INSITU_RT_PANELS_H
#define INSITU_RT_PANELS_H

#include "rt/exec.h"

#define ISGI_ROUND_ROWS 64u /* rows of a panel that are made in floats and rounded at once */

/* Rows row0 .. of panel `panel` of a matrix of k rows at float `at` of the scratch memory; row0 is even. */
static inline float *isgi_panel_rows(const isg_rt_context *ctx, const isgi_conv *c, size_t at, uint32_t k,
                                     uint32_t panel, uint32_t row0)
{
    const size_t rows = c->bf16 ? (k + 1) / 2 : k, first = c->bf16 ? row0 / 2 : row0;
    return ctx->scratch + at + ((size_t)panel * rows + first) * ISGK_PANEL;
}

/* Rows of a panel from floats, in bfloat16. */
static inline void isgi_panel_store(const isg_rt_context *ctx, float *dst, const float *rows, uint32_t count)
{
    ctx->kernels.panel_bf16((uint32_t *)(void *)dst, rows, count);
}

static inline void isgi_multiply_panels(const isg_rt_context *ctx, const isgi_conv *layer, float *c, size_t ldc,
                                        const float *a, size_t lda, size_t at, size_t m, size_t n, size_t k,
                                        const isgk_finish *finish)
{
    const float *panels = ctx->scratch + at;
    if (layer->bf16)
        ctx->kernels.gemm_panels_bf16(c, ldc, a, lda, (const uint32_t *)(const void *)panels, m, n, k, finish);
    else
        ctx->kernels.gemm_panels_f32(c, ldc, a, lda, panels, m, n, k, finish, NULL, 0);
}

#endif
