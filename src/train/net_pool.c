/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling and means of the trainable network, over lists of input positions made once a shape. */
#include "train/net_impl.h"

#include "base/error.h"
#include "host/alloc.h"

#include <string.h>

typedef isgi_pool pool_impl;

static void pool_destroy(isgi_netop *op)
{
    pool_impl *p = op->impl;
    if (!p) return;
    isg_free(p->start);
    isg_free(p->list);
    isg_free(p->factor);
    isg_free(p->arg);
    isg_free(p);
    op->impl = NULL;
}

ISGI_CLONES
static void average_sample(float *restrict y, const float *restrict x, const pool_impl *p)
{
    const size_t w = p->width;
    for (size_t o = 0; o < p->positions; o++, y += w) {
        memset(y, 0, w * sizeof *y);
        for (uint32_t k = p->start[o]; k < p->start[o + 1]; k++) {
            const float *restrict s = x + p->list[k] * w;
            for (size_t c = 0; c < w; c++) y[c] += s[c];
        }
        for (size_t c = 0; c < w; c++) y[c] *= p->factor[o];
    }
}

ISGI_CLONES
static void average_sample_backward(float *restrict dx, const float *restrict dy, const pool_impl *p)
{
    const size_t w = p->width;
    for (size_t o = 0; o < p->positions; o++, dy += w) {
        const float f = p->factor[o];
        for (uint32_t k = p->start[o]; k < p->start[o + 1]; k++) {
            float *restrict d = dx + p->list[k] * w;
            for (size_t c = 0; c < w; c++) d[c] += dy[c] * f;
        }
    }
}

static void max_sample(float *restrict y, uint32_t *restrict arg, const float *restrict x, const pool_impl *p)
{
    const size_t w = p->width;
    for (size_t o = 0; o < p->positions; o++, y += w, arg += w) {
        const uint32_t first = p->list[p->start[o]];
        for (size_t c = 0; c < w; c++) {
            y[c] = x[first * w + c];
            arg[c] = first;
        }
        for (uint32_t k = p->start[o] + 1; k < p->start[o + 1]; k++) {
            const float *restrict s = x + p->list[k] * w;
            for (size_t c = 0; c < w; c++) {
                /* written so that a NaN wins and stays */
                const int take = !(s[c] <= y[c]) && y[c] == y[c];
                y[c] = take ? s[c] : y[c];
                arg[c] = take ? p->list[k] : arg[c];
            }
        }
    }
}

static uint32_t *pool_arg(const isgi_net *net, const isgi_netop *op, uint32_t chunk, uint32_t i)
{
    const pool_impl *p = op->impl;
    return p->arg + ((size_t)chunk * net->chunk_cap + i) * net->acts[op->out].size;
}

static void pool_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const pool_impl *p = op->impl;
    for (uint32_t i = 0; i < isgi_chunk_count(net, chunk); i++) {
        const float *x = isgi_act_data(net, op->in[0], chunk) + i * net->acts[op->in[0]].size;
        float *y = isgi_act_data(net, op->out, chunk) + i * net->acts[op->out].size;
        if (p->arg) {
            max_sample(y, pool_arg(net, op, chunk, i), x, p);
        } else {
            average_sample(y, x, p);
        }
    }
}

static void pool_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const pool_impl *p = op->impl;
    const size_t in = net->acts[op->in[0]].size, out = net->acts[op->out].size;
    if (!isgi_op_needs(net, op, 0)) return;
    for (uint32_t i = 0; i < isgi_chunk_count(net, chunk); i++) {
        float *dx = isgi_act_grad(net, op->in[0], chunk) + i * in;
        const float *dy = isgi_act_grad(net, op->out, chunk) + i * out;
        if (!op->accumulate[0]) memset(dx, 0, in * sizeof *dx);
        if (p->arg) {
            const uint32_t *arg = pool_arg(net, op, chunk, i);
            for (size_t j = 0; j < out; j++) dx[(size_t)arg[j] * p->width + j % p->width] += dy[j];
        } else {
            average_sample_backward(dx, dy, p);
        }
    }
}

static const isgi_opvt pool_vt = {.forward = {pool_forward}, .backward = {pool_backward}, .destroy = pool_destroy};

/* ---- lists ---- */

static isg_status windows(const isgi_net *net, const isgi_netop *op, pool_impl *p, isg_error *err)
{
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_conv_attr *a = &op->attr.conv;
    const int n = x->rank - 2;
    int64_t out[3] = {1, 1, 1}, in[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, dil[3] = {1, 1, 1},
            pad[3] = {0}, end[3] = {0};
    uint32_t used = 0;
    size_t at = 0;
    if (n < 1 || n > 3) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: pooling over %d axes", n);
    for (int k = 0; k < n; k++) {
        out[k] = y->dims[k + 2];
        in[k] = x->dims[k + 2];
        kernel[k] = a->kernel[k];
        stride[k] = a->stride[k] > 0 ? a->stride[k] : 1;
        dil[k] = a->dilation[k] > 0 ? a->dilation[k] : 1;
        pad[k] = a->pads[k];
        end[k] = in[k] + a->pads[n + k]; /* padding counts, what ceil mode adds beyond it does not */
    }
    p->width = (size_t)x->dims[1];
    p->positions = (size_t)(out[0] * out[1] * out[2]);
    p->start = isgi_calloc(p->positions + 1, sizeof *p->start);
    p->factor = isgi_calloc(p->positions, sizeof *p->factor);
    p->list = isgi_calloc(p->positions * (size_t)(kernel[0] * kernel[1] * kernel[2]), sizeof *p->list);
    if (!p->start || !p->factor || !p->list) return isgi_nomem(err);
    for (; at < p->positions; at++) {
        const int64_t o[3] = {(int64_t)at / (out[1] * out[2]), (int64_t)at / out[2] % out[1], (int64_t)at % out[2]};
        int64_t padded = 0;
        p->start[at] = used;
        for (int64_t t = 0; t < kernel[0] * kernel[1] * kernel[2]; t++) {
            const int64_t tap[3] = {t / (kernel[1] * kernel[2]), t / kernel[2] % kernel[1], t % kernel[2]};
            int64_t i[3];
            int inside = 1, counted = 1;
            for (int k = 0; k < 3; k++) {
                i[k] = o[k] * stride[k] - pad[k] + tap[k] * dil[k];
                if (k < n) counted &= i[k] < end[k];
                inside &= i[k] >= 0 && i[k] < in[k];
            }
            padded += counted;
            if (inside) p->list[used++] = (uint32_t)((i[0] * in[1] + i[1]) * in[2] + i[2]);
        }
        if (used == p->start[at]) return isgi_fail(err, ISG_E_SHAPE, "training: a pooling window lies in the padding");
        p->factor[at] = 1.0f / (float)(a->count_include_pad ? padded : (int64_t)(used - p->start[at]));
    }
    p->start[at] = used;
    return ISG_OK;
}

static isg_status global_window(const isgi_net *net, const isgi_netop *op, pool_impl *p, isg_error *err)
{
    const isgi_act *x = &net->acts[op->in[0]];
    const size_t n = x->size / (size_t)x->dims[1];
    if (x->rank < 3 || x->rank > 5) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: global pooling of this rank");
    p->width = (size_t)x->dims[1];
    p->positions = 1;
    p->start = isgi_calloc(2, sizeof *p->start);
    p->factor = isgi_calloc(1, sizeof *p->factor);
    p->list = isgi_calloc(n, sizeof *p->list);
    if (!p->start || !p->factor || !p->list) return isgi_nomem(err);
    for (size_t i = 0; i < n; i++) p->list[i] = (uint32_t)i;
    p->start[1] = (uint32_t)n;
    p->factor[0] = 1.0f / (float)n;
    return ISG_OK;
}

static isg_status mean_axes(const isgi_net *net, const isgi_netop *op, int reduced[ISG_MAX_RANK], isg_error *err)
{
    const isgi_act *x = &net->acts[op->in[0]];
    const isg_axes_attr *a = &op->attr.axes;
    memset(reduced, 0, ISG_MAX_RANK * sizeof *reduced);
    for (int32_t k = 0; k < a->n; k++) {
        const int64_t axis = a->axes[k] < 0 ? a->axes[k] + x->rank : a->axes[k];
        if (axis < 1 || axis >= x->rank) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: mean over the batch");
        reduced[axis] = 1;
    }
    if (a->n == 0) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: mean without axes");
    return ISG_OK;
}

/* Any axes: one element at a time. */
static isg_status mean_lists(const isgi_net *net, const isgi_netop *op, pool_impl *p, isg_error *err)
{
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    int64_t xs[ISG_MAX_RANK], ys[ISG_MAX_RANK], index[ISG_MAX_RANK] = {0};
    const uint32_t per = (uint32_t)(x->size / y->size);
    int reduced[ISG_MAX_RANK];
    ISGI_TRY(mean_axes(net, op, reduced, err));
    isgi_act_strides(x, xs);
    isgi_act_strides(y, ys);
    p->width = 1;
    p->positions = y->size;
    p->start = isgi_calloc(y->size + 1, sizeof *p->start);
    p->factor = isgi_calloc(y->size, sizeof *p->factor);
    p->list = isgi_calloc(x->size, sizeof *p->list);
    if (!p->start || !p->factor || !p->list) return isgi_nomem(err);
    for (size_t i = 0; i < y->size; i++) p->start[i] = (uint32_t)i * per; /* the next place in each list, */
    for (size_t i = 0; i < x->size; i++) {
        int64_t from = 0, to = 0;
        for (int32_t k = 1, j = 1; k < x->rank; k++) {
            from += index[k] * xs[k];
            if (!reduced[k]) to += index[k] * ys[j];
            j += !reduced[k] || op->attr.axes.keepdims;
        }
        p->list[p->start[to]++] = (uint32_t)from;
        for (int32_t k = x->rank - 1; k >= 1 && ++index[k] == x->dims[k]; k--) index[k] = 0;
    }
    for (size_t i = 0; i <= y->size; i++) p->start[i] = (uint32_t)i * per; /* and again its begin */
    for (size_t i = 0; i < y->size; i++) p->factor[i] = 1.0f / (float)per;
    return ISG_OK;
}

isg_status isgi_build_pool(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err)
{
    const int maximum = op->op == ISG_OP_MAX_POOL || op->op == ISG_OP_GLOBAL_MAX_POOL;
    pool_impl *p = isgi_calloc(1, sizeof *p);
    if (!p) return isgi_nomem(err);
    op->impl = p;
    op->vt = &pool_vt;
    if (op->in[0] < 0) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: pooling of a constant");
    if (op->op == ISG_OP_REDUCE_MEAN) {
        int32_t given;
        isg_axes_attr *a = &op->attr.axes;
        int64_t axes[ISG_MAX_RANK];
        if (!isgi_read_ints(net, node, 1, axes, ISG_MAX_RANK, &given)) {
            return isgi_fail(err, ISG_E_UNSUPPORTED, "training: the axes of a mean must be constant");
        }
        if (given) memcpy(a->axes, axes, sizeof axes);
        if (given) a->n = given;
        return mean_lists(net, op, p, err);
    }
    if (op->op == ISG_OP_GLOBAL_AVERAGE_POOL || op->op == ISG_OP_GLOBAL_MAX_POOL) {
        ISGI_TRY(global_window(net, op, p, err));
    } else {
        ISGI_TRY(windows(net, op, p, err));
    }
    if (maximum) {
        p->arg = isgi_calloc((size_t)net->chunks * net->chunk_cap * net->acts[op->out].size, sizeof *p->arg);
        if (!p->arg) return isgi_nomem(err);
    }
    return ISG_OK;
}
