/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs built by hand for the tests of packing: already in prepared form, seeded weights. */
#ifndef INSITU_TESTS_PACK_GRAPHS_H
#define INSITU_TESTS_PACK_GRAPHS_H

#include <insitu/graph.h>
#include <string.h>

#include "host/rng.h"

typedef struct maker {
    isg_graph *g;
    isgi_rng rng;
} maker;

static void maker_fill(maker *m, float *dst, size_t n, float std)
{
    isgi_rng_fill_normal(&m->rng, dst, n, 0.0f, std);
}

static int32_t maker_value(maker *m, const char *name, int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d,
                           int64_t e)
{
    const int64_t dims[5] = {a, b, c, d, e};
    const int32_t v = isg_graph_add_value(m->g, name, ISG_DT_F32, rank, dims);
    assert_true(v >= 0);
    return v;
}

static int32_t maker_constant(maker *m, const char *name, int32_t rank, const int64_t *dims, float std)
{
    isg_tensor *t;
    int32_t v;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_F32, rank, dims, NULL), ISG_OK);
    maker_fill(m, t->data, (size_t)t->count, std);
    v = isg_graph_add_constant(m->g, name, t);
    assert_true(v >= 0);
    return v;
}

static int32_t maker_integers(maker *m, const char *name, int64_t count, const int64_t *data)
{
    isg_tensor *t;
    int32_t v;
    assert_int_equal(isg_tensor_create(&t, ISG_DT_I64, 1, &count, NULL), ISG_OK);
    memcpy(t->data, data, (size_t)count * sizeof *data);
    v = isg_graph_add_constant(m->g, name, t);
    assert_true(v >= 0);
    return v;
}

static isg_node *maker_node(maker *m, isg_op op, const char *name, const int32_t *in, int32_t count, int32_t out)
{
    const int32_t n = isg_graph_add_node(m->g, op, name, in, count, &out, 1);
    assert_true(n >= 0);
    return &m->g->nodes[n];
}

/* A copy of `like` under a new name, made by a node with one input. */
static int32_t maker_unary(maker *m, isg_op op, const char *name, int32_t x)
{
    const isg_value v = m->g->values[x]; /* a copy: adding a value moves the others */
    const int32_t y = isg_graph_add_value(m->g, name, ISG_DT_F32, v.rank, v.dims);
    assert_true(y >= 0);
    maker_node(m, op, name, &x, 1, y);
    return y;
}

static void maker_quantise(isg_factor *f, uint8_t bits, uint8_t family, uint8_t per_column)
{
    const isg_quant_spec spec = {bits, family, per_column, 32};
    if (f->rows == 0) return;
    f->quant = spec;
    if (family == ISG_QUANT_MIDTREAD || family == ISG_QUANT_MIDRISE) {
        assert_int_equal(isg_factor_fit_scale(f, NULL), ISG_OK);
    }
}

static int32_t maker_factors(maker *m, const char *name, int32_t rank, const int64_t *dims, uint32_t bi, uint32_t bo,
                             int depthwise, uint8_t family, const uint8_t bits[3])
{
    const uint32_t co = (uint32_t)dims[0], ci = (uint32_t)dims[1], taps = rank == 4 ? (uint32_t)(dims[2] * dims[3]) : 1;
    const isg_levels l = isg_factor_levels(depthwise ? co : ci, depthwise ? 1 : co, taps, bi, bo, depthwise, 0);
    isg_factors *f;
    int32_t v;
    assert_int_equal(isg_factors_create(&f, taps, depthwise ? co : ci, depthwise ? 1 : co, l, depthwise, NULL), ISG_OK);
    maker_fill(m, f->basis.master, (size_t)f->basis.rows * f->basis.cols, 0.4f);
    if (f->u.rows) maker_fill(m, f->u.master, (size_t)f->u.rows * f->u.cols, 0.4f);
    if (f->v.rows) maker_fill(m, f->v.master, (size_t)f->v.rows * f->v.cols, 0.4f);
    maker_quantise(&f->basis, bits[0], family, family != ISG_QUANT_PAPER);
    maker_quantise(&f->u, bits[1], family, 0);
    maker_quantise(&f->v, bits[2], family, 0);
    v = isg_graph_add_value(m->g, name, ISG_DT_F32, rank, dims);
    assert_true(v >= 0);
    m->g->values[v].factors = f;
    return v;
}

/* y = conv(x), square kernel, "same" padding for odd kernels. w: a weight value. */
static int32_t maker_conv(maker *m, const char *name, int32_t x, int32_t w, int bias, int64_t stride, int64_t groups)
{
    const isg_value *xv = &m->g->values[x], *wv = &m->g->values[w];
    const int64_t co = wv->dims[0], k = wv->dims[2], pad = k / 2, h = (xv->dims[2] + 2 * pad - k) / stride + 1;
    int32_t in[3] = {x, w, -1}, y;
    char text[64];
    isg_node *n;
    snprintf(text, sizeof text, "%s.y", name);
    y = maker_value(m, text, 4, ISG_DIM_BATCH, co, h, h, 0);
    snprintf(text, sizeof text, "%s.b", name);
    if (bias) in[2] = maker_constant(m, text, 1, &co, 0.1f);
    n = maker_node(m, ISG_OP_CONV, name, in, bias ? 3 : 2, y);
    n->attr.conv.n = 2;
    n->attr.conv.groups = groups;
    for (int i = 0; i < 2; i++) {
        n->attr.conv.kernel[i] = k;
        n->attr.conv.stride[i] = stride;
        n->attr.conv.pads[i] = n->attr.conv.pads[i + 2] = pad;
    }
    return y;
}

static int32_t maker_pool(maker *m, isg_op op, const char *name, int32_t x, int64_t k, int64_t s, int64_t pad, int ceil,
                          int64_t out)
{
    const isg_value *v = &m->g->values[x];
    const int32_t y = maker_value(m, name, 4, ISG_DIM_BATCH, v->dims[1], out, out, 0);
    isg_node *n = maker_node(m, op, name, &x, 1, y);
    n->attr.conv.n = 2;
    n->attr.conv.ceil_mode = ceil;
    n->attr.conv.count_include_pad = op == ISG_OP_AVERAGE_POOL;
    for (int i = 0; i < 2; i++) {
        n->attr.conv.kernel[i] = k;
        n->attr.conv.stride[i] = s;
        n->attr.conv.pads[i] = n->attr.conv.pads[i + 2] = pad;
    }
    return y;
}

/* Convolutions of every storage with fused and separate activations, ending in 8 channels of 8 x 8. */
static int32_t maker_trunk(maker *m, int32_t x)
{
    static const uint8_t bits[3] = {3, 6, 5};
    const int64_t d1[4] = {8, 3, 3, 3}, d2[4] = {8, 8, 3, 3}, d3[4] = {8, 1, 3, 3}, d4[4] = {8, 4, 1, 1}, c = 8;
    int32_t in[5], a, b, s;
    isg_node *n;
    a = maker_conv(m, "stem", x, maker_constant(m, "stem.w", 4, d1, 0.3f), 1, 1, 1);
    a = maker_unary(m, ISG_OP_RELU, "stem.relu", a);
    b = maker_conv(m, "both", a, maker_factors(m, "both.w", 4, d2, 2, 5, 0, ISG_QUANT_MIDTREAD, bits), 1, 1, 1);
    s = maker_unary(m, ISG_OP_SIGMOID, "gate", b);
    in[0] = b;
    in[1] = s;
    b = maker_value(m, "silu", 4, ISG_DIM_BATCH, 8, 8, 8, 0);
    maker_node(m, ISG_OP_MUL, "silu", in, 2, b);
    in[0] = a;
    in[1] = b;
    a = maker_value(m, "sum", 4, ISG_DIM_BATCH, 8, 8, 8, 0);
    maker_node(m, ISG_OP_ADD, "sum", in, 2, a);
    in[0] = maker_unary(m, ISG_OP_RELU, "sum.relu", a);
    for (int k = 1; k <= 4; k++) in[k] = maker_constant(m, "bn", 1, &c, 0.5f);
    for (int k = 0; k < 8; k++) {
        float *variance = (float *)m->g->values[in[4]].constant->data + k;
        *variance = *variance * *variance + 0.5f;
    }
    a = maker_value(m, "bn.y", 4, ISG_DIM_BATCH, 8, 8, 8, 0);
    maker_node(m, ISG_OP_BATCH_NORM, "bn", in, 5, a);
    a = maker_unary(m, ISG_OP_LEAKY_RELU, "bn.leaky", a);
    a = maker_conv(m, "dw", a, maker_constant(m, "dw.w", 4, d3, 0.4f), 1, 1, 8);
    a = maker_unary(m, ISG_OP_HARD_SWISH, "dw.swish", a);
    a = maker_conv(m, "dwgen", a, maker_factors(m, "dwgen.w", 4, d3, 2, 0, 1, ISG_QUANT_MIDRISE, bits), 0, 1, 8);
    a = maker_unary(m, ISG_OP_CLIP, "dwgen.clip", a);
    n = &m->g->nodes[m->g->node_count - 1];
    n->attr.scalar.lo = -1.0f;
    n->attr.scalar.hi = 6.0f;
    a = maker_conv(m, "one", a, maker_factors(m, "one.w", 4, d2, 0, 4, 0, ISG_QUANT_PAPER, bits), 1, 1, 1);
    return maker_conv(m, "grouped", a, maker_constant(m, "grouped.w", 4, d4, 0.4f), 0, 1, 2);
}

/* Everything that moves data about, from 8 channels of 8 x 8 to 12 of 3 x 3. */
static int32_t maker_moves(maker *m, int32_t x)
{
    const int64_t five[5] = {0, 2, 4, 8, 8}, four[4] = {0, 8, 8, 8}, pads[8] = {0, 0, 1, 0, 0, 0, 0, 2};
    const int64_t starts[2] = {6, 0}, ends[2] = {-1000, 8}, axes[2] = {2, 3}, steps[2] = {-2, 1}, c[4] = {1, 12, 1, 1};
    int32_t in[5], out[2], a;
    isg_node *n;
    in[0] = x;
    in[1] = maker_integers(m, "shape5", 5, five);
    a = maker_value(m, "five", 5, ISG_DIM_BATCH, 2, 4, 8, 8);
    maker_node(m, ISG_OP_RESHAPE, "five", in, 2, a);
    in[0] = a;
    a = maker_value(m, "swap", 5, ISG_DIM_BATCH, 4, 2, 8, 8);
    n = maker_node(m, ISG_OP_TRANSPOSE, "swap", in, 1, a);
    n->attr.axes.n = 5;
    for (int i = 0; i < 5; i++) n->attr.axes.axes[i] = i == 1 ? 2 : i == 2 ? 1 : i;
    in[0] = a;
    in[1] = maker_integers(m, "shape4", 4, four);
    a = maker_value(m, "shuffled", 4, ISG_DIM_BATCH, 8, 8, 8, 0);
    maker_node(m, ISG_OP_RESHAPE, "shuffled", in, 2, a);
    out[0] = maker_value(m, "left", 4, ISG_DIM_BATCH, 2, 8, 8, 0);
    out[1] = maker_value(m, "right", 4, ISG_DIM_BATCH, 6, 8, 8, 0);
    in[0] = a;
    in[1] = maker_integers(m, "sizes", 2, (const int64_t[]){2, 6});
    assert_true(isg_graph_add_node(m->g, ISG_OP_SPLIT, "split", in, 2, out, 2) >= 0);
    m->g->nodes[m->g->node_count - 1].attr.axes.axes[0] = 1;
    in[0] = out[1];
    in[1] = out[0];
    in[2] = out[1];
    a = maker_value(m, "joined", 4, ISG_DIM_BATCH, 14, 8, 8, 0);
    n = maker_node(m, ISG_OP_CONCAT, "joined", in, 3, a);
    n->attr.axes.axes[0] = 1;
    in[0] = a;
    in[1] = maker_integers(m, "s", 1, (const int64_t[]){2});
    in[2] = maker_integers(m, "e", 1, (const int64_t[]){INT64_MAX});
    in[3] = maker_integers(m, "x", 1, (const int64_t[]){1});
    a = maker_value(m, "tail", 4, ISG_DIM_BATCH, 12, 8, 8, 0);
    maker_node(m, ISG_OP_SLICE, "tail", in, 4, a);
    in[0] = a;
    in[1] = maker_integers(m, "starts", 2, starts);
    in[2] = maker_integers(m, "ends", 2, ends);
    in[3] = maker_integers(m, "axes", 2, axes);
    in[4] = maker_integers(m, "steps", 2, steps);
    a = maker_value(m, "reversed", 4, ISG_DIM_BATCH, 12, 4, 8, 0);
    maker_node(m, ISG_OP_SLICE, "reversed", in, 5, a);
    in[0] = a;
    in[1] = maker_integers(m, "pads", 8, pads);
    a = maker_value(m, "padded", 4, ISG_DIM_BATCH, 12, 5, 10, 0);
    n = maker_node(m, ISG_OP_PAD, "padded", in, 2, a);
    n->attr.pad.mode = ISG_PAD_EDGE;
    in[0] = a;
    in[1] = maker_constant(m, "factor", 4, c, 1.0f);
    a = maker_value(m, "scaled", 4, ISG_DIM_BATCH, 12, 5, 10, 0);
    maker_node(m, ISG_OP_MUL, "scaled", in, 2, a);
    in[0] = a;
    a = maker_value(m, "corner", 4, ISG_DIM_BATCH, 12, 5, 5, 0);
    in[1] = maker_integers(m, "s", 1, (const int64_t[]){5});
    in[2] = maker_integers(m, "e", 1, (const int64_t[]){10});
    in[3] = maker_integers(m, "x", 1, (const int64_t[]){3});
    maker_node(m, ISG_OP_SLICE, "corner", in, 4, a);
    a = maker_pool(m, ISG_OP_MAX_POOL, "max", a, 2, 1, 0, 0, 4);
    return maker_pool(m, ISG_OP_AVERAGE_POOL, "average", a, 3, 2, 1, 1, 3);
}

/* A net that uses every operation the format has; two outputs. */
static isg_graph *everything_graph(uint64_t seed)
{
    static const uint8_t bits[3] = {8, 8, 8};
    const int64_t fc[2] = {10, 12}, flat[2] = {0, 12}, ten = 10;
    int32_t in[3], a, y;
    isg_node *n;
    maker m;
    isgi_rng_seed(&m.rng, seed, 0);
    assert_int_equal(isg_graph_create(&m.g, NULL), ISG_OK);
    a = maker_value(&m, "image", 4, ISG_DIM_BATCH, 3, 8, 8, 0);
    assert_int_equal(isg_graph_add_input(m.g, a, NULL), ISG_OK);
    a = maker_moves(&m, maker_trunk(&m, a));
    y = maker_value(&m, "mean", 2, ISG_DIM_BATCH, 12, 0, 0, 0);
    n = maker_node(&m, ISG_OP_REDUCE_MEAN, "mean", &a, 1, y);
    n->attr.axes.n = 2;
    n->attr.axes.axes[0] = 2;
    n->attr.axes.axes[1] = 3;
    n->attr.axes.keepdims = 0;
    assert_int_equal(isg_graph_add_output(m.g, y, NULL), ISG_OK);
    y = maker_value(&m, "pooled", 4, ISG_DIM_BATCH, 12, 1, 1, 0);
    maker_node(&m, ISG_OP_GLOBAL_AVERAGE_POOL, "pooled", &a, 1, y);
    in[0] = y;
    in[1] = maker_integers(&m, "flat.shape", 2, flat);
    y = maker_value(&m, "flat", 2, ISG_DIM_BATCH, 12, 0, 0, 0);
    maker_node(&m, ISG_OP_RESHAPE, "flat", in, 2, y);
    in[0] = y;
    in[1] = maker_factors(&m, "fc.w", 2, fc, 0, 0, 0, ISG_QUANT_MIDTREAD, bits);
    in[2] = maker_constant(&m, "fc.b", 1, &ten, 0.2f);
    y = maker_value(&m, "logits", 2, ISG_DIM_BATCH, 10, 0, 0, 0);
    n = maker_node(&m, ISG_OP_GEMM, "fc", in, 3, y);
    n->attr.gemm.trans_b = 1;
    y = maker_unary(&m, ISG_OP_SOFTMAX, "probabilities", y);
    m.g->nodes[m.g->node_count - 1].attr.axes.axes[0] = 1;
    assert_int_equal(isg_graph_add_output(m.g, y, NULL), ISG_OK);
    assert_int_equal(isg_graph_validate(m.g, NULL), ISG_OK);
    return m.g;
}

#endif
