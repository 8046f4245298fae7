/* SPDX-License-Identifier: Apache-2.0 */
/* insitu report: results that other verbs printed, as pictures and pages for people. */
#include <string.h>

#include "tool.h"

typedef struct report_args {
    const char *output, *grid, *title, *caption;
} report_args;

/* What the two kinds of input become. */
static isg_status report_make(const report_args *a, const isg_file *file, char **text, size_t *bytes, isg_error *err)
{
    char title[256], caption[512];
    if (!a->grid) return isg_report_html(text, bytes, file->data, file->size, err);
    return isg_report_grid(text, bytes, file->data, file->size,
                           a->title ? tool_escape(title, sizeof title, a->title, strlen(a->title)) : NULL,
                           a->caption ? tool_escape(caption, sizeof caption, a->caption, strlen(a->caption)) : NULL,
                           err);
}

static int report_run(tool *t, const report_args *a, const char *source)
{
    isg_file file;
    isg_error err = {0};
    char *text = NULL, shown[256];
    size_t bytes = 0;
    cJSON *json;
    isg_status status = isg_file_open(&file, source, &err);
    if (status != ISG_OK) return tool_error(t, source, status, &err);
    status = report_make(a, &file, &text, &bytes, &err);
    isg_file_close(&file);
    if (status != ISG_OK) return tool_error(t, source, status, &err);
    status = isg_write_file(a->output, text, bytes, &err);
    isg_free(text);
    if (status != ISG_OK) return tool_error(t, a->output, status, &err);
    if (!t->json) {
        printf("written    %s, %zu bytes\n", tool_escape(shown, sizeof shown, a->output, strlen(a->output)), bytes);
        return EXIT_OK;
    }
    json = tool_json("report");
    tool_json_text(json, "file", source);
    tool_json_text(json, "output", a->output);
    cJSON_AddNumberToObject(json, "bytes", (double)bytes);
    return tool_json_print(t, json);
}

int cmd_report(tool *t, const tool_verb *verb, int argc, char **argv)
{
    report_args a = {NULL, NULL, NULL, NULL};
    const tool_option options[] = {
        {"output", 'o', OPTION_TEXT, &a.output, "OUT.svg|OUT.html", "file to write (needed)"},
        {"grid", 0, OPTION_TEXT, &a.grid, "FILE.csv", "a heat map (SVG) of accuracy over bi and bo"},
        {"title", 0, OPTION_TEXT, &a.title, "TEXT", "--grid: line above the picture"},
        {"caption", 0, OPTION_TEXT, &a.caption, "TEXT", "--grid: line below the title, such as what a cell cost"},
    };
    const tool_usage usage = {
        verb,
        "[RESULT.json] -o OUT",
        "RESULT.json is what sim --json or methods --json printed; it becomes one HTML page. The CSV "
        "of --grid has\na first line with at least bi,bo,accuracy,paper_ratio (accuracy and ratio "
        "as fractions), then a line a cell;\ncells may be missing.",
        options,
        OPTION_COUNT(options),
        0,
        1,
        "max-memory"};
    const char *source;
    int files, code;
    code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (!a.output) return tool_usage_error(t, "--output is needed");
    if ((files == 1) == (a.grid != NULL)) return tool_usage_error(t, "give either RESULT.json or --grid");
    if (!a.grid && (a.title || a.caption)) return tool_usage_error(t, "--title and --caption belong to --grid");
    source = a.grid ? a.grid : argv[0];
    code = tool_check_output(t, a.output, &source, 1, NULL);
    return code == EXIT_OK ? report_run(t, &a, source) : code;
}
