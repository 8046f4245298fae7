/* SPDX-License-Identifier: Apache-2.0 */
/* The GRAPH section from a program (docs/format.md, section 2). */
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "pack/program.h"

isg_status isgi_put_number(isgi_buffer *out, uint32_t value, isg_error *err)
{
    uint8_t bytes[5];
    size_t n = 0;
    while (value >= 128u) {
        bytes[n++] = (uint8_t)(value | 128u);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    return isgi_buffer_append(out, bytes, n, err);
}

isg_status isgi_put_text(isgi_buffer *out, isgi_text text, isg_error *err)
{
    ISGI_TRY(isgi_put_number(out, text.bytes, err));
    return isgi_buffer_append(out, text.data, text.bytes, err);
}

static isg_status put_signed(isgi_buffer *out, int32_t value, isg_error *err)
{
    return isgi_put_number(out, value < 0 ? ((uint32_t)(-(value + 1)) << 1) + 1u : (uint32_t)value << 1, err);
}

static isg_status put_float(isgi_buffer *out, float value, isg_error *err)
{
    uint8_t bytes[4];
    isgi_store_f32(bytes, value);
    return isgi_buffer_append(out, bytes, sizeof bytes, err);
}

static isg_status put_numbers(isgi_buffer *out, const uint32_t *values, uint32_t count, isg_error *err)
{
    for (uint32_t i = 0; i < count; i++) ISGI_TRY(isgi_put_number(out, values[i], err));
    return ISG_OK;
}

static isg_status put_shape(isgi_buffer *out, const isgi_shape *shape, isg_error *err)
{
    ISGI_TRY(isgi_put_number(out, shape->rank, err));
    return put_numbers(out, shape->dims, shape->rank, err);
}

static isg_scale_mode scale_mode(const isg_codes *codes)
{
    if (codes->scale_count == 0) return ISG_SCALE_NONE;
    if (codes->scale_count == 1) return codes->scale_bits == 16 ? ISG_SCALE_ONE_F16 : ISG_SCALE_ONE_F32;
    return codes->scale_bits == 16 ? ISG_SCALE_COLUMN_F16 : ISG_SCALE_COLUMN_F32;
}

static isg_status put_codes(isgi_buffer *out, const isg_codes *codes, isg_error *err)
{
    const uint32_t numbers[3] = {codes->family, codes->bits, scale_mode(codes)};
    return put_numbers(out, numbers, 3, err);
}

static isg_status put_record(isgi_buffer *out, const isg_weight *w, isg_error *err)
{
    const uint32_t numbers[4] = {(w->level1 ? ISG_WEIGHT_LEVEL1 : 0u) | (w->level2 ? ISG_WEIGHT_LEVEL2 : 0u) |
                                     (w->depthwise ? ISG_WEIGHT_DEPTHWISE : 0u),
                                 w->taps, w->ci, w->co};
    ISGI_TRY(put_numbers(out, numbers, 4, err));
    if (w->level1) ISGI_TRY(isgi_put_number(out, w->bi, err));
    if (w->level2) ISGI_TRY(isgi_put_number(out, w->bo, err));
    ISGI_TRY(put_codes(out, &w->basis, err));
    if (w->level1) ISGI_TRY(put_codes(out, &w->u, err));
    return w->level2 ? put_codes(out, &w->v, err) : ISG_OK;
}

static int has_activation(isg_op_kind kind)
{
    return kind == ISG_KIND_CONV || kind == ISG_KIND_FC || kind == ISG_KIND_BINARY || kind == ISG_KIND_AFFINE ||
           kind == ISG_KIND_ACTIVATION;
}

static isg_status put_activation(isgi_buffer *out, const isgi_program_op *op, isg_error *err)
{
    if (!has_activation(op->kind)) return ISG_OK;
    ISGI_TRY(isgi_put_number(out, op->activation, err));
    if (op->activation == ISG_ACTIVATION_LEAKY_RELU) return put_float(out, op->p, err);
    if (op->activation != ISG_ACTIVATION_CLIP && op->activation != ISG_ACTIVATION_HARD_SIGMOID) return ISG_OK;
    ISGI_TRY(put_float(out, op->p, err));
    return put_float(out, op->q, err);
}

static isg_status put_parameters(isgi_buffer *out, const isgi_program_op *op, isg_error *err)
{
    const uint32_t rank = op->shape.rank;
    switch (op->kind) {
    case ISG_KIND_CONV:
    case ISG_KIND_FC:
        ISGI_TRY(isgi_put_number(out, (uint32_t)op->weight, err));
        ISGI_TRY(isgi_put_number(out, (uint32_t)(op->bias + 1), err));
        if (op->kind == ISG_KIND_FC) return ISG_OK;
        ISGI_TRY(put_numbers(out, op->window, ISGI_WINDOW, err));
        return isgi_put_number(out, op->groups, err);
    case ISG_KIND_MAX_POOL: return put_numbers(out, op->window, ISGI_WINDOW, err);
    case ISG_KIND_AVERAGE_POOL:
        ISGI_TRY(put_numbers(out, op->window, ISGI_WINDOW, err));
        ISGI_TRY(isgi_put_number(out, op->flags, err));
        ISGI_TRY(isgi_put_number(out, op->extra_h, err));
        return isgi_put_number(out, op->extra_w, err);
    case ISG_KIND_AFFINE:
        ISGI_TRY(isgi_put_number(out, (uint32_t)op->weight, err));
        return isgi_put_number(out, (uint32_t)op->bias, err);
    case ISG_KIND_BINARY:
    case ISG_KIND_SOFTMAX:
    case ISG_KIND_CONCAT: return isgi_put_number(out, op->selector, err);
    case ISG_KIND_SLICE:
        for (uint32_t i = 0; i < rank; i++) {
            ISGI_TRY(isgi_put_number(out, op->a[i], err));
            ISGI_TRY(put_signed(out, op->step[i], err));
        }
        return ISG_OK;
    case ISG_KIND_PAD:
        ISGI_TRY(isgi_put_number(out, op->selector, err));
        ISGI_TRY(put_float(out, op->value, err));
        for (uint32_t i = 0; i < rank; i++) {
            ISGI_TRY(isgi_put_number(out, op->a[i], err));
            ISGI_TRY(isgi_put_number(out, op->b[i], err));
        }
        return ISG_OK;
    case ISG_KIND_TRANSPOSE: return put_numbers(out, op->a, rank, err);
    case ISG_KIND_REDUCE_MEAN:
        ISGI_TRY(isgi_put_number(out, op->selector, err));
        return isgi_put_number(out, op->keepdims, err);
    case ISG_KIND_GLOBAL_AVERAGE_POOL:
    case ISG_KIND_GLOBAL_MAX_POOL:
    case ISG_KIND_ACTIVATION:
    case ISG_KIND_RESHAPE: break;
    }
    return ISG_OK;
}

static isg_status put_op(isgi_buffer *out, const isgi_program *p, uint32_t index, isg_error *err)
{
    const isgi_program_op *op = &p->ops[index];
    const uint32_t own = p->input_count + p->constant_count + index;
    ISGI_TRY(isgi_put_number(out, op->kind, err));
    ISGI_TRY(isgi_put_text(out, op->name, err));
    ISGI_TRY(put_activation(out, op, err));
    if (op->kind == ISG_KIND_CONCAT) ISGI_TRY(isgi_put_number(out, op->input_count, err));
    for (uint32_t i = 0; i < op->input_count; i++) {
        ISGI_TRY(isgi_put_number(out, own - isgi_program_number(p, op->inputs[i]), err));
    }
    return put_parameters(out, op, err);
}

isg_status isgi_program_write(const isgi_program *p, isgi_buffer *out, isg_error *err)
{
    const uint32_t counts[5] = {p->input_count, p->constant_count, p->record_count, p->op_count, p->output_count};
    ISGI_TRY(put_numbers(out, counts, 5, err));
    for (uint32_t i = 0; i < p->input_count; i++) {
        ISGI_TRY(put_shape(out, &p->inputs[i].shape, err));
        ISGI_TRY(isgi_put_text(out, p->inputs[i].name, err));
    }
    for (uint32_t i = 0; i < p->constant_count; i++) {
        ISGI_TRY(put_shape(out, &p->constants[i].shape, err));
        ISGI_TRY(isgi_put_number(out, p->constants[i].weight, err));
    }
    for (uint32_t i = 0; i < p->op_count; i++) ISGI_TRY(put_shape(out, &p->ops[i].shape, err));
    for (uint32_t i = 0; i < p->output_count; i++) {
        ISGI_TRY(isgi_put_number(out, isgi_program_number(p, p->outputs[i].ref), err));
        ISGI_TRY(isgi_put_text(out, p->outputs[i].name, err));
    }
    for (uint32_t i = 0; i < p->record_count; i++) ISGI_TRY(put_record(out, &p->records[i].w, err));
    for (uint32_t i = 0; i < p->op_count; i++) ISGI_TRY(put_op(out, p, i, err));
    return ISG_OK;
}
