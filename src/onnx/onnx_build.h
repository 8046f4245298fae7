/* SPDX-License-Identifier: Apache-2.0 */
/* Making a ModelProto piece by piece; all of it lives in one arena. */
#ifndef INSITU_ONNX_BUILD_H
#define INSITU_ONNX_BUILD_H

#include <insitu/graph.h>

#include "onnx.pb-c.h"
#include "onnx/onnx_arena.h"

/* Failures stick: every call after one does nothing, and `status` says what happened first. */
typedef struct isgi_onnx_build {
    isgi_onnx_arena arena;
    IsgiOnnx__ModelProto model;
    IsgiOnnx__GraphProto *graph;
    size_t node_capacity, tensor_capacity;
    isg_status status;
    isg_error *err;
} isgi_onnx_build;

void isgi_onnx_build_begin(isgi_onnx_build *b, int64_t opset, isg_error *err);
void isgi_onnx_build_end(isgi_onnx_build *b);
/* A copy that lives as long as the model; "" on failure. */
const char *isgi_onnx_build_name(isgi_onnx_build *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* NULL on failure; the setters take that. Names are borrowed: they must be the arena's or outlive the model. */
IsgiOnnx__NodeProto *isgi_onnx_build_node(isgi_onnx_build *b, const char *op, const char *name,
                                          const char *const *inputs, size_t input_count, const char *const *outputs,
                                          size_t output_count);
void isgi_onnx_build_int(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, int64_t value);
void isgi_onnx_build_ints(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, const int64_t *values,
                          size_t n);
void isgi_onnx_build_float(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, float value);
void isgi_onnx_build_string(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, const char *value);
void isgi_onnx_build_value(isgi_onnx_build *b, IsgiOnnx__NodeProto *node, const char *name, const isg_tensor *value);
/* A float initialiser to be filled by the caller; NULL on failure. */
float *isgi_onnx_build_floats(isgi_onnx_build *b, const char *name, int32_t rank, const int64_t *dims);
void isgi_onnx_build_tensor(isgi_onnx_build *b, const char *name, const isg_tensor *t);
IsgiOnnx__ValueInfoProto *isgi_onnx_build_info(isgi_onnx_build *b, const char *name, isg_dtype dtype, int32_t rank,
                                               const int64_t *dims);
/* Memory of the arena with the failure recorded. */
void *isgi_onnx_build_alloc(isgi_onnx_build *b, size_t bytes);
/* Serialises the model and writes it atomically. */
ISG_NODISCARD isg_status isgi_onnx_build_write(isgi_onnx_build *b, const char *path);

#endif
