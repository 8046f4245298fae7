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

/* Who wants to hear of every problem, not of the first alone: a pass that is given one reports a problem and goes on
 * with what does not depend on it. NULL instead of one: the pass fails at the first problem. */
typedef struct isgi_faults {
    /* node -1: the graph as a whole. NULL: problems are passed over. Returns OK to go on. */
    isg_status (*add)(void *user, const isg_graph *g, int32_t node, const isg_error *why);
    void *user;
} isgi_faults;
/* OK where the pass goes on; else the status, with *why in *err. */
isg_status isgi_fault(const isgi_faults *f, const isg_graph *g, int32_t node, isg_status status, const isg_error *why,
                      isg_error *err);
/* isg_graph_infer(), isg_graph_fold() and isg_graph_prepare() so. */
isg_status isgi_graph_infer(isg_graph *g, const isgi_faults *faults, isg_error *err);
isg_status isgi_graph_fold(isg_graph *g, const isgi_faults *faults, isg_error *err);
isg_status isgi_graph_prepare(isg_graph *g, const isgi_faults *faults, isg_error *err);

/* Gives every node its own bias and BatchNorm constants; the function stays. Before these are changed, by training or
 * by compensation. */
ISG_NODISCARD isg_status isgi_graph_untie(isg_graph *g, isg_error *err);

#endif
