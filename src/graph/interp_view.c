/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that keep every element and change only shape or type: Reshape and its kin, Identity, Dropout, Cast. */
#include "graph/interp_internal.h"

#include <string.h>

#define CHUNK 256

isg_status isgi_shape_identity(isgi_call *c)
{
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    return isgi_shape_like(c, 0, c->in[0]);
}

isg_status isgi_eval_copy(const isgi_call *c)
{
    memcpy(c->out[0].data, c->in[0]->data, (size_t)c->in[0]->count * isg_dtype_size(c->in[0]->dtype));
    return ISG_OK;
}

isg_status isgi_shape_reshape(isgi_call *c)
{
    const isg_tensor *x;
    int64_t dims[ISG_MAX_RANK], known = 1;
    int32_t rank, open = -1;
    ISGI_TRY(isgi_arity(c, 2, 2, 1));
    x = c->in[0];
    ISGI_TRY(isgi_read_list(dims, &rank, ISG_MAX_RANK, c->in[1], c->err));
    for (int32_t i = 0; i < rank; i++) {
        if (dims[i] == 0 && !c->node->attr.axes.allow_zero) {
            if (i >= x->rank) return isgi_fail(c->err, ISG_E_SHAPE, "shape copies axis %d, which is missing", (int)i);
            dims[i] = x->dims[i];
        }
        if (dims[i] < -1) return isgi_fail(c->err, ISG_E_SHAPE, "negative size in the shape");
        if (dims[i] == -1) {
            if (open >= 0) return isgi_fail(c->err, ISG_E_SHAPE, "two sizes are to be inferred");
            open = i;
        } else if (dims[i] > 0 && known > ISGI_MAX_TENSOR_BYTES / dims[i]) {
            return isgi_fail(c->err, ISG_E_SHAPE, "shape is too large");
        } else {
            known *= dims[i];
        }
    }
    if (open >= 0) {
        if (known == 0 || x->count % known != 0)
            return isgi_fail(c->err, ISG_E_SHAPE, "%lld elements do not divide into %lld", (long long)x->count,
                             (long long)known);
        dims[open] = x->count / known;
        known *= dims[open];
    }
    if (known != x->count)
        return isgi_fail(c->err, ISG_E_SHAPE, "%lld elements cannot take a shape of %lld", (long long)x->count,
                         (long long)known);
    return isgi_tensor_shape(&c->out[0], x->dtype, rank, dims, c->err);
}

isg_status isgi_shape_flatten(isgi_call *c)
{
    const isg_tensor *x;
    int64_t dims[2] = {1, 1}, axis;
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    x = c->in[0];
    axis = c->node->attr.axes.axes[0];
    if (axis < -(int64_t)x->rank || axis > x->rank)
        return isgi_fail(c->err, ISG_E_SHAPE, "axis %lld is outside rank %d", (long long)axis, (int)x->rank);
    if (axis < 0) axis += x->rank;
    for (int32_t i = 0; i < x->rank; i++) dims[i < axis ? 0 : 1] *= x->dims[i];
    return isgi_tensor_shape(&c->out[0], x->dtype, 2, dims, c->err);
}

isg_status isgi_shape_squeeze(isgi_call *c)
{
    const isg_tensor *x;
    int64_t axes[ISG_MAX_RANK], dims[ISG_MAX_RANK];
    int32_t count, rank = 0;
    unsigned drop = 0;
    ISGI_TRY(isgi_arity(c, 1, 2, 1));
    x = c->in[0];
    ISGI_TRY(isgi_read_axes(axes, &count, c, x->rank));
    for (int32_t i = 0; i < count; i++) {
        if (x->dims[axes[i]] != 1)
            return isgi_fail(c->err, ISG_E_SHAPE, "axis %lld has size %lld, not 1", (long long)axes[i],
                             (long long)x->dims[axes[i]]);
        drop |= 1u << axes[i];
    }
    for (int32_t i = 0; i < x->rank; i++) {
        const int gone = count ? (int)(drop >> i & 1u) : x->dims[i] == 1;
        if (!gone) dims[rank++] = x->dims[i];
    }
    return isgi_tensor_shape(&c->out[0], x->dtype, rank, dims, c->err);
}

isg_status isgi_shape_unsqueeze(isgi_call *c)
{
    const isg_tensor *x, *list = isgi_in(c, 1);
    int64_t axes[ISG_MAX_RANK], dims[ISG_MAX_RANK];
    int64_t extra;
    int32_t count, from = 0, rank;
    unsigned fresh = 0;
    ISGI_TRY(isgi_arity(c, 1, 2, 1));
    x = c->in[0];
    extra = list ? list->count : c->node->attr.axes.n;
    if (extra < 0 || extra > ISG_MAX_RANK - x->rank)
        return isgi_fail(c->err, ISG_E_LIMIT, "rank %d and %lld new axes", (int)x->rank, (long long)extra);
    rank = x->rank + (int32_t)extra;
    ISGI_TRY(isgi_read_axes(axes, &count, c, rank));
    for (int32_t i = 0; i < count; i++) fresh |= 1u << axes[i];
    for (int32_t i = 0; i < rank; i++) dims[i] = fresh >> i & 1u ? 1 : x->dims[from++];
    return isgi_tensor_shape(&c->out[0], x->dtype, rank, dims, c->err);
}

isg_status isgi_shape_dropout(isgi_call *c)
{
    ISGI_TRY(isgi_arity(c, 1, 3, 2));
    ISGI_TRY(isgi_shape_like(c, 0, c->in[0]));
    if (c->out_count > 1) {
        const isg_dtype mask = c->opset < 10 ? c->in[0]->dtype : ISG_DT_BOOL;
        ISGI_TRY(isgi_tensor_shape(&c->out[1], mask, c->in[0]->rank, c->in[0]->dims, c->err));
    }
    return ISG_OK;
}

isg_status isgi_eval_dropout(const isgi_call *c)
{
    const isg_tensor *ratio = isgi_in(c, 1), *training = isgi_in(c, 2);
    double drop = 0.5;
    int64_t train = 0;
    if (ratio && ratio->count == 1) isgi_read_f64(&drop, ratio, 0, 1);
    if (training && training->count == 1) isgi_read_i64(&train, training, 0, 1);
    if (train && drop != 0.0)
        return isgi_fail(c->err, ISG_E_UNSUPPORTED, "training mode: which elements are dropped is random");
    if (c->out_count > 1 && c->out[1].data) {
        const int64_t one = 1;
        for (int64_t i = 0; i < c->out[1].count; i++) isgi_write_i64(&c->out[1], i, &one, 1);
    }
    return isgi_eval_copy(c);
}

isg_status isgi_shape_cast(isgi_call *c)
{
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    return isgi_tensor_shape(&c->out[0], c->node->attr.cast.to, c->in[0]->rank, c->in[0]->dims, c->err);
}

isg_status isgi_eval_cast(const isgi_call *c)
{
    const isg_tensor *x = c->in[0];
    double numbers[CHUNK];
    int64_t integers[CHUNK];
    for (int64_t i = 0; i < x->count; i += CHUNK) {
        const int64_t n = x->count - i < CHUNK ? x->count - i : CHUNK;
        if (isgi_is_float(x->dtype)) {
            isgi_read_f64(numbers, x, i, n);
            isgi_write_f64(&c->out[0], i, numbers, n);
        } else {
            isgi_read_i64(integers, x, i, n);
            isgi_write_i64(&c->out[0], i, integers, n);
        }
    }
    return ISG_OK;
}
