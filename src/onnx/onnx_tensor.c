/* SPDX-License-Identifier: Apache-2.0 */
/* Copying tensor data out of a TensorProto or its external file. */
#include "onnx/onnx_tensor.h"

#include <insitu/onnx.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_external.h"
#include "onnx/onnx_wire.h"

int isgi_onnx_dtype_known(int64_t data_type)
{
    return data_type > 0 && data_type <= ISG_DT_BF16 && isg_dtype_size((isg_dtype)data_type) != 0;
}

/* The files are little-endian; only a big-endian host has to turn elements round. */
void isgi_onnx_little_endian(void *data, size_t element, size_t count)
{
    uint8_t *p = data;
    const uint16_t probe = 1;
    uint8_t first;
    size_t i, b;
    memcpy(&first, &probe, 1);
    if (first == 1 || element == 1) return;
    for (i = 0; i < count; i++, p += element) {
        for (b = 0; b < element / 2; b++) {
            const uint8_t swap = p[b];
            p[b] = p[element - 1 - b];
            p[element - 1 - b] = swap;
        }
    }
}

static isg_status tensor_header(const IsgiOnnx__TensorProto *proto, isg_dtype *dtype, int64_t *dims, size_t *bytes,
                                isg_error *err)
{
    uint64_t total;
    size_t i;
    if (!proto->has_data_type || proto->data_type == 0) return isgi_fail(err, ISG_E_FORMAT, "tensor without a type");
    if (!isgi_onnx_dtype_known(proto->data_type))
        return isgi_fail(err, ISG_E_UNSUPPORTED, "tensor of element type %s", isg_dtype_name(proto->data_type));
    if (proto->segment) return isgi_fail(err, ISG_E_UNSUPPORTED, "tensor stored in segments");
    if (proto->n_dims > ISG_MAX_RANK)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "tensor of rank %zu (at most %d)", proto->n_dims, ISG_MAX_RANK);
    *dtype = (isg_dtype)proto->data_type;
    total = isg_dtype_size(*dtype);
    for (i = 0; i < proto->n_dims; i++) {
        const int64_t dim = proto->dims[i];
        if (dim < 0) return isgi_fail(err, ISG_E_FORMAT, "negative dimension %lld", (long long)dim);
        if (dim && total > (uint64_t)INT64_MAX / (uint64_t)dim)
            return isgi_fail(err, ISG_E_FORMAT, "dimensions whose product overflows");
        total *= (uint64_t)dim;
        dims[i] = dim;
    }
    if (total > SIZE_MAX / 2) return isgi_fail(err, ISG_E_LIMIT, "tensor larger than the address space");
    *bytes = (size_t)total;
    return ISG_OK;
}

/* Which list of a TensorProto holds elements of `dtype`, and how many entries it has. */
static size_t tensor_typed_count(const IsgiOnnx__TensorProto *proto, isg_dtype dtype)
{
    switch (dtype) {
    case ISG_DT_F32: return proto->n_float_data;
    case ISG_DT_F64: return proto->n_double_data;
    case ISG_DT_I64: return proto->n_int64_data;
    case ISG_DT_U32:
    case ISG_DT_U64: return proto->n_uint64_data;
    default: return proto->n_int32_data;
    }
}

static isg_status tensor_copy_typed(isg_tensor *t, const IsgiOnnx__TensorProto *proto, isg_error *err)
{
    const size_t n = (size_t)t->count, element = isg_dtype_size(t->dtype);
    size_t i;
    switch (t->dtype) {
    case ISG_DT_F32: memcpy(t->data, proto->float_data, n * element); return ISG_OK;
    case ISG_DT_F64: memcpy(t->data, proto->double_data, n * element); return ISG_OK;
    case ISG_DT_I64: memcpy(t->data, proto->int64_data, n * element); return ISG_OK;
    case ISG_DT_I32: memcpy(t->data, proto->int32_data, n * element); return ISG_OK;
    case ISG_DT_U64: memcpy(t->data, proto->uint64_data, n * element); return ISG_OK;
    case ISG_DT_U32:
        for (i = 0; i < n; i++) {
            if (proto->uint64_data[i] > UINT32_MAX)
                return isgi_fail(err, ISG_E_FORMAT, "element %zu is out of range for its type", i);
            ((uint32_t *)t->data)[i] = (uint32_t)proto->uint64_data[i];
        }
        return ISG_OK;
    default: break;
    }
    for (i = 0; i < n; i++) {
        const int32_t v = proto->int32_data[i];
        const int is_signed = t->dtype == ISG_DT_I8 || t->dtype == ISG_DT_I16;
        const int32_t high = t->dtype == ISG_DT_BOOL ? 1 : (1 << (8 * (int)element - is_signed)) - 1;
        if (v > high || v < (is_signed ? -high - 1 : 0))
            return isgi_fail(err, ISG_E_FORMAT, "element %zu is out of range for its type", i);
        if (element == 1)
            ((uint8_t *)t->data)[i] = (uint8_t)v;
        else
            ((uint16_t *)t->data)[i] = (uint16_t)v;
    }
    return ISG_OK;
}

/* Decimal digits only; 1 on success. */
static int tensor_parse_number(const char *text, uint64_t *value)
{
    uint64_t v = 0;
    if (!*text) return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || v > (UINT64_MAX - 9) / 10) return 0;
        v = v * 10 + (uint64_t)(*text - '0');
    }
    *value = v;
    return 1;
}

typedef struct tensor_location {
    const char *path;
    uint64_t offset, length;
    int has_length;
} tensor_location;

static isg_status tensor_parse_location(const IsgiOnnx__TensorProto *proto, tensor_location *where, isg_error *err)
{
    size_t i;
    unsigned seen = 0;
    memset(where, 0, sizeof *where);
    for (i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key, *value = proto->external_data[i]->value;
        unsigned bit = 0;
        int good = 1;
        if (!key || !value) return isgi_fail(err, ISG_E_FORMAT, "external data entry without key or value");
        if (!strcmp(key, "location")) {
            bit = 1;
            where->path = value;
        } else if (!strcmp(key, "offset")) {
            bit = 2;
            good = tensor_parse_number(value, &where->offset);
        } else if (!strcmp(key, "length")) {
            bit = 4;
            good = tensor_parse_number(value, &where->length);
            where->has_length = 1;
        }
        if (!good || (seen & bit))
            return isgi_fail(err, ISG_E_FORMAT, "external data entry '%s' is not a number or given twice",
                             bit == 1   ? "location"
                             : bit == 2 ? "offset"
                                        : "length");
        seen |= bit;
    }
    if (!where->path) return isgi_fail(err, ISG_E_FORMAT, "external data without a location");
    return ISG_OK;
}

/* The file is asked for its size before anything is allocated for the tensor. */
static isg_status tensor_open_external(int *fd, size_t bytes, const tensor_location *where,
                                       const isgi_onnx_source *source, isg_error *err)
{
    const char *folder = source->folder;
    uint64_t size = 0;
    isg_status status;
    if (!folder) return isgi_fail(err, ISG_E_UNSUPPORTED, "external data in a model that was given as bytes");
    if (where->has_length && where->length != bytes)
        return isgi_fail(err, ISG_E_FORMAT, "external data length %llu, dimensions say %zu",
                         (unsigned long long)where->length, bytes);
    status = isgi_onnx_external_open(fd, &size, folder, where->path, err);
    if (status != ISG_OK) return status;
    for (uint32_t i = 0; i < source->output_count && status == ISG_OK; i++) {
        char shown[128];
        if (isgi_onnx_external_is(*fd, source->outputs[i]))
            status = isgi_fail(err, ISG_E_ARG, "the output '%s' holds weights of the model",
                               isgi_escape(shown, sizeof shown, source->outputs[i]));
    }
    if (status != ISG_OK || where->offset > size || bytes > size - where->offset) {
        isgi_onnx_external_close(*fd);
        *fd = -1;
        if (status != ISG_OK) return status;
        return isgi_fail(err, ISG_E_FORMAT, "external data ends at byte %llu, %zu wanted from %llu",
                         (unsigned long long)size, bytes, (unsigned long long)where->offset);
    }
    return ISG_OK;
}

/* Inline lengths, compared before anything is allocated. */
static isg_status tensor_check_lengths(const IsgiOnnx__TensorProto *proto, isg_dtype dtype, size_t bytes,
                                       isg_error *err)
{
    const size_t typed = tensor_typed_count(proto, dtype), element = isg_dtype_size(dtype);
    const size_t lists = proto->n_float_data + proto->n_double_data + proto->n_int64_data + proto->n_uint64_data +
                         proto->n_int32_data + proto->n_string_data;
    if (lists != typed) return isgi_fail(err, ISG_E_FORMAT, "data in a list of another element type");
    if (proto->has_raw_data) {
        if (typed) return isgi_fail(err, ISG_E_FORMAT, "both raw and typed data");
        if (proto->raw_data.len != bytes)
            return isgi_fail(err, ISG_E_FORMAT, "%zu bytes of raw data, dimensions say %zu", proto->raw_data.len,
                             bytes);
    } else if (typed != bytes / element) {
        return isgi_fail(err, ISG_E_FORMAT, "%zu elements of data, dimensions say %zu", typed, bytes / element);
    }
    return ISG_OK;
}

/* Everything but the elements: type, dims and lengths agree; for external data the file is open in *fd. */
static isg_status tensor_prepare(const IsgiOnnx__TensorProto *proto, const isgi_onnx_source *source, isg_dtype *dtype,
                                 int64_t *dims, size_t *bytes, tensor_location *where, int *fd, isg_error *err)
{
    const int external = proto->has_data_location && proto->data_location != 0;
    isg_status status = tensor_header(proto, dtype, dims, bytes, err);
    if (status != ISG_OK) return status;
    if (*bytes > source->left) return isgi_fail(err, ISG_E_LIMIT, "tensors need more memory than allowed");
    if (!external) return tensor_check_lengths(proto, *dtype, *bytes, err);
    status = tensor_parse_location(proto, where, err);
    if (status != ISG_OK) return status;
    if (proto->has_raw_data || tensor_typed_count(proto, *dtype))
        return isgi_fail(err, ISG_E_FORMAT, "both external and inline data");
    return tensor_open_external(fd, *bytes, where, source, err);
}

isg_status isgi_onnx_tensor(isg_tensor **out, const IsgiOnnx__TensorProto *proto, isgi_onnx_source *source,
                            isg_error *err)
{
    tensor_location where = {0};
    isg_tensor *t = NULL;
    int64_t dims[ISG_MAX_RANK] = {0};
    isg_dtype dtype = ISG_DT_NONE;
    size_t bytes = 0;
    int fd = -1;
    isg_status status = tensor_prepare(proto, source, &dtype, dims, &bytes, &where, &fd, err);
    if (status == ISG_OK) status = isg_tensor_create(&t, dtype, (int32_t)proto->n_dims, dims, err);
    if (status == ISG_OK && fd >= 0) {
        status = isgi_onnx_external_read(fd, t->data, where.offset, bytes, where.path, err);
    } else if (status == ISG_OK && bytes && proto->has_raw_data) {
        memcpy(t->data, proto->raw_data.data, bytes);
    }
    if (status == ISG_OK && (fd >= 0 || proto->has_raw_data))
        isgi_onnx_little_endian(t->data, isg_dtype_size(dtype), (size_t)t->count);
    else if (status == ISG_OK && bytes)
        status = tensor_copy_typed(t, proto, err);
    if (fd >= 0) isgi_onnx_external_close(fd);
    if (status != ISG_OK) {
        isg_tensor_destroy(t);
        return status;
    }
    source->left -= bytes;
    *out = t;
    return ISG_OK;
}

isg_status isg_onnx_tensor_from_memory(isg_tensor **out, const void *bytes, size_t size, isg_error *err)
{
    isgi_onnx_arena arena = {0};
    isgi_onnx_source source = {.left = UINT64_C(1) << 34};
    ProtobufCMessage *message = NULL;
    isg_status status;
    if (!out || (!bytes && size)) return isgi_fail(err, ISG_E_ARG, "null argument");
    arena.limit = (uint64_t)size * 128u + (1u << 20);
    status = isgi_onnx_unpack(&message, &isgi_onnx__tensor_proto__descriptor, bytes, size, &arena, err);
    if (status == ISG_OK)
        status = isgi_onnx_tensor(out, (const IsgiOnnx__TensorProto *)(const void *)message, &source, err);
    isgi_onnx_arena_free(&arena);
    return status;
}
