/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of the exporter share. */
#ifndef INSITU_ONNX_EXPORT_H
#define INSITU_ONNX_EXPORT_H

#include <insitu/onnx.h>

#include "onnx/onnx_build.h"

typedef struct isgi_onnx_export {
    const isg_graph *graph;
    isgi_onnx_build build;
    isg_onnx_form form;
    uint8_t *written; /* one a value: its initialiser is in the file */
    int32_t node;     /* being written */
    int namesake;     /* a node before it goes by the same name */
} isgi_onnx_export;

/* A fresh name, deterministic: "<layer>/<suffix>", numbered where the graph has that already. */
const char *isgi_onnx_export_name(isgi_onnx_export *x, const char *suffix);
/* Name of operand k, its constant written at first use; "" when omitted. */
const char *isgi_onnx_export_operand(isgi_onnx_export *x, int32_t k);
const char *isgi_onnx_export_output(isgi_onnx_export *x, int32_t k);
void isgi_onnx_export_conv_attr(isgi_onnx_export *x, IsgiOnnx__NodeProto *node, const isg_conv_attr *c, int32_t spatial,
                                const int64_t *kernel, int64_t groups);
/* Writes node x->node as a chain over its factors. 0 when it has no chain cheaper than its dense form. */
int isgi_onnx_export_chain(isgi_onnx_export *x);

#endif
