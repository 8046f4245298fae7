/* SPDX-License-Identifier: Apache-2.0 */
/* insitu run: single images or arrays through a model; classes, raw outputs and every intermediate tensor. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tool.h"
#include "tool_snn.h"

typedef struct run_options {
    const char *input, *dump, *output;
    int32_t label_offset;
    uint32_t top, strategy;
    snn_options snn;
} run_options;

typedef struct run_state {
    tool *t;
    const run_options *o;
    tool_model *m;
    isg_session *session;
    float *inputs, *input;    /* of one run; where the next item goes */
    float **outputs, *output; /* of one run; the item being shown, of the first */
    char **labels;            /* of the items loaded */
    uint32_t loaded;
    cJSON *results;                     /* NULL without --json */
    float *kept;                        /* outputs of all items for --output */
    uint64_t kept_count, kept_capacity; /* items */
    char *const *files;                 /* the model and the inputs */
    int file_count;
    isg_status dump_status;
    isg_error dump_error;
    /* --snn */
    int collecting; /* inputs are kept in `images` to set the thresholds, not run */
    float *images;
    uint32_t image_count;
    uint32_t steps[SNN_STEPS_MAX];
    isg_snn *snn;
    isg_snn_state *spiking;
    isg_snn_counts spent;
} run_state;

/* 0 where the folder's name is too long. */
static int dump_name(char *dst, size_t size, const run_state *s, uint32_t op, const isg_rt_op *info)
{
    size_t n = (size_t)snprintf(dst, size, "%s/%03u-%s-", s->o->dump, op, info->kind);
    uint32_t i;
    if (n + 5 >= size) return 0;
    for (i = 0; i < info->name_bytes && n + 5 < size; i++) {
        char c = info->name[i];
        int plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        dst[n++] = plain ? c : '.';
    }
    memcpy(dst + n, ".npy", 5);
    return 1;
}

static isg_status dump_write(run_state *s, uint32_t op, const isg_rt_op *info, const float *data, uint32_t rank,
                             const uint32_t *dims)
{
    char path[4096];
    int64_t shape[8];
    uint32_t d;
    int i;
    for (d = 0; d < rank; d++) shape[d] = dims[d];
    if (!dump_name(path, sizeof path, s, op, info)) {
        snprintf(s->dump_error.message, sizeof s->dump_error.message, "the name of the folder is too long");
        return s->dump_error.status = ISG_E_LIMIT;
    }
    for (i = 0; i < s->file_count; i++) {
        if (!isg_same_file(path, s->files[i])) continue;
        snprintf(s->dump_error.message, sizeof s->dump_error.message, "a dump would replace the model or the input");
        return s->dump_error.status = ISG_E_ARG;
    }
    return isg_npy_write(path, data, (int32_t)rank, shape, &s->dump_error);
}

static void dump_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    run_state *s = user;
    isg_rt_op info;
    uint32_t dims[ISG_RT_MAX_RANK], rank, d;
    size_t count = 1;
    float *data;
    if (!done || s->dump_status != ISG_OK) return;
    s->dump_status = isg_rt_op_info(ctx, op, &info);
    if (s->dump_status != ISG_OK) return;
    for (d = 0; d < info.output_rank; d++) count *= info.output_dims[d];
    data = malloc((count ? count : 1) * sizeof *data);
    if (!data) {
        s->dump_status = ISG_E_NOMEM;
        return;
    }
    s->dump_status = isg_rt_read(ctx, op, -1, data, count, &rank, dims);
    if (s->dump_status == ISG_OK) s->dump_status = dump_write(s, op, &info, data, rank, dims);
    free(data);
}

typedef struct scored {
    float score;
    uint32_t index;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void print_top(run_state *s, const char *label, const scored *list, uint32_t top)
{
    uint32_t i;
    char shown[256];
    if (s->results) {
        cJSON *item = cJSON_CreateObject(), *classes;
        cJSON_AddItemToArray(s->results, item);
        tool_json_text(item, "input", label);
        classes = cJSON_AddArrayToObject(item, "top");
        for (i = 0; i < top; i++) {
            cJSON *o = cJSON_CreateObject();
            cJSON_AddNumberToObject(o, "class", list[i].index);
            tool_json_text(o, "name", isg_model_class_name(s->m->model, list[i].index));
            tool_json_number(o, "score", (double)list[i].score);
            cJSON_AddItemToArray(classes, o);
        }
        return;
    }
    printf("%s\n", tool_escape(shown, sizeof shown, label, strlen(label)));
    for (i = 0; i < top; i++) {
        const char *name = isg_model_class_name(s->m->model, list[i].index);
        if (!name) name = "";
        printf("  %6u  %12.6g  %s\n", list[i].index, (double)list[i].score,
               tool_escape(shown, sizeof shown, name, strlen(name)));
    }
}

static int show_classes(run_state *s, const char *label)
{
    uint64_t classes = s->m->out_count - (uint64_t)s->m->label_offset, i;
    uint32_t top = s->o->top < classes ? s->o->top : (uint32_t)classes;
    scored *list = malloc((size_t)classes * sizeof *list);
    if (!list) return tool_error(s->t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < classes; i++) {
        float v = s->output[(uint64_t)s->m->label_offset + i];
        list[i].score = v;
        list[i].index = (uint32_t)i;
    }
    qsort(list, (size_t)classes, sizeof *list, by_score);
    print_top(s, label, list, top);
    free(list);
    return EXIT_OK;
}

/* Networks that do not end in one vector: the range of the numbers. */
static int show_range(run_state *s, const char *label)
{
    double low = INFINITY, high = -INFINITY, sum = 0.0;
    uint64_t i;
    char dims[64], shown[256];
    for (i = 0; i < s->m->out_count; i++) {
        double v = (double)s->output[i];
        if (v < low) low = v;
        if (v > high) high = v;
        sum += v;
    }
    sum /= (double)s->m->out_count;
    if (s->results) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(s->results, item);
        tool_json_text(item, "input", label);
        tool_json_number(item, "min", low);
        tool_json_number(item, "max", high);
        tool_json_number(item, "mean", sum);
    } else {
        printf("%s\n  output %s  min %g  max %g  mean %g\n", tool_escape(shown, sizeof shown, label, strlen(label)),
               tool_dims(dims, sizeof dims, s->m->out.dims, s->m->out.rank), low, high, sum);
    }
    return EXIT_OK;
}

static int keep_output(run_state *s)
{
    if (!s->o->output) return EXIT_OK;
    if (s->kept_count == s->kept_capacity) {
        uint64_t wanted = s->kept_capacity ? s->kept_capacity * 2 : 16;
        float *grown = realloc(s->kept, (size_t)(wanted * s->m->out_count) * sizeof *grown);
        if (!grown) return tool_error(s->t, NULL, ISG_E_NOMEM, NULL);
        s->kept = grown;
        s->kept_capacity = wanted;
    }
    memcpy(s->kept + s->kept_count++ * s->m->out_count, s->output, (size_t)s->m->out_count * sizeof(float));
    return EXIT_OK;
}

/* One input more to set thresholds from, as long as there are not enough. */
static int collect_input(run_state *s)
{
    const size_t n = (size_t)s->m->in_count;
    float *grown;
    if (s->image_count >= s->o->snn.images) return EXIT_OK;
    grown = realloc(s->images, (s->image_count + 1u) * n * sizeof *grown);
    if (!grown) return tool_error(s->t, NULL, ISG_E_NOMEM, NULL);
    s->images = grown;
    memcpy(grown + s->image_count++ * n, s->input, n * sizeof *grown);
    return EXIT_OK;
}

static int check_output(run_state *s, const char *label)
{
    isg_error err = {ISG_E_NUMERIC, -1, ISG_ERROR_NONE, ""};
    uint64_t i;
    for (i = 0; i < s->m->out_count && isfinite(s->output[i]); i++) {
    }
    if (i == s->m->out_count) return EXIT_OK;
    snprintf(err.message, sizeof err.message, "output %llu is not a finite number", (unsigned long long)i);
    return tool_error(s->t, label, ISG_E_NUMERIC, &err);
}

static int show_result(run_state *s, const char *label)
{
    int code = check_output(s, label);
    if (code != EXIT_OK) return code;
    code = s->m->out.rank <= 2 ? show_classes(s, label) : show_range(s, label);
    if (code != EXIT_OK || !s->spiking) return code;
    if (s->results) {
        cJSON *item = cJSON_GetArrayItem(s->results, cJSON_GetArraySize(s->results) - 1);
        cJSON_AddNumberToObject(item, "steps", s->steps[0]);
        tool_snn_json_counts(item, &s->spent, 1.0);
    } else {
        printf("  %u steps: %llu spikes, %llu synaptic operations, %llu multiply-accumulates\n", s->steps[0],
               (unsigned long long)s->spent.spikes, (unsigned long long)s->spent.synaptic_ops,
               (unsigned long long)s->spent.macs);
    }
    return EXIT_OK;
}

/* The items that are loaded; those that only fill a fixed batch are not shown. */
static int run_loaded(run_state *s)
{
    const float *inputs[1];
    isg_error err = {0};
    isg_status status;
    int code = EXIT_OK;
    uint32_t i, count = s->loaded;
    inputs[0] = s->inputs;
    s->loaded = 0;
    s->input = s->inputs;
    tool_fill_batch(s->m, s->inputs, count);
    if (s->spiking)
        status = isg_snn_run(s->spiking, s->inputs, s->steps, 1, s->outputs[0], &s->spent, &err);
    else
        status = isg_session_run(s->session, inputs, s->outputs, &err);
    if (status != ISG_OK) return tool_error(s->t, s->m->path, status, &err);
    if (s->dump_status != ISG_OK) return tool_error(s->t, s->o->dump, s->dump_status, &s->dump_error);
    for (i = 0; i < count && code == EXIT_OK; i++) {
        s->output = s->outputs[0] + i * s->m->out_count;
        code = keep_output(s);
        if (code == EXIT_OK) code = show_result(s, s->labels[i]);
    }
    return code;
}

/* What stands in s->input waits until there are as many as a run takes. */
static int run_item(run_state *s, const char *label)
{
    char **kept = &s->labels[s->loaded];
    const size_t n = strlen(label) + 1;
    if (s->collecting) return collect_input(s);
    free(*kept);
    *kept = malloc(n);
    if (!*kept) return tool_error(s->t, NULL, ISG_E_NOMEM, NULL);
    memcpy(*kept, label, n);
    s->input += s->m->in_count;
    return ++s->loaded == s->m->items ? run_loaded(s) : EXIT_OK;
}

static int run_array(run_state *s, const char *path)
{
    isg_dataset *ds = NULL;
    isg_error err = {0};
    size_t n = strlen(path);
    char *spec = malloc(n + 5), *label = malloc(n + 32);
    tool_model fitted = *s->m;
    uint64_t i;
    int code = EXIT_OK;
    if (!spec || !label) {
        code = tool_error(s->t, NULL, ISG_E_NOMEM, NULL);
        goto done;
    }
    memcpy(spec, "npy:", 4);
    memcpy(spec + 4, path, n + 1);
    code = tool_data_open(s->t, &ds, &fitted, spec, ISG_SPLIT_TEST, s->o->input);
    if (code == EXIT_OK && s->o->dump && isg_dataset_count(ds) > 1)
        code = tool_usage_error(s->t, "--dump takes exactly one input, %s has %llu", path,
                                (unsigned long long)isg_dataset_count(ds));
    for (i = 0; code == EXIT_OK && i < isg_dataset_count(ds); i++) {
        isg_status status = isg_dataset_load(ds, i, &fitted.input, s->input, &err);
        if (status == ISG_OK && tool_cancelled()) status = ISG_E_CANCELLED;
        snprintf(label, n + 32, isg_dataset_count(ds) > 1 ? "%s[%llu]" : "%s", path, (unsigned long long)i);
        code = status == ISG_OK ? run_item(s, label) : tool_data_error(s->t, path, status, &err);
    }
done:
    isg_dataset_close(ds);
    free(spec);
    free(label);
    return code;
}

static int run_image(run_state *s, const char *path)
{
    isg_error err = {0};
    isg_status status;
    if (!s->m->input.given)
        return tool_usage_error(
            s->t, "%s says nothing of its input; give --input=raw|unit|torchvision|tf|KEY=VALUE,...", s->m->path);
    if (s->m->in.rank != 4) return tool_usage_error(s->t, "%s does not take images", s->m->path);
    status = isg_image_load(path, &s->m->input, s->input, &err);
    if (status != ISG_OK) return tool_data_error(s->t, path, status, &err);
    return run_item(s, path);
}

static int is_array(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && !strcasecmp(path + n - 4, ".npy");
}

static int save_outputs(run_state *s)
{
    int64_t dims[8] = {0};
    isg_error err = {0};
    isg_status status;
    uint32_t d;
    if (!s->o->output) return EXIT_OK;
    dims[0] = (int64_t)s->kept_count;
    for (d = 1; d < s->m->out.rank; d++) dims[d] = s->m->out.dims[d];
    status = isg_npy_write(s->o->output, s->kept, (int32_t)s->m->out.rank, dims, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(s->t, s->o->output, status, &err);
}

static int run_begin(run_state *s)
{
    isg_rt_options options;
    isg_error err = {0};
    isg_status status;
    if (s->o->dump && mkdir(s->o->dump, 0777) != 0 && errno != EEXIST) {
        snprintf(err.message, sizeof err.message, "%.200s", strerror(errno));
        err.status = ISG_E_IO;
        return tool_error(s->t, s->o->dump, ISG_E_IO, &err);
    }
    tool_options_init(s->t, &options, 1, s->o->strategy);
    if (s->o->dump) {
        options.hook = dump_hook;
        options.hook_user = s;
    }
    if (tool_threads(s->t) > 1) {
        if (!tool_pool(s->t)) return EXIT_RUNTIME;
        options.parallel = isg_pool_parallel(s->t->pool);
    }
    status = isg_session_create(&s->session, s->m->model, &options, &err);
    if (status != ISG_OK) return tool_error(s->t, s->m->path, status, &err);
    s->input = s->inputs = calloc((size_t)s->m->in_count, s->m->items * sizeof *s->input);
    s->outputs = tool_outputs_new(s->m, 1);
    s->labels = calloc(s->m->items, sizeof *s->labels);
    return s->input && s->outputs && s->labels ? EXIT_OK : tool_error(s->t, NULL, ISG_E_NOMEM, NULL);
}

static int run_inputs(run_state *s, char **paths, int count)
{
    int i, code = EXIT_OK;
    for (i = 0; code == EXIT_OK && i < count; i++) {
        code = is_array(paths[i]) ? run_array(s, paths[i]) : run_image(s, paths[i]);
        if (code == EXIT_OK && tool_cancelled()) code = tool_error(s->t, NULL, ISG_E_CANCELLED, NULL);
    }
    return code == EXIT_OK && s->loaded ? run_loaded(s) : code;
}

/* Thresholds from --calibration-data, else from the inputs themselves. */
static int begin_spiking(run_state *s, char **paths, int count)
{
    const isg_progress progress = tool_progress_callbacks(s->t);
    uint32_t steps;
    isg_dataset *ds = NULL;
    isg_error err = {0};
    isg_status status;
    int code = tool_snn_steps(s->t, s->o->snn.steps, s->steps, &steps);
    if (code != EXIT_OK) return code;
    if (steps != 1) return tool_usage_error(s->t, "option --snn: run takes one number of time steps");
    if (s->o->dump) return tool_usage_error(s->t, "--dump does not go with --snn");
    if (s->o->snn.images < 1) return tool_usage_error(s->t, "option --calibration: at least one image is needed");
    if (s->o->snn.calibration) {
        code = tool_data_open(s->t, &ds, s->m, s->o->snn.calibration, ISG_SPLIT_TRAIN, s->o->input);
        if (code == EXIT_OK) code = tool_snn_create(s->t, &s->snn, &s->o->snn, s->m, NULL, ds);
        isg_dataset_close(ds);
    } else {
        tool_note(s->t, "thresholds come from the inputs themselves (--calibration-data names better images)");
        s->collecting = 1;
        code = run_inputs(s, paths, count);
        s->collecting = 0;
        if (code == EXIT_OK)
            code = tool_snn_create_from(s->t, &s->snn, &s->o->snn, s->m, NULL, s->images, s->image_count);
    }
    if (code != EXIT_OK) return code;
    if (isg_snn_output_count(s->snn) != s->m->out_count)
        return tool_usage_error(s->t, "%s: the spiking form has another output", s->m->path);
    status = isg_snn_state_create(&s->spiking, s->snn, &err);
    if (status == ISG_OK) isg_snn_state_set_progress(s->spiking, &progress);
    return status == ISG_OK ? EXIT_OK : tool_error(s->t, s->m->path, status, &err);
}

static int run_all(run_state *s, char **paths, int count)
{
    cJSON *json = NULL;
    uint32_t i;
    int code = run_begin(s);
    if (code == EXIT_OK && s->o->snn.steps) code = begin_spiking(s, paths, count);
    if (code == EXIT_OK && s->t->json) {
        json = tool_json("run");
        tool_json_text(json, "file", s->m->path);
        s->results = cJSON_AddArrayToObject(json, "results");
    }
    if (code == EXIT_OK) code = run_inputs(s, paths, count);
    if (code == EXIT_OK) code = save_outputs(s);
    if (code == EXIT_OK && json)
        code = tool_json_print(s->t, json);
    else
        cJSON_Delete(json);
    isg_session_destroy(s->session);
    isg_snn_state_destroy(s->spiking);
    isg_snn_destroy(s->snn);
    free(s->images);
    free(s->inputs);
    for (i = 0; s->labels && i < s->m->items; i++) free(s->labels[i]);
    free(s->labels);
    tool_outputs_free(s->m, s->outputs);
    free(s->kept);
    return code;
}

int cmd_run(tool *t, const tool_verb *verb, int argc, char **argv)
{
    run_options o = {.label_offset = LABEL_OFFSET_UNSET, .top = 5, .snn = SNN_OPTIONS_INIT};
    const tool_option options[] = {
        {"input", 'i', OPTION_TEXT, &o.input, "SPEC",
         "raw|unit|torchvision|tf|KEY=VALUE,... (default: the file's own)"},
        {"label-offset", 0, OPTION_I32, &o.label_offset, "N", "output N is class 0 (default: the file's own, or 0)"},
        {"top", 'k', OPTION_U32, &o.top, "K", "classes shown for each input (default 5)"},
        {"dump", 0, OPTION_TEXT, &o.dump, "DIR", "write every intermediate tensor of one input as DIR/*.npy"},
        {"output", 'o', OPTION_TEXT, &o.output, "FILE.npy", "write the raw outputs of all inputs"},
        {"strategy", 0, OPTION_CHOICE, &o.strategy, tool_strategies, "force a way to execute factored layers"},
        {"mode", 0, OPTION_CHOICE, &t->mode, tool_modes, "numbers to compute in; int8 needs a calibrated file"},
        SHAPE_OPTION_ROW(t),
        SNN_OPTION_ROWS(o.snn),
    };
    const tool_usage usage = {
        verb,
        "FILE INPUT...",
        "An INPUT is a JPEG, a PNG or an array X.npy [N,...]. Float arrays are passed unchanged "
        "unless --input\nis given; images go through the input contract, 8-bit arrays through its scale, mean and std: "
        "they lie as\nthe network reads them. Of several outputs the first one counts. With --snn a "
        "ReLU network runs as\nintegrate-and-fire neurons and its spikes and synaptic operations are counted.",
        options,
        OPTION_COUNT(options),
        2,
        -1,
        NULL};
    tool_model m;
    run_state s = {.t = t, .o = &o, .m = &m};
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (o.dump && files != 2) return tool_usage_error(t, "--dump takes exactly one input");
    code = tool_snn_check(t, &o.snn);
    if (code == EXIT_OK) code = tool_check_output(t, o.output, (const char *const *)argv, (size_t)files, NULL);
    if (code != EXIT_OK) return code;
    code = tool_model_open(t, &m, argv[0], o.input, o.label_offset);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = tool_model_single(t, &m, !o.snn.steps);
    s.files = argv;
    s.file_count = files;
    if (code == EXIT_OK) code = run_all(&s, argv + 1, files - 1);
    tool_model_close(&m);
    return code;
}
