/* SPDX-License-Identifier: Apache-2.0 */
/* Weight generation (SPEC section 2): the one definition, used by the runtime, by training and by the exporters. */
#include "rt/gen.h"

#include <insitu/weight.h>

#include "base/endian.h"
#include "base/half.h"

#include <string.h>

static float raw_value(const isg_codes *codes, uint64_t index)
{
    if (codes->bits == 16) return isgi_half_to_float(isgi_load_u16(codes->data + index * 2));
    return isgi_load_f32(codes->data + index * 4);
}

static float scale_value(const isg_codes *codes, uint32_t index)
{
    if (codes->scale_bits == 16) return isgi_half_to_float(isgi_load_u16(codes->scales + (size_t)index * 2));
    return isgi_load_f32(codes->scales + (size_t)index * 4);
}

static void dequant_paper(const isgk_table *k, float *dst, const isg_codes *codes, uint64_t first, size_t count)
{
    const float levels = (float)((1u << codes->bits) - 1u), r = scale_value(codes, 0);
    if (codes->bits == 1) {
        k->unpack_affine(dst, codes->data, codes->data_bytes, first, count, 1, 2.0f, -1.0f);
        for (size_t i = 0; i < count; i++) dst[i] *= r;
        return;
    }
    k->unpack_affine(dst, codes->data, codes->data_bytes, first * codes->bits, count, codes->bits, 1.0f, 0.0f);
    for (size_t i = 0; i < count; i++) dst[i] = dst[i] / levels * (2.0f * r) - r;
}

#define COLUMN_BLOCK 64u /* columns whose scales are looked up at once */

/* The level of a code as an integer times the scale of its column: exact, then one rounding. */
static void dequant_levels(const isgk_table *k, float *dst, size_t ldd, const isg_codes *codes, uint32_t row0,
                           uint32_t rows, uint32_t col0, uint32_t columns, uint32_t width)
{
    const int rise = codes->family == ISG_QUANT_MIDRISE || codes->bits == 1;
    const float add = rise ? -(float)((1u << codes->bits) - 1u) : -(float)(1u << (codes->bits - 1));
    const uint64_t row_bits = (uint64_t)codes->cols * codes->bits;
    for (uint32_t c = 0; c < width; c += COLUMN_BLOCK) {
        const uint32_t room = width - c < COLUMN_BLOCK ? width - c : COLUMN_BLOCK, left = c < columns ? columns - c : 0;
        const uint32_t n = left < room ? left : room;
        float scales[COLUMN_BLOCK];
        for (uint32_t i = 0; i < n; i++) scales[i] = scale_value(codes, codes->scale_count == 1 ? 0 : col0 + c + i);
        k->unpack_columns(dst + c, ldd, codes->data, (size_t)codes->data_bytes,
                          row0 * row_bits + (uint64_t)(col0 + (n ? c : 0)) * codes->bits, row_bits, rows, n, room,
                          codes->bits, rise ? 2.0f : 1.0f, add, scales);
    }
}

void isgi_gen_columns(const isgk_table *k, float *dst, size_t ldd, const isg_codes *codes, uint32_t row0, uint32_t rows,
                      uint32_t col0, uint32_t columns, uint32_t width)
{
    if (codes->family == ISG_QUANT_MIDTREAD || codes->family == ISG_QUANT_MIDRISE) {
        dequant_levels(k, dst, ldd, codes, row0, rows, col0, columns, width);
        return;
    }
    for (uint32_t r = 0; r < rows; r++, dst += ldd) {
        const uint64_t first = (uint64_t)(row0 + r) * codes->cols + col0;
        if (codes->family == ISG_QUANT_PAPER) {
            dequant_paper(k, dst, codes, first, columns);
        } else {
            for (uint32_t i = 0; i < columns; i++) dst[i] = raw_value(codes, first + i);
        }
        for (uint32_t i = columns; i < width; i++) dst[i] = 0.0f;
    }
}

void isgi_gen_dequant(const isgk_table *k, float *dst, const isg_codes *codes, uint32_t row0, uint32_t rows)
{
    if (codes->family == ISG_QUANT_PAPER) {
        dequant_paper(k, dst, codes, (uint64_t)row0 * codes->cols, (size_t)rows * codes->cols);
    } else {
        isgi_gen_columns(k, dst, codes->cols, codes, row0, rows, 0, codes->cols, codes->cols);
    }
}

/* One row of C: C[o] = sum_i basis[i*bo + o] * u[i*bo + o], summed over i in increasing order. */
static void level1_row(float *dst, const float *basis, const float *u, uint32_t bi, uint32_t bo)
{
    for (uint32_t o = 0; o < bo; o++) dst[o] = basis[o] * u[o];
    for (uint32_t i = 1; i < bi; i++) {
        const float *b = basis + (size_t)i * bo, *c = u + (size_t)i * bo;
        for (uint32_t o = 0; o < bo; o++) dst[o] += b[o] * c[o];
    }
}

/* The same for a matrix of one column (a depthwise weight): rows follow each other in dst, and a call a row would cost
 * more than its sum. Four sums at a time, for one waits for its additions. */
static void level1_single(float *dst, const isg_weight *g, const float *basis, const float *u, uint32_t row0,
                          uint32_t rows)
{
    const size_t bi = g->bi;
    uint32_t tap = row0 / g->ci, channel = row0 % g->ci;
    while (rows) {
        const float *b = basis + (size_t)tap * bi;
        const uint32_t left = g->ci - channel, n = left < rows ? left : rows;
        const float *c = u + (size_t)channel * bi;
        for (uint32_t r = 0; r < n; r += 4, c += 4 * bi) {
            const uint32_t some = n - r < 4 ? n - r : 4; /* the last one stands in for those behind it */
            const float *c1 = c + (some > 1 ? bi : 0), *c2 = some > 2 ? c1 + bi : c1, *c3 = some > 3 ? c2 + bi : c2;
            float sum[4] = {b[0] * c[0], b[0] * c1[0], b[0] * c2[0], b[0] * c3[0]};
            for (size_t i = 1; i < bi; i++) {
                sum[0] += b[i] * c[i];
                sum[1] += b[i] * c1[i];
                sum[2] += b[i] * c2[i];
                sum[3] += b[i] * c3[i];
            }
            memcpy(dst, sum, some * sizeof *sum);
            dst += some;
        }
        rows -= n;
        channel = 0;
        tap++;
    }
}

void isgi_gen_compose(const isgk_table *k, float *dst, const isg_weight *g, const float *basis, const float *u,
                      const float *v, uint32_t row0, uint32_t rows, float *scratch)
{
    const uint32_t width = g->level2 ? g->bo : g->co;
    if (g->level1) {
        float *c = g->level2 ? scratch : dst;
        if (width == 1) level1_single(c, g, basis, u, row0, rows);
        for (uint32_t r = 0; width > 1 && r < rows; r++) {
            const uint32_t tap = (row0 + r) / g->ci, channel = (row0 + r) % g->ci;
            level1_row(c + (size_t)r * width, basis + (size_t)tap * g->bi * width, u + (size_t)channel * g->bi * width,
                       g->bi, width);
        }
        if (g->level2) k->gemm_f32(dst, g->co, c, width, v, g->co, rows, g->co, width, 0);
    } else if (g->level2) {
        k->gemm_f32(dst, g->co, basis + (size_t)row0 * width, width, v, g->co, rows, g->co, width, 0);
    } else {
        memcpy(dst, basis + (size_t)row0 * g->co, (size_t)rows * g->co * sizeof *dst);
    }
}

/* Scratch: [basis][u][v][level-1 rows]; only the rows asked for where the basis has a row per row of W. */
size_t isgi_gen_scratch_floats(const isg_weight *w, uint32_t rows)
{
    size_t n = 0;
    if (!w->level1 && !w->level2) return 0;
    n += w->level1 ? (size_t)w->basis.rows * w->basis.cols : (size_t)rows * w->basis.cols;
    n += (size_t)w->u.rows * w->u.cols;
    n += (size_t)w->v.rows * w->v.cols;
    return n + (w->level1 && w->level2 ? (size_t)rows * w->bo : 0);
}

void isgi_gen_rows(const isgk_table *k, float *dst, const isg_weight *w, uint32_t row0, uint32_t rows, float *scratch)
{
    float *basis = scratch, *u, *v, *c;
    if (!w->level1 && !w->level2) {
        isgi_gen_dequant(k, dst, &w->basis, row0, rows);
        return;
    }
    u = basis + (w->level1 ? (size_t)w->basis.rows * w->basis.cols : (size_t)rows * w->basis.cols);
    v = u + (size_t)w->u.rows * w->u.cols;
    c = v + (size_t)w->v.rows * w->v.cols;
    if (w->level1) {
        isgi_gen_dequant(k, basis, &w->basis, 0, w->basis.rows);
        isgi_gen_dequant(k, u, &w->u, 0, w->u.rows);
    } else {
        isgi_gen_dequant(k, basis, &w->basis, row0, rows);
    }
    if (w->level2) isgi_gen_dequant(k, v, &w->v, 0, w->v.rows);
    if (w->level1) {
        isgi_gen_compose(k, dst, w, basis, u, v, row0, rows, c);
    } else {
        k->gemm_f32(dst, w->co, basis, w->bo, v, w->co, rows, w->co, w->bo, 0);
    }
}
