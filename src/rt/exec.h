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

#include "kernels/kernels.h"
#include "rt/view.h"

#define ISGI_PIXELS 64u /* output pixels whose taps are looked up at once */

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
    uint32_t tile_rows;      /* rows of the matrix made at once */
    uint32_t strip;          /* output pixels a task */
    uint32_t blocks;         /* tasks a strip, by output channel */
    uint32_t rows;           /* FACTORED: output rows a task */
    uint32_t images;         /* FACTORED: whole images a task */
    uint64_t span;           /* HALF: output pixels between two passes over the matrix */
    size_t bias, basis, u, v, tile, rows_tmp, half, zeros, worker, worker_floats;
    size_t at_gather, at_taps, at_mid; /* inside a worker's part */
    uint64_t scratch;
    uint64_t macs, dense_macs;
} isgi_conv;

typedef struct isgi_step {
    isgi_op op;
    isgi_conv conv;
    uint64_t scratch; /* floats */
    uint64_t macs, dense_macs, weight_bytes;
    uint32_t strategy;
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
    uint32_t batch, isa, ops, tensor_count;
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
/* Numbers of an unfactored vector weight: in the image if they can be used there, else dequantised to dst. */
const float *isgi_vector(const isg_rt_context *ctx, int32_t weight, float *dst);
static inline int isgi_raw_f32(const isg_weight *w)
{
    return !w->level1 && !w->level2 && w->basis.family == ISG_QUANT_RAW && w->basis.bits == 32;
}

/* Fills `c` for weight `w` on a bound input and output shape; `bias` tells whether there is one. */
void isgi_conv_plan(isgi_conv *c, const isgi_op *op, const isg_weight *w, const isgi_shape *x, const isgi_shape *out,
                    const isg_weight *bias, uint32_t workers, uint32_t forced);
void isgi_conv_run(const isg_rt_context *ctx, const isgi_step *step);
/* FACTORED and depthwise, after isgi_conv_run() has prepared the factors. */
void isgi_conv_factored(const isg_rt_context *ctx, const isgi_step *step, const float *bias);
void isgi_conv_depthwise(const isg_rt_context *ctx, const isgi_step *step, const float *bias);

/* Pointers to what each tap reads for `count` output pixels from pixel `first` (over batch, rows, columns), skipping
 * `pad` where a tap lies outside. `lists` consecutive channel groups of `list_step` floats are listed per tap. The
 * tile at `src` starts at row `row0` of image `image0`. */
typedef struct isgi_taps {
    const isgi_window *window;
    const float *src;
    const float *pad;
    uint32_t ih, iw, oh, ow;
    uint32_t row0;
    uint32_t lists;
    size_t pixel_step, list_step, image_step;
    uint64_t image0;
} isgi_taps;
void isgi_list_taps(const isgi_taps *g, uint64_t first, uint32_t count, const float **taps);

/* Scratch floats of the other kinds, and running them. */
uint64_t isgi_op_scratch(const isgi_op *op, const isgi_shape *x, const isgi_shape *out, uint32_t workers);
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
