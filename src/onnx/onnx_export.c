/* SPDX-License-Identifier: Apache-2.0 */
/* From isg_graph to an ONNX file of opset 13. */
#include "onnx/onnx_export.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"

#define EXPORT_OPSET 13
#define MAX_OPERANDS 4096
#define NAME_BYTES 400 /* of a layer, in the names derived from it */

static const isg_node *export_node(const isgi_onnx_export *x)
{
    return &x->graph->nodes[x->node];
}

static void export_refuse(isgi_onnx_export *x, const char *reason)
{
    char name[96];
    const isg_node *n = export_node(x);
    if (x->build.status != ISG_OK) return;
    x->build.status = isgi_fail(x->build.err, ISG_E_UNSUPPORTED, "node '%s' (%s) cannot be written in opset 13: %s",
                                isgi_escape(name, sizeof name, n->name), isg_op_name(n->op), reason);
    if (x->build.err) x->build.err->node = x->node;
}

/* Whether a node before this one goes by the same name, as far as derived names show it. */
static int is_namesake(const isgi_onnx_export *x)
{
    const char *layer = isg_graph_layer_name(x->graph, x->node);
    for (int32_t i = 0; i < x->node; i++)
        if (strncmp(isg_graph_layer_name(x->graph, i), layer, NAME_BYTES) == 0) return 1;
    return 0;
}

const char *isgi_onnx_export_name(isgi_onnx_export *x, const char *suffix)
{
    const char *layer = isg_graph_layer_name(x->graph, x->node), *name;
    char own[32] = "";
    int k;
    if (x->namesake) snprintf(own, sizeof own, "/node_%d", (int)x->node);
    name = isgi_onnx_build_name(&x->build, "%.*s%s/%s", NAME_BYTES, layer, own, suffix);
    for (k = 1; x->build.status == ISG_OK && isg_graph_find_value(x->graph, name) >= 0; k++)
        name = isgi_onnx_build_name(&x->build, "%.*s%s/%s_%d", NAME_BYTES, layer, own, suffix, k);
    return name;
}

const char *isgi_onnx_export_operand(isgi_onnx_export *x, int32_t k)
{
    const isg_node *n = export_node(x);
    const int32_t index = k < n->input_count ? n->inputs[k] : ISG_NO_VALUE;
    const isg_value *v;
    if (index < 0) return "";
    v = &x->graph->values[index];
    if (x->written[index] || x->build.status != ISG_OK) return v->name;
    if (v->factors) {
        isg_tensor *dense = NULL;
        x->build.status = isg_graph_weight(x->graph, index, &dense, x->build.err);
        if (x->build.status == ISG_OK) isgi_onnx_build_tensor(&x->build, v->name, dense);
        isg_tensor_destroy(dense);
    } else if (v->constant) {
        isgi_onnx_build_tensor(&x->build, v->name, v->constant);
    }
    x->written[index] = 1;
    return v->name;
}

const char *isgi_onnx_export_output(isgi_onnx_export *x, int32_t k)
{
    const isg_node *n = export_node(x);
    char part[32];
    if (k < n->output_count && n->outputs[k] >= 0) return x->graph->values[n->outputs[k]].name;
    if (n->op != ISG_OP_SPLIT) return "";
    /* ONNX has no optional outputs in a list: what nobody reads has a name too */
    snprintf(part, sizeof part, "part_%d", (int)k);
    return isgi_onnx_export_name(x, part);
}

static const isg_tensor *export_constant(const isgi_onnx_export *x, int32_t k)
{
    const isg_node *n = export_node(x);
    return k < n->input_count && n->inputs[k] >= 0 ? x->graph->values[n->inputs[k]].constant : NULL;
}

static const char *export_ints(isgi_onnx_export *x, const char *suffix, const int64_t *values, int32_t n)
{
    const char *name = isgi_onnx_export_name(x, suffix);
    isg_tensor t = {0};
    int64_t copy[2 * ISG_MAX_RANK] = {0};
    memcpy(copy, values, (size_t)n * sizeof *values);
    t.dtype = ISG_DT_I64;
    t.rank = 1;
    t.dims[0] = t.count = n;
    t.data = copy;
    isgi_onnx_build_tensor(&x->build, name, &t);
    return name;
}

static const char *export_scalar(isgi_onnx_export *x, const char *suffix, float value)
{
    const char *name = isgi_onnx_export_name(x, suffix);
    float *data = isgi_onnx_build_floats(&x->build, name, 0, NULL);
    if (data) *data = value;
    return name;
}

/* The node with `inputs` in place of its own; all its outputs. */
static IsgiOnnx__NodeProto *export_with(isgi_onnx_export *x, const char *const *inputs, int32_t count)
{
    const isg_node *n = export_node(x);
    const char **outputs = isgi_onnx_build_alloc(&x->build, (size_t)n->output_count * sizeof *outputs);
    int32_t i;
    if (!outputs) return NULL;
    for (i = 0; i < n->output_count; i++) outputs[i] = isgi_onnx_export_output(x, i);
    return isgi_onnx_build_node(&x->build, isg_op_name(n->op), n->name, inputs, (size_t)count, outputs,
                                (size_t)n->output_count);
}

static IsgiOnnx__NodeProto *export_plain(isgi_onnx_export *x, int32_t input_count)
{
    const char **inputs = isgi_onnx_build_alloc(&x->build, (size_t)input_count * sizeof *inputs);
    int32_t i;
    for (i = 0; inputs && i < input_count; i++) inputs[i] = isgi_onnx_export_operand(x, i);
    return inputs ? export_with(x, inputs, input_count) : NULL;
}

/* ---- operators with attributes ---- */

void isgi_onnx_export_conv_attr(isgi_onnx_export *x, IsgiOnnx__NodeProto *node, const isg_conv_attr *c, int32_t spatial,
                                const int64_t *kernel, int64_t groups)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    isgi_onnx_build *b = &x->build;
    const size_t n = (size_t)spatial;
    const int is_conv = export_node(x)->op == ISG_OP_CONV;
    int32_t i, dilated = 0;
    for (i = 0; i < spatial; i++) dilated |= c->dilation[i] != 1;
    if (kernel[0]) isgi_onnx_build_ints(b, node, "kernel_shape", kernel, n);
    isgi_onnx_build_ints(b, node, "strides", c->stride, n);
    if (c->auto_pad != ISG_PAD_NOTSET)
        isgi_onnx_build_string(b, node, "auto_pad", names[c->auto_pad]);
    else
        isgi_onnx_build_ints(b, node, "pads", c->pads, 2 * n);
    if (dilated && export_node(x)->op == ISG_OP_AVERAGE_POOL)
        export_refuse(x, "dilated average pooling");
    else if (dilated)
        isgi_onnx_build_ints(b, node, "dilations", c->dilation, n);
    if (is_conv && groups != 1) isgi_onnx_build_int(b, node, "group", groups);
}

static void export_conv(isgi_onnx_export *x)
{
    const isg_node *n = export_node(x);
    const isg_conv_attr *c = &n->attr.conv;
    const isg_value *w = &x->graph->values[n->inputs[n->op == ISG_OP_CONV ? 1 : 0]];
    const int32_t spatial = c->n ? c->n : w->rank - 2;
    IsgiOnnx__NodeProto *node = export_plain(x, n->input_count);
    if (spatial < 1 || spatial > 3) {
        export_refuse(x, "its spatial rank is unknown");
        return;
    }
    isgi_onnx_export_conv_attr(x, node, c, spatial, c->kernel, c->groups);
    if (n->op == ISG_OP_CONV) return;
    if (c->ceil_mode) isgi_onnx_build_int(&x->build, node, "ceil_mode", 1);
    if (c->count_include_pad) isgi_onnx_build_int(&x->build, node, "count_include_pad", 1);
    if (c->storage_order) isgi_onnx_build_int(&x->build, node, "storage_order", 1);
}

static void export_gemm(isgi_onnx_export *x)
{
    const isg_gemm_attr *m = &export_node(x)->attr.gemm;
    IsgiOnnx__NodeProto *node = export_plain(x, export_node(x)->input_count);
    if (m->alpha != 1.0f) isgi_onnx_build_float(&x->build, node, "alpha", m->alpha);
    if (m->beta != 1.0f) isgi_onnx_build_float(&x->build, node, "beta", m->beta);
    if (m->trans_a) isgi_onnx_build_int(&x->build, node, "transA", 1);
    if (m->trans_b) isgi_onnx_build_int(&x->build, node, "transB", 1);
}

/* Axes of an operator, from its input 1 when constant, else its attribute. Their number, or -1. */
static int32_t export_axes(isgi_onnx_export *x, int64_t *axes)
{
    const isg_node *n = export_node(x);
    const isg_tensor *t = export_constant(x, 1);
    if (n->input_count < 2 || n->inputs[1] < 0) {
        memcpy(axes, n->attr.axes.axes, sizeof n->attr.axes.axes);
        return n->attr.axes.n;
    }
    if (!t || t->dtype != ISG_DT_I64 || t->count > ISG_MAX_RANK) {
        export_refuse(x, "its axes are not constant");
        return -1;
    }
    memcpy(axes, t->data, (size_t)t->count * sizeof *axes);
    return (int32_t)t->count;
}

static void export_reduce_mean(isgi_onnx_export *x)
{
    const isg_axes_attr *a = &export_node(x)->attr.axes;
    int64_t axes[ISG_MAX_RANK] = {0};
    const int32_t n = export_axes(x, axes);
    const char *input = isgi_onnx_export_operand(x, 0), *output = isgi_onnx_export_output(x, 0);
    IsgiOnnx__NodeProto *node;
    if (n < 0) return;
    if (n == 0 && a->noop_with_empty) {
        (void)isgi_onnx_build_node(&x->build, "Identity", export_node(x)->name, &input, 1, &output, 1);
        return;
    }
    node = export_plain(x, 1);
    if (n) isgi_onnx_build_ints(&x->build, node, "axes", axes, (size_t)n);
    isgi_onnx_build_int(&x->build, node, "keepdims", a->keepdims);
}

static void export_squeeze(isgi_onnx_export *x)
{
    const isg_node *n = export_node(x);
    const char *inputs[2];
    if (n->input_count > 1 || n->attr.axes.n == 0) {
        (void)export_plain(x, n->input_count);
        return;
    }
    inputs[0] = isgi_onnx_export_operand(x, 0);
    inputs[1] = export_ints(x, "axes", n->attr.axes.axes, n->attr.axes.n);
    (void)export_with(x, inputs, 2);
}

static void export_clip(isgi_onnx_export *x)
{
    const isg_node *n = export_node(x);
    const char *inputs[3];
    int32_t count = 1;
    if (n->input_count > 1) {
        (void)export_plain(x, n->input_count);
        return;
    }
    inputs[0] = isgi_onnx_export_operand(x, 0);
    inputs[1] = inputs[2] = "";
    if (!isinf(n->attr.scalar.lo)) {
        inputs[1] = export_scalar(x, "lo", n->attr.scalar.lo);
        count = 2;
    }
    if (!isinf(n->attr.scalar.hi)) {
        inputs[2] = export_scalar(x, "hi", n->attr.scalar.hi);
        count = 3;
    }
    (void)export_with(x, inputs, count);
}

/* HardSwish came with opset 14: x * HardSigmoid(x, 1/6, 1/2). */
static void export_hard_swish(isgi_onnx_export *x)
{
    const char *operands[2], *gate = isgi_onnx_export_name(x, "gate"), *output = isgi_onnx_export_output(x, 0);
    IsgiOnnx__NodeProto *node;
    operands[0] = isgi_onnx_export_operand(x, 0);
    operands[1] = gate;
    node = isgi_onnx_build_node(&x->build, "HardSigmoid", gate, operands, 1, &gate, 1);
    isgi_onnx_build_float(&x->build, node, "alpha", 1.0f / 6.0f);
    isgi_onnx_build_float(&x->build, node, "beta", 0.5f);
    (void)isgi_onnx_build_node(&x->build, "Mul", export_node(x)->name, operands, 2, &output, 1);
}

/* Opset 18 gave Pad axes; before, pads name every dimension. */
static void export_pad(isgi_onnx_export *x)
{
    static const char *const modes[] = {"constant", "reflect", "edge"};
    const isg_node *n = export_node(x);
    const isg_tensor *pads = export_constant(x, 1), *axes = export_constant(x, 3);
    const int32_t rank = x->graph->values[n->inputs[0]].rank;
    IsgiOnnx__NodeProto *node;
    if (n->input_count > 3 && n->inputs[3] >= 0) {
        int64_t all[2 * ISG_MAX_RANK] = {0};
        const char *inputs[3];
        int64_t i;
        if (!pads || !axes || rank < 0 || pads->dtype != ISG_DT_I64 || axes->dtype != ISG_DT_I64 ||
            pads->count != 2 * axes->count) {
            export_refuse(x, "its pads or axes are not constant");
            return;
        }
        for (i = 0; i < axes->count; i++) {
            int64_t axis = ((const int64_t *)axes->data)[i];
            if (axis < 0) axis += rank;
            if (axis < 0 || axis >= rank) {
                export_refuse(x, "axis out of range");
                return;
            }
            all[axis] = ((const int64_t *)pads->data)[i];
            all[axis + rank] = ((const int64_t *)pads->data)[i + axes->count];
        }
        inputs[0] = isgi_onnx_export_operand(x, 0);
        inputs[1] = export_ints(x, "pads", all, 2 * rank);
        inputs[2] = isgi_onnx_export_operand(x, 2);
        node = export_with(x, inputs, 3);
    } else {
        node = export_plain(x, n->input_count < 3 ? n->input_count : 3);
    }
    isgi_onnx_build_string(&x->build, node, "mode", modes[n->attr.pad.mode]);
}

static void export_constant_of_shape(isgi_onnx_export *x)
{
    const isg_tensor *value = export_constant(x, 1);
    const isg_node *n = export_node(x);
    isg_tensor one;
    IsgiOnnx__NodeProto *node = export_plain(x, 1);
    if (n->input_count < 2 || n->inputs[1] < 0) return;
    if (!value || value->count != 1) {
        export_refuse(x, "its value is not constant");
        return;
    }
    one = *value;
    one.rank = 1;
    one.dims[0] = 1;
    isgi_onnx_build_value(&x->build, node, "value", &one);
}

static void export_axis(isgi_onnx_export *x)
{
    const isg_node *n = export_node(x);
    IsgiOnnx__NodeProto *node = export_plain(x, n->input_count);
    if (n->op == ISG_OP_TRANSPOSE) {
        if (n->attr.axes.n) isgi_onnx_build_ints(&x->build, node, "perm", n->attr.axes.axes, (size_t)n->attr.axes.n);
        return;
    }
    isgi_onnx_build_int(&x->build, node, "axis", n->attr.axes.axes[0]);
    if (n->op == ISG_OP_SPLIT && n->input_count < 2) {
        const isg_value *v = &x->graph->values[n->inputs[0]];
        const int64_t axis = n->attr.axes.axes[0] < 0 ? n->attr.axes.axes[0] + v->rank : n->attr.axes.axes[0];
        if (v->rank >= 0 && axis >= 0 && axis < v->rank && v->dims[axis] > 0 && v->dims[axis] % n->output_count)
            export_refuse(x, "an uneven split without sizes");
    }
}

static void export_scalars(isgi_onnx_export *x)
{
    const isg_node *n = export_node(x);
    IsgiOnnx__NodeProto *node = export_plain(x, n->input_count);
    if (n->op == ISG_OP_BATCH_NORM) {
        if (n->attr.scalar.training) export_refuse(x, "training mode");
        isgi_onnx_build_float(&x->build, node, "epsilon", n->attr.scalar.alpha);
        return;
    }
    isgi_onnx_build_float(&x->build, node, "alpha", n->attr.scalar.alpha);
    if (n->op == ISG_OP_HARD_SIGMOID) isgi_onnx_build_float(&x->build, node, "beta", n->attr.scalar.beta);
}

static void export_one(isgi_onnx_export *x)
{
    const isg_node *n = export_node(x);
    if (x->form == ISG_ONNX_FACTORED && isgi_onnx_export_chain(x)) return;
    switch (n->op) {
    case ISG_OP_CONV:
    case ISG_OP_MAX_POOL:
    case ISG_OP_AVERAGE_POOL: export_conv(x); return;
    case ISG_OP_GEMM: export_gemm(x); return;
    case ISG_OP_REDUCE_MEAN: export_reduce_mean(x); return;
    case ISG_OP_SQUEEZE:
    case ISG_OP_UNSQUEEZE: export_squeeze(x); return;
    case ISG_OP_CLIP: export_clip(x); return;
    case ISG_OP_HARD_SWISH: export_hard_swish(x); return;
    case ISG_OP_PAD: export_pad(x); return;
    case ISG_OP_CONSTANT_OF_SHAPE: export_constant_of_shape(x); return;
    case ISG_OP_SOFTMAX:
    case ISG_OP_CONCAT:
    case ISG_OP_FLATTEN:
    case ISG_OP_GATHER:
    case ISG_OP_SPLIT:
    case ISG_OP_TRANSPOSE: export_axis(x); return;
    case ISG_OP_BATCH_NORM:
    case ISG_OP_LEAKY_RELU:
    case ISG_OP_HARD_SIGMOID: export_scalars(x); return;
    case ISG_OP_CAST: isgi_onnx_build_int(&x->build, export_plain(x, 1), "to", (int64_t)n->attr.cast.to); return;
    case ISG_OP_RESHAPE:
        if (n->attr.axes.allow_zero) export_refuse(x, "allowzero");
        break;
    case ISG_OP_SHAPE:
        if (n->attr.axes.start || n->attr.axes.has_end) export_refuse(x, "a part of the shape");
        break;
    default: break;
    }
    (void)export_plain(x, n->input_count);
}

/* ---- the model ---- */

static void export_infos(isgi_onnx_export *x, const int32_t *values, int32_t count, IsgiOnnx__ValueInfoProto ***list,
                         size_t *length)
{
    int32_t i;
    *list = isgi_onnx_build_alloc(&x->build, (size_t)count * sizeof **list);
    for (i = 0; i < count && x->build.status == ISG_OK; i++) {
        const isg_value *v = &x->graph->values[values[i]];
        (*list)[(*length)++] = isgi_onnx_build_info(&x->build, v->name, v->dtype, v->rank, v->dims);
    }
}

static void export_metadata(isgi_onnx_export *x)
{
    IsgiOnnx__StringStringEntryProto *entry, **list;
    if (!x->graph->license) return;
    entry = isgi_onnx_build_alloc(&x->build, sizeof *entry);
    list = isgi_onnx_build_alloc(&x->build, sizeof *list);
    if (!entry || !list) return;
    isgi_onnx__string_string_entry_proto__init(entry);
    entry->key = (char *)isgi_onnx_build_name(&x->build, "license");
    entry->value = x->graph->license;
    list[0] = entry;
    x->build.model.metadata_props = list;
    x->build.model.n_metadata_props = 1;
}

/* An output that is itself a constant needs its initialiser too. */
static void export_constant_outputs(isgi_onnx_export *x)
{
    int32_t i;
    for (i = 0; i < x->graph->output_count; i++) {
        const int32_t index = x->graph->outputs[i];
        const isg_value *v = &x->graph->values[index];
        if (!v->constant || x->written[index]) continue;
        isgi_onnx_build_tensor(&x->build, v->name, v->constant);
        x->written[index] = 1;
    }
}

isg_status isg_onnx_export_file(const isg_graph *g, const char *path, isg_onnx_form form, isg_error *err)
{
    isgi_onnx_export x;
    isg_status status;
    if (!g || !path || (form != ISG_ONNX_DENSE && form != ISG_ONNX_FACTORED))
        return isgi_fail(err, ISG_E_ARG, "null argument or unknown form");
    status = isg_graph_validate(g, err);
    if (status != ISG_OK) return status;
    memset(&x, 0, sizeof x);
    x.graph = g;
    x.form = form;
    isgi_onnx_build_begin(&x.build, EXPORT_OPSET, err);
    x.written = isgi_onnx_build_alloc(&x.build, (size_t)g->value_count);
    if (x.build.status == ISG_OK) {
        export_infos(&x, g->inputs, g->input_count, &x.build.graph->input, &x.build.graph->n_input);
        export_infos(&x, g->outputs, g->output_count, &x.build.graph->output, &x.build.graph->n_output);
        export_metadata(&x);
    }
    for (x.node = 0; x.node < g->node_count && x.build.status == ISG_OK; x.node++) {
        if (g->nodes[x.node].op == ISG_OP_CONSTANT) continue;
        x.namesake = is_namesake(&x);
        export_one(&x);
    }
    if (x.build.status == ISG_OK) export_constant_outputs(&x);
    status = isgi_onnx_build_write(&x.build, path);
    isgi_onnx_build_end(&x.build);
    return status;
}
