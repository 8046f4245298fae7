/* SPDX-License-Identifier: Apache-2.0 */
/* insitu export: a model as ONNX, with its weights generated or as chains of small convolutions. */
#include <insitu/format.h>
#include <string.h>

#include "tool.h"

int cmd_export(tool *t, const tool_verb *verb, int argc, char **argv)
{
    const char *output = NULL;
    int factored = 0;
    const tool_option options[] = {
        {"output", 'o', OPTION_TEXT, &output, "OUT.onnx", "file to write (needed)"},
        {"factored", 0, OPTION_FLAG, &factored, NULL, "keep the factors: 1x1, depthwise, 1x1 in place of each layer"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {verb,
                              "FILE -o OUT.onnx",
                              "FILE is a .isg or an .onnx file. Without --factored every weight is generated, and any "
                              "ONNX runtime\nruns the result as the plain network.",
                              options,
                              OPTION_COUNT(options),
                              1,
                              1,
                              "max-memory"};
    isg_graph *graph = NULL;
    isg_error err = {0};
    isg_status status;
    const char *path = NULL;
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (!output) return tool_usage_error(t, "--output is needed");
    path = argv[0];
    code = tool_check_output(t, output, &path, 1, NULL);
    if (code != EXIT_OK) return code;
    code = tool_graph_open(t, &graph, path);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code != EXIT_OK) {
        isg_graph_destroy(graph);
        return code;
    }
    status = isg_onnx_export_file(graph, output, factored ? ISG_ONNX_FACTORED : ISG_ONNX_DENSE, &err);
    isg_graph_destroy(graph);
    if (status != ISG_OK) return tool_error(t, output, status, &err);
    if (t->json) {
        cJSON *json = tool_json("export");
        tool_json_text(json, "file", path);
        tool_json_text(json, "output", output);
        cJSON_AddStringToObject(json, "form", factored ? "factored" : "dense");
        return tool_json_print(t, json);
    }
    tool_note(t, "%s written", output);
    return EXIT_OK;
}
