/* SPDX-License-Identifier: Apache-2.0 */
/* isg_model_check(): the way of a model to the runtime, going on behind each problem so that all are found. */
#include <insitu/format.h>
#include <insitu/pack.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "graph/graph_internal.h"
#include "host/alloc.h"
#include "onnx/onnx_import.h"
#include "pack/program.h"

typedef struct check_list {
    isg_onnx_problems *problems;
    isg_status worst;
    isg_error first; /* the problem that `worst` came from */
    int64_t opset;
} check_list;

/* Passes meet a node again, and what the importer refused has been said: one problem a node. */
static int is_listed(const check_list *c, const isg_onnx_problem *fresh)
{
    for (int32_t i = 0; i < c->problems->count; i++) {
        const isg_onnx_problem *p = &c->problems->items[i];
        if (fresh->node_index >= 0 && p->node_index == fresh->node_index) return 1;
        if (fresh->node_index < 0 && strcmp(p->node, fresh->node) == 0 && strcmp(p->reason, fresh->reason) == 0)
            return 1;
    }
    return 0;
}

/* The message of a node's problem begins, as isgi_node_fail() writes it, with what the record's other members say. */
static const char *reason_of(const isg_graph *g, int32_t node, const char *message)
{
    isg_error empty;
    size_t n;
    if (node < 0) return message;
    isgi_node_fail(g, node, ISG_OK, "", &empty);
    n = strlen(empty.message);
    return strncmp(message, empty.message, n) == 0 ? message + n : message;
}

static isg_status check_add(void *user, const isg_graph *g, int32_t node, const isg_error *why)
{
    check_list *c = user;
    isg_onnx_problem fresh = {.node_index = -1}, *added;
    if (node >= 0) {
        isgi_escape(fresh.node, sizeof fresh.node, isg_graph_layer_name(g, node));
        isgi_escape(fresh.op, sizeof fresh.op, isg_op_name(g->nodes[node].op));
        fresh.node_index = g->nodes[node].source - 1;
        fresh.opset = c->opset;
    }
    snprintf(fresh.reason, sizeof fresh.reason, "%.199s", reason_of(g, node, why->message));
    if (c->problems->count < ISGI_ONNX_MAX_PROBLEMS && is_listed(c, &fresh)) return ISG_OK;
    if (isgi_onnx_problem_rank(why->status) > isgi_onnx_problem_rank(c->worst)) {
        c->worst = why->status;
        c->first = *why;
    }
    added = isgi_onnx_problems_add(c->problems);
    if (added) *added = fresh;
    return added || c->problems->count == ISGI_ONNX_MAX_PROBLEMS ? ISG_OK : ISG_E_NOMEM;
}

/* Behind the import. A graph without problems so far is packed in earnest: then nothing can be missed. */
static isg_status check_graph(check_list *c, isg_graph *g, isg_error *err)
{
    const isgi_faults faults = {check_add, c};
    isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isg_model *m = NULL;
    isgi_program program;
    isg_status status, lowered = ISG_OK;
    c->opset = g->opset;
    status = isgi_graph_prepare(g, &faults, &why);
    if (status == ISG_OK && c->worst == ISG_OK) {
        status = isg_model_from_graph(&m, g, &why);
        isg_model_close(m);
        if (status == ISG_OK) return ISG_OK;
    }
    if (status != ISG_E_NOMEM) {
        isgi_program_init(&program);
        lowered = isgi_program_lower(&program, g, &isgi_pack_standard, &faults, NULL);
        isgi_program_free(&program);
    }
    if (status == ISG_E_NOMEM || lowered == ISG_E_NOMEM) return isgi_nomem(err);
    return status != ISG_OK && c->worst == ISG_OK ? check_add(c, g, -1, &why)
                                                  : ISG_OK; /* else it may follow from them */
}

static isg_status check_onnx(check_list *c, const isg_file *file, const char *path, const isg_onnx_options *options,
                             isg_error *err)
{
    isg_graph *g = NULL;
    isg_status status = isgi_onnx_import_partial(&g, file, path, options, c->problems, &c->first);
    if (status == ISG_E_NOMEM || status == ISG_E_ARG) {
        isg_graph_destroy(g);
        return isgi_fault(NULL, NULL, -1, status, &c->first, err);
    }
    c->worst = status;
    status = g ? check_graph(c, g, err) : ISG_OK;
    isg_graph_destroy(g);
    return status;
}

isg_status isg_model_check(isg_file *take, const char *path, const isg_onnx_options *options,
                           isg_onnx_problems *problems, isg_error *err)
{
    check_list c = {problems, ISG_OK, {ISG_OK, -1, ISG_ERROR_NONE, ""}, 0};
    isg_status status = ISG_OK;
    if (!take || !path || !problems) return isgi_fail(err, ISG_E_ARG, "null argument");
    if (take->size >= 8 && memcmp(take->data, ISG_FORMAT_MAGIC, 8) == 0) {
        isg_model *m = NULL;
        isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
        status = isg_model_open_file(&m, take, path, NULL, &why);
        isg_model_close(m);
        if (status != ISG_OK && status != ISG_E_NOMEM) status = check_add(&c, NULL, -1, &why);
    } else {
        status = check_onnx(&c, take, path, options, err);
        isg_file_close(take);
    }
    if (status == ISG_E_NOMEM) return isgi_nomem(err);
    if (status != ISG_OK || c.worst == ISG_OK) return status;
    isgi_onnx_problems_say(err, c.worst, &c.first, problems->count);
    return c.worst;
}
