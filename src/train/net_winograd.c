/* SPDX-License-Identifier: Apache-2.0 */
/* Dense 3x3 convolutions of stride 1 and 2 by Winograd's algorithm: a quarter, or 0.56, of the multiplications. */
#include "train/net.h"

#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

/* F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), eq. 11 with
 * the matrices of section 4.2; a tile of 4x4 outputs reads 6x6 inputs:
 * - V = Bt x B, U = G w Gt, M = sum over ci of U . V, y = At M A.
 * The gradients are those of this very algorithm, so they need the same products and the transposed transforms:
 * - dM = A dy At, dU = Vt . dM, dV = dM . Ut, dx += B dV Bt, dw = Gt dU G.
 *
 * With stride 2 a line of 4 outputs reads 9 inputs. Inputs 0, 2 .. 8 meet taps 0 and 2 only: F(4, 2) at the points 0,
 * 1, -1, 2 and infinity. Inputs 1, 3, 5, 7 meet tap 1 only, each for one output: they go through as they are, and all
 * four share one weight. So there are 6 kinds of points in either case, in two dimensions 36 matrices U; with stride 2
 * the last kind has four members, and 81 products a tile in all. */
#define TILE 4u
#define KINDS 6u
#define POINTS (KINDS * KINDS)
#define MAX_SIDE 9u
/* Channels that a transform handles at once; on every processor these are one or two registers. */
#define LANES 8u
/* Floats between two points that would fall into one set of the cache, and what channels come in. */
#define LINE 16u
/* Tiles a block: its V and M stay in the caches, and the products are tall enough to run fast. */
#define BLOCK_TILES 64u
#define BLOCK_TILES_STRIDED 32u

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
/* The same anywhere in memory. */
typedef float loose_lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

typedef struct winograd_impl {
    uint32_t ci, co, h, w, out_h, out_w, pad_top, pad_left, tiles_x, tiles;
    uint32_t stride, side, block; /* side: inputs of a line of outputs, and its points */
    float *panels[2];             /* U of all points in panels: for V . U, and for dM . Ut */
    size_t panel_step[2];         /* floats from one point to the next, of the panels */
    size_t u_step;                /* and of dU */
    size_t v, m, du;              /* by samples: offsets in the spare memory of a chunk */
    size_t part_bias;             /* by samples: offset behind dw in the partial sums */
} winograd_impl;

/* ---- one-dimensional transforms, a vector of channels at a time ---- */

#define WINOGRAD_INLINE static inline __attribute__((always_inline))
#define load(from) (*(const loose_lanes *)(from))
#define store(to, x) (*(loose_lanes *)(to) = (x))

/* Bt */
WINOGRAD_INLINE void input_unit(lanes o[6], const lanes d[6])
{
    const lanes even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const lanes even2 = d[4] - d[2], odd2 = 2.0f * (d[3] - d[1]);
    o[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

/* B */
WINOGRAD_INLINE void input_gradient_unit(lanes o[6], const lanes d[6])
{
    const lanes sum = d[1] + d[2], difference = d[1] - d[2];
    const lanes sum2 = d[3] + d[4], difference2 = 2.0f * (d[3] - d[4]);
    o[0] = 4.0f * d[0];
    o[1] = 4.0f * (d[5] - difference) - difference2;
    o[2] = -5.0f * d[0] - 4.0f * sum - sum2;
    o[3] = difference + difference2 - 5.0f * d[5];
    o[4] = d[0] + sum + sum2;
    o[5] = d[5];
}

/* At */
WINOGRAD_INLINE void output_unit(lanes o[4], const lanes m[6])
{
    const lanes sum = m[1] + m[2], difference = m[1] - m[2];
    const lanes sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    o[0] = m[0] + sum + sum2;
    o[1] = difference + 2.0f * difference2;
    o[2] = sum + 4.0f * sum2;
    o[3] = difference + 8.0f * difference2 + m[5];
}

/* A */
WINOGRAD_INLINE void output_gradient_unit(lanes o[6], const lanes y[4])
{
    const lanes even = y[0] + y[2], odd = y[1] + y[3];
    const lanes even2 = y[0] + 4.0f * y[2], odd2 = 2.0f * y[1] + 8.0f * y[3];
    o[0] = y[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = y[3];
}

/* G */
WINOGRAD_INLINE void weight_unit(lanes o[6], const lanes w[3])
{
    const lanes even = (w[0] + w[2]) * (-1.0f / 6.0f), odd = w[1] * (-1.0f / 6.0f);
    const lanes even2 = w[0] * (1.0f / 24.0f) + w[2] * (1.0f / 6.0f), odd2 = w[1] * (1.0f / 12.0f);
    o[0] = w[0] * 0.25f;
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = even2 + odd2;
    o[4] = even2 - odd2;
    o[5] = w[2];
}

/* Gt */
WINOGRAD_INLINE void weight_gradient_unit(lanes o[3], const lanes u[6])
{
    const lanes sum = (u[1] + u[2]) * (-1.0f / 6.0f), difference = (u[1] - u[2]) * (-1.0f / 6.0f);
    const lanes sum2 = u[3] + u[4], difference2 = (u[3] - u[4]) * (1.0f / 12.0f);
    o[0] = 0.25f * u[0] + sum + sum2 * (1.0f / 24.0f);
    o[1] = difference + difference2;
    o[2] = sum + sum2 * (1.0f / 6.0f) + u[5];
}

/* The same for stride 2: points 0 to 4 are F(4, 2), 5 to 8 the odd inputs. */
WINOGRAD_INLINE void input_strided(lanes o[9], const lanes d[9])
{
    const lanes cube = d[6] - d[2];
    o[0] = 2.0f * (d[0] - d[4]) + cube;
    o[1] = d[6] - d[4] - 2.0f * d[2];
    o[2] = d[6] - 3.0f * d[4] + 2.0f * d[2];
    o[3] = cube;
    o[4] = d[8] - d[4] - 2.0f * cube;
    o[5] = d[1];
    o[6] = d[3];
    o[7] = d[5];
    o[8] = d[7];
}

WINOGRAD_INLINE void input_gradient_strided(lanes o[9], const lanes v[9])
{
    const lanes cube = v[0] + v[3] - 2.0f * v[4];
    o[0] = 2.0f * v[0];
    o[2] = 2.0f * (v[2] - v[1]) - cube;
    o[4] = -2.0f * v[0] - v[1] - 3.0f * v[2] - v[4];
    o[6] = cube + v[1] + v[2];
    o[8] = v[4];
    o[1] = v[5];
    o[3] = v[6];
    o[5] = v[7];
    o[7] = v[8];
}

WINOGRAD_INLINE void output_strided(lanes o[4], const lanes m[9])
{
    const lanes sum = m[1] + m[2], difference = m[1] - m[2];
    o[0] = m[0] + sum + m[3] + m[5];
    o[1] = difference + 2.0f * m[3] + m[6];
    o[2] = sum + 4.0f * m[3] + m[7];
    o[3] = difference + 8.0f * m[3] + m[4] + m[8];
}

WINOGRAD_INLINE void output_gradient_strided(lanes o[9], const lanes y[4])
{
    const lanes even = y[0] + y[2], odd = y[1] + y[3];
    o[0] = y[0];
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = y[0] + 2.0f * y[1] + 4.0f * y[2] + 8.0f * y[3];
    o[4] = y[3];
    o[5] = y[0];
    o[6] = y[1];
    o[7] = y[2];
    o[8] = y[3];
}

WINOGRAD_INLINE void weight_strided(lanes o[6], const lanes w[3])
{
    o[0] = 0.5f * w[0];
    o[1] = -0.5f * (w[0] + w[2]);
    o[2] = (w[2] - w[0]) * (1.0f / 6.0f);
    o[3] = w[0] * (1.0f / 6.0f) + w[2] * (1.0f / 3.0f);
    o[4] = w[2];
    o[5] = w[1];
}

WINOGRAD_INLINE void weight_gradient_strided(lanes o[3], const lanes u[6])
{
    o[0] = 0.5f * (u[0] - u[1]) + (u[3] - u[2]) * (1.0f / 6.0f);
    o[1] = u[5];
    o[2] = -0.5f * u[1] + u[2] * (1.0f / 6.0f) + u[3] * (1.0f / 3.0f) + u[4];
}

/* Which of the two is known where these are compiled in. */
#define EITHER(side, name, to, from) ((side) == 6 ? name##_unit(to, from) : name##_strided(to, from))

/* ---- tiles ---- */

typedef struct tile_place {
    size_t image;
    int32_t y, x;       /* of the first output */
    int32_t in_y, in_x; /* of the first input; may lie in the padding */
} tile_place;

WINOGRAD_INLINE tile_place place_of(const winograd_impl *c, uint32_t tile)
{
    const uint32_t t = tile % c->tiles, y = t / c->tiles_x * TILE, x = t % c->tiles_x * TILE;
    return (tile_place){tile / c->tiles, (int32_t)y, (int32_t)x, (int32_t)(y * c->stride) - (int32_t)c->pad_top,
                        (int32_t)(x * c->stride) - (int32_t)c->pad_left};
}

/* Where V, M and their gradients lie: `rows` tiles a point, the members of a kind of points behind each other, so that
 * one product serves them all. */
typedef struct points {
    float *data;
    size_t rows, channels;
} points;

WINOGRAD_INLINE uint32_t members(uint32_t side, uint32_t kind)
{
    return kind == KINDS - 1 ? side - KINDS + 1 : 1;
}

/* Floats before the points of kind (i, j); a cache line more each, so that they do not fall into one set of the cache.
 */
WINOGRAD_INLINE size_t kind_at(uint32_t side, const points *p, uint32_t i, uint32_t j)
{
    const size_t before = (size_t)i * side + (size_t)members(side, i) * j;
    return before * p->rows * p->channels + ((size_t)i * KINDS + j) * LINE;
}

/* Where the numbers of a tile at point (i, j) are. */
WINOGRAD_INLINE float *point_at(uint32_t side, const points *p, uint32_t i, uint32_t j, size_t tile)
{
    const uint32_t ki = i < KINDS ? i : KINDS - 1, kj = j < KINDS ? j : KINDS - 1;
    const size_t member = (size_t)(i - ki) * members(side, kj) + (j - kj);
    return p->data + kind_at(side, p, ki, kj) + (member * p->rows + tile) * p->channels;
}

static size_t points_floats(uint32_t side, size_t rows, size_t channels)
{
    return (size_t)side * side * rows * channels + POINTS * LINE;
}

/* V of `count` tiles from x; the first one becomes number `at`. */
WINOGRAD_INLINE void input_body(const winograd_impl *c, const points *v, size_t at, const float *x, uint32_t first,
                                uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        const float *image = x + p.image * c->h * c->w * c->ci;
        for (uint32_t k = 0; k < c->ci; k += LANES) {
            lanes rows[MAX_SIDE][MAX_SIDE], line[MAX_SIDE], out[MAX_SIDE];
            for (uint32_t j = 0; j < side; j++) {
                for (uint32_t i = 0; i < side; i++) {
                    const int32_t yy = p.in_y + (int32_t)i, xx = p.in_x + (int32_t)j;
                    if (yy >= 0 && yy < (int32_t)c->h && xx >= 0 && xx < (int32_t)c->w) {
                        const float *from = image + ((size_t)yy * c->w + (size_t)xx) * c->ci + k;
                        /* no hardware follows so many pixels: ask for those of the next tile */
                        __builtin_prefetch(from + TILE * c->stride * c->ci);
                        line[i] = load(from);
                    } else {
                        line[i] = (lanes){0};
                    }
                }
                EITHER(side, input, out, (const lanes *)line);
                for (uint32_t i = 0; i < side; i++) rows[i][j] = out[i];
            }
            for (uint32_t i = 0; i < side; i++) {
                EITHER(side, input, out, (const lanes *)rows[i]);
                for (uint32_t j = 0; j < side; j++) store(point_at(side, v, i, j, at + t) + k, out[j]);
            }
        }
    }
}

ISGI_CLONES
static void transform_input(const winograd_impl *c, const points *v, size_t at, const float *x, uint32_t first,
                            uint32_t count)
{
    if (c->stride == 1) {
        input_body(c, v, at, x, first, count, 6);
    } else {
        input_body(c, v, at, x, first, count, 9);
    }
}

/* dx += B dV Bt */
WINOGRAD_INLINE void input_gradient_body(const winograd_impl *c, float *dx, const points *dv, size_t at, uint32_t first,
                                         uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        float *image = dx + p.image * c->h * c->w * c->ci;
        for (uint32_t k = 0; k < c->ci; k += LANES) {
            lanes rows[MAX_SIDE][MAX_SIDE], line[MAX_SIDE], out[MAX_SIDE];
            for (uint32_t j = 0; j < side; j++) {
                for (uint32_t i = 0; i < side; i++) {
                    const float *from = point_at(side, dv, i, j, at + t) + k;
                    __builtin_prefetch(from + c->ci);
                    line[i] = load(from);
                }
                EITHER(side, input_gradient, out, (const lanes *)line);
                for (uint32_t i = 0; i < side; i++) rows[i][j] = out[i];
            }
            for (int32_t i = 0; i < (int32_t)side; i++) {
                if (p.in_y + i < 0 || p.in_y + i >= (int32_t)c->h) continue;
                EITHER(side, input_gradient, out, (const lanes *)rows[i]);
                for (int32_t j = 0; j < (int32_t)side; j++) {
                    float *to = image + ((ptrdiff_t)(p.in_y + i) * c->w + (p.in_x + j)) * (ptrdiff_t)c->ci + k;
                    if (p.in_x + j < 0 || p.in_x + j >= (int32_t)c->w) continue;
                    store(to, load(to) + out[j]);
                }
            }
        }
    }
}

ISGI_CLONES
static void transform_input_gradient(const winograd_impl *c, float *dx, const points *dv, size_t at, uint32_t first,
                                     uint32_t count)
{
    if (c->stride == 1) {
        input_gradient_body(c, dx, dv, at, first, count, 6);
    } else {
        input_gradient_body(c, dx, dv, at, first, count, 9);
    }
}

/* y = At M A + bias */
WINOGRAD_INLINE void output_body(const winograd_impl *c, float *y, const points *m, size_t at, const float *bias,
                                 uint32_t first, uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        float *image = y + p.image * c->out_h * c->out_w * c->co;
        for (uint32_t k = 0; k < c->co; k += LANES) {
            lanes rows[TILE][MAX_SIDE], line[MAX_SIDE], out[TILE], start = {0};
            if (bias) start = load(bias + k);
            for (uint32_t j = 0; j < side; j++) {
                for (uint32_t i = 0; i < side; i++) {
                    const float *from = point_at(side, m, i, j, at + t) + k;
                    __builtin_prefetch(from + c->co);
                    line[i] = load(from);
                }
                EITHER(side, output, out, (const lanes *)line);
                for (uint32_t i = 0; i < TILE; i++) rows[i][j] = out[i];
            }
            for (uint32_t i = 0; i < TILE && (uint32_t)p.y + i < c->out_h; i++) {
                float *to = image + (((size_t)p.y + i) * c->out_w + (size_t)p.x) * c->co + k;
                EITHER(side, output, out, (const lanes *)rows[i]);
                for (uint32_t j = 0; j < TILE && (uint32_t)p.x + j < c->out_w; j++) {
                    store(to + (size_t)j * c->co, out[j] + start);
                }
            }
        }
    }
}

ISGI_CLONES
static void transform_output(const winograd_impl *c, float *y, const points *m, size_t at, const float *bias,
                             uint32_t first, uint32_t count)
{
    if (c->stride == 1) {
        output_body(c, y, m, at, bias, first, count, 6);
    } else {
        output_body(c, y, m, at, bias, first, count, 9);
    }
}

/* dM = A dy At; outputs beyond the edge have no gradient */
WINOGRAD_INLINE void output_gradient_body(const winograd_impl *c, const points *dm, size_t at, const float *dy,
                                          uint32_t first, uint32_t count, const uint32_t side)
{
    for (uint32_t t = 0; t < count; t++) {
        const tile_place p = place_of(c, first + t);
        const float *image = dy + p.image * c->out_h * c->out_w * c->co;
        for (uint32_t k = 0; k < c->co; k += LANES) {
            lanes rows[MAX_SIDE][TILE], line[TILE], out[MAX_SIDE];
            for (uint32_t j = 0; j < TILE; j++) {
                for (uint32_t i = 0; i < TILE; i++) {
                    if ((uint32_t)p.y + i < c->out_h && (uint32_t)p.x + j < c->out_w) {
                        const float *from = image + (((size_t)p.y + i) * c->out_w + (size_t)p.x + j) * c->co + k;
                        __builtin_prefetch(from + TILE * c->co);
                        line[i] = load(from);
                    } else {
                        line[i] = (lanes){0};
                    }
                }
                EITHER(side, output_gradient, out, (const lanes *)line);
                for (uint32_t i = 0; i < side; i++) rows[i][j] = out[i];
            }
            for (uint32_t i = 0; i < side; i++) {
                EITHER(side, output_gradient, out, (const lanes *)rows[i]);
                for (uint32_t j = 0; j < side; j++) store(point_at(side, dm, i, j, at + t) + k, out[j]);
            }
        }
    }
}

ISGI_CLONES
static void transform_output_gradient(const winograd_impl *c, const points *dm, size_t at, const float *dy,
                                      uint32_t first, uint32_t count)
{
    if (c->stride == 1) {
        output_gradient_body(c, dm, at, dy, first, count, 6);
    } else {
        output_gradient_body(c, dm, at, dy, first, count, 9);
    }
}

/* ---- weights ---- */

/* U of `n` x LANES kernels into panels: kernel (a, b + l) of a matrix with `depth` rows a; its tap t is
 * w[(a * row + (b + l) * column) + t * tap]. */
ISGI_CLONES
static void transform_weights(uint32_t side, float *restrict panels, size_t panel_step, const float *restrict w,
                              size_t depth, size_t width, size_t row, size_t column, size_t tap)
{
    for (size_t a = 0; a < depth; a++) {
        for (size_t b = 0; b < width; b += LANES) {
            float *to = panels + b / ISGK_PANEL * ISGK_PANEL * depth + a * ISGK_PANEL + b % ISGK_PANEL;
            lanes rows[6][3], line[3], out[6];
            for (size_t j = 0; j < 3; j++) {
                for (size_t i = 0; i < 3; i++) {
                    const float *from = w + a * row + b * column + (i * 3 + j) * tap;
                    float apart[LANES];
                    for (size_t l = 0; l < LANES; l++) apart[l] = from[l * column];
                    line[i] = load(apart);
                }
                EITHER(side, weight, out, (const lanes *)line);
                for (size_t i = 0; i < 6; i++) rows[i][j] = out[i];
            }
            for (size_t i = 0; i < 6; i++) {
                EITHER(side, weight, out, (const lanes *)rows[i]);
                for (size_t j = 0; j < 6; j++) store(to + (i * 6 + j) * panel_step, out[j]);
            }
        }
    }
}

static void winograd_refresh(isgi_net *net, isgi_netop *op, uint32_t stream)
{
    const winograd_impl *c = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t ci = c->ci, co = c->co;
    /* strides of an input channel, an output channel and a tap in the weight's own order */
    const size_t in = w->factored ? co : 9, out = w->factored ? 1 : 9 * ci, tap = w->factored ? ci * co : 1;
    (void)stream;
    transform_weights(c->side, c->panels[0], c->panel_step[0], w->w, ci, co, in, out, tap);
    if (c->panels[1]) transform_weights(c->side, c->panels[1], c->panel_step[1], w->w, co, ci, out, in, tap);
}

/* dw = Gt dU G for `count` kernels from number `first` on; a tap of dw is dw_step floats from the next. */
ISGI_CLONES
static void transform_weight_gradient(uint32_t side, float *restrict dw, const float *restrict du, size_t du_step,
                                      size_t dw_step, size_t first, size_t count)
{
    du += first;
    for (size_t k = 0; k < count; k += LANES) {
        lanes rows[3][6], line[6], out[3];
        for (size_t j = 0; j < 6; j++) {
            for (size_t i = 0; i < 6; i++) line[i] = load(du + (i * 6 + j) * du_step + k);
            EITHER(side, weight_gradient, out, (const lanes *)line);
            for (size_t i = 0; i < 3; i++) rows[i][j] = out[i];
        }
        for (size_t i = 0; i < 3; i++) {
            EITHER(side, weight_gradient, out, (const lanes *)rows[i]);
            for (size_t j = 0; j < 3; j++) store(dw + (i * 3 + j) * dw_step + k, out[j]);
        }
    }
}

/* ---- products ---- */

/* M = V . U or dV = dM . Ut at one kind of points */
static void multiply(isgi_net *net, const winograd_impl *c, int back, uint32_t kind, const points *from,
                     const points *to)
{
    const uint32_t i = kind / KINDS, j = kind % KINDS;
    const size_t rows = (size_t)members(c->side, i) * members(c->side, j) * from->rows;
    net->kernels.gemm_panels_f32(
        to->data + kind_at(c->side, to, i, j), to->channels, from->data + kind_at(c->side, from, i, j), from->channels,
        c->panels[back] + kind * c->panel_step[back], rows, to->channels, from->channels, NULL);
}

/* dU = Vt . dM (+ dU) at one kind of points */
static void multiply_gradient(isgi_net *net, const winograd_impl *c, uint32_t kind, float *du, const points *v,
                              const points *dm, int add)
{
    const uint32_t i = kind / KINDS, j = kind % KINDS;
    const dnnl_dim_t rows = (dnnl_dim_t)((size_t)members(c->side, i) * members(c->side, j) * v->rows);
    const float *a = v->data + kind_at(c->side, v, i, j), *b = dm->data + kind_at(c->side, dm, i, j);
    du += kind * c->u_step;
    if (rows == 0) { /* a rank without samples of a short batch */
        memset(du, 0, (size_t)c->ci * c->co * sizeof *du);
        return;
    }
    if (dnnl_sgemm('T', 'N', c->ci, c->co, rows, 1.0f, a, c->ci, b, c->co, add ? 1.0f : 0.0f, du, c->co) !=
        dnnl_success) {
        atomic_store(&net->failed, 1);
    }
}

static const float *bias_of(const isgi_net *net, const isgi_netop *op)
{
    return op->bias >= 0 ? net->param_list[op->bias].w : NULL;
}

static void bias_gradient(float *restrict db, const float *restrict dy, size_t rows, size_t co)
{
    memset(db, 0, co * sizeof *db);
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < co; o++) db[o] += dy[r * co + o];
    }
}

/* Where the input's gradient goes, cleared if nobody wrote to it before; NULL: nobody wants it. */
static float *begin_input_gradient(isgi_net *net, const isgi_netop *op, uint32_t chunk)
{
    const size_t floats = isgi_chunk_count(net, chunk) * net->acts[op->in[0]].size;
    float *dx;
    if (!isgi_op_needs(net, op, 0)) return NULL;
    dx = isgi_act_grad(net, op->in[0], chunk);
    if (!op->accumulate[0]) memset(dx, 0, floats * sizeof *dx);
    return dx;
}

/* Brings dw[tap][co] of input channel i to the weight's own order. */
static void store_weight_gradient(const winograd_impl *c, const isgi_netweight *w, size_t i, const float *dw,
                                  size_t dw_step)
{
    const size_t ci = c->ci, co = c->co, in = w->factored ? co : 9, out = w->factored ? 1 : 9 * ci;
    const size_t tap = w->factored ? ci * co : 1;
    for (size_t t = 0; t < 9; t++) {
        float *to = w->dw + i * in + t * tap;
        const float *from = dw + t * dw_step;
        if (w->uses > 1) {
            for (size_t o = 0; o < co; o++) to[o * out] += from[o];
        } else {
            for (size_t o = 0; o < co; o++) to[o * out] = from[o];
        }
    }
}

/* ---- passes by samples: every chunk does all of its own work, a block of tiles at a time ---- */

static void forward_samples(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const uint32_t tiles = isgi_chunk_count(net, chunk) * c->tiles;
    float *spare = isgi_net_spare(net, chunk);
    for (uint32_t t = 0; t < tiles; t += c->block) {
        const uint32_t n = tiles - t < c->block ? tiles - t : c->block;
        const points v = {spare + c->v, n, c->ci}, m = {spare + c->m, n, c->co};
        transform_input(c, &v, 0, isgi_act_data(net, op->in[0], chunk), t, n);
        for (uint32_t f = 0; f < POINTS; f++) multiply(net, c, 0, f, &v, &m);
        transform_output(c, isgi_act_data(net, op->out, chunk), &m, 0, bias_of(net, op), t, n);
    }
}

static void backward_samples(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const uint32_t images = isgi_chunk_count(net, chunk), tiles = images * c->tiles;
    const float *x = isgi_act_data(net, op->in[0], chunk), *dy = isgi_act_grad(net, op->out, chunk);
    float *spare = isgi_net_spare(net, chunk), *partial = isgi_net_partial(net, chunk);
    float *dx = begin_input_gradient(net, op, chunk);
    if (images == 0) return;
    for (uint32_t t = 0; t < tiles; t += c->block) {
        const uint32_t n = tiles - t < c->block ? tiles - t : c->block;
        const points v = {spare + c->v, n, c->ci}, dm = {spare + c->m, n, c->co};
        transform_input(c, &v, 0, x, t, n);
        transform_output_gradient(c, &dm, 0, dy, t, n);
        for (uint32_t f = 0; f < POINTS; f++) {
            multiply_gradient(net, c, f, spare + c->du, &v, &dm, t > 0);
            if (dx) multiply(net, c, 1, f, &dm, &v); /* V is not needed any more: dV takes its place */
        }
        if (dx) transform_input_gradient(c, dx, &v, 0, t, n);
    }
    transform_weight_gradient(c->side, partial, spare + c->du, c->u_step, (size_t)c->ci * c->co, 0,
                              (size_t)c->ci * c->co);
    if (op->bias >= 0) bias_gradient(partial + c->part_bias, dy, (size_t)images * c->out_h * c->out_w, c->co);
}

/* Input channels of this slice. */
static void reduce_samples(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t ci = c->ci, co = c->co;
    float *sum = isgi_net_partial(net, 0);
    for (size_t i = ci * chunk / net->chunks; i < ci * (chunk + 1) / net->chunks; i++) {
        for (size_t t = 0; t < 9; t++) isgi_reduce_partials(net, sum, 0, (t * ci + i) * co, (t * ci + i + 1) * co);
        store_weight_gradient(c, w, i, sum + i * co, ci * co);
    }
    if (chunk == 0 && op->bias >= 0) isgi_reduce_partials(net, net->param_list[op->bias].g, c->part_bias, 0, co);
}

/* ---- passes by points: for wide layers of few tiles, where U is the largest of all ----
 * The chunks transform their tiles; then each takes every chunks-th of the 36 kinds for all tiles of the batch, so that
 * U is read once and dU is a sum over tiles, not over chunks. */

static points common_v(const isgi_net *net, const winograd_impl *c)
{
    return (points){net->common, (size_t)net->n * c->tiles, c->ci};
}

static points common_m(const isgi_net *net, const winograd_impl *c)
{
    const points v = common_v(net, c);
    return (points){v.data + points_floats(c->side, v.rows, c->ci), v.rows, c->co};
}

static points common_dv(const isgi_net *net, const winograd_impl *c)
{
    const points m = common_m(net, c);
    return (points){m.data + points_floats(c->side, m.rows, c->co), m.rows, c->ci};
}

static float *common_du(const isgi_net *net, const winograd_impl *c)
{
    const points dv = common_dv(net, c);
    return dv.data + points_floats(c->side, dv.rows, c->ci);
}

static size_t first_tile(const isgi_net *net, const winograd_impl *c, uint32_t chunk)
{
    return (size_t)chunk * net->chunk_cap * c->tiles;
}

static void forward_points_in(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const points v = common_v(net, c);
    transform_input(c, &v, first_tile(net, c, chunk), isgi_act_data(net, op->in[0], chunk), 0,
                    isgi_chunk_count(net, chunk) * c->tiles);
}

static void forward_points(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const points v = common_v(net, c), m = common_m(net, c);
    for (uint32_t f = chunk; f < POINTS; f += net->chunks) multiply(net, c, 0, f, &v, &m);
}

static void forward_points_out(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const points m = common_m(net, c);
    transform_output(c, isgi_act_data(net, op->out, chunk), &m, first_tile(net, c, chunk), bias_of(net, op), 0,
                     isgi_chunk_count(net, chunk) * c->tiles);
}

static void backward_points_in(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const uint32_t images = isgi_chunk_count(net, chunk);
    const float *dy = isgi_act_grad(net, op->out, chunk);
    const points dm = common_m(net, c);
    forward_points_in(net, op, chunk);
    transform_output_gradient(c, &dm, first_tile(net, c, chunk), dy, 0, images * c->tiles);
    if (op->bias >= 0) {
        bias_gradient(isgi_net_partial(net, chunk), dy, (size_t)images * c->out_h * c->out_w, c->co);
    }
}

static void backward_points(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const points v = common_v(net, c), dm = common_m(net, c), dv = common_dv(net, c);
    for (uint32_t f = chunk; f < POINTS; f += net->chunks) {
        multiply_gradient(net, c, f, common_du(net, c), &v, &dm, 0);
        if (isgi_op_needs(net, op, 0)) multiply(net, c, 1, f, &dm, &dv);
    }
}

static void backward_points_out(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const winograd_impl *c = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t ci = c->ci, co = c->co;
    const points dv = common_dv(net, c);
    float *dx = begin_input_gradient(net, op, chunk), *dw = isgi_net_spare(net, chunk);
    if (dx) {
        transform_input_gradient(c, dx, &dv, first_tile(net, c, chunk), 0, isgi_chunk_count(net, chunk) * c->tiles);
    }
    for (size_t i = ci * chunk / net->chunks; i < ci * (chunk + 1) / net->chunks; i++) {
        transform_weight_gradient(c->side, dw, common_du(net, c), c->u_step, co, i * co, co);
        store_weight_gradient(c, w, i, dw, co);
    }
    if (chunk == 0 && op->bias >= 0) isgi_reduce_partials(net, net->param_list[op->bias].g, 0, 0, co);
}

/* The next layer uses the same memory. */
static void winograd_join(isgi_net *net, isgi_netop *op)
{
    (void)net;
    (void)op;
}

static void winograd_destroy(isgi_netop *op)
{
    winograd_impl *c = op->impl;
    if (c) isg_free(c->panels[0]);
    if (c) isg_free(c->panels[1]);
    isg_free(c);
    op->impl = NULL;
}

static const isgi_opvt samples_vt = {.forward = {forward_samples},
                                     .backward = {backward_samples, reduce_samples},
                                     .backward_join = {NULL, winograd_join},
                                     .refresh = winograd_refresh,
                                     .destroy = winograd_destroy};

static const isgi_opvt points_vt = {.forward = {forward_points_in, forward_points, forward_points_out},
                                    .forward_join = {NULL, NULL, winograd_join},
                                    .backward = {backward_points_in, backward_points, backward_points_out},
                                    .backward_join = {NULL, NULL, winograd_join},
                                    .refresh = winograd_refresh,
                                    .destroy = winograd_destroy};

/* ---- set-up ---- */

int isgi_winograd_fits(const isgi_net *net, const isgi_netop *op)
{
    const isg_conv_attr *a = &op->attr.conv;
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_value *v = &net->graph->values[net->weights[op->weight].value];
    if (x->rank != 4 || v->rank != 4 || v->dims[2] != 3 || v->dims[3] != 3 || a->groups > 1) return 0;
    if (x->dims[1] % LINE || y->dims[1] % LINE || v->dims[0] != y->dims[1] || v->dims[1] != x->dims[1]) return 0;
    if (a->stride[0] > 2) return 0;
    for (int k = 0; k < 2; k++) {
        if (a->stride[k] != a->stride[0] || a->dilation[k] > 1 || a->pads[k] < 0 || a->pads[k] > 2) return 0;
    }
    return y->dims[2] >= (int64_t)TILE && y->dims[3] >= (int64_t)TILE && y->dims[2] < 1 << 15 && y->dims[3] < 1 << 15;
}

/* Between two points a cache line more than needed, so that the 36 of a tile do not fall into one set of the cache. */
static size_t spread(size_t floats)
{
    return floats + LINE;
}

static size_t panel_floats(size_t depth, size_t width)
{
    return spread((width + ISGK_PANEL - 1) / ISGK_PANEL * ISGK_PANEL * depth);
}

static isg_status make_panels(isgi_net *net, const isgi_netop *op, winograd_impl *c, isg_error *err)
{
    for (int k = 0; k < 2; k++) {
        c->panel_step[k] = k ? panel_floats(c->co, c->ci) : panel_floats(c->ci, c->co);
        if (k && !(net->trainable && isgi_op_needs(net, op, 0))) break;
        c->panels[k] = isgi_calloc(POINTS * c->panel_step[k], sizeof(float));
        if (!c->panels[k]) return isgi_nomem(err);
    }
    return ISG_OK;
}

static void plan_samples(isgi_net *net, const isgi_netop *op, winograd_impl *c)
{
    c->block = c->stride == 1 ? BLOCK_TILES : BLOCK_TILES_STRIDED;
    c->m = points_floats(c->side, c->block, c->ci);
    c->du = c->m + points_floats(c->side, c->block, c->co);
    c->part_bias = (size_t)9 * c->ci * c->co;
    isgi_net_want(net, net->trainable ? c->part_bias + (op->bias >= 0 ? c->co : 0) : 0,
                  c->du + (net->trainable ? POINTS * c->u_step : 0));
}

static void plan_points(isgi_net *net, const isgi_netop *op, winograd_impl *c)
{
    const size_t tiles = (size_t)net->batch * c->tiles;
    const size_t v = points_floats(c->side, tiles, c->ci), m = points_floats(c->side, tiles, c->co);
    isgi_net_want(net, net->trainable && op->bias >= 0 ? c->co : 0, (size_t)9 * c->co);
    isgi_net_want_common(net, v + m + (net->trainable ? v + POINTS * c->u_step : 0));
}

isg_status isgi_build_winograd(isgi_net *net, isgi_netop *op, isg_error *err)
{
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    winograd_impl *c = isgi_calloc(1, sizeof *c);
    size_t tiles;
    if (!c) return isgi_nomem(err);
    op->impl = c;
    op->vt = &samples_vt;
    c->ci = (uint32_t)x->dims[1];
    c->co = (uint32_t)y->dims[1];
    c->h = (uint32_t)x->dims[2];
    c->w = (uint32_t)x->dims[3];
    c->out_h = (uint32_t)y->dims[2];
    c->out_w = (uint32_t)y->dims[3];
    c->pad_top = (uint32_t)op->attr.conv.pads[0];
    c->pad_left = (uint32_t)op->attr.conv.pads[1];
    c->tiles_x = (c->out_w + TILE - 1) / TILE;
    c->tiles = c->tiles_x * ((c->out_h + TILE - 1) / TILE);
    c->stride = op->attr.conv.stride[0] > 1 ? 2 : 1;
    c->side = c->stride == 1 ? 6 : 9;
    c->u_step = spread((size_t)c->ci * c->co);
    ISGI_TRY(make_panels(net, op, c, err));
    /* by points V, M and dV of the batch go through memory once; by samples U and dU do, once a chunk */
    tiles = (size_t)net->batch * c->tiles;
    if ((size_t)net->chunks * c->ci * c->co > tiles * (c->ci + c->co)) {
        op->vt = &points_vt;
        plan_points(net, op, c);
    } else {
        plan_samples(net, op, c);
    }
    return ISG_OK;
}
