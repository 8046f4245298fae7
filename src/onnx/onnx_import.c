/* SPDX-License-Identifier: Apache-2.0 */
/* From ModelProto to isg_graph: names, initialisers, inputs, nodes; everything that is wrong is collected. */
#include "onnx/onnx_import.h"

#include <insitu/host.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_wire.h"

#define DEFAULT_MAX_BYTES (UINT64_C(1) << 34)
#define FIRST_FIELD 8u /* a file that is wrong before this byte is of another kind */

#define IMPORT_TRY(call)                                                                                               \
    do {                                                                                                               \
        const isg_status import_status_ = (call);                                                                      \
        if (import_status_ != ISG_OK) return import_status_;                                                           \
    } while (0)

/* ---- values ---- */

isg_status isgi_onnx_add_value(isgi_onnx_import *in, const char *name, int32_t *value)
{
    isg_graph *g = in->graph;
    isg_value *v;
    if (g->value_count == g->value_capacity) {
        const int32_t capacity = g->value_capacity ? g->value_capacity * 2 : 64;
        void *values;
        if ((size_t)capacity > 8 * ISGI_ONNX_MAX_VALUES) return isgi_fail(in->err, ISG_E_LIMIT, "too many values");
        values =
            isgi_realloc(g->values, (size_t)g->value_count * sizeof *g->values, (size_t)capacity * sizeof *g->values);
        if (!values) return isgi_nomem(in->err);
        g->values = values;
        g->value_capacity = capacity;
    }
    v = &g->values[g->value_count];
    memset(v, 0, sizeof *v);
    v->rank = -1;
    v->producer = -1;
    v->name = isgi_strdup(name);
    if (!v->name) return isgi_nomem(in->err);
    *value = g->value_count++;
    return ISG_OK;
}

static void import_set_constant(isg_value *v, isg_tensor *take)
{
    v->dtype = take->dtype;
    v->rank = take->rank;
    memcpy(v->dims, take->dims, sizeof v->dims);
    v->constant = take;
}

isg_status isgi_onnx_add_derived(isgi_onnx_import *in, const char *base, const char *suffix, int32_t *value)
{
    const size_t bytes = strlen(base) + strlen(suffix) + 16;
    char *name = isgi_malloc(bytes);
    isg_status status;
    int k;
    if (!name) return isgi_nomem(in->err);
    snprintf(name, bytes, "%s/%s", base, suffix);
    for (k = 1; isgi_onnx_lookup(in, name) >= 0; k++) snprintf(name, bytes, "%s/%s_%d", base, suffix, k);
    status = isgi_onnx_add_value(in, name, value);
    isg_free(name);
    return status;
}

isg_status isgi_onnx_add_constant(isgi_onnx_import *in, const char *base, const char *suffix, isg_tensor *take,
                                  int32_t *value)
{
    const isg_status status = isgi_onnx_add_derived(in, base, suffix, value);
    if (status == ISG_OK)
        import_set_constant(&in->graph->values[*value], take);
    else
        isg_tensor_destroy(take);
    return status;
}

/* ---- names ---- */

static isg_status declare(isgi_onnx_import *in, const char *name)
{
    isgi_onnx_name *entry = isgi_onnx_find_name(in, name);
    if (!entry || entry->value >= 0) return ISG_OK;
    return isgi_onnx_add_value(in, name, &entry->value);
}

/* Values in the order of the file: inputs, initialisers, results. */
static isg_status create_values(isgi_onnx_import *in, const IsgiOnnx__GraphProto *graph)
{
    size_t i, k;
    for (i = 0; i < graph->n_input; i++) IMPORT_TRY(declare(in, graph->input[i]->name));
    for (i = 0; i < graph->n_initializer; i++) IMPORT_TRY(declare(in, graph->initializer[i]->name));
    for (i = 0; i < graph->n_node; i++)
        for (k = 0; k < graph->node[i]->n_output; k++) IMPORT_TRY(declare(in, graph->node[i]->output[k]));
    return ISG_OK;
}

isg_status isgi_onnx_stand_in(isgi_onnx_import *in, const IsgiOnnx__NodeProto *node, const int32_t *inputs,
                              int32_t input_count, const int32_t *outputs, int32_t output_count)
{
    int32_t added;
    if (!in->partial) return ISG_OK;
    added = isg_graph_add_node(in->graph, ISG_OP_CONSTANT, node && node->name ? node->name : "", inputs, input_count,
                               outputs, output_count);
    return added < 0 ? isgi_fail(in->err, (isg_status)added, "cannot add a node") : ISG_OK;
}

static isg_status import_initializers(isgi_onnx_import *in, const IsgiOnnx__GraphProto *graph)
{
    size_t i;
    for (i = 0; i < graph->n_initializer; i++) {
        const IsgiOnnx__TensorProto *proto = graph->initializer[i];
        isgi_onnx_name *entry = isgi_onnx_find_name(in, proto->name);
        char shown[96];
        isg_tensor *t = NULL;
        isg_error why = {0};
        isg_status status;
        if (!entry || entry->taken) continue; /* said already */
        entry->taken = 1;
        status = isgi_onnx_tensor(&t, proto, &in->source, &why);
        if (status == ISG_E_NOMEM) return isgi_nomem(in->err);
        if (status == ISG_E_ARG) return isgi_fail(in->err, status, "%s", why.message);
        if (status == ISG_OK)
            import_set_constant(&in->graph->values[entry->value], t);
        else
            IMPORT_TRY(isgi_onnx_problem(
                in, -1, NULL, status, status == ISG_E_IO ? "keep the external data file beside the model" : "",
                "initialiser '%s': %s", isgi_escape(shown, sizeof shown, proto->name), why.message));
        if (status != ISG_OK) IMPORT_TRY(isgi_onnx_stand_in(in, NULL, NULL, 0, &entry->value, 1));
    }
    return ISG_OK;
}

/* ---- graph inputs and outputs ---- */

#define REASON_BYTES 80

/* Fills dtype and dims from a type; a reason on failure, which may be written to `text`. The first unknown dimension of
 * a graph input is the batch. */
static const char *import_type(isg_value *v, const IsgiOnnx__TypeProto *type, char text[REASON_BYTES])
{
    const IsgiOnnx__TypeProto__Tensor *t;
    size_t i;
    if (!type || type->value_case == ISGI_ONNX__TYPE_PROTO__VALUE__NOT_SET) return "has no type";
    if (type->value_case != ISGI_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type) return "is not a tensor";
    t = type->tensor_type;
    if (!t->has_elem_type) return "has no element type";
    if (!isgi_onnx_dtype_known(t->elem_type)) {
        snprintf(text, REASON_BYTES, "has element type %s, which is not supported", isg_dtype_name(t->elem_type));
        return text;
    }
    v->dtype = (isg_dtype)t->elem_type;
    if (!t->shape) return NULL;
    if (t->shape->n_dim > ISG_MAX_RANK) return "has more than 8 dimensions";
    for (i = 0; i < t->shape->n_dim; i++) {
        const IsgiOnnx__TensorShapeProto__Dimension *dim = t->shape->dim[i];
        const int known = dim->value_case == ISGI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (known && dim->dim_value < -1) return "has a negative dimension";
        if (known && dim->dim_value >= 0)
            v->dims[i] = dim->dim_value;
        else
            v->dims[i] = i == 0 ? ISG_DIM_BATCH : ISG_DIM_UNKNOWN;
    }
    v->rank = (int32_t)t->shape->n_dim;
    return NULL;
}

static isg_status import_inputs(isgi_onnx_import *in, const IsgiOnnx__GraphProto *graph)
{
    size_t i;
    for (i = 0; i < graph->n_input; i++) {
        isgi_onnx_name *entry = isgi_onnx_find_name(in, graph->input[i]->name);
        const char *reason;
        char shown[96], text[REASON_BYTES];
        if (!entry || entry->kind != ISGI_ONNX_INPUT || entry->taken) continue;
        entry->taken = 1;
        if ((size_t)in->graph->input_count >= ISGI_ONNX_MAX_OPERANDS)
            return isgi_fail(in->err, ISG_E_LIMIT, "more than 4096 graph inputs");
        reason = import_type(&in->graph->values[entry->value], graph->input[i]->type, text);
        isgi_escape(shown, sizeof shown, entry->name);
        if (reason) IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_UNSUPPORTED, "", "input '%s' %s", shown, reason));
        IMPORT_TRY(isg_graph_add_input(in->graph, entry->value, in->err));
    }
    return ISG_OK;
}

static isg_status import_outputs(isgi_onnx_import *in, const IsgiOnnx__GraphProto *graph)
{
    size_t i;
    if (!graph->n_output) return isgi_onnx_problem(in, -1, NULL, ISG_E_FORMAT, "", "the graph has no outputs");
    if (graph->n_output > ISGI_ONNX_MAX_OPERANDS)
        return isgi_fail(in->err, ISG_E_LIMIT, "more than 4096 graph outputs");
    for (i = 0; i < graph->n_output; i++) {
        const char *name = graph->output[i]->name ? graph->output[i]->name : "";
        const int32_t value = isgi_onnx_lookup(in, name);
        char shown[96];
        if (value >= 0)
            IMPORT_TRY(isg_graph_add_output(in->graph, value, in->err));
        else
            IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_FORMAT, "", "graph output '%s' is not defined",
                                         isgi_escape(shown, sizeof shown, name)));
    }
    return ISG_OK;
}

/* ---- nodes ---- */

static isg_op find_op(const char *name)
{
    int op;
    for (op = 0; op < ISG_OP_COUNT; op++)
        if (!strcmp(isg_op_name((isg_op)op), name)) return (isg_op)op;
    return ISG_OP_COUNT;
}

static int is_default_domain(const char *domain)
{
    return !domain || !domain[0] || !strcmp(domain, "ai.onnx");
}

static const char *op_hint(const char *op)
{
    if (!strcmp(op, "If") || !strcmp(op, "Loop") || !strcmp(op, "Scan"))
        return "control flow is not supported; export a static graph";
    if (!strcmp(op, "QLinearConv") || !strcmp(op, "QuantizeLinear") || !strcmp(op, "DequantizeLinear"))
        return "start from the float network";
    return "";
}

/* The length of a list of names without the empty ones at its end. */
static size_t given_names(char **names, size_t n)
{
    while (n && !names[n - 1][0]) n--;
    return n;
}

/* Indices of a node's inputs; an empty name is an omitted operand. */
static isg_status resolve_inputs(isgi_onnx_import *in, size_t index, int32_t *values, int32_t *count)
{
    const IsgiOnnx__NodeProto *node = in->model->graph->node[index];
    char **names = node->input;
    const size_t n = given_names(names, node->n_input);
    size_t i;
    for (i = 0; i < n; i++) {
        char shown[96];
        values[i] = ISG_NO_VALUE;
        if (!names[i][0]) continue;
        values[i] = isgi_onnx_lookup(in, names[i]);
        if (values[i] >= 0) continue;
        values[i] = ISG_NO_VALUE;
        IMPORT_TRY(isgi_onnx_problem(in, (int32_t)index, node, ISG_E_FORMAT, "", "input '%s' is not defined",
                                     isgi_escape(shown, sizeof shown, names[i])));
    }
    *count = (int32_t)n;
    return ISG_OK;
}

/* The same of its outputs, n of them. A name that another has taken, which was said, stands for a value of its own. */
static isg_status resolve_outputs(isgi_onnx_import *in, size_t index, size_t n, int32_t *values, int32_t *count)
{
    const IsgiOnnx__NodeProto *node = in->model->graph->node[index];
    size_t i;
    for (i = 0; i < n; i++) {
        isgi_onnx_name *entry = isgi_onnx_find_name(in, node->output[i]);
        char suffix[24];
        values[i] = ISG_NO_VALUE;
        if (!entry) continue;
        values[i] = entry->value;
        if (entry->taken) {
            snprintf(suffix, sizeof suffix, "again%d", (int)in->repeated++);
            IMPORT_TRY(isgi_onnx_add_derived(in, node->output[i], suffix, &values[i]));
        }
        entry->taken = 1;
    }
    *count = (int32_t)n;
    return ISG_OK;
}

static isg_status add_node(isgi_onnx_import *in, size_t index, isg_op op, int32_t *inputs, int32_t input_count,
                           const int32_t *outputs, int32_t output_count)
{
    const IsgiOnnx__NodeProto *node = in->model->graph->node[index];
    isg_node draft = {0};
    int32_t added;
    added = isg_graph_add_node(in->graph, op, node->name ? node->name : "", inputs, input_count, outputs, output_count);
    if (added < 0) return isgi_fail(in->err, (isg_status)added, "cannot add node %zu", index);
    in->graph->nodes[added].source = (int32_t)index + 1;
    draft = in->graph->nodes[added];
    IMPORT_TRY(isgi_onnx_attributes(in, (int32_t)index, op, &draft.attr, inputs, &input_count, output_count));
    if (input_count > draft.input_count) {
        int32_t *wider = isgi_malloc((size_t)input_count * sizeof *wider);
        if (!wider) return isgi_nomem(in->err);
        memcpy(wider, inputs, (size_t)input_count * sizeof *wider);
        isg_free(draft.inputs);
        draft.inputs = wider;
        draft.input_count = input_count;
    }
    in->graph->nodes[added] = draft;
    return isgi_onnx_check_weights(in, (int32_t)index, &draft);
}

static isg_status import_constant(isgi_onnx_import *in, size_t index, int32_t output)
{
    isg_tensor *t = NULL;
    IMPORT_TRY(isgi_onnx_constant(in, (int32_t)index, &t));
    if (t && output >= 0)
        import_set_constant(&in->graph->values[output], t);
    else
        isg_tensor_destroy(t);
    return ISG_OK;
}

/* The operator of a node, or ISG_OP_COUNT behind a problem. */
static isg_status node_op(isgi_onnx_import *in, size_t index, isg_op *op)
{
    const IsgiOnnx__NodeProto *node = in->model->graph->node[index];
    const char *type = node->op_type ? node->op_type : "";
    char shown[64];
    *op = is_default_domain(node->domain) ? find_op(type) : ISG_OP_COUNT;
    if (*op != ISG_OP_COUNT) return ISG_OK;
    if (is_default_domain(node->domain))
        return isgi_onnx_problem(in, (int32_t)index, node, ISG_E_UNSUPPORTED, op_hint(type), "unsupported operator");
    return isgi_onnx_problem(in, (int32_t)index, node, ISG_E_UNSUPPORTED, "only the standard operators are known",
                             "operator of domain '%s'", isgi_escape(shown, sizeof shown, node->domain));
}

static isg_status import_node(isgi_onnx_import *in, size_t index, int32_t *inputs, int32_t *outputs)
{
    const IsgiOnnx__NodeProto *node = in->model->graph->node[index];
    int32_t input_count = 0, output_count = 0;
    const int32_t found = in->found;
    size_t n_output;
    isg_op op;
    IMPORT_TRY(resolve_inputs(in, index, inputs, &input_count));
    IMPORT_TRY(node_op(in, index, &op));
    /* how many parts a Split makes is the length of its list */
    n_output = op == ISG_OP_SPLIT ? node->n_output : given_names(node->output, node->n_output);
    IMPORT_TRY(resolve_outputs(in, index, n_output, outputs, &output_count));
    if (op == ISG_OP_CONSTANT && in->found == found)
        IMPORT_TRY(import_constant(in, index, output_count > 0 ? outputs[0] : -1));
    if (op != ISG_OP_CONSTANT && op != ISG_OP_COUNT && in->found == found) {
        IMPORT_TRY(add_node(in, index, op, inputs, input_count, outputs, output_count));
        if (in->found != found) in->graph->nodes[in->graph->node_count - 1].op = ISG_OP_CONSTANT;
        return ISG_OK;
    }
    return in->found == found ? ISG_OK : isgi_onnx_stand_in(in, node, inputs, input_count, outputs, output_count);
}

static isg_status import_nodes(isgi_onnx_import *in, const IsgiOnnx__GraphProto *graph)
{
    int32_t *operands = isgi_malloc((2 * ISGI_ONNX_MAX_OPERANDS + 2 * ISGI_ONNX_EXTRA_INPUTS) * sizeof *operands);
    isg_status status = ISG_OK;
    size_t i;
    int constants;
    if (!operands) return isgi_nomem(in->err);
    /* Constant nodes first, so that weights are known wherever the file puts them. */
    for (constants = 1; constants >= 0; constants--) {
        for (i = 0; i < graph->n_node && status == ISG_OK; i++) {
            const char *type = graph->node[i]->op_type;
            if ((type && !strcmp(type, "Constant")) != constants) continue;
            status = import_node(in, i, operands, operands + ISGI_ONNX_MAX_OPERANDS + ISGI_ONNX_EXTRA_INPUTS);
        }
    }
    isg_free(operands);
    return status;
}

/* ---- the model ---- */

static void warn(const isgi_onnx_import *in, const char *what, int64_t found, int known)
{
    char text[160];
    if (!in->options || !in->options->warning || found <= known) return;
    snprintf(text, sizeof text, "%s %lld is newer than %d, the newest known, by whose rules the model is read", what,
             (long long)found, known);
    in->options->warning(in->options->user, text);
}

static isg_status import_versions(isgi_onnx_import *in)
{
    const IsgiOnnx__ModelProto *m = in->model;
    const char *fault = NULL;
    size_t i;
    in->opset = 0;
    for (i = 0; i < m->n_opset_import; i++) {
        if (!is_default_domain(m->opset_import[i]->domain)) continue;
        if (in->opset)
            fault = "two versions of the standard operator set";
        else
            in->opset = m->opset_import[i]->version;
    }
    if (!in->opset) fault = "no version of the standard operator set";
    if (fault) IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_FORMAT, "", "%s", fault));
    if (!m->has_ir_version || m->ir_version < 1)
        IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_FORMAT, "", "no IR version"));
    else if (m->ir_version < ISGI_ONNX_MIN_IR)
        IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_UNSUPPORTED, "", "IR version %lld (%d or later is read)",
                                     (long long)m->ir_version, ISGI_ONNX_MIN_IR));
    if (in->opset && in->opset < ISGI_ONNX_MIN_OPSET)
        IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_UNSUPPORTED, ISGI_ONNX_OPSET_HINT,
                                     "opset %lld (%d to %d are read)", (long long)in->opset, ISGI_ONNX_MIN_OPSET,
                                     ISGI_ONNX_MAX_OPSET));
    warn(in, "opset", in->opset, ISGI_ONNX_MAX_OPSET);
    warn(in, "IR version", m->has_ir_version ? m->ir_version : 0, ISGI_ONNX_MAX_IR);
    in->graph->opset = in->opset;
    return ISG_OK;
}

static isg_status import_refusals(isgi_onnx_import *in)
{
    const IsgiOnnx__ModelProto *m = in->model;
    if (m->n_functions)
        IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_UNSUPPORTED, "inline functions before exporting",
                                     "%zu model-local functions", m->n_functions));
    if (m->n_training_info) IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_UNSUPPORTED, "", "training information"));
    if (m->graph->n_sparse_initializer)
        IMPORT_TRY(isgi_onnx_problem(in, -1, NULL, ISG_E_UNSUPPORTED, "store the weights densely",
                                     "%zu sparse initialisers", m->graph->n_sparse_initializer));
    return ISG_OK;
}

static isg_status import_metadata(isgi_onnx_import *in)
{
    const IsgiOnnx__ModelProto *m = in->model;
    size_t i;
    if (m->producer_name && m->producer_name[0]) {
        in->graph->producer = isgi_strdup(m->producer_name);
        if (!in->graph->producer) return isgi_nomem(in->err);
    }
    for (i = 0; i < m->n_metadata_props; i++) {
        const char *key = m->metadata_props[i]->key, *value = m->metadata_props[i]->value;
        if (!key || !value || in->graph->license) continue;
        if (strcmp(key, "license") != 0 && strcmp(key, "model_license") != 0 && strcmp(key, "licence") != 0) continue;
        in->graph->license = isgi_strndup(value, 1024);
        if (!in->graph->license) return isgi_nomem(in->err);
    }
    return ISG_OK;
}

/* What needs the graph as a whole: the user's shapes, and operators that depend on them. */
static isg_status import_shapes(isgi_onnx_import *in)
{
    if (in->options && in->options->shape) IMPORT_TRY(isgi_onnx_apply_shape(in->graph, in->options->shape, in->err));
    return isgi_onnx_lower_softmax(in);
}

/* What is left where there were problems, unless it is no graph: then that follows from them. */
static isg_status import_rest(isgi_onnx_import *in)
{
    const int readable = in->opset >= ISGI_ONNX_MIN_OPSET && in->graph->output_count > 0;
    isg_status status = readable ? isg_graph_sort(in->graph, NULL) : ISG_E_UNSUPPORTED;
    if (status == ISG_OK) status = isg_graph_validate(in->graph, NULL);
    if (status == ISG_OK) return import_shapes(in);
    isg_graph_destroy(in->graph);
    in->graph = NULL;
    return status == ISG_E_NOMEM ? isgi_nomem(in->err) : ISG_OK;
}

static isg_status import_graph(isgi_onnx_import *in)
{
    const IsgiOnnx__GraphProto *graph = in->model->graph;
    if (!graph) return isgi_fail(in->err, ISG_E_FORMAT, "not an ONNX model: no graph");
    IMPORT_TRY(import_versions(in));
    IMPORT_TRY(import_refusals(in));
    IMPORT_TRY(isgi_onnx_collect_names(in));
    IMPORT_TRY(create_values(in, graph));
    IMPORT_TRY(import_initializers(in, graph));
    IMPORT_TRY(import_inputs(in, graph));
    IMPORT_TRY(import_nodes(in, graph));
    IMPORT_TRY(isgi_onnx_cut_cycles(in));
    IMPORT_TRY(import_outputs(in, graph));
    IMPORT_TRY(import_metadata(in));
    if (in->worst != ISG_OK) return in->partial ? import_rest(in) : ISG_OK;
    IMPORT_TRY(isg_graph_sort(in->graph, in->err));
    IMPORT_TRY(isg_graph_validate(in->graph, in->err));
    return import_shapes(in);
}

/* What ends an import at once is in a partial one the last of the problems. */
static isg_status import_end(isgi_onnx_import *in, isg_status status)
{
    if (in->partial && status != ISG_OK && status != ISG_E_NOMEM && status != ISG_E_ARG) {
        const isg_error last = *in->err;
        isg_graph_destroy(in->graph);
        in->graph = NULL;
        status = isgi_onnx_problem(in, -1, NULL, status, "", "%.199s", last.message);
    }
    if (status == ISG_OK && in->worst != ISG_OK)
        isgi_onnx_problems_say(in->err, in->worst, &in->first, in->partial ? 1 : in->found);
    return status == ISG_OK ? in->worst : status;
}

static isg_status import_bytes(isg_graph **out, const void *bytes, size_t size, const char *folder,
                               const isg_onnx_options *options, int partial, isg_onnx_problems *problems,
                               isg_error *err)
{
    isgi_onnx_import in;
    isgi_onnx_arena arena;
    ProtobufCMessage *message = NULL;
    uint64_t limit;
    isg_status status;
    if (!out || (!bytes && size) || (options && options->struct_size != sizeof *options))
        return isgi_fail(err, ISG_E_ARG, "null argument or wrong struct_size");
    memset(&in, 0, sizeof in);
    memset(&arena, 0, sizeof arena);
    in.problems = problems;
    in.options = options;
    in.partial = partial;
    in.err = err;
    limit = options && options->max_bytes ? options->max_bytes : DEFAULT_MAX_BYTES;
    /* An honest file unpacks to a few times its size; one that wants more is a bomb. */
    arena.limit = size < limit / 128 ? (uint64_t)size * 128 : limit;
    arena.limit = arena.limit + (1u << 20) < limit ? arena.limit + (1u << 20) : limit;
    status = isgi_onnx_unpack(&message, &isgi_onnx__model_proto__descriptor, bytes, size, &arena, err);
    if (status == ISG_E_FORMAT && err && err->offset < FIRST_FIELD) {
        char reason[sizeof err->message];
        memcpy(reason, err->message, sizeof reason);
        isgi_fail(err, ISG_E_FORMAT, "neither an .isg nor an ONNX file: %.180s", reason);
    }
    if (status != ISG_OK) {
        status = import_end(&in, status);
        goto done;
    }
    in.model = (const IsgiOnnx__ModelProto *)(const void *)message;
    in.source.folder = folder;
    in.source.left = limit - arena.used;
    if (options) {
        in.source.outputs = options->outputs;
        in.source.output_count = options->output_count;
    }
    status = isg_graph_create(&in.graph, err);
    if (status == ISG_OK) status = import_graph(&in);
    status = import_end(&in, status);
    if ((status != ISG_OK && !partial) || !in.graph) goto done;
    isg_sha256(in.graph->source_hash, bytes, size);
    *out = in.graph;
    in.graph = NULL;
done:
    isg_graph_destroy(in.graph);
    isg_free(in.names);
    isgi_onnx_arena_free(&arena);
    return status;
}

isg_status isg_onnx_import_memory(isg_graph **out, const void *bytes, size_t size, const char *folder,
                                  const isg_onnx_options *options, isg_onnx_problems *problems, isg_error *err)
{
    return import_bytes(out, bytes, size, folder, options, 0, problems, err);
}

static isg_status import_opened(isg_graph **out, const isg_file *file, const char *path,
                                const isg_onnx_options *options, int partial, isg_onnx_problems *problems,
                                isg_error *err)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *folder;
    isg_status status;
    if (!out || !file || !path) return isgi_fail(err, ISG_E_ARG, "null argument");
    folder = slash ? isgi_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : isgi_strdup(".");
    if (!folder) return isgi_nomem(err);
    status = import_bytes(out, file->data, file->size, folder, options, partial, problems, err);
    isg_free(folder);
    return status;
}

isg_status isg_onnx_import_opened(isg_graph **out, const isg_file *file, const char *path,
                                  const isg_onnx_options *options, isg_onnx_problems *problems, isg_error *err)
{
    return import_opened(out, file, path, options, 0, problems, err);
}

isg_status isgi_onnx_import_partial(isg_graph **out, const isg_file *file, const char *path,
                                    const isg_onnx_options *options, isg_onnx_problems *problems, isg_error *err)
{
    return import_opened(out, file, path, options, 1, problems, err);
}

isg_status isg_onnx_import_file(isg_graph **out, const char *path, const isg_onnx_options *options,
                                isg_onnx_problems *problems, isg_error *err)
{
    isg_file file = {0};
    isg_status status;
    if (!out || !path) return isgi_fail(err, ISG_E_ARG, "null argument");
    status = isg_file_open(&file, path, err);
    if (status != ISG_OK) return status;
    status = isg_onnx_import_opened(out, &file, path, options, problems, err);
    isg_file_close(&file);
    return status;
}
