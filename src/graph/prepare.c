/* SPDX-License-Identifier: Apache-2.0 */
/* isg_graph_prepare(): the canonical form that pack, train and compress rely on (graph.h states it). */
#include "graph/prepare.h"

#include <math.h>
#include <string.h>

/* Target of a RESHAPE from its inferred output: 0 copies the batch where it stays in place, else -1 infers it. */
static isg_status reshape_target(const isg_graph *g, int32_t i, int64_t *dims, isg_error *err)
{
    const isg_value *x = &g->values[g->nodes[i].inputs[0]], *y = &g->values[g->nodes[i].outputs[0]];
    int open = 0;
    for (int32_t d = 0; d < y->rank; d++) {
        dims[d] = y->dims[d];
        if (dims[d] == ISG_DIM_BATCH && d < x->rank && x->dims[d] == ISG_DIM_BATCH) {
            dims[d] = 0;
        } else if (dims[d] < 0) {
            dims[d] = -1;
            open++;
        } else if (dims[d] == 0) {
            return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its output is empty", err);
        }
    }
    if (open > 1) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "two sizes of its output are unknown", err);
    return ISG_OK;
}

static isg_status to_reshape(isg_graph *g, int32_t i, isg_error *err)
{
    int64_t dims[ISG_MAX_RANK];
    int32_t inputs[2] = {g->nodes[i].inputs[0], ISG_NO_VALUE};
    ISGI_TRY(reshape_target(g, i, dims, err));
    ISGI_TRY(isgi_add_list(g, "shape", dims, g->values[g->nodes[i].outputs[0]].rank, &inputs[1], err));
    ISGI_TRY(isgi_set_inputs(&g->nodes[i], inputs, 2, err));
    g->nodes[i].op = ISG_OP_RESHAPE;
    isgi_graph_default_attr(&g->nodes[i]);
    return ISG_OK;
}

/* For operators of one axis: it is axes[0] whatever n says. */
static void positive_axis(isg_axes_attr *a, int32_t rank)
{
    a->n = 1;
    if (a->axes[0] < 0) a->axes[0] += rank;
}

static void positive_axes(isg_axes_attr *a, int32_t rank)
{
    for (int32_t k = 0; k < a->n; k++)
        if (a->axes[k] < 0) a->axes[k] += rank;
}

/* Axes of a ReduceMean as attributes, sorted; none means that it does nothing. */
static isg_status prepare_mean(isg_graph *g, int32_t i, isg_error *err)
{
    isg_node *n = &g->nodes[i];
    isg_axes_attr *a = &n->attr.axes;
    const int32_t rank = g->values[n->inputs[0]].rank;
    const isg_tensor *list = isgi_constant_of(g, n, 1);
    unsigned set = 0;
    if (isgi_has_input(n, 1)) {
        if (!list) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its axes are not constant", err);
        ISGI_TRY(isgi_read_list(a->axes, &a->n, ISG_MAX_RANK, list, err));
        n->input_count = 1;
    }
    positive_axes(a, rank);
    for (int32_t k = 0; k < a->n; k++) set |= 1u << a->axes[k];
    if (a->n == 0 && !a->noop_with_empty) set = (1u << rank) - 1u;
    a->n = 0;
    for (int32_t d = 0; d < rank; d++)
        if (set >> d & 1u) a->axes[a->n++] = d;
    a->noop_with_empty = 1;
    return ISG_OK;
}

/* A mean over all spatial axes that keeps them is a GLOBAL_AVERAGE_POOL. */
static void mean_to_pool(const isg_graph *g, isg_node *n)
{
    const int32_t rank = g->values[n->inputs[0]].rank;
    const isg_axes_attr a = n->attr.axes;
    if (rank < 3 || a.n != rank - 2 || a.axes[0] != 2 || !a.keepdims) return;
    n->op = ISG_OP_GLOBAL_AVERAGE_POOL;
    isgi_graph_default_attr(n);
}

/* Splits a mean over all spatial axes that drops them into a pool and a RESHAPE. */
static isg_status mean_keep_dims(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_axes_attr a = g->nodes[i].attr.axes;
    const int32_t x = g->nodes[i].inputs[0], rank = g->values[x].rank;
    int32_t pooled;
    if (a.keepdims || rank < 3 || a.n != rank - 2 || a.axes[0] != 2) return ISG_OK;
    ISGI_TRY(isgi_insert_node(g, i, ISG_OP_GLOBAL_AVERAGE_POOL, &x, 1, x, &pooled, err));
    for (int32_t d = 2; d < rank; d++) g->values[pooled].dims[d] = 1;
    g->nodes[i + 1].inputs[0] = pooled;
    return to_reshape(g, i + 1, err);
}

static isg_status prepare_clip(isg_graph *g, int32_t i, isg_error *err)
{
    isg_node *n = &g->nodes[i];
    for (int32_t k = 1; k < n->input_count; k++) {
        const isg_tensor *t = isgi_constant_of(g, n, k);
        double v;
        if (!isgi_has_input(n, k)) continue;
        if (!t || t->count != 1) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its limits are not constant", err);
        isgi_read_f64(&v, t, 0, 1);
        *(k == 1 ? &n->attr.scalar.lo : &n->attr.scalar.hi) = (float)v;
    }
    n->input_count = 1;
    return ISG_OK;
}

/* Pads of every axis in full; the axes input goes. */
static isg_status prepare_pad(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    const isg_tensor *pads = isgi_constant_of(g, n, 1), *axes = isgi_constant_of(g, n, 3);
    const int32_t rank = g->values[n->inputs[0]].rank;
    int64_t list[2 * ISG_MAX_RANK], where[ISG_MAX_RANK], full[2 * ISG_MAX_RANK] = {0};
    int32_t inputs[3], count, axis_count;
    if (!pads || (isgi_has_input(n, 3) && !axes) || (isgi_has_input(n, 2) && !isgi_constant_of(g, n, 2)))
        return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its pads, value or axes are not constant", err);
    if (!axes) return ISG_OK;
    ISGI_TRY(isgi_read_list(list, &count, 2 * ISG_MAX_RANK, pads, err));
    ISGI_TRY(isgi_read_list(where, &axis_count, ISG_MAX_RANK, axes, err));
    for (int32_t k = 0; k < axis_count; k++) {
        int64_t d;
        ISGI_TRY(isgi_axis(&d, where[k], rank, err));
        full[d] = list[k];
        full[rank + d] = list[axis_count + k];
    }
    inputs[0] = n->inputs[0];
    inputs[2] = n->inputs[2];
    ISGI_TRY(isgi_add_list(g, "pads", full, 2 * rank, &inputs[1], err));
    return isgi_set_inputs(&g->nodes[i], inputs, inputs[2] == ISG_NO_VALUE ? 2 : 3, err);
}

/* Explicit sizes, so that nothing depends on how a remainder is shared out. */
static isg_status prepare_split(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    int64_t sizes[64];
    int32_t inputs[2] = {n->inputs[0], ISG_NO_VALUE};
    if (isgi_constant_of(g, n, 1)) return ISG_OK;
    if (isgi_has_input(n, 1)) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its sizes are not constant", err);
    if (n->output_count > 64) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "more than 64 outputs", err);
    {
        const int64_t axis = n->attr.axes.axes[0];
        const int64_t whole = g->values[n->inputs[0]].dims[axis];
        const int64_t each = (whole + n->output_count - 1) / n->output_count;
        if (whole < 0) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "it splits an axis of unknown size", err);
        for (int32_t k = 0; k < n->output_count; k++) {
            const int64_t left = whole - k * each;
            sizes[k] = left < 0 ? 0 : left < each ? left : each;
        }
    }
    ISGI_TRY(isgi_add_list(g, "split", sizes, n->output_count, &inputs[1], err));
    return isgi_set_inputs(&g->nodes[i], inputs, 2, err);
}

static isg_status prepare_softmax(isg_graph *g, int32_t i, isg_error *err)
{
    isg_node *n = &g->nodes[i];
    const isg_value *x = &g->values[n->inputs[0]];
    positive_axis(&n->attr.axes, x->rank);
    if (x->rank == 0) n->attr.axes.axes[0] = 0; /* one element: any axis was let pass */
    if (g->opset >= 13) return ISG_OK;
    for (int32_t d = (int32_t)n->attr.axes.axes[0] + 1; d < x->rank; d++)
        if (x->dims[d] != 1) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "softmax over several axes at once", err);
    return ISG_OK;
}

static isg_status prepare_constants(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    for (int32_t k = 1; k < n->input_count; k++)
        if (isgi_has_input(n, k) && !isgi_constant_of(g, n, k))
            return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "a parameter of it is not constant", err);
    return ISG_OK;
}

/* The part that needs one node and its inferred shapes. */
static isg_status prepare_node(isg_graph *g, int32_t i, isg_error *err)
{
    isg_node *n = &g->nodes[i];
    const int32_t rank = n->input_count > 0 && n->inputs[0] >= 0 ? g->values[n->inputs[0]].rank : 0;
    switch (n->op) {
    case ISG_OP_CONV:
    case ISG_OP_MAX_POOL:
    case ISG_OP_AVERAGE_POOL: return isgi_prepare_window(g, i, err);
    case ISG_OP_GEMM:
    case ISG_OP_MATMUL: return isgi_prepare_gemm(g, i, err);
    case ISG_OP_RESHAPE:
    case ISG_OP_FLATTEN:
    case ISG_OP_SQUEEZE:
    case ISG_OP_UNSQUEEZE: return to_reshape(g, i, err);
    case ISG_OP_REDUCE_MEAN:
        ISGI_TRY(prepare_mean(g, i, err));
        mean_to_pool(g, n);
        return n->op == ISG_OP_REDUCE_MEAN ? mean_keep_dims(g, i, err) : ISG_OK;
    case ISG_OP_CLIP: return prepare_clip(g, i, err);
    case ISG_OP_PAD: return prepare_pad(g, i, err);
    case ISG_OP_SPLIT: positive_axis(&n->attr.axes, rank); return prepare_split(g, i, err);
    case ISG_OP_SOFTMAX: return prepare_softmax(g, i, err);
    case ISG_OP_CONCAT:
    case ISG_OP_GATHER: positive_axis(&n->attr.axes, rank); return ISG_OK;
    case ISG_OP_TRANSPOSE:
        if (n->attr.axes.n == 0)
            for (int32_t d = 0; d < rank; d++) n->attr.axes.axes[d] = rank - 1 - d;
        n->attr.axes.n = rank;
        positive_axes(&n->attr.axes, rank);
        return ISG_OK;
    case ISG_OP_SUM:
        if (n->input_count == 2) n->op = ISG_OP_ADD;
        return ISG_OK;
    case ISG_OP_SLICE:
    case ISG_OP_BATCH_NORM: return prepare_constants(g, i, err);
    default: return ISG_OK;
    }
}

static isg_status check_node(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    for (int32_t k = 0; k < n->output_count; k++) {
        const isg_value *v = n->outputs[k] >= 0 ? &g->values[n->outputs[k]] : NULL;
        for (int32_t d = 0; v && d < v->rank; d++)
            if (v->dims[d] == ISG_DIM_UNKNOWN)
                return isgi_node_fail(g, i, ISG_E_UNSUPPORTED,
                                      "its output depends on the batch other than as one of its dimensions", err);
    }
    switch (n->op) {
    case ISG_OP_CONV:
        if (!isgi_is_weight(g, n, 1)) return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its weight is not constant", err);
        if (isgi_has_input(n, 2) && !isgi_constant_of(g, n, 2))
            return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its bias is not constant", err);
        return ISG_OK;
    case ISG_OP_GEMM:
        if (!isgi_gemm_is_canonical(g, n))
            return isgi_node_fail(g, i, ISG_E_UNSUPPORTED,
                                  "it transposes its input, or its weight or bias is not constant", err);
        return ISG_OK;
    case ISG_OP_DROPOUT: return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "its mask is used, or it is training", err);
    case ISG_OP_SHAPE: return isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "a shape with the batch is computed on", err);
    default: return ISG_OK;
    }
}

/* Whether inference came as far as the node's values: only then can anything be said of it. */
static int node_known(const isg_graph *g, const isg_node *n)
{
    for (int32_t k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0 && g->values[n->inputs[k]].rank < 0) return 0;
    for (int32_t k = 0; k < n->output_count; k++)
        if (n->outputs[k] >= 0 && g->values[n->outputs[k]].rank < 0) return 0;
    return 1;
}

typedef isg_status (*node_step)(isg_graph *g, int32_t i, isg_error *err);

/* One step for all nodes, or all of one operator. A node put in front of node i moves that to i + 1, where the loop
 * meets it again, unless the step failed. */
static isg_status each_node(isg_graph *g, node_step step, isg_op only, const isgi_faults *faults, isg_error *err)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        const int32_t count = g->node_count;
        isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
        isg_status status;
        if (only != ISG_OP_COUNT && g->nodes[i].op != only) continue;
        if (faults && !node_known(g, &g->nodes[i])) continue;
        status = step(g, i, &why);
        if (status == ISG_OK) continue;
        i += g->node_count - count;
        ISGI_TRY(isgi_fault(faults, g, i, status, &why, err));
    }
    return ISG_OK;
}

isg_status isgi_graph_prepare(isg_graph *g, const isgi_faults *faults, isg_error *err)
{
    ISGI_TRY(isgi_graph_fold(g, faults, err));
    ISGI_TRY(isgi_graph_infer(g, faults, err));
    ISGI_TRY(each_node(g, prepare_node, ISG_OP_COUNT, faults, err));
    ISGI_TRY(each_node(g, isgi_merge_pad, ISG_OP_CONV, faults, err));
    ISGI_TRY(each_node(g, isgi_merge_bias, ISG_OP_ADD, faults, err));
    ISGI_TRY(isgi_remove_dead(g, err));
    ISGI_TRY(isg_graph_fold_batchnorm(g, err));
    ISGI_TRY(isgi_graph_fold(g, faults, err));
    ISGI_TRY(isgi_graph_infer(g, faults, err));
    return each_node(g, check_node, ISG_OP_COUNT, faults, err);
}

isg_status isg_graph_prepare(isg_graph *g, isg_error *err)
{
    return isgi_graph_prepare(g, NULL, err);
}
