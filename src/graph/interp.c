/* SPDX-License-Identifier: Apache-2.0 */
/* The reference interpreter: the table of operators and the loop that runs a graph. */
#include "graph/interp_internal.h"

#include <string.h>

#define BOTH(name)                                                                                                     \
    {                                                                                                                  \
        isgi_shape_##name, isgi_eval_##name                                                                            \
    }
#define VIEW(name)                                                                                                     \
    {                                                                                                                  \
        isgi_shape_##name, isgi_eval_copy                                                                              \
    }

static const isgi_op_def definitions[ISG_OP_COUNT] = {
    [ISG_OP_ADD] = BOTH(arith),
    [ISG_OP_AVERAGE_POOL] = BOTH(pool),
    [ISG_OP_BATCH_NORM] = BOTH(batch_norm),
    [ISG_OP_CAST] = BOTH(cast),
    [ISG_OP_CLIP] = BOTH(unary),
    [ISG_OP_CONCAT] = BOTH(concat),
    [ISG_OP_CONSTANT] = {NULL, NULL}, /* the value carries the tensor */
    [ISG_OP_CONSTANT_OF_SHAPE] = BOTH(constant_of_shape),
    [ISG_OP_CONV] = BOTH(conv),
    [ISG_OP_DIV] = BOTH(arith),
    [ISG_OP_DROPOUT] = BOTH(dropout),
    [ISG_OP_FLATTEN] = VIEW(flatten),
    [ISG_OP_GATHER] = BOTH(gather),
    [ISG_OP_GEMM] = BOTH(gemm),
    [ISG_OP_GLOBAL_AVERAGE_POOL] = BOTH(global_pool),
    [ISG_OP_GLOBAL_MAX_POOL] = BOTH(global_pool),
    [ISG_OP_HARD_SIGMOID] = BOTH(unary),
    [ISG_OP_HARD_SWISH] = BOTH(unary),
    [ISG_OP_IDENTITY] = VIEW(identity),
    [ISG_OP_LEAKY_RELU] = BOTH(unary),
    [ISG_OP_MATMUL] = BOTH(matmul),
    [ISG_OP_MAX_POOL] = BOTH(pool),
    [ISG_OP_MUL] = BOTH(arith),
    [ISG_OP_PAD] = BOTH(pad),
    [ISG_OP_REDUCE_MEAN] = BOTH(reduce_mean),
    [ISG_OP_RELU] = BOTH(unary),
    [ISG_OP_RESHAPE] = VIEW(reshape),
    [ISG_OP_SHAPE] = BOTH(shape),
    [ISG_OP_SIGMOID] = BOTH(unary),
    [ISG_OP_SLICE] = BOTH(slice),
    [ISG_OP_SOFTMAX] = BOTH(softmax),
    [ISG_OP_SPLIT] = BOTH(split),
    [ISG_OP_SQUEEZE] = VIEW(squeeze),
    [ISG_OP_SUB] = BOTH(arith),
    [ISG_OP_SUM] = BOTH(sum),
    [ISG_OP_TRANSPOSE] = BOTH(transpose),
    [ISG_OP_UNSQUEEZE] = VIEW(unsqueeze),
};

const isgi_op_def *isgi_op_definition(isg_op op)
{
    return (unsigned)op < (unsigned)ISG_OP_COUNT && definitions[op].shape ? &definitions[op] : NULL;
}

int isg_interp_supports(isg_op op)
{
    return op == ISG_OP_CONSTANT || isgi_op_definition(op) != NULL;
}

isg_status isgi_apply(isgi_call *c)
{
    const isgi_op_def *def = isgi_op_definition(c->node->op);
    isg_status status;
    if (!def) return isgi_fail(c->err, ISG_E_UNSUPPORTED, "operator is not implemented");
    status = def->shape(c);
    for (int32_t i = 0; i < c->out_count && status == ISG_OK; i++) status = isgi_tensor_alloc(&c->out[i], c->err);
    if (status == ISG_OK) status = def->eval(c);
    if (status == ISG_OK) return ISG_OK;
    for (int32_t i = 0; i < c->out_count; i++) {
        isg_free(c->out[i].data);
        c->out[i].data = NULL;
    }
    return status;
}

/* What one run holds. slot[v] borrows from the graph or the caller unless owned[v]. */
typedef struct interp_run {
    const isg_graph *g;
    const isg_tensor **slot;
    isg_tensor **owned;
    int32_t *last_use; /* node after which the value is not read again; node_count for outputs */
    isg_interp_visit visit;
    void *user;
} interp_run;

static isg_status check_input(const isg_graph *g, int32_t i, const isg_tensor *t, isg_error *err)
{
    const isg_value *v = &g->values[g->inputs[i]];
    char name[96];
    int fits = t && t->data && (v->dtype == ISG_DT_NONE || t->dtype == v->dtype);
    if (fits && v->rank >= 0) {
        fits = t->rank == v->rank;
        for (int32_t d = 0; fits && d < v->rank; d++) fits = v->dims[d] < 0 || v->dims[d] == t->dims[d];
    }
    if (fits) return ISG_OK;
    return isgi_fail(err, ISG_E_SHAPE, "input '%s' does not have the declared type or shape",
                     isgi_escape(name, sizeof name, v->name));
}

static void find_last_uses(interp_run *r)
{
    const isg_graph *g = r->g;
    for (int32_t i = 0; i < g->node_count; i++) {
        const isg_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->output_count; k++)
            if (n->outputs[k] >= 0) r->last_use[n->outputs[k]] = i;
        for (int32_t k = 0; k < n->input_count; k++)
            if (n->inputs[k] >= 0) r->last_use[n->inputs[k]] = i;
    }
    for (int32_t i = 0; i < g->output_count; i++) r->last_use[g->outputs[i]] = g->node_count;
}

/* Dense tensors of the factored weights that node i reads. */
static isg_status load_weights(interp_run *r, const isg_node *n, isg_error *err)
{
    for (int32_t k = 0; k < n->input_count; k++) {
        const int32_t v = n->inputs[k];
        if (v < 0 || r->slot[v] || !r->g->values[v].factors) continue;
        ISGI_TRY(isg_graph_weight(r->g, v, &r->owned[v], err));
        r->slot[v] = r->owned[v];
    }
    return ISG_OK;
}

static void drop_dead(interp_run *r, const int32_t *list, int32_t count, int32_t node)
{
    for (int32_t k = 0; k < count; k++) {
        const int32_t v = list[k];
        if (v < 0 || r->last_use[v] != node || !r->owned[v]) continue;
        isg_tensor_destroy(r->owned[v]);
        r->owned[v] = NULL;
        r->slot[v] = NULL;
    }
}

/* Turns what an operator wrote into owned tensors. */
static isg_status keep_outputs(interp_run *r, const isg_node *n, isg_tensor *out, isg_error *err)
{
    for (int32_t k = 0; k < n->output_count; k++) {
        const int32_t v = n->outputs[k];
        isg_tensor *t;
        if (v < 0) continue;
        t = isgi_malloc(sizeof *t);
        if (!t) return isgi_nomem(err);
        *t = out[k];
        out[k].data = NULL;
        r->owned[v] = t;
        r->slot[v] = t;
        if (r->visit) r->visit(r->user, v, t);
    }
    return ISG_OK;
}

static isg_status run_node(interp_run *r, int32_t i, isg_error *err)
{
    const isg_node *n = &r->g->nodes[i];
    const isg_tensor **in = isgi_calloc((size_t)n->input_count, sizeof *in);
    isg_tensor *out = isgi_calloc((size_t)n->output_count, sizeof *out);
    isg_error inner = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isgi_call call = {n, r->g->opset, in, n->input_count, out, n->output_count, &inner};
    isg_status status = ISG_E_NOMEM;
    if (!in || !out) {
        (void)isgi_nomem(err);
        goto done;
    }
    status = load_weights(r, n, err);
    if (status != ISG_OK) goto done;
    for (int32_t k = 0; k < n->input_count; k++) {
        if (n->inputs[k] == ISG_NO_VALUE) continue;
        in[k] = r->slot[n->inputs[k]];
        if (!in[k]) {
            status = isgi_node_fail(r->g, i, ISG_E_FORMAT, "an input has no value", err);
            goto done;
        }
    }
    status = isgi_apply(&call);
    if (status != ISG_OK) {
        (void)isgi_node_fail(r->g, i, status, inner.message, err);
        goto done;
    }
    status = keep_outputs(r, n, out, err);
    drop_dead(r, n->inputs, n->input_count, i);
    drop_dead(r, n->outputs, n->output_count, i);
done:
    for (int32_t k = 0; out && k < n->output_count; k++) isg_free(out[k].data);
    isg_free(out);
    isg_free(in);
    return status;
}

static isg_status collect_outputs(interp_run *r, isg_tensor **outputs, isg_error *err)
{
    const isg_graph *g = r->g;
    for (int32_t i = 0; i < g->output_count; i++) {
        const int32_t v = g->outputs[i];
        isg_status status = ISG_OK;
        outputs[i] = NULL;
        if (!r->slot[v] && g->values[v].factors)
            status = isg_graph_weight(g, v, &outputs[i], err);
        else if (!r->slot[v])
            status = isgi_fail(err, ISG_E_FORMAT, "graph output %d has no value", (int)i);
        else
            status = isg_tensor_clone(&outputs[i], r->slot[v], err);
        if (status != ISG_OK) {
            while (i-- > 0) {
                isg_tensor_destroy(outputs[i]);
                outputs[i] = NULL;
            }
            return status;
        }
    }
    return ISG_OK;
}

isg_status isg_interp_run_visit(const isg_graph *g, const isg_tensor *const *inputs, isg_tensor **outputs,
                                isg_interp_visit visit, void *user, isg_error *err)
{
    const size_t count = (size_t)g->value_count;
    interp_run r = {g, NULL, NULL, NULL, visit, user};
    isg_status status = isg_graph_validate(g, err);
    if (status != ISG_OK) return status;
    r.slot = isgi_calloc(count, sizeof *r.slot);
    r.owned = isgi_calloc(count, sizeof *r.owned);
    r.last_use = isgi_calloc(count, sizeof *r.last_use);
    if (!r.slot || !r.owned || !r.last_use) {
        status = isgi_nomem(err);
        goto done;
    }
    for (int32_t i = 0; i < g->value_count; i++) r.slot[i] = g->values[i].constant;
    for (int32_t i = 0; i < g->input_count; i++) {
        status = check_input(g, i, inputs[i], err);
        if (status != ISG_OK) goto done;
        r.slot[g->inputs[i]] = inputs[i];
    }
    find_last_uses(&r);
    for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++)
        if (g->nodes[i].op != ISG_OP_CONSTANT) status = run_node(&r, i, err);
    if (status == ISG_OK) status = collect_outputs(&r, outputs, err);
done:
    for (size_t i = 0; r.owned && i < count; i++) isg_tensor_destroy(r.owned[i]);
    isg_free(r.slot);
    isg_free(r.owned);
    isg_free(r.last_use);
    return status;
}

isg_status isg_interp_run(const isg_graph *g, const isg_tensor *const *inputs, isg_tensor **outputs, isg_error *err)
{
    return isg_interp_run_visit(g, inputs, outputs, NULL, NULL, err);
}
