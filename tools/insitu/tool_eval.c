/* SPDX-License-Identifier: Apache-2.0 */
/* One model over many inputs, spread over threads: labels hit, outputs kept; the same for any number of threads. */
#include "tool_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct eval_worker {
    isg_session *session;
    float *input, *output; /* the first of `outputs` */
    float **outputs;
    uint64_t top1, top5;
    isg_status status;
    isg_error error;
} eval_worker;

typedef struct eval_job {
    const tool_eval *e;
    uint64_t first, end; /* images of this round */
    uint64_t classes;
    eval_worker *workers;
} eval_job;

static uint64_t class_count(const tool_model *m)
{
    return m->out_count - (uint64_t)m->label_offset;
}

int tool_eval_batch(tool *t, const tool_model *m, uint32_t *batch)
{
    if (m->fixed_batch && tool_given(t, "batch") && *batch > 1 && *batch != m->items)
        return tool_usage_error(t, "option --batch: %s has a fixed batch", m->path);
    if (m->fixed_batch) *batch = m->items;
    return EXIT_OK;
}

int tool_eval_labels(tool *t, const tool_model *m, const isg_dataset *ds, uint64_t images, const char *data)
{
    uint64_t i;
    if (!isg_dataset_has_labels(ds)) return tool_usage_error(t, "%s has no labels", data);
    for (i = 0; i < images; i++)
        if ((uint64_t)isg_dataset_label(ds, i) >= class_count(m))
            return tool_usage_error(t, "image %llu has label %d, the network knows %llu classes (see --label-offset)",
                                    (unsigned long long)i, isg_dataset_label(ds, i),
                                    (unsigned long long)class_count(m));
    return EXIT_OK;
}

/* Outputs that beat the label's: ties count for the smaller class, as argmax does. */
static uint64_t rank_of(const float *scores, uint64_t classes, uint64_t label)
{
    uint64_t i, better = 0;
    for (i = 0; i < classes; i++) better += scores[i] > scores[label] || (scores[i] == scores[label] && i < label);
    return better;
}

static void judge(const eval_job *job, eval_worker *w, const float *output, uint64_t image)
{
    const float *scores = output + job->e->m->label_offset;
    int32_t label = isg_dataset_label(job->e->ds, image);
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

static isg_status load(const tool_eval *e, eval_worker *w, uint64_t first, uint64_t count)
{
    const uint64_t size = e->m->in_count;
    isg_status status = ISG_OK;
    uint64_t i;
    if (!e->ds) {
        memcpy(w->input, e->items + first * size, count * size * sizeof(float));
        return ISG_OK;
    }
    for (i = 0; i < count && status == ISG_OK; i++)
        status = isg_dataset_load(e->ds, first + i, &e->m->input, w->input + i * size, &w->error);
    return status;
}

static void eval_task(void *arg, uint32_t index, uint32_t worker)
{
    eval_job *job = arg;
    const tool_eval *e = job->e;
    eval_worker *w = &job->workers[worker];
    uint64_t first = job->first + (uint64_t)index * e->batch, i;
    uint64_t count = job->end - first < e->batch ? job->end - first : e->batch;
    const uint64_t size = e->m->out_count;
    const float *inputs[1];
    inputs[0] = w->input;
    if (w->status != ISG_OK) return;
    w->status = load(e, w, first, count);
    if (w->status == ISG_OK) tool_fill_batch(e->m, w->input, count);
    if (w->status == ISG_OK) w->status = isg_session_run(w->session, inputs, w->outputs, &w->error);
    for (i = 0; e->judge && i < count && w->status == ISG_OK; i++) judge(job, w, w->output + i * size, first + i);
    if (e->outputs && w->status == ISG_OK) memcpy(e->outputs + first * size, w->output, count * size * sizeof(float));
}

/* Every worker has a workspace: what is told and allowed is the sum. */
static isg_status check_memory(const tool_eval *e, isg_rt_options *options, uint32_t count, isg_error *err)
{
    const uint64_t allowed = options->max_memory;
    isg_rt_memory memory;
    isg_status status;
    options->max_memory = 0;
    status = isg_model_plan(e->m->model, options, &memory, err);
    if (status != ISG_OK || !allowed || memory.workspace_bytes <= allowed / count) return status;
    err->status = ISG_E_LIMIT;
    snprintf(err->message, sizeof err->message,
             "%u thread%s need%s %llu bytes of workspace each, together more than the %llu allowed", count,
             count == 1 ? "" : "s", count == 1 ? "s" : "", (unsigned long long)memory.workspace_bytes,
             (unsigned long long)allowed);
    return ISG_E_LIMIT;
}

static isg_status workers_init(tool *t, eval_job *job, uint32_t count, isg_error *err)
{
    const tool_eval *e = job->e;
    isg_rt_options options;
    isg_status status;
    uint32_t i;
    job->workers = calloc(count, sizeof *job->workers);
    if (!job->workers) return ISG_E_NOMEM;
    tool_options_init(t, &options, tool_run_batch(e->m, e->batch), e->strategy);
    status = check_memory(e, &options, count, err);
    if (status != ISG_OK) return status;
    for (i = 0; i < count; i++) {
        eval_worker *w = &job->workers[i];
        status = isg_session_create(&w->session, e->m->model, &options, err);
        if (status != ISG_OK) return status;
        w->input = calloc(e->batch, e->m->in_count * sizeof(float));
        w->outputs = tool_outputs_new(e->m, tool_run_batch(e->m, e->batch));
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
        tool_outputs_free(job->e->m, job->workers[i].outputs);
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
static isg_status evaluate(tool *t, eval_job *job, uint32_t workers, isg_error *err)
{
    const tool_eval *e = job->e;
    isg_parallel parallel = isg_pool_parallel(t->pool);
    uint64_t round = (uint64_t)e->batch * workers * 4, done;
    uint32_t i;
    for (done = 0; done < e->images; done = job->end) {
        isg_status status;
        uint32_t tasks;
        job->first = done;
        job->end = e->images - done < round ? e->images : done + round;
        tasks = (uint32_t)((job->end - job->first + e->batch - 1) / e->batch);
        if (parallel.run) {
            parallel.run(parallel.user, eval_task, job, tasks);
        } else {
            for (i = 0; i < tasks; i++) eval_task(job, i, 0);
        }
        status = first_failure(job, workers, err);
        if (status != ISG_OK) return status;
        if (tool_cancelled()) return ISG_E_CANCELLED;
        tool_progress(t, e->stage, e->done + job->end, e->total, e->text);
    }
    return ISG_OK;
}

int tool_eval_run(tool *t, tool_eval *e)
{
    eval_job job = {.e = e, .classes = class_count(e->m)};
    uint32_t workers = tool_threads(t), i;
    isg_error err = {0};
    isg_status status;
    uint64_t batches;
    if (e->batch > e->images && !e->m->fixed_batch)
        e->batch = (uint32_t)e->images; /* images > 0: no dataset is empty */
    batches = (e->images + e->batch - 1) / e->batch;
    if (workers > batches && !t->pool) t->threads = workers = (uint32_t)batches; /* no thread without a batch */
    if (workers > 1 && !tool_pool(t)) return EXIT_RUNTIME;
    e->threads = workers;
    status = workers_init(t, &job, workers, &err);
    if (status == ISG_OK) status = evaluate(t, &job, workers, &err);
    e->top1 = e->top5 = 0;
    for (i = 0; status == ISG_OK && i < workers; i++) {
        e->top1 += job.workers[i].top1;
        e->top5 += job.workers[i].top5;
    }
    if (status == ISG_OK) e->isa = isg_rt_isa_name(isg_session_context(job.workers[0].session));
    workers_clear(&job, workers);
    return status == ISG_OK ? EXIT_OK : tool_data_error(t, e->m->path, status, &err);
}
