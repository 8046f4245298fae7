/* SPDX-License-Identifier: Apache-2.0 */
/* The list of everything that keeps a model from being imported. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"
#include "onnx/onnx_import.h"

void isg_onnx_problems_clear(isg_onnx_problems *p)
{
    if (!p) return;
    isg_free(p->items);
    p->items = NULL;
    p->count = p->capacity = 0;
}

int isgi_onnx_problem_rank(isg_status status)
{
    switch (status) {
    case ISG_OK: return 0;
    case ISG_E_UNSUPPORTED: return 1;
    case ISG_E_IO: return 2;
    case ISG_E_LIMIT: return 3;
    default: return 4;
    }
}

isg_onnx_problem *isgi_onnx_problems_add(isg_onnx_problems *p)
{
    if (p->count >= ISGI_ONNX_MAX_PROBLEMS) return NULL;
    if (p->count == p->capacity) {
        const int32_t capacity = p->capacity ? p->capacity * 2 : 8;
        void *items = isgi_realloc(p->items, (size_t)p->count * sizeof *p->items, (size_t)capacity * sizeof *p->items);
        if (!items) return NULL;
        p->items = items;
        p->capacity = capacity;
    }
    memset(&p->items[p->count], 0, sizeof *p->items);
    return &p->items[p->count++];
}

void isgi_onnx_problems_say(isg_error *err, isg_status status, const isg_error *worst, int32_t found)
{
    if (!err) return;
    *err = *worst;
    if (found < 2) return;
    isgi_fail(err, status, "%d problems, the worst: %.180s", (int)found, worst->message);
    err->node = worst->node;
}

isg_status isgi_onnx_problem(isgi_onnx_import *in, int32_t index, const IsgiOnnx__NodeProto *node, isg_status status,
                             const char *hint, const char *format, ...)
{
    isg_onnx_problem *item, local;
    va_list args;
    /* by the rules we know, nodes of an older opset would be wrong that are sound: it is not read, that is all */
    if (node && status == ISG_E_FORMAT && in->opset < ISGI_ONNX_MIN_OPSET) return ISG_OK;
    memset(&local, 0, sizeof local);
    item = &local;
    if (in->problems && in->problems->count < ISGI_ONNX_MAX_PROBLEMS) {
        item = isgi_onnx_problems_add(in->problems);
        if (!item) return isgi_nomem(in->err);
    }
    item->node_index = index;
    item->opset = in->opset;
    if (node) {
        const char *name = node->name && node->name[0] ? node->name : node->n_output ? node->output[0] : "";
        isgi_escape(item->node, sizeof item->node, name);
        isgi_escape(item->op, sizeof item->op, node->op_type ? node->op_type : "");
    }
    snprintf(item->hint, sizeof item->hint, "%s", hint ? hint : "");
    va_start(args, format);
    vsnprintf(item->reason, sizeof item->reason, format, args);
    va_end(args);
    if (isgi_onnx_problem_rank(status) > isgi_onnx_problem_rank(in->worst)) {
        in->worst = status;
        if (node)
            isgi_fail(&in->first, status, "node %d '%s' (%s): %s", (int)index, item->node, item->op, item->reason);
        else
            isgi_fail(&in->first, status, "%s", item->reason);
        in->first.node = index;
    }
    in->found++;
    return ISG_OK;
}
