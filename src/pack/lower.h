/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that turn a prepared graph into a program share. */
#ifndef INSITU_PACK_LOWER_H
#define INSITU_PACK_LOWER_H

#include "pack/program.h"

typedef struct isgi_lowering {
    isgi_program *p;
    const isg_graph *g;
    const isg_pack_options *options;
    isgi_ref *refs;    /* per value: the tensor that holds its elements, in the same order but maybe another shape */
    int32_t *uses;     /* per value: by live nodes and as graph output */
    int32_t *consumer; /* per value: the last live node that takes it */
    uint8_t *live;     /* per node: some output depends on it */
    uint8_t *absorbed; /* per node: becomes a part of its consumer */
    int32_t node;      /* being lowered */
    const isgi_faults *faults; /* NULL: the first problem ends it */
    uint8_t *fed;              /* per value, with faults: its content depends on an input's */
} isgi_lowering;

/* `status` naming the node being lowered. */
isg_status isgi_lower_fail(const isgi_lowering *l, isg_status status, const char *what, isg_error *err);
/* Shape of a value: rank 1..4, a scalar as [1]. Errors: UNSUPPORTED. */
ISG_NODISCARD isg_status isgi_lower_shape(const isgi_lowering *l, int32_t value, isgi_shape *shape, isg_error *err);
/* The tensor of input `k` of the node, in the shape its value has: emits a pending reshape, enters a constant. */
ISG_NODISCARD isg_status isgi_lower_operand(isgi_lowering *l, const isg_node *n, int32_t k, isgi_ref *ref,
                                            isg_error *err);
ISG_NODISCARD isg_status isgi_lower_value(isgi_lowering *l, int32_t value, isgi_ref *ref, isg_error *err);
/* A new operation named after the node. */
ISG_NODISCARD isg_status isgi_lower_emit(isgi_lowering *l, isg_op_kind kind, const isgi_ref *inputs, uint32_t count,
                                         const isgi_shape *shape, isgi_ref *ref, isgi_program_op **op, isg_error *err);
/* The same for output `k` of the node. */
ISG_NODISCARD isg_status isgi_lower_output(isgi_lowering *l, isg_op_kind kind, const isgi_ref *inputs, uint32_t count,
                                           const isg_node *n, int32_t k, isgi_program_op **op, isg_error *err);
/* `out` holds the elements of `in` in the same order. */
ISG_NODISCARD isg_status isgi_lower_alias(isgi_lowering *l, int32_t out, int32_t in, isg_error *err);
/* The elements of an int64 constant input as int64, NULL if omitted (count 0). Errors: UNSUPPORTED. */
ISG_NODISCARD isg_status isgi_lower_integers(const isgi_lowering *l, const isg_node *n, int32_t k,
                                             const int64_t **values, int64_t *count, isg_error *err);
/* The elements of a float32 constant input, NULL if omitted. */
ISG_NODISCARD isg_status isgi_lower_floats(const isgi_lowering *l, const isg_node *n, int32_t k, const float **values,
                                           int64_t *count, isg_error *err);
/* Whether input k is present. */
int isgi_lower_has(const isg_node *n, int32_t k);

typedef isg_status (*isgi_lower_fn)(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_conv(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_gemm(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_batch_norm(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_pool(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_global_pool(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_binary(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_sum(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_activation(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_softmax(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_concat(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_slice(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_split(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_pad(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_transpose(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_reshape(isgi_lowering *l, const isg_node *n, isg_error *err);
isg_status isgi_lower_reduce_mean(isgi_lowering *l, const isg_node *n, isg_error *err);

#endif
