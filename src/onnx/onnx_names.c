/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a file's values: who declares them, what is declared twice, and looking them up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_import.h"

#define MAX_NODES ((size_t)1 << 16)

static int compare_names(const void *a, const void *b)
{
    const isgi_onnx_name *x = a, *y = b;
    const int order = strcmp(x->name, y->name);
    if (order) return order;
    if (x->kind != y->kind) return (x->kind > y->kind) - (x->kind < y->kind);
    return (x->node > y->node) - (x->node < y->node);
}

isgi_onnx_name *isgi_onnx_find_name(const isgi_onnx_import *in, const char *name)
{
    size_t low = 0, high = name ? in->name_count : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, in->names[middle].name);
        if (order == 0) return &in->names[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

int32_t isgi_onnx_lookup(const isgi_onnx_import *in, const char *name)
{
    const isgi_onnx_name *entry = isgi_onnx_find_name(in, name);
    return entry ? entry->value : -1;
}

/* A name outside nodes, `what` number `index`; without one it is a problem. */
static isg_status list_one(isgi_onnx_import *in, const char *name, int32_t kind, const char *what, size_t index)
{
    if (!name || !name[0]) return isgi_onnx_problem(in, -1, NULL, ISG_E_FORMAT, "", "%s %zu has no name", what, index);
    in->names[in->name_count++] = (isgi_onnx_name){name, -1, kind, -1, 0};
    return ISG_OK;
}

/* The file's names in any order and as often as they come. */
static isg_status list_names(isgi_onnx_import *in, const IsgiOnnx__GraphProto *graph)
{
    size_t i, k;
    isg_status status = ISG_OK;
    in->name_count = 0;
    for (i = 0; i < graph->n_input && status == ISG_OK; i++)
        status = list_one(in, graph->input[i]->name, ISGI_ONNX_INPUT, "graph input", i);
    for (i = 0; i < graph->n_initializer && status == ISG_OK; i++)
        status = list_one(in, graph->initializer[i]->name, ISGI_ONNX_INITIALIZER, "initialiser", i);
    for (i = 0; i < graph->n_node; i++)
        for (k = 0; k < graph->node[i]->n_output; k++)
            if (graph->node[i]->output[k][0])
                in->names[in->name_count++] =
                    (isgi_onnx_name){graph->node[i]->output[k], -1, ISGI_ONNX_OUTPUT, (int32_t)i, 0};
    return status;
}

static const char *name_place(const isgi_onnx_name *entry, char text[32])
{
    if (entry->kind == ISGI_ONNX_INPUT) return "a graph input";
    if (entry->kind == ISGI_ONNX_INITIALIZER) return "an initialiser";
    snprintf(text, 32, "node %d", (int)entry->node);
    return text;
}

/* `count` declarations of one name, in order. */
static isg_status check_repeated(isgi_onnx_import *in, const isgi_onnx_name *first, size_t count)
{
    char shown[96], times[40] = "twice, by", places[2][32];
    /* an initialiser may repeat an input (IR 3): the value that it has if nobody feeds it */
    if (count > 1 && first[0].kind == ISGI_ONNX_INPUT && first[1].kind == ISGI_ONNX_INITIALIZER) {
        first++;
        count--;
    }
    if (count < 2) return ISG_OK;
    if (count > 2) snprintf(times, sizeof times, "%zu times, first by", count);
    return isgi_onnx_problem(in, -1, NULL, ISG_E_FORMAT, "", "name '%s' is declared %s %s and %s",
                             isgi_escape(shown, sizeof shown, first[0].name), times, name_place(&first[0], places[0]),
                             name_place(&first[1], places[1]));
}

/* Leaves one entry a name; an initialiser that repeats an input keeps the name from being fed. */
static isg_status unite_names(isgi_onnx_import *in)
{
    size_t i = 0, kept = 0;
    while (i < in->name_count) {
        const isgi_onnx_name entry = in->names[i];
        size_t count = 1;
        isg_status status;
        while (i + count < in->name_count && strcmp(in->names[i + count].name, entry.name) == 0) count++;
        status = check_repeated(in, &in->names[i], count);
        if (status != ISG_OK) return status;
        if (count > 1 && in->names[i + 1].kind == ISGI_ONNX_INITIALIZER)
            in->names[kept++] = in->names[i + 1];
        else
            in->names[kept++] = entry;
        i += count;
    }
    in->name_count = kept;
    return ISG_OK;
}

isg_status isgi_onnx_collect_names(isgi_onnx_import *in)
{
    const IsgiOnnx__GraphProto *graph = in->model->graph;
    size_t i, total = graph->n_input + graph->n_initializer;
    isg_status status;
    if (graph->n_node > MAX_NODES || total > ISGI_ONNX_MAX_VALUES)
        return isgi_fail(in->err, ISG_E_LIMIT, "more than 65536 nodes or 262144 values");
    for (i = 0; i < graph->n_node; i++) {
        if (graph->node[i]->n_output > ISGI_ONNX_MAX_OPERANDS || graph->node[i]->n_input > ISGI_ONNX_MAX_OPERANDS)
            return isgi_fail(in->err, ISG_E_LIMIT, "node %zu has more than 4096 inputs or outputs", i);
        total += graph->node[i]->n_output;
        if (total > ISGI_ONNX_MAX_VALUES) return isgi_fail(in->err, ISG_E_LIMIT, "more than 262144 values");
    }
    in->names = isgi_calloc(total ? total : 1, sizeof *in->names);
    if (!in->names) return isgi_nomem(in->err);
    status = list_names(in, graph);
    if (status != ISG_OK) return status;
    qsort(in->names, in->name_count, sizeof *in->names, compare_names);
    return unite_names(in);
}
