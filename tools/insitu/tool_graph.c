/* SPDX-License-Identifier: Apache-2.0 */
/* Prepared graphs from .onnx and .isg files, for the verbs that change or rewrite a network. */
#include <insitu/format.h>
#include <string.h>

#include "tool.h"

/* Once a file, however often the verb reads it. */
static void import_warning(void *user, const char *message)
{
    tool *t = user;
    if (!t->importing_again) tool_warning(t, t->importing, "%s", message);
}

isg_onnx_options tool_import_options(tool *t, const char *path)
{
    const isg_onnx_options options = {.struct_size = sizeof options,
                                      .shape = t->shape,
                                      .outputs = t->outputs,
                                      .output_count = t->output_count,
                                      .warning = import_warning,
                                      .user = t};
    t->importing = path;
    return options;
}

int tool_shape_check(tool *t)
{
    if (!t->shape || t->shape_used) return EXIT_OK;
    return tool_usage_error(t, "option --shape goes with an .onnx file");
}

static int graph_from_onnx(tool *t, isg_graph **graph, const isg_file *file, const char *path)
{
    const isg_onnx_options options = tool_import_options(t, path);
    isg_onnx_problems problems = {0};
    isg_error err = {0};
    isg_status status = isg_onnx_import_opened(graph, file, path, &options, &problems, &err);
    int more = problems.count > 1;
    isg_onnx_problems_clear(&problems);
    if (status == ISG_OK) status = isg_graph_prepare(*graph, &err);
    if (status == ISG_OK) return EXIT_OK;
    isg_graph_destroy(*graph);
    *graph = NULL;
    if (more) tool_note(t, "there are more problems: insitu check lists them all");
    return tool_error(t, path, status, &err);
}

int tool_graph_open(tool *t, isg_graph **graph, const char *path)
{
    isg_file file;
    isg_error err = {0};
    isg_status status = isg_file_open(&file, path, &err);
    if (status != ISG_OK) return tool_error(t, path, status, &err);
    if (file.size < 8 || memcmp(file.data, ISG_FORMAT_MAGIC, 8)) {
        const int code = graph_from_onnx(t, graph, &file, path);
        isg_file_close(&file);
        t->shape_used = 1;
        return code;
    }
    status = isg_unpack_image(graph, file.data, file.size, &err);
    isg_file_close(&file);
    return status == ISG_OK ? EXIT_OK : tool_error(t, path, status, &err);
}

/* An .onnx file is imported again: it has names that the packed form does without. */
int tool_model_graph(tool *t, isg_graph **graph, const tool_model *m)
{
    isg_error err = {0};
    isg_status status;
    int code;
    if (!isg_model_is_isg(m->model) && !tool_is_pipe(m->path)) {
        t->importing_again = 1;
        code = tool_graph_open(t, graph, m->path);
        t->importing_again = 0;
        return code;
    }
    status = isg_model_graph(graph, m->model, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(t, m->path, status, &err);
}
