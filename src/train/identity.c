/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that tell networks apart. */
#include "train/identity.h"

#include "base/crc32c.h"
#include "base/error.h"

static isg_status append_numbers(isgi_buffer *b, const float *x, size_t n, isg_error *err)
{
    const uint32_t crc = x ? isgi_crc32c(0, x, n * sizeof *x) : 0;
    return isgi_buffer_append(b, &crc, sizeof crc, err);
}

static isg_status append_factor(isgi_buffer *b, const isg_factor *f, isg_error *err)
{
    const uint32_t form[5] = {f->rows, f->cols, f->quant.family, f->quant.bits, f->quant.per_column};
    ISGI_TRY(isgi_buffer_append(b, form, sizeof form, err));
    ISGI_TRY(append_numbers(b, f->master, (size_t)f->rows * f->cols, err));
    return append_numbers(b, f->scale, f->scale ? f->quant.per_column ? f->cols : 1 : 0, err);
}

static isg_status append_value(isgi_buffer *b, const isg_value *v, isg_error *err)
{
    const isg_tensor *x = v->constant;
    if (x) {
        const uint32_t crc = isgi_crc32c(0, x->data, (size_t)x->count * isg_dtype_size(x->dtype));
        ISGI_TRY(isgi_buffer_append(b, x->dims, sizeof x->dims, err));
        ISGI_TRY(isgi_buffer_append(b, &crc, sizeof crc, err));
    }
    if (!v->factors) return ISG_OK;
    ISGI_TRY(append_factor(b, &v->factors->basis, err));
    ISGI_TRY(append_factor(b, &v->factors->u, err));
    return append_factor(b, &v->factors->v, err);
}

isg_status isgi_identity_graph(isgi_buffer *b, const isg_graph *g, isg_error *err)
{
    for (int32_t i = 0; i < g->value_count; i++) ISGI_TRY(append_value(b, &g->values[i], err));
    for (int32_t i = 0; i < g->node_count; i++) {
        const isg_node *n = &g->nodes[i];
        const int32_t counts[3] = {(int32_t)n->op, n->input_count, n->output_count};
        ISGI_TRY(isgi_buffer_append(b, counts, sizeof counts, err));
        ISGI_TRY(isgi_buffer_append(b, &n->attr, sizeof n->attr, err));
        ISGI_TRY(isgi_buffer_append(b, n->inputs, (size_t)n->input_count * sizeof *n->inputs, err));
        ISGI_TRY(isgi_buffer_append(b, n->outputs, (size_t)n->output_count * sizeof *n->outputs, err));
    }
    return ISG_OK;
}
