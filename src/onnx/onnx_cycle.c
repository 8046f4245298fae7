/* SPDX-License-Identifier: Apache-2.0 */
/* Cycles of a graph that is being imported: each is a problem that names its nodes, and is cut, so that the rest of the
 * graph can be looked at. */
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_import.h"

#define SHOWN_NODES 3

typedef struct cycle_walk {
    isgi_onnx_import *in;
    int32_t count;           /* nodes of the file; stand-ins come behind them */
    int32_t *stack, *cursor; /* nodes under way, each a consumer of the next; the next input of each node */
    int32_t *place;          /* of each node: 0 not visited, -1 done, else 1 + where it is in the stack */
    int32_t depth, found;
} cycle_walk;

/* stack[low] .. stack[depth-1], whose last node takes a result of the first: data go from the first to the last and
 * from each to the one before it. */
static isg_status cycle_problem(const cycle_walk *w, int32_t low)
{
    const isg_graph *g = w->in->graph;
    const int32_t n = w->depth - low, shown = n < SHOWN_NODES + 1 ? n : SHOWN_NODES;
    char text[200], name[36];
    size_t used = 0;
    isgi_escape(name, sizeof name, isg_graph_layer_name(g, w->stack[low]));
    if (n == 1)
        return isgi_onnx_problem(w->in, -1, NULL, ISG_E_FORMAT, "", "cycle: node '%s' takes its own result", name);
    for (int32_t k = 0; k < shown && used < sizeof text; k++) {
        const int32_t node = w->stack[k == 0 ? low : w->depth - k];
        char part[36];
        isgi_escape(part, sizeof part, isg_graph_layer_name(g, node));
        used += (size_t)snprintf(text + used, sizeof text - used, "'%s' -> ", part);
    }
    if (shown < n && used < sizeof text) snprintf(text + used, sizeof text - used, "%d more -> ", (int)(n - shown));
    return isgi_onnx_problem(w->in, -1, NULL, ISG_E_FORMAT, "", "cycle of %d nodes: %s'%s'", (int)n, text, name);
}

/* Input k of `node`, and what else it takes from the same producer, becomes a value that nothing is known of. */
static isg_status cycle_cut(cycle_walk *w, int32_t node, int32_t k)
{
    isg_graph *g = w->in->graph;
    const int32_t p = g->values[g->nodes[node].inputs[k]].producer;
    char suffix[24], *base = isgi_strdup(g->values[g->nodes[node].inputs[k]].name); /* the array moves as it grows */
    int32_t fresh = -1;
    isg_status status;
    if (!base) return isgi_nomem(w->in->err);
    snprintf(suffix, sizeof suffix, "cut%d", (int)w->found);
    status = isgi_onnx_add_derived(w->in, base, suffix, &fresh);
    isg_free(base);
    if (status != ISG_OK) return status;
    for (; k < g->nodes[node].input_count; k++) {
        int32_t *input = &g->nodes[node].inputs[k];
        if (*input >= 0 && g->values[*input].producer == p) *input = fresh;
    }
    return isgi_onnx_stand_in(w->in, NULL, NULL, 0, &fresh, 1);
}

/* The next producer of node i's inputs that was not visited, or -1; cycles that close on the way are said and cut. */
static isg_status cycle_next(cycle_walk *w, int32_t i, int32_t *next)
{
    const isg_graph *g = w->in->graph;
    *next = -1;
    while (w->cursor[i] < g->nodes[i].input_count) {
        const int32_t k = w->cursor[i]++, v = g->nodes[i].inputs[k];
        const int32_t p = v < 0 ? -1 : g->values[v].producer;
        isg_status status;
        if (p < 0 || p >= w->count || w->place[p] < 0) continue;
        if (w->place[p] == 0) {
            *next = p;
            return ISG_OK;
        }
        if (w->found++ >= ISGI_ONNX_MAX_PROBLEMS) continue; /* those left keep the graph from being looked at further */
        status = cycle_problem(w, w->place[p] - 1);
        if (status == ISG_OK) status = cycle_cut(w, i, k);
        if (status != ISG_OK) return status;
    }
    return ISG_OK;
}

static void cycle_enter(cycle_walk *w, int32_t node)
{
    w->stack[w->depth++] = node;
    w->place[node] = w->depth;
}

static isg_status cycle_walk_from(cycle_walk *w, int32_t root)
{
    cycle_enter(w, root);
    while (w->depth > 0) {
        const int32_t i = w->stack[w->depth - 1];
        int32_t next;
        const isg_status status = cycle_next(w, i, &next);
        if (status != ISG_OK) return status;
        if (next >= 0) {
            cycle_enter(w, next);
        } else {
            w->place[i] = -1;
            w->depth--;
        }
    }
    return ISG_OK;
}

isg_status isgi_onnx_cut_cycles(isgi_onnx_import *in)
{
    cycle_walk w = {.in = in, .count = in->graph->node_count};
    const size_t count = (size_t)w.count;
    isg_status status = ISG_OK;
    w.stack = isgi_calloc(count, sizeof *w.stack);
    w.cursor = isgi_calloc(count, sizeof *w.cursor);
    w.place = isgi_calloc(count, sizeof *w.place);
    if (!w.stack || !w.cursor || !w.place) status = isgi_nomem(in->err);
    for (int32_t root = 0; root < w.count && status == ISG_OK; root++)
        if (w.place[root] == 0) status = cycle_walk_from(&w, root);
    isg_free(w.stack);
    isg_free(w.cursor);
    isg_free(w.place);
    return status;
}
