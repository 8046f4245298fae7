/* SPDX-License-Identifier: Apache-2.0 */
/* Dense 3x3 convolutions of stride 1 by Winograd's algorithm F(4x4, 3x3).
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.3: a tile of 4x4
 * outputs reads 6x6 inputs d and takes 36 products a channel where the plain sum takes 144:
 * y = At [ sum over ci of (G w Gt) . (Bt d B) ] A. Factors, if there are any, are multiplied out first. */
#include "rt/exec.h"
#include "rt/gen.h"

#define POINTS ISGK_WINOGRAD_POINTS
#define SIDE ISGK_WINOGRAD_SIDE
#define OUTPUTS ISGK_WINOGRAD_OUTPUTS

#define MADE_TAP (ISGI_WINOGRAD_BLOCK * ISGK_PANEL) /* numbers of a tap in a block that was unpacked */
#define CHANNELS_AHEAD 4u /* whose weights are asked for: processors do not guess across rows */

typedef struct winograd_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const isgi_conv *c;
    const float *matrix; /* or NULL: codes, unpacked block by block */
    float *points;       /* of the weights, in panels of 36 matrices [depth][oc]; or of the inputs of all tiles */
    isgk_finish finish;
    const isgk_act *after;
} winograd_job;

/* Columns of the panel that begins at `n`, of those before `end`. */
static uint32_t panel_width(uint32_t n, uint32_t end)
{
    return end - n < ISGK_PANEL ? end - n : ISGK_PANEL;
}

/* ---- weights ---- */

/* The numbers of some input channels of `width` outputs from `n` on, in the worker's part. */
static const float *unpack_weights(const winograd_job *j, uint32_t worker, uint32_t n, uint32_t width, uint32_t first,
                                   uint32_t count)
{
    const isgi_conv *c = j->c;
    const isg_codes *codes = &j->ctx->weights[j->step->op.weight].basis;
    float *made = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats + c->winograd.at_made;
    for (uint32_t t = 0; t < 9; t++)
        isgi_gen_columns(&j->ctx->kernels, made + (size_t)t * MADE_TAP, ISGK_PANEL, codes, t * c->ic + first, count, n,
                         width, ISGK_PANEL);
    return made;
}

/* Input channels [first, first + count), a block at most, of `width` outputs from `n` on, to rows of a panel. */
static void weight_rows(const winograd_job *j, uint32_t worker, float *to, uint32_t n, uint32_t width, uint32_t first,
                        uint32_t count)
{
    const isgi_conv *c = j->c;
    const size_t step = c->winograd.weights_step, tap = j->matrix ? (size_t)c->ic * c->oc : MADE_TAP;
    const size_t row = j->matrix ? c->oc : ISGK_PANEL;
    const float *from =
        j->matrix ? j->matrix + (size_t)first * c->oc + n : unpack_weights(j, worker, n, width, first, count);
    for (uint32_t i = first; i < first + count; i++, to += ISGK_PANEL, from += row) {
        for (size_t t = 0; t < 9 && j->matrix && i + CHANNELS_AHEAD < c->ic; t++) {
            const float *ahead = from + t * tap + (size_t)CHANNELS_AHEAD * c->oc;
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + ISGK_PANEL / 2);
        }
        j->ctx->kernels.winograd_weights_f32(to, step, from, tap, width);
    }
}

/* All of one panel, once for all strips. */
static void weight_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const uint32_t n = index * ISGK_PANEL;
    float *to = j->points + (size_t)n * c->ic;
    for (uint32_t k = 0; k < c->ic; k += ISGI_WINOGRAD_BLOCK) {
        const uint32_t left = c->ic - k, count = left < ISGI_WINOGRAD_BLOCK ? left : ISGI_WINOGRAD_BLOCK;
        weight_rows(j, worker, to + (size_t)k * ISGK_PANEL, n, panel_width(n, c->oc), k, count);
    }
}

/* ---- tiles ---- */

/* Where tile `index` of all images, row by row, has its first output. */
static void place_tile(const isgi_conv *c, uint64_t index, uint64_t *image, uint32_t *y, uint32_t *x)
{
    const uint32_t across = isgi_winograd_tiles(c->ow), down = isgi_winograd_tiles(c->oh);
    *x = (uint32_t)(index % across) * OUTPUTS;
    *y = (uint32_t)(index / across % down) * OUTPUTS;
    *image = index / across / down;
}

/* `count` tiles from `first` on, to the points from `v` on. */
static void input_tiles(const winograd_job *j, float *v, uint64_t first, uint32_t count)
{
    const isgi_conv *c = j->c;
    const float *in = j->ctx->tensors[j->step->op.inputs[0]].data;
    for (uint32_t t = 0; t < count; t++) {
        const float *pixels[POINTS];
        uint64_t image;
        uint32_t y0, x0;
        place_tile(c, first + t, &image, &y0, &x0);
        for (uint32_t p = 0; p < POINTS; p++) {
            const int64_t y = (int64_t)y0 + p / SIDE - c->window.top, x = (int64_t)x0 + p % SIDE - c->window.left;
            const int inside = y >= 0 && y < c->ih && x >= 0 && x < c->iw;
            pixels[p] = inside ? in + (((size_t)image * c->ih + (size_t)y) * c->iw + (size_t)x) * c->ic : NULL;
        }
        j->ctx->kernels.winograd_input_f32(v + (size_t)t * c->ic, c->winograd.inputs_step, pixels, c->ic);
    }
}

/* `width` channels from `n` on of some tiles, from their points `m` to the output. */
static void output_tiles(const winograd_job *j, const float *m, uint64_t first, uint32_t count, uint32_t n,
                         uint32_t width)
{
    const isgi_conv *c = j->c;
    const size_t line = (size_t)c->ow * c->oc;
    for (uint32_t t = 0; t < count; t++) {
        uint64_t image;
        uint32_t y, x, rows, columns;
        float *out;
        isgk_finish finish;
        place_tile(c, first + t, &image, &y, &x);
        rows = c->oh - y < OUTPUTS ? c->oh - y : OUTPUTS;
        columns = c->ow - x < OUTPUTS ? c->ow - x : OUTPUTS;
        finish = isgi_finish_from(&j->finish, (image * c->oh + y) * c->ow + x);
        if (finish.bias) finish.bias += n;
        if (finish.residual) finish.residual += n;
        out = j->ctx->tensors[j->step->op.output].data + ((size_t)image * c->oh + y) * line + (size_t)x * c->oc + n;
        j->ctx->kernels.winograd_output_f32(out, line, c->oc, m + (size_t)t * ISGK_PANEL, c->winograd.outputs_step,
                                            rows, columns, width, &finish);
        for (uint32_t r = 0; r < rows && j->after; r++)
            j->ctx->kernels.epilogue_f32(out + r * line, c->oc, columns, width, NULL, j->after);
    }
}

/* Some tiles: to the points, the products there, and back. */
static void strip_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_winograd_way *g = &c->winograd;
    const uint64_t first = (uint64_t)index * g->tiles, left = isgi_winograd_all(c) - first;
    const uint32_t tiles = left < g->tiles ? (uint32_t)left : g->tiles;
    float *v = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats, *m = v + POINTS * g->inputs_step;
    input_tiles(j, v, first, tiles);
    for (uint32_t n = 0; n < c->oc; n += ISGK_PANEL) {
        const float *w = j->points + (size_t)n * c->ic;
        const uint32_t width = panel_width(n, c->oc);
        for (size_t p = 0; p < POINTS; p++)
            j->ctx->kernels.gemm_panels_f32(m + p * g->outputs_step, ISGK_PANEL, v + p * g->inputs_step, c->ic,
                                            w + p * g->weights_step, tiles, width, c->ic, NULL, NULL, 0);
        output_tiles(j, m, first, tiles, n, width);
    }
}

/* ---- weights' points are more than those of all tiles: they are not kept ---- */

#define TILES_A_TASK 4u

static void input_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const uint32_t first = index * TILES_A_TASK, left = j->c->winograd.tiles - first;
    (void)worker;
    input_tiles(j, j->points + (size_t)first * j->c->ic, first, left < TILES_A_TASK ? left : TILES_A_TASK);
}

/* Some panels of output channels of all tiles, the sums going on from block to block of input channels. */
static void panels_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_winograd_way *g = &c->winograd;
    const uint32_t from = index * g->columns, to = c->oc - from < g->columns ? c->oc : from + g->columns;
    float *w = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats, *m = w + POINTS * g->weights_step;
    for (uint32_t k = 0; k < c->ic; k += ISGI_WINOGRAD_BLOCK) {
        const uint32_t left = c->ic - k, count = left < ISGI_WINOGRAD_BLOCK ? left : ISGI_WINOGRAD_BLOCK;
        for (uint32_t n = from; n < to; n += ISGK_PANEL) {
            float *sums = m + (n - from) / ISGK_PANEL * POINTS * g->outputs_step;
            weight_rows(j, worker, w, n, panel_width(n, to), k, count);
            for (size_t p = 0; p < POINTS; p++)
                j->ctx->kernels.gemm_panels_f32(sums + p * g->outputs_step, ISGK_PANEL,
                                                j->points + p * g->inputs_step + k, c->ic, w + p * g->weights_step,
                                                g->tiles, panel_width(n, to), count, NULL, NULL, k > 0);
        }
    }
    for (uint32_t n = from; n < to; n += ISGK_PANEL)
        output_tiles(j, m + (n - from) / ISGK_PANEL * POINTS * g->outputs_step, 0, g->tiles, n, panel_width(n, to));
}

void isgi_conv_winograd(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    const isgi_winograd_way *g = &c->winograd;
    winograd_job j = {ctx, step, c, NULL, ctx->scratch + c->packed, {0}, NULL};
    if (!g->at_made) j.matrix = isgi_conv_matrix(ctx, step);
    j.after = isgi_conv_finish(ctx, step, bias, &j.finish);
    if (g->columns) {
        isgi_run_tasks(ctx, input_task, &j, (g->tiles + TILES_A_TASK - 1) / TILES_A_TASK);
        isgi_run_tasks(ctx, panels_task, &j, c->tasks);
        return;
    }
    isgi_run_tasks(ctx, weight_task, &j, (c->oc + ISGK_PANEL - 1) / ISGK_PANEL);
    isgi_run_tasks(ctx, strip_task, &j, c->tasks);
}
