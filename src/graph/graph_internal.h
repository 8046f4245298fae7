/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of src/graph share: tensor shapes, the operator table, editing helpers of the passes. */
#ifndef INSITU_GRAPH_INTERNAL_H
#define INSITU_GRAPH_INTERNAL_H

#include <insitu/graph.h>

#define ISGI_MAX_TENSOR_BYTES ((int64_t)1 << 40)

/* Fills a tensor that has a shape and no data yet. Errors: SHAPE, LIMIT, UNSUPPORTED. */
isg_status isgi_tensor_shape(isg_tensor *t, isg_dtype dtype, int32_t rank, const int64_t *dims, isg_error *err);
/* Zero-filled data for a tensor made by isgi_tensor_shape(). */
isg_status isgi_tensor_alloc(isg_tensor *t, isg_error *err);

void isgi_graph_clear_value(isg_value *v);
void isgi_graph_clear_node(isg_node *n);
/* ONNX's default attributes of n->op. */
void isgi_graph_default_attr(isg_node *n);

/* `status` with a message that names the node. */
isg_status isgi_node_fail(const isg_graph *g, int32_t node, isg_status status, const char *what, isg_error *err);

#endif
