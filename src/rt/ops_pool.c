/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling over windows and over whole images. */
#include "rt/exec.h"

#define POOL_POINTERS 16384u

static uint32_t pool_chunk(const isgi_window *w)
{
    const uint32_t n = POOL_POINTERS / (w->kh * w->kw);
    return n > ISGI_PIXELS ? ISGI_PIXELS : n ? n : 1;
}

size_t isgi_pool_scratch(const isgi_window *w)
{
    const size_t pointer = sizeof(void *) / sizeof(float);
    return isgi_round_floats((size_t)pool_chunk(w) * w->kh * w->kw * pointer) + ISGI_PIXELS;
}

typedef struct pool_job {
    const isg_rt_context *ctx;
    const isgi_op *op;
    const isgi_tensor *x, *out;
    uint64_t pixels;
    uint32_t chunk;
} pool_job;

/* Positions of a window along one axis that count, for the output at `o`. */
static uint32_t counted(uint32_t o, uint32_t stride, uint32_t kernel, uint32_t dilation, uint32_t begin, uint32_t end,
                        uint32_t in, int include_pad)
{
    const int64_t low = include_pad ? -(int64_t)begin : 0, high = (int64_t)in + (include_pad ? end : 0);
    uint32_t n = 0;
    for (uint32_t k = 0; k < kernel; k++) {
        const int64_t i = (int64_t)o * stride - begin + (int64_t)k * dilation;
        n += i >= low && i < high;
    }
    return n;
}

static void fill_scales(const pool_job *j, uint64_t first, uint32_t count, float *scale)
{
    const isgi_window *w = &j->op->window;
    const uint32_t *in = j->x->shape.dims, *out = j->out->shape.dims;
    const int include = (j->op->mode & ISG_POOL_COUNT_INCLUDE_PAD) != 0;
    for (uint32_t p = 0; p < count; p++) {
        const uint32_t at = (uint32_t)((first + p) % ((uint64_t)out[2] * out[3]));
        const uint32_t rows = counted(at / out[3], w->sh, w->kh, w->dh, w->top, w->bottom, in[2], include);
        const uint32_t cols = counted(at % out[3], w->sw, w->kw, w->dw, w->left, w->right, in[3], include);
        scale[p] = 1.0f / ((float)rows * (float)cols);
    }
}

/* What each tap reads for `count` output pixels from pixel `first` (over batch, rows, columns); NULL outside. */
static void list_taps(const pool_job *j, uint64_t first, uint32_t count, const float **taps)
{
    const isgi_window *w = &j->op->window;
    const uint32_t *in = j->x->shape.dims, *out = j->out->shape.dims, plane = out[2] * out[3];
    uint64_t image = first / plane;
    uint32_t oy = (uint32_t)(first % plane) / out[3], ox = (uint32_t)(first % plane) % out[3];
    for (uint32_t p = 0; p < count; p++) {
        const float *map = j->x->data + (size_t)image * in[2] * in[3] * in[1];
        for (uint32_t ky = 0; ky < w->kh; ky++) {
            const int64_t iy = (int64_t)oy * w->sh - w->top + (int64_t)ky * w->dh;
            for (uint32_t kx = 0; kx < w->kw; kx++) {
                const int64_t ix = (int64_t)ox * w->sw - w->left + (int64_t)kx * w->dw;
                const int inside = iy >= 0 && iy < in[2] && ix >= 0 && ix < in[3];
                *taps++ = inside ? map + ((size_t)iy * in[3] + (size_t)ix) * in[1] : NULL;
            }
        }
        if (++ox < out[3]) continue;
        ox = 0;
        if (++oy < out[2]) continue;
        oy = 0;
        image++;
    }
}

static void pool_task(void *arg, uint32_t index, uint32_t worker)
{
    const pool_job *j = (const pool_job *)arg;
    const isgi_window *w = &j->op->window;
    const uint64_t first = (uint64_t)index * j->chunk;
    const uint32_t count = j->pixels - first < j->chunk ? (uint32_t)(j->pixels - first) : j->chunk;
    const size_t taps = (size_t)w->kh * w->kw, channels = j->x->shape.dims[1];
    float *part = j->ctx->scratch + worker * isgi_pool_scratch(w), *dst = j->out->data + (size_t)first * channels;
    const float **list = (const float **)(void *)(part + ISGI_PIXELS);
    list_taps(j, first, count, list);
    if (j->op->kind == ISG_KIND_MAX_POOL) {
        j->ctx->kernels.maxpool_f32(dst, channels, list, count, taps, channels);
        return;
    }
    fill_scales(j, first, count, part);
    j->ctx->kernels.avgpool_f32(dst, channels, list, count, taps, channels, part);
}

void isgi_pool_run(const isg_rt_context *ctx, const isgi_step *step)
{
    pool_job j = {ctx, &step->op, &ctx->tensors[step->op.inputs[0]], &ctx->tensors[step->op.output], 0, 0};
    j.pixels = (uint64_t)j.out->shape.dims[0] * j.out->shape.dims[2] * j.out->shape.dims[3];
    j.chunk = pool_chunk(&step->op.window);
    isgi_run_tasks(ctx, pool_task, &j, (j.pixels + j.chunk - 1) / j.chunk);
}

static void global_task(void *arg, uint32_t index, uint32_t worker)
{
    const pool_job *j = (const pool_job *)arg;
    const uint32_t *in = j->x->shape.dims;
    const size_t channels = in[1], plane = (size_t)in[2] * in[3];
    const float *src = j->x->data + index * plane * channels, size = (float)plane;
    float *dst = j->out->data + index * channels;
    (void)worker;
    if (j->op->kind == ISG_KIND_GLOBAL_MAX_POOL) {
        j->ctx->kernels.rowmax_f32(dst, src, channels, plane, channels);
        return;
    }
    j->ctx->kernels.rowsum_f32(dst, src, channels, plane, channels);
    j->ctx->kernels.binary_f32(dst, dst, 1, &size, 0, channels, ISGK_BINARY_DIV);
}

void isgi_global_pool_run(const isg_rt_context *ctx, const isgi_step *step)
{
    pool_job j = {ctx, &step->op, &ctx->tensors[step->op.inputs[0]], &ctx->tensors[step->op.output], 0, 0};
    isgi_run_tasks(ctx, global_task, &j, j.x->shape.dims[0]);
}
