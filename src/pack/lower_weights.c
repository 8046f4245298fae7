/* SPDX-License-Identifier: Apache-2.0 */
/* Lowering of the nodes that hold weights: convolution, fully connected, batch normalisation. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "pack/lower.h"

/* Dense W in the stored order; a depthwise one is [taps][C] (ci 1). */
static isg_status enter_dense(isgi_lowering *l, const isg_tensor *t, uint32_t taps, uint32_t ci, uint32_t co,
                              int32_t *index, isg_error *err)
{
    uint32_t record;
    isg_status status;
    float *hwio;
    if (t->dtype != ISG_DT_F32) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "its weight is not float32", err);
    hwio = isgi_malloc((size_t)t->count * sizeof *hwio);
    if (!hwio) return isgi_nomem(err);
    isg_weight_oihw_to_hwio(hwio, t->data, co, ci, taps);
    status = isgi_program_add_raw(l->p, hwio, taps, ci, co, l->options->raw_bits, &record, err);
    isg_free(hwio);
    *index = (int32_t)record;
    return status == ISG_E_NUMERIC ? isgi_lower_fail(l, status, "its weight has a number that is not finite", err)
                                   : status;
}

static isg_status enter_factors(isgi_lowering *l, const isg_factors *f, uint32_t taps, uint32_t ci, uint32_t co,
                                int32_t *index, isg_error *err)
{
    const int fits = f->taps == taps && (f->depthwise ? ci == 1 && f->ci == co : f->ci == ci && f->co == co);
    isg_weight packed;
    void *buffer = NULL;
    size_t bytes;
    uint32_t record;
    isg_status status;
    if (!fits) return isgi_lower_fail(l, ISG_E_SHAPE, "its factors are not those of its weight", err);
    ISGI_TRY(isg_factors_pack(f, &packed, &buffer, &bytes, err));
    status = isgi_program_add_weight(l->p, &packed, &record, err);
    isg_free(buffer);
    *index = (int32_t)record;
    return status;
}

/* Input 1 of the node as a weight record; W is Co x Ci x taps. */
static isg_status enter_weight(isgi_lowering *l, const isg_node *n, uint32_t taps, uint32_t ci, uint32_t co,
                               int32_t *index, isg_error *err)
{
    const isg_value *w = &l->g->values[n->inputs[1]];
    if (w->factors) return enter_factors(l, w->factors, taps, ci, co, index, err);
    return enter_dense(l, w->constant, taps, ci, co, index, err);
}

static isg_status enter_vector(isgi_lowering *l, const float *data, uint32_t count, int32_t *index, isg_error *err)
{
    uint32_t record;
    isg_status status = isgi_program_add_raw(l->p, data, 1, 1, count, l->options->bias_bits, &record, err);
    *index = (int32_t)record;
    return status == ISG_E_NUMERIC ? isgi_lower_fail(l, status, "its bias has a number that is not finite", err)
                                   : status;
}

static isg_status enter_bias(isgi_lowering *l, const isg_node *n, uint32_t count, int32_t *index, isg_error *err)
{
    const float *data;
    int64_t given;
    *index = -1;
    ISGI_TRY(isgi_lower_floats(l, n, 2, &data, &given, err));
    if (!data) return ISG_OK;
    if (given != count) return isgi_lower_fail(l, ISG_E_SHAPE, "its bias does not have one number a channel", err);
    return enter_vector(l, data, count, index, err);
}

static isg_status weight_dims(const isgi_lowering *l, const isg_node *n, int32_t rank, const int64_t **dims,
                              isg_error *err)
{
    const isg_value *w;
    if (!isgi_lower_has(n, 1)) return isgi_lower_fail(l, ISG_E_FORMAT, "its weight is missing", err);
    w = &l->g->values[n->inputs[1]];
    if (!w->constant && !w->factors) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "its weight is not constant", err);
    if (w->rank != rank) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED,
                               rank == 4 ? "only two spatial dimensions are supported" : "its weight is no matrix",
                               err);
    }
    for (int32_t i = 0; i < rank; i++) {
        if (w->dims[i] < 1 || w->dims[i] > ISG_FORMAT_MAX_DIM) {
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a dimension of its weight is empty or above 2^24", err);
        }
    }
    *dims = w->dims;
    return ISG_OK;
}

isg_status isgi_lower_conv(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const isg_conv_attr *a = &n->attr.conv;
    const int64_t *dims = NULL;
    int32_t weight, bias;
    isgi_program_op *op;
    isgi_ref x;
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    ISGI_TRY(weight_dims(l, n, 4, &dims, err));
    if (a->groups < 1 || a->groups > dims[0]) return isgi_lower_fail(l, ISG_E_SHAPE, "groups out of range", err);
    if (dims[2] * dims[3] > ISG_FORMAT_MAX_DIM)
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "its kernel is too large", err);
    ISGI_TRY(enter_weight(l, n, (uint32_t)(dims[2] * dims[3]), (uint32_t)dims[1], (uint32_t)dims[0], &weight, err));
    ISGI_TRY(enter_bias(l, n, (uint32_t)dims[0], &bias, err));
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_CONV, &x, 1, n, 0, &op, err));
    op->weight = weight;
    op->bias = bias;
    op->groups = (uint32_t)a->groups;
    for (int i = 0; i < 2; i++) {
        if (a->stride[i] < 1 || a->dilation[i] < 1 || a->pads[i] < 0 || a->pads[i + 2] < 0 ||
            a->stride[i] > ISG_FORMAT_MAX_WINDOW || a->dilation[i] > ISG_FORMAT_MAX_WINDOW ||
            dims[2 + i] > ISG_FORMAT_MAX_WINDOW || a->pads[i] > ISG_FORMAT_MAX_WINDOW ||
            a->pads[i + 2] > ISG_FORMAT_MAX_WINDOW) {
            return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "a stride, dilation or pad is out of range", err);
        }
        op->window[i] = (uint32_t)dims[2 + i];
        op->window[2 + i] = (uint32_t)a->stride[i];
        op->window[4 + i] = (uint32_t)a->dilation[i];
        op->window[6 + i] = (uint32_t)a->pads[i];
        op->window[8 + i] = (uint32_t)a->pads[2 + i];
    }
    return ISG_OK;
}

isg_status isgi_lower_gemm(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const isg_gemm_attr *a = &n->attr.gemm;
    const int64_t *dims = NULL;
    int32_t weight, bias;
    isgi_program_op *op;
    isgi_ref x;
    if (a->alpha != 1.0f || a->beta != 1.0f || a->trans_a || !a->trans_b) {
        return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "the graph is not prepared", err);
    }
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    ISGI_TRY(weight_dims(l, n, 2, &dims, err));
    ISGI_TRY(enter_weight(l, n, 1, (uint32_t)dims[1], (uint32_t)dims[0], &weight, err));
    ISGI_TRY(enter_bias(l, n, (uint32_t)dims[0], &bias, err));
    ISGI_TRY(isgi_lower_output(l, ISG_KIND_FC, &x, 1, n, 0, &op, err));
    op->weight = weight;
    op->bias = bias;
    return ISG_OK;
}

/* An affine operation takes pixels or vectors: [N][C][L] goes through it as [N][C][L][1], and who reads the result sees
 * that it has another shape than its value. */
static isg_status emit_affine(isgi_lowering *l, const isg_node *n, isgi_ref x, int32_t scale, int32_t shift,
                              isg_error *err)
{
    isgi_shape shape = *isgi_program_shape(l->p, x);
    isgi_program_op *op;
    if (shape.rank == 3) {
        shape.dims[shape.rank++] = 1;
        ISGI_TRY(isgi_lower_emit(l, ISG_KIND_RESHAPE, &x, 1, &shape, &x, NULL, err));
    }
    ISGI_TRY(isgi_lower_emit(l, ISG_KIND_AFFINE, &x, 1, &shape, &l->refs[n->outputs[0]], &op, err));
    op->weight = scale;
    op->bias = shift;
    return ISG_OK;
}

/* X, scale, B, mean, var: y = x * s + (B - mean * s), s = scale / sqrt(var + epsilon), rounded once. */
isg_status isgi_lower_batch_norm(isgi_lowering *l, const isg_node *n, isg_error *err)
{
    const float *v[4];
    int64_t count[4];
    int32_t scale = -1, shift = -1;
    float *folded;
    isgi_ref x;
    isg_status status;
    if (n->attr.scalar.training) return isgi_lower_fail(l, ISG_E_UNSUPPORTED, "it is in training mode", err);
    ISGI_TRY(isgi_lower_operand(l, n, 0, &x, err));
    for (int32_t k = 0; k < 4; k++) {
        ISGI_TRY(isgi_lower_floats(l, n, k + 1, &v[k], &count[k], err));
        if (!v[k] || count[k] != count[0] || count[k] < 1 || count[k] > ISG_FORMAT_MAX_DIM) {
            return isgi_lower_fail(l, ISG_E_SHAPE, "its parameters do not have one number a channel", err);
        }
    }
    folded = isgi_malloc((size_t)count[0] * 2 * sizeof *folded);
    if (!folded) return isgi_nomem(err);
    for (int64_t c = 0; c < count[0]; c++) {
        const double s = (double)v[0][c] / sqrt((double)v[3][c] + (double)n->attr.scalar.alpha);
        folded[c] = (float)s;
        folded[count[0] + c] = (float)((double)v[1][c] - (double)v[2][c] * s);
    }
    status = enter_vector(l, folded, (uint32_t)count[0], &scale, err);
    if (status == ISG_OK) status = enter_vector(l, folded + count[0], (uint32_t)count[0], &shift, err);
    isg_free(folded);
    return status == ISG_OK ? emit_affine(l, n, x, scale, shift, err) : status;
}
