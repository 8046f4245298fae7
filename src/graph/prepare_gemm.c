/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical matrix products: GEMM with W [out,in] constant and a bias row, from Gemm, MatMul and MatMul + Add. */
#include "graph/prepare.h"

#include <string.h>

int isgi_gemm_is_canonical(const isg_graph *g, const isg_node *n)
{
    const isg_gemm_attr *a = &n->attr.gemm;
    const isg_value *w = isgi_has_input(n, 1) ? &g->values[n->inputs[1]] : NULL;
    if (n->op != ISG_OP_GEMM || a->trans_a || !a->trans_b || a->alpha != 1.0f || a->beta != 1.0f) return 0;
    if (!w || !isgi_is_weight(g, n, 1) || w->rank != 2) return 0;
    if (!isgi_has_input(n, 2)) return 1;
    return isgi_constant_of(g, n, 2) && g->values[n->inputs[2]].rank == 1 &&
           g->values[n->inputs[2]].dims[0] == w->dims[0];
}

/* W as [out][in] times alpha, in new memory. */
static isg_status oriented_weight(isg_tensor **out, const isg_tensor *w, int transposed, double alpha, isg_error *err)
{
    const int64_t rows = w->dims[0], columns = w->dims[1];
    const int64_t dims[2] = {transposed ? rows : columns, transposed ? columns : rows};
    isg_tensor *t;
    ISGI_TRY(isg_tensor_create(&t, w->dtype, 2, dims, err));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            double v;
            isgi_read_f64(&v, w, i * columns + j, 1);
            v *= alpha;
            isgi_write_f64(t, transposed ? i * columns + j : j * rows + i, &v, 1);
        }
    }
    *out = t;
    return ISG_OK;
}

/* A bias that is one row for all: [n], [1,n], [1], [1,1] or a scalar, times beta, as [n]. NULL in *out if it is not. */
static isg_status bias_row(isg_tensor **out, const isg_tensor *b, int64_t n, double beta, isg_error *err)
{
    isg_tensor *t;
    *out = NULL;
    for (int32_t d = 0; d + 1 < b->rank; d++)
        if (b->dims[d] != 1) return ISG_OK;
    if (b->count != 1 && b->count != n) return ISG_OK;
    ISGI_TRY(isg_tensor_create(&t, b->dtype, 1, &n, err));
    for (int64_t i = 0; i < n; i++) {
        double v;
        isgi_read_f64(&v, b, b->count == 1 ? 0 : i, 1);
        v *= beta;
        isgi_write_f64(t, i, &v, 1);
    }
    *out = t;
    return ISG_OK;
}

isg_status isgi_prepare_gemm(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    const int is_gemm = n->op == ISG_OP_GEMM;
    const isg_gemm_attr a = is_gemm ? n->attr.gemm : (isg_gemm_attr){1.0f, 1.0f, 0, 0};
    const isg_tensor *w = isgi_constant_of(g, n, 1), *b = is_gemm ? isgi_constant_of(g, n, 2) : NULL;
    const isg_value *x = &g->values[n->inputs[0]];
    int32_t inputs[3] = {n->inputs[0], n->inputs[1], ISG_NO_VALUE};
    isg_tensor *t = NULL;
    if (is_gemm && isgi_gemm_is_canonical(g, n)) return ISG_OK;
    if (!w || w->rank != 2 || x->rank != 2 || a.trans_a || !isgi_is_float(w->dtype)) return ISG_OK;
    if (is_gemm && isgi_has_input(n, 2)) {
        if (!b) return ISG_OK;
        ISGI_TRY(bias_row(&t, b, w->dims[a.trans_b ? 0 : 1], (double)a.beta, err));
        if (!t) return ISG_OK;
        ISGI_TRY(isgi_add_tensor(g, g->values[g->nodes[i].inputs[2]].name, t, &inputs[2], err));
    }
    if (!a.trans_b || a.alpha != 1.0f) {
        ISGI_TRY(oriented_weight(&t, w, a.trans_b, (double)a.alpha, err));
        ISGI_TRY(isgi_add_tensor(g, g->values[inputs[1]].name, t, &inputs[1], err));
    }
    ISGI_TRY(isgi_set_inputs(&g->nodes[i], inputs, inputs[2] == ISG_NO_VALUE ? 2 : 3, err));
    g->nodes[i].op = ISG_OP_GEMM;
    isgi_graph_default_attr(&g->nodes[i]);
    g->nodes[i].attr.gemm.trans_b = 1;
    return ISG_OK;
}

/* The constant operand as one number a channel of `to` (GEMM: the last axis; CONV: axis 1), else NULL in *out. */
static isg_status channel_bias(isg_tensor **out, const isg_graph *g, const isg_node *to, const isg_tensor *b,
                               isg_error *err)
{
    const isg_value *w = &g->values[to->inputs[1]], *y = &g->values[to->outputs[0]];
    const int32_t after = to->op == ISG_OP_CONV ? y->rank - 2 : 0; /* axes behind the channel */
    isg_tensor row = *b;
    *out = NULL;
    if (b->rank > y->rank) return ISG_OK;
    for (int32_t d = 0; d < after && row.rank > 0; d++)
        if (row.dims[--row.rank] != 1) return ISG_OK;
    return bias_row(out, &row, w->dims[0], 1.0, err);
}

isg_status isgi_merge_bias(isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *add = &g->nodes[i];
    const int side = isgi_constant_of(g, add, 0) ? 1 : 0;
    const isg_tensor *b = isgi_constant_of(g, add, 1 - side);
    const int32_t x = add->inputs[side], at = x >= 0 ? g->values[x].producer : -1;
    int32_t inputs[3], y;
    isg_tensor *t;
    isg_node *to;
    if (!b || at < 0 || isgi_use_count(g, x) != 1) return ISG_OK;
    to = &g->nodes[at];
    if ((to->op != ISG_OP_CONV || !isgi_is_weight(g, to, 1)) && !isgi_gemm_is_canonical(g, to)) return ISG_OK;
    if (isgi_has_input(to, 2)) return ISG_OK;
    ISGI_TRY(channel_bias(&t, g, to, b, err));
    if (!t) return ISG_OK;
    inputs[0] = to->inputs[0];
    inputs[1] = to->inputs[1];
    ISGI_TRY(isgi_add_tensor(g, g->values[add->inputs[1 - side]].name, t, &inputs[2], err));
    ISGI_TRY(isgi_set_inputs(&g->nodes[at], inputs, 3, err));
    y = g->nodes[i].outputs[0];
    g->nodes[i].outputs[0] = ISG_NO_VALUE;
    g->nodes[i].input_count = 0;
    g->nodes[at].outputs[0] = y;
    g->values[y].producer = at;
    g->values[x].producer = -1;
    return ISG_OK;
}
