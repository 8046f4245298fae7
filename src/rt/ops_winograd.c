/* SPDX-License-Identifier: Apache-2.0 */
/* Dense 3x3 convolutions of stride 1 by Winograd's algorithm F(4x4, 3x3).
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), section 4.3: a tile of 4x4
 * outputs reads 6x6 inputs d and takes 36 products a channel where the plain sum takes 144:
 * y = At [ sum over ci of (G w Gt) . (Bt d B) ] A. Factors, if there are any, are multiplied out first. */
#include "rt/exec.h"

#define POINTS ISGK_WINOGRAD_POINTS
#define SIDE ISGK_WINOGRAD_SIDE
#define OUTPUTS ISGK_WINOGRAD_OUTPUTS

#define CHANNELS_AHEAD 4u /* whose weights are asked for: processors do not guess across rows */

typedef struct winograd_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const isgi_conv *c;
    const float *matrix;
    float *points; /* of the weights, in panels of 36 matrices [depth][oc]; or of the inputs of all tiles */
    isgk_finish finish;
    const isgk_act *after;
} winograd_job;

/* Columns of the panel that begins at `n`, of those before `end`. */
static uint32_t panel_width(uint32_t n, uint32_t end)
{
    return end - n < ISGK_PANEL ? end - n : ISGK_PANEL;
}

/* ---- weights ---- */

/* Input channels [first, first + count) of `width` outputs from `n` on, to rows of a panel. */
static void weight_rows(const winograd_job *j, float *to, size_t step, uint32_t n, uint32_t width, uint32_t first,
                        uint32_t count)
{
    const isgi_conv *c = j->c;
    const size_t tap = (size_t)c->ic * c->oc;
    const float *from = j->matrix + (size_t)first * c->oc + n;
    for (uint32_t i = first; i < first + count; i++, to += ISGK_PANEL, from += c->oc) {
        for (size_t t = 0; t < 9 && i + CHANNELS_AHEAD < c->ic; t++) {
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
    (void)worker;
    weight_rows(j, j->points + (size_t)n * c->ic, c->winograd.weights_step, n, panel_width(n, c->oc), 0, c->ic);
}

/* ---- tiles ---- */

/* Output pixels before row `row` of tiles, rows of all images one behind the other. */
static uint64_t pixels_before(const isgi_conv *c, uint64_t row)
{
    const uint32_t all = isgi_winograd_tiles(c->oh);
    return (row / all * c->oh + OUTPUTS * (row % all)) * c->ow;
}

/* One row of tiles, to the points from `v` on. */
static void input_row(const winograd_job *j, float *v, uint64_t row)
{
    const isgi_conv *c = j->c;
    const uint32_t all = isgi_winograd_tiles(c->oh), across = isgi_winograd_tiles(c->ow);
    const int64_t y0 = (int64_t)(row % all) * OUTPUTS - c->window.top;
    const float *image = j->ctx->tensors[j->step->op.inputs[0]].data + (size_t)(row / all) * c->ih * c->iw * c->ic;
    for (uint32_t t = 0; t < across; t++) {
        const int64_t x0 = (int64_t)t * OUTPUTS - c->window.left;
        const float *pixels[POINTS];
        for (uint32_t p = 0; p < POINTS; p++) {
            const int64_t y = y0 + p / SIDE, x = x0 + p % SIDE;
            const int inside = y >= 0 && y < c->ih && x >= 0 && x < c->iw;
            pixels[p] = inside ? image + (size_t)(y * c->iw + x) * c->ic : NULL;
        }
        j->ctx->kernels.winograd_input_f32(v + (size_t)t * c->ic, c->winograd.inputs_step, pixels, c->ic);
    }
}

/* `width` channels from `n` on of some rows of tiles, from their points `m` to the output. */
static void output_rows(const winograd_job *j, const float *m, uint64_t row0, uint32_t rows, uint32_t n, uint32_t width)
{
    const isgi_conv *c = j->c;
    const isgi_winograd_way *g = &c->winograd;
    const uint32_t all = isgi_winograd_tiles(c->oh), across = isgi_winograd_tiles(c->ow);
    const uint64_t first = pixels_before(c, row0);
    float *out = j->ctx->tensors[j->step->op.output].data + n;
    for (uint32_t t = 0; t < rows * across; t++) {
        const uint64_t row = row0 + t / across;
        const uint32_t y = (uint32_t)(row % all) * OUTPUTS, x = t % across * OUTPUTS;
        const uint32_t below = c->oh - y, beside = c->ow - x;
        const uint64_t pixel = pixels_before(c, row) + x;
        isgk_finish finish = isgi_finish_from(&j->finish, pixel);
        if (finish.bias) finish.bias += n;
        if (finish.residual) finish.residual += n;
        j->ctx->kernels.winograd_output_f32(
            out + (size_t)pixel * c->oc, (size_t)c->ow * c->oc, c->oc, m + (size_t)t * ISGK_PANEL, g->outputs_step,
            below < OUTPUTS ? below : OUTPUTS, beside < OUTPUTS ? beside : OUTPUTS, width, &finish);
    }
    if (j->after)
        j->ctx->kernels.epilogue_f32(out + (size_t)first * c->oc, c->oc,
                                     (size_t)(pixels_before(c, row0 + rows) - first), width, NULL, j->after);
}

/* Some rows of tiles, of one image or several: to the points, the products there, and back. */
static void strip_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_winograd_way *g = &c->winograd;
    const uint32_t across = isgi_winograd_tiles(c->ow);
    const uint64_t row0 = (uint64_t)index * g->rows, left = isgi_winograd_rows(c) - row0;
    const uint32_t rows = left < g->rows ? (uint32_t)left : g->rows;
    float *v = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats, *m = v + POINTS * g->inputs_step;
    for (uint32_t r = 0; r < rows; r++) input_row(j, v + (size_t)r * across * c->ic, row0 + r);
    for (uint32_t n = 0; n < c->oc; n += ISGK_PANEL) {
        const float *w = j->points + (size_t)n * c->ic;
        const uint32_t width = panel_width(n, c->oc);
        for (size_t p = 0; p < POINTS; p++)
            j->ctx->kernels.gemm_panels_f32(m + p * g->outputs_step, ISGK_PANEL, v + p * g->inputs_step, c->ic,
                                            w + p * g->weights_step, rows * across, width, c->ic, NULL, NULL, 0);
        output_rows(j, m, row0, rows, n, width);
    }
}

/* ---- few tiles: weights that are read once need not be kept ---- */

static void input_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    (void)worker;
    input_row(j, j->points + (size_t)index * isgi_winograd_tiles(c->ow) * c->ic, index);
}

/* Some panels of output channels of all tiles, the sums going on from block to block of input channels. */
static void panels_task(void *arg, uint32_t index, uint32_t worker)
{
    const winograd_job *j = (const winograd_job *)arg;
    const isgi_conv *c = j->c;
    const isgi_winograd_way *g = &c->winograd;
    const uint32_t rows = (uint32_t)isgi_winograd_rows(c), tiles = rows * isgi_winograd_tiles(c->ow);
    const uint32_t from = index * g->columns, to = c->oc - from < g->columns ? c->oc : from + g->columns;
    float *w = j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats, *m = w + POINTS * g->weights_step;
    for (uint32_t k = 0; k < c->ic; k += ISGI_WINOGRAD_BLOCK) {
        const uint32_t left = c->ic - k, count = left < ISGI_WINOGRAD_BLOCK ? left : ISGI_WINOGRAD_BLOCK;
        for (uint32_t n = from; n < to; n += ISGK_PANEL) {
            float *sums = m + (n - from) / ISGK_PANEL * POINTS * g->outputs_step;
            weight_rows(j, w, g->weights_step, n, panel_width(n, to), k, count);
            for (size_t p = 0; p < POINTS; p++)
                j->ctx->kernels.gemm_panels_f32(sums + p * g->outputs_step, ISGK_PANEL,
                                                j->points + p * g->inputs_step + k, c->ic, w + p * g->weights_step,
                                                tiles, panel_width(n, to), count, NULL, NULL, k > 0);
        }
    }
    for (uint32_t n = from; n < to; n += ISGK_PANEL)
        output_rows(j, m + (n - from) / ISGK_PANEL * POINTS * g->outputs_step, 0, rows, n, panel_width(n, to));
}

void isgi_conv_winograd(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    winograd_job j = {ctx, step, c, isgi_conv_matrix(ctx, step), ctx->scratch + c->packed, {0}, NULL};
    const uint64_t rows = isgi_winograd_rows(c), some = c->winograd.rows;
    j.after = isgi_conv_finish(ctx, step, bias, &j.finish);
    if (c->winograd.columns) {
        isgi_run_tasks(ctx, input_task, &j, rows);
        isgi_run_tasks(ctx, panels_task, &j, (c->oc + c->winograd.columns - 1) / c->winograd.columns);
        return;
    }
    isgi_run_tasks(ctx, weight_task, &j, (c->oc + ISGK_PANEL - 1) / ISGK_PANEL);
    isgi_run_tasks(ctx, strip_task, &j, (rows + some - 1) / some);
}
