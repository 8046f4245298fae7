/* SPDX-License-Identifier: Apache-2.0 */
/* insitu compress: an ONNX network to packed factors, with a report of what each layer cost. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool_train.h"

#define MAX_RECIPE (4u << 20)
#define FEW_IMAGES 16u
/* Of a tuning so short that nobody looks at it: from a start near the original, the rate for long runs leads away, and
 * RAdam's first steps are gradients as they come. */
#define TUNE_RATE 5e-4f
#define TUNE_CLIP 1.0f

typedef struct compress_args {
    isg_compress_options o;
    const char *output, *data, *input, *bits, *recipe_file, *save_recipe, *classes, *license;
    option_list layers;
    int32_t label_offset;
    uint32_t activations, raw_bits, bias_bits, method, quantizer;
    int no_compensate;
    double tune_seconds;
} compress_args;

typedef struct compress_job {
    isg_graph *graph, *teacher;
    isg_dataset *ds;
    isg_input_spec input;
    tool_names names;
    char *recipe, *patterns[OPTION_LIST_MAX];
    isg_layer_override overrides[OPTION_LIST_MAX];
    isg_compress_report report;
    isg_train_report training;
    tool_written written;
    uint8_t *slower; /* a mark for each layer of the report: of the file that was written */
} compress_job;

/* REGEX=SETTING; the setting itself may hold '=' (bits=4). */
static int read_overrides(tool *t, const compress_args *a, compress_job *job)
{
    uint32_t i;
    for (i = 0; i < a->layers.count; i++) {
        const char *text = a->layers.items[i], *equals = strchr(text, '=');
        size_t n;
        if (!equals || equals == text || !equals[1])
            return tool_usage_error(t, "option --layer: expected REGEX=SETTING");
        n = (size_t)(equals - text);
        job->patterns[i] = malloc(n + 1);
        if (!job->patterns[i]) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
        memcpy(job->patterns[i], text, n);
        job->patterns[i][n] = '\0';
        job->overrides[i].regex = job->patterns[i];
        job->overrides[i].setting = equals + 1;
    }
    return EXIT_OK;
}

/* Options that would change nothing. */
static int check_given(tool *t, const compress_args *a)
{
    static const char *const whole_net[] = {"bits", "fc-bits", "paper-rules", NULL};
    static const char *const chosen[] = {"quantizer", NULL};
    static const char *const images[] = {"calibration", "no-compensate", NULL};
    const int net = a->o.bi > 0 || a->o.bo > 0;
    int code = EXIT_OK;
    if (tool_given(t, "ratio") && !(a->o.target_ratio > 0.0))
        return tool_usage_error(t, "option --ratio: must lie between 0 and 1");
    if (tool_given(t, "paper-ratio") && !(a->o.target_paper_ratio > 0.0 && a->o.target_paper_ratio < 1.0))
        return tool_usage_error(t, "option --paper-ratio: must lie between 0 and 1");
    if (tool_given(t, "calibration") && !a->o.calibration_count)
        return tool_usage_error(t, "option --calibration: at least one image is needed");
    if (tool_given(t, "activations") && !a->activations)
        return tool_usage_error(t, "option --activations: 8 or 32 are possible");
    if (!net) code = tool_refuse(t, whole_net, "goes with --bi and --bo");
    if (code == EXIT_OK && !net && !a->layers.count) code = tool_refuse(t, chosen, "goes with --bi, --bo and --layer");
    return code == EXIT_OK && !a->data ? tool_refuse(t, images, "needs --data") : code;
}

static int check_args(tool *t, compress_args *a, const char *source)
{
    const isg_compress_options *o = &a->o;
    const char *inputs[3];
    int code, targets;
    inputs[0] = source;
    inputs[1] = a->recipe_file;
    inputs[2] = a->classes;
    if (!a->output && !o->dry_run) return tool_usage_error(t, "--output is needed (or --dry-run)");
    if (o->target_ratio < 0.0 || o->target_ratio >= 1.0)
        return tool_usage_error(t, "option --ratio: must lie between 0 and 1");
    targets = tool_given(t, "ratio") + tool_given(t, "paper-ratio") + (o->target_bytes > 0);
    if (targets + (a->recipe_file != NULL) + (o->bi > 0 || o->bo > 0) > 1)
        return tool_usage_error(t, "--ratio, --paper-ratio, --target-size, --recipe and --bi/--bo exclude each other");
    if (!targets && !a->recipe_file && !o->bi && !o->bo && !a->layers.count)
        return tool_usage_error(
            t, "say how small: --ratio, --paper-ratio, --target-size, --bi and --bo, --recipe or --layer");
    code = check_given(t, a);
    if (code != EXIT_OK) return code;
    if (a->activations && a->activations != 8 && a->activations != 32)
        return tool_usage_error(t, "option --activations: 8 or 32 are possible");
    if (o->fc_bits < 1 || (o->fc_bits > 8 && o->fc_bits != 32))
        return tool_usage_error(t, "option --fc-bits: 1..8 or 32 are possible");
    if (a->tune_seconds < 0.0) return tool_usage_error(t, "option --tune: must not be negative");
    if (a->label_offset != LABEL_OFFSET_UNSET && a->label_offset < 0)
        return tool_usage_error(t, "option --label-offset: must not be negative");
    if (a->label_offset != LABEL_OFFSET_UNSET && a->label_offset > 0 && !a->input)
        return tool_usage_error(t, "--label-offset needs --input: a file keeps them together");
    if (a->activations == 8 && !a->data) return tool_usage_error(t, "--activations=8 needs --data");
    if (a->tune_seconds > 0.0 && !a->data) return tool_usage_error(t, "--tune needs --data");
    if (a->bits) {
        uint8_t bits[3];
        code = tool_read_bits(t, a->bits, bits);
        if (code == EXIT_OK) {
            a->o.bits_b = bits[0];
            a->o.bits_u = bits[1];
            a->o.bits_v = bits[2];
        }
        if (code != EXIT_OK) return code;
    }
    code = tool_need_file(t, a->output);
    if (code == EXIT_OK) code = tool_check_output(t, a->output, inputs, 3, a->data);
    return code == EXIT_OK ? tool_check_output(t, a->save_recipe, inputs, 3, a->data) : code;
}

/* What the file gets besides the network, counted against a target. */
static uint64_t extra_bytes(const compress_args *a, const compress_job *job)
{
    uint64_t bytes = a->license ? strlen(a->license) + 64 : 0;
    uint32_t i;
    for (i = 0; i < job->names.count; i++) bytes += strlen(job->names.items[i]) + 4;
    return bytes + (job->names.count ? 192 : 0);
}

static void apply_args(tool *t, compress_args *a, compress_job *job)
{
    static const uint8_t families[] = {ISG_QUANT_MIDTREAD, ISG_QUANT_PAPER, ISG_QUANT_MIDRISE};
    isg_compress_options *o = &a->o;
    o->family = families[a->quantizer];
    o->method = a->method + 1; /* isg_factor_method counts from 1 in the order of the words */
    o->raw_bits = a->raw_bits ? 16 : 32;
    o->bias_bits = a->bias_bits ? 16 : 32;
    if (a->no_compensate) o->compensate = 0;
    o->overrides = job->overrides;
    o->override_count = a->layers.count;
    o->recipe = job->recipe;
    o->reserved_bytes = extra_bytes(a, job);
    o->calibration = job->ds;
    o->input = &job->input;
    o->max_memory = t->max_memory;
    o->seed = t->seed;
    o->threads = t->threads;
    o->progress = tool_progress_callbacks(t);
}

/* A file with another offset could not be opened again, and names that do not fit name something else. */
static int check_outputs(tool *t, const compress_args *a, const compress_job *job)
{
    const isg_value *out = job->graph->output_count > 0 ? &job->graph->values[job->graph->outputs[0]] : NULL;
    int64_t outputs = 1;
    int32_t k;
    const int64_t offset = a->label_offset == LABEL_OFFSET_UNSET ? 0 : a->label_offset;
    if (!out) return EXIT_OK;
    for (k = 1; k < out->rank; k++) outputs *= out->dims[k] > 0 && outputs <= INT32_MAX ? out->dims[k] : 1;
    if (offset >= outputs)
        return tool_usage_error(t, "label offset %lld is outside the network's %lld outputs", (long long)offset,
                                (long long)outputs);
    if (a->classes && (int64_t)job->names.count != outputs - offset)
        return tool_usage_error(t, "--classes names %u classes, the network has %lld", job->names.count,
                                (long long)(outputs - offset));
    return EXIT_OK;
}

static int load_inputs(tool *t, compress_args *a, compress_job *job, const char *source)
{
    isg_error err = {0};
    isg_status status;
    int code = read_overrides(t, a, job);
    if (code == EXIT_OK && a->recipe_file) job->recipe = tool_read_text(t, a->recipe_file, MAX_RECIPE, &code);
    if (code == EXIT_OK && a->classes) code = tool_names_read(t, &job->names, a->classes);
    if (code == EXIT_OK) code = tool_graph_open(t, &job->graph, source);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = tool_graph_input(t, &job->input, job->graph, source, a->input, NULL);
    if (code == EXIT_OK) code = check_outputs(t, a, job);
    if (code != EXIT_OK || !a->data) return code;
    status = isg_dataset_open(&job->ds, a->data, ISG_SPLIT_TRAIN, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    code = tool_contract(t, &job->input, job->ds, source, a->input);
    if (code == EXIT_OK && !a->classes) code = tool_names_of_dataset(t, &job->names, job->ds);
    return code;
}

static void print_layers(const isg_compress_report *r, const uint8_t *slower)
{
    uint32_t i;
    int width = 32;
    for (i = 0; i < r->layer_count; i++) width = tool_name_width(width, r->layers[i].name, strlen(r->layers[i].name));
    printf("%-*s %-18s %-9s %-6s %9s %8s %9s %9s %9s\n", width, "layer", "shape", "bi,bo", "bits", "bytes", "of f32",
           "w error", "out error", "sensitive");
    for (i = 0; i < r->layer_count; i++) {
        const isg_layer_report *l = &r->layers[i];
        char shape[40], ranks[24], bits[16], errors[32];
        snprintf(shape, sizeof shape, "%ux%ux%ux%u", l->co, l->ci, l->kh, l->kw);
        tool_layer_ranks(ranks, sizeof ranks, l);
        tool_layer_bits(bits, sizeof bits, l);
        snprintf(errors, sizeof errors, "%9s %9s", "-", "-");
        if (isfinite(l->weight_error) && isfinite(l->output_error))
            snprintf(errors, sizeof errors, "%9.2e %9.2e", l->weight_error, l->output_error);
        tool_print_name(l->name, strlen(l->name), width);
        printf(" %-18s %-9s %-6s %9llu %7.2f%% %s %9.2e%s\n", shape, ranks, bits, (unsigned long long)l->bytes,
               100.0 * (double)l->bytes / (double)(l->bytes_full ? l->bytes_full : 1), errors, l->sensitivity,
               slower && slower[i] ? "  slower than dense" : "");
    }
}

static void json_layers(cJSON *json, const isg_compress_report *r, const uint8_t *slower)
{
    cJSON *list = cJSON_AddArrayToObject(json, "layers");
    uint32_t i;
    for (i = 0; i < r->layer_count; i++) {
        const isg_layer_report *l = &r->layers[i];
        cJSON *o = tool_json_layer(l);
        tool_json_number(o, "sensitivity", l->sensitivity);
        if (slower) cJSON_AddBoolToObject(o, "slower_than_dense", slower[i]);
        cJSON_AddItemToArray(list, o);
    }
}

/* A training that diverges leaves the network as compression made it. */
static int tune_shortly(tool *t, const compress_args *a, compress_job *job)
{
    isg_train_options o;
    isg_error err = {0};
    isg_status status;
    isg_train_options_default(&o);
    tool_train_common(t, &o);
    o.epochs = 0;
    o.max_seconds = a->tune_seconds;
    o.learning_rate = TUNE_RATE;
    o.grad_clip = TUNE_CLIP;
    o.distill_beta = isg_dataset_has_labels(job->ds) ? 0.9f : 1.0f;
    o.validation_fraction = isg_dataset_has_labels(job->ds) ? o.validation_fraction : 0.0;
    status = isg_train(job->graph, job->teacher, job->ds, &job->input,
                       a->label_offset == LABEL_OFFSET_UNSET ? 0 : a->label_offset, &o, &job->training, &err);
    if (status != ISG_E_NUMERIC) return status == ISG_OK ? EXIT_OK : tool_data_error(t, NULL, status, &err);
    tool_progress_end(t);
    tool_warning(t, a->output, "not tuned: %s", err.message);
    return EXIT_OK;
}

static int write_result(tool *t, const compress_args *a, compress_job *job)
{
    isg_pack_options pack = {.struct_size = sizeof pack, .golden = 1};
    isg_error err = {0};
    int code;
    pack.raw_bits = a->o.raw_bits;
    pack.bias_bits = a->o.bias_bits;
    pack.golden_seed = t->seed;
    pack.input = job->input.given || job->input.identity ? &job->input : NULL;
    pack.label_offset = a->label_offset == LABEL_OFFSET_UNSET ? 0 : a->label_offset;
    pack.class_names = (const char *const *)job->names.items;
    pack.class_count = job->names.count;
    pack.recipe = job->report.recipe;
    pack.license = a->license;
    job->slower = calloc(job->report.layer_count, 1);
    if (!job->slower) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    job->written.layers = &job->report;
    job->written.marks = job->slower;
    code = tool_calibrate(t, a->activations, job->graph, job->ds, &job->input, &pack);
    if (code == EXIT_OK) code = tool_write_isg(t, job->graph, &pack, a->output, &job->written);
    isg_free((void *)(uintptr_t)pack.activations);
    if (code != EXIT_OK) return code;
    err.status = ISG_E_TARGET;
    if (a->o.target_bytes && job->written.sizes.file_bytes > a->o.target_bytes) {
        snprintf(err.message, sizeof err.message, "file has %llu bytes, the target is %llu",
                 (unsigned long long)job->written.sizes.file_bytes, (unsigned long long)a->o.target_bytes);
        return tool_error(t, a->output, ISG_E_TARGET, &err);
    }
    if (a->o.target_ratio > 0.0 && job->written.accounting.file_ratio > a->o.target_ratio) {
        snprintf(err.message, sizeof err.message, "file ratio is %.5f, the target is %.5f",
                 job->written.accounting.file_ratio, a->o.target_ratio);
        return tool_error(t, a->output, ISG_E_TARGET, &err);
    }
    if (a->o.target_paper_ratio > 0.0 && job->written.accounting.paper_ratio > a->o.target_paper_ratio) {
        snprintf(err.message, sizeof err.message, "paper ratio is %.6f, the target is %.6f",
                 job->written.accounting.paper_ratio, a->o.target_paper_ratio);
        return tool_error(t, a->output, ISG_E_TARGET, &err);
    }
    return EXIT_OK;
}

static int print_report(tool *t, const compress_args *a, const compress_job *job, const char *source)
{
    const isg_compress_report *r = &job->report;
    cJSON *json;
    if (!t->json) {
        print_layers(r, job->slower);
        printf("\nparameters %llu of %llu (%.3f %%)\n", (unsigned long long)r->params,
               (unsigned long long)r->params_full, 100.0 * (double)r->params / (double)r->params_full);
        if (job->training.steps) tool_train_report(t, NULL, &job->training);
        if (!a->o.dry_run) {
            tool_written_report(NULL, a->output, &job->written);
        } else {
            printf("paper      %.3f %% by the paper's accounting\n", 100.0 * r->paper_ratio);
            printf("file       about %llu bytes (dry run, nothing written)\n",
                   (unsigned long long)r->estimated_file_bytes);
        }
        return EXIT_OK;
    }
    json = tool_json("compress");
    tool_json_text(json, "file", source);
    cJSON_AddBoolToObject(json, "dry_run", a->o.dry_run);
    cJSON_AddNumberToObject(json, "params", (double)r->params);
    cJSON_AddNumberToObject(json, "params_full", (double)r->params_full);
    cJSON_AddNumberToObject(json, "estimated_file_bytes", (double)r->estimated_file_bytes);
    if (a->o.dry_run)
        cJSON_AddNumberToObject(json, "paper_ratio", r->paper_ratio);
    else
        tool_written_report(json, a->output, &job->written);
    if (job->training.steps) tool_train_report(t, json, &job->training);
    json_layers(json, r, job->slower);
    return tool_json_print(t, json);
}

/* Ranks that are asked for may need more bytes than the weights they stand for. */
static int check_saving(tool *t, const compress_job *job, const char *source)
{
    isg_error err = {ISG_E_TARGET, -1, ISG_ERROR_NONE, ""};
    if (job->report.paper_ratio <= 1.0) return EXIT_OK;
    snprintf(err.message, sizeof err.message, "the factors asked for take %.2f times the bytes of the float32 weights",
             job->report.paper_ratio);
    return tool_error(t, source, ISG_E_TARGET, &err);
}

/* What makes a calibration worth little, a line each. */
static void warn_of_images(tool *t, const isg_compress_report *r, const char *data)
{
    const unsigned long long count = r->calibration_count, flat = r->calibration_flat;
    if (!count) return;
    if (count < FEW_IMAGES)
        tool_note(t, "warning: %s: calibrated with %llu image%s, where 64 to 256 are better", data, count,
                  count == 1 ? "" : "s");
    if (count > 1 && r->calibration_alike)
        tool_note(t, "warning: %s: all %llu calibration images are the same", data, count);
    if (flat) tool_note(t, "warning: %s: %llu of %llu calibration images are of one number", data, flat, count);
}

/* What a recipe says wrong is said of its file, and what the data do of them. */
static int compress_error(tool *t, const compress_args *a, const char *source, isg_status status, isg_error *err)
{
    static const char prefix[] = "recipe: ";
    const size_t length = sizeof prefix - 1;
    if (tool_blames_data(err, a->data)) return tool_data_error(t, NULL, status, err);
    if (!a->recipe_file || strncmp(err->message, prefix, length) != 0) return tool_data_error(t, source, status, err);
    memmove(err->message, err->message + length, strlen(err->message + length) + 1);
    return tool_data_error(t, a->recipe_file, status, err);
}

static int compress_file(tool *t, compress_args *a, compress_job *job, const char *source)
{
    isg_error err = {0};
    isg_status status = ISG_OK;
    int code = load_inputs(t, a, job, source);
    if (code != EXIT_OK) return code;
    if (a->tune_seconds > 0.0 && !a->o.dry_run) status = isg_graph_clone(&job->teacher, job->graph, &err);
    if (status == ISG_OK) {
        apply_args(t, a, job);
        status = isg_compress(job->graph, &a->o, &job->report, &err);
    }
    if (status != ISG_OK) return compress_error(t, a, source, status, &err);
    tool_progress_end(t);
    warn_of_images(t, &job->report, a->data);
    code = check_saving(t, job, source);
    if (code != EXIT_OK && !a->o.dry_run) return code;
    if (code == EXIT_OK && job->teacher) code = tune_shortly(t, a, job);
    if (code == EXIT_OK && a->save_recipe) {
        status = isg_write_file(a->save_recipe, job->report.recipe, strlen(job->report.recipe), &err);
        if (status != ISG_OK) code = tool_error(t, a->save_recipe, status, &err);
    }
    if (code == EXIT_OK && !a->o.dry_run) code = write_result(t, a, job);
    if (code == EXIT_OK || code == EXIT_TARGET) {
        int printed = print_report(t, a, job, source);
        if (code == EXIT_OK) code = printed;
    }
    return code;
}

static void job_clear(compress_job *job)
{
    uint32_t i;
    for (i = 0; i < OPTION_LIST_MAX; i++) free(job->patterns[i]);
    free(job->recipe);
    free(job->slower);
    tool_names_clear(&job->names);
    isg_compress_report_clear(&job->report);
    isg_dataset_close(job->ds);
    isg_graph_destroy(job->graph);
    isg_graph_destroy(job->teacher);
}

int cmd_compress(tool *t, const tool_verb *verb, int argc, char **argv)
{
    compress_args a = {.label_offset = LABEL_OFFSET_UNSET, .method = ISG_FACTOR_ALS - 1};
    const tool_option options[] = {
        {"output", 'o', OPTION_TEXT, &a.output, "OUT.isg", "file to write (needed unless --dry-run)"},
        {"ratio", 'r', OPTION_REAL, &a.o.target_ratio, "R", "file bytes over the float32 weights' bytes, such as 0.02"},
        {"paper-ratio", 0, OPTION_REAL, &a.o.target_paper_ratio, "R",
         "the same as the paper counts: codes, BatchNorm, what stays dense"},
        {"target-size", 0, OPTION_SIZE, &a.o.target_bytes, "S", "file bytes; k, M or G for powers of 1000"},
        {"bi", 0, OPTION_U32, &a.o.bi, "N", "spatial bases a kernel, for the whole net (level 1)"},
        {"bo", 0, OPTION_U32, &a.o.bo, "N", "basis kernels a layer, for the whole net (level 2)"},
        {"bits", 0, OPTION_TEXT, &a.bits, "B,U,V", "bits of basis, U and V with --bi/--bo (default 3,6,3)"},
        {"fc-bits", 0, OPTION_U32, &a.o.fc_bits, "Q",
         "with --bi/--bo: bits of layers that neither level fits (default 8)"},
        {"layer", 'l', OPTION_LIST, &a.layers, "REGEX=SETTING", "keep, BI,BO,QB,QU,QV or bits=Q; later ones win"},
        {"recipe", 0, OPTION_TEXT, &a.recipe_file, "FILE", "take every choice from a recipe (docs/recipes.md)"},
        {"save-recipe", 0, OPTION_TEXT, &a.save_recipe, "FILE", "write the choices made as a recipe"},
        {"dry-run", 0, OPTION_FLAG, &a.o.dry_run, NULL, "decide and account, change nothing"},
        {"quantizer", 0, OPTION_CHOICE, &a.quantizer, "insitu|paper|midrise",
         "with --bi/--bo or --layer: family of quantisers (default insitu)"},
        {"method", 0, OPTION_CHOICE, &a.method, "svd|als|l2", "how factors are found (default als)"},
        {"paper-rules", 0, OPTION_FLAG, &a.o.paper_rules, NULL,
         "with --bi/--bo: which levels are on exactly as in the paper's code"},
        {"data", 'd', OPTION_TEXT, &a.data, "KIND:PATH", "training images to calibrate with (none: data-free)"},
        {"calibration", 0, OPTION_U32, &a.o.calibration_count, "N", "with --data: images used (default 256)"},
        {"no-compensate", 0, OPTION_FLAG, &a.no_compensate, NULL,
         "with --data: do not let later layers mend earlier errors"},
        {"tune", 0, OPTION_REAL, &a.tune_seconds, "SECONDS", "then fine-tune for so long against the original"},
        {"input", 'i', OPTION_TEXT, &a.input, "SPEC", "raw|unit|torchvision|tf|KEY=VALUE,...; kept in the file"},
        {"label-offset", 0, OPTION_I32, &a.label_offset, "N", "output N is class 0; kept in the file"},
        {"classes", 0, OPTION_TEXT, &a.classes, "FILE", "class names, one a line; kept in the file"},
        {"license", 0, OPTION_TEXT, &a.license, "TEXT", "licence kept in the file (default: the source's own)"},
        {"activations", 0, OPTION_U32, &a.activations, "8|32",
         "8: store the ranges that --mode=int8 needs (wants --data)"},
        {"raw-bits", 0, OPTION_CHOICE, &a.raw_bits, "32|16", "bits of weights that stay as they are (default 32)"},
        {"bias-bits", 0, OPTION_CHOICE, &a.bias_bits, "32|16", "bits of biases (default 32)"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {
        verb,
        "MODEL.onnx -o OUT.isg",
        "Say how small with --ratio, --paper-ratio or --target-size (ranks and bits are then searched per layer), "
        "with\n--bi and --bo, with --recipe, or layer by layer with --layer. --max-memory refuses a network whose "
        "weights "
        "need\nmore and leaves out second moments that would not fit; what threads, trial runs and libraries take is "
        "not "
        "counted.",
        options,
        OPTION_COUNT(options),
        1,
        1,
        NULL};
    compress_job *job;
    int files, code;
    isg_compress_options_default(&a.o);
    code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    code = check_args(t, &a, argv[0]);
    if (code != EXIT_OK) return code;
    job = calloc(1, sizeof *job);
    if (!job) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    code = compress_file(t, &a, job, argv[0]);
    job_clear(job);
    free(job);
    return code;
}
