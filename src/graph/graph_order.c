/* SPDX-License-Identifier: Apache-2.0 */
/* Order and integrity of a graph: topological sort and the checks every later pass relies on. */
#include "graph/graph_internal.h"
#include "host/alloc.h"

#include <string.h>

isg_status isgi_node_fail(const isg_graph *g, int32_t node, isg_status status, const char *what, isg_error *err)
{
    char name[96];
    isgi_fail(err, status, "node '%s' (%s): %s", isgi_escape(name, sizeof name, g->nodes[node].name),
              isg_op_name(g->nodes[node].op), what);
    if (err) err->node = node;
    return status;
}

isg_status isgi_fault(const isgi_faults *f, const isg_graph *g, int32_t node, isg_status status, const isg_error *why,
                      isg_error *err)
{
    if (f && status != ISG_E_NOMEM) return f->add ? f->add(f->user, g, node, why) : ISG_OK;
    if (err) *err = *why;
    return status;
}

/* Sets every producer; fails where a value has two. */
static isg_status set_producers(isg_graph *g, isg_error *err)
{
    for (int32_t i = 0; i < g->value_count; i++) g->values[i].producer = -1;
    for (int32_t i = 0; i < g->node_count; i++) {
        const isg_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->output_count; k++) {
            const int32_t v = n->outputs[k];
            if (v == ISG_NO_VALUE) continue;
            if (v < 0 || v >= g->value_count)
                return isgi_node_fail(g, i, ISG_E_FORMAT, "output index out of range", err);
            if (g->values[v].producer >= 0)
                return isgi_node_fail(g, i, ISG_E_FORMAT, "its output has two producers", err);
            g->values[v].producer = i;
        }
    }
    return ISG_OK;
}

/* The next unvisited producer of node i's inputs: its index, -1 when there is none left, -2 on error. */
static int32_t next_producer(const isg_graph *g, int32_t i, int32_t *cursor, const uint8_t *state, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    while (*cursor < n->input_count) {
        const int32_t v = n->inputs[(*cursor)++];
        int32_t p;
        if (v == ISG_NO_VALUE) continue;
        if (v < 0 || v >= g->value_count) {
            (void)isgi_node_fail(g, i, ISG_E_FORMAT, "input index out of range", err);
            return -2;
        }
        p = g->values[v].producer;
        if (p >= 0 && state[p] == 1) {
            (void)isgi_node_fail(g, p, ISG_E_FORMAT, "it is part of a cycle", err);
            return -2;
        }
        if (p >= 0 && state[p] == 0) return p;
    }
    return -1;
}

/* Depth-first order with an explicit stack, so that a deep graph cannot exhaust the machine's. Roots are taken in the
 * old order, which keeps an already sorted graph as it is. */
static isg_status order_nodes(const isg_graph *g, int32_t *order, int32_t *stack, int32_t *cursor, uint8_t *state,
                              isg_error *err)
{
    int32_t done = 0;
    for (int32_t root = 0; root < g->node_count; root++) {
        int32_t depth = 0;
        if (state[root]) continue;
        stack[depth++] = root;
        state[root] = 1;
        while (depth > 0) {
            const int32_t i = stack[depth - 1];
            const int32_t next = next_producer(g, i, &cursor[i], state, err);
            if (next == -2) return ISG_E_FORMAT;
            if (next >= 0) {
                state[next] = 1;
                stack[depth++] = next;
            } else {
                state[i] = 2;
                order[done++] = i;
                depth--;
            }
        }
    }
    return ISG_OK;
}

isg_status isg_graph_sort(isg_graph *g, isg_error *err)
{
    const size_t count = (size_t)g->node_count;
    int32_t *order = isgi_calloc(count, sizeof *order), *stack = isgi_calloc(count, sizeof *stack);
    int32_t *cursor = isgi_calloc(count, sizeof *cursor);
    uint8_t *state = isgi_calloc(count, 1);
    isg_node *sorted = isgi_calloc(count, sizeof *sorted);
    isg_status status = ISG_OK;
    if (!order || !stack || !cursor || !state || !sorted) {
        status = isgi_nomem(err);
        goto done;
    }
    status = set_producers(g, err);
    if (status != ISG_OK) goto done;
    status = order_nodes(g, order, stack, cursor, state, err);
    if (status != ISG_OK) goto done;
    for (size_t i = 0; i < count; i++) sorted[i] = g->nodes[order[i]];
    if (count) memcpy(g->nodes, sorted, count * sizeof *sorted);
    status = set_producers(g, err);
done:
    isg_free(order);
    isg_free(stack);
    isg_free(cursor);
    isg_free(state);
    isg_free(sorted);
    return status;
}

static isg_status validate_value(const isg_graph *g, int32_t i, isg_error *err)
{
    const isg_value *v = &g->values[i];
    const char *fault = NULL;
    char name[96];
    if (!v->name) return isgi_fail(err, ISG_E_FORMAT, "value %d has no name", (int)i);
    if (v->rank < -1 || v->rank > ISG_MAX_RANK) fault = "rank out of range";
    for (int32_t d = 0; !fault && d < v->rank; d++)
        if (v->dims[d] < ISG_DIM_BATCH) fault = "negative dimension";
    if (v->producer < -1 || v->producer >= g->node_count) fault = "producer out of range";
    if (!fault && v->producer >= 0 && (v->constant || v->factors) && g->nodes[v->producer].op != ISG_OP_CONSTANT)
        fault = "it is a constant and computed";
    if (!fault && v->constant && v->factors) fault = "it has both a constant and factors";
    if (!fault && v->constant && (v->constant->dtype != v->dtype || v->constant->rank != v->rank))
        fault = "its constant has another type or rank";
    for (int32_t d = 0; !fault && v->constant && d < v->rank; d++)
        if (v->constant->dims[d] != v->dims[d]) fault = "its constant has another shape";
    if (!fault) return ISG_OK;
    return isgi_fail(err, ISG_E_FORMAT, "value '%s': %s", isgi_escape(name, sizeof name, v->name), fault);
}

/* `defined` marks what exists before node i runs. */
static isg_status validate_node(const isg_graph *g, int32_t i, uint8_t *defined, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    if (!n->name || !n->inputs || !n->outputs || (unsigned)n->op >= (unsigned)ISG_OP_COUNT)
        return isgi_fail(err, ISG_E_FORMAT, "node %d is incomplete", (int)i);
    for (int32_t k = 0; k < n->input_count; k++) {
        const int32_t v = n->inputs[k];
        if (v == ISG_NO_VALUE) continue;
        if (v < 0 || v >= g->value_count) return isgi_node_fail(g, i, ISG_E_FORMAT, "input index out of range", err);
        if (!defined[v]) return isgi_node_fail(g, i, ISG_E_FORMAT, "an input is not defined before it", err);
    }
    for (int32_t k = 0; k < n->output_count; k++) {
        const int32_t v = n->outputs[k];
        if (v == ISG_NO_VALUE) continue;
        if (v < 0 || v >= g->value_count) return isgi_node_fail(g, i, ISG_E_FORMAT, "output index out of range", err);
        if (g->values[v].producer != i)
            return isgi_node_fail(g, i, ISG_E_FORMAT, "its output has another producer", err);
        if (defined[v] && n->op != ISG_OP_CONSTANT)
            return isgi_node_fail(g, i, ISG_E_FORMAT, "its output is already defined", err);
        defined[v] = 1;
    }
    return ISG_OK;
}

isg_status isg_graph_validate(const isg_graph *g, isg_error *err)
{
    uint8_t *defined = isgi_calloc((size_t)g->value_count, 1);
    isg_status status = ISG_OK;
    if (!defined) return isgi_nomem(err);
    for (int32_t i = 0; i < g->value_count && status == ISG_OK; i++) {
        status = validate_value(g, i, err);
        defined[i] = g->values[i].constant || g->values[i].factors;
    }
    for (int32_t i = 0; i < g->input_count && status == ISG_OK; i++) {
        const int32_t v = g->inputs[i];
        if (v < 0 || v >= g->value_count)
            status = isgi_fail(err, ISG_E_FORMAT, "graph input %d: index out of range", (int)i);
        else if (defined[v])
            status = isgi_fail(err, ISG_E_FORMAT, "graph input %d is a constant or given twice", (int)i);
        else
            defined[v] = 1;
    }
    for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++) status = validate_node(g, i, defined, err);
    for (int32_t i = 0; i < g->output_count && status == ISG_OK; i++) {
        const int32_t v = g->outputs[i];
        if (v < 0 || v >= g->value_count || !defined[v])
            status = isgi_fail(err, ISG_E_FORMAT, "graph output %d is not defined", (int)i);
    }
    isg_free(defined);
    return status;
}
