/* SPDX-License-Identifier: Apache-2.0 */
/* TensorProto to isg_tensor: types, dims and lengths checked, external data found. */
#ifndef INSITU_ONNX_TENSOR_H
#define INSITU_ONNX_TENSOR_H

#include <insitu/graph.h>

#include "onnx.pb-c.h"

typedef struct isgi_onnx_source {
    const char *folder;         /* of external data; NULL: refused */
    uint64_t left;              /* bytes of tensors that may still be made */
    const char *const *outputs; /* files that must not be read as external data: ARG; entries may be NULL */
    uint32_t output_count;
} isgi_onnx_source;

/* Errors: FORMAT (lengths, dims, paths), UNSUPPORTED (type, rank), LIMIT, IO, NOMEM. Messages name no tensor. */
ISG_NODISCARD isg_status isgi_onnx_tensor(isg_tensor **out, const IsgiOnnx__TensorProto *proto,
                                          isgi_onnx_source *source, isg_error *err);
/* Turns elements between the host's byte order and the file's, little-endian. */
void isgi_onnx_little_endian(void *data, size_t element, size_t count);
/* 1 for an element type that tensors of ours can hold. */
int isgi_onnx_dtype_known(int64_t data_type);

#endif
