/* SPDX-License-Identifier: Apache-2.0 */
/* The shape that each kind of operation makes, and whether its parameters fit its inputs and weights. */
#include "base/error.h"
#include "rt/view.h"

#include <string.h>

static isg_status misfit(isg_error *err, const char *message)
{
    return isgi_error(err, ISG_E_SHAPE, message, ISG_ERROR_NONE, -1);
}

/* Output size of a window along one axis, 0 if there is none. */
static uint32_t window_out(uint32_t in, uint32_t begin, uint32_t end, uint32_t kernel, uint32_t dilation,
                           uint32_t stride)
{
    const uint64_t span = (uint64_t)(kernel - 1) * dilation + 1, padded = (uint64_t)in + begin + end;
    return padded < span ? 0 : (uint32_t)((padded - span) / stride + 1);
}

static int vector_ok(const isgi_model *m, int32_t index, uint32_t length)
{
    isg_weight w;
    if (index < 0 || (uint32_t)index >= m->weight_count) return 0;
    isgi_view_weight(m, (uint32_t)index, &w);
    return !w.level1 && !w.level2 && !w.depthwise && w.taps == 1 && w.ci == 1 && w.co == length;
}

static isg_status infer_conv(const isgi_model *m, const isgi_op *op, const isgi_shape *x, isgi_shape *out,
                             isg_error *err)
{
    const isgi_window *k = &op->window;
    const uint32_t channels = x->dims[1];
    isg_weight w;
    if (x->rank != 4) return misfit(err, "conv input is not of rank 4");
    if ((uint32_t)op->weight >= m->weight_count) return misfit(err, "conv names no weight");
    isgi_view_weight(m, (uint32_t)op->weight, &w);
    if ((uint64_t)k->kh * k->kw != w.taps) return misfit(err, "conv kernel and weight have different taps");
    if (w.depthwise ? w.ci != channels || op->groups != channels
                    : channels % op->groups || w.ci != channels / op->groups || w.co % op->groups)
        return misfit(err, "conv channels, groups and weight do not fit");
    out->rank = 4;
    out->dims[0] = x->dims[0];
    out->dims[1] = w.depthwise ? channels : w.co;
    out->dims[2] = window_out(x->dims[2], k->top, k->bottom, k->kh, k->dh, k->sh);
    out->dims[3] = window_out(x->dims[3], k->left, k->right, k->kw, k->dw, k->sw);
    if (!out->dims[2] || !out->dims[3]) return misfit(err, "conv kernel is larger than its padded input");
    if (op->vector >= 0 && !vector_ok(m, op->vector, out->dims[1])) return misfit(err, "conv bias does not fit");
    return ISG_OK;
}

static isg_status infer_fc(const isgi_model *m, const isgi_op *op, const isgi_shape *x, isgi_shape *out, isg_error *err)
{
    isg_weight w;
    if (x->rank != 2) return misfit(err, "fc input is not of rank 2");
    if ((uint32_t)op->weight >= m->weight_count) return misfit(err, "fc names no weight");
    isgi_view_weight(m, (uint32_t)op->weight, &w);
    if (w.depthwise || w.taps != 1 || w.ci != x->dims[1]) return misfit(err, "fc weight does not fit its input");
    if (op->vector >= 0 && !vector_ok(m, op->vector, w.co)) return misfit(err, "fc bias does not fit");
    out->rank = 2;
    out->dims[0] = x->dims[0];
    out->dims[1] = w.co;
    return ISG_OK;
}

/* Whether some tap of the window that begins at `at` lies inside. */
static int touches(int64_t at, uint32_t in, uint64_t span, uint32_t dilation)
{
    const uint64_t before = at < 0 ? (uint64_t)-at : 0, first = (before + dilation - 1) / dilation * dilation;
    return first < span && (int64_t)first + at < (int64_t)in;
}

/* Whether every window along an axis holds something that counts: dilated ones may straddle a small input without
 * touching it, and so may any that begins before it. */
static int pool_axis_ok(uint32_t out, uint32_t in, uint32_t begin, uint32_t end, uint32_t kernel, uint32_t dilation,
                        uint32_t stride)
{
    const uint64_t span = (uint64_t)(kernel - 1) * dilation + 1;
    const uint64_t last = (uint64_t)(out - 1) * stride;
    if (begin >= span || end >= span || last >= (uint64_t)in + begin) return 0;
    for (uint64_t at = 0; at <= last && at < begin; at += stride)
        if (!touches((int64_t)at - begin, in, span, dilation)) return 0;
    return 1;
}

static isg_status infer_pool(const isgi_op *op, const isgi_shape *x, isgi_shape *out, isg_error *err)
{
    const isgi_window *k = &op->window;
    if (x->rank != 4) return misfit(err, "pool input is not of rank 4");
    out->rank = 4;
    out->dims[0] = x->dims[0];
    out->dims[1] = x->dims[1];
    if (op->kind == ISG_KIND_GLOBAL_AVERAGE_POOL || op->kind == ISG_KIND_GLOBAL_MAX_POOL) {
        out->dims[2] = out->dims[3] = 1;
        return ISG_OK;
    }
    out->dims[2] = window_out(x->dims[2], k->top, k->bottom + op->extra_h, k->kh, k->dh, k->sh);
    out->dims[3] = window_out(x->dims[3], k->left, k->right + op->extra_w, k->kw, k->dw, k->sw);
    if (!out->dims[2] || !out->dims[3]) return misfit(err, "pool kernel is larger than its padded input");
    if (!pool_axis_ok(out->dims[2], x->dims[2], k->top, k->bottom, k->kh, k->dh, k->sh) ||
        !pool_axis_ok(out->dims[3], x->dims[3], k->left, k->right, k->kw, k->dw, k->sw))
        return misfit(err, "pool has a window that holds nothing but padding");
    return ISG_OK;
}

static isg_status infer_binary(const isgi_shape *a, const isgi_shape *b, isgi_shape *out, isg_error *err)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (uint32_t i = 0; i < out->rank; i++) {
        const uint32_t skip_a = out->rank - a->rank, skip_b = out->rank - b->rank;
        const uint32_t p = i < skip_a ? 1 : a->dims[i - skip_a], q = i < skip_b ? 1 : b->dims[i - skip_b];
        if (p != q && p != 1 && q != 1) return misfit(err, "operands cannot be broadcast");
        if (i && (!p || !q)) return misfit(err, "the batch is not the first dimension after broadcasting");
        out->dims[i] = p == 1 ? q : p;
    }
    return ISG_OK;
}

static isg_status infer_concat(const isgi_model *m, const isgi_op *op, isgi_shape *out, isg_error *err)
{
    isgi_cursor operands = isgi_op_operands(m, op);
    uint64_t total = 0;
    for (uint32_t k = 0; k < op->input_count; k++) {
        isgi_shape s;
        isgi_view_tensor(m, isgi_next_operand(&operands, op), &s, NULL);
        if (k == 0) *out = s;
        if (op->mode >= s.rank || s.rank != out->rank || !s.dims[op->mode])
            return misfit(err, "concat axis or rank does not fit");
        for (uint32_t i = 0; i < s.rank; i++)
            if (i != op->mode && s.dims[i] != out->dims[i]) return misfit(err, "concat operands do not fit");
        total += s.dims[op->mode];
    }
    if (total > ISG_FORMAT_MAX_DIM) return misfit(err, "concat is too large");
    out->dims[op->mode] = (uint32_t)total;
    return ISG_OK;
}

/* `out` comes in as stored and stays so if it is right. */
static isg_status infer_slice(const isgi_op *op, const isgi_shape *x, isgi_shape *out, isg_error *err)
{
    if (out->rank != x->rank) return misfit(err, "slice changes the rank");
    for (uint32_t i = 0; i < x->rank; i++) {
        const int64_t last = (int64_t)op->begin[i] + ((int64_t)out->dims[i] - 1) * op->step[i];
        if (!x->dims[i]) {
            if (out->dims[i] || op->begin[i] || op->step[i] != 1) return misfit(err, "slice of the batch");
        } else if (!out->dims[i] || !op->step[i] || op->begin[i] >= x->dims[i] || last < 0 || last >= x->dims[i]) {
            return misfit(err, "slice is outside its input");
        }
    }
    return ISG_OK;
}

static isg_status infer_pad(const isgi_op *op, const isgi_shape *x, isgi_shape *out, isg_error *err)
{
    if (out->rank != x->rank) return misfit(err, "pad changes the rank");
    for (uint32_t i = 0; i < x->rank; i++) {
        const uint32_t b = op->begin[i], e = op->end[i], n = x->dims[i];
        if (b > ISG_FORMAT_MAX_WINDOW || e > ISG_FORMAT_MAX_WINDOW || (!n && (b || e)) ||
            (n && op->mode == ISG_FILL_REFLECT && (b >= n || e >= n)))
            return misfit(err, "pad is out of range");
        out->dims[i] = n + b + e;
    }
    return ISG_OK;
}

static isg_status infer_transpose(const isgi_op *op, const isgi_shape *x, isgi_shape *out, isg_error *err)
{
    uint32_t seen = 0;
    if (out->rank != x->rank) return misfit(err, "transpose changes the rank");
    for (uint32_t i = 0; i < x->rank; i++) {
        if (op->begin[i] >= x->rank || (seen >> op->begin[i] & 1u)) return misfit(err, "transpose is no permutation");
        seen |= 1u << op->begin[i];
        out->dims[i] = x->dims[op->begin[i]];
    }
    return ISG_OK;
}

static isg_status infer_reshape(const isgi_shape *x, const isgi_shape *out, isg_error *err)
{
    if (!x->dims[0] != !out->dims[0] || isgi_shape_count(x, 1) != isgi_shape_count(out, 1))
        return misfit(err, "reshape changes the number of elements");
    return ISG_OK;
}

static isg_status infer_reduce(const isgi_op *op, const isgi_shape *x, isgi_shape *out, isg_error *err)
{
    uint32_t rank = 0;
    if (op->mode >> x->rank || (!x->dims[0] && (op->mode & 1u))) return misfit(err, "reduce axis out of range");
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < x->rank; i++) {
        if (!(op->mode >> i & 1u))
            out->dims[rank++] = x->dims[i];
        else if (op->keep_dims)
            out->dims[rank++] = 1;
    }
    if (rank == 0) out->dims[rank++] = 1;
    out->rank = rank;
    return ISG_OK;
}

isg_status isgi_view_infer(const isgi_model *m, const isgi_op *op, isgi_shape *out, isg_error *err)
{
    isgi_shape x, y;
    isgi_view_tensor(m, op->inputs[0], &x, NULL);
    switch (op->kind) {
    case ISG_KIND_CONV: return infer_conv(m, op, &x, out, err);
    case ISG_KIND_FC: return infer_fc(m, op, &x, out, err);
    case ISG_KIND_MAX_POOL:
    case ISG_KIND_AVERAGE_POOL:
    case ISG_KIND_GLOBAL_AVERAGE_POOL:
    case ISG_KIND_GLOBAL_MAX_POOL: return infer_pool(op, &x, out, err);
    case ISG_KIND_BINARY: isgi_view_tensor(m, op->inputs[1], &y, NULL); return infer_binary(&x, &y, out, err);
    case ISG_KIND_AFFINE:
        if (x.rank != 2 && x.rank != 4) return misfit(err, "affine input is not of rank 2 or 4");
        if (!vector_ok(m, op->weight, x.dims[1]) || !vector_ok(m, op->vector, x.dims[1]))
            return misfit(err, "affine scale or shift does not fit");
        *out = x;
        return ISG_OK;
    case ISG_KIND_ACTIVATION: *out = x; return ISG_OK;
    case ISG_KIND_SOFTMAX:
        if (op->mode >= x.rank || !x.dims[op->mode]) return misfit(err, "softmax axis out of range");
        *out = x;
        return ISG_OK;
    case ISG_KIND_CONCAT: return infer_concat(m, op, out, err);
    case ISG_KIND_SLICE: return infer_slice(op, &x, out, err);
    case ISG_KIND_PAD: return infer_pad(op, &x, out, err);
    case ISG_KIND_TRANSPOSE: return infer_transpose(op, &x, out, err);
    case ISG_KIND_RESHAPE: return infer_reshape(&x, out, err);
    case ISG_KIND_REDUCE_MEAN: return infer_reduce(op, &x, out, err);
    default: return isgi_error(err, ISG_E_INTERNAL, "operation without a shape rule", ISG_ERROR_NONE, -1);
    }
}
