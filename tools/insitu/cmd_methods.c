/* SPDX-License-Identifier: Apache-2.0 */
/* insitu methods: one network stored by rival methods, on the same data, training and accounting. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool_eval.h"
#include "tool_methods.h"

#define CLIP 1.0f /* of the gradient: networks whose BatchNorm was folded away diverge without */

typedef struct methods_options {
    const char *data, *input, *csv, *keep;
    option_list methods;
    int32_t label_offset;
    uint64_t limit, tune_steps;
    uint32_t batch, rest_bits, tune_batch;
    float learning_rate;
    int train_split, list;
} methods_options;

typedef struct methods_job {
    tool *t;
    const methods_options *o;
    tool_model original;
    isg_graph *graph; /* of the original */
    isg_dataset *ds, *training;
    isg_method **methods;
    uint32_t method_count;
    char **files; /* compressed forms that are measured beside them */
    uint32_t file_count;
    tool_eval e;
    methods_result r;
} methods_job;

/* ---- what is asked for ---- */

static int make_methods(methods_job *job)
{
    const option_list *asked = &job->o->methods;
    const uint32_t count = asked->count ? asked->count : isg_method_count();
    job->methods = calloc(count, sizeof *job->methods);
    if (!job->methods) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    for (; job->method_count < count; job->method_count++) {
        const uint32_t i = job->method_count;
        isg_error err = {0};
        const isg_status status =
            isg_method_create(&job->methods[i], asked->count ? asked->items[i] : isg_method_name(i), &err);
        if (status == ISG_E_ARG) return tool_usage_error(job->t, "option --method: %s", err.message);
        if (status != ISG_OK) return tool_error(job->t, NULL, status, &err);
    }
    return EXIT_OK;
}

/* Before training, which gives every node a bias of its own. */
static uint64_t plain_bytes(const isg_graph *g)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < g->value_count; i++) {
        const isg_tensor *c = g->values[i].constant;
        if (c && c->dtype == ISG_DT_F32) bytes += (uint64_t)c->count * sizeof(float);
    }
    return bytes;
}

static int open_original(methods_job *job, const char *path)
{
    tool *t = job->t;
    int code = tool_model_open(t, &job->original, path, job->o->input, job->o->label_offset);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = tool_model_single(t, &job->original, 1);
    if (code == EXIT_OK) code = tool_eval_batch(t, &job->original, &job->e.batch);
    if (code == EXIT_OK) code = tool_model_graph(t, &job->graph, &job->original);
    if (code == EXIT_OK) job->r.bytes = plain_bytes(job->graph);
    return code;
}

static int open_data(methods_job *job)
{
    tool *t = job->t;
    const methods_options *o = job->o;
    tool_eval *e = &job->e;
    isg_error err = {0};
    isg_status status;
    int code = tool_data_open(t, &job->ds, &job->original, o->data, o->train_split ? ISG_SPLIT_TRAIN : ISG_SPLIT_TEST,
                              o->input);
    if (code != EXIT_OK) return code;
    e->ds = job->ds;
    e->images = isg_dataset_count(job->ds);
    if (o->limit && o->limit < e->images) {
        e->images = o->limit;
        job->r.subset = 1;
    }
    e->judge = 1;
    code = tool_eval_labels(t, &job->original, job->ds, e->images, o->data);
    if (code != EXIT_OK || !o->tune_steps) return code;
    status = isg_dataset_open(&job->training, o->data, ISG_SPLIT_TRAIN, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(t, NULL, status, &err);
}

/* ---- measuring ---- */

static int evaluate(methods_job *job, const tool_model *m, const char *text, uint64_t *correct)
{
    int code;
    if (!job->ds) return EXIT_OK;
    job->e.m = m;
    job->e.text = text;
    code = tool_eval_run(job->t, &job->e);
    job->e.done += job->e.images;
    *correct = job->e.top1;
    return code;
}

/* The same for every method: so many steps against the original, each seeing what the method makes of the weights. One
 * that diverges is left as it was, and told of. */
static int train(methods_job *job, isg_graph **g, isg_method_plan *plan, methods_row *row)
{
    const methods_options *o = job->o;
    isg_train_options options;
    isg_train_report report = {0};
    isg_error err = {0};
    isg_status status;
    isg_train_options_default(&options);
    options.max_steps = o->tune_steps;
    options.epochs = 0; /* as many as that takes */
    options.batch = o->tune_batch;
    options.learning_rate = o->learning_rate;
    options.grad_clip = CLIP;
    options.distill_beta = 0.9f;
    options.validation_fraction = 0.0;
    options.project = isg_method_project;
    options.project_user = plan;
    options.seed = job->t->seed;
    options.threads = tool_threads(job->t);
    options.progress = tool_progress_callbacks(job->t);
    status = isg_train(*g, job->graph, job->training, &job->original.input, job->original.label_offset, &options,
                       &report, &err);
    tool_progress_end(job->t);
    row->final_loss = status == ISG_OK ? report.final_loss : NAN;
    row->diverged = status == ISG_E_NUMERIC;
    if (!row->diverged) return status == ISG_OK ? EXIT_OK : tool_data_error(job->t, job->original.path, status, &err);
    tool_warning(job->t, isg_method_text(row->method), "not trained: %s", err.message);
    isg_graph_destroy(*g);
    status = isg_graph_clone(g, job->graph, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(job->t, NULL, status, &err);
}

static int store(methods_job *job, isg_graph *g, isg_method_plan *plan, methods_row *row)
{
    const isg_parallel parallel = isg_pool_parallel(tool_pool(job->t));
    const isg_progress progress = tool_progress_callbacks(job->t);
    const isg_method_report *r = &row->report;
    isg_error err = {0};
    uint64_t bits = 0;
    const isg_status status = isg_method_plan_store(plan, g, &parallel, &progress, &row->report, &err);
    if (status == ISG_E_NUMERIC && !job->o->methods.count) {
        tool_warning(job->t, isg_method_text(row->method), "left out: %s", err.message);
        row->too_large = 1;
        return EXIT_OK;
    }
    if (status != ISG_OK) return tool_error(job->t, job->original.path, status, &err);
    for (int i = 0; i < ISG_SECTION_COUNT; i++) bits += r->used.bits[i];
    row->bytes = r->weight_bytes + r->other_bytes;
    row->bits_per_weight = (double)bits / (double)r->used.weights;
    job->r.weights = r->weights;
    return EXIT_OK;
}

static int measure_planned(methods_job *job, isg_method_plan *plan, methods_row *row)
{
    tool_model made = job->original;
    isg_graph *g = NULL;
    isg_error err = {0};
    isg_status status = isg_graph_clone(&g, job->graph, &err);
    int code = status == ISG_OK ? EXIT_OK : tool_error(job->t, NULL, status, &err);
    if (code == EXIT_OK && job->o->tune_steps) code = train(job, &g, plan, row);
    if (code == EXIT_OK) code = store(job, g, plan, row);
    if (code == EXIT_OK && job->ds && !row->too_large) {
        status = isg_model_from_graph(&made.model, g, &err);
        if (status != ISG_OK) {
            code = tool_error(job->t, job->original.path, status, &err);
        } else {
            code = evaluate(job, &made, isg_method_text(row->method), &row->correct);
            isg_model_close(made.model);
        }
    }
    isg_graph_destroy(g);
    return code;
}

static void leave_out(methods_job *job, const isg_method *m, int too_large)
{
    job->r.left_out[job->r.left_out_count++] = (methods_left_out){m, too_large};
    job->e.total -= job->e.images;
}

/* A method that was asked for must have a form for some layer, and store its weights; of all methods those that do not
 * are left out. */
static int measure_method(methods_job *job, const isg_method *m)
{
    const isg_method_options options = {
        .struct_size = sizeof options, .keep = job->o->keep, .rest_bits = job->o->rest_bits};
    methods_row *row = &job->r.rows[job->r.count];
    isg_method_plan *plan;
    isg_error err = {0};
    const isg_status status = isg_method_plan_create(&plan, job->graph, m, &options, &err);
    int code = EXIT_OK;
    if (status == ISG_E_ARG) return tool_usage_error(job->t, "option --keep: %s", err.message);
    if (status != ISG_OK) return tool_error(job->t, job->original.path, status, &err);
    if (isg_method_plan_used(plan)) {
        row->method = m;
        row->final_loss = NAN;
        job->r.count++;
        code = measure_planned(job, plan, row);
        if (row->too_large) {
            leave_out(job, m, 1);
            job->r.count--;
            *row = (methods_row){0}; /* its report is empty */
        }
    } else if (job->o->methods.count) {
        code = tool_usage_error(job->t, "option --method: %s has no form for any layer%s", isg_method_text(m),
                                job->o->keep ? " that --keep leaves" : "");
    } else {
        leave_out(job, m, 0);
    }
    isg_method_plan_destroy(plan);
    return code;
}

/* Bits of the layers that are not plain numbers. */
static int layer_bits(methods_job *job, const tool_model *m, double *bits)
{
    isg_layer_swap *swap;
    isg_error err = {0};
    uint64_t stored = 0, weights = 0;
    const isg_status status = isg_layer_swap_create(&swap, job->original.model, m->model, &err);
    if (status != ISG_OK) return tool_data_error(job->t, m->path, status, &err);
    for (uint32_t i = 0; i < isg_layer_swap_count(swap); i++) {
        const isg_layer_report *l = isg_layer_swap_report(swap, i);
        if (l->kept) continue;
        stored += l->bytes;
        weights += l->params_full;
    }
    isg_layer_swap_destroy(swap);
    *bits = weights ? 8.0 * (double)stored / (double)weights : NAN;
    return EXIT_OK;
}

static int measure_file(methods_job *job, const char *path)
{
    methods_row *row = &job->r.rows[job->r.count++];
    tool *t = job->t;
    isg_rt_options options;
    tool_sizes sizes;
    tool_model m;
    int code = tool_model_open(t, &m, path, job->o->input, job->o->label_offset);
    row->path = path;
    row->final_loss = NAN;
    if (code != EXIT_OK) return code;
    tool_options_init(t, &options, 1, ISG_STRATEGY_AUTO);
    code = layer_bits(job, &m, &row->bits_per_weight);
    if (code == EXIT_OK) code = tool_model_sizes(t, &m, &options, &sizes);
    if (code == EXIT_OK) {
        row->bytes = sizes.resident_bytes;
        row->file_bytes = sizes.file_bytes;
        m.input = m.input.given ? m.input : job->original.input;
        code = evaluate(job, &m, path, &row->correct);
    }
    tool_model_close(&m);
    return code;
}

static int none_left(methods_job *job)
{
    isg_error err = {.status = ISG_E_UNSUPPORTED,
                     .message = "no method has a form for any of its layers, or for its numbers"};
    if (job->o->keep) return tool_usage_error(job->t, "option --keep: leaves no layer to the methods");
    return tool_error(job->t, job->original.path, err.status, &err);
}

static int measure(methods_job *job)
{
    methods_result *r = &job->r;
    const uint32_t most = job->method_count + job->file_count;
    int code = EXIT_OK;
    r->rows = calloc(most, sizeof *r->rows);
    r->left_out = calloc(most, sizeof *r->left_out);
    if (!r->rows || !r->left_out) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    job->e.stage = "methods";
    job->e.total = job->e.images * (most + 1);
    code = evaluate(job, &job->original, "the original", &r->correct);
    for (uint32_t i = 0; code == EXIT_OK && i < job->method_count; i++) code = measure_method(job, job->methods[i]);
    if (code == EXIT_OK && !r->count) code = none_left(job);
    for (uint32_t i = 0; code == EXIT_OK && i < job->file_count; i++) code = measure_file(job, job->files[i]);
    tool_progress_end(job->t);
    return code;
}

/* ---- the verb ---- */

static int run(methods_job *job, char **paths, int count)
{
    const methods_options *o = job->o;
    methods_result *r = &job->r;
    int code = make_methods(job);
    if (code == EXIT_OK) code = open_original(job, paths[0]);
    if (code == EXIT_OK && o->data) code = open_data(job);
    if (code != EXIT_OK) return code;
    job->files = paths + 1;
    job->file_count = (uint32_t)(count - 1);
    r->original = &job->original;
    r->data = o->data;
    r->keep = o->keep;
    r->labelled = o->data != NULL;
    r->train_split = o->train_split;
    r->rest_bits = o->rest_bits;
    r->tune_steps = o->tune_steps;
    r->tune_batch = o->tune_batch;
    r->learning_rate = (double)o->learning_rate;
    r->seed = job->t->seed;
    r->images = job->e.images;
    code = measure(job);
    if (code == EXIT_OK && o->csv) code = methods_csv(job->t, r, o->csv);
    if (code == EXIT_OK && !(o->csv && !strcmp(o->csv, "-"))) code = methods_print(job->t, r);
    return code;
}

/* What training and measuring must not do unseen: the images of such data are the same for both. */
static int check_tuning(tool *t, const methods_options *o)
{
    static const char *const of_tuning[] = {"tune-batch", "learning-rate", NULL};
    if (!o->tune_steps) return tool_refuse(t, of_tuning, "needs --tune-steps");
    if (t->max_memory) return tool_usage_error(t, "option --max-memory: training does not know its need beforehand");
    if (!o->train_split && (!strncmp(o->data, "npy:", 4) || !strncmp(o->data, "folder:", 7)))
        return tool_usage_error(t, "option --tune-steps: npy: and folder: have one part, so that images it trains on "
                                   "are measured; say so by --train-split");
    return EXIT_OK;
}

static int check_options(tool *t, const methods_options *o, char **paths, int count)
{
    static const char *const of_data[] = {"input",       "label-offset", "limit",      "batch",
                                          "train-split", "tune-steps",   "max-memory", NULL};
    int code = EXIT_OK;
    if (o->batch < 1 || o->batch > 4096) return tool_usage_error(t, "option --batch: from 1 to 4096");
    if (tool_given(t, "limit") && !o->limit) return tool_usage_error(t, "option --limit: at least 1");
    if (o->rest_bits != 32 && (o->rest_bits < 2 || o->rest_bits > 8))
        return tool_usage_error(t, "option --rest-bits: from 2 to 8, or 32");
    if (o->tune_batch < 1 || o->tune_batch > 65536) return tool_usage_error(t, "option --tune-batch: from 1 to 65536");
    if (o->tune_steps > 100000000) return tool_usage_error(t, "option --tune-steps: at most 100000000");
    if (!(o->learning_rate > 0.0f)) return tool_usage_error(t, "option --learning-rate: above 0");
    if (!o->data) code = tool_refuse(t, of_data, "needs --data");
    if (code == EXIT_OK) code = check_tuning(t, o);
    if (code != EXIT_OK) return code;
    if (o->csv && !strcmp(o->csv, "-"))
        return t->json ? tool_usage_error(t, "--json and --csv=- are both for standard output") : EXIT_OK;
    return tool_check_output(t, o->csv, (const char *const *)paths, (size_t)count, o->data);
}

static void job_clear(methods_job *job)
{
    for (uint32_t i = 0; i < job->method_count; i++) isg_method_destroy(job->methods[i]);
    for (uint32_t i = 0; job->r.rows && i < job->r.count; i++) isg_method_report_clear(&job->r.rows[i].report);
    free(job->methods);
    free(job->r.rows);
    free(job->r.left_out);
    isg_graph_destroy(job->graph);
    isg_dataset_close(job->ds);
    isg_dataset_close(job->training);
    tool_model_close(&job->original);
}

int cmd_methods(tool *t, const tool_verb *verb, int argc, char **argv)
{
    methods_options o = {
        .label_offset = LABEL_OFFSET_UNSET, .batch = 8, .rest_bits = 8, .tune_batch = 128, .learning_rate = 1e-3f};
    const tool_option options[] = {
        {"method", 'm', OPTION_LIST, &o.methods, "NAME:KEY=VALUE,...", "one to measure (default: all; see --list)"},
        {"list", 0, OPTION_FLAG, &o.list, NULL, "print the methods and their parameters"},
        {"keep", 'k', OPTION_TEXT, &o.keep, "REGEX", "layers that stay in float32"},
        {"rest-bits", 0, OPTION_U32, &o.rest_bits, "N",
         "uniform bits of layers that a method has no form for (default 8)"},
        {"data", 'd', OPTION_TEXT, &o.data, "KIND:PATH", "labelled images to measure accuracy on"},
        {"input", 'i', OPTION_TEXT, &o.input, "SPEC", "raw|unit|torchvision|tf|KEY=VALUE,... (default: a file's own)"},
        {"label-offset", 0, OPTION_I32, &o.label_offset, "N", "output N is class 0 (default: a file's own, or 0)"},
        {"limit", 'n', OPTION_U64, &o.limit, "N", "number of images (default: all)"},
        {"batch", 'b', OPTION_U32, &o.batch, "N", "images a run (default 8)"},
        {"train-split", 0, OPTION_FLAG, &o.train_split, NULL, "measure on the training images of the set"},
        {"tune-steps", 0, OPTION_U64, &o.tune_steps, "N", "train each for N steps against the original first"},
        {"tune-batch", 0, OPTION_U32, &o.tune_batch, "N", "images a step (default 128)"},
        {"learning-rate", 0, OPTION_FLOAT, &o.learning_rate, "X", "of that training (default 0.001)"},
        {"csv", 0, OPTION_TEXT, &o.csv, "FILE|-", "write a line a method; -: on stdout in place of the table"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {
        verb,
        "MODEL [COMPRESSED.isg...]",
        "Every weight of MODEL is stored by each method and made again from the bytes that are counted; the network\n"
        "that this leaves is measured. COMPRESSED.isg files are forms of MODEL by this tool, measured beside them.\n"
        "--tune-steps trains with straight-through gradients, the same images and steps for each.",
        options,
        OPTION_COUNT(options),
        0,
        -1,
        NULL};
    methods_job job = {.t = t, .o = &o};
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    if (o.list) return files ? tool_usage_error(t, "option --list: goes without a model") : methods_list(t);
    if (!files) return tool_usage_error(t, "give a model, or --list");
    code = check_options(t, &o, argv, files);
    if (code != EXIT_OK) return code;
    job.e.batch = o.batch;
    code = run(&job, argv, files);
    job_clear(&job);
    return code;
}
