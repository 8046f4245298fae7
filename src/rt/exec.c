/* SPDX-License-Identifier: Apache-2.0 */
/* Running a context: inputs in, operations in order, outputs out; and what a hook may ask. */
#include "rt/exec.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "rt/int8_ops.h"

#include <string.h>

/* Not pointers: those would be data that the loader writes to. */
static const char kind_names[][16] = {
    "",           "conv",    "fc",     "maxpool", "avgpool", "globalavgpool", "globalmaxpool", "binary",    "affine",
    "activation", "softmax", "concat", "slice",   "pad",     "transpose",     "reshape",       "reducemean"};

void isgi_run_tasks(const isg_rt_context *ctx, isg_task_fn task, void *arg, uint64_t count)
{
    if (ctx->parallel.run && ctx->parallel.workers > 1 && count > 1 && !ctx->alone) {
        ctx->parallel.run(ctx->parallel.user, task, arg, (uint32_t)count);
        return;
    }
    for (uint64_t i = 0; i < count; i++) task(arg, (uint32_t)i, 0);
}

#define ALONE_NS 5000u     /* predicted work that is not worth the handshake of a second thread, about a microsecond */
#define ALONE_FLOATS 4096u /* the same of an operation that only passes over its output */

static int is_small(const isg_rt_context *ctx, const isgi_step *s)
{
    return s->cost ? s->cost < ALONE_NS : ctx->tensors[s->op.output].count < ALONE_FLOATS;
}

void isgi_run_few(const isg_rt_context *ctx, uint64_t numbers, isg_task_fn task, void *arg, uint64_t count)
{
    if (numbers >= ALONE_FLOATS) {
        isgi_run_tasks(ctx, task, arg, count);
        return;
    }
    for (uint64_t i = 0; i < count; i++) task(arg, (uint32_t)i, 0);
}

static void run_step(const isg_rt_context *ctx, const isgi_step *s)
{
    if (s->int8.on) {
        isgi_int8_run(ctx, s);
        return;
    }
    switch (s->op.kind) {
    case ISG_KIND_CONV:
    case ISG_KIND_FC: isgi_conv_run(ctx, s); break;
    case ISG_KIND_MAX_POOL:
    case ISG_KIND_AVERAGE_POOL: isgi_pool_run(ctx, s); break;
    case ISG_KIND_GLOBAL_AVERAGE_POOL:
    case ISG_KIND_GLOBAL_MAX_POOL: isgi_global_pool_run(ctx, s); break;
    case ISG_KIND_BINARY: isgi_binary_run(ctx, s); break;
    case ISG_KIND_AFFINE: isgi_affine_run(ctx, s); break;
    case ISG_KIND_ACTIVATION: isgi_activation_run(ctx, s); break;
    case ISG_KIND_SOFTMAX: isgi_softmax_run(ctx, s); break;
    case ISG_KIND_CONCAT: isgi_concat_run(ctx, s); break;
    case ISG_KIND_SLICE: isgi_slice_run(ctx, s); break;
    case ISG_KIND_PAD: isgi_pad_run(ctx, s); break;
    case ISG_KIND_TRANSPOSE: isgi_transpose_run(ctx, s); break;
    case ISG_KIND_RESHAPE: isgi_reshape_run(ctx, s); break;
    default: isgi_reduce_mean_run(ctx, s); break;
    }
}

/* An input or output of unknown storage order becomes channels last, image by image. */
static void convert(const isgk_table *k, float *dst, const float *src, const isgi_shape *s, int to_logical)
{
    const size_t plane = s->rank == 4 ? (size_t)s->dims[2] * s->dims[3] : 1, channels = s->rank > 1 ? s->dims[1] : 1;
    size_t count = 1;
    for (uint32_t i = 0; i < s->rank; i++) count *= s->dims[i];
    if (s->rank != 4 || plane == 1 || channels == 1) {
        memcpy(dst, src, count * sizeof *dst);
        return;
    }
    for (uint32_t n = 0; n < s->dims[0]; n++) {
        const size_t at = n * plane * channels;
        if (to_logical)
            k->transpose_f32(dst + at, plane, src + at, channels, plane, channels);
        else
            k->transpose_f32(dst + at, channels, src + at, plane, channels, plane);
    }
}

void isgi_to_logical(const isgk_table *k, float *dst, const float *src, const isgi_shape *s)
{
    convert(k, dst, src, s, 1);
}

void isgi_from_logical(const isgk_table *k, float *dst, const float *src, const isgi_shape *s)
{
    convert(k, dst, src, s, 0);
}

/* One part of the batch through all operations. */
static void run_part(isg_rt_context *ctx, const float *const *inputs, float *const *outputs, size_t part)
{
    const isgi_model *m = ctx->model;
    isgi_cursor c = {m->graph, m->outputs_at, m->graph_bytes, 0};
    for (uint32_t i = 0; i < m->inputs; i++) {
        const isgi_tensor *t = &ctx->tensors[i];
        isgi_from_logical(&ctx->kernels, t->data, inputs[i] + part * (size_t)t->count, &t->shape);
    }
    for (uint32_t i = 0; i < ctx->ops; i++) {
        ctx->running = i;
        ctx->ran = ctx->steps[i].done;
        if (ctx->hook) ctx->hook(ctx->hook_user, ctx, i, 0);
        ctx->alone = is_small(ctx, &ctx->steps[i]);
        if (!ctx->steps[i].done) run_step(ctx, &ctx->steps[i]);
        ctx->ran = 1;
        if (ctx->hook) ctx->hook(ctx->hook_user, ctx, i, 1);
    }
    for (uint32_t i = 0; i < m->outputs; i++) {
        uint32_t bytes;
        const isgi_tensor *t = &ctx->tensors[isgi_cursor_uv(&c)];
        (void)isgi_cursor_name(&c, &bytes);
        isgi_to_logical(&ctx->kernels, outputs[i] + part * (size_t)t->count, t->data, &t->shape);
    }
}

isg_status isg_rt_run(isg_rt_context *ctx, const float *const *inputs, float *const *outputs, isg_error *err)
{
    const isgi_model *m;
    if (!ctx || !inputs || !outputs) return isgi_error(err, ISG_E_ARG, "an argument is null", ISG_ERROR_NONE, -1);
    m = ctx->model;
    for (uint32_t i = 0; i < m->inputs; i++)
        if (!inputs[i]) return isgi_error(err, ISG_E_ARG, "an input is null", ISG_ERROR_NONE, -1);
    for (uint32_t i = 0; i < m->outputs; i++)
        if (!outputs[i]) return isgi_error(err, ISG_E_ARG, "an output is null", ISG_ERROR_NONE, -1);
    for (uint32_t part = 0; part < ctx->parts; part++) run_part(ctx, inputs, outputs, part);
    return ISG_OK;
}

uint32_t isg_rt_isa(void)
{
    return isgi_cpu_isa();
}

uint32_t isg_rt_op_count(const isg_rt_context *ctx)
{
    return ctx->ops;
}

static void set_tiles(isg_rt_op *info, const isgi_step *s)
{
    const isgi_conv *c = s->pair ? &s[1].conv : &s->conv; /* strips and ring of a pair are those of the second */
    if (s->int8.on) {
        info->tile_pixels = s->int8.groups ? ISGI_INT8_PIXELS : s->int8.pixels;
        info->tile_rows = s->int8.ring;
        info->tasks = isgi_int8_tasks(&s->int8, c);
    } else if (c->tasks) {
        info->tile_pixels = c->fused.on ? c->fused.group * c->ow : c->ring ? c->group * c->ow : c->strip;
        info->tile_rows = c->fused.on ? c->fused.ring : c->ring ? c->ring : c->tile_rows;
        info->tasks = c->tasks;
    }
    if (s->pooled.rows) info->tasks = c->batch * s->pooled.strips;
}

isg_status isg_rt_op_info(const isg_rt_context *ctx, uint32_t op, isg_rt_op *info)
{
    const isgi_step *s;
    const isgi_shape *x, *out;
    if (!ctx || !info || op >= ctx->ops) return ISG_E_ARG;
    s = &ctx->steps[op];
    x = &ctx->tensors[s->op.inputs[0]].shape;
    out = &ctx->tensors[s->op.output].shape;
    memset(info, 0, sizeof *info);
    info->name = s->op.name;
    info->name_bytes = s->op.name_bytes;
    info->kind = kind_names[s->op.kind];
    info->strategy = s->strategy;
    info->mode = s->int8.on ? ISG_MODE_INT8 : s->conv.bf16 ? ISG_MODE_BF16 : ISG_MODE_F32;
    info->macs = s->macs * ctx->parts;
    info->dense_macs = s->dense_macs * ctx->parts;
    info->weight_bytes = s->weight_bytes;
    info->predicted_ns = s->cost * ctx->parts;
    info->dense_ns = s->dense_cost * ctx->parts;
    set_tiles(info, s);
    info->fused = s->done;
    info->input_rank = x->rank;
    info->output_rank = out->rank;
    memcpy(info->input_dims, x->dims, sizeof info->input_dims);
    memcpy(info->output_dims, out->dims, sizeof info->output_dims);
    if (ctx->parts > 1) { /* dimension 0 of all but constants is the batch then */
        if (!isgi_view_is_constant(ctx->model, s->op.inputs[0])) info->input_dims[0] *= ctx->parts;
        info->output_dims[0] *= ctx->parts;
    }
    info->weight = s->op.weight;
    return ISG_OK;
}

isg_status isg_rt_read(const isg_rt_context *ctx, uint32_t op, int32_t k, float *dst, size_t capacity, uint32_t *rank,
                       uint32_t dims[ISG_RT_MAX_RANK])
{
    const isgi_step *s;
    const isgi_tensor *t;
    if (!ctx || op >= ctx->ops) return ISG_E_ARG;
    s = &ctx->steps[op];
    if (k < -1 || (k >= 0 && (uint32_t)k >= s->op.input_count)) return ISG_E_ARG;
    t = &ctx->tensors[k < 0 ? s->op.output : k < 2 ? s->op.inputs[k] : isgi_op_input(ctx->model, &s->op, (uint32_t)k)];
    if (rank) *rank = t->shape.rank;
    if (dims) memcpy(dims, t->shape.dims, sizeof t->shape.dims);
    if (!dst) return ISG_OK;
    if (!t->data || (k < 0 && (s->int8.gives || s->residual >= 0)) || (k == 0 && s->int8.takes))
        return ISG_E_UNSUPPORTED;
    if (capacity < t->count) return ISG_E_ARG;
    /* its memory may be another tensor's by now, or the output's */
    if (op != ctx->running || (k >= 0 && ctx->ran && t->data == ctx->tensors[s->op.output].data))
        return ISG_E_UNSUPPORTED;
    isgi_to_logical(&ctx->kernels, dst, t->data, &t->shape);
    return ISG_OK;
}

const char *isg_rt_isa_name(const isg_rt_context *ctx)
{
    return isgi_cpu_isa_name(ctx->isa);
}
