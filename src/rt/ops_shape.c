/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that move numbers: concat, slice, pad, transpose, reshape; and the mean over any axes. */
#include <string.h>

#include "rt/exec.h"

/* Position and size of `axis` in memory order: elements before it, and floats one step of it spans. */
static void axis_place(const isgi_shape *s, uint32_t axis, size_t *outer, size_t *inner)
{
    size_t strides[ISG_RT_MAX_RANK] = {0}, all = 1;
    for (uint32_t i = 0; i < s->rank; i++) all *= s->dims[i];
    isgi_shape_strides(s, strides);
    *inner = strides[axis];
    *outer = all / s->dims[axis] / *inner;
}

void isgi_concat_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_tensor *out = &ctx->tensors[step->op.output];
    size_t outer, inner, at = 0, row;
    axis_place(&out->shape, step->op.mode, &outer, &inner);
    row = inner * out->shape.dims[step->op.mode];
    for (uint32_t k = 0; k < step->op.input_count; k++) {
        const isgi_tensor *x = &ctx->tensors[isgi_op_input(ctx->model, &step->op, k)];
        const size_t part = inner * x->shape.dims[step->op.mode];
        for (size_t i = 0; i < outer; i++) memcpy(out->data + i * row + at, x->data + i * part, part * sizeof(float));
        at += part;
    }
}

/* dst, contiguous in the memory order of `s`, from src with one stride per logical dim. */
static void copy_strided(float *dst, const isgi_shape *s, const float *src, const ptrdiff_t strides[ISG_RT_MAX_RANK])
{
    size_t n[4] = {1, 1, 1, 1};
    ptrdiff_t t[4] = {0, 0, 0, 0};
    for (uint32_t i = 0; i < s->rank; i++) {
        const uint32_t axis = isgi_nhwc_axis(s->rank, i);
        n[4 - s->rank + i] = s->dims[axis];
        t[4 - s->rank + i] = strides[axis];
    }
    for (size_t a = 0; a < n[0]; a++) {
        for (size_t b = 0; b < n[1]; b++) {
            for (size_t c = 0; c < n[2]; c++) {
                const float *p = src + (ptrdiff_t)a * t[0] + (ptrdiff_t)b * t[1] + (ptrdiff_t)c * t[2];
                if (t[3] == 1)
                    memcpy(dst, p, n[3] * sizeof *dst);
                else
                    for (size_t d = 0; d < n[3]; d++) dst[d] = p[(ptrdiff_t)d * t[3]];
                dst += n[3];
            }
        }
    }
}

void isgi_slice_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_tensor *x = &ctx->tensors[step->op.inputs[0]], *out = &ctx->tensors[step->op.output];
    size_t own[ISG_RT_MAX_RANK] = {0}, at = 0;
    ptrdiff_t strides[ISG_RT_MAX_RANK] = {0};
    isgi_shape_strides(&x->shape, own);
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        at += own[i] * step->op.begin[i];
        strides[i] = (ptrdiff_t)own[i] * step->op.step[i];
    }
    copy_strided(out->data, &out->shape, x->data + at, strides);
}

void isgi_transpose_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_tensor *x = &ctx->tensors[step->op.inputs[0]], *out = &ctx->tensors[step->op.output];
    size_t own[ISG_RT_MAX_RANK] = {0};
    ptrdiff_t strides[ISG_RT_MAX_RANK] = {0};
    isgi_shape_strides(&x->shape, own);
    for (uint32_t i = 0; i < x->shape.rank; i++) strides[i] = (ptrdiff_t)own[step->op.begin[i]];
    copy_strided(out->data, &out->shape, x->data, strides);
}

/* Whether the order in memory is the logical one. */
static int is_row_major(const isgi_shape *s)
{
    return s->rank != 4 || s->dims[1] == 1 || (s->dims[2] == 1 && s->dims[3] == 1);
}

/* Walks a tensor in logical order, giving each element's place in memory. */
typedef struct logical_walk {
    uint32_t rank, at[ISG_RT_MAX_RANK], dims[ISG_RT_MAX_RANK];
    size_t strides[ISG_RT_MAX_RANK], place;
} logical_walk;

static void walk_begin(logical_walk *w, const isgi_shape *s)
{
    memset(w, 0, sizeof *w);
    w->rank = s->rank;
    memcpy(w->dims, s->dims, sizeof w->dims);
    isgi_shape_strides(s, w->strides);
}

static void walk_next(logical_walk *w)
{
    for (uint32_t i = w->rank; i-- > 0;) {
        w->place += w->strides[i];
        if (++w->at[i] < w->dims[i]) return;
        w->place -= w->strides[i] * w->dims[i];
        w->at[i] = 0;
    }
}

void isgi_reshape_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_tensor *x = &ctx->tensors[step->op.inputs[0]], *out = &ctx->tensors[step->op.output];
    logical_walk from, to;
    if (is_row_major(&x->shape) && is_row_major(&out->shape)) {
        memcpy(out->data, x->data, (size_t)x->count * sizeof(float));
    } else if (is_row_major(&out->shape)) {
        isgi_to_logical(&ctx->kernels, out->data, x->data, &x->shape);
    } else if (is_row_major(&x->shape)) {
        isgi_from_logical(&ctx->kernels, out->data, x->data, &out->shape);
    } else {
        walk_begin(&from, &x->shape);
        walk_begin(&to, &out->shape);
        for (uint64_t i = 0; i < x->count; i++) {
            out->data[to.place] = x->data[from.place];
            walk_next(&from);
            walk_next(&to);
        }
    }
}

/* Source index along one axis, or -1 for the constant. */
static int64_t pad_source(int64_t i, uint32_t n, uint32_t mode)
{
    if (i >= 0 && i < n) return i;
    if (mode == ISG_FILL_CONSTANT) return -1;
    if (mode == ISG_FILL_EDGE) return i < 0 ? 0 : (int64_t)n - 1;
    return i < 0 ? -i : 2 * ((int64_t)n - 1) - i;
}

/* Elements i .. end-1, outside the input, of a row that begins `begin` before one of `width` numbers; src NULL: there
 * is none. */
static void pad_some(float *dst, const float *src, int64_t i, int64_t end, const isgi_op *op, uint32_t width,
                     int64_t begin)
{
    const int constant = !src || op->mode == ISG_FILL_CONSTANT;
    if (constant)
        for (; i < end; i++) dst[i] = op->value;
    for (; i < end; i++) dst[i] = src[pad_source(i - begin, width, op->mode)];
}

/* How far into the input element `at` of axis d leads, or -1 for the constant. */
static int64_t pad_offset(const isgi_op *op, const isgi_shape *x, const size_t *own, uint32_t d, uint32_t at)
{
    const int64_t s = pad_source((int64_t)at - op->begin[d], x->dims[d], op->mode);
    return s < 0 ? -1 : (int64_t)own[d] * s;
}

void isgi_pad_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_op *op = &step->op;
    const isgi_tensor *x = &ctx->tensors[op->inputs[0]], *out = &ctx->tensors[op->output];
    const uint32_t rank = x->shape.rank, inner = rank == 4 ? 1 : rank - 1, n = out->shape.dims[inner];
    const uint32_t width = x->shape.dims[inner];
    const int64_t begin = op->begin[inner], behind = begin + width;
    const int64_t from = begin > 0 ? begin : 0, to = behind < n ? behind : n; /* what the input itself covers */
    uint32_t at[ISG_RT_MAX_RANK] = {0};
    size_t own[ISG_RT_MAX_RANK] = {0};
    int64_t offsets[ISG_RT_MAX_RANK] = {0};
    float *dst = out->data;
    isgi_shape_strides(&x->shape, own);
    for (uint32_t d = 0; d < rank; d++)
        if (d != inner) offsets[d] = pad_offset(op, &x->shape, own, d, 0);
    for (uint64_t row = 0; row < out->count / n; row++, dst += n) {
        const float *src = x->data;
        for (uint32_t d = 0; d < rank && src; d++) src = offsets[d] < 0 ? NULL : src + offsets[d];
        if (!src || to <= from) {
            pad_some(dst, src, 0, n, op, width, begin);
        } else {
            pad_some(dst, src, 0, from, op, width, begin);
            memcpy(dst + from, src + (from - begin), (size_t)(to - from) * sizeof *dst);
            pad_some(dst, src, to, n, op, width, begin);
        }
        for (uint32_t i = rank - 1; i-- > 0;) { /* the next row in memory order */
            const uint32_t d = isgi_nhwc_axis(rank, i);
            const int more = ++at[d] < out->shape.dims[d];
            if (!more) at[d] = 0;
            offsets[d] = pad_offset(op, &x->shape, own, d, at[d]);
            if (more) break;
        }
    }
}

void isgi_reduce_mean_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_tensor *x = &ctx->tensors[step->op.inputs[0]], *out = &ctx->tensors[step->op.output];
    size_t strides[ISG_RT_MAX_RANK] = {0}, own[ISG_RT_MAX_RANK] = {0};
    float size;
    uint32_t kept = 0;
    logical_walk w;
    isgi_shape_strides(&out->shape, own);
    for (uint32_t i = 0; i < x->shape.rank; i++) {
        if (!(step->op.mode >> i & 1u))
            strides[i] = own[kept++];
        else if (step->op.keep_dims)
            kept++;
    }
    memset(out->data, 0, (size_t)out->count * sizeof(float));
    walk_begin(&w, &x->shape);
    for (uint64_t i = 0; i < x->count; i++) {
        size_t at = 0;
        for (uint32_t d = 0; d < w.rank; d++) at += strides[d] * w.at[d];
        out->data[at] += x->data[w.place];
        walk_next(&w);
    }
    size = (float)(x->count / out->count);
    ctx->kernels.binary_f32(out->data, out->data, 1, &size, 0, (size_t)out->count, ISGK_BINARY_DIV);
}
