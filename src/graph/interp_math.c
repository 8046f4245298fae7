/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise operators: arithmetic with broadcasting, sums, activations. */
#include "graph/interp_internal.h"

#include <math.h>
#include <string.h>

#define CHUNK 256

/* Element strides of t when broadcast to `shape` (0 along repeated axes). */
static void broadcast_strides(int64_t *stride, const isg_tensor *shape, const isg_tensor *t)
{
    int64_t step = 1;
    for (int32_t i = 1; i <= shape->rank; i++) {
        const int64_t dim = i <= t->rank ? t->dims[t->rank - i] : 1;
        stride[shape->rank - i] = dim == 1 ? 0 : step;
        step *= dim;
    }
}

/* a op b for integers: wraps like two's complement; the caller has excluded a division by zero. */
static int64_t integer_op(isg_op op, int64_t a, int64_t b, int is_unsigned)
{
    const uint64_t x = (uint64_t)a, y = (uint64_t)b;
    switch (op) {
    case ISG_OP_SUB: return (int64_t)(x - y);
    case ISG_OP_MUL: return (int64_t)(x * y);
    case ISG_OP_DIV:
        if (is_unsigned) return (int64_t)(x / y);
        return b == -1 ? (int64_t)(0 - x) : a / b;
    default: return (int64_t)(x + y);
    }
}

static double float_op(isg_op op, double a, double b)
{
    switch (op) {
    case ISG_OP_SUB: return a - b;
    case ISG_OP_MUL: return a * b;
    case ISG_OP_DIV: return a / b;
    default: return a + b;
    }
}

/* One run of `count` outputs at `at`; operands advance by sa and sb (0 or 1). Double arithmetic rounded to the element
 * type equals arithmetic in the element type: double has more than twice the digits of binary32 and two to spare. */
static isg_status binary_run(const isgi_call *c, isg_op op, isg_tensor *y, int64_t at, const isg_tensor *a, int64_t ao,
                             int64_t sa, const isg_tensor *b, int64_t bo, int64_t sb, int64_t count)
{
    double fa[CHUNK], fb[CHUNK];
    int64_t ia[CHUNK], ib[CHUNK];
    const int is_unsigned = y->dtype == ISG_DT_U64;
    for (int64_t i = 0; i < count; i += CHUNK) {
        const int64_t n = count - i < CHUNK ? count - i : CHUNK;
        if (isgi_is_float(y->dtype)) {
            isgi_read_f64(fa, a, ao + sa * i, sa ? n : 1);
            isgi_read_f64(fb, b, bo + sb * i, sb ? n : 1);
            for (int64_t k = n - 1; k >= 0; k--) fa[k] = float_op(op, fa[sa * k], fb[sb * k]);
            isgi_write_f64(y, at + i, fa, n);
            continue;
        }
        isgi_read_i64(ia, a, ao + sa * i, sa ? n : 1);
        isgi_read_i64(ib, b, bo + sb * i, sb ? n : 1);
        for (int64_t k = n - 1; k >= 0; k--) {
            if (op == ISG_OP_DIV && ib[sb * k] == 0)
                return isgi_fail(c->err, ISG_E_NUMERIC, "integer division by zero");
            ia[k] = integer_op(op, ia[sa * k], ib[sb * k], is_unsigned);
        }
        isgi_write_i64(y, at + i, ia, n);
    }
    return ISG_OK;
}

/* y = a op b, both broadcast to y's shape. */
static isg_status binary_op(const isgi_call *c, isg_op op, isg_tensor *y, const isg_tensor *a, const isg_tensor *b)
{
    int64_t sa[ISG_MAX_RANK + 1] = {0}, sb[ISG_MAX_RANK + 1] = {0}, index[ISG_MAX_RANK] = {0};
    const int32_t rank = y->rank;
    const int64_t inner = rank ? y->dims[rank - 1] : 1;
    int64_t ao = 0, bo = 0;
    if (y->count == 0) return ISG_OK;
    broadcast_strides(sa, y, a);
    broadcast_strides(sb, y, b);
    for (int64_t at = 0; at < y->count; at += inner) {
        ISGI_TRY(binary_run(c, op, y, at, a, ao, rank ? sa[rank - 1] : 0, b, bo, rank ? sb[rank - 1] : 0, inner));
        for (int32_t d = rank - 2; d >= 0; d--) {
            ao += sa[d];
            bo += sb[d];
            if (++index[d] < y->dims[d]) break;
            ao -= sa[d] * y->dims[d];
            bo -= sb[d] * y->dims[d];
            index[d] = 0;
        }
    }
    return ISG_OK;
}

isg_status isgi_shape_arith(isgi_call *c)
{
    ISGI_TRY(isgi_arity(c, 2, 2, 1));
    ISGI_TRY(isgi_need_one_type(c));
    if (c->in[0]->dtype == ISG_DT_BOOL) return isgi_fail(c->err, ISG_E_UNSUPPORTED, "arithmetic on bool");
    ISGI_TRY(isgi_shape_like(c, 0, c->in[0]));
    return isgi_broadcast(&c->out[0], c->in[1], c->err);
}

isg_status isgi_eval_arith(const isgi_call *c)
{
    return binary_op(c, c->node->op, &c->out[0], c->in[0], c->in[1]);
}

isg_status isgi_shape_sum(isgi_call *c)
{
    ISGI_TRY(isgi_arity(c, 1, INT32_MAX, 1));
    ISGI_TRY(isgi_need_one_type(c));
    for (int32_t i = 0; i < c->in_count; i++) {
        if (!c->in[i]) return isgi_fail(c->err, ISG_E_SHAPE, "input %d is missing", (int)i);
        if (i == 0)
            ISGI_TRY(isgi_shape_like(c, 0, c->in[0]));
        else
            ISGI_TRY(isgi_broadcast(&c->out[0], c->in[i], c->err));
    }
    return isgi_need_float(c->in[0], c->err);
}

isg_status isgi_eval_sum(const isgi_call *c)
{
    for (int32_t i = 0; i < c->in_count; i++) ISGI_TRY(binary_op(c, ISG_OP_ADD, &c->out[0], &c->out[0], c->in[i]));
    return ISG_OK;
}

static double activate(isg_op op, const isg_scalar_attr *a, double x)
{
    double y;
    switch (op) {
    case ISG_OP_RELU: return x < 0.0 ? 0.0 : x;
    case ISG_OP_LEAKY_RELU: return x < 0.0 ? x * (double)a->alpha : x;
    case ISG_OP_SIGMOID: return 1.0 / (1.0 + exp(-x));
    case ISG_OP_HARD_SIGMOID: y = (double)a->alpha * x + (double)a->beta; return y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y;
    case ISG_OP_HARD_SWISH: y = x / 6.0 + 0.5; return x * (y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y);
    case ISG_OP_CLIP:
        if (x < (double)a->lo) x = (double)a->lo;
        return x > (double)a->hi ? (double)a->hi : x;
    default: return x;
    }
}

isg_status isgi_shape_unary(isgi_call *c)
{
    const isg_op op = c->node->op;
    const int any = op == ISG_OP_RELU || op == ISG_OP_CLIP;
    ISGI_TRY(isgi_arity(c, 1, op == ISG_OP_CLIP ? 3 : 1, 1));
    for (int32_t i = 1; i < c->in_count; i++) {
        if (!c->in[i]) continue;
        if (c->in[i]->count != 1) return isgi_fail(c->err, ISG_E_SHAPE, "a limit is not a scalar");
        if (c->in[i]->dtype != c->in[0]->dtype)
            return isgi_fail(c->err, ISG_E_SHAPE, "a limit has another element type");
    }
    if (!any) ISGI_TRY(isgi_need_float(c->in[0], c->err));
    if (c->in[0]->dtype == ISG_DT_BOOL || c->in[0]->dtype == ISG_DT_U64)
        return isgi_fail(c->err, ISG_E_UNSUPPORTED, "element type bool or uint64");
    return isgi_shape_like(c, 0, c->in[0]);
}

static int64_t float_limit(float v)
{
    if (v >= 9223372036854775807.0f) return INT64_MAX;
    return v <= -9223372036854775808.0f ? INT64_MIN : (int64_t)v;
}

static void clip_integers(const isgi_call *c, int64_t lo, int64_t hi)
{
    int64_t run[CHUNK];
    for (int64_t i = 0; i < c->in[0]->count; i += CHUNK) {
        const int64_t n = c->in[0]->count - i < CHUNK ? c->in[0]->count - i : CHUNK;
        isgi_read_i64(run, c->in[0], i, n);
        for (int64_t k = 0; k < n; k++) {
            if (run[k] < lo) run[k] = lo;
            if (run[k] > hi) run[k] = hi;
        }
        isgi_write_i64(&c->out[0], i, run, n);
    }
}

isg_status isgi_eval_unary(const isgi_call *c)
{
    const isg_tensor *x = c->in[0], *lo = isgi_in(c, 1), *hi = isgi_in(c, 2);
    const isg_op op = c->node->op;
    const isg_scalar_attr attr = c->node->attr.scalar;
    double run[CHUNK];
    if (!isgi_is_float(x->dtype)) {
        int64_t low = op == ISG_OP_RELU ? 0 : float_limit(attr.lo);
        int64_t high = op == ISG_OP_RELU ? INT64_MAX : float_limit(attr.hi);
        if (lo) isgi_read_i64(&low, lo, 0, 1);
        if (hi) isgi_read_i64(&high, hi, 0, 1);
        clip_integers(c, low, high);
        return ISG_OK;
    }
    for (int64_t i = 0; i < x->count; i += CHUNK) {
        const int64_t n = x->count - i < CHUNK ? x->count - i : CHUNK;
        double limit;
        isgi_read_f64(run, x, i, n);
        for (int64_t k = 0; k < n; k++) run[k] = activate(op, &attr, run[k]);
        if (lo) {
            isgi_read_f64(&limit, lo, 0, 1);
            for (int64_t k = 0; k < n; k++) run[k] = run[k] < limit ? limit : run[k];
        }
        if (hi) {
            isgi_read_f64(&limit, hi, 0, 1);
            for (int64_t k = 0; k < n; k++) run[k] = run[k] > limit ? limit : run[k];
        }
        isgi_write_f64(&c->out[0], i, run, n);
    }
    return ISG_OK;
}
