/* SPDX-License-Identifier: Apache-2.0 */
/* One definition of every operator: a shape function, shared by inference and execution, and an evaluator. */
#ifndef INSITU_GRAPH_INTERP_INTERNAL_H
#define INSITU_GRAPH_INTERP_INTERNAL_H

#include "base/error.h"
#include "graph/graph_internal.h"
#include "host/alloc.h"

/* One application of an operator. in[i] is NULL when omitted; during inference in[i]->data is NULL unless its content
 * is known. The shape function fills dtype, rank, dims and count of every out[i]; the evaluator, run with data present
 * in all inputs and zero-filled data in all outputs, fills the data. Their messages name the fault, not the node. */
typedef struct isgi_call {
    const isg_node *node;
    int64_t opset;
    const isg_tensor *const *in;
    int32_t in_count;
    isg_tensor *out;
    int32_t out_count;
    isg_error *err;
} isgi_call;

typedef struct isgi_op_def {
    isg_status (*shape)(isgi_call *c);
    isg_status (*eval)(const isgi_call *c);
} isgi_op_def;
const isgi_op_def *isgi_op_definition(isg_op op);

/* in[i], or NULL when it is omitted or beyond the list. */
static inline const isg_tensor *isgi_in(const isgi_call *c, int32_t i)
{
    return i < c->in_count ? c->in[i] : NULL;
}

/* Fails unless the node has least..most inputs, the first `required` of them present, and 1..outputs outputs. */
isg_status isgi_arity(const isgi_call *c, int32_t required, int32_t most, int32_t outputs);
/* Adds rank to a negative axis; SHAPE when it is out of range 0..rank-1. */
isg_status isgi_axis(int64_t *axis, int64_t given, int32_t rank, isg_error *err);
/* Elements of an INT32 or INT64 vector (or scalar) of at most `limit` elements. UNSUPPORTED when its content is not
 * known. */
isg_status isgi_read_list(int64_t *list, int32_t *count, int32_t limit, const isg_tensor *t, isg_error *err);
/* Axes from input 1, else from attr.axes, made non-negative, without repetition. */
isg_status isgi_read_axes(int64_t *axes, int32_t *count, const isgi_call *c, int32_t rank);
isg_status isgi_broadcast(isg_tensor *shape, const isg_tensor *t, isg_error *err);
isg_status isgi_shape_like(const isgi_call *c, int32_t out, const isg_tensor *t);

int isgi_is_float(isg_dtype dtype);
isg_status isgi_need_float(const isg_tensor *t, isg_error *err);
/* SHAPE unless all inputs that are present have the element type of the first one, which must be. */
isg_status isgi_need_one_type(const isgi_call *c);
/* count elements from `offset` on, as numbers. Integers are exact in the i64 form (U64 keeps its bits). */
void isgi_read_f64(double *dst, const isg_tensor *t, int64_t offset, int64_t count);
void isgi_write_f64(isg_tensor *t, int64_t offset, const double *src, int64_t count);
void isgi_read_i64(int64_t *dst, const isg_tensor *t, int64_t offset, int64_t count);
void isgi_write_i64(isg_tensor *t, int64_t offset, const int64_t *src, int64_t count);
/* The whole tensor as numbers in new memory, or NULL. */
double *isgi_tensor_f64(const isg_tensor *t);

/* A convolution or pooling window with every default resolved; spatial axes are right-aligned in three. */
typedef struct isgi_window {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
} isgi_window;
/* x has rank 2 + n; kernel_dims NULL for pools. */
isg_status isgi_resolve_window(isgi_window *w, const isg_conv_attr *a, const isg_tensor *x, const int64_t *kernel_dims,
                               isg_error *err);

/* Runs shape and eval on known inputs; the outputs' data are the caller's. */
isg_status isgi_apply(isgi_call *c);

#define ISGI_OP_FUNCTIONS(name)                                                                                        \
    isg_status isgi_shape_##name(isgi_call *c);                                                                        \
    isg_status isgi_eval_##name(const isgi_call *c)
ISGI_OP_FUNCTIONS(arith);
ISGI_OP_FUNCTIONS(sum);
ISGI_OP_FUNCTIONS(unary);
ISGI_OP_FUNCTIONS(softmax);
ISGI_OP_FUNCTIONS(reduce_mean);
ISGI_OP_FUNCTIONS(batch_norm);
ISGI_OP_FUNCTIONS(conv);
ISGI_OP_FUNCTIONS(pool);
ISGI_OP_FUNCTIONS(global_pool);
ISGI_OP_FUNCTIONS(gemm);
ISGI_OP_FUNCTIONS(matmul);
ISGI_OP_FUNCTIONS(cast);
ISGI_OP_FUNCTIONS(concat);
ISGI_OP_FUNCTIONS(constant_of_shape);
ISGI_OP_FUNCTIONS(dropout);
ISGI_OP_FUNCTIONS(gather);
ISGI_OP_FUNCTIONS(pad);
ISGI_OP_FUNCTIONS(shape);
ISGI_OP_FUNCTIONS(slice);
ISGI_OP_FUNCTIONS(split);
ISGI_OP_FUNCTIONS(transpose);
isg_status isgi_shape_identity(isgi_call *c);
isg_status isgi_shape_reshape(isgi_call *c);
isg_status isgi_shape_flatten(isgi_call *c);
isg_status isgi_shape_squeeze(isgi_call *c);
isg_status isgi_shape_unsqueeze(isgi_call *c);
isg_status isgi_eval_copy(const isgi_call *c); /* same elements, other shape */

#endif
