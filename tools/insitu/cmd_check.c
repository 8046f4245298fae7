/* SPDX-License-Identifier: Apache-2.0 */
/* insitu check: every problem of a model at once, before anybody waits for anything else. */
#include <insitu/format.h>
#include <string.h>

#include "tool.h"

static int is_isg_file(const isg_file *file)
{
    return file->size >= 8 && !memcmp(file->data, ISG_FORMAT_MAGIC, 8);
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

/* The list on stdout, whatever the worst problem is. */
static int report_problems(tool *t, const char *path, const isg_onnx_problems *problems, int ok)
{
    int32_t i;
    char shown[256];
    if (t->json) {
        cJSON *o = tool_json("check"), *list;
        tool_json_text(o, "file", path);
        cJSON_AddBoolToObject(o, "ok", ok);
        list = cJSON_AddArrayToObject(o, "problems");
        for (i = 0; i < problems->count; i++) json_problem(list, &problems->items[i]);
        return tool_json_print(t, o);
    }
    tool_escape(shown, sizeof shown, path, strlen(path));
    for (i = 0; i < problems->count; i++) print_problem(&problems->items[i]);
    if (ok)
        printf("%s: ok\n", shown);
    else
        printf("%s: %d problem%s\n", shown, problems->count, problems->count > 1 ? "s" : "");
    return EXIT_OK;
}

int cmd_check(tool *t, const tool_verb *verb, int argc, char **argv)
{
    const tool_option options[] = {
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {
        verb,
        "FILE",
        "Every problem is listed on stdout. Exit code 0: the model can be packed and run; else that of the worst\n"
        "problem: 3 unsupported, 1 a file of external data is missing, 4 the file is wrong; 1 and 4 print an error\n"
        "line as well.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        "max-memory"};
    isg_onnx_options import;
    isg_onnx_problems problems = {0};
    isg_file file;
    isg_error err = {0};
    isg_status status;
    int files, failed = EXIT_OK, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    status = isg_file_open(&file, argv[0], &err);
    if (status != ISG_OK) return tool_error(t, argv[0], status, &err);
    t->shape_used = !is_isg_file(&file);
    code = tool_shape_check(t);
    if (code != EXIT_OK) {
        isg_file_close(&file);
        return code;
    }
    import = tool_import_options(t, argv[0]);
    status = isg_model_check(&file, argv[0], &import, &problems, &err);
    code = tool_exit_code(status);
    if (status == ISG_OK || problems.count) failed = report_problems(t, argv[0], &problems, status == ISG_OK);
    if (code != EXIT_OK && (code != EXIT_UNSUPPORTED || !problems.count)) code = tool_error(t, argv[0], status, &err);
    isg_onnx_problems_clear(&problems);
    return tool_worse(code, failed);
}
