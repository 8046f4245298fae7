/* SPDX-License-Identifier: Apache-2.0 */
/* Factored weights as chains of standard operators (SPEC section 2 without ever making W). */
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_export.h"

/* One compressed layer while its chain is written. b, u, v: quantised numbers in the stored order, NULL where off. */
typedef struct chain {
    isgi_onnx_export *x;
    const isg_node *node;
    const isg_factors *f;
    int32_t spatial;
    int64_t kernel[3];
    float *b, *u, *v;
} chain;

static float *chain_quantised(chain *c, const isg_factor *factor)
{
    isgi_onnx_build *build = &c->x->build;
    float *y;
    if (!factor->rows) return NULL;
    y = isgi_onnx_build_alloc(build, (size_t)factor->rows * factor->cols * sizeof *y);
    if (y) build->status = isg_factor_quantise(y, factor, build->err);
    return y;
}

/* Weights [out][in] with a kernel of ones: element (o, i) is src[i * out_stride + o]. */
static const char *chain_matrix(chain *c, const char *suffix, const float *src, uint32_t out, uint32_t in)
{
    const char *name = isgi_onnx_export_name(c->x, suffix);
    const int64_t dims[5] = {out, in, 1, 1, 1};
    float *w = isgi_onnx_build_floats(&c->x->build, name, 2 + c->spatial, dims);
    size_t o, i;
    for (o = 0; w && o < out; o++)
        for (i = 0; i < in; i++) w[o * in + i] = src[i * out + o];
    return name;
}

/* A convolution or, without spatial axes, a Gemm. `bias` may be "". */
static void chain_linear(chain *c, const char *name, const char *input, const char *weight, const char *bias,
                         const char *output)
{
    static const int64_t ones[3] = {1, 1, 1};
    const char *inputs[3];
    IsgiOnnx__NodeProto *node;
    inputs[0] = input;
    inputs[1] = weight;
    inputs[2] = bias;
    node = isgi_onnx_build_node(&c->x->build, c->spatial ? "Conv" : "Gemm", name, inputs, bias[0] ? 3 : 2, &output, 1);
    if (!c->spatial)
        isgi_onnx_build_int(&c->x->build, node, "transB", 1);
    else
        isgi_onnx_build_ints(&c->x->build, node, "kernel_shape", ones, (size_t)c->spatial);
}

/* The convolution that carries the layer's strides and pads. */
static void chain_spatial(chain *c, const char *name, const char *input, const char *weight, const char *bias,
                          const char *output, int64_t groups)
{
    const char *inputs[3];
    IsgiOnnx__NodeProto *node;
    inputs[0] = input;
    inputs[1] = weight;
    inputs[2] = bias;
    node = isgi_onnx_build_node(&c->x->build, "Conv", name, inputs, bias[0] ? 3 : 2, &output, 1);
    isgi_onnx_export_conv_attr(c->x, node, &c->node->attr.conv, c->spatial, c->kernel, groups);
}

/* Depthwise weights [bi*bo, 1, kernel]: channel j of tap t is basis[t][j]. */
static const char *chain_basis(chain *c)
{
    const uint32_t channels = c->f->bi * c->f->bo;
    const char *name = isgi_onnx_export_name(c->x, "basis");
    int64_t dims[5] = {channels, 1, 0, 0, 0};
    float *w;
    size_t j, t;
    memcpy(dims + 2, c->kernel, sizeof c->kernel);
    w = isgi_onnx_build_floats(&c->x->build, name, 2 + c->spatial, dims);
    for (j = 0; w && j < channels; j++)
        for (t = 0; t < c->f->taps; t++) w[j * c->f->taps + t] = c->b[t * channels + j];
    return name;
}

/* Sum over the bi parts of the channels. */
static void chain_sum(chain *c, const char *input, const char *output)
{
    const char **parts = isgi_onnx_build_alloc(&c->x->build, c->f->bi * sizeof *parts);
    const char *part = isgi_onnx_export_name(c->x, "part");
    IsgiOnnx__NodeProto *node;
    uint32_t i;
    if (!parts) return;
    for (i = 0; i < c->f->bi; i++) parts[i] = isgi_onnx_build_name(&c->x->build, "%s_%u", part, (unsigned)i);
    node =
        isgi_onnx_build_node(&c->x->build, "Split", isgi_onnx_export_name(c->x, "split"), &input, 1, parts, c->f->bi);
    isgi_onnx_build_int(&c->x->build, node, "axis", 1);
    (void)isgi_onnx_build_node(&c->x->build, "Sum", isgi_onnx_export_name(c->x, "sum"), parts, c->f->bi, &output, 1);
}

/* The bias of a level-1-only layer, on the first of the bi parts; "" when there is none. */
static const char *chain_part_bias(chain *c)
{
    const isg_tensor *bias;
    const char *name;
    int64_t dims[1];
    float *data;
    if (c->node->input_count < 3 || c->node->inputs[2] < 0) return "";
    if (c->f->bi == 1) return isgi_onnx_export_operand(c->x, 2);
    bias = c->x->graph->values[c->node->inputs[2]].constant;
    name = isgi_onnx_export_name(c->x, "bias");
    dims[0] = (int64_t)c->f->bi * c->f->bo;
    data = isgi_onnx_build_floats(&c->x->build, name, 1, dims);
    if (data) memcpy(data, bias->data, (size_t)bias->count * sizeof *data);
    return name;
}

/* y = V (sum_i b_i depthwise (U_i x)) + bias. */
static void chain_both_levels(chain *c)
{
    const isg_factors *f = c->f;
    const char *output = isgi_onnx_export_output(c->x, 0);
    const char *first = isgi_onnx_export_name(c->x, "u_out"), *wide = isgi_onnx_export_name(c->x, "basis_out");
    const char *narrow = f->bi > 1 ? isgi_onnx_export_name(c->x, "sum_out") : wide;
    const char *last_bias = isgi_onnx_export_operand(c->x, 2), *u = chain_matrix(c, "u", c->u, f->bi * f->bo, f->ci);
    const char *part_bias = f->level2 ? "" : chain_part_bias(c);
    if (!f->level2) {
        if (f->bi > 1)
            narrow = output;
        else
            wide = output;
    }
    chain_linear(c, isgi_onnx_export_name(c->x, "u_conv"), isgi_onnx_export_operand(c->x, 0), u, "", first);
    chain_spatial(c, isgi_onnx_export_name(c->x, "basis_conv"), first, chain_basis(c), part_bias, wide,
                  (int64_t)f->bi * f->bo);
    if (f->bi > 1) chain_sum(c, wide, narrow);
    if (f->level2) chain_linear(c, c->node->name, narrow, chain_matrix(c, "v", c->v, f->co, f->bo), last_bias, output);
}

/* W = C . v with C [taps*ci][bo] whole: a convolution to bo channels, then the 1x1 with V. */
static void chain_level2(chain *c, const float *whole)
{
    const isg_factors *f = c->f;
    const char *output = isgi_onnx_export_output(c->x, 0), *middle = isgi_onnx_export_name(c->x, "basis_out");
    const char *bias = isgi_onnx_export_operand(c->x, 2);
    const char *weight = isgi_onnx_export_name(c->x, "basis");
    int64_t dims[5] = {f->bo, f->ci, 0, 0, 0};
    float *w;
    memcpy(dims + 2, c->kernel, sizeof c->kernel);
    w = isgi_onnx_build_floats(&c->x->build, weight, 2 + c->spatial, dims);
    if (w) isg_weight_hwio_to_oihw(w, whole, f->bo, f->ci, f->taps);
    if (c->spatial)
        chain_spatial(c, isgi_onnx_export_name(c->x, "basis_conv"), isgi_onnx_export_operand(c->x, 0), weight, "",
                      middle, 1);
    else
        chain_linear(c, isgi_onnx_export_name(c->x, "basis_gemm"), isgi_onnx_export_operand(c->x, 0), weight, "",
                     middle);
    chain_linear(c, c->node->name, middle, chain_matrix(c, "v", c->v, f->co, f->bo), bias, output);
}

/* C of a one-tap layer: a channel mixing that both levels share, [ci][bo]. */
static float *chain_one_tap(chain *c)
{
    const uint32_t bi = c->f->bi, bo = c->f->bo;
    float *whole = isgi_onnx_build_alloc(&c->x->build, (size_t)c->f->ci * bo * sizeof *whole);
    uint32_t row, o, i;
    for (row = 0; whole && row < c->f->ci; row++)
        for (o = 0; o < bo; o++) {
            float sum = 0.0f;
            for (i = 0; i < bi; i++) sum += c->b[i * bo + o] * c->u[((size_t)row * bi + i) * bo + o];
            whole[(size_t)row * bo + o] = sum;
        }
    return whole;
}

/* Fills what a chain needs to know; 0 where the dense form must be used. */
static int chain_open(chain *c, isgi_onnx_export *x)
{
    const isg_node *n = &x->graph->nodes[x->node];
    const isg_value *w, *bias;
    int32_t i;
    memset(c, 0, sizeof *c);
    if ((n->op != ISG_OP_CONV && n->op != ISG_OP_GEMM) || n->input_count < 2 || n->inputs[1] < 0) return 0;
    w = &x->graph->values[n->inputs[1]];
    bias = n->input_count > 2 && n->inputs[2] >= 0 ? &x->graph->values[n->inputs[2]] : NULL;
    if (!w->factors || w->factors->depthwise || (bias && !bias->constant)) return 0;
    if (bias && (bias->dtype != ISG_DT_F32 || bias->constant->count != (int64_t)w->factors->co)) return 0;
    c->x = x;
    c->node = n;
    c->f = w->factors;
    if (!c->f->level2 && (!c->f->level1 || c->f->taps == 1)) return 0;
    if (n->op == ISG_OP_GEMM) {
        const isg_gemm_attr *m = &n->attr.gemm;
        return m->alpha == 1.0f && m->beta == 1.0f && !m->trans_a && m->trans_b;
    }
    if (n->attr.conv.groups != 1 || w->rank < 3 || w->rank > 5) return 0;
    c->spatial = w->rank - 2;
    for (i = 0; i < c->spatial; i++) c->kernel[i] = w->dims[2 + i];
    return 1;
}

int isgi_onnx_export_chain(isgi_onnx_export *x)
{
    chain c;
    if (!chain_open(&c, x)) return 0;
    c.b = chain_quantised(&c, &c.f->basis);
    c.u = c.f->level1 ? chain_quantised(&c, &c.f->u) : NULL;
    c.v = c.f->level2 ? chain_quantised(&c, &c.f->v) : NULL;
    if (x->build.status != ISG_OK) return 1;
    if (c.f->level1 && c.f->taps > 1) {
        chain_both_levels(&c);
    } else {
        const float *whole = c.f->level1 ? chain_one_tap(&c) : c.b;
        if (whole) chain_level2(&c, whole);
    }
    return 1;
}
