/* SPDX-License-Identifier: Apache-2.0 */
/* The cost model of the planner: work of a layer by kind, and predicted times. */
#ifndef INSITU_RT_PLAN_COST_H
#define INSITU_RT_PLAN_COST_H

#include "rt/exec.h"

#define ISGI_PANELS_PIXELS 48u   /* of the output a worker: with fewer there is no copy of W in panels */
#define ISGI_HALF_FLOATS 131072u /* of intermediate channels in the HALF way */

/* Work of one way, counted in the units of isg_rt_costs; `macs` are the multiply-adds that somebody asked for. */
typedef struct isgi_work {
    uint64_t panel, gemm, weight, taps, compose, gather, unpack, bytes, macs;
} isgi_work;

/* A 1x1 kernel without padding: output pixel (y, x) reads input pixel (y stride, x stride) only. */
int isgi_is_pointwise(const isgi_conv *c);
/* Whether W of `width` columns can go to panels as a whole, */
int isgi_fits_panels(const isgi_conv *c, uint32_t width);
/* and windows then be read as runs of rows of pixels instead of gathered. */
int isgi_reads_lines(const isgi_conv *c);
/* Whether a way runs fused over strips of pixels. */
int isgi_fuses(const isgi_conv *c, const isg_weight *w, uint32_t way);
/* Whether Winograd's algorithm can run the layer with W made first, the work of it, and its nanoseconds. */
int isgi_can_winograd(const isgi_conv *c);
isgi_work isgi_winograd_work(const isgi_conv *c, const isg_weight *w);
uint64_t isgi_winograd_cost(const isgi_conv *c, const isg_weight *w, const isgi_plan_for *f);
isgi_work isgi_work_of(const isgi_conv *c, const isg_weight *w, uint32_t way);
/* Nanoseconds of one core: of a way, and of the layer had its weights been stored as plain floats. */
uint64_t isgi_way_cost(const isgi_conv *c, const isg_weight *w, uint32_t way, const isgi_plan_for *f);
uint64_t isgi_dense_cost(const isgi_conv *c, const isg_weight *w, const isgi_plan_for *f);

#endif
