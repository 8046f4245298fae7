/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of a training device: their list and arguments. Activations are channels-last, [sample][pixel][channel];
 * what an element is stands with each; device_elements.h has the code. */
#ifndef INSITU_TRAIN_DEVICE_KERNELS_H
#define INSITU_TRAIN_DEVICE_KERNELS_H

#include <stdint.h>

#include "train/activation.h"

#define ISGI_DEVICE_KERNELS(X)                                                                                         \
    X(gather_taps)                                                                                                     \
    X(scatter_taps)                                                                                                    \
    X(middle_forward)                                                                                                  \
    X(middle_data)                                                                                                     \
    X(middle_basis)                                                                                                    \
    X(reorder_weight)                                                                                                  \
    X(fold)                                                                                                            \
    X(add_bias)                                                                                                        \
    X(norm_sums)                                                                                                       \
    X(norm_fold)                                                                                                       \
    X(norm_combine)                                                                                                    \
    X(norm_apply)                                                                                                      \
    X(norm_slopes)                                                                                                     \
    X(norm_gradient)                                                                                                   \
    X(sum_two)                                                                                                         \
    X(pass_gradient)                                                                                                   \
    X(activate)                                                                                                        \
    X(activate_gradient)                                                                                               \
    X(pool_average)                                                                                                    \
    X(pool_average_gradient)                                                                                           \
    X(pool_max)                                                                                                        \
    X(pool_max_gradient)

enum {
#define ISGI_NUMBER(name) ISGI_KERNEL_##name,
    ISGI_DEVICE_KERNELS(ISGI_NUMBER)
#undef ISGI_NUMBER
        ISGI_KERNEL_COUNT
};

/* Of the list, its arguments and isgi_device, which a module may be older than: the first number goes up with each
 * change that leaves the list's length. */
#define ISGI_DEVICE_VERSION (2u << 16 | (uint32_t)ISGI_KERNEL_COUNT)

/* What a block of rows of a sum covers, and how many partial sums become one in a fold. */
#define ISGI_SUM_ROWS 64
#define ISGI_FOLD 64
/* Pixels that share what a depthwise middle loads of its basis, and taps that share what it loads of a pixel. */
#define ISGI_MIDDLE_ROWS 4u
#define ISGI_MIDDLE_TAPS 3u

/* The pixels that a convolution's taps connect: source[p * taps + t] is the input pixel that output pixel p reads by
 * tap t, reader[q * taps + t] the output pixel that reads input pixel q by it; -1: none. */
typedef struct isgi_taps {
    const int32_t *source, *reader;
    uint32_t taps, in_pixels, out_pixels;
} isgi_taps;

/* ---- convolution ---- */

/* to[sample, p][t][c] = x[sample, source(p, t)][c] or 0. Element: a row (sample, p) and c. */
typedef struct isgi_gather_taps {
    const float *x;
    float *to;
    isgi_taps taps;
    uint32_t channels;
} isgi_gather_taps;

/* dx[sample, q][c] (+)= sum over t of from[sample, reader(q, t)][t][c]. Element: of dx. */
typedef struct isgi_scatter_taps {
    const float *from;
    float *dx;
    isgi_taps taps;
    uint32_t channels, accumulate;
} isgi_scatter_taps;

/* The depthwise middle of a factored convolution (net_factored.c): z has bi * bo channels, d has bo.
 * forward: d[p][o] = sum_t sum_k basis[t][k * bo + o] z[source(p, t)][k * bo + o]. Element: ISGI_MIDDLE_ROWS p's and o.
 * data: dz[q][k * bo + o] = sum_t dd[reader(q, t)][o] basis[t][k * bo + o]. Element: ISGI_MIDDLE_ROWS q's and k * bo +
 * o. basis: out[block][t][w] = sum over the block's rows of dd[row][w % bo] z[source(row, t)][w]. Element: a block,
 * ISGI_MIDDLE_TAPS t's and w. */
typedef struct isgi_middle {
    const float *z, *basis, *dd;
    float *out; /* d, dz, or partial sums of dbasis */
    isgi_taps taps;
    uint32_t bi, bo, rows; /* rows: pixels of all samples, of dz for `data`, of d for the others */
} isgi_middle;
typedef isgi_middle isgi_middle_forward, isgi_middle_data, isgi_middle_basis;

/* Between ONNX order [co][ci][taps] and [taps][ci][co]. Element: of the latter. */
typedef struct isgi_reorder_weight {
    const float *from;
    float *to;
    uint32_t taps, ci, co, back; /* back: from the latter to ONNX order */
} isgi_reorder_weight;

/* ---- sums ---- */

/* to[block][c] = sum of from[row][c] over ISGI_FOLD rows. Element: of `to`. */
typedef struct isgi_fold {
    const float *from;
    float *to;
    uint32_t rows, columns;
} isgi_fold;

/* y[row][c] += bias[c]. Element: of y. */
typedef struct isgi_add_bias {
    const float *bias;
    float *y;
    uint32_t columns;
} isgi_add_bias;

/* ---- batch normalisation (net_norm.c has the formulas) ---- */

/* Element: a block and a channel. */
typedef struct isgi_norm_sums {
    const float *x, *dy, *pivot; /* dy NULL: statistics */
    const float *mul, *add;      /* with dy and relu */
    double *sums;                /* [block][2][channels] */
    uint32_t rows, channels, relu;
} isgi_norm_sums;

/* As fold, in binary64. */
typedef struct isgi_norm_fold {
    const double *from;
    double *to;
    uint32_t rows, columns;
} isgi_norm_fold;

/* sums NULL: from the running statistics. Element: a channel. */
typedef struct isgi_norm_combine {
    const double *sums;
    const float *gamma, *beta;
    float *running_mean, *running_var, *mean, *istd, *mul, *add;
    double count;
    float eps, momentum;
    uint32_t channels;
} isgi_norm_combine;

/* Element: of y. */
typedef struct isgi_norm_apply {
    const float *x, *mul, *add;
    float *y;
    uint32_t channels, relu;
} isgi_norm_apply;

/* Element: a channel. */
typedef struct isgi_norm_slopes {
    const double *sums;
    const float *mul, *istd;
    float *dgamma, *dbeta, *k0, *k1;
    double count;
    uint32_t channels;
} isgi_norm_slopes;

/* Element: of dx. */
typedef struct isgi_norm_gradient {
    const float *x, *dy, *mul, *add, *mean, *k0, *k1;
    float *dx;
    uint32_t channels, relu, accumulate;
} isgi_norm_gradient;

/* ---- element by element ---- */

/* y = a + b (b NULL: a), then Relu where asked. */
typedef struct isgi_sum_two {
    const float *a, *b;
    float *y;
    uint32_t relu;
} isgi_sum_two;

/* dx (+)= dy, or where y is given only where y > 0. */
typedef struct isgi_pass_gradient {
    const float *y, *dy;
    float *dx;
    uint32_t accumulate;
} isgi_pass_gradient;

/* y = f(x); gradient: dx (+)= dy f'(x). */
typedef struct isgi_activate {
    const float *x, *dy;
    float *y, *dx;
    isgi_activation f;
    uint32_t accumulate;
} isgi_activate;
typedef isgi_activate isgi_activate_gradient;

/* ---- pooling ---- */

/* Output position o reads list[start[o]] .. list[start[o + 1] - 1]; input position q is read by
 * readers[reader_start[q]] ...; `width` neighbouring floats a position; average: times factor[o]. Element: of y, of dx
 * in the gradients. */
typedef struct isgi_pooling {
    const uint32_t *start, *list, *reader_start, *readers;
    const float *factor;
    uint32_t *arg; /* maximum: the input position chosen, an entry an output element */
    const float *x, *dy;
    float *y, *dx;
    uint32_t in_positions, positions, width, accumulate;
} isgi_pooling;
typedef isgi_pooling isgi_pool_average, isgi_pool_average_gradient, isgi_pool_max, isgi_pool_max_gradient;

#endif
