/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of every trainable operation and of the losses against central finite differences. */
#include <insitu/graph.h>

#include "host/alloc.h"
#include "host/rng.h"
#include "train/loss_kd.h"
#include "train/net_device.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEED 20261123u
#define BATCH 3

typedef struct maker {
    isg_graph *g;
    isgi_rng rng;
} maker;

static int32_t value(maker *m, int32_t rank, const int64_t *dims)
{
    int32_t v = isg_graph_add_value(m->g, "v", ISG_DT_F32, rank, dims);
    assert_true(v >= 0);
    return v;
}

static int32_t constant(maker *m, int32_t rank, const int64_t *dims, float lo, float hi)
{
    isg_tensor *t = NULL;
    int32_t v;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_F32, rank, dims, NULL), ISG_OK);
    for (int64_t i = 0; i < t->count; i++) ((float *)t->data)[i] = lo + (hi - lo) * isgi_rng_float(&m->rng);
    v = isg_graph_add_constant(m->g, "c", t);
    assert_true(v >= 0);
    return v;
}

static int32_t ints(maker *m, int64_t count, const int64_t *values)
{
    isg_tensor *t = NULL;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_I64, 1, &count, NULL), ISG_OK);
    memcpy(t->data, values, (size_t)count * sizeof *values);
    return isg_graph_add_constant(m->g, "i", t);
}

static isg_node *node(maker *m, isg_op op, int32_t count, const int32_t *in, int32_t out)
{
    int32_t n = isg_graph_add_node(m->g, op, isg_op_name(op), in, count, &out, 1);
    assert_true(n >= 0);
    return &m->g->nodes[n];
}

/* ---- the cases: each builds a graph from `x` and gives its output value ---- */

typedef struct grad_case {
    const char *name;
    int32_t rank;
    int64_t x[5], y[5]; /* y: output shape for the simple ones; same rank unless y_rank */
    int32_t y_rank;
    int32_t (*build)(maker *m, const struct grad_case *c, int32_t x);
    isg_op op;
    int64_t p[12]; /* what the builder makes of it */
} grad_case;

/* p: co, kh, kw, stride h, w, pads t l b r, dilation, groups, bias */
static int32_t build_conv(maker *m, const grad_case *c, int32_t x)
{
    const int32_t n = c->rank - 2;
    int64_t w[5] = {c->p[0], c->x[1] / c->p[10], c->p[1], c->p[2], c->p[2]};
    int32_t in[3] = {x, constant(m, c->rank, w, -0.5f, 0.5f), ISG_NO_VALUE}, out;
    isg_node *nd;
    if (c->p[11]) in[2] = constant(m, 1, &w[0], -1, 1);
    out = value(m, c->rank, c->y);
    nd = node(m, ISG_OP_CONV, c->p[11] ? 3 : 2, in, out);
    nd->attr.conv.n = n;
    nd->attr.conv.groups = c->p[10];
    for (int32_t k = 0; k < n; k++) {
        nd->attr.conv.kernel[k] = w[k + 2];
        nd->attr.conv.stride[k] = c->p[k == 0 ? 3 : 4];
        nd->attr.conv.dilation[k] = c->p[9];
        nd->attr.conv.pads[k] = c->p[k == 0 ? 5 : 6];
        nd->attr.conv.pads[n + k] = c->p[k == 0 ? 7 : 8];
    }
    return out;
}

/* p: bi, bo, kernel, stride, depthwise, dilation, bias, bits (0: not quantised); padding keeps the middle */
static int32_t build_factored(maker *m, const grad_case *c, int32_t x)
{
    const int32_t n = c->rank - 2;
    const int64_t w[4] = {c->y[1], c->p[4] ? 1 : c->x[1], c->p[2], c->p[2]};
    const uint32_t ci = (uint32_t)c->x[1], co = c->p[4] ? 1 : (uint32_t)c->y[1];
    const uint32_t taps = (uint32_t)(n == 1 ? c->p[2] : c->p[2] * c->p[2]);
    int32_t wv = isg_graph_add_value(m->g, "w", ISG_DT_F32, c->rank, w), out = value(m, c->rank, c->y);
    int32_t in[3] = {x, wv, c->p[6] ? constant(m, 1, &w[0], -1, 1) : ISG_NO_VALUE};
    isg_node *nd = node(m, ISG_OP_CONV, c->p[6] ? 3 : 2, in, out);
    isg_factors *f = NULL;
    isg_factor *all[3];
    const isg_levels levels = isg_factor_levels(ci, co, taps, (uint32_t)c->p[0], (uint32_t)c->p[1], (int)c->p[4], 0);
    assert_int_equal(isg_factors_create(&f, taps, ci, co, levels, (int)c->p[4], NULL), ISG_OK);
    m->g->values[wv].factors = f;
    all[0] = &f->basis;
    all[1] = &f->u;
    all[2] = &f->v;
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < (size_t)all[k]->rows * all[k]->cols; i++) {
            all[k]->master[i] = isgi_rng_float(&m->rng) - 0.5f;
        }
        if (!c->p[7] || all[k]->rows == 0) continue;
        all[k]->quant = (isg_quant_spec){(uint8_t)c->p[7], ISG_QUANT_MIDTREAD, 0, 32};
        assert_int_equal(isg_factor_fit_scale(all[k], NULL), ISG_OK);
    }
    nd->attr.conv.n = n;
    nd->attr.conv.groups = c->p[4] ? c->x[1] : 1;
    for (int k = 0; k < n; k++) {
        nd->attr.conv.kernel[k] = c->p[2];
        nd->attr.conv.stride[k] = c->p[3];
        nd->attr.conv.dilation[k] = c->p[5];
        nd->attr.conv.pads[k] = nd->attr.conv.pads[k + n] = c->p[5] * (c->p[2] - 1) / 2;
    }
    return out;
}

static int32_t build_gemm(maker *m, const grad_case *c, int32_t x)
{
    const int64_t w[2] = {c->y[1], c->x[1]};
    int32_t in[3] = {x, constant(m, 2, w, -1, 1), constant(m, 1, w, -1, 1)}, out = value(m, 2, c->y);
    isg_node *nd = node(m, ISG_OP_GEMM, c->p[0] ? 3 : 2, in, out);
    nd->attr.gemm = (isg_gemm_attr){1, 1, 0, 1};
    return out;
}

/* p: bo; level 2 */
static int32_t build_factored_gemm(maker *m, const grad_case *c, int32_t x)
{
    const int64_t w[2] = {c->y[1], c->x[1]};
    const uint32_t ci = (uint32_t)c->x[1], co = (uint32_t)c->y[1];
    int32_t in[3] = {x, isg_graph_add_value(m->g, "w", ISG_DT_F32, 2, w), constant(m, 1, w, -1, 1)};
    int32_t out = value(m, 2, c->y);
    isg_factors *f = NULL;
    node(m, ISG_OP_GEMM, 3, in, out)->attr.gemm = (isg_gemm_attr){1, 1, 0, 1};
    assert_int_equal(
        isg_factors_create(&f, 1, ci, co, isg_factor_levels(ci, co, 1, 0, (uint32_t)c->p[0], 0, 0), 0, NULL), ISG_OK);
    m->g->values[in[1]].factors = f;
    for (size_t i = 0; i < (size_t)f->basis.rows * f->basis.cols; i++) {
        f->basis.master[i] = isgi_rng_float(&m->rng) - 0.5f;
    }
    for (size_t i = 0; i < (size_t)f->v.rows * f->v.cols; i++) f->v.master[i] = isgi_rng_float(&m->rng) - 0.5f;
    return out;
}

static int32_t build_bn(maker *m, const grad_case *c, int32_t x)
{
    const int64_t ch = c->x[1];
    int32_t in[5] = {x, constant(m, 1, &ch, 0.5f, 1.5f), constant(m, 1, &ch, -1, 1), constant(m, 1, &ch, -1, 1),
                     constant(m, 1, &ch, 0.5f, 1)};
    int32_t out = value(m, c->rank, c->x);
    node(m, ISG_OP_BATCH_NORM, 5, in, out)->attr.scalar.alpha = 1e-5f;
    return out;
}

/* p in hundredths: alpha, beta, lo, hi */
static int32_t build_unary(maker *m, const grad_case *c, int32_t x)
{
    int32_t out = value(m, c->rank, c->x);
    isg_node *nd = node(m, c->op, 1, &x, out);
    if (c->op == ISG_OP_SOFTMAX) {
        nd->attr.axes.n = 1;
        nd->attr.axes.axes[0] = c->p[0];
        return out;
    }
    nd->attr.scalar.alpha = (float)c->p[0] / 100;
    nd->attr.scalar.beta = (float)c->p[1] / 100;
    nd->attr.scalar.lo = (float)c->p[2] / 100;
    nd->attr.scalar.hi = (float)c->p[3] / 100;
    return out;
}

/* x op constant of shape p[1..rank], or x op x-derived when p[0] is 1, constant first when 2 */
static int32_t build_binary(maker *m, const grad_case *c, int32_t x)
{
    int32_t out = value(m, c->rank, c->x), in[2] = {x, x};
    if (c->op == ISG_OP_DIV && c->p[0] == 2) {
        in[1] = value(m, c->rank, c->x); /* a divisor that stays away from 0 */
        node(m, ISG_OP_SIGMOID, 1, &x, in[1]);
    }
    if (c->p[0] != 1) in[c->p[0] == 2 ? 0 : 1] = constant(m, c->rank, c->p + 1, 0.5f, 1.5f);
    node(m, c->op, 2, in, out);
    return out;
}

/* x op mean(x over the axes where p is 1): broadcasting between activations */
static int32_t build_broadcast(maker *m, const grad_case *c, int32_t x)
{
    int64_t d[5];
    int32_t mean, in[2], out;
    isg_node *nd;
    for (int32_t k = 0; k < c->rank; k++) d[k] = c->p[k] ? 1 : c->x[k];
    mean = value(m, c->rank, d);
    nd = node(m, ISG_OP_REDUCE_MEAN, 1, &x, mean);
    nd->attr.axes.n = 0;
    nd->attr.axes.keepdims = 1;
    for (int32_t k = 1; k < c->rank; k++) {
        if (c->p[k]) nd->attr.axes.axes[nd->attr.axes.n++] = k;
    }
    out = value(m, c->rank, c->x);
    in[0] = c->p[6] ? mean : x;
    in[1] = c->p[6] ? x : mean;
    node(m, c->op, 2, in, out);
    return out;
}

/* p: kernel h w, stride h w, pads t l b r, dilation, include pad */
static int32_t build_pool(maker *m, const grad_case *c, int32_t x)
{
    int32_t out = value(m, c->rank, c->y);
    isg_node *nd = node(m, c->op, 1, &x, out);
    if (c->op == ISG_OP_GLOBAL_AVERAGE_POOL || c->op == ISG_OP_GLOBAL_MAX_POOL) return out;
    nd->attr.conv.n = c->rank - 2;
    for (int32_t k = 0; k < c->rank - 2; k++) {
        nd->attr.conv.kernel[k] = c->p[k];
        nd->attr.conv.stride[k] = c->p[2 + k];
        nd->attr.conv.pads[k] = c->p[4 + k];
        nd->attr.conv.pads[c->rank - 2 + k] = c->p[6 + k];
        nd->attr.conv.dilation[k] = c->p[8];
    }
    nd->attr.conv.count_include_pad = (int32_t)c->p[9];
    return out;
}

static int32_t build_mean(maker *m, const grad_case *c, int32_t x)
{
    int32_t out = value(m, c->y_rank, c->y);
    isg_node *nd = node(m, ISG_OP_REDUCE_MEAN, 1, &x, out);
    nd->attr.axes.keepdims = c->y_rank == c->rank;
    nd->attr.axes.n = (int32_t)c->p[0];
    for (int32_t k = 0; k < c->p[0]; k++) nd->attr.axes.axes[k] = c->p[k + 1];
    return out;
}

static int32_t build_reshape(maker *m, const grad_case *c, int32_t x)
{
    int32_t in[2] = {x, ints(m, c->y_rank, c->y)}, out = value(m, c->y_rank, c->y);
    node(m, ISG_OP_RESHAPE, 2, in, out);
    return out;
}

static int32_t build_transpose(maker *m, const grad_case *c, int32_t x)
{
    int32_t out = value(m, c->rank, c->y);
    isg_node *nd = node(m, ISG_OP_TRANSPOSE, 1, &x, out);
    nd->attr.axes.n = c->rank;
    memcpy(nd->attr.axes.axes, c->p, (size_t)c->rank * sizeof *c->p);
    return out;
}

/* p: starts, ends, axes, steps of two axes */
static int32_t build_slice(maker *m, const grad_case *c, int32_t x)
{
    int32_t in[5] = {x, ints(m, 2, c->p), ints(m, 2, c->p + 2), ints(m, 2, c->p + 4), ints(m, 2, c->p + 6)};
    int32_t out = value(m, c->rank, c->y);
    node(m, ISG_OP_SLICE, 5, in, out);
    return out;
}

/* p: mode, then begins and ends */
static int32_t build_pad(maker *m, const grad_case *c, int32_t x)
{
    int32_t in[2] = {x, ints(m, 8, c->p + 1)}, out = value(m, 4, c->y);
    node(m, ISG_OP_PAD, 2, in, out)->attr.pad.mode = (isg_pad_mode)c->p[0];
    return out;
}

/* concat of x, relu(x) and x along p[0] */
static int32_t build_concat(maker *m, const grad_case *c, int32_t x)
{
    int32_t r = value(m, c->rank, c->x), in[3], out = value(m, c->rank, c->y);
    isg_node *nd;
    node(m, ISG_OP_RELU, 1, &x, r);
    in[0] = in[2] = x;
    in[1] = r;
    nd = node(m, ISG_OP_CONCAT, 3, in, out);
    nd->attr.axes.n = 1;
    nd->attr.axes.axes[0] = c->p[0];
    return out;
}

/* Channels p[0] .. p[0]+p[1]-1 of a convolution, as the middle part of a SPLIT; p[2]: as a SLICE. Of the parts beside
 * it the first is omitted and the last is read by what the output does not need. */
static int32_t build_part(maker *m, const grad_case *c, int32_t x)
{
    const int64_t last = 2, all[4] = {c->x[0], c->p[0] + c->p[1] + last, c->x[2], c->x[3]};
    const int64_t rest[4] = {c->x[0], last, c->x[2], c->x[3]}, sizes[3] = {c->p[0], c->p[1], last};
    const int64_t slice[4] = {c->p[0], c->p[0] + c->p[1], 1, 1};
    const grad_case conv = {"", 4,          {c->x[0], c->x[1]}, {all[0], all[1], all[2], all[3]},
                            0,  build_conv, ISG_OP_CONV,        {all[1], 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 0}};
    int32_t h = build_conv(m, &conv, x), in[5] = {value(m, 4, all)}, parts[3] = {ISG_NO_VALUE}, out = value(m, 4, c->y);
    node(m, ISG_OP_SIGMOID, 1, &h, in[0]);
    parts[1] = value(m, 4, c->y);
    if (c->p[2]) {
        for (int k = 0; k < 4; k++) in[k + 1] = ints(m, 1, &slice[k]);
        node(m, ISG_OP_SLICE, 5, in, parts[1]);
    } else {
        int32_t n, beside = value(m, 4, rest);
        in[1] = ints(m, 3, sizes);
        parts[2] = value(m, 4, rest);
        n = isg_graph_add_node(m->g, ISG_OP_SPLIT, "split", in, 2, parts, 3);
        assert_true(n >= 0);
        m->g->nodes[n].attr.axes.axes[0] = 1;
        node(m, ISG_OP_RELU, 1, &parts[2], beside);
    }
    node(m, ISG_OP_SIGMOID, 1, &parts[1], out);
    return out;
}

/* A residual block: conv - bn - relu - conv + shortcut, one weight used twice. */
static void relu_like(maker *m, isg_op op, int32_t x, int32_t y)
{
    isg_node *nd = node(m, op, 1, &x, y);
    if (op != ISG_OP_CLIP) return;
    nd->attr.scalar.lo = 0;
    nd->attr.scalar.hi = INFINITY;
}

/* p: SIGMOID inside and none at the end; or twice RELU; or twice CLIP at 0, which is the same but never fused */
static int32_t build_residual(maker *m, const grad_case *c, int32_t x)
{
    const int64_t w[4] = {c->x[1], c->x[1], 3, 3};
    int32_t weight = constant(m, 4, w, -0.3f, 0.3f), a = value(m, 4, c->x), r, b = value(m, 4, c->x), in[2], out;
    for (int k = 0; k < 2; k++) {
        isg_node *nd;
        in[0] = k == 0 ? x : r;
        in[1] = weight;
        nd = node(m, ISG_OP_CONV, 2, in, k == 0 ? a : b);
        nd->attr.conv.n = 2;
        nd->attr.conv.groups = 1;
        for (int i = 0; i < 2; i++) {
            nd->attr.conv.kernel[i] = 3;
            nd->attr.conv.stride[i] = nd->attr.conv.dilation[i] = 1;
            nd->attr.conv.pads[i] = nd->attr.conv.pads[i + 2] = 1;
        }
        if (k == 0) {
            int32_t n = build_bn(m, c, a);
            r = value(m, 4, c->x);
            relu_like(m, c->p[0] ? (isg_op)c->p[0] : ISG_OP_SIGMOID, n, r);
        }
    }
    in[0] = b;
    in[1] = x;
    out = value(m, 4, c->x);
    node(m, ISG_OP_ADD, 2, in, out);
    if (c->p[0]) {
        b = out;
        out = value(m, 4, c->x);
        relu_like(m, (isg_op)c->p[0], b, out);
    }
    return out;
}

#define N BATCH
#define CONV build_conv, ISG_OP_CONV
static const grad_case cases[] = {
    {"conv 3x3", 4, {N, 3, 7, 6}, {N, 5, 7, 6}, 0, CONV, {5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"conv 1x1", 4, {N, 16, 5, 5}, {N, 20, 5, 5}, 0, CONV, {20, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0}},
    {"conv stride 2, no padding", 4, {N, 1, 9, 9}, {N, 4, 3, 3}, 0, CONV, {4, 5, 5, 2, 2, 0, 0, 0, 0, 1, 1, 1}},
    {"conv asymmetric padding and stride",
     4,
     {N, 4, 6, 8},
     {N, 6, 6, 4},
     0,
     CONV,
     {6, 3, 2, 1, 2, 2, 0, 0, 1, 1, 1, 1}},
    {"conv end padding unused", 4, {N, 2, 6, 6}, {N, 3, 3, 3}, 0, CONV, {3, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0}},
    {"conv dilation 2", 4, {N, 2, 8, 8}, {N, 3, 8, 8}, 0, CONV, {3, 3, 3, 1, 1, 2, 2, 2, 2, 2, 1, 0}},
    {"winograd", 4, {N, 16, 7, 6}, {N, 32, 7, 6}, 0, CONV, {32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"winograd by points", 4, {N, 32, 4, 5}, {N, 48, 4, 5}, 0, CONV, {48, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"winograd, odd padding", 4, {N, 16, 5, 9}, {N, 16, 5, 8}, 0, CONV, {16, 3, 3, 1, 1, 2, 0, 0, 1, 1, 1, 0}},
    {"winograd stride 2", 4, {N, 16, 10, 11}, {N, 16, 5, 6}, 0, CONV, {16, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1}},
    {"winograd stride 2 by points", 4, {N, 32, 8, 9}, {N, 48, 4, 4}, 0, CONV, {48, 3, 3, 2, 2, 1, 0, 1, 0, 1, 1, 0}},
    {"winograd generated", 4, {N, 16, 5, 5}, {N, 32, 5, 5}, 0, build_factored, ISG_OP_CONV, {2, 9, 3, 1, 0, 1, 1}},
    {"conv 2 groups", 4, {N, 6, 5, 5}, {N, 4, 5, 5}, 0, CONV, {4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 2, 1}},
    {"conv depthwise", 4, {N, 7, 6, 6}, {N, 7, 3, 3}, 0, CONV, {7, 3, 3, 2, 2, 1, 1, 1, 1, 1, 7, 1}},
    {"conv depthwise 16, dilated", 4, {N, 16, 7, 7}, {N, 16, 7, 7}, 0, CONV, {16, 3, 3, 1, 1, 2, 2, 2, 2, 2, 16, 0}},
    {"conv 1d", 3, {N, 3, 11}, {N, 4, 6}, 0, CONV, {4, 3, 0, 2, 0, 1, 0, 1, 0, 1, 1, 1}},
    {"gemm", 2, {N, 13}, {N, 7}, 0, build_gemm, ISG_OP_GEMM, {1}},
    {"gemm without bias", 2, {N, 5}, {N, 10}, 0, build_gemm, ISG_OP_GEMM, {0}},
    {"gemm factored", 2, {N, 14}, {N, 9}, 0, build_factored_gemm, ISG_OP_GEMM, {5}},
    {"gemm quantised", 2, {N, 14}, {N, 9}, 0, build_factored_gemm, ISG_OP_GEMM, {0}},
    {"factored both levels", 4, {N, 6, 5, 5}, {N, 8, 5, 5}, 0, build_factored, ISG_OP_CONV, {2, 4, 3, 1, 0, 1}},
    {"factored level 1", 4, {N, 6, 5, 5}, {N, 4, 5, 5}, 0, build_factored, ISG_OP_CONV, {3, 0, 3, 1, 0, 1}},
    {"factored level 2", 4, {N, 6, 4, 5}, {N, 9, 4, 5}, 0, build_factored, ISG_OP_CONV, {0, 5, 3, 1, 0, 1}},
    {"factored none", 4, {N, 3, 4, 5}, {N, 5, 4, 5}, 0, build_factored, ISG_OP_CONV, {0, 0, 3, 1, 0, 1}},
    {"factored depthwise", 4, {N, 12, 4, 5}, {N, 12, 4, 5}, 0, build_factored, ISG_OP_CONV, {2, 0, 3, 1, 1, 1}},
    {"factored stride", 4, {N, 6, 6, 5}, {N, 7, 3, 3}, 0, build_factored, ISG_OP_CONV, {2, 5, 3, 2, 0, 1, 1}},
    {"factored dilated", 4, {N, 5, 7, 6}, {N, 8, 7, 6}, 0, build_factored, ISG_OP_CONV, {1, 4, 3, 1, 0, 2, 0}},
    {"factored 5x5", 4, {N, 7, 6, 6}, {N, 6, 3, 3}, 0, build_factored, ISG_OP_CONV, {3, 4, 5, 2, 0, 1, 0}},
    {"factored level 1 bias", 4, {N, 6, 5, 5}, {N, 4, 3, 3}, 0, build_factored, ISG_OP_CONV, {2, 0, 3, 2, 0, 1, 1}},
    {"factored 1x1", 4, {N, 9, 3, 4}, {N, 8, 3, 4}, 0, build_factored, ISG_OP_CONV, {0, 3, 1, 1, 0, 1, 0}},
    {"factored 1x1 stride", 4, {N, 9, 5, 4}, {N, 8, 3, 2}, 0, build_factored, ISG_OP_CONV, {0, 3, 1, 2, 0, 1, 1}},
    {"factored, eight or more",
     4,
     {N, 14, 6, 7},
     {N, 20, 6, 7},
     0,
     build_factored,
     ISG_OP_CONV,
     {2, 12, 3, 1, 0, 1, 1}},
    {"factored, eight, stride", 4, {N, 14, 7, 6}, {N, 20, 4, 3}, 0, build_factored, ISG_OP_CONV, {3, 8, 3, 2, 0, 1, 0}},
    {"factored, eight, dilated",
     4,
     {N, 14, 7, 6},
     {N, 20, 7, 6},
     0,
     build_factored,
     ISG_OP_CONV,
     {1, 13, 3, 1, 0, 3, 0}},
    {"factored, eight, too wide",
     4,
     {N, 14, 4, 4},
     {N, 20, 2, 2},
     0,
     build_factored,
     ISG_OP_CONV,
     {1, 9, 3, 2, 0, 5, 0}},
    {"factored, eight, 5x5", 4, {N, 14, 4, 4}, {N, 20, 4, 4}, 0, build_factored, ISG_OP_CONV, {1, 9, 5, 1, 0, 1, 0}},
    {"factored, eight, 1-d", 3, {N, 14, 9}, {N, 20, 5}, 0, build_factored, ISG_OP_CONV, {1, 10, 3, 2, 0, 1, 1}},
    {"factored 1-d", 3, {N, 6, 9}, {N, 7, 5}, 0, build_factored, ISG_OP_CONV, {2, 4, 3, 2, 0, 1, 1}},
    /* enough rows in a batch of MANY that a device folds its partial sums twice */
    {"factored, many rows", 4, {N, 6, 12, 12}, {N, 8, 12, 12}, 0, build_factored, ISG_OP_CONV, {2, 4, 3, 1, 0, 1, 1}},
    {"batch norm, many rows", 4, {N, 5, 12, 11}, {0}, 0, build_bn, ISG_OP_BATCH_NORM, {0}},
    {"batch norm", 4, {N, 5, 3, 4}, {0}, 0, build_bn, ISG_OP_BATCH_NORM, {0}},
    {"batch norm of vectors", 2, {N, 9}, {0}, 0, build_bn, ISG_OP_BATCH_NORM, {0}},
    {"relu", 4, {N, 3, 3, 3}, {0}, 0, build_unary, ISG_OP_RELU, {0}},
    {"clip", 2, {N, 30}, {0}, 0, build_unary, ISG_OP_CLIP, {0, 0, -50, 80}},
    {"leaky relu", 3, {N, 4, 5}, {0}, 0, build_unary, ISG_OP_LEAKY_RELU, {10}},
    {"hard swish", 4, {N, 8, 5, 5}, {0}, 0, build_unary, ISG_OP_HARD_SWISH, {0}},
    {"hard sigmoid", 4, {N, 8, 5, 5}, {0}, 0, build_unary, ISG_OP_HARD_SIGMOID, {20, 50}},
    {"sigmoid", 2, {N, 30}, {0}, 0, build_unary, ISG_OP_SIGMOID, {0}},
    {"softmax of channels", 4, {N, 5, 2, 3}, {0}, 0, build_unary, ISG_OP_SOFTMAX, {1}},
    {"softmax of rows", 4, {N, 3, 4, 3}, {0}, 0, build_unary, ISG_OP_SOFTMAX, {2}},
    {"softmax of 3d", 3, {N, 3, 4}, {0}, 0, build_unary, ISG_OP_SOFTMAX, {-1}},
    {"add channel constant", 4, {N, 3, 4, 5}, {0}, 0, build_binary, ISG_OP_ADD, {0, 1, 3, 1, 1}},
    {"sub from constant", 4, {N, 3, 4, 5}, {0}, 0, build_binary, ISG_OP_SUB, {2, 1, 1, 4, 1}},
    {"mul constant", 4, {N, 3, 4, 5}, {0}, 0, build_binary, ISG_OP_MUL, {0, 1, 1, 1, 5}},
    {"div by constant", 2, {N, 12}, {0}, 0, build_binary, ISG_OP_DIV, {0, 1, 12}},
    {"div of constant", 2, {N, 12}, {0}, 0, build_binary, ISG_OP_DIV, {2, 1, 12}},
    {"square", 4, {N, 3, 4, 5}, {0}, 0, build_binary, ISG_OP_MUL, {1}},
    {"x - x", 3, {N, 4, 5}, {0}, 0, build_binary, ISG_OP_SUB, {1}},
    {"add broadcast", 4, {N, 3, 4, 5}, {0}, 0, build_broadcast, ISG_OP_ADD, {0, 0, 1, 1}},
    {"mul broadcast", 4, {N, 3, 4, 5}, {0}, 0, build_broadcast, ISG_OP_MUL, {0, 0, 1, 1}},
    {"mul broadcast first", 4, {N, 3, 4, 5}, {0}, 0, build_broadcast, ISG_OP_MUL, {0, 1, 0, 1, 0, 0, 1}},
    {"sub broadcast", 3, {N, 3, 4}, {0}, 0, build_broadcast, ISG_OP_SUB, {0, 1, 0}},
    {"sum", 2, {N, 7}, {0}, 0, build_binary, ISG_OP_SUM, {0, 1, 7}},
    {"max pool", 4, {N, 3, 6, 7}, {N, 3, 3, 3}, 0, build_pool, ISG_OP_MAX_POOL, {2, 3, 2, 2, 0, 0, 0, 0, 1, 0}},
    {"max pool padded", 4, {N, 2, 7, 7}, {N, 2, 4, 4}, 0, build_pool, ISG_OP_MAX_POOL, {3, 3, 2, 2, 1, 1, 1, 1, 1, 0}},
    {"max pool dilated", 4, {N, 2, 7, 7}, {N, 2, 3, 3}, 0, build_pool, ISG_OP_MAX_POOL, {3, 3, 1, 1, 0, 0, 0, 0, 2, 0}},
    {"average pool", 4, {N, 3, 9, 9}, {N, 3, 3, 3}, 0, build_pool, ISG_OP_AVERAGE_POOL, {3, 3, 3, 3, 0, 0, 0, 0, 1, 0}},
    {"average pool padded",
     4,
     {N, 3, 5, 5},
     {N, 3, 3, 3},
     0,
     build_pool,
     ISG_OP_AVERAGE_POOL,
     {3, 3, 2, 2, 1, 1, 1, 1, 1, 0}},
    {"average pool counting pads",
     4,
     {N, 3, 5, 5},
     {N, 3, 3, 3},
     0,
     build_pool,
     ISG_OP_AVERAGE_POOL,
     {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}},
    {"max pool 1d", 3, {N, 3, 8}, {N, 3, 4}, 0, build_pool, ISG_OP_MAX_POOL, {2, 0, 2, 0, 0, 0, 0, 0, 1, 0}},
    {"global average", 4, {N, 6, 3, 5}, {N, 6, 1, 1}, 0, build_pool, ISG_OP_GLOBAL_AVERAGE_POOL, {0}},
    {"global max", 4, {N, 6, 3, 5}, {N, 6, 1, 1}, 0, build_pool, ISG_OP_GLOBAL_MAX_POOL, {0}},
    {"mean over space", 4, {N, 6, 3, 5}, {N, 6}, 2, build_mean, ISG_OP_REDUCE_MEAN, {2, 2, 3}},
    {"mean over channels", 4, {N, 6, 3, 5}, {N, 1, 3, 5}, 4, build_mean, ISG_OP_REDUCE_MEAN, {1, 1}},
    {"mean over one axis", 4, {N, 6, 3, 5}, {N, 6, 5}, 3, build_mean, ISG_OP_REDUCE_MEAN, {1, 2}},
    {"flatten", 4, {N, 3, 2, 4}, {N, 24}, 2, build_reshape, ISG_OP_RESHAPE, {0}},
    {"reshape 3d", 4, {N, 3, 2, 4}, {N, 6, 4}, 3, build_reshape, ISG_OP_RESHAPE, {0}},
    {"transpose", 4, {N, 3, 2, 4}, {N, 2, 4, 3}, 0, build_transpose, ISG_OP_TRANSPOSE, {0, 2, 3, 1}},
    {"slice", 4, {N, 5, 6, 4}, {N, 2, 3, 4}, 0, build_slice, ISG_OP_SLICE, {1, 0, 5, 6, 1, 2, 2, 2}},
    {"slice backwards", 4, {N, 5, 6, 4}, {N, 5, 6, 2}, 0, build_slice, ISG_OP_SLICE, {-1, 0, -99, 99, 3, 2, -2, 1}},
    {"pad", 4, {N, 2, 3, 3}, {N, 4, 5, 4}, 0, build_pad, ISG_OP_PAD, {0, 0, 1, 1, 0, 0, 1, 1, 1}},
    {"pad reflect", 4, {N, 2, 4, 4}, {N, 2, 7, 6}, 0, build_pad, ISG_OP_PAD, {1, 0, 0, 2, 1, 0, 0, 1, 1}},
    {"pad edge", 4, {N, 2, 4, 4}, {N, 2, 7, 6}, 0, build_pad, ISG_OP_PAD, {2, 0, 0, 2, 1, 0, 0, 1, 1}},
    {"concat channels", 4, {N, 2, 3, 3}, {N, 6, 3, 3}, 0, build_concat, ISG_OP_CONCAT, {1}},
    {"concat rows", 4, {N, 2, 3, 3}, {N, 2, 9, 3}, 0, build_concat, ISG_OP_CONCAT, {2}},
    {"split", 4, {N, 3, 4, 4}, {N, 3, 4, 4}, 0, build_part, ISG_OP_SPLIT, {1, 3, 0}},
    {"residual", 4, {N, 3, 4, 4}, {0}, 0, build_residual, ISG_OP_ADD, {0}},
    {"residual winograd", 4, {N, 16, 5, 5}, {0}, 0, build_residual, ISG_OP_ADD, {0}},
};

static double run_loss(isgi_net *net, const float *r, size_t outputs)
{
    double loss = 0;
    assert_int_equal(isgi_net_refresh(net, NULL), ISG_OK);
    assert_int_equal(isgi_net_forward(net, 1, NULL), ISG_OK);
    for (uint32_t i = 0; i < net->n; i++) {
        for (size_t k = 0; k < outputs; k++) loss += (double)isgi_net_logits(net, i)[k] * (double)r[i * outputs + k];
    }
    return loss;
}

/* Central difference of `count` numbers at x, at most 60 of them, against g. */
static void check_array(isgi_net *net, const char *name, const char *what, float *x, const float *g, size_t count,
                        const float *r, size_t outputs)
{
    const size_t step = count > 60 ? count / 60 : 1;
    const float eps = 0.004f;
    double scale = 1e-3;
    float *copy = isgi_malloc(count * sizeof *copy);
    memcpy(copy, g, count * sizeof *copy);
    for (size_t i = 0; i < count; i++) scale = fmax(scale, fabs((double)copy[i]));
    for (size_t i = 0; i < count; i += step) {
        const float old = x[i];
        double up, down, numeric;
        x[i] = old + eps;
        up = run_loss(net, r, outputs);
        x[i] = old - eps;
        down = run_loss(net, r, outputs);
        x[i] = old;
        numeric = (up - down) / (2.0 * (double)eps);
        if (!(fabs(numeric - (double)copy[i]) <= 5e-3 * scale + 5e-3 * fabs(numeric))) {
            fail_msg("%s, %s[%zu]: %g by differences, %g by backward", name, what, i, numeric, (double)copy[i]);
        }
    }
    isg_free(copy);
}

static void fill_distinct(maker *m, float *x, size_t n)
{
    uint32_t *order = isgi_malloc(n * sizeof *order);
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    isgi_rng_shuffle(&m->rng, order, (uint32_t)n);
    /* apart from each other and from 0, so that no kink lies within the difference; many only feed products, whose
     * rounding would drown the difference if they grew */
    for (size_t i = 0; i < n; i++) {
        x[i] = ((float)order[i] - (float)(n / 2)) * (n > 1000 ? 4.0f / (float)n : 0.02f) + 0.011f;
    }
    isg_free(order);
}

static void run_case(const grad_case *c, isg_execution execution)
{
    maker m = {NULL, {{0}, 0, 0}};
    isgi_net *net = NULL;
    isgi_net_options o = {.batch = BATCH, .trainable = 1, .input_gradient = 1, .execution = execution};
    isg_error err = {0};
    int32_t x, out;
    size_t outputs, inputs;
    float *r, *data;
    isgi_rng_seed(&m.rng, SEED, 1);
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    x = value(&m, c->rank, c->x);
    assert_int_equal(isg_graph_add_input(m.g, x, NULL), ISG_OK);
    out = c->build(&m, c, x);
    assert_int_equal(isg_graph_add_output(m.g, out, NULL), ISG_OK);
    if (isgi_net_create(&net, m.g, &o, &err) != ISG_OK) fail_msg("%s: %s", c->name, err.message);
    outputs = net->classes;
    inputs = net->acts[0].size;
    r = isgi_malloc(outputs * BATCH * sizeof *r);
    data = isgi_malloc(inputs * BATCH * sizeof *data);
    for (size_t i = 0; i < outputs * BATCH; i++) r[i] = isgi_rng_float(&m.rng) * 2 - 1;
    fill_distinct(&m, data, inputs * BATCH);
    isgi_net_load(net, data, BATCH);
    run_loss(net, r, outputs);
    for (uint32_t i = 0; i < BATCH; i++) {
        memcpy(isgi_net_logits_grad(net, i), r + i * outputs, outputs * sizeof *r);
    }
    assert_int_equal(isgi_net_backward(net, &err), ISG_OK);
    {
        float *g = isgi_malloc(net->param_floats * sizeof *g + 4);
        float *gx = isgi_malloc(inputs * BATCH * sizeof *gx);
        memcpy(g, net->grads, net->param_floats * sizeof *g);
        memcpy(gx, isgi_act_grad(net, 0, 0), inputs * BATCH * sizeof *gx);
        for (int32_t p = 0; p < net->param_count; p++) {
            isgi_param *q = &net->param_list[p];
            check_array(net, c->name, q->name, q->w, g + (q->w - net->params), q->count, r, outputs);
        }
        check_array(net, c->name, "input", isgi_act_data(net, 0, 0), gx, inputs * BATCH, r, outputs);
        isg_free(g);
        isg_free(gx);
    }
    isg_free(r);
    isg_free(data);
    isgi_net_destroy(net);
    isg_graph_destroy(m.g);
}

static void test_operations(void **state)
{
    (void)state;
    print_message("seed %u, %zu cases\n", SEED, sizeof cases / sizeof *cases);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].build == build_factored) run_case(&cases[i], ISG_EXECUTION_FACTORED);
        run_case(&cases[i], ISG_EXECUTION_GENERATE);
    }
}

/* ---- the factors run as they are against the generated weight ---- */

enum { MANY = 40, MOST_OUTPUTS = 3200 };

static void read_input_gradient(isgi_net *net, float *to)
{
    const size_t size = net->acts[0].size;
    if (net->device) {
        isgi_device *d = net->device->device;
        assert_int_equal(d->download(d, to, isgi_devnet_grad(net, 0), size * net->n * sizeof *to, NULL), ISG_OK);
        return;
    }
    for (uint32_t i = 0; i < net->n; i++) {
        memcpy(to + i * size, isgi_act_grad(net, 0, i / net->chunk_cap) + (i % net->chunk_cap) * size,
               size * sizeof *to);
    }
}

/* A whole batch and a change of every parameter: what they leave must not show in the step behind. */
static void take_first_step(isgi_net *net, const float *data)
{
    isgi_net_load(net, data, MANY);
    assert_int_equal(isgi_net_forward(net, 1, NULL), ISG_OK);
    for (uint32_t i = 0; i < net->n; i++) {
        for (size_t k = 0; k < net->classes; k++) isgi_net_logits_grad(net, i)[k] = 1.0f;
    }
    assert_int_equal(isgi_net_backward(net, NULL), ISG_OK);
    for (size_t i = 0; i < net->param_floats; i++) net->params[i] *= 1.25f;
    assert_int_equal(isgi_net_refresh(net, NULL), ISG_OK);
}

/* Behind the parameters' gradients comes that of the input. */
static void step_on(const grad_case *c, isg_execution execution, isg_precision precision, isgi_device *device,
                    int first, float **grads, float *logits, size_t *floats)
{
    maker m = {NULL, {{0}, 0, 0}};
    isgi_net *net = NULL;
    const isgi_net_options o = {.batch = MANY,
                                .trainable = 1,
                                .input_gradient = 1,
                                .execution = execution,
                                .precision = precision,
                                .device = device};
    isg_error err = {0};
    grad_case many = *c;
    float *data;
    int32_t x;
    many.x[0] = many.y[0] = MANY;
    isgi_rng_seed(&m.rng, SEED, 3);
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    x = value(&m, c->rank, many.x);
    assert_int_equal(isg_graph_add_input(m.g, x, NULL), ISG_OK);
    assert_int_equal(isg_graph_add_output(m.g, c->build(&m, &many, x), NULL), ISG_OK);
    if (isgi_net_create(&net, m.g, &o, &err) != ISG_OK) fail_msg("%s: %s", c->name, err.message);
    data = isgi_malloc(net->acts[0].size * MANY * sizeof *data);
    isgi_rng_fill_normal(&m.rng, data, net->acts[0].size * MANY, 0, 1);
    if (first) take_first_step(net, data);
    isgi_net_load(net, data, MANY - 1); /* a short last chunk */
    assert_int_equal(isgi_net_forward(net, 1, NULL), ISG_OK);
    for (uint32_t i = 0; i < net->n; i++) {
        memcpy(logits + (size_t)i * net->classes, isgi_net_logits(net, i), net->classes * sizeof *logits);
        isgi_rng_fill_normal(&m.rng, isgi_net_logits_grad(net, i), net->classes, 0, 1);
    }
    assert_int_equal(isgi_net_backward(net, NULL), ISG_OK);
    *floats = net->param_floats + net->acts[0].size * net->n;
    *grads = isgi_malloc(*floats * sizeof **grads);
    memcpy(*grads, net->grads, net->param_floats * sizeof **grads);
    read_input_gradient(net, *grads + net->param_floats);
    isg_free(data);
    isgi_net_destroy(net);
    isg_graph_destroy(m.g);
}

static void step_of(const grad_case *c, isg_execution execution, isg_precision precision, float **grads, float *logits,
                    size_t *floats)
{
    step_on(c, execution, precision, NULL, 0, grads, logits, floats);
}

static void assert_near(const char *name, const float *a, const float *b, size_t n)
{
    double scale = 0;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)a[i]));
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)a[i] - (double)b[i]) <= 2e-5 * scale)) {
            fail_msg("%s: [%zu] is %g generated, %g factored, greatest %g", name, i, (double)a[i], (double)b[i], scale);
        }
    }
}

/* A Relu inside BatchNormalization and Add gives the same bits as one of its own. */
static void test_fused_relu(void **state)
{
    static float logits[2][MANY * MOST_OUTPUTS];
    const grad_case fused = {"fused relu", 4, {N, 5, 6, 6}, {N, 5, 6, 6}, 0, build_residual, ISG_OP_ADD, {ISG_OP_RELU}};
    grad_case apart = fused;
    float *g[2] = {NULL, NULL};
    size_t n = 0;
    (void)state;
    apart.p[0] = ISG_OP_CLIP;
    step_of(&fused, ISG_EXECUTION_AUTO, ISG_PRECISION_F32, &g[0], logits[0], &n);
    step_of(&apart, ISG_EXECUTION_AUTO, ISG_PRECISION_F32, &g[1], logits[1], &n);
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(g[0], g[1], n * sizeof(float));
    isg_free(g[0]);
    isg_free(g[1]);
}

/* A part of a SPLIT trains as the same SLICE does, also in a later step, when the memory has been used. */
static void test_split_parts(void **state)
{
    static float logits[2][MANY * MOST_OUTPUTS];
    const grad_case split = {"part", 4, {N, 16, 6, 6}, {N, 3, 6, 6}, 0, build_part, ISG_OP_SPLIT, {1, 3, 0}};
    grad_case slice = split;
    float *g[2] = {NULL, NULL};
    size_t n = 0;
    (void)state;
    slice.p[2] = 1;
    step_on(&split, ISG_EXECUTION_AUTO, ISG_PRECISION_F32, NULL, 1, &g[0], logits[0], &n);
    step_on(&slice, ISG_EXECUTION_AUTO, ISG_PRECISION_F32, NULL, 1, &g[1], logits[1], &n);
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(g[0], g[1], n * sizeof(float));
    isg_free(g[0]);
    isg_free(g[1]);
}

/* Training goes through the first output of an operation that is no SPLIT, and through no other. */
static void test_other_output(void **state)
{
    maker m = {NULL, {{0}, 0, 0}};
    const int64_t dims[4] = {BATCH, 2, 4, 4};
    const isgi_net_options o = {.batch = BATCH, .trainable = 1};
    int32_t x, outputs[2] = {ISG_NO_VALUE};
    isgi_net *net = NULL;
    isg_error err = {0};
    (void)state;
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    x = value(&m, 4, dims);
    outputs[1] = value(&m, 4, dims);
    assert_int_equal(isg_graph_add_input(m.g, x, NULL), ISG_OK);
    assert_int_equal(isg_graph_add_node(m.g, ISG_OP_MAX_POOL, "pool", &x, 1, outputs, 2), 0);
    assert_int_equal(isg_graph_add_output(m.g, outputs[1], NULL), ISG_OK);
    assert_int_equal(isgi_net_create(&net, m.g, &o, &err), ISG_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "MaxPool node pool: another output than its first is used"));
    isg_graph_destroy(m.g);
}

static double relative_error(const float *a, const float *b, size_t n)
{
    double error = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        square += (double)a[i] * (double)a[i];
    }
    return error == 0 ? 0 : sqrt(error / square);
}

/* bf16 has 8 bits: an input is off by at most 2^-9 of itself, a sum of many by about that over their number. */
static void test_bf16(void **state)
{
    static float logits[2][MANY * MOST_OUTPUTS];
    const grad_case list[] = {
        {"conv", 4, {N, 24, 6, 6}, {N, 10, 6, 6}, 0, build_conv, ISG_OP_CONV, {10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
        {"conv stride",
         4,
         {N, 32, 6, 6},
         {N, 32, 3, 3},
         0,
         build_conv,
         ISG_OP_CONV,
         {32, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0}},
        {"groups", 4, {N, 8, 5, 5}, {N, 8, 5, 5}, 0, build_conv, ISG_OP_CONV, {8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4, 0}},
        {"depthwise", 4, {N, 8, 5, 5}, {N, 8, 5, 5}, 0, build_conv, ISG_OP_CONV, {8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 8, 0}},
        {"1-d", 3, {N, 12, 9}, {N, 7, 9}, 0, build_conv, ISG_OP_CONV, {7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
        {"residual", 4, {N, 5, 6, 6}, {N, 5, 6, 6}, 0, build_residual, ISG_OP_ADD, {0}},
        {"factored", 4, {N, 16, 5, 5}, {N, 12, 5, 5}, 0, build_factored, ISG_OP_CONV, {2, 6, 3, 1, 0, 1, 1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        float *g[2] = {NULL, NULL};
        size_t n = 0, outputs = 1;
        double forward, backward;
        for (int32_t k = 1; k < list[i].rank; k++) outputs *= (size_t)list[i].y[k];
        step_of(&list[i], ISG_EXECUTION_AUTO, ISG_PRECISION_F32, &g[0], logits[0], &n);
        step_of(&list[i], ISG_EXECUTION_AUTO, ISG_PRECISION_BF16, &g[1], logits[1], &n);
        forward = relative_error(logits[0], logits[1], outputs * (MANY - 1));
        backward = relative_error(g[0], g[1], n);
        print_message("%s: forward %.2g, backward %.2g\n", list[i].name, forward, backward);
        if (!(forward < 0.01 && backward < 0.02)) fail_msg("%s", list[i].name);
        isg_free(g[0]);
        isg_free(g[1]);
    }
}

static void test_factored_equals_generated(void **state)
{
    static float logits[2][MANY * MOST_OUTPUTS];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grad_case c = cases[i];
        if (c.build != build_factored) continue;
        for (int64_t bits = 0; bits < 5; bits += 4) {
            float *g[2] = {NULL, NULL};
            size_t n = 0, outputs = 1;
            c.p[7] = bits;
            for (int32_t k = 1; k < c.rank; k++) outputs *= (size_t)c.y[k];
            step_of(&c, ISG_EXECUTION_GENERATE, ISG_PRECISION_F32, &g[0], logits[0], &n);
            step_of(&c, ISG_EXECUTION_FACTORED, ISG_PRECISION_F32, &g[1], logits[1], &n);
            assert_near(c.name, logits[0], logits[1], outputs * (MANY - 1));
            assert_near(c.name, g[0], g[1], n);
            isg_free(g[0]);
            isg_free(g[1]);
        }
    }
}

static size_t outputs_of(const grad_case *c)
{
    const int64_t *d = c->y[1] ? c->y : c->x;
    size_t n = 1;
    for (int32_t k = 1; k < (c->y_rank ? c->y_rank : c->rank); k++) n *= (size_t)d[k];
    return n;
}

/* All cases on a device against the processor, in both ways of execution. */
static void compare_device(isgi_device *device, isg_precision precision, double limit)
{
    static float logits[2][MANY * MOST_OUTPUTS];
    double worst = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (isg_execution e = ISG_EXECUTION_GENERATE; e <= ISG_EXECUTION_FACTORED; e++) {
            float *g[2] = {NULL, NULL};
            size_t n = 0;
            double forward, backward;
            if (e == ISG_EXECUTION_FACTORED && cases[i].build != build_factored) continue;
            step_on(&cases[i], e, precision, device, 1, &g[0], logits[0], &n);
            step_on(&cases[i], e, ISG_PRECISION_F32, NULL, 1, &g[1], logits[1], &n);
            forward = relative_error(logits[1], logits[0], outputs_of(&cases[i]) * (MANY - 1));
            backward = relative_error(g[1], g[0], n);
            worst = fmax(worst, fmax(forward, backward));
            if (!(forward < limit && backward < 2 * limit)) {
                fail_msg("%s: forward %.2g, backward %.2g", cases[i].name, forward, backward);
            }
            isg_free(g[0]);
            isg_free(g[1]);
        }
    }
    print_message("%s: largest error %.2g\n", device->name, worst);
}

/* Every case: on the plain C device always, on a GPU where there is one. */
static void test_devices(void **state)
{
    isgi_device *d = NULL;
    isg_error err = {0};
    (void)state;
    assert_int_equal(isgi_device_open(&d, "reference", NULL), ISG_OK);
    compare_device(d, ISG_PRECISION_F32, 2e-5);
    isgi_device_close(d);
    if (isgi_device_open(&d, "cuda", &err) != ISG_OK) {
        print_message("no GPU is checked: %s\n", err.message);
        return;
    }
    compare_device(d, ISG_PRECISION_F32, 2e-5);
    /* TF32 has 11 bits: an operand is off by at most 2^-11 of itself */
    compare_device(d, ISG_PRECISION_TF32, 4e-3);
    isgi_device_close(d);
}

/* The same convolution with its kernel in the middle of a 5x5 of zeros, which no fast algorithm takes. */
static int32_t build_embedded(maker *m, const grad_case *c, int32_t x)
{
    const int64_t w[4] = {c->p[0], c->x[1], 5, 5};
    const isg_tensor *small;
    int32_t in[3] = {x, ISG_NO_VALUE, ISG_NO_VALUE}, out,
            plain = constant(m, 4, (int64_t[4]){w[0], w[1], 3, 3}, -0.5f, 0.5f);
    isg_node *nd;
    isgi_rng after;
    if (c->p[11]) in[2] = constant(m, 1, &w[0], -1, 1);
    after = m->rng; /* what follows is drawn as for the plain one */
    in[1] = constant(m, 4, w, 0, 0);
    m->rng = after;
    small = m->g->values[plain].constant;
    for (int64_t i = 0; i < w[0] * w[1] * 9; i++) {
        float *to = (float *)m->g->values[in[1]].constant->data + i / 9 * 25;
        to[(i % 9 / 3 + 1) * 5 + i % 3 + 1] = ((const float *)small->data)[i];
    }
    out = value(m, 4, c->y);
    nd = node(m, ISG_OP_CONV, c->p[11] ? 3 : 2, in, out);
    nd->attr.conv.n = 2;
    nd->attr.conv.groups = 1;
    for (int32_t k = 0; k < 2; k++) {
        nd->attr.conv.kernel[k] = 5;
        nd->attr.conv.stride[k] = c->p[3 + k];
        nd->attr.conv.dilation[k] = 1;
        nd->attr.conv.pads[k] = c->p[5 + k] + 1;
        nd->attr.conv.pads[k + 2] = c->p[7 + k] + 1;
    }
    return out;
}

/* Winograd's algorithm over several chunks, the last one short, against the direct convolution. F(4x4, 3x3) loses about
 * three more bits than a plain sum. */
static void test_winograd(void **state)
{
    static float logits[2][MANY * MOST_OUTPUTS];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grad_case c = cases[i];
        float *g[2] = {NULL, NULL};
        const float *big, *small;
        const size_t kernels = (size_t)c.p[0] * (size_t)c.x[1],
                     outputs = (size_t)c.y[1] * (size_t)c.y[2] * (size_t)c.y[3];
        double forward, backward = 0;
        size_t n[2];
        if (strncmp(c.name, "winograd", 8) || c.build != build_conv) continue;
        step_of(&c, ISG_EXECUTION_AUTO, ISG_PRECISION_F32, &g[0], logits[0], &n[0]);
        c.build = build_embedded;
        step_of(&c, ISG_EXECUTION_AUTO, ISG_PRECISION_F32, &g[1], logits[1], &n[1]);
        forward = relative_error(logits[1], logits[0], outputs * (MANY - 1));
        small = g[0] + (c.p[11] ? (c.p[0] + 15) / 16 * 16 : 0); /* the bias comes first */
        big = g[1] + (small - g[0]);
        for (size_t k = 0; k < kernels; k++) {
            float middle[9];
            for (size_t t = 0; t < 9; t++) middle[t] = big[k * 25 + (t / 3 + 1) * 5 + t % 3 + 1];
            backward = fmax(backward, relative_error(middle, small + k * 9, 9));
        }
        print_message("%s: forward %.2g, worst kernel's gradient %.2g\n", c.name, forward, backward);
        if (!(forward < 5e-6 && backward < 5e-4)) fail_msg("%s", c.name);
        isg_free(g[0]);
        isg_free(g[1]);
    }
}

static void test_loss(void **state)
{
    static const isgi_kd settings[] = {
        {0, 1, 0, 0}, {0, 1, 0.1f, 0}, {0.9f, 3, 0, 0}, {1, 4, 0, 0}, {0.5f, 2, 0.1f, 0}};
    enum { ROWS = 4, CLASSES = 7 };
    float y[ROWS * CLASSES], t[ROWS * CLASSES], g[ROWS * CLASSES];
    const int32_t labels[ROWS] = {0, 6, 3, 3};
    isgi_rng rng;
    (void)state;
    isgi_rng_seed(&rng, SEED, 2);
    isgi_rng_fill_normal(&rng, y, ROWS * CLASSES, 0, 2);
    isgi_rng_fill_normal(&rng, t, ROWS * CLASSES, 0, 2);
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
        isgi_loss_kd(&settings[s], y, t, labels, ROWS, CLASSES, g, NULL, NULL);
        for (size_t i = 0; i < ROWS * CLASSES; i++) {
            const float old = y[i];
            double up, down;
            y[i] = old + 0.01f;
            up = isgi_loss_kd(&settings[s], y, t, labels, ROWS, CLASSES, NULL, NULL, NULL);
            y[i] = old - 0.01f;
            down = isgi_loss_kd(&settings[s], y, t, labels, ROWS, CLASSES, NULL, NULL, NULL);
            y[i] = old;
            assert_true(fabs((up - down) / 0.02 - (double)g[i]) < 2e-4);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),   cmocka_unit_test(test_factored_equals_generated),
        cmocka_unit_test(test_fused_relu),   cmocka_unit_test(test_split_parts),
        cmocka_unit_test(test_other_output), cmocka_unit_test(test_winograd),
        cmocka_unit_test(test_bf16),         cmocka_unit_test(test_devices),
        cmocka_unit_test(test_loss)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
