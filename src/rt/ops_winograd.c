/* SPDX-License-Identifier: Apache-2.0 */
/* Dense 3x3 convolutions of stride 1 by Winograd's algorithm F(2x2, 3x3).
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.1: a tile of 2x2
 * outputs reads 4x4 inputs d and takes 16 products a channel where the plain sum takes 36:
 * y = At [ sum over ci of (G w Gt) . (Bt d B) ] A. The points of the transforms are 0, 1, -1 and infinity, so that
 * inputs and outputs are only added and subtracted. */
#include <string.h>

#include "rt/exec.h"
#include "rt/gen.h"

#define POINTS ISGI_WINOGRAD_POINTS

/* Four channels at once: a register of every baseline. They lie anywhere in memory. */
typedef float lanes __attribute__((vector_size(16)));
typedef float loose_lanes __attribute__((vector_size(16), aligned(sizeof(float)), may_alias));
#define LANES 4u
#define CHANNELS_A_TASK ISGI_WINOGRAD_CHANNELS
#define load(from) ((lanes)(*(const loose_lanes *)(from)))
#define store(to, x) (*(loose_lanes *)(to) = (x))

typedef struct winograd_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const isgi_conv *c;
    const isg_weight *w;
    const float *bias;
    float *points; /* panels of 16 matrices [ic][oc] */
} winograd_job;

/* ---- weights ---- */

/* G along one axis. */
static inline void weight_line(lanes o[4], lanes a, lanes b, lanes c)
{
    const lanes even = (a + c) * 0.5f, odd = b * 0.5f;
    o[0] = a;
    o[1] = even + odd;
    o[2] = even - odd;
    o[3] = c;
}

/* Four output channels of one input channel, whose taps follow each other `step` floats apart. */
static inline void weight_points(float *to, size_t point, const float *taps, size_t step)
{
    lanes half[3][4], out[4];
    for (size_t y = 0; y < 3; y++) {
        const float *line = taps + 3 * y * step;
        weight_line(half[y], load(line), load(line + step), load(line + 2 * step));
    }
    for (size_t x = 0; x < 4; x++) {
        weight_line(out, half[0][x], half[1][x], half[2][x]);
        for (size_t y = 0; y < 4; y++) store(to + (4 * y + x) * point, out[y]);
    }
}

/* Some input channels, to the panels of every point. */
static void weight_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const uint32_t first = index * CHANNELS_A_TASK, left = c->ic - first;
    const uint32_t count = left < CHANNELS_A_TASK ? left : CHANNELS_A_TASK;
    const size_t oc = c->oc, point = c->winograd.weights_step;
    const float *taps = (const float *)(const void *)j->w->basis.data + (size_t)first * oc;
    size_t step = (size_t)c->ic * oc;
    if (!c->in_place) {
        float *made = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats;
        for (uint32_t t = 0; t < 9; t++)
            isgi_gen_dequant(&j->ctx->kernels, made + t * count * oc, &j->w->basis, t * c->ic + first, count);
        taps = made;
        step = count * oc;
    }
    for (size_t panel = 0; panel < oc; panel += ISGK_PANEL) {
        float *to = j->points + panel * c->ic + (size_t)first * ISGK_PANEL;
        for (size_t i = 0; i < count; i++, to += ISGK_PANEL) {
            for (size_t k = 0; k < ISGK_PANEL; k += LANES)
                weight_points(to + k, point, taps + i * oc + panel + k, step);
        }
    }
}

/* ---- tiles ---- */

/* Bt along one axis. */
static inline void input_line(lanes o[4], lanes a, lanes b, lanes c, lanes d)
{
    o[0] = a - c;
    o[1] = b + c;
    o[2] = c - b;
    o[3] = b - d;
}

/* The tile whose first input is pixel (y0, x0) of the image; outside lies zero. */
static void input_tile(float *to, size_t step, const isgi_conv *c, const float *image, int64_t y0, int64_t x0)
{
    const float *in[4][4];
    for (int64_t y = 0; y < 4; y++) {
        for (int64_t x = 0; x < 4; x++) {
            const int inside = y0 + y >= 0 && y0 + y < c->ih && x0 + x >= 0 && x0 + x < c->iw;
            in[y][x] = inside ? image + (size_t)((y0 + y) * c->iw + x0 + x) * c->ic : NULL;
        }
    }
    for (size_t k = 0; k < c->ic; k += LANES) {
        const lanes zero = {0.0f, 0.0f, 0.0f, 0.0f};
        lanes half[4][4], out[4];
        for (int y = 0; y < 4; y++) {
            const lanes a = in[y][0] ? load(in[y][0] + k) : zero, b = in[y][1] ? load(in[y][1] + k) : zero;
            const lanes d = in[y][2] ? load(in[y][2] + k) : zero, e = in[y][3] ? load(in[y][3] + k) : zero;
            input_line(half[y], a, b, d, e);
        }
        for (size_t x = 0; x < 4; x++) {
            input_line(out, half[0][x], half[1][x], half[2][x], half[3][x]);
            for (size_t y = 0; y < 4; y++) store(to + (4 * y + x) * step + k, out[y]);
        }
    }
}

/* The outputs of one tile, as many of them as the image has. */
static void output_tile(float *to, const isgi_conv *c, const float *from, size_t step, int two_rows, int two_columns)
{
    const size_t line = (size_t)c->ow * c->oc;
    for (size_t k = 0; k < c->oc; k += LANES) {
        lanes top[4], low[4];
        for (size_t x = 0; x < 4; x++) {
            const lanes a = load(from + x * step + k), b = load(from + (4 + x) * step + k);
            const lanes d = load(from + (8 + x) * step + k), e = load(from + (12 + x) * step + k);
            top[x] = a + b + d;
            low[x] = b - d - e;
        }
        store(to + k, top[0] + top[1] + top[2]);
        if (two_columns) store(to + c->oc + k, top[1] - top[2] - top[3]);
        if (!two_rows) continue;
        store(to + line + k, low[0] + low[1] + low[2]);
        if (two_columns) store(to + line + c->oc + k, low[1] - low[2] - low[3]);
    }
}

/* Output pixels before row `row` of tiles, rows of all images one behind the other. */
static uint64_t pixels_before(const isgi_conv *c, uint64_t row)
{
    const uint32_t all = (c->oh + 1) / 2;
    return (row / all * c->oh + 2 * (row % all)) * c->ow;
}

/* Some rows of tiles, of one image or several: to the points, the products there, and back. */
static void tiles_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_winograd_way *g = &c->winograd;
    const uint32_t all = (c->oh + 1) / 2, across = (c->ow + 1) / 2;
    const uint64_t row0 = (uint64_t)index * g->rows, left = (uint64_t)c->batch * all - row0;
    const uint32_t rows = left < g->rows ? (uint32_t)left : g->rows, tiles = rows * across;
    const uint64_t first = pixels_before(c, row0);
    const float *x = j->ctx->tensors[j->step->op.inputs[0]].data;
    float *out = j->ctx->tensors[j->step->op.output].data;
    float *v = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats, *m = v + POINTS * g->inputs_step;
    for (uint32_t t = 0; t < tiles; t++) {
        const uint64_t row = row0 + t / across, image = row / all;
        const int64_t y = (int64_t)(2 * (row % all)), at = 2 * (t % across);
        input_tile(v + (size_t)t * c->ic, g->inputs_step, c, x + (size_t)image * c->ih * c->iw * c->ic,
                   y - c->window.top, at - c->window.left);
    }
    for (size_t p = 0; p < POINTS; p++)
        j->ctx->kernels.gemm_panels_f32(m + p * g->outputs_step, c->oc, v + p * g->inputs_step, c->ic,
                                        j->points + p * g->weights_step, tiles, c->oc, c->ic, NULL, NULL, 0);
    for (uint32_t t = 0; t < tiles; t++) {
        const uint64_t row = row0 + t / across;
        const uint32_t y = (uint32_t)(2 * (row % all)), at = 2 * (t % across);
        output_tile(out + (size_t)(pixels_before(c, row) + at) * c->oc, c, m + (size_t)t * c->oc, g->outputs_step,
                    y + 1 < c->oh, at + 1 < c->ow);
    }
    isgi_conv_epilogue(j->ctx, j->step, j->bias, first, (size_t)(pixels_before(c, row0 + rows) - first), 0, c->oc);
}

void isgi_conv_winograd(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    winograd_job j = {ctx, step, c, &ctx->weights[step->op.weight], bias, ctx->scratch + c->packed};
    const uint64_t rows = (uint64_t)c->batch * ((c->oh + 1) / 2), some = c->winograd.rows;
    isgi_run_tasks(ctx, weight_task, &j, (c->ic + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK);
    isgi_run_tasks(ctx, tiles_task, &j, (rows + some - 1) / some);
}
