/* SPDX-License-Identifier: Apache-2.0 */
/* Lowering of the nodes without weights, and fusion of activations into the operation before them. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "pack/lower.h"

typedef struct activation_spec {
    isg_activation kind;
    float p, q;
} activation_spec;

static int clip_range(isg_activation kind, float p, float q, float *lo, float *hi)
{
    *lo = kind == ISG_ACTIVATION_CLIP ? p : 0.0f;
    *hi = kind == ISG_ACTIVATION_CLIP ? q : INFINITY;
    return kind == ISG_ACTIVATION_CLIP || kind == ISG_ACTIVATION_RELU;
}

static float clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* Gives `op` the activation, or joins two ranges into one (exporters write relu6 as Relu and Clip). 0: impossible. */
static int take_activation(isgi_program_op *op, activation_spec spec)
{
    const int able = op->kind == ISG_KIND_CONV || op->kind == ISG_KIND_FC || op->kind == ISG_KIND_BINARY ||
                     op->kind == ISG_KIND_AFFINE || op->kind == ISG_KIND_ACTIVATION;
    float lo1, hi1, lo2, hi2;
    if (!able) return 0;
    if (op->activation != ISG_ACTIVATION_NONE) {
        if (!clip_range(op->activation, op->p, op->q, &lo1, &hi1) ||
            !clip_range(spec.kind, spec.p, spec.q, &lo2, &hi2)) {
            return 0;
        }
        spec.p = clamp(lo1, lo2, hi2);
        spec.q = clamp(hi1, lo2, hi2);
        spec.kind = spec.p == 0.0f && spec.q == INFINITY ? ISG_ACTIVATION_RELU : ISG_ACTIVATION_CLIP;
        if (spec.kind == ISG_ACTIVATION_RELU) spec.q = 0.0f;
    }
    op->activation = spec.kind;
    op->p = spec.p;
    op->q = spec.q;
    return 1;
}

/* y = activation(x). `needed` is how many uses of x the pattern itself has: with no other one, the operation that makes
 * x applies it. */
static isg_status emit_activation(isgi_lowering *l, const isg_node *n, int32_t x, int32_t needed, activation_spec spec,
                                  isg_error *err)
{
    isgi_program_op *op;
    isgi_ref ref;
    ISGI_TRY(isgi_lower_value(l, x, &ref, err));
    if (ref.kind == ISGI_REF_OP && l->uses[x] == needed && take_activation(&l->p->ops[ref.index], spec)) {
        l->refs[n->outputs[0]] = ref;
        return ISG_OK;
    }
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_ACTIVATION, &ref, 1, n, 0, &op, err));
    (void)take_activation(op, spec);
    return ISG_OK;
}

static isg_status clip_limits(const isgi_lowering *l, const isg_node *n, float *lo, float *hi, isg_error *err)
{
    const float *data;
    int64_t count;
    *lo = n->attr.scalar.lo;
    *hi = n->attr.scalar.hi;
    for (int32_t k = 1; k <= 2; k++) {
        ISGI_TRY(isgi_lower_floats(l, n, k, &data, &count, err));
        if (data && count != 1) return isgi_lower_fail(l, ISG_E_SHAPE, "a limit is not one number", err);
        if (data) *(k == 1 ? lo : hi) = data[0];
    }
    if (isnan(*lo) || isnan(*hi)) return isgi_lower_fail(l, ISG_E_NUMERIC, "a limit is not a number", err);
    if (*lo > *hi) *lo = *hi; /* ONNX: everything becomes the upper limit */
    return ISG_OK;
}

/* Whether the node is the gate of x * gate(x) and nothing else. */
static int is_gate(const isgi_lowering *l, const isg_node *n)
{
    const int32_t gate = n->outputs[0], x = n->inputs[0];
    const isg_node *mul;
    if (l->uses[gate] != 1) return 0;
    for (int32_t i = 0; i < l->g->output_count; i++)
        if (l->g->outputs[i] == gate) return 0;
    mul = &l->g->nodes[l->consumer[gate]];
    if (mul->op != ISG_OP_MUL || mul->input_count != 2) return 0;
    if (n->op == ISG_OP_HARD_SIGMOID && (n->attr.scalar.alpha != 1.0f / 6.0f || n->attr.scalar.beta != 0.5f)) return 0;
    return (mul->inputs[0] == gate && mul->inputs[1] == x) || (mul->inputs[1] == gate && mul->inputs[0] == x);
}

isg_status isgi_lower_activation(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    activation_spec spec = {ISG_ACTIVATION_RELU, 0.0f, 0.0f};
    if (!isgi_lower_has(n, 0)) return isgi_lower_fail(l, ISG_E_FORMAT, "an input is missing", err);
    switch (n->op) {
    case ISG_OP_CLIP:
        ISGI_TRY(clip_limits(l, n, &spec.p, &spec.q, err));
        if (spec.p == 0.0f && spec.q == INFINITY) {
            spec.q = 0.0f;
        } else {
            spec.kind = ISG_ACTIVATION_CLIP;
        }
        break;
    case ISG_OP_LEAKY_RELU:
        spec.kind = ISG_ACTIVATION_LEAKY_RELU;
        spec.p = n->attr.scalar.alpha;
        break;
    case ISG_OP_HARD_SIGMOID:
        spec.kind = ISG_ACTIVATION_HARD_SIGMOID;
        spec.p = n->attr.scalar.alpha;
        spec.q = n->attr.scalar.beta;
        break;
    case ISG_OP_HARD_SWISH: spec.kind = ISG_ACTIVATION_HARD_SWISH; break;
    case ISG_OP_SIGMOID: spec.kind = ISG_ACTIVATION_SIGMOID; break;
    default: break;
    }
    if ((n->op == ISG_OP_SIGMOID || n->op == ISG_OP_HARD_SIGMOID) && is_gate(l, n)) {
        l->absorbed[l->node] = 1;
        return ISG_OK;
    }
    return emit_activation(l, n, n->inputs[0], 1, spec, err);
}

isg_status isgi_lower_binary(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    static const isg_binary_kind kinds[ISG_OP_COUNT] = {[ISG_OP_ADD] = ISG_BINARY_ADD,
                                                        [ISG_OP_SUB] = ISG_BINARY_SUB,
                                                        [ISG_OP_MUL] = ISG_BINARY_MUL,
                                                        [ISG_OP_DIV] = ISG_BINARY_DIV};
    isgi_program_op *op;
    isgi_ref xy[2];
    for (int32_t k = 0; k < 2 && n->op == ISG_OP_MUL; k++) {
        const int32_t gate = isgi_lower_has(n, k) ? l->g->values[n->inputs[k]].producer : -1;
        if (gate >= 0 && l->absorbed[gate]) {
            const int hard = l->g->nodes[gate].op == ISG_OP_HARD_SIGMOID;
            const activation_spec spec = {hard ? ISG_ACTIVATION_HARD_SWISH : ISG_ACTIVATION_SILU, 0.0f, 0.0f};
            return emit_activation(l, n, n->inputs[1 - k], 2, spec, err);
        }
    }
    ISGI_TRY(isgi_lower_operand(l, n, 0, &xy[0], err));
    ISGI_TRY(isgi_lower_operand(l, n, 1, &xy[1], err));
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_BINARY, xy, 2, n, 0, &op, err));
    op->selector = kinds[n->op];
    return ISG_OK;
}

/* The larger of two shapes under NumPy broadcasting; a batch (0) wins over 1. */
static isgi_shape broadcast(const isgi_shape *a, const isgi_shape *b)
{
    isgi_shape out = a->rank >= b->rank ? *a : *b;
    const isgi_shape *small = a->rank >= b->rank ? b : a;
    const uint32_t shift = out.rank - small->rank;
    for (uint32_t i = 0; i < small->rank; i++)
        if (out.dims[shift + i] == 1) out.dims[shift + i] = small->dims[i];
    return out;
}

isg_status isgi_lower_sum(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    isgi_ref xy[2];
    if (n->input_count == 1) return isgi_lower_alias(l, n->outputs[0], n->inputs[0], err);
    ISGI_TRY(isgi_lower_operand(l, n, 0, &xy[0], err));
    for (int32_t k = 1; k < n->input_count; k++) {
        isgi_program_op *op;
        isgi_shape shape;
        ISGI_TRY(isgi_lower_operand(l, n, k, &xy[1], err));
        shape = broadcast(isgi_program_shape(l->p, xy[0]), isgi_program_shape(l->p, xy[1]));
        ISGI_TRY(isgi_lower_emit(l, ISG_KIND_BINARY, xy, 2, &shape, &xy[0], &op, err));
        op->selector = ISG_BINARY_ADD;
    }
    l->refs[n->outputs[0]] = xy[0];
    return ISG_OK;
}

/* What the window formula lacks at the end of an axis to give `out` positions (ceil mode). */
static int64_t missing_end(int64_t in, int64_t out, int64_t k, int64_t s, int64_t d, int64_t begin, int64_t end)
{
    const int64_t need = (out - 1) * s + (k - 1) * d + 1 - in - begin - end;
    return need > 0 ? need : 0;
}

isg_status isgi_lower_pool(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const isg_conv_attr *a = &n->attr.conv;
    const int average = n->op == ISG_OP_AVERAGE_POOL;
    const isgi_shape *in;
    isgi_program_op *op;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    if (a->n != 2 || isgi_program_shape(l->p, x)->rank != 4) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "only two spatial dimensions are supported", err);
    }
    ISGI_TRY(isgi_lower_output(l, average ? ISG_KIND_AVERAGE_POOL : ISG_KIND_MAX_POOL, &x, 1, n, 0, &op, err));
    in = isgi_program_shape(l->p, x);
    if (average && a->count_include_pad) op->flags = ISG_POOL_COUNT_INCLUDE_PAD;
    for (int i = 0; i < 2; i++) {
        const int64_t extra = missing_end(in->dims[2 + i], op->shape.dims[2 + i], a->kernel[i], a->stride[i],
                                          a->dilation[i], a->pads[i], a->pads[2 + i]);
        const int64_t end = a->pads[2 + i] + (average ? 0 : extra);
        const int64_t window[5] = {a->kernel[i], a->stride[i], a->dilation[i], a->pads[i], end};
        for (int k = 0; k < 5; k++) {
            if (window[k] < (k < 3) || window[k] > ISG_FORMAT_MAX_WINDOW || extra > ISG_FORMAT_MAX_WINDOW) {
                return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a kernel, stride, dilation or pad is out of range", err);
            }
            op->window[2 * k + i] = (uint32_t)window[k];
        }
        if (average) *(i == 0 ? &op->extra_h : &op->extra_w) = (uint32_t)extra;
    }
    return ISG_OK;
}

isg_status isgi_lower_global_pool(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    if (isgi_program_shape(l->p, x)->rank != 4) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "only two spatial dimensions are supported", err);
    }
    return isgi_lower_output(l,
                             n->op == ISG_OP_GLOBAL_MAX_POOL ? ISG_KIND_GLOBAL_MAX_POOL : ISG_KIND_GLOBAL_AVERAGE_POOL,
                             &x, 1, n, 0, NULL, err);
}

/* A non-negative axis that is not the batch. */
static isg_status check_axis(const isgi_lowering *l, isgi_ref x, int64_t axis, uint32_t *out, isg_error *err)
{
    const isgi_shape *shape = isgi_program_shape(l->p, x);
    if (axis < 0) axis += shape->rank;
    if (axis < 0 || axis >= shape->rank) return isgi_lower_fail(l, ISG_E_SHAPE, "axis out of range", err);
    if (shape->dims[axis] == 0) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it works along the batch", err);
    *out = (uint32_t)axis;
    return ISG_OK;
}

isg_status isgi_lower_softmax(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    isgi_program_op *op;
    uint32_t axis = 0;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    ISGI_TRY(check_axis(l, x, n->attr.axes.axes[0], &axis, err));
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_SOFTMAX, &x, 1, n, 0, &op, err));
    op->selector = axis;
    return ISG_OK;
}

isg_status isgi_lower_concat(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    isgi_ref parts[ISG_FORMAT_MAX_OPERANDS];
    isgi_program_op *op;
    uint32_t axis = 0;
    if (n->input_count < 1 || n->input_count > (int32_t)ISG_FORMAT_MAX_OPERANDS) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "more than 256 operands", err);
    }
    for (int32_t k = 0; k < n->input_count; k++) ISGI_TRY(isgi_lower_operand(l, n, k, &parts[k], err));
    ISGI_TRY(check_axis(l, parts[0], n->attr.axes.axes[0], &axis, err));
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_CONCAT, parts, (uint32_t)n->input_count, n, 0, &op, err));
    op->selector = axis;
    return ISG_OK;
}

isg_status isgi_lower_slice(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const int64_t *list[4] = {NULL};
    int64_t count[4] = {0};
    isgi_program_op *op;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    for (int32_t k = 0; k < 4; k++) ISGI_TRY(isgi_lower_integers(l, n, k + 1, &list[k], &count[k], err));
    if (!list[0] || (list[2] && count[2] != count[0]) || (list[3] && count[3] != count[0])) {
        return isgi_lower_fail(l, ISG_E_FORMAT, "its starts, axes and steps do not match", err);
    }
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_SLICE, &x, 1, n, 0, &op, err));
    for (uint32_t i = 0; i < op->shape.rank; i++) op->step[i] = 1;
    for (int64_t i = 0; i < count[0]; i++) {
        const isgi_shape *shape = isgi_program_shape(l->p, x);
        const int64_t step = list[3] ? list[3][i] : 1;
        int64_t axis = list[2] ? list[2][i] : i, start = list[0][i], dim;
        if (axis < 0) axis += shape->rank;
        if (axis < 0 || axis >= shape->rank) return isgi_lower_fail(l, ISG_E_SHAPE, "axis out of range", err);
        dim = shape->dims[axis];
        if (dim == 0) {
            if (start == 0 && step == 1 && list[1] && count[1] == count[0] && list[1][i] >= INT32_MAX) continue;
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it cuts the batch", err);
        }
        if (step == 0 || step > INT32_MAX / 2 || step < -(INT32_MAX / 2)) {
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a step is zero or too large", err);
        }
        if (start < 0) start += dim;
        if (start < 0) start = 0;
        if (start > dim - 1) start = dim - 1; /* a start behind the end makes sense only backwards */
        op->a[axis] = (uint32_t)start;
        op->step[axis] = (int32_t)step;
    }
    return ISG_OK;
}

/* The sizes are input 1: outputs that nobody reads are omitted and have no shape. */
isg_status isgi_lower_split(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const int64_t *sizes;
    int64_t count, start = 0, whole;
    uint32_t axis = 0;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    ISGI_TRY(isgi_lower_integers(l, n, 1, &sizes, &count, err));
    ISGI_TRY(check_axis(l, x, n->attr.axes.axes[0], &axis, err));
    whole = isgi_program_shape(l->p, x)->dims[axis];
    if (!sizes || count != n->output_count) {
        return isgi_lower_fail(l, ISG_E_FORMAT, "its sizes do not match its outputs", err);
    }
    for (int32_t k = 0; k < n->output_count; k++) {
        isgi_program_op *op;
        if (sizes[k] < 0 || sizes[k] > whole - start) {
            return isgi_lower_fail(l, ISG_E_SHAPE, "its sizes are more than there is", err);
        }
        if (n->outputs[k] != ISG_NO_VALUE && l->uses[n->outputs[k]] > 0) {
            ISGI_TRY(isgi_lower_output(l, ISG_KIND_SLICE, &x, 1, n, k, &op, err));
            for (uint32_t i = 0; i < op->shape.rank; i++) op->step[i] = 1;
            op->a[axis] = (uint32_t)start;
        }
        start += sizes[k];
    }
    return ISG_OK;
}

isg_status isgi_lower_pad(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const int64_t *pads, *axes;
    int64_t pad_count, axis_count, value_count;
    const float *value;
    isgi_program_op *op;
    uint32_t rank;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    ISGI_TRY(isgi_lower_integers(l, n, 1, &pads, &pad_count, err));
    ISGI_TRY(isgi_lower_floats(l, n, 2, &value, &value_count, err));
    ISGI_TRY(isgi_lower_integers(l, n, 3, &axes, &axis_count, err));
    rank = isgi_program_shape(l->p, x)->rank;
    if (!axes) axis_count = rank;
    if (!pads || pad_count != 2 * axis_count || (value && value_count != 1)) {
        return isgi_lower_fail(l, ISG_E_FORMAT, "its pads do not match its axes", err);
    }
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_PAD, &x, 1, n, 0, &op, err));
    op->selector = n->attr.pad.mode == ISG_PAD_REFLECT ? ISG_FILL_REFLECT
                   : n->attr.pad.mode == ISG_PAD_EDGE  ? ISG_FILL_EDGE
                                                       : ISG_FILL_CONSTANT;
    op->value = value && op->selector == ISG_FILL_CONSTANT ? value[0] : 0.0f;
    if (!isfinite(op->value)) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it pads with infinity or NaN", err);
    for (int64_t i = 0; i < axis_count; i++) {
        int64_t axis = axes ? axes[i] : i;
        if (axis < 0) axis += rank;
        if (axis < 0 || axis >= rank) return isgi_lower_fail(l, ISG_E_SHAPE, "axis out of range", err);
        if (pads[i] < 0 || pads[axis_count + i] < 0 || pads[i] > ISG_FORMAT_MAX_WINDOW ||
            pads[axis_count + i] > ISG_FORMAT_MAX_WINDOW) {
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a pad is negative or above 4096", err);
        }
        op->a[axis] = (uint32_t)pads[i];
        op->b[axis] = (uint32_t)pads[axis_count + i];
    }
    return ISG_OK;
}

isg_status isgi_lower_reshape(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    if (!isgi_lower_has(n, 0)) return isgi_lower_fail(l, ISG_E_FORMAT, "an input is missing", err);
    return isgi_lower_alias(l, n->outputs[0], n->inputs[0], err);
}

/* A permutation of dims with dims of 1 dropped and neighbours that stay neighbours merged; the batch stays alone. */
static isg_status merge_permutation(const isgi_lowering *l, const isg_value *v, const int64_t *perm, isgi_shape *in,
                                    uint32_t order[ISG_FORMAT_MAX_RANK], isg_error *err)
{
    int64_t first[ISG_MAX_RANK], size[ISG_MAX_RANK], end[ISG_MAX_RANK];
    uint32_t groups = 0;
    for (int32_t i = 0; i < v->rank; i++) {
        const int64_t from = perm[i], dim = v->dims[from];
        int64_t next = groups ? end[groups - 1] : -1;
        if (dim == 1) continue;
        while (next >= 0 && next < v->rank && v->dims[next] == 1) next++;
        if (groups && next == from && dim != ISG_DIM_BATCH && size[groups - 1] != ISG_DIM_BATCH) {
            size[groups - 1] *= dim;
        } else {
            first[groups] = from;
            size[groups++] = dim;
        }
        end[groups - 1] = from + 1;
    }
    if (groups < 1 || groups > ISG_FORMAT_MAX_RANK) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it shuffles more than 4 dimensions", err);
    }
    memset(in, 0, sizeof *in);
    in->rank = groups;
    for (uint32_t i = 0; i < groups; i++) { /* position of each group in the input */
        order[i] = 0;
        for (uint32_t k = 0; k < groups; k++) order[i] += first[k] < first[i];
        if (size[i] > ISG_FORMAT_MAX_DIM)
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a merged dimension is too large", err);
        in->dims[order[i]] = size[i] == ISG_DIM_BATCH ? 0 : (uint32_t)size[i];
    }
    return ISG_OK;
}

static isg_status emit_transpose(isgi_lowering *l, isgi_ref x, const isgi_shape *in, const uint32_t *order,
                                 isgi_ref *out, isg_error *err)
{
    isgi_program_op *op;
    isgi_shape shape = *in;
    for (uint32_t i = 0; i < in->rank; i++) shape.dims[i] = in->dims[order[i]];
    if (in->dims[0] == 0 && order[0] != 0) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it moves the batch", err);
    ISGI_TRY(isgi_lower_emit(l, ISG_KIND_TRANSPOSE, &x, 1, &shape, out, &op, err));
    for (uint32_t i = 0; i < in->rank; i++) op->a[i] = order[i];
    return ISG_OK;
}

isg_status isgi_lower_transpose(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const isg_axes_attr *a = &n->attr.axes;
    const isg_value *v;
    int64_t perm[ISG_MAX_RANK];
    uint32_t order[ISG_FORMAT_MAX_RANK];
    isgi_shape shape;
    isgi_ref x;
    if (!isgi_lower_has(n, 0)) return isgi_lower_fail(l, ISG_E_FORMAT, "an input is missing", err);
    v = &l->g->values[n->inputs[0]];
    if (v->rank < 1 || (a->n != 0 && a->n != v->rank))
        return isgi_lower_fail(l, ISG_E_SHAPE, "its permutation does not fit", err);
    for (int32_t i = 0; i < v->rank; i++) {
        perm[i] = a->n ? a->axes[i] : v->rank - 1 - i;
        if (perm[i] < 0 || perm[i] >= v->rank)
            return isgi_lower_fail(l, ISG_E_SHAPE, "its permutation does not fit", err);
    }
    if (v->rank <= (int32_t)ISG_FORMAT_MAX_RANK) {
        ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
        shape = *isgi_program_shape(l->p, x);
        for (int32_t i = 0; i < v->rank; i++) order[i] = (uint32_t)perm[i];
        return emit_transpose(l, x, &shape, order, &l->refs[n->outputs[0]], err);
    }
    x = l->refs[n->inputs[0]];
    if (x.kind == ISGI_REF_NONE) return isgi_lower_operand(l, n, 0, &x, err); /* says what is wrong */
    ISGI_TRY(merge_permutation(l, v, perm, &shape, order, err));
    ISGI_TRY(isgi_lower_emit(l, ISG_KIND_RESHAPE, &x, 1, &shape, &x, NULL, err));
    return emit_transpose(l, x, &shape, order, &l->refs[n->outputs[0]], err);
}

isg_status isgi_lower_reduce_mean(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const isg_axes_attr *a = &n->attr.axes;
    const int64_t *axes;
    int64_t count;
    uint32_t mask = 0, rank;
    isgi_program_op *op;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    ISGI_TRY(isgi_lower_integers(l, n, 1, &axes, &count, err));
    if (!axes) {
        axes = a->axes;
        count = a->n;
    }
    if (count == 0 && a->noop_with_empty) return isgi_lower_alias(l, n->outputs[0], n->inputs[0], err);
    rank = isgi_program_shape(l->p, x)->rank;
    for (int64_t i = 0; i < (count ? count : (int64_t)rank); i++) {
        uint32_t axis = 0;
        ISGI_TRY(check_axis(l, x, count ? axes[i] : i, &axis, err));
        mask |= 1u << axis;
    }
    if (rank == 4 && mask == 12u && a->keepdims) {
        return isgi_lower_output(l, ISG_KIND_GLOBAL_AVERAGE_POOL, &x, 1, n, 0, NULL, err);
    }
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_REDUCE_MEAN, &x, 1, n, 0, &op, err));
    op->selector = mask;
    op->keepdims = a->keepdims != 0;
    return ISG_OK;
}
