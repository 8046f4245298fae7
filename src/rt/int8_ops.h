/* SPDX-License-Identifier: Apache-2.0 */
/* Planning and running layers in the int8 mode. */
#ifndef INSITU_RT_INT8_OPS_H
#define INSITU_RT_INT8_OPS_H

#include "rt/exec.h"

#define ISGI_INT8_PIXELS 32u   /* output pixels at a time */
#define ISGI_INT8_COLUMNS 128u /* columns of a product at a time, so that its sums stay in L1 */
#define ISGI_INT8_ROWS 8u      /* output rows of a task of a depthwise layer */
#define ISGI_INT8_MADE_BITS 6u /* of W where it is made: two products of AVX2 fit 16 bits */
#define ISGI_INT8_BLOCK 32u    /* rows of a factor unpacked at a time: whole bytes whatever the bits */

/* Bytes that may be read behind codes of pixels: by dwconv_u8s8, of whole groups of channels, and by copies. */
#define ISGI_INT8_BEHIND 32u

typedef enum isgi_int8_form {
    ISGI_INT8_DENSE = 1,     /* W is codes, stored or made */
    ISGI_INT8_DEPTHWISE = 2, /* W is codes, one filter a channel */
    ISGI_INT8_CHAIN = 3,     /* level 2: basis, then V */
    ISGI_INT8_FACTORED = 4   /* level 1: U, basis, and V where there is level 2 */
} isgi_int8_form;

/* Fills `q` for a layer whose float plan is `c`, with kernels of `isa`; q->on stays 0 where the layer must run in
 * float, or is faster for it unless a strategy is forced. */
void isgi_int8_plan(isgi_int8 *q, const isgi_conv *c, const isg_weight *w, const isgi_ranges *ranges, uint32_t forced,
                    uint32_t isa, uint32_t workers);
/* Numbers between the rows of a tile of sums of n columns: rows begin where a vector of any size does. */
static inline size_t isgi_int8_tile_step(size_t n)
{
    return (n + 15) & ~(size_t)15;
}
/* Bytes of a tap's weights where taps are paired. */
static inline size_t isgi_int8_pair_bytes(uint32_t channels)
{
    return (2 * (size_t)channels + 31) / 32 * 32;
}
/* The weight that the layer is planned and run with: `w`, or, in `made`, the codes of W that are made from it. */
const isg_weight *isgi_int8_weight(const isgi_int8 *q, const isg_weight *w, isg_weight *made);
/* Whether any rows of the output can be made alone: then isgi_int8_run() can do the pool behind the layer. */
static inline int isgi_int8_by_rows(const isgi_int8 *q)
{
    return q->form == ISGI_INT8_DENSE && !q->pointwise;
}
uint64_t isgi_int8_macs(const isgi_int8 *q, const isgi_conv *c, const isg_weight *w);
/* Tasks of the main part. */
uint32_t isgi_int8_tasks(const isgi_int8 *q, const isgi_conv *c);
void isgi_int8_run(const isg_rt_context *ctx, const isgi_step *step);

/* Checks the ACTIVATIONS section, if there is one. Errors: FORMAT. */
isg_status isgi_view_activations(const isgi_model *m, isg_error *err);
/* Record of the layer-th conv or fc; zeros where there is none. */
isgi_ranges isgi_int8_ranges(const isgi_model *m, uint32_t layer);

#endif
