/* SPDX-License-Identifier: Apache-2.0 */
/* insitu tune: the factors of a compressed model, fine-tuned on data, against the network they came from. */
#include <insitu/format.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool_train.h"

typedef struct tune_args {
    isg_train_options o;
    const char *output, *data, *input, *teacher, *bits;
    int32_t label_offset;
    uint32_t activations;
    uint8_t target[3]; /* of `bits` */
} tune_args;

typedef struct tune_job {
    tool_model m;
    isg_graph *graph, *teacher;
    isg_dataset *ds;
    isg_input_spec input;
    isg_train_report training;
    tool_written written;
    int unsaved;
} tune_job;

/* Both see the same numbers: a teacher that was made for others says nothing about them. */
static int check_teacher_input(tool *t, const tune_args *a, const tune_job *job, const tool_model *teacher)
{
    char own[512], its[512];
    isg_input_spec student = job->m.input, other = teacher->input;
    student.channels = student.height = student.width = other.channels = other.height = other.width = 0;
    if (!other.given || !student.given) return EXIT_OK;
    isg_input_spec_format(own, sizeof own, &student);
    isg_input_spec_format(its, sizeof its, &other);
    if (strcmp(own, its) == 0) return EXIT_OK;
    return tool_usage_error(t, "%s expects other numbers than the student: --input=%s, not %s", a->teacher, its, own);
}

/* A student that takes more than its teacher saves nothing: one of the two files is the wrong one. */
static int check_teacher_size(tool *t, const tune_args *a, const tune_job *job)
{
    tool_model teacher;
    tool_sizes own, its;
    isg_rt_options rt;
    isg_error err = {ISG_E_TARGET, -1, ISG_ERROR_NONE, ""};
    char kept[32], wanted[32];
    int code = tool_model_open(t, &teacher, a->teacher, NULL, LABEL_OFFSET_UNSET);
    if (code != EXIT_OK) return code;
    tool_options_init(t, &rt, 1, ISG_STRATEGY_AUTO);
    code = check_teacher_input(t, a, job, &teacher);
    if (code == EXIT_OK) code = tool_model_sizes(t, &job->m, &rt, &own);
    if (code == EXIT_OK) code = tool_model_sizes(t, &teacher, &rt, &its);
    tool_model_close(&teacher);
    if (code != EXIT_OK || own.resident_bytes <= its.resident_bytes) return code;
    snprintf(err.message, sizeof err.message, "its weights take %s, those of its teacher only %s",
             tool_bytes(kept, sizeof kept, (double)own.resident_bytes),
             tool_bytes(wanted, sizeof wanted, (double)its.resident_bytes));
    return tool_error(t, job->m.path, ISG_E_TARGET, &err);
}

/* Weights with a level get the bits asked for; the others (a first or last layer) keep theirs. */
static int change_bits(tool *t, const tune_args *a, isg_graph *g, const char *source)
{
    isg_error err = {0};
    for (int32_t i = 0; i < g->value_count; i++) {
        isg_factors *f = g->values[i].factors;
        isg_status status;
        if (!f || (!f->level1 && !f->level2)) continue;
        status = isg_factors_requantise(f, a->target, &err);
        if (status != ISG_OK) return tool_error(t, source, status, &err);
    }
    return EXIT_OK;
}

static int tune_load(tool *t, const tune_args *a, tune_job *job, const char *source)
{
    isg_error err = {0};
    isg_status status;
    int code = tool_model_open(t, &job->m, source, a->input, a->label_offset);
    if (code != EXIT_OK) return code;
    if (!isg_model_is_isg(job->m.model)) return tool_usage_error(t, "%s is no .isg file (see insitu train)", source);
    code = tool_model_graph(t, &job->graph, &job->m);
    if (code == EXIT_OK && a->bits) code = change_bits(t, a, job->graph, source);
    if (code == EXIT_OK && a->teacher) code = tool_graph_open(t, &job->teacher, a->teacher);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK && a->teacher) code = check_teacher_size(t, a, job);
    if (code == EXIT_OK) code = tool_graph_input(t, &job->input, job->graph, source, a->input, &job->m.input);
    if (code != EXIT_OK) return code;
    status = isg_dataset_open(&job->ds, a->data, ISG_SPLIT_TRAIN, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    code = tool_contract(t, &job->input, job->ds, source, a->input);
    if (code == EXIT_OK) code = tool_check_image(t, job->ds, a->data, &job->input, source);
    if (code == EXIT_OK) code = tool_check_labels(t, job->ds, a->data, job->graph, job->m.label_offset);
    return code;
}

/* Raw weights and biases keep the width they have in the source file, so that tuning does not change its size. */
static void raw_widths(isg_pack_options *pack, const isg_rt_model *rt)
{
    pack->raw_bits = pack->bias_bits = 32;
    for (uint32_t i = 0; i < isg_rt_weight_count(rt); i++) {
        isg_weight w;
        if (isg_rt_weight(rt, i, &w) != ISG_OK || w.basis.family != ISG_QUANT_RAW || w.basis.bits != 16) continue;
        if (w.taps == 1 && w.ci == 1)
            pack->bias_bits = 16;
        else
            pack->raw_bits = 16;
    }
}

static int tune_write(tool *t, const tune_args *a, tune_job *job)
{
    const isg_model_meta *meta = isg_model_get_meta(job->m.model);
    isg_pack_options pack = {.struct_size = sizeof pack, .golden = 1};
    const char **names = calloc(meta->class_count ? meta->class_count : 1, sizeof *names);
    isg_input_spec kept = job->m.input; /* what the file said, not what the arrays of this run needed */
    size_t ranges;
    uint32_t i, activations = a->activations;
    int code;
    if (!names) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < meta->class_count; i++) {
        names[i] = isg_model_class_name(job->m.model, i);
        if (!names[i]) names[i] = "";
    }
    /* a file that int8 runs from stays one: its weights have other ranges now */
    if (activations == 0 && isg_rt_section(isg_model_rt(job->m.model), ISG_SECTION_ACTIVATIONS, &ranges))
        activations = 8;
    raw_widths(&pack, isg_model_rt(job->m.model));
    pack.golden_seed = t->seed;
    pack.input = kept.given ? &kept : NULL;
    pack.label_offset = job->m.label_offset;
    pack.class_names = names;
    pack.class_count = meta->class_count;
    pack.recipe = a->bits ? NULL : meta->recipe; /* it would name the bits of before */
    pack.license = meta->license;
    code = tool_calibrate(t, activations, job->graph, job->ds, &job->input, &pack);
    if (code == EXIT_OK) code = tool_write_isg(t, job->graph, &pack, a->output, &job->written);
    isg_free((void *)(uintptr_t)pack.activations);
    free(names);
    return code;
}

static int tune_train(tool *t, tune_args *a, tune_job *job, const char *source)
{
    isg_error err = {0};
    isg_status status;
    if (!isg_dataset_has_labels(job->ds)) {
        if (!job->teacher) return tool_usage_error(t, "data without labels need --teacher");
        a->o.distill_beta = 1.0f;
        a->o.validation_fraction = 0.0;
    }
    if (isnan(a->o.distill_beta)) a->o.distill_beta = job->teacher ? 0.9f : 0.0f;
    tool_train_common(t, &a->o);
    status =
        isg_train(job->graph, job->teacher, job->ds, &job->input, job->m.label_offset, &a->o, &job->training, &err);
    job->unsaved = tool_train_unsaved(status, &job->training);
    return status == ISG_OK ? EXIT_OK : tool_train_error(t, source, a->data, &a->o, status, &err);
}

static int tune_run(tool *t, tune_args *a, tune_job *job, const char *source)
{
    cJSON *json;
    int written, code = tool_ranks_agree(t, tune_load(t, a, job, source));
    if (code == EXIT_OK && tool_trains(&a->o)) code = tune_train(t, a, job, source);
    if ((code != EXIT_OK && !job->unsaved) || t->silent) return code;
    written = tune_write(t, a, job);
    if (written != EXIT_OK) return tool_worse(code, written);
    if (!t->json) {
        if (tool_trains(&a->o)) tool_train_report(t, NULL, &job->training);
        tool_written_report(NULL, a->output, &job->written);
        return code;
    }
    json = tool_json("tune");
    tool_json_text(json, "file", source);
    if (tool_trains(&a->o)) tool_train_report(t, json, &job->training);
    tool_written_report(json, a->output, &job->written);
    return tool_worse(code, tool_json_print(t, json));
}

int cmd_tune(tool *t, const tool_verb *verb, int argc, char **argv)
{
    tune_args a = {.label_offset = LABEL_OFFSET_UNSET};
    tool_option options[8 + TRAIN_OPTION_COUNT] = {
        {"output", 'o', OPTION_TEXT, &a.output, "OUT.isg", "file to write (needed)"},
        {"data", 'd', OPTION_TEXT, &a.data, "KIND:PATH", "training images (needed)"},
        {"teacher", 0, OPTION_TEXT, &a.teacher, "MODEL.onnx", "the original network, to learn from its outputs"},
        {"input", 'i', OPTION_TEXT, &a.input, "SPEC",
         "raw|unit|torchvision|tf|KEY=VALUE,... (default: the file's own)"},
        {"label-offset", 0, OPTION_I32, &a.label_offset, "N", "output N is class 0 (default: the file's own)"},
        {"activations", 0, OPTION_U32, &a.activations, "8|32",
         "8: store the ranges that --mode=int8 needs (default: as the file does)"},
        SHAPE_OPTION_ROW(t),
        {"bits", 0, OPTION_TEXT, &a.bits, "B,U,V", "first give basis, U and V other bits (default: the file's own)"},
    };
    const tool_usage usage = {
        verb,
        "FILE.isg --data KIND:PATH -o OUT.isg",
        "Ranks stay as they are; so do bits, unless --bits changes them, and the size, which --renormalise and\n"
        "--activations may change too. With --teacher the loss is\n"
        "distillation (weight 0.9 unless --distill says otherwise; 1 when the data have no labels). --epochs=0 "
        "without\n"
        "--seconds and --steps trains nothing: it gives a file the ranges of --activations=8 or other "
        "--bits.\n--max-memory is refused: what training needs is not known beforehand.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        NULL};
    tune_job job = {.graph = NULL};
    const char *inputs[2];
    int files, code;
    code = tool_train_begin(t, &usage, options + 8, &a.o, argc, argv, &files);
    if (code >= 0) return code;
    if (a.o.distill_beta < 0.0f || a.o.distill_beta > 1.0f)
        return tool_usage_error(t, "option --distill: must lie between 0 and 1");
    if (a.o.distill_beta > 0.0f && !a.teacher) return tool_usage_error(t, "--distill needs --teacher");
    if (a.activations != 0 && a.activations != 8 && a.activations != 32)
        return tool_usage_error(t, "option --activations: 8 or 32 are possible");
    if (!tool_trains(&a.o) && !a.bits && a.activations == 0)
        return tool_usage_error(t, "--epochs=0 needs --seconds or --steps, or --activations or --bits to be written");
    if (!tool_trains(&a.o) && (code = tool_refuse_training(t)) != EXIT_OK) return code;
    if (a.bits && (code = tool_read_bits(t, a.bits, a.target)) != EXIT_OK) return code;
    inputs[0] = argv[0];
    inputs[1] = a.teacher;
    code = tool_check_train_options(t, &a.o, a.teacher);
    if (code == EXIT_OK && a.teacher && tool_is_pipe(a.teacher))
        code = tool_usage_error(t, "option --teacher: needs a file, which is read twice");
    if (code == EXIT_OK) code = tool_need_file(t, a.output);
    if (code == EXIT_OK) code = tool_check_train_outputs(t, a.output, &a.o, inputs, a.data);
    if (code != EXIT_OK) return code;
    code = tune_run(t, &a, &job, argv[0]);
    isg_dataset_close(job.ds);
    isg_graph_destroy(job.graph);
    isg_graph_destroy(job.teacher);
    tool_model_close(&job.m);
    return code;
}
