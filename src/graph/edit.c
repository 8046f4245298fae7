/* SPDX-License-Identifier: Apache-2.0 */
/* Editing steps that the passes share: replacing values, inserting nodes, removing what is dead. */
#include "graph/edit.h"

#include <string.h>

int32_t isgi_use_count(const isg_graph *g, int32_t value)
{
    int32_t count = 0;
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; k < g->nodes[i].input_count; k++) count += g->nodes[i].inputs[k] == value;
    for (int32_t i = 0; i < g->output_count; i++) count += g->outputs[i] == value;
    return count;
}

int isgi_is_output(const isg_graph *g, int32_t value)
{
    for (int32_t i = 0; i < g->output_count; i++)
        if (g->outputs[i] == value) return 1;
    return 0;
}

int isgi_replace_value(isg_graph *g, int32_t from, int32_t to)
{
    if (isgi_is_output(g, from)) {
        char *name = g->values[from].name;
        if (g->values[to].producer < 0 || g->values[to].constant || isgi_is_output(g, to)) return 0;
        for (int32_t i = 0; i < g->output_count; i++)
            if (g->outputs[i] == from) g->outputs[i] = to;
        g->values[from].name = g->values[to].name;
        g->values[to].name = name;
    }
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; k < g->nodes[i].input_count; k++)
            if (g->nodes[i].inputs[k] == from) g->nodes[i].inputs[k] = to;
    return 1;
}

void isgi_make_constant(isg_graph *g, int32_t value, isg_tensor *t)
{
    isg_value *v = &g->values[value];
    if (v->producer >= 0) {
        isg_node *n = &g->nodes[v->producer];
        for (int32_t k = 0; k < n->output_count; k++)
            if (n->outputs[k] == value) n->outputs[k] = ISG_NO_VALUE;
    }
    v->producer = -1;
    v->constant = t;
    v->dtype = t->dtype;
    v->rank = t->rank;
    memcpy(v->dims, t->dims, sizeof v->dims);
}

isg_status isgi_set_inputs(isg_node *n, const int32_t *inputs, int32_t count, isg_error *err)
{
    int32_t *copy = isgi_malloc((size_t)count * sizeof *copy);
    if (!copy) return isgi_nomem(err);
    if (count) memcpy(copy, inputs, (size_t)count * sizeof *copy);
    isg_free(n->inputs);
    n->inputs = copy;
    n->input_count = count;
    return ISG_OK;
}

isg_status isgi_add_tensor(isg_graph *g, const char *name, isg_tensor *take, int32_t *value, isg_error *err)
{
    const int32_t index = isg_graph_add_constant(g, name, take);
    if (index < 0) {
        isg_tensor_destroy(take);
        return isgi_fail(err, (isg_status)index, "cannot add a constant");
    }
    *value = index;
    return ISG_OK;
}

isg_status isgi_add_list(isg_graph *g, const char *name, const int64_t *list, int32_t count, int32_t *value,
                         isg_error *err)
{
    const int64_t dims = count;
    isg_tensor *t;
    ISGI_TRY(isg_tensor_create(&t, ISG_DT_I64, 1, &dims, err));
    isgi_write_i64(t, 0, list, count);
    return isgi_add_tensor(g, name, t, value, err);
}

isg_status isgi_insert_node(isg_graph *g, int32_t at, isg_op op, const int32_t *inputs, int32_t count, int32_t like,
                            int32_t *output, isg_error *err)
{
    const isg_value shape = g->values[like];
    const int32_t v = isg_graph_add_value(g, shape.name, shape.dtype, shape.rank, shape.dims);
    int32_t node;
    isg_node fresh;
    if (v < 0) return isgi_fail(err, (isg_status)v, "cannot add a value");
    node = isg_graph_add_node(g, op, "", inputs, count, &v, 1);
    if (node < 0) return isgi_fail(err, (isg_status)node, "cannot add a node");
    fresh = g->nodes[node];
    memmove(&g->nodes[at + 1], &g->nodes[at], (size_t)(node - at) * sizeof *g->nodes);
    g->nodes[at] = fresh;
    for (int32_t i = 0; i < g->value_count; i++)
        if (g->values[i].producer >= at) g->values[i].producer++;
    g->values[v].producer = at;
    *output = v;
    return ISG_OK;
}

/* live[v] for everything the outputs need; nodes are in topological order. */
static void mark_live(const isg_graph *g, uint8_t *live, uint8_t *node_live)
{
    for (int32_t i = 0; i < g->output_count; i++) live[g->outputs[i]] = 1;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const isg_node *n = &g->nodes[i];
        for (int32_t k = 0; k < n->output_count; k++) node_live[i] |= n->outputs[k] >= 0 && live[n->outputs[k]];
        for (int32_t k = 0; node_live[i] && k < n->input_count; k++)
            if (n->inputs[k] >= 0) live[n->inputs[k]] = 1;
    }
    for (int32_t i = 0; i < g->input_count; i++) live[g->inputs[i]] = 1;
}

static void renumber(int32_t *list, int32_t count, const int32_t *index)
{
    for (int32_t k = 0; k < count; k++)
        if (list[k] >= 0) list[k] = index[list[k]];
}

isg_status isgi_remove_dead(isg_graph *g, isg_error *err)
{
    uint8_t *live = isgi_calloc((size_t)g->value_count, 1), *node_live = isgi_calloc((size_t)g->node_count, 1);
    int32_t *index = isgi_malloc((size_t)g->value_count * sizeof *index), nodes = 0, values = 0;
    isg_status status = ISG_OK;
    if (!live || !node_live || !index) {
        status = isgi_nomem(err);
        goto done;
    }
    mark_live(g, live, node_live);
    for (int32_t i = 0; i < g->node_count; i++) { /* an unused output of a live node becomes an omitted one */
        isg_node *n = &g->nodes[i];
        for (int32_t k = 0; node_live[i] && k < n->output_count; k++)
            if (n->outputs[k] >= 0 && !live[n->outputs[k]]) n->outputs[k] = ISG_NO_VALUE;
        while (node_live[i] && n->output_count > 1 && n->op != ISG_OP_SPLIT &&
               n->outputs[n->output_count - 1] == ISG_NO_VALUE)
            n->output_count--;
        if (node_live[i])
            g->nodes[nodes++] = *n;
        else
            isgi_graph_clear_node(n);
    }
    g->node_count = nodes;
    for (int32_t v = 0; v < g->value_count; v++) {
        index[v] = live[v] ? values : ISG_NO_VALUE;
        if (live[v])
            g->values[values++] = g->values[v];
        else
            isgi_graph_clear_value(&g->values[v]);
    }
    g->value_count = values;
    for (int32_t v = 0; v < values; v++) g->values[v].producer = -1;
    for (int32_t i = 0; i < nodes; i++) {
        isg_node *n = &g->nodes[i];
        renumber(n->inputs, n->input_count, index);
        renumber(n->outputs, n->output_count, index);
        for (int32_t k = 0; k < n->output_count; k++)
            if (n->outputs[k] >= 0) g->values[n->outputs[k]].producer = i;
    }
    renumber(g->inputs, g->input_count, index);
    renumber(g->outputs, g->output_count, index);
done:
    isg_free(live);
    isg_free(node_live);
    isg_free(index);
    return status;
}
