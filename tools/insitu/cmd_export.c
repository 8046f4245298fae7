/* SPDX-License-Identifier: Apache-2.0 */
/* insitu export: a model as ONNX, with its weights generated or as chains of small convolutions, or as C. */
#include <insitu/format.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define NAME_MAX_BYTES 64 /* longer ones are no prefix anyway */

typedef struct export_options {
    const char *output, *prefix;
    int factored, c;
} export_options;

static int export_onnx(tool *t, const export_options *o, const char *path)
{
    isg_graph *graph = NULL;
    isg_error err = {0};
    isg_status status;
    int code = tool_check_output(t, o->output, &path, 1, NULL);
    if (code != EXIT_OK) return code;
    code = tool_graph_open(t, &graph, path);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code != EXIT_OK) {
        isg_graph_destroy(graph);
        return code;
    }
    status = isg_onnx_export_file(graph, o->output, o->factored ? ISG_ONNX_FACTORED : ISG_ONNX_DENSE, &err);
    isg_graph_destroy(graph);
    if (status != ISG_OK) return tool_error(t, o->output, status, &err);
    if (t->json) {
        cJSON *json = tool_json("export");
        tool_json_text(json, "file", path);
        tool_json_text(json, "output", o->output);
        cJSON_AddStringToObject(json, "form", o->factored ? "factored" : "dense");
        return tool_json_print(t, json);
    }
    tool_note(t, "%s written", o->output);
    return EXIT_OK;
}

/* ---- C ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The name of the output without .c, with _ for what names in C cannot have; cut where it is too long for one. */
static void prefix_of(char prefix[NAME_MAX_BYTES + 1], const char *output)
{
    const char *name = base_name(output);
    const size_t bytes = strlen(name) - 2;
    size_t i;
    for (i = 0; i < bytes && i < NAME_MAX_BYTES; i++) {
        const char c = name[i];
        const int word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        prefix[i] = (char)(word ? c : '_');
    }
    prefix[i] = '\0';
}

/* Both are whole and on the disk before either gets its name. */
static int write_both(tool *t, const export_options *o, const char *header, const isg_c_source *text)
{
    isg_writer *source_file = NULL, *header_file = NULL;
    isg_error err = {0};
    const char *blamed = o->output;
    isg_status status = isg_writer_open(&source_file, o->output, &err);
    if (status == ISG_OK) status = isg_writer_write(source_file, text->source, text->source_bytes, &err);
    if (status == ISG_OK) status = isg_writer_flush(source_file, &err);
    if (status == ISG_OK) {
        blamed = header;
        status = isg_writer_open(&header_file, header, &err);
    }
    if (status == ISG_OK) status = isg_writer_write(header_file, text->header, text->header_bytes, &err);
    if (status == ISG_OK) status = isg_writer_flush(header_file, &err);
    if (status == ISG_OK) {
        status = isg_writer_commit(header_file, &err);
        header_file = NULL;
    }
    if (status == ISG_OK) {
        blamed = o->output;
        status = isg_writer_commit(source_file, &err);
        source_file = NULL;
    }
    isg_writer_abort(header_file);
    isg_writer_abort(source_file);
    return status == ISG_OK ? EXIT_OK : tool_error(t, blamed, status, &err);
}

static int report_c(tool *t, const export_options *o, const char *path, const char *header, const char *prefix,
                    const isg_c_source *text)
{
    char image[32], source[32], workspace[32];
    if (t->json) {
        cJSON *json = tool_json("export");
        tool_json_text(json, "file", path);
        tool_json_text(json, "output", o->output);
        cJSON_AddStringToObject(json, "form", "c");
        tool_json_text(json, "header", header);
        cJSON_AddStringToObject(json, "prefix", prefix);
        cJSON_AddStringToObject(json, "mode", tool_mode_name(t->mode));
        cJSON_AddNumberToObject(json, "image_bytes", (double)text->image_bytes);
        cJSON_AddNumberToObject(json, "workspace_bytes", (double)text->workspace_bytes);
        cJSON_AddNumberToObject(json, "text_bytes", (double)(text->source_bytes + text->header_bytes));
        return tool_json_print(t, json);
    }
    tool_note(t, "%s and %s written: %s of constants as %s of text, workspace %s", o->output, base_name(header),
              tool_bytes(image, sizeof image, (double)text->image_bytes),
              tool_bytes(source, sizeof source, (double)text->source_bytes),
              tool_bytes(workspace, sizeof workspace, (double)text->workspace_bytes));
    return EXIT_OK;
}

static int export_model(tool *t, const export_options *o, const char *path, const char *header)
{
    char from_name[NAME_MAX_BYTES + 1];
    isg_c_options options = {.struct_size = sizeof options, .mode = t->mode, .isa_mask = t->isa_mask};
    tool_model m;
    isg_c_source text;
    isg_error err = {0};
    isg_status status;
    int code;
    prefix_of(from_name, o->output);
    options.prefix = o->prefix ? o->prefix : from_name;
    options.header = base_name(header);
    code = tool_model_open(t, &m, path, NULL, LABEL_OFFSET_UNSET);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) {
        status = isg_model_c_source(&text, m.model, &options, &err);
        if (status == ISG_E_ARG)
            code = tool_usage_error(t, "%s", err.message);
        else if (status != ISG_OK)
            code = tool_error(t, path, status, &err);
        if (code == EXIT_OK) code = write_both(t, o, header, &text);
        if (code == EXIT_OK) code = report_c(t, o, path, header, options.prefix, &text);
        isg_c_source_free(&text);
    }
    tool_model_close(&m);
    return code;
}

static int export_c(tool *t, const export_options *o, const char *path)
{
    const char *name = base_name(o->output);
    const size_t bytes = strlen(o->output);
    char *header;
    int code;
    if (o->factored) return tool_usage_error(t, "option --factored does not go with --c");
    if (strcmp(o->output, "-") != 0 && (strlen(name) < 3 || strcmp(o->output + bytes - 2, ".c") != 0))
        return tool_usage_error(t, "--c writes NAME.c and NAME.h: --output must end in .c");
    header = malloc(bytes + 1);
    if (!header) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    memcpy(header, o->output, bytes + 1);
    header[bytes - 1] = 'h';
    code = tool_check_output(t, o->output, &path, 1, NULL);
    if (code == EXIT_OK) code = tool_check_output(t, header, &path, 1, NULL);
    if (code == EXIT_OK) code = export_model(t, o, path, header);
    free(header);
    return code;
}

int cmd_export(tool *t, const tool_verb *verb, int argc, char **argv)
{
    static const char *const of_c[] = {"prefix", "mode", NULL};
    export_options o = {0};
    const tool_option options[] = {
        {"output", 'o', OPTION_TEXT, &o.output, "OUT.onnx|OUT.c", "file to write (needed)"},
        {"factored", 0, OPTION_FLAG, &o.factored, NULL, "keep the factors: 1x1, depthwise, 1x1 in place of each layer"},
        {"c", 0, OPTION_FLAG, &o.c, NULL, "write C that runs the model from constant memory: OUT.c and OUT.h"},
        {"prefix", 0, OPTION_TEXT, &o.prefix, "NAME", "what names in that C begin with (default: OUT)"},
        {"mode", 0, OPTION_CHOICE, &t->mode, tool_modes, "numbers that it computes in; int8 needs a calibrated file"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {
        verb,
        "FILE -o OUT.onnx|OUT.c",
        "FILE is a .isg or an .onnx file. Without --factored every weight is generated, and any ONNX runtime\n"
        "runs the result as the plain network. With --c the result is for machines without heap, files or\n"
        "operating system and goes with libinsitu_rt; it uses NEON where there is, or else what --isa says.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        "max-memory"};
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (!o.output) return tool_usage_error(t, "--output is needed");
    if (o.c) return export_c(t, &o, argv[0]);
    code = tool_refuse(t, of_c, "goes with --c");
    return code == EXIT_OK ? export_onnx(t, &o, argv[0]) : code;
}
