/* SPDX-License-Identifier: Apache-2.0 */
/* The execution context and what the planner decides for each operation. */
#ifndef INSITU_RT_EXEC_H
#define INSITU_RT_EXEC_H

#include <insitu/parallel.h>
#include <insitu/rt.h>
#include <insitu/status.h>
#include <insitu/weight.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endian.h"
#include "kernels/kernels.h"
#include "rt/int8.h"
#include "rt/view.h"

#define ISGI_PIXELS 64u /* output pixels whose taps are looked up at once */
#define ISGI_SHARES 2u  /* tasks a worker where cutting is free: one held up leaves its second to others */

/* The fused way (FACTORED, and HALF of 1x1): for a group of output rows, products of the input rows with U go to a ring
 * of rows, the taps of the basis are summed from there, and the product with V is the output. With few pixels tasks
 * take columns of both products instead, and the ring is the whole map. A 1x1 kernel reads only the pixels it needs:
 * the input then counts as one of the output's size. */
typedef struct isgi_fused {
    uint8_t on;
    uint8_t two_pass;              /* all products with U first, by everybody: maps too small to cut into strips */
    uint32_t u_columns, v_columns; /* of each product a task, where tasks share columns instead of pixels; or 0 */
    uint32_t bases;                /* bi, or 1 */
    uint32_t ih, iw, sh, sw;       /* input as it is read, and stride there */
    size_t x_row, x_pixel;         /* floats between its rows and its pixels */
    uint32_t list, mid;            /* channels of one base and of all, padded in the ring */
    uint32_t group, ring;          /* output rows at once, input rows kept */
    uint32_t strips;               /* tasks an image */
} isgi_fused;

/* Layers by Winograd's algorithm (ops_winograd.c): 36 points, each a product of tiles with one matrix. Steps are from
 * point to point. */
#define ISGI_WINOGRAD_BLOCK 32u /* channels whose weights a task makes at once */
typedef struct isgi_winograd_way {
    uint32_t tiles;   /* a task, or all; 0: another way */
    uint32_t columns; /* few tiles: output channels a task, which makes the weights' points for itself; 0: strips */
    size_t weights_step, inputs_step, outputs_step;
    size_t
        at_made; /* in a worker's part: a block of weights, where they are neither numbers nor factors in the image */
} isgi_winograd_way;

/* A convolution or fully connected layer (1x1 image): geometry, the way it is run, and where its scratch lies. All
 * places and sizes count floats. */
typedef struct isgi_conv {
    uint32_t batch, ih, iw, ic, oh, ow, oc, groups;
    isgi_window window;
    uint32_t taps, k, width; /* rows and columns of the matrix the pixels are multiplied with (W, or level 1 of it) */
    uint8_t strategy;        /* isg_strategy */
    uint8_t depthwise;       /* one filter a channel, W [taps][channels] */
    uint8_t direct;          /* a pixel's row of the input is its row of the product: no gathering */
    uint8_t in_place;        /* the matrix is used where it lies in the image */
    uint8_t bf16;            /* its products of matrices are in bfloat16 */
    uint8_t panels;          /* the whole matrix is copied to panels first; products finish their elements */
    uint8_t lined;           /* panels: windows are read from rows of pixels, not gathered */
    uint32_t line;           /* lined: pixels of a row with its padding; 0: there is none */
    uint32_t tile_rows;      /* rows of the matrix made at once */
    uint32_t parts; /* in place: rows are read in so many parts, each in the order of memory; 0: as they are used */
    uint32_t part_rows;
    uint32_t columns;     /* or in blocks of so many columns of all rows */
    uint32_t strip;       /* output pixels a task */
    uint32_t blocks;      /* tasks a strip, by output channel */
    uint64_t span;        /* HALF: output pixels between two passes over the matrix */
    uint32_t group, ring; /* the second of a pair: output rows at once, rows of its input kept */
    isgi_fused fused;
    isgi_winograd_way winograd;
    size_t bias, basis, u, v, tile, rows_tmp, half, packed, worker, worker_floats;
    size_t at_gather, at_taps, at_mid, at_sums, at_panels; /* inside a worker's part */
    uint64_t scratch;
    uint64_t macs, dense_macs, cost, dense_cost; /* costs in nanoseconds */
    uint32_t tasks;
} isgi_conv;

/* Tiles of Winograd's algorithm along an axis of `n` outputs, and of all images. */
static inline uint32_t isgi_winograd_tiles(uint32_t n)
{
    return (n - 1) / ISGK_WINOGRAD_OUTPUTS + 1;
}

static inline uint64_t isgi_winograd_all(const isgi_conv *c)
{
    return (uint64_t)c->batch * isgi_winograd_tiles(c->oh) * isgi_winograd_tiles(c->ow);
}

/* A convolution whose map the max pool behind it alone reads: bands of rows of the map stay in the cache. */
typedef struct isgi_pooled {
    uint32_t rows;                         /* of the map a band; 0: no pool is done here */
    uint32_t bands;                        /* that are kept, band n in place n modulo that */
    uint32_t strips;                       /* tasks an image */
    size_t worker, worker_floats, at_list; /* floats of the scratch, a worker's, and where its pointers begin */
} isgi_pooled;

typedef struct isgi_step {
    isgi_op op;
    isgi_conv conv;
    isgi_int8 int8;
    isgi_pooled pooled;
    uint64_t scratch; /* floats */
    uint64_t macs, dense_macs, weight_bytes, cost, dense_cost;
    uint32_t strategy;
    int32_t residual;      /* tensor added before the activation, or -1: the addition that follows is done here */
    uint8_t done;          /* the step before has done it */
    uint8_t pair;          /* it does the next step, a depthwise convolution, as well */
    uint8_t over_residual; /* the output may lie where the residual does */
} isgi_step;

typedef struct isgi_tensor {
    isgi_shape shape; /* with the planned batch */
    uint64_t count;
    float *data;
} isgi_tensor;

struct isg_rt_context {
    isgi_model model_copy;
    const isgi_model *model; /* the copy: the caller's need not live on */
    isgk_table kernels;
    isg_parallel parallel;
    isg_rt_hook hook;
    void *hook_user;
    uint32_t parts; /* of the batch, that many images each, go through all operations one after the other */
    uint32_t isa, ops, tensor_count;
    uint32_t running; /* the operation in hand, or the last that was */
    int ran;          /* it has made its output */
    int alone;        /* the operation that runs now is too small to share */
    isgi_step *steps;
    isgi_tensor *tensors;
    isg_weight *weights;
    float *scratch;
};

static inline size_t isgi_round_floats(size_t n)
{
    return (n + 15u) & ~(size_t)15u;
}

/* Runs task 0..count-1 through the caller's threads. */
void isgi_run_tasks(const isg_rt_context *ctx, isg_task_fn task, void *arg, uint64_t count);
/* The same for tasks that unpack `numbers` codes in all: few are done by the caller. */
void isgi_run_few(const isg_rt_context *ctx, uint64_t numbers, isg_task_fn task, void *arg, uint64_t count);
/* Numbers of an unfactored vector weight: in the image if they can be used there, else dequantised to dst. */
const float *isgi_vector(const isg_rt_context *ctx, int32_t weight, float *dst);
/* Whether the numbers of W are used where they lie in the image. A big-endian machine converts them like any other. */
static inline int isgi_lies_ready(const isg_weight *w)
{
    return isgi_host_is_little() && !w->level1 && !w->level2 && w->basis.family == ISG_QUANT_RAW && w->basis.bits == 32;
}

/* What a plan is made for. The way a layer is run must not depend on the workers: bits do not. So ways are chosen for
 * `images` images, of which more may go at a time where there are more workers. */
typedef struct isgi_plan_for {
    uint32_t workers, images, forced; /* forced: isg_strategy */
    const isg_rt_costs *costs;
    uint32_t mode;              /* isg_mode that is asked for */
    uint32_t lanes;             /* floats of a vector */
    int streams, dense_streams; /* the network's weights, or those of the dense one, do not stay in the cache */
} isgi_plan_for;

/* The built-in unit costs of an instruction set. */
void isgi_costs_of(isg_rt_costs *costs, uint32_t isa);
/* Work units times unit costs, in nanoseconds. */
uint64_t isgi_int8_cost(const isgi_int8 *q, const isgi_conv *c, const isg_weight *w, const isg_rt_costs *t);

/* Fills `c` for weight `w` on a bound input and output shape; `bias` tells whether there is one. */
void isgi_conv_plan(isgi_conv *c, const isgi_op *op, const isg_weight *w, const isgi_shape *x, const isgi_shape *out,
                    const isg_weight *bias, const isgi_plan_for *f);
/* Whether every output element is written once, after its residual was read: they may share memory. */
static inline int isgi_conv_in_place(const isgi_conv *c, const isg_weight *w)
{
    return (c->fused.on && w->level2) || c->panels || c->winograd.tiles;
}
void isgi_conv_run(const isg_rt_context *ctx, const isgi_step *step);
/* The fused way, depthwise and Winograd's; each makes what it needs of the weights. */
void isgi_conv_fused(const isg_rt_context *ctx, const isgi_step *step, const float *bias);
void isgi_conv_depthwise(const isg_rt_context *ctx, const isgi_step *step, const float *bias);
void isgi_conv_winograd(const isg_rt_context *ctx, const isgi_step *step, const float *bias);
void isgi_conv_streamed(const isg_rt_context *ctx, const isgi_step *step, const float *bias);
/* Whether a planned 1x1 can be run together with the planned depthwise layer that reads it; and room for that: moves
 * the scratch of `b` behind that of `a`. */
int isgi_can_pair(const isgi_conv *a, const isgi_conv *b, uint32_t workers);
void isgi_pair_plan(const isgi_conv *a, isgi_conv *b, uint32_t workers);
void isgi_conv_pair(const isg_rt_context *ctx, const isgi_step *step);
/* Whether the convolution `s`, planned, does the max pool `pool` behind it, whose output is `out`; plans that. */
int isgi_pooled_plan(isgi_step *s, const isgi_op *pool, const isgi_shape *out, uint32_t workers);
/* Finished rows y .. y+rows-1 of an image's map to dst. */
typedef void isgi_rows_fn(const void *job, float *dst, uint32_t image, uint32_t y, uint32_t rows, uint32_t worker);
void isgi_pooled_run(const isg_rt_context *ctx, const isgi_step *step, isgi_rows_fn *rows, const void *job);
/* All rows of W, where they lie in the image or made in the layer's scratch; and its panels, there. */
const float *isgi_conv_matrix(const isg_rt_context *ctx, const isgi_step *step);
void isgi_conv_panels(const isg_rt_context *ctx, const isgi_step *step);
/* What a product does to its elements in registers: bias, residual (of output pixel 0) and clamp. Returns another
 * activation, to be applied afterwards, or NULL. */
const isgk_act *isgi_conv_finish(const isg_rt_context *ctx, const isgi_step *step, const float *bias,
                                 isgk_finish *finish);
/* The same from output pixel `pixel` on. */
isgk_finish isgi_finish_from(const isgk_finish *finish, uint64_t pixel);
/* Columns [k0, k1) of the gathered matrix for `count` output pixels from `first`, row-major with k1-k0 columns. */
void isgi_conv_gather(float *dst, const isgi_conv *c, const float *x, uint64_t first, uint32_t count, uint32_t group,
                      uint32_t k0, uint32_t k1);
/* Bias, residual and activation of channels from .. from+n-1 of `pixels` output pixels from `first`. */
void isgi_conv_epilogue(const isg_rt_context *ctx, const isgi_step *step, const float *bias, uint64_t first,
                        size_t pixels, uint32_t from, uint32_t n);

/* The other kinds. Pooling needs as many floats of scratch for each worker. */
size_t isgi_pool_scratch(const isgi_window *w);
void isgi_pool_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_global_pool_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_binary_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_affine_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_activation_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_softmax_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_concat_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_slice_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_pad_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_transpose_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_reshape_run(const isg_rt_context *ctx, const isgi_step *step);
void isgi_reduce_mean_run(const isg_rt_context *ctx, const isgi_step *step);

/* Between a tensor's layout in memory and row-major logical order. */
void isgi_to_logical(const isgk_table *k, float *dst, const float *src, const isgi_shape *s);
void isgi_from_logical(const isgk_table *k, float *dst, const float *src, const isgi_shape *s);

#endif
