/* SPDX-License-Identifier: Apache-2.0 */
/* The graph container: life cycle, values, nodes, names. */
#include "graph/graph_internal.h"
#include "host/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_ITEMS (1 << 24)
#define MAX_NAME 4096

void isgi_graph_clear_value(isg_value *v)
{
    isg_free(v->name);
    isg_tensor_destroy(v->constant);
    isg_factors_destroy(v->factors);
    memset(v, 0, sizeof *v);
}

void isgi_graph_clear_node(isg_node *n)
{
    isg_free(n->name);
    isg_free(n->inputs);
    isg_free(n->outputs);
    memset(n, 0, sizeof *n);
}

void isg_graph_destroy(isg_graph *g)
{
    if (!g) return;
    for (int32_t i = 0; i < g->value_count; i++) isgi_graph_clear_value(&g->values[i]);
    for (int32_t i = 0; i < g->node_count; i++) isgi_graph_clear_node(&g->nodes[i]);
    isg_free(g->values);
    isg_free(g->nodes);
    isg_free(g->inputs);
    isg_free(g->outputs);
    isg_free(g->producer);
    isg_free(g->license);
    isg_free(g);
}

isg_status isg_graph_create(isg_graph **out, isg_error *err)
{
    isg_graph *g = isgi_calloc(1, sizeof *g);
    if (!g) return isgi_nomem(err);
    g->opset = 17;
    *out = g;
    return ISG_OK;
}

/* Room for one more item; false when there is none. */
static int grow_items(void **items, int32_t count, int32_t *capacity, size_t size)
{
    int32_t wanted;
    void *p;
    if (count < *capacity) return 1;
    if (count >= MAX_ITEMS) return 0;
    wanted = *capacity ? *capacity * 2 : 16;
    p = isgi_realloc(*items, (size_t)count * size, (size_t)wanted * size);
    if (!p) return 0;
    *items = p;
    *capacity = wanted;
    return 1;
}

int32_t isg_graph_find_value(const isg_graph *g, const char *name)
{
    for (int32_t i = 0; i < g->value_count; i++)
        if (strcmp(g->values[i].name, name) == 0) return i;
    return -1;
}

const char *isg_graph_layer_name(const isg_graph *g, int32_t node)
{
    const isg_node *n = &g->nodes[node];
    if (n->name[0]) return n->name;
    for (int32_t i = 0; i < n->output_count; i++)
        if (n->outputs[i] >= 0) return g->values[n->outputs[i]].name;
    return "";
}

static char *unique_name(const isg_graph *g, const char *name)
{
    const size_t length = strlen(name);
    char *copy;
    if (length > MAX_NAME) return NULL;
    if (length > 0 && isg_graph_find_value(g, name) < 0) return isgi_strdup(name);
    copy = isgi_malloc(length + 16);
    if (!copy) return NULL;
    for (int32_t k = 1;; k++) {
        snprintf(copy, length + 16, "%s_%d", name, (int)k);
        if (isg_graph_find_value(g, copy) < 0) return copy;
    }
}

int32_t isg_graph_add_value(isg_graph *g, const char *name, isg_dtype dtype, int32_t rank, const int64_t *dims)
{
    isg_value *v;
    char *copy;
    int64_t own[ISG_MAX_RANK];
    if (rank < -1 || rank > ISG_MAX_RANK || strlen(name) > MAX_NAME || g->value_count >= MAX_ITEMS) return ISG_E_LIMIT;
    for (int32_t i = 0; i < rank; i++) own[i] = dims[i]; /* which may be those of a value that moves now */
    if (!grow_items((void **)&g->values, g->value_count, &g->value_capacity, sizeof *g->values)) return ISG_E_NOMEM;
    copy = unique_name(g, name);
    if (!copy) return ISG_E_NOMEM;
    v = &g->values[g->value_count];
    memset(v, 0, sizeof *v);
    v->name = copy;
    v->dtype = dtype;
    v->rank = rank;
    for (int32_t i = 0; i < rank; i++) v->dims[i] = own[i];
    v->producer = -1;
    return g->value_count++;
}

int32_t isg_graph_add_constant(isg_graph *g, const char *name, isg_tensor *take)
{
    const int32_t index = isg_graph_add_value(g, name, take->dtype, take->rank, take->dims);
    if (index >= 0) g->values[index].constant = take;
    return index;
}

static int32_t *copy_indices(const int32_t *src, int32_t count)
{
    int32_t *dst = isgi_malloc((size_t)count * sizeof *dst);
    if (dst && count) memcpy(dst, src, (size_t)count * sizeof *dst);
    return dst;
}

void isgi_graph_default_attr(isg_node *n)
{
    isg_attr *a = &n->attr;
    memset(a, 0, sizeof *a);
    switch (n->op) {
    case ISG_OP_CONV:
    case ISG_OP_MAX_POOL:
    case ISG_OP_AVERAGE_POOL:
        a->conv.groups = 1;
        for (int i = 0; i < 3; i++) a->conv.stride[i] = a->conv.dilation[i] = 1;
        break;
    case ISG_OP_GEMM: a->gemm.alpha = a->gemm.beta = 1.0f; break;
    case ISG_OP_SOFTMAX:
    case ISG_OP_FLATTEN:
        a->axes.n = 1;
        a->axes.axes[0] = n->op == ISG_OP_SOFTMAX ? -1 : 1;
        break;
    case ISG_OP_CONCAT:
    case ISG_OP_GATHER:
    case ISG_OP_SPLIT: a->axes.n = 1; break;
    case ISG_OP_REDUCE_MEAN: a->axes.keepdims = 1; break;
    case ISG_OP_CLIP:
        a->scalar.lo = -INFINITY;
        a->scalar.hi = INFINITY;
        break;
    case ISG_OP_LEAKY_RELU: a->scalar.alpha = 0.01f; break;
    case ISG_OP_HARD_SIGMOID:
        a->scalar.alpha = 0.2f;
        a->scalar.beta = 0.5f;
        break;
    case ISG_OP_BATCH_NORM:
        a->scalar.alpha = 1e-5f;
        a->scalar.beta = 0.9f;
        break;
    case ISG_OP_CAST: a->cast.to = ISG_DT_F32; break;
    default: break;
    }
}

static int indices_in_range(const isg_graph *g, const int32_t *list, int32_t count)
{
    if (count < 0 || count > MAX_ITEMS) return 0;
    for (int32_t i = 0; i < count; i++)
        if (list[i] != ISG_NO_VALUE && (list[i] < 0 || list[i] >= g->value_count)) return 0;
    return 1;
}

int32_t isg_graph_add_node(isg_graph *g, isg_op op, const char *name, const int32_t *inputs, int32_t input_count,
                           const int32_t *outputs, int32_t output_count)
{
    isg_node node = {0};
    if ((unsigned)op >= (unsigned)ISG_OP_COUNT || !indices_in_range(g, inputs, input_count) ||
        !indices_in_range(g, outputs, output_count))
        return ISG_E_ARG;
    if (!grow_items((void **)&g->nodes, g->node_count, &g->node_capacity, sizeof *g->nodes)) return ISG_E_NOMEM;
    node.op = op;
    node.name = isgi_strdup(name ? name : "");
    node.inputs = copy_indices(inputs, input_count);
    node.outputs = copy_indices(outputs, output_count);
    node.input_count = input_count;
    node.output_count = output_count;
    if (!node.name || !node.inputs || !node.outputs) {
        isgi_graph_clear_node(&node);
        return ISG_E_NOMEM;
    }
    isgi_graph_default_attr(&node);
    for (int32_t i = 0; i < output_count; i++)
        if (outputs[i] >= 0) g->values[outputs[i]].producer = g->node_count;
    g->nodes[g->node_count] = node;
    return g->node_count++;
}

static isg_status clone_values(isg_graph *c, const isg_graph *g, isg_error *err)
{
    c->values = isgi_calloc((size_t)g->value_count, sizeof *c->values);
    if (!c->values) return isgi_nomem(err);
    c->value_capacity = g->value_count;
    for (; c->value_count < g->value_count; c->value_count++) {
        const isg_value *from = &g->values[c->value_count];
        isg_value *to = &c->values[c->value_count];
        isg_status status = ISG_OK;
        *to = *from;
        to->constant = NULL;
        to->factors = NULL;
        to->name = isgi_strdup(from->name);
        if (!to->name) return isgi_nomem(err);
        if (from->constant) status = isg_tensor_clone(&to->constant, from->constant, err);
        if (status == ISG_OK && from->factors) status = isg_factors_clone(&to->factors, from->factors, err);
        if (status != ISG_OK) {
            isgi_graph_clear_value(to);
            return status;
        }
    }
    return ISG_OK;
}

static isg_status clone_nodes(isg_graph *c, const isg_graph *g, isg_error *err)
{
    c->nodes = isgi_calloc((size_t)g->node_count, sizeof *c->nodes);
    if (!c->nodes) return isgi_nomem(err);
    c->node_capacity = g->node_count;
    for (; c->node_count < g->node_count; c->node_count++) {
        const isg_node *from = &g->nodes[c->node_count];
        isg_node *to = &c->nodes[c->node_count];
        *to = *from;
        to->name = isgi_strdup(from->name);
        to->inputs = copy_indices(from->inputs, from->input_count);
        to->outputs = copy_indices(from->outputs, from->output_count);
        if (!to->name || !to->inputs || !to->outputs) {
            isgi_graph_clear_node(to);
            return isgi_nomem(err);
        }
    }
    return ISG_OK;
}

isg_status isg_graph_clone(isg_graph **out, const isg_graph *g, isg_error *err)
{
    isg_graph *c;
    isg_status status = isg_graph_create(&c, err);
    if (status != ISG_OK) return status;
    status = clone_values(c, g, err);
    if (status == ISG_OK) status = clone_nodes(c, g, err);
    if (status != ISG_OK) goto done;
    c->inputs = copy_indices(g->inputs, g->input_count);
    c->outputs = copy_indices(g->outputs, g->output_count);
    if (g->producer) c->producer = isgi_strdup(g->producer);
    if (g->license) c->license = isgi_strdup(g->license);
    if (!c->inputs || !c->outputs || (g->producer && !c->producer) || (g->license && !c->license)) {
        status = isgi_nomem(err);
        goto done;
    }
    c->input_count = g->input_count;
    c->output_count = g->output_count;
    c->opset = g->opset;
    memcpy(c->source_hash, g->source_hash, sizeof c->source_hash);
    *out = c;
    c = NULL;
done:
    isg_graph_destroy(c);
    return status;
}

static isg_status append_index(const isg_graph *g, int32_t **list, int32_t *count, int32_t value, isg_error *err)
{
    int32_t *p;
    if (value < 0 || value >= g->value_count) return isgi_fail(err, ISG_E_ARG, "no such value %d", (int)value);
    if (*count >= MAX_ITEMS) return isgi_fail(err, ISG_E_LIMIT, "too many graph inputs or outputs");
    p = isgi_realloc(*list, (size_t)*count * sizeof *p, ((size_t)*count + 1) * sizeof *p);
    if (!p) return isgi_nomem(err);
    p[(*count)++] = value;
    *list = p;
    return ISG_OK;
}

isg_status isg_graph_add_input(isg_graph *g, int32_t value, isg_error *err)
{
    return append_index(g, &g->inputs, &g->input_count, value, err);
}

isg_status isg_graph_add_output(isg_graph *g, int32_t value, isg_error *err)
{
    return append_index(g, &g->outputs, &g->output_count, value, err);
}
