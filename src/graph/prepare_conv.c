/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical windows: explicit pads, no ceil_mode, zero padding merged into convolutions, BatchNorm folded. */
#include "graph/prepare.h"

#include <math.h>
#include <string.h>

/* The node's input 0 as a shape with the batch set to 1. */
static isg_status input_tensor(isg_tensor *t, const isg_graph *g, int32_t i, isg_error *err)
{
    const isg_value *v = &g->values[g->nodes[i].inputs[0]];
    int64_t dims[ISG_MAX_RANK];
    for (int32_t d = 0; d < v->rank; d++) {
        dims[d] = v->dims[d] == ISG_DIM_BATCH ? 1 : v->dims[d];
        if (dims[d] < 0) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "a dimension of its input is unknown", err);
    }
    return isgi_tensor_shape(t, v->dtype, v->rank < 0 ? 0 : v->rank, dims, err);
}

/* Writes a resolved window back; the end pads grow to cover what ceil_mode adds. */
static void store_window(isg_conv_attr *a, const isgi_window *w, int32_t n)
{
    a->n = n;
    for (int32_t i = 0; i < n; i++) {
        const int d = (int)(3 - n + i);
        const int64_t reach = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
        const int64_t missing = reach - (w->in[d] + w->begin[d] + w->end[d]);
        a->kernel[i] = w->kernel[d];
        a->stride[i] = w->stride[d];
        a->dilation[i] = w->dilation[d];
        a->pads[i] = w->begin[d];
        a->pads[n + i] = w->end[d] + (a->ceil_mode && missing > 0 ? missing : 0);
    }
    a->auto_pad = ISG_PAD_NOTSET;
    a->ceil_mode = 0;
}

/* AveragePool that counts its padding and, by ceil_mode, hangs over it: cells of the padding count, cells beyond do
 * not. An explicit Pad makes the former real, and the rest is then padding that does not count. */
static isg_status split_counted_padding(isg_graph *g, int32_t i, const isgi_window *w, isg_error *err)
{
    const int32_t n = g->values[g->nodes[i].inputs[0]].rank - 2, x = g->nodes[i].inputs[0];
    int64_t pads[2 * ISG_MAX_RANK] = {0};
    int32_t inputs[2] = {x, ISG_NO_VALUE}, padded;
    isg_conv_attr *a;
    isgi_window rest;
    for (int32_t k = 0; k < n; k++) {
        pads[2 + k] = w->begin[3 - n + k];
        pads[n + 2 + 2 + k] = w->end[3 - n + k];
    }
    ISGI_TRY(isgi_add_list(g, "pads", pads, 2 * (n + 2), &inputs[1], err));
    ISGI_TRY(isgi_insert_node(g, i, ISG_OP_PAD, inputs, 2, x, &padded, err));
    for (int32_t k = 0; k < n; k++) g->values[padded].dims[2 + k] += w->begin[3 - n + k] + w->end[3 - n + k];
    g->nodes[i + 1].inputs[0] = padded;
    /* The window is settled here: once the padding is real, ceil_mode would count windows that start in it. */
    a = &g->nodes[i + 1].attr.conv;
    rest = *w;
    for (int d = 0; d < 3; d++) {
        rest.in[d] += w->begin[d] + w->end[d];
        rest.begin[d] = rest.end[d] = 0;
    }
    store_window(a, &rest, n);
    a->count_include_pad = 0;
    return ISG_OK;
}

isg_status isgi_prepare_window(isg_graph *g, int32_t i, isg_error *err)
{
    isg_node *n = &g->nodes[i];
    isg_conv_attr *a = &n->attr.conv;
    const int is_conv = n->op == ISG_OP_CONV;
    isg_tensor x;
    isgi_window w;
    int hangs = 0, padded = 0;
    ISGI_TRY(input_tensor(&x, g, i, err));
    ISGI_TRY(isgi_resolve_window(&w, a, &x, is_conv ? g->values[n->inputs[1]].dims + 2 : NULL, err));
    for (int d = 0; d < 3; d++) {
        hangs |= (w.out[d] - 1) * w.stride[d] + (w.kernel[d] - 1) * w.dilation[d] + 1 > w.in[d] + w.begin[d] + w.end[d];
        padded |= w.begin[d] || w.end[d];
    }
    if (!padded) a->count_include_pad = 0;
    if (n->op == ISG_OP_AVERAGE_POOL && a->count_include_pad && hangs) {
        ISGI_TRY(split_counted_padding(g, i, &w, err));
        return ISG_OK; /* the pool comes again, behind its Pad */
    }
    store_window(a, &w, x.rank - 2);
    return ISG_OK;
}

/* Pads of a constant-zero Pad of spatial axes only; false if it is another one. */
static int spatial_zero_pad(const isg_graph *g, const isg_node *n, int64_t *pads)
{
    const isg_tensor *list = isgi_constant_of(g, n, 1), *value = isgi_constant_of(g, n, 2);
    const int32_t rank = g->values[n->inputs[0]].rank;
    double v = 0.0;
    if (n->op != ISG_OP_PAD || n->attr.pad.mode != ISG_PAD_CONSTANT || !list || rank < 3 || rank > 5) return 0;
    if (isgi_has_input(n, 3) || list->count != 2 * rank) return 0; /* axes have been expanded before */
    if (isgi_has_input(n, 2) && !value) return 0;
    if (value) isgi_read_f64(&v, value, 0, 1);
    if (v != 0.0) return 0;
    isgi_read_i64(pads, list, 0, list->count);
    for (int32_t d = 0; d < 2 * rank; d++)
        if (pads[d] < 0 || (d % rank < 2 && pads[d])) return 0;
    return 1;
}

isg_status isgi_merge_pad(isg_graph *g, int32_t i, isg_error *err)
{
    isg_node *conv = &g->nodes[i], *pad;
    const int32_t x = conv->inputs[0], n = conv->attr.conv.n;
    int64_t pads[2 * ISG_MAX_RANK];
    int32_t at = g->values[x].producer;
    (void)err;
    if (at < 0 || isgi_use_count(g, x) != 1) return ISG_OK;
    pad = &g->nodes[at];
    if (pad->op != ISG_OP_PAD || !spatial_zero_pad(g, pad, pads)) return ISG_OK;
    for (int32_t k = 0; k < n; k++) {
        conv->attr.conv.pads[k] += pads[2 + k];
        conv->attr.conv.pads[n + k] += pads[n + 2 + 2 + k];
    }
    conv->inputs[0] = pad->inputs[0];
    return ISG_OK;
}

/* Factor and shift of each channel: y = factor x + shift. */
static isg_status affine_of(const isg_graph *g, const isg_node *bn, int64_t channels, double *factor, double *shift)
{
    for (int32_t k = 1; k < 5; k++) {
        const isg_tensor *t = isgi_constant_of(g, bn, k);
        if (!t || t->count != channels) return ISG_E_UNSUPPORTED;
    }
    for (int64_t c = 0; c < channels; c++) {
        double p[4];
        for (int32_t k = 0; k < 4; k++) isgi_read_f64(&p[k], isgi_constant_of(g, bn, k + 1), c, 1);
        factor[c] = p[0] / sqrt(p[3] + (double)bn->attr.scalar.alpha);
        shift[c] = p[1] - p[2] * factor[c];
    }
    return ISG_OK;
}

/* New weight and bias constants of `node` with the affine map applied after it. */
static isg_status scale_weights(isg_graph *g, int32_t node, const double *factor, const double *shift, isg_error *err)
{
    const isg_tensor *w = isgi_constant_of(g, &g->nodes[node], 1), *b = isgi_constant_of(g, &g->nodes[node], 2);
    const int64_t co = w->dims[0], row = co ? w->count / co : 0;
    const char *name = g->values[g->nodes[node].inputs[1]].name;
    int32_t inputs[3] = {g->nodes[node].inputs[0], 0, 0};
    isg_tensor *weight = NULL, *bias = NULL;
    isg_status status = isg_tensor_clone(&weight, w, err);
    if (status == ISG_OK) status = isg_tensor_create(&bias, w->dtype, 1, &co, err);
    if (status != ISG_OK) {
        isg_tensor_destroy(weight);
        return status;
    }
    for (int64_t c = 0; c < co; c++) {
        double offset = 0.0;
        for (int64_t k = 0; k < row; k++) {
            double v;
            isgi_read_f64(&v, w, c * row + k, 1);
            v *= factor[c];
            isgi_write_f64(weight, c * row + k, &v, 1);
        }
        if (b) isgi_read_f64(&offset, b, c, 1);
        offset = offset * factor[c] + shift[c];
        isgi_write_f64(bias, c, &offset, 1);
    }
    status = isgi_add_tensor(g, name, weight, &inputs[1], err);
    if (status == ISG_OK)
        status = isgi_add_tensor(g, "bias", bias, &inputs[2], err);
    else
        isg_tensor_destroy(bias);
    return status == ISG_OK ? isgi_set_inputs(&g->nodes[node], inputs, 3, err) : status;
}

/* Folds node i, a BatchNormalization, into the Conv or canonical Gemm that alone feeds it, where that can be done. */
static isg_status fold_one_batchnorm(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *bn = &g->nodes[i];
    const int32_t x = bn->inputs[0], at = x >= 0 ? g->values[x].producer : -1;
    const isg_tensor *w;
    isg_node *from;
    double *factor;
    isg_status status;
    int32_t y;
    if (bn->attr.scalar.training || at < 0 || isgi_use_count(g, x) != 1 || bn->input_count != 5) return ISG_OK;
    from = &g->nodes[at];
    if (from->op != ISG_OP_CONV && (from->op != ISG_OP_GEMM || !isgi_gemm_is_canonical(g, from))) return ISG_OK;
    w = isgi_constant_of(g, from, 1);
    if (!w || w->rank < 2 || !isgi_is_float(w->dtype)) return ISG_OK;
    if (isgi_has_input(from, 2) && !isgi_constant_of(g, from, 2)) return ISG_OK;
    factor = isgi_calloc((size_t)w->dims[0], 2 * sizeof *factor);
    if (!factor) return isgi_nomem(err);
    status = affine_of(g, bn, w->dims[0], factor, factor + w->dims[0]);
    if (status != ISG_OK) { /* not constant: it stays */
        isg_free(factor);
        return ISG_OK;
    }
    status = scale_weights(g, at, factor, factor + w->dims[0], err);
    isg_free(factor);
    if (status != ISG_OK) return status;
    y = g->nodes[i].outputs[0];
    g->nodes[i].outputs[0] = ISG_NO_VALUE;
    g->nodes[at].outputs[0] = y;
    g->values[y].producer = at;
    g->values[x].producer = -1;
    g->nodes[i].input_count = 0;
    return ISG_OK;
}

isg_status isg_graph_fold_batchnorm(isg_graph *g, isg_error *err)
{
    isg_status status = isg_graph_validate(g, err);
    for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++)
        if (g->nodes[i].op == ISG_OP_BATCH_NORM && g->nodes[i].outputs[0] >= 0) status = fold_one_batchnorm(g, i, err);
    return status == ISG_OK ? isgi_remove_dead(g, err) : status;
}
