/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of protobuf-c in an arena, with one sticky failure. */
#include "onnx/onnx_build.h"

#include <insitu/host.h>
#include <insitu/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_tensor.h"

#define TYPE(name) ISGI_ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name
#define MAX_MODEL_BYTES ((uint64_t)INT32_MAX) /* protobuf's own limit */

void *isgi_onnx_build_alloc(isgi_onnx_build *b, size_t bytes)
{
    void *p;
    if (b->status != ISG_OK) return NULL;
    p = isgi_onnx_arena_alloc(&b->arena, bytes);
    if (p) return p;
    if (b->arena.failure == ISG_E_LIMIT)
        b->status = isgi_fail(b->err, ISG_E_LIMIT, "the exported model would be larger than 2 GiB");
    else
        b->status = isgi_nomem(b->err);
    return NULL;
}

const char *isgi_onnx_build_name(isgi_onnx_build *b, const char *format, ...)
{
    char text[512], *copy;
    va_list args;
    size_t length;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    length = strlen(text);
    copy = isgi_onnx_build_alloc(b, length + 1);
    if (!copy) return "";
    memcpy(copy, text, length + 1);
    return copy;
}

void isgi_onnx_build_begin(isgi_onnx_build *b, int64_t opset, isg_error *err)
{
    IsgiOnnx__OperatorSetIdProto *set, **sets;
    memset(b, 0, sizeof *b);
    b->err = err;
    b->arena.limit = MAX_MODEL_BYTES;
    isgi_onnx__model_proto__init(&b->model);
    b->graph = isgi_onnx_build_alloc(b, sizeof *b->graph);
    set = isgi_onnx_build_alloc(b, sizeof *set);
    sets = isgi_onnx_build_alloc(b, sizeof(void *));
    if (b->status != ISG_OK) return;
    isgi_onnx__graph_proto__init(b->graph);
    isgi_onnx__operator_set_id_proto__init(set);
    b->graph->name = (char *)isgi_onnx_build_name(b, "insitu");
    set->domain = (char *)isgi_onnx_build_name(b, "%s", "");
    set->has_version = 1;
    set->version = opset;
    sets[0] = set;
    b->model.graph = b->graph;
    b->model.n_opset_import = 1;
    b->model.opset_import = sets;
    b->model.has_ir_version = 1;
    b->model.ir_version = 7;
    b->model.producer_name = (char *)isgi_onnx_build_name(b, "insitu");
    b->model.producer_version = (char *)isgi_onnx_build_name(b, "%s", ISG_VERSION_STRING);
}

void isgi_onnx_build_end(isgi_onnx_build *b)
{
    isgi_onnx_arena_free(&b->arena);
}

/* Room for one more pointer in an arena-held list; the old list is left behind. */
static int build_grow(isgi_onnx_build *b, void ***list, size_t count, size_t *capacity)
{
    const size_t wanted = *capacity ? *capacity * 2 : 64;
    void **wider;
    if (count < *capacity) return 1;
    wider = isgi_onnx_build_alloc(b, wanted * sizeof *wider);
    if (!wider) return 0;
    if (count) memcpy(wider, *list, count * sizeof *wider);
    *list = wider;
    *capacity = wanted;
    return 1;
}

static char **build_names(isgi_onnx_build *b, const char *const *names, size_t n)
{
    char **copy = isgi_onnx_build_alloc(b, n * sizeof *copy);
    size_t i;
    for (i = 0; copy && i < n; i++) copy[i] = (char *)names[i];
    return copy;
}

IsgiOnnx__NodeProto *isgi_onnx_build_node(isgi_onnx_build *b, const char *op, const char *name,
                                          const char *const *inputs, size_t input_count, const char *const *outputs,
                                          size_t output_count)
{
    IsgiOnnx__NodeProto *node = isgi_onnx_build_alloc(b, sizeof *node);
    void **list = b->status == ISG_OK ? (void **)b->graph->node : NULL;
    if (!node || !build_grow(b, &list, b->graph->n_node, &b->node_capacity)) return NULL;
    isgi_onnx__node_proto__init(node);
    node->op_type = (char *)op;
    node->name = (char *)name;
    node->input = build_names(b, inputs, input_count);
    node->output = build_names(b, outputs, output_count);
    if (b->status != ISG_OK) return NULL;
    node->n_input = input_count;
    node->n_output = output_count;
    list[b->graph->n_node++] = node;
    b->graph->node = (IsgiOnnx__NodeProto **)list;
    return node;
}

static IsgiOnnx__AttributeProto *build_attribute(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name,
                                                 int type)
{
    IsgiOnnx__AttributeProto *a, **list;
    if (!node) return NULL;
    a = isgi_onnx_build_alloc(b, sizeof *a);
    list = isgi_onnx_build_alloc(b, (node->n_attribute + 1) * sizeof *list);
    if (!a || !list) return NULL;
    isgi_onnx__attribute_proto__init(a);
    a->name = (char *)name;
    a->has_type = 1;
    a->type = (IsgiOnnx__AttributeProto__AttributeType)type;
    if (node->n_attribute) memcpy(list, node->attribute, node->n_attribute * sizeof *list);
    list[node->n_attribute++] = a;
    node->attribute = list;
    return a;
}

void isgi_onnx_build_int(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, int64_t value)
{
    IsgiOnnx__AttributeProto *a = build_attribute(b, node, name, TYPE(INT));
    if (!a) return;
    a->has_i = 1;
    a->i = value;
}

void isgi_onnx_build_ints(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, const int64_t *values,
                          size_t n)
{
    IsgiOnnx__AttributeProto *a = build_attribute(b, node, name, TYPE(INTS));
    int64_t *copy = isgi_onnx_build_alloc(b, n * sizeof *copy);
    if (!a || !copy) return;
    if (n) memcpy(copy, values, n * sizeof *copy);
    a->ints = copy;
    a->n_ints = n;
}

void isgi_onnx_build_float(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, float value)
{
    IsgiOnnx__AttributeProto *a = build_attribute(b, node, name, TYPE(FLOAT));
    if (!a) return;
    a->has_f = 1;
    a->f = value;
}

void isgi_onnx_build_string(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, const char *value)
{
    IsgiOnnx__AttributeProto *a = build_attribute(b, node, name, TYPE(STRING));
    if (!a) return;
    a->has_s = 1;
    a->s.len = strlen(value);
    a->s.data = (uint8_t *)value;
}

static IsgiOnnx__TensorProto *build_tensor_proto(isgi_onnx_build *b, const char *name, isg_dtype dtype, int32_t rank,
                                                 const int64_t *dims)
{
    IsgiOnnx__TensorProto *t = isgi_onnx_build_alloc(b, sizeof *t);
    int64_t *copy = isgi_onnx_build_alloc(b, (size_t)rank * sizeof *copy);
    uint64_t bytes = isg_dtype_size(dtype);
    int32_t i;
    if (!t || !copy) return NULL;
    isgi_onnx__tensor_proto__init(t);
    for (i = 0; i < rank; i++) {
        if (dims[i] < 0 || (dims[i] && bytes > MAX_MODEL_BYTES / (uint64_t)dims[i])) {
            b->status = isgi_fail(b->err, ISG_E_LIMIT, "tensor '%s' is larger than 2 GiB", name);
            return NULL;
        }
        bytes *= (uint64_t)dims[i];
        copy[i] = dims[i];
    }
    t->name = (char *)name;
    t->n_dims = (size_t)rank;
    t->dims = copy;
    t->has_data_type = 1;
    t->data_type = (int32_t)dtype;
    t->has_raw_data = 1;
    t->raw_data.len = (size_t)bytes;
    t->raw_data.data = isgi_onnx_build_alloc(b, (size_t)bytes);
    return t->raw_data.data ? t : NULL;
}

static void *build_initializer(isgi_onnx_build *b, const char *name, isg_dtype dtype, int32_t rank, const int64_t *dims)
{
    IsgiOnnx__TensorProto *t = b->status == ISG_OK ? build_tensor_proto(b, name, dtype, rank, dims) : NULL;
    void **list;
    if (!t) return NULL;
    list = (void **)b->graph->initializer;
    if (!build_grow(b, &list, b->graph->n_initializer, &b->tensor_capacity)) return NULL;
    list[b->graph->n_initializer++] = t;
    b->graph->initializer = (IsgiOnnx__TensorProto **)list;
    return t->raw_data.data;
}

float *isgi_onnx_build_floats(isgi_onnx_build *b, const char *name, int32_t rank, const int64_t *dims)
{
    return build_initializer(b, name, ISG_DT_F32, rank, dims);
}

void isgi_onnx_build_tensor(isgi_onnx_build *b, const char *name, const isg_tensor *t)
{
    void *data = build_initializer(b, name, t->dtype, t->rank, t->dims);
    if (data && t->count) memcpy(data, t->data, (size_t)t->count * isg_dtype_size(t->dtype));
}

void isgi_onnx_build_value(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, const isg_tensor *value)
{
    IsgiOnnx__AttributeProto *a = build_attribute(b, node, name, TYPE(TENSOR));
    const size_t element = isg_dtype_size(value->dtype);
    if (!a) return;
    a->t = build_tensor_proto(b, "value", value->dtype, value->rank, value->dims);
    if (!a->t) return;
    memcpy(a->t->raw_data.data, value->data, (size_t)value->count * element);
    isgi_onnx_little_endian(a->t->raw_data.data, element, (size_t)value->count);
}

static IsgiOnnx__TensorShapeProto *build_shape(isgi_onnx_build *b, int32_t rank, const int64_t *dims)
{
    IsgiOnnx__TensorShapeProto *shape = isgi_onnx_build_alloc(b, sizeof *shape);
    int32_t i;
    if (!shape) return NULL;
    isgi_onnx__tensor_shape_proto__init(shape);
    shape->dim = isgi_onnx_build_alloc(b, (size_t)rank * sizeof(void *));
    for (i = 0; i < rank && shape->dim; i++) {
        IsgiOnnx__TensorShapeProto__Dimension *dim = isgi_onnx_build_alloc(b, sizeof *dim);
        if (!dim) return NULL;
        isgi_onnx__tensor_shape_proto__dimension__init(dim);
        if (dims[i] >= 0) {
            dim->value_case = ISGI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = dims[i];
        } else if (dims[i] == ISG_DIM_BATCH) {
            dim->value_case = ISGI_ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = (char *)isgi_onnx_build_name(b, "N");
        }
        shape->dim[shape->n_dim++] = dim;
    }
    return shape;
}

IsgiOnnx__ValueInfoProto *isgi_onnx_build_info(isgi_onnx_build *b, const char *name, isg_dtype dtype, int32_t rank,
                                               const int64_t *dims)
{
    IsgiOnnx__ValueInfoProto *info = isgi_onnx_build_alloc(b, sizeof *info);
    IsgiOnnx__TypeProto *type = isgi_onnx_build_alloc(b, sizeof *type);
    IsgiOnnx__TypeProto__Tensor *tensor = isgi_onnx_build_alloc(b, sizeof *tensor);
    if (!info || !type || !tensor) return NULL;
    isgi_onnx__value_info_proto__init(info);
    isgi_onnx__type_proto__init(type);
    isgi_onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = dtype == ISG_DT_NONE ? ISG_DT_F32 : (int32_t)dtype;
    if (rank >= 0) tensor->shape = build_shape(b, rank, dims);
    type->value_case = ISGI_ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    info->name = (char *)name;
    info->type = type;
    return info;
}

isg_status isgi_onnx_build_write(isgi_onnx_build *b, const char *path)
{
    uint8_t *bytes;
    size_t i, size;
    isg_status status;
    if (b->status != ISG_OK) return b->status;
    for (i = 0; i < b->graph->n_initializer; i++) {
        IsgiOnnx__TensorProto *t = b->graph->initializer[i];
        const size_t element = isg_dtype_size((isg_dtype)t->data_type);
        isgi_onnx_little_endian(t->raw_data.data, element, t->raw_data.len / element);
    }
    size = isgi_onnx__model_proto__get_packed_size(&b->model);
    if (size > MAX_MODEL_BYTES) return isgi_fail(b->err, ISG_E_LIMIT, "the exported model would be larger than 2 GiB");
    bytes = isgi_malloc(size);
    if (!bytes) return isgi_nomem(b->err);
    isgi_onnx__model_proto__pack(&b->model, bytes);
    status = isg_write_file(path, bytes, size, b->err);
    isg_free(bytes);
    return status;
}
