/* SPDX-License-Identifier: Apache-2.0 */
/* Operations element by element: binary with broadcasting, affine, activation, softmax. */
#include <string.h>

#include "rt/exec.h"
#include "rt/gen.h"

#define CHUNK_FLOATS 16384u

/* Dims in memory order, outermost first, of a shape aligned to rank `rank` on the right, and a tensor's strides
 * there (0 where it is broadcast). */
static void memory_dims(const isgi_shape *out, size_t dims[ISG_RT_MAX_RANK])
{
    for (uint32_t i = 0; i < ISG_RT_MAX_RANK; i++) dims[i] = 1;
    for (uint32_t i = 0; i < out->rank; i++)
        dims[ISG_RT_MAX_RANK - out->rank + i] = out->dims[isgi_nhwc_axis(out->rank, i)];
}

static void broadcast_strides(const isgi_shape *out, const isgi_shape *s, size_t strides[ISG_RT_MAX_RANK])
{
    size_t own[ISG_RT_MAX_RANK] = {0};
    isgi_shape_strides(s, own);
    for (uint32_t i = 0; i < ISG_RT_MAX_RANK; i++) strides[i] = 0;
    for (uint32_t i = 0; i < out->rank; i++) {
        const uint32_t axis = isgi_nhwc_axis(out->rank, i), skip = out->rank - s->rank;
        if (axis >= skip && s->dims[axis - skip] > 1) strides[ISG_RT_MAX_RANK - out->rank + i] = own[axis - skip];
    }
}

typedef struct pointwise_job {
    const isg_rt_context *ctx;
    const isgi_op *op;
    const isgi_tensor *a, *b, *out;
    const float *scale, *shift;
    size_t dims[ISG_RT_MAX_RANK], sa[ISG_RT_MAX_RANK], sb[ISG_RT_MAX_RANK];
} pointwise_job;

static void finish(const pointwise_job *j, float *dst, size_t n)
{
    if (j->op->act.kind != ISGK_ACT_NONE) j->ctx->kernels.act_f32(dst, dst, n, &j->op->act);
}

/* One row along the innermost axis in memory. */
static void binary_row(const pointwise_job *j, float *dst, const float *a, size_t step_a, const float *b, size_t step_b,
                       size_t n)
{
    const isgk_binary_op op = (isgk_binary_op)j->op->mode;
    if (step_a <= 1 && step_b <= 1) {
        j->ctx->kernels.binary_f32(dst, a, step_a, b, step_b, n, op);
        return;
    }
    for (size_t i = 0; i < n; i++) j->ctx->kernels.binary_f32(dst + i, a + i * step_a, 0, b + i * step_b, 0, 1, op);
}

static void binary_flat_task(void *arg, uint32_t index, uint32_t worker)
{
    const pointwise_job *j = (const pointwise_job *)arg;
    const size_t at = (size_t)index * CHUNK_FLOATS, left = (size_t)j->out->count - at;
    const size_t n = left < CHUNK_FLOATS ? left : CHUNK_FLOATS;
    (void)worker;
    j->ctx->kernels.binary_f32(j->out->data + at, j->a->data + at, 1, j->b->data + at, 1, n,
                               (isgk_binary_op)j->op->mode);
    finish(j, j->out->data + at, n);
}

static void binary_plane_task(void *arg, uint32_t index, uint32_t worker)
{
    const pointwise_job *j = (const pointwise_job *)arg;
    const size_t *d = j->dims, row = d[3], i0 = index / d[1], i1 = index % d[1];
    const float *a = j->a->data + i0 * j->sa[0] + i1 * j->sa[1], *b = j->b->data + i0 * j->sb[0] + i1 * j->sb[1];
    float *dst = j->out->data + (size_t)index * d[2] * row;
    (void)worker;
    for (size_t i2 = 0; i2 < d[2]; i2++)
        binary_row(j, dst + i2 * row, a + i2 * j->sa[2], j->sa[3], b + i2 * j->sb[2], j->sb[3], row);
    finish(j, dst, d[2] * row);
}

void isgi_binary_run(const isg_rt_context *ctx, const isgi_step *step)
{
    pointwise_job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.op = &step->op;
    j.a = &ctx->tensors[step->op.inputs[0]];
    j.b = &ctx->tensors[step->op.inputs[1]];
    j.out = &ctx->tensors[step->op.output];
    if (isgi_shape_equal(&j.a->shape, &j.b->shape)) {
        isgi_run_tasks(ctx, binary_flat_task, &j, (j.out->count + CHUNK_FLOATS - 1) / CHUNK_FLOATS);
        return;
    }
    memory_dims(&j.out->shape, j.dims);
    broadcast_strides(&j.out->shape, &j.a->shape, j.sa);
    broadcast_strides(&j.out->shape, &j.b->shape, j.sb);
    isgi_run_tasks(ctx, binary_plane_task, &j, (uint64_t)j.dims[0] * j.dims[1]);
}

static void affine_task(void *arg, uint32_t index, uint32_t worker)
{
    const pointwise_job *j = (const pointwise_job *)arg;
    const size_t channels = j->a->shape.dims[1], all = (size_t)j->a->count / channels, at = (size_t)index * ISGI_PIXELS;
    const size_t rows = all - at < ISGI_PIXELS ? all - at : ISGI_PIXELS;
    float *dst = j->out->data + at * channels;
    (void)worker;
    j->ctx->kernels.affine_f32(dst, channels, j->a->data + at * channels, channels, j->scale, j->shift, rows, channels);
    finish(j, dst, rows * channels);
}

void isgi_affine_run(const isg_rt_context *ctx, const isgi_step *step)
{
    pointwise_job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.op = &step->op;
    j.a = &ctx->tensors[step->op.inputs[0]];
    j.out = &ctx->tensors[step->op.output];
    j.scale = isgi_vector(ctx, step->op.weight, ctx->scratch);
    j.shift = isgi_vector(ctx, step->op.vector, ctx->scratch + isgi_round_floats(j.a->shape.dims[1]));
    isgi_run_tasks(ctx, affine_task, &j, (j.a->count / j.a->shape.dims[1] + ISGI_PIXELS - 1) / ISGI_PIXELS);
}

static void activation_task(void *arg, uint32_t index, uint32_t worker)
{
    const pointwise_job *j = (const pointwise_job *)arg;
    const size_t at = (size_t)index * CHUNK_FLOATS, left = (size_t)j->out->count - at;
    (void)worker;
    j->ctx->kernels.act_f32(j->out->data + at, j->a->data + at, left < CHUNK_FLOATS ? left : CHUNK_FLOATS, &j->op->act);
}

void isgi_activation_run(const isg_rt_context *ctx, const isgi_step *step)
{
    pointwise_job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.op = &step->op;
    j.a = &ctx->tensors[step->op.inputs[0]];
    j.out = &ctx->tensors[step->op.output];
    isgi_run_tasks(ctx, activation_task, &j, (j.out->count + CHUNK_FLOATS - 1) / CHUNK_FLOATS);
}

void isgi_softmax_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_tensor *x = &ctx->tensors[step->op.inputs[0]];
    float *out = ctx->tensors[step->op.output].data, *row = ctx->scratch;
    size_t strides[ISG_RT_MAX_RANK] = {0};
    const size_t n = x->shape.dims[step->op.mode], rows = (size_t)x->count / n;
    size_t step_n;
    isgi_shape_strides(&x->shape, strides);
    step_n = strides[step->op.mode];
    if (step_n == 1) {
        ctx->kernels.softmax_f32(out, n, x->data, n, rows, n);
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        const size_t at = r / step_n * step_n * n + r % step_n;
        for (size_t i = 0; i < n; i++) row[i] = x->data[at + i * step_n];
        ctx->kernels.softmax_f32(row, n, row, n, 1, n);
        for (size_t i = 0; i < n; i++) out[at + i * step_n] = row[i];
    }
}
