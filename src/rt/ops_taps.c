/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution: the list of the rows that the taps read. */
#include "rt/exec.h"

typedef struct taps_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const float *x, *weights;
    float *out;
    isgk_finish finish;
    const isgk_act *after;
} taps_job;

static const float **taps_of(const isg_rt_context *ctx, size_t offset)
{
    return (const float **)(void *)(ctx->scratch + offset);
}

/* Some output rows of one image. */
static void depthwise_task(void *arg, uint32_t index, uint32_t worker)
{
    const taps_job *j = (const taps_job *)arg;
    const isgi_conv *c = &j->step->conv;
    const isgi_window *win = &c->window;
    const isg_rt_context *ctx = j->ctx;
    const uint32_t some = c->strip / c->ow, strips = (c->oh + some - 1) / some, image = index / strips;
    const uint32_t y0 = index % strips * some, y1 = c->oh - y0 < some ? c->oh : y0 + some;
    const float *x = j->x + (size_t)image * c->ih * c->iw * c->ic;
    const float **rows = taps_of(ctx, c->worker + (size_t)worker * c->worker_floats + c->at_taps);
    const isgk_dwrow g = {rows, j->weights, c->oc, win->kh, win->kw, 1, c->iw, c->ic, 0, win->sw, win->dw, win->left};
    for (uint32_t y = y0; y < y1; y++) {
        const uint64_t pixel = ((uint64_t)image * c->oh + y) * c->ow;
        const isgk_finish finish = isgi_finish_from(&j->finish, pixel);
        for (uint32_t ky = 0; ky < win->kh; ky++) {
            const int64_t iy = (int64_t)y * win->sh - win->top + (int64_t)ky * win->dh;
            rows[ky] = iy < 0 || iy >= c->ih ? NULL : x + (size_t)iy * c->iw * c->ic;
        }
        ctx->kernels.dwrow_f32(j->out + (size_t)pixel * c->oc, c->oc, &g, c->ow, c->oc, &finish);
        if (j->after) ctx->kernels.epilogue_f32(j->out + (size_t)pixel * c->oc, c->oc, c->ow, c->oc, NULL, j->after);
    }
}

void isgi_conv_depthwise(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    const float *weights = isgi_conv_matrix(ctx, step);
    taps_job j = {.ctx = ctx, .step = step, .x = ctx->tensors[step->op.inputs[0]].data, .weights = weights};
    j.out = ctx->tensors[step->op.output].data;
    j.after = isgi_conv_finish(ctx, step, bias, &j.finish);
    isgi_run_tasks(ctx, depthwise_task, &j, c->tasks);
}
