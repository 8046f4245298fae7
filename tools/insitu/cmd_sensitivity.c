/* SPDX-License-Identifier: Apache-2.0 */
/* insitu sensitivity: what each layer costs when it alone is compressed, and what the whole file does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool_eval.h"
#include "tool_sensitivity.h"

#define PROBE_ITEMS 16u   /* inputs over which a layer's own output is compared */
#define RANDOM_INPUTS 16u /* made up where no data are given */

typedef struct sensitivity_options {
    const char *data, *input, *csv;
    int32_t label_offset;
    uint64_t limit;
    uint32_t batch, strategy, sort;
    double max_drop; /* negative: none */
    int train_split;
} sensitivity_options;

/* A session whose hook reads the output of one operation. */
typedef struct probe {
    isg_session *session;
    float **outputs, *values;
    uint64_t count;
    uint32_t op;
    isg_status status;
} probe;

typedef struct sensitivity_job {
    tool *t;
    const sensitivity_options *o;
    tool_model a, b;
    isg_layer_swap *swap;
    isg_dataset *ds;
    float *items;        /* made-up inputs, where there are no data */
    float *input;        /* one item, for the probes */
    float *base, *other; /* outputs of the original and of another model, [images][out_count] */
    probe reference;
    tool_eval e; /* what every evaluation has in common, with the progress made */
    sensitivity_result r;
} sensitivity_job;

/* ---- inputs ---- */

/* The contract and the label offset of the compressed file, which alone tells of them as a rule, serve both. */
static void share_contract(sensitivity_job *job)
{
    tool_model *from = job->b.input.given ? &job->b : &job->a, *to = from == &job->b ? &job->a : &job->b;
    to->input = from->input;
    to->label_offset = from->label_offset;
}

static int open_models(sensitivity_job *job, char **paths)
{
    tool *t = job->t;
    const sensitivity_options *o = job->o;
    int code = tool_model_open(t, &job->a, paths[0], o->input, o->label_offset);
    if (code == EXIT_OK) code = tool_model_open(t, &job->b, paths[1], o->input, o->label_offset);
    if (code == EXIT_OK) code = tool_shape_check(t);
    if (code == EXIT_OK) code = tool_model_single(t, &job->a, 0);
    if (code == EXIT_OK) code = tool_model_single(t, &job->b, 0);
    if (code != EXIT_OK) return code;
    if (job->a.in_count != job->b.in_count || job->a.out_count != job->b.out_count ||
        isg_rt_output_count(isg_model_rt(job->a.model)) != isg_rt_output_count(isg_model_rt(job->b.model)))
        return tool_usage_error(t, "the models differ in their inputs or outputs");
    share_contract(job);
    return EXIT_OK;
}

static int open_data(sensitivity_job *job)
{
    tool *t = job->t;
    const sensitivity_options *o = job->o;
    tool_eval *e = &job->e;
    int code =
        tool_data_open(t, &job->ds, &job->a, o->data, o->train_split ? ISG_SPLIT_TRAIN : ISG_SPLIT_TEST, o->input);
    if (code != EXIT_OK) return code;
    job->b.input = job->a.input;
    e->ds = job->ds;
    e->images = isg_dataset_count(job->ds);
    if (o->limit && o->limit < e->images) {
        e->images = o->limit;
        job->r.subset = 1;
    }
    e->judge = job->r.labelled = isg_dataset_has_labels(job->ds);
    if (!e->judge) return o->max_drop >= 0.0 ? tool_usage_error(t, "--max-drop: %s has no labels", o->data) : EXIT_OK;
    return tool_eval_labels(t, &job->a, job->ds, e->images, o->data);
}

static int make_inputs(sensitivity_job *job)
{
    uint64_t state = job->t->seed, i, n;
    job->e.images = job->o->limit ? job->o->limit : RANDOM_INPUTS;
    if (job->e.images > SIZE_MAX / sizeof(float) / job->a.in_count) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    n = job->e.images * job->a.in_count;
    job->items = malloc((size_t)n * sizeof *job->items);
    if (!job->items) return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < n; i++) job->items[i] = tool_sums_random(&state);
    job->e.items = job->items;
    return EXIT_OK;
}

/* ---- a layer's own output ---- */

static void probe_hook(void *user, const isg_rt_context *ctx, uint32_t op, int done)
{
    probe *p = user;
    if (done && op == p->op && p->status == ISG_OK) p->status = tool_sums_read(ctx, op, &p->values, &p->count);
}

static int probe_open(sensitivity_job *job, probe *p, const tool_model *m, uint32_t op)
{
    isg_rt_options options;
    isg_error err = {0};
    isg_status status;
    tool_options_init(job->t, &options, 1, job->o->strategy);
    options.hook = probe_hook;
    options.hook_user = p;
    options.parallel = isg_pool_parallel(job->t->pool);
    memset(p, 0, sizeof *p);
    p->op = op;
    p->outputs = tool_outputs_new(m, 1);
    status = p->outputs ? isg_session_create(&p->session, m->model, &options, &err) : ISG_E_NOMEM;
    return status == ISG_OK ? EXIT_OK : tool_error(job->t, m->path, status, &err);
}

static void probe_close(probe *p, const tool_model *m)
{
    isg_session_destroy(p->session);
    if (p->outputs) tool_outputs_free(m, p->outputs);
    free(p->values);
    memset(p, 0, sizeof *p);
}

static isg_status probe_run(probe *p, const float *input, isg_error *err)
{
    const float *inputs[1];
    isg_status status;
    inputs[0] = input;
    status = isg_session_run(p->session, inputs, p->outputs, err);
    return status == ISG_OK ? p->status : status;
}

static uint64_t probe_items(const sensitivity_job *job)
{
    return job->e.images < PROBE_ITEMS ? job->e.images : PROBE_ITEMS;
}

/* Both networks are the same up to this layer, so that it sees the same input in both. */
static int layer_error(sensitivity_job *job, const tool_model *m, uint32_t op, double *error)
{
    const uint64_t items = probe_items(job);
    tool_sums sums = {0};
    isg_error err = {0};
    uint64_t i;
    probe p;
    int code = probe_open(job, &p, m, op);
    if (code == EXIT_OK) code = probe_open(job, &job->reference, &job->a, op);
    for (i = 0; code == EXIT_OK && i < items; i++) {
        const float *input = job->items ? job->items + i * m->in_count : job->input;
        isg_status status = job->ds ? isg_dataset_load(job->ds, i, &m->input, job->input, &err) : ISG_OK;
        if (status == ISG_OK) status = probe_run(&job->reference, input, &err);
        if (status == ISG_OK) status = probe_run(&p, input, &err);
        if (status == ISG_OK && tool_cancelled()) status = ISG_E_CANCELLED;
        if (status == ISG_OK)
            tool_sums_add(&sums, job->reference.values, p.values, p.count);
        else
            code = tool_data_error(job->t, m->path, status, &err);
        job->e.done++;
    }
    probe_close(&p, m);
    probe_close(&job->reference, &job->a);
    *error = sums.ee == 0.0 ? 0.0 : sums.ee / sums.aa;
    return code;
}

/* ---- the network's output ---- */

static int add_outputs(sensitivity_job *job, const tool_model *m, tool_sums *sums)
{
    const uint64_t size = job->a.out_count;
    isg_error err = {.status = ISG_E_NUMERIC};
    uint64_t i;
    for (i = 0; i < job->e.images; i++) tool_sums_add(sums, job->base + i * size, job->other + i * size, size);
    if (isfinite(sums->max_error)) return EXIT_OK;
    snprintf(err.message, sizeof err.message, "an output of it or of the original is not a finite number");
    return tool_error(job->t, m->path, ISG_E_NUMERIC, &err);
}

/* Runs `m`, and compares what it gives with what the original gave unless `sums` is NULL: then it is the original. */
static int evaluate(sensitivity_job *job, const tool_model *m, const char *text, tool_sums *sums, uint64_t *correct)
{
    int code;
    job->e.m = m;
    job->e.text = text;
    job->e.outputs = sums ? job->other : job->base;
    code = tool_eval_run(job->t, &job->e);
    job->e.done += job->e.images;
    *correct = job->e.top1;
    return code == EXIT_OK && sums ? add_outputs(job, m, sums) : code;
}

static int measure_layer(sensitivity_job *job, uint32_t index)
{
    sensitivity_row *row = &job->r.rows[index];
    tool_model m = job->a;
    isg_error err = {0};
    isg_status status;
    int code;
    row->layer = isg_layer_swap_report(job->swap, index);
    m.path = job->b.path;
    status = isg_layer_swap_model(&m.model, job->swap, index, &err);
    if (status != ISG_OK) return tool_error(job->t, job->b.path, status, &err);
    code = layer_error(job, &m, isg_layer_swap_op(job->swap, index), &row->output_error);
    if (code == EXIT_OK) code = evaluate(job, &m, row->layer->name, &row->sums, &row->correct);
    isg_model_close(m.model);
    return code;
}

static int make_room(sensitivity_job *job)
{
    const uint64_t size = job->a.out_count, images = job->e.images;
    isg_rt_options options;
    isg_error err = {.status = ISG_E_LIMIT};
    tool_options_init(job->t, &options, 1, job->o->strategy);
    if (options.max_memory && images > options.max_memory / (2 * sizeof(float)) / size) {
        snprintf(err.message, sizeof err.message,
                 "the outputs for %llu inputs need more memory than the %llu bytes allowed (see --limit)",
                 (unsigned long long)images, (unsigned long long)options.max_memory);
        return tool_error(job->t, NULL, ISG_E_LIMIT, &err);
    }
    job->base = calloc(images, size * sizeof *job->base);
    job->other = calloc(images, size * sizeof *job->other);
    job->input = calloc(job->a.in_count, sizeof *job->input);
    job->r.rows = calloc(job->r.count, sizeof *job->r.rows);
    if (job->base && job->other && job->input && job->r.rows) return EXIT_OK;
    return tool_error(job->t, NULL, ISG_E_NOMEM, NULL);
}

static int measure(sensitivity_job *job)
{
    uint32_t i;
    int code = make_room(job);
    job->e.stage = "sensitivity";
    job->e.total = job->e.images * (job->r.count + 2) + probe_items(job) * job->r.count;
    if (code == EXIT_OK) code = evaluate(job, &job->a, "the original", NULL, &job->r.correct);
    for (i = 0; code == EXIT_OK && i < job->r.count; i++) code = measure_layer(job, i);
    if (code == EXIT_OK) code = evaluate(job, &job->b, "the whole file", &job->r.whole.sums, &job->r.whole.correct);
    tool_progress_end(job->t);
    return code;
}

/* ---- the verb ---- */

static int report(sensitivity_job *job)
{
    sensitivity_result *r = &job->r;
    const sensitivity_options *o = job->o;
    const double drop = sensitivity_drop(r, &r->whole);
    /* both are quotients of whole numbers: the same fraction, written in decimals, is not above itself */
    const int missed = o->max_drop >= 0.0 && drop > o->max_drop + 1e-9;
    isg_error err = {.status = ISG_E_TARGET};
    int code = o->csv ? sensitivity_csv(job->t, r, o->csv) : EXIT_OK;
    if (code == EXIT_OK && !(o->csv && !strcmp(o->csv, "-"))) code = sensitivity_print(job->t, r, missed);
    if (code != EXIT_OK || !missed) return code;
    snprintf(err.message, sizeof err.message, "accuracy drops by %.4f, more than the %g allowed", drop, o->max_drop);
    return tool_error(job->t, job->b.path, ISG_E_TARGET, &err);
}

static int run(sensitivity_job *job, char **paths)
{
    const sensitivity_options *o = job->o;
    sensitivity_result *r = &job->r;
    isg_error err = {0};
    isg_status status;
    int code = open_models(job, paths);
    if (code == EXIT_OK) code = tool_eval_batch(job->t, &job->a, &job->e.batch);
    if (code == EXIT_OK) code = o->data ? open_data(job) : make_inputs(job);
    if (code != EXIT_OK) return code;
    status = isg_layer_swap_create(&job->swap, job->a.model, job->b.model, &err);
    if (status != ISG_OK) return tool_error(job->t, job->b.path, status, &err);
    r->original = &job->a;
    r->compressed = &job->b;
    r->data = o->data;
    r->train_split = o->train_split;
    r->by_worst = o->sort == 1;
    r->images = job->e.images;
    r->seed = job->t->seed;
    r->max_drop = o->max_drop;
    r->count = isg_layer_swap_count(job->swap);
    if (!r->count) return tool_usage_error(job->t, "the network has no layers with weights");
    code = measure(job);
    return code == EXIT_OK ? report(job) : code;
}

static int check_options(tool *t, const sensitivity_options *o, char **paths)
{
    static const char *const of_data[] = {"input", "label-offset", "train-split", "max-drop", NULL};
    const char *const inputs[2] = {paths[0], paths[1]};
    if (o->batch < 1 || o->batch > 4096) return tool_usage_error(t, "option --batch: from 1 to 4096");
    if (tool_given(t, "limit") && !o->limit) return tool_usage_error(t, "option --limit: at least 1");
    if (tool_given(t, "max-drop") && !(o->max_drop >= 0.0 && o->max_drop <= 1.0))
        return tool_usage_error(t, "option --max-drop: a fraction from 0 to 1");
    if (!o->data) {
        const int code = tool_refuse(t, of_data, "needs --data");
        if (code != EXIT_OK) return code;
    }
    if (o->csv && !strcmp(o->csv, "-"))
        return t->json ? tool_usage_error(t, "--json and --csv=- are both for standard output") : EXIT_OK;
    return tool_check_output(t, o->csv, inputs, 2, o->data);
}

static void job_clear(sensitivity_job *job)
{
    isg_layer_swap_destroy(job->swap);
    isg_dataset_close(job->ds);
    free(job->items);
    free(job->input);
    free(job->base);
    free(job->other);
    free(job->r.rows);
    tool_model_close(&job->a);
    tool_model_close(&job->b);
}

int cmd_sensitivity(tool *t, const tool_verb *verb, int argc, char **argv)
{
    sensitivity_options o = {.label_offset = LABEL_OFFSET_UNSET, .batch = 8, .max_drop = -1.0};
    const tool_option options[] = {
        {"data", 'd', OPTION_TEXT, &o.data, "KIND:PATH", "inputs from a dataset; labelled ones give accuracy"},
        {"input", 'i', OPTION_TEXT, &o.input, "SPEC", "raw|unit|torchvision|tf|KEY=VALUE,... (default: a file's own)"},
        {"label-offset", 0, OPTION_I32, &o.label_offset, "N", "output N is class 0 (default: a file's own, or 0)"},
        {"limit", 'n', OPTION_U64, &o.limit, "N", "number of inputs (default: all data, else 16)"},
        {"batch", 'b', OPTION_U32, &o.batch, "N", "images a run (default 8)"},
        {"train-split", 0, OPTION_FLAG, &o.train_split, NULL, "use the training images of the set"},
        {"max-drop", 0, OPTION_REAL, &o.max_drop, "X",
         "exit 5 when the whole file loses more accuracy (0.01: a point)"},
        {"sort", 0, OPTION_CHOICE, &o.sort, "network|worst", "order of the layers (default network)"},
        {"csv", 0, OPTION_TEXT, &o.csv, "FILE|-", "write a line a layer; -: on stdout in place of the table"},
        {"strategy", 0, OPTION_CHOICE, &o.strategy, tool_strategies, "force a way to execute factored layers"},
        SHAPE_OPTION_ROW(t),
    };
    const tool_usage usage = {
        verb,
        "ORIGINAL COMPRESSED",
        "Two forms of one network, .onnx or .isg. Each layer in turn takes its weights and bias from COMPRESSED "
        "while\nthe others are ORIGINAL's; the last row is all of COMPRESSED, from the file. SNR and cosine are of the "
        "network's\noutput against ORIGINAL's. Without --data inputs are uniform numbers in -1..1 (seed --seed).",
        options,
        OPTION_COUNT(options),
        2,
        2,
        NULL};
    sensitivity_job job = {.t = t, .o = &o};
    int files, code = tool_parse(t, &usage, argc, argv, &files);
    if (code >= 0) return code;
    code = check_options(t, &o, argv);
    if (code != EXIT_OK) return code;
    job.e.batch = o.batch;
    job.e.strategy = o.strategy;
    code = run(&job, argv);
    job_clear(&job);
    return code;
}
