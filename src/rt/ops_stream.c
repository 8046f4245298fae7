/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of few pixels with a large matrix that lies in the image: what takes time is to read it, so it is read
 * in the order of memory, in parts that workers share. */
#include <string.h>

#include "rt/exec.h"

#define FINISH_PIXELS 16u /* a task */
#define ROWS_AHEAD 16u

typedef struct stream_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const isgi_conv *c;
    const float *x, *matrix, *bias;
    float *sums, *out; /* sums: [part][pixels][width] */
    uint32_t pixels;
    isgk_finish finish; /* of blocks of columns */
    const isgk_act *after;
} stream_job;

/* `width` columns of rows of the matrix, lds apart, as panels; `follow` rows are there from the first on. Memory is
 * asked for in advance: where rows are cut, and at each page, the processor does not guess what comes. */
static void copy_rows(float *panels, const float *first, size_t lds, uint32_t width, uint32_t rows, uint32_t follow)
{
    const uint32_t rest = width % ISGK_PANEL;
    for (uint32_t r = 0; r < rows; r++, panels += ISGK_PANEL, first += lds) {
        const size_t ahead = follow - r > ROWS_AHEAD ? ROWS_AHEAD * lds : 0;
        const float *src = first;
        float *to = panels;
        for (uint32_t at = rest; at < width; at += ISGK_PANEL, src += ISGK_PANEL, to += (size_t)rows * ISGK_PANEL) {
            __builtin_prefetch(src + ahead);
            __builtin_prefetch(src + ahead + ISGK_PANEL / 2);
            memcpy(to, src, ISGK_PANEL * sizeof *to);
        }
        if (!rest) continue;
        memcpy(to, src, rest * sizeof *to);
        memset(to + rest, 0, (ISGK_PANEL - rest) * sizeof *to);
    }
}

/* What one task of either kind does: of a strip of pixels one part (of the rows, or a block of columns). */
typedef struct piece {
    uint32_t part, pixel, pixels;
    const float *x; /* where the pixels are the input's */
    float *own;
} piece;

static piece piece_of(const stream_job *j, uint32_t index, uint32_t worker)
{
    const isgi_conv *c = j->c;
    const uint32_t pixel = index / c->parts * c->strip, left = j->pixels - pixel;
    const piece p = {index % c->parts, pixel, left < c->strip ? left : c->strip, j->x + (size_t)pixel * c->ic,
                     j->ctx->scratch + c->worker + (size_t)worker * c->worker_floats};
    return p;
}

/* Some columns, finished. */
static void columns_task(void *arg, uint32_t index, uint32_t worker)
{
    const stream_job *j = (const stream_job *)arg;
    const isgi_conv *c = j->c;
    const piece p = piece_of(j, index, worker);
    const uint32_t from = p.part * c->columns, left = c->width - from, n = left < c->columns ? left : c->columns;
    float *panels = p.own + c->at_panels, *out = j->out + (size_t)p.pixel * c->width + from;
    isgk_finish finish = isgi_finish_from(&j->finish, p.pixel);
    if (finish.bias) finish.bias += from;
    if (finish.residual) finish.residual += from;
    copy_rows(panels, j->matrix + from, c->width, n, c->k, c->k);
    j->ctx->kernels.gemm_panels_f32(out, c->width, p.x, c->k, panels, p.pixels, n, c->k, &finish, NULL, 0);
    if (j->after) j->ctx->kernels.epilogue_f32(out, c->width, p.pixels, n, NULL, j->after);
}

/* Sums over one part of the rows. */
static void part_task(void *arg, uint32_t index, uint32_t worker)
{
    const stream_job *j = (const stream_job *)arg;
    const isgi_conv *c = j->c;
    const piece p = piece_of(j, index, worker);
    float *columns = p.own + c->at_gather, *panels = p.own + c->at_panels;
    float *sums = j->sums + ((size_t)p.part * j->pixels + p.pixel) * c->width;
    const uint32_t first = p.part * c->part_rows, left = c->k - first,
                   end = first + (left < c->part_rows ? left : c->part_rows);
    for (uint32_t row = first, next; row < end; row = next) {
        const float *src = j->matrix + (size_t)row * c->width;
        next = end - row < c->tile_rows ? end : row + c->tile_rows;
        if (c->direct && p.pixels == 1) {
            j->ctx->kernels.gemm_f32(sums, c->width, p.x + row, c->ic, src, c->width, 1, c->width, next - row,
                                     row > first);
            continue;
        }
        if (!c->direct) isgi_conv_gather(columns, c, j->x, p.pixel, p.pixels, 0, row, next);
        copy_rows(panels, src, c->width, c->width, next - row, c->k - row);
        j->ctx->kernels.gemm_panels_f32(sums, c->width, c->direct ? p.x + row : columns, c->direct ? c->ic : next - row,
                                        panels, p.pixels, c->width, next - row, NULL, NULL, row > first);
    }
}

/* Some pixels: the parts' sums in their order, and what follows. */
static void finish_task(void *arg, uint32_t index, uint32_t worker)
{
    const stream_job *j = (const stream_job *)arg;
    const uint32_t first = index * FINISH_PIXELS, width = j->c->width;
    const uint32_t pixels = j->pixels - first < FINISH_PIXELS ? j->pixels - first : FINISH_PIXELS;
    const size_t n = (size_t)pixels * width, part = (size_t)j->pixels * width;
    const float *sums = j->sums + (size_t)first * width;
    float *out = j->out + (size_t)first * width;
    (void)worker;
    j->ctx->kernels.binary_f32(out, sums, 1, sums + part, 1, n, ISGK_BINARY_ADD);
    for (uint32_t p = 2; p < j->c->parts; p++)
        j->ctx->kernels.binary_f32(out, out, 1, sums + p * part, 1, n, ISGK_BINARY_ADD);
    isgi_conv_epilogue(j->ctx, j->step, j->bias, first, pixels, 0, width);
}

void isgi_conv_streamed(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    stream_job j = {.ctx = ctx,
                    .step = step,
                    .c = c,
                    .x = ctx->tensors[step->op.inputs[0]].data,
                    .matrix = (const float *)(const void *)ctx->weights[step->op.weight].basis.data,
                    .bias = bias,
                    .sums = ctx->scratch + c->half,
                    .out = ctx->tensors[step->op.output].data,
                    .pixels = c->batch * c->oh * c->ow};
    if (c->columns) {
        j.after = isgi_conv_finish(ctx, step, bias, &j.finish);
        isgi_run_tasks(ctx, columns_task, &j, c->tasks);
        return;
    }
    isgi_run_tasks(ctx, part_task, &j, c->tasks);
    isgi_run_tasks(ctx, finish_task, &j, (j.pixels + FINISH_PIXELS - 1) / FINISH_PIXELS);
}
