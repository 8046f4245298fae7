/* SPDX-License-Identifier: Apache-2.0 */
/* What needs shapes: the user's --shape, and the Softmax of old opsets. */
#include <string.h>

#include "graph/infer.h"
#include "host/alloc.h"
#include "onnx/onnx_import.h"

#define MAX_DIM ((int64_t)1 << 24)

/* "1x3x?x224": '?' leaves a dimension as it is. Number of dims, or -1. */
static int32_t shape_parse_dims(const char *text, size_t length, int64_t *dims)
{
    int32_t n = 0;
    size_t i = 0;
    while (i < length && n < ISG_MAX_RANK) {
        int64_t v = 0;
        const size_t start = i;
        if (text[i] == '?') {
            v = ISG_DIM_UNKNOWN;
            i++;
        } else {
            for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
                v = v * 10 + (text[i] - '0');
                if (v > MAX_DIM) return -1;
            }
            if (v < 1) return -1;
        }
        if (i == start) return -1;
        dims[n++] = v;
        if (i == length) return n;
        if (text[i++] != 'x') return -1;
    }
    return -1;
}

static isg_status shape_apply_one(isg_graph *g, const char *item, size_t length, isg_error *err)
{
    const char *equals = memchr(item, '=', length);
    const size_t name_length = equals ? (size_t)(equals - item) : 0;
    int64_t dims[ISG_MAX_RANK] = {0};
    isg_value *v = NULL;
    int32_t i, n;
    if (!equals) return isgi_fail(err, ISG_E_ARG, "shape '%.*s' is not NAME=DxDx...", (int)length, item);
    for (i = 0; i < g->input_count && !v; i++) {
        isg_value *candidate = &g->values[g->inputs[i]];
        if (strlen(candidate->name) == name_length && !memcmp(candidate->name, item, name_length)) v = candidate;
    }
    if (!v) return isgi_fail(err, ISG_E_ARG, "shape for '%.*s', which is not an input", (int)name_length, item);
    n = shape_parse_dims(equals + 1, length - name_length - 1, dims);
    if (n < 0) return isgi_fail(err, ISG_E_ARG, "shape '%.*s' is not NAME=DxDx...", (int)length, item);
    if (v->rank >= 0 && v->rank != n)
        return isgi_fail(err, ISG_E_ARG, "shape '%.*s' has %d dimensions, the model says %d", (int)length, item, (int)n,
                         (int)v->rank);
    for (i = 0; i < n; i++) {
        if (v->rank >= 0 && v->dims[i] >= 0 && dims[i] >= 0 && v->dims[i] != dims[i])
            return isgi_fail(err, ISG_E_ARG, "shape '%.*s' contradicts dimension %d of the model", (int)length, item,
                             (int)i);
        if (v->rank < 0 || dims[i] >= 0) v->dims[i] = dims[i] < 0 && i == 0 ? ISG_DIM_BATCH : dims[i];
    }
    v->rank = n;
    return ISG_OK;
}

isg_status isgi_onnx_apply_shape(isg_graph *g, const char *shape, isg_error *err)
{
    while (*shape) {
        const size_t length = strcspn(shape, ",");
        const isg_status status = shape_apply_one(g, shape, length < 1024 ? length : 1024, err);
        if (status != ISG_OK) return status;
        shape += length;
        if (*shape == ',') shape++;
    }
    return ISG_OK;
}

/* Rank of a value as far as the operators before it fix it, or -1. */
static int32_t shape_rank(const isg_graph *g, int32_t value)
{
    int steps;
    for (steps = 0; steps < 64 && value >= 0; steps++) {
        const isg_value *v = &g->values[value];
        const isg_node *n;
        if (v->rank >= 0) return v->rank;
        if (v->producer < 0) return -1;
        n = &g->nodes[v->producer];
        switch (n->op) {
        case ISG_OP_GEMM:
        case ISG_OP_FLATTEN: return 2;
        case ISG_OP_RESHAPE:
            if (n->input_count < 2 || n->inputs[1] < 0 || !g->values[n->inputs[1]].constant) return -1;
            return (int32_t)g->values[n->inputs[1]].constant->count;
        case ISG_OP_CONV:
        case ISG_OP_MAX_POOL:
        case ISG_OP_AVERAGE_POOL:
            if (n->attr.conv.n) return n->attr.conv.n + 2;
            break;
        case ISG_OP_RELU:
        case ISG_OP_CLIP:
        case ISG_OP_IDENTITY:
        case ISG_OP_DROPOUT:
        case ISG_OP_BATCH_NORM:
        case ISG_OP_SIGMOID:
        case ISG_OP_GLOBAL_AVERAGE_POOL: break;
        default: return -1;
        }
        value = n->inputs[0];
    }
    return -1;
}

/* y = Reshape(Softmax(Flatten(x, axis), last axis), Shape(x)), in place of node `index`. */
static isg_status softmax_by_matrix(isgi_onnx_import *in, int32_t index, int64_t axis)
{
    isg_graph *g = in->graph;
    static const char *const suffixes[3] = {"shape", "matrix", "softmax"};
    const int32_t x = g->nodes[index].inputs[0], y = g->nodes[index].outputs[0];
    int32_t fresh[3], i, added, pair[2];
    for (i = 0; i < 3; i++) {
        char *base = isgi_strdup(g->values[y].name); /* the array moves as it grows */
        isg_status status = base ? isgi_onnx_add_derived(in, base, suffixes[i], &fresh[i]) : isgi_nomem(in->err);
        isg_free(base);
        if (status != ISG_OK) return status;
    }
    added = isg_graph_add_node(g, ISG_OP_SHAPE, "", &x, 1, &fresh[0], 1);
    if (added >= 0) added = isg_graph_add_node(g, ISG_OP_FLATTEN, "", &x, 1, &fresh[1], 1);
    if (added >= 0) g->nodes[added].attr.axes.axes[0] = axis;
    pair[0] = fresh[2];
    pair[1] = fresh[0];
    if (added >= 0) added = isg_graph_add_node(g, ISG_OP_RESHAPE, "", pair, 2, &y, 1);
    if (added < 0) return isgi_fail(in->err, (isg_status)added, "cannot add a node");
    g->nodes[index].inputs[0] = fresh[1];
    g->nodes[index].outputs[0] = fresh[2];
    g->nodes[index].attr.axes.axes[0] = -1;
    return ISG_OK;
}

/* All shapes, where a rank is asked for that shape_rank() does not find; while the graph is as it came. */
static void infer_ranks(const isg_graph *g, isgi_shapes *s)
{
    isg_error unwanted;
    for (int32_t i = 0; i < g->node_count; i++) {
        const isg_node *n = &g->nodes[i];
        if (n->op != ISG_OP_SOFTMAX || n->attr.axes.axes[0] == -1 || shape_rank(g, n->inputs[0]) >= 0) continue;
        if (isgi_shapes_infer(s, g, NULL, &unwanted) != ISG_OK) s->count = 0;
        return;
    }
}

static isg_status lower_softmax(isgi_onnx_import *in, const isgi_shapes *s)
{
    isg_graph *g = in->graph;
    const int32_t count = g->node_count;
    int32_t i;
    for (i = 0; i < count; i++) {
        const isg_node *n = &g->nodes[i];
        int64_t axis;
        int32_t rank;
        isg_status status;
        if (n->op != ISG_OP_SOFTMAX || n->inputs[0] < 0 || n->outputs[0] < 0) continue;
        axis = n->attr.axes.axes[0];
        rank = shape_rank(g, n->inputs[0]);
        if (rank < 0 && n->inputs[0] < s->count) rank = s->run[0][n->inputs[0]].rank;
        if (axis == -1 || (rank > 0 && axis == rank - 1)) {
            g->nodes[i].attr.axes.axes[0] = -1;
            continue;
        }
        status = softmax_by_matrix(in, i, axis);
        if (status != ISG_OK) return status;
    }
    return g->node_count == count ? ISG_OK : isg_graph_sort(g, in->err);
}

isg_status isgi_onnx_lower_softmax(isgi_onnx_import *in)
{
    isgi_shapes shapes = {0};
    isg_status status;
    if (in->opset >= 13) return ISG_OK;
    infer_ranks(in->graph, &shapes);
    status = lower_softmax(in, &shapes);
    isgi_shapes_clear(&shapes);
    return status;
}
