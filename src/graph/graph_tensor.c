/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: element sizes, creation with checked sizes, copies. */
#include "graph/graph_internal.h"
#include "host/alloc.h"

#include <string.h>

size_t isg_dtype_size(isg_dtype dtype)
{
    switch (dtype) {
    case ISG_DT_U8:
    case ISG_DT_I8:
    case ISG_DT_BOOL: return 1;
    case ISG_DT_U16:
    case ISG_DT_I16:
    case ISG_DT_F16:
    case ISG_DT_BF16: return 2;
    case ISG_DT_F32:
    case ISG_DT_I32:
    case ISG_DT_U32: return 4;
    case ISG_DT_I64:
    case ISG_DT_F64:
    case ISG_DT_U64: return 8;
    case ISG_DT_NONE: break;
    }
    return 0;
}

const char *isg_dtype_name(int32_t dtype)
{
    static const char *const names[] = {
        "undefined", "float32",    "uint8",      "int8",         "uint16",         "int16",      "int32",
        "int64",     "string",     "bool",       "float16",      "float64",        "uint32",     "uint64",
        "complex64", "complex128", "bfloat16",   "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz",
        "uint4",     "int4",       "float4e2m1", "float8e8m0",   "uint2",          "int2"};
    return dtype >= 0 && (size_t)dtype < sizeof names / sizeof *names ? names[dtype] : "unknown";
}

const char *isg_op_name(isg_op op)
{
    static const char *const names[] = {
#define ISG_OP(id, onnx_name) onnx_name,
#include <insitu/graph_ops.def>
#undef ISG_OP
    };
    return (unsigned)op < (unsigned)ISG_OP_COUNT ? names[op] : "?";
}

isg_status isgi_tensor_shape(isg_tensor *t, isg_dtype dtype, int32_t rank, const int64_t *dims, isg_error *err)
{
    int64_t count = 1;
    const size_t size = isg_dtype_size(dtype);
    if (size == 0) return isgi_fail(err, ISG_E_UNSUPPORTED, "unknown element type %d", (int)dtype);
    if (rank < 0 || rank > ISG_MAX_RANK) return isgi_fail(err, ISG_E_LIMIT, "rank %d is not in 0..8", (int)rank);
    memset(t, 0, sizeof *t);
    for (int32_t i = 0; i < rank; i++) {
        if (dims[i] < 0) return isgi_fail(err, ISG_E_SHAPE, "negative dimension %lld", (long long)dims[i]);
        if (dims[i] && count > ISGI_MAX_TENSOR_BYTES / (int64_t)size / dims[i])
            return isgi_fail(err, ISG_E_LIMIT, "tensor is larger than 2^40 bytes");
        count *= dims[i];
        t->dims[i] = dims[i];
    }
    t->dtype = dtype;
    t->rank = rank;
    t->count = count;
    return ISG_OK;
}

isg_status isgi_tensor_alloc(isg_tensor *t, isg_error *err)
{
    t->data = isgi_calloc((size_t)t->count, isg_dtype_size(t->dtype));
    return t->data ? ISG_OK : isgi_nomem(err);
}

isg_status isg_tensor_create(isg_tensor **out, isg_dtype dtype, int32_t rank, const int64_t *dims, isg_error *err)
{
    isg_tensor shape, *t;
    isg_status status = isgi_tensor_shape(&shape, dtype, rank, dims, err);
    if (status != ISG_OK) return status;
    t = isgi_calloc(1, sizeof *t);
    if (!t) return isgi_nomem(err);
    *t = shape;
    status = isgi_tensor_alloc(t, err);
    if (status != ISG_OK) {
        isg_free(t);
        return status;
    }
    *out = t;
    return ISG_OK;
}

isg_status isg_tensor_clone(isg_tensor **out, const isg_tensor *src, isg_error *err)
{
    isg_tensor *t;
    isg_status status = isg_tensor_create(&t, src->dtype, src->rank, src->dims, err);
    if (status != ISG_OK) return status;
    memcpy(t->data, src->data, (size_t)t->count * isg_dtype_size(t->dtype));
    *out = t;
    return ISG_OK;
}

void isg_tensor_destroy(isg_tensor *t)
{
    if (!t) return;
    isg_free(t->data);
    isg_free(t);
}
