/* SPDX-License-Identifier: Apache-2.0 */
/* One node test: import, read the tensors, interpret, compare as ONNX's own runner does. */
#include "suite.h"

#include <insitu/graph.h>
#include <insitu/host.h>
#include <insitu/onnx.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/interp_internal.h"

#define MAX_PORTS 64
#define RTOL 1e-3
#define ATOL 1e-7

static void settle(suite_case *c, suite_verdict verdict, const char *group, const char *format, ...)
{
    va_list args;
    c->verdict = verdict;
    snprintf(c->group, sizeof c->group, "%s", group);
    va_start(args, format);
    vsnprintf(c->reason, sizeof c->reason, format, args);
    va_end(args);
}

/* NULL when the file is missing or not a tensor we can hold; err then says which (status IO for missing). */
static isg_tensor *read_tensor(const char *folder, const char *kind, int index, isg_error *err)
{
    char path[8192];
    isg_file file;
    isg_tensor *t = NULL;
    snprintf(path, sizeof path, "%.8000s/%s_%d.pb", folder, kind, index);
    if (isg_file_open(&file, path, err) != ISG_OK) return NULL;
    if (isg_onnx_tensor_from_memory(&t, file.data, file.size, err) != ISG_OK) t = NULL;
    isg_file_close(&file);
    return t;
}

static int same_number(double got, double wanted)
{
    if (isnan(got) || isnan(wanted)) return isnan(got) && isnan(wanted);
    if (got == wanted) return 1;
    return fabs(got - wanted) <= ATOL + RTOL * fabs(wanted);
}

/* numpy has no bfloat16: the tests of ONNX carry its bits as uint16. */
static void adopt_bfloat16(isg_tensor *t, isg_dtype wanted)
{
    if (t->dtype == ISG_DT_U16 && wanted == ISG_DT_BF16) t->dtype = ISG_DT_BF16;
}

static int as_declared(const isg_value *v, const isg_tensor *t)
{
    if (v->dtype != t->dtype || (v->rank >= 0 && v->rank != t->rank)) return 0;
    for (int32_t d = 0; d < v->rank; d++)
        if (v->dims[d] >= 0 && v->dims[d] != t->dims[d]) return 0;
    return 1;
}

static int compare(suite_case *c, int output, const isg_tensor *got, isg_tensor *wanted)
{
    adopt_bfloat16(wanted, got->dtype);
    if (got->dtype != wanted->dtype) {
        settle(c, SUITE_FAILED, "element type", "output %d has element type %d, expected %d", output, (int)got->dtype,
               (int)wanted->dtype);
        return 0;
    }
    if (got->rank != wanted->rank || memcmp(got->dims, wanted->dims, (size_t)got->rank * sizeof *got->dims) != 0) {
        settle(c, SUITE_FAILED, "shape", "output %d has another shape", output);
        return 0;
    }
    for (int64_t i = 0; i < got->count; i++) {
        double a, b;
        int64_t m, n;
        isgi_read_f64(&a, got, i, 1);
        isgi_read_f64(&b, wanted, i, 1);
        isgi_read_i64(&m, got, i, 1);
        isgi_read_i64(&n, wanted, i, 1);
        if (isgi_is_float(got->dtype) ? same_number(a, b) : m == n) continue;
        settle(c, SUITE_FAILED, "value", "output %d element %lld is %.9g, expected %.9g", output, (long long)i, a, b);
        return 0;
    }
    return 1;
}

/* The same data through the prepared graph: the passes must not change what is computed. A graph that cannot be
 * prepared (its weights are run-time inputs, as in most node tests) is left at that. */
static isg_graph *prepared_clone(const isg_graph *g)
{
    isg_graph *copy = NULL;
    isg_error err;
    if (isg_graph_clone(&copy, g, &err) != ISG_OK) return NULL;
    if (isg_graph_prepare(copy, &err) == ISG_OK && isg_graph_validate(copy, &err) == ISG_OK) return copy;
    isg_graph_destroy(copy);
    return NULL;
}

static void run_set(suite_case *c, const isg_graph *g, const char *folder)
{
    isg_tensor *inputs[MAX_PORTS] = {NULL}, *outputs[MAX_PORTS] = {NULL};
    isg_error err = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isg_status status;
    if (g->input_count > MAX_PORTS || g->output_count > MAX_PORTS) {
        settle(c, SUITE_SKIPPED, "more than 64 inputs or outputs", "more than 64 inputs or outputs");
        return;
    }
    for (int32_t i = 0; i < g->input_count; i++) {
        inputs[i] = read_tensor(folder, "input", (int)i, &err);
        if (!inputs[i]) {
            settle(c, SUITE_SKIPPED, "input file is not a tensor we read", "input %d: %s", (int)i, err.message);
            goto done;
        }
        adopt_bfloat16(inputs[i], g->values[g->inputs[i]].dtype);
    }
    for (int32_t i = 0; i < g->input_count; i++) {
        if (as_declared(&g->values[g->inputs[i]], inputs[i])) continue;
        settle(c, SUITE_SKIPPED, "data of another type or shape than the model declares",
               "the data of input %d are not as the model declares", (int)i);
        goto done;
    }
    status = isg_interp_run(g, (const isg_tensor *const *)inputs, outputs, &err);
    if (status != ISG_OK) {
        settle(c, status == ISG_E_UNSUPPORTED ? SUITE_SKIPPED : SUITE_FAILED, isg_status_text(status), "%s",
               err.message);
        goto done;
    }
    for (int32_t i = 0; i < g->output_count; i++) {
        isg_tensor *wanted = read_tensor(folder, "output", (int)i, &err);
        const int same = wanted && compare(c, (int)i, outputs[i], wanted);
        if (!wanted) settle(c, SUITE_FAILED, "no expected output", "output %d: %s", (int)i, err.message);
        isg_tensor_destroy(wanted);
        if (!same) goto done;
    }
    c->verdict = SUITE_PASSED;
done:
    for (int i = 0; i < MAX_PORTS; i++) {
        isg_tensor_destroy(inputs[i]);
        isg_tensor_destroy(outputs[i]);
    }
}

static int known_operator(const char *name)
{
    for (int op = 0; op < (int)ISG_OP_COUNT; op++)
        if (strcmp(isg_op_name((isg_op)op), name) == 0) return 1;
    return 0;
}

static void refuse(suite_case *c, isg_status status, const isg_onnx_problems *problems, const isg_error *err)
{
    const isg_onnx_problem *first = problems->count ? &problems->items[0] : NULL;
    char group[sizeof first->reason + 16];
    for (int32_t i = 0; i < problems->count; i++) {
        /* What an old opset then lacks only follows from its age. */
        if (strncmp(problems->items[i].reason, "opset ", 6) == 0) status = ISG_E_UNSUPPORTED;
        if (!problems->items[i].op[0] || known_operator(problems->items[i].op)) continue;
        if (!c->foreign) first = &problems->items[i];
        c->foreign = 1;
    }
    if (strstr(err->message, "no version of the standard operator set")) {
        status = ISG_E_UNSUPPORTED;
        c->foreign = 1;
        snprintf(group, sizeof group, "operators of another domain only");
    } else if (c->foreign)
        snprintf(group, sizeof group, "operator %s", first->op);
    else
        snprintf(group, sizeof group, "%s", first ? first->reason : isg_status_text(status));
    settle(c, status == ISG_E_UNSUPPORTED ? SUITE_SKIPPED : SUITE_FAILED, group, "%s",
           first ? first->reason : err->message);
}

void suite_run_case(suite_case *c, const char *path)
{
    char file[8192];
    isg_graph *g = NULL;
    isg_onnx_problems problems = {NULL, 0, 0};
    isg_error err = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isg_status status;
    snprintf(file, sizeof file, "%s/model.onnx", path);
    status = isg_onnx_import_file(&g, file, NULL, &problems, &err);
    if (status != ISG_OK) {
        refuse(c, status, &problems, &err);
    } else {
        isg_graph *prepared = prepared_clone(g);
        settle(c, SUITE_SKIPPED, "no data set", "no data set");
        for (int set = 0;; set++) {
            char probe[8300];
            FILE *f;
            snprintf(file, sizeof file, "%s/test_data_set_%d", path, set);
            snprintf(probe, sizeof probe, "%s/output_0.pb", file);
            f = fopen(probe, "rb");
            if (!f) break;
            fclose(f);
            run_set(c, g, file);
            if (c->verdict == SUITE_PASSED && prepared) {
                run_set(c, prepared, file);
                c->prepared = 1;
                if (c->verdict != SUITE_PASSED) snprintf(c->group, sizeof c->group, "differs when prepared");
            }
            if (c->verdict != SUITE_PASSED) break;
        }
        isg_graph_destroy(prepared);
    }
    isg_onnx_problems_clear(&problems);
    isg_graph_destroy(g);
}
