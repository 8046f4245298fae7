/* SPDX-License-Identifier: Apache-2.0 */
/* insitu sim: sweeps, copies with bit errors, measured spikes, the HTML page. */
#include <stdlib.h>
#include <string.h>

#include "tool_sim.h"

#define SWEEP_MAX 64
#define SWEEP_KEY 112

static int sweep_values(const sim_job *job, const char *text, double *values, int *count)
{
    const char *at = strchr(text, '=');
    char *end = NULL;
    *count = 0;
    while (at && *count < SWEEP_MAX) {
        values[(*count)++] = strtod(at + 1, &end);
        if (end == at + 1 || (*end && *end != ',')) break;
        if (!*end) return EXIT_OK;
        at = end;
    }
    return tool_usage_error(job->t, "option --sweep: KEY=A,B,C expected, with at most %d numbers", SWEEP_MAX);
}

static int sweep_point(sim_job *job, const char *key, double value, isg_sim_report **report)
{
    isg_sim_options options = {sizeof options, job->o->batch, job->o->mode};
    isg_sim_profile *p = NULL;
    isg_error err = {0};
    isg_status status = isg_sim_profile_clone(&p, job->profile, &err);
    if (status == ISG_OK && !strcmp(key, "batch")) {
        if (!(value >= 1.0 && value <= 1e6) || value != (double)(uint32_t)value) {
            isg_sim_profile_destroy(p);
            return tool_usage_error(job->t, "option --sweep: batch must be a whole number from 1 to 1000000");
        }
        options.batch = (uint32_t)value;
    } else if (status == ISG_OK) {
        status = isg_sim_profile_set(p, key, value, &err);
    }
    if (status == ISG_OK) status = isg_sim_evaluate(report, job->network, p, &options, &err);
    isg_sim_profile_destroy(p);
    if (status == ISG_E_ARG || status == ISG_E_FORMAT)
        return tool_usage_error(job->t, "option --sweep: %s", err.message);
    return status == ISG_OK ? EXIT_OK : tool_error(job->t, NULL, status, &err);
}

/* `key` has room for SWEEP_KEY characters. */
static int parse_sweep(const sim_job *job, const char *text, char *key, double *values, int *count)
{
    const int code = sweep_values(job, text, values, count);
    if (code == EXIT_OK) snprintf(key, SWEEP_KEY, "%.*s", (int)(strchr(text, '=') - text), text);
    return code;
}

int sim_check_sweep(sim_job *job, const char *text)
{
    double values[SWEEP_MAX];
    char key[SWEEP_KEY];
    int count, code = parse_sweep(job, text, key, values, &count);
    for (int i = 0; code == EXIT_OK && i < count; i++) {
        isg_sim_report *r = NULL;
        code = sweep_point(job, key, values[i], &r);
        isg_sim_report_destroy(r);
    }
    return code;
}

int sim_sweep(sim_job *job, const char *text, cJSON *json)
{
    double values[SWEEP_MAX];
    char key[SWEEP_KEY], a[32], b[32], c[32];
    cJSON *list = NULL;
    int count, i, code = parse_sweep(job, text, key, values, &count);
    if (code != EXIT_OK) return code;
    if (json) {
        list = cJSON_GetObjectItem(json, "sweeps");
        if (!list) list = cJSON_AddArrayToObject(json, "sweeps");
    } else {
        printf("\n%-24s %10s %10s %10s  %s\n", key, "energy", "latency", "far bytes", "bound by");
    }
    for (i = 0; i < count && code == EXIT_OK; i++) {
        isg_sim_report *r = NULL;
        code = sweep_point(job, key, values[i], &r);
        if (code != EXIT_OK) break;
        if (list) {
            cJSON *o = sim_json_report(job, r, 0);
            tool_json_text(o, "key", key);
            tool_json_number(o, "value", values[i]);
            cJSON_AddItemToArray(list, o);
        } else {
            printf("%-24g %10s %10s %10s  %s\n", values[i], sim_energy(a, sizeof a, r->total.total_pj.typical),
                   sim_time(b, sizeof b, r->total.latency_ns.typical), tool_bytes(c, sizeof c, r->total.far_bytes),
                   isg_sim_term_name(r->total.binding));
        }
        isg_sim_report_destroy(r);
    }
    return code;
}

/* The rate of the tier that a stream is read from. */
static double tier_rate(const sim_job *job, const isg_sim_result *total, isg_sim_stream stream)
{
    double most = 0.0, rate = 0.0;
    isg_sim_tier tier;
    uint32_t i;
    for (i = 0; i < isg_sim_profile_tier_count(job->profile); i++)
        if (total->read_bytes[i][stream] > most && isg_sim_profile_tier(job->profile, i, &tier) == ISG_OK) {
            most = total->read_bytes[i][stream];
            rate = tier.bit_error_rate.typical;
        }
    return rate;
}

static int rates_of_profile(sim_job *job, isg_bit_errors *errors)
{
    static const isg_sim_stream of[ISG_ERROR_STREAMS] = {ISG_SIM_BASIS,  ISG_SIM_U,     ISG_SIM_V,
                                                         ISG_SIM_WEIGHT, ISG_SIM_SCALE, ISG_SIM_BIAS};
    isg_sim_options options = {sizeof options, 1, ISG_SIM_GENERATE};
    isg_sim_report *r = NULL;
    isg_error err = {0};
    isg_status status;
    int s;
    if (!job->profile) return tool_usage_error(job->t, "--ber profile needs --profile");
    status = isg_sim_evaluate(&r, job->network, job->profile, &options, &err);
    if (status != ISG_OK) return tool_error(job->t, job->o->profile, status, &err);
    for (s = 0; s < ISG_ERROR_STREAMS; s++) errors->rate[s] = tier_rate(job, &r->total, of[s]);
    isg_sim_report_destroy(r);
    return EXIT_OK;
}

static int parse_rates(sim_job *job, isg_bit_errors *errors)
{
    const char *at = job->o->ber;
    if (!strcmp(at, "profile")) return rates_of_profile(job, errors);
    while (*at) {
        const char *equals = strchr(at, '=');
        size_t n = equals ? (size_t)(equals - at) : 0;
        char *end = NULL;
        double rate = equals ? strtod(equals + 1, &end) : -1.0;
        int s, known = 0;
        for (s = 0; s < ISG_ERROR_STREAMS; s++) {
            const char *name = isg_error_stream_name((isg_error_stream)s);
            if ((n == 3 && !memcmp(at, "all", 3)) || (n == strlen(name) && !memcmp(at, name, n))) {
                errors->rate[s] = rate;
                known = 1;
            }
        }
        if (!known || end == equals + 1 || !(rate >= 0.0 && rate <= 1.0) || (*end && *end != ','))
            return tool_usage_error(job->t, "option --ber: STREAM=RATE,... expected, STREAM one of basis, u, v, "
                                            "weight, scale, bias, all, RATE 0 to 1");
        at = *end ? end + 1 : end;
    }
    return EXIT_OK;
}

static void report_errors(const sim_job *job, const isg_bit_errors *errors, const isg_bit_error_report *r, cJSON *json)
{
    cJSON *list = json ? cJSON_AddArrayToObject(json, "bit_errors") : NULL;
    int s;
    if (!json) printf("%-8s %12s %14s %12s %10s\n", "stream", "rate", "bits", "flipped", "spared");
    for (s = 0; s < ISG_ERROR_STREAMS; s++) {
        const char *name = isg_error_stream_name((isg_error_stream)s);
        if (list) {
            cJSON *o = cJSON_CreateObject();
            cJSON_AddStringToObject(o, "stream", name);
            tool_json_number(o, "rate", errors->rate[s]);
            cJSON_AddNumberToObject(o, "bits", (double)r->bits[s]);
            cJSON_AddNumberToObject(o, "flipped", (double)r->flipped[s]);
            cJSON_AddNumberToObject(o, "spared", (double)r->spared[s]);
            cJSON_AddItemToArray(list, o);
        } else if (r->bits[s]) {
            printf("%-8s %12g %14llu %12llu %10llu\n", name, errors->rate[s], (unsigned long long)r->bits[s],
                   (unsigned long long)r->flipped[s], (unsigned long long)r->spared[s]);
        }
    }
    if (!json) {
        char shown[256];
        printf("wrote %s (seed %llu)\n", tool_escape(shown, sizeof shown, job->o->inject, strlen(job->o->inject)),
               (unsigned long long)errors->seed);
    }
}

int sim_inject(sim_job *job, cJSON *json)
{
    isg_bit_errors errors = {.struct_size = sizeof errors, .seed = job->t->seed};
    isg_bit_error_report report;
    isg_file file;
    isg_error err = {0};
    isg_status status;
    void *image = NULL;
    int code = parse_rates(job, &errors);
    if (code != EXIT_OK) return code;
    status = isg_file_open(&file, job->path, &err);
    if (status != ISG_OK) return tool_error(job->t, job->path, status, &err);
    status = isg_bit_errors_inject(&image, &report, file.data, file.size, &errors, &err);
    if (status == ISG_OK) {
        status = isg_write_file(job->o->inject, image, file.size, &err);
        if (status != ISG_OK)
            code = tool_error(job->t, job->o->inject, status, &err);
        else
            report_errors(job, &errors, &report, json);
    } else {
        code = tool_error(job->t, job->path, status, &err);
    }
    isg_free(image);
    isg_file_close(&file);
    return code;
}

static void hand_over(sim_job *job, const isg_snn *snn, const isg_snn_counts *counts, double images)
{
    isg_snn_layer info;
    uint32_t l, k;
    for (l = 0; l < isg_snn_layer_count(snn); l++) {
        if (isg_snn_layer_info(snn, l, &info, NULL) != ISG_OK || info.graded) continue;
        for (k = 0; k < job->network->layer_count; k++) {
            isg_sim_layer *layer = &job->network->layers[k];
            if (layer->node != info.node) continue;
            layer->spikes = (double)counts[l].inputs / images;
            layer->synaptic_ops = (double)counts[l].synaptic_ops / images;
        }
    }
}

static int measure(sim_job *job, const isg_snn *snn, const tool_model *m, const isg_dataset *ds, uint32_t steps)
{
    uint64_t images = isg_dataset_count(ds) < job->o->limit ? isg_dataset_count(ds) : job->o->limit, i;
    uint32_t layers = isg_snn_layer_count(snn), l;
    float *input = calloc((size_t)m->in_count, sizeof *input);
    float *output = calloc((size_t)isg_snn_output_count(snn), sizeof *output);
    isg_snn_counts *counts = calloc(layers ? layers : 1, sizeof *counts);
    isg_snn_state *state = NULL;
    isg_error err = {0};
    isg_status status = input && output && counts ? isg_snn_state_create(&state, snn, &err) : ISG_E_NOMEM;
    const isg_progress progress = tool_progress_callbacks(job->t);
    if (status == ISG_OK) isg_snn_state_set_progress(state, &progress);
    for (i = 0; i < images && status == ISG_OK; i++) {
        status = isg_dataset_load(ds, i, &m->input, input, &err);
        if (status == ISG_OK) status = isg_snn_run(state, input, &steps, 1, output, NULL, &err);
        if (status == ISG_OK && tool_cancelled()) status = ISG_E_CANCELLED;
        tool_progress(job->t, "spikes", i + 1, images, "");
    }
    tool_progress_end(job->t);
    if (status == ISG_OK) {
        for (l = 0; l < layers; l++) counts[l] = isg_snn_state_counts(state, l);
        hand_over(job, snn, counts, (double)images);
        if (job->t->json || job->o->html) {
            job->snn = cJSON_CreateObject();
            cJSON_AddNumberToObject(job->snn, "steps", steps);
            cJSON_AddNumberToObject(job->snn, "images", (double)images);
            tool_snn_layers(snn, counts, (double)images, steps, job->snn);
        }
    }
    isg_snn_state_destroy(state);
    free(input);
    free(output);
    free(counts);
    return status == ISG_OK ? EXIT_OK : tool_data_error(job->t, job->path, status, &err);
}

int sim_measure_spikes(sim_job *job)
{
    uint32_t steps[SNN_STEPS_MAX], count;
    tool_model m;
    isg_dataset *ds = NULL, *calibration = NULL;
    isg_snn *snn = NULL;
    int code = tool_snn_steps(job->t, job->o->snn.steps, steps, &count);
    if (code != EXIT_OK) return code;
    if (count != 1) return tool_usage_error(job->t, "option --snn: sim takes one number of time steps");
    job->network->timesteps = steps[0];
    if (!job->o->data) return EXIT_OK;
    code = tool_model_open(job->t, &m, job->path, job->o->input, job->o->label_offset);
    if (code == EXIT_OK) code = tool_model_items(job->t, &m, 0);
    if (code == EXIT_OK) code = tool_data_open(job->t, &ds, &m, job->o->data, ISG_SPLIT_TEST, job->o->input);
    if (code == EXIT_OK)
        code =
            tool_data_open(job->t, &calibration, &m, job->o->snn.calibration ? job->o->snn.calibration : job->o->data,
                           ISG_SPLIT_TRAIN, job->o->input);
    if (code == EXIT_OK) code = tool_snn_create(job->t, &snn, &job->o->snn, &m, job->graph, calibration);
    if (code == EXIT_OK) code = measure(job, snn, &m, ds, steps[0]);
    isg_snn_destroy(snn);
    isg_dataset_close(ds);
    isg_dataset_close(calibration);
    tool_model_close(&m);
    return code;
}

int sim_write_html(tool *t, const char *path, const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json), *html = NULL;
    size_t bytes = 0;
    isg_error err = {0};
    isg_status status;
    if (!text) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    status = isg_report_html(&html, &bytes, text, strlen(text), &err);
    if (status == ISG_OK) status = isg_write_file(path, html, bytes, &err);
    isg_free(html);
    cJSON_free(text);
    if (status != ISG_OK) return tool_error(t, path, status, &err);
    tool_note(t, "wrote %s", path);
    return EXIT_OK;
}
