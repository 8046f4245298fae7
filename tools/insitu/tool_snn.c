/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion to spikes, their counts per layer, and accuracy against time for the verbs that take --snn. */
#include "tool_snn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int tool_snn_refuse(tool *t, const char *rule)
{
    static const char *const names[] = {"calibration", "calibration-data", "percentile", "initial", "per-layer", NULL};
    return tool_refuse(t, names, rule);
}

int tool_snn_check(tool *t, const snn_options *o)
{
    if (!o->steps) return tool_snn_refuse(t, "needs --snn");
    if (t->max_memory) return tool_usage_error(t, "--max-memory does not go with --snn");
    return t->mode != ISG_MODE_F32 ? tool_usage_error(t, "--mode does not go with --snn") : EXIT_OK;
}

int tool_snn_steps(tool *t, const char *text, uint32_t steps[SNN_STEPS_MAX], uint32_t *count)
{
    const char *at = text;
    *count = 0;
    for (;;) {
        char *end;
        unsigned long value = 0;
        if (*at >= '0' && *at <= '9') value = strtoul(at, &end, 10);
        if (value < 1 || value > 100000 || (*end && *end != ',') || *count == SNN_STEPS_MAX ||
            (*count && value <= steps[*count - 1]))
            return tool_usage_error(t, "option --snn: rising numbers of time steps expected (1..100000), such as 8,32");
        steps[(*count)++] = (uint32_t)value;
        if (!*end) return EXIT_OK;
        at = end + 1;
    }
}

int tool_snn_create_from(tool *t, isg_snn **snn, const snn_options *o, const tool_model *m, const isg_graph *graph,
                         const float *images, uint32_t count)
{
    isg_snn_options options = ISG_SNN_OPTIONS_INIT;
    isg_graph *own = NULL;
    isg_error err = {0};
    isg_status status;
    int code = graph ? EXIT_OK : tool_model_graph(t, &own, m);
    if (code != EXIT_OK) return code;
    if (!(o->percentile > 0.0 && o->percentile <= 100.0)) {
        code = tool_usage_error(t, "option --percentile: above 0 and at most 100");
    } else if (!(o->initial >= 0.0 && o->initial <= 1.0)) {
        code = tool_usage_error(t, "option --initial: 0 to 1");
    } else {
        options.percentile = o->percentile;
        options.initial = o->initial;
        options.per_layer = o->per_layer;
        tool_progress(t, "calibrate", 0, count, "");
        status = isg_snn_create(snn, graph ? graph : own, images, count, &options, &err);
        tool_progress_end(t);
        code = status == ISG_OK ? EXIT_OK : tool_error(t, m->path, status, &err);
    }
    isg_graph_destroy(own);
    return code;
}

int tool_snn_create(tool *t, isg_snn **snn, const snn_options *o, const tool_model *m, const isg_graph *graph,
                    const isg_dataset *ds)
{
    uint64_t have = isg_dataset_count(ds), count = o->images < have ? o->images : have, i;
    float *images;
    isg_error err = {0};
    isg_status status = ISG_OK;
    int code;
    if (!count) return tool_usage_error(t, "option --calibration: at least one image is needed");
    images = calloc((size_t)count, (size_t)m->in_count * sizeof *images);
    if (!images) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    for (i = 0; i < count && status == ISG_OK; i++)
        status = isg_dataset_load(ds, i, &m->input, images + i * m->in_count, &err);
    code = status == ISG_OK ? tool_snn_create_from(t, snn, o, m, graph, images, (uint32_t)count)
                            : tool_data_error(t, NULL, status, &err);
    free(images);
    return code;
}

void tool_snn_json_counts(cJSON *object, const isg_snn_counts *c, double images)
{
    cJSON_AddNumberToObject(object, "spikes", (double)c->spikes / images);
    cJSON_AddNumberToObject(object, "synaptic_ops", (double)c->synaptic_ops / images);
    cJSON_AddNumberToObject(object, "macs", (double)c->macs / images);
    cJSON_AddNumberToObject(object, "neuron_updates", (double)c->updates / images);
}

static void json_layers(const isg_snn *snn, const isg_snn_counts *counts, double images, uint32_t steps, cJSON *json)
{
    cJSON *list = cJSON_AddArrayToObject(json, "layers");
    isg_snn_layer info;
    uint32_t l;
    for (l = 0; l < isg_snn_layer_count(snn); l++) {
        cJSON *o = cJSON_CreateObject();
        if (isg_snn_layer_info(snn, l, &info, NULL) != ISG_OK) continue;
        tool_json_text(o, "name", info.name);
        cJSON_AddStringToObject(o, "kind", info.kind);
        cJSON_AddNumberToObject(o, "neurons", (double)info.neurons);
        cJSON_AddNumberToObject(o, "threshold", info.threshold);
        cJSON_AddNumberToObject(o, "dense_ops_per_step", (double)info.synapses);
        cJSON_AddBoolToObject(o, "graded_input", info.graded);
        cJSON_AddBoolToObject(o, "once_per_image", info.constant);
        tool_snn_json_counts(o, &counts[l], images);
        if (info.neurons)
            tool_json_number(o, "rate", (double)counts[l].spikes / images / (double)info.neurons / (double)steps);
        cJSON_AddItemToArray(list, o);
    }
}

void tool_snn_layers(const isg_snn *snn, const isg_snn_counts *counts, double images, uint32_t steps, cJSON *json)
{
    isg_snn_layer info;
    char shown[200];
    uint32_t l;
    if (json) {
        json_layers(snn, counts, images, steps, json);
        return;
    }
    printf("\n%-32s %-8s %9s %10s %12s %7s %14s %12s\n", "layer", "kind", "neurons", "threshold", "spikes", "rate",
           "synaptic ops", "MACs");
    for (l = 0; l < isg_snn_layer_count(snn); l++) {
        const isg_snn_counts *c = &counts[l];
        if (isg_snn_layer_info(snn, l, &info, NULL) != ISG_OK) continue;
        printf("%-32s %-8s ", tool_escape(shown, sizeof shown, info.name, strlen(info.name)), info.kind);
        if (info.neurons)
            printf("%9llu %10.4g %12.1f %7.4f ", (unsigned long long)info.neurons, info.threshold,
                   (double)c->spikes / images, (double)c->spikes / images / (double)info.neurons / (double)steps);
        else
            printf("%9s %10s %12s %7s ", "", "", "", "");
        printf("%14.0f %12.0f\n", (double)c->synaptic_ops / images, (double)c->macs / images);
    }
}

typedef struct snn_worker {
    isg_snn_state *state;
    float *input, *outputs;
    isg_snn_counts totals[SNN_STEPS_MAX], sums[SNN_STEPS_MAX];
    uint64_t correct[SNN_STEPS_MAX];
    isg_status status;
    isg_error error;
} snn_worker;

typedef struct snn_job {
    const tool_model *m;
    const isg_dataset *ds;
    const isg_snn *snn;
    uint32_t steps[SNN_STEPS_MAX], step_count, workers;
    uint64_t first, images, outputs;
    snn_worker *worker;
} snn_job;

static int is_best(const float *scores, uint64_t classes, uint64_t label)
{
    uint64_t i;
    for (i = 0; i < classes; i++)
        if (scores[i] > scores[label] || (scores[i] == scores[label] && i < label)) return 0;
    return 1;
}

static void snn_task(void *arg, uint32_t index, uint32_t worker)
{
    snn_job *job = arg;
    snn_worker *w = &job->worker[worker];
    uint64_t image = job->first + index;
    uint64_t label = (uint64_t)isg_dataset_label(job->ds, image), classes = job->outputs;
    uint32_t k;
    if (w->status != ISG_OK) return;
    w->status = isg_dataset_load(job->ds, image, &job->m->input, w->input, &w->error);
    if (w->status == ISG_OK)
        w->status = isg_snn_run(w->state, w->input, job->steps, job->step_count, w->outputs, w->totals, &w->error);
    for (k = 0; k < job->step_count && w->status == ISG_OK; k++) {
        const float *scores = w->outputs + k * job->outputs + job->m->label_offset;
        w->correct[k] += (uint64_t)is_best(scores, classes - (uint64_t)job->m->label_offset, label);
        w->sums[k].spikes += w->totals[k].spikes;
        w->sums[k].synaptic_ops += w->totals[k].synaptic_ops;
        w->sums[k].macs += w->totals[k].macs;
        w->sums[k].updates += w->totals[k].updates;
    }
}

static isg_status snn_workers(tool *t, snn_job *job, isg_error *err)
{
    const isg_progress progress = tool_progress_callbacks(t);
    uint32_t i;
    job->worker = calloc(job->workers, sizeof *job->worker);
    if (!job->worker) return ISG_E_NOMEM;
    for (i = 0; i < job->workers; i++) {
        isg_status status = isg_snn_state_create(&job->worker[i].state, job->snn, err);
        if (status == ISG_OK) isg_snn_state_set_progress(job->worker[i].state, &progress);
        if (status != ISG_OK) return status;
        job->worker[i].input = calloc((size_t)job->m->in_count, sizeof(float));
        job->worker[i].outputs = calloc(job->step_count, (size_t)job->outputs * sizeof(float));
        if (!job->worker[i].input || !job->worker[i].outputs) return ISG_E_NOMEM;
    }
    return ISG_OK;
}

static isg_status snn_evaluate(tool *t, snn_job *job, isg_error *err)
{
    isg_parallel parallel = isg_pool_parallel(t->pool);
    uint64_t done, round = (uint64_t)job->workers * 4;
    isg_status status = snn_workers(t, job, err);
    uint32_t i;
    for (done = 0; done < job->images && status == ISG_OK; done += round) {
        uint32_t tasks = (uint32_t)(job->images - done < round ? job->images - done : round);
        job->first = done;
        if (parallel.run) {
            parallel.run(parallel.user, snn_task, job, tasks);
        } else {
            for (i = 0; i < tasks; i++) snn_task(job, i, 0);
        }
        for (i = 0; i < job->workers && status == ISG_OK; i++) {
            status = job->worker[i].status;
            if (status != ISG_OK) *err = job->worker[i].error;
        }
        if (status == ISG_OK && tool_cancelled()) status = ISG_E_CANCELLED;
        tool_progress(t, "spikes", done + tasks, job->images, "");
    }
    tool_progress_end(t);
    return status;
}

static void snn_sum(const snn_job *job, uint32_t k, isg_snn_counts *sum, uint64_t *correct)
{
    uint32_t i;
    memset(sum, 0, sizeof *sum);
    *correct = 0;
    for (i = 0; i < job->workers; i++) {
        const isg_snn_counts *c = &job->worker[i].sums[k];
        sum->spikes += c->spikes;
        sum->synaptic_ops += c->synaptic_ops;
        sum->macs += c->macs;
        sum->updates += c->updates;
        *correct += job->worker[i].correct[k];
    }
}

static void snn_table(const snn_job *job, cJSON *json)
{
    cJSON *list = json ? cJSON_AddArrayToObject(json, "snn") : NULL;
    double n = (double)job->images;
    uint32_t k;
    if (!json) printf("%6s %9s %14s %14s %12s\n", "steps", "accuracy", "spikes", "synaptic ops", "MACs");
    for (k = 0; k < job->step_count; k++) {
        isg_snn_counts sum;
        uint64_t correct;
        snn_sum(job, k, &sum, &correct);
        if (json) {
            cJSON *o = cJSON_CreateObject();
            cJSON_AddNumberToObject(o, "steps", job->steps[k]);
            cJSON_AddNumberToObject(o, "correct", (double)correct);
            cJSON_AddNumberToObject(o, "accuracy", (double)correct / n);
            tool_snn_json_counts(o, &sum, n);
            cJSON_AddItemToArray(list, o);
            if (k + 1 == job->step_count) cJSON_AddNumberToObject(json, "accuracy", (double)correct / n);
        } else {
            printf("%6u %9.4f %14.0f %14.0f %12.0f\n", job->steps[k], (double)correct / n, (double)sum.spikes / n,
                   (double)sum.synaptic_ops / n, (double)sum.macs / n);
        }
    }
}

static int snn_report(tool *t, const snn_options *o, const snn_job *job, const char *data, uint64_t calibrated,
                      int own_images)
{
    uint32_t layers = isg_snn_layer_count(job->snn), l, i;
    isg_snn_counts *counts = calloc(layers ? layers : 1, sizeof *counts);
    cJSON *json = t->json ? tool_json("eval") : NULL;
    int subset = job->images < isg_dataset_count(job->ds);
    if (!counts) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    for (l = 0; l < layers; l++)
        for (i = 0; i < job->workers; i++) {
            const isg_snn_counts c = isg_snn_state_counts(job->worker[i].state, l);
            counts[l].spikes += c.spikes;
            counts[l].synaptic_ops += c.synaptic_ops;
            counts[l].macs += c.macs;
            counts[l].updates += c.updates;
        }
    if (json) {
        tool_json_text(json, "file", job->m->path);
        tool_json_text(json, "data", data);
        cJSON_AddNumberToObject(json, "images", (double)job->images);
        cJSON_AddBoolToObject(json, "subset", subset);
        cJSON_AddNumberToObject(json, "calibration_images", (double)calibrated);
        cJSON_AddBoolToObject(json, "calibrated_on_test_images", own_images);
        cJSON_AddNumberToObject(json, "percentile", o->percentile);
        cJSON_AddNumberToObject(json, "initial", o->initial);
        cJSON_AddStringToObject(json, "threshold_per", o->per_layer ? "layer" : "channel");
    } else {
        printf("spiking, %llu images%s, means an image; thresholds from %llu %s images at percentile %g of each %s\n\n",
               (unsigned long long)job->images, subset ? " (subset)" : "", (unsigned long long)calibrated,
               own_images ? "of these" : "calibration", o->percentile, o->per_layer ? "layer" : "channel");
    }
    snn_table(job, json);
    tool_snn_layers(job->snn, counts, (double)job->images, job->steps[job->step_count - 1], json);
    free(counts);
    return json ? tool_json_print(t, json) : EXIT_OK;
}

int tool_snn_eval(tool *t, const snn_options *o, const tool_model *m, const isg_dataset *ds,
                  const isg_dataset *calibration, const char *data, uint64_t images)
{
    const isg_dataset *from = calibration ? calibration : ds;
    snn_job job = {.m = m, .ds = ds, .images = images, .workers = tool_threads(t)};
    uint64_t calibrated = isg_dataset_count(from) < o->images ? isg_dataset_count(from) : o->images;
    isg_snn *snn = NULL;
    isg_error err = {0};
    isg_status status;
    uint32_t i;
    int code = tool_snn_steps(t, o->steps, job.steps, &job.step_count);
    if (code == EXIT_OK) code = tool_snn_create(t, &snn, o, m, NULL, from);
    if (code != EXIT_OK) return code;
    job.snn = snn;
    job.outputs = isg_snn_output_count(snn);
    if (job.workers > 1 && !tool_pool(t)) {
        code = EXIT_RUNTIME;
    } else if (job.outputs != m->out_count) {
        code = tool_usage_error(t, "%s does not end in one vector of classes", m->path);
    } else {
        status = snn_evaluate(t, &job, &err);
        code = status == ISG_OK ? snn_report(t, o, &job, data, calibrated, !calibration)
                                : tool_error(t, m->path, status, &err);
    }
    for (i = 0; job.worker && i < job.workers; i++) {
        isg_snn_state_destroy(job.worker[i].state);
        free(job.worker[i].input);
        free(job.worker[i].outputs);
    }
    free(job.worker);
    isg_snn_destroy(snn);
    return code;
}
