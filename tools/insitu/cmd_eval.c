/* SPDX-License-Identifier: Apache-2.0 */
/* insitu eval: accuracy on a labelled set, images spread over threads, the same result for any number of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"
#include "tool_snn.h"

typedef struct eval_options {
    const char *data, *input;
    int32_t label_offset;
    uint64_t limit;
    uint32_t batch, strategy;
    int train_split;
    snn_options snn;
} eval_options;

typedef struct eval_worker {
    isg_session *session;
    float *input, *output; /* the first of `outputs` */
    float **outputs;
    uint64_t top1, top5;
    isg_status status;
    isg_error error;
} eval_worker;

typedef struct eval_job {
    const tool_model *m;
    const isg_dataset *ds;
    uint64_t first, end; /* images of this round */
    uint32_t batch;
    uint64_t classes;
    eval_worker *workers;
} eval_job;

/* Outputs that beat the label's: ties count for the smaller class, as argmax does. */
static uint64_t rank_of(const float *scores, uint64_t classes, uint64_t label)
{
    uint64_t i, better = 0;
    for (i = 0; i < classes; i++) better += scores[i] > scores[label] || (scores[i] == scores[label] && i < label);
    return better;
}

static void judge(const eval_job *job, eval_worker *w, const float *output, uint64_t image)
{
    const float *scores = output + job->m->label_offset;
    int32_t label = isg_dataset_label(job->ds, image);
    uint64_t i, rank;
    for (i = 0; i < job->classes; i++)
        if (!isfinite(scores[i])) {
            w->status = w->error.status = ISG_E_NUMERIC;
            snprintf(w->error.message, sizeof w->error.message, "output %llu of image %llu is not a finite number",
                     (unsigned long long)i, (unsigned long long)image);
            return;
        }
    rank = rank_of(scores, job->classes, (uint64_t)label);
    w->top1 += rank == 0;
    w->top5 += rank < 5;
}

static void eval_task(void *arg, uint32_t index, uint32_t worker)
{
    eval_job *job = arg;
    eval_worker *w = &job->workers[worker];
    uint64_t first = job->first + (uint64_t)index * job->batch, i;
    uint64_t count = job->end - first < job->batch ? job->end - first : job->batch;
    const float *inputs[1];
    inputs[0] = w->input;
    if (w->status != ISG_OK) return;
    for (i = 0; i < count && w->status == ISG_OK; i++)
        w->status = isg_dataset_load(job->ds, first + i, &job->m->input, w->input + i * job->m->in_count, &w->error);
    if (w->status == ISG_OK) w->status = isg_session_run(w->session, inputs, w->outputs, &w->error);
    for (i = 0; i < count && w->status == ISG_OK; i++) judge(job, w, w->output + i * job->m->out_count, first + i);
}

static isg_status workers_init(tool *t, eval_job *job, uint32_t count, uint32_t strategy, isg_error *err)
{
    isg_rt_options options;
    uint32_t i;
    job->workers = calloc(count, sizeof *job->workers);
    if (!job->workers) return ISG_E_NOMEM;
    tool_options_init(t, &options, job->batch, strategy);
    options.max_memory /= count; /* every worker has a workspace */
    for (i = 0; i < count; i++) {
        eval_worker *w = &job->workers[i];
        isg_status status = isg_session_create(&w->session, job->m->model, &options, err);
        if (status != ISG_OK) return status;
        w->input = calloc(job->batch, job->m->in_count * sizeof(float));
        w->outputs = tool_outputs_new(job->m, job->batch);
        if (w->outputs) w->output = w->outputs[0];
        if (!w->input || !w->output) return ISG_E_NOMEM;
    }
    return ISG_OK;
}

static void workers_clear(eval_job *job, uint32_t count)
{
    uint32_t i;
    for (i = 0; job->workers && i < count; i++) {
        isg_session_destroy(job->workers[i].session);
        free(job->workers[i].input);
        tool_outputs_free(job->m, job->workers[i].outputs);
    }
    free(job->workers);
}

static isg_status first_failure(const eval_job *job, uint32_t count, isg_error *err)
{
    uint32_t i;
    for (i = 0; i < count; i++)
        if (job->workers[i].status != ISG_OK) {
            *err = job->workers[i].error;
            return job->workers[i].status;
        }
    return ISG_OK;
}

/* Rounds of a few batches a worker, so that progress moves and a signal is seen. */
static isg_status evaluate(tool *t, eval_job *job, uint64_t images, uint32_t workers, uint64_t result[2],
                           isg_error *err)
{
    isg_parallel parallel = isg_pool_parallel(t->pool);
    uint64_t round = (uint64_t)job->batch * workers * 4, done;
    uint32_t i;
    for (done = 0; done < images; done = job->end) {
        isg_status status;
        uint32_t tasks;
        job->first = done;
        job->end = images - done < round ? images : done + round;
        tasks = (uint32_t)((job->end - job->first + job->batch - 1) / job->batch);
        if (parallel.run) {
            parallel.run(parallel.user, eval_task, job, tasks);
        } else {
            for (i = 0; i < tasks; i++) eval_task(job, i, 0);
        }
        status = first_failure(job, workers, err);
        if (status != ISG_OK) return status;
        if (tool_cancelled()) return ISG_E_CANCELLED;
        tool_progress(t, "eval", job->end, images, "");
    }
    result[0] = result[1] = 0;
    for (i = 0; i < workers; i++) {
        result[0] += job->workers[i].top1;
        result[1] += job->workers[i].top5;
    }
    return ISG_OK;
}

static int check_labels(tool *t, const eval_job *job, uint64_t images, const char *data)
{
    uint64_t i;
    if (!isg_dataset_has_labels(job->ds)) return tool_usage_error(t, "%s has no labels", data);
    for (i = 0; i < images; i++)
        if ((uint64_t)isg_dataset_label(job->ds, i) >= job->classes)
            return tool_usage_error(t, "image %llu has label %d, the network knows %llu classes (see --label-offset)",
                                    (unsigned long long)i, isg_dataset_label(job->ds, i),
                                    (unsigned long long)job->classes);
    return EXIT_OK;
}

static int report(tool *t, const eval_job *job, const eval_options *o, uint64_t images, const uint64_t result[2],
                  uint32_t workers)
{
    double n = (double)images;
    int subset = images<isg_dataset_count(job->ds), top5 = job->classes> 10;
    tool_sizes sizes;
    isg_rt_options options;
    cJSON *json;
    char text[512];
    int code;
    tool_options_init(t, &options, job->batch, o->strategy);
    code = tool_model_sizes(t, job->m, &options, &sizes);
    if (code != EXIT_OK) return code;
    if (!t->json) {
        printf("accuracy %.4f (%llu of %llu images%s)\n", (double)result[0] / n, (unsigned long long)result[0],
               (unsigned long long)images, subset ? ", subset" : "");
        if (top5) printf("top-5    %.4f\n", (double)result[1] / n);
        return EXIT_OK;
    }
    json = tool_json("eval");
    tool_json_text(json, "file", job->m->path);
    tool_json_text(json, "data", o->data);
    cJSON_AddStringToObject(json, "split", o->train_split ? "train" : "test");
    isg_input_spec_format(text, sizeof text, &job->m->input);
    tool_json_text(json, "input", text);
    cJSON_AddNumberToObject(json, "label_offset", job->m->label_offset);
    cJSON_AddNumberToObject(json, "images", n);
    cJSON_AddBoolToObject(json, "subset", subset);
    cJSON_AddNumberToObject(json, "correct", (double)result[0]);
    cJSON_AddNumberToObject(json, "accuracy", (double)result[0] / n);
    if (top5) cJSON_AddNumberToObject(json, "top5_accuracy", (double)result[1] / n);
    cJSON_AddStringToObject(json, "isa", isg_rt_isa_name(isg_session_context(job->workers[0].session)));
    cJSON_AddStringToObject(json, "strategy", tool_strategy_name(o->strategy));
    cJSON_AddNumberToObject(json, "batch", job->batch);
    cJSON_AddNumberToObject(json, "threads", workers);
    tool_json_sizes(json, &sizes);
    return tool_json_print(t, json);
}

/* The images that set the thresholds: --calibration-data, else the training split where the set has one of its own. */
static int eval_spiking(tool *t, const eval_options *o, tool_model *m, const isg_dataset *ds)
{
    eval_job job = {.m = m, .ds = ds};
    uint64_t images = isg_dataset_count(ds);
    isg_dataset *calibration = NULL;
    const char *spec = o->snn.calibration;
    int code, one_set = !strncmp(o->data, "npy:", 4) || !strncmp(o->data, "folder:", 7);
    if (o->limit < images) images = o->limit;
    job.classes = m->out_count - (uint64_t)m->label_offset;
    code = check_labels(t, &job, images, o->data);
    if (code != EXIT_OK) return code;
    if (!spec && !o->train_split && !one_set) spec = o->data;
    if (spec) code = tool_data_open(t, &calibration, m, spec, ISG_SPLIT_TRAIN, o->input);
    if (code == EXIT_OK) code = tool_snn_eval(t, &o->snn, m, ds, calibration, o->data, images);
    isg_dataset_close(calibration);
    return code;
}

static int eval_model(tool *t, const eval_options *o, tool_model *m, const isg_dataset *ds)
{
    eval_job job = {.m = m, .ds = ds, .batch = m->fixed_batch ? 1 : o->batch};
    uint64_t images = isg_dataset_count(ds), result[2], start, batches;
    uint32_t workers = tool_threads(t);
    isg_error err = {0};
    isg_status status;
    int code;
    double seconds;
    if (m->fixed_batch && tool_given(t, "batch") && o->batch > 1)
        return tool_usage_error(t, "option --batch: %s has a fixed batch", m->path);
    if (o->limit < images) images = o->limit;
    if (job.batch > images) job.batch = (uint32_t)images; /* images > 0: no dataset is empty */
    batches = (images + job.batch - 1) / job.batch;
    if (workers > batches) t->threads = workers = (uint32_t)batches; /* no thread without a batch */
    job.classes = m->out_count - (uint64_t)m->label_offset;
    code = check_labels(t, &job, images, o->data);
    if (code != EXIT_OK) return code;
    if (workers > 1 && !tool_pool(t)) return EXIT_RUNTIME;
    start = isg_host_nanoseconds();
    status = workers_init(t, &job, workers, o->strategy, &err);
    if (status == ISG_OK) status = evaluate(t, &job, images, workers, result, &err);
    seconds = (double)(isg_host_nanoseconds() - start) * 1e-9;
    if (status != ISG_OK) {
        code = tool_data_error(t, m->path, status, &err);
    } else {
        tool_note(t, "%.0f images/s (%u thread%s)", (double)images / seconds, workers, workers == 1 ? "" : "s");
        code = report(t, &job, o, images, result, workers);
    }
    workers_clear(&job, workers);
    return code;
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
    if (code == EXIT_OK) code = tool_model_single(t, &m);
    if (code == EXIT_OK)
        code = tool_data_open(t, &ds, &m, o.data, o.train_split ? ISG_SPLIT_TRAIN : ISG_SPLIT_TEST, o.input);
    if (code == EXIT_OK) code = o.snn.steps ? eval_spiking(t, &o, &m, ds) : eval_model(t, &o, &m, ds);
    isg_dataset_close(ds);
    tool_model_close(&m);
    return code;
}
