/* SPDX-License-Identifier: Apache-2.0 */
/* Work by indirection: the list of what each tap reads, depthwise convolution. */
#include <string.h>

#include "rt/exec.h"

void isgi_list_taps(const isgi_taps *g, uint64_t first, uint32_t count, const float **taps)
{
    const isgi_window *w = g->window;
    const uint32_t plane = g->oh * g->ow;
    uint64_t image = first / plane;
    uint32_t oy = (uint32_t)(first % plane) / g->ow, ox = (uint32_t)(first % plane) % g->ow;
    for (uint32_t p = 0; p < count; p++) {
        const float *base = g->src + (size_t)(image - g->image0) * g->image_step;
        for (uint32_t ky = 0; ky < w->kh; ky++) {
            const int64_t iy = (int64_t)oy * w->sh - w->top + (int64_t)ky * w->dh;
            const int row_in = iy >= 0 && iy < g->ih;
            for (uint32_t kx = 0; kx < w->kw; kx++) {
                const int64_t ix = (int64_t)ox * w->sw - w->left + (int64_t)kx * w->dw;
                const int in = row_in && ix >= 0 && ix < g->iw;
                const float *at =
                    in ? base + ((size_t)(iy - (int64_t)g->row0) * g->iw + (size_t)ix) * g->pixel_step : g->pad;
                for (uint32_t i = 0; i < g->lists; i++) *taps++ = in ? at + i * g->list_step : at;
            }
        }
        if (++ox == g->ow) {
            ox = 0;
            if (++oy == g->oh) {
                oy = 0;
                image++;
            }
        }
    }
}

typedef struct taps_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const float *x, *bias;
    float *out;
    uint64_t pixels;
} taps_job;

static const float **taps_of(const isg_rt_context *ctx, size_t offset)
{
    return (const float **)(void *)(ctx->scratch + offset);
}

/* ---- depthwise ---- */

static void depthwise_task(void *arg, uint32_t index, uint32_t worker)
{
    const taps_job *j = (const taps_job *)arg;
    const isgi_conv *c = &j->step->conv;
    const isg_rt_context *ctx = j->ctx;
    const isg_weight *w = &ctx->weights[j->step->op.weight];
    const uint64_t first = (uint64_t)index * ISGI_PIXELS;
    const uint32_t count = j->pixels - first < ISGI_PIXELS ? (uint32_t)(j->pixels - first) : ISGI_PIXELS;
    const float **taps = taps_of(ctx, c->worker + (size_t)worker * c->worker_floats + c->at_taps);
    const float *matrix = c->in_place ? (const float *)(const void *)w->basis.data : ctx->scratch + c->tile;
    const isgi_taps g = {&c->window, j->x, ctx->scratch + c->zeros,       c->ih, c->iw, c->oh, c->ow, 0, 1,
                         c->ic,      0,    (size_t)c->ih * c->iw * c->ic, 0};
    float *out = j->out + (size_t)first * c->oc;
    isgi_list_taps(&g, first, count, taps);
    ctx->kernels.dwconv_f32(out, c->oc, taps, count, c->taps, matrix, c->oc, c->oc);
    isgi_conv_epilogue(ctx, j->step, j->bias, first, count, 0, c->oc);
}

void isgi_conv_depthwise(const isg_rt_context *ctx, const isgi_step *step, const float *bias)
{
    const isgi_conv *c = &step->conv;
    taps_job j = {ctx,
                  step,
                  ctx->tensors[step->op.inputs[0]].data,
                  bias,
                  ctx->tensors[step->op.output].data,
                  (uint64_t)c->batch * c->oh * c->ow};
    memset(ctx->scratch + c->zeros, 0, c->oc * sizeof(float));
    isgi_run_tasks(ctx, depthwise_task, &j, (j.pixels + ISGI_PIXELS - 1) / ISGI_PIXELS);
}
