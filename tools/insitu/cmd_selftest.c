/* SPDX-License-Identifier: Apache-2.0 */
/* insitu selftest: the golden pair stored in a model, replayed on this machine. */
#include "tool.h"

int cmd_selftest(tool *t, const tool_verb *verb, int argc, char **argv)
{
    uint32_t strategy = ISG_STRATEGY_AUTO;
    const tool_option options[] = {
        {"strategy", 0, OPTION_CHOICE, &strategy, tool_strategies, "force a way to execute factored layers"},
        {"mode", 0, OPTION_CHOICE, &t->mode, tool_modes, "numbers to compute in; int8 needs a calibrated file"},
    };
    const tool_usage usage = {verb,
                              "FILE.isg",
                              "The file holds the seed of an input and the output that its maker got. Exit code 0 when "
                              "this machine\ngives the same within the stored tolerance.",
                              options,
                              OPTION_COUNT(options),
                              1,
                              1,
                              NULL};
    isg_model *model = NULL;
    isg_rt_options rt;
    isg_error err = {0};
    double error = 0.0, tolerance = 0.0;
    isg_status status;
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    status = isg_model_open(&model, argv[0], &err);
    if (status != ISG_OK) return tool_error(t, argv[0], status, &err);
    tool_options_init(t, &rt, 1, strategy);
    status = isg_model_selftest(model, &rt, &error, &tolerance, &err);
    if (status != ISG_OK) {
        code = tool_error(t, argv[0], status, &err);
    } else if (t->json) {
        cJSON *json = tool_json("selftest");
        tool_json_text(json, "file", argv[0]);
        cJSON_AddBoolToObject(json, "ok", 1);
        tool_json_number(json, "max_abs_error", error);
        tool_json_number(json, "tolerance", tolerance);
        code = tool_json_print(t, json);
    } else {
        printf("ok: largest difference %.3g, tolerance %.3g\n", error, tolerance);
        code = EXIT_OK;
    }
    isg_model_close(model);
    return code;
}
