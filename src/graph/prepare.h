/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of isg_graph_prepare(). */
#ifndef INSITU_GRAPH_PREPARE_H
#define INSITU_GRAPH_PREPARE_H

#include "graph/edit.h"

static inline int isgi_has_input(const isg_node *n, int32_t k)
{
    return k < n->input_count && n->inputs[k] >= 0;
}

/* The constant behind input k, or NULL. */
static inline const isg_tensor *isgi_constant_of(const isg_graph *g, const isg_node *n, int32_t k)
{
    return isgi_has_input(n, k) ? g->values[n->inputs[k]].constant : NULL;
}

/* A constant or a factored weight. */
static inline int isgi_is_weight(const isg_graph *g, const isg_node *n, int32_t k)
{
    return isgi_has_input(n, k) && (g->values[n->inputs[k]].constant || g->values[n->inputs[k]].factors);
}

/* Node i, a CONV or pool, gets explicit windows; may insert a node before it. */
isg_status isgi_prepare_window(isg_graph *g, int32_t i, isg_error *err);
/* Node i, a CONV, takes over a zero Pad in front of it. */
isg_status isgi_merge_pad(isg_graph *g, int32_t i, isg_error *err);
/* Node i, a GEMM or MATMUL, becomes the canonical GEMM where it can; a MATMUL it cannot become one of stays. */
isg_status isgi_prepare_gemm(isg_graph *g, int32_t i, isg_error *err);
/* An ADD of a constant row behind a canonical GEMM without bias becomes its bias; behind a CONV, per channel. */
isg_status isgi_merge_bias(isg_graph *g, int32_t i, isg_error *err);
int isgi_gemm_is_canonical(const isg_graph *g, const isg_node *n);

#endif
