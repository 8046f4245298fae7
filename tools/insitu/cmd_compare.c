/* SPDX-License-Identifier: Apache-2.0 */
/* insitu compare: two models on the same inputs, output by output, and layer by layer where their layers match. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool_sums.h"

#define MAX_IO 16

typedef struct compare_options {
    const char *data, *npy, *input;
    uint64_t random, limit;
    double tolerance; /* negative: none */
    uint32_t strategy;
    int has_random, layers;
} compare_options;

typedef struct compare_side {
    tool_model m;
    isg_session *session;
    float *outputs[MAX_IO];
    float **layers; /* [op]: the tensor of the last run */
    uint64_t *layer_size;
    uint32_t ops;
    isg_status hook_status;
} compare_side;

typedef struct compare_job {
    tool *t;
    const compare_options *o;
    compare_side a, b;
    float *inputs[MAX_IO];
    uint64_t input_size[MAX_IO], output_size[MAX_IO];
    uint32_t input_count, output_count;
    tool_sums sums[MAX_IO], *layer_sums; /* [op of a] */
    int32_t *match;                      /* [op of a]: op of b, or -1 */
    uint64_t items;
} compare_job;

static void layer_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    compare_side *side = user;
    if (!done || op >= side->ops || side->hook_status != ISG_OK) return;
    side->hook_status = tool_sums_read(ctx, op, &side->layers[op], &side->layer_size[op]);
}

static int side_begin(compare_job *job, compare_side *side)
{
    isg_rt_options options;
    isg_error err = {0};
    isg_status status;
    uint32_t i;
    tool_options_init(job->t, &options, 1, job->o->strategy);
    if (side == &job->a) options.mode = ISG_MODE_F32;
    if (job->o->layers) {
        options.hook = layer_hook;
        options.hook_user = side;
    }
    status = isg_session_create(&side->session, side->m.model, &options, &err);
    if (status != ISG_OK) return tool_error(job->t, side->m.path, status, &err);
    for (i = 0; i < job->output_count; i++) {
        side->outputs[i] = calloc((size_t)job->output_size[i], sizeof(float));
        if (!side->outputs[i]) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    }
    if (!job->o->layers) return EXIT_OK;
    side->ops = isg_rt_op_count(isg_session_context(side->session));
    side->layers = calloc(side->ops ? side->ops : 1, sizeof *side->layers);
    side->layer_size = calloc(side->ops ? side->ops : 1, sizeof *side->layer_size);
    return side->layers && side->layer_size ? EXIT_OK : tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
}

static void side_end(compare_side *side)
{
    uint32_t i;
    for (i = 0; i < MAX_IO; i++) free(side->outputs[i]);
    for (i = 0; side->layers && i < side->ops; i++) free(side->layers[i]);
    free(side->layers);
    free(side->layer_size);
    isg_session_destroy(side->session);
    tool_model_close(&side->m);
}

/* The same inputs and outputs in number and size, or there is nothing to compare. */
static int match_shapes(compare_job *job)
{
    const isg_rt_model *a = isg_model_rt(job->a.m.model), *b = isg_model_rt(job->b.m.model);
    uint32_t i;
    job->input_count = isg_rt_input_count(a);
    job->output_count = isg_rt_output_count(a);
    if (job->input_count != isg_rt_input_count(b) || job->output_count != isg_rt_output_count(b) ||
        job->input_count > MAX_IO || job->output_count > MAX_IO)
        return tool_usage_error(job->t, "the models differ in the number of inputs or outputs");
    for (i = 0; i < job->input_count + job->output_count; i++) {
        int output = i >= job->input_count;
        uint32_t k = output ? i - job->input_count : i;
        isg_rt_io x, y;
        if ((output ? isg_rt_output(a, k, &x) : isg_rt_input(a, k, &x)) != ISG_OK ||
            (output ? isg_rt_output(b, k, &y) : isg_rt_input(b, k, &y)) != ISG_OK ||
            tool_io_count(&x) != tool_io_count(&y))
            return tool_usage_error(job->t, "the models differ in the size of %s %u", output ? "output" : "input", k);
        *(output ? &job->output_size[k] : &job->input_size[k]) = tool_io_count(&x);
        if (output) continue;
        job->inputs[k] = calloc((size_t)tool_io_count(&x), sizeof(float));
        if (!job->inputs[k]) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    }
    return EXIT_OK;
}

/* Layers of a and b that bear the same name, in order. */
static int match_layers(compare_job *job)
{
    uint32_t i, j, from = 0;
    if (!job->o->layers) return EXIT_OK;
    job->layer_sums = calloc(job->a.ops ? job->a.ops : 1, sizeof *job->layer_sums);
    job->match = malloc((job->a.ops ? job->a.ops : 1) * sizeof *job->match);
    if (!job->layer_sums || !job->match) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < job->a.ops; i++) {
        isg_rt_op x, y;
        job->match[i] = -1;
        if (isg_rt_op_info(isg_session_context(job->a.session), i, &x) != ISG_OK || !x.name_bytes) continue;
        for (j = from; j < job->b.ops; j++) {
            if (isg_rt_op_info(isg_session_context(job->b.session), j, &y) != ISG_OK) continue;
            if (y.name_bytes != x.name_bytes || memcmp(y.name, x.name, x.name_bytes)) continue;
            job->match[i] = (int32_t)j;
            from = j + 1;
            break;
        }
    }
    return EXIT_OK;
}

/* One run, of which `count` items count. */
static int compare_run(compare_job *job, uint32_t count)
{
    const float *inputs[MAX_IO];
    isg_error err = {0};
    isg_status status;
    uint32_t i, k;
    for (i = 0; i < job->input_count; i++) inputs[i] = job->inputs[i];
    status = isg_session_run(job->a.session, inputs, job->a.outputs, &err);
    if (status != ISG_OK) return tool_error(job->t, job->a.m.path, status, &err);
    status = isg_session_run(job->b.session, inputs, job->b.outputs, &err);
    if (status != ISG_OK) return tool_error(job->t, job->b.m.path, status, &err);
    status = job->a.hook_status != ISG_OK ? job->a.hook_status : job->b.hook_status;
    if (status != ISG_OK) return tool_error(job->t, NULL, status, NULL);
    for (i = 0; i < job->output_count; i++)
        for (k = 0; k < count; k++) {
            const uint64_t size = job->output_size[i] / job->a.m.items;
            tool_sums_add(&job->sums[i], job->a.outputs[i] + k * size, job->b.outputs[i] + k * size, size);
        }
    for (i = 0; job->o->layers && i < job->a.ops; i++) {
        int32_t j = job->match[i];
        if (j >= 0 && job->a.layers[i] && job->b.layers[j] && job->a.layer_size[i] == job->b.layer_size[j])
            tool_sums_add(&job->layer_sums[i], job->a.layers[i], job->b.layers[j], job->a.layer_size[i]);
    }
    job->items += count;
    if (tool_cancelled()) return tool_error(job->t, NULL, ISG_E_CANCELLED, NULL);
    return EXIT_OK;
}

static int compare_random(compare_job *job)
{
    uint64_t state = job->o->has_random ? job->o->random : job->t->seed, n, i;
    int code = EXIT_OK;
    uint32_t k;
    for (n = 0; code == EXIT_OK && n < (job->o->limit ? job->o->limit : 1); n += job->a.m.items) {
        for (k = 0; k < job->input_count; k++)
            for (i = 0; i < job->input_size[k]; i++) job->inputs[k][i] = tool_sums_random(&state);
        code = compare_run(job, job->a.m.items);
    }
    return code;
}

static int compare_data(compare_job *job, const char *spec)
{
    isg_dataset *ds = NULL;
    isg_error err = {0};
    tool_model *m = job->a.m.input.given || !job->b.m.input.given ? &job->a.m : &job->b.m;
    uint64_t n, i, part, count;
    int code = job->input_count == 1 ? EXIT_OK : tool_usage_error(job->t, "data need a network with one input");
    if (code == EXIT_OK) code = tool_model_items(job->t, &job->a.m, job->a.m.items == job->b.m.items);
    if (code == EXIT_OK) code = tool_data_open(job->t, &ds, m, spec, ISG_SPLIT_TEST, job->o->input);
    count = ds ? isg_dataset_count(ds) : 0;
    if (job->o->limit ? job->o->limit < count : job->o->data && count > 16) count = job->o->limit ? job->o->limit : 16;
    for (n = 0; code == EXIT_OK && n < count; n += part) {
        isg_status status = ISG_OK;
        part = count - n < m->items ? count - n : m->items;
        for (i = 0; i < part && status == ISG_OK; i++)
            status = isg_dataset_load(ds, n + i, &m->input, job->inputs[0] + i * m->in_count, &err);
        if (status == ISG_OK) tool_fill_batch(m, job->inputs[0], part);
        code = status == ISG_OK ? compare_run(job, (uint32_t)part) : tool_data_error(job->t, NULL, status, &err);
        tool_progress(job->t, "compare", n + part, count, "");
    }
    isg_dataset_close(ds);
    return code;
}

static int compare_npy(compare_job *job)
{
    size_t n = strlen(job->o->npy);
    char *spec = malloc(n + 5);
    int code;
    if (!spec) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    memcpy(spec, "npy:", 4);
    memcpy(spec + 4, job->o->npy, n + 1);
    code = compare_data(job, spec);
    free(spec);
    return code;
}

static void json_sums(cJSON *list, const char *name, size_t name_bytes, const tool_sums *s, int argmax)
{
    cJSON *o = cJSON_CreateObject();
    tool_json_text_n(o, "name", name, name_bytes);
    tool_json_number(o, "max_abs_error", s->max_error);
    tool_json_number(o, "max_abs_value", s->max_value);
    tool_json_number(o, "relative_error", tool_sums_relative(s));
    tool_json_number(o, "cosine", tool_sums_cosine(s));
    tool_json_number(o, "snr_db", tool_sums_snr(s));
    if (argmax) cJSON_AddNumberToObject(o, "same_argmax", (double)s->same_argmax / (double)s->items);
    cJSON_AddItemToArray(list, o);
}

static void print_sums(const char *name, size_t name_bytes, int width, const tool_sums *s)
{
    tool_print_name(name, name_bytes, width);
    printf(" %10.3g %10.3g %10.6f %8.2f\n", s->max_error, tool_sums_relative(s), tool_sums_cosine(s), tool_sums_snr(s));
}

/* Operation i of the first model if it is compared. */
static int compared_op(const compare_job *job, uint32_t i, isg_rt_op *op)
{
    return job->layer_sums[i].items && isg_rt_op_info(isg_session_context(job->a.session), i, op) == ISG_OK;
}

static int name_width(const compare_job *job)
{
    isg_rt_io io;
    isg_rt_op op;
    int width = 36;
    uint32_t i;
    for (i = 0; job->o->layers && i < job->a.ops; i++)
        if (compared_op(job, i, &op)) width = tool_name_width(width, op.name, op.name_bytes);
    for (i = 0; i < job->output_count; i++)
        if (isg_rt_output(isg_model_rt(job->a.m.model), i, &io) == ISG_OK)
            width = tool_name_width(width, io.name, io.name_bytes);
    return width;
}

static int compare_report(compare_job *job, int missed)
{
    const isg_rt_model *rt = isg_model_rt(job->a.m.model);
    cJSON *json = job->t->json ? tool_json("compare") : NULL, *outputs = NULL, *layers = NULL;
    isg_rt_io io = {0};
    isg_rt_op op;
    uint32_t i;
    const int width = name_width(job);
    if (json) {
        tool_json_text(json, "a", job->a.m.path);
        tool_json_text(json, "b", job->b.m.path);
        cJSON_AddNumberToObject(json, "items", (double)job->items);
        if (job->o->tolerance >= 0.0) cJSON_AddNumberToObject(json, "tolerance", job->o->tolerance);
        cJSON_AddBoolToObject(json, "ok", !missed);
        outputs = cJSON_AddArrayToObject(json, "outputs");
        if (job->o->layers) layers = cJSON_AddArrayToObject(json, "layers");
    } else {
        printf("%-*s %10s %10s %10s %8s\n", width, "tensor", "max abs", "relative", "cosine", "SNR dB");
    }
    for (i = 0; job->o->layers && i < job->a.ops; i++) {
        if (!compared_op(job, i, &op)) continue;
        if (json)
            json_sums(layers, op.name, op.name_bytes, &job->layer_sums[i], 0);
        else
            print_sums(op.name, op.name_bytes, width, &job->layer_sums[i]);
    }
    for (i = 0; i < job->output_count; i++) {
        if (isg_rt_output(rt, i, &io) != ISG_OK) continue;
        if (json)
            json_sums(outputs, io.name, io.name_bytes, &job->sums[i], io.rank == 2);
        else
            print_sums(io.name, io.name_bytes, width, &job->sums[i]);
    }
    if (json) return tool_json_print(job->t, json);
    if (io.rank == 2)
        printf("same largest output: %llu of %llu items\n",
               (unsigned long long)job->sums[job->output_count - 1].same_argmax, (unsigned long long)job->items);
    return EXIT_OK;
}

static int compare_models(compare_job *job)
{
    const compare_options *o = job->o;
    isg_error err = {0};
    int missed = 0, code = match_shapes(job);
    uint32_t i;
    if (code == EXIT_OK) code = side_begin(job, &job->a);
    if (code == EXIT_OK) code = side_begin(job, &job->b);
    if (code == EXIT_OK) code = match_layers(job);
    if (code != EXIT_OK) return code;
    code = o->data ? compare_data(job, o->data) : o->npy ? compare_npy(job) : compare_random(job);
    if (code != EXIT_OK) return code;
    for (i = 0; i < job->output_count; i++) {
        if (!isfinite(job->sums[i].max_error)) {
            err.status = ISG_E_NUMERIC;
            snprintf(err.message, sizeof err.message, "an output of one of the two is not a finite number");
            return tool_error(job->t, job->b.m.path, ISG_E_NUMERIC, &err);
        }
        missed |= o->tolerance >= 0.0 && !(tool_sums_relative(&job->sums[i]) <= o->tolerance);
    }
    code = compare_report(job, missed);
    if (code != EXIT_OK || !missed) return code;
    err.status = ISG_E_TARGET;
    snprintf(err.message, sizeof err.message, "outputs differ by more than the tolerance %g", o->tolerance);
    return tool_error(job->t, job->b.m.path, ISG_E_TARGET, &err);
}

int cmd_compare(tool *t, const tool_verb *verb, int argc, char **argv)
{
    compare_options o = {.random = UINT64_MAX, .tolerance = -1.0};
    const tool_option options[] = {
        {"data", 'd', OPTION_TEXT, &o.data, "KIND:PATH", "inputs from a dataset (the first 16, see --limit)"},
        {"input-npy", 0, OPTION_TEXT, &o.npy, "X.npy", "inputs from an array [N,...]"},
        {"random", 0, OPTION_U64, &o.random, "SEED",
         "one input of uniform numbers in -1..1 (the default, seed --seed)"},
        {"input", 'i', OPTION_TEXT, &o.input, "SPEC", "raw|unit|torchvision|tf|KEY=VALUE,... (default: a file's own)"},
        {"limit", 'n', OPTION_U64, &o.limit, "N", "number of inputs"},
        {"tolerance", 0, OPTION_REAL, &o.tolerance, "T",
         "exit 5 when an error relative to the largest output is over T"},
        {"layers", 0, OPTION_FLAG, &o.layers, NULL, "compare the layers of equal name as well"},
        {"strategy", 0, OPTION_CHOICE, &o.strategy, tool_strategies, "force a way to execute factored layers"},
        {"mode", 0, OPTION_CHOICE, &t->mode, tool_modes, "numbers to compute B in; A stays in f32"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {verb,
                              "A B",
                              "A and B are .isg or .onnx files with the same inputs and outputs. Errors are those of B "
                              "against A.",
                              options,
                              OPTION_COUNT(options),
                              2,
                              2,
                              NULL};
    compare_job job = {.t = t, .o = &o};
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    uint32_t i;
    if (code >= 0) return code;
    o.has_random = o.random != UINT64_MAX;
    if ((o.data != NULL) + (o.npy != NULL) + o.has_random > 1)
        return tool_usage_error(t, "--data, --input-npy and --random exclude each other");
    if (tool_given(t, "tolerance") && !(o.tolerance >= 0.0))
        return tool_usage_error(t, "option --tolerance: must not be negative");
    if (tool_given(t, "limit") && !o.limit) return tool_usage_error(t, "option --limit: at least 1");
    code = tool_model_open(t, &job.a.m, argv[0], o.input, LABEL_OFFSET_UNSET);
    if (code == EXIT_OK) code = tool_model_open(t, &job.b.m, argv[1], o.input, LABEL_OFFSET_UNSET);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = compare_models(&job);
    side_end(&job.a);
    side_end(&job.b);
    for (i = 0; i < MAX_IO; i++) free(job.inputs[i]);
    free(job.layer_sums);
    free(job.match);
    return code;
}
