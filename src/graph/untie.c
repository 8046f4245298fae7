/* SPDX-License-Identifier: Apache-2.0 */
/* Biases and BatchNorm constants that several nodes share: exporters store equal initialisers once. What changes
 * those of one node would change them all, so each gets its own. */
#include "graph/graph_internal.h"

#include "base/error.h"
#include "host/alloc.h"

/* Whether input `slot` of the node is a parameter of this node alone. */
static int is_own(const isg_node *node, int32_t slot)
{
    if (node->op == ISG_OP_BATCH_NORM) return slot > 0;
    return (node->op == ISG_OP_CONV || node->op == ISG_OP_GEMM) && slot == 2;
}

static isg_status give_own(isg_graph *g, int32_t node, int32_t slot, isg_error *err)
{
    const isg_value *v = &g->values[g->nodes[node].inputs[slot]];
    isg_tensor *copy = NULL;
    int32_t value;
    ISGI_TRY(isg_tensor_clone(&copy, v->constant, err));
    value = isg_graph_add_constant(g, v->name, copy);
    if (value < 0) {
        isg_tensor_destroy(copy);
        return isgi_fail(err, (isg_status)value, "cannot copy a shared constant");
    }
    g->nodes[node].inputs[slot] = value;
    return ISG_OK;
}

isg_status isgi_graph_untie(isg_graph *g, isg_error *err)
{
    const int32_t count = g->value_count;
    int32_t *uses = isgi_calloc((size_t)count + 1, sizeof *uses);
    isg_status status = uses ? ISG_OK : isgi_nomem(err);
    for (int32_t i = 0; status == ISG_OK && i < g->node_count; i++) {
        for (int32_t k = 0; k < g->nodes[i].input_count; k++)
            if (g->nodes[i].inputs[k] >= 0) uses[g->nodes[i].inputs[k]]++;
    }
    for (int32_t i = 0; status == ISG_OK && i < g->output_count; i++) uses[g->outputs[i]]++;
    for (int32_t i = 0; status == ISG_OK && i < g->node_count; i++) {
        for (int32_t k = 0; status == ISG_OK && k < g->nodes[i].input_count; k++) {
            const int32_t v = g->nodes[i].inputs[k];
            if (v < 0 || v >= count || !is_own(&g->nodes[i], k) || !g->values[v].constant || uses[v] < 2) continue;
            status = give_own(g, i, k, err);
            uses[v]--;
        }
    }
    isg_free(uses);
    return status;
}
