/* SPDX-License-Identifier: Apache-2.0 */
/* Constant weights against the nodes that use them, before anything computes with them. */
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_import.h"

#define MAX_DIM ((int64_t)1 << 24)

static const isg_value *check_operand(const isgi_onnx_import *in, const isg_node *node, int32_t k)
{
    const isg_value *v;
    if (k >= node->input_count || node->inputs[k] < 0) return NULL;
    v = &in->graph->values[node->inputs[k]];
    return v->constant ? v : NULL;
}

static const char *check_conv(const isgi_onnx_import *in, const isg_node *node)
{
    const isg_conv_attr *c = &node->attr.conv;
    const isg_value *w = check_operand(in, node, 1), *b = check_operand(in, node, 2);
    int32_t i;
    if (!w) return NULL;
    if (w->rank < 3 || w->rank > 5) return "weight is not of rank 3 to 5";
    if (c->n && w->rank != c->n + 2) return "weight has another rank than the input";
    for (i = 0; i < w->rank; i++)
        if (w->dims[i] < 1 || w->dims[i] > MAX_DIM) return "weight dimension is zero or larger than 2^24";
    for (i = 0; i < c->n; i++)
        if (c->kernel[i] && c->kernel[i] != w->dims[2 + i]) return "kernel_shape is not that of the weight";
    if (c->groups < 1) return NULL; /* said already */
    if (w->dims[0] % c->groups) return "group does not divide the output channels";
    if (b && (b->rank != 1 || b->dims[0] != w->dims[0])) return "bias is not one number an output channel";
    if (b && b->dtype != w->dtype) return "bias and weight have different element types";
    i = node->inputs[0];
    if (i >= 0 && in->graph->values[i].rank == w->rank) {
        const int64_t channels = in->graph->values[i].dims[1];
        if (channels > 0 && (channels % c->groups || channels / c->groups != w->dims[1]))
            return "weight does not fit the input channels and group";
    }
    return NULL;
}

static const char *check_gemm(const isgi_onnx_import *in, const isg_node *node)
{
    const isg_value *w = check_operand(in, node, 1), *b = check_operand(in, node, 2);
    int64_t columns;
    if (!w) return NULL;
    if (w->rank != 2) return "weight is not a matrix";
    if (w->dims[0] < 1 || w->dims[1] < 1 || w->dims[0] > MAX_DIM || w->dims[1] > MAX_DIM)
        return "weight dimension is zero or larger than 2^24";
    columns = node->attr.gemm.trans_b ? w->dims[0] : w->dims[1];
    if (b && b->rank > 2) return "C has more than two dimensions";
    if (b && b->rank > 0 && b->dims[b->rank - 1] != 1 && b->dims[b->rank - 1] != columns)
        return "C does not fit the columns of the result";
    return NULL;
}

static const char *check_batch_norm(const isgi_onnx_import *in, const isg_node *node)
{
    const isg_value *first = check_operand(in, node, 1);
    int32_t k;
    for (k = 1; k < 5; k++) {
        const isg_value *v = check_operand(in, node, k);
        if (v && (v->rank != 1 || (first && v->dims[0] != first->dims[0])))
            return "scale, bias, mean and variance do not have one length";
    }
    return NULL;
}

isg_status isgi_onnx_check_weights(isgi_onnx_import *in, int32_t index, const isg_node *node)
{
    const char *reason = NULL;
    if (node->op == ISG_OP_CONV)
        reason = check_conv(in, node);
    else if (node->op == ISG_OP_GEMM)
        reason = check_gemm(in, node);
    else if (node->op == ISG_OP_BATCH_NORM)
        reason = check_batch_norm(in, node);
    if (!reason) return ISG_OK;
    return isgi_onnx_problem(in, index, in->model->graph->node[index], ISG_E_FORMAT, "", "%s", reason);
}
