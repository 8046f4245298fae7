/* SPDX-License-Identifier: Apache-2.0 */
/* insitu check: every problem of a model at once, before anybody waits for anything else. */
#include <insitu/format.h>
#include <string.h>

#include "tool.h"

static int is_isg_file(const isg_file *file)
{
    return file->size >= 8 && !memcmp(file->data, ISG_FORMAT_MAGIC, 8);
}

/* Import finds all problems of the file; what later stages refuse is added with the reason they give. */
static isg_status check_onnx(const isg_file *file, const char *path, const char *shape, isg_onnx_problems *problems,
                             const char **stage, isg_error *err)
{
    isg_onnx_options options = {.struct_size = sizeof options, .shape = shape};
    isg_graph *graph = NULL;
    isg_model *model = NULL;
    isg_status status;
    *stage = "import";
    status = isg_onnx_import_opened(&graph, file, path, &options, problems, err);
    if (status == ISG_OK) {
        *stage = "prepare";
        status = isg_graph_prepare(graph, err);
    }
    if (status == ISG_OK) {
        *stage = "pack";
        status = isg_model_from_graph(&model, graph, err);
    }
    isg_model_close(model);
    isg_graph_destroy(graph);
    return status;
}

static void print_problem(const isg_onnx_problem *p)
{
    char node[160], op[80];
    tool_escape(node, sizeof node, p->node, strlen(p->node));
    tool_escape(op, sizeof op, p->op, strlen(p->op));
    printf("%s%s%s", *node ? node : "model", *op ? ": " : "", op);
    if (p->opset) printf(" (opset %lld)", (long long)p->opset);
    printf(": %s", p->reason);
    if (*p->hint) printf(" [%s]", p->hint);
    putchar('\n');
}

static void json_problem(cJSON *list, const isg_onnx_problem *p)
{
    cJSON *o = cJSON_CreateObject();
    tool_json_text(o, "node", p->node);
    tool_json_text(o, "op", p->op);
    cJSON_AddNumberToObject(o, "opset", (double)p->opset);
    cJSON_AddNumberToObject(o, "node_index", p->node_index);
    tool_json_text(o, "reason", p->reason);
    tool_json_text(o, "hint", p->hint);
    cJSON_AddItemToArray(list, o);
}

static int report_problems(tool *t, const char *path, const isg_onnx_problems *problems, const char *stage,
                           isg_status status, const isg_error *err)
{
    int32_t i;
    int code = status == ISG_OK && problems->count == 0 ? EXIT_OK : EXIT_UNSUPPORTED, failed = EXIT_OK;
    char shown[256];
    tool_escape(shown, sizeof shown, path, strlen(path));
    if (t->json) {
        cJSON *o = tool_json("check"), *list;
        tool_json_text(o, "file", path);
        cJSON_AddBoolToObject(o, "ok", code == EXIT_OK);
        list = cJSON_AddArrayToObject(o, "problems");
        for (i = 0; i < problems->count; i++) json_problem(list, &problems->items[i]);
        if (status != ISG_OK && problems->count == 0) {
            isg_onnx_problem last = {.node_index = err->node};
            snprintf(last.reason, sizeof last.reason, "%.190s", err->message);
            snprintf(last.op, sizeof last.op, "%s", stage);
            json_problem(list, &last);
        }
        failed = tool_json_print(t, o);
    } else if (code == EXIT_OK) {
        printf("%s: ok\n", shown);
    } else {
        for (i = 0; i < problems->count; i++) print_problem(&problems->items[i]);
        if (problems->count == 0) printf("%s: %s\n", stage, err->message);
        printf("%s: %d problem%s\n", shown, problems->count ? problems->count : 1, problems->count > 1 ? "s" : "");
    }
    return failed != EXIT_OK ? failed : code;
}

int cmd_check(tool *t, const tool_verb *verb, int argc, char **argv)
{
    const char *shape = NULL, *stage = "";
    const tool_option options[] = {
        {"shape", 0, OPTION_TEXT, &shape, "NAME=1x3x224x224,...", "fix unknown dimensions of an .onnx file's inputs"},
    };
    const tool_usage usage = {
        verb,
        "FILE",
        "Exit code 0: the model can be packed and run; 3: at least one problem, all of them listed.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        "max-memory"};
    isg_onnx_problems problems = {0};
    isg_file file;
    isg_error err = {0};
    isg_status status;
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    status = isg_file_open(&file, argv[0], &err);
    if (status != ISG_OK) return tool_error(t, argv[0], status, &err);
    if (is_isg_file(&file) && shape) {
        isg_file_close(&file);
        return tool_usage_error(t, "option --shape goes with an .onnx file");
    }
    if (is_isg_file(&file)) {
        isg_model *model = NULL;
        stage = "open";
        status = isg_model_open_file(&model, &file, argv[0], &err);
        isg_model_close(model);
    } else {
        status = check_onnx(&file, argv[0], shape, &problems, &stage, &err);
        isg_file_close(&file);
    }
    if (status != ISG_OK && tool_exit_code(status) != EXIT_UNSUPPORTED)
        code = tool_error(t, argv[0], status, &err);
    else
        code = report_problems(t, argv[0], &problems, stage, status, &err);
    isg_onnx_problems_clear(&problems);
    return code;
}
