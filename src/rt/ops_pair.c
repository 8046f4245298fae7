/* SPDX-License-Identifier: Apache-2.0 */
/* A 1x1 convolution and the depthwise one that alone reads it, as in inverted residuals: the wide map between them is a
 * ring of rows in the cache and never stored. */
#include "rt/exec.h"
#include "rt/panels.h"

typedef struct pair_job {
    const isg_rt_context *ctx;
    const isgi_step *step;  /* of the 1x1 */
    const isgi_conv *a, *b; /* the 1x1 and the depthwise */
    const float *x, *weights;
    float *out;
    isgk_finish finish, last; /* of the 1x1, of the depthwise */
    const isgk_act *after, *last_after;
} pair_job;

/* Rows from .. to-1 of the map between, into their places in the ring. */
static void fill_rows(const pair_job *j, uint32_t image, uint32_t from, uint32_t to, float *ring)
{
    const isgi_conv *a = j->a;
    while (from < to) {
        const uint32_t slot = from % j->b->ring, room = j->b->ring - slot, rows = to - from < room ? to - from : room;
        const float *x = j->x + ((size_t)image * a->ih + from) * a->iw * a->ic;
        float *dst = ring + (size_t)slot * a->ow * a->oc;
        const size_t pixels = (size_t)rows * a->ow;
        isgi_multiply_panels(j->ctx, a, dst, a->oc, x, a->ic, a->packed, pixels, a->oc, a->k, &j->finish);
        if (j->after) j->ctx->kernels.epilogue_f32(dst, a->oc, pixels, a->oc, NULL, j->after);
        from += rows;
    }
}

static void depthwise_row(const pair_job *j, uint32_t image, uint32_t y, const float *ring, const float **rows)
{
    const isgi_conv *b = j->b;
    const isgi_window *w = &b->window;
    const isgk_dwrow g = {rows, j->weights, b->oc, w->kh, w->kw, 1, b->iw, b->ic, 0, w->sw, w->dw, w->left};
    const uint64_t pixel = ((uint64_t)image * b->oh + y) * b->ow;
    const isgk_finish finish = isgi_finish_from(&j->last, pixel);
    float *out = j->out + (size_t)pixel * b->oc;
    for (uint32_t ky = 0; ky < w->kh; ky++) {
        const int64_t r = (int64_t)y * w->sh - w->top + (int64_t)ky * w->dh;
        rows[ky] = r < 0 || r >= b->ih ? NULL : ring + (size_t)(r % b->ring) * b->iw * b->ic;
    }
    j->ctx->kernels.dwrow_f32(out, b->oc, &g, b->ow, b->oc, &finish);
    if (j->last_after) j->ctx->kernels.epilogue_f32(out, b->oc, b->ow, b->oc, NULL, j->last_after);
}

/* Some output rows of one image, in groups. */
static void pair_task(void *arg, uint32_t index, uint32_t worker)
{
    const pair_job *j = (const pair_job *)arg;
    const isgi_conv *b = j->b;
    const isgi_window *w = &b->window;
    const uint32_t some = b->strip / b->ow, strips = (b->oh + some - 1) / some, image = index / strips;
    const uint32_t begin = index % strips * some, end = b->oh - begin < some ? b->oh : begin + some;
    float *part = j->ctx->scratch + b->worker + (size_t)worker * b->worker_floats, *ring = part + b->at_mid;
    int64_t filled = 0;
    for (uint32_t y = begin, next; y < end; y = next) {
        int64_t from = (int64_t)y * w->sh - w->top, to;
        next = end - y < b->group ? end : y + b->group;
        to = (int64_t)(next - 1) * w->sh - w->top + (int64_t)(w->kh - 1) * w->dh + 1;
        if (from < filled) from = filled;
        if (to > b->ih) to = b->ih;
        if (from < to) fill_rows(j, image, (uint32_t)from, (uint32_t)to, ring);
        if (filled < to) filled = to;
        for (; y < next; y++) depthwise_row(j, image, y, ring, (const float **)(void *)(part + b->at_taps));
    }
}

void isgi_conv_pair(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_step *next = step + 1;
    pair_job j = {.ctx = ctx, .step = step, .a = &step->conv, .b = &next->conv};
    const float *bias = isgi_vector(ctx, step->op.vector, ctx->scratch + j.a->bias);
    j.x = ctx->tensors[step->op.inputs[0]].data;
    j.out = ctx->tensors[next->op.output].data;
    j.after = isgi_conv_finish(ctx, step, bias, &j.finish);
    j.last_after = isgi_conv_finish(ctx, next, isgi_vector(ctx, next->op.vector, ctx->scratch + j.b->bias), &j.last);
    isgi_conv_panels(ctx, step);
    j.weights = isgi_conv_matrix(ctx, next);
    isgi_run_tasks(ctx, pair_task, &j, j.b->tasks);
}
