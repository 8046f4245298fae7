/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the operators: arity, axes, integer lists, broadcasting, and elements of any type as numbers. */
#include "base/half.h"
#include "graph/interp_internal.h"

#include <math.h>
#include <string.h>

isg_status isgi_arity(const isgi_call *c, int32_t required, int32_t most, int32_t outputs)
{
    if (c->in_count < required || c->in_count > most)
        return isgi_fail(c->err, ISG_E_SHAPE, "%d inputs where %d to %d belong", (int)c->in_count, (int)required,
                         (int)most);
    for (int32_t i = 0; i < required; i++)
        if (!c->in[i]) return isgi_fail(c->err, ISG_E_SHAPE, "input %d is missing", (int)i);
    if (c->out_count < 1 || c->out_count > outputs)
        return isgi_fail(c->err, ISG_E_SHAPE, "%d outputs where 1 to %d belong", (int)c->out_count, (int)outputs);
    return ISG_OK;
}

isg_status isgi_axis(int64_t *axis, int64_t given, int32_t rank, isg_error *err)
{
    if (given < -(int64_t)rank || given >= rank)
        return isgi_fail(err, ISG_E_SHAPE, "axis %lld is outside rank %d", (long long)given, (int)rank);
    *axis = given < 0 ? given + rank : given;
    return ISG_OK;
}

isg_status isgi_read_list(int64_t *list, int32_t *count, int32_t limit, const isg_tensor *t, isg_error *err)
{
    if (t->dtype != ISG_DT_I64 && t->dtype != ISG_DT_I32)
        return isgi_fail(err, ISG_E_SHAPE, "a list of sizes or axes is not int32 or int64");
    if (t->rank > 1) return isgi_fail(err, ISG_E_SHAPE, "a list of sizes or axes has rank %d", (int)t->rank);
    if (t->count > limit)
        return isgi_fail(err, ISG_E_LIMIT, "a list of %lld sizes or axes, more than %d", (long long)t->count,
                         (int)limit);
    if (!t->data) return isgi_fail(err, ISG_E_UNSUPPORTED, "its shape depends on values known only when it runs");
    isgi_read_i64(list, t, 0, t->count);
    *count = (int32_t)t->count;
    return ISG_OK;
}

isg_status isgi_read_axes(int64_t *axes, int32_t *count, const isgi_call *c, int32_t rank)
{
    const isg_axes_attr *a = &c->node->attr.axes;
    const isg_tensor *t = isgi_in(c, 1);
    unsigned seen = 0;
    if (t) {
        ISGI_TRY(isgi_read_list(axes, count, ISG_MAX_RANK, t, c->err));
    } else {
        if (a->n < 0 || a->n > ISG_MAX_RANK) return isgi_fail(c->err, ISG_E_LIMIT, "%d axes", (int)a->n);
        memcpy(axes, a->axes, (size_t)a->n * sizeof *axes);
        *count = a->n;
    }
    for (int32_t i = 0; i < *count; i++) {
        ISGI_TRY(isgi_axis(&axes[i], axes[i], rank, c->err));
        if (seen >> axes[i] & 1u) return isgi_fail(c->err, ISG_E_SHAPE, "axis %lld is named twice", (long long)axes[i]);
        seen |= 1u << axes[i];
    }
    return ISG_OK;
}

isg_status isgi_broadcast(isg_tensor *shape, const isg_tensor *t, isg_error *err)
{
    int64_t dims[ISG_MAX_RANK];
    const int32_t rank = shape->rank > t->rank ? shape->rank : t->rank;
    for (int32_t i = 1; i <= rank; i++) {
        const int64_t a = i <= shape->rank ? shape->dims[shape->rank - i] : 1;
        const int64_t b = i <= t->rank ? t->dims[t->rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return isgi_fail(err, ISG_E_SHAPE, "dimensions %lld and %lld cannot be broadcast", (long long)a,
                             (long long)b);
        dims[rank - i] = a == 1 ? b : a;
    }
    return isgi_tensor_shape(shape, shape->dtype, rank, dims, err);
}

isg_status isgi_shape_like(const isgi_call *c, int32_t out, const isg_tensor *t)
{
    return isgi_tensor_shape(&c->out[out], t->dtype, t->rank, t->dims, c->err);
}

int isgi_is_float(isg_dtype dtype)
{
    return dtype == ISG_DT_F32 || dtype == ISG_DT_F64 || dtype == ISG_DT_F16 || dtype == ISG_DT_BF16;
}

isg_status isgi_need_float(const isg_tensor *t, isg_error *err)
{
    return isgi_is_float(t->dtype) ? ISG_OK
                                   : isgi_fail(err, ISG_E_UNSUPPORTED, "element type %s is not floating point",
                                               isg_dtype_name((int32_t)t->dtype));
}

isg_status isgi_need_one_type(const isgi_call *c)
{
    for (int32_t i = 1; i < c->in_count; i++) {
        if (c->in[i] && c->in[i]->dtype != c->in[0]->dtype)
            return isgi_fail(c->err, ISG_E_SHAPE, "inputs of different element types, %s and %s",
                             isg_dtype_name((int32_t)c->in[0]->dtype), isg_dtype_name((int32_t)c->in[i]->dtype));
    }
    return ISG_OK;
}

static float bf16_to_float(uint16_t b)
{
    const uint32_t bits = (uint32_t)b << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t bf16_from_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (isnan(f)) return (uint16_t)(bits >> 16 | 64u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#define READ_LOOP(type, out)                                                                                           \
    {                                                                                                                  \
        const type *p = (const type *)t->data + offset;                                                                \
        for (int64_t i = 0; i < count; i++) dst[i] = (out)p[i];                                                        \
    }                                                                                                                  \
    break
#define READ_INTEGERS(out)                                                                                             \
    case ISG_DT_U8:                                                                                                    \
    case ISG_DT_BOOL: READ_LOOP(uint8_t, out);                                                                         \
    case ISG_DT_I8: READ_LOOP(int8_t, out);                                                                            \
    case ISG_DT_U16: READ_LOOP(uint16_t, out);                                                                         \
    case ISG_DT_I16: READ_LOOP(int16_t, out);                                                                          \
    case ISG_DT_U32: READ_LOOP(uint32_t, out);                                                                         \
    case ISG_DT_I32: READ_LOOP(int32_t, out);                                                                          \
    case ISG_DT_U64: READ_LOOP(uint64_t, out);                                                                         \
    case ISG_DT_I64: READ_LOOP(int64_t, out)

void isgi_read_f64(double *dst, const isg_tensor *t, int64_t offset, int64_t count)
{
    const uint16_t *h = (const uint16_t *)t->data;
    switch (t->dtype) {
        READ_INTEGERS(double);
    case ISG_DT_F32: READ_LOOP(float, double);
    case ISG_DT_F64: READ_LOOP(double, double);
    case ISG_DT_F16:
        for (int64_t i = 0; i < count; i++) dst[i] = isgi_half_to_float(h[offset + i]);
        break;
    case ISG_DT_BF16:
        for (int64_t i = 0; i < count; i++) dst[i] = bf16_to_float(h[offset + i]);
        break;
    case ISG_DT_NONE: break;
    }
}

/* Truncation towards zero; what does not fit saturates, NaN is 0 (ONNX leaves both undefined). */
static int64_t to_integer(double v)
{
    if (isnan(v)) return 0;
    if (v >= 9223372036854775807.0) return INT64_MAX;
    if (v <= -9223372036854775808.0) return INT64_MIN;
    return (int64_t)v;
}

void isgi_read_i64(int64_t *dst, const isg_tensor *t, int64_t offset, int64_t count)
{
    switch (t->dtype) {
        READ_INTEGERS(int64_t);
    case ISG_DT_F32:
    case ISG_DT_F64:
    case ISG_DT_F16:
    case ISG_DT_BF16:
        for (int64_t i = 0; i < count; i++) {
            double v;
            isgi_read_f64(&v, t, offset + i, 1);
            dst[i] = to_integer(v);
        }
        break;
    case ISG_DT_NONE: break;
    }
}

#define WRITE_LOOP(type)                                                                                               \
    {                                                                                                                  \
        type *p = (type *)t->data + offset;                                                                            \
        for (int64_t i = 0; i < count; i++) p[i] = (type)src[i];                                                       \
    }                                                                                                                  \
    break

void isgi_write_i64(isg_tensor *t, int64_t offset, const int64_t *src, int64_t count)
{
    switch (t->dtype) {
    case ISG_DT_U8: WRITE_LOOP(uint8_t);
    case ISG_DT_I8: WRITE_LOOP(int8_t);
    case ISG_DT_U16: WRITE_LOOP(uint16_t);
    case ISG_DT_I16: WRITE_LOOP(int16_t);
    case ISG_DT_U32: WRITE_LOOP(uint32_t);
    case ISG_DT_I32: WRITE_LOOP(int32_t);
    case ISG_DT_U64: WRITE_LOOP(uint64_t);
    case ISG_DT_I64: WRITE_LOOP(int64_t);
    case ISG_DT_BOOL:
        for (int64_t i = 0; i < count; i++) ((uint8_t *)t->data)[offset + i] = src[i] != 0;
        break;
    case ISG_DT_F32:
    case ISG_DT_F64:
    case ISG_DT_F16:
    case ISG_DT_BF16:
        for (int64_t i = 0; i < count; i++) {
            const double v = (double)src[i];
            isgi_write_f64(t, offset + i, &v, 1);
        }
        break;
    case ISG_DT_NONE: break;
    }
}

void isgi_write_f64(isg_tensor *t, int64_t offset, const double *src, int64_t count)
{
    uint16_t *h = (uint16_t *)t->data;
    switch (t->dtype) {
    case ISG_DT_F32: WRITE_LOOP(float);
    case ISG_DT_F64: WRITE_LOOP(double);
    case ISG_DT_F16:
        for (int64_t i = 0; i < count; i++) h[offset + i] = isgi_half_from_float((float)src[i]);
        break;
    case ISG_DT_BF16:
        for (int64_t i = 0; i < count; i++) h[offset + i] = bf16_from_float((float)src[i]);
        break;
    case ISG_DT_BOOL:
        for (int64_t i = 0; i < count; i++) ((uint8_t *)t->data)[offset + i] = src[i] != 0.0;
        break;
    default:
        for (int64_t i = 0; i < count; i++) {
            const int64_t v = to_integer(src[i]);
            isgi_write_i64(t, offset + i, &v, 1);
        }
        break;
    }
}

double *isgi_tensor_f64(const isg_tensor *t)
{
    double *p = isgi_malloc((size_t)t->count * sizeof *p);
    if (p) isgi_read_f64(p, t, 0, t->count);
    return p;
}
