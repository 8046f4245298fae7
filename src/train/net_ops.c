/* SPDX-License-Identifier: Apache-2.0 */
/* Elementwise operations, broadcasting arithmetic and softmax of the trainable network. */
#include "train/net_impl.h"

#include "base/error.h"
#include "host/alloc.h"

#include <math.h>
#include <string.h>

static void elementwise_destroy(isgi_netop *op)
{
    isg_free(op->impl);
    op->impl = NULL;
}

/* ---- activation functions ---- */

ISGI_CLONES
static void clamp_forward(float *restrict y, const float *restrict x, size_t n, float lo, float hi)
{
    for (size_t i = 0; i < n; i++) {
        const float v = x[i] < lo ? lo : x[i];
        y[i] = v > hi ? hi : v;
    }
}

ISGI_CLONES
static void clamp_backward(float *restrict dx, const float *restrict dy, const float *restrict x, size_t n, float lo,
                           float hi)
{
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > lo && x[i] < hi ? dy[i] : 0.0f;
}

isgi_activation isgi_activation_of(const isgi_netop *op)
{
    const isg_scalar_attr *s = &op->attr.scalar;
    isgi_activation a = {ISGI_ACT_SIGMOID, s->alpha, s->beta, s->lo, s->hi};
    switch (op->op) {
    case ISG_OP_RELU:
        a.lo = 0;
        a.hi = INFINITY;
        a.kind = ISGI_ACT_CLAMP;
        break;
    case ISG_OP_CLIP: a.kind = ISGI_ACT_CLAMP; break;
    case ISG_OP_LEAKY_RELU: a.kind = ISGI_ACT_LEAKY; break;
    case ISG_OP_HARD_SIGMOID: a.kind = ISGI_ACT_HARD_SIGMOID; break;
    case ISG_OP_HARD_SWISH: a.kind = ISGI_ACT_HARD_SWISH; break;
    default: break;
    }
    return a;
}

static void activation_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const size_t n = isgi_chunk_count(net, chunk) * net->acts[op->out].size;
    const float *x = isgi_act_data(net, op->in[0], chunk);
    const isgi_activation a = isgi_activation_of(op);
    float *y = isgi_act_data(net, op->out, chunk);
    if (a.kind == ISGI_ACT_CLAMP) {
        clamp_forward(y, x, n, a.lo, a.hi);
        return;
    }
    for (size_t i = 0; i < n; i++) y[i] = isgi_activation_value(&a, x[i]);
}

ISGI_CLONES
static void add_to(float *restrict dst, const float *restrict src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] += src[i];
}

static void activation_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const size_t n = isgi_chunk_count(net, chunk) * net->acts[op->out].size;
    const float *x = isgi_act_data(net, op->in[0], chunk), *dy = isgi_act_grad(net, op->out, chunk);
    const isgi_activation a = isgi_activation_of(op);
    float *dx = isgi_act_grad(net, op->in[0], chunk);
    float *to = op->accumulate[0] ? isgi_net_spare(net, chunk) : dx;
    if (!isgi_op_needs(net, op, 0)) return;
    if (a.kind == ISGI_ACT_CLAMP) {
        clamp_backward(to, dy, x, n, a.lo, a.hi);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = isgi_activation_gradient(&a, x[i], dy[i]);
    }
    if (op->accumulate[0]) add_to(dx, to, n);
}

static const isgi_opvt activation_vt = {.forward = {activation_forward}, .backward = {activation_backward}};

isg_status isgi_build_activation(isgi_net *net, isgi_netop *op, isg_error *err)
{
    if (op->in[0] < 0) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: an activation of a constant");
    op->vt = &activation_vt;
    op->in_count = 1;
    if (net->trainable) isgi_net_want(net, 0, net->acts[op->out].size * net->chunk_cap);
    return ISG_OK;
}

/* ---- arithmetic with broadcasting ---- */

typedef struct operand {
    const float *constant; /* or NULL */
    uint32_t *map;         /* from output element (inside a sample) to operand element; NULL: the same */
    size_t stride;         /* floats from sample to sample; 0 for constants */
} operand;

typedef struct binary_impl {
    operand in[ISGI_OP_INPUTS];
} binary_impl;

static void binary_destroy(isgi_netop *op)
{
    binary_impl *b = op->impl;
    for (int k = 0; b && k < ISGI_OP_INPUTS; k++) isg_free(b->in[k].map);
    isg_free(b);
    op->impl = NULL;
}

/* Fills map by walking the output's logical indices; dims/strides of the operand are right-aligned to the output. */
static isg_status make_map(operand *o, const isgi_act *y, const int64_t *dims, const int64_t *strides, isg_error *err)
{
    int64_t ys[ISG_MAX_RANK], index[ISG_MAX_RANK] = {0};
    isgi_act_strides(y, ys);
    if (y->size > UINT32_MAX) return isgi_fail(err, ISG_E_LIMIT, "training: tensor too large");
    o->map = isgi_malloc(y->size * sizeof *o->map);
    if (!o->map) return isgi_nomem(err);
    for (size_t i = 0; i < y->size; i++) {
        int64_t to = 0, from = 0;
        for (int32_t k = 1; k < y->rank; k++) {
            to += index[k] * ys[k];
            from += dims[k] == 1 ? 0 : index[k] * strides[k];
        }
        o->map[to] = (uint32_t)from;
        for (int32_t k = y->rank - 1; k >= 1 && ++index[k] == y->dims[k]; k--) index[k] = 0;
    }
    return ISG_OK;
}

static isg_status bind_operand(isgi_net *net, isgi_netop *op, const isg_node *node, int32_t k, isg_error *err)
{
    binary_impl *b = op->impl;
    operand *o = &b->in[k];
    const isgi_act *y = &net->acts[op->out];
    const isg_value *v = &net->graph->values[node->inputs[k]];
    int64_t dims[ISG_MAX_RANK], strides[ISG_MAX_RANK] = {0};
    const int32_t shift = y->rank - v->rank;
    size_t count = 1;
    for (int32_t j = 0; j < y->rank; j++) dims[j] = 1;
    if (shift < 0 || (op->in[k] < 0 && (!v->constant || v->constant->dtype != ISG_DT_F32))) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "training: operand %d of a %s node", (int)k, isg_op_name(op->op));
    }
    for (int32_t j = v->rank - 1; j >= 0; j--) {
        if (j + shift == 0) {
            if (op->in[k] < 0 && v->dims[j] != 1) {
                return isgi_fail(err, ISG_E_UNSUPPORTED, "training: a constant operand with a batch dimension");
            }
            continue;
        }
        dims[j + shift] = v->dims[j];
        strides[j + shift] = (int64_t)count;
        if (v->dims[j] != 1 && v->dims[j] != y->dims[j + shift]) {
            return isgi_fail(err, ISG_E_SHAPE, "training: operands of a %s node do not broadcast", isg_op_name(op->op));
        }
        count *= (size_t)v->dims[j];
    }
    if (op->in[k] >= 0) {
        const isgi_act *x = &net->acts[op->in[k]];
        if (x->rank != y->rank) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: operands of different rank");
        o->stride = x->size;
        if (x->size == y->size) return ISG_OK;
        isgi_act_strides(x, strides);
    } else {
        o->constant = v->constant->data;
    }
    return make_map(o, y, dims, strides, err);
}

static const float *operand_sample(const isgi_net *net, const isgi_netop *op, int32_t k, uint32_t chunk, uint32_t i)
{
    const binary_impl *b = op->impl;
    return b->in[k].constant ? b->in[k].constant : isgi_act_data(net, op->in[k], chunk) + i * b->in[k].stride;
}

static void combine_sample(isg_op kind, float *restrict y, const float *restrict a, const uint32_t *am,
                           const float *restrict b, const uint32_t *bm, size_t n)
{
#define ISGI_LOOP(expression)                                                                                          \
    for (size_t i = 0; i < n; i++) {                                                                                   \
        const float p = a[am ? am[i] : i], q = b[bm ? bm[i] : i];                                                      \
        y[i] = expression;                                                                                             \
    }                                                                                                                  \
    break
    switch (kind) {
    case ISG_OP_SUB: ISGI_LOOP(p - q);
    case ISG_OP_MUL: ISGI_LOOP(p * q);
    case ISG_OP_DIV: ISGI_LOOP(p / q);
    default:
        if (!am && !bm) {
            for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
            break;
        }
        ISGI_LOOP(p + q);
    }
#undef ISGI_LOOP
}

static void binary_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const binary_impl *b = op->impl;
    const size_t n = net->acts[op->out].size;
    for (uint32_t i = 0; i < isgi_chunk_count(net, chunk); i++) {
        float *y = isgi_act_data(net, op->out, chunk) + i * n;
        if (op->in_count == 1) memcpy(y, operand_sample(net, op, 0, chunk, i), n * sizeof *y);
        if (op->in_count < 2) continue;
        combine_sample(op->op, y, operand_sample(net, op, 0, chunk, i), b->in[0].map,
                       operand_sample(net, op, 1, chunk, i), b->in[1].map, n);
        for (int32_t k = 2; k < op->in_count; k++) {
            const float *x = operand_sample(net, op, k, chunk, i);
            for (size_t j = 0; j < n; j++) y[j] += x[b->in[k].map ? b->in[k].map[j] : j];
        }
    }
}

/* ---- Add and the Relu behind it in one pass ---- */

ISGI_CLONES
static void add_relu(float *restrict y, const float *restrict a, const float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float v = a[i] + b[i];
        y[i] = v < 0 ? 0 : v;
    }
}

#define RELU_BLOCK 2048u

ISGI_CLONES
static void relu_gradient(float *restrict dx, const float *restrict y, const float *restrict dy, size_t n,
                          int accumulate)
{
    if (accumulate) {
        for (size_t i = 0; i < n; i++) dx[i] += y[i] > 0 ? dy[i] : 0.0f;
    } else {
        for (size_t i = 0; i < n; i++) dx[i] = y[i] > 0 ? dy[i] : 0.0f;
    }
}

static void add_relu_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    add_relu(isgi_act_data(net, op->out, chunk), isgi_act_data(net, op->in[0], chunk),
             isgi_act_data(net, op->in[1], chunk), isgi_chunk_count(net, chunk) * net->acts[op->out].size);
}

static void add_relu_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const size_t n = isgi_chunk_count(net, chunk) * net->acts[op->out].size;
    const float *y = isgi_act_data(net, op->out, chunk), *dy = isgi_act_grad(net, op->out, chunk);
    for (size_t at = 0; at < n; at += RELU_BLOCK) { /* which stays in L1 for both inputs */
        const size_t count = n - at < RELU_BLOCK ? n - at : RELU_BLOCK;
        for (int32_t k = 0; k < 2; k++) {
            if (!isgi_op_needs(net, op, k)) continue;
            relu_gradient(isgi_act_grad(net, op->in[k], chunk) + at, y + at, dy + at, count, op->accumulate[k]);
        }
    }
}

int isgi_binary_is_plain(const isgi_net *net, const isgi_netop *op)
{
    const binary_impl *b = op->impl;
    for (int32_t k = 0; k < op->in_count; k++) {
        if (op->in[k] < 0 || b->in[k].map || net->acts[op->in[k]].size != net->acts[op->out].size) return 0;
    }
    return 1;
}

static const isgi_opvt add_relu_vt = {
    .forward = {add_relu_forward}, .backward = {add_relu_backward}, .destroy = binary_destroy};

int isgi_add_takes_relu(const isgi_net *net, const isgi_netop *op)
{
    return op->op == ISG_OP_ADD && op->in_count == 2 && op->in[0] != op->in[1] && isgi_binary_is_plain(net, op);
}

void isgi_add_fuse_relu(isgi_netop *op)
{
    op->relu = 1;
    op->vt = &add_relu_vt;
}

/* t[j] = dy[j] times the derivative by operand k. */
static void binary_slope(isg_op kind, int32_t k, float *restrict t, const float *restrict dy, const float *restrict a,
                         const uint32_t *am, const float *restrict b, const uint32_t *bm, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        const float p = a[am ? am[j] : j], q = b[bm ? bm[j] : j];
        if (kind == ISG_OP_MUL) {
            t[j] = dy[j] * (k == 0 ? q : p);
        } else {
            t[j] = k == 0 ? dy[j] / q : -dy[j] * p / (q * q);
        }
    }
}

static void binary_backward_one(isgi_net *net, isgi_netop *op, uint32_t chunk, int32_t k, uint32_t i)
{
    const binary_impl *b = op->impl;
    const operand *o = &b->in[k];
    const size_t n = net->acts[op->out].size;
    const float *dy = isgi_act_grad(net, op->out, chunk) + i * n;
    float *dx = isgi_act_grad(net, op->in[k], chunk) + i * o->stride, *t = isgi_net_spare(net, chunk);
    if (op->op == ISG_OP_MUL || op->op == ISG_OP_DIV) {
        binary_slope(op->op, k, t, dy, operand_sample(net, op, 0, chunk, i), b->in[0].map,
                     operand_sample(net, op, 1, chunk, i), b->in[1].map, n);
        dy = t;
    } else if (op->op == ISG_OP_SUB && k == 1) {
        for (size_t j = 0; j < n; j++) t[j] = -dy[j];
        dy = t;
    }
    if (!o->map && !op->accumulate[k]) {
        memcpy(dx, dy, n * sizeof *dx);
    } else if (!o->map) {
        add_to(dx, dy, n);
    } else {
        if (!op->accumulate[k]) memset(dx, 0, o->stride * sizeof *dx);
        for (size_t j = 0; j < n; j++) dx[o->map[j]] += dy[j];
    }
}

static void binary_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    for (int32_t k = 0; k < op->in_count; k++) {
        if (!isgi_op_needs(net, op, k)) continue;
        for (uint32_t i = 0; i < isgi_chunk_count(net, chunk); i++) binary_backward_one(net, op, chunk, k, i);
    }
}

static const isgi_opvt binary_vt = {
    .forward = {binary_forward}, .backward = {binary_backward}, .destroy = binary_destroy};

isg_status isgi_build_binary(isgi_net *net, isgi_netop *op, const isg_node *node, isg_error *err)
{
    op->impl = isgi_calloc(1, sizeof(binary_impl));
    if (!op->impl) return isgi_nomem(err);
    op->vt = &binary_vt;
    for (int32_t k = 0; k < op->in_count; k++) ISGI_TRY(bind_operand(net, op, node, k, err));
    if (net->trainable) isgi_net_want(net, 0, net->acts[op->out].size);
    return ISG_OK;
}

/* ---- softmax ---- */

typedef struct softmax_impl {
    size_t length, step, inner, outer; /* axis length and stride; positions before and after it */
} softmax_impl;

static void softmax_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const softmax_impl *s = op->impl;
    const size_t rows = isgi_chunk_count(net, chunk) * s->outer;
    for (size_t r = 0; r < rows * s->inner; r++) {
        const size_t at = r / s->inner * s->length * s->step + r % s->inner;
        const float *x = isgi_act_data(net, op->in[0], chunk) + at;
        float *y = isgi_act_data(net, op->out, chunk) + at, top = -INFINITY, sum = 0;
        for (size_t i = 0; i < s->length; i++) top = x[i * s->step] > top ? x[i * s->step] : top;
        for (size_t i = 0; i < s->length; i++) sum += y[i * s->step] = expf(x[i * s->step] - top);
        for (size_t i = 0; i < s->length; i++) y[i * s->step] /= sum;
    }
}

static void softmax_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const softmax_impl *s = op->impl;
    const size_t rows = isgi_chunk_count(net, chunk) * s->outer;
    if (!isgi_op_needs(net, op, 0)) return;
    for (size_t r = 0; r < rows * s->inner; r++) {
        const size_t at = r / s->inner * s->length * s->step + r % s->inner;
        const float *y = isgi_act_data(net, op->out, chunk) + at, *dy = isgi_act_grad(net, op->out, chunk) + at;
        float *dx = isgi_act_grad(net, op->in[0], chunk) + at, dot = 0;
        for (size_t i = 0; i < s->length; i++) dot += y[i * s->step] * dy[i * s->step];
        for (size_t i = 0; i < s->length; i++) {
            const float g = y[i * s->step] * (dy[i * s->step] - dot);
            dx[i * s->step] = op->accumulate[0] ? dx[i * s->step] + g : g;
        }
    }
}

static const isgi_opvt softmax_vt = {
    .forward = {softmax_forward}, .backward = {softmax_backward}, .destroy = elementwise_destroy};

isg_status isgi_build_softmax(isgi_net *net, isgi_netop *op, isg_error *err)
{
    const isgi_act *x = op->in[0] >= 0 ? &net->acts[op->in[0]] : NULL;
    softmax_impl *s = isgi_calloc(1, sizeof *s);
    int64_t strides[ISG_MAX_RANK], axis = op->attr.axes.axes[0];
    if (!s) return isgi_nomem(err);
    op->impl = s;
    op->vt = &softmax_vt;
    if (x && axis < 0) axis += x->rank;
    if (!x || axis < 1 || axis >= x->rank) return isgi_fail(err, ISG_E_UNSUPPORTED, "training: softmax over the batch");
    isgi_act_strides(x, strides);
    s->length = (size_t)x->dims[axis];
    s->step = s->inner = (size_t)strides[axis];
    s->outer = x->size / (s->length * s->inner);
    return ISG_OK;
}
