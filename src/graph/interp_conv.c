/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and pooling in one to three dimensions. */
#include "graph/interp_internal.h"

#include <math.h>
#include <string.h>

#define MAX_EXTENT INT32_MAX

/* Explicit pads of one axis for SAME_UPPER and SAME_LOWER: out = ceil(in / stride). */
static void same_pads(isgi_window *w, int axis, int64_t extent, int lower)
{
    const int64_t out = (w->in[axis] + w->stride[axis] - 1) / w->stride[axis];
    int64_t total = out > 0 ? (out - 1) * w->stride[axis] + extent - w->in[axis] : 0;
    if (total < 0) total = 0;
    w->begin[axis] = lower ? total - total / 2 : total / 2;
    w->end[axis] = total - w->begin[axis];
}

static int in_extent(int64_t v, int64_t least)
{
    return v >= least && v <= MAX_EXTENT;
}

/* One spatial axis i of the attributes, which is axis d of the window. */
static isg_status resolve_axis(isgi_window *w, int d, const isg_conv_attr *a, int32_t n, int32_t i, int64_t kernel,
                               isg_error *err)
{
    int64_t extent, padded;
    w->kernel[d] = kernel;
    w->stride[d] = a->n ? a->stride[i] : 1;
    w->dilation[d] = a->n ? a->dilation[i] : 1;
    w->begin[d] = a->n && a->auto_pad == ISG_PAD_NOTSET ? a->pads[i] : 0;
    w->end[d] = a->n && a->auto_pad == ISG_PAD_NOTSET ? a->pads[n + i] : 0;
    if (!in_extent(kernel, 1) || !in_extent(w->stride[d], 1) || !in_extent(w->dilation[d], 1) ||
        !in_extent(w->begin[d], 0) || !in_extent(w->end[d], 0) || !in_extent(w->in[d], 0))
        return isgi_fail(err, ISG_E_SHAPE, "kernel, stride, dilation, pad or size out of range on spatial axis %d",
                         (int)i);
    if (w->dilation[d] > 1 && kernel - 1 > MAX_EXTENT / w->dilation[d])
        return isgi_fail(err, ISG_E_SHAPE, "dilated kernel too large on spatial axis %d", (int)i);
    extent = (kernel - 1) * w->dilation[d] + 1;
    if (a->auto_pad == ISG_PAD_SAME_UPPER || a->auto_pad == ISG_PAD_SAME_LOWER)
        same_pads(w, d, extent, a->auto_pad == ISG_PAD_SAME_LOWER);
    padded = w->in[d] + w->begin[d] + w->end[d];
    if (padded < extent)
        return isgi_fail(err, ISG_E_SHAPE, "kernel extent %lld exceeds the padded size %lld on spatial axis %d",
                         (long long)extent, (long long)padded, (int)i);
    w->out[d] = (padded - extent) / w->stride[d] + 1;
    if (a->ceil_mode && (padded - extent) % w->stride[d] != 0) {
        /* A window that would start in the end padding is left out. */
        if (w->out[d] * w->stride[d] < w->in[d] + w->begin[d]) w->out[d]++;
    }
    return ISG_OK;
}

isg_status isgi_resolve_window(isgi_window *w, const isg_conv_attr *a, const isg_tensor *x, const int64_t *kernel_dims,
                               isg_error *err)
{
    const int32_t n = x->rank - 2;
    if (n < 1 || n > 3) return isgi_fail(err, ISG_E_UNSUPPORTED, "input of rank %d", (int)x->rank);
    if (a->n != 0 && a->n != n)
        return isgi_fail(err, ISG_E_SHAPE, "%d kernel axes for an input of rank %d", (int)a->n, (int)x->rank);
    for (int d = 0; d < 3; d++) {
        w->in[d] = w->out[d] = w->kernel[d] = w->stride[d] = w->dilation[d] = 1;
        w->begin[d] = w->end[d] = 0;
    }
    for (int32_t i = 0; i < n; i++) {
        int64_t kernel = a->n ? a->kernel[i] : 0;
        if (kernel_dims && kernel == 0) kernel = kernel_dims[i];
        if (kernel_dims && kernel != kernel_dims[i])
            return isgi_fail(err, ISG_E_SHAPE, "kernel_shape does not agree with the weight");
        w->in[3 - n + i] = x->dims[2 + i];
        ISGI_TRY(resolve_axis(w, (int)(3 - n + i), a, n, i, kernel, err));
    }
    return ISG_OK;
}

/* out[0] is [dims0, dims1, spatial of the window]. */
static isg_status window_shape(isgi_call *c, int32_t out, isg_dtype dtype, const isgi_window *w, int64_t channels)
{
    const isg_tensor *x = c->in[0];
    int64_t dims[ISG_MAX_RANK];
    dims[0] = x->dims[0];
    dims[1] = channels;
    for (int32_t i = 2; i < x->rank; i++) dims[i] = w->out[3 - (x->rank - 2) + (i - 2)];
    return isgi_tensor_shape(&c->out[out], dtype, x->rank, dims, c->err);
}

isg_status isgi_shape_conv(isgi_call *c)
{
    const isg_conv_attr *a = &c->node->attr.conv;
    const isg_tensor *x, *weight, *bias = isgi_in(c, 2);
    isgi_window w;
    ISGI_TRY(isgi_arity(c, 2, 3, 1));
    x = c->in[0];
    weight = c->in[1];
    ISGI_TRY(isgi_need_float(x, c->err));
    ISGI_TRY(isgi_need_one_type(c));
    if (weight->rank != x->rank)
        return isgi_fail(c->err, ISG_E_SHAPE, "weight of rank %d for an input of rank %d", (int)weight->rank,
                         (int)x->rank);
    ISGI_TRY(isgi_resolve_window(&w, a, x, weight->dims + 2, c->err));
    if (a->groups < 1 || weight->dims[0] < 1 || weight->dims[0] % a->groups != 0)
        return isgi_fail(c->err, ISG_E_SHAPE, "%lld groups for %lld output channels", (long long)a->groups,
                         (long long)weight->dims[0]);
    if (x->dims[1] % a->groups != 0 || x->dims[1] / a->groups != weight->dims[1])
        return isgi_fail(c->err, ISG_E_SHAPE, "weight takes %lld channels a group, the input has %lld in %lld groups",
                         (long long)weight->dims[1], (long long)x->dims[1], (long long)a->groups);
    if (bias && (bias->rank != 1 || bias->dims[0] != weight->dims[0]))
        return isgi_fail(c->err, ISG_E_SHAPE, "bias is not a vector of %lld", (long long)weight->dims[0]);
    return window_shape(c, 0, x->dtype, &w, weight->dims[0]);
}

/* Output positions o in first..last-1 for which tap k of an axis reads inside the input. */
static void tap_range(const isgi_window *w, int d, int64_t k, int64_t *first, int64_t *last)
{
    const int64_t shift = k * w->dilation[d] - w->begin[d];
    const int64_t room = w->in[d] - 1 - shift;
    *first = shift >= 0 ? 0 : (-shift + w->stride[d] - 1) / w->stride[d];
    *last = room < 0 ? 0 : room / w->stride[d] + 1;
    if (*last > w->out[d]) *last = w->out[d];
}

/* sum += weight of one tap times the input plane, for every output position. */
static void conv_tap(double *sum, const double *plane, double weight, const isgi_window *w, const int64_t *tap)
{
    int64_t first[3], last[3];
    for (int d = 0; d < 3; d++) tap_range(w, d, tap[d], &first[d], &last[d]);
    for (int64_t z = first[0]; z < last[0]; z++) {
        const int64_t iz = z * w->stride[0] + tap[0] * w->dilation[0] - w->begin[0];
        for (int64_t y = first[1]; y < last[1]; y++) {
            const int64_t iy = y * w->stride[1] + tap[1] * w->dilation[1] - w->begin[1];
            const int64_t from = (iz * w->in[1] + iy) * w->in[2] + tap[2] * w->dilation[2] - w->begin[2];
            double *to = sum + (z * w->out[1] + y) * w->out[2];
            for (int64_t v = first[2]; v < last[2]; v++) to[v] += weight * plane[from + v * w->stride[2]];
        }
    }
}

/* One output channel of one image. `kernel` is [ci][taps]. */
static void conv_channel(double *sum, const double *x, const double *kernel, int64_t ci, const isgi_window *w)
{
    const int64_t plane = w->in[0] * w->in[1] * w->in[2];
    for (int64_t i = 0; i < ci; i++) {
        int64_t tap[3];
        for (tap[0] = 0; tap[0] < w->kernel[0]; tap[0]++)
            for (tap[1] = 0; tap[1] < w->kernel[1]; tap[1]++)
                for (tap[2] = 0; tap[2] < w->kernel[2]; tap[2]++) conv_tap(sum, x + i * plane, *kernel++, w, tap);
    }
}

isg_status isgi_eval_conv(const isgi_call *c)
{
    const isg_conv_attr *a = &c->node->attr.conv;
    const isg_tensor *tx = c->in[0], *weight = c->in[1], *bias = isgi_in(c, 2);
    const int64_t co = weight->dims[0], ci = weight->dims[1], per_kernel = co ? weight->count / co : 0;
    isgi_window w;
    int64_t plane, area;
    double *x = NULL, *kernel = NULL, *sum = NULL;
    ISGI_TRY(isgi_resolve_window(&w, a, tx, weight->dims + 2, c->err));
    plane = w.in[0] * w.in[1] * w.in[2];
    area = w.out[0] * w.out[1] * w.out[2];
    x = isgi_tensor_f64(tx);
    kernel = isgi_calloc((size_t)per_kernel, sizeof *kernel);
    sum = isgi_calloc((size_t)area, sizeof *sum);
    if (x && kernel && sum && c->out[0].count > 0) {
        for (int64_t o = 0; o < co; o++) {
            const int64_t group = o / (co / a->groups);
            double offset = 0.0;
            isgi_read_f64(kernel, weight, o * per_kernel, per_kernel);
            if (bias) isgi_read_f64(&offset, bias, o, 1);
            for (int64_t n = 0; n < tx->dims[0]; n++) {
                for (int64_t i = 0; i < area; i++) sum[i] = offset;
                conv_channel(sum, x + (n * tx->dims[1] + group * ci) * plane, kernel, ci, &w);
                isgi_write_f64(&c->out[0], (n * co + o) * area, sum, area);
            }
        }
    }
    isg_free(x);
    isg_free(kernel);
    isg_free(sum);
    return x && kernel && sum ? ISG_OK : isgi_nomem(c->err);
}

isg_status isgi_shape_pool(isgi_call *c)
{
    const int is_max = c->node->op == ISG_OP_MAX_POOL;
    const isg_tensor *x;
    isgi_window w;
    ISGI_TRY(isgi_arity(c, 1, 1, is_max ? 2 : 1));
    x = c->in[0];
    if (!is_max) ISGI_TRY(isgi_need_float(x, c->err));
    if (!isgi_is_float(x->dtype) && x->dtype != ISG_DT_U8 && x->dtype != ISG_DT_I8)
        return isgi_fail(c->err, ISG_E_UNSUPPORTED, "element type is not floating point, uint8 or int8");
    ISGI_TRY(isgi_resolve_window(&w, &c->node->attr.conv, x, NULL, c->err));
    if (c->out_count > 1) ISGI_TRY(window_shape(c, 1, ISG_DT_I64, &w, x->dims[1]));
    return window_shape(c, 0, x->dtype, &w, x->dims[1]);
}

typedef struct pool_result {
    double top, sum;
    int64_t at[3], inside, counted; /* where the maximum is; cells read; cells that count for the average */
} pool_result;

/* The window at output position o of one channel plane. A cell beyond the explicit padding (ceil_mode) never counts. */
static void pool_window(pool_result *r, const double *plane, const isgi_window *w, const int64_t *o)
{
    int64_t k[3], at[3];
    memset(r, 0, sizeof *r);
    r->top = -INFINITY;
    for (k[0] = 0; k[0] < w->kernel[0]; k[0]++) {
        for (k[1] = 0; k[1] < w->kernel[1]; k[1]++) {
            for (k[2] = 0; k[2] < w->kernel[2]; k[2]++) {
                int inside = 1, padded = 1;
                double v;
                for (int d = 0; d < 3; d++) {
                    at[d] = o[d] * w->stride[d] + k[d] * w->dilation[d] - w->begin[d];
                    inside &= at[d] >= 0 && at[d] < w->in[d];
                    padded &= at[d] < w->in[d] + w->end[d];
                }
                r->counted += padded;
                if (!inside) continue;
                v = plane[(at[0] * w->in[1] + at[1]) * w->in[2] + at[2]];
                r->sum += v;
                if (r->inside++ == 0 || v > r->top) {
                    r->top = v;
                    memcpy(r->at, at, sizeof r->at);
                }
            }
        }
    }
}

/* Index of the maximum in the whole input, row-major or (storage_order) column-major within the plane. */
static int64_t flat_index(const pool_result *r, const isgi_window *w, int64_t channel, int column_major)
{
    const int64_t plane = w->in[0] * w->in[1] * w->in[2];
    const int64_t row = (r->at[0] * w->in[1] + r->at[1]) * w->in[2] + r->at[2];
    const int64_t column = r->at[0] + w->in[0] * (r->at[1] + w->in[1] * r->at[2]);
    return channel * plane + (column_major ? column : row);
}

isg_status isgi_eval_pool(const isgi_call *c)
{
    const isg_conv_attr *a = &c->node->attr.conv;
    const isg_tensor *t = c->in[0];
    const int is_max = c->node->op == ISG_OP_MAX_POOL;
    isgi_window w;
    int64_t at = 0, o[3];
    double *x;
    ISGI_TRY(isgi_resolve_window(&w, a, t, NULL, c->err));
    x = isgi_tensor_f64(t);
    if (!x) return isgi_nomem(c->err);
    for (int64_t channel = 0; c->out[0].count > 0 && channel < t->dims[0] * t->dims[1]; channel++) {
        const double *plane = x + channel * (w.in[0] * w.in[1] * w.in[2]);
        for (o[0] = 0; o[0] < w.out[0]; o[0]++) {
            for (o[1] = 0; o[1] < w.out[1]; o[1]++) {
                for (o[2] = 0; o[2] < w.out[2]; o[2]++, at++) {
                    pool_result r;
                    double y;
                    pool_window(&r, plane, &w, o);
                    y = r.sum / (double)(a->count_include_pad ? r.counted : r.inside);
                    if (is_max) y = r.top;
                    isgi_write_f64(&c->out[0], at, &y, 1);
                    if (c->out_count > 1 && c->out[1].data)
                        ((int64_t *)c->out[1].data)[at] = flat_index(&r, &w, channel, a->storage_order);
                }
            }
        }
    }
    isg_free(x);
    return ISG_OK;
}

isg_status isgi_shape_global_pool(isgi_call *c)
{
    const isg_tensor *x;
    int64_t dims[ISG_MAX_RANK];
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    x = c->in[0];
    ISGI_TRY(isgi_need_float(x, c->err));
    if (x->rank < 3) return isgi_fail(c->err, ISG_E_SHAPE, "input of rank %d", (int)x->rank);
    for (int32_t i = 0; i < x->rank; i++) dims[i] = i < 2 ? x->dims[i] : 1;
    return isgi_tensor_shape(&c->out[0], x->dtype, x->rank, dims, c->err);
}

isg_status isgi_eval_global_pool(const isgi_call *c)
{
    const isg_tensor *t = c->in[0];
    const int64_t rows = c->out[0].count, plane = rows ? t->count / rows : 0;
    double *x = isgi_tensor_f64(t);
    if (!x) return isgi_nomem(c->err);
    for (int64_t r = 0; r < rows; r++) {
        double top = -INFINITY, sum = 0.0;
        for (int64_t i = 0; i < plane; i++) {
            const double v = x[r * plane + i];
            sum += v;
            if (v > top) top = v;
        }
        sum /= (double)plane;
        isgi_write_f64(&c->out[0], r, c->node->op == ISG_OP_GLOBAL_MAX_POOL ? &top : &sum, 1);
    }
    isg_free(x);
    return ISG_OK;
}
