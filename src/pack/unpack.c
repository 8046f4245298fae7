/* SPDX-License-Identifier: Apache-2.0 */
/* A prepared graph again from an image; packing it again gives the same image. */
#include <insitu/pack.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "kernels/kernels.h"
#include "pack/image.h"
#include "pack/meta.h"
#include "rt/gen.h"
#include "rt/view.h"

#define NAME_BYTES (ISG_FORMAT_MAX_NAME + 32u)

typedef struct unpacker {
    const isg_rt_model *rt;
    const isgi_model *m;
    isg_graph *g;
    int32_t *tensors; /* graph value of every tensor */
    int32_t *weights; /* graph value of every weight record used as a weight, or -1 */
    int32_t *vectors; /* the same as a vector */
    isgk_table kernels;
    char name[NAME_BYTES]; /* of the operation at hand */
} unpacker;

static isg_status added(int32_t index, isg_error *err)
{
    if (index >= 0) return ISG_OK;
    return isgi_fail(err, (isg_status)index, "cannot add to the graph: %s", isg_status_text((isg_status)index));
}

static int32_t graph_dims(const isgi_shape *s, int64_t dims[ISG_MAX_RANK])
{
    for (uint32_t i = 0; i < s->rank; i++) dims[i] = s->dims[i] ? (int64_t)s->dims[i] : ISG_DIM_BATCH;
    return (int32_t)s->rank;
}

/* A value with the shape of tensor `tensor`. */
static isg_status add_tensor_value(unpacker *u, const char *name, uint32_t tensor, int32_t *value, isg_error *err)
{
    int64_t dims[ISG_MAX_RANK];
    isgi_shape shape;
    int32_t rank;
    isgi_view_tensor(u->m, tensor, &shape, NULL);
    rank = graph_dims(&shape, dims);
    *value = isg_graph_add_value(u->g, name, ISG_DT_F32, rank, dims);
    return added(*value, err);
}

static isg_status take_constant(unpacker *u, const char *name, isg_tensor *t, int32_t *value, isg_error *err)
{
    *value = isg_graph_add_constant(u->g, name, t);
    if (*value < 0) isg_tensor_destroy(t);
    return added(*value, err);
}

static isg_status add_integers(unpacker *u, const char *suffix, const int64_t *data, int64_t count, int32_t *value,
                               isg_error *err)
{
    char name[NAME_BYTES + 16];
    isg_tensor *t;
    ISGI_TRY(isg_tensor_create(&t, ISG_DT_I64, 1, &count, err));
    memcpy(t->data, data, (size_t)count * sizeof *data);
    snprintf(name, sizeof name, "%s.%s", u->name, suffix);
    return take_constant(u, name, t, value, err);
}

/* One number repeated, or a vector record dequantised. */
static isg_status add_vector(unpacker *u, const char *suffix, int32_t record, float fill, uint32_t count,
                             int32_t *value, isg_error *err)
{
    const int64_t dims = count;
    char name[NAME_BYTES + 16];
    isg_tensor *t;
    if (record >= 0 && u->vectors[record] >= 0) {
        *value = u->vectors[record];
        return ISG_OK;
    }
    ISGI_TRY(isg_tensor_create(&t, ISG_DT_F32, 1, &dims, err));
    if (record >= 0) {
        isg_weight w;
        isgi_view_weight(u->m, (uint32_t)record, &w);
        isgi_gen_dequant(&u->kernels, t->data, &w.basis, 0, 1);
    } else {
        for (uint32_t i = 0; i < count; i++) ((float *)t->data)[i] = fill;
    }
    snprintf(name, sizeof name, "%s.%s", u->name, suffix);
    ISGI_TRY(take_constant(u, name, t, value, err));
    if (record >= 0) u->vectors[record] = *value;
    return ISG_OK;
}

static isg_status dense_weight(unpacker *u, const char *name, const isg_weight *w, int32_t rank, const int64_t *dims,
                               int32_t *value, isg_error *err)
{
    const uint32_t co = w->depthwise ? w->ci : w->co, ci = w->depthwise ? 1 : w->ci;
    isg_tensor *t;
    float *hwio;
    ISGI_TRY(isg_tensor_create(&t, ISG_DT_F32, rank, dims, err));
    hwio = isgi_malloc((size_t)t->count * sizeof *hwio);
    if (!hwio) {
        isg_tensor_destroy(t);
        return isgi_nomem(err);
    }
    isgi_gen_dequant(&u->kernels, hwio, &w->basis, 0, w->basis.rows);
    isg_weight_hwio_to_oihw(t->data, hwio, co, ci, w->taps);
    isg_free(hwio);
    return take_constant(u, name, t, value, err);
}

/* The weight of a convolution (kh, kw not 0) or of a fully connected operation. */
static isg_status add_weight(unpacker *u, uint32_t record, uint32_t kh, uint32_t kw, int32_t *value, isg_error *err)
{
    const int32_t known = u->weights[record], rank = kh ? 4 : 2;
    char name[NAME_BYTES + 16];
    int64_t dims[4];
    isg_weight w;
    isgi_view_weight(u->m, record, &w);
    dims[0] = w.depthwise ? w.ci : w.co;
    dims[1] = w.depthwise ? 1 : w.ci;
    dims[2] = kh;
    dims[3] = kw;
    if (known >= 0 && u->g->values[known].rank == rank && (!kh || u->g->values[known].dims[2] == kh)) {
        *value = known;
        return ISG_OK;
    }
    snprintf(name, sizeof name, "%s.weight", u->name);
    if (!w.level1 && !w.level2 && w.basis.family == ISG_QUANT_RAW) {
        ISGI_TRY(dense_weight(u, name, &w, rank, dims, value, err));
    } else {
        isg_factors *f;
        ISGI_TRY(isg_factors_unpack(&f, &w, err));
        *value = isg_graph_add_value(u->g, name, ISG_DT_F32, rank, dims);
        if (*value < 0) {
            isg_factors_destroy(f);
            return added(*value, err);
        }
        u->g->values[*value].factors = f;
    }
    u->weights[record] = *value;
    return ISG_OK;
}

static isg_status add_node(unpacker *u, isg_op op, const char *suffix, const int32_t *inputs, int32_t count,
                           int32_t output, isg_node **node, isg_error *err)
{
    char name[NAME_BYTES + 16];
    int32_t index;
    snprintf(name, sizeof name, "%s%s", u->name, suffix);
    index = isg_graph_add_node(u->g, op, name, inputs, count, &output, 1);
    ISGI_TRY(added(index, err));
    if (node) *node = &u->g->nodes[index];
    return ISG_OK;
}

/* y = activation(x) as one node, or two for silu. */
static isg_status add_activation(unpacker *u, const isgi_op *op, const char *suffix, int32_t x, int32_t y,
                                 isg_error *err)
{
    static const isg_op ops[] = {
        [ISG_ACTIVATION_RELU] = ISG_OP_RELU,
        [ISG_ACTIVATION_CLIP] = ISG_OP_CLIP,
        [ISG_ACTIVATION_LEAKY_RELU] = ISG_OP_LEAKY_RELU,
        [ISG_ACTIVATION_SIGMOID] = ISG_OP_SIGMOID,
        [ISG_ACTIVATION_HARD_SIGMOID] = ISG_OP_HARD_SIGMOID,
        [ISG_ACTIVATION_HARD_SWISH] = ISG_OP_HARD_SWISH,
        [ISG_ACTIVATION_SILU] = ISG_OP_MUL,
    };
    int32_t inputs[2] = {x, x};
    isg_node *n;
    if (op->act.kind == ISG_ACTIVATION_SILU) {
        char name[NAME_BYTES + 16];
        snprintf(name, sizeof name, "%s.gate", u->name);
        ISGI_TRY(add_tensor_value(u, name, op->output, &inputs[1], err));
        ISGI_TRY(add_node(u, ISG_OP_SIGMOID, ".gate", &x, 1, inputs[1], NULL, err));
        return add_node(u, ISG_OP_MUL, suffix, inputs, 2, y, NULL, err);
    }
    ISGI_TRY(add_node(u, ops[op->act.kind], suffix, &x, 1, y, &n, err));
    if (op->act.kind == ISG_ACTIVATION_CLIP) {
        n->attr.scalar.lo = op->act.lo;
        n->attr.scalar.hi = op->act.hi;
    } else {
        n->attr.scalar.alpha = op->act.alpha;
        n->attr.scalar.beta = op->act.beta;
    }
    return ISG_OK;
}

static void set_window(isg_node *n, const isgi_window *w)
{
    isg_conv_attr *a = &n->attr.conv;
    a->n = 2;
    a->kernel[0] = w->kh;
    a->kernel[1] = w->kw;
    a->stride[0] = w->sh;
    a->stride[1] = w->sw;
    a->dilation[0] = w->dh;
    a->dilation[1] = w->dw;
    a->pads[0] = w->top;
    a->pads[1] = w->left;
    a->pads[2] = w->bottom;
    a->pads[3] = w->right;
}

static isg_status unpack_weighted(unpacker *u, const isgi_op *op, int32_t x, int32_t y, isg_error *err)
{
    const int conv = op->kind == ISG_KIND_CONV;
    int32_t inputs[3] = {x, -1, -1};
    isg_weight bias;
    isg_node *n;
    ISGI_TRY(add_weight(u, (uint32_t)op->weight, conv ? op->window.kh : 0, conv ? op->window.kw : 0, &inputs[1], err));
    if (op->vector >= 0) {
        isgi_view_weight(u->m, (uint32_t)op->vector, &bias);
        ISGI_TRY(add_vector(u, "bias", op->vector, 0.0f, bias.co, &inputs[2], err));
    }
    ISGI_TRY(add_node(u, conv ? ISG_OP_CONV : ISG_OP_GEMM, "", inputs, op->vector >= 0 ? 3 : 2, y, &n, err));
    if (conv) {
        set_window(n, &op->window);
        n->attr.conv.groups = op->groups;
    } else {
        n->attr.gemm.trans_b = 1;
    }
    return ISG_OK;
}

static isg_status unpack_affine(unpacker *u, const isgi_op *op, int32_t x, int32_t y, isg_error *err)
{
    int32_t inputs[5] = {x, -1, -1, -1, -1};
    isg_weight w;
    isg_node *n;
    isgi_view_weight(u->m, (uint32_t)op->weight, &w);
    ISGI_TRY(add_vector(u, "scale", op->weight, 0.0f, w.co, &inputs[1], err));
    ISGI_TRY(add_vector(u, "shift", op->vector, 0.0f, w.co, &inputs[2], err));
    ISGI_TRY(add_vector(u, "mean", -1, 0.0f, w.co, &inputs[3], err));
    ISGI_TRY(add_vector(u, "variance", -1, 1.0f, w.co, &inputs[4], err));
    ISGI_TRY(add_node(u, ISG_OP_BATCH_NORM, "", inputs, 5, y, &n, err));
    n->attr.scalar.alpha = 0.0f; /* epsilon: scale / sqrt(1 + 0) is exact */
    return ISG_OK;
}

static isg_status unpack_slice(unpacker *u, const isgi_op *op, int32_t x, int32_t y, isg_error *err)
{
    int64_t lists[4][ISG_RT_MAX_RANK];
    static const char *const names[4] = {"starts", "ends", "axes", "steps"};
    int32_t inputs[5] = {x, -1, -1, -1, -1};
    isgi_shape out;
    int64_t count = 0;
    isgi_view_tensor(u->m, op->output, &out, NULL);
    for (uint32_t i = 0; i < out.rank; i++) {
        const int64_t last = (int64_t)op->begin[i] + ((int64_t)out.dims[i] - 1) * op->step[i];
        const int64_t end = last + (op->step[i] > 0 ? 1 : -1);
        if (out.dims[i] == 0) continue;
        lists[0][count] = op->begin[i];
        lists[1][count] = end >= 0 ? end : -(int64_t)ISG_FORMAT_MAX_DIM - 1; /* -1 would mean the last element */
        lists[2][count] = i;
        lists[3][count++] = op->step[i];
    }
    for (int k = 0; k < 4; k++) ISGI_TRY(add_integers(u, names[k], lists[k], count, &inputs[k + 1], err));
    return add_node(u, ISG_OP_SLICE, "", inputs, 5, y, NULL, err);
}

static isg_status unpack_pad(unpacker *u, const isgi_op *op, int32_t x, int32_t y, isg_error *err)
{
    int64_t pads[2 * ISG_RT_MAX_RANK];
    int32_t inputs[3] = {x, -1, -1};
    isgi_shape out;
    isg_tensor *value;
    isg_node *n;
    char name[NAME_BYTES + 16];
    isgi_view_tensor(u->m, op->output, &out, NULL);
    for (uint32_t i = 0; i < out.rank; i++) {
        pads[i] = op->begin[i];
        pads[out.rank + i] = op->end[i];
    }
    ISGI_TRY(add_integers(u, "pads", pads, 2 * (int64_t)out.rank, &inputs[1], err));
    ISGI_TRY(isg_tensor_create(&value, ISG_DT_F32, 0, NULL, err));
    *(float *)value->data = op->value;
    snprintf(name, sizeof name, "%s.value", u->name);
    ISGI_TRY(take_constant(u, name, value, &inputs[2], err));
    ISGI_TRY(add_node(u, ISG_OP_PAD, "", inputs, 3, y, &n, err));
    n->attr.pad.mode = op->mode == ISG_FILL_REFLECT ? ISG_PAD_REFLECT
                       : op->mode == ISG_FILL_EDGE  ? ISG_PAD_EDGE
                                                    : ISG_PAD_CONSTANT;
    return ISG_OK;
}

static isg_status unpack_reshape(unpacker *u, const isgi_op *op, int32_t x, int32_t y, isg_error *err)
{
    int64_t target[ISG_RT_MAX_RANK];
    int32_t inputs[2] = {x, -1};
    isgi_shape out;
    isgi_view_tensor(u->m, op->output, &out, NULL);
    for (uint32_t i = 0; i < out.rank; i++) target[i] = out.dims[i]; /* 0 copies the batch */
    ISGI_TRY(add_integers(u, "shape", target, out.rank, &inputs[1], err));
    return add_node(u, ISG_OP_RESHAPE, "", inputs, 2, y, NULL, err);
}

static isg_status unpack_concat(unpacker *u, const isgi_op *op, int32_t y, isg_error *err)
{
    int32_t inputs[ISG_FORMAT_MAX_OPERANDS];
    isg_node *n;
    for (uint32_t k = 0; k < op->input_count; k++) inputs[k] = u->tensors[isgi_op_input(u->m, op, k)];
    ISGI_TRY(add_node(u, ISG_OP_CONCAT, "", inputs, (int32_t)op->input_count, y, &n, err));
    n->attr.axes.axes[0] = op->mode;
    return ISG_OK;
}

/* Operations whose parameters are attributes only. */
static isg_status unpack_simple(unpacker *u, const isgi_op *op, const int32_t *xy, int32_t y, isg_error *err)
{
    static const isg_op binary[] = {ISG_OP_ADD, ISG_OP_SUB, ISG_OP_MUL, ISG_OP_DIV};
    isgi_shape out;
    isg_node *n;
    isgi_view_tensor(u->m, op->output, &out, NULL);
    switch (op->kind) {
    case ISG_KIND_MAX_POOL:
    case ISG_KIND_AVERAGE_POOL:
        ISGI_TRY(
            add_node(u, op->kind == ISG_KIND_MAX_POOL ? ISG_OP_MAX_POOL : ISG_OP_AVERAGE_POOL, "", xy, 1, y, &n, err));
        set_window(n, &op->window);
        n->attr.conv.ceil_mode = op->extra_h || op->extra_w;
        n->attr.conv.count_include_pad = op->kind == ISG_KIND_AVERAGE_POOL && op->mode == ISG_POOL_COUNT_INCLUDE_PAD;
        return ISG_OK;
    case ISG_KIND_GLOBAL_AVERAGE_POOL: return add_node(u, ISG_OP_GLOBAL_AVERAGE_POOL, "", xy, 1, y, NULL, err);
    case ISG_KIND_GLOBAL_MAX_POOL: return add_node(u, ISG_OP_GLOBAL_MAX_POOL, "", xy, 1, y, NULL, err);
    case ISG_KIND_BINARY: return add_node(u, binary[op->mode], "", xy, 2, y, NULL, err);
    case ISG_KIND_SOFTMAX:
        ISGI_TRY(add_node(u, ISG_OP_SOFTMAX, "", xy, 1, y, &n, err));
        n->attr.axes.axes[0] = op->mode;
        return ISG_OK;
    case ISG_KIND_TRANSPOSE:
        ISGI_TRY(add_node(u, ISG_OP_TRANSPOSE, "", xy, 1, y, &n, err));
        n->attr.axes.n = (int32_t)out.rank;
        for (uint32_t i = 0; i < out.rank; i++) n->attr.axes.axes[i] = op->begin[i];
        return ISG_OK;
    case ISG_KIND_REDUCE_MEAN:
        ISGI_TRY(add_node(u, ISG_OP_REDUCE_MEAN, "", xy, 1, y, &n, err));
        n->attr.axes.keepdims = (int32_t)op->keep_dims;
        for (uint32_t i = 0; i < ISG_RT_MAX_RANK; i++)
            if (op->mode >> i & 1u) n->attr.axes.axes[n->attr.axes.n++] = i;
        return ISG_OK;
    default: return isgi_fail(err, ISG_E_INTERNAL, "operation kind %u is unknown", (unsigned)op->kind);
    }
}

static isg_status unpack_kind(unpacker *u, const isgi_op *op, int32_t y, isg_error *err)
{
    int32_t xy[2];
    if (op->kind == ISG_KIND_CONCAT) return unpack_concat(u, op, y, err);
    xy[0] = u->tensors[op->inputs[0]];
    xy[1] = op->input_count > 1 ? u->tensors[op->inputs[1]] : -1;
    switch (op->kind) {
    case ISG_KIND_CONV:
    case ISG_KIND_FC: return unpack_weighted(u, op, xy[0], y, err);
    case ISG_KIND_AFFINE: return unpack_affine(u, op, xy[0], y, err);
    case ISG_KIND_ACTIVATION: return add_activation(u, op, "", xy[0], y, err);
    case ISG_KIND_SLICE: return unpack_slice(u, op, xy[0], y, err);
    case ISG_KIND_PAD: return unpack_pad(u, op, xy[0], y, err);
    case ISG_KIND_RESHAPE: return unpack_reshape(u, op, xy[0], y, err);
    default: return unpack_simple(u, op, xy, y, err);
    }
}

/* The name of tensor `tensor` as an output of the graph, NULL if it is none. */
static const char *output_name(const unpacker *u, uint32_t tensor, uint32_t *bytes)
{
    isgi_cursor c = {u->m->graph, u->m->outputs_at, u->m->graph_bytes, 0};
    for (uint32_t i = 0; i < u->m->outputs; i++) {
        const uint32_t t = isgi_cursor_uv(&c);
        const char *name = isgi_cursor_name(&c, bytes);
        if (t == tensor) return name;
    }
    return NULL;
}

static isg_status unpack_op(unpacker *u, const isgi_op *op, isg_error *err)
{
    const int fused = op->act.kind != ISG_ACTIVATION_NONE && op->kind != ISG_KIND_ACTIVATION;
    char name[NAME_BYTES + 16];
    uint32_t bytes;
    int32_t y, before;
    const char *output = output_name(u, op->output, &bytes);
    snprintf(u->name, sizeof u->name, "%.*s", (int)op->name_bytes, op->name);
    if (output) {
        snprintf(name, sizeof name, "%.*s", (int)bytes, output);
    } else {
        snprintf(name, sizeof name, "%s.out", u->name);
    }
    if (fused) {
        char inner[NAME_BYTES + 16];
        snprintf(inner, sizeof inner, "%s.linear", u->name);
        ISGI_TRY(add_tensor_value(u, inner, op->output, &before, err));
        ISGI_TRY(add_tensor_value(u, name, op->output, &y, err));
        ISGI_TRY(unpack_kind(u, op, before, err));
        ISGI_TRY(add_activation(u, op, ".activation", before, y, err));
    } else {
        ISGI_TRY(add_tensor_value(u, name, op->output, &y, err));
        ISGI_TRY(unpack_kind(u, op, y, err));
    }
    u->tensors[op->output] = y;
    return ISG_OK;
}

static isg_status unpack_constant(unpacker *u, uint32_t tensor, isg_error *err)
{
    int64_t dims[ISG_MAX_RANK];
    isgi_shape shape;
    uint32_t record;
    isg_weight w;
    isg_tensor *t;
    isgi_view_tensor(u->m, tensor, &shape, &record);
    isgi_view_weight(u->m, record, &w);
    ISGI_TRY(isg_tensor_create(&t, ISG_DT_F32, graph_dims(&shape, dims), dims, err));
    if (shape.rank == 4) {
        const uint32_t channels = shape.dims[1], pixels = shape.dims[2] * shape.dims[3];
        const size_t image = (size_t)channels * pixels;
        float *data = isgi_malloc((size_t)t->count * sizeof *data);
        if (!data) {
            isg_tensor_destroy(t);
            return isgi_nomem(err);
        }
        isgi_gen_dequant(&u->kernels, data, &w.basis, 0, 1);
        for (uint32_t i = 0; i < shape.dims[0]; i++) {
            isg_weight_hwio_to_oihw((float *)t->data + i * image, data + i * image, channels, 1, pixels);
        }
        isg_free(data);
    } else {
        isgi_gen_dequant(&u->kernels, t->data, &w.basis, 0, 1);
    }
    return take_constant(u, "constant", t, &u->tensors[tensor], err);
}

static isg_status unpack_all(unpacker *u, isg_error *err)
{
    const isgi_model *m = u->m;
    isgi_cursor c = isgi_view_ops(m);
    isgi_cursor outputs = {m->graph, m->outputs_at, m->graph_bytes, 0};
    for (uint32_t i = 0; i < m->inputs; i++) {
        isg_rt_io io;
        isg_status status = isg_rt_input(u->rt, i, &io);
        if (status != ISG_OK) return isgi_fail(err, status, "no such input");
        snprintf(u->name, sizeof u->name, "%.*s", (int)io.name_bytes, io.name);
        ISGI_TRY(add_tensor_value(u, u->name, i, &u->tensors[i], err));
        ISGI_TRY(isg_graph_add_input(u->g, u->tensors[i], err));
    }
    for (uint32_t i = 0; i < m->constants; i++) ISGI_TRY(unpack_constant(u, m->inputs + i, err));
    for (uint32_t i = 0; i < m->ops; i++) {
        const uint32_t own = m->inputs + m->constants + i;
        isgi_shape shape;
        isgi_op op;
        isgi_view_tensor(m, own, &shape, NULL);
        ISGI_TRY(isgi_view_read_op(&c, own, shape.rank, &op, err));
        ISGI_TRY(unpack_op(u, &op, err));
    }
    for (uint32_t i = 0; i < m->outputs; i++) {
        const uint32_t tensor = isgi_cursor_uv(&outputs);
        uint32_t bytes;
        (void)isgi_cursor_name(&outputs, &bytes);
        ISGI_TRY(isg_graph_add_output(u->g, u->tensors[tensor], err));
    }
    ISGI_TRY(isgi_meta_get(u->rt, "producer", &u->g->producer, err));
    ISGI_TRY(isgi_meta_get(u->rt, "license", &u->g->license, err));
    ISGI_TRY(isgi_meta_hash(u->rt, u->g->source_hash, err));
    return isg_graph_validate(u->g, err);
}

isg_status isg_unpack_image(isg_graph **out, const void *image, size_t bytes, isg_error *err)
{
    isg_rt_model rt;
    unpacker *u = NULL;
    isg_status status = isgi_image_open(&rt, image, bytes, err);
    if (status != ISG_OK) return status;
    u = isgi_calloc(1, sizeof *u);
    if (!u) return isgi_nomem(err);
    u->rt = &rt;
    u->m = isgi_model_of_const(&rt);
    isgk_table_init(&u->kernels, 0);
    u->tensors = isgi_calloc(u->m->tensors, sizeof *u->tensors);
    u->weights = isgi_malloc(u->m->weight_count * sizeof *u->weights);
    u->vectors = isgi_malloc(u->m->weight_count * sizeof *u->vectors);
    if (!u->tensors || !u->weights || !u->vectors) {
        status = isgi_nomem(err);
        goto done;
    }
    for (uint32_t i = 0; i < u->m->weight_count; i++) u->weights[i] = u->vectors[i] = -1;
    status = isg_graph_create(&u->g, err);
    if (status == ISG_OK) status = unpack_all(u, err);
    if (status != ISG_OK) goto done;
    *out = u->g;
    u->g = NULL;
done:
    isg_graph_destroy(u->g);
    isg_free(u->tensors);
    isg_free(u->weights);
    isg_free(u->vectors);
    isg_free(u);
    return status;
}
