/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products: Gemm with its bias forms, MatMul with broadcasting. */
#include "graph/interp_internal.h"

#include <string.h>

/* c[m][n] = sum_k a(m,k) b(k,n), sums in double; element (i,j) is at [i * row + j * column]. */
typedef struct matrix {
    const double *data;
    int64_t row, column;
} matrix;

static void multiply_row(double *out, const matrix *a, const matrix *b, int64_t i, int64_t n, int64_t k)
{
    memset(out, 0, (size_t)n * sizeof *out);
    if (b->row == 1) { /* transposed: both operands run along k */
        for (int64_t j = 0; j < n; j++)
            for (int64_t p = 0; p < k; p++) out[j] += a->data[i * a->row + p * a->column] * b->data[j * b->column + p];
        return;
    }
    for (int64_t p = 0; p < k; p++) {
        const double v = a->data[i * a->row + p * a->column];
        const double *from = b->data + p * b->row;
        for (int64_t j = 0; j < n; j++) out[j] += v * from[j * b->column];
    }
}

static isg_status gemm_sizes(const isgi_call *c, int64_t *m, int64_t *n, int64_t *k)
{
    const isg_gemm_attr *g = &c->node->attr.gemm;
    const isg_tensor *a = c->in[0], *b = c->in[1];
    if (a->rank != 2 || b->rank != 2) return isgi_fail(c->err, ISG_E_SHAPE, "an operand is not a matrix");
    *m = a->dims[g->trans_a ? 1 : 0];
    *k = a->dims[g->trans_a ? 0 : 1];
    *n = b->dims[g->trans_b ? 0 : 1];
    if (b->dims[g->trans_b ? 1 : 0] != *k)
        return isgi_fail(c->err, ISG_E_SHAPE, "inner dimensions %lld and %lld differ", (long long)*k,
                         (long long)b->dims[g->trans_b ? 1 : 0]);
    return ISG_OK;
}

isg_status isgi_shape_gemm(isgi_call *c)
{
    const isg_tensor *bias = isgi_in(c, 2);
    int64_t m, n, k, dims[2];
    ISGI_TRY(isgi_arity(c, 2, 3, 1));
    ISGI_TRY(isgi_need_float(c->in[0], c->err));
    ISGI_TRY(isgi_need_one_type(c));
    ISGI_TRY(gemm_sizes(c, &m, &n, &k));
    dims[0] = m;
    dims[1] = n;
    ISGI_TRY(isgi_tensor_shape(&c->out[0], c->in[0]->dtype, 2, dims, c->err));
    if (bias) {
        isg_tensor joined = c->out[0];
        ISGI_TRY(isgi_broadcast(&joined, bias, c->err));
        if (joined.rank != 2 || joined.dims[0] != m || joined.dims[1] != n)
            return isgi_fail(c->err, ISG_E_SHAPE, "the bias does not broadcast to %lld x %lld", (long long)m,
                             (long long)n);
    }
    return ISG_OK;
}

/* row += beta * bias, bias broadcast to [m][n]. */
static void add_bias_row(double *row, const isg_tensor *bias, double beta, int64_t i, int64_t n)
{
    const int64_t columns = bias->rank ? bias->dims[bias->rank - 1] : 1;
    const int64_t rows = bias->rank > 1 ? bias->dims[0] : 1;
    for (int64_t j = 0; j < n; j++) {
        double v;
        isgi_read_f64(&v, bias, (rows == 1 ? 0 : i * columns) + (columns == 1 ? 0 : j), 1);
        row[j] += beta * v;
    }
}

isg_status isgi_eval_gemm(const isgi_call *c)
{
    const isg_gemm_attr *g = &c->node->attr.gemm;
    const isg_tensor *bias = isgi_in(c, 2);
    int64_t m, n, k;
    double *a, *b, *row;
    ISGI_TRY(gemm_sizes(c, &m, &n, &k));
    a = isgi_tensor_f64(c->in[0]);
    b = isgi_tensor_f64(c->in[1]);
    row = isgi_calloc((size_t)n, sizeof *row);
    if (a && b && row) {
        const matrix ma = {a, g->trans_a ? 1 : k, g->trans_a ? m : 1};
        const matrix mb = {b, g->trans_b ? 1 : n, g->trans_b ? k : 1};
        for (int64_t i = 0; i < m; i++) {
            multiply_row(row, &ma, &mb, i, n, k);
            for (int64_t j = 0; j < n; j++) row[j] *= (double)g->alpha;
            if (bias) add_bias_row(row, bias, (double)g->beta, i, n);
            isgi_write_f64(&c->out[0], i * n, row, n);
        }
    }
    isg_free(a);
    isg_free(b);
    isg_free(row);
    return a && b && row ? ISG_OK : isgi_nomem(c->err);
}

/* MatMul seen as a batch of matrices: the leading axes broadcast, a vector operand gets a 1 that is dropped after. */
typedef struct matmul_plan {
    int64_t m, n, k;
    isg_tensor batch, a_batch, b_batch; /* shapes only */
} matmul_plan;

static isg_status leading_shape(isg_tensor *shape, const isg_tensor *t, isg_error *err)
{
    return isgi_tensor_shape(shape, ISG_DT_U8, t->rank > 2 ? t->rank - 2 : 0, t->dims, err);
}

static isg_status plan_matmul(matmul_plan *p, const isgi_call *c)
{
    const isg_tensor *a = c->in[0], *b = c->in[1];
    int64_t inner;
    if (a->rank < 1 || b->rank < 1) return isgi_fail(c->err, ISG_E_SHAPE, "a scalar operand");
    p->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    p->k = a->dims[a->rank - 1];
    inner = b->dims[b->rank > 1 ? b->rank - 2 : 0];
    p->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    if (inner != p->k)
        return isgi_fail(c->err, ISG_E_SHAPE, "inner dimensions %lld and %lld differ", (long long)p->k,
                         (long long)inner);
    ISGI_TRY(leading_shape(&p->a_batch, a, c->err));
    ISGI_TRY(leading_shape(&p->b_batch, b, c->err));
    p->batch = p->a_batch;
    return isgi_broadcast(&p->batch, &p->b_batch, c->err);
}

isg_status isgi_shape_matmul(isgi_call *c)
{
    int64_t dims[ISG_MAX_RANK + 2];
    int32_t rank;
    matmul_plan p;
    ISGI_TRY(isgi_arity(c, 2, 2, 1));
    ISGI_TRY(isgi_need_float(c->in[0], c->err));
    ISGI_TRY(isgi_need_one_type(c));
    ISGI_TRY(plan_matmul(&p, c));
    rank = p.batch.rank;
    memcpy(dims, p.batch.dims, sizeof p.batch.dims);
    if (c->in[0]->rank > 1) dims[rank++] = p.m;
    if (c->in[1]->rank > 1) dims[rank++] = p.n;
    return isgi_tensor_shape(&c->out[0], c->in[0]->dtype, rank, dims, c->err);
}

/* Number of the operand's matrix that belongs to batch element `index`. */
static int64_t operand_matrix(const isg_tensor *batch, const isg_tensor *operand, int64_t index)
{
    int64_t at = 0, step = 1;
    for (int32_t i = 1; i <= batch->rank; i++) {
        const int64_t position = index % batch->dims[batch->rank - i];
        index /= batch->dims[batch->rank - i];
        if (i > operand->rank) break;
        if (operand->dims[operand->rank - i] != 1) at += position * step;
        step *= operand->dims[operand->rank - i];
    }
    return at;
}

isg_status isgi_eval_matmul(const isgi_call *c)
{
    matmul_plan p;
    double *a, *b, *row;
    ISGI_TRY(plan_matmul(&p, c));
    a = isgi_tensor_f64(c->in[0]);
    b = isgi_tensor_f64(c->in[1]);
    row = isgi_calloc((size_t)p.n, sizeof *row);
    if (a && b && row) {
        for (int64_t t = 0; c->out[0].count > 0 && t < p.batch.count; t++) {
            const matrix ma = {a + operand_matrix(&p.batch, &p.a_batch, t) * p.m * p.k, p.k, 1};
            const matrix mb = {b + operand_matrix(&p.batch, &p.b_batch, t) * p.k * p.n, p.n, 1};
            for (int64_t i = 0; i < p.m; i++) {
                multiply_row(row, &ma, &mb, i, p.n, p.k);
                isgi_write_f64(&c->out[0], (t * p.m + i) * p.n, row, p.n);
            }
        }
    }
    isg_free(a);
    isg_free(b);
    isg_free(row);
    return a && b && row ? ISG_OK : isgi_nomem(c->err);
}
