/* SPDX-License-Identifier: Apache-2.0 */
/* The hosted intermediate representation: tensors, values, nodes, graphs; passes over them; the float interpreter. */
#ifndef INSITU_GRAPH_H
#define INSITU_GRAPH_H

#include <insitu/factors.h>
#include <insitu/memory.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ISG_MAX_RANK 8
#define ISG_DIM_UNKNOWN (-1)
#define ISG_DIM_BATCH (-2) /* symbolic leading batch dimension */

typedef enum isg_dtype { /* numbers of ONNX TensorProto.DataType */
                         ISG_DT_NONE = 0,
                         ISG_DT_F32 = 1,
                         ISG_DT_U8 = 2,
                         ISG_DT_I8 = 3,
                         ISG_DT_U16 = 4,
                         ISG_DT_I16 = 5,
                         ISG_DT_I32 = 6,
                         ISG_DT_I64 = 7,
                         ISG_DT_BOOL = 9,
                         ISG_DT_F16 = 10,
                         ISG_DT_F64 = 11,
                         ISG_DT_U32 = 12,
                         ISG_DT_U64 = 13,
                         ISG_DT_BF16 = 16
} isg_dtype;
size_t isg_dtype_size(isg_dtype dtype); /* 0 for types we do not know */
/* "float16" and so on, also of ONNX's types that tensors of ours cannot hold; "unknown" for other numbers. */
const char *isg_dtype_name(int32_t dtype);

/* Owns `data` (64-byte aligned, row-major, dims product x dtype size bytes). Rank 0 is a scalar. */
typedef struct isg_tensor {
    isg_dtype dtype;
    int32_t rank;
    int64_t dims[ISG_MAX_RANK];
    int64_t count; /* product of dims */
    void *data;
} isg_tensor;
ISG_NODISCARD isg_status isg_tensor_create(isg_tensor **out, isg_dtype dtype, int32_t rank, const int64_t *dims,
                                           isg_error *err); /* zero filled */
ISG_NODISCARD isg_status isg_tensor_clone(isg_tensor **out, const isg_tensor *src, isg_error *err);
void isg_tensor_destroy(isg_tensor *t); /* NULL is fine */

typedef enum isg_op {
#define ISG_OP(id, onnx_name) ISG_OP_##id,
#include <insitu/graph_ops.def>
#undef ISG_OP
    ISG_OP_COUNT
} isg_op;
const char *isg_op_name(isg_op op); /* the ONNX name */

/* Attributes, one member a kind of op; the op decides which is valid. Pads are begin and end per spatial axis:
 * pads[0..n-1] begins, pads[n..2n-1] ends. auto_pad is resolved as soon as the shape is known.
 *
 * One convention for every opset: what any version of ONNX takes as an input is an input here, in the newest order, and
 * an importer turns the old attribute into a constant: PAD (X, pads, value, axes), SLICE (X, starts, ends, axes,
 * steps), SPLIT (X, sizes), RESHAPE (X, shape), DROPOUT (X, ratio, training_mode), CLIP (X, lo, hi). For REDUCE_MEAN,
 * SQUEEZE and UNSQUEEZE either input 1 or attr.axes may hold the axes; for CLIP either the inputs or attr.scalar lo and
 * hi. CONSTANT_OF_SHAPE takes its one-element value as input 1 (float 0 when absent). A CONSTANT node is not needed:
 * its output is a value with `constant` set. isg_graph_add_node() fills in ONNX's defaults. */
typedef enum isg_auto_pad { ISG_PAD_NOTSET = 0, ISG_PAD_SAME_UPPER, ISG_PAD_SAME_LOWER, ISG_PAD_VALID } isg_auto_pad;
typedef enum isg_pad_mode { ISG_PAD_CONSTANT = 0, ISG_PAD_REFLECT, ISG_PAD_EDGE } isg_pad_mode;
typedef struct isg_conv_attr {                          /* CONV, MAX_POOL, AVERAGE_POOL; n spatial axes (1..3) */
    int32_t n;                                          /* 0: from the shapes, with the defaults below */
    int64_t kernel[3], stride[3], dilation[3], pads[6]; /* kernel 0: from W; the defaults are 1, 1 and 0 */
    int64_t groups;
    isg_auto_pad auto_pad;
    int32_t ceil_mode, count_include_pad, storage_order;
} isg_conv_attr;
typedef struct isg_gemm_attr {
    float alpha, beta;
    int32_t trans_a, trans_b;
} isg_gemm_attr;
typedef struct isg_axes_attr { /* SOFTMAX, CONCAT, FLATTEN, GATHER, SPLIT: axes[0]; REDUCE_MEAN, SQUEEZE, UNSQUEEZE:
                                  all; TRANSPOSE: perm; SHAPE: start/end */
    int32_t n;
    int64_t axes[ISG_MAX_RANK];
    int32_t keepdims, noop_with_empty;
    int64_t start, end;
    int32_t has_end;
    int32_t allow_zero; /* RESHAPE: a 0 in the shape is a zero, not a copy */
} isg_axes_attr;
typedef struct isg_scalar_attr {
    float alpha, beta, lo, hi;
    int32_t training; /* BATCH_NORM: training_mode */
} isg_scalar_attr; /* LEAKY_RELU alpha; HARD_SIGMOID alpha, beta; CLIP lo, hi (infinite when absent); BATCH_NORM alpha
                      is epsilon, beta the momentum */
typedef struct isg_pad_attr {
    isg_pad_mode mode;
} isg_pad_attr; /* pads, value, axes are inputs 1..3 */
typedef struct isg_cast_attr {
    isg_dtype to;
} isg_cast_attr;
typedef union isg_attr {
    isg_conv_attr conv;
    isg_gemm_attr gemm;
    isg_axes_attr axes;
    isg_scalar_attr scalar;
    isg_pad_attr pad;
    isg_cast_attr cast;
} isg_attr;

#define ISG_NO_VALUE (-1) /* an omitted optional input */

typedef struct isg_value {
    char *name; /* unique in the graph; owned */
    isg_dtype dtype;
    int32_t rank; /* -1 unknown */
    int64_t dims[ISG_MAX_RANK];
    isg_tensor *constant; /* owned; initialiser or folded */
    isg_factors *factors; /* owned; a compressed weight: constant is NULL then; dtype, rank, dims stay those of W */
    int32_t producer;     /* node index or -1 */
} isg_value;

typedef struct isg_node {
    char *name; /* owned, may be "" */
    isg_op op;
    isg_attr attr;
    int32_t *inputs, *outputs; /* value indices; owned */
    int32_t input_count, output_count;
    int32_t source; /* 1 + index of the node of the ONNX file that it came from; 0: none */
} isg_node;

typedef struct isg_graph {
    isg_value *values;
    int32_t value_count, value_capacity;
    isg_node *nodes; /* topological order */
    int32_t node_count, node_capacity;
    int32_t *inputs, *outputs; /* value indices; inputs exclude constants */
    int32_t input_count, output_count;
    int64_t opset;
    char *producer;          /* of the source file; may be NULL */
    char *license;           /* SPDX or free text from the source's metadata; may be NULL */
    uint8_t source_hash[32]; /* SHA-256 of the source file, zero if unknown */
} isg_graph;

void isg_graph_destroy(isg_graph *g);
ISG_NODISCARD isg_status isg_graph_create(isg_graph **out, isg_error *err);
ISG_NODISCARD isg_status isg_graph_clone(isg_graph **out, const isg_graph *g, isg_error *err);
/* Editing. Return the new index, or a negative isg_status (and then nothing changed). Names are copied and made unique
 * if taken. add_value: rank -1 for unknown (dims may be NULL). add_constant: the graph owns `take` on success, the
 * caller keeps it on failure. add_node: inputs and outputs may be ISG_NO_VALUE; attr holds ONNX's defaults of the op.
 */
int32_t isg_graph_add_value(isg_graph *g, const char *name, isg_dtype dtype, int32_t rank, const int64_t *dims);
int32_t isg_graph_add_constant(isg_graph *g, const char *name, isg_tensor *take);
int32_t isg_graph_add_node(isg_graph *g, isg_op op, const char *name, const int32_t *inputs, int32_t input_count,
                           const int32_t *outputs, int32_t output_count);
int32_t isg_graph_find_value(const isg_graph *g, const char *name); /* -1 if absent */
/* What reports, recipes, overrides and .isg files call node `node`: its name, or its first output's if it has none. */
const char *isg_graph_layer_name(const isg_graph *g, int32_t node);
/* Appends a value to the graph's inputs or outputs. */
ISG_NODISCARD isg_status isg_graph_add_input(isg_graph *g, int32_t value, isg_error *err);
ISG_NODISCARD isg_status isg_graph_add_output(isg_graph *g, int32_t value, isg_error *err);
ISG_NODISCARD isg_status isg_graph_sort(isg_graph *g, isg_error *err);           /* topological; FORMAT on a cycle */
ISG_NODISCARD isg_status isg_graph_validate(const isg_graph *g, isg_error *err); /* every index, unique producers */

/* Shapes of every value from the inputs'. A dimension that follows the batch is ISG_DIM_BATCH; one that depends on it
 * in another way (2 N) is ISG_DIM_UNKNOWN. Errors: SHAPE; UNSUPPORTED when an input has an unknown dimension besides
 * the batch, or a shape depends on values that only a run gives. */
ISG_NODISCARD isg_status isg_graph_infer(isg_graph *g, isg_error *err);
/* Constant folding (Identity and Transpose of weights, Shape chains, integer arithmetic), dead nodes and values, and
 * nodes that do nothing (Dropout, zero Pad, 1x1 AveragePool, a Reshape to the same shape). Goes as far as it can where
 * shapes are not known yet. Indices change; names of inputs and outputs stay. */
ISG_NODISCARD isg_status isg_graph_fold(isg_graph *g, isg_error *err);
/* Conv + BatchNorm -> Conv, canonical GEMM + BatchNorm -> GEMM, for constant weights; the rest of BatchNorm stays. */
ISG_NODISCARD isg_status isg_graph_fold_batchnorm(isg_graph *g, isg_error *err);
/* infer, fold, fold_batchnorm, canonical forms. Afterwards, and this is what pack, train and compress rely on:
 *   - every shape is known but for the batch; attr of CONV and pools has n, kernel, stride, dilation and pads filled
 * in, auto_pad NOTSET, ceil_mode 0; axes are non-negative;
 *   - ceil_mode is resolved into larger end pads. That is exact for MAX_POOL and for AVERAGE_POOL without
 *     count_include_pad, where padding never counts (begin and end pads may differ, and an end pad may exceed the
 *     kernel's reach by nothing). An AVERAGE_POOL that counts its padding and hangs over it becomes PAD followed by one
 *     that does not count. count_include_pad is 0 where there are no pads;
 *   - CONV has inputs X, W [, B] with W constant or factors and B constant [co]; a PAD of spatial zeros in front, and
 *     an ADD of one constant a channel behind, have been merged;
 *   - MATMUL with a constant right operand and a rank-2 left, and GEMM, have become GEMM with trans_b = 1, alpha = beta
 *     = 1, W [out,in] constant or factors, B constant [out] or absent, and a rank-2 X. A MATMUL of higher rank, or of
 *     two computed operands, stays MATMUL;
 *   - slices, pads, split sizes and reshape targets are constant inputs, PAD without axes (2 rank numbers), SPLIT
 * always with sizes; limits of CLIP and axes of REDUCE_MEAN (sorted, none meaning no-op) are attributes and input 1 on
 * is gone (else UNSUPPORTED naming the node). A target of RESHAPE is 0 where the batch stays at its place and -1 where
 *     it moves; TRANSPOSE has all of perm;
 *   - REDUCE_MEAN over all spatial axes is GLOBAL_AVERAGE_POOL (and RESHAPE if it dropped them); SUM of two is ADD;
 *   - BATCH_NORM that stays has constant parameters; SOFTMAX runs over one axis whatever the opset;
 *   - DROPOUT, IDENTITY, CONSTANT, SHAPE, CAST to the same type, SQUEEZE, UNSQUEEZE, FLATTEN are gone or RESHAPE. (An
 *     IDENTITY stays only between an input or constant and an output of the graph.) */
ISG_NODISCARD isg_status isg_graph_prepare(isg_graph *g, isg_error *err);

/* The reference interpreter: any node, any dtype it supports, plain C, strict floating point, ONNX layouts.
 * Runs the graph on `inputs` (graph order). outputs[i] are new tensors the caller owns. */
ISG_NODISCARD isg_status isg_interp_run(const isg_graph *g, const isg_tensor *const *inputs, isg_tensor **outputs,
                                        isg_error *err);
/* The same, calling visit for every computed value. */
typedef void (*isg_interp_visit)(void *user, int32_t value, const isg_tensor *t);
ISG_NODISCARD isg_status isg_interp_run_visit(const isg_graph *g, const isg_tensor *const *inputs, isg_tensor **outputs,
                                              isg_interp_visit visit, void *user, isg_error *err);
/* Whether the interpreter knows `op` at all. */
int isg_interp_supports(isg_op op);

/* W of a compressed or constant weight value as a dense tensor in ONNX order (through rt/gen). */
ISG_NODISCARD isg_status isg_graph_weight(const isg_graph *g, int32_t value, isg_tensor **out, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
