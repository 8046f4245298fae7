/* SPDX-License-Identifier: Apache-2.0 */
/* insitu train: a built-in architecture from scratch, or an ONNX network further; the result is plain ONNX. */
#include <math.h>
#include <string.h>

#include "tool_train.h"

typedef struct train_args {
    isg_train_options o;
    const char *output, *data, *input, *arch, *source, *teacher;
    int32_t label_offset;
    uint32_t outputs;
} train_args;

typedef struct train_job {
    isg_graph *graph, *teacher;
    isg_dataset *ds;
    isg_input_spec input;
    isg_train_report training;
} train_job;

static int check_arch(tool *t, const char *arch)
{
    const char *const *name;
    char list[256] = "";
    size_t n = 0;
    for (name = isg_arch_names(); *name; name++) {
        if (!strcmp(*name, arch)) return EXIT_OK;
        if (n < sizeof list) n += (size_t)snprintf(list + n, sizeof list - n, " %s", *name);
    }
    return tool_usage_error(t, "option --arch: unknown; known are%s", list);
}

static int train_load(tool *t, const train_args *a, train_job *job)
{
    isg_error err = {0};
    uint32_t channels, height, width;
    isg_input_spec wanted = {.channels = 0};
    int code = EXIT_OK;
    isg_status status = isg_dataset_open(&job->ds, a->data, ISG_SPLIT_TRAIN, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    if (!isg_dataset_has_labels(job->ds) && !a->teacher) return tool_usage_error(t, "%s has no labels", a->data);
    if (a->source) {
        code = tool_graph_open(t, &job->graph, a->source);
    } else {
        isg_dataset_shape(job->ds, &channels, &height, &width, NULL);
        if (a->input && isg_input_spec_parse(&wanted, a->input, &err) == ISG_OK && wanted.crop)
            height = width = wanted.crop; /* what the images become */
        if (!height) return tool_usage_error(t, "images of %s differ in size", a->data);
        status = isg_arch_build(&job->graph, a->arch, channels, height, width,
                                a->outputs ? a->outputs : isg_dataset_classes(job->ds), t->seed, &err);
        if (status != ISG_OK) return tool_data_error(t, a->arch, status, &err);
    }
    if (code == EXIT_OK && a->teacher) code = tool_graph_open(t, &job->teacher, a->teacher);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK)
        code = tool_graph_input(t, &job->input, job->graph, a->source ? a->source : a->arch, a->input, NULL);
    if (code == EXIT_OK) code = tool_contract(t, &job->input, job->ds, a->source ? a->source : a->arch, a->input);
    if (code == EXIT_OK) code = tool_check_image(t, job->ds, a->data, &job->input, a->source ? a->source : a->arch);
    if (code == EXIT_OK) code = tool_check_labels(t, job->ds, a->data, job->graph, a->label_offset);
    return code;
}

static int train_run(tool *t, train_args *a, train_job *job)
{
    isg_error err = {0};
    isg_status status;
    cJSON *json;
    char text[512];
    int code = tool_ranks_agree(t, train_load(t, a, job));
    if (code != EXIT_OK) return code;
    if (!isg_dataset_has_labels(job->ds)) a->o.distill_beta = 1.0f;
    if (isnan(a->o.distill_beta)) a->o.distill_beta = job->teacher ? 0.9f : 0.0f;
    tool_train_common(t, &a->o);
    status = isg_train(job->graph, job->teacher, job->ds, &job->input, a->label_offset, &a->o, &job->training, &err);
    if (status != ISG_OK) code = tool_train_error(t, a->source ? a->source : a->arch, a->data, &a->o, status, &err);
    if ((code != EXIT_OK && !tool_train_unsaved(status, &job->training)) || t->silent) return code;
    status = isg_onnx_export_file(job->graph, a->output, ISG_ONNX_DENSE, &err);
    if (status != ISG_OK) return tool_error(t, a->output, status, &err);
    isg_input_spec_format(text, sizeof text, &job->input);
    if (!t->json) {
        tool_train_report(t, NULL, &job->training);
        char shown[256];
        printf("written    %s\n", tool_escape(shown, sizeof shown, a->output, strlen(a->output)));
        tool_note(t, "an .onnx file does not keep its input contract: use --input=%s", text);
        return code;
    }
    json = tool_json("train");
    tool_json_text(json, "output", a->output);
    tool_json_text(json, "input", text);
    tool_train_report(t, json, &job->training);
    return tool_worse(code, tool_json_print(t, json));
}

int cmd_train(tool *t, const tool_verb *verb, int argc, char **argv)
{
    static const char *const factored[] = {"ortho", "paper-clamp", "execution", NULL};
    train_args a = {.label_offset = 0};
    tool_option options[8 + TRAIN_OPTION_COUNT] = {
        {"output", 'o', OPTION_TEXT, &a.output, "OUT.onnx", "file to write (needed)"},
        {"data", 'd', OPTION_TEXT, &a.data, "KIND:PATH", "training images (needed)"},
        {"arch", 'a', OPTION_TEXT, &a.arch, "NAME", "a new network: fig5a, resnet18, resnet20 or mlp"},
        {"outputs", 0, OPTION_U32, &a.outputs, "N", "outputs of a new network (default: the data's classes)"},
        {"teacher", 0, OPTION_TEXT, &a.teacher, "MODEL.onnx", "learn from this network's outputs too"},
        {"input", 'i', OPTION_TEXT, &a.input, "SPEC", "raw|unit|torchvision|tf|KEY=VALUE,..."},
        {"label-offset", 0, OPTION_I32, &a.label_offset, "N", "output N is class 0 (default 0)"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {verb,
                              "[MODEL.onnx] --data KIND:PATH -o OUT.onnx",
                              "Without --arch the network of MODEL.onnx is trained further. --max-memory is refused: "
                              "what\ntraining needs is not known beforehand.",
                              options,
                              OPTION_COUNT(options),
                              0,
                              1,
                              NULL};
    train_job job = {.graph = NULL};
    const char *inputs[2];
    int files, code;
    code = tool_train_begin(t, &usage, options + 8, &a.o, argc, argv, &files);
    if (code >= 0) return code;
    if ((files == 1) == (a.arch != NULL)) return tool_usage_error(t, "give either --arch or MODEL.onnx");
    if (tool_given(t, "outputs") && !a.outputs) return tool_usage_error(t, "option --outputs: at least 1");
    if (a.outputs && !a.arch) return tool_usage_error(t, "--outputs needs --arch");
    if (!tool_trains(&a.o)) return tool_usage_error(t, "--epochs=0 needs --seconds or --steps");
    if (a.label_offset < 0) return tool_usage_error(t, "option --label-offset: must not be negative");
    a.source = files ? argv[0] : NULL;
    inputs[0] = a.source;
    inputs[1] = a.teacher;
    code = tool_check_train_options(t, &a.o, a.teacher);
    if (code == EXIT_OK) code = tool_refuse(t, factored, "is of factored networks (see insitu tune)");
    if (code == EXIT_OK) code = tool_check_train_outputs(t, a.output, &a.o, inputs, a.data);
    if (code == EXIT_OK && a.arch) code = check_arch(t, a.arch);
    if (code == EXIT_OK) code = train_run(t, &a, &job);
    isg_dataset_close(job.ds);
    isg_graph_destroy(job.graph);
    isg_graph_destroy(job.teacher);
    return code;
}
