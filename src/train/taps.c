/* SPDX-License-Identifier: Apache-2.0 */
/* The depthwise middle of a factored convolution, one sample at a time. */
#include "train/taps.h"

#include "train/net.h"

#include <string.h>

/* Pixels a call of the depthwise kernel. */
#define BLOCK_PIXELS 32
/* Pixels whose products with the gradient are summed before they are added to the rest. */
#define SUM_PIXELS 32u

/* ---- spare memory: row pointers, a pixel of zeros, the flipped basis ---- */

static size_t taps_of(const isgi_taps *t)
{
    return t->kernel[0] * t->kernel[1];
}

static size_t zero_at(const isgi_taps *t)
{
    return (BLOCK_PIXELS * taps_of(t) * sizeof(float *) / sizeof(float) + 15) / 16 * 16;
}

static size_t flipped_at(const isgi_taps *t)
{
    return zero_at(t) + (t->bo + 15) / 16 * 16;
}

size_t isgi_taps_spare(const isgi_taps *t)
{
    return flipped_at(t) + taps_of(t) * t->bi * t->bo;
}

static const float *zeros(const isgi_taps *t, float *spare)
{
    return memset(spare + zero_at(t), 0, t->bo * sizeof *spare);
}

/* ---- sums ---- */

/* Pointers to what the taps of a row read: row `from` - before + ky * dilation of `data`, NULL outside. */
static void point_rows(const float **rows, const float *data, size_t row_floats, const isgi_taps *t, size_t height,
                       size_t from, size_t before)
{
    for (size_t ky = 0; ky < t->kernel[0]; ky++) {
        const size_t y = from + ky * t->dilation[0] - before; /* wraps to a large number */
        rows[ky] = y < height ? data + y * row_floats : NULL;
    }
}

void isgi_taps_forward(const isgi_taps *t, const isgk_table *kernels, float *d, const float *z, const float *basis,
                       float *spare)
{
    const float **rows = (const float **)(void *)spare;
    const size_t bo = t->bo, width = t->bi * bo;
    const isgk_dwrow g = {rows,     basis, bo, t->kernel[0], t->kernel[1],   t->bi,
                          t->in[1], width, bo, t->stride[1], t->dilation[1], t->pad[1]};
    for (size_t y = 0; y < t->out[0]; y++) {
        point_rows(rows, z, t->in[1] * width, t, t->in[0], y * t->stride[0], t->pad[0]);
        kernels->dwrow_f32(d + y * t->out[1] * bo, bo, &g, t->out[1], bo, NULL);
    }
}

/* The basis with its taps in reverse order, where every step is 1: then a gradient is such a sum as well. */
static const float *flip_basis(const isgi_taps *t, const float *basis, float *spare)
{
    const size_t width = t->bi * t->bo, taps = taps_of(t);
    float *flipped = spare + flipped_at(t);
    for (int k = 0; k < 2; k++)
        if (t->stride[k] != 1 || t->pad[k] > (t->kernel[k] - 1) * t->dilation[k]) return NULL;
    for (size_t k = 0; k < taps; k++)
        memcpy(flipped + k * width, basis + (taps - 1 - k) * width, width * sizeof *basis);
    return flipped;
}

static void flipped_sums(const isgi_taps *t, const isgk_table *kernels, float *dz, const float *dd,
                         const float *flipped, float *spare)
{
    const float **rows = (const float **)(void *)spare;
    const size_t bo = t->bo, width = t->bi * bo;
    const size_t top = (t->kernel[0] - 1) * t->dilation[0] - t->pad[0];
    const size_t left = (t->kernel[1] - 1) * t->dilation[1] - t->pad[1];
    isgk_dwrow g = {rows, flipped, width, t->kernel[0], t->kernel[1], 1, t->out[1], bo, 0, 1, t->dilation[1], left};
    for (size_t y = 0; y < t->in[0]; y++) {
        point_rows(rows, dd, t->out[1] * bo, t, t->out[0], y, top);
        for (size_t i = 0; i < t->bi; i++) {
            g.weights = flipped + i * bo;
            kernels->dwrow_f32(dz + y * t->in[1] * width + i * bo, width, &g, t->in[1], bo, NULL);
        }
    }
}

void isgi_taps_data_gradient(const isgi_taps *t, const isgk_table *kernels, float *dz, const float *dd,
                             const float *basis, float *spare)
{
    const float **rows = (const float **)(void *)spare, *flipped = flip_basis(t, basis, spare), *zero;
    const size_t bo = t->bo, width = t->bi * bo, taps = taps_of(t), pixels = t->in[0] * t->in[1];
    if (flipped) {
        flipped_sums(t, kernels, dz, dd, flipped, spare);
        return;
    }
    zero = zeros(t, spare);
    for (size_t q = 0; q < pixels; q += BLOCK_PIXELS) {
        const size_t n = pixels - q < BLOCK_PIXELS ? pixels - q : BLOCK_PIXELS;
        for (size_t k = 0; k < n * taps; k++) {
            const int32_t p = t->reader[q * taps + k];
            rows[k] = p < 0 ? zero : dd + (size_t)p * bo;
        }
        for (size_t i = 0; i < t->bi; i++) {
            kernels->dwconv_f32(dz + q * width + i * bo, width, rows, n, taps, basis + i * bo, width, bo);
        }
    }
}

/* ---- the gradient of the basis ---- */

/* Any kernel, four pixels at a time so that dbasis is touched less. */
ISGI_CLONES
static void basis_gradient_any(const isgi_taps *t, float *restrict dbasis, const float *restrict dd,
                               const float *restrict z, const float *restrict zero)
{
    const size_t bi = t->bi, bo = t->bo, taps = t->kernel[0] * t->kernel[1], pixels = t->out[0] * t->out[1];
    for (size_t p = 0; p < pixels; p += 4) {
        const float *restrict g[4];
        for (size_t k = 0; k < 4; k++) g[k] = p + k < pixels ? dd + (p + k) * bo : zero;
        for (size_t tap = 0; tap < taps; tap++) {
            int32_t q[4];
            for (size_t k = 0; k < 4; k++) q[k] = p + k < pixels ? t->source[(p + k) * taps + tap] : -1;
            for (size_t i = 0; i < bi; i++) {
                float *restrict to = dbasis + (tap * bi + i) * bo;
                const float *restrict a[4];
                for (size_t k = 0; k < 4; k++) a[k] = q[k] < 0 ? zero : z + ((size_t)q[k] * bi + i) * bo;
                for (size_t o = 0; o < bo; o++) {
                    to[o] += g[0][o] * a[0][o] + g[1][o] * a[1][o] + g[2][o] * a[2][o] + g[3][o] * a[3][o];
                }
            }
        }
    }
}

#define LANES 8u
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t lane_mask __attribute__((vector_size(LANES * sizeof(int32_t))));
/* The same anywhere in memory. */
typedef float loose_lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

#define BASIS_INLINE static inline __attribute__((always_inline))
#define LINE_FLOATS 16 /* of a line of the cache */
#define COLUMNS 3      /* taps of a row: three rows of them have their sums in registers */

/* One list and LANES of its channels. */
typedef struct basis_job {
    const isgi_taps *t;
    float *dbasis;       /* of the first tap */
    const float *dd, *z; /* of the first pixel */
    lane_mask keep;      /* channels that count here */
} basis_job;

/* `height` rows of taps of the outputs from .. to-1 of one row; `edge`: taps may lie outside. row: what the first row
 * of taps reads. */
BASIS_INLINE void basis_pixels(const basis_job *j, lanes sums[3][COLUMNS], const float *dd, const float *row,
                               size_t from, size_t to, const int height, const int edge)
{
    const isgi_taps *t = j->t;
    const size_t pixel = t->bi * t->bo, line = t->dilation[0] * t->in[1] * pixel, bo = t->bo, width = t->in[1];
    const size_t step = t->dilation[1], stride = t->stride[1];
    size_t column = from * stride - t->pad[1]; /* wraps to a large number */
    for (size_t x = from; x < to; x++, column += stride) {
        const lanes g = (lanes)((lane_mask) * (const loose_lanes *)(dd + x * bo) & j->keep);
        for (int kx = 0; kx < COLUMNS; kx++) {
            const size_t at = column + (size_t)kx * step;
            if (edge && at >= width) continue;
            for (int ky = 0; ky < height; ky++) {
                sums[ky][kx] += g * *(const loose_lanes *)(row + (size_t)ky * line + at * pixel);
            }
        }
    }
}

/* Rows of taps ky .. ky + height - 1, all inside for the rows of outputs from .. to-1. */
BASIS_INLINE void basis_rows(const basis_job *j, size_t ky, size_t from, size_t to, const int height)
{
    const isgi_taps *t = j->t;
    const size_t pixel = t->bi * t->bo, stride = t->stride[1], reach = (COLUMNS - 1) * t->dilation[1];
    const size_t left = (t->pad[1] + stride - 1) / stride < t->out[1] ? (t->pad[1] + stride - 1) / stride : t->out[1];
    const size_t room = t->in[1] + t->pad[1]; /* a window begins at x * stride and needs reach + 1 */
    size_t right = room > reach ? (room - reach - 1) / stride + 1 : 0;
    lanes sums[3][COLUMNS] = {{{0}}};
    if (right > t->out[1]) right = t->out[1];
    if (right < left) right = left;
    for (size_t y = from; y < to; y++) {
        const float *dd = j->dd + y * t->out[1] * t->bo;
        const float *row = j->z + (y * t->stride[0] + ky * t->dilation[0] - t->pad[0]) * t->in[1] * pixel;
        basis_pixels(j, sums, dd, row, 0, left, height, 1);
        basis_pixels(j, sums, dd, row, left, right, height, 0);
        basis_pixels(j, sums, dd, row, right, t->out[1], height, 1);
    }
    for (int k = 0; k < height; k++) {
        for (size_t kx = 0; kx < COLUMNS; kx++) {
            loose_lanes *to_sums = (loose_lanes *)(j->dbasis + ((ky + (size_t)k) * COLUMNS + kx) * pixel);
            *to_sums += sums[k][kx];
        }
    }
}

/* Rows of outputs from .. to-1: together where no row of taps is outside, else each alone. */
ISGI_CLONES
static void basis_gradient_rows(const basis_job *j, size_t from, size_t to, int whole)
{
    const isgi_taps *t = j->t;
    if (whole) {
        basis_rows(j, 0, from, to, 3);
        return;
    }
    for (size_t y = from; y < to; y++) {
        for (size_t ky = 0; ky < t->kernel[0]; ky++) {
            const size_t in = y * t->stride[0] + ky * t->dilation[0] - t->pad[0];
            if (in < t->in[0]) basis_rows(j, ky, y, y + 1, 1);
        }
    }
}

/* How many rows of outputs from `y` on go together, some pixels of them, and whether all their taps are inside. */
static size_t next_rows(const isgi_taps *t, size_t y, int *whole)
{
    const size_t most = t->out[1] < SUM_PIXELS ? SUM_PIXELS / t->out[1] : 1;
    size_t n = 0;
    while (n < most && y + n < t->out[0]) {
        const size_t first = (y + n) * t->stride[0], last = first + (t->kernel[0] - 1) * t->dilation[0];
        const int inside = t->kernel[0] == 3 && first >= t->pad[0] && last - t->pad[0] < t->in[0];
        if (n == 0) *whole = inside;
        if (inside != *whole) break;
        n++;
    }
    return n;
}

/* A part of `floats` numbers from `from` on that are read soon, after number `part` of `parts`. */
static void ask_ahead(const float *from, size_t floats, size_t part, size_t parts)
{
    const size_t begin = floats * part / parts, end = floats * (part + 1) / parts;
    for (size_t k = begin; k < end; k += LINE_FLOATS) __builtin_prefetch(from + k, 0, 2);
}

void isgi_taps_basis_gradient(const isgi_taps *t, float *dbasis, const float *dd, const float *z, size_t z_floats,
                              float *spare)
{
    const size_t line = t->in[1] * t->bi * t->bo, passes = t->bi * ((t->bo + LANES - 1) / LANES);
    if (t->kernel[1] != COLUMNS || t->bo < LANES) {
        basis_gradient_any(t, dbasis, dd, z, zeros(t, spare));
        return;
    }
    for (size_t y = 0, n; y < t->out[0]; y += n) {
        int whole = 0;
        size_t next, ahead, part = 0;
        n = next_rows(t, y, &whole);
        /* a pass reads half a line of each pixel, which no processor foresees */
        next = ((y + n) * t->stride[0] + (t->kernel[0] - 1) * t->dilation[0]) * line;
        if (next > z_floats) next = z_floats;
        ahead = z_floats - next < n * t->stride[0] * line ? z_floats - next : n * t->stride[0] * line;
        for (size_t i = 0; i < t->bi; i++) {
            for (size_t o = 0; o < t->bo; o += LANES) {
                /* the last lanes overlap those before, whose channels have been added */
                const size_t at = o + LANES <= t->bo ? o : t->bo - LANES;
                basis_job job = {t, dbasis + i * t->bo + at, dd + at, z + i * t->bo + at, {0}};
                for (size_t k = 0; k < LANES; k++) job.keep[k] = at + k >= o ? -1 : 0;
                ask_ahead(z + next, ahead, part++, passes);
                basis_gradient_rows(&job, y, y + n, whole);
            }
        }
    }
}
