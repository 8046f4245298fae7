/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution and the max pool that alone reads it, as in the stems of residual networks: the large map between them
 * is bands of rows in the cache and never stored. */
#include "rt/exec.h"

typedef struct pooled_job {
    const isg_rt_context *ctx;
    const isgi_step *step; /* of the convolution */
    isgi_rows_fn *rows;
    const void *conv;
    const isgi_window *window; /* of the pool */
    const uint32_t *out;       /* dims of its output */
} pooled_job;

/* What the windows of pool row `y` read, NULL outside the map. */
static void list_row(const pooled_job *j, uint32_t y, const float *ring, const float **list)
{
    const isgi_conv *c = &j->step->conv;
    const isgi_pooled *g = &j->step->pooled;
    const isgi_window *w = j->window;
    for (uint32_t ky = 0; ky < w->kh; ky++) {
        const int64_t r = (int64_t)y * w->sh - w->top + (int64_t)ky * w->dh;
        const int in = r >= 0 && r < c->oh;
        const size_t place = in ? (size_t)r / g->rows % g->bands * g->rows + (size_t)r % g->rows : 0;
        const float *row = ring + place * c->ow * c->oc;
        for (uint32_t x = 0; x < j->out[3]; x++) {
            for (uint32_t kx = 0; kx < w->kw; kx++) {
                const int64_t at = (int64_t)x * w->sw - w->left + (int64_t)kx * w->dw;
                list[((size_t)x * w->kh + ky) * w->kw + kx] =
                    in && at >= 0 && at < c->ow ? row + (size_t)at * c->oc : NULL;
            }
        }
    }
}

/* Some output rows of one image. */
static void pooled_task(void *arg, uint32_t index, uint32_t worker)
{
    const pooled_job *j = (const pooled_job *)arg;
    const isgi_conv *c = &j->step->conv;
    const isgi_pooled *g = &j->step->pooled;
    const isgi_window *w = j->window;
    const uint32_t oh = j->out[2], ow = j->out[3], height = (oh + g->strips - 1) / g->strips, image = index / g->strips;
    const uint32_t begin = index % g->strips * height, end = oh < begin + height ? oh : begin + height;
    const size_t band = (size_t)g->rows * c->ow * c->oc, taps = (size_t)w->kh * w->kw;
    float *ring = j->ctx->scratch + g->worker + worker * g->worker_floats;
    float *out = j->ctx->tensors[j->step[1].op.output].data;
    const float **list = (const float **)(void *)(ring + g->at_list);
    uint32_t next = 0; /* band to be made */
    for (uint32_t y = begin; y < end; y++) {
        const int64_t top = (int64_t)y * w->sh - w->top, bottom = top + (int64_t)(w->kh - 1) * w->dh + 1;
        const uint32_t from = top > 0 ? (uint32_t)(top / g->rows) : 0;
        for (next = next < from ? from : next; (int64_t)next * g->rows < bottom && next * g->rows < c->oh; next++) {
            const uint32_t row = next * g->rows, rows = c->oh - row < g->rows ? c->oh - row : g->rows;
            j->rows(j->conv, ring + next % g->bands * band, image, row, rows, worker);
        }
        list_row(j, y, ring, list);
        j->ctx->kernels.maxpool_f32(out + ((size_t)image * oh + y) * ow * c->oc, c->oc, list, ow, taps, c->oc);
    }
}

void isgi_pooled_run(const isg_rt_context *ctx, const isgi_step *step, isgi_rows_fn *rows, const void *job)
{
    const isgi_op *pool = &step[1].op;
    pooled_job j = {ctx, step, rows, job, &pool->window, ctx->tensors[pool->output].shape.dims};
    isgi_run_tasks(ctx, pooled_task, &j, (uint64_t)step->conv.batch * step->pooled.strips);
}
