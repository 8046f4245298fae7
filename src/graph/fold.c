/* SPDX-License-Identifier: Apache-2.0 */
/* Folding: constants computed once, shape chains resolved, nodes that do nothing taken out. */
#include "graph/edit.h"
#include "graph/infer.h"

#include <math.h>
#include <string.h>

/* A folded result may not outgrow its inputs by much, so that a small file cannot ask for a large memory. */
#define FOLD_ALLOWANCE ((int64_t)1 << 20)

static int may_fold(isg_op op)
{
    return op != ISG_OP_CONSTANT && op != ISG_OP_CONV && op != ISG_OP_GEMM && op != ISG_OP_MATMUL &&
           op != ISG_OP_MAX_POOL && op != ISG_OP_AVERAGE_POOL;
}

static int64_t tensor_bytes(const isg_tensor *t)
{
    return t->count * (int64_t)isg_dtype_size(t->dtype);
}

/* The outputs of node i become constants if all its inputs are. Sets *changed. */
static isg_status fold_node(isg_graph *g, int32_t i, int *changed, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    const isg_tensor **in = isgi_calloc((size_t)n->input_count, sizeof *in);
    isg_tensor *out = isgi_calloc((size_t)n->output_count, sizeof *out);
    isg_error inner = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isgi_call call = {n, g->opset, in, n->input_count, out, n->output_count, &inner};
    int64_t budget = FOLD_ALLOWANCE, wanted = 0;
    isg_status status = ISG_OK;
    int ready = may_fold(n->op) && n->input_count > 0 && isgi_op_definition(n->op);
    if (!in || !out) {
        status = isgi_nomem(err);
        goto done;
    }
    for (int32_t k = 0; ready && k < n->input_count; k++) {
        if (n->inputs[k] < 0) continue;
        in[k] = g->values[n->inputs[k]].constant;
        ready = in[k] != NULL;
        if (ready) budget += 2 * tensor_bytes(in[k]);
    }
    if (!ready) goto done;
    status = isgi_op_definition(n->op)->shape(&call);
    for (int32_t k = 0; k < n->output_count && status == ISG_OK; k++) wanted += tensor_bytes(&out[k]);
    if (status == ISG_OK && wanted > budget) goto done;
    if (status == ISG_OK) status = isgi_apply(&call);
    if (status != ISG_OK) {
        status = isgi_node_fail(g, i, status, inner.message, err);
        goto done;
    }
    for (int32_t k = 0; k < n->output_count; k++) {
        isg_tensor *t = n->outputs[k] >= 0 ? isgi_malloc(sizeof *t) : NULL;
        if (n->outputs[k] < 0) continue;
        if (!t) {
            status = isgi_nomem(err);
            goto done;
        }
        *t = out[k];
        out[k].data = NULL;
        isgi_make_constant(g, n->outputs[k], t);
        *changed = 1;
    }
done:
    for (int32_t k = 0; out && k < n->output_count; k++) isg_free(out[k].data);
    isg_free(in);
    isg_free(out);
    return status;
}

/* Values whose content follows from shapes alone and not from the batch. */
static isg_status fold_shapes(isg_graph *g, const isgi_faults *over, int *changed, isg_error *err)
{
    isgi_shapes s;
    isg_status status = isgi_shapes_infer(&s, g, over, NULL);
    if (status != ISG_OK) return status == ISG_E_NOMEM ? isgi_nomem(err) : ISG_OK; /* shapes may come later */
    for (int32_t v = 0; v < g->value_count && status == ISG_OK; v++) {
        isg_tensor *t;
        if (g->values[v].constant || g->values[v].producer < 0 || !isgi_shapes_same_data(&s, v)) continue;
        status = isg_tensor_clone(&t, &s.run[0][v], err);
        if (status != ISG_OK) break;
        isgi_make_constant(g, v, t);
        *changed = 1;
    }
    isgi_shapes_clear(&s);
    return status;
}

static int known_same_shape(const isg_value *a, const isg_value *b)
{
    if (a->rank < 0 || a->rank != b->rank) return 0;
    for (int32_t d = 0; d < a->rank; d++)
        if (a->dims[d] != b->dims[d] || a->dims[d] == ISG_DIM_UNKNOWN) return 0;
    return 1;
}

static int all_equal(const isg_tensor *t, int64_t number)
{
    for (int64_t i = 0; t && i < t->count; i++) {
        int64_t v;
        isgi_read_i64(&v, t, i, 1);
        if (v != number) return 0;
    }
    return t != NULL;
}

static const isg_tensor *constant_input(const isg_graph *g, const isg_node *n, int32_t k)
{
    return k < n->input_count && n->inputs[k] >= 0 ? g->values[n->inputs[k]].constant : NULL;
}

static int has_input(const isg_node *n, int32_t k)
{
    return k < n->input_count && n->inputs[k] >= 0;
}

static int pool_is_noop(const isg_conv_attr *a)
{
    if (a->n < 1 || a->n > 3) return 0;
    for (int32_t i = 0; i < a->n; i++)
        if (a->kernel[i] != 1 || a->stride[i] != 1 || a->pads[i] || a->pads[a->n + i]) return 0;
    return 1;
}

static int transpose_is_noop(const isg_axes_attr *a)
{
    for (int32_t i = 0; i < a->n; i++)
        if (a->axes[i] != i) return 0;
    return a->n > 0;
}

static int dropout_is_noop(const isg_graph *g, const isg_node *n)
{
    if (n->output_count > 1 && n->outputs[1] >= 0 && isgi_use_count(g, n->outputs[1]) > 0) return 0;
    return !has_input(n, 2) || all_equal(constant_input(g, n, 2), 0);
}

/* Whether output 0 of the node is its input 0. Types and shapes count only once inference has confirmed them: those a
 * file declares are not to be trusted. */
static int is_noop(const isg_graph *g, const isg_node *n, int inferred)
{
    const isg_value *x = &g->values[n->inputs[0]], *y = &g->values[n->outputs[0]];
    switch (n->op) {
    case ISG_OP_IDENTITY: return 1;
    case ISG_OP_DROPOUT: return dropout_is_noop(g, n);
    case ISG_OP_CAST: return inferred && x->dtype == n->attr.cast.to;
    case ISG_OP_PAD: return all_equal(constant_input(g, n, 1), 0);
    case ISG_OP_AVERAGE_POOL: return pool_is_noop(&n->attr.conv);
    case ISG_OP_MAX_POOL: return n->output_count == 1 && pool_is_noop(&n->attr.conv);
    case ISG_OP_TRANSPOSE: return transpose_is_noop(&n->attr.axes);
    case ISG_OP_SUM:
    case ISG_OP_CONCAT: return n->input_count == 1;
    case ISG_OP_RESHAPE:
    case ISG_OP_FLATTEN: return inferred && known_same_shape(x, y);
    case ISG_OP_CLIP:
        return !has_input(n, 1) && !has_input(n, 2) && isinf(n->attr.scalar.lo) && n->attr.scalar.lo < 0 &&
               isinf(n->attr.scalar.hi) && n->attr.scalar.hi > 0;
    case ISG_OP_SLICE:
        return inferred && known_same_shape(x, y) && (!has_input(n, 4) || all_equal(constant_input(g, n, 4), 1));
    default: return 0;
    }
}

static void bypass_noops(isg_graph *g, int inferred, int *changed)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_node *n = &g->nodes[i];
        if (n->op == ISG_OP_CONSTANT && n->output_count == 1 && n->outputs[0] >= 0 &&
            g->values[n->outputs[0]].constant) { /* the value alone says it all */
            g->values[n->outputs[0]].producer = -1;
            n->outputs[0] = ISG_NO_VALUE;
            *changed = 1;
            continue;
        }
        if (n->input_count < 1 || n->output_count < 1 || n->inputs[0] < 0 || n->outputs[0] < 0) continue;
        if (!is_noop(g, n, inferred)) continue;
        if (!isgi_replace_value(g, n->outputs[0], n->inputs[0])) continue;
        g->values[n->outputs[0]].producer = -1;
        n->outputs[0] = ISG_NO_VALUE;
        *changed = 1;
    }
}

isg_status isgi_graph_fold(isg_graph *g, const isgi_faults *faults, isg_error *err)
{
    static const isgi_faults passed_over = {NULL, NULL}; /* the inference behind this one tells them */
    const isgi_faults *over = faults ? &passed_over : NULL;
    isg_status status = isg_graph_sort(g, err);
    isg_status inferred; /* a graph that cannot be inferred yet is folded as far as it goes */
    int changed = 1;
    if (status == ISG_OK) status = isg_graph_validate(g, err);
    for (int round = 0; round < 16 && changed && status == ISG_OK; round++) {
        changed = 0;
        for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++) {
            isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
            status = fold_node(g, i, &changed, &why);
            if (status != ISG_OK) status = isgi_fault(faults, g, i, status, &why, err);
        }
        if (status == ISG_OK) status = fold_shapes(g, over, &changed, err);
        if (status != ISG_OK) break;
        inferred = isgi_graph_infer(g, over, NULL);
        if (inferred == ISG_E_NOMEM) return isgi_nomem(err);
        bypass_noops(g, inferred == ISG_OK, &changed);
        status = isgi_remove_dead(g, err);
    }
    return status;
}

isg_status isg_graph_fold(isg_graph *g, isg_error *err)
{
    return isgi_graph_fold(g, NULL, err);
}
