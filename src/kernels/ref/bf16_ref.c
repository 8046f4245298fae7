/* SPDX-License-Identifier: Apache-2.0 */
/* bfloat16 in plain C: the oracle of the others, and bit for bit what VDPBF16PS computes while products are normal. */
#include "base/mem.h"
#include "kernels/kernels.h"
#include "kernels/ref/finish.h"

/* The upper half of the bits, ties to even; as VCVTNEPS2BF16 does: denormals become zeros of their sign, a NaN stays
 * one.
 */
static uint32_t round_bf16(float x)
{
    uint32_t u, rounded;
    memcpy(&u, &x, sizeof u);
    rounded = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    rounded = (u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 0x40u : rounded;
    return (u & 0x7f800000u) == 0 ? u >> 16 & 0x8000u : rounded;
}

void isgk_panel_bf16__ref(uint32_t *dst, const float *src, size_t rows)
{
    for (size_t p = 0; p < rows; p += 2, src += 2 * ISGK_PANEL, dst += ISGK_PANEL) {
        for (size_t c = 0; c < ISGK_PANEL; c++)
            dst[c] = round_bf16(src[c]) | (p + 1 < rows ? round_bf16(src[ISGK_PANEL + c]) << 16 : 0);
    }
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Denormal results count as zeros. */
static float flush(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (u & 0x7f800000u) == 0 ? float_of(u & 0x80000000u) : x;
}

void isgk_gemm_panels_bf16__ref(float *c, size_t ldc, const float *a, size_t lda, const uint32_t *panels, size_t m,
                                size_t n, size_t k, const isgk_finish *finish)
{
    const size_t pairs = (k + 1) / 2;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            const uint32_t *b = panels + j / ISGK_PANEL * ISGK_PANEL * pairs + j % ISGK_PANEL;
            float x = 0.0f;
            for (size_t p = 0; p < pairs; p++, b += ISGK_PANEL) {
                const float *row = a + i * lda + 2 * p;
                const uint32_t odd = 2 * p + 1 < k ? round_bf16(row[1]) : 0;
                x = flush(x + float_of(odd << 16) * float_of(*b & 0xffff0000u));
                x = flush(x + float_of(round_bf16(row[0]) << 16) * float_of(*b << 16));
            }
            c[i * ldc + j] = finished(x, finish, i, j);
        }
    }
}
