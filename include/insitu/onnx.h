/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX in and out: import with every problem listed, export dense or as chains of convolutions. */
#ifndef INSITU_ONNX_H
#define INSITU_ONNX_H

#include <insitu/graph.h>
#include <insitu/host.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct isg_onnx_problem {
    char node[96], op[48], reason[200], hint[120];
    int64_t opset;
    int32_t node_index; /* -1: the model as a whole */
} isg_onnx_problem;

/* All problems found, not only the first. Caller zero-initialises; isg_onnx_problems_clear() frees. */
typedef struct isg_onnx_problems {
    isg_onnx_problem *items;
    int32_t count, capacity;
} isg_onnx_problems;
void isg_onnx_problems_clear(isg_onnx_problems *p);

typedef struct isg_onnx_options {
    uint32_t struct_size;
    uint64_t max_bytes; /* cap on everything allocated for the model; 0: 16 GiB */
    const char *shape;  /* "name=1x3x224x224[,name=...]" to fix unknown dimensions; NULL: none */
    /* Files that the caller is about to replace: external data that are one of them are refused (ARG). NULL entries are
     * skipped. */
    const char *const *outputs;
    uint32_t output_count;
    /* Told, in one line that lives as long as the call, what the user should know of a model that is read all the same:
     * an opset or IR version newer than those known. NULL: nobody is told. */
    void (*warning)(void *user, const char *message);
    void *user;
} isg_onnx_options;

/* Opset 7 to 27, IR version 3 to 13; newer ones by the rules of these, with a warning. External data is read only from
 * inside the model's folder: relative, no "..", no links (see docs/security.md). `problems` may be NULL. Not prepared:
 * call isg_graph_prepare() before packing or training. Errors: IO, FORMAT (not ONNX), UNSUPPORTED (problems lists why),
 * LIMIT, ARG (shape, outputs). */
ISG_NODISCARD isg_status isg_onnx_import_file(isg_graph **out, const char *path, const isg_onnx_options *options,
                                              isg_onnx_problems *problems, isg_error *err);
/* The same from a file that is open, which may be a pipe; `path` says where external data lie. */
ISG_NODISCARD isg_status isg_onnx_import_opened(isg_graph **out, const isg_file *file, const char *path,
                                                const isg_onnx_options *options, isg_onnx_problems *problems,
                                                isg_error *err);
/* From memory; external data is refused unless `folder` is given. */
ISG_NODISCARD isg_status isg_onnx_import_memory(isg_graph **out, const void *bytes, size_t size, const char *folder,
                                                const isg_onnx_options *options, isg_onnx_problems *problems,
                                                isg_error *err);
/* A serialised TensorProto (input_0.pb of the node tests). */
ISG_NODISCARD isg_status isg_onnx_tensor_from_memory(isg_tensor **out, const void *bytes, size_t size, isg_error *err);

typedef enum isg_onnx_form { ISG_ONNX_DENSE = 0, ISG_ONNX_FACTORED = 1 } isg_onnx_form;
/* Writes atomically. DENSE: every factored weight generated. FACTORED: Conv chains (1x1, depthwise, sum over bi, 1x1).
 */
ISG_NODISCARD isg_status isg_onnx_export_file(const isg_graph *g, const char *path, isg_onnx_form form, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
