/* SPDX-License-Identifier: Apache-2.0 */
/* insitu eval: accuracy on a labelled set. */
#include <string.h>

#include "tool_eval.h"
#include "tool_snn.h"

typedef struct eval_options {
    const char *data, *input;
    int32_t label_offset;
    uint64_t limit;
    uint32_t batch, strategy;
    int train_split;
    snn_options snn;
} eval_options;

static int report(tool *t, const tool_eval *e, const eval_options *o)
{
    const tool_model *m = e->m;
    double n = (double)e->images;
    int subset = e->images<isg_dataset_count(e->ds), top5 = m->out_count - (uint64_t)m->label_offset> 10;
    tool_sizes sizes;
    isg_rt_options options;
    cJSON *json;
    char text[512];
    int code;
    tool_options_init(t, &options, tool_run_batch(m, e->batch), o->strategy);
    code = tool_model_sizes(t, m, &options, &sizes);
    if (code != EXIT_OK) return code;
    if (!t->json) {
        printf("accuracy %.4f (%llu of %llu images%s)\n", (double)e->top1 / n, (unsigned long long)e->top1,
               (unsigned long long)e->images, subset ? ", subset" : "");
        if (top5) printf("top-5    %.4f\n", (double)e->top5 / n);
        return EXIT_OK;
    }
    json = tool_json("eval");
    tool_json_text(json, "file", m->path);
    tool_json_text(json, "data", o->data);
    cJSON_AddStringToObject(json, "split", o->train_split ? "train" : "test");
    isg_input_spec_format(text, sizeof text, &m->input);
    tool_json_text(json, "input", text);
    cJSON_AddNumberToObject(json, "label_offset", m->label_offset);
    cJSON_AddNumberToObject(json, "images", n);
    cJSON_AddBoolToObject(json, "subset", subset);
    cJSON_AddNumberToObject(json, "correct", (double)e->top1);
    cJSON_AddNumberToObject(json, "accuracy", (double)e->top1 / n);
    if (top5) cJSON_AddNumberToObject(json, "top5_accuracy", (double)e->top5 / n);
    cJSON_AddStringToObject(json, "isa", e->isa);
    cJSON_AddStringToObject(json, "strategy", tool_strategy_name(o->strategy));
    cJSON_AddStringToObject(json, "mode", tool_mode_name(t->mode));
    cJSON_AddNumberToObject(json, "batch", e->batch);
    cJSON_AddNumberToObject(json, "threads", e->threads);
    tool_json_sizes(json, &sizes);
    return tool_json_print(t, json);
}

/* The images that set the thresholds: --calibration-data, else the training split where the set has one of its own. */
static int eval_spiking(tool *t, const eval_options *o, tool_model *m, const isg_dataset *ds)
{
    uint64_t images = isg_dataset_count(ds);
    isg_dataset *calibration = NULL;
    const char *spec = o->snn.calibration;
    int code, one_set = !strncmp(o->data, "npy:", 4) || !strncmp(o->data, "folder:", 7);
    if (o->limit < images) images = o->limit;
    code = tool_eval_labels(t, m, ds, images, o->data);
    if (code != EXIT_OK) return code;
    if (!spec && !o->train_split && !one_set) spec = o->data;
    if (spec) code = tool_data_open(t, &calibration, m, spec, ISG_SPLIT_TRAIN, o->input);
    if (code == EXIT_OK) code = tool_snn_eval(t, &o->snn, m, ds, calibration, o->data, images);
    isg_dataset_close(calibration);
    return code;
}

static int eval_model(tool *t, const eval_options *o, const tool_model *m, const isg_dataset *ds)
{
    tool_eval e = {.m = m, .ds = ds, .batch = o->batch, .strategy = o->strategy, .judge = 1, .stage = "eval"};
    uint64_t start;
    double seconds;
    int code = tool_eval_batch(t, m, &e.batch);
    e.images = isg_dataset_count(ds);
    if (o->limit < e.images) e.images = o->limit;
    e.total = e.images;
    if (code == EXIT_OK) code = tool_eval_labels(t, m, ds, e.images, o->data);
    if (code != EXIT_OK) return code;
    start = isg_host_nanoseconds();
    code = tool_eval_run(t, &e);
    seconds = (double)(isg_host_nanoseconds() - start) * 1e-9;
    if (code != EXIT_OK) return code;
    tool_note(t, "%.0f images/s (%u thread%s)", (double)e.images / seconds, e.threads, e.threads == 1 ? "" : "s");
    return report(t, &e, o);
}

int cmd_eval(tool *t, const tool_verb *verb, int argc, char **argv)
{
    eval_options o = {.label_offset = LABEL_OFFSET_UNSET, .batch = 8, .limit = UINT64_MAX, .snn = SNN_OPTIONS_INIT};
    const tool_option options[] = {
        {"data", 'd', OPTION_TEXT, &o.data, "KIND:PATH", "labelled data: cifar10, cifar100, idx, folder, npy (needed)"},
        {"input", 'i', OPTION_TEXT, &o.input, "SPEC",
         "raw|unit|torchvision|tf|KEY=VALUE,... (default: the file's own)"},
        {"label-offset", 0, OPTION_I32, &o.label_offset, "N", "output N is class 0 (default: the file's own, or 0)"},
        {"limit", 'n', OPTION_U64, &o.limit, "N", "only the first N images; the result then says subset"},
        {"batch", 'b', OPTION_U32, &o.batch, "N", "images a run (default 8)"},
        {"strategy", 0, OPTION_CHOICE, &o.strategy, tool_strategies, "force a way to execute factored layers"},
        {"mode", 0, OPTION_CHOICE, &t->mode, tool_modes, "numbers to compute in; int8 needs a calibrated file"},
        {"train-split", 0, OPTION_FLAG, &o.train_split, NULL, "use the training images of the set"},
        SHAPE_OPTION_ROW(t),
        SNN_OPTION_ROWS(o.snn),
    };
    const tool_usage usage = {
        verb,
        "FILE --data KIND:PATH",
        "FILE is a .isg or an .onnx file. Accuracy counts the label against the largest of the "
        "outputs from the\nlabel offset on; with more than 10 classes top-5 is told too. With --snn a ReLU "
        "network runs as\nintegrate-and-fire neurons and accuracy, spikes and synaptic operations "
        "are printed for every T.\nThresholds come from the training images of the same data, or "
        "from --calibration-data.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        NULL};
    tool_model m;
    isg_dataset *ds = NULL;
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (!o.data) return tool_usage_error(t, "--data is needed");
    if (o.batch < 1 || o.batch > 4096) return tool_usage_error(t, "option --batch: from 1 to 4096");
    if (!o.limit) return tool_usage_error(t, "option --limit: at least 1");
    code = tool_snn_check(t, &o.snn);
    if (code != EXIT_OK) return code;
    code = tool_model_open(t, &m, argv[0], o.input, o.label_offset);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = tool_model_single(t, &m, !o.snn.steps);
    if (code == EXIT_OK)
        code = tool_data_open(t, &ds, &m, o.data, o.train_split ? ISG_SPLIT_TRAIN : ISG_SPLIT_TEST, o.input);
    if (code == EXIT_OK) code = o.snn.steps ? eval_spiking(t, &o, &m, ds) : eval_model(t, &o, &m, ds);
    isg_dataset_close(ds);
    tool_model_close(&m);
    return code;
}
