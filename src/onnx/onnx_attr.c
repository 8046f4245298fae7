/* SPDX-License-Identifier: Apache-2.0 */
/* Node attributes of every opset in the one form of graph.h. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_import.h"

#define TYPE(name) ISGI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name
#define MAX_ATTRIBUTES 64u
#define MAX_PAD 4096

typedef struct op_rule {
    isg_op op;
    int16_t since, inputs_min, inputs_max, outputs_max;
} op_rule;
static const op_rule op_rules[] = {
#define ONNX_OP(op, since, inputs_min, inputs_max, outputs_max)                                                        \
    {ISG_OP_##op, since, inputs_min, inputs_max, outputs_max},
#define ONNX_ATTR(op, name, type, first, last)
#include "onnx/onnx_ops.def"
#undef ONNX_OP
#undef ONNX_ATTR
};

typedef struct attr_rule {
    isg_op op;
    const char *name;
    int type;
    int64_t first, last;
} attr_rule;
static const attr_rule attr_rules[] = {
#define ONNX_OP(op, since, inputs_min, inputs_max, outputs_max)
#define ONNX_ATTR(op, name, type, first, last) {ISG_OP_##op, name, TYPE(type), first, last},
#include "onnx/onnx_ops.def"
#undef ONNX_OP
#undef ONNX_ATTR
};

/* One node while its attributes are read. The first failure stops it; the next node goes on. */
typedef struct attr_reader {
    isgi_onnx_import *in;
    const IsgiOnnx__NodeProto *node;
    int32_t index;
    isg_status fatal; /* NOMEM and the like */
    int refused;      /* a problem was added */
} attr_reader;

#define ATTR_PROBLEM(r, status, hint, ...)                                                                             \
    do {                                                                                                               \
        (r)->refused = 1;                                                                                              \
        if ((r)->fatal == ISG_OK)                                                                                      \
            (r)->fatal = isgi_onnx_problem((r)->in, (r)->index, (r)->node, attr_status(r, status), attr_hint(r, hint), \
                                           __VA_ARGS__);                                                               \
    } while (0)

/* What is wrong by the rules we know may be right by those of an opset that is newer. */
static isg_status attr_status(const attr_reader *r, isg_status status)
{
    return status == ISG_E_FORMAT && r->in->opset > ISGI_ONNX_MAX_OPSET ? ISG_E_UNSUPPORTED : status;
}

static const char *attr_hint(const attr_reader *r, const char *hint)
{
    return hint[0] || r->in->opset <= ISGI_ONNX_MAX_OPSET ? hint : ISGI_ONNX_OPSET_HINT;
}

/* Files of IR version 1 and 2 may leave the type out. */
static int attr_type(const IsgiOnnx__AttributeProto *a)
{
    if (a->has_type && a->type != TYPE(UNDEFINED)) return (int)a->type;
    if (a->has_f) return TYPE(FLOAT);
    if (a->has_i) return TYPE(INT);
    if (a->has_s) return TYPE(STRING);
    if (a->t) return TYPE(TENSOR);
    if (a->g) return TYPE(GRAPH);
    if (a->n_floats) return TYPE(FLOATS);
    if (a->n_ints) return TYPE(INTS);
    return TYPE(UNDEFINED);
}

static const IsgiOnnx__AttributeProto *attr_find(const attr_reader *r, const char *name)
{
    size_t i;
    for (i = 0; i < r->node->n_attribute; i++)
        if (r->node->attribute[i]->name && !strcmp(r->node->attribute[i]->name, name)) return r->node->attribute[i];
    return NULL;
}

static const attr_rule *attr_rule_find(isg_op op, const char *name)
{
    size_t i;
    for (i = 0; i < sizeof attr_rules / sizeof *attr_rules; i++)
        if (attr_rules[i].op == op && !strcmp(attr_rules[i].name, name)) return &attr_rules[i];
    return NULL;
}

/* Every attribute is known for this operator and opset, has its type, and comes once. */
static void attr_check_known(attr_reader *r, isg_op op)
{
    size_t i;
    if (r->node->n_attribute > MAX_ATTRIBUTES) {
        ATTR_PROBLEM(r, ISG_E_LIMIT, "", "more than 64 attributes");
        return;
    }
    for (i = 0; i < r->node->n_attribute; i++) {
        const IsgiOnnx__AttributeProto *a = r->node->attribute[i];
        const attr_rule *rule = a->name ? attr_rule_find(op, a->name) : NULL;
        char shown[64];
        isgi_escape(shown, sizeof shown, a->name ? a->name : "");
        if (a->name && attr_find(r, a->name) != a)
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute '%s' given twice", shown);
        else if (a->ref_attr_name && a->ref_attr_name[0])
            ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "inline functions before exporting",
                         "attribute '%s' refers to a function's attribute", shown);
        else if (!rule)
            ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "", "unknown attribute '%s'", shown);
        else if (r->in->opset < rule->first || (r->in->opset > rule->last && rule->last < ISGI_ONNX_MAX_OPSET))
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute '%s' does not exist in opset %lld", shown,
                         (long long)r->in->opset);
        else if (attr_type(a) != rule->type)
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute '%s' has the wrong type", shown);
    }
}

static void attr_check_counts(attr_reader *r, isg_op op, int32_t inputs, int32_t outputs)
{
    size_t i;
    for (i = 0; i < sizeof op_rules / sizeof *op_rules; i++) {
        const op_rule *rule = &op_rules[i];
        if (rule->op != op) continue;
        if (r->in->opset < rule->since)
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "the operator does not exist before opset %d", rule->since);
        if (inputs < rule->inputs_min || (rule->inputs_max >= 0 && inputs > rule->inputs_max))
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "%d inputs", (int)inputs);
        if (outputs < 1 || (rule->outputs_max >= 0 && outputs > rule->outputs_max))
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "%d outputs", (int)outputs);
    }
}

static int64_t attr_int(const attr_reader *r, const char *name, int64_t otherwise)
{
    const IsgiOnnx__AttributeProto *a = attr_find(r, name);
    return a ? a->i : otherwise;
}

static float attr_float(const attr_reader *r, const char *name, float otherwise)
{
    const IsgiOnnx__AttributeProto *a = attr_find(r, name);
    return a ? a->f : otherwise;
}

/* 0, 1; anything else is refused. */
static int32_t attr_flag(attr_reader *r, const char *name, int32_t otherwise)
{
    const int64_t v = attr_int(r, name, otherwise);
    if (v != 0 && v != 1) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute '%s' is %lld, not 0 or 1", name, (long long)v);
    return v != 0;
}

/* Number of entries copied, at most `max`; -1 when absent. Values outside low..high are refused. */
static int32_t attr_ints(attr_reader *r, const char *name, int64_t *dst, size_t max, int64_t low, int64_t high)
{
    const IsgiOnnx__AttributeProto *a = attr_find(r, name);
    size_t i;
    if (!a) return -1;
    if (a->n_ints > max) {
        ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "", "attribute '%s' has %zu entries (at most %zu)", name, a->n_ints, max);
        return 0;
    }
    for (i = 0; i < a->n_ints; i++) {
        if (a->ints[i] < low || a->ints[i] > high) {
            ATTR_PROBLEM(r, low < 0 || high <= MAX_PAD ? ISG_E_UNSUPPORTED : ISG_E_FORMAT, "",
                         "attribute '%s' holds %lld", name, (long long)a->ints[i]);
            return 0;
        }
        dst[i] = a->ints[i];
    }
    return (int32_t)a->n_ints;
}

static int attr_string_is(const IsgiOnnx__AttributeProto *a, const char *text)
{
    return a->s.len == strlen(text) && (a->s.len == 0 || !memcmp(a->s.data, text, a->s.len));
}

static int attr_axis_good(int64_t axis)
{
    return axis >= -ISG_MAX_RANK && axis < ISG_MAX_RANK;
}

/* ---- convolution and pooling ---- */

static void attr_auto_pad(attr_reader *r, isg_conv_attr *c)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const IsgiOnnx__AttributeProto *a = attr_find(r, "auto_pad");
    int i;
    if (!a || a->s.len == 0) return;
    for (i = 0; i < 4; i++) {
        if (!attr_string_is(a, names[i])) continue;
        c->auto_pad = (isg_auto_pad)i;
        return;
    }
    ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute 'auto_pad' has an unknown value");
}

/* Spatial axes as far as the weight or the input of a node says; 0 when unknown yet. */
static int32_t attr_spatial_rank(const attr_reader *r, isg_op op, const int32_t *inputs, int32_t input_count)
{
    const isg_graph *g = r->in->graph;
    int32_t k;
    for (k = op == ISG_OP_CONV ? 1 : 0; k >= 0; k--) {
        if (k >= input_count || inputs[k] < 0) continue;
        if (g->values[inputs[k]].rank > 2) return g->values[inputs[k]].rank - 2;
    }
    return 0;
}

static void attr_conv(attr_reader *r, isg_op op, isg_conv_attr *c, const int32_t *inputs, int32_t input_count)
{
    int64_t pads[6] = {0};
    int32_t lengths[4], n = 0, i;
    lengths[0] = attr_ints(r, "kernel_shape", c->kernel, 3, 1, MAX_PAD);
    lengths[1] = attr_ints(r, "strides", c->stride, 3, 1, MAX_PAD);
    lengths[2] = attr_ints(r, "dilations", c->dilation, 3, 1, MAX_PAD);
    lengths[3] = attr_ints(r, "pads", pads, 6, 0, MAX_PAD);
    attr_auto_pad(r, c);
    if (op == ISG_OP_CONV) {
        c->groups = attr_int(r, "group", 1);
        if (c->groups < 1) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute 'group' is %lld", (long long)c->groups);
    } else {
        c->ceil_mode = attr_flag(r, "ceil_mode", 0);
        c->count_include_pad = op == ISG_OP_AVERAGE_POOL ? attr_flag(r, "count_include_pad", 0) : 0;
        c->storage_order = op == ISG_OP_MAX_POOL ? attr_flag(r, "storage_order", 0) : 0;
        if (lengths[0] < 1) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no 'kernel_shape'");
    }
    if (r->refused) return;
    if (lengths[3] > 0 && lengths[3] % 2) {
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "an odd number of pads");
        return;
    }
    lengths[3] = lengths[3] < 0 ? -1 : lengths[3] / 2;
    n = attr_spatial_rank(r, op, inputs, input_count);
    for (i = 0; i < 4; i++) {
        if (lengths[i] <= 0) continue;
        if (n == 0) n = lengths[i];
        if (lengths[i] != n) {
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "kernel, strides, dilations, pads and rank do not agree");
            return;
        }
    }
    if (n > 3) ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "", "%d spatial dimensions (at most 3)", (int)n);
    c->n = n;
    if (c->auto_pad == ISG_PAD_NOTSET)
        memcpy(c->pads, pads, sizeof pads);
    else
        for (i = 0; i < 6; i++)
            if (pads[i]) {
                ATTR_PROBLEM(r, ISG_E_FORMAT, "", "both 'auto_pad' and 'pads'");
                return;
            }
}

/* ---- constants in place of attributes ---- */

/* A new constant named after the node's first output; *value is its index. */
static void attr_constant(attr_reader *r, const char *suffix, isg_tensor *take, int32_t *value)
{
    const char *base = r->node->n_output && r->node->output[0] ? r->node->output[0] : "";
    const isg_status status = isgi_onnx_add_constant(r->in, base, suffix, take, value);
    if (status != ISG_OK && r->fatal == ISG_OK) r->fatal = status;
}

static void attr_constant_ints(attr_reader *r, const char *suffix, const int64_t *values, int32_t n, int32_t *value)
{
    isg_tensor *t = NULL;
    const int64_t dims[1] = {n};
    const isg_status status = isg_tensor_create(&t, ISG_DT_I64, 1, dims, r->in->err);
    if (status != ISG_OK) {
        if (r->fatal == ISG_OK) r->fatal = status;
        return;
    }
    if (n) memcpy(t->data, values, (size_t)n * sizeof *values);
    attr_constant(r, suffix, t, value);
}

static void attr_constant_float(attr_reader *r, const char *suffix, float v, int32_t *value)
{
    isg_tensor *t = NULL;
    const isg_status status = isg_tensor_create(&t, ISG_DT_F32, 0, NULL, r->in->err);
    if (status != ISG_OK) {
        if (r->fatal == ISG_OK) r->fatal = status;
        return;
    }
    *(float *)t->data = v;
    attr_constant(r, suffix, t, value);
}

static void attr_pad(attr_reader *r, isg_pad_attr *p, int32_t *inputs, int32_t *input_count)
{
    static const char *const modes[] = {"constant", "reflect", "edge"};
    const IsgiOnnx__AttributeProto *a = attr_find(r, "mode");
    int64_t pads[2 * ISG_MAX_RANK];
    int32_t n;
    int i, mode = a ? -1 : 0;
    for (i = 0; a && i < 3; i++)
        if (attr_string_is(a, modes[i])) mode = i;
    if (mode < 0) {
        ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "", "padding mode%s (constant, reflect and edge are supported)",
                     attr_string_is(a, "wrap") ? " wrap" : "");
        return;
    }
    p->mode = (isg_pad_mode)mode;
    if (r->in->opset >= 11) {
        if (*input_count < 2) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no pads");
        if (*input_count > 3 && r->in->opset < 18)
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "axes as an input before opset 18");
        return;
    }
    n = attr_ints(r, "pads", pads, 2 * ISG_MAX_RANK, -MAX_PAD, MAX_PAD);
    if (n < 0 || *input_count != 1) {
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no pads, or inputs that opset %lld does not have", (long long)r->in->opset);
        return;
    }
    if (r->refused) return;
    attr_constant_ints(r, "pads", pads, n, &inputs[1]);
    attr_constant_float(r, "value", attr_float(r, "value", 0.0f), &inputs[2]);
    *input_count = 3;
}

static void attr_slice(attr_reader *r, int32_t *inputs, int32_t *input_count)
{
    int64_t starts[ISG_MAX_RANK], ends[ISG_MAX_RANK], axes[ISG_MAX_RANK];
    int32_t n, m, k;
    if (r->in->opset >= 10) {
        if (*input_count < 3) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no starts or ends");
        return;
    }
    n = attr_ints(r, "starts", starts, ISG_MAX_RANK, INT64_MIN, INT64_MAX);
    m = attr_ints(r, "ends", ends, ISG_MAX_RANK, INT64_MIN, INT64_MAX);
    k = attr_ints(r, "axes", axes, ISG_MAX_RANK, -ISG_MAX_RANK, ISG_MAX_RANK - 1);
    if (n < 0 || n != m || (k >= 0 && k != n) || *input_count != 1) {
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "starts, ends and axes do not agree");
        return;
    }
    if (r->refused) return;
    attr_constant_ints(r, "starts", starts, n, &inputs[1]);
    attr_constant_ints(r, "ends", ends, n, &inputs[2]);
    if (k >= 0) attr_constant_ints(r, "axes", axes, n, &inputs[3]);
    *input_count = k >= 0 ? 4 : 3;
}

static void attr_split(attr_reader *r, isg_axes_attr *x, int32_t *inputs, int32_t *input_count, int32_t output_count)
{
    const IsgiOnnx__AttributeProto *sizes = attr_find(r, "split");
    const int64_t outputs = attr_int(r, "num_outputs", output_count);
    x->n = 1;
    x->axes[0] = attr_int(r, "axis", 0);
    if (outputs != output_count) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "'num_outputs' is not the number of outputs");
    if (*input_count == 2 && r->in->opset < 13) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "sizes as an input before opset 13");
    if (!sizes || r->refused) return;
    if (sizes->n_ints != (size_t)output_count) {
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "%zu sizes for %d outputs", sizes->n_ints, (int)output_count);
        return;
    }
    attr_constant_ints(r, "sizes", sizes->ints, output_count, &inputs[1]);
    *input_count = 2;
}

static void attr_axes(attr_reader *r, isg_op op, isg_axes_attr *x, int32_t input_count)
{
    const int64_t input_since = op == ISG_OP_REDUCE_MEAN ? 18 : 13;
    int32_t n = attr_ints(r, "axes", x->axes, ISG_MAX_RANK, -ISG_MAX_RANK, ISG_MAX_RANK - 1);
    x->n = n > 0 ? n : 0;
    if (op == ISG_OP_REDUCE_MEAN) {
        x->keepdims = attr_flag(r, "keepdims", 1);
        x->noop_with_empty = attr_flag(r, "noop_with_empty_axes", 0);
    }
    if (input_count > 1 && r->in->opset < input_since)
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "axes as an input before opset %lld", (long long)input_since);
    if (op == ISG_OP_UNSQUEEZE && n < 0 && input_count < 2) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no axes");
}

static void attr_axis(attr_reader *r, isg_op op, isg_axes_attr *x)
{
    int64_t otherwise = op == ISG_OP_FLATTEN || (op == ISG_OP_SOFTMAX && r->in->opset < 13) ? 1 : 0;
    if (op == ISG_OP_SOFTMAX && r->in->opset >= 13) otherwise = -1;
    if (op == ISG_OP_CONCAT && !attr_find(r, "axis")) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no 'axis'");
    x->n = 1;
    x->axes[0] = attr_int(r, "axis", otherwise);
    if (!attr_axis_good(x->axes[0]) && !(op == ISG_OP_FLATTEN && x->axes[0] == ISG_MAX_RANK))
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "axis %lld", (long long)x->axes[0]);
}

static void attr_transpose(attr_reader *r, isg_axes_attr *x)
{
    const int32_t n = attr_ints(r, "perm", x->axes, ISG_MAX_RANK, 0, ISG_MAX_RANK - 1);
    unsigned seen = 0;
    int32_t i;
    x->n = n > 0 ? n : 0;
    for (i = 0; i < x->n && !r->refused; i++) {
        if (x->axes[i] >= x->n || (seen >> x->axes[i] & 1u))
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "'perm' is no permutation");
        seen |= 1u << x->axes[i];
    }
}

static void attr_batch_norm(attr_reader *r, isg_scalar_attr *s, int32_t output_count)
{
    s->alpha = attr_float(r, "epsilon", 1e-5f);
    s->beta = attr_float(r, "momentum", 0.9f);
    s->training = attr_flag(r, "training_mode", 0);
    if (attr_int(r, "spatial", 1) != 1) ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "", "normalisation that is not per channel");
    if (output_count > 1 && !s->training)
        ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "export in evaluation mode", "outputs that exist only in training");
    if (!(s->alpha >= 0.0f)) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "negative epsilon");
}

static void attr_scalars(attr_reader *r, isg_op op, isg_scalar_attr *s, int32_t input_count)
{
    if (op == ISG_OP_CLIP) {
        s->lo = attr_float(r, "min", s->lo);
        s->hi = attr_float(r, "max", s->hi);
        if (input_count > 1 && r->in->opset < 11) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "limits as inputs before opset 11");
        return;
    }
    s->alpha = attr_float(r, "alpha", s->alpha);
    s->beta = attr_float(r, "beta", s->beta);
}

static void attr_gemm(attr_reader *r, isg_gemm_attr *m, int32_t input_count)
{
    m->alpha = attr_float(r, "alpha", 1.0f);
    m->beta = attr_float(r, "beta", 1.0f);
    m->trans_a = attr_int(r, "transA", 0) != 0;
    m->trans_b = attr_int(r, "transB", 0) != 0;
    if (input_count < 3 && r->in->opset < 11) ATTR_PROBLEM(r, ISG_E_FORMAT, "", "no C, which opset 11 made optional");
}

/* 'saturate' and 'round_mode' are of casts to 8-bit floats, which are not element types of ours. */
static void attr_cast(attr_reader *r, isg_cast_attr *c)
{
    const int64_t to = attr_int(r, "to", 0);
    const IsgiOnnx__AttributeProto *a = attr_find(r, "round_mode");
    if (a && !attr_string_is(a, "up") && !attr_string_is(a, "down") && !attr_string_is(a, "nearest"))
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute 'round_mode' has an unknown value");
    (void)attr_flag(r, "saturate", 1);
    if (!isgi_onnx_dtype_known(to)) {
        ATTR_PROBLEM(r, ISG_E_UNSUPPORTED, "", "cast to element type %s",
                     to == (int32_t)to ? isg_dtype_name((int32_t)to) : "unknown");
        return;
    }
    c->to = (isg_dtype)to;
}

static void attr_constant_of_shape(attr_reader *r, int32_t *inputs, int32_t *input_count)
{
    const IsgiOnnx__AttributeProto *a = attr_find(r, "value");
    isg_tensor *t = NULL;
    isg_error why = {0};
    isg_status status;
    if (!a) return;
    if (!a->t) {
        ATTR_PROBLEM(r, ISG_E_FORMAT, "", "attribute 'value' without a tensor");
        return;
    }
    status = isgi_onnx_tensor(&t, a->t, &r->in->source, &why);
    if (status == ISG_OK && t->count != 1) {
        isg_tensor_destroy(t);
        status = isgi_fail(&why, ISG_E_FORMAT, "attribute 'value' is not one element");
    }
    if (status != ISG_OK) {
        ATTR_PROBLEM(r, status, "", "%s", why.message);
        return;
    }
    attr_constant(r, "value", t, &inputs[1]);
    *input_count = 2;
}

static void attr_read(attr_reader *r, isg_op op, isg_attr *attr, int32_t *inputs, int32_t *input_count,
                      int32_t output_count)
{
    switch (op) {
    case ISG_OP_CONV:
    case ISG_OP_MAX_POOL:
    case ISG_OP_AVERAGE_POOL: attr_conv(r, op, &attr->conv, inputs, *input_count); break;
    case ISG_OP_PAD: attr_pad(r, &attr->pad, inputs, input_count); break;
    case ISG_OP_SLICE: attr_slice(r, inputs, input_count); break;
    case ISG_OP_SPLIT: attr_split(r, &attr->axes, inputs, input_count, output_count); break;
    case ISG_OP_REDUCE_MEAN:
    case ISG_OP_SQUEEZE:
    case ISG_OP_UNSQUEEZE: attr_axes(r, op, &attr->axes, *input_count); break;
    case ISG_OP_SOFTMAX:
    case ISG_OP_CONCAT:
    case ISG_OP_FLATTEN:
    case ISG_OP_GATHER: attr_axis(r, op, &attr->axes); break;
    case ISG_OP_TRANSPOSE: attr_transpose(r, &attr->axes); break;
    case ISG_OP_BATCH_NORM: attr_batch_norm(r, &attr->scalar, output_count); break;
    case ISG_OP_CLIP:
    case ISG_OP_LEAKY_RELU:
    case ISG_OP_HARD_SIGMOID: attr_scalars(r, op, &attr->scalar, *input_count); break;
    case ISG_OP_GEMM: attr_gemm(r, &attr->gemm, *input_count); break;
    case ISG_OP_CAST: attr_cast(r, &attr->cast); break;
    case ISG_OP_CONSTANT_OF_SHAPE: attr_constant_of_shape(r, inputs, input_count); break;
    case ISG_OP_DROPOUT:
        if (*input_count > 1 && r->in->opset < 12)
            ATTR_PROBLEM(r, ISG_E_FORMAT, "", "ratio or mode as an input before opset 12");
        break;
    case ISG_OP_RESHAPE: attr->axes.allow_zero = attr_flag(r, "allowzero", 0); break;
    case ISG_OP_SHAPE:
        attr->axes.start = attr_int(r, "start", 0);
        attr->axes.has_end = attr_find(r, "end") != NULL;
        attr->axes.end = attr_int(r, "end", 0);
        break;
    default: break;
    }
}

isg_status isgi_onnx_attributes(isgi_onnx_import *in, int32_t index, isg_op op, isg_attr *attr, int32_t *inputs,
                                int32_t *input_count, int32_t output_count)
{
    attr_reader r = {in, in->model->graph->node[index], index, ISG_OK, 0};
    attr_check_known(&r, op);
    attr_check_counts(&r, op, *input_count, output_count);
    if (!r.refused) attr_read(&r, op, attr, inputs, input_count, output_count);
    return r.fatal;
}

/* ---- Constant ---- */

static isg_status constant_from_list(isg_tensor **out, const IsgiOnnx__AttributeProto *a, isgi_onnx_import *in,
                                     isg_error *err)
{
    const int type = attr_type(a);
    const int is_list = type == TYPE(FLOATS) || type == TYPE(INTS);
    const isg_dtype dtype = type == TYPE(FLOATS) || type == TYPE(FLOAT) ? ISG_DT_F32 : ISG_DT_I64;
    const size_t n = !is_list ? 1 : type == TYPE(FLOATS) ? a->n_floats : a->n_ints;
    const int64_t dims[1] = {(int64_t)n};
    const uint64_t bytes = (uint64_t)n * isg_dtype_size(dtype);
    isg_status status;
    if (bytes > in->source.left) return isgi_fail(err, ISG_E_LIMIT, "tensors need more memory than allowed");
    status = isg_tensor_create(out, dtype, is_list, dims, err);
    if (status != ISG_OK) return status;
    in->source.left -= bytes;
    if (n && dtype == ISG_DT_F32) memcpy((*out)->data, is_list ? a->floats : &a->f, (size_t)bytes);
    if (n && dtype == ISG_DT_I64) memcpy((*out)->data, is_list ? a->ints : &a->i, (size_t)bytes);
    return ISG_OK;
}

isg_status isgi_onnx_constant(isgi_onnx_import *in, int32_t index, isg_tensor **out)
{
    attr_reader r = {in, in->model->graph->node[index], index, ISG_OK, 0};
    const IsgiOnnx__AttributeProto *a;
    isg_error why = {0};
    isg_status status;
    attr_check_known(&r, ISG_OP_CONSTANT);
    attr_check_counts(&r, ISG_OP_CONSTANT, (int32_t)r.node->n_input, (int32_t)r.node->n_output);
    if (!r.refused && r.node->n_attribute != 1) ATTR_PROBLEM(&r, ISG_E_FORMAT, "", "not exactly one value");
    if (r.refused) return r.fatal;
    a = r.node->attribute[0];
    if (attr_type(a) != TYPE(TENSOR))
        status = constant_from_list(out, a, in, &why);
    else if (!a->t)
        status = isgi_fail(&why, ISG_E_FORMAT, "attribute 'value' without a tensor");
    else
        status = isgi_onnx_tensor(out, a->t, &in->source, &why);
    if (status == ISG_E_NOMEM) return isgi_nomem(in->err);
    if (status != ISG_OK) ATTR_PROBLEM(&r, status, "", "%s", why.message);
    return r.fatal;
}
