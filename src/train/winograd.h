/* SPDX-License-Identifier: Apache-2.0 */
/* The transforms of Winograd's algorithm for 3x3 convolutions of stride 1 and 2, and where their results lie. */
#ifndef INSITU_TRAIN_WINOGRAD_H
#define INSITU_TRAIN_WINOGRAD_H

#include <stddef.h>
#include <stdint.h>

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
#define ISGI_WINOGRAD_TILE 4u
#define ISGI_WINOGRAD_KINDS 6u
#define ISGI_WINOGRAD_POINTS (ISGI_WINOGRAD_KINDS * ISGI_WINOGRAD_KINDS)
/* Channels come in whole lines of the cache; one more lies between two points that would else fall into one set of it.
 */
#define ISGI_WINOGRAD_LINE 16u

/* One convolution; all images channels-last. */
typedef struct isgi_winograd {
    uint32_t ci, co, h, w, out_h, out_w, pad_top, pad_left;
    uint32_t stride, side;   /* 1 or 2; inputs of a line of outputs, and its points: 6 or 9 */
    uint32_t tiles_x, tiles; /* a row of an image; an image */
} isgi_winograd;

/* V, M or a gradient of them: `rows` tiles a point, the members of a kind of points behind each other, so that one
 * product serves them all. */
typedef struct isgi_points {
    float *data;
    size_t rows, channels;
} isgi_points;

/* Points of a kind along one axis: with stride 2 the last kind has four. */
static inline uint32_t isgi_winograd_members(uint32_t side, uint32_t kind)
{
    return kind == ISGI_WINOGRAD_KINDS - 1 ? side - ISGI_WINOGRAD_KINDS + 1 : 1;
}

/* Floats before the points of kind (i, j). */
static inline size_t isgi_winograd_kind_at(uint32_t side, const isgi_points *p, uint32_t i, uint32_t j)
{
    const size_t before = (size_t)i * side + (size_t)isgi_winograd_members(side, i) * j;
    return before * p->rows * p->channels + ((size_t)i * ISGI_WINOGRAD_KINDS + j) * ISGI_WINOGRAD_LINE;
}

/* Floats of isgi_points.data. */
static inline size_t isgi_winograd_floats(uint32_t side, size_t rows, size_t channels)
{
    return (size_t)side * side * rows * channels + ISGI_WINOGRAD_POINTS * ISGI_WINOGRAD_LINE;
}

/* Each handles `count` tiles of consecutive images from number `first` on; the first of them is tile `at` of the
 * points. */
/* V from x. */
void isgi_winograd_input(const isgi_winograd *c, const isgi_points *v, size_t at, const float *x, uint32_t first,
                         uint32_t count);
/* dx += B dV Bt. */
void isgi_winograd_input_gradient(const isgi_winograd *c, float *dx, const isgi_points *dv, size_t at, uint32_t first,
                                  uint32_t count);
/* y = At M A + bias, which may be NULL. */
void isgi_winograd_output(const isgi_winograd *c, float *y, const isgi_points *m, size_t at, const float *bias,
                          uint32_t first, uint32_t count);
/* dM = A dy At; outputs beyond the edge have no gradient. */
void isgi_winograd_output_gradient(const isgi_winograd *c, const isgi_points *dm, size_t at, const float *dy,
                                   uint32_t first, uint32_t count);
/* U as panels (ISGK_PANEL) of a matrix with `depth` rows a and `width` columns b, one point panel_step floats behind
 * the other. Tap t of kernel (a, b) is w[a * row + b * column + t * tap]. */
void isgi_winograd_weights(uint32_t side, float *panels, size_t panel_step, const float *w, size_t depth, size_t width,
                           size_t row, size_t column, size_t tap);
/* dw = Gt dU G for `count` kernels from number `first` on; a tap of dw is dw_step floats from the next, a point of dU
 * du_step. */
void isgi_winograd_weight_gradient(uint32_t side, float *dw, const float *du, size_t du_step, size_t dw_step,
                                   size_t first, size_t count);

#endif
