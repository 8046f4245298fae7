/* SPDX-License-Identifier: Apache-2.0 */
/* The GRAPH and WEIGHTS sections: decoding records, checking all of them once, and finding them again. */
#include "base/endian.h"
#include "base/error.h"
#include "rt/view.h"

#include <string.h>

static isg_status bad(const isgi_cursor *c, const char *message, isg_error *err)
{
    return isgi_error(err, ISG_E_FORMAT, message, c->pos, -1);
}

static void read_shape(isgi_cursor *c, isgi_shape *s)
{
    memset(s, 0, sizeof *s);
    s->rank = isgi_cursor_uv(c);
    if (s->rank < 1 || s->rank > ISG_FORMAT_MAX_RANK) {
        c->failed = 1;
        s->rank = 1;
    }
    for (uint32_t i = 0; i < s->rank; i++) s->dims[i] = isgi_cursor_uv(c);
}

static int shape_ok(const isgi_shape *s, int batch_allowed)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < s->rank; i++) {
        if (s->dims[i] > ISG_FORMAT_MAX_DIM || (!s->dims[i] && (i || !batch_allowed))) return 0;
        n *= s->dims[i] ? s->dims[i] : 1;
        if (n > ISG_FORMAT_MAX_ELEMENTS) return 0;
    }
    return 1;
}

/* ---- weights ---- */

static int finite_bits(uint32_t value, uint32_t bits)
{
    return bits == 16 ? (value & 0x7c00u) != 0x7c00u : (value & 0x7f800000u) != 0x7f800000u;
}

/* One blob of `bytes` bytes at the next multiple of 4; NULL if it is not all inside WEIGHTS. */
static const uint8_t *take_blob(const isgi_model *m, uint64_t *at, uint64_t bytes, int scan)
{
    const uint64_t begin = (*at + ISG_FORMAT_BLOB_ALIGN - 1) & ~(uint64_t)(ISG_FORMAT_BLOB_ALIGN - 1);
    if (begin > m->weights_bytes || bytes > m->weights_bytes - begin) return NULL;
    for (uint64_t i = *at; scan && i < begin; i++)
        if (m->weights[i]) return NULL;
    *at = begin + bytes;
    return m->weights + begin;
}

static int scales_ok(const isg_codes *codes)
{
    for (uint32_t i = 0; i < codes->scale_count; i++) {
        const uint32_t v = codes->scale_bits == 16 ? isgi_load_u16(codes->scales + (size_t)i * 2)
                                                   : isgi_load_u32(codes->scales + (size_t)i * 4);
        if (!finite_bits(v, codes->scale_bits)) return 0;
    }
    return 1;
}

static isg_status read_codes(const isgi_model *m, isgi_cursor *c, uint64_t *blob, uint64_t rows, uint64_t cols,
                             isg_codes *out, int scan, isg_error *err)
{
    const uint32_t family = isgi_cursor_uv(c), bits = isgi_cursor_uv(c), mode = isgi_cursor_uv(c);
    const int raw = family == ISG_QUANT_RAW;
    uint64_t total;
    if (c->failed || family > ISG_QUANT_MIDRISE || (raw ? bits != 16 && bits != 32 : bits < 1 || bits > 8))
        return bad(c, "factor has an unknown family or number of bits", err);
    if (raw ? mode != ISG_SCALE_NONE : mode < ISG_SCALE_ONE_F32 || mode > ISG_SCALE_COLUMN_F16)
        return bad(c, "factor has an impossible scale mode", err);
    if (family == ISG_QUANT_PAPER && mode > ISG_SCALE_ONE_F16) return bad(c, "paper family has one scale", err);
    if (!rows || !cols || rows > ISG_FORMAT_MAX_ELEMENTS || cols > ISG_FORMAT_MAX_ELEMENTS / rows)
        return bad(c, "factor is empty or too large", err);
    out->rows = (uint32_t)rows;
    out->cols = (uint32_t)cols;
    out->bits = (uint8_t)bits;
    out->family = (uint8_t)family;
    total = rows * cols * bits;
    out->data_bytes = (total + 7) / 8;
    out->scale_count = raw ? 0 : mode <= ISG_SCALE_ONE_F16 ? 1 : (uint32_t)cols;
    out->scale_bits = raw ? 0 : mode == ISG_SCALE_ONE_F16 || mode == ISG_SCALE_COLUMN_F16 ? 16 : 32;
    out->data = take_blob(m, blob, out->data_bytes, scan);
    if (!out->data) return bad(c, "codes are outside the weights section or badly padded", err);
    if (scan && (total & 7u) && out->data[out->data_bytes - 1] >> (total & 7u))
        return bad(c, "unused bits after the last code are not zero", err);
    if (raw) return ISG_OK;
    out->scales = take_blob(m, blob, (uint64_t)out->scale_count * out->scale_bits / 8, scan);
    if (!out->scales) return bad(c, "scales are outside the weights section or badly padded", err);
    if (scan && !scales_ok(out)) return bad(c, "scale is not finite", err);
    return ISG_OK;
}

isg_status isgi_view_read_weight(const isgi_model *m, isgi_cursor *c, uint64_t *blob, isg_weight *w, int scan,
                                 isg_error *err)
{
    const uint32_t flags = isgi_cursor_uv(c);
    uint64_t rows, width, tap_rows;
    memset(w, 0, sizeof *w);
    w->taps = isgi_cursor_uv(c);
    w->ci = isgi_cursor_uv(c);
    w->co = isgi_cursor_uv(c);
    w->level1 = (flags & ISG_WEIGHT_LEVEL1) != 0;
    w->level2 = (flags & ISG_WEIGHT_LEVEL2) != 0;
    w->depthwise = (flags & ISG_WEIGHT_DEPTHWISE) != 0;
    if (w->level1) w->bi = isgi_cursor_uv(c);
    if (w->level2) w->bo = isgi_cursor_uv(c);
    if (c->failed || flags > 7u) return bad(c, "weight record is cut or has unknown flags", err);
    if (w->taps > ISG_FORMAT_MAX_DIM || w->ci > ISG_FORMAT_MAX_DIM || w->co > ISG_FORMAT_MAX_DIM ||
        w->bi > ISG_FORMAT_MAX_DIM || w->bo > ISG_FORMAT_MAX_DIM || !w->taps || !w->ci || !w->co ||
        (w->level1 && !w->bi) || (w->level2 && !w->bo))
        return bad(c, "weight dimension out of range", err);
    if (w->depthwise && (w->level2 || w->co != 1)) return bad(c, "depthwise weight has one kernel and no level 2", err);
    if (w->level1 && !w->level2) w->bo = w->co;
    tap_rows = (uint64_t)w->taps * w->ci;
    if (tap_rows > ISG_FORMAT_MAX_ELEMENTS || w->co > ISG_FORMAT_MAX_ELEMENTS / tap_rows)
        return bad(c, "weight is too large", err);
    width = w->level1 ? (uint64_t)w->bi * w->bo : w->level2 ? w->bo : w->co;
    rows = w->level1 ? w->taps : tap_rows;
    ISGI_TRY(read_codes(m, c, blob, rows, width, &w->basis, scan, err));
    if (w->level1) ISGI_TRY(read_codes(m, c, blob, w->ci, width, &w->u, scan, err));
    if (w->level2) ISGI_TRY(read_codes(m, c, blob, w->bo, w->co, &w->v, scan, err));
    return ISG_OK;
}

/* ---- operations ---- */

static void read_act(isgi_cursor *c, isgk_act *act)
{
    memset(act, 0, sizeof *act);
    act->kind = isgi_cursor_uv(c);
    if (act->kind >= ISGK_ACT_COUNT) c->failed = 1;
    if (act->kind == ISGK_ACT_CLIP) {
        act->lo = isgi_cursor_f32(c);
        act->hi = isgi_cursor_f32(c);
        if (!(act->lo <= act->hi)) c->failed = 1;
    }
    if (act->kind == ISGK_ACT_LEAKY_RELU || act->kind == ISGK_ACT_HARD_SIGMOID) act->alpha = isgi_cursor_f32(c);
    if (act->kind == ISGK_ACT_HARD_SIGMOID) act->beta = isgi_cursor_f32(c);
    if (!(act->alpha - act->alpha == 0.0f) || !(act->beta - act->beta == 0.0f)) c->failed = 1;
}

static uint32_t read_capped(isgi_cursor *c, uint32_t low, uint32_t high)
{
    const uint32_t v = isgi_cursor_uv(c);
    if (v < low || v > high) c->failed = 1;
    return v;
}

static void read_window(isgi_cursor *c, isgi_window *w)
{
    w->kh = read_capped(c, 1, ISG_FORMAT_MAX_WINDOW);
    w->kw = read_capped(c, 1, ISG_FORMAT_MAX_WINDOW);
    w->sh = read_capped(c, 1, ISG_FORMAT_MAX_WINDOW);
    w->sw = read_capped(c, 1, ISG_FORMAT_MAX_WINDOW);
    w->dh = read_capped(c, 1, ISG_FORMAT_MAX_WINDOW);
    w->dw = read_capped(c, 1, ISG_FORMAT_MAX_WINDOW);
    w->top = read_capped(c, 0, ISG_FORMAT_MAX_WINDOW);
    w->left = read_capped(c, 0, ISG_FORMAT_MAX_WINDOW);
    w->bottom = read_capped(c, 0, ISG_FORMAT_MAX_WINDOW);
    w->right = read_capped(c, 0, ISG_FORMAT_MAX_WINDOW);
}

static uint32_t read_operand(isgi_cursor *c, uint32_t own)
{
    const uint32_t delta = read_capped(c, 1, own);
    return c->failed ? 0 : own - delta;
}

static void read_operands(isgi_cursor *c, uint32_t own, isgi_op *op)
{
    op->input_count = op->kind == ISG_KIND_BINARY ? 2 : 1;
    if (op->kind == ISG_KIND_CONCAT) op->input_count = read_capped(c, 1, ISG_FORMAT_MAX_OPERANDS);
    op->operands_at = (uint32_t)c->pos;
    for (uint32_t i = 0; i < op->input_count && !c->failed; i++) {
        const uint32_t t = read_operand(c, own);
        if (i < 2) op->inputs[i] = t;
    }
}

static int32_t read_index(isgi_cursor *c, int optional)
{
    const uint32_t v = read_capped(c, 0, ISG_FORMAT_MAX_COUNT);
    return (int32_t)v - optional;
}

/* The rank of x is not known here: the per-dim lists carry as many entries as the output has dims, which for these
 * kinds is the rank of x; `rank` is the output's. */
static void read_lists(isgi_cursor *c, isgi_op *op, uint32_t rank)
{
    for (uint32_t i = 0; i < rank; i++) {
        op->begin[i] = isgi_cursor_uv(c);
        if (op->kind == ISG_KIND_SLICE) op->step[i] = isgi_cursor_sv(c);
        if (op->kind == ISG_KIND_PAD) op->end[i] = isgi_cursor_uv(c);
    }
}

static void read_parameters(isgi_cursor *c, isgi_op *op, uint32_t rank)
{
    switch (op->kind) {
    case ISG_KIND_CONV:
    case ISG_KIND_FC:
        op->weight = read_index(c, 0);
        op->vector = read_index(c, 1);
        if (op->kind == ISG_KIND_FC) break;
        read_window(c, &op->window);
        op->groups = read_capped(c, 1, ISG_FORMAT_MAX_DIM);
        break;
    case ISG_KIND_MAX_POOL: read_window(c, &op->window); break;
    case ISG_KIND_AVERAGE_POOL:
        read_window(c, &op->window);
        op->mode = read_capped(c, 0, ISG_POOL_COUNT_INCLUDE_PAD);
        op->extra_h = read_capped(c, 0, ISG_FORMAT_MAX_WINDOW);
        op->extra_w = read_capped(c, 0, ISG_FORMAT_MAX_WINDOW);
        break;
    case ISG_KIND_BINARY: op->mode = read_capped(c, 0, ISG_BINARY_DIV); break;
    case ISG_KIND_AFFINE:
        op->weight = read_index(c, 0);
        op->vector = read_index(c, 0);
        break;
    case ISG_KIND_SOFTMAX:
    case ISG_KIND_CONCAT: op->mode = read_capped(c, 0, ISG_FORMAT_MAX_RANK - 1); break;
    case ISG_KIND_PAD:
        op->mode = read_capped(c, 0, ISG_FILL_EDGE);
        op->value = isgi_cursor_f32(c);
        read_lists(c, op, rank);
        break;
    case ISG_KIND_SLICE:
    case ISG_KIND_TRANSPOSE: read_lists(c, op, rank); break;
    case ISG_KIND_REDUCE_MEAN:
        op->mode = read_capped(c, 1, 15);
        op->keep_dims = read_capped(c, 0, 1);
        break;
    default: break;
    }
}

isg_status isgi_view_read_op(isgi_cursor *c, uint32_t own, uint32_t rank, isgi_op *op, isg_error *err)
{
    memset(op, 0, sizeof *op);
    op->output = own;
    op->weight = op->vector = -1;
    op->kind = read_capped(c, ISG_KIND_CONV, ISG_KIND_REDUCE_MEAN);
    op->name = isgi_cursor_name(c, &op->name_bytes);
    if (c->failed) return bad(c, "operation has an unknown kind or a bad name", err);
    if (op->kind == ISG_KIND_CONV || op->kind == ISG_KIND_FC || op->kind == ISG_KIND_BINARY ||
        op->kind == ISG_KIND_AFFINE || op->kind == ISG_KIND_ACTIVATION)
        read_act(c, &op->act);
    if (op->kind == ISG_KIND_ACTIVATION && op->act.kind == ISGK_ACT_NONE) c->failed = 1;
    read_operands(c, own, op);
    if (!c->failed) read_parameters(c, op, rank);
    if (c->failed) return bad(c, "operation is cut or has a parameter out of range", err);
    return ISG_OK;
}

/* ---- the whole stream, once ---- */

static isg_status scan_tensors(isgi_model *m, isgi_cursor *c, isg_error *err)
{
    m->tensors = m->inputs + m->constants + m->ops;
    m->tensor_step = (m->tensors + ISGI_TENSOR_MARKS - 1) / ISGI_TENSOR_MARKS;
    for (uint32_t i = 0; i < m->tensors; i++) {
        isgi_shape s;
        uint32_t bytes;
        if (i % m->tensor_step == 0) m->tensor_marks[i / m->tensor_step] = (uint32_t)c->pos;
        read_shape(c, &s);
        if (i < m->inputs) (void)isgi_cursor_name(c, &bytes);
        if (isgi_view_is_constant(m, i)) (void)read_capped(c, 0, m->weight_count - 1);
        if (c->failed) return bad(c, "tensor record is cut or out of range", err);
        if (!shape_ok(&s, !isgi_view_is_constant(m, i))) return bad(c, "tensor dimension out of range", err);
    }
    return ISG_OK;
}

static isg_status scan_outputs(isgi_model *m, isgi_cursor *c, isg_error *err)
{
    m->outputs_at = (uint32_t)c->pos;
    for (uint32_t i = 0; i < m->outputs; i++) {
        uint32_t bytes;
        const uint32_t tensor = isgi_cursor_uv(c);
        (void)isgi_cursor_name(c, &bytes);
        if (c->failed || tensor >= m->tensors || isgi_view_is_constant(m, tensor))
            return bad(c, "output record is cut or names no tensor", err);
    }
    return ISG_OK;
}

static isg_status scan_weights(isgi_model *m, isgi_cursor *c, isg_error *err)
{
    uint64_t blob = 0;
    m->weight_step = (m->weight_count + ISGI_WEIGHT_MARKS - 1) / ISGI_WEIGHT_MARKS;
    for (uint32_t i = 0; i < m->weight_count; i++) {
        isg_weight w;
        if (i % m->weight_step == 0) {
            m->weight_marks[i / m->weight_step] = (uint32_t)c->pos;
            m->blob_marks[i / m->weight_step] = blob;
        }
        ISGI_TRY(isgi_view_read_weight(m, c, &blob, &w, 1, err));
    }
    if (blob != m->weights_bytes) return bad(c, "weights section has bytes that belong to nothing", err);
    return ISG_OK;
}

static isg_status check_constants(const isgi_model *m, isg_error *err)
{
    for (uint32_t i = m->inputs; i < m->inputs + m->constants; i++) {
        isgi_shape s;
        isg_weight w;
        uint32_t index;
        isgi_view_tensor(m, i, &s, &index);
        isgi_view_weight(m, index, &w);
        if (w.level1 || w.level2 || w.depthwise || w.taps != 1 || w.ci != 1 || w.basis.family != ISG_QUANT_RAW ||
            w.basis.bits != 32 || w.co != isgi_shape_count(&s, 1))
            return isgi_error(err, ISG_E_FORMAT, "constant and its weight record do not match", ISG_ERROR_NONE, -1);
    }
    return ISG_OK;
}

int isgi_shape_equal(const isgi_shape *a, const isgi_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0;
}

uint32_t isgi_nhwc_axis(uint32_t rank, uint32_t i)
{
    static const uint8_t order4[4] = {0, 2, 3, 1};
    return rank == 4 ? order4[i] : i;
}

void isgi_shape_strides(const isgi_shape *s, size_t strides[ISG_RT_MAX_RANK])
{
    size_t step = 1;
    for (uint32_t i = s->rank; i-- > 0;) {
        const uint32_t axis = isgi_nhwc_axis(s->rank, i);
        strides[axis] = step;
        step *= s->dims[axis];
    }
}

static isg_status scan_ops(isgi_model *m, isgi_cursor *c, isg_error *err)
{
    m->ops_at = (uint32_t)c->pos;
    for (uint32_t i = 0; i < m->ops; i++) {
        const uint32_t own = m->inputs + m->constants + i;
        isgi_shape stored, computed;
        isgi_op op;
        isg_status status;
        isgi_view_tensor(m, own, &stored, NULL);
        status = isgi_view_read_op(c, own, stored.rank, &op, err);
        if (status == ISG_OK) {
            computed = stored;
            status = isgi_view_infer(m, &op, &computed, err);
        }
        if (status == ISG_OK && !isgi_shape_equal(&stored, &computed))
            status = isgi_error(err, ISG_E_SHAPE, "stored output shape is not the computed one", c->pos, (int32_t)i);
        if (status != ISG_OK) {
            if (err) err->node = (int32_t)i;
            return status;
        }
    }
    return ISG_OK;
}

isg_status isgi_view_graph(isgi_model *m, isg_error *err)
{
    isgi_cursor c = {m->graph, 0, m->graph_bytes, 0};
    m->inputs = read_capped(&c, 1, ISG_FORMAT_MAX_IO);
    m->constants = read_capped(&c, 0, ISG_FORMAT_MAX_COUNT);
    m->weight_count = read_capped(&c, 0, ISG_FORMAT_MAX_COUNT);
    m->ops = read_capped(&c, 1, ISG_FORMAT_MAX_COUNT);
    m->outputs = read_capped(&c, 1, ISG_FORMAT_MAX_IO);
    if (c.failed) return bad(&c, "graph counts are cut or out of range", err);
    if (m->constants && !m->weight_count) return bad(&c, "constants without weights", err);
    ISGI_TRY(scan_tensors(m, &c, err));
    ISGI_TRY(scan_outputs(m, &c, err));
    ISGI_TRY(scan_weights(m, &c, err));
    ISGI_TRY(check_constants(m, err));
    ISGI_TRY(scan_ops(m, &c, err));
    if (c.pos != c.end) return bad(&c, "bytes after the last operation", err);
    return ISG_OK;
}

/* ---- look-ups ---- */

void isgi_view_tensor(const isgi_model *m, uint32_t index, isgi_shape *shape, uint32_t *weight)
{
    const uint32_t mark = index / m->tensor_step;
    isgi_cursor c = {m->graph, m->tensor_marks[mark], m->graph_bytes, 0};
    memset(shape, 0, sizeof *shape);
    for (uint32_t i = mark * m->tensor_step; i <= index; i++) {
        uint32_t skipped;
        read_shape(&c, shape);
        if (i < m->inputs) (void)isgi_cursor_name(&c, &skipped);
        if (isgi_view_is_constant(m, i)) skipped = isgi_cursor_uv(&c);
        if (i == index && weight && isgi_view_is_constant(m, i)) *weight = skipped;
    }
}

void isgi_view_weight(const isgi_model *m, uint32_t index, isg_weight *w)
{
    const uint32_t mark = index / m->weight_step;
    isgi_cursor c = {m->graph, m->weight_marks[mark], m->graph_bytes, 0};
    uint64_t blob = m->blob_marks[mark];
    for (uint32_t i = mark * m->weight_step; i <= index; i++)
        if (isgi_view_read_weight(m, &c, &blob, w, 0, NULL) != ISG_OK) return;
}

isgi_cursor isgi_view_ops(const isgi_model *m)
{
    const isgi_cursor c = {m->graph, m->ops_at, m->graph_bytes, 0};
    return c;
}

isgi_cursor isgi_op_operands(const isgi_model *m, const isgi_op *op)
{
    const isgi_cursor c = {m->graph, op->operands_at, m->graph_bytes, 0};
    return c;
}

uint32_t isgi_next_operand(isgi_cursor *c, const isgi_op *op)
{
    return read_operand(c, op->output);
}

uint32_t isgi_op_input(const isgi_model *m, const isgi_op *op, uint32_t k)
{
    isgi_cursor c = isgi_op_operands(m, op);
    uint32_t tensor = 0;
    for (uint32_t i = 0; i <= k; i++) tensor = read_operand(&c, op->output);
    return tensor;
}
