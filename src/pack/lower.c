/* SPDX-License-Identifier: Apache-2.0 */
/* From a prepared graph to a program: which nodes count, who uses what, and the walk over the nodes. */
#include "pack/lower.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "graph/graph_internal.h"
#include "host/alloc.h"

isg_status isgi_lower_fail(const isgi_lowering *l, isg_status status, const char *what, isg_error *err)
{
    return isgi_node_fail(l->g, l->node, status, what, err);
}

int isgi_lower_has(const isg_node *n, int32_t k)
{
    return k < n->input_count && n->inputs[k] != ISG_NO_VALUE;
}

static isg_status value_fail(const isg_graph *g, int32_t value, const char *what, isg_error *err)
{
    char name[96];
    return isgi_fail(err, ISG_E_UNSUPPORTED, "value '%s': %s", isgi_escape(name, sizeof name, g->values[value].name),
                     what);
}

static isg_status type_fail(const isg_graph *g, int32_t value, const char *what, isg_error *err)
{
    char text[96];
    snprintf(text, sizeof text, "%s of type %s, where only float32 is supported", what,
             isg_dtype_name((int32_t)g->values[value].dtype));
    return value_fail(g, value, text, err);
}

isg_status isgi_lower_shape(const isgi_lowering *l, int32_t value, isgi_shape *shape, isg_error *err)
{
    const isg_value *v = &l->g->values[value];
    memset(shape, 0, sizeof *shape);
    if (v->rank < 0) return value_fail(l->g, value, "its shape is unknown", err);
    if (v->rank > (int32_t)ISG_FORMAT_MAX_RANK) return value_fail(l->g, value, "it has more than 4 dimensions", err);
    shape->rank = v->rank ? (uint32_t)v->rank : 1u;
    shape->dims[0] = 1;
    for (int32_t i = 0; i < v->rank; i++) {
        if (i == 0 && v->dims[i] == ISG_DIM_BATCH) {
            shape->dims[i] = 0;
        } else if (v->dims[i] < 1 || v->dims[i] > ISG_FORMAT_MAX_DIM) {
            return value_fail(l->g, value, "a dimension is unknown, empty or larger than 2^24", err);
        } else {
            shape->dims[i] = (uint32_t)v->dims[i];
        }
    }
    return ISG_OK;
}

static isgi_text text_of(const char *s)
{
    isgi_text t = {s, 0};
    const size_t n = strlen(s);
    t.bytes = n > ISG_FORMAT_MAX_NAME ? ISG_FORMAT_MAX_NAME : (uint32_t)n;
    while (n > t.bytes && t.bytes && ((unsigned char)s[t.bytes] & 0xc0u) == 0x80u) t.bytes--; /* whole characters */
    return t;
}

isg_status isgi_lower_emit(isgi_lowering *l, isg_op_kind kind, const isgi_ref *inputs, uint32_t count,
                           const isgi_shape *shape, isgi_ref *ref, isgi_program_op **op, isg_error *err)
{
    isgi_program_op *added;
    ISGI_TRY(isgi_program_add_op(l->p, kind, inputs, count, &added, err));
    added->name = text_of(isg_graph_layer_name(l->g, l->node));
    added->node = l->node;
    added->shape = *shape;
    ref->kind = ISGI_REF_OP;
    ref->index = l->p->op_count - 1;
    if (op) *op = added;
    return ISG_OK;
}

isg_status isgi_lower_output(isgi_lowering *l, isg_op_kind kind, const isgi_ref *inputs, uint32_t count,
                             const isg_node *n, int32_t k, isgi_program_op **op, isg_error *err)
{
    isgi_shape shape;
    ISGI_TRY(isgi_lower_shape(l, n->outputs[k], &shape, err));
    return isgi_lower_emit(l, kind, inputs, count, &shape, &l->refs[n->outputs[k]], op, err);
}

isg_status isgi_lower_alias(isgi_lowering *l, int32_t out, int32_t in, isg_error *err)
{
    const isg_value *a = &l->g->values[out], *b = &l->g->values[in];
    if (l->refs[in].kind == ISGI_REF_NONE) {
        isgi_ref ref;
        ISGI_TRY(isgi_lower_value(l, in, &ref, err));
    }
    if ((a->rank > 0 && a->dims[0] == ISG_DIM_BATCH) != (b->rank > 0 && b->dims[0] == ISG_DIM_BATCH)) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it moves the batch dimension", err);
    }
    l->refs[out] = l->refs[in];
    l->uses[out] += l->uses[in] - 1; /* all uses of the one tensor count when something wants to change it in place */
    return ISG_OK;
}

/* Data of a constant in the stored order: rank 4 channels last, others row-major. */
static isg_status enter_constant(isgi_lowering *l, int32_t value, isgi_ref *ref, isg_error *err)
{
    const isg_tensor *t = l->g->values[value].constant;
    isgi_shape shape;
    uint32_t weight;
    isg_status status;
    float *data;
    if (t->dtype != ISG_DT_F32) return type_fail(l->g, value, "a constant operand", err);
    ISGI_TRY(isgi_lower_shape(l, value, &shape, err));
    data = isgi_malloc((size_t)t->count * sizeof *data);
    if (!data) return isgi_nomem(err);
    if (shape.rank == 4) {
        const uint32_t channels = shape.dims[1], pixels = shape.dims[2] * shape.dims[3];
        for (uint32_t i = 0; i < shape.dims[0]; i++) {
            const size_t image = (size_t)i * channels * pixels;
            isg_weight_oihw_to_hwio(data + image, (const float *)t->data + image, channels, 1, pixels);
        }
    } else {
        memcpy(data, t->data, (size_t)t->count * sizeof *data);
    }
    status = isgi_program_add_raw(l->p, data, 1, 1, (uint32_t)t->count, 32, &weight, err);
    isg_free(data);
    if (status == ISG_OK) status = isgi_program_add_constant(l->p, &shape, weight, ref, err);
    return status;
}

isg_status isgi_lower_value(isgi_lowering *l, int32_t value, isgi_ref *ref, isg_error *err)
{
    const isg_value *v = &l->g->values[value];
    isgi_shape shape;
    if (l->refs[value].kind == ISGI_REF_NONE) {
        if (!v->constant) {
            return value_fail(l->g, value, v->factors ? "a compressed weight used as an operand" : "undefined", err);
        }
        ISGI_TRY(enter_constant(l, value, &l->refs[value], err));
    }
    ISGI_TRY(isgi_lower_shape(l, value, &shape, err));
    if (!isgi_shape_equal(&shape, isgi_program_shape(l->p, l->refs[value]))) {
        const isgi_ref source = l->refs[value];
        const int32_t current = l->node;
        isg_status status;
        if (v->producer >= 0) l->node = v->producer; /* the reshape is named after its own node */
        status = isgi_lower_emit(l, ISG_KIND_RESHAPE, &source, 1, &shape, &l->refs[value], NULL, err);
        l->node = current;
        if (status != ISG_OK) return status;
    }
    *ref = l->refs[value];
    return ISG_OK;
}

isg_status isgi_lower_operand(isgi_lowering *l, const isg_node *n, int32_t k, isgi_ref *ref, isg_error *err)
{
    if (!isgi_lower_has(n, k)) return isgi_lower_fail(l, ISG_E_FORMAT, "an input is missing", err);
    return isgi_lower_value(l, n->inputs[k], ref, err);
}

isg_status isgi_lower_integers(const isgi_lowering *l, const isg_node *n, int32_t k, const int64_t **values,
                               int64_t *count, isg_error *err)
{
    const isg_tensor *t;
    *values = NULL;
    *count = 0;
    if (!isgi_lower_has(n, k)) return ISG_OK;
    t = l->g->values[n->inputs[k]].constant;
    if (!t || t->dtype != ISG_DT_I64) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a parameter is not an int64 constant", err);
    }
    *values = t->data;
    *count = t->count;
    return ISG_OK;
}

isg_status isgi_lower_floats(const isgi_lowering *l, const isg_node *n, int32_t k, const float **values, int64_t *count,
                             isg_error *err)
{
    const isg_tensor *t;
    *values = NULL;
    *count = 0;
    if (!isgi_lower_has(n, k)) return ISG_OK;
    t = l->g->values[n->inputs[k]].constant;
    if (!t || t->dtype != ISG_DT_F32) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a parameter is not a float32 constant", err);
    }
    *values = t->data;
    *count = t->count;
    return ISG_OK;
}

static const isgi_lower_fn lower_table[ISG_OP_COUNT] = {
    [ISG_OP_ADD] = isgi_lower_binary,
    [ISG_OP_AVERAGE_POOL] = isgi_lower_pool,
    [ISG_OP_BATCH_NORM] = isgi_lower_batch_norm,
    [ISG_OP_CLIP] = isgi_lower_activation,
    [ISG_OP_CONCAT] = isgi_lower_concat,
    [ISG_OP_CONV] = isgi_lower_conv,
    [ISG_OP_DIV] = isgi_lower_binary,
    [ISG_OP_DROPOUT] = isgi_lower_reshape,
    [ISG_OP_FLATTEN] = isgi_lower_reshape,
    [ISG_OP_GEMM] = isgi_lower_gemm,
    [ISG_OP_GLOBAL_AVERAGE_POOL] = isgi_lower_global_pool,
    [ISG_OP_GLOBAL_MAX_POOL] = isgi_lower_global_pool,
    [ISG_OP_HARD_SIGMOID] = isgi_lower_activation,
    [ISG_OP_HARD_SWISH] = isgi_lower_activation,
    [ISG_OP_IDENTITY] = isgi_lower_reshape,
    [ISG_OP_LEAKY_RELU] = isgi_lower_activation,
    [ISG_OP_MAX_POOL] = isgi_lower_pool,
    [ISG_OP_MUL] = isgi_lower_binary,
    [ISG_OP_PAD] = isgi_lower_pad,
    [ISG_OP_REDUCE_MEAN] = isgi_lower_reduce_mean,
    [ISG_OP_RELU] = isgi_lower_activation,
    [ISG_OP_RESHAPE] = isgi_lower_reshape,
    [ISG_OP_SIGMOID] = isgi_lower_activation,
    [ISG_OP_SLICE] = isgi_lower_slice,
    [ISG_OP_SOFTMAX] = isgi_lower_softmax,
    [ISG_OP_SPLIT] = isgi_lower_split,
    [ISG_OP_SQUEEZE] = isgi_lower_reshape,
    [ISG_OP_SUB] = isgi_lower_binary,
    [ISG_OP_SUM] = isgi_lower_sum,
    [ISG_OP_TRANSPOSE] = isgi_lower_transpose,
    [ISG_OP_UNSQUEEZE] = isgi_lower_reshape,
};

/* Backwards from the outputs: live nodes, and the uses of every value by them. */
static void count_uses(isgi_lowering *l)
{
    const isg_graph *g = l->g;
    for (int32_t i = 0; i < g->output_count; i++) l->uses[g->outputs[i]]++;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const isg_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->output_count && !l->live[i]; k++) {
            l->live[i] = n->outputs[k] != ISG_NO_VALUE && l->uses[n->outputs[k]] > 0;
        }
        for (int32_t k = 0; k < n->input_count && l->live[i]; k++) {
            if (n->inputs[k] == ISG_NO_VALUE) continue;
            l->uses[n->inputs[k]]++;
            l->consumer[n->inputs[k]] = i;
        }
    }
}

/* A problem of the node being lowered, or of the graph (node -1). */
static isg_status lower_fault(isgi_lowering *l, int32_t node, isg_status status, const isg_error *why, isg_error *err)
{
    return status == ISG_OK ? ISG_OK : isgi_fault(l->faults, l->g, node, status, why, err);
}

static int dims_known(const isg_value *v)
{
    for (int32_t d = 0; d < v->rank; d++)
        if (v->dims[d] == ISG_DIM_UNKNOWN) return 0;
    return v->rank >= 0 && v->dtype != ISG_DT_NONE;
}

static isg_status lower_input(isgi_lowering *l, int32_t i, isg_error *err)
{
    const int32_t value = l->g->inputs[i];
    isgi_port *port = &l->p->inputs[i];
    isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isg_status status;
    if (l->faults && !dims_known(&l->g->values[value])) return ISG_OK; /* said already */
    if (l->g->values[value].dtype != ISG_DT_F32)
        ISGI_TRY(lower_fault(l, -1, type_fail(l->g, value, "an input", &why), &why, err));
    status = isgi_lower_shape(l, value, &port->shape, &why);
    if (status != ISG_OK) return lower_fault(l, -1, status, &why, err);
    port->name = text_of(l->g->values[value].name);
    l->refs[value].kind = ISGI_REF_INPUT;
    l->refs[value].index = (uint32_t)i;
    return ISG_OK;
}

static isg_status lower_inputs(isgi_lowering *l, isg_error *err)
{
    const isg_graph *g = l->g;
    isgi_program *p = l->p;
    isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    if (g->input_count < 1 || g->input_count > (int32_t)ISG_FORMAT_MAX_IO || g->output_count < 1 ||
        g->output_count > (int32_t)ISG_FORMAT_MAX_IO) {
        isgi_fail(&why, ISG_E_UNSUPPORTED, "%d inputs and %d outputs: 1 to %u of each are possible",
                  (int)g->input_count, (int)g->output_count, ISG_FORMAT_MAX_IO);
        ISGI_TRY(lower_fault(l, -1, why.status, &why, err));
    }
    p->inputs = isgi_calloc((size_t)g->input_count, sizeof *p->inputs);
    p->outputs = isgi_calloc((size_t)g->output_count, sizeof *p->outputs);
    if (!p->inputs || !p->outputs) return isgi_nomem(err);
    for (int32_t i = 0; i < g->input_count; i++, p->input_count++) ISGI_TRY(lower_input(l, i, err));
    return ISG_OK;
}

static isg_status lower_outputs(isgi_lowering *l, isg_error *err)
{
    const isg_graph *g = l->g;
    for (int32_t i = 0; i < g->output_count; i++) {
        isgi_port *port = &l->p->outputs[i];
        const int32_t value = g->outputs[i];
        isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
        isg_status status;
        l->node = g->values[value].producer;
        if (l->faults && l->refs[value].kind == ISGI_REF_NONE && !g->values[value].constant) continue;
        status = isgi_lower_value(l, value, &port->ref, &why);
        if (status == ISG_OK && port->ref.kind == ISGI_REF_CONSTANT)
            status = value_fail(g, value, "an output is a constant", &why);
        ISGI_TRY(lower_fault(l, -1, status, &why, err));
        port->name = text_of(g->values[value].name);
        l->p->output_count++;
    }
    return ISG_OK;
}

static isg_status lower_node(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    if (!lower_table[n->op]) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "the runtime has no such operation", err);
    for (int32_t k = 1; k < n->output_count && n->op != ISG_OP_SPLIT; k++) {
        if (n->outputs[k] != ISG_NO_VALUE && l->uses[n->outputs[k]]) {
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "more than its first output is used", err);
        }
    }
    return lower_table[n->op](l, n, err);
}

/* ---- all problems, not only the first ---- */

/* Follows what is computed from the content of the inputs: unlike shapes, that cannot be folded away. */
static void feed(isgi_lowering *l, const isg_node *n)
{
    uint8_t fed = 0;
    for (int32_t k = 0; k < n->input_count; k++) fed |= n->inputs[k] != ISG_NO_VALUE && l->fed[n->inputs[k]];
    for (int32_t k = 0; k < n->output_count; k++)
        if (n->outputs[k] != ISG_NO_VALUE) l->fed[n->outputs[k]] = fed && n->op != ISG_OP_SHAPE;
}

static int is_ready(const isgi_lowering *l, const isg_node *n)
{
    for (int32_t k = 0; k < n->input_count; k++) {
        const int32_t v = n->inputs[k];
        if (v != ISG_NO_VALUE && l->refs[v].kind == ISGI_REF_NONE && !l->g->values[v].constant &&
            !l->g->values[v].factors)
            return 0;
    }
    return 1;
}

/* What can be said of a node without its inputs' shapes. */
static isg_status lower_unready(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const int window = n->op == ISG_OP_CONV || n->op == ISG_OP_MAX_POOL || n->op == ISG_OP_AVERAGE_POOL;
    const int32_t out = n->output_count > 0 ? n->outputs[0] : ISG_NO_VALUE;
    int32_t axes = window ? n->attr.conv.n : 0;
    if (n->op == ISG_OP_CONV && isgi_lower_has(n, 1) && l->g->values[n->inputs[1]].constant)
        axes = l->g->values[n->inputs[1]].rank - 2;
    if (!lower_table[n->op] && out != ISG_NO_VALUE && l->fed[out]) return lower_node(l, n, err);
    if (axes && axes != 2)
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "only two spatial dimensions are supported", err);
    return ISG_OK;
}

/* Tensors of the right shape for the outputs of a node that has a problem, so that those behind it get their turn. */
static isg_status stand_in(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    for (int32_t k = 0; k < n->output_count; k++) {
        const int32_t v = n->outputs[k];
        const isgi_ref none = {ISGI_REF_NONE, 0};
        isgi_shape shape;
        if (v == ISG_NO_VALUE || isgi_lower_shape(l, v, &shape, NULL) != ISG_OK) continue;
        ISGI_TRY(isgi_lower_emit(l, ISG_KIND_RESHAPE, &none, 0, &shape, &l->refs[v], NULL, err));
    }
    return ISG_OK;
}

static isg_status lower_nodes(isgi_lowering *l, isg_error *err)
{
    for (l->node = 0; l->node < l->g->node_count; l->node++) {
        const isg_node *n = &l->g->nodes[l->node];
        isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
        isg_status status;
        if (l->faults) feed(l, n);
        if (!l->live[l->node] || (l->faults && n->op == ISG_OP_CONSTANT)) continue;
        status = !l->faults || is_ready(l, n) ? lower_node(l, n, &why) : lower_unready(l, n, &why);
        if (status == ISG_OK) continue;
        ISGI_TRY(lower_fault(l, l->node, status, &why, err));
        ISGI_TRY(stand_in(l, n, err));
    }
    return ISG_OK;
}

isg_status isgi_program_lower(isgi_program *p, const isg_graph *g, const isg_pack_options *options,
                              const isgi_faults *faults, isg_error *err)
{
    const size_t values = (size_t)g->value_count, nodes = (size_t)g->node_count;
    isgi_lowering l = {p, g, options, NULL, NULL, NULL, NULL, NULL, 0, faults, NULL};
    isg_status status = isg_graph_validate(g, err);
    if (status != ISG_OK) return status;
    l.refs = isgi_calloc(values, sizeof *l.refs);
    l.uses = isgi_calloc(values, sizeof *l.uses);
    l.consumer = isgi_calloc(values, sizeof *l.consumer);
    l.live = isgi_calloc(nodes, 1);
    l.absorbed = isgi_calloc(nodes, 1);
    l.fed = isgi_calloc(values, 1);
    if (!l.refs || !l.uses || !l.consumer || !l.live || !l.absorbed || !l.fed) {
        status = isgi_nomem(err);
        goto done;
    }
    count_uses(&l);
    for (int32_t i = 0; i < g->input_count; i++) l.fed[g->inputs[i]] = 1;
    status = lower_inputs(&l, err);
    if (status == ISG_OK) status = lower_nodes(&l, err);
    if (status == ISG_OK) status = lower_outputs(&l, err);
    if (status == ISG_OK && p->op_count == 0 && !faults) {
        status = isgi_fail(err, ISG_E_UNSUPPORTED, "the graph computes nothing");
    }
done:
    isg_free(l.refs);
    isg_free(l.uses);
    isg_free(l.consumer);
    isg_free(l.live);
    isg_free(l.absorbed);
    isg_free(l.fed);
    return status;
}
