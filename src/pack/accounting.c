/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and bytes as the paper counts them (SPEC section 9), next to the real file. */
#include <insitu/pack.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "rt/view.h"

static uint64_t codes_count(const isg_codes *c)
{
    return (uint64_t)c->rows * c->cols;
}

static uint64_t weight_count(const isg_weight *w)
{
    return codes_count(&w->basis) + codes_count(&w->u) + codes_count(&w->v);
}

static double weight_bits(const isg_weight *w)
{
    return (double)codes_count(&w->basis) * w->basis.bits + (double)codes_count(&w->u) * w->u.bits +
           (double)codes_count(&w->v) * w->v.bits;
}

/* Generated convolution: its code bits, no scales. Fully connected: code bits, or fc_bits a weight. Other convolution:
 * 4 bytes a weight as the paper counts it, even where its quantiser rounds it; the code bits where ours does, since
 * those bits are all that is stored. */
static void count_weight(isg_accounting *a, const isg_weight *w, int fc, uint32_t fc_bits)
{
    const uint64_t full = (uint64_t)w->taps * w->ci * w->co;
    const int generated = w->level1 || w->level2;
    const int ours = w->basis.family == ISG_QUANT_MIDTREAD || w->basis.family == ISG_QUANT_MIDRISE;
    a->params_full += full;
    a->params += weight_count(w);
    if (generated || (ours && !fc)) {
        a->bytes += weight_bits(w) / 8.0;
    } else if (fc) {
        a->bytes += (double)full * (fc_bits ? (double)fc_bits : (double)w->basis.bits) / 8.0;
    } else {
        a->bytes += (double)full * 4.0;
    }
}

/* One convolution, fully connected or affine operation; *bn collects the channels that had a normalisation. */
static void count_op(isg_accounting *a, const isgi_model *m, const isgi_op *op, uint8_t *seen, uint32_t fc_bits,
                     uint64_t *bn)
{
    isg_weight w, vector;
    if (op->kind == ISG_KIND_AFFINE) {
        isgi_view_weight(m, (uint32_t)op->weight, &w);
        *bn += w.co;
        return;
    }
    if (op->kind != ISG_KIND_CONV && op->kind != ISG_KIND_FC) return;
    isgi_view_weight(m, (uint32_t)op->weight, &w);
    if (!seen[op->weight]) count_weight(a, &w, op->kind == ISG_KIND_FC, fc_bits);
    seen[op->weight] = 1;
    if (op->vector < 0) return;
    isgi_view_weight(m, (uint32_t)op->vector, &vector);
    if (op->kind == ISG_KIND_CONV) {
        *bn += vector.co;
    } else {
        a->params += vector.co;
        a->params_full += vector.co;
        a->bytes += 4.0 * vector.co;
    }
}

isg_status isg_model_accounting(const isg_model *model, uint64_t bn_channels, uint32_t fc_bits, isg_accounting *out,
                                isg_error *err)
{
    const isgi_model *m = isgi_model_of_const(isg_model_rt(model));
    isgi_cursor c = isgi_view_ops(m);
    uint64_t bn = 0, numbers = 0;
    isg_accounting a;
    isg_status status = ISG_OK;
    uint8_t *seen = isgi_calloc(m->weight_count + 1u, 1);
    if (!seen) return isgi_nomem(err);
    memset(&a, 0, sizeof a);
    for (uint32_t i = 0; i < m->ops && status == ISG_OK; i++) {
        const uint32_t own = m->inputs + m->constants + i;
        isgi_shape shape;
        isgi_op op;
        isgi_view_tensor(m, own, &shape, NULL);
        status = isgi_view_read_op(&c, own, shape.rank, &op, err);
        if (status == ISG_OK) count_op(&a, m, &op, seen, fc_bits, &bn);
    }
    isg_free(seen);
    if (status != ISG_OK) return status;
    for (uint32_t i = 0; i < m->weight_count; i++) {
        isg_weight w;
        isgi_view_weight(m, i, &w);
        numbers += (uint64_t)w.taps * w.ci * w.co;
    }
    if (bn_channels != UINT64_MAX) bn = bn_channels;
    a.params += 2 * bn;
    a.params_full += 2 * bn;
    a.bytes += 8.0 * (double)bn;
    a.bytes_full = 4.0 * (double)a.params_full;
    a.file_bytes = isg_model_file_bytes(model);
    a.dense_file_bytes = 4 * numbers;
    if (a.params_full) {
        a.param_ratio = (double)a.params / (double)a.params_full;
        a.paper_ratio = a.bytes / a.bytes_full;
    }
    if (numbers) a.file_ratio = (double)a.file_bytes / (double)a.dense_file_bytes;
    *out = a;
    return ISG_OK;
}
